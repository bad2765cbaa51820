package access

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

	"holdfast/api/policy"
	"holdfast/api/sigv4"
)

// A session's credentials are kept by nobody but who has them. The session token holds all of them:
//
//	base64url, without padding, of a box (see secrets.go) of claims as JSON, bound to the access key
//
// A user or role that is deleted ends its sessions; what they may do follows its policies.

const (
	sessionKeyLen = len(prefixSession) + idLetters
	maxToken      = 8 << 10 // bytes as text: what package sigv4 takes
)

// claims are what a token says.
type claims struct {
	Key     string       `json:"key"`
	Secret  string       `json:"secret"`
	Account string       `json:"account"`
	Entity  string       `json:"entity,omitempty"` // unique ID of a user or role; "" is the account's root
	Name    string       `json:"name,omitempty"`   // of a role's session
	Policy  string       `json:"policy,omitempty"`
	Managed []Attachment `json:"managed,omitempty"`
	Tags    []Tag        `json:"tags,omitempty"`
	Issued  int64        `json:"issued"` // Unix seconds
	Expires int64        `json:"expires"`
}

// Session is a session that was made, with its credentials.
type Session struct {
	sigv4.Credentials
	Expires time.Time
	Packed  int // percent of the space for policies and tags that is in use
}

// Terms are what a session is made with.
type Terms struct {
	Name       string // of a role's session
	Policy     string // a session policy, "" for none
	PolicyARNs []string
	Tags       []Tag
	Duration   time.Duration
}

func isSession(accessKey string) bool {
	return len(accessKey) == sessionKeyLen && strings.HasPrefix(accessKey, prefixSession)
}

// maxSessionPolicies is how many managed policies may bound a session.
const maxSessionPolicies = 10

// SessionOf makes a session of a user or of an account's root.
func (s *Store) SessionOf(who *Identity, d time.Duration) (Session, error) {
	c := claims{Account: who.Account.ID}
	if who.Type == policy.User {
		c.Entity = who.ID
	}
	return s.issue(c, d)
}

// SessionFor makes a session of a role; that the caller may assume it is decided already.
func (s *Store) SessionFor(ctx context.Context, role *Entity, t Terms) (Session, error) {
	c := claims{Account: role.Account, Entity: role.ID, Name: t.Name, Policy: t.Policy, Tags: t.Tags}
	if err := checkTags(t.Tags); err != nil {
		return Session{}, err
	}
	if t.Policy != "" {
		if _, err := policy.Compile([]byte(t.Policy), policy.Rules{Kind: policy.Session}); err != nil {
			return Session{}, err
		}
	}
	if len(t.PolicyARNs) > maxSessionPolicies {
		return Session{}, refuse(CodePackedPolicyTooLarge, "At most %d managed policies may bound a session.", maxSessionPolicies)
	}
	n, err := s.current(ctx)
	if err != nil {
		return Session{}, err
	}
	for _, arn := range t.PolicyARNs {
		m, err := n.managed(role.Account, arn)
		if err != nil {
			return Session{}, err
		}
		c.Managed = append(c.Managed, Attachment{arn, m.ID})
	}
	return s.issue(c, t.Duration)
}

func (s *Store) issue(c claims, d time.Duration) (out Session, err error) {
	if c.Key, err = draw(s.cfg.Rand, prefixSession, capitals, idLetters); err != nil {
		return out, err
	}
	if c.Secret, err = draw(s.cfg.Rand, "", letters, secretLetters); err != nil {
		return out, err
	}
	now := s.cfg.Now()
	c.Issued, c.Expires = now.Unix(), now.Add(d).Unix()
	plain, err := json.Marshal(c)
	if err != nil {
		return out, fmt.Errorf("access: encode a session: %w", err)
	}
	sealed, err := s.tokens.seal(plain, c.Key)
	if err != nil {
		return out, err
	}
	token := base64.RawURLEncoding.EncodeToString(sealed)
	if len(token) > maxToken {
		return out, refuse(CodePackedPolicyTooLarge, "The session's policies and tags take more than fits into its token.")
	}
	out.Credentials = sigv4.Credentials{AccessKey: c.Key, SecretKey: c.Secret, SessionToken: token}
	out.Expires, out.Packed = time.Unix(c.Expires, 0).UTC(), 100*len(token)/maxToken
	return out, nil
}

// readToken opens a token.
func (s *Store) readToken(accessKey, token string) (c claims, ok bool) {
	if len(token) > maxToken {
		return c, false
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || strings.ContainsAny(token, "\r\n") { // which the decoder passes over
		return c, false
	}
	plain, err := s.tokens.open(sealed, accessKey)
	if err != nil || json.Unmarshal(plain, &c) != nil {
		return c, false
	}
	return c, c.Key == accessKey && c.Secret != ""
}

// open finds the credentials and the identity that a token stands for. Without one the key is unknown.
func (s *Store) open(ctx context.Context, accessKey, token string) (sigv4.Credentials, error) {
	if token == "" {
		return sigv4.Credentials{}, nil
	}
	c, ok := s.readToken(accessKey, token)
	if !ok {
		return sigv4.Credentials{}, sigv4.InvalidToken()
	}
	n, err := s.current(ctx)
	if err != nil {
		return sigv4.Credentials{}, err
	}
	who := s.sessionIdentity(n, &c)
	if who == nil {
		return sigv4.Credentials{}, sigv4.InvalidToken()
	}
	return sigv4.Credentials{AccessKey: accessKey, SecretKey: c.Secret, SessionToken: token, Expires: who.Expires, Who: who}, nil
}

// sessionIdentity is who a session is of; nil if the account, user or role is gone.
func (s *Store) sessionIdentity(n *snapshot, c *claims) *Identity {
	a, ok := n.account(c.Account)
	if !ok {
		return nil
	}
	e := n.byID[c.Entity]
	var who *Identity
	switch {
	case c.Entity == "":
		who = rootOf(a, nil)
	case e == nil || e.Account != c.Account:
		return nil
	case e.Kind == User:
		who = n.userOf(a, e, nil)
	case e.Kind == Role:
		who = &Identity{Principal: policy.Principal{
			Type: policy.AssumedRole, Account: a.ID, CanonicalID: a.Canonical, ARN: e.ARN(), ID: e.ID + ":" + c.Name,
			SessionARN: "arn:aws:sts::" + a.ID + ":assumed-role/" + e.Name + "/" + c.Name,
		}, Account: *a, Policies: n.policies(e), Tags: tagKeys(principalTag, e.Tags)}
		if len(c.Tags) > 0 {
			if who.Tags == nil {
				who.Tags = map[string][]string{}
			}
			maps.Copy(who.Tags, tagKeys(principalTag, c.Tags))
		}
	default:
		return nil
	}
	who.Temporary, who.Expires = true, time.Unix(c.Expires, 0).UTC()
	if c.Policy != "" {
		who.Session = append(who.Session, compiled(s.cfg.Logger, c.Policy, policy.Rules{Kind: policy.Session, Name: "session"}))
	}
	for _, m := range c.Managed {
		bound := policy.DenyAll(policy.Session, m.ARN) // the policy is gone
		if p, err := n.managed(c.Account, m.ARN); err == nil && p.ID == m.ID {
			bound = p.compiled
		}
		who.Session = append(who.Session, bound)
	}
	return who
}
