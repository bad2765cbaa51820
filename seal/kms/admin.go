package kms

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"holdfast/internal/kind"
	"holdfast/seal"
)

// saveTries is how often a change is tried that another one came in between.
const saveTries = 4

// Info describes a master key to an operator.
type Info struct {
	Name     string
	Enabled  bool
	Damaged  string // why it cannot be used, "" if it can
	Created  time.Time
	Rotated  time.Time // when its newest version was made
	Versions int
}

// List describes all master keys, by name, as the store has them now.
func (b *Builtin) List(ctx context.Context) ([]Info, error) {
	if err := b.load(ctx, b.cfg.Now()); err != nil {
		return nil, err
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	out := make([]Info, 0, len(b.keys))
	for name, m := range b.keys {
		i := Info{Name: name, Enabled: m.damaged == nil && m.dec.state == stateEnabled, Created: m.dec.created, Versions: len(m.dec.versions)}
		if m.damaged != nil {
			i.Damaged = m.damaged.Error()
		}
		if i.Versions > 0 {
			i.Rotated = m.dec.versions[i.Versions-1].created
		}
		out = append(out, i)
	}
	slices.SortFunc(out, func(x, y Info) int { return cmp.Compare(x.Name, y.Name) })
	return out, nil
}

// Create makes a master key of a random 256-bit key: kind.Conflict if there is one of that name,
// kind.InvalidArgument for a name that ValidName refuses or one key too many.
func (b *Builtin) Create(ctx context.Context, name string) error {
	if !ValidName(name) {
		return kind.New(kind.InvalidArgument, "kms: %q cannot name a master key: letters, digits, and between them . / - _", name)
	}
	if err := b.load(ctx, b.cfg.Now()); err != nil {
		return err
	}
	b.mu.RLock()
	there, full := b.keys[name] != nil, len(b.keys) >= MaxKeys
	b.mu.RUnlock()
	switch {
	case there:
		return kind.New(kind.Conflict, "kms: master key %q is there already", name)
	case full:
		return kind.New(kind.InvalidArgument, "kms: there are %d master keys, and no more can be", MaxKeys)
	}
	now := b.cfg.Now()
	r := record{name: name, state: stateEnabled, created: now}
	if err := b.addVersion(&r, now); err != nil {
		return err
	}
	return b.save(ctx, name, nil, r)
}

// Rotate gives a key a new version, under which data keys are wrapped from now on.
func (b *Builtin) Rotate(ctx context.Context, name string) error {
	return b.change(ctx, name, func(r *record) error { return b.addVersion(r, b.cfg.Now()) })
}

// Disable keeps a key from being used until Enable. The key of SSE-S3 cannot be disabled.
func (b *Builtin) Disable(ctx context.Context, name string) error {
	if name == KeyS3 {
		return kind.New(kind.InvalidArgument, "kms: the key of SSE-S3 cannot be disabled")
	}
	return b.change(ctx, name, func(r *record) error { r.state = stateDisabled; return nil })
}

// Enable undoes Disable.
func (b *Builtin) Enable(ctx context.Context, name string) error {
	return b.change(ctx, name, func(r *record) error { r.state = stateEnabled; return nil })
}

// change edits the stored record of a key, again if another change came in between.
func (b *Builtin) change(ctx context.Context, name string, edit func(*record) error) error {
	for try := 1; ; try++ {
		if err := b.load(ctx, b.cfg.Now()); err != nil {
			return err
		}
		b.mu.RLock()
		m := b.keys[name]
		b.mu.RUnlock()
		if m == nil {
			return notFound(name)
		}
		if m.damaged != nil {
			return &Error{Code: InvalidState, Message: fmt.Sprintf("%s is unavailable.", name), Err: m.damaged}
		}
		r := m.dec
		r.versions = slices.Clone(r.versions)
		if err := edit(&r); err != nil {
			return err
		}
		err := b.save(ctx, name, m.record, r)
		if !kind.Is(err, kind.Conflict) || try == saveTries {
			return err
		}
	}
}

func (b *Builtin) save(ctx context.Context, name string, old []byte, r record) error {
	if err := b.cfg.Store.Save(ctx, name, old, r.encode()); err != nil {
		return fmt.Errorf("kms: save master key %q: %w", name, err)
	}
	// What was saved holds, whatever becomes of reading it back here.
	b.mu.Lock()
	b.loadedAt, b.tried = time.Time{}, time.Time{}
	b.mu.Unlock()
	return nil
}

// addVersion draws a key and adds it, wrapped, to the record.
func (b *Builtin) addVersion(r *record, now time.Time) error {
	number := uint32(1)
	if n := len(r.versions); n > 0 {
		number = r.versions[n-1].number + 1
	}
	if len(r.versions) >= MaxVersions || number == 0 {
		return kind.New(kind.InvalidArgument, "kms: master key %q has %d versions, and no more can be", r.name, len(r.versions))
	}
	key := make([]byte, seal.KeySize)
	defer clear(key)
	if _, err := io.ReadFull(b.cfg.Rand, key); err != nil {
		return fmt.Errorf("kms: read random bytes: %w", err)
	}
	wrapped, err := wrapping{domain: domainMaster, name: r.name, version: number}.wrap(b.wrapper, key, b.cfg.Rand)
	if err != nil {
		return err
	}
	if len(wrapped) != wrappedSize {
		return errors.New("kms: a wrapped key has another length")
	}
	r.versions = append(r.versions, wrappedVersion{number: number, created: now, wrapped: [wrappedSize]byte(wrapped)})
	return nil
}
