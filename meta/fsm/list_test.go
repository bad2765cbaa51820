package fsm

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"holdfast/internal/kind"
	"holdfast/proto/metapb"
)

// naiveList is the listing as S3 describes it: all keys, one after the other.
func naiveList(keys []string, prefix, delimiter, after string, afterPrefix bool) (out []string) {
	for _, k := range keys {
		if !strings.HasPrefix(k, prefix) || after != "" && k <= after || after != "" && afterPrefix && strings.HasPrefix(k, after) {
			continue
		}
		if delimiter != "" {
			if i := strings.Index(k[len(prefix):], delimiter); i >= 0 {
				k = k[:len(prefix)+i+len(delimiter)] + "|"
			}
		}
		if len(out) == 0 || out[len(out)-1] != k {
			out = append(out, k)
		}
	}
	return out
}

func entryName(e *metapb.Entry) string {
	if e.CommonPrefix {
		return e.Key + "|"
	}
	return e.Key
}

var listAlphabet = []rune("ab/\x00é\U0010FFFF")

func drawKeys(t *rapid.T, label string, least int) []string {
	gen := rapid.StringOfN(rapid.RuneFrom(listAlphabet), 1, 6, -1)
	return rapid.SliceOfNDistinct(gen, least, 40, rapid.ID).Draw(t, label)
}

func drawText(t *rapid.T, label string) string {
	return rapid.StringOfN(rapid.RuneFrom(listAlphabet), 0, 2, -1).Draw(t, label)
}

// TestListEqualsTheNaiveListing pages through random keys with random prefixes, delimiters, page
// sizes and starts: each page must be the next piece of the naive listing, and truncated exact.
func TestListEqualsTheNaiveListing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newGuard(t)
		index := uint64(0)
		do := func(bucket byte, key string, op any) {
			index++
			cmd := &metapb.Command{NowMs: 5, Bucket: bytes.Repeat([]byte{bucket}, 16), Key: key}
			id := []byte(fmt.Sprintf("%016d", index))
			switch op {
			case "put":
				cmd.Op = &metapb.Command_PutVersion{PutVersion: &metapb.PutVersion{Manifest: &metapb.Manifest{VersionId: id, Etag: key}, Versioning: metapb.Versioning_ENABLED}}
			case "hide":
				cmd.Op = &metapb.Command_DeleteVersion{DeleteVersion: &metapb.DeleteVersion{MarkerId: id, Versioning: metapb.Versioning_ENABLED}}
			}
			if r := s.apply(releaseBatch, index, cmd); r.Kind != 0 {
				t.Fatal(r)
			}
		}
		live := drawKeys(t, "live", 15)
		for _, k := range live {
			do(testBucket[0], k, "put")
			do(testBucket[0]+1, k, "put") // a neighbour that must not be seen
			do(testBucket[0]-1, k, "put")
		}
		for _, k := range drawKeys(t, "hidden", 0) {
			if !slices.Contains(live, k) {
				do(testBucket[0], k, "put")
			}
			do(testBucket[0], k, "hide")
			live = slices.DeleteFunc(live, func(l string) bool { return l == k })
		}
		slices.Sort(live)
		q := &metapb.ListObjects{Prefix: drawText(t, "prefix"), Delimiter: drawText(t, "delimiter"), Limit: uint32(rapid.IntRange(1, 8).Draw(t, "limit"))}
		if rapid.Bool().Draw(t, "start-after") {
			q.After = drawText(t, "after")
			q.AfterPrefix = rapid.Bool().Draw(t, "after prefix")
		}
		want := naiveList(live, q.Prefix, q.Delimiter, q.After, q.AfterPrefix)
		for page := 0; ; page++ {
			a, err := Answer(s, 1, &metapb.Query{Bucket: testBucket, Op: &metapb.Query_ListObjects{ListObjects: q}})
			if err != nil {
				t.Fatal(err)
			}
			n := min(len(want), int(q.Limit))
			if len(a.Entries) != n || a.Truncated != (len(want) > n) {
				t.Fatalf("page %d of %v: %d entries, truncated %v; %d were left: %q", page, q, len(a.Entries), a.Truncated, len(want), want)
			}
			for i, e := range a.Entries {
				if entryName(e) != want[i] || !e.CommonPrefix && e.Current.Etag != e.Key {
					t.Fatalf("page %d of %v: entry %d is %q, expected %q", page, q, i, entryName(e), want[i])
				}
			}
			if want = want[n:]; len(want) == 0 {
				return
			}
			last := a.Entries[n-1]
			q.After, q.AfterPrefix = last.Key, last.CommonPrefix
		}
	})
}

