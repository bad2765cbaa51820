// Package replicatest has the drives that tests of metadata replicas run on: in memory, and able to
// lose on a crash exactly what a power cut may take.
package replicatest

import (
	"sync"

	"holdfast/internal/id"
	"holdfast/meta/replica"
)

// Drive is a drive in memory.
type Drive struct {
	ID   id.Drive
	KV   *KV
	Disk *Disk

	mu     sync.Mutex
	failed error
}

// NewDrive makes an empty drive whose ID ends in n.
func NewDrive(n int) *Drive {
	d := &Drive{KV: NewKV(), Disk: NewDisk()}
	d.ID[0], d.ID[14], d.ID[15] = 0xd0, byte(n>>8), byte(n)
	return d
}

// Handle is what a Host needs of it.
func (d *Drive) Handle() replica.DriveHandle {
	return replica.DriveHandle{
		ID: d.ID, KV: d.KV, OpenLog: d.Disk.Open, ResetLog: d.Disk.Reset, Fail: d.fail, Failed: d.Failed,
	}
}

func (d *Drive) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed == nil {
		d.failed = err
	}
}

// Failed is why the drive is out, or nil.
func (d *Drive) Failed() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failed
}

// Fail takes the drive out.
func (d *Drive) Fail(err error) { d.fail(err) }

// Crash is a power cut: what was not on stable storage is gone, and nothing works until Restart.
func (d *Drive) Crash() {
	d.Disk.Crash()
	d.KV.Crash()
}

// Restart lets a new Host open the drive.
func (d *Drive) Restart() {
	d.KV.Reopen()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failed = nil
}
