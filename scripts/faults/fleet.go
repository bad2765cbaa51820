package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"holdfast/cluster/operate"
	"holdfast/scripts/faults/load"
	"holdfast/scripts/faults/netns"
)

// fleet is all nodes of a cluster.
type fleet struct {
	net         *netns.Net
	dir, binary string
	secretFile  string
	token       string
	tokenFile   string
	seeds       []string
	expect      int
	drivesEach  int
	repairAfter time.Duration
	fronts      *load.Fronts
	members     []*member // those with drives
	bystanders  []*member // those without
	ever        []*member // all that there were
}

// newFleet prepares a cluster of nodes with drives and one without.
func newFleet(ctx context.Context, o clusterOptions, dir string) (*fleet, error) {
	f := &fleet{dir: dir, binary: o.binary, drivesEach: o.drives, repairAfter: o.repairAfter}
	var err error
	if f.net, err = netns.New(ctx); err != nil {
		return nil, err
	}
	if err := f.secrets(ctx); err != nil {
		return nil, err
	}
	for n := range o.nodes {
		m, err := f.host(ctx, fmt.Sprintf("n%d", n+1), o.drives)
		if err != nil {
			return nil, err
		}
		f.seeds = append(f.seeds, m.host.IP)
		f.members = append(f.members, m)
	}
	f.expect = o.nodes
	m, err := f.host(ctx, "f1", 0)
	f.bystanders = append(f.bystanders, m)
	return f, err
}

// secrets makes the cluster's secret and the token for metrics.
func (f *fleet) secrets(ctx context.Context) error {
	secret, err := exec.CommandContext(ctx, f.binary, "secret", "new").Output()
	if err != nil {
		return fmt.Errorf("make a cluster secret: %w", err)
	}
	random := make([]byte, 20)
	_, _ = rand.Read(random) // never fails
	f.token = hex.EncodeToString(random)
	f.secretFile, f.tokenFile = filepath.Join(f.dir, "cluster.secret"), filepath.Join(f.dir, "metrics.token")
	return errors.Join(os.WriteFile(f.secretFile, secret, 0o600), os.WriteFile(f.tokenFile, []byte(f.token+"\n"), 0o600))
}

// host makes a node that does not run yet.
func (f *fleet) host(ctx context.Context, name string, drives int) (*member, error) {
	h, err := f.net.Add(ctx, name)
	if err != nil {
		return nil, err
	}
	m := &member{f: f, host: h, dir: filepath.Join(f.dir, name)}
	for d := range drives {
		m.drives = append(m.drives, filepath.Join(m.dir, fmt.Sprintf("d%d", d+1)))
	}
	f.ever = append(f.ever, m)
	return m, os.MkdirAll(m.dir, 0o700)
}

// form starts all nodes at once and waits until the cluster takes requests.
func (f *fleet) form(ctx context.Context) error {
	for _, m := range f.all() {
		if err := m.launch(); err != nil {
			return err
		}
	}
	roots, err := f.roots(ctx)
	if err != nil {
		return err
	}
	f.fronts = load.NewFronts(load.Access{User: accessKey, Password: secretKey, Roots: roots})
	for _, m := range f.all() {
		if m.front, err = f.fronts.Add(m.host.Name, m.address()); err != nil {
			return err
		}
		m.tell(load.Gone)
	}
	return f.each(func(m *member) error { return m.ready(ctx) })
}

// roots are what clients trust: the same from every node, for it comes of the cluster's secret.
func (f *fleet) roots(ctx context.Context) (*x509.CertPool, error) {
	pool, m := x509.NewCertPool(), f.members[0]
	err := m.await(ctx, "given a certificate", startTimeout, func() bool {
		pem, err := os.ReadFile(filepath.Join(m.dir, "certs", "ca.pem"))
		return err == nil && pool.AppendCertsFromPEM(pem)
	})
	return pool, err
}

// ca is the file of the certificate that clients trust.
func (f *fleet) ca() string { return filepath.Join(f.bystanders[0].dir, "certs", "ca.pem") }

// all are the nodes with and without drives.
func (f *fleet) all() []*member { return append(append([]*member{}, f.members...), f.bystanders...) }

