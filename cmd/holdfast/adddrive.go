package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/node/drive"
)

// addDrive takes a directory into service while the node runs. The next start needs it among --data.
func (s *server) addDrive(ctx context.Context, path string) (id.Drive, error) {
	st := s.core.storage
	d, err := st.add(ctx, filepath.Clean(path))
	if err != nil {
		return id.Drive{}, err
	}
	st.heal.serve(d)
	s.cfg.Logger.Info("a drive was added; give it by --data at the next start too", "drive", d.ID(), "path", path)
	_, err = s.register(ctx)
	return d.ID(), err
}

// add opens a drive, which is formatted if its directory is empty, for the groups too.
func (s *storage) add(ctx context.Context, path string) (*drive.Drive, error) {
	s.adding.Lock()
	defer s.adding.Unlock()
	if !filepath.IsAbs(path) {
		return nil, kind.New(kind.InvalidArgument, "%s is not an absolute path", path)
	}
	found := lookAtDrive(path)
	switch {
	case found.err != nil:
		return nil, kind.Wrap(kind.InvalidArgument, found.err, "%s", path)
	case !found.empty && found.cluster != s.cluster:
		return nil, kind.New(kind.InvalidArgument, "%s belongs to cluster %s, this is %s", path, found.cluster, s.cluster)
	case !found.empty && s.drive(found.drive) != nil:
		return nil, kind.New(kind.InvalidArgument, "%s is in use by this node already", path)
	}
	d, err := drive.Open(ctx, drive.Config{Path: path, Cluster: s.cluster, Create: found.empty, OnDamage: s.heal.suspect, Logger: s.cfg.Logger})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	if err := s.host.AddDrive(ctx, replicaHandle(d)); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	s.mu.Lock()
	s.drives = append(s.drives, d)
	s.mu.Unlock()
	if s.cfg.Added != nil {
		if err := s.cfg.Added(path); err != nil {
			s.cfg.Logger.Warn("a drive was added, and is not remembered for the next start", "path", path, "error", err)
		}
	}
	return d, nil
}
