package replica

import (
	"errors"
	"fmt"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"

	"holdfast/meta/fsm"
	"holdfast/proto/metapb"
)

// memory is a store that can be found damaged.
type memory struct {
	Txn
	pairs map[string]string
	err   error
}

func (m *memory) Set(key, value []byte) error    { m.pairs[string(key)] = string(value); return nil }
func (m *memory) Delete(key []byte) error        { delete(m.pairs, string(key)); return nil }
func (m *memory) Get(key []byte) ([]byte, error) { return []byte(m.pairs[string(key)]), nil }
func (m *memory) Err() error                     { return m.err }

// applied runs a command on stores one after the other, as the replicas of a process do.
func applied(t *testing.T, size int, stores ...*memory) (runs int) {
	t.Helper()
	var d decoded
	for n, m := range stores {
		c, err := d.get(1, &pb.Entry{Index: new(uint64(7)), Term: new(uint64(3)), Data: []byte{}})
		if err != nil {
			t.Fatal(err)
		}
		res, err := c.run(&ranged{txn: m, prefix: fmt.Appendf(nil, "r%d/", n)}, func(s fsm.Store, _ uint32, index uint64, _ *metapb.Command) (*metapb.Result, error) {
			runs++
			return &metapb.Result{Message: fmt.Sprint(index)}, errors.Join(s.Set([]byte("new"), make([]byte, size)), s.Delete([]byte("old")))
		})
		if err != nil || res.GetMessage() != "7" {
			t.Fatal(res, err)
		}
		if _, ok := m.pairs[fmt.Sprintf("r%d/old", n)]; ok || len(m.pairs[fmt.Sprintf("r%d/new", n)]) != size {
			t.Errorf("store %d: %q", n, m.pairs)
		}
	}
	return runs
}

func stores(n int) (all []*memory) {
	for i := range n {
		all = append(all, &memory{pairs: map[string]string{fmt.Sprintf("r%d/old", i): "x"}})
	}
	return all
}

func TestACommandRunsOnceAProcessAndIsWrittenByEveryReplica(t *testing.T) {
	if runs := applied(t, 100, stores(5)...); runs != 1 {
		t.Errorf("it ran %d times", runs)
	}
	if runs := applied(t, maxEffects, stores(5)...); runs != 5 {
		t.Errorf("what it writes is too large to be kept, and it ran %d times", runs)
	}
}

func TestEntriesOfOtherTermsAndGroupsAreOthers(t *testing.T) {
	var d decoded
	seen := map[*decodedCommand]bool{}
	for _, at := range [][3]uint64{{1, 7, 3}, {1, 7, 4}, {2, 7, 4}, {1, 7 + decodedSlots, 4}, {1, 7, 3}} {
		c, err := d.get(uint32(at[0]), &pb.Entry{Index: new(at[1]), Term: new(at[2])})
		if err != nil || seen[c] {
			t.Errorf("%v: %v, or taken for another", at, err)
		}
		seen[c] = true
	}
}

func TestWhatADamagedStoreMadeOfACommandIsNotShared(t *testing.T) {
	all := stores(3)
	all[0].err = errors.New("damaged")
	if runs := applied(t, 100, all...); runs != 2 {
		t.Errorf("it ran %d times: the damaged store's outcome was used", runs)
	}
}
