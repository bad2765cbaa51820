package wire

import (
	"context"
	"fmt"
	"sync"
	"time"

	"holdfast/internal/id"
	"holdfast/meta/replica"
)

// Transport carries replicas' messages to other nodes. It is made before the Host that uses it.
type Transport struct {
	cfg    Config
	life   context.Context // ends with Close
	cancel context.CancelFunc
	lanes  sync.Map // address → *lane
	start  sync.Mutex
	active sync.WaitGroup
	quiet  muffler
	counts transportCounts
}

// NewTransport makes a Transport.
func NewTransport(cfg Config) (*Transport, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	t := &Transport{cfg: cfg, quiet: muffler{every: logEvery}}
	t.life, t.cancel = context.WithCancel(context.Background())
	return t, nil
}

// Close ends all streams. What is still queued is lost.
func (t *Transport) Close() {
	t.start.Lock() // no lane is started after this
	t.cancel()
	t.start.Unlock()
	t.active.Wait()
}

// Send implements replica.Transport.
func (t *Transport) Send(msgs []replica.Message) {
	address, ok := t.cfg.Peers.NodeOf(msgs[0].To)
	if !ok {
		t.counts.homeless.Add(uint64(len(msgs)))
		return
	}
	if l, ok := t.lanes.Load(address); ok {
		l.(*lane).put(msgs)
	} else if l := t.startLane(address); l != nil {
		l.put(msgs)
	}
}

func (t *Transport) startLane(address string) *lane {
	t.start.Lock()
	defer t.start.Unlock()
	if t.life.Err() != nil {
		return nil
	}
	if l, ok := t.lanes.Load(address); ok {
		return l.(*lane)
	}
	l := newLane(address, laneLimits{
		messages: t.cfg.QueueMessages, bytes: t.cfg.QueueBytes,
		stall: t.cfg.Stall, firstPause: firstPause, lastPause: lastPause,
	}, &t.counts)
	l.open, l.report = t.openMessages, t.report
	t.lanes.Store(address, l)
	t.active.Go(func() {
		l.run(t.life, idleLane, func() bool {
			if !l.retire() {
				return false
			}
			t.lanes.Delete(address)
			return true
		})
	})
	return l
}

// report logs why a node is not reached, not too often.
func (t *Transport) report(address string, err error) {
	if t.life.Err() == nil && t.quiet.speak(address, time.Now()) {
		t.cfg.Logger.Warn("messages of metadata replicas do not get through", "peer", address, "error", err)
	}
}

// addressOf is where a drive is.
func (t *Transport) addressOf(drive id.Drive) (string, error) {
	address, ok := t.cfg.Peers.NodeOf(drive)
	if !ok {
		return "", fmt.Errorf("wire: no node is known to have drive %s", drive)
	}
	return address, nil
}

// muffler lets one sentence a subject through in a while.
type muffler struct {
	every time.Duration
	mu    sync.Mutex
	last  map[string]time.Time
}

func (m *muffler) speak(subject string, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if last, ok := m.last[subject]; ok && now.Sub(last) < m.every {
		return false
	}
	if m.last == nil || len(m.last) >= maxMuffled {
		m.last = map[string]time.Time{}
	}
	m.last[subject] = now
	return true
}
