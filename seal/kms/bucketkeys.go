package kms

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"

	"holdfast/seal"
)

// BucketConfig bounds how long one bucket key serves.
type BucketConfig struct {
	Now func() time.Time // the clock

	// MaxAge is how long a data key is kept, made or opened: so late is it noticed that its master
	// key was disabled. 0 is 5 min.
	MaxAge time.Duration
	// MaxUses is how many objects one bucket key wraps. 0 is 10,000.
	MaxUses int
	// MaxKeys is how many keys are kept; those used last stay. 0 is 4,096, about 1 MiB.
	MaxKeys int
}

const (
	defaultBucketAge  = 5 * time.Minute
	defaultBucketUses = 10_000
	defaultBucketKeys = 4096
)

// BucketKeys keeps data keys of buckets for a while, so that not every object costs a call of the
// KMS. It is safe for concurrent use.
type BucketKeys struct {
	cfg BucketConfig

	mu      sync.Mutex
	entries map[bucketKeyID]*list.Element // of *bucketEntry
	recent  *list.List                    // the last used is in front
}

// bucketKeyID names an entry. The context has the bucket's ARN, so no two buckets share one.
type bucketKeyID struct {
	keyID, context string
	blob           string // "": the key that new objects of the bucket are wrapped under
}

// bucketEntry is a key, or the wait for one.
type bucketEntry struct {
	id    bucketKeyID
	ready chan struct{} // closed when the KMS has answered; then the rest holds still, but for uses
	key   *seal.KMSKey  // nil: it failed
	blob  []byte
	until time.Time
	uses  int
}

// NewBucketKeys makes an empty cache.
func NewBucketKeys(cfg BucketConfig) (*BucketKeys, error) {
	if cfg.Now == nil {
		return nil, errors.New("kms: bucket keys need a clock")
	}
	if cfg.MaxAge <= 0 {
		cfg.MaxAge = defaultBucketAge
	}
	if cfg.MaxUses <= 0 {
		cfg.MaxUses = defaultBucketUses
	}
	if cfg.MaxKeys <= 0 {
		cfg.MaxKeys = defaultBucketKeys
	}
	return &BucketKeys{cfg: cfg, entries: map[bucketKeyID]*list.Element{}, recent: list.New()}, nil
}

// ForWrite gives the data key that new objects are wrapped under, a copy: the caller zeroes it.
func (b *BucketKeys) ForWrite(ctx context.Context, k KMS, keyID string, c seal.Context) (DataKey, error) {
	id := bucketKeyID{keyID: keyID, context: string(c.Canonical())}
	return b.get(ctx, id, func() (DataKey, error) { return k.GenerateDataKey(ctx, keyID, c) })
}

// ForRead opens the blob of an object's bucket key, and gives a copy: the caller zeroes it.
func (b *BucketKeys) ForRead(ctx context.Context, k KMS, keyID string, blob []byte, c seal.Context) (*seal.KMSKey, error) {
	id := bucketKeyID{keyID: keyID, context: string(c.Canonical()), blob: string(blob)}
	d, err := b.get(ctx, id, func() (DataKey, error) {
		key, err := k.Decrypt(ctx, keyID, blob, c)
		return DataKey{Key: key, Blob: blob}, err
	})
	return d.Key, err
}

// get finds the key or has it fetched; of those who ask at once, one asks the KMS. If that one
// fails, the next one tries.
func (b *BucketKeys) get(ctx context.Context, id bucketKeyID, fetch func() (DataKey, error)) (DataKey, error) {
	for {
		e, mine := b.entry(id)
		if mine {
			return b.fill(e, fetch)
		}
		select {
		case <-e.ready:
		case <-ctx.Done():
			return DataKey{}, ctx.Err()
		}
		if d, ok := b.use(e); ok {
			return d, nil
		}
	}
}

// entry finds the entry of an ID; mine says that it is new and the caller's to fill.
func (b *BucketKeys) entry(id bucketKeyID) (e *bucketEntry, mine bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if at := b.entries[id]; at != nil {
		b.recent.MoveToFront(at)
		return at.Value.(*bucketEntry), false
	}
	e = &bucketEntry{id: id, ready: make(chan struct{})}
	b.entries[id] = b.recent.PushFront(e)
	for len(b.entries) > b.cfg.MaxKeys {
		b.drop(b.recent.Back().Value.(*bucketEntry))
	}
	return e, true
}

// fill asks the KMS and wakes those who wait.
func (b *BucketKeys) fill(e *bucketEntry, fetch func() (DataKey, error)) (d DataKey, err error) {
	defer func() { // also when fetch panics: nobody may wait for ever
		b.mu.Lock()
		if e.key == nil {
			b.drop(e)
		}
		b.mu.Unlock()
		close(e.ready)
	}()
	made, err := fetch()
	if err != nil {
		return DataKey{}, err
	}
	own, err := made.Key.Clone()
	if err != nil {
		return DataKey{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	e.key, e.blob, e.uses = own, append([]byte(nil), made.Blob...), 1
	e.until = b.cfg.Now().Add(b.cfg.MaxAge)
	if b.entries[e.id] == nil || b.entries[e.id].Value != e { // pushed out meanwhile
		b.drop(e)
	}
	return made, nil
}

// use takes a copy of an entry's key. Where it is spent, too old or gone it is dropped, and the
// caller looks again.
func (b *BucketKeys) use(e *bucketEntry) (DataKey, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	spent := e.id.blob == "" && e.uses >= b.cfg.MaxUses
	if e.key == nil || spent || !b.cfg.Now().Before(e.until) {
		b.drop(e)
		return DataKey{}, false
	}
	key, err := e.key.Clone()
	if err != nil {
		b.drop(e)
		return DataKey{}, false
	}
	e.uses++
	return DataKey{Key: key, Blob: append([]byte(nil), e.blob...)}, true
}

// drop forgets an entry and zeroes its key; the lock is held.
func (b *BucketKeys) drop(e *bucketEntry) {
	if at := b.entries[e.id]; at != nil && at.Value == e {
		delete(b.entries, e.id)
		b.recent.Remove(at)
	}
	e.key.Zero()
	e.key = nil
}

// Forget drops every key under a master key, "" for all: after it was disabled here.
func (b *BucketKeys) Forget(keyID string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for at, next := b.recent.Front(), (*list.Element)(nil); at != nil; at = next {
		next = at.Next()
		if e := at.Value.(*bucketEntry); keyID == "" || e.id.keyID == keyID {
			b.drop(e)
		}
	}
}
