package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"holdfast/scripts/faults/netns"
)

const (
	s3Port   = "9000"
	maxNodes = 50
	// envDir tells the process in the namespaces the directory that the one outside has made.
	envDir = "BENCH_CLUSTER_DIR"
	// clusterArgs are the --start-args of a cluster's node.
	clusterArgs = "--log-level warn"
)

// checkCluster refuses flags that do not go together.
func (o *options) checkCluster() error {
	switch {
	case o.nodes == 0 && (o.drives != 0 || o.scheme != ""):
		return errors.New("--drives and --scheme are those of --nodes; without it, --start-args has them")
	case o.nodes == 0:
		return nil
	case o.nodes < 2 || o.nodes > maxNodes:
		return fmt.Errorf("--nodes %d: 2 to %d", o.nodes, maxNodes)
	case o.drives < 0:
		return fmt.Errorf("--drives %d: at least one", o.drives)
	case o.start == "" || o.b.endpoint != "":
		return errors.New("--nodes wants --start, and --other-cmd for the other server: nothing else can be reached from its network")
	}
	return nil
}

// enter starts this program again in namespaces of its own, in which it returns true. Outside, it
// returns when that has ended, and leaves nothing.
func (o *options) enter() (inside bool, err error) {
	if dir := os.Getenv(envDir); dir != "" {
		o.dir = dir
		return netns.Enter()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) // so that it does not end before it has cleaned up
	defer stop()
	dir := o.dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "holdfast-bench-"); err != nil {
			return false, err
		}
		defer os.RemoveAll(dir)
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return false, err
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	return netns.Enter(envDir + "=" + dir)
}

// startClusters starts all nodes of both servers, each on a host of its own, and gives the client
// another. What was started is returned with an error, too.
func (o *options) startClusters(ctx context.Context, dir string) (started []*process, err error) {
	network, err := netns.New(ctx)
	if err != nil {
		return nil, err
	}
	client, err := network.Add(ctx, "client")
	if err != nil {
		return nil, err
	}
	type server struct {
		t     *target
		start func(ctx context.Context, dir string, hosts []*netns.Host) ([]*process, error)
	}
	servers := []server{{&o.a, o.startNodes}}
	if o.otherCmd != "" {
		servers = append(servers, server{&o.b, o.startOtherNodes})
	}
	for i, s := range servers {
		s.t.via, s.t.pids = client.Dial, nil
		var hosts []*netns.Host
		var endpoints []string
		for n := range o.nodes {
			h, err := network.Add(ctx, fmt.Sprintf("%c%d", 'a'+i, n+1))
			if err != nil {
				return started, err
			}
			hosts, endpoints = append(hosts, h), append(endpoints, "https://"+h.IP+":"+s3Port)
		}
		s.t.endpoint = strings.Join(endpoints, ",")
		nodes, err := s.start(ctx, dir, hosts)
		started = append(started, nodes...)
		if err != nil {
			return started, err
		}
	}
	return started, nil
}

// startNodes starts a Holdfast cluster.
func (o *options) startNodes(ctx context.Context, dir string, hosts []*netns.Host) (started []*process, err error) {
	binary, err := filepath.Abs(o.start)
	if err != nil {
		return nil, err
	}
	o.a.defaultCredentials()
	secret, err := exec.CommandContext(ctx, binary, "secret", "new").Output()
	if err != nil {
		return nil, fmt.Errorf("make a cluster secret: %w", err)
	}
	secretFile := filepath.Join(dir, "holdfast.secret")
	if err := os.WriteFile(secretFile, secret, 0o600); err != nil {
		return nil, err
	}
	var seeds []string
	for _, h := range hosts {
		seeds = append(seeds, h.IP)
	}
	for _, h := range hosts {
		node := filepath.Join(dir, "holdfast-"+h.Name)
		if err := os.MkdirAll(node, 0o700); err != nil {
			return started, err
		}
		args := []string{
			"server", "--address", h.IP + ":" + s3Port, "--peer-address", h.IP + ":9001", "--gossip-address", h.IP + ":9002", "--advertise", h.IP,
			"--node-name", h.Name, "--cluster-secret-file", secretFile, "--certs-dir", filepath.Join(node, "certs"),
			"--join", strings.Join(seeds, ","), "--expect", strconv.Itoa(len(hosts)),
		}
		for d := range o.driveCount() {
			args = append(args, "--data", filepath.Join(node, fmt.Sprint("d", d+1)))
		}
		if o.scheme != "" {
			args = append(args, "--scheme", o.scheme)
		}
		cmd := h.Command(binary, append(args, strings.Fields(o.args)...)...)
		cmd.Env = o.a.rootEnv()
		p, err := launch(&o.a, cmd, node+".log")
		if err != nil {
			return started, err
		}
		started = append(started, p)
	}
	o.a.ca = filepath.Join(dir, "holdfast-"+hosts[0].Name, "certs", "ca.pem")
	return started, nil
}

// startOtherNodes runs the other server's command once a node. {dir} is the same path on every node,
// as on machines of their own: it is mounted in the node's namespace.
func (o *options) startOtherNodes(_ context.Context, dir string, hosts []*netns.Host) (started []*process, err error) {
	certs, data := filepath.Join(dir, "other-certs"), filepath.Join(dir, "other-data")
	var ips []string
	for _, h := range hosts {
		ips = append(ips, h.IP)
	}
	if err := makeCerts(certs, ips...); err != nil {
		return nil, err
	}
	o.b.ca = filepath.Join(certs, "ca.pem")
	for i, h := range hosts {
		own := filepath.Join(dir, "other-"+h.Name)
		if err := errors.Join(os.MkdirAll(own, 0o700), os.MkdirAll(data, 0o700)); err != nil {
			return started, err
		}
		const mounted = `mount --bind "$1" "$2" && exec sh -c "$3"`
		command := expandNode(o.otherCmd, ips, i, data, certs)
		p, err := launch(&o.b, h.Command("sh", "-c", mounted, "sh", own, data, command), own+".log")
		if err != nil {
			return started, err
		}
		started = append(started, p)
	}
	return started, nil
}

// expandNode fills in the placeholders of a node's command.
func expandNode(command string, hosts []string, i int, dir, certs string) string {
	var addresses, pairs []string
	for n, h := range hosts {
		addresses = append(addresses, h+":"+s3Port)
		pairs = append(pairs, fmt.Sprintf("{host%d}", n+1), h)
	}
	pairs = append(pairs, "{address}", addresses[i], "{addresses}", strings.Join(addresses, " "), "{dir}", dir, "{certs}", certs)
	return strings.NewReplacer(pairs...).Replace(command)
}

func (o *options) driveCount() int { return max(o.drives, 1) }

// shape says what is compared, "" for single processes.
func (o *options) shape() string {
	if o.nodes == 0 {
		return ""
	}
	text := fmt.Sprintf("%d nodes, drives each: %d", o.nodes, o.driveCount())
	if o.scheme != "" {
		text += ", scheme " + o.scheme
	}
	return text
}
