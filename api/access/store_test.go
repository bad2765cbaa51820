package access

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/api/policy"
	"holdfast/api/sigv4"
	"holdfast/internal/kind"
	"holdfast/internal/secret"
	"holdfast/meta"
	"holdfast/meta/metatest"
	"holdfast/proto/metapb"
)

const allowAll = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`

// bench is a system group, and Stores over it with a clock that only the test moves.
type bench struct {
	groups *metatest.Groups
	secret secret.Cluster
	mu     sync.Mutex
	now    time.Time
	log    bytes.Buffer
	rand   io.Reader // nil: crypto/rand
}

func newBench(t testing.TB) *bench {
	t.Helper()
	raw := make([]byte, secret.Size)
	for i := range raw {
		raw[i] = byte(i * 7)
	}
	c, err := secret.Parse(base64.StdEncoding.EncodeToString(raw))
	if err != nil {
		t.Fatal(err)
	}
	return &bench{groups: metatest.New(1), secret: c, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
}

func (b *bench) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(time.Nanosecond)
	return b.now
}

func (b *bench) pass(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

func (b *bench) store(t testing.TB) *Store {
	t.Helper()
	root, err := secret.NewRoot("rooter", "the-password-of-root")
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{Metadata: b.groups, Secret: b.secret, Root: root, Now: b.clock, Rand: b.rand, Logger: slog.New(slog.NewTextHandler(&b.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func wantCode(t testing.TB, err error, code string) {
	t.Helper()
	if e, ok := AsError(err); !ok || e.Code != code {
		t.Errorf("got %v, want %s", err, code)
	}
}

// user makes a user with a key.
func (b *bench) user(t testing.TB, s *Store, account, name string) sigv4.Credentials {
	t.Helper()
	must[*Entity](t)(s.Create(t.Context(), Entity{Kind: User, Account: account, Name: name}))
	_, c, err := s.CreateKey(t.Context(), account, name, nil, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func who(t testing.TB, s *Store, accessKey string) *Identity {
	t.Helper()
	i, ok := s.Identity(accessKey)
	if !ok {
		return nil
	}
	return i
}

func (i *Identity) may(action, bucket string) bool {
	return policy.Evaluate(&policy.Request{Action: action, Resource: policy.Resource{Bucket: bucket}, Principal: i.Principal},
		&policy.Policies{Identity: i.Policies, Session: i.Session}).Allowed()
}

func TestTheFirstAccountNeedsNoDocumentAndIsTheSameOnEveryNode(t *testing.T) {
	b := newBench(t)
	s, other := b.store(t), b.store(t)
	c, ok, err := s.Lookup(t.Context(), "rooter")
	if err != nil || !ok || c.SecretKey != "the-password-of-root" {
		t.Fatalf("%v %v %v", c, ok, err)
	}
	i := who(t, s, "rooter")
	if !i.IsRoot() || len(i.Account.ID) != 12 || len(i.Account.Canonical) != 64 || i.ARN != "arn:aws:iam::"+i.Account.ID+":root" {
		t.Errorf("%+v", i)
	}
	if o := who(t, other, "rooter"); o.Account != i.Account {
		t.Errorf("another node has %+v", o.Account)
	}
	want, _ := b.secret.Derive("owner", 32)
	if i.Account.Canonical != fmt.Sprintf("%x", want) {
		t.Error("the canonical ID is not the one that buckets have had")
	}
	if a, ok := s.Account(i.Account.Canonical); !ok || a != i.Account {
		t.Error("the first account is not found by its canonical ID")
	}
	b.groups.Silence(kind.New(kind.Unavailable, "no leader")) // the root gets in when nothing can be asked
	if _, ok, err := b.store(t).Lookup(t.Context(), "rooter"); !ok || err != nil {
		t.Errorf("without the system group: %v %v", ok, err)
	}
}

func TestAUserMayWhatItsPoliciesAndItsGroupsAllow(t *testing.T) {
	b := newBench(t)
	s := b.store(t)
	a := s.First().ID
	c := b.user(t, s, a, "Ann")
	if !strings.HasPrefix(c.AccessKey, "AKIA") || len(c.AccessKey) != 20 || len(c.SecretKey) != 40 {
		t.Errorf("key %s, secret of %d", c.AccessKey, len(c.SecretKey))
	}
	ann := who(t, s, c.AccessKey)
	if ann.may("s3:GetObject", "x") || ann.ARN != "arn:aws:iam::"+a+":user/Ann" || ann.Name != "Ann" || !strings.HasPrefix(ann.ID, "AIDA") {
		t.Fatalf("%+v", ann)
	}
	ctx := t.Context()
	own := must[*Managed](t)(s.CreatePolicy(ctx, Managed{Account: a, Name: "reader"}, `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}}`))
	grants := []struct {
		name    string
		on, off func() error
		action  string
	}{
		{"inline", func() error { return s.PutInline(ctx, a, User, "ann", "p", allowAll) }, func() error { return s.DeleteInline(ctx, a, User, "ann", "p") }, "s3:PutObject"},
		{"managed", func() error { return s.Attach(ctx, a, User, "ANN", own.ARN()) }, func() error { return s.Detach(ctx, a, User, "ann", own.ARN()) }, "s3:GetObject"},
		{"canned", func() error { return s.Attach(ctx, a, User, "ann", "arn:aws:iam::aws:policy/readwrite") }, func() error { return s.Detach(ctx, a, User, "ann", "arn:aws:iam::aws:policy/readwrite") }, "s3:PutObject"},
		{"group", func() error { return s.Join(ctx, a, "team", "ann") }, func() error { return s.Leave(ctx, a, "team", "ann") }, "s3:PutObject"},
	}
	must[*Entity](t)(s.Create(ctx, Entity{Kind: Group, Account: a, Name: "Team"}))
	if err := s.PutInline(ctx, a, Group, "team", "all", allowAll); err != nil {
		t.Fatal(err)
	}
	for _, g := range grants {
		if err := g.on(); err != nil || !who(t, s, c.AccessKey).may(g.action, "x") {
			t.Errorf("%s: %v, not allowed", g.name, err)
		}
		if err := g.off(); err != nil || who(t, s, c.AccessKey).may(g.action, "x") {
			t.Errorf("%s: %v, still allowed", g.name, err)
		}
	}
	wantCode(t, s.Attach(ctx, a, User, "ann", "arn:aws:iam::"+a+":policy/none"), CodeNoSuchEntity)
	wantCode(t, s.Attach(ctx, a, User, "ann", "arn:aws:iam::111111111111:policy/reader"), CodeNoSuchEntity)
}

// TestWhatIsMadeAgainUnderAnOldNameInheritsNothing: attachments, memberships and keys are by unique ID.
func TestWhatIsMadeAgainUnderAnOldNameInheritsNothing(t *testing.T) {
	b := newBench(t)
	s, ctx := b.store(t), context.Background()
	a := s.First().ID
	c := b.user(t, s, a, "ann")
	must[*Entity](t)(s.Create(ctx, Entity{Kind: Group, Account: a, Name: "g"}))
	m := must[*Managed](t)(s.CreatePolicy(ctx, Managed{Account: a, Name: "p"}, allowAll))
	for _, err := range []error{
		s.PutInline(ctx, a, Group, "g", "all", allowAll), s.Join(ctx, a, "g", "ann"), s.Attach(ctx, a, User, "ann", m.ARN()),
		s.Delete(ctx, a, Group, "g", true), s.DeletePolicy(ctx, a, m.ARN(), true),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	must[*Entity](t)(s.Create(ctx, Entity{Kind: Group, Account: a, Name: "g"}))
	must[*Managed](t)(s.CreatePolicy(ctx, Managed{Account: a, Name: "p"}, allowAll))
	if err := s.PutInline(ctx, a, Group, "g", "all", allowAll); err != nil {
		t.Fatal(err)
	}
	if who(t, s, c.AccessKey).may("s3:GetObject", "x") {
		t.Error("a policy or group of an old name still holds")
	}
	session := must[Session](t)(s.SessionOf(who(t, s, c.AccessKey), time.Hour))
	if err := s.Delete(ctx, a, User, "ann", true); err != nil {
		t.Fatal(err)
	}
	b.user(t, s, a, "ann")
	if i := who(t, s, c.AccessKey); i != nil {
		t.Errorf("the key of a user that was deleted is %+v's", i.Principal)
	}
	if _, err := s.open(ctx, session.AccessKey, session.SessionToken); err == nil {
		t.Error("the session of a user that was deleted goes on")
	}
}

func TestALostPermissionIsLostOnEveryFrontWithinTwoSeconds(t *testing.T) {
	b := newBench(t)
	s, other := b.store(t), b.store(t)
	a, ctx := s.First().ID, t.Context()
	c := b.user(t, s, a, "ann")
	if err := s.PutInline(ctx, a, User, "ann", "p", allowAll); err != nil {
		t.Fatal(err)
	}
	if !who(t, other, c.AccessKey).may("s3:GetObject", "x") {
		t.Fatal("the other front does not know the user")
	}
	if err := s.DeleteInline(ctx, a, User, "ann", "p"); err != nil {
		t.Fatal(err)
	}
	if who(t, s, c.AccessKey).may("s3:GetObject", "x") {
		t.Error("the front that took the change still allows")
	}
	b.pass(maxAge + time.Millisecond) // and the other one could not poll
	if who(t, other, c.AccessKey).may("s3:GetObject", "x") {
		t.Error("a front that did not refresh for two seconds still allows")
	}
	b.pass(maxAge + time.Millisecond)
	b.groups.Silence(kind.New(kind.Unavailable, "no leader"))
	if _, _, err := other.Lookup(ctx, c.AccessKey); kind.Of(err) != kind.Unavailable {
		t.Errorf("a front that cannot ask says %v", err)
	}
	if i := who(t, other, c.AccessKey); i != nil {
		t.Error("a front that cannot ask still knows the identity")
	}
	b.groups.Silence(nil)
	if err := s.SetKey(ctx, a, "ann", c.AccessKey, false); err != nil {
		t.Fatal(err)
	}
	if _, ok, _ := s.Lookup(ctx, c.AccessKey); ok {
		t.Error("a key that is off is known")
	}
	if err := s.SetKey(ctx, a, "ann", c.AccessKey, true); err != nil {
		t.Fatal(err)
	}
	if k, ok, _ := s.Lookup(ctx, c.AccessKey); !ok || k.SecretKey != c.SecretKey {
		t.Error("a key that is on again has another secret")
	}
}

func TestKeysExpireAndAreBounded(t *testing.T) {
	b := newBench(t)
	s := b.store(t)
	a, ctx := s.First().ID, t.Context()
	must[*Entity](t)(s.Create(ctx, Entity{Kind: User, Account: a, Name: "ann"}))
	_, c, err := s.CreateKey(ctx, a, "ann", &GivenKey{"mine", "my-own-secret"}, b.clock().Add(time.Minute))
	if err != nil || c.SecretKey != "my-own-secret" {
		t.Fatal(err)
	}
	if _, ok, _ := s.Lookup(ctx, "mine"); !ok {
		t.Error("a given key is not known")
	}
	b.pass(time.Minute)
	if _, ok, _ := s.Lookup(ctx, "mine"); ok {
		t.Error("an expired key is known")
	}
	for g, code := range map[GivenKey]string{
		{"mine", "my-own-secret"}: CodeAlreadyExists, {"rooter", "my-own-secret"}: CodeAlreadyExists, {"ab", "my-own-secret"}: CodeInvalidInput,
		{"ASIAABCDEFGHIJKLMNOP", "my-own-secret"}: CodeInvalidInput, {"slash/ed", "my-own-secret"}: CodeInvalidInput, {"short", "secret"}: CodeInvalidInput,
		{"spaced", "my own secret"}: CodeInvalidInput,
	} {
		_, _, err := s.CreateKey(ctx, a, "ann", &g, time.Time{})
		wantCode(t, err, code)
	}
	for range maxKeys - 1 {
		if _, _, err := s.CreateKey(ctx, a, "ann", nil, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err = s.CreateKey(ctx, a, "ann", nil, time.Time{})
	wantCode(t, err, CodeLimitExceeded)
}

func TestNoSecretIsStoredOrPrinted(t *testing.T) {
	b := newBench(t)
	s := b.store(t)
	c := b.user(t, s, s.First().ID, "ann")
	session := must[Session](t)(s.SessionOf(who(t, s, c.AccessKey), time.Hour))
	a, err := b.groups.Ask(t.Context(), meta.SystemGroup, &metapb.Query{Op: &metapb.Query_ListDocuments{ListDocuments: &metapb.ListDocuments{Collection: "access-keys", Limit: 10}}})
	if err != nil || len(a.Documents) != 1 {
		t.Fatal(err, len(a.Documents))
	}
	k := must[*Key](t)(s.Key(t.Context(), c.AccessKey))
	said := fmt.Sprintf("%v %+v %#v %s %v %+v %v %#v %v %+v", k, k, *k, *k, s, s, session, session, GivenKey{"a", c.SecretKey}, s.secrets) + b.log.String() + string(a.Documents[0].Value)
	for what, text := range map[string]string{"key": c.SecretKey, "root": "the-password-of-root", "session": session.SecretKey, "raw": string(s.secrets.key)} {
		if strings.Contains(said, text) {
			t.Errorf("the secret of %s is there", what)
		}
	}
	// What is sealed belongs to its key: moved to another, it does not open.
	sealed := must[[]byte](t)(s.secrets.seal([]byte("x"), "one"))
	if _, err := s.secrets.open(sealed, "two"); err == nil {
		t.Error("a secret opens under another access key")
	}
	for bit := range 8 * len(sealed) {
		other := bytes.Clone(sealed)
		other[bit/8] ^= 1 << (bit % 8)
		if _, err := s.secrets.open(other, "one"); err == nil {
			t.Fatalf("bit %d flipped, and it opens", bit)
		}
	}
}

func TestNamesAreTakenWhateverTheirCaseUnderAnyRace(t *testing.T) {
	b := newBench(t)
	fronts := []*Store{b.store(t), b.store(t), b.store(t), b.store(t)}
	a := fronts[0].First().ID
	var wins, exists int
	var mu sync.Mutex
	var wait sync.WaitGroup
	for n, s := range fronts {
		wait.Go(func() {
			_, err := s.Create(context.Background(), Entity{Kind: User, Account: a, Name: []string{"ann", "Ann", "ANN", "aNN"}[n]})
			mu.Lock()
			defer mu.Unlock()
			if e, ok := AsError(err); err == nil {
				wins++
			} else if ok && e.Code == CodeAlreadyExists {
				exists++
			} else {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if wins != 1 || exists != 3 {
		t.Errorf("%d made it, %d were told that it exists", wins, exists)
	}
	for _, s := range fronts { // no change of one front undoes another's
		wait.Go(func() {
			for n := range 5 {
				if err := s.PutInline(context.Background(), a, User, "ann", fmt.Sprintf("p%p%d", s, n), allowAll); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	b.pass(maxAge + time.Second)
	if e := must[*Entity](t)(fronts[0].Get(t.Context(), a, User, "ann")); len(e.Inline) != 20 {
		t.Errorf("%d of 20 policies are there", len(e.Inline))
	}
}

func TestAccountsAreApart(t *testing.T) {
	b := newBench(t)
	s, ctx := b.store(t), t.Context()
	one, key, err := s.CreateAccount(ctx, NewAccount{Name: "one", Email: "One@example.org"})
	if err != nil {
		t.Fatal(err)
	}
	two, _, err := s.CreateAccount(ctx, NewAccount{Name: "two", Email: "two@example.org", Key: &GivenKey{"two-key", "two-secret"}})
	if err != nil || one.ID == two.ID || one.Canonical == two.Canonical {
		t.Fatal(err, one, two)
	}
	if i := who(t, s, key.AccessKey); i == nil || !i.IsRoot() || i.Account.ID != one.ID || i.Account.Email != "One@example.org" {
		t.Errorf("%+v", i)
	}
	if a, ok := s.AccountByEmail("ONE@example.org"); !ok || a.ID != one.ID {
		t.Error("not found by e-mail")
	}
	for _, n := range []NewAccount{{Name: "ONE"}, {Name: "rooter"}, {Name: "three", Email: "one@EXAMPLE.org"}, {Name: "three", ID: two.ID}, {Name: "three", Key: &GivenKey{"two-key", "other-secret"}}} {
		_, _, err := s.CreateAccount(ctx, n)
		wantCode(t, err, CodeAlreadyExists)
	}
	c := b.user(t, s, one.ID, "ann")
	b.user(t, s, two.ID, "ann") // the same name in another account
	wantCode(t, s.DeleteAccount(ctx, "one"), CodeDeleteConflict)
	off, free := true, "free@example.org"
	if err := s.SetAccount(ctx, "one", &free, &off); err != nil {
		t.Fatal(err)
	}
	if who(t, s, c.AccessKey) != nil || who(t, s, key.AccessKey) != nil {
		t.Error("the keys of an account that is off still work")
	}
	if _, ok := s.AccountByEmail("one@example.org"); ok {
		t.Error("the old address still finds it")
	}
	wantCode(t, s.SetAccount(ctx, "rooter", nil, &off), CodeUnmodifiable)
	if err := errors.Join(s.Delete(ctx, one.ID, User, "ann", true), s.DeleteAccount(ctx, "one")); err != nil {
		t.Fatal(err)
	}
	if who(t, s, key.AccessKey) != nil {
		t.Error("the root key outlives its account")
	}
}

func TestWhatCannotBeReadDenies(t *testing.T) {
	b := newBench(t)
	s, ctx := b.store(t), t.Context()
	a := s.First().ID
	c := b.user(t, s, a, "ann")
	must[*Entity](t)(s.Create(ctx, Entity{Kind: Group, Account: a, Name: "g"}))
	m := must[*Managed](t)(s.CreatePolicy(ctx, Managed{Account: a, Name: "p"}, allowAll))
	if err := errors.Join(s.PutInline(ctx, a, User, "ann", "own", allowAll), s.Attach(ctx, a, User, "ann", m.ARN()), s.Join(ctx, a, "g", "ann")); err != nil {
		t.Fatal(err)
	}
	spoil := func(collection, name, value string) {
		t.Helper()
		_, err := b.groups.Apply(ctx, meta.SystemGroup, &metapb.Command{Op: &metapb.Command_PutDocuments{PutDocuments: &metapb.PutDocuments{Changes: []*metapb.DocumentChange{
			{Collection: collection, Name: name, Value: []byte(value)}, {Collection: changesCollection, Name: changesName, Value: []byte{1}},
		}}}})
		if err != nil {
			t.Fatal(err)
		}
		b.pass(maxAge + time.Second)
	}
	if !who(t, s, c.AccessKey).may("s3:GetObject", "x") {
		t.Fatal("not allowed before")
	}
	spoil("policies", a+"/p", "{")
	if who(t, s, c.AccessKey).may("s3:GetObject", "x") {
		t.Error("allowed with an attached policy that cannot be read")
	}
	if err := s.Detach(ctx, a, User, "ann", m.ARN()); err != nil || !who(t, s, c.AccessKey).may("s3:GetObject", "x") {
		t.Fatal("not allowed again", err)
	}
	spoil("groups", a+"/g", "[]")
	if who(t, s, c.AccessKey).may("s3:GetObject", "x") {
		t.Error("allowed with a group that cannot be read")
	}
	if !strings.Contains(b.log.String(), "cannot be read") {
		t.Error("nothing is logged")
	}
}

func TestUseOfKeysIsWrittenDownCoarsely(t *testing.T) {
	b := newBench(t)
	s, other := b.store(t), b.store(t)
	c := b.user(t, s, s.First().ID, "ann")
	ctx := t.Context()
	if l := must[LastUse](t)(s.LastUsed(ctx, c.AccessKey)); !l.At.IsZero() {
		t.Error("used before it was")
	}
	use := func() { who(t, s, c.AccessKey).Authenticated("s3", "eu-1", b.clock()) }
	use()
	commands := 0
	b.groups.Fail(func(*metapb.Command) error { commands++; return nil })
	for range 3 {
		s.saveUsage(ctx)
		use()
	}
	if commands != 1 {
		t.Errorf("%d commands for a minute's use", commands)
	}
	if l := must[LastUse](t)(other.LastUsed(ctx, c.AccessKey)); l.What != "s3/eu-1" || b.clock().Sub(l.At) > time.Minute {
		t.Errorf("%+v", l)
	}
	if err := s.DeleteKey(ctx, s.First().ID, "ann", c.AccessKey); err != nil {
		t.Fatal(err)
	}
	if l := must[LastUse](t)(other.LastUsed(ctx, c.AccessKey)); !l.At.IsZero() {
		t.Error("what a key did outlives it")
	}
}
