package drive

import (
	"testing"

	"holdfast/node"
	"holdfast/node/nodetest"
)

// TestADriveConforms runs the suite with shards of all lengths in the log, and with the larger ones in files.
func TestADriveConforms(t *testing.T) {
	for name, blobBytes := range map[string]int64{"Log": maxBlobBytes, "Files": 4096} {
		t.Run(name, func(t *testing.T) {
			nodetest.Conform(t, func() node.Drive {
				cfg := config(t.TempDir())
				cfg.SegmentBytes, cfg.BlobBytes = 16<<20, blobBytes
				d := open(t, cfg)
				t.Cleanup(func() { closeDrive(t, d) })
				return d
			})
		})
	}
}
