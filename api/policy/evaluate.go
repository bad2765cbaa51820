package policy

import "strings"

// Policies are all that has a say in a request. A policy that could not be read must not be left out:
// put DenyAll in its place.
type Policies struct {
	// Identity are the user's or role's own policies, managed and inline, and those of the user's groups.
	Identity []*Policy
	// Session are those given when the session was made; where there are any, they bound all else.
	Session []*Policy
	// Bucket is the bucket's, or nil.
	Bucket *Policy
	// ACL says that the access control list of the bucket or object grants the action to the
	// principal's account, or to all.
	ACL bool
	// RestrictPublicBuckets is that setting of the public access block: what a public policy allows counts
	// within the bucket owner's account alone.
	RestrictPublicBuckets bool
	// RootGaveUp: the bucket's policy was put with x-amz-confirm-remove-self-bucket-access, so that
	// it binds the owner's root too.
	RootGaveUp bool
}

// Effect is what was decided.
type Effect uint8

const (
	ImplicitDeny Effect = iota // nothing allows
	ExplicitDeny               // a statement denies
	Allow
)

func (e Effect) String() string {
	switch e {
	case ExplicitDeny:
		return "explicit deny"
	case Allow:
		return "allow"
	}
	return "implicit deny"
}

// Decision is the answer, and what made it, for the audit log.
type Decision struct {
	Effect Effect
	// By is the kind of policy that decided ("bucket policy"), "root" or "acl"; for an implicit deny
	// it is the kind that would have to allow.
	By        string
	Policy    string // its name
	Sid       string // the statement's; "" if it has none
	Statement int    // its place, from 0; -1 for none
}

// Allowed reports whether the request may go on.
func (d Decision) Allowed() bool { return d.Effect == Allow }

// Reason is AWS's wording of why a request was refused, without names of anything but the action.
func (d Decision) Reason(action string) string {
	switch d.Effect {
	case ExplicitDeny:
		return "with an explicit deny in a " + d.By
	case ImplicitDeny:
		return "because no " + d.By + " allows the " + action + " action"
	}
	return ""
}

const (
	byRoot = "root"
	byACL  = "acl"
)

// hit is a statement that is about the request.
type hit struct {
	policy *Policy
	index  int
	grade  grade
}

func (h hit) decision(effect Effect) Decision {
	return Decision{Effect: effect, By: h.policy.kind.String(), Policy: h.policy.name, Sid: h.policy.statements[h.index].sid, Statement: h.index}
}

func implied(effect Effect, by string) Decision {
	return Decision{Effect: effect, By: by, Statement: -1}
}

// scan finds the first statement of a policy that denies, and the one that allows best.
func (p *Policy) scan(e *env, deny, allow *hit) {
	for i := range p.statements {
		s := &p.statements[i]
		if s.allow && allow.grade >= gradeEntity && (s.principals == nil || allow.grade == gradeSession) {
			continue // allowed already
		}
		g := s.applies(e)
		switch {
		case g == gradeNone:
		case !s.allow:
			*deny = hit{p, i, g}
			return
		case g > allow.grade:
			*allow = hit{p, i, g}
		}
	}
}

// verdicts are what each kind of policy says.
type verdicts struct {
	bucketDeny, deny, bucket, identity, session hit
}

func gather(e *env, p *Policies) (v verdicts) {
	if p.Bucket != nil {
		p.Bucket.scan(e, &v.bucketDeny, &v.bucket)
	}
	for _, q := range p.Identity {
		if v.deny.policy == nil {
			q.scan(e, &v.deny, &v.identity)
		}
	}
	for _, q := range p.Session {
		if v.deny.policy == nil {
			q.scan(e, &v.deny, &v.session)
		}
	}
	return v
}

