package kms_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/seal"
	"holdfast/seal/kms"
)

// counted counts the calls of a KMS and can hold or fail them.
type counted struct {
	kms.KMS
	made, opened atomic.Int64
	hold         chan struct{}
	fail         func() error
}

func (c *counted) GenerateDataKey(ctx context.Context, keyID string, ec seal.Context) (kms.DataKey, error) {
	c.made.Add(1)
	if c.hold != nil {
		<-c.hold
	}
	if c.fail != nil {
		if err := c.fail(); err != nil {
			return kms.DataKey{}, err
		}
	}
	return c.KMS.GenerateDataKey(ctx, keyID, ec)
}

func (c *counted) Decrypt(ctx context.Context, keyID string, blob []byte, ec seal.Context) (*seal.KMSKey, error) {
	c.opened.Add(1)
	return c.KMS.Decrypt(ctx, keyID, blob, ec)
}

func buckets(t testing.TB, cfg kms.BucketConfig) (*kms.BucketKeys, *counted, *clock) {
	t.Helper()
	c := newClock()
	k := node(t, newMemory(), c, "a")
	ok(t, k.Create(t.Context(), "one"))
	cfg.Now = c.Now
	b, err := kms.NewBucketKeys(cfg)
	ok(t, err)
	return b, &counted{KMS: k}, c
}

func TestOneBucketKeyServesManyObjectsForABoundedTimeAndNumber(t *testing.T) {
	b, k, c := buckets(t, kms.BucketConfig{MaxAge: time.Minute, MaxUses: 100})
	write := func() kms.DataKey {
		t.Helper()
		d, err := b.ForWrite(t.Context(), k, "one", contextA)
		ok(t, err)
		return d
	}
	first := write()
	for range 99 {
		write().Key.Zero() // a copy each: it costs nobody the key
	}
	if n := k.made.Load(); n != 1 {
		t.Fatalf("%d calls for 100 objects", n)
	}
	if d := write(); k.made.Load() != 2 || same(t, d.Key, first.Key) {
		t.Errorf("the bucket key was used more than MaxUses times")
	}
	c.pass(time.Minute)
	write()
	if k.made.Load() != 3 {
		t.Error("the bucket key was used after MaxAge")
	}
	for range 10 {
		got, err := b.ForRead(t.Context(), k, "one", first.Blob, contextA)
		if err != nil || !same(t, got, first.Key) {
			t.Fatal(err)
		}
		got.Zero()
	}
	if n := k.opened.Load(); n != 1 {
		t.Errorf("%d calls for 10 reads", n)
	}
	if d, err := b.ForWrite(t.Context(), k, "one", seal.Context{"aws:s3:arn": "arn:aws:s3:::other"}); err != nil || same(t, d.Key, first.Key) || k.made.Load() != 4 {
		t.Errorf("two buckets share a key: %v", err)
	}
	if _, err := b.ForRead(t.Context(), k, "one", first.Blob, nil); kms.CodeOf(err) != kms.Internal {
		t.Errorf("the cache was asked with another context: %v", err)
	}
}

func TestBucketKeysOfADisabledKeyEnd(t *testing.T) {
	b, k, c := buckets(t, kms.BucketConfig{MaxAge: time.Minute})
	d, err := b.ForWrite(t.Context(), k, "one", contextA)
	ok(t, err)
	ok(t, k.KMS.(*kms.Builtin).Disable(t.Context(), "one"))
	if _, err := b.ForWrite(t.Context(), k, "one", contextA); err != nil {
		t.Errorf("within MaxAge: %v", err)
	}
	c.pass(time.Minute)
	_, err = b.ForWrite(t.Context(), k, "one", contextA)
	wantCode(t, err, kms.Disabled)
	_, err = b.ForRead(t.Context(), k, "one", d.Blob, contextA)
	wantCode(t, err, kms.Disabled)
	ok(t, k.KMS.(*kms.Builtin).Enable(t.Context(), "one"))
	_, err = b.ForRead(t.Context(), k, "one", d.Blob, contextA)
	ok(t, err)
	ok(t, k.KMS.(*kms.Builtin).Disable(t.Context(), "one"))
	b.Forget("two")
	_, err = b.ForRead(t.Context(), k, "one", d.Blob, contextA)
	ok(t, err)
	b.Forget("one")
	_, err = b.ForRead(t.Context(), k, "one", d.Blob, contextA)
	wantCode(t, err, kms.Disabled)
}

func TestWhoAsksAtOnceSharesOneCall(t *testing.T) {
	b, k, _ := buckets(t, kms.BucketConfig{})
	k.hold = make(chan struct{})
	var failed atomic.Bool
	k.fail = func() error { // the first call fails: the next one of those who wait takes over
		if failed.CompareAndSwap(false, true) {
			return errors.New("no")
		}
		return nil
	}
	var wait sync.WaitGroup
	var errs atomic.Int64
	for range 50 {
		wait.Go(func() {
			d, err := b.ForWrite(t.Context(), k, "one", contextA)
			if err != nil {
				errs.Add(1)
				return
			}
			d.Key.Zero()
		})
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for k.made.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	if _, err := b.ForWrite(gone, k, "one", contextA); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that went away: %v", err)
	}
	close(k.hold)
	wait.Wait()
	if k.made.Load() != 2 || errs.Load() != 1 {
		t.Errorf("%d calls, %d errors", k.made.Load(), errs.Load())
	}
}

func TestBucketKeysKeptAreBounded(t *testing.T) {
	b, k, _ := buckets(t, kms.BucketConfig{MaxKeys: 8})
	ask := func(n int) {
		t.Helper()
		_, err := b.ForWrite(t.Context(), k, "one", seal.Context{"n": fmt.Sprint(n)})
		ok(t, err)
	}
	for n := range 100 {
		ask(n)
		ask(0) // used all the time: stays
	}
	if n := k.made.Load(); n != 100 {
		t.Errorf("%d calls", n)
	}
	for n := 99; n > 92; n-- {
		ask(n)
	}
	if n := k.made.Load(); n != 100 {
		t.Errorf("%d calls after those of the last eight", n)
	}
	ask(92)
	if n := k.made.Load(); n != 101 {
		t.Errorf("%d calls: more than eight are kept", n)
	}
}

func TestBucketKeysUnderLoad(t *testing.T) {
	b, k, c := buckets(t, kms.BucketConfig{MaxUses: 7, MaxKeys: 3, MaxAge: 10 * time.Millisecond})
	var wait sync.WaitGroup
	for n := range 8 {
		wait.Go(func() {
			for i := range 200 {
				ec := seal.Context{"n": fmt.Sprint((n + i) % 5)}
				d, err := b.ForWrite(t.Context(), k, "one", ec)
				if err != nil {
					t.Error(err)
					return
				}
				got, err := b.ForRead(t.Context(), k, "one", d.Blob, ec)
				if err != nil || !same(t, got, d.Key) {
					t.Errorf("read: %v", err)
					return
				}
				if i%10 == 0 {
					b.Forget("")
					c.pass(time.Millisecond)
				}
			}
		})
	}
	wait.Wait()
}
