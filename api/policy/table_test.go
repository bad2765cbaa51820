package policy

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The files of testdata are read by this grammar, one command a line; # begins a comment line.
//
//	policy bucket|identity|session|trust [WORD…]     the document follows, until an empty line
//	                 WORDs: bucket=NAME (default own), account=ID, strict
//	clear            forget all policies; so does a heading (a line that begins with ==)
//	set acl|restrict|gaveup
//	PRINCIPAL ACTION RESOURCE [KEY=VALUE…] -> allow|deny|none [SID]
//	                 deny is explicit, none implicit. ACTION without a vendor is one of s3. A key
//	                 that is given several times has several values; blanks in values are written %.
//	refuse KIND [WORD…] CODE MESSAGE                 the document follows, until an empty line
//	accept KIND [WORD…]                              likewise
//	public yes|no                                    likewise, a bucket policy
//	match yes|no PATTERN TEXT                        a wildcard pattern
//
// Accounts: 111111111111 (main), which owns the buckets own and own2, and 222222222222 (alt), which
// owns far. Resource foreign/KEY is an object in own that alt owns.
const (
	mainAccount = "111111111111"
	altAccount  = "222222222222"
)

func cast() map[string]Principal {
	user := func(account, name string) Principal {
		return Principal{Type: User, Account: account, CanonicalID: "c" + account, ARN: "arn:aws:iam::" + account + ":user/" + name, Name: name, ID: "AIDA" + strings.ToUpper(name)}
	}
	root := func(account string) Principal {
		return Principal{Type: Root, Account: account, CanonicalID: "c" + account, ARN: "arn:aws:iam::" + account + ":root", ID: account}
	}
	role := func(account string) Principal {
		return Principal{
			Type: AssumedRole, Account: account, CanonicalID: "c" + account, ARN: "arn:aws:iam::" + account + ":role/builder",
			SessionARN: "arn:aws:sts::" + account + ":assumed-role/builder/job1", Name: "builder", ID: "AROABUILDER:job1",
		}
	}
	return map[string]Principal{
		"main": root(mainAccount), "alt": root(altAccount),
		"alice": user(mainAccount, "alice"), "bob": user(mainAccount, "bob"), "carol": user(altAccount, "carol"),
		"role": role(mainAccount), "altrole": role(altAccount),
		"anon": {},
		// Nobody, with fields that nobody should have.
		"ghost": {Account: mainAccount, CanonicalID: "c" + mainAccount, ARN: "arn:aws:iam::" + mainAccount + ":user/alice", Name: "alice", ID: "AIDAALICE"},
	}
}

func tableTime() time.Time { return time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC) }

func tableResource(s string) Resource {
	if strings.HasPrefix(s, "arn:") {
		return Resource{ARN: s}
	}
	bucket, key, _ := strings.Cut(strings.ReplaceAll(s, "%", " "), "/")
	switch bucket {
	case "-":
		return Resource{}
	case "far":
		return Resource{Bucket: bucket, Key: key, BucketOwner: altAccount}
	case "foreign":
		return Resource{Bucket: "own", Key: key, BucketOwner: mainAccount, ObjectOwner: altAccount}
	}
	return Resource{Bucket: bucket, Key: key, BucketOwner: mainAccount}
}

// table is one file while it is read.
type table struct {
	*testing.T
	lines    []string
	at       int // of the next line
	policies Policies
	written  written // the same, for the reference
	cases    int
}

func TestTable(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no tables: %v", err)
	}
	total := 0
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			tb := &table{T: t, lines: strings.Split(string(text), "\n")}
			for tb.at < len(tb.lines) {
				line := strings.TrimSpace(tb.lines[tb.at])
				tb.at++
				tb.run(line)
			}
			total += tb.cases
		})
	}
	if t.Logf("%d cases", total); total < 300 && !t.Failed() {
		t.Errorf("%d cases; at least 300 are promised", total)
	}
}

func (t *table) fail(format string, args ...any) {
	t.Helper()
	t.Errorf("line %d: %s", t.at, fmt.Sprintf(format, args...))
}

