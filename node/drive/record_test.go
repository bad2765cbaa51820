package drive

import (
	"encoding/hex"
	"testing"

	"holdfast/node"
	"holdfast/node/drive/index"
	"holdfast/node/drive/log"
	"holdfast/node/drive/shard"
)

func TestDeletionsAreWhatTheyWere(t *testing.T) {
	list := []index.Deletion{
		{Shard: spec(1, 1, 1).Shard},
		{Shard: spec(2, 1, 1).Shard, At: log.Pos{Segment: 3, Offset: 4096}},
	}
	b := encodeDeletions(list)
	const want = "01000000000000000000000000000001" + "0100000000000000" + "00000000000000000000000000000000" +
		"01000000000000000000000000000002" + "0200000000000000" + "03000000000000000010000000000000"
	if got := hex.EncodeToString(b); got != want {
		t.Errorf("the format changed; it is now\n%s", got)
	}
	at := log.Pos{Segment: 9, Offset: 800}
	op, err := decodeRecord(at, kindDelete, b)
	if err != nil || op.Kind != index.Delete || len(op.Deleted) != 2 {
		t.Fatalf("decoded %+v, %v", op, err)
	}
	if op.Deleted[0].At != at || op.Deleted[1] != list[1] {
		t.Errorf("decoded %+v", op.Deleted)
	}
}

func FuzzDecodeRecord(f *testing.F) {
	s := spec(1, 100, 250)
	whole := make([]byte, loggedSize(s))
	shard.Header{Spec: s}.Encode(whole)
	f.Add(kindShard, whole)
	inBlob := make([]byte, shard.HeaderLen)
	shard.Header{Spec: s, Blob: 7, Origin: log.Pos{Segment: 1, Offset: 200}}.Encode(inBlob)
	f.Add(kindShard, inBlob)
	f.Add(kindDelete, encodeDeletions([]index.Deletion{{Shard: s.Shard}}))
	f.Fuzz(func(t *testing.T, recordKind uint8, payload []byte) {
		op, err := decodeRecord(log.Pos{Segment: 1, Offset: 64}, recordKind, payload)
		if err != nil {
			return
		}
		if op.Kind == index.Delete {
			if len(op.Deleted)*deletionLen != len(payload) {
				t.Errorf("%d deletions in %d bytes", len(op.Deleted), len(payload))
			}
			return
		}
		if op.Shard.Blob != 0 {
			return
		}
		for n := range op.Shard.Blocks() { // every block must lie within the record
			end := blockAt(op.Shard.Spec, n) + op.Shard.BlockSize(n) + node.BlockTrailer
			if end > len(payload) {
				t.Fatalf("block %d ends at %d of %d", n, end, len(payload))
			}
		}
	})
}
