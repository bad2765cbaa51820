package access

import (
	"strings"
	"sync/atomic"
	"time"

	"holdfast/api/policy"
	"holdfast/api/sigv4"
)

// From is who signed a request: what a Store's Lookup handed on, and Nobody for an anonymous one or
// one of another Lookup. The identity of a session is found so alone: no access key leads to it.
func From(id sigv4.Identity) *Identity {
	if who, ok := id.Who.(*Identity); ok && !id.Anonymous {
		return who
	}
	return Nobody()
}

// use is when a key was last used, by what this front has seen.
type use struct {
	at   atomic.Int64 // Unix seconds; 0: never
	what atomic.Pointer[string]
}

// Authenticated implements sigv4.Witness: it notes that a key was used.
func (i *Identity) Authenticated(service, region string, at time.Time) {
	if i.use == nil || i.use.at.Load() == at.Unix() {
		return
	}
	i.use.at.Store(at.Unix())
	what := service + "/" + region
	if old := i.use.what.Load(); old == nil || *old != what {
		i.use.what.Store(&what)
	}
}

// IsRoot reports whether it is the root of its account.
func (i *Identity) IsRoot() bool { return i.Type == policy.Root }

// The ARNs of entities: path begins and ends with a slash.

// RootARN is that of an account's root.
func RootARN(account string) string { return "arn:aws:iam::" + account + ":root" }

// ARN is that of an entity or policy: kind is user, group, role or policy.
func ARN(account, kind, path, name string) string {
	return "arn:aws:iam::" + account + ":" + kind + path + name
}

// CutARN takes an ARN of IAM apart: the account, what it is (user, role, policy …) and its name without
// its path.
func CutARN(arn string) (account, kind, name string, ok bool) {
	part := strings.SplitN(arn, ":", 6)
	if len(part) != 6 || part[0] != "arn" || part[1] != "aws" || part[2] != "iam" || part[3] != "" {
		return "", "", "", false
	}
	kind, rest, ok := strings.Cut(part[5], "/")
	return part[4], kind, rest[strings.LastIndexByte(rest, '/')+1:], ok
}

func tagKeys(prefix string, tags []Tag) map[string][]string {
	if len(tags) == 0 {
		return nil
	}
	keys := make(map[string][]string, len(tags))
	for _, t := range tags {
		keys[prefix+strings.ToLower(t.Key)] = []string{t.Value}
	}
	return keys
}

const principalTag = "aws:principaltag/"
