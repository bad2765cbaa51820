package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"holdfast/scripts/faults/census"
	"holdfast/scripts/faults/load"
	"holdfast/scripts/faults/netns"
)

// clusterOptions are the flags of a run on a cluster.
type clusterOptions struct {
	short         bool
	nodes, drives int
	writers       int
	gap           time.Duration
	seed          uint64
	binary        string
	keep          bool
	only          string
	faultFor      time.Duration
	repairAfter   time.Duration
	maxPause      time.Duration
	summary       string
	clients       string
	dumpSlow      bool
}

func (o *clusterOptions) parse(args []string) error {
	fs := flag.NewFlagSet("cluster", flag.ContinueOnError)
	fs.BoolVar(&o.short, "short", false, "one scenario of a kind instead of all, as in CI")
	fs.IntVar(&o.nodes, "nodes", 6, "nodes with drives that form the cluster; one without is added")
	fs.IntVar(&o.drives, "drives", 1, "drives of each")
	fs.IntVar(&o.writers, "writers", 8, "concurrent writers")
	fs.DurationVar(&o.gap, "gap", 40*time.Millisecond, "mean pause of a writer between operations")
	fs.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "repeats the choices of a run")
	fs.StringVar(&o.binary, "holdfast", "", "holdfast binary; default: build it")
	fs.BoolVar(&o.keep, "keep", false, "keep the directory with drives and logs of a run that failed")
	fs.StringVar(&o.only, "only", "", "scenarios whose names contain one of these words, separated by commas")
	fs.DurationVar(&o.faultFor, "fault-for", 8*time.Second, "how long a fault lasts")
	fs.DurationVar(&o.repairAfter, "repair-after", 25*time.Second, "--repair-after of the nodes")
	fs.DurationVar(&o.maxPause, "max-pause", 3*time.Second, "the most that an operation may take, from its first attempt, while a node is struck")
	fs.StringVar(&o.summary, "summary", "", "file for the summary, besides the output")
	fs.BoolVar(&o.dumpSlow, "dump-slow", false, "a node that lets a request wait for 3s writes to its log what all its goroutines do, and ends: to find out why")
	fs.StringVar(&o.clients, "clients", "", "also run the client matrix through two nodes in turn, with these clients (see scripts/clients), or \"all\"")
	if err := fs.Parse(args); err != nil {
		return err
	}
	switch {
	case fs.NArg() > 0:
		return fmt.Errorf("what is %q? The flags of cluster are told by --help", fs.Arg(0))
	case o.nodes < 4 || o.drives < 1 || o.writers < 1:
		return errors.New("at least 4 nodes, a drive each and a writer")
	case o.gap < time.Millisecond:
		return errors.New("--gap of at least 1ms: the load is to leave room for the cluster on the same machine")
	}
	return nil
}

// The environment says to the process in the namespaces what the one outside has made.
const (
	envDir    = "HOLDFAST_FAULTS_DIR"
	envBinary = "HOLDFAST_FAULTS_BINARY"
	envSeed   = "HOLDFAST_FAULTS_SEED"
)

// clusterMain builds the program and makes a directory, and does the rest in namespaces of its own.
func clusterMain(args []string) error {
	var o clusterOptions
	if err := o.parse(args); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if dir := os.Getenv(envDir); dir != "" {
		if _, err := netns.Enter(); err != nil {
			return err
		}
		o.binary = os.Getenv(envBinary)
		if _, err := fmt.Sscan(os.Getenv(envSeed), &o.seed); err != nil {
			return err
		}
		return clusterRun(ctx, o, dir)
	}
	dir, err := os.MkdirTemp("", "holdfast-cluster-")
	if err != nil {
		return err
	}
	defer func() {
		if err == nil || !o.keep {
			os.RemoveAll(dir)
		} else {
			fmt.Fprintln(os.Stderr, "kept:", dir)
		}
	}()
	if o.binary == "" {
		o.binary = filepath.Join(dir, "holdfast")
		if out, errBuild := exec.CommandContext(ctx, "go", "build", "-o", o.binary, "./cmd/holdfast").CombinedOutput(); errBuild != nil {
			err = fmt.Errorf("build holdfast: %w\n%s", errBuild, out)
			return err
		}
	} else if o.binary, err = filepath.Abs(o.binary); err != nil {
		return err
	}
	fmt.Printf("cluster: seed %d, %d nodes with %d drives each and one without, %d writers\n", o.seed, o.nodes, o.drives, o.writers)
	stop() // from now on a signal is passed on to the process inside
	_, err = netns.Enter(envDir+"="+dir, envBinary+"="+o.binary, fmt.Sprintf("%s=%d", envSeed, o.seed))
	if err != nil {
		err = fmt.Errorf("seed %d: %w", o.seed, err)
	}
	return err
}

