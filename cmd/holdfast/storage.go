package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"

	"holdfast/cluster"
	"holdfast/erasure"
	"holdfast/internal/id"
	"holdfast/internal/vfs"
	"holdfast/meta"
	"holdfast/meta/fsm"
	"holdfast/meta/replica"
	nodeclient "holdfast/node/client"
	"holdfast/node/drive"
	"holdfast/node/drive/log"
)

// storage is what lies below the metadata client and the fan-out: the drives of this process and
// the group replicas on them.
type storage struct {
	cfg     *Config
	from    *origin
	cluster id.Cluster
	fresh   []id.Drive // formatted by this start beside older drives
	host    *replica.Host
	routes  *nodeclient.Drives // to the drives that serve
	heal    healer
	// directory knows which drives leave, where there is one process; nil until the groups are open.
	directory atomic.Pointer[cluster.Directory]

	adding sync.Mutex // one drive at a time
	mu     sync.Mutex
	drives []*drive.Drive // one that is healed is replaced
}

// origin is what several processes agreed on; nil where there is one.
type origin struct {
	cluster   id.Cluster
	drives    map[string]id.Drive // by path: the IDs of drives that a new cluster begins with
	beginning *replica.Beginning  // of a cluster that was just formed
	transport replica.Transport
	full      func(d id.Drive) bool // of drives of other nodes
	leaves    func(d id.Drive) bool // a drive is to be emptied
}

// openStorage opens or makes the drives and recovers the groups. It refuses, before it changes
// anything, what planDrives refuses.
func openStorage(ctx context.Context, cfg *Config, from *origin) (_ *storage, err error) {
	s := &storage{cfg: cfg, from: from, routes: nodeclient.NewDrives()}
	s.heal.init(s)
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	p, err := planDrives(lookAtDrives(cfg.Data), from == nil)
	if err != nil {
		return nil, err
	}
	if err := s.chooseCluster(p); err != nil {
		return nil, err
	}
	if err := s.openDrives(ctx, p); err != nil {
		return nil, err
	}
	groups := s.replicaConfig()
	if groups.Beginning, err = s.beginning(p); err != nil {
		return nil, err
	}
	if s.host, err = replica.Open(ctx, groups); err != nil {
		return s, err
	}
	for _, d := range s.drives {
		s.routes.Add(d)
	}
	return s, nil
}

// chooseCluster says which cluster the drives are, or become, part of.
func (s *storage) chooseCluster(p plan) (err error) {
	if s.from != nil {
		if s.cluster = s.from.cluster; len(p.open) > 0 && p.cluster != s.cluster {
			return fmt.Errorf("%s belongs to cluster %s, but the nodes that --join names to cluster %s", p.open[0], p.cluster, s.cluster)
		}
		return nil
	}
	if err := checkScheme(s.cfg.Scheme, len(s.cfg.Data)); err != nil {
		return err
	}
	if s.cluster = p.cluster; p.fresh {
		s.cluster, err = id.Random[id.Cluster](rand.Reader)
	}
	return err
}

// checkScheme refuses a scheme that the drives cannot hold.
func checkScheme(scheme erasure.Scheme, drives int) error {
	if scheme != (erasure.Scheme{}) && scheme.Shards() > drives {
		return fmt.Errorf("--scheme %s needs %d drives, and there are %d", scheme, scheme.Shards(), drives)
	}
	return nil
}

// lookAtDrives reads what lies in the directories and changes nothing.
func lookAtDrives(paths []string) []found {
	all := make([]found, len(paths))
	for i, path := range paths {
		all[i] = lookAtDrive(path)
	}
	return all
}

func lookAtDrive(path string) found {
	identity, err := drive.ReadIdentity(vfs.OS{}, path)
	if err == nil {
		return found{path: path, cluster: identity.Cluster, drive: identity.Drive}
	}
	if !errors.Is(err, drive.ErrNotFormatted) {
		return found{path: path, err: err}
	}
	names, err := os.ReadDir(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return found{path: path, err: err}
	}
	for _, n := range names {
		switch n.Name() {
		case "lock", "drive.json.new", "lost+found": // of a first start that was interrupted, or of the file system
		case "node.json", "node.json.new", "forming.json", "forming.json.new": // of a node that has no cluster yet
		default:
			return found{path: path, err: fmt.Errorf("it is no drive of Holdfast and not empty (it holds %s)", n.Name())}
		}
	}
	return found{path: path, empty: true}
}

// openDrives opens all at once: each may have a log to replay.
func (s *storage) openDrives(ctx context.Context, p plan) error {
	formatted := map[string]bool{}
	for _, path := range p.format {
		formatted[path] = true
	}
	drives := make([]*drive.Drive, len(s.cfg.Data))
	errs := make([]error, len(s.cfg.Data))
	var wg sync.WaitGroup
	for i, path := range s.cfg.Data {
		wg.Go(func() {
			config := drive.Config{Path: path, Cluster: s.cluster, Create: formatted[path], OnDamage: s.heal.suspect, Logger: s.cfg.Logger}
			if s.from != nil {
				config.ID = s.from.drives[path]
			}
			drives[i], errs[i] = drive.Open(ctx, config)
		})
	}
	wg.Wait()
	for i, d := range drives {
		if errs[i] != nil {
			continue
		}
		s.drives = append(s.drives, d)
		if formatted[s.cfg.Data[i]] && !p.fresh {
			s.fresh = append(s.fresh, d.ID())
		}
	}
	return s.judge(p, errs)
}

