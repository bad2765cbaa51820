package blob

import (
	"sync"

	"holdfast/internal/vfs"
)

// maxHandles bounds the blobs kept open for reading.
const maxHandles = 128

// handle is an open blob.
type handle struct {
	number uint64
	file   vfs.File
	refs   int
	used   uint64
	gone   bool // forgotten: close it with the last reference
}

// handles keeps the blobs read last open: a read of ten blocks opens the file once.
type handles struct {
	open  func(number uint64) (vfs.File, error)
	mu    sync.Mutex
	byNum map[uint64]*handle
	clock uint64
}

func (c *handles) init(open func(uint64) (vfs.File, error)) {
	c.open, c.byNum = open, make(map[uint64]*handle)
}

func (c *handles) acquire(number uint64) (*handle, error) {
	if h := c.find(number); h != nil {
		return h, nil
	}
	file, err := c.open(number)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if h := c.byNum[number]; h != nil { // another reader was first
		file.Close()
		c.touch(h)
		return h, nil
	}
	h := &handle{number: number, file: file}
	c.touch(h)
	c.byNum[number] = h
	c.evict()
	return h, nil
}

func (c *handles) find(number uint64) *handle {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.byNum[number]
	if h != nil {
		c.touch(h)
	}
	return h
}

func (c *handles) touch(h *handle) {
	c.clock++
	h.used = c.clock
	h.refs++
}

// evict closes the longest unused half when there are too many, so that its cost is spread thin.
func (c *handles) evict() {
	if len(c.byNum) <= maxHandles {
		return
	}
	limit := c.clock - maxHandles/2
	for n, h := range c.byNum {
		if h.refs == 0 && h.used < limit {
			delete(c.byNum, n)
			h.file.Close()
		}
	}
}

func (c *handles) release(h *handle) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h.refs--
	if h.refs == 0 && h.gone {
		h.file.Close()
	}
}

// forget closes a blob that is about to be removed.
func (c *handles) forget(number uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.byNum[number]
	if h == nil {
		return
	}
	delete(c.byNum, number)
	h.gone = true
	if h.refs == 0 {
		h.file.Close()
	}
}

func (c *handles) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for n, h := range c.byNum {
		delete(c.byNum, n)
		h.gone = true
		if h.refs == 0 {
			h.file.Close()
		}
	}
}
