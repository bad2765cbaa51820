package main

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"holdfast/cluster/operate"
)

func (f *adminFlags) newDrive() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "drive",
		Short: "Add drives, empty them, take them out",
		Long: `Adds a drive to a node, empties one so that it can be pulled, and takes one out of the cluster.
To replace a drive that still works: add the new one, drain the old one, pull it when it is retired. Data is
never below full redundancy then.`,
		Example: `  holdfast admin drive add /mnt/g --node node2
  holdfast admin drive drain node2:/mnt/a --wait
  holdfast admin drive remove 3fa2b1c0 --force      # broken, and will not come back`,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(f.newDriveAdd(), f.newDrain("drive"), f.newUndrain("drive"), f.newRemove("drive"))
	return cmd
}

func (f *adminFlags) newNode() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "node",
		Short: "Empty nodes and take them out",
		Long: `Empties all drives of a node so that it can be switched off, and takes a node out of the cluster. A node is
added by starting it with --join.`,
		Example: `  holdfast admin node drain node4 --wait
  holdfast admin node remove node4
  holdfast admin node remove node4 --force      # burnt down, and will not come back`,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(f.newDrain("node"), f.newUndrain("node"), f.newRemove("node"))
	return cmd
}

func (f *adminFlags) newDriveAdd() *cobra.Command {
	var node string
	cmd := &cobra.Command{
		Use:   "add PATH",
		Short: "Take a directory of a node into service as a drive",
		Long: `Takes a directory of a node into service while it runs: an empty one, or one that does not exist yet, is made a
new drive. Data moves to it at once, at the set rate, and no more than has to. PATH is absolute, on the node.

Start the node with this directory among its --data from then on.`,
		Example: `  holdfast admin drive add /mnt/g                   # on the node that is asked
  holdfast admin drive add /mnt/g --node node2`,
		Args: cobra.ExactArgs(1),
		RunE: f.run(func(ctx context.Context, s *session, args []string) error {
			q := url.Values{"path": args}
			if node != "" {
				q.Set("node", node)
			}
			_, err := s.change(ctx, "drives/add", q)
			return err
		}),
	}
	cmd.Flags().StringVar(&node, "node", "", "name or ID of the node that has the directory; the default is the one that is asked")
	return cmd
}

// newDrain is `drive drain` and `node drain`.
func (f *adminFlags) newDrain(what string) *cobra.Command {
	var wait bool
	cmd := &cobra.Command{
		Use:   "drain " + argName(what),
		Short: "Have a " + what + " emptied, so that it can be taken away",
		Long: `Nothing new goes to it, and what it holds is moved to the others while everything is served on. Refused
if too few drives would be left. The state retired says that it can be taken away.

It goes on without this command. With --wait it shows how far it is and ends when it is done; interrupted, say the
same again.`,
		Example: "  holdfast admin " + what + " drain " + argExample(what) + " --wait\n" +
			"  holdfast admin " + what + " drain " + argExample(what) + "\n" +
			"  holdfast admin " + what + " undrain " + argExample(what) + "          # no, keep it",
		Args: cobra.ExactArgs(1),
		RunE: f.run(func(ctx context.Context, s *session, args []string) error {
			c, err := s.change(ctx, what+"s/drain", url.Values{what: args})
			if err != nil || !wait {
				return err
			}
			return s.waitDrained(ctx, &c)
		}),
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "show the progress, and end when it is empty")
	return cmd
}

func (f *adminFlags) newUndrain(what string) *cobra.Command {
	return &cobra.Command{
		Use:     "undrain " + argName(what),
		Short:   "Have a " + what + " that was to be emptied stay",
		Long:    "Calls a drain off. What has left it moves back where placement wants it.",
		Example: "  holdfast admin " + what + " undrain " + argExample(what),
		Args:    cobra.ExactArgs(1),
		RunE: f.run(func(ctx context.Context, s *session, args []string) error {
			_, err := s.change(ctx, what+"s/undrain", url.Values{what: args})
			return err
		}),
	}
}

func (f *adminFlags) newRemove(what string) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "remove " + argName(what),
		Short: "Take a " + what + " out of the cluster for good",
		Long: `Takes out what was drained. What still holds data is refused; --force gives it up all the same, for what is broken and
will not come back: its data is then rebuilt from the others at once. Even so it is refused if data would be
lost by that.`,
		Example: "  holdfast admin " + what + " remove " + argExample(what) + "\n" +
			"  holdfast admin " + what + " remove " + argExample(what) + " --force",
		Args: cobra.ExactArgs(1),
		RunE: f.run(func(ctx context.Context, s *session, args []string) error {
			q := url.Values{what: args}
			if force {
				q.Set("force", "true")
			}
			_, err := s.change(ctx, what+"s/remove", q)
			return err
		}),
	}
	cmd.Flags().BoolVar(&force, "force", false, "also what still holds data; it is rebuilt from the others")
	return cmd
}

