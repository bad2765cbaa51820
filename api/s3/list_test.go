package s3

import (
	"encoding/xml"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"holdfast/object"
	"holdfast/proto/metapb"
)

// oddKeys are keys that XML, URLs or paths give trouble with.
var oddKeys = []string{
	"a b", "a&b<c>\"d'", "a+b", "a%20b", "a/../b", "a//b", "./c", `a\b`, "é/ü", "日本", "tab\there", "line\nfeed", "\x01control", "\x7fdel",
	"😀", "x\ufffey", "plain", "dir/one", "dir/two", "dir/sub/three", "?query", "#hash", "[x]", "~tilde*",
}

func oddBench(t *testing.T) *bench {
	b := newBench(t).fill(oddKeys...)
	b.engine.objects["docs/plain"].Checksum = &object.ChecksumValue{Algorithm: metapb.Checksum_CRC64NVME, Type: metapb.Checksum_FULL_OBJECT, Value: "AAAAAAAAAAA="}
	return b
}

func TestListingsAreTheGoldenOnes(t *testing.T) {
	b := oddBench(t)
	for name, target := range map[string]string{
		"list-v2.xml":           "/docs?list-type=2",
		"list-v2-url.xml":       "/docs?list-type=2&encoding-type=url&delimiter=/&start-after=%01&fetch-owner=true",
		"list-v2-dir.xml":       "/docs?list-type=2&prefix=dir/&delimiter=/&max-keys=1",
		"list-v1.xml":           "/docs?delimiter=/&max-keys=4",
		"list-v1-url.xml":       "/docs?encoding-type=url&marker=a%2Fb&prefix=a&delimiter=%25",
		"list-nothing.xml":      "/docs?list-type=2&max-keys=0",
		"list-no-such-page.xml": "/docs?prefix=zzz&max-keys=9999",
	} {
		golden(t, name, []byte(b.want(200, b.do("GET", target, "")).body))
	}
}

// v2Page is what a client reads of a listing.
type v2Page struct {
	Contents              []struct{ Key string }
	CommonPrefixes        []struct{ Prefix string }
	KeyCount              int
	IsTruncated           bool
	NextContinuationToken string
	NextMarker            string
}

func (b *bench) page(target string) v2Page {
	b.t.Helper()
	var p v2Page
	if err := xml.Unmarshal([]byte(b.want(200, b.do("GET", target, "")).body), &p); err != nil {
		b.t.Fatal(err)
	}
	return p
}

// Page by page, of every size, both versions give each key and each common prefix once.
func TestPagesAreExact(t *testing.T) {
	b := oddBench(t)
	for _, delimiter := range []string{"", "/", "a", "//", "o"} {
		for _, prefix := range []string{"", "dir/", "a", "none"} {
			base := "/docs?encoding-type=url&delimiter=" + url.QueryEscape(delimiter) + "&prefix=" + url.QueryEscape(prefix)
			want := expected(prefix, delimiter)
			for _, size := range []int{1, 2, 3, 7, 1000} {
				if got := b.walkV2(base, size); !slices.Equal(got, want) {
					t.Errorf("v2, prefix %q, delimiter %q, pages of %d:\n got %q\nwant %q", prefix, delimiter, size, got, want)
				}
				if got := b.walkV1(base, size, delimiter); !slices.Equal(got, want) {
					t.Errorf("v1, prefix %q, delimiter %q, pages of %d:\n got %q\nwant %q", prefix, delimiter, size, got, want)
				}
			}
		}
	}
}

