package access

import (
	"encoding/base64"
	"errors"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"holdfast/api/sigv4"
)

const trustAll = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":["sts:AssumeRole","sts:TagSession"]}]}`

// role makes a role that may do all, and a session of it.
func (b *bench) role(t testing.TB, s *Store, terms Terms) (*Entity, Session) {
	t.Helper()
	a := s.First().ID
	must[*Entity](t)(s.Create(t.Context(), Entity{Kind: Role, Account: a, Name: "role", Path: "/x/", Trust: trustAll, Tags: []Tag{{"Team", "blue"}, {"site", "a"}}}))
	if err := s.PutInline(t.Context(), a, Role, "role", "all", allowAll); err != nil {
		t.Fatal(err)
	}
	r := must[*Entity](t)(s.Get(t.Context(), a, Role, "role"))
	return r, must[Session](t)(s.SessionFor(t.Context(), r, terms))
}

func code(err error) string {
	var e *sigv4.Error
	if errors.As(err, &e) {
		return e.Code
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func TestASessionIsOfItsRoleWithinItsPolicies(t *testing.T) {
	b := newBench(t)
	s := b.store(t)
	ctx := t.Context()
	r, session := b.role(t, s, Terms{Name: "me", Duration: time.Hour, Tags: []Tag{{"team", "red"}},
		Policy: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}`})
	c, err := b.store(t).open(ctx, session.AccessKey, session.SessionToken) // on another node
	if err != nil || c.SecretKey != session.SecretKey {
		t.Fatal(err)
	}
	i := c.Who.(*Identity)
	if i.ARN != r.ARN() || i.SessionARN != "arn:aws:sts::"+r.Account+":assumed-role/role/me" || i.ID != r.ID+":me" || !i.Temporary {
		t.Errorf("%+v", i.Principal)
	}
	if i.Tags["aws:principaltag/team"][0] != "red" || i.Tags["aws:principaltag/site"][0] != "a" {
		t.Errorf("%v", i.Tags)
	}
	if !i.may("s3:GetObject", "x") || i.may("s3:PutObject", "x") {
		t.Error("the session policy does not bound the session")
	}
	if err := s.DeleteInline(ctx, r.Account, Role, "role", "all"); err != nil {
		t.Fatal(err)
	}
	if c, _ = s.open(ctx, session.AccessKey, session.SessionToken); c.Who.(*Identity).may("s3:GetObject", "x") {
		t.Error("a session keeps what its role has lost")
	}
	m := must[*Managed](t)(s.CreatePolicy(ctx, Managed{Account: r.Account, Name: "p"}, allowAll))
	bound := must[Session](t)(s.SessionFor(ctx, r, Terms{Name: "x", Duration: time.Hour, PolicyARNs: []string{m.ARN()}}))
	if err := errors.Join(s.PutInline(ctx, r.Account, Role, "role", "all", allowAll), s.DeletePolicy(ctx, r.Account, m.ARN(), true)); err != nil {
		t.Fatal(err)
	}
	if c, _ = s.open(ctx, bound.AccessKey, bound.SessionToken); c.Who.(*Identity).may("s3:GetObject", "x") {
		t.Error("a session whose policy was deleted is not bounded any more")
	}
	if err := s.Delete(ctx, r.Account, Role, "role", true); err != nil {
		t.Fatal(err)
	}
	if _, err = s.open(ctx, session.AccessKey, session.SessionToken); code(err) != "InvalidToken" {
		t.Errorf("the session of a role that was deleted: %v", err)
	}
}

// TestAttack_A15_SessionTokensAreAuthentic: any bit flipped, cut, moved to another key, under another secret.
func TestAttack_A15_SessionTokensAreAuthentic(t *testing.T) {
	b := newBench(t)
	s := b.store(t)
	r, one := b.role(t, s, Terms{Name: "me", Duration: time.Hour})
	two := must[Session](t)(s.SessionFor(t.Context(), r, Terms{Name: "me", Duration: time.Hour}))
	verifier := sigv4.New(sigv4.Config{Lookup: s.Lookup, Now: b.clock})
	ask := func(c sigv4.Credentials) string {
		t.Helper()
		q, err := http.NewRequest("GET", "https://h/b/k", nil)
		if err != nil {
			t.Fatal(err)
		}
		sigv4.Sign(q, c, "", "", b.clock(), sigv4.UnsignedPayload)
		id, _, err := verifier.Verify(q)
		if err == nil && From(id).SessionARN == "" {
			t.Fatal("verified, and nobody")
		}
		return code(err)
	}
	if got := ask(one.Credentials); got != "" {
		t.Fatal(got)
	}
	with := func(token string) sigv4.Credentials {
		return sigv4.Credentials{AccessKey: one.AccessKey, SecretKey: one.SecretKey, SessionToken: token}
	}
	raw, _ := base64.RawURLEncoding.DecodeString(one.SessionToken)
	for bit := range 8 * len(raw) {
		raw[bit/8] ^= 1 << (bit % 8)
		if got := ask(with(base64.RawURLEncoding.EncodeToString(raw))); got != "InvalidToken" {
			t.Fatalf("bit %d: %q", bit, got)
		}
		raw[bit/8] ^= 1 << (bit % 8)
	}
	for n := range len(one.SessionToken) { // of the text: no second spelling of a token
		for _, x := range []byte{1, 2, 4, 8, 16, 32} {
			text := []byte(one.SessionToken)
			text[n] ^= x
			if got := ask(with(string(text))); got != "InvalidToken" {
				t.Fatalf("character %d: %q", n, got)
			}
		}
	}
	for what, c := range map[string]sigv4.Credentials{
		"another key's": with(two.SessionToken), "cut": with(one.SessionToken[:len(one.SessionToken)-1]), "longer": with(one.SessionToken + "A"),
		"padded": with(one.SessionToken + "="), "long": with(strings.Repeat("A", maxToken)), "alg none": with("eyJhbGciOiJub25lIn0.e30."),
	} {
		if got := ask(c); got != "InvalidToken" {
			t.Errorf("%s: %q", what, got)
		}
	}
	if got := ask(with("")); got != "InvalidAccessKeyId" {
		t.Errorf("without a token: %q", got)
	}
	long := b.user(t, s, s.First().ID, "ann")
	long.SessionToken = one.SessionToken
	if got := ask(long); got != "InvalidToken" {
		t.Errorf("a user's key with a session's token: %q", got)
	}
	guess := one.Credentials
	guess.SecretKey = "guess"
	if got := ask(guess); got != "SignatureDoesNotMatch" {
		t.Errorf("a stolen token without its secret: %q", got)
	}
	b.pass(time.Hour)
	if got := ask(one.Credentials); got != "ExpiredToken" {
		t.Errorf("after its end: %q", got)
	}
}

func FuzzToken(f *testing.F) {
	b := newBench(f)
	b.rand = rand.NewChaCha8([32]byte{}) // every worker has the same session
	s := b.store(f)
	_, one := b.role(f, s, Terms{Name: "me", Duration: time.Hour})
	f.Add(one.AccessKey, one.SessionToken)
	f.Add(one.AccessKey, "")
	f.Add("ASIA", "AQAA")
	f.Add(one.AccessKey, strings.Repeat("A", maxToken))
	f.Fuzz(func(t *testing.T, key, token string) {
		if _, ok := s.readToken(key, token); ok && (key != one.AccessKey || token != one.SessionToken) {
			t.Errorf("%q opens for %q", token, key)
		}
	})
}
