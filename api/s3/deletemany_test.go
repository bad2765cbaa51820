package s3

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"holdfast/api/sigv4"
	"holdfast/internal/kind"
)

func signRegion(r *http.Request, region string) {
	sigv4.Sign(r, testCredentials, region, "s3", testTime, sigv4.UnsignedPayload)
}

func (b *bench) deleteKeys(body string, pairs ...string) reply {
	return b.do("POST", "/docs?delete", body, append(pairs, "Content-MD5", md5Of(body))...)
}

func TestDeleteObjects(t *testing.T) {
	b := newBench(t).fill("a", "b&c", "d", "e", "\x01", "line\nfeed")
	body := `<?xml version="1.0"?><Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Object><Key>a</Key></Object>
		<Object><Key>b&amp;c</Key><ETag>"other"</ETag></Object><Object><Key>nothing</Key><VersionId>null</VersionId></Object>
		<Object><Key>&#x1;</Key></Object><Object><Key>line&#xA;feed</Key></Object>
		<Object><Key>` + strings.Repeat("k", 1025) + `</Key></Object></Delete>`
	golden(t, "delete.xml", []byte(b.want(200, b.deleteKeys(body)).body))
	for key, there := range map[string]bool{"a": false, "b&c": true, "\x01": false, "line\nfeed": false} {
		if _, ok := b.engine.objects["docs/"+key]; ok != there {
			t.Errorf("%q is there: %v", key, ok)
		}
	}
	quiet := `<Delete><Quiet>true</Quiet><Object><Key>d</Key><Size>1</Size><LastModifiedTime>2026-11-22T10:30:00Z</LastModifiedTime></Object><Object><Key>e</Key><ETag>other</ETag></Object></Delete>`
	golden(t, "delete-quiet.xml", []byte(b.want(200, b.deleteKeys(quiet)).body))
}

func TestWhatDeleteObjectsRefuses(t *testing.T) {
	b := newBench(t).fill("a")
	b.resetCalls()
	one := "<Object><Key>a</Key></Object>"
	for _, body := range []string{
		"", "<Delete/>", "<Delete>" + one, "<Deleted>" + one + "</Deleted>", "<Delete><Object><Key/></Object></Delete>", "<Delete><Object/></Delete>",
		"<Delete>" + strings.Repeat(one, 1001) + "</Delete>", "<Delete><Object><Key>a</Key><Size>x</Size></Object></Delete>",
		"<Delete><Object><Key>a</Key><LastModifiedTime>x</LastModifiedTime></Object></Delete>", "<Delete><Object><Key>&bomb;</Key></Object></Delete>",
		`<!DOCTYPE d [<!ENTITY bomb "a">]><Delete><Object><Key>&bomb;</Key></Object></Delete>`, "<Delete>" + one + strings.Repeat(" ", 2<<20) + "</Delete>",
		"<Delete><Object><Key>\xff</Key></Object></Delete>",
	} {
		b.wantError(400, "MalformedXML", b.deleteKeys(body))
	}
	body := "<Delete>" + one + "</Delete>"
	b.wantError(400, "InvalidRequest", b.do("POST", "/docs?delete", body)) // neither MD5 nor checksum
	b.wantError(400, "BadDigest", b.do("POST", "/docs?delete", body, "Content-MD5", md5Of("other")))
	b.wantError(400, "InvalidDigest", b.do("POST", "/docs?delete", body, "Content-MD5", "x"))
	b.wantError(501, "NotImplemented", b.deleteKeys(body, "x-amz-mfa", "serial 123456"))
	if len(b.calls()) > 0 {
		t.Errorf("the engine was called: %v", b.calls())
	}
	for i := range algorithms {
		a := algorithms[i]
		b.wantError(400, "BadDigest", b.do("POST", "/docs?delete", body, a.wire, checksumOf(a, "other")))
		b.want(200, b.do("POST", "/docs?delete", body, a.wire, checksumOf(a, body)))
	}
	got := b.do("POST", "/none?delete", body, "Content-MD5", md5Of(body))
	b.wantError(404, "NoSuchBucket", got)
}

func TestOneFailedDeleteDoesNotStopTheOthers(t *testing.T) {
	b := newBench(t)
	var body strings.Builder
	body.WriteString("<Delete><Quiet>true</Quiet>")
	keys := []string{}
	for i := range 1000 {
		keys = append(keys, fmt.Sprintf("k%03d", i))
		fmt.Fprintf(&body, "<Object><Key>k%03d</Key></Object>", i)
	}
	body.WriteString("</Delete>")
	b.fill(keys[:20]...)
	b.engine.fail["Delete"] = kind.New(kind.Unavailable, "no leader of group 7")
	got := b.want(200, b.deleteKeys(body.String()))
	if n := strings.Count(got.body, "<Code>SlowDown</Code>"); n != 1000 || strings.Contains(got.body, "group 7") {
		t.Errorf("%d errors: %.500s", n, got.body)
	}
	if !strings.Contains(b.log.String(), "no leader of group 7") {
		t.Error("the cause is not in the log")
	}
	b.engine.fail["Delete"] = nil
	if got := b.want(200, b.deleteKeys(body.String())); strings.Contains(got.body, "<Error>") || len(b.engine.objects) > 0 {
		t.Errorf("%d are left: %.500s", len(b.engine.objects), got.body)
	}
}
