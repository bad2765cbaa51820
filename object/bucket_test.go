package object

import (
	"bytes"
	"context"
	"testing"

	"holdfast/internal/kind"
	"holdfast/proto/metapb"
)

// TestADeletedBucketIsGoneOnOtherFronts: also where its record was being fetched at that moment, and
// what is made under its name afterwards is there at once.
func TestADeletedBucketIsGoneOnOtherFronts(t *testing.T) {
	s := newStore(t)
	slow := &slowGroups{Metadata: s.meta}
	config := s.cfg
	config.Metadata = slow
	other, err := New(config)
	must(t, err)
	s.cfg.BucketChanged = func(_ context.Context, name string) error {
		other.ForgetBucket(name)
		return nil
	}
	put := func(e *Engine) {
		t.Helper()
		_, err := e.Put(t.Context(), PutRequest{Bucket: "b", Key: "k", Body: bytes.NewReader([]byte("x")), Size: 1})
		must(t, err)
	}
	renew := func() {
		t.Helper()
		_, err := s.Delete(t.Context(), DeleteRequest{Bucket: "b", Key: "k"})
		must(t, err)
		must(t, s.DeleteBucket(t.Context(), "b"))
	}
	put(other)
	renew()
	_, err = other.HeadBucket(t.Context(), "b")
	wantKind(t, err, kind.NoSuchBucket)

	must(t, s.CreateBucket(t.Context(), CreateBucketRequest{Name: "b", Owner: "root"}))
	put(s.Engine)
	slow.after = func() { // the other front has the old record in its hands, but has not kept it yet
		slow.after = nil
		renew()
		must(t, s.CreateBucket(t.Context(), CreateBucketRequest{Name: "b", Owner: "root"}))
		put(s.Engine)
	}
	_, _ = other.HeadBucket(t.Context(), "b")
	if slow.after != nil {
		t.Fatal("the other front did not ask")
	}
	if _, err := other.Head(t.Context(), GetRequest{Bucket: "b", Key: "k"}); err != nil {
		t.Errorf("an object in a bucket that was made anew: %v", err)
	}
}

// slowGroups does something between an answer and its arrival.
type slowGroups struct {
	Metadata
	after func()
}

func (g *slowGroups) Ask(ctx context.Context, group uint32, q *metapb.Query) (*metapb.Answer, error) {
	a, err := g.Metadata.Ask(ctx, group, q)
	if f := g.after; f != nil {
		f()
	}
	return a, err
}
