package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"holdfast/scripts/faults/load"
)

// server is a `holdfast dev` in a directory of its own.
type server struct {
	dir, binary, address string
	data                 string
	cmd                  *exec.Cmd
	done                 chan struct{}
	http                 *http.Client
	fronts               *load.Fronts // once there is a load
}

// tell says to the load how the server is.
func (s *server) tell(how load.Condition) {
	if s.fronts != nil {
		s.fronts.Set(s.address, how)
	}
}

const (
	accessKey = "faults"
	secretKey = "faults-secret-of-the-harness"
	// readyTimeout is generous: the machine may be busy with other work.
	readyTimeout = 90 * time.Second
)

func newServer(ctx context.Context, dir, binary string) (*server, error) {
	if binary == "" {
		binary = filepath.Join(dir, "holdfast")
		build := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/holdfast")
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build holdfast: %w\n%s", err, out)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	return &server{dir: dir, binary: binary, address: l.Addr().String(), data: filepath.Join(dir, "data")}, nil
}

// start runs the server and waits until it is ready.
func (s *server) start(ctx context.Context) error {
	log, err := os.OpenFile(filepath.Join(s.dir, "holdfast.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd = exec.Command(s.binary, "dev", "--dir", s.data, "--address", s.address, "--log-level", "info", "--reclaim-after", "2s")
	s.cmd.Env = append(os.Environ(), "HOLDFAST_ROOT_USER="+accessKey, "HOLDFAST_ROOT_PASSWORD="+secretKey)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.done = make(chan struct{})
	go func() {
		_ = s.cmd.Wait() // the exit status is in ProcessState
		close(s.done)
	}()
	if err := s.await(ctx, "ready", readyTimeout, func() bool { return s.status("/-/ready") == http.StatusOK }); err != nil {
		return err
	}
	s.tell(load.Well)
	return nil
}

// await polls until ok or the server's end.
func (s *server) await(ctx context.Context, what string, limit time.Duration, ok func() bool) error {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.done:
			return fmt.Errorf("the server ended (%s) while waiting for it to be %s", s.cmd.ProcessState, what)
		case <-deadline.C:
			return fmt.Errorf("not %s within %s", what, limit)
		case <-tick.C:
		}
	}
	return nil
}

func (s *server) roots() (*x509.CertPool, error) {
	pem, err := os.ReadFile(filepath.Join(s.data, "certs", "ca.pem"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("ca.pem holds no certificate")
	}
	return pool, nil
}

// client trusts the server's CA; it is made when the CA is there.
func (s *server) client() (*http.Client, error) {
	if s.http != nil {
		return s.http, nil
	}
	pool, err := s.roots()
	if err != nil {
		return nil, err
	}
	s.http = &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool}, MaxIdleConnsPerHost: 64, DisableCompression: true}}
	return s.http, nil
}

func (s *server) fetch(path string) (int, []byte) {
	c, err := s.client()
	if err != nil {
		return 0, nil
	}
	resp, err := c.Get("https://" + s.address + path)
	if err != nil {
		return 0, nil
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return 0, nil
	}
	return resp.StatusCode, body
}

func (s *server) status(path string) int {
	code, _ := s.fetch(path)
	return code
}

// metric reads one unlabelled metric, or the sum over its labels; -1 when it is not there.
func (s *server) metric(name string) float64 {
	_, body := s.fetch("/-/metrics")
	sum, found := 0.0, false
	for sc := bufio.NewScanner(bytes.NewReader(body)); sc.Scan(); {
		rest, ok := strings.CutPrefix(sc.Text(), name)
		if !ok || (rest[0] != ' ' && rest[0] != '{') {
			continue
		}
		v, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
		if err == nil {
			sum, found = sum+v, true
		}
	}
	if !found {
		return -1
	}
	return sum
}

// whole waits until the server says that everything has full redundancy.
func (s *server) whole(ctx context.Context) error {
	return s.await(ctx, "at full redundancy", 3*time.Minute, func() bool { return s.metric("holdfast_full_redundancy") == 1 })
}

// kill ends the server as a power cut of the process would.
func (s *server) kill() { s.end(syscall.SIGKILL) }

// stop ends the server cleanly and says whether it ended so.
func (s *server) stop() error {
	s.end(syscall.SIGTERM)
	if s.cmd.ProcessState.ExitCode() != 0 {
		return fmt.Errorf("the server did not stop cleanly: %s", s.cmd.ProcessState)
	}
	return nil
}

func (s *server) end(sig syscall.Signal) {
	if s.cmd == nil || s.cmd.Process == nil {
		return
	}
	s.tell(load.Dead)
	_ = s.cmd.Process.Signal(sig) // it may have ended already
	<-s.done
	if s.http != nil {
		s.http.CloseIdleConnections()
	}
}

func (s *server) drive(n int) string { return filepath.Join(s.data, fmt.Sprintf("drive%d", n)) }

func tail(path string, n int) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(b[max(0, len(b)-n):])
}
