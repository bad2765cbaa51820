package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"holdfast/cluster/operate"
)

// looks are what a status shows besides what is always of interest.
type looks struct{ all, groups bool }

func (f *adminFlags) newStatus() *cobra.Command {
	var l looks
	var watch bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show nodes, drives, health, capacity and redundancy",
		Long: `Shows the cluster as the node that is asked sees it, with the figures of all nodes that answer:
what there is, whether everything is whole, what may still fail without harm, what is wrong and what to do
about it.`,
		Example: `  holdfast admin status
  holdfast admin status --watch
  holdfast admin status --groups --all
  holdfast admin status --json | jq -r '.drives[] | select(.alive | not) | .id'`,
		Args: cobra.NoArgs,
		RunE: f.run(func(ctx context.Context, s *session, _ []string) error {
			return s.show(ctx, watch, func(w io.Writer, st *operate.Status) error { return printStatus(w, st, l) })
		}),
	}
	cmd.Flags().BoolVar(&watch, "watch", false, "show it again and again, until Ctrl-C")
	cmd.Flags().BoolVar(&l.groups, "groups", false, "show every metadata group")
	cmd.Flags().BoolVar(&l.all, "all", false, "show drives and nodes that are out of the cluster, too")
	return cmd
}

func printStatus(w io.Writer, s *operate.Status, l looks) error {
	fronts := 0
	nodes := 0
	for _, n := range s.Nodes {
		if n.State != operate.StateGone {
			nodes++
			if !n.Storage {
				fronts++
			}
		}
	}
	drives := 0
	for _, d := range s.Drives {
		if d.State == operate.StateActive || d.State == operate.StateDraining {
			drives++
		}
	}
	fmt.Fprintf(w, "Cluster %s: %s", shortText(s.Cluster), plural(nodes, "node"))
	if fronts > 0 {
		fmt.Fprintf(w, " (%s)", plural(fronts, "front"))
	}
	fmt.Fprintf(w, ", %s, scheme %s, %s, version %s\n\n", plural(drives, "drive"), s.Scheme, plural(len(s.Groups), "metadata group"), s.Version)
	printSummary(w, s)
	fmt.Fprintln(w)
	if err := nodeTable(s, l).write(w); err != nil {
		return err
	}
	fmt.Fprintln(w)
	if err := driveTable(s, l).write(w); err != nil {
		return err
	}
	if l.groups {
		fmt.Fprintln(w)
		if err := groupTable(s).write(w); err != nil {
			return err
		}
	}
	list(w, "What is wrong", s.Trouble)
	list(w, "Where data cannot be spread as it should", s.Placement)
	return nil
}

// printSummary is the health of the cluster in a few lines.
func printSummary(w io.Writer, s *operate.Status) {
	line := func(head, text string) { fmt.Fprintf(w, "%-12s%s\n", head, text) }
	line("Redundancy", redundancyText(s))
	line("May fail", toleranceText("drive", s.Redundancy.MayFail.Drives))
	if t := s.Redundancy.MayFail.Nodes; t != nil {
		line("", toleranceText("node", *t))
	}
	if t := s.Redundancy.MayFail.Zones; t != nil {
		line("", toleranceText("zone", *t))
	}
	c := s.Capacity
	line("Capacity", fmt.Sprintf("%s of %s used; about %s of objects fit into the rest", bytesText(c.Total-c.Free), bytesText(c.Total), bytesText(c.UsableFree)))
	line("Rebalance", rebalanceLine(&s.Rebalance))
	line("Scrub", scrubLine(&s.Scrub))
	line("Leaders", leadersText(s.Groups))
}

func redundancyText(s *operate.Status) string {
	r := &s.Redundancy
	if r.Full {
		return "full"
	}
	var why []string
	if r.Below > 0 {
		why = append(why, plural(r.Below, "piece")+" of data to be repaired")
	}
	if r.AwayDrives > 0 {
		why = append(why, fmt.Sprintf("%s away with %s", plural(r.AwayDrives, "drive"), plural(r.AwayShards, "shard")))
	}
	if r.LostDrives > 0 {
		why = append(why, plural(r.LostDrives, "lost drive")+" being rebuilt")
	}
	for _, g := range s.Groups {
		if len(g.Trouble) > 0 {
			why = append(why, "metadata groups are not whole")
			break
		}
	}
	if silent := silentNodes(s); silent > 0 {
		why = append(why, plural(silent, "node")+" not heard")
	}
	if len(why) == 0 {
		return "not known to be full: nodes are still looking"
	}
	return "NOT full: " + strings.Join(why, ", ")
}

func silentNodes(s *operate.Status) (n int) {
	for _, node := range s.Nodes {
		if node.Drives > 0 && !node.Answered {
			n++
		}
	}
	return n
}

// toleranceText says how many of something may be lost.
func toleranceText(what string, t operate.Tolerance) string {
	some := func(n int) string { return "any " + plural(n, what) }
	switch {
	case t.Reads < 0 && t.Writes < 0:
		return "no " + what + ": reads and writes may fail already"
	case t.Reads < 0:
		return "no " + what + ": some data may be unreadable already"
	case t.Writes < 0 && t.Reads > 0:
		return some(t.Reads) + ", for reads; writes fail already"
	case t.Writes < 0:
		return "no " + what + "; writes fail already"
	case t.Reads == 0 && t.Writes == 0:
		return "no " + what + ": with one less, reads or writes stop"
	case t.Reads == t.Writes:
		return some(t.Reads) + "; reads and writes go on"
	case t.Writes == 0:
		return some(t.Reads) + ", for reads; none for writes"
	case t.Reads == 0:
		return some(t.Writes) + ", for writes; none for reads"
	}
	return fmt.Sprintf("%s for reads, %s for writes", some(t.Reads), some(t.Writes))
}