// clusterRun is the run itself, in namespaces of its own.
func clusterRun(ctx context.Context, o clusterOptions, dir string) error {
	s := &scene{clusterOptions: o, rand: rand.New(rand.NewPCG(o.seed, 0)), begin: time.Now()}
	var err error
	if s.fleet, err = newFleet(ctx, o, dir); err != nil {
		return err
	}
	defer s.fleet.end()
	if err := s.fleet.form(ctx); err != nil {
		return fmt.Errorf("form a cluster: %w", err)
	}
	formed := time.Since(s.begin)
	config := load.Config{Fronts: s.fleet.fronts, Bucket: "ledger", Seed: o.seed, Writers: o.writers, Stubborn: true, Gap: o.gap, LargePercent: 4}
	if o.dumpSlow {
		config.OnSlow = s.fleet.dump
	}
	s.load, err = load.New(ctx, config)
	if err != nil {
		return fmt.Errorf("make a bucket: %w", err)
	}
	fmt.Printf("formed in %s\n", formed.Round(100*time.Millisecond))
	if err := s.scenarios(ctx); err != nil {
		return err
	}
	if err := s.matrix(ctx); err != nil {
		s.note("clients", err.Error())
	}
	if err := s.finale(ctx); err != nil {
		s.note("finale", err.Error())
	}
	return s.close()
}

// matrix runs real S3 clients through a node with drives and one without, in turn.
func (s *scene) matrix(ctx context.Context) error {
	if s.clients == "" {
		return nil
	}
	through := []string{"https://" + s.fleet.members[0].address(), "https://" + s.fleet.bystanders[0].address()}
	args := []string{"--endpoint", strings.Join(through, ","), "--ca", s.fleet.ca()}
	if s.clients != "all" {
		args = append(args, "--only", s.clients)
	}
	begin := time.Now()
	cmd := exec.CommandContext(ctx, "scripts/clients/run", args...)
	cmd.Env = append(os.Environ(), "HOLDFAST_ROOT_USER="+accessKey, "HOLDFAST_ROOT_PASSWORD="+secretKey)
	out, err := cmd.CombinedOutput()
	fmt.Printf("%s", out)
	if err == nil {
		s.say("clients through two nodes in turn: all steps passed; %s", time.Since(begin).Round(time.Second))
	}
	return err
}

// scenarios plays those that were asked for. One that fails ends the run only if there is nothing
// left to go on with.
func (s *scene) scenarios(ctx context.Context) error {
	all := s.longScenarios()
	if s.short {
		all = s.shortScenarios()
	}
	for _, sc := range all {
		if s.only != "" && !containsAny(sc.name, strings.Split(s.only, ",")) {
			continue
		}
		if err := sc.run(ctx); err != nil {
			s.diagnose()
			return fmt.Errorf("%s: %w", sc.name, err)
		}
	}
	return nil
}

func containsAny(text string, words []string) bool {
	for _, w := range words {
		if strings.Contains(text, w) {
			return true
		}
	}
	return false
}

// reclaimedAfter is when what was deleted or moved away is off the disks: --reclaim-after, and the time until
// it is looked at.
const reclaimedAfter = 13 * time.Second

// finale is what comes after all scenarios: what the cluster costs when nothing happens, what
// travels between nodes, and what is on the disks.
func (s *scene) finale(ctx context.Context) error {
	if err := s.fleet.whole(ctx, wholeLimit); err != nil {
		return err
	}
	errs := []error{s.idle(ctx), s.listenIn(ctx)}
	if _, err := s.fleet.levelled(ctx, wholeLimit, reclaimedAfter); err != nil {
		errs = append(errs, err) // it is counted all the same
	}
	for _, m := range s.fleet.all() {
		errs = append(errs, m.stop())
	}
	return errors.Join(append(errs, s.terms(), s.searchFiles(), s.count(ctx))...)
}

// count takes the census of all drives.
func (s *scene) count(ctx context.Context) error {
	report, err := census.Take(ctx, census.Config{Drives: s.fleet.drives()})
	if err != nil {
		return err
	}
	s.say("%s", report)
	if report.Unsafe > 0 || report.Uneven > 0 {
		err = fmt.Errorf("%d records are not spread evenly over the nodes, %d would not survive the loss of one", report.Uneven, report.Unsafe)
	}
	return errors.Join(err, report.Whole())
}

// idleFor is how long the cluster is watched while nothing happens.
const idleFor = 5 * time.Second

// idle measures what nodes cost without load.
func (s *scene) idle(ctx context.Context) error {
	all := s.fleet.all()
	before := make([]time.Duration, len(all))
	for i, m := range all {
		before[i] = m.cpu()
	}
	begin := time.Now()
	if err := pauseFor(ctx, idleFor); err != nil {
		return err
	}
	var texts []string
	for i, m := range all {
		texts = append(texts, fmt.Sprintf("%s %.1f %%", m.host.Name, 100*float64(m.cpu()-before[i])/float64(time.Since(begin))))
	}
	s.say("idle, of a core: %s", strings.Join(texts, ", "))
	return nil
}
