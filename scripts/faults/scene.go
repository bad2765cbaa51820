package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"holdfast/scripts/faults/load"
)

// scene is a run of scenarios on one cluster.
type scene struct {
	clusterOptions
	fleet *fleet
	load  *load.Load
	rand  *rand.Rand
	begin time.Time
	rows  []row

	canaries *canaries

	lines  []string // of the summary
	failed []string // besides the rows' failures
}

// row is what one scenario showed.
type row struct {
	name        string
	lasted      time.Duration
	calm, fault load.Report // before, and from the blow until everything was well again
	recovered   time.Duration
	failures    []string
}

// settings of a scenario.
const (
	// calmFor is how long the load runs before a blow, for comparison.
	calmFor = 3 * time.Second
	// wholeLimit is how long redundancy may take to be full again, beyond --repair-after.
	wholeLimit = 3 * time.Minute
)

// act is what happens in a scenario.
type act struct {
	strike func(context.Context) error // breaks something
	mend   func(context.Context) error // puts it right after a while; nil: nothing is to be done
	down   bool                        // nobody can be served while it lasts, so that pauses prove nothing
}

// play runs one scenario: load, blow, load, recovery, and then everything is read.
func (s *scene) play(ctx context.Context, name string, a act) error {
	r := row{name: name}
	begin := time.Now()
	s.load.Phase(name + ", before")
	s.load.Start(ctx)
	err := pauseFor(ctx, calmFor)
	r.calm = s.load.Phase(name)
	if err == nil {
		err = a.strike(ctx)
	}
	if err == nil && a.mend != nil {
		if err = pauseFor(ctx, s.faultFor); err == nil {
			err = a.mend(ctx)
		}
	}
	mended := time.Now()
	if err == nil {
		if errWhole := s.fleet.whole(ctx, s.repairAfter+wholeLimit); errWhole != nil {
			r.failures = append(r.failures, errWhole.Error())
			err = ctx.Err()
		}
	}
	r.recovered = time.Since(mended)
	s.load.Stop()
	r.fault = s.load.Phase(name + ", verified")
	if err == nil {
		err = s.load.Verify(ctx, "after "+name)
	}
	s.load.Phase("between")
	r.lasted = time.Since(begin)
	if r.judge("before", r.calm, s.maxPause); !a.down {
		r.judge("struck", r.fault, s.maxPause)
	}
	if err != nil {
		r.failures = append(r.failures, err.Error())
	}
	s.rows = append(s.rows, r)
	fmt.Println(r.String())
	for _, f := range r.failures {
		fmt.Println("  FAIL:", f)
	}
	return err
}

// judge compares a part of the scenario with what is promised.
func (r *row) judge(when string, rep load.Report, maxPause time.Duration) {
	fail := func(format string, args ...any) {
		r.failures = append(r.failures, when+": "+fmt.Sprintf(format, args...))
	}
	if n := len(rep.Failed); n > 0 {
		fail("%d operations had no clear answer, whatever was tried: %v", n, rep.Failed[:min(n, 3)])
	}
	if n := len(rep.Hung); n > 0 {
		fail("%d requests took over 10 s: %v", n, rep.Hung[:min(n, 3)])
	}
	if rep.Longest > maxPause {
		fail("an operation took %s (%s); the limit is %s", rep.Longest.Round(time.Millisecond), rep.LongestWhat, maxPause)
	}
}

func pauseFor(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
