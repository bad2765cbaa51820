package client

import (
	"sync"
	"testing"

	"holdfast/internal/id"
	"holdfast/node/nodetest"
)

func TestDrivesAreFoundByTheirID(t *testing.T) {
	a, b := nodetest.NewDrive(id.Drive{1}), nodetest.NewDrive(id.Drive{2})
	d := NewDrives(a)
	if got, ok := d.Drive(id.Drive{1}); !ok || got != a {
		t.Error("a drive given at the start is not found")
	}
	if _, ok := d.Drive(id.Drive{2}); ok {
		t.Error("an unknown drive is found")
	}
	if _, ok := d.Drive(id.Drive{}); ok {
		t.Error("no drive is found")
	}
	d.Add(b)
	again := nodetest.NewDrive(id.Drive{1})
	d.Add(again)
	if got, _ := d.Drive(id.Drive{1}); got != again || len(d.All()) != 2 {
		t.Error("a drive was not replaced")
	}
	d.Remove(id.Drive{1})
	d.Remove(id.Drive{9})
	if _, ok := d.Drive(id.Drive{1}); ok || len(d.All()) != 1 {
		t.Error("a drive was not removed")
	}
}

// TestDrivesComeAndGoWhileOthersAreUsed: a change loses no other route.
func TestDrivesComeAndGoWhileOthersAreUsed(t *testing.T) {
	d := NewDrives(nodetest.NewDrive(id.Drive{0xFF}))
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for i := range 50 {
				name := id.Drive{byte(n), byte(i), 1}
				d.Add(nodetest.NewDrive(name))
				if _, ok := d.Drive(name); !ok {
					t.Errorf("drive %s is not found", name)
				}
				if _, ok := d.Drive(id.Drive{0xFF}); !ok {
					t.Error("another drive was lost")
				}
				d.Remove(name)
			}
		})
	}
	wg.Wait()
	if len(d.All()) != 1 {
		t.Errorf("%d drives are left", len(d.All()))
	}
}
