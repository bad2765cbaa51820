package access

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/api/policy"
	"holdfast/api/sigv4"
	"holdfast/internal/kind"
	"holdfast/meta"
	"holdfast/proto/metapb"
)

// Store is a Directory over the documents of the system group. Safe for concurrent use.
type Store struct {
	cfg             Config
	secrets, tokens box
	root            *Identity // of the first account
	rootSecret      string
	canned          map[string]*Managed

	state atomic.Pointer[state] // nil until the first refresh
	busy  chan struct{}         // held while asking

	mu   sync.Mutex
	uses map[string]*use // by access key
	told map[string]int64
}

// state is a snapshot and when it was known to hold.
type state struct {
	*snapshot
	at time.Time
}

// Format prints no more than the type: it holds secrets.
func (s *Store) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("access.Store")) }

// New makes a Store; Run keeps it fresh.
func New(cfg Config) (*Store, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Store{cfg: cfg, busy: make(chan struct{}, 1), uses: map[string]*use{}, told: map[string]int64{}, rootSecret: cfg.Root.Password()}
	for purpose, to := range map[string]*box{"access-keys": &s.secrets, "session-tokens": &s.tokens} {
		key, err := cfg.Secret.Derive(purpose, 32)
		if err != nil {
			return nil, fmt.Errorf("access: %w", err)
		}
		*to = box{key: key, rand: cfg.Rand}
	}
	a, err := FirstAccount(cfg)
	if err != nil {
		return nil, err
	}
	s.root = rootOf(&a, nil)
	s.canned = map[string]*Managed{}
	for _, c := range policy.CannedPolicies() {
		m := &Managed{Account: "aws", Name: c.Name, Path: "/", ID: "canned/" + c.Name, Default: "v1", Last: 1, Versions: []Version{{ID: "v1", Document: c.Document}}}
		m.compile(cfg.Logger)
		s.canned[c.ARN] = m
	}
	return s, nil
}

// FirstAccount is the account of the configured root: the same on every node, and it tells nothing.
func FirstAccount(cfg Config) (Account, error) {
	canonical, err := cfg.Secret.Derive("owner", 32)
	if err != nil {
		return Account{}, fmt.Errorf("access: %w", err)
	}
	number, err := cfg.Secret.Derive("account", 8)
	if err != nil {
		return Account{}, fmt.Errorf("access: %w", err)
	}
	return Account{ID: accountNumber(number), Canonical: hex.EncodeToString(canonical), Name: cfg.Root.User}, nil
}

// accountNumber makes twelve digits, the first of them not 0, of eight bytes.
func accountNumber(b []byte) string {
	var n uint64
	for _, x := range b {
		n = n<<8 | uint64(x)
	}
	return fmt.Sprintf("%012d", 100_000_000_000+n%900_000_000_000)
}

// First is the first account, whose root may do everything.
func (s *Store) First() Account { return s.root.Account }

// Run looks for changes until ctx ends, and writes down now and then which keys were used.
func (s *Store) Run(ctx context.Context) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		asking, cancel := context.WithTimeout(ctx, askTimeout)
		if err := s.refresh(asking); err != nil && ctx.Err() == nil {
			s.cfg.Logger.Debug("who may do what could not be looked at", "error", err)
		}
		if n%usageEvery == usageEvery-1 {
			s.saveUsage(asking)
		}
		cancel()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// current is a snapshot that is fresh enough to decide by.
func (s *Store) current(ctx context.Context) (*snapshot, error) {
	if n := s.state.Load(); n != nil && s.cfg.Now().Sub(n.at) <= maxAge {
		return n.snapshot, nil
	}
	return s.fresh(ctx)
}

// fresh asks, and waits for the answer.
func (s *Store) fresh(ctx context.Context) (*snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	if err := s.refresh(ctx); err != nil {
		return nil, kind.Wrap(kind.Unavailable, err, "access: who may do what cannot be told now")
	}
	return s.state.Load().snapshot, nil
}

// refresh makes the snapshot one that is not older than the call.
func (s *Store) refresh(ctx context.Context) error {
	called := s.cfg.Now()
	select {
	case s.busy <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.busy }()
	old := s.state.Load()
	if old != nil && old.at.After(called) { // somebody asked meanwhile
		return nil
	}
	at := s.cfg.Now()
	a, err := s.ask(ctx, &metapb.ListDocuments{Collection: changesCollection})
	if err != nil {
		return err
	}
	if old != nil && a.Revision == old.changes {
		s.state.Store(&state{old.snapshot, at})
		return nil
	}
	n := &snapshot{changes: a.Revision}
	for t := range n.tables {
		var known table
		if old != nil {
			known = old.tables[t]
		}
		if n.tables[t], err = s.read(ctx, t, known); err != nil {
			return err
		}
	}
	s.index(n)
	s.state.Store(&state{n, at})
	return nil
}

func (s *Store) ask(ctx context.Context, q *metapb.ListDocuments) (*metapb.Answer, error) {
	return s.cfg.Metadata.Ask(ctx, meta.SystemGroup, &metapb.Query{Op: &metapb.Query_ListDocuments{ListDocuments: q}})
}

// pageSize is how many documents one question asks for; the group bounds their bytes.
const pageSize = 1000

