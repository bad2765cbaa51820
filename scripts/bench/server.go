package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Bounds of starting and stopping a server.
const (
	readyTimeout = 90 * time.Second
	stopTimeout  = 30 * time.Second
)

// process is a server that was started here.
type process struct {
	target *target
	cmd    *exec.Cmd
	log    string
	done   chan struct{}
}

// launch runs a command with its output in a log, in a process group of its own.
func launch(t *target, cmd *exec.Cmd, log string) (*process, error) {
	f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cmd.Stdout, cmd.Stderr = f, f
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{target: t, cmd: cmd, log: log, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // the exit status is in ProcessState
		close(p.done)
	}()
	t.pids = append(t.pids, cmd.Process.Pid)
	return p, nil
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func (p *process) stop() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.done
	}
}

// startSingle starts a server of one process each. What was started is returned with an error, too.
func (o *options) startSingle(dir string) (started []*process, err error) {
	if o.start != "" {
		o.a.pids = nil
		p, err := startHoldfast(&o.a, o.start, o.args, dir)
		if err != nil {
			return nil, err
		}
		started = append(started, p)
	}
	if o.otherCmd != "" {
		o.b.pids = nil
		p, err := startOther(&o.b, o.otherCmd, dir)
		if err != nil {
			return started, err
		}
		started = append(started, p)
	}
	return started, nil
}

// defaultCredentials are for a server that is started here.
func (t *target) defaultCredentials() {
	if t.creds.AccessKey == "" {
		t.creds.AccessKey, t.creds.SecretKey = "bench", "bench-secret-of-the-harness"
	}
}

func (t *target) rootEnv() []string {
	return append(os.Environ(), "HOLDFAST_ROOT_USER="+t.creds.AccessKey, "HOLDFAST_ROOT_PASSWORD="+t.creds.SecretKey)
}

func startHoldfast(t *target, binary, args, dir string) (*process, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	t.defaultCredentials()
	if binary, err = filepath.Abs(binary); err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "holdfast-data")
	cmd := exec.Command(binary, append([]string{"dev", "--dir", data, "--address", address}, strings.Fields(args)...)...)
	cmd.Env = t.rootEnv()
	t.endpoint, t.ca = "https://"+address, filepath.Join(data, "certs", "ca.pem")
	return launch(t, cmd, filepath.Join(dir, "holdfast.log"))
}

func startOther(t *target, command, dir string) (*process, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	certs, data := filepath.Join(dir, "other-certs"), filepath.Join(dir, "other-data")
	if err := makeCerts(certs); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, err
	}
	command = strings.NewReplacer("{address}", address, "{dir}", data, "{certs}", certs).Replace(command)
	t.endpoint, t.ca = "https://"+address, filepath.Join(certs, "ca.pem")
	return launch(t, exec.Command("sh", "-c", command), filepath.Join(dir, "other.log"))
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// open prepares the dialers; a CA that the server is to make may be missing yet.
func (t *target) open() error {
	if t.creds.AccessKey == "" || t.creds.SecretKey == "" {
		return fmt.Errorf("%s: no credentials", t.name)
	}
	for endpoint := range strings.SplitSeq(t.endpoint, ",") {
		u, err := url.Parse(endpoint)
		if err != nil || u.Scheme != "https" || u.Host == "" {
			return fmt.Errorf("%s: the endpoint %q is no https://HOST:PORT", t.name, endpoint)
		}
		d := &dialer{host: u.Host, address: u.Host}
		if u.Port() == "" {
			d.address += ":443"
		}
		d.config = &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12, DynamicRecordSizingDisabled: true}
		t.dialers = append(t.dialers, d)
	}
	return nil
}

// trust reads the CA.
func (t *target) trust() error {
	if t.ca == "" || t.dialers[0].config.RootCAs != nil {
		return nil
	}
	pem, err := os.ReadFile(t.ca)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s: %s has no certificate", t.name, t.ca)
	}
	for _, d := range t.dialers {
		d.config.RootCAs = pool
	}
	return nil
}

// await polls until every endpoint lists the buckets. processes are those that were started here.
func (t *target) await(ctx context.Context, processes []*process) error {
	deadline := time.NewTimer(readyTimeout)
	defer deadline.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for ready := 0; ; {
		err := t.ping(t.dialers[ready])
		if err == nil {
			if ready++; ready == len(t.dialers) {
				return nil
			}
			continue
		}
		for _, p := range processes {
			if p.ended() {
				return fmt.Errorf("%s ended (%s); its output is\n%s", t.name, p.cmd.ProcessState, tail(p.log))
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline.C:
			for _, p := range processes {
				err = errors.Join(err, errors.New(tail(p.log)))
			}
			return fmt.Errorf("%s is not ready: %w", t.name, err)
		}
	}
}

func (t *target) ping(d *dialer) error {
	if err := t.trust(); err != nil {
		return err
	}
	c, err := t.dialTo(d)
	if err != nil {
		return err
	}
	defer c.close()
	_, err = c.call(&call{method: "GET", path: "/"}, nil)
	return err
}

// tail is the end of a log.
func tail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-2000):])
}
