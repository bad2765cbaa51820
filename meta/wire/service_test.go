package wire

import (
	"context"
	"sync"
	"testing"

	"holdfast/internal/rpc"
	"holdfast/meta/replica"
	"holdfast/proto/metapb"
)

// gatedHost keeps what it is given until the gate opens.
type gatedHost struct {
	quietHost
	gate chan struct{}
	mu   sync.Mutex
	got  []string
}

func (*gatedHost) Full(uint32) bool { return false }

func (h *gatedHost) Propose(ctx context.Context, _ uint32, command []byte) (*metapb.Result, error) {
	select {
	case <-h.gate:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.got = append(h.got, string(command))
	return &metapb.Result{}, nil
}

// sink is a stream that keeps answers.
type sink struct {
	mu      sync.Mutex
	answers []answer
}

func (s *sink) SendMsg(m any) error {
	f := m.(*rpc.Frame)
	s.mu.Lock()
	defer s.mu.Unlock()
	return decodeAnswers(f.Payload.Materialize(), func(a answer) { s.answers = append(s.answers, a) })
}

func (s *sink) RecvMsg(any) error { return context.Canceled }

func TestServiceKeepsNothingOfAFrame(t *testing.T) {
	h := &gatedHost{gate: make(chan struct{})}
	s, err := NewService(ServiceConfig{Host: h})
	if err != nil {
		t.Fatal(err)
	}
	out := &sink{}
	w := &answerer{out: frames{stream: out}, cancel: func() {}, max: 2}
	frame := []byte{version}
	for n := range uint64(3) {
		r := request{number: n, op: opPropose, timeout: maxTimeout, group: 1, payload: []byte("command")}
		frame = r.append(frame)
	}
	if err := decodeRequests(frame, func(r request) { s.take(t.Context(), w, r) }); err != nil {
		t.Fatal(err)
	}
	clear(frame)
	if len(out.answers) != 1 || out.answers[0].status != statusOverloaded || out.answers[0].number != 2 {
		t.Errorf("beyond the limit: %+v", out.answers)
	}
	close(h.gate)
	w.end()
	w.working.Wait()
	if len(h.got) != 2 || h.got[0] != "command" || h.got[1] != "command" {
		t.Errorf("proposed %q", h.got)
	}
}

func TestErrorsOfTheReplicaKeepTheirMeaning(t *testing.T) {
	s, err := NewService(ServiceConfig{Host: quietHost{}})
	if err != nil {
		t.Fatal(err)
	}
	for want, in := range map[status]error{
		statusNotLeader: replica.ErrReadLost, statusOverloaded: replica.ErrOverloaded,
		statusUnknown: &replica.UnknownError{Index: 1, Term: 2}, statusError: context.DeadlineExceeded,
	} {
		var a answer
		if s.failed(&a, in); a.status != want {
			t.Errorf("%v travels as status %d", in, a.status)
		}
	}
}
