package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"google.golang.org/protobuf/proto"

	"holdfast/cluster/gossip"
	"holdfast/erasure"
	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/meta"
	"holdfast/node"
	"holdfast/proto/metapb"
)

// Metadata is what membership needs of the system group.
type Metadata interface {
	Apply(ctx context.Context, group uint32, cmd *metapb.Command) (*metapb.Result, error)
	Ask(ctx context.Context, group uint32, q *metapb.Query) (*metapb.Answer, error)
	Groups() uint32
}

// Membership keeps the system group's list of nodes and drives in step with those that are there.
type Membership struct {
	Metadata Metadata
	// Drives are those of this process.
	Drives  Drives
	Cluster id.Cluster
	// Node is this node; zero where there is one process, which registers drives only.
	Node gossip.Node
	// Directory knows where other nodes see drives; nil where there is one process.
	Directory *Directory
	// Scheme of a new cluster; an existing one keeps its own.
	Scheme erasure.Scheme
	Now    func() time.Time
	Logger *slog.Logger
}

// State is what the system group says.
type State struct {
	Scheme erasure.Scheme
	// Version of the layout that has this node and its drives; 0 if that was written by a version that did not count.
	Version uint64
	Lost    []id.Drive // gone for good; records may still name them
	Absent  []id.Drive // expected here, but not there and not replaced
	// Removed are drives here that an operator took out of the cluster: they are left alone.
	Removed []id.Drive
}

// joinTries bounds how often Join begins anew because another changed the same records.
const joinTries = 5

// Join registers the cluster at its first start, this node, and its drives that are new or have
// moved here. A drive whose place (path) on this node another drive has taken is gone for good; one
// that is just not there may come back. It may be said again at any time.
func (m Membership) Join(ctx context.Context) (State, error) {
	scheme, err := m.cluster(ctx)
	if err != nil {
		return State{}, err
	}
	for try := 1; ; try++ {
		st, err := m.join(ctx, scheme)
		if !kind.Is(err, kind.Conflict) || try == joinTries {
			return st, err
		}
	}
}

func (m Membership) join(ctx context.Context, scheme erasure.Scheme) (State, error) {
	a, err := m.Metadata.Ask(ctx, meta.SystemGroup, &metapb.Query{Op: &metapb.Query_GetLayout{GetLayout: &metapb.GetLayout{}}})
	if err != nil {
		return State{}, err
	}
	known, err := byID(a.GetLayout().GetDrives())
	if err != nil {
		return State{}, err
	}
	st := State{Scheme: scheme, Version: a.GetLayout().GetVersion()}
	if err := m.putNode(ctx, &st, a.GetLayout().GetNodes()); err != nil {
		return State{}, err
	}
	taken := map[string]bool{}
	present := map[id.Drive]bool{}
	for _, d := range m.Drives.All() {
		s := d.Status()
		if s.Path != "" {
			taken[filepath.Clean(s.Path)] = true
		}
		present[s.ID] = true
		removed, err := m.putDrive(ctx, &st, s, known[s.ID])
		if err != nil {
			return State{}, err
		}
		if removed {
			st.Removed = append(st.Removed, s.ID)
		}
	}
	return st, m.missing(ctx, &st, known, present, taken)
}

// putNode registers this node if the layout does not say the same of it.
func (m Membership) putNode(ctx context.Context, st *State, nodes []*metapb.Node) error {
	if m.Node.ID == (id.Node{}) {
		return nil
	}
	n := m.Node
	want := &metapb.PutNode{IfAbsent: true, Node: &metapb.Node{Id: n.ID[:], Name: n.Name, Zone: n.Zone, PeerAddress: n.PeerAddress, S3Address: n.S3Address, Storage: n.Storage}}
	for _, old := range nodes {
		if string(old.Id) != string(n.ID[:]) {
			continue
		}
		want.IfAbsent, want.IfState = false, []metapb.Node_State{old.State}
		want.Node.State, want.Node.Removed, want.Node.SinceMs = old.State, old.Removed, old.SinceMs
		switch {
		case old.Removed:
			m.Logger.Warn("this node was removed from the cluster by an operator and takes no data", "node", n.ID)
		case old.State == metapb.Node_GONE:
			want.Node.State = metapb.Node_ACTIVE
		}
		if proto.Equal(want.Node, old) {
			return nil
		}
	}
	return m.apply(ctx, st, &metapb.Command{Op: &metapb.Command_PutNode{PutNode: want}})
}

// putDrive registers a drive that is here if the layout does not say the same of it.
func (m Membership) putDrive(ctx context.Context, st *State, s node.Status, old *metapb.Drive) (removed bool, err error) {
	want := &metapb.PutDrive{IfAbsent: true, Drive: &metapb.Drive{Id: s.ID[:], Path: s.Path, Zone: m.Node.Zone, CapacityBytes: uint64(max(s.TotalBytes, 0))}}
	if m.Node.ID != (id.Node{}) {
		want.Drive.Node = m.Node.ID[:]
	}
	if m.Directory != nil {
		if other, ok := m.Directory.elsewhere(s.ID); ok {
			return false, fmt.Errorf("cluster: drive %s (%s) is in use by node %s: was its directory copied? A drive can be moved, but not be in two places", s.ID, s.Path, other)
		}
	}
	if old != nil {
		want.IfAbsent, want.IfState = false, []metapb.Drive_State{old.State}
		want.Drive.State, want.Drive.Removed, want.Drive.SinceMs = old.State, old.Removed, old.SinceMs
		switch {
		case old.Removed:
			removed = true
			m.Logger.Warn("a drive was removed from the cluster by an operator and is left alone", "drive", s.ID, "path", s.Path)
		case old.State == metapb.Drive_GONE || old.State == metapb.Drive_RETIRED:
			m.Logger.Info("a drive that was given up is back", "drive", s.ID, "path", s.Path)
			want.Drive.State = metapb.Drive_ACTIVE
		case len(old.Node) > 0 && string(old.Node) != string(want.Drive.Node):
			m.Logger.Info("a drive has moved here from another node", "drive", s.ID, "path", s.Path, "from", fmt.Sprintf("%x", old.Node))
		}
		if s.TotalBytes == 0 || s.Out { // it does not know
			want.Drive.CapacityBytes = old.CapacityBytes
		}
		if proto.Equal(want.Drive, old) {
			return removed, nil
		}
	}
	return removed, m.apply(ctx, st, &metapb.Command{Op: &metapb.Command_PutDrive{PutDrive: want}})
}

