package s3

import (
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// sample is a request that has the shape of a route.
func sample(r route) (target string, header http.Header) {
	header = http.Header{}
	switch r.level {
	case levelService:
		target = "/"
	case levelBucket:
		target = "/docs"
		if r.bucket != "" {
			target = "/" + r.bucket
		}
	case levelObject:
		target = "/docs/some/key"
	}
	sep := "?"
	for _, q := range []string{r.query, r.also} {
		if q != "" {
			target += sep + q
			if !strings.Contains(q, "=") && (q == "id" || q == "uploadId" || q == "partNumber") {
				target += "=1"
			}
			sep = "&"
		}
	}
	if r.header != "" {
		header.Set(r.header, "/docs/source")
	}
	return target, header
}

func TestRoutesAreTheGoldenOnes(t *testing.T) {
	var got bytes.Buffer
	rt := newRouter(routes())
	for _, want := range routes() {
		target, header := sample(want)
		r := httptest.NewRequest(want.method, target, nil)
		r.Header = header
		c := &call{r: r}
		var err error
		if c.target, err = parseTarget(r, nil); err != nil {
			t.Fatal(err)
		}
		if c.query, err = parseQuery(nil, r.URL.RawQuery); err != nil {
			t.Fatal(err)
		}
		found := rt.find(c)
		if found.op != want.op {
			t.Errorf("%s %s is routed to %s, not to %s", want.method, target, found.op, want.op)
		}
		built := "501"
		switch {
		case found.open:
			built = "open"
		case found.run != nil:
			built = "built"
		}
		with := ""
		if want.header != "" {
			with = " with " + want.header
		}
		fmt.Fprintf(&got, "%-7s %-45s %-47s %s\n", want.method, target+with, found.op, built)
	}
	golden(t, "routes.txt", got.Bytes())
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := "testdata/" + name
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s has changed (run with -update if it should have):\n%s", path, got)
	}
}

func TestEveryOperationOfS3HasARoute(t *testing.T) {
	data, err := os.ReadFile("testdata/operations.txt")
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, r := range routes() {
		have[r.op] = true
	}
	sameShape := map[string]string{ // deprecated names, and one that differs by its endpoint
		"GetBucketLifecycle": "GetBucketLifecycleConfiguration", "PutBucketLifecycle": "PutBucketLifecycleConfiguration",
		"GetBucketNotification": "GetBucketNotificationConfiguration", "PutBucketNotification": "PutBucketNotificationConfiguration",
		"ListDirectoryBuckets": "ListBuckets",
	}
	n := 0
	for line := range strings.Lines(string(data)) {
		op := strings.TrimSpace(line)
		if strings.HasPrefix(op, "#") {
			continue
		}
		n++
		if newer := sameShape[op]; newer != "" {
			op = newer
		}
		if !have[op] {
			t.Errorf("%s has no route", op)
		}
	}
	if n < 100 {
		t.Fatalf("only %d operations in the list", n)
	}
}

func TestUnbuiltOperationsSayTheirName(t *testing.T) {
	b := newBench(t).fill()
	b.resetCalls()
	for _, r := range routes() {
		if r.run != nil {
			continue
		}
		target, header := sample(r)
		var pairs []string
		for k := range header {
			pairs = append(pairs, k, header.Get(k))
		}
		got := b.wantError(501, "NotImplemented", b.do(r.method, target, "", pairs...))
		if got.message() != r.op+" is not implemented yet" {
			t.Errorf("%s: %s", r.op, got.body)
		}
		if o := b.metrics.last(); o.op != r.op || o.code != 501 {
			t.Errorf("%s was counted as %v", r.op, o)
		}
	}
	if len(b.calls()) > 0 {
		t.Errorf("the engine was called: %v", b.calls())
	}
}

// A method that a sub-resource does not have must not reach the resource itself.
func TestAttack_A5_SubResourcesDoNotFallThrough(t *testing.T) {
	b := newBench(t).fill("k")
	b.resetCalls()
	for _, target := range []string{
		"DELETE /docs/k?acl", "DELETE /docs/k?retention", "DELETE /docs/k?legal-hold", "DELETE /docs/k?attributes", "DELETE /docs/k?uploads",
		"PUT /docs/k?attributes", "PUT /docs/k?torrent", "PUT /docs/k?uploads", "PUT /docs/k?restore", "POST /docs/k?acl", "POST /docs/k",
		"DELETE /docs?location", "DELETE /docs?versioning", "DELETE /docs?acl", "DELETE /docs?uploads", "DELETE /docs?versions", "DELETE /docs?delete",
		"PUT /docs?location", "PUT /docs?uploads", "PUT /docs?versions", "PUT /docs?delete", "PUT /docs?policyStatus",
		"PUT /", "DELETE /", "POST /", "HEAD /", "PATCH /docs/k", "TRACE /docs/k", "POST /docs?policy",
	} {
		method, path, _ := strings.Cut(target, " ")
		r := b.do(method, path, "")
		if method == "HEAD" {
			b.want(405, r)
		} else {
			b.wantError(405, "MethodNotAllowed", r)
		}
		if allow := r.Header.Get("Allow"); strings.Contains(allow, method) || allow == "" {
			t.Errorf("%s: allowed are %q", target, allow)
		}
	}
	if len(b.calls()) > 0 {
		t.Errorf("the engine was called: %v", b.calls())
	}
	if _, ok := b.engine.objects["docs/k"]; !ok {
		t.Error("the object is gone")
	}
}

func TestAPartNumberAloneStoresNoObject(t *testing.T) {
	b := newBench(t).fill()
	b.wantError(400, "InvalidArgument", b.do("PUT", "/docs/k?partNumber=1", "part"))
	b.wantError(400, "InvalidArgument", b.do("PUT", "/docs/k?uploadId=1", "part"))
	b.wantError(400, "InvalidArgument", b.do("PUT", "/docs/k?uploadId=1&partNumber=0", "part"))
	b.wantError(400, "InvalidArgument", b.do("PUT", "/docs/k?uploadId=1&partNumber=10001", "part"))
	b.wantError(400, "InvalidArgument", b.do("PUT", "/docs/k?uploadId=&partNumber=1", "part"))
	if len(b.engine.objects) > 0 {
		t.Error("an object was stored")
	}
}
