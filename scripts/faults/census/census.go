package census

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"holdfast/internal/id"
	"holdfast/meta"
	"holdfast/meta/client"
	"holdfast/meta/fsm"
	"holdfast/meta/replica"
	"holdfast/node/drive"
	"holdfast/node/drive/log"
	"holdfast/proto/metapb"
)

// Config says what is counted.
type Config struct {
	// Drives are the directories of all drives of the cluster. Their nodes must not run.
	Drives []string
	// Groups is the number of object groups; default what every cluster has.
	Groups uint32
	// Logger takes what drives and replicas have to say; default none.
	Logger *slog.Logger
}

// patience is how long the groups may take to find leaders and to be of one mind.
const patience = time.Minute

// census is the count while it is taken.
type census struct {
	drives map[id.Drive]*drive.Drive
	host   *replica.Host
	meta   *client.Client
	layout *metapb.ClusterLayout

	mu     sync.Mutex
	named  map[id.Drive]map[shardKey]bool // what the records say is on each drive, and what is garbage there
	report Report
}

// Take counts. An error means that it could not be done; what is wrong is in the Report.
func Take(ctx context.Context, cfg Config) (_ *Report, err error) {
	if cfg.Groups == 0 {
		cfg.Groups = meta.DefaultGroups
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	c := &census{drives: map[id.Drive]*drive.Drive{}, named: map[id.Drive]map[shardKey]bool{}}
	begin := time.Now()
	defer func() { err = errors.Join(err, c.close()) }()
	if err := c.open(ctx, cfg); err != nil {
		return nil, err
	}
	if err := c.settle(ctx); err != nil {
		return nil, err
	}
	if err := c.readLayout(ctx); err != nil {
		return nil, err
	}
	for _, count := range []func(context.Context) error{c.countReplicas, c.countShards, c.countStrays} {
		if err := count(ctx); err != nil {
			return nil, err
		}
	}
	c.report.Took = time.Since(begin)
	return &c.report, nil
}

// open opens the drives, all at once, and the replicas on them.
func (c *census) open(ctx context.Context, cfg Config) error {
	all, errs := make([]*drive.Drive, len(cfg.Drives)), make([]error, len(cfg.Drives))
	var wg sync.WaitGroup
	for i, path := range cfg.Drives {
		wg.Go(func() { all[i], errs[i] = drive.Open(ctx, drive.Config{Path: path, Logger: cfg.Logger}) })
	}
	wg.Wait()
	groups := replica.Config{Groups: cfg.Groups, Apply: fsm.Apply, Answer: fsm.Answer, Logger: cfg.Logger}
	for _, d := range all {
		if d != nil {
			c.drives[d.ID()] = d
			groups.Drives = append(groups.Drives, handle(d))
		}
	}
	err := errors.Join(errs...)
	if err == nil {
		c.host, err = replica.Open(ctx, groups)
	}
	if err == nil {
		c.meta, err = client.New(client.Config{Host: c.host, Timeout: patience})
	}
	if err != nil {
		return fmt.Errorf("census: open the drives: %w", err)
	}
	return nil
}

// handle is what replicas need of a drive. A damaged log is not put right here.
func handle(d *drive.Drive) replica.DriveHandle {
	return replica.DriveHandle{
		ID: d.ID(), KV: replica.NewBadger(d.KV(), d.Flushed), Fail: d.Fail, Failed: d.Failed,
		OpenLog: func(replay replica.Replay) (replica.Log, error) {
			l, err := d.OpenRaftLog(func(p log.Pos, kind uint8, payload []byte) error { return replay(p, kind, payload) })
			if err != nil {
				return nil, err
			}
			return l, nil
		},
	}
}

// settle waits until every group has a leader and every replica has applied what is committed.
func (c *census) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := c.meta.Ready(ctx); err != nil {
		return fmt.Errorf("census: the groups find no leaders: %w: %s", err, c.unsettled(ctx))
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for why := c.unsettled(ctx); why != ""; why = c.unsettled(ctx) {
		select {
		case <-ctx.Done():
			c.report.find("replicas", "after %s: %s", patience, why)
			return nil // it is counted all the same
		case <-tick.C:
		}
	}
	return nil
}

func (c *census) unsettled(ctx context.Context) string {
	for _, g := range c.host.Status(ctx).Groups {
		if g.Leader.IsZero() {
			return fmt.Sprintf("group %d has no leader", g.Group)
		}
		for _, r := range g.Replicas {
			if r.Applied < g.Last && r.Failed == "" && member(g, r.RaftID) {
				return fmt.Sprintf("the replica of group %d on drive %s has applied %d of %d", g.Group, r.Drive, r.Applied, g.Last)
			}
		}
	}
	return ""
}

func member(g replica.GroupStatus, raftID uint64) bool {
	for _, m := range g.Members {
		if m.RaftID == raftID {
			return true
		}
	}
	return false
}

func (c *census) readLayout(ctx context.Context) error {
	a, err := c.meta.Ask(ctx, meta.SystemGroup, &metapb.Query{Op: &metapb.Query_GetLayout{GetLayout: &metapb.GetLayout{}}})
	if err != nil {
		return fmt.Errorf("census: read the layout: %w", err)
	}
	c.layout = a.GetLayout()
	if got := c.layout.GetCluster().GetGroups(); got != c.meta.Groups() {
		return fmt.Errorf("census: the cluster has %d groups, not %d", got, c.meta.Groups())
	}
	return nil
}

func (c *census) close() error {
	var errs []error
	if c.host != nil {
		errs = append(errs, c.host.Close())
	}
	for _, d := range c.drives {
		errs = append(errs, d.Close())
	}
	return errors.Join(errs...)
}
