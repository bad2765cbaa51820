package replica

import (
	"bytes"
	"context"
	"errors"
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

// Bootstrap writes the first configuration of every group to the raft logs of its drives: factor
// replicas each, placed by rotation over cfg.Drives. It does nothing if the groups have started
// already, which is when any of the logs holds more than such a beginning. If it is interrupted,
// it is to be called again, with the same drives, before Open. It reports whether it wrote anything.
//
// A cluster that has run must not be bootstrapped again on drives that have all lost their logs: the
// caller knows by its drives' identity files whether they are new.
func Bootstrap(ctx context.Context, cfg Config, factor int) (bool, error) {
	if err := cfg.validate(); err != nil {
		return false, err
	}
	drives := make([]id.Drive, len(cfg.Drives))
	for i, d := range cfg.Drives {
		drives[i] = d.ID
	}
	slices.SortFunc(drives, func(a, b id.Drive) int { return bytes.Compare(a[:], b[:]) })
	if factor < 1 || factor > len(drives) || factor%2 == 0 {
		return false, fmt.Errorf("replica: %d replicas on %d drives", factor, len(drives))
	}
	var logs []Log
	defer func() {
		for _, l := range logs {
			_ = l.Close()
		}
	}()
	var missing []bool
	started := false
	for _, d := range cfg.Drives {
		rec := &recovery{drive: d, groups: map[uint32]*found{}, dead: map[uint32]uint64{}}
		l, err := d.OpenLog(rec.record)
		if err != nil {
			return false, fmt.Errorf("replica: drive %s: open raft log: %w", d.ID, err)
		}
		logs = append(logs, l)
		missing = append(missing, len(rec.groups) == 0)
		started = started || len(rec.dead) > 0
		for _, g := range rec.groups {
			started = started || g.started
		}
	}
	if started || !slices.Contains(missing, true) {
		return false, nil
	}
	for i, d := range cfg.Drives {
		if !missing[i] {
			continue
		}
		if err := writeBeginning(ctx, logs[i], d.ID, cfg.Groups, drives, factor); err != nil {
			return false, err
		}
	}
	return true, nil
}

// writeBeginning writes one record with the beginning of all groups that a drive takes part in.
func writeBeginning(ctx context.Context, l Log, drive id.Drive, groups uint32, drives []id.Drive, factor int) error {
	var w recordWriter
	w.reset()
	for group := range groups + 1 {
		members := place(drives, group, factor)
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
	if w.size == 0 {
		return nil
	}
	done := make(chan error, 1)
	l.Append(kindSections, w.finish(), func(_ log.Pos, err error) { done <- err })
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("replica: drive %s: write the beginning: %w", drive, err)
		}
		return nil
	case <-ctx.Done():
		return errors.Join(ctx.Err(), errors.New("replica: bootstrap interrupted"))
	}
}
