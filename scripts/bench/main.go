package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/api/sigv4"
	"holdfast/scripts/faults/netns"
)

const usage = `Measure an S3 endpoint, and a second one in turns (A B A B), over TLS.

  go run ./scripts/bench --start ./holdfast
  go run ./scripts/bench --start ./holdfast --other-cmd 'env … peer --address {address} --certs {certs} {dir}' \
      --other-access-key … --other-secret-key …
  go run ./scripts/bench --endpoint https://127.0.0.1:9000 --ca ca.pem --access-key … --secret-key … --pids 123

Client and server share the machine's cores, so only ratios of one run count, and the servers' CPU
seconds, which are read from /proc/PID/stat. Every answer but 200 ends the run. In --other-cmd,
{address} is a free address to listen on, {dir} an empty directory, {certs} a directory with a
certificate for 127.0.0.1 (cert.pem and key.pem, the same as public.crt and private.key) and ca.pem.

  go run ./scripts/bench --nodes 4 --drives 2 --scheme 5+3 --start ./holdfast \
      --other-cmd 'env … peer --address {address} --certs {certs} https://{host1}:9000{dir} …' …

starts clusters: each node on a host of its own in network namespaces (which takes root), the client
on another, its connections to all nodes in turn. --other-cmd is run once a node: {address} is this
node's, {addresses} those of all, separated by blanks, {host1} to {hostN} their hosts; {dir} is this
node's, under the same path on all; {certs} is good for all. Server CPU and memory are sums of all nodes.

`

// options are the flags.
type options struct {
	a, b          target
	start, args   string
	nodes, drives int
	scheme        string
	otherCmd      string
	dir, json     string
	filter        string
	clients       string
	largeClients  string
	listClients   int
	seconds, warm time.Duration
	quiet, idle   time.Duration
	rounds        int
	small, large  int64
	smallN        int
	largeN        int
	payload       string
	sample        int
}

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		if !errors.Is(err, netns.ErrFailed) { // the process inside has said why
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
		os.Exit(1)
	}
}

func parse(args []string) (*options, error) {
	o := &options{a: target{name: "holdfast"}, b: target{name: "other"}}
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.Usage = func() { fmt.Fprint(fs.Output(), usage); fs.PrintDefaults() }
	bind := func(t *target, prefix, env string) {
		fs.StringVar(&t.endpoint, prefix+"endpoint", "", "https://HOST:PORT of the server; those of a cluster's nodes separated by commas")
		fs.StringVar(&t.ca, prefix+"ca", "", "PEM `file` of the CA to trust")
		fs.StringVar(&t.creds.AccessKey, prefix+"access-key", os.Getenv(env+"_USER"), "access key; default $"+env+"_USER")
		fs.StringVar(&t.creds.SecretKey, prefix+"secret-key", os.Getenv(env+"_PASSWORD"), "secret key; default $"+env+"_PASSWORD")
		fs.StringVar(&t.region, prefix+"region", "us-east-1", "region to sign for")
		fs.Func(prefix+"pids", "comma-separated process IDs of the server, for its CPU and memory; children count too", func(s string) (err error) {
			t.pids, err = numbers(s)
			return err
		})
	}
	bind(&o.a, "", "HOLDFAST_ROOT")
	bind(&o.b, "other-", "BENCH_OTHER")
	fs.StringVar(&o.b.name, "other-name", "other", "what the table calls the other endpoint")
	fs.StringVar(&o.start, "start", "", "start this holdfast `binary` (as `holdfast dev`) instead of using --endpoint")
	fs.StringVar(&o.args, "start-args", "--drives 6 --scheme 4+2 --log-level warn", "more arguments for --start; those of --nodes are "+clusterArgs+" by default")
	fs.IntVar(&o.nodes, "nodes", 0, "start a cluster of `n` nodes (as `holdfast server`) on a network of its own; see above")
	fs.IntVar(&o.drives, "drives", 0, "drives of each of --nodes; default 1")
	fs.StringVar(&o.scheme, "scheme", "", "k+m of the cluster; default what holdfast chooses for its drives")
	fs.StringVar(&o.otherCmd, "other-cmd", "", "start the other server with this shell `command`; see above")
	fs.StringVar(&o.dir, "dir", "", "directory for what is started; default a temporary one, removed at the end")
	fs.StringVar(&o.json, "json", "", "write all rounds and medians as JSON to this `file` (- for standard output)")
	fs.StringVar(&o.filter, "cases", ".", "`regexp` of the cases to run; names are as in the table, e.g. ^put/4KiB")
	fs.StringVar(&o.clients, "clients", "8,64", "numbers of clients for small objects")
	fs.StringVar(&o.largeClients, "large-clients", "4", "numbers of clients for large objects (4,64 shows the memory under load)")
	fs.IntVar(&o.listClients, "list-clients", 4, "number of clients for List")
	fs.DurationVar(&o.seconds, "for", 4*time.Second, "time for one case, one endpoint and one round")
	fs.DurationVar(&o.warm, "warm", 500*time.Millisecond, "time before that, which does not count")
	fs.DurationVar(&o.quiet, "quiet", 5*time.Second, "longest wait for both servers to be idle before a measurement")
	fs.DurationVar(&o.idle, "idle", 5*time.Second, "time to measure the idle servers for, at the end; 0 for not at all")
	fs.IntVar(&o.rounds, "rounds", 3, "rounds of each case; the table has medians")
	fs.Int64Var(&o.small, "small", 4<<10, "bytes of a small object")
	fs.Int64Var(&o.large, "large", 10<<20, "bytes of a large object")
	fs.IntVar(&o.smallN, "small-objects", 2000, "small objects to read, stat and list; plain and SSE-C each")
	fs.IntVar(&o.largeN, "large-objects", 12, "large objects to read; plain and SSE-C each")
	fs.StringVar(&o.payload, "payload", "unsigned", "form of bodies: unsigned (UNSIGNED-PAYLOAD), trailer (aws-chunked with a CRC32C trailer)")
	fs.IntVar(&o.sample, "verify", 16, "compare every `n`th body of Get in full; the first bytes are always compared")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if given := false; o.nodes > 0 {
		fs.Visit(func(f *flag.Flag) { given = given || f.Name == "start-args" })
		if !given {
			o.args = clusterArgs
		}
	}
	switch {
	case fs.NArg() > 0:
		return nil, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	case (o.start == "") == (o.a.endpoint == ""):
		return nil, errors.New("give one of --start and --endpoint (--help says more)")
	case o.otherCmd != "" && o.b.endpoint != "":
		return nil, errors.New("give one of --other-cmd and --other-endpoint")
	case o.payload != "unsigned" && o.payload != "trailer":
		return nil, fmt.Errorf("--payload %s: unsigned or trailer", o.payload)
	case o.rounds < 1 || o.smallN < 1 || o.largeN < 1 || o.sample < 1 || o.small < headLen || o.large < headLen:
		return nil, fmt.Errorf("numbers must be positive, and objects of %d bytes or more", headLen)
	}
	return o, o.checkCluster()
}

