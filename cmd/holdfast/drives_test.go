package main

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"holdfast/internal/id"
)

func TestDrivesArePlannedBeforeAnythingIsChanged(t *testing.T) {
	ours, theirs := id.Cluster{1}, id.Cluster{2}
	empty := func(path string) found { return found{path: path, empty: true} }
	drive := func(path string, c id.Cluster, n byte) found {
		return found{path: path, cluster: c, drive: id.Drive{n}}
	}
	for _, c := range []struct {
		name   string
		dirs   []found
		format []string
		open   []string
		fresh  bool
		refuse string
	}{
		{name: "first start", dirs: []found{empty("a"), empty("b"), empty("c")}, format: []string{"a", "b", "c"}, fresh: true},
		{name: "one drive", dirs: []found{empty("a")}, format: []string{"a"}, fresh: true},
		{name: "two drives", dirs: []found{empty("a"), empty("b")}, refuse: "no majority"},
		{name: "second start", dirs: []found{drive("a", ours, 1), drive("b", ours, 2)}, open: []string{"a", "b"}},
		{name: "a lost drive was replaced", dirs: []found{drive("a", ours, 1), empty("b"), drive("c", ours, 3)}, format: []string{"b"}, open: []string{"a", "c"}},
		{name: "a foreign drive", dirs: []found{drive("a", ours, 1), drive("b", theirs, 2)}, refuse: "b belongs to cluster 02"},
		{name: "a copied drive", dirs: []found{drive("a", ours, 1), drive("b", ours, 1)}, refuse: "same drive"},
		{name: "not a drive", dirs: []found{empty("a"), {path: "b", err: errors.New("holds other files")}}, refuse: "b: holds other files"},
	} {
		p, err := planDrives(c.dirs, true)
		if c.refuse != "" {
			if err == nil || !strings.Contains(err.Error(), c.refuse) {
				t.Errorf("%s: got %v, want an error with %q", c.name, err, c.refuse)
			}
			continue
		}
		if err != nil || p.fresh != c.fresh || !slices.Equal(p.format, c.format) || !slices.Equal(p.open, c.open) {
			t.Errorf("%s: got %+v, %v", c.name, p, err)
		}
		if len(c.open) > 0 && p.cluster != ours {
			t.Errorf("%s: cluster %s, want %s", c.name, p.cluster, ours)
		}
	}
}
