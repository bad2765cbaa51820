package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// say is a line of the summary.
func (s *scene) say(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	s.lines = append(s.lines, line)
	fmt.Println(line)
}

// note is a failure that no row has.
func (s *scene) note(where, what string) { s.failed = append(s.failed, where+": "+what) }

// String is a row as it is told while the run goes on.
func (r *row) String() string {
	text := fmt.Sprintf("%-16s %5.1fs  %5d ops  longest %6s  p99 get %s → %s, put %s → %s  whole after %s",
		r.name, r.lasted.Seconds(), r.fault.Operations, ms(r.fault.Longest),
		ms(r.calm.P99["get"]), ms(r.fault.P99["get"]), ms(r.calm.P99["put"]), ms(r.fault.P99["put"]), r.recovered.Round(100*time.Millisecond))
	text += "\n" + strings.Repeat(" ", 17) + "the longest: " + r.fault.LongestWhat
	if errs := r.fault.ErrorsText(); errs != "" {
		text += "\n" + strings.Repeat(" ", 17) + "attempts that were made again: " + errs
	}
	return text
}

func ms(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%dms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1fs", d.Seconds())
}

// table is the page that remains of a run.
func (s *scene) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-16s %8s %7s %8s %8s %6s %5s %12s %12s %8s %s\n",
		"scenario", "seconds", "ops", "pause", "silence", "failed", "hung", "p99 get", "p99 put", "whole", "")
	for _, r := range s.rows {
		verdict := "ok"
		if len(r.failures) > 0 {
			verdict = "FAIL"
		}
		pair := func(op string) string { return ms(r.calm.P99[op]) + "→" + ms(r.fault.P99[op]) }
		fmt.Fprintf(&b, "%-16s %8.1f %7d %8s %8s %6d %5d %14s %14s %8s %s\n",
			r.name, r.lasted.Seconds(), r.calm.Operations+r.fault.Operations, ms(r.fault.Longest), ms(r.fault.Silence),
			len(r.fault.Failed)+len(r.calm.Failed), len(r.fault.Hung)+len(r.calm.Hung), pair("get"), pair("put"), ms(r.recovered), verdict)
	}
	for _, l := range s.lines {
		b.WriteString(l + "\n")
	}
	return b.String()
}

// close prints the page and says whether all was well.
func (s *scene) close() error {
	l := s.load.Ledger()
	var failures []string
	for _, r := range s.rows {
		for _, f := range r.failures {
			failures = append(failures, r.name+": "+f)
		}
	}
	failures = append(failures, s.failed...)
	lost := len(l.Violations())
	page := s.table() + fmt.Sprintf("seed %d: %d acknowledged writes, %d refused, %d without an answer, %d keys, %d reads compared; %d lost or wrong; %s\n",
		s.seed, l.Acked.Load(), l.Refused.Load(), l.Doubtful.Load(), l.Keys(), l.Reads.Load(), lost, time.Since(s.begin).Round(time.Second))
	fmt.Print("\n", page)
	if s.summary != "" {
		if err := os.WriteFile(s.summary, []byte(page), 0o600); err != nil {
			return err
		}
	}
	if len(failures) > 0 {
		return errors.New("\n  " + strings.Join(failures, "\n  "))
	}
	return nil
}

// diagnose shows the ends of the nodes' logs.
func (s *scene) diagnose() {
	for _, m := range s.fleet.all() {
		fmt.Fprintf(os.Stderr, "--- %s\n%s\n", m.host.Name, tail(m.logPath(), 1500))
	}
}
