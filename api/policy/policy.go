package policy

import "strings"

// Kind says what a document is attached to.
type Kind uint8

const (
	Identity Kind = iota // to a user, a group or a role: no principal
	Bucket               // to a bucket: principals, and resources of that bucket only
	Session              // to a session: as Identity
	Trust                // to a role: who may assume it; no resource
)

// String names the kind in decisions and logs.
func (k Kind) String() string {
	switch k {
	case Bucket:
		return "bucket policy"
	case Session:
		return "session policy"
	case Trust:
		return "trust policy"
	}
	return "identity policy"
}

// The limits of documents, in bytes without white space between elements.
const (
	MaxBucket  = 20 << 10 // "Bucket policies are limited to 20 KB in size"
	MaxManaged = 6144
	MaxUser    = 2048 // all inline policies of a user together
	MaxGroup   = 5120
	MaxRole    = 10240
	MaxSession = 2048
	MaxTrust   = 2048

	maxRaw        = 128 << 10 // of a document with its white space: what IAM takes at all
	maxStatements = 512       // some 20 KiB of the shortest there are
)

// Rules say how a document is to be read.
type Rules struct {
	Kind Kind
	// Name stands in decisions: a managed policy's name, "inline/NAME". It is not read from the document.
	Name string
	// Bucket is the name of the bucket of a bucket policy; all its resources must be in it.
	Bucket string
	// Account, when set, is what ARNs of principals without an account mean (arn:aws:iam:::user/NAME, as
	// Ceph writes them); AWS, and this package without it, refuses them.
	Account string
	// Strict refuses statements of a bucket policy with an action that none of its resources can
	// have, or a condition key that none of its actions has, as S3 does. Only for new documents:
	// a later version may know more.
	Strict bool
	// MaxSize is the limit in bytes; 0 is the kind's (MaxManaged for Identity).
	MaxSize int
}

func (r Rules) limit() int {
	switch {
	case r.MaxSize > 0:
		return r.MaxSize
	case r.Kind == Bucket:
		return MaxBucket
	case r.Kind == Session:
		return MaxSession
	case r.Kind == Trust:
		return MaxTrust
	}
	return MaxManaged
}

// Policy is a compiled document. It is immutable and may be used by many goroutines.
type Policy struct {
	kind       Kind
	name       string
	version    string // "" where the document has none
	id         string
	statements []statement
	size       int
	public     bool
	keys       []string
}

// statement is one rule.
type statement struct {
	sid          string
	allow        bool
	principals   *principals // nil in identity and session policies
	notAction    bool
	actions      []action
	notResource  bool
	resources    []resource
	anyResource  bool // trust policies: the role itself
	conditions   []condition
	hasCondition bool // there is a Condition element, although it may be empty
}

// action is one entry of Action or NotAction.
type action struct {
	text    string
	pattern pattern // of the lower-case text
}

// Kind is what the policy is attached to.
func (p *Policy) Kind() Kind { return p.kind }

// Name is that of the Rules.
func (p *Policy) Name() string { return p.name }

// ID is the document's Id element.
func (p *Policy) ID() string { return p.id }

// Size is the document's length in bytes without white space between its elements.
func (p *Policy) Size() int { return p.size }

// Statements is how many there are.
func (p *Policy) Statements() int { return len(p.statements) }

// Principals are the AWS and CanonicalUser principals which the document names, but for "*": who puts it
// can ask whether they exist, as AWS does.
func (p *Policy) Principals() []string {
	var all []string
	for i := range p.statements {
		if s := p.statements[i].principals; s != nil {
			for _, w := range s.written {
				if w.name != "*" && (w.provider == "AWS" || w.provider == "CanonicalUser") {
					all = append(all, w.name)
				}
			}
		}
	}
	return all
}

// RefusePrincipal is the Error for a principal that does not exist.
func RefusePrincipal(k Kind, principal string) error {
	return Rules{Kind: k}.refuse(faultPrincipal, quoted("AWS")+":"+quoted(principal))
}

// DenyAll denies everything to everyone: it takes the place of a stored policy that cannot be read.
func DenyAll(k Kind, name string) *Policy {
	every := []action{{text: "*", pattern: pattern{tokens: []token{{kind: anyRun}}}}}
	s := statement{sid: "unreadable", actions: every, resources: []resource{{text: "*", all: true}}}
	if k == Bucket || k == Trust {
		s.principals = &principals{everyone: true, written: []principal{{name: "*"}}}
	}
	return &Policy{kind: k, name: name, version: version2012, statements: []statement{s}}
}

const (
	version2008 = "2008-10-17"
	version2012 = "2012-10-17"
)

// applies reports whether the statement is about the request, and how well the principal fits.
func (s *statement) applies(e *env) grade {
	g := gradeEntity
	if s.principals != nil {
		if g = s.principals.grade(&e.Principal); g == gradeNone {
			return gradeNone
		}
	}
	if s.hasAction(e.action) == s.notAction || !s.hasResource(e) {
		return gradeNone
	}
	for i := range s.conditions {
		if !s.conditions[i].holds(e) {
			return gradeNone
		}
	}
	return g
}

func (s *statement) hasAction(lower string) bool {
	for i := range s.actions {
		if matchTokens(s.actions[i].pattern.tokens, lower) {
			return true
		}
	}
	return false
}

// hasResource decides Resource and NotResource. A variable without a value names nothing; in an
// allowing NotResource that would allow more, so such a statement allows nothing.
func (s *statement) hasResource(e *env) bool {
	if s.anyResource {
		return true
	}
	unresolved := false
	for i := range s.resources {
		match, resolved := s.resources[i].matches(e)
		if match {
			return !s.notResource
		}
		unresolved = unresolved || !resolved
	}
	return s.notResource && !(unresolved && s.allow)
}

// isAction reports whether text has the form vendor:name, or is "*".
func isAction(text string) bool {
	vendor, name, ok := strings.Cut(text, ":")
	return text == "*" || ok && vendor != "" && name != "" && !strings.Contains(name, ":")
}
