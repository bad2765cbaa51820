package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"holdfast/api/sigv4"
	"holdfast/cluster/operate"
	"holdfast/scripts/faults/load"
)

// containers are the nodes of a cluster that docker-compose runs.
type containers struct {
	ids    map[string]string // by service
	fronts *load.Fronts
	all    []*load.Front
	user   string
	secret string
	load   *load.Load
}

// composeMain breaks a cluster of containers; scripts/compose/run starts it and calls this.
func composeMain(args []string) error {
	fs := flag.NewFlagSet("compose", flag.ContinueOnError)
	fronts := fs.String("fronts", "", "service=host:port of each node, separated by commas")
	ids := fs.String("containers", "", "service=container of each node, separated by spaces")
	ca := fs.String("ca", "", "CA certificate of the cluster")
	kill := fs.String("kill", "n2", "service whose container is killed")
	maxPause := fs.Duration("max-pause", 3*time.Second, "the most that an operation may take while it is dead")
	seed := fs.Uint64("seed", uint64(time.Now().UnixNano()), "repeats the choices of a run")
	if err := fs.Parse(args); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	c, err := newContainers(*fronts, *ids, *ca)
	if err != nil {
		return err
	}
	fmt.Printf("compose: seed %d, %d nodes\n", *seed, len(c.all))
	if err := c.ready(ctx); err != nil {
		return err
	}
	c.load, err = load.New(ctx, load.Config{Fronts: c.fronts, Bucket: "ledger", Seed: *seed, Writers: 4, Stubborn: true, Gap: 40 * time.Millisecond, LargePercent: 4})
	if err != nil {
		return err
	}
	if err := c.killed(ctx, *kill, *maxPause); err != nil {
		return err
	}
	if err := c.restarted(ctx); err != nil {
		return err
	}
	l := c.load.Ledger()
	fmt.Printf("ok: %d acknowledged writes, %d refused, %d without an answer, %d keys, %d reads compared; 0 lost, 0 wrong\n",
		l.Acked.Load(), l.Refused.Load(), l.Doubtful.Load(), l.Keys(), l.Reads.Load())
	return nil
}

func newContainers(fronts, ids, ca string) (*containers, error) {
	c := &containers{ids: map[string]string{}, user: os.Getenv("HOLDFAST_ROOT_USER"), secret: os.Getenv("HOLDFAST_ROOT_PASSWORD")}
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", ca)
	}
	for _, text := range strings.Fields(ids) {
		service, id, _ := strings.Cut(text, "=")
		c.ids[service] = id
	}
	c.fronts = load.NewFronts(load.Access{User: c.user, Password: c.secret, Roots: roots})
	for text := range strings.SplitSeq(fronts, ",") {
		service, address, ok := strings.Cut(text, "=")
		if !ok || c.ids[service] == "" {
			return nil, fmt.Errorf("--fronts %q: no such container", text)
		}
		f, err := c.fronts.Add(service, address)
		if err != nil {
			return nil, err
		}
		c.all = append(c.all, f)
	}
	return c, nil
}

// ready waits until every node takes requests.
func (c *containers) ready(ctx context.Context) error {
	for _, f := range c.all {
		err := poll(ctx, startTimeout, f.Name+" is not ready", func() error {
			hc := f.HTTP()
			hc.Timeout = lookTimeout
			resp, err := hc.Get("https://" + f.Address + "/-/ready")
			if err != nil {
				return err
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				return errors.New(resp.Status)
			}
			return nil
		})
		if err != nil {
			return err
		}
		c.fronts.Set(f.Name, load.Well)
	}
	return nil
}

// whole waits until the cluster says that redundancy is full.
func (c *containers) whole(ctx context.Context) error {
	return poll(ctx, wholeLimit, "no full redundancy", func() error {
		body, err := call(ctx, c.all[0].HTTP(), sigv4.Credentials{AccessKey: c.user, SecretKey: c.secret}, http.MethodGet, c.all[0].Address, "status")
		if err != nil {
			return err
		}
		var s operate.Status
		if err := json.Unmarshal(body, &s); err != nil {
			return err
		}
		if !s.Redundancy.Full {
			return fmt.Errorf("%d below it, %v", s.Redundancy.Below, s.Trouble)
		}
		return nil
	})
}

// poll asks until there is no error, and says the last one if that takes too long.
func poll(ctx context.Context, limit time.Duration, what string, ask func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := ask()
		if err == nil {
			return nil
		}
		if pauseFor(ctx, 250*time.Millisecond) != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
}

func docker(ctx context.Context, args ...string) error {
	if out, err := exec.CommandContext(ctx, "docker", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("docker %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// killed kills a container under load and starts it again.
func (c *containers) killed(ctx context.Context, service string, maxPause time.Duration) error {
	r := row{name: "kill " + service}
	begin := time.Now()
	c.load.Phase("before")
	c.load.Start(ctx)
	err := pauseFor(ctx, calmFor)
	r.calm = c.load.Phase("killed")
	if err == nil {
		c.fronts.Set(service, load.Dead)
		err = docker(ctx, "kill", c.ids[service])
	}
	if err == nil {
		err = pauseFor(ctx, 8*time.Second)
	}
	if err == nil {
		err = docker(ctx, "start", c.ids[service])
	}
	started := time.Now()
	if err == nil {
		err = c.ready(ctx)
	}
	if err == nil {
		err = c.whole(ctx)
	}
	r.recovered = time.Since(started)
	c.load.Stop()
	r.fault = c.load.Phase("verified")
	if err == nil {
		err = c.load.Verify(ctx, "after kill "+service)
	}
	r.lasted = time.Since(begin)
	r.judge("before", r.calm, maxPause)
	r.judge("struck", r.fault, maxPause)
	fmt.Println(r.String())
	if err == nil && len(r.failures) > 0 {
		err = errors.New(strings.Join(r.failures, "\n"))
	}
	return err
}

// restarted restarts all containers at once.
func (c *containers) restarted(ctx context.Context) error {
	args := []string{"restart", "--time", "30"}
	for _, f := range c.all {
		args = append(args, c.ids[f.Name])
		c.fronts.Set(f.Name, load.Gone)
	}
	if err := docker(ctx, args...); err != nil {
		return err
	}
	if err := c.ready(ctx); err != nil {
		return err
	}
	if err := c.whole(ctx); err != nil {
		return err
	}
	if err := c.load.Verify(ctx, "after a restart of all"); err != nil {
		return err
	}
	fmt.Println("all containers restarted: everything is there")
	return nil
}
