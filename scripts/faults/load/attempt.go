package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"
)

const (
	// attemptLimit is how long one request may take: longer is a hung request, and a failure.
	attemptLimit = 10 * time.Second
	// patience is how long an operation is tried again: longer is a failure.
	patience = 30 * time.Second
	// The pauses between attempts double from one to the other, with jitter.
	firstPause, lastPause = 20 * time.Millisecond, 250 * time.Millisecond
)

// verdict is what became of an attempt.
type verdict int

const (
	done     verdict = iota
	refused          // a clear no: nothing happened
	unclear          // no answer, or one that leaves open whether it happened
	overload         // 503 SlowDown and the like before anything was begun: treated as unclear all the same
)

// judge reads an attempt's error.
func judge(err error) verdict {
	if err == nil {
		return done
	}
	var resp minio.ErrorResponse
	if errors.As(err, &resp) && resp.StatusCode >= 400 && resp.StatusCode < 500 && resp.StatusCode != http.StatusRequestTimeout {
		return refused
	}
	return unclear
}

// label names an error for the summary: few names, no keys.
func label(err error) string {
	var resp minio.ErrorResponse
	var network net.Error
	switch {
	case errors.As(err, &resp) && resp.StatusCode != 0:
		return fmt.Sprintf("%d %s", resp.StatusCode, resp.Code)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return "timeout"
	case errors.Is(err, context.Canceled):
		return "canceled"
	}
	return "connection"
}

// outcome is what became of an operation.
type outcome struct {
	verdict  verdict
	err      error
	doubtful bool // an attempt got no answer: it may still happen
}

// operate tries until there is a clear answer, or patience or ctx ends. through is a front to use for
// all attempts; nil: any that is well.
func (l *Load) operate(ctx context.Context, op string, r *rand.Rand, through *Front, f func(context.Context, *minio.Core) error) outcome {
	begin := time.Now()
	pause, out := firstPause, outcome{}
	var story []string
	for n := 1; ; n++ {
		front := through
		if front == nil {
			front = l.fronts.healthy()
		}
		started := time.Now()
		attempt, cancel := context.WithTimeout(ctx, attemptLimit)
		watch := l.watch(front)
		out.err = f(attempt, front.core)
		watch.Stop()
		cancel()
		took := time.Since(started)
		out.verdict = judge(out.err)
		story = append(story, tell(front, took, out.err))
		how := l.fronts.since(front, started)
		if ctx.Err() == nil {
			l.stats.attempt(op, took, out, front, how)
		}
		if through == nil && (how == Cut || how == Dead || how == Gone) {
			// Promised is what the other nodes do: the time begins when one of them is asked.
			begin, story = time.Now(), nil
		}
		switch {
		case out.verdict != unclear:
			l.stats.operation(op, begin, story, out, through != nil)
			return out
		case ctx.Err() != nil:
			out.doubtful = true
			return out
		}
		out.doubtful = true
		if time.Since(begin) > patience || through != nil && n == stubbornAttempts {
			l.stats.operation(op, begin, story, out, through != nil)
			return out
		}
		wait(ctx, pause/2+time.Duration(r.Int64N(int64(pause))))
		pause = min(2*pause, lastPause)
	}
}

// watch tells of a request that takes longer than it should while it does.
func (l *Load) watch(front *Front) *time.Timer {
	return time.AfterFunc(slowAttempt, func() {
		if l.cfg.OnSlow != nil && l.fronts.condition(front) == Well {
			l.cfg.OnSlow(front.Name)
		}
	})
}

// slowAttempt is what is told to OnSlow.
const slowAttempt = 3 * time.Second

// tell is an attempt for those who ask why an operation took so long.
func tell(front *Front, took time.Duration, err error) string {
	text := fmt.Sprintf("%s %dms", front.Name, took.Milliseconds())
	if err != nil {
		text += " " + label(err)
	}
	return text
}

// stubbornAttempts is how often a front that was struck is asked for one operation.
const stubbornAttempts = 3

// worst is the condition that excuses most.
func worst(a, b Condition) Condition {
	rank := [...]int{Well: 0, Cut: 1, Going: 2, Gone: 3, Dead: 3}
	if rank[b] > rank[a] {
		return b
	}
	return a
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
