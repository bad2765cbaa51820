package policy

import (
	"strconv"
	"strings"
	"time"
)

// Request is what is to be decided.
type Request struct {
	Action    string // one of the constants, such as GetObject
	Resource  Resource
	Principal Principal
	// Keys are the condition keys of the request: names in lower case ("aws:sourceip",
	// "s3:existingobjecttag/team"), to their values. A key without values is one that the request
	// does not have. Keys that follow from the other fields are computed, and ignored here: see Derived.
	Keys map[string][]string
	Time time.Time // aws:CurrentTime and aws:EpochTime; zero: the request has neither
}

// Resource is what the request is about: a bucket, an object, or whatever an ARN names.
type Resource struct {
	Bucket string // "" with ARN, and for actions on no bucket (ListAllMyBuckets)
	Key    string // "" for the bucket itself
	ARN    string // for other services: a user, a role, a key of the KMS
	// BucketOwner is the account that owns the bucket. "": what is asked for is in the principal's
	// own account, and a bucket's policy allows nothing.
	BucketOwner string
	// ObjectOwner is the account that owns the object, if it is another than BucketOwner. Leave it
	// empty where the bucket decides: Put and Delete, and everything in BucketOwnerEnforced.
	ObjectOwner string
}

func (r *Resource) owner() string {
	if r.ObjectOwner != "" {
		return r.ObjectOwner
	}
	return r.BucketOwner
}

// s3Prefix begins the ARN of every bucket and object.
const s3Prefix = "arn:aws:s3:::"

// String is the resource's ARN; "*" for none.
func (r *Resource) String() string {
	switch {
	case r.ARN != "":
		return r.ARN
	case r.Bucket == "":
		return "*"
	case r.Key == "":
		return s3Prefix + r.Bucket
	}
	return s3Prefix + r.Bucket + "/" + r.Key
}

// PrincipalType says what kind of identity makes a request.
type PrincipalType uint8

const (
	Anonymous PrincipalType = iota
	Root                    // the owner of an account
	User                    // also a session of a user
	AssumedRole
)

// String is the value of aws:PrincipalType.
func (t PrincipalType) String() string {
	switch t {
	case Root:
		return "Account"
	case User:
		return "User"
	case AssumedRole:
		return "AssumedRole"
	}
	return "Anonymous"
}

// Principal is who makes a request. The zero Principal is nobody.
type Principal struct {
	Type        PrincipalType
	Account     string // twelve digits
	CanonicalID string // of the account; "" if it has none
	// ARN is the user's, the role's, or arn:aws:iam::ACCOUNT:root.
	ARN        string
	SessionARN string // of an assumed role: arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION
	Name       string // the user's, for aws:username
	ID         string // aws:userid: the user's unique ID, the account of a root, ROLEID:SESSION
}

// env is a request while it is evaluated.
type env struct {
	*Request
	action   string // in lower case
	resource string // the part of the S3 resource after the prefix; see resource.matches
	arn      string
	one      [1]string // what lookup answers for derived keys
}

func newEnv(r *Request) env {
	e := env{Request: r, arn: r.Resource.String()}
	var ok bool
	if e.action, ok = lowerActions[r.Action]; !ok {
		e.action = strings.ToLower(r.Action)
	}
	if e.arn == "*" && strings.HasPrefix(e.action, "s3:") {
		e.arn = s3Prefix + "*" // to list all buckets, arn:aws:s3:::* is enough
	}
	if after, ok := strings.CutPrefix(e.arn, s3Prefix); ok {
		e.resource = after
	}
	return e
}

// Derived are the condition keys that are computed from a Request's other fields.
func Derived() []string {
	return []string{
		"aws:currenttime", "aws:epochtime", "aws:principalaccount", "aws:principalarn", "aws:principaltype",
		"aws:resourceaccount", "aws:userid", "aws:username", "s3:resourceaccount",
	}
}

// lookup finds a key's values; none means that the request does not have the key.
func (e *env) lookup(key string) []string {
	v := ""
	switch key {
	case "aws:currenttime":
		if !e.Time.IsZero() {
			v = e.Time.UTC().Format("2006-01-02T15:04:05Z")
		}
	case "aws:epochtime":
		if !e.Time.IsZero() {
			v = strconv.FormatInt(e.Time.Unix(), 10)
		}
	case "aws:principalaccount":
		v = e.Principal.Account
	case "aws:principalarn":
		v = e.Principal.ARN
	case "aws:principaltype":
		v = e.Principal.Type.String()
	case "aws:userid":
		if v = e.Principal.ID; e.Principal.Type == Anonymous {
			v = "anonymous"
		}
	case "aws:username":
		if e.Principal.Type == User {
			v = e.Principal.Name
		}
	case "aws:resourceaccount", "s3:resourceaccount":
		v = e.Resource.BucketOwner
	default:
		return e.Keys[key]
	}
	if v == "" {
		return nil
	}
	e.one[0] = v
	return e.one[:]
}
