package object

import (
	"bytes"
	"testing"

	"holdfast/erasure/fanout"
	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/node"
	"holdfast/node/client"
	"holdfast/node/nodetest"
	"holdfast/proto/metapb"
	"holdfast/seal"
)

// movingWriter calls move once, behind the first bytes.
type movingWriter struct {
	bytes.Buffer
	move func()
}

func (w *movingWriter) Write(b []byte) (int, error) {
	n, err := w.Buffer.Write(b)
	if f := w.move; f != nil {
		w.move = nil
		f()
	}
	return n, err
}

// TestALongReadFollowsShardsThatWereMoved: more shards than parity makes up for are moved, and deleted
// where they were, while an object is read.
func TestALongReadFollowsShardsThatWereMoved(t *testing.T) {
	for name, c := range map[string]*seal.CustomerKey{"plain": nil, "sealed": customer(t, 3)} {
		s := newStore(t)
		var extra []node.Drive
		for i := range 3 {
			extra = append(extra, nodetest.NewDrive(id.Drive{0xA0, byte(i)}))
		}
		shards, err := fanout.New(fanout.Config{Drives: client.NewDrives(append(s.drives, extra...)...)})
		must(t, err)
		s.cfg.Shards = shards
		body := s.bytes(7<<20 + 5)
		s.put("k", body, c)
		reading, err := s.Get(t.Context(), GetRequest{Bucket: "b", Key: "k", Customer: c})
		must(t, err)
		w := &movingWriter{move: func() {
			m := s.manifest("k")
			ref, err := refOf(m.Parts[0])
			must(t, err)
			to := []id.Drive{extra[0].Status().ID, extra[1].Status().ID, extra[2].Status().ID}
			must(t, shards.Rebuild(t.Context(), ref, []int{0, 1, 2}[:2], to[:2]))
			must(t, shards.Rebuild(t.Context(), ref, []int{2}, to[2:]))
			swap := &metapb.SwapDrives{DataId: ref.Data[:]}
			for i := range 3 {
				swap.Swaps = append(swap.Swaps, &metapb.Swap{Index: uint32(i), From: ref.Drives[i][:], To: to[i][:]})
			}
			_, err = s.meta.Apply(t.Context(), ref.Data.Group(), &metapb.Command{NowMs: 1, Op: &metapb.Command_SwapDrives{SwapDrives: swap}})
			must(t, err)
			must(t, shards.Delete(t.Context(), ref.Data, ref.Drives[:3]))
		}}
		if _, err := reading.WriteTo(t.Context(), w); err != nil || !bytes.Equal(w.Bytes(), body) {
			t.Errorf("%s: %d bytes of %d, %v", name, w.Len(), len(body), err)
		}
		for _, d := range extra { // lost where they are now as well: an error, and soon
			must(t, d.Delete(t.Context(), []node.Shard{{Data: dataOf(t, s), Index: 0}, {Data: dataOf(t, s), Index: 1}, {Data: dataOf(t, s), Index: 2}}))
		}
		reading, err = s.Get(t.Context(), GetRequest{Bucket: "b", Key: "k", Customer: c})
		must(t, err)
		_, err = reading.WriteTo(t.Context(), &bytes.Buffer{})
		wantKind(t, err, kind.Damaged)
	}
}

func (s *store) manifest(key string) *metapb.Manifest {
	s.t.Helper()
	b, err := s.lookup(s.t.Context(), "b")
	must(s.t, err)
	tg, err := s.target(s.t.Context(), "b", key)
	must(s.t, err)
	a, err := s.meta.Ask(s.t.Context(), tg.group, &metapb.Query{Bucket: b.id[:], Key: key, Op: &metapb.Query_GetVersion{GetVersion: &metapb.GetVersion{}}})
	must(s.t, err)
	return a.Manifest
}

func dataOf(t *testing.T, s *store) id.Data {
	t.Helper()
	ref, err := refOf(s.manifest("k").Parts[0])
	must(t, err)
	return ref.Data
}
