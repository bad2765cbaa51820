package kind

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

func TestTheOutermostKindCounts(t *testing.T) {
	inner := New(NotFound, "no shard %d", 7)
	outer := Wrap(Unavailable, fmt.Errorf("drive: read: %w", inner), "object %s", "x")
	for err, want := range map[error]Kind{
		inner: NotFound, outer: Unavailable, fmt.Errorf("more: %w", outer): Unavailable, errors.New("plain"): Unknown, errors.Join(io.EOF, inner): NotFound,
	} {
		if Of(err) != want || !Is(err, want) {
			t.Errorf("%v: kind %d, want %d", err, Of(err), want)
		}
	}
	if Is(nil, Unknown) || Of(nil) != Unknown {
		t.Error("no error has a kind")
	}
	if !errors.Is(Wrap(Timeout, io.ErrUnexpectedEOF, "read"), io.ErrUnexpectedEOF) {
		t.Error("the cause is lost")
	}
	if got := outer.Error(); got != "object x: drive: read: no shard 7" {
		t.Errorf("%q", got)
	}
}

// TestNumbersNeverChange: they travel between nodes of different versions.
func TestNumbersNeverChange(t *testing.T) {
	for k, want := range map[Kind]int{Unknown: 0, SignatureNotImplemented: 148, SSECAlgorithm: 200, SSECMisspelledHeaders: 214, MalformedXML: 300, HeadersTooLarge: 310, MalformedACL: 320, MissingSecurityHeader: 337} {
		if int(k) != want {
			t.Errorf("kind %d was %d", k, want)
		}
	}
}