func (t *table) run(line string) {
	word := strings.Fields(line)
	if len(word) == 0 || strings.HasPrefix(line, "#") {
		return
	}
	switch word[0] {
	case "==", "clear":
		t.policies, t.written = Policies{}, written{}
	case "set":
		t.policies.ACL = t.policies.ACL || word[1] == "acl"
		t.policies.RestrictPublicBuckets = t.policies.RestrictPublicBuckets || word[1] == "restrict"
		t.policies.RootGaveUp = t.policies.RootGaveUp || word[1] == "gaveup"
		t.written.acl, t.written.restrict, t.written.gaveUp = t.policies.ACL, t.policies.RestrictPublicBuckets, t.policies.RootGaveUp
	case "policy":
		t.add(word[1:])
	case "refuse", "accept":
		t.verdict(word)
	case "public":
		p, err := Compile(t.document(), Rules{Kind: Bucket, Bucket: "own"})
		if t.cases++; err != nil || p.IsPublic() != (word[1] == "yes") {
			t.fail("public is not %s (%v)", word[1], err)
		}
	case "match":
		text := ""
		if len(word) > 3 {
			text = word[3]
		}
		p, err := parsePattern(word[2], true, true)
		if t.cases++; err != nil || matchTokens(p.tokens, text) != (word[1] == "yes") {
			t.fail("%s matches %q is not %s (%v)", word[2], text, word[1], err)
		}
	default:
		t.request(line)
	}
}

// document takes the lines up to an empty one.
func (t *table) document() []byte {
	from := t.at
	for t.at < len(t.lines) && strings.TrimSpace(t.lines[t.at]) != "" {
		t.at++
	}
	return []byte(strings.Join(t.lines[from:t.at], "\n"))
}

// rules reads the kind and the WORDs, and returns what is left.
func rules(word []string) (Rules, []string) {
	kinds := map[string]Kind{"bucket": Bucket, "identity": Identity, "session": Session, "trust": Trust}
	r := Rules{Kind: kinds[word[0]], Bucket: "own"}
	for word = word[1:]; len(word) > 0; word = word[1:] {
		if b, ok := strings.CutPrefix(word[0], "bucket="); ok {
			r.Bucket = b
		} else if a, ok := strings.CutPrefix(word[0], "account="); ok {
			r.Account = a
		} else if word[0] == "strict" {
			r.Strict = true
		} else {
			break
		}
	}
	return r, word
}

func (t *table) add(word []string) {
	r, _ := rules(word)
	doc := t.document()
	p, err := Compile(doc, r)
	if err != nil {
		t.fail("%v", err)
		return
	}
	if again, err := Compile([]byte(p.String()), r); err != nil || again.String() != p.String() {
		t.fail("printed and read again: %v\n%s", err, p)
	}
	switch r.Kind {
	case Bucket:
		t.policies.Bucket = p
		t.written.bucket, t.written.public = string(doc), p.IsPublic()
	case Session:
		t.policies.Session = append(t.policies.Session, p)
		t.written.session = append(t.written.session, string(doc))
	default:
		t.policies.Identity = append(t.policies.Identity, p)
		t.written.identity = append(t.written.identity, string(doc))
	}
}

func (t *table) verdict(word []string) {
	at := t.at
	r, want := rules(word[1:])
	_, err := Compile(t.document(), r)
	t.cases++
	got := "accepted"
	if e, ok := AsError(err); ok {
		got = e.Code + " " + e.Message
	}
	if wanted := strings.Join(want, " "); word[0] == "accept" && err != nil || word[0] == "refuse" && got != wanted {
		t.Errorf("line %d: got %q, want %s %q", at, got, word[0], wanted)
	}
}

func (t *table) request(line string) {
	ask, want, ok := strings.Cut(line, " -> ")
	word, wanted := strings.Fields(ask), strings.Fields(want)
	if !ok || len(word) < 3 || len(wanted) == 0 {
		t.fail("not a command: %s", line)
		return
	}
	who, ok := cast()[word[0]]
	if !ok {
		t.fail("no principal %s", word[0])
	}
	r := Request{Action: word[1], Resource: tableResource(word[2]), Principal: who, Keys: map[string][]string{}, Time: tableTime()}
	if !strings.Contains(r.Action, ":") {
		r.Action = "s3:" + r.Action
	}
	for _, kv := range word[3:] {
		k, v, _ := strings.Cut(kv, "=")
		k = strings.ToLower(k)
		r.Keys[k] = append(r.Keys[k], strings.ReplaceAll(v, "%", " "))
	}
	t.cases++
	d := Evaluate(&r, &t.policies)
	names := map[Effect]string{Allow: "allow", ExplicitDeny: "deny", ImplicitDeny: "none"}
	if names[d.Effect] != wanted[0] || len(wanted) > 1 && d.Sid != wanted[1] {
		t.fail("%s\n got %s %q by %s", line, names[d.Effect], d.Sid, d.By)
	}
	if slow := reference(&r, &t.written); slow != d.Effect {
		t.fail("%s\n the reference says %s", line, slow)
	}
}

// fuzzSeeds are the documents of all tables.
func fuzzSeeds(t testing.TB) [][]byte {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.SplitSeq(string(text), "\n") {
			if strings.HasPrefix(line, "{") {
				all = append(all, []byte(line))
			}
		}
	}
	return all
}