// missing sorts out the drives that the layout names and that are not here.
func (m Membership) missing(ctx context.Context, st *State, known map[id.Drive]*metapb.Drive, present map[id.Drive]bool, taken map[string]bool) error {
	for drive, old := range known {
		if present[drive] || old.State == metapb.Drive_RETIRED {
			continue
		}
		if old.State != metapb.Drive_GONE {
			if m.Node.ID != (id.Node{}) && string(old.Node) != string(m.Node.ID[:]) {
				continue // another node's
			}
			if !taken[filepath.Clean(old.Path)] {
				m.Logger.Warn("a drive is missing; give its directory by --data again, or an empty one in its place to have it rebuilt", "drive", drive, "path", old.Path)
				st.Absent = append(st.Absent, drive)
				continue
			}
			m.Logger.Warn("a drive was replaced; its shards are rebuilt", "drive", drive, "path", old.Path)
			if err := m.setState(ctx, st, drive, metapb.Drive_GONE, old.State); err != nil {
				return err
			}
		}
		st.Lost = append(st.Lost, drive)
	}
	return nil
}

func (m Membership) setState(ctx context.Context, st *State, drive id.Drive, state metapb.Drive_State, from ...metapb.Drive_State) error {
	return m.apply(ctx, st, &metapb.Command{Op: &metapb.Command_PutDrive{PutDrive: &metapb.PutDrive{
		Drive: &metapb.Drive{Id: drive[:], State: state}, StateOnly: true, IfState: from}}})
}

// apply carries a command out and notes the layout that has it.
func (m Membership) apply(ctx context.Context, st *State, cmd *metapb.Command) error {
	cmd.NowMs = m.Now().UnixMilli()
	done, err := m.Metadata.Apply(ctx, meta.SystemGroup, cmd)
	st.Version = max(st.Version, done.GetLayoutVersion())
	if err == nil && m.Directory != nil {
		m.Directory.Nudge()
	}
	return err
}

// Keep registers drives of this node again that others gave up while they could not reach it,
// until ctx ends: a process that hung, or a network that was cut, comes back without a start.
func (m Membership) Keep(ctx context.Context) {
	for {
		changed := m.Directory.Changed()
		if m.givenUp() {
			if _, err := m.Join(ctx); err != nil && ctx.Err() == nil {
				m.Logger.Warn("registering the drives of this node again failed and is tried again", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-time.After(keepInterval):
		}
	}
}

// keepInterval is the time after which Keep tries again what failed.
const keepInterval = 5 * time.Second

func (m Membership) givenUp() bool {
	v := m.Directory.View()
	for i := range v.Drives {
		d := &v.Drives[i]
		if d.Local && d.Alive && !d.Removed && (d.State == metapb.Drive_GONE || d.State == metapb.Drive_RETIRED) {
			return true
		}
	}
	return false
}

// cluster reads the cluster's record, or writes it at the first start.
func (m Membership) cluster(ctx context.Context) (erasure.Scheme, error) {
	a, err := m.Metadata.Ask(ctx, meta.SystemGroup, &metapb.Query{Op: &metapb.Query_GetCluster{GetCluster: &metapb.GetCluster{}}})
	if err != nil && !kind.Is(err, kind.NotFound) { // there is none before the first start
		return erasure.Scheme{}, err
	}
	if c := a.GetCluster(); c != nil {
		if string(c.Id) != string(m.Cluster[:]) {
			return erasure.Scheme{}, kind.New(kind.Damaged, "the drives say cluster %s, their metadata says %x", m.Cluster, c.Id)
		}
		s := erasure.Scheme{K: int(c.K), M: int(c.M)}
		return s, s.Validate()
	}
	if m.Scheme == (erasure.Scheme{}) { // only those who form the cluster know what it is to be
		return erasure.Scheme{}, kind.New(kind.Unavailable, "the nodes that form the cluster have not written its record yet")
	}
	return m.Scheme, m.apply(ctx, &State{}, &metapb.Command{Op: &metapb.Command_InitCluster{
		InitCluster: &metapb.InitCluster{Cluster: &metapb.Cluster{Id: m.Cluster[:], Groups: m.Metadata.Groups(),
			K: uint32(m.Scheme.K), M: uint32(m.Scheme.M), CreatedMs: m.Now().UnixMilli()}}}})
}

func byID(drives []*metapb.Drive) (map[id.Drive]*metapb.Drive, error) {
	known := make(map[id.Drive]*metapb.Drive, len(drives))
	for _, d := range drives {
		name, err := id.FromBytes[id.Drive](d.Id)
		if err != nil {
			return nil, fmt.Errorf("cluster: a drive's record: %w", err)
		}
		known[name] = d
	}
	return known, nil
}
