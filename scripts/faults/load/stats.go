package load

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// stats counts what happens, by phase.
type stats struct {
	mu  sync.Mutex
	now *tally
}

// tally is one phase.
type tally struct {
	name        string
	begin       time.Time
	took        map[string][]time.Duration // operations through fronts that are well, with all attempts
	errors      map[string]int             // attempts, by error; through fronts that were struck they say so
	failed      []string                   // operations without a clear answer in the end
	hung        []string
	attempts    int // the most that an operation needed
	longest     time.Duration
	longestWhat string
	lastDone    time.Time
	silence     time.Duration // the longest without any success
}

func newTally(name string) *tally {
	now := time.Now()
	return &tally{name: name, begin: now, lastDone: now, took: map[string][]time.Duration{}, errors: map[string]int{}}
}

func newStats() *stats { return &stats{now: newTally("set up")} }

// attempt counts one request; how is the front's condition at its worst while it was under way.
func (s *stats) attempt(op string, took time.Duration, out outcome, front *Front, how Condition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if out.verdict == unclear {
		what := label(out.err)
		if how != Well {
			what += " (node struck)"
		}
		s.now.errors[what]++
	}
	if took >= attemptLimit && how <= Cut {
		s.now.hung = append(s.now.hung, fmt.Sprintf("%s through %s", op, front.Name))
	}
}

// operation counts what came of all attempts.
func (s *stats) operation(op string, begin time.Time, story []string, out outcome, stubborn bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if stubborn {
		return // its attempts are counted; nobody promised it anything else
	}
	t, now := s.now, time.Now()
	took := now.Sub(begin)
	if out.verdict == unclear {
		t.failed = append(t.failed, fmt.Sprintf("%s: %v", op, out.err))
	} else {
		t.silence = max(t.silence, now.Sub(t.lastDone))
		t.lastDone = now
		t.took[op] = append(t.took[op], took)
	}
	t.attempts = max(t.attempts, len(story))
	if took > t.longest {
		if len(story) > toldAttempts {
			story = append([]string{fmt.Sprintf("%d attempts, at last", len(story))}, story[len(story)-toldAttempts:]...)
		}
		t.longest, t.longestWhat = took, fmt.Sprintf("%s begun %+dms: %s", op, begin.Sub(t.begin).Milliseconds(), strings.Join(story, ", "))
	}
}

// toldAttempts of the longest operation are told.
const toldAttempts = 6

// phase ends the one and begins the next.
func (s *stats) phase(name string) Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.now
	s.now = newTally(name)
	r := Report{
		Name: t.name, Lasted: time.Since(t.begin), Failed: t.failed, Hung: t.hung, Errors: t.errors, Attempts: t.attempts,
		Longest: t.longest, LongestWhat: t.longestWhat, Silence: t.silence, P99: map[string]time.Duration{},
	}
	for op, all := range t.took {
		r.Operations += len(all)
		slices.Sort(all)
		r.P99[op] = all[(len(all)*99+99)/100-1]
	}
	return r
}

// Report is what happened in a phase.
type Report struct {
	Name       string
	Lasted     time.Duration
	Operations int      // that got a clear answer
	Failed     []string // that got none, whatever was tried
	Hung       []string // requests that took longer than any may
	Errors     map[string]int
	Attempts   int
	// Longest is the most that an operation took from its first attempt: the pause that a user saw.
	Longest     time.Duration
	LongestWhat string
	Silence     time.Duration // the longest without any success at all
	P99         map[string]time.Duration
}

// ErrorsText is the errors by number.
func (r *Report) ErrorsText() string {
	names := slices.SortedFunc(maps.Keys(r.Errors), func(a, b string) int { return r.Errors[b] - r.Errors[a] })
	for i, n := range names {
		names[i] = fmt.Sprintf("%d× %s", r.Errors[n], n)
	}
	return strings.Join(names, ", ")
}
