package load

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func ledger(t *testing.T) *Ledger {
	t.Helper()
	l, err := newLedger("bucket", 1)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

var (
	one, two = stateOf([]byte("one")), stateOf([]byte("two"))
	written  = outcome{verdict: done}
	denied   = outcome{verdict: refused, err: errors.New("412")}
	silent   = outcome{verdict: unclear, doubtful: true, err: errors.New("timeout")}
	late     = outcome{verdict: done, doubtful: true}
)

func TestWhatWasAcknowledgedMustBeRead(t *testing.T) {
	for name, got := range map[string]state{"lost": absent, "stale": one, "wrong": stateOf([]byte("x"))} {
		l := ledger(t)
		l.settle("k", one, false, written)
		l.settle("k", two, false, written)
		l.settle("k", stateOf([]byte("x")), false, denied)
		if l.compare("", "k", two); len(l.Violations()) != 0 {
			t.Errorf("%s: what was acknowledged last is a violation", name)
		}
		if l.compare("", "k", got); len(l.Violations()) != 1 {
			t.Errorf("%s: not noticed", name)
		}
	}
}

func TestAnUnansweredWriteMayHappenAndThenStays(t *testing.T) {
	l := ledger(t)
	l.settle("k", one, false, written)
	if l.settle("k", two, false, silent) {
		t.Error("a key whose write may still happen is written again")
	}
	l.compare("", "k", one)
	l.compare("", "k", two)
	if v := l.Violations(); len(v) != 0 {
		t.Errorf("either may be read until the new one was: %v", v)
	}
	if l.compare("", "k", one); len(l.Violations()) != 1 {
		t.Error("a write that was seen was undone, and nobody noticed")
	}
}

func TestAWriteThatMayHappenTwiceRetiresItsKey(t *testing.T) {
	l := ledger(t)
	if l.settle("k", one, false, late) {
		t.Error("its first attempt may come after whatever is written next")
	}
	if l.settle("k", two, false, written) {
		t.Error("a retired key came back")
	}
}

func TestListingsAreCompared(t *testing.T) {
	l := ledger(t)
	l.settle("there", one, false, written)
	l.settle("deleted", one, false, written)
	l.settle("deleted", absent, false, written)
	l.settle("doubtful", one, false, silent)
	known := l.outlines(func(string) bool { return true })
	for _, c := range []struct {
		listed []string
		want   string
	}{
		{[]string{"there"}, ""},
		{[]string{"there", "doubtful"}, ""},
		{nil, "UNLISTED"},
		{[]string{"there", "deleted"}, "GHOST"},
		{[]string{"there", "never"}, "GHOST"},
	} {
		l.wrong = nil
		listed := map[string]bool{}
		for _, k := range c.listed {
			listed[k] = true
		}
		l.compareListing("", known, listed)
		if got := strings.Join(l.wrong, ""); c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("listed %v: %q, want %q", c.listed, got, c.want)
		}
	}
}

func TestAReportHasThePauseAndTheFailures(t *testing.T) {
	s := newStats()
	now := time.Now()
	for n := range 100 {
		s.operation("get", now.Add(-time.Duration(n+1)*time.Millisecond), []string{"n1"}, written, false)
	}
	s.operation("put", now.Add(-4*time.Second), []string{"n1 timeout", "n2"}, late, false)
	s.operation("put", now.Add(-time.Minute), []string{"n1 timeout"}, silent, true) // through a struck node: nobody promised
	s.operation("put", now, []string{"n1 timeout"}, silent, false)
	s.attempt("put", attemptLimit, silent, &Front{Name: "n1"}, Well)
	s.attempt("put", attemptLimit, silent, &Front{Name: "n2"}, Dead)
	s.attempt("put", attemptLimit, silent, &Front{Name: "n3"}, Cut)
	r := s.phase("next")
	if r.Longest < 4*time.Second || r.Longest > 30*time.Second {
		t.Errorf("the longest is %s", r.Longest)
	}
	if p := r.P99["get"]; p < 99*time.Millisecond || p > 30*time.Second {
		t.Errorf("p99 is %s", p)
	}
	if len(r.Failed) != 1 || !slices.Equal(r.Hung, []string{"put through n1", "put through n3"}) {
		t.Errorf("failed %v, hung %v", r.Failed, r.Hung)
	}
	if s.phase("").Operations != 0 {
		t.Error("a new phase begins with what was before")
	}
}

func TestARequestIsExcusedByWhatBefellItsFrontMeanwhile(t *testing.T) {
	f := NewFronts(Access{})
	x, err := f.Add("n1", "127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	f.Set("n1", Dead)
	f.Set("n1", Well)
	if how := f.since(x, begin); how != Dead {
		t.Errorf("begun before a pause, answered after it: %v", how)
	}
	if how := f.since(x, time.Now()); how != Well {
		t.Errorf("begun after a pause: %v", how)
	}
}