func argName(what string) string {
	if what == "drive" {
		return "DRIVE"
	}
	return "NODE"
}

func argExample(what string) string {
	if what == "drive" {
		return "node1:/mnt/a"
	}
	return "node4"
}

// change has something done and says what came of it.
func (s *session) change(ctx context.Context, call string, args url.Values) (operate.Change, error) {
	var c operate.Change
	if err := s.client.change(ctx, call, args, &c); err != nil {
		return c, err
	}
	if s.json {
		return c, s.printJSON(&c)
	}
	fmt.Fprintln(s.out, c.Message)
	for _, w := range c.Warnings {
		fmt.Fprintln(s.out, "note:", w)
	}
	return c, nil
}

// waitDrained shows how a drive, or all drives of a node, become empty.
func (s *session) waitDrained(ctx context.Context, c *operate.Change) error {
	d := &draining{what: c.What, id: c.ID}
	line := &progressLine{s: s}
	defer line.end()
	done := false
	err := s.look(ctx, true, func(st *operate.Status) (bool, error) {
		text, end, err := d.progress(st)
		done = end
		if s.json {
			if printed := s.printJSON(d.latest); printed != nil {
				return true, printed
			}
		} else {
			line.show(text)
		}
		return end, err
	})
	if err == nil && !done && !s.json { // interrupted
		line.end()
		line.last = ""
		fmt.Fprintln(s.out, "it goes on in the cluster; say the same again to watch")
	}
	return err
}

// draining follows what becomes empty.
type draining struct {
	what, id string
	begun    bool // it was seen to be drained
	early    int  // looks before that
	bytes    pace
	latest   drained
}

// maxEarly is how many looks may find nothing drained at first: the node that is asked may not be the one
// that was told.
const maxEarly = 5

// drained is the progress for programs.
type drained struct {
	What           string `json:"what"`
	ID             string `json:"id"`
	Done           bool   `json:"done"`
	Counted        bool   `json:"counted"`
	ShardsLeft     int64  `json:"shards_left"`
	BytesLeft      int64  `json:"bytes_left"`
	ReplicasLeft   int64  `json:"replicas_left"`
	BytesPerSecond int64  `json:"bytes_per_second,omitempty"`
	EtaSeconds     int64  `json:"eta_seconds,omitempty"`
}

// progress says how far it is.
func (d *draining) progress(st *operate.Status) (text string, done bool, err error) {
	now := drained{What: d.what, ID: d.id, Counted: true}
	defer func() { d.latest = now }()
	left, staying := 0, 0
	for i := range st.Drives {
		v := &st.Drives[i]
		if d.what == "drive" && v.ID != d.id || d.what == "node" && v.Node != d.id {
			continue
		}
		switch v.State {
		case operate.StateRetired:
		case operate.StateDraining:
			left++
			if v.ShardsLeft == nil || v.BytesLeft == nil || v.ReplicasLeft == nil {
				now.Counted = false
				continue
			}
			now.ShardsLeft += *v.ShardsLeft
			now.BytesLeft += *v.BytesLeft
			now.ReplicasLeft += *v.ReplicasLeft
		case operate.StateGone:
			if d.what == "drive" {
				return "", true, fmt.Errorf("the drive was given up before it was empty: what it held is rebuilt from the others, see holdfast admin repair status")
			}
		default:
			staying++
		}
	}
	if staying > 0 {
		if d.early++; d.begun || d.early > maxEarly {
			return "", true, fmt.Errorf("it is not being drained any more: somebody has called that off")
		}
		now.Counted = false
		return "waiting for the node to hear of it", false, nil
	}
	d.begun = true
	if left == 0 {
		now.Done = true
		if d.what == "node" {
			return "the node is empty: stop it, then take it off the list with holdfast admin node remove", true, nil
		}
		return "the drive is empty and can be pulled", true, nil
	}
	return d.text(st, &now), false, nil
}

func (d *draining) text(st *operate.Status, now *drained) string {
	switch {
	case st.Rebalance.Paused:
		return "rebalancing is paused: holdfast admin rebalance resume"
	case !now.Counted:
		return "counting what is to be moved"
	case now.ShardsLeft == 0 && now.ReplicasLeft == 0:
		return "nothing is left to move; making sure that nothing names it"
	}
	text := fmt.Sprintf("%s (%s) and %s left", plural(now.ShardsLeft, "shard"), bytesText(now.BytesLeft), plural(now.ReplicasLeft, "metadata replica"))
	rate, known := d.bytes.add(st.At, now.BytesLeft)
	if !known || now.BytesLeft == 0 {
		return text
	}
	eta := timeLeft(now.BytesLeft, rate)
	now.BytesPerSecond, now.EtaSeconds = int64(rate), int64(eta/time.Second)
	return text + fmt.Sprintf(", %s, about %s to go", rateText(int64(rate)), timeText(eta))
}
