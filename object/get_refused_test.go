package object

import (
	"testing"

	"holdfast/internal/kind"
)

// TestARefusedReadTellsTheObject, so that nobody has to ask again for what a 304 or 416 shows.
func TestARefusedReadTellsTheObject(t *testing.T) {
	s := newStore(t)
	etag := s.put("k", s.bytes(10), nil).ETag
	for _, r := range []struct {
		GetRequest
		kind kind.Kind
	}{
		{GetRequest{Condition: ReadCondition{IfNoneMatch: []string{etag}}}, kind.NotModified},
		{GetRequest{Condition: ReadCondition{IfMatch: []string{"x"}}}, kind.PreconditionFailed},
		{GetRequest{Range: &Range{First: 10, Last: 20}}, kind.InvalidRange},
	} {
		r.Bucket, r.Key = "b", "k"
		for _, open := range []func() (*Reading, error){
			func() (*Reading, error) { return s.Get(t.Context(), r.GetRequest) }, func() (*Reading, error) { return s.Head(t.Context(), r.GetRequest) },
		} {
			rd, err := open()
			wantKind(t, err, r.kind)
			if rd == nil || rd.ETag != etag || rd.Size != 10 {
				t.Errorf("kind %d: %+v", r.kind, rd)
			}
		}
	}
}
