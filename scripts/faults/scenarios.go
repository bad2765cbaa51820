package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast/scripts/faults/load"
)

// scenario is a step of a run.
type scenario struct {
	name string
	run  func(context.Context) error
}

// shortScenarios are what CI runs.
func (s *scene) shortScenarios() []scenario {
	m := s.fleet.members
	return []scenario{
		s.kill(m[0]), s.freeze(m[1]), s.partition(m[2], "mute"), s.partition(m[3], "deaf"), s.added(fmt.Sprintf("n%d", len(m)+1)), s.blackout(),
	}
}

// longScenarios are all.
func (s *scene) longScenarios() (all []scenario) {
	members := s.fleet.members
	for _, m := range members {
		all = append(all, s.kill(m), s.freeze(m), s.partition(m, "off"), s.partition(m, "mute"), s.partition(m, "deaf"), s.wiped(m))
	}
	return append(all,
		s.wiped(members[1], members[len(members)-2]), s.added(fmt.Sprintf("n%d", len(members)+1)),
		s.addedAmid(fmt.Sprintf("n%d", len(members)+2), members[2]), s.drained(members[0]), s.rolling(), s.blackout())
}

func (s *scene) kill(m *member) scenario {
	name := "kill " + m.host.Name
	return scenario{name, func(ctx context.Context) error {
		return s.play(ctx, name, act{strike: func(context.Context) error { m.kill(); return nil }, mend: m.start})
	}}
}

func (s *scene) freeze(m *member) scenario {
	name := "pause " + m.host.Name
	return scenario{name, func(ctx context.Context) error {
		return s.play(ctx, name, act{
			strike: func(context.Context) error { m.pause(); return nil },
			mend:   func(ctx context.Context) error { m.resume(); return m.ready(ctx) },
		})
	}}
}

// partition cuts a node off: "off" in both directions, "mute" so that nobody hears it, "deaf" so that it
// hears nobody.
func (s *scene) partition(m *member, how string) scenario {
	name := "cut " + m.host.Name + " " + how
	return scenario{name, func(ctx context.Context) error {
		return s.play(ctx, name, act{
			strike: func(ctx context.Context) error { return s.fleet.cut(ctx, m, how != "deaf", how != "mute") },
			mend: func(ctx context.Context) error {
				if err := s.fleet.heal(ctx); err != nil {
					return err
				}
				return m.ready(ctx)
			},
		})
	}}
}

// wiped loses all that some nodes kept; they come back empty, as new nodes at the same addresses.
// With two of them lost, too few drives may be left for writes: then there are reads alone.
func (s *scene) wiped(lost ...*member) scenario {
	name := "wipe"
	for _, m := range lost {
		name += " " + m.host.Name
	}
	return scenario{name, func(ctx context.Context) error {
		s.load.ReadOnly(len(lost) > 1)
		defer s.load.ReadOnly(false)
		return s.play(ctx, name, act{
			strike: func(context.Context) error {
				var errs []error
				for _, m := range lost {
					m.kill()
					errs = append(errs, m.wipe())
				}
				return errors.Join(errs...)
			},
			mend: func(ctx context.Context) error {
				for _, m := range lost {
					if err := m.start(ctx); err != nil {
						return err
					}
				}
				return nil
			},
		})
	}}
}

// blackout kills every node at once and starts them again.
func (s *scene) blackout() scenario {
	return scenario{"all killed", func(ctx context.Context) error {
		return s.play(ctx, "all killed", act{down: true, strike: func(ctx context.Context) error {
			for _, m := range s.fleet.all() {
				m.tell(load.Dead)
			}
			_ = s.fleet.each(func(m *member) error { m.kill(); return nil })
			for _, m := range s.fleet.all() {
				if err := m.launch(); err != nil {
					return err
				}
			}
			return s.fleet.each(func(m *member) error { return m.ready(ctx) })
		}})
	}}
}

// added starts another node, which the cluster levels itself onto.
func (s *scene) added(name string) scenario {
	title := "add " + name
	return scenario{title, func(ctx context.Context) error {
		return s.play(ctx, title, act{strike: func(ctx context.Context) error {
			m, err := s.fleet.join(ctx, name)
			if err != nil {
				return err
			}
			return s.level(ctx, title, m)
		}})
	}}
}

// addedAmid adds a node, and pauses another when replicas have begun to move: in the middle of some moves other
// leaders come, and go on with them.
func (s *scene) addedAmid(name string, other *member) scenario {
	title := "add " + name + " amid"
	return scenario{title, func(ctx context.Context) error {
		return s.play(ctx, title, act{strike: func(ctx context.Context) error {
			m, err := s.fleet.join(ctx, name)
			if err != nil {
				return err
			}
			if err := s.fleet.arriving(ctx, name); err != nil {
				return err
			}
			other.pause()
			err = pauseFor(ctx, amidFor)
			other.resume()
			if err == nil {
				err = other.ready(ctx)
			}
			if err != nil {
				return err
			}
			return s.level(ctx, title, m)
		}})
	}}
}

// amidFor is longer than others wait for a leader.
const amidFor = 4 * time.Second

// levelFor is how long nothing must have been left to move: what a leader that is gone has found out the next
// has to find out again.
const levelFor = time.Second

// level waits until the cluster has levelled itself onto a node.
func (s *scene) level(ctx context.Context, title string, m *member) error {
	begin := time.Now()
	status, err := s.fleet.levelled(ctx, wholeLimit, levelFor)
	if err != nil {
		s.note(title, err.Error())
		return ctx.Err()
	}
	shards := int64(0)
	for _, d := range status.Drives {
		if d.NodeName == m.host.Name {
			shards += d.Shards
		}
	}
	if shards == 0 {
		s.note(title, "the new node was given no shards")
	}
	moved := status.Rebalance
	s.say("%s: level %s after it was ready; %d shards and %d replicas moved, %.1f MB; at the least %.1f MB; it has %d shards now",
		title, time.Since(begin).Round(100*time.Millisecond), moved.MovedShards, moved.MovedReplicas, float64(moved.MovedBytes)/1e6, float64(moved.LeastBytes)/1e6, shards)
	return nil
}

// drained empties a node, stops it and forgets it.
func (s *scene) drained(m *member) scenario {
	title := "drain " + m.host.Name
	return scenario{title, func(ctx context.Context) error {
		return s.play(ctx, title, act{strike: func(ctx context.Context) error {
			if err := s.fleet.drain(ctx, m, wholeLimit); err != nil {
				s.note(title, err.Error())
				return ctx.Err()
			}
			s.fleet.remove(m)
			return m.stop()
		}})
	}}
}

// rolling restarts every node in turn, under clients that retry as SDKs do.
func (s *scene) rolling() scenario {
	const name = "rolling restart"
	return scenario{name, func(ctx context.Context) error {
		sdks, err := s.load.SDKs(ctx)
		if err != nil {
			return err
		}
		err = s.play(ctx, name, act{strike: func(ctx context.Context) error {
			for _, m := range s.fleet.all() {
				if err := m.stop(); err != nil {
					return err
				}
				if err := m.start(ctx); err != nil {
					return err
				}
				if err := s.fleet.whole(ctx, wholeLimit); err != nil {
					return err
				}
			}
			return nil
		}})
		report := sdks.Stop()
		fmt.Println("  " + report.String())
		if len(report.Failed) > 0 {
			s.note(name, "SDKs' requests failed: "+report.Failed[0])
		}
		return err
	}}
}
