package s3

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/api/sigv4"

	"holdfast/internal/xmlio"
)

// TestALongCompletionIsNotSilent: the answer begins with white space, and says in its body how it ended.
func TestALongCompletionIsNotSilent(t *testing.T) {
	for _, want := range []string{"CompleteMultipartUploadResult", "Error"} {
		b := newBench(t, func(c *Config) { c.KeepAlive = time.Millisecond }).fill()
		b.want(200, b.do("POST", "/docs/k?uploads", ""))
		target := "/docs/k?uploadId=" + fmt.Sprintf("%032x", 1)
		etag := b.want(200, b.do("PUT", target+"&partNumber=1", "part")).Header.Get("ETag")
		if want == "Error" {
			etag = "other"
		}
		b.engine.hold = make(chan struct{})
		release := sync.OnceFunc(func() { close(b.engine.hold) })
		defer release() // or the server waits for the request
		r := b.request("POST", target, "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"+etag+"</ETag></Part></CompleteMultipartUpload>")
		sigv4.Sign(r, testCredentials, "us-east-1", "s3", testTime, sigv4.UnsignedPayload)
		resp, err := b.http.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		begin := make([]byte, len(xmlio.Head)+3)
		if _, err := io.ReadFull(resp.Body, begin); err != nil || resp.StatusCode != 200 || string(begin) != xmlio.Head+"   " {
			t.Fatalf("%s, %q, %v", resp.Status, begin, err)
		}
		release()
		rest, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if text := strings.TrimLeft(string(rest), " "); err != nil || !strings.HasPrefix(text, "<"+want) || !strings.HasSuffix(text, "</"+want+">") {
			t.Errorf("%s: %q, %v", want, text, err)
		}
		if want == "Error" && !strings.Contains(string(rest), "<Code>InvalidPart</Code>") {
			t.Errorf("%s", rest)
		}
	}
}

// TestARefusedReadAsksTheEngineOnce: each question is one to the leader of a metadata group.
func TestARefusedReadAsksTheEngineOnce(t *testing.T) {
	b := newBench(t).fill("k")
	tag := b.want(200, b.do("GET", "/docs/k", "")).Header.Get("ETag")
	for _, row := range []struct {
		status       int
		name, value  string
		header, says string
	}{
		{304, "If-None-Match", tag, "ETag", tag}, {416, "Range", "bytes=10-", "Content-Range", "bytes */1"}, {412, "If-Match", `"x"`, "ETag", ""},
	} {
		b.resetCalls()
		got := b.want(row.status, b.do("GET", "/docs/k", "", row.name, row.value))
		if calls := b.calls(); len(calls) != 1 || got.Header.Get(row.header) != row.says {
			t.Errorf("%d: %v, %s %q", row.status, calls, row.header, got.Header.Get(row.header))
		}
	}
}
