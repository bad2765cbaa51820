package lock

import (
	"testing"
	"time"

	"holdfast/internal/kind"
)

var (
	later  = now.Add(time.Hour)
	before = now.Add(-time.Hour)
)

func TestWhoMayDelete(t *testing.T) {
	for _, row := range []struct {
		name              string
		s                 State
		plain, withBypass bool
	}{
		{"nothing", State{}, true, true},
		{"governance", State{Retention: Retention{Governance, later}}, false, true},
		{"governance, over", State{Retention: Retention{Governance, before}}, true, true},
		{"governance, over now", State{Retention: Retention{Governance, now}}, true, true},
		{"governance, over in a moment", State{Retention: Retention{Governance, now.Add(1)}}, false, true},
		{"compliance", State{Retention: Retention{Compliance, later}}, false, false},
		{"compliance, over", State{Retention: Retention{Compliance, before}}, true, true},
		{"hold", State{Hold: true}, false, false},
		{"hold, governance", State{Retention: Retention{Governance, later}, Hold: true}, false, false},
		{"hold, over", State{Retention: Retention{Compliance, before}, Hold: true}, false, false},
		{"unreadable", State{Unreadable: true}, false, false},
		{"unreadable, over", State{Retention: Retention{Governance, before}, Unreadable: true}, false, false},
		{"unknown mode", State{Retention: Retention{"LATER", later}}, false, false},
		{"unknown mode, over", State{Retention: Retention{"LATER", before}}, false, false},
		{"mode without end", State{Retention: Retention{Mode: Compliance}}, false, false},
		{"governance without end", State{Retention: Retention{Mode: Governance}}, false, false},
		{"end without mode", State{Retention: Retention{Until: before}}, false, false},
	} {
		for bypass, want := range map[bool]bool{false: row.plain, true: row.withBypass} {
			if err := row.s.MayDelete(now, bypass); (err == nil) != want || !want && !kind.Is(err, kind.AccessDenied) {
				t.Errorf("%s, bypass %v: %v", row.name, bypass, err)
			}
		}
	}
}

func TestWhoMayChangeARetention(t *testing.T) {
	longer := later.Add(time.Hour)
	gov, comp := State{Retention: Retention{Governance, later}}, State{Retention: Retention{Compliance, later}}
	for _, row := range []struct {
		name              string
		s                 State
		next              Retention
		plain, withBypass bool
	}{
		{"first", State{}, Retention{Governance, later}, true, true},
		{"first, held", State{Hold: true}, Retention{Compliance, later}, true, true},
		{"over", State{Retention: Retention{Compliance, before}}, Retention{Governance, later}, true, true},
		{"over, away", State{Retention: Retention{Compliance, before}}, Retention{}, true, true},
		{"governance, the same", gov, Retention{Governance, later}, true, true},
		{"governance, longer", gov, Retention{Governance, longer}, true, true},
		{"governance, shorter", gov, Retention{Governance, later.Add(-1)}, false, true},
		{"governance, away", gov, Retention{}, false, true},
		{"governance to compliance", gov, Retention{Compliance, later}, false, true},
		{"compliance, the same", comp, Retention{Compliance, later}, true, true},
		{"compliance, longer", comp, Retention{Compliance, longer}, true, true},
		{"compliance, shorter", comp, Retention{Compliance, later.Add(-1)}, false, false},
		{"compliance, away", comp, Retention{}, false, false},
		{"compliance to governance", comp, Retention{Governance, longer}, false, false},
		{"unreadable", State{Unreadable: true}, Retention{Compliance, longer}, false, false},
		{"unknown mode", State{Retention: Retention{"LATER", later}}, Retention{"LATER", longer}, false, false},
		{"without end", State{Retention: Retention{Mode: Governance}}, Retention{Governance, longer}, false, false},
	} {
		for bypass, want := range map[bool]bool{false: row.plain, true: row.withBypass} {
			if err := row.s.MayRetain(row.next, now, bypass); (err == nil) != want || !want && !kind.Is(err, kind.AccessDenied) {
				t.Errorf("%s, bypass %v: %v", row.name, bypass, err)
			}
		}
	}
}

func TestHoldsCanBeChangedIfTheyCanBeRead(t *testing.T) {
	if err := (State{Hold: true, Retention: Retention{Compliance, later}}).MayHold(); err != nil {
		t.Error(err)
	}
	if err := (State{Unreadable: true}).MayHold(); !kind.Is(err, kind.AccessDenied) {
		t.Error(err)
	}
}

// A clock that jumps back finds everything locked that was locked, and makes no shorter locks.
func TestAClockThatJumpsBackShortensNothing(t *testing.T) {
	for _, mode := range []Mode{Governance, Compliance} {
		r := Default{Mode: mode, Days: 1}.Retention(now, now)
		for _, back := range []time.Duration{0, time.Second, 24 * time.Hour, 20 * 365 * 24 * time.Hour} {
			at := now.Add(-back)
			if (State{Retention: r}).MayDelete(at, false) == nil {
				t.Errorf("%s: deleted %v before it was locked", mode, back)
			}
			if next := (Default{Mode: mode, Days: 1}).Retention(at, now); next.Until.Before(r.Until) {
				t.Errorf("%s: the next version is locked until %v", mode, next.Until)
			}
			if err := (State{Retention: r}).MayRetain(Retention{mode, at.Add(time.Hour)}, at, false); back >= time.Second && err == nil {
				t.Errorf("%s: shortened", mode)
			}
		}
	}
}
