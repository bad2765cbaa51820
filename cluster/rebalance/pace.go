package rebalance

import (
	"context"
	"sync"
	"time"
)

// pacer is a token bucket whose rate may change at any time. It holds a second's worth.
type pacer struct {
	rate func() int64 // bytes per second
	now  func() time.Time

	mu     sync.Mutex
	tokens float64 // below zero: what was taken in advance
	last   time.Time
}

// take waits until n bytes may be moved.
func (p *pacer) take(ctx context.Context, n int) error {
	return pause(ctx, p.reserve(n))
}

func (p *pacer) reserve(n int) time.Duration {
	rate := float64(max(1, p.rate()))
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if p.last.IsZero() {
		p.tokens = rate
	} else {
		p.tokens = min(rate, p.tokens+rate*max(0, now.Sub(p.last).Seconds()))
	}
	p.last = now
	p.tokens -= float64(n)
	if p.tokens >= 0 {
		return 0
	}
	return time.Duration(-p.tokens / rate * float64(time.Second))
}

// pause returns when d has passed, or with the error of ctx.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// meterSeconds is the time over which the present rate is taken.
const meterSeconds = 30

// meter counts bytes by the second.
type meter struct {
	counts [meterSeconds]int64
	second int64 // Unix time of the newest count
	begun  int64 // of the first
}

func (m *meter) add(now time.Time, n int64) {
	m.turn(now)
	m.counts[m.second%meterSeconds] += n
}

func (m *meter) turn(now time.Time) {
	s := now.Unix()
	if m.second == 0 || s-m.second >= meterSeconds {
		clear(m.counts[:])
		m.begun, m.second = s, s
	}
	for m.second < s {
		m.second++
		m.counts[m.second%meterSeconds] = 0
	}
}

// rate is bytes per second over the last half minute, or since it began.
func (m *meter) rate(now time.Time) int64 {
	if m.second == 0 {
		return 0
	}
	m.turn(now)
	var sum int64
	for _, n := range m.counts {
		sum += n
	}
	return sum / min(meterSeconds, m.second-m.begun+1)
}
