package main

import (
	"errors"
	"fmt"
	"strings"

	"holdfast/internal/id"
)

// found is what lies in one --data directory before anything is changed.
type found struct {
	path    string
	empty   bool       // nothing there, or no directory yet
	cluster id.Cluster // of a formatted drive
	drive   id.Drive   // of a formatted drive
	err     error      // it is neither, or cannot be read
}

// plan says what to do with the directories.
type plan struct {
	fresh   bool // all are empty: this is the first start of a new cluster
	cluster id.Cluster
	format  []string // empty directories that become new drives
	open    []string // formatted drives
}

// planDrives decides between a first start, a later one, and a refusal. It changes nothing.
//
// Empty directories beside formatted ones are drives that were lost and replaced: each becomes a
// new drive with a new ID, for a drive that lost its contents must never vote or answer under the
// old one. alone says that there is no other process.
func planDrives(dirs []found, alone bool) (plan, error) {
	var p plan
	var problems []string
	seen := map[id.Drive]string{}
	for _, d := range dirs {
		switch {
		case d.err != nil:
			problems = append(problems, fmt.Sprintf("%s: %v", d.path, d.err))
		case d.empty:
			p.format = append(p.format, d.path)
		case seen[d.drive] != "":
			problems = append(problems, fmt.Sprintf("%s and %s hold the same drive %s: one is a copy of the other; take the copy away", seen[d.drive], d.path, d.drive))
		case !p.cluster.IsZero() && d.cluster != p.cluster:
			problems = append(problems, fmt.Sprintf("%s belongs to cluster %s, but %s to cluster %s: give drives of one cluster only", d.path, d.cluster, p.open[0], p.cluster))
		default:
			p.cluster = d.cluster
			p.open = append(p.open, d.path)
			seen[d.drive] = d.path
		}
	}
	if len(problems) > 0 {
		return plan{}, errors.New("the data directories cannot be used:\n  " + strings.Join(problems, "\n  "))
	}
	p.fresh = len(p.open) == 0
	if alone && p.fresh && len(p.format) == 2 {
		return plan{}, errors.New("two drives give no majority without both of them: use 1, or 3 and more")
	}
	return p, nil
}
