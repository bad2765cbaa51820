package object

import (
	"bytes"
	"context"
	"testing"
	"time"

	"holdfast/internal/kind"
	"holdfast/meta/replica"
	"holdfast/node/nodetest"
	"holdfast/proto/metapb"
)

// losing is metadata whose next answers are lost after, or before, the command took effect.
type losing struct {
	Metadata
	lose  int
	apply bool
}

func (l *losing) Apply(ctx context.Context, group uint32, cmd *metapb.Command) (*metapb.Result, error) {
	if l.lose == 0 {
		return l.Metadata.Apply(ctx, group, cmd)
	}
	l.lose--
	if l.apply {
		if _, err := l.Metadata.Apply(ctx, group, cmd); err != nil {
			return nil, err
		}
	}
	return nil, &replica.UnknownError{Group: group}
}

func TestACompletionAskedForAgainAnswersAsTheFirst(t *testing.T) {
	s := newStore(t)
	c := customer(t, 1)
	for _, sealed := range []bool{false, true} {
		r := CompleteRequest{Bucket: "b", Key: "k", Condition: Condition{IfNoneMatch: "*"}}
		if sealed {
			r.Key, r.Customer = "sealed", c
		}
		r.UploadID = s.upload(r.Key, r.Customer, metapb.Checksum_CRC32C, metapb.Checksum_FULL_OBJECT)
		r.Parts = []CompletePart{s.part(r.Key, r.UploadID, 1, s.bytes(MinPartSize), r.Customer), s.part(r.Key, r.UploadID, 3, s.bytes(10), r.Customer)}
		first, err := s.CompleteUpload(t.Context(), r)
		must(t, err)
		again, err := s.CompleteUpload(t.Context(), r)
		must(t, err)
		if again.Checksum == nil || *again.Checksum != *first.Checksum {
			t.Errorf("sealed %t: checksum %v, then %v", sealed, first.Checksum, again.Checksum)
		}
		first.Checksum, again.Checksum = nil, nil
		if again.ETag != first.ETag || again.Size != first.Size {
			t.Errorf("sealed %t: %+v, then %+v", sealed, first, again)
		}
		other := r
		other.Parts = r.Parts[:1]
		_, err = s.CompleteUpload(t.Context(), other)
		wantKind(t, err, kind.NoSuchUpload)
		if sealed {
			other = r
			other.Customer = customer(t, 2)
			_, err = s.CompleteUpload(t.Context(), other)
			wantKind(t, err, kind.SSECPartMismatch)
		}
		s.put(r.Key, s.bytes(10), nil) // replaced: the version left no trace
		_, err = s.CompleteUpload(t.Context(), r)
		wantKind(t, err, kind.NoSuchUpload)
	}
}

func TestACommandWhoseAnswerIsLostIsFoundByItsWork(t *testing.T) {
	s := newStore(t)
	l := &losing{Metadata: s.meta}
	s.cfg.Metadata = l
	for _, l.apply = range []bool{true, false} {
		lost := func() { l.lose = 1 }
		for _, n := range []int{10, 100_000} {
			body := s.bytes(n)
			lost()
			_, err := s.Put(t.Context(), PutRequest{Bucket: "b", Key: "k", Body: bytes.NewReader(body), Size: int64(n)})
			if !l.apply {
				wantKind(t, err, kind.Unavailable) // it may come yet
				continue
			}
			must(t, err)
			if got, _, err := s.get(GetRequest{Key: "k"}); err != nil || !bytes.Equal(got, body) {
				t.Fatalf("the object whose answer was lost: %v", err)
			}
		}
		lost()
		up := s.upload("m", nil, metapb.Checksum_NONE, metapb.Checksum_UNSET)
		r := CompleteRequest{Bucket: "b", Key: "m", UploadID: up}
		if l.apply {
			lost()
		}
		r.Parts = append(r.Parts, s.part("m", up, 1, s.bytes(10), nil))
		lost()
		_, err := s.CompleteUpload(t.Context(), r)
		must(t, err)
		up = s.upload("m", nil, metapb.Checksum_NONE, metapb.Checksum_UNSET)
		lost()
		if err := s.AbortUpload(t.Context(), "b", "m", up); l.apply {
			wantKind(t, err, kind.NoSuchUpload)
		} else {
			must(t, err)
		}
	}
}

// TestARefusedWriteDoesNotWaitForADriveThatHangs: its shards go without it, on the others at once.
func TestARefusedWriteDoesNotWaitForADriveThatHangs(t *testing.T) {
	s := newStore(t)
	release := s.drives[0].(*nodetest.Drive).Hang(nodetest.Delete)
	body := s.bytes(100 << 10)
	answered := make(chan error, 1)
	go func() {
		_, err := s.Put(t.Context(), PutRequest{Bucket: "b", Key: "k", Body: bytes.NewReader(body), Size: int64(len(body)), Condition: Condition{IfMatch: "0123"}})
		answered <- err
	}()
	select {
	case err := <-answered:
		wantKind(t, err, kind.NoSuchKeyCondition)
	case <-time.After(10 * time.Second):
		t.Error("no answer while a drive hangs")
	}
	release()
	eventually(t, "no shard is left", func() bool { return s.census() == 0 })
}
