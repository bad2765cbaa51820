package policy

import (
	"slices"
	"strings"
)

// principals is a statement's Principal or NotPrincipal. Services and federations are kept to be printed
// and match nobody: Holdfast has neither.
type principals struct {
	not       bool
	everyone  bool // "*", nobody too
	accounts  []string
	canonical []string
	arns      []string // users, roles, sessions
	written   []principal
}

// principal is an entry as it is written.
type principal struct {
	provider string // AWS, CanonicalUser, Federated, Service; "" for the bare "*"
	name     string
}

// grade says how well a request's principal fits a statement's.
type grade uint8

const (
	gradeNone    grade = iota
	gradeAccount       // the principal's account is named
	gradeEntity        // the user or role is named, or everyone
	gradeSession       // the session of the role is named
)

func (s *principals) grade(p *Principal) grade {
	switch {
	case s.not:
		if s.excepts(p) {
			return gradeNone
		}
		return gradeEntity
	case s.everyone:
		return gradeEntity
	case p.Type == Anonymous:
		return gradeNone
	case p.SessionARN != "" && slices.Contains(s.arns, p.SessionARN):
		return gradeSession
	case p.ARN != "" && slices.Contains(s.arns, p.ARN):
		return gradeEntity
	case s.hasAccount(p) && p.Type == Root:
		return gradeEntity
	case s.hasAccount(p):
		return gradeAccount
	}
	return gradeNone
}

// excepts reports whether NotPrincipal names p itself. An account names its root only: users and
// roles have to be named beside it, as on AWS.
func (s *principals) excepts(p *Principal) bool {
	switch {
	case s.everyone:
		return true
	case p.Type == Anonymous:
		return false
	case p.Type == Root:
		return s.hasAccount(p)
	}
	return p.ARN != "" && slices.Contains(s.arns, p.ARN) || p.SessionARN != "" && slices.Contains(s.arns, p.SessionARN)
}

func (s *principals) hasAccount(p *Principal) bool {
	return p.Account != "" && slices.Contains(s.accounts, p.Account) || p.CanonicalID != "" && slices.Contains(s.canonical, p.CanonicalID)
}

// readPrincipals compiles a Principal or NotPrincipal element.
func (r Rules) readPrincipals(n node, not bool) (*principals, error) {
	s := &principals{not: not}
	if n.form == formString && n.text == "*" {
		s.everyone = true
		s.written = append(s.written, principal{name: "*"})
		return s, nil
	}
	if n.form != formObject {
		return nil, r.refuse(faultPrincipal, quoted(n.text))
	}
	for _, m := range n.members {
		names, ok := m.value.strings()
		if !ok {
			return nil, r.refuse(faultPrincipal, quoted(m.name))
		}
		for _, name := range names {
			if !s.add(m.name, r.owned(name)) {
				return nil, r.refuse(faultPrincipal, quoted(m.name)+":"+quoted(name))
			}
		}
	}
	if len(s.written) == 0 {
		return nil, r.refuse(faultEmpty, "Principal")
	}
	return s, nil
}

func quoted(s string) string { return `"` + s + `"` }

// owned puts the account of the rules into an ARN that has none.
func (r Rules) owned(name string) string {
	if r.Account == "" {
		return name
	}
	for _, front := range []string{"arn:aws:iam::", "arn:aws:sts::"} {
		if after, ok := strings.CutPrefix(name, front+":"); ok {
			return front + r.Account + ":" + after
		}
	}
	return name
}

// add reads one principal and reports whether it is well formed.
func (s *principals) add(provider, name string) bool {
	if name == "" || len(name) > maxPrincipal {
		return false
	}
	s.written = append(s.written, principal{provider, name})
	switch provider {
	case "AWS":
		return s.addAWS(name)
	case "CanonicalUser":
		s.canonical = append(s.canonical, name)
		return isAlphanumeric(name)
	case "Service", "Federated":
		return !strings.ContainsAny(name, "*? ")
	}
	return false
}

// maxPrincipal bounds a principal's length in bytes; the longest ARN of a role has some 600.
const maxPrincipal = 2048

func (s *principals) addAWS(name string) bool {
	if name == "*" {
		s.everyone = true
		return true
	}
	if isAccountID(name) {
		s.accounts = append(s.accounts, name)
		return true
	}
	service, account, entity, ok := cutPrincipal(name)
	if !ok {
		return false
	}
	if service == "iam" && entity == "root" {
		s.accounts = append(s.accounts, account)
		return true
	}
	kind, rest, _ := strings.Cut(entity, "/")
	switch {
	case rest == "":
		return false
	case service == "iam" && (kind == "user" || kind == "role"):
	case service == "sts" && kind == "assumed-role" && strings.Contains(rest, "/"):
	case service == "sts" && kind == "federated-user":
	default:
		return false
	}
	s.arns = append(s.arns, name)
	return true
}

// cutPrincipal takes an ARN of a principal apart. No wildcard may be in it.
func cutPrincipal(arn string) (service, account, entity string, ok bool) {
	part := strings.SplitN(arn, ":", 6)
	if len(part) != 6 || part[0] != "arn" || part[1] != "aws" || part[3] != "" || strings.ContainsAny(arn, "*? ${}") {
		return "", "", "", false
	}
	return part[2], part[4], part[5], isAccountName(part[4])
}

// isAccountID: AWS's form, the only one that may stand alone.
func isAccountID(s string) bool {
	return len(s) == 12 && strings.Trim(s, "0123456789") == ""
}

// isAccountName is looser: other S3 servers have tenants with names, and such a principal, which
// matches nobody here, may stay in a policy that came from there.
func isAccountName(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == ""
}

func isAlphanumeric(s string) bool {
	return strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") == ""
}
