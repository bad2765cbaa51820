package object

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"holdfast/internal/kind"
	"holdfast/proto/metapb"
	"holdfast/seal"
)

// sizes around every edge of inlining, chunks, blocks and stripes.
var sizes = []int{0, 1, 8175, 8176, 8177, 8192, 8193, 65535, 65536, 65537, 262143, 262144, 262145, 1048576, 1048577, 3_000_000}

func TestEveryByteReadIsTheOneWritten(t *testing.T) {
	s := newStore(t)
	for _, c := range []*seal.CustomerKey{nil, customer(t, 1)} {
		for _, n := range sizes {
			key := fmt.Sprintf("k%d-%t", n, c != nil)
			body := s.bytes(n)
			s.put(key, body, c)
			got, r, err := s.get(GetRequest{Key: key, Customer: c})
			must(t, err)
			if !bytes.Equal(got, body) || r.Size != int64(n) {
				t.Fatalf("%s: %d bytes differ from the %d written", key, len(got), n)
			}
			for range 8 {
				if n == 0 {
					break
				}
				first := s.rand.IntN(n)
				last := first + s.rand.IntN(n-first)
				got, r, err := s.get(GetRequest{Key: key, Customer: c, Range: &Range{First: int64(first), Last: int64(last)}})
				must(t, err)
				if !bytes.Equal(got, body[first:last+1]) || !r.Ranged {
					t.Fatalf("%s: range %d-%d is wrong", key, first, last)
				}
			}
		}
	}
}

func TestFailedWriteLeavesNothing(t *testing.T) {
	s := newStore(t)
	body := s.bytes(2_000_001)
	lost := errors.New("connection reset")
	badSignature := kind.New(kind.SignatureMismatch, "the tenth chunk")
	for _, c := range []*seal.CustomerKey{nil, customer(t, 1)} {
		for _, size := range []int{100, 20_000, 2_000_000} {
			b := body[:size]
			for name, r := range map[string]struct {
				req  PutRequest
				kind kind.Kind
			}{
				"short body":       {PutRequest{Body: bytes.NewReader(b[:size-1])}, kind.IncompleteBody},
				"client vanishes":  {PutRequest{Body: failing{bytes.NewReader(b[:size/2]), lost}}, kind.IncompleteBody},
				"bad last chunk":   {PutRequest{Body: failing{bytes.NewReader(b), badSignature}}, kind.SignatureMismatch},
				"wrong MD5":        {PutRequest{Body: bytes.NewReader(b), ContentMD5: make([]byte, 16)}, kind.BadDigest},
				"wrong checksum":   {PutRequest{Body: bytes.NewReader(b), Checksum: &Checksum{Algorithm: metapb.Checksum_CRC32C, Want: func() (string, error) { return "AAAAAA==", nil }}}, kind.BadDigest},
				"failed condition": {PutRequest{Body: bytes.NewReader(b), Condition: Condition{IfMatch: "0123"}}, kind.NoSuchKeyCondition},
				"longer body":      {PutRequest{Body: bytes.NewReader(body[:size+1])}, kind.InvalidRequest},
			} {
				r.req.Bucket, r.req.Key, r.req.Size, r.req.Customer = "b", "k", int64(size), c
				_, err := s.Put(t.Context(), r.req)
				if kind.Of(err) != r.kind || err == nil {
					t.Errorf("%s of %d bytes (sealed %t): got %v", name, size, c != nil, err)
				}
				if _, _, err := s.get(GetRequest{Key: "k", Customer: c}); !kind.Is(err, kind.NoSuchKey) {
					t.Errorf("%s: a version became visible: %v", name, err)
				}
				eventually(t, name+": its shards are gone", func() bool { return s.census() == 0 })
			}
		}
	}
}

func TestUnknownOutcomeKeepsTheShards(t *testing.T) {
	s := newStore(t)
	s.meta.Fail(func(cmd *metapb.Command) error {
		if cmd.GetPutVersion() != nil {
			return kind.New(kind.Timeout, "no answer")
		}
		return nil
	})
	_, err := s.Put(t.Context(), PutRequest{Bucket: "b", Key: "k", Body: bytes.NewReader(s.bytes(100_000)), Size: 100_000})
	wantKind(t, err, kind.Timeout)
	if n := s.census(); n != 6 {
		t.Fatalf("%d shards are left of a write that may have been committed, want 6", n)
	}
}

func TestRewrapMovesNoDataAndOldKeyNoLongerOpens(t *testing.T) {
	s := newStore(t)
	old, fresh := customer(t, 1), customer(t, 2)
	for _, n := range []int{0, 100, 300_000} {
		key := fmt.Sprint("k", n)
		body := s.bytes(n)
		before := s.put(key, body, old)
		shards := s.census()
		res, err := s.Copy(t.Context(), CopyRequest{Source: Source{Bucket: "b", Key: key, Customer: old}, Bucket: "b", Key: key, Customer: fresh})
		must(t, err)
		if res.ETag != before.ETag {
			t.Errorf("the ETag changed from %s to %s", before.ETag, res.ETag)
		}
		if s.census() != shards {
			t.Errorf("%d shards before the rewrap, %d after", shards, s.census())
		}
		got, _, err := s.get(GetRequest{Key: key, Customer: fresh})
		must(t, err)
		if !bytes.Equal(got, body) {
			t.Error("other bytes after the rewrap")
		}
		_, _, err = s.get(GetRequest{Key: key, Customer: old})
		wantKind(t, err, kind.SSECWrongKey)
	}
}