// TestListUploadsEqualsTheNaiveListing does the same for uploads, of which a key can have many.
func TestListUploadsEqualsTheNaiveListing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newGuard(t)
		var names []string // key, 1, upload ID
		for i, k := range drawKeys(t, "keys", 10) {
			for j := range rapid.IntRange(1, 3).Draw(t, "uploads") {
				id := []byte(fmt.Sprintf("%08d%08d", 99-j, i))
				r := s.apply(releaseBatch, uint64(i*3+j+1), &metapb.Command{Bucket: testBucket, Key: k, Op: &metapb.Command_CreateUpload{
					CreateUpload: &metapb.CreateUpload{Upload: &metapb.Upload{UploadId: id, VersionId: id}}}})
				if r.Kind != 0 {
					t.Fatal(r)
				}
				names = append(names, k+"\x00\x01"+string(id))
			}
		}
		slices.SortFunc(names, func(x, y string) int {
			a, b := x[:len(x)-18], y[:len(y)-18]
			if a != b {
				return strings.Compare(a, b)
			}
			return strings.Compare(x, y)
		})
		q := &metapb.ListUploads{Prefix: drawText(t, "prefix"), Delimiter: rapid.SampledFrom([]string{"", "/", "b", "é", "ab"}).Draw(t, "delimiter"), Limit: uint32(rapid.IntRange(1, 5).Draw(t, "limit"))}
		var want []string
		for _, n := range names {
			k := n[:len(n)-18]
			if !strings.HasPrefix(k, q.Prefix) {
				continue
			}
			if i := strings.Index(k[len(q.Prefix):], q.Delimiter); q.Delimiter != "" && i >= 0 {
				n = k[:len(q.Prefix)+i+len(q.Delimiter)] + "|"
			}
			if len(want) == 0 || want[len(want)-1] != n {
				want = append(want, n)
			}
		}
		for {
			a, err := Answer(s, 1, &metapb.Query{Bucket: testBucket, Op: &metapb.Query_ListUploads{ListUploads: q}})
			if err != nil {
				t.Fatal(err)
			}
			n := min(len(want), int(q.Limit))
			if len(a.Entries) != n || a.Truncated != (len(want) > n) {
				t.Fatalf("%v: %d entries, truncated %v; %d were left", q, len(a.Entries), a.Truncated, len(want))
			}
			for i, e := range a.Entries {
				name := entryName(e)
				if !e.CommonPrefix {
					name += "\x00\x01" + string(e.Upload.UploadId)
				}
				if name != want[i] {
					t.Fatalf("%v: entry %d is %q, expected %q", q, i, name, want[i])
				}
			}
			if want = want[n:]; len(want) == 0 {
				return
			}
			last := a.Entries[n-1]
			q.KeyAfter, q.AfterPrefix, q.UploadAfter = last.Key, last.CommonPrefix, last.GetUpload().GetUploadId()
		}
	})
}

// countingReader counts what a query touches.
type countingReader struct {
	*MapStore
	gets, steps int
}

func (r *countingReader) Get(key []byte) ([]byte, error) { r.gets++; return r.MapStore.Get(key) }
func (r *countingReader) Iterate(prefix []byte) Iterator {
	return &countingIterator{r.MapStore.Iterate(prefix), r}
}

type countingIterator struct {
	Iterator
	r *countingReader
}

