package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/protobuf/proto"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/meta/replica"
	"holdfast/proto/metapb"
)

// Host runs or reaches the groups' replicas; *replica.Host and *wire.Router do.
type Host interface {
	Groups() uint32
	// Propose makes one attempt at the leader it knows. Errors of kind NotLeader, and
	// replica.ErrOverloaded, mean that nothing happened; *replica.UnknownError and ctx's that it may have.
	// An UnknownError with neither an index nor a term is one that Outcome cannot resolve.
	Propose(ctx context.Context, group uint32, command []byte) (*metapb.Result, error)
	Ask(ctx context.Context, group uint32, q *metapb.Query) (*metapb.Answer, error)
	// Outcome resolves an UnknownError.
	Outcome(ctx context.Context, u *replica.UnknownError) (result *metapb.Result, known bool, err error)
	// Full: the group's drives have no room for commands that make it grow.
	Full(group uint32) bool
	// Changed is closed at the next change of any leader.
	Changed() <-chan struct{}
	WaitReady(ctx context.Context) error
}

// asker is a Host that asks many groups at once for less than one by one. An error of a group
// says that it should be asked by itself. Answers and errors are in the order of groups.
type asker interface {
	AskMany(ctx context.Context, groups []uint32, q *metapb.Query) ([]*metapb.Answer, []error)
}

// Config says how a Client behaves.
type Config struct {
	// Host has the replicas.
	Host Host
	// Timeout bounds each call, elections included; it must outlast the longest of them. Default 8 s: no request
	// should hang over ten.
	Timeout time.Duration
	// MaxParallel bounds the groups that one AskAll asks at the same time. Default 16.
	MaxParallel int
	// Rand makes request IDs; default crypto/rand.
	Rand io.Reader
}

