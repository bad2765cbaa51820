package fanout

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/id"
	"holdfast/node/nodetest"
)

// TestSlowReadersDoNotStopTheOthers: far more readers than there is memory for stripes take their
// time; a quick one is served all the same, and what the slow ones hold does not change under them.
func TestSlowReadersDoNotStopTheOthers(t *testing.T) {
	for _, missing := range []int{0, 2} {
		synctest.Test(t, func(t *testing.T) {
			class := classBytes(classFor(tiny))
			const readers = 100
			r := newRig(t, 6, func(c *Config) { c.MaxGetBytes = 5 * 4 * class })
			data := randomBytes(12*4*tiny-7, 1)
			ref := r.put(r.small(scheme42, len(data)), data)
			for i := range missing {
				ref.Drives[i] = id.Drive{}
			}
			most := int64(0)
			slow := func() {
				pos := 0
				err := r.f.Get(context.Background(), ref, 0, int64(len(data)), func(b []byte) error {
					time.Sleep(3 * time.Second)
					if !bytes.Equal(b, data[pos:pos+len(b)]) {
						t.Errorf("the bytes at %d changed", pos)
					}
					pos += len(b)
					clear(b)
					return nil
				})
				if err != nil || pos != len(data) {
					t.Errorf("got %d bytes, %v", pos, err)
				}
			}
			var wg sync.WaitGroup
			for range readers {
				wg.Go(slow)
			}
			time.Sleep(time.Minute + time.Second/2) // by now all have begun, and all sleep
			for range 10 {
				start := time.Now()
				r.mustGet(ref, data)
				if took := time.Since(start); took > time.Second {
					t.Errorf("a quick read took %v", took)
				}
				time.Sleep(time.Second)
				s := r.f.Stats()
				if most = max(most, s.SlowBytes); s.HeldBytes > s.SlowBytes+s.GetBytes {
					t.Errorf("more is held than was granted: %+v", s)
				}
			}
			wg.Wait()
			r.f.Close()
			s := r.f.Stats()
			if s.Stalled != readers || s.GetBytes != 0 || s.SlowBytes != 0 || most > readers*class || most == 0 {
				t.Errorf("%+v, slow readers held up to %d blocks", s, most/class)
			}
		})
	}
}

// TestAReaderThatStalledOnceGetsBackToSpeed, and is read for ahead again.
func TestAReaderThatStalledOnceGetsBackToSpeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 6, nil)
		for _, d := range r.drives {
			d.Slow(nodetest.Read, 10*time.Millisecond)
		}
		data := randomBytes(60*4*tiny, 1)
		ref := r.put(r.small(scheme42, len(data)), data)
		var out bytes.Buffer
		start := time.Now()
		err := r.f.Get(context.Background(), ref, 0, int64(len(data)), func(b []byte) error {
			if out.Len() == 5*tiny {
				time.Sleep(time.Minute)
				if s := r.f.Stats(); s.GetBytes != 0 || s.HeldBytes != s.SlowBytes || s.HeldBytes != classBytes(classFor(tiny)) {
					t.Errorf("while the reader sleeps: %+v", s)
				}
			}
			out.Write(b)
			return nil
		})
		if err != nil || !bytes.Equal(out.Bytes(), data) {
			t.Fatalf("wrong bytes or %v", err)
		}
		// 60 stripes of 10 ms, some of them in four pieces.
		if took := time.Since(start) - time.Minute; took > 700*time.Millisecond {
			t.Errorf("took %v", took)
		}
		if s := r.f.Stats(); s.Stalled != 1 || s.GetBytes != 0 || s.SlowBytes != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestPiecesFollowTheSealedChunks, so that a reader that opens them need not stage them.
func TestPiecesFollowTheSealedChunks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 6, nil)
		const chunk = 64<<10 + 16
		data := randomBytes(20*chunk+100, 1) // a full stripe of 16 and a short one
		ref := r.put(r.spec(scheme42, int64(len(data))), data)
		var sizes []int
		pos := 0
		off := chunk / 2
		err := r.f.Get(context.Background(), ref, int64(off), int64(len(data)-off), func(b []byte) error {
			time.Sleep(2 * time.Second)
			if !bytes.Equal(b, data[off+pos:off+pos+len(b)]) {
				t.Fatalf("wrong bytes at %d", pos)
			}
			sizes = append(sizes, len(b))
			pos += len(b)
			return nil
		})
		if err != nil || pos != len(data)-off {
			t.Fatalf("%d bytes, %v", pos, err)
		}
		if sizes[0] != 4*chunk-off { // the block that it had when it stalled
			t.Errorf("pieces %v", sizes)
		}
		for _, n := range sizes[1:13] {
			if n != chunk {
				t.Errorf("pieces %v", sizes)
				break
			}
		}
	})
}
