package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/internal/rpc"
	"holdfast/meta/replica"
	"holdfast/proto/metapb"
)

// Host is the replicas of this process; *replica.Host is one.
type Host interface {
	Groups() uint32
	Propose(ctx context.Context, group uint32, command []byte) (*metapb.Result, error)
	ProposeIn(ctx context.Context, group uint32, term uint64, command []byte) (*metapb.Result, error)
	Led(group uint32) (term, committed uint64)
	Ask(ctx context.Context, group uint32, q *metapb.Query) (*metapb.Answer, error)
	Outcome(ctx context.Context, u *replica.UnknownError) (result *metapb.Result, known bool, err error)
	Full(group uint32) bool
	Changed() <-chan struct{}
	Leads(group uint32) bool
	LeaderHint(group uint32) (drive id.Drive, ok bool)
	Deliver(msgs []replica.Message)
	Receive(ctx context.Context, head replica.SnapshotHead, next func() ([]byte, error)) error
	MoveReplica(ctx context.Context, group uint32, from, to id.Drive) error
	Missing(ctx context.Context) []replica.MissingReplica
	Status(ctx context.Context) replica.Status
}

// ServiceConfig says what a Service does.
type ServiceConfig struct {
	// Host has the replicas.
	Host Host
	// Logger takes what operators should know; default none.
	Logger *slog.Logger
	// MaxCalls bounds the requests of one peer under way here; more are refused as an overload.
	// Default 4096.
	MaxCalls int
	// MaxSnapshots bounds the snapshots that come in at once. Default 4.
	MaxSnapshots int
	// Stall is how long a peer's snapshot may make no progress. Default 30 s.
	Stall time.Duration
}

