package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// The ports of a cluster, where none is given.
const (
	peerPort   = "9001"
	gossipPort = "9002"
)

// Network is what a node of a cluster is told about the others.
type Network struct {
	// Join are the peer addresses (host:port) of nodes to ask for the cluster.
	Join []string
	// Expect is how many storage nodes form a new cluster; 0 joins one that is there.
	Expect int
	// Zone is the rack or room that fails as one; Name is for people.
	Zone, Name string
	// Peer and Gossip are the addresses to listen on; Advertise is the host by which other nodes
	// reach this one.
	Peer, Gossip, Advertise string
	// RepairAfter is how long a drive may be away before its data is rebuilt elsewhere; 0 leaves
	// it to the cluster's settings.
	RepairAfter time.Duration
}

// enabled reports whether this process is one of several.
func (n *Network) enabled() bool { return len(n.Join) > 0 || n.Expect > 0 }

type networkFlags struct {
	join                    []string
	expect                  int
	zone, name              string
	peer, gossip, advertise string
	repairAfter             time.Duration
}

func (n *networkFlags) bind(f *pflag.FlagSet) {
	f.StringArrayVar(&n.join, "join", nil, "other nodes of the cluster, HOST or HOST:PORT of their peer address; repeatable, or separated by commas")
	f.IntVar(&n.expect, "expect", 0, "number of nodes with drives that form the cluster, once; every later node just joins")
	f.StringVar(&n.zone, "zone", "", "what fails together with this node, such as its rack; data is spread over zones")
	f.StringVar(&n.name, "node-name", "", "name of this node for people; the default is the host's")
	f.StringVar(&n.peer, "peer-address", ":"+peerPort, "address for other nodes (gRPC); open only with --join or --expect")
	f.StringVar(&n.gossip, "gossip-address", ":"+gossipPort, "address for gossip, TCP and UDP; open only with --join or --expect")
	f.StringVar(&n.advertise, "advertise", "", "host name or address by which other nodes reach this one; the default is that of --peer-address, or this machine's own")
	f.DurationVar(&n.repairAfter, "repair-after", 15*time.Minute, "how long a drive may be away before its data is rebuilt on others")
}

// maxExpect is far above what anybody starts with, and below what would be a typing error.
const maxExpect = 1000

func (n *networkFlags) network() (Network, error) {
	out := Network{Expect: n.expect, Zone: n.zone, Name: n.name, Peer: n.peer, Gossip: n.gossip, RepairAfter: n.repairAfter}
	for _, given := range n.join {
		for text := range strings.SplitSeq(given, ",") {
			if text = strings.TrimSpace(text); text == "" {
				continue
			}
			address, err := withPort(text, peerPort)
			if err != nil {
				return Network{}, fmt.Errorf("--join %s: %w", text, err)
			}
			out.Join = append(out.Join, address)
		}
	}
	switch {
	case n.expect < 0 || n.expect > maxExpect:
		return Network{}, fmt.Errorf("--expect %d: 1 to %d", n.expect, maxExpect)
	case n.expect > 1 && len(out.Join) == 0:
		return Network{}, errors.New("--expect needs --join with the addresses of the other nodes")
	case n.repairAfter <= 0:
		return Network{}, errors.New("--repair-after must be positive: a node that restarts is away for a moment")
	}
	if !out.enabled() {
		return out, nil
	}
	if out.Name == "" {
		out.Name, _ = os.Hostname() // a node without a name is shown by its ID
	}
	var err error
	out.Advertise, err = advertised(n.advertise, n.peer)
	return out, err
}

// withPort adds a port to a host that has none.
func withPort(text, port string) (string, error) {
	host, given, err := net.SplitHostPort(text)
	if err != nil {
		return net.JoinHostPort(strings.Trim(text, "[]"), port), nil
	}
	if n, err := strconv.Atoi(given); err != nil || n < 1 || n > 65535 || host == "" {
		return "", errors.New("it is no HOST or HOST:PORT")
	}
	return text, nil
}

// advertised is the host by which others reach this node: what is given, what it listens on, or the
// machine's own address if that is one.
func advertised(given, listen string) (string, error) {
	if given != "" {
		return strings.Trim(given, "[]"), nil
	}
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return "", fmt.Errorf("--peer-address %s: %w", listen, err)
	}
	if ip := net.ParseIP(host); host != "" && (ip == nil || !ip.IsUnspecified()) {
		return host, nil
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return "", fmt.Errorf("look for an address of this machine: %w", err)
	}
	var own []string
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() && n.IP.To4() != nil {
			own = append(own, n.IP.String())
		}
	}
	if len(own) != 1 {
		return "", fmt.Errorf("this machine has %d addresses (%s): say by --advertise which one the other nodes reach it by", len(own), strings.Join(own, ", "))
	}
	return own[0], nil
}