// each does something with all nodes at once.
func (f *fleet) each(do func(*member) error) error {
	all := f.all()
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, m := range all {
		wg.Go(func() { errs[i] = do(m) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// join adds a node with drives to the running cluster.
func (f *fleet) join(ctx context.Context, name string) (*member, error) {
	m, err := f.host(ctx, name, f.drivesEach)
	if err != nil {
		return nil, err
	}
	if m.front, err = f.fronts.Add(name, m.address()); err != nil {
		return nil, err
	}
	m.tell(load.Gone) // until it is ready
	f.members = append(f.members, m)
	return m, m.start(ctx)
}

// remove forgets a node that was stopped for good.
func (f *fleet) remove(gone *member) {
	var left []*member
	for _, m := range f.members {
		if m != gone {
			left = append(left, m)
		}
	}
	f.members = left
}

// drives are the directories of all drives.
func (f *fleet) drives() (all []string) {
	for _, m := range f.members {
		all = append(all, m.drives...)
	}
	return all
}

// whole waits until every node says that what it looks after has full redundancy, twice in a row: what a
// node does not lead, another does, and that may change between two questions.
func (f *fleet) whole(ctx context.Context, limit time.Duration) error {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for rounds := 0; ; {
		why := f.unwhole()
		if rounds++; why != "" {
			rounds = 0
		}
		if rounds == 2 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; %s", ctx.Err(), why)
		case <-deadline.C:
			return fmt.Errorf("no full redundancy after %s: %s", limit, why)
		case <-tick.C:
		}
	}
}

func (f *fleet) unwhole() string {
	var mu sync.Mutex
	why := ""
	_ = f.each(func(m *member) error {
		code, body := m.fetch("/-/metrics")
		if v := metricOf(body, "holdfast_full_redundancy"); v != 1 && len(m.drives) > 0 {
			told := m.troubles()
			mu.Lock()
			defer mu.Unlock()
			why = fmt.Sprintf("%s answers %d, holdfast_full_redundancy is %v: %s", m.host.Name, code, v, told)
		}
		return nil
	})
	return why
}

// troubles is what a node tells operators.
func (m *member) troubles() string {
	body, err := call(context.Background(), m.front.HTTP(), root(), http.MethodGet, m.address(), "status")
	var s operate.Status
	if err == nil {
		err = json.Unmarshal(body, &s)
	}
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d wait for repair, %v", s.Repair.Queued, s.Trouble)
}

// cut separates a node from the others: what it sends, what it is sent, or both. Clients reach it still.
func (f *fleet) cut(ctx context.Context, m *member, sends, receives bool) error {
	m.tell(load.Cut)
	for _, other := range f.all() {
		if other == m {
			continue
		}
		if sends {
			if err := f.net.Cut(ctx, m.host, other.host); err != nil {
				return err
			}
		}
		if receives {
			if err := f.net.Cut(ctx, other.host, m.host); err != nil {
				return err
			}
		}
	}
	return nil
}

// heal ends all cuts.
func (f *fleet) heal(ctx context.Context) error {
	return f.each(func(m *member) error { return f.net.Heal(ctx, m.host) })
}

// end stops everything, however it stands.
func (f *fleet) end() {
	_ = f.each(func(m *member) error {
		if m.done != nil {
			if m.running() {
				_ = m.cmd.Process.Kill() // a process that is paused too
			}
			<-m.done
		}
		return nil
	})
}

// dump has a node write what it does to its log, and end.
func (f *fleet) dump(name string) {
	for _, m := range f.all() {
		if m.host.Name == name {
			fmt.Fprintf(os.Stderr, "%s is slow: see %s\n", name, m.logPath())
			m.signal(syscall.SIGQUIT)
		}
	}
}

// admin runs a command of the program for operators, through whatever node answers.
func (f *fleet) admin(ctx context.Context, args ...string) ([]byte, error) {
	var endpoints []string
	for _, m := range f.all() {
		endpoints = append(endpoints, "https://"+m.address())
	}
	args = append([]string{"admin", "--endpoint", strings.Join(endpoints, ","), "--ca", f.ca()}, args...)
	cmd := exec.CommandContext(ctx, f.binary, args...)
	cmd.Env = append(os.Environ(), "HOLDFAST_ROOT_USER="+accessKey, "HOLDFAST_ROOT_PASSWORD="+secretKey)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("holdfast %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(exit.Stderr))
	}
	return out, err
}

// status is what an operator is shown.
func (f *fleet) status(ctx context.Context) (*operate.Status, error) {
	out, err := f.admin(ctx, "status", "--json")
	if err != nil {
		return nil, err
	}
	s := &operate.Status{}
	return s, json.Unmarshal(out, s)
}

// levelled waits until nothing is left to move, for as long as steady, and says how much was moved.
func (f *fleet) levelled(ctx context.Context, limit, steady time.Duration) (*operate.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for since := time.Now(); ; {
		s, err := f.status(ctx)
		if err != nil || !f.level(s) {
			since = time.Now()
		}
		if err == nil && time.Since(since) > steady {
			return s, nil
		}
		if pauseFor(ctx, 500*time.Millisecond) != nil {
			if err == nil {
				err = fmt.Errorf("full redundancy %v, %v; %+v", s.Redundancy.Full, s.Trouble, s.Rebalance)
			}
			return nil, fmt.Errorf("not levelled after %s: %w", limit, err)
		}
	}
}

// level reports whether the nodes that count have looked at everything, and found nothing to move; and whether the
// one that answers knows of all drives: it learns of new ones a second late.
func (f *fleet) level(s *operate.Status) bool {
	alive := map[string]int{}
	for i := range s.Drives {
		if s.Drives[i].Alive {
			alive[s.Drives[i].NodeName]++
		}
	}
	for _, m := range f.members {
		if alive[m.host.Name] < len(m.drives) {
			return false
		}
	}
	r := &s.Rebalance
	return s.Redundancy.Full && r.Surveyed && r.LeftShards == 0 && r.LeftReplicas == 0
}

// arriving waits until a node has been given the first replica.
func (f *fleet) arriving(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		s, err := f.status(ctx)
		if err == nil {
			for i := range s.Drives {
				if s.Drives[i].NodeName == name && s.Drives[i].Replicas > 0 {
					return nil
				}
			}
		}
		if pauseFor(ctx, 100*time.Millisecond) != nil {
			return fmt.Errorf("%s was given no replica within %s: %w", name, startTimeout, err)
		}
	}
}

// drain has the cluster empty a node, and waits for that.
func (f *fleet) drain(ctx context.Context, m *member, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	_, err := f.admin(ctx, "node", "drain", m.host.Name, "--wait", "--json")
	return err
}
