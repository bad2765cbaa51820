package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

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

// Membership keeps the system group's list of drives in step with those that are there.
type Membership struct {
	Metadata Metadata
	Drives   Drives
	Cluster  id.Cluster
	// Scheme of a new cluster; an existing one keeps its own.
	Scheme erasure.Scheme
	Now    func() time.Time
	Logger *slog.Logger
}

// State is what the system group says.
type State struct {
	Scheme erasure.Scheme
	Lost   []id.Drive // gone for good; records may still name them
	Absent []id.Drive // expected, but not there and not replaced
}

// Join registers the cluster at its first start and the drives that are new. A drive whose place
// (path) another drive has taken is gone for good; one that is just not there may come back.
func (m Membership) Join(ctx context.Context) (State, error) {
	scheme, err := m.cluster(ctx)
	if err != nil {
		return State{}, err
	}
	known, err := m.known(ctx)
	if err != nil {
		return State{}, err
	}
	st := State{Scheme: scheme}
	taken := map[string]bool{}
	present := map[id.Drive]bool{}
	for _, d := range m.Drives.All() {
		s := d.Status()
		taken[filepath.Clean(s.Path)], present[s.ID] = true, true
		if old := known[s.ID]; old != nil && old.State == metapb.Drive_ACTIVE && old.Path == s.Path {
			continue
		}
		if err := m.put(ctx, s, metapb.Drive_ACTIVE); err != nil {
			return State{}, err
		}
	}
	for drive, old := range known {
		if present[drive] || old.State == metapb.Drive_RETIRED {
			continue
		}
		if old.State == metapb.Drive_ACTIVE {
			if !taken[filepath.Clean(old.Path)] {
				m.Logger.Warn("a drive is missing; give its directory by --data again, or an empty one in its place to have it rebuilt", "drive", drive, "path", old.Path)
				st.Absent = append(st.Absent, drive)
				continue
			}
			m.Logger.Warn("a drive was replaced; its shards are rebuilt", "drive", drive, "path", old.Path)
			if err := m.put(ctx, node.Status{ID: drive, Path: old.Path}, metapb.Drive_GONE); err != nil {
				return State{}, err
			}
		}
		st.Lost = append(st.Lost, drive)
	}
	return st, nil
}

// Retire notes that nothing names a lost drive any more.
func (m Membership) Retire(ctx context.Context, drive id.Drive) error {
	return m.put(ctx, node.Status{ID: drive}, metapb.Drive_RETIRED)
}

func (m Membership) put(ctx context.Context, s node.Status, state metapb.Drive_State) error {
	_, err := m.Metadata.Apply(ctx, meta.SystemGroup, &metapb.Command{NowMs: m.Now().UnixMilli(), Op: &metapb.Command_PutDrive{
		PutDrive: &metapb.PutDrive{Drive: &metapb.Drive{Id: s.ID[:], Path: s.Path, State: state}}}})
	return err
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
	_, err = m.Metadata.Apply(ctx, meta.SystemGroup, &metapb.Command{NowMs: m.Now().UnixMilli(), Op: &metapb.Command_InitCluster{
		InitCluster: &metapb.InitCluster{Cluster: &metapb.Cluster{Id: m.Cluster[:], Groups: m.Metadata.Groups(),
			K: uint32(m.Scheme.K), M: uint32(m.Scheme.M), CreatedMs: m.Now().UnixMilli()}}}})
	return m.Scheme, err
}

func (m Membership) known(ctx context.Context) (map[id.Drive]*metapb.Drive, error) {
	a, err := m.Metadata.Ask(ctx, meta.SystemGroup, &metapb.Query{Op: &metapb.Query_ListDrives{ListDrives: &metapb.ListDrives{}}})
	if err != nil {
		return nil, err
	}
	known := make(map[id.Drive]*metapb.Drive, len(a.Drives))
	for _, d := range a.Drives {
		name, err := id.FromBytes[id.Drive](d.Id)
		if err != nil {
			return nil, fmt.Errorf("cluster: a drive's record: %w", err)
		}
		known[name] = d
	}
	return known, nil
}
