package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"holdfast/cluster/operate"
)

func (f *adminFlags) newRebalance() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rebalance",
		Short: "The moving of data to where it should be: onto new drives, off drained ones",
		Long: `Data moves by itself when drives come or are drained: no more than has to, at a rate that can be set. Repair of what was
lost does not wait for it and is not slowed by it.`,
		Example: `  holdfast admin rebalance status --watch
  holdfast admin rebalance rate 200MiB
  holdfast admin rebalance pause`,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(
		f.newView("rebalance", "Show how much moves, how fast, and how long it takes", printRebalance),
		f.newSetting("pause", "Stop the moving until resume", "rebalance pause", "rebalance/pause", "Stops the moving of shards and metadata replicas on all nodes. Repair goes on. Drains wait."),
		f.newSetting("resume", "Let the moving go on", "rebalance resume", "rebalance/resume", "Lets the moving go on where it stood."),
		f.newRate(),
	)
	return cmd
}

// newView is a status with its own print and --watch.
func (f *adminFlags) newView(what, short string, print func(io.Writer, *operate.Status) error) *cobra.Command {
	var watch bool
	cmd := &cobra.Command{
		Use:     "status",
		Short:   short,
		Long:    short + ", summed over all nodes that answer. With --json it is the whole status of the cluster.",
		Example: "  holdfast admin " + what + " status\n  holdfast admin " + what + " status --watch\n  holdfast admin " + what + " status --json | jq ." + what,
		Args:    cobra.NoArgs,
		RunE: f.run(func(ctx context.Context, s *session, _ []string) error {
			return s.show(ctx, watch, print)
		}),
	}
	cmd.Flags().BoolVar(&watch, "watch", false, "show it again and again, until Ctrl-C")
	return cmd
}

// newSetting is a command without arguments that changes a setting.
func (f *adminFlags) newSetting(use, short, example, call, long string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Long: long, Example: "  holdfast admin " + example, Args: cobra.NoArgs,
		RunE: f.run(func(ctx context.Context, s *session, _ []string) error { return s.set(ctx, call, nil) }),
	}
}

func (f *adminFlags) newRate() *cobra.Command {
	return &cobra.Command{
		Use:   "rate BYTES-PER-SECOND",
		Short: "Bound how fast each node moves data",
		Long: `Sets how many bytes of shards each node moves a second, on all nodes and at once: a number with KiB, MiB or GiB, or
"default". Clients' requests share drives and network with it.`,
		Example: `  holdfast admin rebalance rate 200MiB
  holdfast admin rebalance rate default`,
		Args: cobra.ExactArgs(1),
		RunE: f.run(func(ctx context.Context, s *session, args []string) error {
			n, err := rateOf(args[0])
			if err != nil {
				return err
			}
			return s.set(ctx, "rebalance/rate", url.Values{"bytes_per_second": {strconv.FormatInt(n, 10)}})
		}),
	}
}

// rateOf takes 64MiB, 64MiB/s or default, which is 0.
func rateOf(text string) (int64, error) {
	if text == "default" {
		return 0, nil
	}
	n, err := byteSize(strings.TrimSuffix(text, "/s"))
	switch {
	case err != nil:
		return 0, err
	case n == 0:
		return 0, errors.New(`a rate of 0 would never end: use "default", or holdfast admin rebalance pause`)
	}
	return n, nil
}

// set changes a setting of the cluster and says what holds now.
func (s *session) set(ctx context.Context, call string, args url.Values) error {
	var now operate.Settings
	if err := s.client.change(ctx, call, args, &now); err != nil {
		return err
	}
	if s.json {
		return s.printJSON(&now)
	}
	rate, after := "the default", "the default"
	if now.RebalanceRate > 0 {
		rate = rateText(now.RebalanceRate) + " a node"
	}
	if now.RepairAfterSeconds > 0 {
		after = timeText(time.Duration(now.RepairAfterSeconds) * time.Second)
	}
	state := "on"
	if now.Paused {
		state = "PAUSED; go on with holdfast admin rebalance resume"
	}
	fmt.Fprintf(s.out, "rebalancing is %s\nits rate is %s\ndrives that are away are given up after %s\n", state, rate, after)
	return nil
}

func rebalanceLine(r *operate.RebalanceStatus) string {
	switch {
	case r.Paused:
		return "PAUSED; " + plural(r.LeftShards, "shard") + " to move"
	case r.LeftShards == 0 && r.LeftReplicas == 0 && !r.Surveyed:
		return "looking at what is to be moved"
	case r.LeftShards == 0 && r.LeftReplicas == 0:
		return "nothing to move"
	}
	text := fmt.Sprintf("%s (%s) to move", plural(r.LeftShards, "shard"), bytesText(r.LeftBytes))
	if r.LeftReplicas > 0 {
		text += ", " + plural(r.LeftReplicas, "metadata replica")
	}
	if r.BytesPerSecond > 0 && r.LeftBytes > 0 {
		text += fmt.Sprintf(", %s, about %s to go", rateText(r.BytesPerSecond), timeText(time.Duration(r.EtaSeconds)*time.Second))
	}
	return text
}

