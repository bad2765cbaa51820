package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast/cluster/operate"
)

// look looks at the cluster once; with again, until use says that it is done, or the user. Nodes that
// do not answer are waited for then: the work goes on without whoever watches it.
func (s *session) look(ctx context.Context, again bool, use func(*operate.Status) (done bool, err error)) error {
	complained := ""
	for {
		st, err := s.client.status(ctx)
		var told *apiError
		switch {
		case ctx.Err() != nil && again:
			return nil
		case err != nil && (!again || errors.As(err, &told) && told.final()):
			return err
		case err != nil:
			if text := err.Error(); text != complained && !s.json {
				complained = text
				fmt.Fprintf(s.out, "%s… trying again\n", text)
			}
		default:
			complained = ""
			if done, err := use(&st); done || err != nil || !again {
				return err
			}
		}
		t := time.NewTimer(s.interval)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil
		}
	}
}

// progressLine prints one line of progress: over the last one on a terminal, else if it is another.
type progressLine struct {
	s    *session
	last string
}

func (p *progressLine) show(text string) {
	switch {
	case p.s.out.terminal:
		fmt.Fprint(p.s.out, clearLine+text)
	case text != p.last:
		fmt.Fprintln(p.s.out, text)
	}
	p.last = text
}

// end leaves the line as it is.
func (p *progressLine) end() {
	if p.s.out.terminal && p.last != "" {
		fmt.Fprintln(p.s.out)
	}
}

// paceWindow is the time over which a rate is taken.
const paceWindow = time.Minute

// pace tells from what was left at times how fast it becomes less.
type pace struct{ seen []sample }

type sample struct {
	at   time.Time
	left int64
}

// add takes in what is left. The rate is per second; ok is false while it is not known.
func (p *pace) add(at time.Time, left int64) (rate float64, ok bool) {
	p.seen = append(p.seen, sample{at, left})
	for len(p.seen) > 2 && at.Sub(p.seen[0].at) > paceWindow {
		p.seen = p.seen[1:]
	}
	first := p.seen[0]
	seconds := at.Sub(first.at).Seconds()
	if seconds <= 0 || left >= first.left {
		return 0, false
	}
	return float64(first.left-left) / seconds, true
}

// timeLeft is how long the rest takes at a rate.
func timeLeft(left int64, rate float64) time.Duration {
	return time.Duration(min(float64(left)/rate, 1e9) * float64(time.Second))
}
