package client

import (
	"sync"
	"sync/atomic"

	"holdfast/internal/id"
	"holdfast/node"
)

// Drives routes by drive ID. Safe for concurrent use: look-ups take no lock, for each request
// makes several, while drives come and go a few times a day.
type Drives struct {
	mu     sync.Mutex // serialises changes
	routes atomic.Pointer[map[id.Drive]node.Drive]
}

// NewDrives makes a router over the given drives.
func NewDrives(drives ...node.Drive) *Drives {
	d := &Drives{}
	d.routes.Store(&map[id.Drive]node.Drive{})
	for _, drive := range drives {
		d.Add(drive)
	}
	return d
}

// Drive finds a drive; false means that no way leads to it now.
func (d *Drives) Drive(want id.Drive) (node.Drive, bool) {
	drive, ok := (*d.routes.Load())[want]
	return drive, ok
}

// Add routes to a drive, in place of what had its ID before.
func (d *Drives) Add(drive node.Drive) {
	name := drive.Status().ID
	d.change(func(m map[id.Drive]node.Drive) { m[name] = drive })
}

// Remove forgets a drive. Calls under way end on their own.
func (d *Drives) Remove(name id.Drive) {
	d.change(func(m map[id.Drive]node.Drive) { delete(m, name) })
}

// All is every drive there is a way to, in no order.
func (d *Drives) All() []node.Drive {
	m := *d.routes.Load()
	all := make([]node.Drive, 0, len(m))
	for _, drive := range m {
		all = append(all, drive)
	}
	return all
}

// Routes is all routes by drive ID. Nobody changes the map.
func (d *Drives) Routes() map[id.Drive]node.Drive { return *d.routes.Load() }

func (d *Drives) change(edit func(map[id.Drive]node.Drive)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	old := *d.routes.Load()
	next := make(map[id.Drive]node.Drive, len(old)+1)
	for name, drive := range old {
		next[name] = drive
	}
	edit(next)
	d.routes.Store(&next)
}
