package client_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/meta/client"
	"holdfast/meta/replica"
	"holdfast/proto/metapb"
)

// fakeHost answers by script.
type fakeHost struct {
	mu       sync.Mutex
	propose  func(n int, command []byte) (*metapb.Result, error)
	outcome  func(u *replica.UnknownError) (*metapb.Result, bool, error)
	ask      func(n int, group uint32) (*metapb.Answer, error)
	proposed [][]byte
	asked    int
	changed  chan struct{}
	full     bool
}

func (f *fakeHost) Groups() uint32 { return 3 }

func (f *fakeHost) Propose(ctx context.Context, _ uint32, command []byte) (*metapb.Result, error) {
	f.mu.Lock()
	f.proposed = append(f.proposed, command)
	n := len(f.proposed)
	f.mu.Unlock()
	if f.propose == nil {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return f.propose(n, command)
}

func (f *fakeHost) Ask(ctx context.Context, group uint32, _ *metapb.Query) (*metapb.Answer, error) {
	f.mu.Lock()
	f.asked++
	n := f.asked
	f.mu.Unlock()
	if f.ask == nil {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return f.ask(n, group)
}

func (f *fakeHost) Outcome(_ context.Context, u *replica.UnknownError) (*metapb.Result, bool, error) {
	return f.outcome(u)
}

func (f *fakeHost) Full(uint32) bool                    { return f.full }
func (f *fakeHost) Changed() <-chan struct{}            { return f.changed }
func (f *fakeHost) WaitReady(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

func newClient(t *testing.T, f *fakeHost) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{Host: f})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSurelyRefusedCommandsAreProposedAgainWithTheSameBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeHost{propose: func(n int, _ []byte) (*metapb.Result, error) {
			switch n {
			case 1:
				return nil, replica.ErrNotLeader
			case 2:
				return nil, replica.ErrOverloaded
			}
			return &metapb.Result{Found: true}, nil
		}}
		cmd := &metapb.Command{Key: "k"}
		res, err := newClient(t, f).Apply(t.Context(), 1, cmd)
		if err != nil || !res.Found {
			t.Fatalf("%v, %v", res, err)
		}
		if len(f.proposed) != 3 || string(f.proposed[0]) != string(f.proposed[2]) {
			t.Errorf("proposed %q", f.proposed)
		}
		if len(cmd.RequestId) != id.Size {
			t.Errorf("request ID %x", cmd.RequestId)
		}
	})
}

func TestUnknownOutcomesAreResolvedOrReportedButNeverGuessed(t *testing.T) {
	lost := &replica.UnknownError{Group: 1, Index: 7, Term: 2}
	for name, c := range map[string]struct {
		outcome  func(u *replica.UnknownError) (*metapb.Result, bool, error)
		attempts int
		want     kind.Kind
	}{
		"it happened":  {func(*replica.UnknownError) (*metapb.Result, bool, error) { return &metapb.Result{}, true, nil }, 1, 0},
		"it never did": {func(*replica.UnknownError) (*metapb.Result, bool, error) { return nil, true, nil }, 2, 0},
		"nobody knows": {func(*replica.UnknownError) (*metapb.Result, bool, error) { return nil, false, nil }, 1, kind.Unavailable},
		"nobody leads": {func(*replica.UnknownError) (*metapb.Result, bool, error) { return nil, false, replica.ErrNotLeader }, 1, kind.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakeHost{outcome: c.outcome}
				f.propose = func(n int, _ []byte) (*metapb.Result, error) {
					if n == 1 {
						return nil, lost
					}
					return &metapb.Result{}, nil
				}
				_, err := newClient(t, f).Apply(t.Context(), 1, &metapb.Command{Key: "k"})
				if c.want == 0 && err != nil || c.want != 0 && !kind.Is(err, c.want) {
					t.Errorf("error %v", err)
				}
				if len(f.proposed) != c.attempts {
					t.Errorf("%d attempts", len(f.proposed))
				}
			})
		})
	}
}

func TestDeadlinesAndCancellationEndACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, &fakeHost{})
		start := time.Now()
		if _, err := c.Apply(t.Context(), 1, &metapb.Command{}); !kind.Is(err, kind.Timeout) || time.Since(start) > 9*time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		if _, err := c.Ask(t.Context(), 1, &metapb.Query{}); !kind.Is(err, kind.Timeout) {
			t.Errorf("%v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := c.Apply(ctx, 1, &metapb.Command{}); !kind.Is(err, kind.Canceled) {
			t.Errorf("%v", err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Ready(ctx); !kind.Is(err, kind.Timeout) {
			t.Errorf("%v", err)
		}
	})
}

