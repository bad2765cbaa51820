package replica

import (
	"bytes"
	"fmt"
	"slices"

	"holdfast/internal/id"
	"holdfast/node/drive/log"
)

// ReplicationFactor is the number of replicas of each group: enough to survive the loss of any m
// drives, as the data do; odd, as an even one survives no more; at most as many as there are drives.
func ReplicationFactor(drives, m int) int {
	odd := drives
	if odd%2 == 0 {
		odd--
	}
	return min(odd, max(3, 2*m+1))
}

// place is the drives of a group's first replicas: rotated, so that each drive has its share.
func place(sorted []id.Drive, group uint32, factor int) []id.Drive {
	out := make([]id.Drive, factor)
	for k := range out {
		out[k] = sorted[(int(group)+k)%len(sorted)]
	}
	return out
}

// Beginning is the first configuration of all groups of a new cluster.
type Beginning struct {
	// Drives are all drives of the cluster, also those of other processes.
	Drives []id.Drive
	// Replicas of each group; see ReplicationFactor.
	Replicas int
	// Place is the drives of a group's first replicas, the preferred leader first: the same answer on
	// every node. nil rotates Drives.
	Place func(group uint32) []id.Drive
}

// members are the drives of a group's first replicas.
func (b *Beginning) members(sorted []id.Drive, group uint32) []id.Drive {
	if b.Place != nil {
		return b.Place(group)
	}
	return place(sorted, group, b.Replicas)
}

func (b *Beginning) validate() error {
	if b.Replicas < 1 || b.Replicas > len(b.Drives) || b.Replicas%2 == 0 {
		return fmt.Errorf("replica: %d replicas on %d drives", b.Replicas, len(b.Drives))
	}
	return nil
}

// write begins the groups on the drives here that have none. One record a drive: if it is
// interrupted, the next Open writes what is missing. It does nothing if any drive here has started,
// that is, has more than such a beginning: then a drive without one was wiped, and a replica
// that was there must not come back under the same raft ID.
func (b *Beginning) write(drives []*opening) error {
	sorted := slices.Clone(b.Drives)
	slices.SortFunc(sorted, func(x, y id.Drive) int { return bytes.Compare(x[:], y[:]) })
	if slices.ContainsFunc(drives, (*opening).started) {
		return nil
	}
	for _, o := range drives {
		if len(o.rec.groups) > 0 {
			continue
		}
		record := b.record(sorted, o.l.drive.ID, o.l.cfg.Groups)
		if len(record) == 0 {
			continue
		}
		type place struct {
			pos log.Pos
			err error
		}
		done := make(chan place, 1)
		o.l.log.Append(kindSections, [][]byte{record}, func(pos log.Pos, err error) { done <- place{pos, err} })
		at := <-done
		if at.err == nil {
			at.err = o.rec.record(at.pos, kindSections, record)
		}
		if at.err != nil {
			return fmt.Errorf("replica: drive %s: write the beginning: %w", o.l.drive.ID, at.err)
		}
	}
	return nil
}

// record is the beginning of all groups that a drive takes part in.
func (b *Beginning) record(sorted []id.Drive, drive id.Drive, groups uint32) []byte {
	var w recordWriter
	w.reset()
	for group := range groups + 1 {
		members := b.members(sorted, group)
		at := slices.Index(members, drive)
		if at < 0 {
			continue
		}
		w.begin(&section{
			flags: hasBase | hasConfig | hasHard, group: group, raftID: uint64(at + 1),
			base:   entryID{index: 1, term: initialTerm},
			config: bootConfig(members).encode(),
			hard:   hardState{term: initialTerm, commit: 1},
		}, 0)
	}
	return bytes.Join(w.finish(), nil)
}
