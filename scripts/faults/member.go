package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"holdfast/scripts/faults/load"
	"holdfast/scripts/faults/netns"
)

// member is a node of the cluster: a host of the network with drives of its own, or none.
type member struct {
	f      *fleet
	host   *netns.Host
	dir    string
	drives []string
	front  *load.Front
	cmd    *exec.Cmd
	done   chan struct{} // closed when the process has ended
}

const (
	s3Port = "9000"
	// startTimeout is generous: the machine may be busy with other work.
	startTimeout = 90 * time.Second
	// stopTimeout is how long a node may take to stop: longer than its requests may.
	stopTimeout = 60 * time.Second
)

func (m *member) address() string { return m.host.IP + ":" + s3Port }

// launch starts the process, and does not wait for it.
func (m *member) launch() error {
	log, err := os.OpenFile(m.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	args := []string{
		"server", "--address", m.address(), "--peer-address", m.host.IP + ":9001", "--gossip-address", m.host.IP + ":9002",
		"--advertise", m.host.IP, "--node-name", m.host.Name, "--cluster-secret-file", m.f.secretFile, "--metrics-token-file", m.f.tokenFile,
		"--certs-dir", filepath.Join(m.dir, "certs"), "--join", strings.Join(m.f.seeds, ","),
		"--repair-after", m.f.repairAfter.String(), "--reclaim-after", "5s", "--drain-timeout", "15s", "--log-format", "json",
	}
	if m.f.expect > 0 && len(m.drives) > 0 {
		args = append(args, "--expect", strconv.Itoa(m.f.expect))
	}
	for _, d := range m.drives {
		args = append(args, "--data", d)
	}
	m.cmd = m.host.Command(m.f.binary, args...)
	m.cmd.Env = append(os.Environ(), "HOLDFAST_ROOT_USER="+accessKey, "HOLDFAST_ROOT_PASSWORD="+secretKey)
	m.cmd.Stdout, m.cmd.Stderr = log, log
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for this program, which stops it in order
	if err := m.cmd.Start(); err != nil {
		return err
	}
	cmd, done := m.cmd, make(chan struct{})
	m.done = done
	go func() {
		_ = cmd.Wait() // the exit status is in ProcessState
		close(done)
	}()
	return nil
}

func (m *member) logPath() string { return filepath.Join(m.f.dir, m.host.Name+".log") }

// start starts the process and waits until it takes requests.
func (m *member) start(ctx context.Context) error {
	if err := m.launch(); err != nil {
		return err
	}
	return m.ready(ctx)
}

// ready waits until the node takes requests, and lets the load use it.
func (m *member) ready(ctx context.Context) error {
	err := m.await(ctx, "ready", startTimeout, func() bool { return m.status("/-/ready") == http.StatusOK })
	if err == nil {
		m.tell(load.Well)
	}
	return err
}

// tell says to the load how the node is.
func (m *member) tell(how load.Condition) { m.f.fronts.Set(m.host.Name, how) }

// await polls until ok or the process's end.
func (m *member) await(ctx context.Context, what string, limit time.Duration, ok func() bool) error {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-m.done:
			return fmt.Errorf("%s ended (%s) while it was to be %s:\n%s", m.host.Name, m.cmd.ProcessState, what, tail(m.logPath(), 1500))
		case <-deadline.C:
			_, body := m.fetch("/-/ready")
			return fmt.Errorf("%s is not %s after %s: %s", m.host.Name, what, limit, bytes.TrimSpace(body))
		case <-tick.C:
		}
	}
	return nil
}

// lookTimeout bounds one look at a node.
const lookTimeout = 5 * time.Second

// fetch asks the node for what is not S3; 0 if there was no answer.
func (m *member) fetch(path string) (int, []byte) {
	c := m.front.HTTP()
	c.Timeout = lookTimeout
	req, err := http.NewRequest(http.MethodGet, "https://"+m.address()+path, http.NoBody)
	if err != nil {
		return 0, nil
	}
	req.Header.Set("Authorization", "Bearer "+m.f.token)
	resp, err := c.Do(req)
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

func (m *member) status(path string) int {
	code, _ := m.fetch(path)
	return code
}

// metricOf is the sum of a metric over its labels; -1 when it is not there.
func metricOf(body []byte, name string) float64 {
	sum, found := 0.0, false
	for sc := bufio.NewScanner(bytes.NewReader(body)); sc.Scan(); {
		rest, ok := strings.CutPrefix(sc.Text(), name)
		if !ok || rest == "" || (rest[0] != ' ' && rest[0] != '{') {
			continue
		}
		if v, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64); err == nil {
			sum, found = sum+v, true
		}
	}
	if !found {
		return -1
	}
	return sum
}

// running reports whether the process has not ended.
func (m *member) running() bool {
	if m.done == nil {
		return false
	}
	select {
	case <-m.done:
		return false
	default:
		return true
	}
}

// kill ends the process at once.
func (m *member) kill() {
	m.tell(load.Dead)
	m.signal(syscall.SIGKILL)
	if m.done != nil {
		<-m.done
	}
}

// pause stops the process where it stands; its sockets stay open.
func (m *member) pause() {
	m.tell(load.Dead)
	m.signal(syscall.SIGSTOP)
}

func (m *member) resume() { m.signal(syscall.SIGCONT) }

func (m *member) signal(s syscall.Signal) {
	if m.running() {
		_ = m.cmd.Process.Signal(s) // it may be ending just now
	}
}

// stop ends the process in order, and says whether it ended so.
func (m *member) stop() error {
	if !m.running() {
		return nil
	}
	m.tell(load.Going)
	m.signal(syscall.SIGTERM)
	limit := time.NewTimer(stopTimeout)
	defer limit.Stop()
	select {
	case <-m.done:
	case <-limit.C:
		m.kill()
		return fmt.Errorf("%s did not stop within %s", m.host.Name, stopTimeout)
	}
	m.tell(load.Gone)
	if code := m.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("%s did not stop cleanly: %s:\n%s", m.host.Name, m.cmd.ProcessState, tail(m.logPath(), 1500))
	}
	return nil
}

// wipe deletes all that the node keeps. It must not run.
func (m *member) wipe() error {
	var errs []error
	for _, d := range m.drives {
		errs = append(errs, os.RemoveAll(d))
	}
	return errors.Join(append(errs, os.RemoveAll(filepath.Join(m.dir, "certs")))...)
}

// cpu is the time (user and system) that the process has used.
func (m *member) cpu() time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", m.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	const ticksPerSecond = 100 // USER_HZ, the same on every Linux that Go runs on
	return time.Duration(user+system) * time.Second / ticksPerSecond
}
