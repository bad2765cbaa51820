package rpc

import (
	"bytes"
	"errors"
	"net"
	"testing"
)

// socket counts writes.
type socket struct {
	net.Conn
	writes int
	got    bytes.Buffer
	err    error
}

func (s *socket) Write(p []byte) (int, error) {
	s.writes++
	s.got.Write(p)
	return len(p), s.err
}

func TestRecordsOfOneWriteGoToTheSocketTogether(t *testing.T) {
	s := &socket{}
	g := &gather{Conn: s}
	record := func(b byte, n int) []byte { return bytes.Repeat([]byte{b}, n) }
	write := func(p []byte) {
		t.Helper()
		if n, err := g.Write(p); n != len(p) || err != nil {
			t.Fatal(n, err)
		}
	}
	write(record('a', 100)) // of the handshake
	g.hold()
	for range 4 {
		write(record('b', 16<<10))
	}
	if s.writes != 1 {
		t.Fatalf("%d writes before all was there", s.writes)
	}
	if err := g.flush(); err != nil || s.writes != 2 || s.got.Len() != 100+64<<10 {
		t.Fatal(err, s.writes, s.got.Len())
	}
	g.hold()
	write(record('c', gatherLimit-1))
	write(record('d', 2)) // does not fit: what is before it goes first
	if !bytes.HasSuffix(s.got.Bytes(), []byte("ccdd")) || cap(g.buf) > 2*gatherLimit {
		t.Fatalf("%d writes, %d bytes kept", s.writes, cap(g.buf))
	}
	s.err = errors.New("gone")
	write([]byte("e"))
	if err := g.flush(); err == nil {
		t.Error("what could not be written was not reported")
	}
}