// judge decides whether to go on without the drives that did not open. One that another process
// holds, or of a newer format, is a mistake to be put right; one that cannot be read is a lost drive.
// A new cluster is made of all drives or not at all.
func (s *storage) judge(p plan, errs []error) error {
	for i, err := range errs {
		switch {
		case err == nil:
		case p.fresh:
			return err
		case errors.Is(err, drive.ErrLocked):
			return fmt.Errorf("%s is in use by another process: is the server running already? (%w)", s.cfg.Data[i], err)
		case errors.Is(err, drive.ErrForeign), errors.Is(err, drive.ErrFormat), errors.Is(err, drive.ErrNotFormatted), errors.Is(err, context.Canceled):
			return err
		default:
			s.cfg.Logger.Error("a drive does not open; going on without it", "path", s.cfg.Data[i], "error", err)
		}
	}
	if len(s.drives) == 0 && len(errs) > 0 {
		return fmt.Errorf("none of the drives opens: %w", errors.Join(errs...))
	}
	return nil
}

// beginning is what every group begins with, at the first start of a cluster or when that one was
// interrupted: then nothing was ever stored. Later it is nil.
func (s *storage) beginning(p plan) (*replica.Beginning, error) {
	if s.from != nil {
		return s.from.beginning, nil
	}
	if !p.fresh && !s.untouched() {
		return nil, nil
	}
	scheme, err := s.firstScheme()
	if err != nil {
		return nil, err
	}
	b := &replica.Beginning{Replicas: replica.ReplicationFactor(len(s.drives), scheme.M)}
	for _, d := range s.drives {
		b.Drives = append(b.Drives, d.ID())
	}
	return b, nil
}

// firstScheme is the scheme that a new cluster begins with.
func (s *storage) firstScheme() (erasure.Scheme, error) {
	if s.cfg.Scheme != (erasure.Scheme{}) {
		return s.cfg.Scheme, nil
	}
	return erasure.Default(len(s.drives))
}

// untouched reports whether no drive holds a shard or the state of a group.
func (s *storage) untouched() bool {
	for _, d := range s.drives {
		if d.Status().Shards > 0 || holdsState(d.KV().Badger()) {
			return false
		}
	}
	return len(s.drives) == len(s.cfg.Data)
}

// holdsState reports whether a drive's database has anything at all.
func holdsState(db *badger.DB) (found bool) {
	err := db.View(func(txn *badger.Txn) error {
		options := badger.DefaultIteratorOptions
		options.PrefetchValues = false
		it := txn.NewIterator(options)
		defer it.Close()
		it.Rewind()
		found = it.Valid()
		return nil
	})
	return found || err != nil
}

func (s *storage) replicaConfig() replica.Config {
	cfg := replica.Config{
		Groups: meta.DefaultGroups, Apply: fsm.Apply, Answer: fsm.Answer, OnDamage: s.heal.suspect, Logger: s.cfg.Logger,
	}
	if s.from != nil {
		cfg.Transport, cfg.Full, cfg.Leaves = s.from.transport, s.from.full, s.from.leaves
	} else {
		cfg.Leaves = func(d id.Drive) bool { return leaves(s.directory.Load(), d) }
	}
	for _, d := range s.drives {
		cfg.Drives = append(cfg.Drives, replicaHandle(d))
	}
	return cfg
}

// replicaHandle is what the group replicas need of a drive.
func replicaHandle(d *drive.Drive) replica.DriveHandle {
	return replica.DriveHandle{
		ID: d.ID(), KV: replica.NewBadger(d.KV(), d.Flushed), ResetLog: d.ResetRaftLog, Fail: d.Fail, Failed: d.Failed, Full: d.ReadOnly,
		OpenLog: func(replay replica.Replay) (replica.Log, error) {
			l, err := d.OpenRaftLog(func(p log.Pos, kind uint8, payload []byte) error { return replay(p, kind, payload) })
			if err != nil {
				return nil, err
			}
			return l, nil
		},
	}
}

// verifyTables checks what a drive keeps besides shards, and heals it.
func (s *storage) verifyTables(ctx context.Context, d id.Drive) error {
	return s.heal.examine(ctx, d)
}

// drive finds an open drive of this process; nil if it is not one.
func (s *storage) drive(d id.Drive) *drive.Drive {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, open := range s.drives {
		if open.ID() == d {
			return open
		}
	}
	return nil
}

// close stops the replicas, then the drives under them.
func (s *storage) close() error {
	var err error
	s.heal.stop()
	if s.host != nil {
		err = s.host.Close()
		s.host = nil
	}
	return errors.Join(err, s.closeDrives())
}

// closeDrives closes all at once: each may have a table to write.
func (s *storage) closeDrives() error {
	errs := make([]error, len(s.drives))
	var wg sync.WaitGroup
	for i, d := range s.drives {
		wg.Go(func() { errs[i] = d.Close() })
	}
	wg.Wait()
	s.drives = nil
	return errors.Join(errs...)
}