func (i *countingIterator) Seek(key []byte) { i.r.steps++; i.Iterator.Seek(key) }
func (i *countingIterator) Next()           { i.r.steps++; i.Iterator.Next() }

// TestListSkipsCommonPrefixesBySeeking: the cost of a page follows the page, not the keys.
func TestListSkipsCommonPrefixesBySeeking(t *testing.T) {
	s := &countingReader{MapStore: NewMapStore()}
	for i := range 3000 {
		cmd := benchPut(fmt.Sprintf("dir%d/file%04d", i/1000, i), 1, []byte("x"))
		if r, err := Apply(s, 1, uint64(i+1), cmd); err != nil || r.Kind != 0 {
			t.Fatal(r, err)
		}
	}
	s.gets, s.steps = 0, 0
	a, err := Answer(s, 1, &metapb.Query{Bucket: bytes.Repeat([]byte{7}, 16), Op: &metapb.Query_ListObjects{ListObjects: &metapb.ListObjects{Delimiter: "/", Limit: 1000}}})
	if err != nil || len(a.Entries) != 3 || a.Truncated {
		t.Fatal(a, err)
	}
	if s.steps > 5 || s.gets != 0 {
		t.Fatalf("three common prefixes cost %d steps and %d gets", s.steps, s.gets)
	}
}

// TestCostDoesNotFollowTheNumberOfVersions: with a thousand versions under it, a key's operations
// touch as many records as with two.
func TestCostDoesNotFollowTheNumberOfVersions(t *testing.T) {
	s := &countingReader{MapStore: NewMapStore()}
	index := uint64(0)
	touched := func(op func()) int { s.gets, s.steps = 0, 0; op(); return s.gets + s.steps }
	apply := func(cmd *metapb.Command) {
		index++
		if r, err := Apply(s, 1, index, cmd); err != nil || r.Kind != 0 {
			t.Fatal(r, err)
		}
	}
	put := func() {
		cmd := benchPut("key", 1, []byte("x"))
		cmd.GetPutVersion().Manifest.VersionId = []byte(fmt.Sprintf("%016d", index))
		cmd.GetPutVersion().Versioning = metapb.Versioning_ENABLED
		apply(cmd)
	}
	remove := func() {
		apply(&metapb.Command{Bucket: bytes.Repeat([]byte{7}, 16), Key: "key", Op: &metapb.Command_DeleteVersion{DeleteVersion: &metapb.DeleteVersion{
			VersionId: []byte(fmt.Sprintf("%016d", index-1)), Versioning: metapb.Versioning_ENABLED}}})
	}
	get := func() {
		a, err := Answer(s, 1, &metapb.Query{Bucket: bytes.Repeat([]byte{7}, 16), Key: "key", Op: &metapb.Query_GetVersion{GetVersion: &metapb.GetVersion{}}})
		if err != nil || a.Kind != 0 {
			t.Fatal(a, err)
		}
	}
	measure := func() [3]int { return [3]int{touched(put), touched(get), touched(remove)} }
	put()
	put()
	put()
	few := measure()
	for range 1000 {
		put()
	}
	if many := measure(); many != few {
		t.Fatalf("put, get, delete touch %v records with 3 versions, %v with 1003", few, many)
	}
}

// TestPagesHaveLimits: no page is longer than allowed, and an empty one is not truncated.
func TestPagesHaveLimits(t *testing.T) {
	s := NewMapStore()
	list := func(q *metapb.ListObjects) *metapb.Answer {
		a, err := Answer(s, 1, &metapb.Query{Bucket: testBucket, Op: &metapb.Query_ListObjects{ListObjects: q}})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	if a := list(&metapb.ListObjects{Limit: 0}); a.Kind != 0 || len(a.Entries) != 0 || a.Truncated {
		t.Fatal(a)
	}
	if a := list(&metapb.ListObjects{Limit: 1, Prefix: strings.Repeat("p", maxKeyLen+1)}); a.Kind != uint32(kind.InvalidArgument) {
		t.Fatal(a)
	}
}