func run(args []string, out io.Writer) (err error) {
	o, err := parse(args)
	if err != nil {
		return err
	}
	if o.nodes > 0 {
		if inside, err := o.enter(); !inside || err != nil {
			return err
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	debug.SetGCPercent(400) // the client shares the cores with what it measures
	filter, err := regexp.Compile(o.filter)
	if err != nil {
		return err
	}
	targets, closeAll, err := o.targets(ctx)
	defer closeAll()
	if err != nil {
		return err
	}
	cases, err := o.cases(filter)
	if err != nil {
		return err
	}
	b := &bench{options: o, targets: targets, cases: cases, progress: os.Stderr}
	result, err := b.run(ctx)
	if err != nil {
		return err
	}
	if o.json != "" {
		if err := writeJSON(o.json, out, result); err != nil {
			return err
		}
	}
	if o.json != "-" {
		result.table(out)
	}
	return nil
}

func writeJSON(path string, out io.Writer, r *result) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if path == "-" {
		_, err = out.Write(append(text, '\n'))
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// targets starts or finds the one or two endpoints.
func (o *options) targets(ctx context.Context) (_ []*target, closeAll func(), err error) {
	var started []*process
	dir, temporary := o.dir, false
	closeAll = func() {
		var wait sync.WaitGroup
		for _, p := range started {
			wait.Go(p.stop)
		}
		wait.Wait()
		if temporary {
			os.RemoveAll(dir)
		}
	}
	if dir == "" && (o.start != "" || o.otherCmd != "") {
		if dir, err = os.MkdirTemp("", "holdfast-bench-"); err != nil {
			return nil, closeAll, err
		}
		temporary = true
	}
	if o.nodes > 0 {
		started, err = o.startClusters(ctx, dir)
	} else {
		started, err = o.startSingle(dir)
	}
	if err != nil {
		return nil, closeAll, err
	}
	all := []*target{&o.a}
	if o.b.endpoint != "" {
		all = append(all, &o.b)
	}
	for _, t := range all {
		if err := t.open(); err != nil {
			return nil, closeAll, err
		}
		var own []*process
		for _, p := range started {
			if p.target == t {
				own = append(own, p)
			}
		}
		if err := t.await(ctx, own); err != nil {
			return nil, closeAll, err
		}
	}
	return all, closeAll, nil
}

func numbers(s string) ([]int, error) {
	var all []int
	for part := range strings.SplitSeq(s, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is no list of positive numbers", s)
		}
		all = append(all, n)
	}
	return all, nil
}

// target is one server: an endpoint, or those of all nodes of a cluster, separated by commas.
type target struct {
	name, endpoint, ca, region string
	creds                      sigv4.Credentials
	pids                       []int
	dialers                    []*dialer // one an endpoint; connections go to them in turn
	turn                       atomic.Uint64
	via                        func(ctx context.Context, network, address string) (net.Conn, error) // nil: from here
}
