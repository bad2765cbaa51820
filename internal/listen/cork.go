package listen

import (
	"encoding/binary"
	"sync"
	"time"
)

// Sizes of TLS records in bytes (RFC 8446 section 5, RFC 5246 section 6.2).
const (
	recordHeader  = 5
	recordPlain   = 16 << 10
	recordMax     = recordHeader + recordPlain + 256
	recordAppData = 23 // content type

	corkRecords = 8
	corkSize    = corkRecords * recordMax
)

// cork is the connection under a tls.Conn. It holds full records of application data and joins them.
type cork struct {
	*wire
	pool *sync.Pool // of *[corkSize]byte: only connections that hold something have one
	wait time.Duration

	mu    sync.Mutex
	buf   *[corkSize]byte // nil while nothing is held
	held  int             // bytes in buf
	timer *time.Timer
	armed bool
	err   error // of an earlier write; the stream is broken
}

// Write takes one record from crypto/tls, or several of a handshake.
func (c *cork) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, c.err
	}
	full := isFull(b)
	if c.buf == nil {
		if !full {
			return c.direct(b)
		}
		c.buf = c.pool.Get().(*[corkSize]byte)
	}
	if len(b) > corkSize-c.held {
		if c.flush(); c.err != nil {
			return 0, c.err
		}
		return c.direct(b)
	}
	c.held += copy(c.buf[c.held:], b)
	if full && corkSize-c.held >= recordMax {
		c.arm()
		return len(b), nil
	}
	if c.flush(); c.err != nil {
		return 0, c.err
	}
	return len(b), nil
}

// isFull reports whether b is one record of application data with as much as a record can hold, give or
// take what the cipher adds (17 to 90 bytes): more is likely to follow. A handshake is never held.
func isFull(b []byte) bool {
	return len(b) > recordPlain && len(b) <= recordMax && b[0] == recordAppData &&
		len(b) == recordHeader+int(binary.BigEndian.Uint16(b[3:recordHeader]))
}

func (c *cork) direct(b []byte) (n int, err error) {
	n, err = c.wire.Write(b)
	c.err = err
	return n, err
}

// flush writes what is held.
func (c *cork) flush() {
	if c.buf == nil {
		return
	}
	if c.err == nil {
		_, c.err = c.wire.Write(c.buf[:c.held])
	}
	c.pool.Put(c.buf)
	c.buf, c.held = nil, 0
}

// Flush writes what is held, now.
func (c *cork) Flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flush()
}

// arm sees to it that what is held leaves within the wait.
func (c *cork) arm() {
	switch {
	case c.armed:
	case c.timer == nil:
		c.timer = time.AfterFunc(c.wait, c.expire)
	default:
		c.timer.Reset(c.wait)
	}
	c.armed = true
}

func (c *cork) expire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armed = false
	c.flush()
}