func (c *Config) validate() error {
	if c.Host == nil {
		return errors.New("client: Config needs a Host")
	}
	if c.Timeout <= 0 {
		c.Timeout = 8 * time.Second
	}
	if c.MaxParallel <= 0 {
		c.MaxParallel = 16
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	return nil
}

// Client sends commands and queries to groups. Safe for concurrent use.
type Client struct {
	cfg Config
}

// New makes a Client.
func New(cfg Config) (*Client, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Client{cfg}, nil
}

// Groups is the number of object groups, numbered from 1.
func (c *Client) Groups() uint32 { return c.cfg.Host.Groups() }

// Ready returns when every group can answer.
func (c *Client) Ready(ctx context.Context) error {
	if err := c.cfg.Host.WaitReady(ctx); err != nil {
		return ended(ctx, err)
	}
	return nil
}

// Apply has a command committed and applied, and returns its result. A refusal comes as an error
// with its kind, beside the Result. A request ID is filled in if there is none; cmd must not be
// changed during the call and is not kept. See the package's doc for what is tried again.
func (c *Client) Apply(ctx context.Context, group uint32, cmd *metapb.Command) (*metapb.Result, error) {
	if grows(cmd) && c.cfg.Host.Full(group) {
		return nil, kind.New(kind.Full, "the drives of a metadata group are full")
	}
	p := &proposal{group: group, cmd: cmd}
	if err := c.encode(p, len(cmd.RequestId) == 0); err != nil {
		return nil, err
	}
	inner, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	var res *metapb.Result
	err := c.retry(inner, func() (err error) {
		res, err = c.attempt(inner, p)
		return err
	})
	if err != nil {
		return nil, ended(ctx, err)
	}
	return res, refusal(res.GetKind(), res.GetMessage())
}

// grows reports whether a command is refused when drives are full. What finishes, moves or removes
// is not: it may be what makes room.
func grows(cmd *metapb.Command) bool {
	switch cmd.Op.(type) {
	case *metapb.Command_PutVersion, *metapb.Command_PutPart, *metapb.Command_CreateUpload, *metapb.Command_CreateBucket:
		return true
	}
	return false
}

// proposal is a command on its way.
type proposal struct {
	group uint32
	cmd   *metapb.Command
	data  []byte // cmd, encoded
}

// encode encodes the command, with a new request ID if it is to have one.
func (c *Client) encode(p *proposal, renamed bool) (err error) {
	if renamed {
		p.cmd.RequestId = make([]byte, id.Size)
		if _, err := io.ReadFull(c.cfg.Rand, p.cmd.RequestId); err != nil {
			return fmt.Errorf("client: request ID: %w", err)
		}
	}
	if p.data, err = proto.Marshal(p.cmd); err != nil {
		return fmt.Errorf("client: encode command: %w", err)
	}
	return nil
}

// attempt proposes once, and stays with it until the outcome is known.
func (c *Client) attempt(ctx context.Context, p *proposal) (*metapb.Result, error) {
	res, err := c.cfg.Host.Propose(ctx, p.group, p.data)
	var u *replica.UnknownError
	if !errors.As(err, &u) {
		return res, err
	}
	lost := *u
	u = &lost
	u.Request = p.cmd.RequestId
	var known bool
	err = c.retry(ctx, func() (err error) {
		res, known, err = c.cfg.Host.Outcome(ctx, u)
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case !known:
		return nil, u
	case res == nil: // it never takes effect: as good as not proposed
		if err := c.encode(p, true); err != nil { // the leader may have been told to refuse that one
			return nil, err
		}
		return nil, replica.ErrNotLeader
	}
	return res, nil
}

// Ask answers a query, linearizably. A refusal comes as an error with its kind, beside the Answer.
func (c *Client) Ask(ctx context.Context, group uint32, q *metapb.Query) (*metapb.Answer, error) {
	inner, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	var a *metapb.Answer
	err := c.retry(inner, func() (err error) {
		a, err = c.cfg.Host.Ask(inner, group, q)
		return err
	})
	if err != nil {
		return nil, ended(ctx, err)
	}
	return a, refusal(a.GetKind(), a.GetMessage())
}

// AskAll asks every object group; the answers are in the order of the groups. The first error
// ends it.
func (c *Client) AskAll(ctx context.Context, q *metapb.Query) ([]*metapb.Answer, error) {
	groups := make([]uint32, c.Groups())
	for i := range groups {
		groups[i] = uint32(i) + 1
	}
	answers := make([]*metapb.Answer, len(groups))
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	if h, ok := c.cfg.Host.(asker); ok {
		got, errs := h.AskMany(ctx, groups, q)
		for i := range answers {
			if errs[i] == nil {
				answers[i] = got[i]
			}
		}
	}
	if err := c.askRest(ctx, q, answers); err != nil {
		return nil, err
	}
	return answers, nil
}

// askRest asks each group that has no answer yet by itself.
func (c *Client) askRest(ctx context.Context, q *metapb.Query, answers []*metapb.Answer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	room := make(chan struct{}, c.cfg.MaxParallel)
	done := make(chan error, len(answers))
	for i := range answers {
		if a := answers[i]; a != nil {
			done <- refusal(a.GetKind(), a.GetMessage())
			continue
		}
		room <- struct{}{}
		go func() {
			a, err := c.Ask(ctx, uint32(i)+1, q)
			answers[i] = a
			<-room
			if err != nil {
				cancel(err)
			}
			done <- err
		}()
	}
	var first error
	for range answers {
		if err := <-done; err != nil && (first == nil || kind.Is(first, kind.Canceled)) {
			first = err // the one that made the others give up, not their giving up
		}
	}
	return first
}

const (
	// firstPause and lastPause bound the wait between attempts when no change of leaders ends
	// it earlier. An overloaded group needs a moment, an election about two seconds at worst.
	firstPause = 2 * time.Millisecond
	lastPause  = 100 * time.Millisecond
)

// retry calls f until it succeeds or fails in a way that another attempt would not mend.
func (c *Client) retry(ctx context.Context, f func() error) error {
	var timer *time.Timer
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		changed := c.cfg.Host.Changed()
		err := f()
		if err == nil || !retriable(err) {
			return err
		}
		if timer == nil {
			timer = time.NewTimer(pause)
			defer timer.Stop()
		} else {
			timer.Reset(pause)
		}
		if errors.Is(err, replica.ErrOverloaded) {
			changed = nil
		}
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
			return kind.Wrap(kind.Unavailable, err, "the metadata group is not available")
		}
	}
}

// retriable reports whether an attempt surely had no effect and another may fare better.
func retriable(err error) bool {
	return kind.Is(err, kind.NotLeader) || errors.Is(err, replica.ErrOverloaded)
}

// ended gives an error the kind that the caller of ctx should see.
func ended(ctx context.Context, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return kind.Wrap(kind.Canceled, err, "the request was given up")
	case errors.Is(err, context.DeadlineExceeded):
		return kind.Wrap(kind.Timeout, err, "the metadata group did not answer in time")
	}
	return err
}

func refusal(k uint32, message string) error {
	if k == 0 {
		return nil
	}
	return kind.New(kind.Kind(k), "%s", message)
}