// expected is the listing by definition.
func expected(prefix, delimiter string) []string {
	set := map[string]bool{}
	for _, k := range oddKeys {
		rest, ok := strings.CutPrefix(k, prefix)
		if !ok {
			continue
		}
		if i := strings.Index(rest, delimiter); delimiter != "" && i >= 0 {
			k = prefix + rest[:i] + delimiter
		}
		set[k] = true
	}
	var list []string
	for k := range set {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}

func unescaped(p v2Page) []string {
	var list []string
	for _, c := range p.Contents {
		k, _ := url.PathUnescape(c.Key)
		list = append(list, k)
	}
	for _, c := range p.CommonPrefixes {
		k, _ := url.PathUnescape(c.Prefix)
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}

func (b *bench) walkV2(base string, size int) (all []string) {
	token := ""
	for range 100 {
		target := fmt.Sprintf("%s&list-type=2&max-keys=%d", base, size)
		if token != "" {
			target += "&continuation-token=" + url.QueryEscape(token)
		}
		p := b.page(target)
		keys := unescaped(p)
		if len(keys) != p.KeyCount || len(keys) > size || p.IsTruncated != (p.NextContinuationToken != "") {
			b.t.Errorf("page %+v of %d", p, size)
		}
		all = append(all, keys...)
		if token = p.NextContinuationToken; token == "" {
			return all
		}
	}
	b.t.Fatal("the listing does not end")
	return nil
}

func (b *bench) walkV1(base string, size int, delimiter string) (all []string) {
	marker := ""
	for range 100 {
		p := b.page(fmt.Sprintf("%s&max-keys=%d&marker=%s", base, size, url.QueryEscape(marker)))
		keys := unescaped(p)
		all = append(all, keys...)
		if !p.IsTruncated {
			return all
		}
		if (p.NextMarker != "") != (delimiter != "") {
			b.t.Errorf("next marker %q with delimiter %q", p.NextMarker, delimiter)
		}
		marker = keys[len(keys)-1] // as clients do when there is no NextMarker
		if p.NextMarker != "" {
			marker, _ = url.PathUnescape(p.NextMarker)
		}
	}
	b.t.Fatal("the listing does not end")
	return nil
}

// Keys that XML can hold come back through an XML parser as they are, without encoding-type.
func TestKeysSurviveXML(t *testing.T) {
	b := newBench(t).fill()
	var want []string
	for _, k := range oddKeys {
		if k != "\x01control" && k != "x\ufffey" {
			want = append(want, k)
			b.want(200, b.do("PUT", "/docs/"+escapePath(k), ""))
		}
	}
	slices.Sort(want)
	var got []string
	for _, c := range b.page("/docs?list-type=2").Contents {
		got = append(got, c.Key)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestListArgumentsThatAreRefused(t *testing.T) {
	b := newBench(t).fill("a")
	b.resetCalls()
	for _, q := range []string{
		"max-keys=-1", "max-keys=x", "max-keys=99999999999", "encoding-type=base64", "list-type=2&continuation-token=",
		"list-type=2&continuation-token=*", "list-type=2&continuation-token=aw", "list-type=2&continuation-token=enoK",
		"uploads&max-uploads=-1", "uploads&encoding-type=x",
	} {
		b.wantError(400, "InvalidArgument", b.do("GET", "/docs?"+q, ""))
	}
	if len(b.calls()) > 0 {
		t.Errorf("the engine was called: %v", b.calls())
	}
	for _, q := range []string{"", "list-type=2", "uploads", "max-keys=0", "list-type=2&max-keys=0", "uploads&max-uploads=0", "location", "versioning"} {
		b.wantError(404, "NoSuchBucket", b.do("GET", "/none?"+q, ""))
	}
	b.do("GET", "/docs?max-keys=5000", "")
	if b.engine.lastList.Limit != 1000 {
		t.Errorf("the engine was asked for %d", b.engine.lastList.Limit)
	}
}

func TestOnlyACommonPrefixIsOne(t *testing.T) {
	for _, row := range []struct {
		key, prefix, delimiter string
		want                   bool
	}{
		{"a/", "", "/", true}, {"a/b/", "a/", "/", true}, {"a/b/", "", "/", false}, {"a", "", "/", false}, {"a/", "", "", false},
		{"", "", "/", false}, {"/", "", "/", true}, {"a/", "a/", "/", false}, {"b/", "a", "/", false}, {"a", "", "ab", false}, {"xab", "x", "ab", true},
	} {
		if got := isCommonPrefix(row.key, row.prefix, row.delimiter); got != row.want {
			t.Errorf("%+v: %v", row, got)
		}
	}
}

func TestListUploads(t *testing.T) {
	b := newBench(t).fill()
	for _, k := range []string{"a", "b", "b", "c&d"} {
		b.want(200, b.do("POST", "/docs/"+escapePath(k)+"?uploads", "", "x-amz-checksum-algorithm", "CRC32"))
	}
	golden(t, "list-uploads.xml", []byte(b.want(200, b.do("GET", "/docs?uploads&max-uploads=2", "")).body))
	golden(t, "list-uploads-2.xml", []byte(b.want(200, b.do("GET", "/docs?uploads&encoding-type=url&key-marker=b&upload-id-marker="+fmt.Sprintf("%032x", 2), "")).body))
	b.do("GET", "/docs?uploads&upload-id-marker=abc&prefix=p/&delimiter=/&key-marker=", "")
	if r := b.engine.lastUps; r.UploadAfter != "" || r.Prefix != "p/" || r.Delimiter != "/" || r.AfterPrefix {
		t.Errorf("the engine got %+v", r)
	}
	b.do("GET", "/docs?uploads&prefix=p/&delimiter=/&key-marker=p/q/", "")
	if r := b.engine.lastUps; !r.AfterPrefix {
		t.Errorf("the engine got %+v", r)
	}
}

func TestBuckets(t *testing.T) {
	b := newBench(t)
	got := b.want(200, b.do("PUT", "/docs", ""))
	if got.Header.Get("Location") != "/docs" {
		t.Errorf("answer %v", got.Header)
	}
	b.wantError(409, "BucketAlreadyOwnedByYou", b.do("PUT", "/docs", ""))
	b.engine.buckets["theirs"] = object.BucketInfo{Name: "theirs", Owner: "other"}
	b.wantError(409, "BucketAlreadyExists", b.do("PUT", "/theirs", ""))
	delete(b.engine.buckets, "theirs")
	for i, body := range []string{
		`<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LocationConstraint>us-east-1</LocationConstraint></CreateBucketConfiguration>`,
		`<CreateBucketConfiguration/>`, `<CreateBucketConfiguration><LocationConstraint/></CreateBucketConfiguration>`,
	} {
		b.want(200, b.do("PUT", fmt.Sprintf("/bucket-%d", i), body, "x-amz-object-ownership", "BucketOwnerEnforced", "x-amz-bucket-object-lock-enabled", "false", "x-amz-acl", "private"))
	}
	b.resetCalls()
	for _, row := range []struct {
		body, header, value string
		status              int
		code                string
	}{
		{`<CreateBucketConfiguration><LocationConstraint>moon-1</LocationConstraint></CreateBucketConfiguration>`, "a", "b", 400, "InvalidLocationConstraint"},
		{`<CreateBucketConfiguration><Bucket><Type>Directory</Type></Bucket></CreateBucketConfiguration>`, "a", "b", 501, "NotImplemented"},
		{`<CreateBucketConfiguration><Tags><Tag/></Tags></CreateBucketConfiguration>`, "a", "b", 400, "InvalidTag"},
		{`<Create/>`, "a", "b", 400, "MalformedXML"},
		{`<CreateBucketConfiguration>`, "a", "b", 400, "MalformedXML"},
		{``, "x-amz-acl", "public-read", 400, "InvalidBucketAclWithObjectOwnership"},
		{``, "x-amz-grant-write", "id=1", 400, "InvalidBucketAclWithObjectOwnership"},
		{``, "x-amz-object-ownership", "ObjectWriter", 501, "NotImplemented"},
		{``, "x-amz-bucket-object-lock-enabled", "maybe", 400, "InvalidArgument"},
	} {
		b.wantError(row.status, row.code, b.do("PUT", "/new", row.body, row.header, row.value))
	}
	for _, name := range []string{"ab", "A-b", "-ab", "ab-", "a..b", "192.168.0.1", "1.2.3.400", "xn--abc", "sthree-abc", "abc-s3alias", "abc--x-s3", strings.Repeat("a", 64), "a_b", "a%20b", ".ab", "%C3%A9ab"} {
		b.wantError(400, "InvalidBucketName", b.do("PUT", "/"+name, ""))
	}
	if len(b.calls()) > 0 {
		t.Errorf("the engine was called: %v", b.calls())
	}
	golden(t, "list-buckets.xml", []byte(b.want(200, b.do("GET", "/?max-buckets=2&prefix=bucket-", "")).body))
	var page struct{ ContinuationToken string }
	_ = xml.Unmarshal([]byte(b.do("GET", "/?max-buckets=2&prefix=bucket-", "").body), &page)
	rest := b.want(200, b.do("GET", "/?prefix=bucket-&continuation-token="+page.ContinuationToken, ""))
	if !strings.Contains(rest.body, "<Name>bucket-2</Name>") || strings.Contains(rest.body, "bucket-1") || strings.Contains(rest.body, "ContinuationToken") {
		t.Errorf("second page %s", rest.body)
	}
	if other := b.want(200, b.do("GET", "/?bucket-region=moon-1", "")); strings.Contains(other.body, "<Bucket>") {
		t.Errorf("buckets of another region: %s", other.body)
	}
	b.wantError(400, "InvalidArgument", b.do("GET", "/?max-buckets=0", ""))
	b.wantError(400, "InvalidArgument", b.do("GET", "/?continuation-token=*", ""))
	golden(t, "location.xml", []byte(b.want(200, b.do("GET", "/docs?location", "")).body))
	golden(t, "versioning.xml", []byte(b.want(200, b.do("GET", "/docs?versioning", "")).body))
	if got := b.want(200, b.do("HEAD", "/docs", "")); got.Header.Get("x-amz-bucket-region") != "us-east-1" || got.body != "" {
		t.Errorf("head %v", got.Header)
	}
	b.do("PUT", "/docs/k", "")
	b.wantError(409, "BucketNotEmpty", b.do("DELETE", "/docs", ""))
	b.do("DELETE", "/docs/k", "")
	b.want(204, b.do("DELETE", "/docs", ""))
	b.wantError(404, "NoSuchBucket", b.do("DELETE", "/docs", ""))
}

func TestABucketElsewhereNamesItsRegion(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Region = "eu-west-1" })
	b.engine.buckets["docs"] = object.BucketInfo{Name: "docs", Region: "eu-west-1"}
	r := b.request("GET", "/docs?location", "")
	signRegion(r, "eu-west-1")
	if got := b.want(200, b.send(r)); !strings.HasSuffix(got.body, ">eu-west-1</LocationConstraint>") {
		t.Errorf("got %s", got.body)
	}
	r = b.request("PUT", "/new", "<CreateBucketConfiguration><LocationConstraint>EU</LocationConstraint></CreateBucketConfiguration>")
	signRegion(r, "eu-west-1")
	b.want(200, b.send(r))
}