// Evaluate decides a request.
func Evaluate(r *Request, p *Policies) Decision {
	e := newEnv(r)
	v := gather(&e, p)
	if v.deny.policy != nil {
		return v.deny.decision(ExplicitDeny)
	}
	if v.bucketDeny.policy != nil && !keepsPolicy(&e, p) {
		return v.bucketDeny.decision(ExplicitDeny)
	}
	if !bucketCounts(r, p) {
		v.bucket = hit{}
	}
	switch {
	case r.Principal.Type == Anonymous:
		return v.anonymous(p)
	case r.Resource.owner() == "" || r.Resource.owner() == r.Principal.Account:
		return v.within(r, p)
	}
	return v.across(r, p)
}

// keepsPolicy: the root of the bucket's owner can always repair the bucket's policy, whatever it says.
func keepsPolicy(e *env, p *Policies) bool {
	if e.Principal.Type != Root || e.Principal.Account == "" || e.Principal.Account != e.Resource.BucketOwner || p.RootGaveUp {
		return false
	}
	for _, a := range [...]string{GetBucketPolicy, PutBucketPolicy, DeleteBucketPolicy} {
		if strings.EqualFold(a, e.action) {
			return true
		}
	}
	return false
}

// bucketCounts reports whether what the bucket's policy allows is to be heard.
func bucketCounts(r *Request, p *Policies) bool {
	if p.Bucket == nil || r.Resource.BucketOwner == "" || r.Resource.owner() != r.Resource.BucketOwner {
		return false
	}
	ownAccount := r.Principal.Type != Anonymous && r.Principal.Account == r.Resource.BucketOwner
	return ownAccount || !p.RestrictPublicBuckets || !p.Bucket.public
}

func (v *verdicts) anonymous(p *Policies) Decision {
	switch {
	case v.bucket.policy != nil:
		return v.bucket.decision(Allow)
	case p.ACL:
		return implied(Allow, byACL)
	}
	return implied(ImplicitDeny, Bucket.String())
}

// within decides in the account that owns the resource.
func (v *verdicts) within(r *Request, p *Policies) Decision {
	switch {
	case v.bucket.grade == gradeSession:
		return v.bucket.decision(Allow)
	case len(p.Session) > 0 && v.session.policy == nil:
		return implied(ImplicitDeny, Session.String())
	case v.identity.policy != nil:
		return v.identity.decision(Allow)
	case v.bucket.grade >= gradeEntity:
		return v.bucket.decision(Allow)
	case r.Principal.Type == Root:
		return implied(Allow, byRoot)
	}
	return implied(ImplicitDeny, Identity.String())
}

// across decides for a principal of another account, which both accounts must allow.
func (v *verdicts) across(r *Request, p *Policies) Decision {
	switch {
	case v.identity.policy == nil && r.Principal.Type != Root:
		return implied(ImplicitDeny, Identity.String())
	case len(p.Session) > 0 && v.session.policy == nil:
		return implied(ImplicitDeny, Session.String())
	case v.bucket.policy != nil:
		return v.bucket.decision(Allow)
	case p.ACL:
		return implied(Allow, byACL)
	}
	return implied(ImplicitDeny, Bucket.String())
}

// MayAssume decides whether a principal may assume a role of the account, by the role's trust policy
// and the principal's own policies: as Evaluate, with the trust policy in the place of a bucket's.
// r.Resource is the role's ARN, with its account as BucketOwner.
func MayAssume(r *Request, trust *Policy, own []*Policy, session []*Policy) Decision {
	if r.Principal.Type == Anonymous {
		return implied(ImplicitDeny, Trust.String())
	}
	d := Evaluate(r, &Policies{Identity: own, Session: session, Bucket: trust})
	// What identity policies allow is not enough for a role, in its own account neither.
	if d.Effect == Allow && d.By != Trust.String() {
		e := newEnv(r)
		var deny, allow hit
		trust.scan(&e, &deny, &allow)
		if allow.policy == nil {
			return implied(ImplicitDeny, Trust.String())
		}
	}
	return d
}
