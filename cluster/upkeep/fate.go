package upkeep

import (
	"context"
	"sync/atomic"

	"holdfast/cluster"
	"holdfast/cluster/placement"
	"holdfast/internal/id"
	"holdfast/meta"
	"holdfast/proto/metapb"
)

// Layout knows the cluster; *cluster.Directory does.
type Layout interface {
	View() *cluster.View
}

// Fate is what is to become of a drive.
type Fate uint8

const (
	// Unknown drives are not in the layout, or that is not known yet: no evidence of anything.
	Unknown Fate = iota
	// Stays: active, on a node that is.
	Stays
	// Leaves: it, or its node, is to be emptied.
	Leaves
	// Lost: given up or removed. What it held is to be rebuilt elsewhere.
	Lost
)

// Fleet is a View looked at drive by drive. It is not changed.
type Fleet struct {
	View   *cluster.View
	drives map[id.Drive]known
}

type known struct {
	drive *cluster.DriveView
	fate  Fate
}

// NewFleet takes in a View.
func NewFleet(v *cluster.View) *Fleet {
	leaving := map[id.Node]bool{}
	for i := range v.Nodes { // of a node that was given up, too: its drives will be, one by one
		leaving[v.Nodes[i].ID] = v.Nodes[i].State != metapb.Node_ACTIVE
	}
	f := &Fleet{View: v, drives: make(map[id.Drive]known, len(v.Drives))}
	for i := range v.Drives {
		d := &v.Drives[i]
		fate := Stays
		switch {
		case d.State == metapb.Drive_GONE || d.State == metapb.Drive_RETIRED:
			fate = Lost
		case d.State == metapb.Drive_DRAINING || leaving[d.Node]:
			fate = Leaves
		}
		f.drives[d.ID] = known{d, fate}
	}
	return f
}

// Fate says what is to become of a drive.
func (f *Fleet) Fate(d id.Drive) Fate { return f.drives[d].fate }

// Drive is what the View has of a drive, or nil.
func (f *Fleet) Drive(d id.Drive) *cluster.DriveView { return f.drives[d].drive }

// Alive reports whether a drive answers.
func (f *Fleet) Alive(d id.Drive) bool {
	v := f.drives[d].drive
	return v != nil && v.Alive && !v.Status.Out
}

// Takes reports whether a drive stays, is well and has room: new shards and replicas can go to it.
func (f *Fleet) Takes(d id.Drive) bool {
	return f.Fate(d) == Stays && f.Alive(d) && !f.drives[d].drive.Status.ReadOnly
}

// Candidates are the drives of which fit holds, for placement.
func (f *Fleet) Candidates(fit func(id.Drive) bool) []placement.Candidate {
	all := f.View.Candidates()
	for i := range all {
		all[i].Healthy = fit(all[i].ID)
	}
	return all
}

// Eye keeps the Fleet of the newest View. Safe for concurrent use.
type Eye struct {
	Layout Layout
	latest atomic.Pointer[Fleet]
}

// Fleet is that of the newest View.
func (e *Eye) Fleet() *Fleet {
	v := e.Layout.View()
	if f := e.latest.Load(); f != nil && f.View == v {
		return f
	}
	f := NewFleet(v)
	e.latest.Store(f)
	return f
}

// SetState changes the state of a drive if it is one of from; else it is a Conflict. removed says that an
// operator wants it out: it does not come back by itself.
func SetState(ctx context.Context, m Metadata, nowMs int64, d id.Drive, removed bool, to metapb.Drive_State, from ...metapb.Drive_State) error {
	cmd := &metapb.Command{NowMs: nowMs, Op: &metapb.Command_PutDrive{PutDrive: &metapb.PutDrive{
		Drive: &metapb.Drive{Id: d[:], State: to, Removed: removed}, StateOnly: true, IfState: from}}}
	_, err := m.Apply(ctx, meta.SystemGroup, cmd)
	return err
}

// Removed reports whether an operator wants a drive out.
func (f *Fleet) Removed(d id.Drive) bool {
	v := f.drives[d].drive
	return v != nil && v.Removed
}
