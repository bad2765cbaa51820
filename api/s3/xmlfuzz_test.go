package s3

import (
	"net/http/httptest"
	"testing"

	"holdfast/internal/xmlio"
)

// No document makes the readers of bodies panic. How XML is read is fuzzed in internal/xmlio.
func FuzzBodies(f *testing.F) {
	for _, s := range []string{
		"<Delete><Object><Key>a&amp;b</Key><VersionId>x</VersionId></Object><Quiet>true</Quiet></Delete>",
		"<Delete><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></Delete>", "<Delete/>",
	} {
		f.Add(s)
	}
	f.Fuzz(func(_ *testing.T, s string) {
		doc, err := xmlio.Parse(s, "Delete")
		if err != nil {
			return
		}
		_, _, _ = (&call{r: httptest.NewRequest("POST", "/", nil)}).parseDelete(doc)
		_, _ = parseParts(doc)
	})
}
