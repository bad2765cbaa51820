package fsm

import (
	"encoding/binary"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"holdfast/internal/kind"
	"holdfast/proto/metapb"
)

// TestTheLayoutFitsOneMessage: who asks for it gets it as one of 4 MiB, so a drive too many is refused when
// it is added, in words.
func TestTheLayoutFitsOneMessage(t *testing.T) {
	s, index := NewMapStore(), uint64(0)
	path := strings.Repeat("p", maxPathLen)
	for n := 1; ; n++ {
		index++
		name := make([]byte, 16)
		binary.BigEndian.PutUint32(name, uint32(n))
		res, err := Apply(s, 0, index, &metapb.Command{NowMs: 1, Op: &metapb.Command_PutDrive{PutDrive: &metapb.PutDrive{
			IfAbsent: true, Drive: &metapb.Drive{Id: name, Node: name, Path: path, Zone: path[:maxNameLen], CapacityBytes: 1 << 62}}}})
		if err != nil {
			t.Fatal(err)
		}
		if res.Kind == 0 {
			continue
		}
		if kind.Kind(res.Kind) != kind.InvalidArgument || !strings.Contains(res.Message, "layout is full") {
			t.Fatalf("drive %d: %v", n, res)
		}
		break
	}
	a, err := Answer(s, 0, &metapb.Query{Op: &metapb.Query_GetLayout{GetLayout: &metapb.GetLayout{}}})
	if err != nil {
		t.Fatal(err)
	}
	if size := proto.Size(a); size > maxLayout+maxDetails || size < maxLayout/2 {
		t.Errorf("a full layout has %d bytes", size)
	}
}
