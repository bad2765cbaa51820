package operate

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"holdfast/cluster"
	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/internal/rpc"
)

// service is the name on the wire. Questions and answers are JSON in a BytesValue: they are rare, small
// and full of fields that come and go.
const service = "holdfast.Operate"

// The methods.
const (
	methodProgress = "Progress"
	methodScrub    = "ScrubStart"
	methodKick     = "Kick"
	methodAddDrive = "AddDrive"
)

// addRequest asks a node to take a directory into service.
type addRequest struct {
	Path string `json:"path"`
}

// addAnswer names the drive.
type addAnswer struct {
	Drive id.Drive `json:"drive"`
}

// nothing is a question or an answer without content.
type nothing struct{}

// Service answers other nodes about this one. It is registered before its server serves, when there is no
// Operator yet: groups find their leaders through the same server first.
type Service struct{ operator atomic.Pointer[Operator] }

// Attach has the Service answer by an Operator.
func (s *Service) Attach(o *Operator) { s.operator.Store(o) }

// Register adds the service to a server. Any node of the cluster may call it.
func (s *Service) Register(r *rpc.Server) error {
	desc := &grpc.ServiceDesc{
		ServiceName: service,
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{
			method(methodProgress, func(o *Operator, _ context.Context, _ *nothing) (Progress, error) { return o.Progress(), nil }),
			method(methodScrub, func(o *Operator, _ context.Context, _ *nothing) (nothing, error) { return nothing{}, o.scrubHere() }),
			method(methodKick, func(o *Operator, _ context.Context, _ *nothing) (nothing, error) { return nothing{}, o.kickHere() }),
			method(methodAddDrive, func(o *Operator, ctx context.Context, q *addRequest) (addAnswer, error) {
				d, err := o.addHere(ctx, q.Path)
				return addAnswer{d}, err
			}),
		},
	}
	roles := map[string]rpc.Roles{}
	for _, m := range desc.Methods {
		roles[m.MethodName] = rpc.Members
	}
	return r.Handle(desc, s, roles)
}

// method describes a method that takes and answers JSON.
func method[Q, A any](name string, call func(*Operator, context.Context, *Q) (A, error)) grpc.MethodDesc {
	return rpc.Unary(name, func(s *Service, ctx context.Context, q *wrapperspb.BytesValue) (*wrapperspb.BytesValue, error) {
		o := s.operator.Load()
		if o == nil {
			return nil, kind.New(kind.Unavailable, "operate: the node is starting")
		}
		question := new(Q)
		if err := json.Unmarshal(q.Value, question); err != nil {
			return nil, kind.Wrap(kind.InvalidArgument, err, "operate: %s", name)
		}
		a, err := call(o, ctx, question)
		if err != nil {
			return nil, overWire(err)
		}
		text, err := json.Marshal(a)
		return wrapperspb.Bytes(text), err
	})
}

// ask asks another node.
func ask[A any](ctx context.Context, o *Operator, n *cluster.NodeView, name string, question any) (answer A, err error) {
	if o.cfg.Dial == nil || n.PeerAddress == "" {
		return answer, kind.New(kind.Unavailable, "operate: no way to node %s", n.ID)
	}
	text, err := json.Marshal(question)
	if err != nil {
		return answer, err
	}
	a, err := rpc.Call[wrapperspb.BytesValue](ctx, o.cfg.Dial(n.PeerAddress), "/"+service+"/"+name, wrapperspb.Bytes(text))
	if err != nil {
		return answer, err
	}
	if err := json.Unmarshal(a.Value, &answer); err != nil {
		return answer, kind.Wrap(kind.Unavailable, err, "operate: the answer of node %s", n.ID)
	}
	return answer, nil
}

// each calls a function for nodes, several at a time, each with a time of its own.
func each(ctx context.Context, nodes []*cluster.NodeView, call func(ctx context.Context, i int, n *cluster.NodeView)) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, maxAsked)
	for i, n := range nodes {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(ctx, nodeTimeout)
			defer cancel()
			call(ctx, i, n)
		})
	}
	wg.Wait()
}

// report is the Progress of a node, or why there is none.
type report struct {
	node *cluster.NodeView
	Progress
	err error
}

// reports are those of all nodes that are there, and of those that should be.
func (o *Operator) reports(ctx context.Context, p *picture) []report {
	nodes := p.working()
	for i := range p.View.Nodes { // fronts, and nodes that are empty
		if n := &p.View.Nodes[i]; (n.Alive || n.Local) && !slices.Contains(nodes, n) {
			nodes = append(nodes, n)
		}
	}
	working := len(p.working())
	all := make([]report, len(nodes))
	each(ctx, nodes, func(ctx context.Context, i int, n *cluster.NodeView) {
		all[i].node = n
		switch {
		case n.ID == o.cfg.Node || n.Local:
			all[i].Progress = o.Progress()
		case !n.Alive:
			all[i].err = kind.New(kind.Unavailable, "operate: node %s is not there", n.ID)
		default:
			all[i].Progress, all[i].err = ask[Progress](ctx, o, n, methodProgress, nothing{})
		}
	})
	for i := working; i < len(all); {
		if all[i].err != nil { // nothing is missing without it
			all = slices.Delete(all, i, i+1)
		} else {
			i++
		}
	}
	return all
}

// working are the nodes whose part the figures must have: those with drives in use.
func (p *picture) working() (all []*cluster.NodeView) {
	for i := range p.View.Nodes {
		n := &p.View.Nodes[i]
		if slices.ContainsFunc(p.drivesOf(n.ID), inUse) {
			all = append(all, n)
		}
	}
	return all
}
