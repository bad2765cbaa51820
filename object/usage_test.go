package object

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"holdfast/internal/kind"
	"holdfast/proto/metapb"
)

func (s *store) usage() Usage {
	s.t.Helper()
	u, err := s.Usage(s.t.Context(), "b")
	must(s.t, err)
	return u
}

func TestUsageIsExact(t *testing.T) {
	s := newStore(t)
	for i := range 20 {
		s.put(fmt.Sprint("k", i), s.bytes(1000+i), nil)
	}
	s.put("k1", s.bytes(100_000), customer(t, 3))
	if got, want := s.usage(), (Usage{Objects: 20, Versions: 20, Bytes: 20*1000 + 190 - 1001 + 100_000}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	s.versioning(metapb.Versioning_ENABLED)
	s.put("k1", s.bytes(10), nil)
	_, err := s.Delete(t.Context(), DeleteRequest{Bucket: "b", Key: "k2"})
	must(t, err)
	if got := s.usage(); got.Objects != 19 || got.Versions != 21 || got.DeleteMarkers != 1 {
		t.Errorf("%+v", got)
	}
	s.versions(7, true)
	if got := s.usage(); got != (Usage{}) {
		t.Errorf("an empty bucket has %+v", got)
	}
}

// TestAQuotaIsNeverExceededAndCanBeUsedUp puts through many keys, which are in all groups, until nothing goes any more.
func TestAQuotaIsNeverExceededAndCanBeUsedUp(t *testing.T) {
	s := newStore(t)
	s.put("before", s.bytes(500), nil)
	const quota, size = 20_000, 300
	must(t, s.SetQuota(t.Context(), "b", quota))
	var refused atomic.Int64
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			for i := range 20 {
				body := make([]byte, size)
				_, err := s.Put(t.Context(), PutRequest{Bucket: "b", Key: fmt.Sprint(w, "-", i), Body: bytes.NewReader(body), Size: size})
				switch {
				case kind.Is(err, kind.QuotaExceeded):
					refused.Add(1)
				case err != nil:
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	u := s.usage()
	if u.Bytes > quota || u.Bytes <= quota-size || u.Quota != quota || refused.Load() == 0 {
		t.Errorf("%d refused; %+v", refused.Load(), u)
	}
	_, err := s.Delete(t.Context(), DeleteRequest{Bucket: "b", Key: "0-0"})
	must(t, err)
	s.put("after", make([]byte, size), nil)
	must(t, s.SetQuota(t.Context(), "b", 100))
	_, err = s.Put(t.Context(), PutRequest{Bucket: "b", Key: "more", Body: bytes.NewReader([]byte{1}), Size: 1})
	wantKind(t, err, kind.QuotaExceeded)
	must(t, s.SetQuota(t.Context(), "b", 0))
	s.put("more", s.bytes(50_000), nil)
	if s.census() != 6 {
		t.Errorf("%d shards: what was refused was not removed", s.census())
	}
}