func (c *ServiceConfig) validate() error {
	if c.Host == nil {
		return errors.New("wire: ServiceConfig needs a Host")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	fill(&c.MaxCalls, 4096)
	fill(&c.MaxSnapshots, 4)
	fill(&c.Stall, 30*time.Second)
	return nil
}

// Service answers what other nodes' Transports and Routers ask.
type Service struct {
	cfg       ServiceConfig
	snapshots chan struct{} // holds one for each that comes in
}

// NewService makes a Service.
func NewService(cfg ServiceConfig) (*Service, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Service{cfg: cfg, snapshots: make(chan struct{}, cfg.MaxSnapshots)}, nil
}

// Register adds the service to a server. Replicas are on storage nodes; fronts only ask.
func (s *Service) Register(server *rpc.Server) error {
	desc := &grpc.ServiceDesc{
		ServiceName: serviceName, HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{
			rpc.Stream(methodMessages, (*Service).messages),
			rpc.Stream(methodSnapshot, (*Service).snapshot),
			rpc.Stream(methodCalls, (*Service).calls),
		},
	}
	return server.Handle(desc, s, map[string]rpc.Roles{
		methodMessages: rpc.Storage, methodSnapshot: rpc.Storage, methodCalls: rpc.Members,
	})
}

// messages takes replicas' messages until the peer ends the stream.
func (s *Service) messages(stream grpc.ServerStream) error {
	rpc.Unawaited(stream.Context())
	in := frames{stream: stream}
	var msgs []replica.Message
	for {
		frame, err := in.Recv()
		if err != nil {
			return ended(err)
		}
		if msgs, err = decodeMessages(msgs[:0], frame); err != nil {
			return fmt.Errorf("wire: messages of replicas: %w", err)
		}
		s.cfg.Host.Deliver(msgs)
		clear(msgs)
		if cap(msgs) > maxRun {
			msgs = nil
		}
	}
}

// ended makes the usual end of a stream no error.
func ended(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// serve carries out one request. Everything it needs of the frame has been copied.
func (s *Service) serve(ctx context.Context, r *request) answer {
	return s.answer(ctx, r, func(ctx context.Context) ([]byte, error) { return s.perform(ctx, r) })
}

// answer makes of what perform returns an answer to r.
func (s *Service) answer(ctx context.Context, r *request, perform func(context.Context) ([]byte, error)) answer {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	a := answer{number: r.number, group: r.group}
	payload, err := perform(ctx)
	switch {
	case err != nil:
		s.failed(&a, err)
	case len(payload) > maxFrame-answerOverhead-1:
		a.status, a.payload = statusError, errorPayload(fmt.Errorf("wire: answer of %d bytes", len(payload)))
	default:
		a.payload = payload
	}
	a.full = s.cfg.Host.Full(r.group)
	a.led.term, a.led.committed = s.cfg.Host.Led(r.group)
	return a
}

// perform does what is asked, at the replica of this process that leads the group.
func (s *Service) perform(ctx context.Context, r *request) ([]byte, error) {
	h := s.cfg.Host
	switch r.op {
	case opPropose:
		res, err := h.Propose(ctx, r.group, r.payload)
		if err != nil {
			return nil, err
		}
		return proto.Marshal(res)
	case opProposeIn:
		d := decoder{buf: r.payload}
		term := d.u64()
		if d.failed || term == 0 {
			return nil, kind.New(kind.InvalidArgument, "wire: a command for no term")
		}
		res, err := h.ProposeIn(ctx, r.group, term, r.payload[d.off:])
		if err != nil {
			return nil, err
		}
		return proto.Marshal(res)
	case opAsk:
		q := &metapb.Query{}
		if err := proto.Unmarshal(r.payload, q); err != nil {
			return nil, kind.Wrap(kind.InvalidArgument, err, "wire: decode query")
		}
		return s.ask(ctx, r.group, q)
	case opOutcome:
		res, known, err := h.Outcome(ctx, decodeUnknown(r.group, r.payload))
		if err != nil {
			return nil, err
		}
		return outcomePayload(res, known)
	case opHints:
		return appendHints(nil, hintsOf(h)), nil
	case opMove:
		d := decoder{buf: r.payload}
		from, to := d.drive(), d.drive()
		return nil, h.MoveReplica(ctx, r.group, from, to)
	case opStatus:
		return json.Marshal(h.Status(ctx))
	case opMissing:
		return json.Marshal(h.Missing(ctx))
	}
	return nil, kind.New(kind.Unbuilt, "wire: this node does not know request %d", r.op)
}

func (s *Service) ask(ctx context.Context, group uint32, q *metapb.Query) ([]byte, error) {
	a, err := s.cfg.Host.Ask(ctx, group, q)
	if err != nil {
		return nil, err
	}
	return proto.Marshal(a)
}

// failed puts an error into an answer.
func (s *Service) failed(a *answer, err error) {
	var u *replica.UnknownError
	switch {
	case errors.As(err, &u):
		a.status, a.payload = statusUnknown, unknownPayload(u)
	case kind.Is(err, kind.NotLeader):
		a.status = statusNotLeader
		if drive, ok := s.cfg.Host.LeaderHint(a.group); ok {
			a.payload = drive[:]
		}
	case errors.Is(err, replica.ErrOverloaded):
		a.status = statusOverloaded
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		a.status, a.payload = statusError, errorPayload(kind.Wrap(kind.Timeout, err, "wire: no answer in time"))
	default:
		a.status, a.payload = statusError, errorPayload(err)
	}
}

// outcomePayload: known u8, then the result if there is one.
func outcomePayload(res *metapb.Result, known bool) ([]byte, error) {
	switch {
	case !known:
		return []byte{outcomeUnknown}, nil
	case res == nil:
		return []byte{outcomeNever}, nil
	}
	return proto.MarshalOptions{}.MarshalAppend([]byte{outcomeResult}, res)
}

const (
	outcomeUnknown = 0
	outcomeNever   = 1
	outcomeResult  = 2
)

func decodeOutcome(payload []byte) (res *metapb.Result, known bool, err error) {
	if len(payload) == 0 || payload[0] > outcomeResult {
		return nil, false, errFrame
	}
	if payload[0] != outcomeResult {
		return nil, payload[0] == outcomeNever, nil
	}
	res = &metapb.Result{}
	return res, true, proto.Unmarshal(payload[1:], res)
}

// hintsOf is what a host knows about who leads each group.
func hintsOf(h Host) []hint {
	out := make([]hint, h.Groups()+1)
	for g := range out {
		drive, ok := h.LeaderHint(uint32(g))
		switch {
		case h.Leads(uint32(g)):
			out[g] = hint{known: hintLeads, drive: drive}
			out[g].led.term, out[g].led.committed = h.Led(uint32(g))
		case ok:
			out[g] = hint{known: hintHeard, drive: drive}
		}
	}
	return out
}
