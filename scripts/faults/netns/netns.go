package netns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// The addresses are nobody else's: the network is not connected to any other.
const (
	subnet  = "10.77.0."
	gateway = subnet + "254/24" // this process, at the bridge
	bridge  = "br0"
	maxHost = 200
)

// Net is a network of hosts.
type Net struct {
	mu    sync.Mutex
	hosts int
}

// Host is one machine of the network.
type Host struct {
	Name, IP string
}

// New makes a network without hosts, in a process that has entered its namespaces.
func New(ctx context.Context) (*Net, error) {
	if os.Getenv(inside) == "" {
		return nil, errors.New("netns: not inside; call Enter first")
	}
	for _, program := range []string{"ip", "iptables"} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, fmt.Errorf("netns: %w (Debian: apt-get install iproute2 iptables)", err)
		}
	}
	return &Net{}, run(ctx,
		"ip link set lo up",
		"ip link add "+bridge+" type bridge",
		"ip link set "+bridge+" up",
		"ip addr add "+gateway+" dev "+bridge)
}

// Add connects another host.
func (n *Net) Add(ctx context.Context, name string) (*Host, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.hosts == maxHost {
		return nil, errors.New("netns: too many hosts")
	}
	n.hosts++
	h, port := &Host{Name: name, IP: fmt.Sprint(subnet, n.hosts)}, fmt.Sprint("v", n.hosts)
	return h, run(ctx,
		"ip netns add "+name,
		fmt.Sprintf("ip link add %s type veth peer name eth0 netns %s", port, name),
		fmt.Sprintf("ip link set %s master %s up", port, bridge),
		fmt.Sprintf("ip -n %s link set lo up", name),
		fmt.Sprintf("ip -n %s addr add %s/24 dev eth0", name, h.IP),
		fmt.Sprintf("ip -n %s link set eth0 up", name))
}

// Cut drops, without a word to either, what one host sends to another.
func (n *Net) Cut(ctx context.Context, from, to *Host) error {
	return run(ctx, fmt.Sprintf("ip netns exec %s iptables -w -A INPUT -s %s -j DROP", to.Name, from.IP))
}

// Heal ends all cuts of what a host receives.
func (n *Net) Heal(ctx context.Context, h *Host) error {
	return run(ctx, fmt.Sprintf("ip netns exec %s iptables -w -F INPUT", h.Name))
}

// Command is a program to be run on the host; its process is the program's own.
func (h *Host) Command(name string, args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", h.Name, name}, args...)...)
}

// Dial connects from the host to an address.
func (h *Host) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result, 1)
	go func() {
		// The thread that was in the host's namespace ends with this goroutine: it is never unlocked.
		runtime.LockOSThread()
		space, err := os.Open(filepath.Join("/run/netns", h.Name))
		if err != nil {
			done <- result{nil, err}
			return
		}
		defer space.Close()
		if err := unix.Setns(int(space.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- result{nil, fmt.Errorf("netns: enter %s: %w", h.Name, err)}
			return
		}
		// One address, so that the dial stays on this thread.
		conn, err := (&net.Dialer{FallbackDelay: -1}).DialContext(ctx, network, address)
		done <- result{conn, err}
	}()
	r := <-done
	return r.conn, r.err
}

func run(ctx context.Context, commands ...string) error {
	for _, c := range commands {
		words := strings.Fields(c)
		if out, err := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("netns: %s: %w: %s", c, err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}
