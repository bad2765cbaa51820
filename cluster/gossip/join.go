package gossip

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"time"
)

// attempt is the state of the attempts at one address.
type attempt struct {
	next  time.Time
	pause time.Duration
}

// keepJoining tries seeds and lost nodes until ctx ends. memberlist forgets the dead after a while,
// and never tries what it does not know: without this, two halves of a network that was cut for longer
// would stay two for ever.
func (g *Gossip) keepJoining(ctx context.Context) {
	defer close(g.done)
	attempts := map[string]*attempt{}
	for {
		targets := g.missing(g.resolve(ctx, g.cfg.Seeds(ctx)))
		for address := range attempts {
			if !targets[address] {
				delete(attempts, address)
			}
		}
		now := time.Now()
		var wg sync.WaitGroup
		for address := range targets {
			a := attempts[address]
			if a == nil {
				a = &attempt{pause: joinPause}
				attempts[address] = a
			}
			if now.Before(a.next) || ctx.Err() != nil {
				continue
			}
			a.next = now.Add(a.pause + time.Duration(rand.Int64N(int64(a.pause/4))))
			a.pause = min(2*a.pause, lastJoinPause)
			wg.Go(func() { g.join(address) })
		}
		wg.Wait()
		select {
		case <-ctx.Done():
			return
		case <-time.After(joinPause):
		}
	}
}

// resolve turns names into addresses, at most maxSeeds of them.
func (g *Gossip) resolve(ctx context.Context, seeds []string) (addresses []string) {
	for _, seed := range seeds[:min(len(seeds), maxSeeds)] {
		host, port, err := net.SplitHostPort(seed)
		if err == nil && net.ParseIP(host) == nil {
			var ips []net.IPAddr
			inner, cancel := context.WithTimeout(ctx, resolveTimeout)
			ips, err = net.DefaultResolver.LookupIPAddr(inner, host)
			cancel()
			for _, ip := range ips {
				addresses = append(addresses, net.JoinHostPort(ip.String(), port))
			}
		} else if err == nil {
			addresses = append(addresses, seed)
		}
		if err != nil && ctx.Err() == nil && g.limited.allow("resolve "+seed, time.Now()) {
			g.cfg.Logger.Warn("a name of --join is not found; it is tried again", "name", seed, "error", err)
		}
	}
	return addresses[:min(len(addresses), maxSeeds)]
}

// missing are the addresses of seeds and of known nodes that are not there, at most maxJoins.
func (g *Gossip) missing(seeds []string) map[string]bool {
	self := g.Address()
	g.mu.Lock()
	defer g.mu.Unlock()
	there := map[string]bool{self: true}
	for _, s := range g.starts {
		if s.Alive {
			there[s.Address] = true
		}
	}
	targets := map[string]bool{}
	add := func(address string) {
		if !there[address] && len(targets) < maxJoins {
			targets[address] = true
		}
	}
	for _, s := range seeds {
		add(s)
	}
	for _, s := range g.starts { // in no order: all have their turn
		if !s.Alive && !s.Left {
			add(s.Address)
		}
	}
	return targets
}

// errSecret is what a peer with another secret looks like.
var errSecret = errors.New("it cannot read what this node says: it has another cluster secret")

func (g *Gossip) join(address string) {
	n, err := g.list.Join([]string{address})
	switch {
	case n > 0:
		g.cfg.Logger.Debug("joined the gossip", "address", address)
	case err == nil:
	default:
		if strings.Contains(err.Error(), undecipherable) || strings.HasSuffix(strings.TrimSpace(err.Error()), "EOF") {
			err = errSecret
		} else { // its own has several lines
			_, text, _ := strings.Cut(strings.TrimSpace(err.Error()), "failed to join ")
			err = errors.New(text)
		}
		if g.limited.allow("join "+address, time.Now()) {
			g.cfg.Logger.Warn("a node cannot be joined yet; it is tried again", "address", address, "error", err)
		}
	}
}
