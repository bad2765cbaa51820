package kms

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"holdfast/internal/kind"
	"holdfast/internal/secret"
	"holdfast/seal"
)

// Store keeps the records of master keys. They hold no key in the clear.
type Store interface {
	// Load returns all records.
	Load(ctx context.Context) ([][]byte, error)
	// Save writes the record of a name if the one that is there equals old (nil: none is), else
	// kind.Conflict.
	Save(ctx context.Context, name string, old, record []byte) error
}

// Config is what the built-in KMS needs.
type Config struct {
	Secret secret.Cluster   // wraps the master keys
	Store  Store            // of their records
	Rand   io.Reader        // of master keys and data keys
	Now    func() time.Time // the clock

	// MaxAge is how old what was read from the store may be: so late does a node notice what was
	// changed on another. 0 is 5 s.
	MaxAge time.Duration
	// MaxStale is how long old records serve when the store does not answer. 0 is 5 min.
	MaxStale time.Duration
}

// Defaults of Config, and a bound of ours.
const (
	defaultMaxAge   = 5 * time.Second
	defaultMaxStale = 5 * time.Minute

	// missAge: for a key that is not known the store is asked at most this often, whatever names
	// clients make up.
	missAge = 250 * time.Millisecond
)

func (c *Config) validate() error {
	if c.Secret.IsZero() || c.Store == nil || c.Rand == nil || c.Now == nil {
		return errors.New("kms: the built-in KMS needs the cluster's secret, a store, a random source and a clock")
	}
	if c.MaxAge <= 0 {
		c.MaxAge = defaultMaxAge
	}
	if c.MaxStale <= 0 {
		c.MaxStale = defaultMaxStale
	}
	return nil
}

// Builtin is the KMS that needs no other service. It implements KMS.
type Builtin struct {
	cfg      Config
	wrapper  *seal.KMSKey
	loading  chan struct{} // held by whoever reads the store
	mu       sync.RWMutex  // below; read-held while a master key is used, so that none is zeroed meanwhile
	keys     map[string]*master
	loadedAt time.Time
	tried    time.Time // last attempt to load, also a failed one
}

// master is one master key in memory.
type master struct {
	record  []byte // as stored
	dec     record
	opened  map[uint32]*seal.KMSKey
	damaged error // why it cannot be used
}

// NewBuiltin makes a KMS; the store is first read when it is first used.
func NewBuiltin(cfg Config) (*Builtin, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	b, err := cfg.Secret.Derive(purposeMaster, seal.KeySize)
	if err != nil {
		return nil, fmt.Errorf("kms: %w", err)
	}
	w, err := seal.NewKMSKey(b)
	if err != nil {
		return nil, err
	}
	return &Builtin{cfg: cfg, wrapper: w, loading: make(chan struct{}, 1), keys: map[string]*master{}}, nil
}

// GenerateDataKey implements KMS. The two keys with a meaning of their own are made when they are
// first needed.
func (b *Builtin) GenerateDataKey(ctx context.Context, keyID string, c seal.Context) (DataKey, error) {
	if err := b.fresh(ctx, keyID); err != nil {
		return DataKey{}, err
	}
	d, err := b.generate(keyID, c)
	if CodeOf(err) != NotFound || keyID != KeyS3 && keyID != KeyDefault {
		return d, err
	}
	if err := b.Create(ctx, keyID); err != nil && !kind.Is(err, kind.Conflict) {
		return DataKey{}, err
	}
	if err := b.load(ctx, b.cfg.Now()); err != nil { // another node may have made it
		return DataKey{}, err
	}
	return b.generate(keyID, c)
}

func (b *Builtin) generate(keyID string, c seal.Context) (DataKey, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	m, err := b.usable(keyID)
	if err != nil {
		return DataKey{}, err
	}
	newest := m.dec.versions[len(m.dec.versions)-1].number
	return newBlob(m.opened[newest], keyID, newest, c, b.cfg.Rand)
}

// Decrypt implements KMS.
func (b *Builtin) Decrypt(ctx context.Context, keyID string, blob []byte, c seal.Context) (*seal.KMSKey, error) {
	version, wrapped, err := splitBlob(blob)
	if err != nil {
		return nil, undecryptable(keyID, "it is no blob of the built-in KMS")
	}
	if err := b.fresh(ctx, keyID); err != nil {
		return nil, err
	}
	k, err := b.open(keyID, version, wrapped, c)
	if CodeOf(err) != Internal || b.knows(keyID, version) {
		return k, err
	}
	// Another node has rotated the key since.
	if err := b.again(ctx); err != nil {
		return nil, err
	}
	return b.open(keyID, version, wrapped, c)
}