func TestCopyBetweenPlainAndSealed(t *testing.T) {
	s := newStore(t)
	keys := []*seal.CustomerKey{nil, customer(t, 1), customer(t, 2)}
	for i, from := range keys {
		for j, to := range keys {
			for _, n := range []int{0, 5000, 500_000} {
				body := s.bytes(n)
				src, dst := fmt.Sprint("s", i, j, n), fmt.Sprint("d", i, j, n)
				s.put(src, body, from)
				_, err := s.Copy(t.Context(), CopyRequest{Source: Source{Bucket: "b", Key: src, Customer: from}, Bucket: "b", Key: dst, Customer: to})
				must(t, err)
				got, _, err := s.get(GetRequest{Key: dst, Customer: to})
				must(t, err)
				if !bytes.Equal(got, body) {
					t.Fatalf("copy %d → %d of %d bytes differs", i, j, n)
				}
			}
		}
	}
}

func TestKeyIsCheckedBeforeAnythingIsTold(t *testing.T) {
	s := newStore(t)
	c := customer(t, 1)
	for _, n := range []int{0, 10, 100_000} {
		r := s.put("sealed", s.bytes(n), c)
		s.put("plain", s.bytes(n), nil)
		match := ReadCondition{IfNoneMatch: []string{r.ETag}}
		_, _, err := s.get(GetRequest{Key: "sealed", Customer: customer(t, 2), Condition: match})
		wantKind(t, err, kind.SSECWrongKey)
		_, _, err = s.get(GetRequest{Key: "sealed", Condition: match})
		wantKind(t, err, kind.SSECRequired)
		_, _, err = s.get(GetRequest{Key: "plain", Customer: c})
		wantKind(t, err, kind.SSECNotApplicable)
		_, err = s.Copy(t.Context(), CopyRequest{Source: Source{Bucket: "b", Key: "sealed", Customer: customer(t, 2)}, Bucket: "b", Key: "x"})
		wantKind(t, err, kind.SSECWrongKey)
	}
}

func TestChecksumIsStoredAndShownToWhoHasTheKey(t *testing.T) {
	s := newStore(t)
	c := customer(t, 1)
	body := s.bytes(100_000)
	res, err := s.Put(t.Context(), PutRequest{Bucket: "b", Key: "k", Body: bytes.NewReader(body), Size: int64(len(body)), Customer: c,
		Checksum: &Checksum{Algorithm: metapb.Checksum_SHA256}})
	must(t, err)
	_, r, err := s.get(GetRequest{Key: "k", Customer: c})
	must(t, err)
	if r.Checksum == nil || *r.Checksum != *res.Checksum || r.Checksum.Value == "" {
		t.Fatalf("stored checksum %+v, written %+v", r.Checksum, res.Checksum)
	}
}

func TestBucketDeletionIsCalledOffWhenItIsNotEmpty(t *testing.T) {
	s := newStore(t)
	s.put("k", []byte("x"), nil)
	wantKind(t, s.DeleteBucket(t.Context(), "b"), kind.BucketNotEmpty)
	s.put("k2", []byte("x"), nil) // still open
	for _, k := range []string{"k", "k2"} {
		_, err := s.Delete(t.Context(), DeleteRequest{Bucket: "b", Key: k})
		must(t, err)
	}
	_, err := s.CreateUpload(t.Context(), CreateUploadRequest{Bucket: "b", Key: "unfinished"})
	must(t, err)
	must(t, s.DeleteBucket(t.Context(), "b"))
	_, err = s.Put(t.Context(), PutRequest{Bucket: "b", Key: "k", Body: bytes.NewReader(nil)})
	wantKind(t, err, kind.NoSuchBucket)
	must(t, s.CreateBucket(t.Context(), CreateBucketRequest{Name: "b", Owner: "root"}))
	s.put("k", []byte("y"), nil)
	wantKind(t, s.CreateBucket(t.Context(), CreateBucketRequest{Name: "b", Owner: "root"}), kind.BucketOwnedByYou)
	wantKind(t, s.CreateBucket(t.Context(), CreateBucketRequest{Name: "b", Owner: "else"}), kind.BucketExists)
}

func TestExactReaderAsksForTheEndBeforeItGivesTheLastBytes(t *testing.T) {
	bad := errors.New("bad signature")
	r := &exactReader{src: failing{bytes.NewReader([]byte("abcd")), bad}, left: 4}
	b := make([]byte, 4)
	if n, err := io.ReadFull(r, b); n == 4 || !errors.Is(err, bad) {
		t.Fatalf("read %d bytes with error %v of a body whose end is bad", n, err)
	}
}

func TestFullDrivesRefuseSmallWritesAndAllowDeletes(t *testing.T) {
	s := newStore(t)
	s.put("k", []byte("x"), nil)
	s.placer.full = true
	_, err := s.Put(t.Context(), PutRequest{Bucket: "b", Key: "k2", Body: bytes.NewReader([]byte("x")), Size: 1})
	wantKind(t, err, kind.Full)
	_, _, err = s.get(GetRequest{Key: "k"})
	must(t, err)
	_, err = s.Delete(t.Context(), DeleteRequest{Bucket: "b", Key: "k"})
	must(t, err)
}
