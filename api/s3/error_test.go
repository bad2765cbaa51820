package s3

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"

	"holdfast/internal/kind"
	"holdfast/internal/xmlio"
	"holdfast/object"
)

// kinds reads the kinds from their source, so that a new one cannot be forgotten here.
func kinds(t *testing.T) map[string]kind.Kind {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "../../internal/kind/kind.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]kind.Kind{}
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		if lit, ok := spec.Values[0].(*ast.BasicLit); ok && lit.Kind == token.INT {
			var v kind.Kind
			_, _ = fmt.Sscan(lit.Value, &v)
			all[spec.Names[0].Name] = v
		}
		return true
	})
	return all
}

func TestEveryKindHasARow(t *testing.T) {
	all := kinds(t)
	if len(all) < 70 {
		t.Fatalf("only %d kinds found", len(all))
	}
	for name, k := range all {
		r, ok := table[k]
		if !ok {
			t.Errorf("kind.%s (%d) has no row", name, k)
			continue
		}
		if r.code == "" || r.status < 300 || r.status > 599 || r.message == "" && k != kind.NotModified {
			t.Errorf("kind.%s has an incomplete row: %+v", name, r)
		}
	}
}

// What the engine says of itself stays inside, but where the table says that it is for the client.
func TestErrorsTellNoMoreThanTheTable(t *testing.T) {
	const inside = "drive 7 at /mnt/seven said EIO"
	for name, k := range kinds(t) {
		got := answer(fmt.Errorf("put: %w", kind.New(k, inside)))
		if (got.message == inside) != table[k].own {
			t.Errorf("kind.%s says %q", name, got.message)
		}
		if table[k].status >= 500 && table[k].own && k != kind.Unbuilt && k != kind.SignatureNotImplemented {
			t.Errorf("kind.%s shows an inner text with a status of %d", name, table[k].status)
		}
	}
	for _, row := range []struct {
		err  error
		code string
	}{
		{errors.New(inside), "InternalError"},
		{kind.New(kind.Kind(999), inside), "InternalError"},
		{fmt.Errorf("x: %w", context.Canceled), "ClientClosedRequest"},
		{fmt.Errorf("x: %w", context.DeadlineExceeded), "ServiceUnavailable"},
	} {
		if got := answer(row.err); got.code != row.code || got.message == inside {
			t.Errorf("%v is %+v", row.err, got)
		}
	}
}

func TestAnErrorIsXMLWithItsRequest(t *testing.T) {
	b := newBench(t).fill()
	got := b.wantError(404, "NoSuchKey", b.do("GET", "/docs/a%26b%3Cc", ""))
	id := got.Header.Get("x-amz-request-id")
	want := xmlio.Head + "<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message><Resource>/docs/a&amp;b&lt;c</Resource><RequestId>" +
		id + "</RequestId><HostId>front-1</HostId></Error>"
	if got.body != want || got.Header.Get("Content-Type") != "application/xml" || got.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("got %v\n%s\nwant\n%s", got.Header, got.body, want)
	}
	b.engine.fail["Get"] = kind.New(kind.Unavailable, "no leader")
	busy := b.wantError(503, "SlowDown", b.do("GET", "/docs/k", ""))
	if busy.Header.Get("Retry-After") != "1" {
		t.Error("no Retry-After")
	}
	if busy.Header.Get("x-amz-request-id") == id {
		t.Error("two requests with one ID")
	}
}

// The log has a line a request at debug and one at error for what the server could not do, with
// the cause and what to do; a client's faults are no errors.
func TestTheLogTellsWhatFailedAndWhy(t *testing.T) {
	b := newBench(t).fill("k")
	b.do("GET", "/docs/none", "")
	if log := b.log.String(); strings.Contains(log, "level=ERROR") || !strings.Contains(log, "operation=GetObject status=404 bucket=docs object=none") {
		t.Errorf("log: %s", log)
	}
	b.do("GET", "/docs?policy", "")
	if strings.Contains(b.log.String(), "level=ERROR") {
		t.Error("what is not implemented is logged as an error")
	}
	for k, says := range map[kind.Kind]string{kind.Unavailable: "/-/ready", kind.Timeout: "slow drive", kind.Full: "add a drive", kind.Damaged: "check the drives", kind.Unknown: "report this line"} {
		b.engine.fail["Put"] = kind.New(k, "cause number %d", k)
		b.do("PUT", "/docs/n", "x")
		log := b.log.String()
		line := log[strings.LastIndex(strings.TrimSpace(log), "\n")+1:]
		if !strings.Contains(line, "level=ERROR") || !strings.Contains(line, says) || !strings.Contains(line, fmt.Sprintf("cause number %d", k)) {
			t.Errorf("kind %d: %s", k, line)
		}
	}
}

func TestRequestsAreCounted(t *testing.T) {
	b := newBench(t).fill()
	b.do("PUT", "/docs/k", "12345")
	if o := b.metrics.last(); o != (observation{"PutObject", 200, 5, 0}) {
		t.Errorf("counted %+v", o)
	}
	b.do("GET", "/docs/k", "", "Range", "bytes=0-2")
	if o := b.metrics.last(); o != (observation{"GetObject", 206, 0, 3}) {
		t.Errorf("counted %+v", o)
	}
	b.do("PATCH", "/docs/k", "")
	if o := b.metrics.last(); o.op != "Unknown" || o.code != 405 {
		t.Errorf("counted %+v", o)
	}
	b.send(b.request("GET", "/docs/%ff", ""))
	if o := b.metrics.last(); o.op != "Unknown" || o.code != 400 {
		t.Errorf("counted %+v", o)
	}
}

func TestPreflightIsRefusedWithoutRules(t *testing.T) {
	b := newBench(t).fill("k")
	b.resetCalls()
	got := b.wantError(403, "AccessForbidden", b.send(b.request("OPTIONS", "/docs/k", "", "Origin", "https://evil.example", "Access-Control-Request-Method", "PUT")))
	if got.Header.Get("Access-Control-Allow-Origin") != "" || !slices.Equal(b.calls(), []string{"HeadBucket"}) {
		t.Errorf("answer %v, calls %v", got.Header, b.calls())
	}
}

func TestConfigIsChecked(t *testing.T) {
	good := Config{Engine: newFake(), Credentials: lookup}
	if s, err := New(good); err != nil || s.cfg.Region != "us-east-1" || s.cfg.IdleTimeout <= 0 {
		t.Errorf("%v", err)
	}
	for _, bad := range []Config{{}, {Engine: newFake()}, {Credentials: lookup}, {Engine: newFake(), Credentials: lookup, Domains: []string{"host:9000"}}, {Engine: newFake(), Credentials: lookup, Domains: []string{""}}} {
		if _, err := New(bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}

// The real engine fills all roles.
var _ Engine = (*object.Engine)(nil)