func (b *Builtin) open(keyID string, version uint32, wrapped []byte, c seal.Context) (*seal.KMSKey, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	m, err := b.usable(keyID)
	if err != nil {
		return nil, err
	}
	master := m.opened[version]
	if master == nil {
		return nil, undecryptable(keyID, fmt.Sprintf("there is no version %d", version))
	}
	k, err := wrapping{domainDataKey, keyID, version, c.Canonical()}.unwrap(master, wrapped)
	if err != nil {
		return nil, undecryptable(keyID, "altered, or another context")
	}
	return k, nil
}

// usable finds a key that may be used; the lock is held.
func (b *Builtin) usable(keyID string) (*master, error) {
	m := b.keys[keyID]
	switch {
	case m == nil:
		return nil, notFound(keyID)
	case m.damaged != nil:
		return nil, &Error{Code: InvalidState, Message: fmt.Sprintf("%s is unavailable.", keyID), Err: m.damaged}
	case m.dec.state != stateEnabled:
		return nil, &Error{Code: Disabled, Message: fmt.Sprintf("%s is disabled.", keyID)}
	}
	return m, nil
}

func (b *Builtin) knows(keyID string, version uint32) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	m := b.keys[keyID]
	return m != nil && m.opened[version] != nil
}

// fresh reads the store again if what is known is too old, or does not have the key.
func (b *Builtin) fresh(ctx context.Context, keyID string) error {
	now := b.cfg.Now()
	b.mu.RLock()
	age, never, sinceTry := now.Sub(b.loadedAt), b.loadedAt.IsZero(), now.Sub(b.tried)
	b.mu.RUnlock()
	if never || age > b.cfg.MaxStale || age < 0 {
		return b.load(ctx, now)
	}
	if age > b.cfg.MaxAge && sinceTry > missAge {
		select {
		case b.loading <- struct{}{}: // one reads, the others take what there is
			_ = b.read(ctx) // what is known serves for MaxStale
			<-b.loading
		default:
		}
	}
	b.mu.RLock()
	known := b.keys[keyID] != nil
	b.mu.RUnlock()
	if known {
		return nil
	}
	return b.again(ctx)
}

// again reads the store unless that was just done.
func (b *Builtin) again(ctx context.Context) error {
	now := b.cfg.Now()
	b.mu.RLock()
	since := now.Sub(b.tried)
	b.mu.RUnlock()
	if since >= 0 && since <= missAge {
		return nil
	}
	return b.load(ctx, now)
}

// load reads the store, unless somebody else has done so since.
func (b *Builtin) load(ctx context.Context, since time.Time) error {
	select {
	case b.loading <- struct{}{}:
		defer func() { <-b.loading }()
	case <-ctx.Done():
		return ctx.Err()
	}
	b.mu.RLock()
	done := b.loadedAt.After(since)
	b.mu.RUnlock()
	if done {
		return nil
	}
	return b.read(ctx)
}

// read takes the store's records in; loading is held.
func (b *Builtin) read(ctx context.Context) error {
	now := b.cfg.Now()
	records, err := b.cfg.Store.Load(ctx)
	if err == nil && len(records) > MaxKeys {
		err = fmt.Errorf("kms: %d master keys are too many (%d)", len(records), MaxKeys)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tried = now
	if err != nil {
		return &Error{Code: Unavailable, Message: "The key management service is not available.", Err: err}
	}
	b.loadedAt = now
	keys := make(map[string]*master, len(records))
	for _, raw := range records {
		name := nameOf(raw)
		if old := b.keys[name]; old != nil && bytes.Equal(old.record, raw) {
			keys[name] = old
			continue
		}
		keys[name] = b.openRecord(raw)
	}
	for name, old := range b.keys {
		if keys[name] != old {
			old.zero()
		}
	}
	b.keys = keys
	return nil
}

// openRecord unwraps the versions of a record. What fails makes that one key unusable.
func (b *Builtin) openRecord(raw []byte) *master {
	m := &master{record: bytes.Clone(raw), opened: map[uint32]*seal.KMSKey{}}
	if m.dec, m.damaged = decodeRecord(raw); m.damaged != nil {
		return m
	}
	for _, v := range m.dec.versions {
		k, err := wrapping{domain: domainMaster, name: m.dec.name, version: v.number}.unwrap(b.wrapper, v.wrapped[:])
		if err != nil {
			m.damaged = fmt.Errorf("master key %q version %d: %w (another cluster secret?)", m.dec.name, v.number, err)
			return m
		}
		m.opened[v.number] = k
	}
	return m
}

// nameOf is the name in a record, also in one that is damaged elsewhere.
func nameOf(raw []byte) string {
	if len(raw) < 3 || len(raw) < 3+int(raw[2]) {
		return ""
	}
	return string(raw[3 : 3+int(raw[2])])
}

func (m *master) zero() {
	for _, k := range m.opened {
		k.Zero()
	}
}

// Close forgets all keys. Nothing may run beside it or after it.
func (b *Builtin) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.keys {
		m.zero()
	}
	b.wrapper.Zero()
	b.keys, b.loadedAt = map[string]*master{}, time.Time{}
}
