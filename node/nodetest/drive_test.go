package nodetest

import (
	"bytes"
	"context"
	"testing"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/node"
)

func TestTheDriveInMemoryConforms(t *testing.T) {
	Conform(t, func() node.Drive { return NewDrive(id.Drive{1}) })
}

// TestEachFaultIsSeen: a fault that goes unnoticed would make every test that uses it worthless.
func TestEachFaultIsSeen(t *testing.T) {
	ctx := context.Background()
	for name, harm := range map[string]func(*Drive, node.Spec) bool{
		"flip":     func(d *Drive, s node.Spec) bool { return d.Flip(s.Shard, 1, 17) },
		"truncate": func(d *Drive, s node.Spec) bool { return d.Truncate(s.Shard) },
		"zero":     func(d *Drive, s node.Spec) bool { return d.Zero(s.Shard) },
		"restamp":  func(d *Drive, s node.Spec) bool { return d.Restamp(s.Shard, func(s *node.Spec) { s.Length++ }) },
		"misdirect": func(d *Drive, s node.Spec) bool {
			other := s
			other.Index++
			write(t, d, other, 2)
			return d.Misdirect(d, other.Shard, s.Shard)
		},
	} {
		d := NewDrive(id.Drive{1})
		spec := specOf(1, conformBlock+1000)
		write(t, d, spec, 1)
		if !harm(d, spec) {
			t.Fatalf("%s: did nothing", name)
		}
		if err := d.ReadBlock(ctx, spec, 1, 0, make([]byte, 5)); !kind.Is(err, kind.Damaged) {
			t.Errorf("%s: read: %v", name, err)
		}
		// Verify compares with nothing but what the drive believes, so a false stamp is seen by readers.
		if err := d.Verify(ctx, spec.Shard); name != "restamp" && !kind.Is(err, kind.Damaged) {
			t.Errorf("%s: verify: %v", name, err)
		}
	}
}

func TestTheTrailerRoomIsOverwritten(t *testing.T) {
	d := NewDrive(id.Drive{1})
	w, _ := d.Create(context.Background(), specOf(1, 10))
	block := node.AllocBlock(10)
	if err := w.WriteBlock(context.Background(), block); err != nil {
		t.Fatal(err)
	}
	if bytes.Count(block[:10+node.BlockTrailer], []byte{0xEE}) != node.BlockTrailer {
		t.Error("users of the room behind a block would go unseen")
	}
	w.Abort()
}