func printRebalance(w io.Writer, s *operate.Status) error {
	r := &s.Rebalance
	line := func(head, text string) { fmt.Fprintf(w, "%-12s%s\n", head, text) }
	line("Rebalance", rebalanceLine(r))
	rate := rateText(r.LimitPerNode) + " a node"
	if r.LimitDefault {
		rate += ", the default"
	}
	line("Rate", rate)
	if total := r.MovedBytes + r.LeftBytes; r.LeftShards > 0 && total > 0 {
		line("Done", fmt.Sprintf("%.0f%%: %s of %s", 100*float64(r.MovedBytes)/float64(total), bytesText(r.MovedBytes), bytesText(total)))
	}
	moved := fmt.Sprintf("%s (%s) and %s", plural(r.MovedShards, "shard"), bytesText(r.MovedBytes), plural(r.MovedReplicas, "metadata replica"))
	if r.LeastBytes > 0 {
		moved += fmt.Sprintf("; the change takes %s at the least", bytesText(r.LeastBytes))
	}
	line("Moved", moved)
	if r.WaitingShards > 0 {
		line("Waiting", plural(r.WaitingShards, "shard")+": no drive takes them now; bring back or add drives")
	}
	if !r.Surveyed {
		line("", "not all nodes have looked yet: there may be more")
	}
	t := newTable("DRIVE", "NODE", "PATH", ">SHARDS", ">LEFT")
	for i := range s.Drives {
		if d := &s.Drives[i]; d.State == operate.StateDraining {
			t.add(shortText(d.ID), orDash(d.NodeName), d.Path, countText(d.Shards), leftText(d))
		}
	}
	if len(t.rows) == 0 {
		return nil
	}
	fmt.Fprintf(w, "\nDrives that are emptied\n")
	return t.write(w)
}

func (f *adminFlags) newRepair() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "repair",
		Short: "The rebuilding of what was lost",
		Long: `What is found damaged or missing is rebuilt at once. A drive that does not answer is waited for, since a node that restarts is
away for a moment; after that time it is given up, and what it held is rebuilt on the others.`,
		Example: `  holdfast admin repair status --watch
  holdfast admin repair after 30m`,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(f.newView("repair", "Show what is being rebuilt, and what is waited for", printRepair), &cobra.Command{
		Use:   "after DURATION",
		Short: "Set how long a drive may be away before it is given up",
		Long: `Sets for the whole cluster how long a drive may be away before what it held is rebuilt on others, as 30m or 2h, or
"default" for what each node was started with. Longer is for planned work.`,
		Example: `  holdfast admin repair after 2h
  holdfast admin repair after default`,
		Args: cobra.ExactArgs(1),
		RunE: f.run(func(ctx context.Context, s *session, args []string) error {
			var d time.Duration
			if args[0] != "default" {
				var err error
				if d, err = time.ParseDuration(args[0]); err != nil || d < time.Second {
					return fmt.Errorf("%q is no time such as 30m or 2h", args[0])
				}
			}
			return s.set(ctx, "repair/after", url.Values{"seconds": {strconv.FormatInt(int64(d/time.Second), 10)}})
		}),
	})
	return cmd
}

func printRepair(w io.Writer, s *operate.Status) error {
	r := &s.Repair
	line := func(head, text string) { fmt.Fprintf(w, "%-12s%s\n", head, text) }
	line("Redundancy", redundancyText(s))
	line("To repair", plural(r.Queued, "piece")+" of data")
	rebuilt := plural(r.Rebuilt, "shard") + " since the nodes started"
	if r.Failed > 0 {
		rebuilt += "; " + plural(r.Failed, "failure") + ", tried again"
	}
	line("Rebuilt", rebuilt)
	line("Deleted", fmt.Sprintf("%s of data reclaimed, %s waiting; %s removed", plural(r.Reclaimed, "piece"), countText(r.Garbage), plural(r.Orphans, "orphan shard")))
	line("Given up", "drives that are away for "+timeText(time.Duration(r.AfterSeconds)*time.Second))
	if len(r.Waiting) > 0 {
		fmt.Fprintf(w, "\nDrives that are waited for\n")
		t := newTable("DRIVE", "NODE", "PATH", "AWAY FOR", "GIVEN UP IN", ">SHARDS")
		for _, d := range r.Waiting {
			t.add(shortText(d.Drive), orDash(d.Node), orDash(d.Path), timeText(s.At.Sub(d.Since)), timeText(d.GivenUp.Sub(s.At)), countText(d.Shards))
		}
		if err := t.write(w); err != nil {
			return err
		}
	}
	if len(r.Lost) == 0 {
		return nil
	}
	fmt.Fprintf(w, "\nDrives that are rebuilt on others\n")
	t := newTable("DRIVE", "NODE", "PATH", "WHY")
	for _, d := range r.Lost {
		why := "was away for too long, or replaced"
		if d.Removed {
			why = "was removed"
		}
		t.add(shortText(d.Drive), orDash(d.Node), orDash(d.Path), why)
	}
	return t.write(w)
}