func leadersText(groups []operate.GroupStatus) string {
	led := map[string]int{}
	none := 0
	for _, g := range groups {
		if g.Leader == "" {
			none++
		} else {
			led[cmp.Or(g.LeaderNode, shortText(g.Leader))]++
		}
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(led)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, led[name]))
	}
	if none > 0 {
		parts = append(parts, fmt.Sprintf("NO LEADER %d", none))
	}
	return orDash(strings.Join(parts, ", "))
}

func nodeTable(s *operate.Status, l looks) *table {
	t := newTable("NODE", "ID", "ZONE", "STATE", "HEALTH", ">DRIVES", ">LEADS", "S3", "PEERS", "VERSION")
	for _, n := range s.Nodes {
		if n.State == operate.StateGone && !n.Alive && !l.all {
			continue
		}
		drives := "front"
		if n.Storage {
			drives = strconv.Itoa(n.Drives)
		}
		health := "ok"
		switch {
		case !n.Alive:
			health = "away" + agoText(s.At, n.Since)
		case n.Empty:
			health = "can be stopped"
		case n.Drives > 0 && !n.Answered:
			health = "slow"
		}
		t.add(orDash(n.Name), shortText(n.ID), orDash(n.Zone), stateText(n.State, n.Removed), health, drives, strconv.Itoa(n.Leads), orDash(n.S3), orDash(n.Peer), orDash(n.Version))
	}
	return t
}

// agoText is how long something is so; nothing where that is not known.
func agoText(now, since time.Time) string {
	if since.IsZero() || since.After(now) {
		return ""
	}
	return " " + timeText(now.Sub(since))
}

func stateText(state string, removed bool) string {
	switch {
	case state == operate.StateGone && removed:
		return "removed"
	case state == operate.StateGone:
		return "given up"
	}
	return state
}

func driveTable(s *operate.Status, l looks) *table {
	head := []string{"DRIVE", "NODE", "PATH", "STATE", "HEALTH", ">SIZE", ">USED", ">SHARDS", ">REPLICAS"}
	leaving := slices.ContainsFunc(s.Drives, func(d operate.DriveStatus) bool { return d.State == operate.StateDraining })
	if leaving {
		head = append(head, ">LEFT")
	}
	t := newTable(head...)
	for _, d := range s.Drives {
		if d.State == operate.StateRetired && !d.Alive && !l.all {
			continue
		}
		used := "-"
		if d.Total > 0 {
			used = fmt.Sprintf("%.0f%%", 100*float64(d.Total-d.Free)/float64(d.Total))
		}
		row := []string{shortText(d.ID), orDash(d.NodeName), orDash(d.Path), stateText(d.State, d.Removed), driveHealth(s.At, &d), bytesText(d.Total), used,
			countText(d.Shards), strconv.Itoa(d.Replicas)}
		if leaving {
			row = append(row, leftText(&d))
		}
		t.add(row...)
	}
	return t
}

func driveHealth(now time.Time, d *operate.DriveStatus) string {
	switch {
	case d.State == operate.StateRetired:
		return "can be pulled"
	case d.State == operate.StateGone && !d.Alive:
		return "away" + agoText(now, d.Since)
	case d.Out && d.Alive:
		return "OUT"
	case !d.Alive:
		return "AWAY" + agoText(now, d.Since)
	case d.ReadOnly:
		return "FULL"
	}
	return "ok"
}

// leftText is what is still to leave a drive.
func leftText(d *operate.DriveStatus) string {
	switch {
	case d.State != operate.StateDraining:
		return ""
	case d.ShardsLeft == nil || d.BytesLeft == nil || d.ReplicasLeft == nil:
		return "counting"
	}
	return fmt.Sprintf("%s, %s, %s", plural(*d.ShardsLeft, "shard"), bytesText(*d.BytesLeft), plural(*d.ReplicasLeft, "replica"))
}

func groupTable(s *operate.Status) *table {
	t := newTable(">GROUP", "LEADER", "NODE", ">TERM", ">REPLICAS", ">HEALTHY", "TROUBLE")
	for _, g := range s.Groups {
		t.add(strconv.FormatUint(uint64(g.Number), 10), orDash(shortText(g.Leader)), orDash(g.LeaderNode), strconv.FormatUint(g.Term, 10),
			strconv.Itoa(g.Members), strconv.Itoa(g.Healthy), orDash(strings.Join(g.Trouble, "; ")))
	}
	return t
}

// show prints a status once, or again and again.
func (s *session) show(ctx context.Context, watch bool, print func(io.Writer, *operate.Status) error) error {
	return s.look(ctx, watch, func(st *operate.Status) (bool, error) {
		if s.json {
			return false, s.printJSON(st)
		}
		var b bytes.Buffer
		if err := print(&b, st); err != nil {
			return false, err
		}
		if watch {
			if s.out.terminal {
				_, _ = io.WriteString(s.out, clearScreen)
			}
			fmt.Fprintf(&b, "\n%s, asked %s. Ctrl-C ends the watch; the work goes on.\n\n", st.At.UTC().Format("15:04:05 UTC"), cmp.Or(st.Asked, "the server"))
		}
		_, err := s.out.Write(b.Bytes())
		return false, err
	})
}
