package versioning

import (
	"testing"

	"holdfast/internal/kind"
	"holdfast/internal/xmlio"
)

func document(inside string) string {
	return "<VersioningConfiguration>" + inside + "</VersioningConfiguration>"
}

func TestDocuments(t *testing.T) {
	for _, row := range []struct {
		in   string
		want State
		kind kind.Kind
	}{
		{document("<Status>Enabled</Status>"), Enabled, 0},
		{document("<Status> Suspended\n</Status>"), Suspended, 0},
		{document("<MfaDelete>Disabled</MfaDelete><Status>Enabled</Status>"), Enabled, 0},
		{document("<Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>"), "", kind.Unbuilt},
		{document("<Status>Enabled</Status><MfaDelete>on</MfaDelete>"), "", kind.MalformedXML},
		{document(""), "", kind.IllegalVersioning},
		{document("<MfaDelete>Disabled</MfaDelete>"), "", kind.IllegalVersioning},
		{document("<Status/>"), "", kind.MalformedXML},
		{document("<Status>enabled</Status>"), "", kind.MalformedXML},
		{document("<Status>Enabled</Status><Status>Enabled</Status>"), "", kind.MalformedXML},
		{document("<State>Enabled</State>"), "", kind.MalformedXML},
		{"<Versioning/>", "", kind.MalformedXML},
		{"", "", kind.MalformedXML},
	} {
		if got, err := Parse(row.in); got != row.want || (err != nil) != (row.kind != 0) || kind.Of(err) != row.kind {
			t.Errorf("%s: %q, %v", row.in, got, err)
		}
	}
	const head = `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`
	for s, want := range map[State]string{Unset: "", Enabled: "<Status>Enabled</Status>", Suspended: "<Status>Suspended</Status>"} {
		if got := xmlio.Document(s); got != head+want+"</VersioningConfiguration>" {
			t.Error(got)
		}
	}
}

func TestALockedBucketStaysVersioned(t *testing.T) {
	for s, ok := range map[State]bool{Enabled: true, Suspended: false, Unset: false} {
		if err := s.CheckLocked(); (err == nil) != ok || !ok && !kind.Is(err, kind.InvalidBucketState) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func FuzzVersioning(f *testing.F) {
	f.Add(document("<Status>Enabled</Status>"))
	f.Add(document("<MfaDelete>Disabled</MfaDelete>"))
	f.Fuzz(func(t *testing.T, in string) {
		if s, err := Parse(in); err == nil {
			if again, err := Parse(xmlio.Document(s)); err != nil || again != s {
				t.Fatalf("%q became %q, %v", s, again, err)
			}
		}
	})
}
