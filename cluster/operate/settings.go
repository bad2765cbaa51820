package operate

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	"holdfast/cluster"
	"holdfast/internal/kind"
	"holdfast/meta"
	"holdfast/proto/metapb"
)

// Settings are what an operator has set for the whole cluster.
type Settings struct {
	Changed bool `json:"changed"`
	Paused  bool `json:"rebalance_paused"`
	// RebalanceRate is in bytes per second and node; 0 is the default of each node.
	RebalanceRate int64 `json:"rebalance_bytes_per_second"`
	// RepairAfterSeconds is 0 for the default of each node.
	RepairAfterSeconds int64 `json:"repair_after_seconds"`
}

const (
	// minRate keeps a slip of the unit from stopping everything; who wants that pauses.
	minRate = 64 << 10
	// maxRate is more than any node moves.
	maxRate = 1 << 40
	// minRepairAfter: a node that restarts is away for a moment.
	minRepairAfter = 10 * time.Second
	// maxRepairAfter is half of what the records hold.
	maxRepairAfter = 365 * 24 * time.Hour
)

// PauseRebalance stops the moving of shards and replicas until ResumeRebalance. Repair goes on.
func (o *Operator) PauseRebalance(ctx context.Context) (Settings, error) {
	return o.set(ctx, func(s *metapb.Settings) { s.RebalancePaused = true })
}

// ResumeRebalance lets it go on, and has all nodes look at once.
func (o *Operator) ResumeRebalance(ctx context.Context) (Settings, error) {
	s, err := o.set(ctx, func(s *metapb.Settings) { s.RebalancePaused = false })
	if err == nil {
		_ = o.KickRebalance(ctx) // they look by themselves, a little later
	}
	return s, err
}

// SetRebalanceRate bounds what each node moves, in bytes per second; 0 is the default.
func (o *Operator) SetRebalanceRate(ctx context.Context, rate int64) (Settings, error) {
	if rate != 0 && (rate < minRate || rate > maxRate) {
		return Settings{}, refuse(CodeInvalid, "the rate is 0 for the default, or %d to %d bytes per second; to stop the moving, pause it", minRate, int64(maxRate))
	}
	return o.set(ctx, func(s *metapb.Settings) { s.RebalanceBytesPerSecond = uint64(rate) })
}

// SetRepairAfter says how long a drive may be away before it is given up; 0 is the default.
func (o *Operator) SetRepairAfter(ctx context.Context, d time.Duration) (Settings, error) {
	if d != 0 && (d < minRepairAfter || d > maxRepairAfter) {
		return Settings{}, refuse(CodeInvalid, "the time is 0 for the default, or %s to %s", minRepairAfter, maxRepairAfter)
	}
	return o.set(ctx, func(s *metapb.Settings) { s.RepairAfterMs = d.Milliseconds() })
}

// set changes the settings, if nobody else changes the layout meanwhile; else again.
func (o *Operator) set(ctx context.Context, edit func(*metapb.Settings)) (Settings, error) {
	for try := 1; ; try++ {
		a, err := o.cfg.Metadata.Ask(ctx, meta.SystemGroup, &metapb.Query{Op: &metapb.Query_GetLayout{GetLayout: &metapb.GetLayout{}}})
		if err != nil {
			return Settings{}, err
		}
		old := a.GetLayout().GetSettings()
		if old == nil {
			old = &metapb.Settings{}
		}
		next := proto.CloneOf(old)
		edit(next)
		out := Settings{Changed: !proto.Equal(old, next), Paused: next.RebalancePaused, RebalanceRate: int64(next.RebalanceBytesPerSecond), RepairAfterSeconds: next.RepairAfterMs / 1000}
		if !out.Changed {
			return out, nil
		}
		_, err = o.cfg.Metadata.Apply(ctx, meta.SystemGroup, &metapb.Command{NowMs: o.cfg.Now().UnixMilli(),
			Op: &metapb.Command_PutSettings{PutSettings: &metapb.PutSettings{Settings: next, IfVersion: a.GetLayout().GetVersion()}}})
		if kind.Is(err, kind.Conflict) && try < maxTries {
			continue
		}
		if err == nil {
			o.seeChange(ctx)
		}
		return out, asRefused(err)
	}
}

// KickRebalance has all nodes look at everything anew, now.
func (o *Operator) KickRebalance(ctx context.Context) error {
	_, err := o.everywhere(ctx, methodKick, o.kickHere)
	return err
}

func (o *Operator) kickHere() error {
	if o.cfg.Rebalance != nil {
		o.cfg.Rebalance.Kick()
	}
	return nil
}

// Started says where something was started.
type Started struct {
	Nodes  []string `json:"nodes"`            // names
	Failed []string `json:"failed,omitempty"` // names, and why
}

// StartScrub has all nodes read and verify every shard, those that do not already.
func (o *Operator) StartScrub(ctx context.Context) (Started, error) {
	return o.everywhere(ctx, methodScrub, o.scrubHere)
}

func (o *Operator) scrubHere() error {
	if r := o.cfg.Repair; r != nil {
		st := r.Stats()
		if running, _, _ := o.scrub.look(st, o.cfg.Now()); !running {
			o.scrub.ask(st, o.cfg.Now())
			r.Scrub()
		}
	}
	return nil
}

// everywhere does something on all nodes with drives. It is an error if it is done on none.
func (o *Operator) everywhere(ctx context.Context, name string, here func() error) (Started, error) {
	p := o.seen(ctx)
	nodes := p.working()
	errs := make([]error, len(nodes))
	each(ctx, nodes, func(ctx context.Context, i int, n *cluster.NodeView) {
		switch {
		case n.Local || n.ID == o.cfg.Node:
			errs[i] = here()
		case !n.Alive:
			errs[i] = kind.New(kind.Unavailable, "it is not there")
		default:
			_, errs[i] = ask[nothing](ctx, o, n, name, nothing{})
		}
	})
	var out Started
	for i, n := range nodes {
		if errs[i] != nil {
			out.Failed = append(out.Failed, p.nodeName(n.ID)+": "+errs[i].Error())
		} else {
			out.Nodes = append(out.Nodes, p.nodeName(n.ID))
		}
	}
	if len(out.Nodes) == 0 {
		return out, kind.New(kind.Unavailable, "operate: no node could be asked: %v", out.Failed)
	}
	return out, nil
}