func TestRefusalsComeAsErrorsWithTheirKind(t *testing.T) {
	f := &fakeHost{
		propose: func(int, []byte) (*metapb.Result, error) {
			return &metapb.Result{Kind: uint32(kind.PreconditionFailed), Message: "no"}, nil
		},
		ask: func(int, uint32) (*metapb.Answer, error) {
			return &metapb.Answer{Kind: uint32(kind.NoSuchKey), Message: "gone"}, nil
		},
	}
	c := newClient(t, f)
	if res, err := c.Apply(t.Context(), 1, &metapb.Command{}); !kind.Is(err, kind.PreconditionFailed) || res == nil || len(f.proposed) != 1 {
		t.Errorf("%v, %v", res, err)
	}
	if a, err := c.Ask(t.Context(), 1, &metapb.Query{}); !kind.Is(err, kind.NoSuchKey) || a == nil {
		t.Errorf("%v, %v", a, err)
	}
}

func TestAskAllKeepsTheOrderAndReportsTheFirstError(t *testing.T) {
	f := &fakeHost{ask: func(_ int, group uint32) (*metapb.Answer, error) {
		return &metapb.Answer{Message: string('a' + rune(group))}, nil
	}}
	c := newClient(t, f)
	answers, err := c.AskAll(t.Context(), &metapb.Query{})
	if err != nil || len(answers) != 3 || answers[0].Message != "b" || answers[2].Message != "d" {
		t.Errorf("%v, %v", answers, err)
	}
	bad := errors.New("bad")
	f.ask = func(_ int, group uint32) (*metapb.Answer, error) {
		if group == 2 {
			return nil, bad
		}
		return &metapb.Answer{}, nil
	}
	if _, err := c.AskAll(t.Context(), &metapb.Query{}); !errors.Is(err, bad) {
		t.Errorf("%v", err)
	}
}

// batchHost asks many at once; groups in fail have to be asked again.
type batchHost struct {
	*fakeHost
	fail    map[uint32]error
	batches int
}

func (b *batchHost) AskMany(_ context.Context, groups []uint32, _ *metapb.Query) ([]*metapb.Answer, []error) {
	b.batches++
	answers, errs := make([]*metapb.Answer, len(groups)), make([]error, len(groups))
	for i, g := range groups {
		if errs[i] = b.fail[g]; errs[i] == nil {
			answers[i] = &metapb.Answer{Message: "batch"}
		}
	}
	return answers, errs
}

func TestAskAllAsksManyAtOnceAndOnlyTheRestAgain(t *testing.T) {
	f := &batchHost{fakeHost: &fakeHost{ask: func(_ int, group uint32) (*metapb.Answer, error) {
		return &metapb.Answer{Message: string('a' + rune(group))}, nil
	}}, fail: map[uint32]error{2: replica.ErrNotLeader}}
	c, err := client.New(client.Config{Host: f})
	if err != nil {
		t.Fatal(err)
	}
	answers, err := c.AskAll(t.Context(), &metapb.Query{})
	if err != nil || answers[0].Message != "batch" || answers[1].Message != "c" || answers[2].Message != "batch" {
		t.Errorf("%v, %v", answers, err)
	}
	if f.batches != 1 || f.asked != 1 {
		t.Errorf("%d batches, %d asked alone", f.batches, f.asked)
	}
}

func TestFullDrivesRefuseGrowthButNotDeletes(t *testing.T) {
	f := &fakeHost{full: true, propose: func(int, []byte) (*metapb.Result, error) { return &metapb.Result{}, nil }}
	c := newClient(t, f)
	put := &metapb.Command{Op: &metapb.Command_PutVersion{PutVersion: &metapb.PutVersion{}}}
	if _, err := c.Apply(t.Context(), 1, put); !kind.Is(err, kind.Full) || len(f.proposed) != 0 {
		t.Errorf("put: %v", err)
	}
	del := &metapb.Command{Op: &metapb.Command_DeleteVersion{DeleteVersion: &metapb.DeleteVersion{}}}
	if _, err := c.Apply(t.Context(), 1, del); err != nil {
		t.Errorf("delete: %v", err)
	}
}