// read reads a collection in pages, unless it is as known. What changes between two pages is read anew at
// the next refresh: the revision is that of the first page.
func (s *Store) read(ctx context.Context, t int, known table) (table, error) {
	out := table{docs: map[string]record{}}
	q := &metapb.ListDocuments{Collection: collections[t], Limit: pageSize, KnownRevision: known.revision}
	for first := true; ; first = false {
		a, err := s.ask(ctx, q)
		if err != nil {
			return out, fmt.Errorf("access: list %s: %w", q.Collection, err)
		}
		if first && known.docs != nil && a.Revision == known.revision {
			return known, nil
		}
		if first {
			out.revision = a.Revision
		}
		for _, d := range a.Documents {
			if r, ok := known.docs[d.Name]; ok && r.revision == d.Revision {
				out.docs[d.Name] = r
				continue
			}
			out.docs[d.Name] = record{d.Revision, s.decode(t, d.Name, d.Value)}
		}
		if !a.Truncated || len(a.Documents) == 0 {
			return out, nil
		}
		q.After, q.KnownRevision = a.Documents[len(a.Documents)-1].Name, 0
	}
}

// edit is what a change writes, all or none.
type edit struct {
	n       *snapshot
	changes []*metapb.DocumentChange
	err     error
}

// put writes a document in the place of the one that the snapshot has, if that is still there.
func (e *edit) put(t int, name string, value any) {
	b, err := json.Marshal(value)
	if err != nil && e.err == nil {
		e.err = fmt.Errorf("access: encode %s: %w", collections[t], err)
	}
	old, there := e.n.tables[t].docs[name]
	e.changes = append(e.changes, &metapb.DocumentChange{Collection: collections[t], Name: name, Value: b, IfRevision: old.revision, IfAbsent: !there})
}

// drop deletes one that is as the snapshot has it.
func (e *edit) drop(t int, name string) {
	e.changes = append(e.changes, &metapb.DocumentChange{Collection: collections[t], Name: name, IfRevision: e.n.tables[t].docs[name].revision})
}

// change decides on a fresh snapshot what to write, and writes it if nothing of that has changed meanwhile; else it
// decides again. decide may be called several times.
func (s *Store) change(ctx context.Context, decide func(e *edit) error) error {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	for range maxTries {
		n, err := s.fresh(ctx)
		if err != nil {
			return err
		}
		e := &edit{n: n}
		if err := decide(e); err != nil {
			return err
		}
		if e.err != nil || len(e.changes) == 0 {
			return e.err
		}
		e.changes = append(e.changes, &metapb.DocumentChange{Collection: changesCollection, Name: changesName, Value: []byte{1}})
		_, err = s.cfg.Metadata.Apply(ctx, meta.SystemGroup, &metapb.Command{Op: &metapb.Command_PutDocuments{PutDocuments: &metapb.PutDocuments{Changes: e.changes}}})
		switch kind.Of(err) {
		case kind.Conflict, kind.Exists, kind.NotFound:
			continue
		}
		if err != nil {
			return fmt.Errorf("access: %w", err)
		}
		// What was just done holds here at once. If it cannot be read now, nothing is served until it can.
		if err := s.refresh(ctx); err != nil {
			s.state.Store(&state{n, time.Time{}})
		}
		return nil
	}
	return refuse(CodeConcurrent, "The request was rejected because multiple requests to change this object were submitted simultaneously. Wait a few minutes and submit your request again.")
}

// Identity implements Directory; what cannot be told is nobody.
func (s *Store) Identity(accessKey string) (*Identity, bool) {
	c, ok, err := s.Lookup(context.Background(), accessKey)
	who, known := c.Who.(*Identity)
	return who, ok && known && err == nil
}

// Account implements Directory.
func (s *Store) Account(id string) (Account, bool) {
	return s.find(func(n *snapshot) *Account { return n.accounts[id] })
}

// AccountByEmail implements Directory.
func (s *Store) AccountByEmail(email string) (Account, bool) {
	return s.find(func(n *snapshot) *Account { return n.emails[strings.ToLower(email)] })
}

func (s *Store) find(by func(*snapshot) *Account) (Account, bool) {
	n, err := s.current(context.Background())
	if err != nil {
		return Account{}, false
	}
	if a := by(n); a != nil {
		return *a, true
	}
	return Account{}, false
}

var _ Directory = (*Store)(nil)

// Lookup is a sigv4.Lookup: it knows the first root, the keys that are active, and sessions by their tokens.
func (s *Store) Lookup(ctx context.Context, accessKey string) (sigv4.Credentials, bool, error) {
	switch {
	case accessKey == s.cfg.Root.User:
		return sigv4.Credentials{AccessKey: accessKey, SecretKey: s.rootSecret, Who: s.root}, true, nil
	case isSession(accessKey):
		return sigv4.Credentials{AccessKey: accessKey, Session: func(ctx context.Context, token string) (sigv4.Credentials, error) {
			return s.open(ctx, accessKey, token)
		}}, true, nil
	}
	n, err := s.current(ctx)
	if err != nil {
		return sigv4.Credentials{}, false, err
	}
	k, ok := n.tables[tableKeys].docs[accessKey].value.(*Key)
	if !ok || !k.Active || k.expired(s.cfg.Now()) {
		return sigv4.Credentials{}, false, nil
	}
	who := n.identity(k)
	if who == nil {
		return sigv4.Credentials{}, false, nil
	}
	return sigv4.Credentials{AccessKey: accessKey, SecretKey: k.secret, Who: who}, true, nil
}