func (f *adminFlags) newScrub() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "scrub",
		Short: "The reading and verifying of everything that is stored",
		Long: `A scrub reads every shard of every drive, verifies it, and has what is damaged or missing rebuilt. Each node does so by itself
now and then; this starts one now.`,
		Example: `  holdfast admin scrub start --wait
  holdfast admin scrub status`,
		Args: cobra.NoArgs,
	}
	var wait bool
	start := &cobra.Command{
		Use:   "start",
		Short: "Start a scrub on all nodes where none is under way",
		Long: `Starts a scrub on all nodes where none is under way. It goes on without this command; with --wait it shows how far it is and
ends when all nodes are done.`,
		Example: "  holdfast admin scrub start\n  holdfast admin scrub start --wait",
		Args:    cobra.NoArgs,
		RunE:    f.run(func(ctx context.Context, s *session, _ []string) error { return s.startScrub(ctx, wait) }),
	}
	start.Flags().BoolVar(&wait, "wait", false, "show the progress, and end when it is done")
	cmd.AddCommand(start, f.newView("scrub", "Show how far a scrub is, and when the last one ended", printScrub))
	return cmd
}

func (s *session) startScrub(ctx context.Context, wait bool) error {
	var started operate.Started
	if err := s.client.change(ctx, "scrub", nil, &started); err != nil {
		return err
	}
	if s.json && !wait {
		return s.printJSON(&started)
	}
	if !s.json {
		fmt.Fprintf(s.out, "a scrub is under way on %s\n", plural(len(started.Nodes), "node"))
		for _, n := range started.Failed {
			fmt.Fprintln(s.out, "note: not on", n)
		}
	}
	if !wait {
		return nil
	}
	line := &progressLine{s: s}
	defer line.end()
	var speed pace
	return s.look(ctx, true, func(st *operate.Status) (bool, error) {
		if s.json {
			return !st.Scrub.Running, s.printJSON(&st.Scrub)
		}
		text := scrubLine(&st.Scrub)
		left := st.Scrub.Total - st.Scrub.Done
		if rate, known := speed.add(st.At, left); known && st.Scrub.Running && left > 0 {
			text += fmt.Sprintf(", %s shards/s, about %s to go", countText(int64(rate)), timeText(timeLeft(left, rate)))
		}
		line.show(text)
		return !st.Scrub.Running, nil
	})
}

func scrubLine(r *operate.ScrubStatus) string {
	damaged := ""
	if r.Damaged > 0 {
		damaged = "; " + plural(r.Damaged, "shard") + " found damaged or missing since the nodes started"
	}
	switch {
	case r.Running && r.Total > 0:
		return fmt.Sprintf("under way: %s of about %s shards, %.0f%%", countText(r.Done), countText(r.Total), min(100, 100*float64(r.Done)/float64(r.Total))) + damaged
	case r.Running:
		return "under way" + damaged
	case r.Oldest.IsZero():
		return "none complete on all nodes since they started" + damaged
	}
	return "complete on all nodes, last " + pointText(r.Oldest) + damaged
}

func printScrub(w io.Writer, s *operate.Status) error {
	fmt.Fprintf(w, "%-12s%s\n", "Scrub", scrubLine(&s.Scrub))
	t := newTable("NODE", "STATE", ">DONE", ">SHARDS", ">DAMAGED", "TIME LEFT", "LAST COMPLETE")
	for _, n := range s.Scrub.Nodes {
		state, done, left, last := "idle", "-", "-", "none since its start"
		if n.Running {
			state, done = "running", countText(n.Done)
			if took := s.At.Sub(n.Began); n.Done > 0 && took > 0 {
				left = "about " + timeText(timeLeft(max(0, n.Total-n.Done), float64(n.Done)/took.Seconds()))
			}
		}
		if !n.Last.IsZero() {
			last = pointText(n.Last)
		}
		t.add(orDash(n.Name), state, done, countText(n.Total), countText(n.Damaged), left, last)
	}
	fmt.Fprintln(w)
	return t.write(w)
}
