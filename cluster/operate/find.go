package operate

import (
	"path/filepath"
	"strings"

	"holdfast/cluster"
)

const (
	// shortID is how many digits of an ID people are shown.
	shortID = 8
	// minPrefix is the fewest digits by which an ID is found.
	minPrefix = 4
)

// drive finds a drive by its ID, by the first digits of it, or by NODE:PATH. What is out of use is
// found by its ID only where nothing else is.
func (p *picture) drive(name string) (*cluster.DriveView, error) {
	name = strings.TrimSpace(name)
	if name == "" {
		return nil, refuse(CodeInvalid, "say which drive: its ID, or NODE:PATH")
	}
	node, path, byPath := strings.Cut(name, ":")
	found := p.those(func(d *cluster.DriveView) bool {
		if byPath {
			return (p.nodeName(d.Node) == node || matches(d.Node.String(), node)) && filepath.Clean(d.Status.Path) == filepath.Clean(path)
		}
		return matches(d.ID.String(), name)
	})
	if len(found) > 1 && byPath { // a drive that was replaced had the same path
		var now []*cluster.DriveView
		for _, d := range found {
			if inUse(d) {
				now = append(now, d)
			}
		}
		found = now
	}
	switch len(found) {
	case 0:
		return nil, refuse(CodeUnknownDrive, "there is no drive %q: give the ID, or its first digits, or NODE:PATH, as `holdfast admin status` shows them", name)
	case 1:
		return found[0], nil
	}
	return nil, refuse(CodeAmbiguous, "%d drives answer to %q: give more digits of the ID", len(found), name)
}

// nodeOf finds a node by its name, its ID or the first digits of it.
func (p *picture) nodeOf(name string) (*cluster.NodeView, error) {
	name = strings.TrimSpace(name)
	if name == "" {
		return nil, refuse(CodeInvalid, "say which node: its name or ID")
	}
	var named, byID []*cluster.NodeView
	for i := range p.View.Nodes {
		n := &p.View.Nodes[i]
		if n.Name == name && !n.Removed {
			named = append(named, n)
		}
		if matches(n.ID.String(), name) {
			byID = append(byID, n)
		}
	}
	found := named
	if len(found) == 0 {
		found = byID
	}
	switch len(found) {
	case 0:
		return nil, refuse(CodeUnknownNode, "there is no node %q: give its name or ID as `holdfast admin status` shows them", name)
	case 1:
		return found[0], nil
	}
	return nil, refuse(CodeAmbiguous, "%d nodes answer to %q: give the ID", len(found), name)
}

func matches(full, prefix string) bool {
	return len(prefix) >= minPrefix && strings.HasPrefix(full, strings.ToLower(prefix))
}
