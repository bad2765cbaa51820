package rpc

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"time"
)

const (
	refusalEvery = time.Minute // a peer's refusal is logged once in it
	refusalPeers = 256         // of which it is remembered; beyond, refusals go unlogged
)

// refusals logs who was refused and why, rarely: a peer that is refused tries again every second.
type refusals struct {
	logger *slog.Logger
	now    func() time.Time

	mu   sync.Mutex
	last map[string]time.Time
}

// note logs a refusal of the peer at address, unless one was logged within the minute.
func (r *refusals) note(address, why string) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	now := r.now()
	r.mu.Lock()
	if r.last == nil {
		r.last = map[string]time.Time{}
	}
	key := host + " " + why
	last, seen := r.last[key]
	if seen && now.Sub(last) < refusalEvery {
		r.mu.Unlock()
		return
	}
	if len(r.last) >= refusalPeers {
		for k, t := range r.last {
			if now.Sub(t) >= refusalEvery {
				delete(r.last, k)
			}
		}
	}
	if len(r.last) >= refusalPeers {
		r.mu.Unlock()
		return
	}
	r.last[key] = now
	r.mu.Unlock()
	r.logger.LogAttrs(context.Background(), slog.LevelWarn, "peer refused", slog.String("peer", host), slog.String("reason", why))
}
