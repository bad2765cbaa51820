// Command faults breaks a running Holdfast on purpose and checks afterwards that nothing which
// was acknowledged is lost, nothing which was refused appears, and no wrong byte is read.
//
//	go run ./scripts/faults kill   --rounds 50   kill -9 at random moments of a write load
//	go run ./scripts/faults drives               lose any m drives, repair, lose any others
//	go run ./scripts/faults flip   --rounds 30   flip a byte of any file of one drive
//
//	go run ./scripts/faults cluster              six nodes and a front in network namespaces: each
//	                                             killed, paused, cut off, wiped; one added, one drained; all
//	                                             restarted in turn, all killed. --short: one of a kind
//	go run ./scripts/faults census DRIVE…        count what is on all drives of a cluster that is stopped
//
// After its scenarios, cluster captures what travels between nodes, searches every file, and takes the
// census: no secret may be found, every shard must be on disk, all replicas of a group must be equal. It
// needs Linux with iproute2 and iptables, and root or user namespaces; what it makes is in namespaces of its
// own and vanishes with it. scripts/compose/run does the like with containers.
//
// Every run prints its seed; --seed repeats it. It works in a temporary directory, talks to
// loopback or to its own network only, and ends the servers that it started.
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"holdfast/scripts/faults/load"
)

// options are the flags that all kinds of faults share.
type options struct {
	rounds  int
	seed    uint64
	writers int
	binary  string
	keep    bool
}

// run is one run of the harness: a server, a ledger and chance.
type run struct {
	options
	srv   *server
	load  *load.Load
	rand  *rand.Rand
	begin time.Time
}

var kinds = map[string]func(context.Context, *run) error{
	"kill": killRounds, "drives": loseDrives, "flip": flipRounds,
}

func main() {
	if err := mainErr(); err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		os.Exit(1)
	}
}

func mainErr() error {
	var o options
	name := ""
	if len(os.Args) > 1 {
		name = os.Args[1]
	}
	switch {
	case name == "cluster":
		return clusterMain(os.Args[2:])
	case name == "census":
		return censusMain(os.Args[2:])
	case name == "compose":
		return composeMain(os.Args[2:])
	case kinds[name] == nil:
		return fmt.Errorf("say what: kill, drives, flip, cluster or census (and --help for its flags)")
	}
	fs := flag.NewFlagSet(name, flag.ExitOnError)
	fs.IntVar(&o.rounds, "rounds", 10, "how often the fault strikes")
	fs.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "repeats a run's choices")
	fs.IntVar(&o.writers, "writers", 8, "concurrent writers")
	fs.StringVar(&o.binary, "holdfast", "", "holdfast binary; default: build it")
	fs.BoolVar(&o.keep, "keep", false, "keep the data directory and the log of a failed run")
	if err := fs.Parse(os.Args[2:]); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	dir, err := os.MkdirTemp("", "holdfast-faults-")
	if err != nil {
		return err
	}
	fmt.Printf("%s: seed %d, %d rounds, %d writers\n", name, o.seed, o.rounds, o.writers)
	err = perform(ctx, name, o, dir)
	if err != nil && o.keep {
		return fmt.Errorf("%w\nkept: %s", err, dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, tail(filepath.Join(dir, "holdfast.log"), 4000))
	}
	if removeErr := os.RemoveAll(dir); err == nil {
		err = removeErr
	}
	return err
}

func perform(ctx context.Context, name string, o options, dir string) error {
	srv, err := newServer(ctx, dir, o.binary)
	if err != nil {
		return err
	}
	defer srv.kill()
	r := &run{options: o, srv: srv, rand: rand.New(rand.NewPCG(o.seed, 0)), begin: time.Now()}
	if err := srv.start(ctx); err != nil {
		return err
	}
	if r.load, err = newLoad(ctx, srv, o); err != nil {
		return err
	}
	if err := kinds[name](ctx, r); err != nil {
		return fmt.Errorf("seed %d: %w", o.seed, err)
	}
	l := r.load.Ledger()
	fmt.Printf("ok: %d acknowledged writes, %d refused, %d in doubt, %d keys read back; 0 lost, 0 wrong; %s\n",
		l.Acked.Load(), l.Refused.Load(), l.Doubtful.Load(), l.Reads.Load(), time.Since(r.begin).Round(time.Second))
	return nil
}

// newLoad makes a load on one server.
func newLoad(ctx context.Context, srv *server, o options) (*load.Load, error) {
	roots, err := srv.roots()
	if err != nil {
		return nil, err
	}
	srv.fronts = load.NewFronts(load.Access{User: accessKey, Password: secretKey, Roots: roots})
	if _, err := srv.fronts.Add(srv.address, srv.address); err != nil {
		return nil, err
	}
	return load.New(ctx, load.Config{Fronts: srv.fronts, Bucket: "ledger", Seed: o.seed, Writers: o.writers, LargePercent: 5})
}
