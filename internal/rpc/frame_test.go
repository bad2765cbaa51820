package rpc

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"unsafe"

	"google.golang.org/grpc/mem"
)

// cut splits bytes into buffers of n, as they come from a connection.
func cut(b []byte, n int) mem.BufferSlice {
	var s mem.BufferSlice
	for len(b) > n {
		s = append(s, mem.SliceBuffer(b[:n]))
		b = b[n:]
	}
	return append(s, mem.SliceBuffer(b))
}

func TestAFrameIsReadHoweverItIsCut(t *testing.T) {
	c, err := newCodec()
	if err != nil {
		t.Fatal(err)
	}
	payload := bytes.Repeat([]byte("0123456789"), 30)
	for header := range 40 {
		out, err := c.Marshal(&Frame{Header: payload[:header], Payload: cut(payload, 37)})
		if err != nil {
			t.Fatal(err)
		}
		whole := out.Materialize()
		for n := 1; n < 50; n++ {
			var f Frame
			if err := c.Unmarshal(cut(whole, n), &f); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(f.Header, payload[:header]) || !bytes.Equal(f.Payload.Materialize(), payload) {
				t.Fatalf("a header of %d, cut to %d: another frame", header, n)
			}
		}
	}
}

func FuzzFrame(f *testing.F) {
	f.Add([]byte{}, 1)
	f.Add([]byte{0}, 1)
	f.Add([]byte{0, 0}, 1)
	f.Add([]byte{0, 3, 1, 2, 3, 4, 5}, 2)
	f.Add([]byte{255, 255, 1}, 1)
	f.Fuzz(func(t *testing.T, wire []byte, n int) {
		c, err := newCodec()
		if err != nil {
			t.Fatal(err)
		}
		var got Frame
		if c.Unmarshal(cut(wire, max(n, 1)), &got) != nil {
			return
		}
		out, err := c.Marshal(&got)
		if err != nil || !bytes.Equal(out.Materialize(), wire) {
			t.Errorf("%x is a frame, and comes back as %x (%v)", wire, out.Materialize(), err)
		}
	})
}

// TestBuffersAreAligned: what O_DIRECT wants, whatever was asked for and whoever had it before.
func TestBuffersAreAligned(t *testing.T) {
	p, rng := NewBuffers(), rand.New(rand.NewPCG(1, 2))
	sizes := []int{0, 1, 4095, 4096, 4097, 8192, 262_272, 1 << 20, 1<<20 + 1, MaxMessage, MaxMessage + 1}
	for range 500 {
		sizes = append(sizes, rng.IntN(1<<(1+rng.IntN(23))))
	}
	for round := range 2 {
		for _, n := range sizes {
			b := p.Get(n)
			full := (*b)[:cap(*b)]
			if len(*b) != n || len(full)%pageAlign != 0 || uintptr(unsafe.Pointer(&full[0]))%pageAlign != 0 {
				t.Fatalf("asked for %d: %d of %d bytes at %p", n, len(*b), len(full), full)
			}
			if n > 1<<16 && len(full) > n+n/4+pageAlign {
				t.Errorf("asked for %d: %d bytes", n, len(full))
			}
			if class, size := classOf(cap(*b)); n <= MaxMessage && (class < 0 || class >= classes || size != cap(*b)) {
				t.Errorf("a buffer of %d bytes belongs nowhere", cap(*b))
			}
			p.Put(b)
		}
		if round == 0 {
			p.Put(&[]byte{1, 2, 3}) // not of this pool: forgotten
		}
	}
}
