// Package access knows who makes a request: accounts, users, groups, roles, their access keys and policies.
//
// Nouns:
//
//   - Account: what owns buckets and objects. It has a twelve-digit ID, a canonical ID (64 hex digits, as ACLs have it),
//     a name, and a root identity that may do everything in it. The first account is made of the root credentials that
//     the server is started with; small installations have no other.
//   - User: a person or program in an account, with up to some access keys. It may do what its policies and its groups'
//     allow.
//   - Role: what somebody assumes for a while, by STS; its sessions have credentials that nobody stores: the session
//     token holds them, sealed under the cluster's secret.
//   - Identity: one of these as a request comes from it, with all that has to be known to decide.
//
// A request's Identity is From(what sigv4.Verify returned): whoever verified the signature has found
// it, and nobody has to look twice.
//
// All of it lives as documents in the system group (metapb.Document, one collection a noun) and is held in memory by
// every front, which asks for changes every second: who lost a permission has lost it on every front within two.
package access

import (
	"time"

	"holdfast/api/policy"
)

// Account owns buckets and objects.
type Account struct {
	ID        string // twelve digits
	Canonical string // 64 hex digits
	Name      string
	Email     string // "" for none; grants may name it
	Created   time.Time
	Disabled  bool
}

// Identity is who makes a request.
type Identity struct {
	policy.Principal
	Account  Account
	Policies []*policy.Policy    // of a user and its groups, or of a role
	Session  []*policy.Policy    // bound a session; nil for none
	Tags     map[string][]string // condition keys aws:principaltag/NAME and what else the identity brings, in lower case
	Expires  time.Time           // of a session; zero: never
	// Temporary: the credentials are a session's, a role's or one that a user or root made for itself.
	Temporary bool

	use *use // of the access key; nil for sessions
}

// nobody has no fields, and nobody changes it.
var nobody = &Identity{}

// Nobody is the identity of an anonymous request.
func Nobody() *Identity { return nobody }

// Directory is what the fronts ask; *Store is one.
type Directory interface {
	// Identity is who has an access key, false if nobody has it (any more).
	Identity(accessKey string) (*Identity, bool)
	// Account finds an account by its ID or its canonical ID.
	Account(id string) (Account, bool)
	// AccountByEmail finds an account by its e-mail address.
	AccountByEmail(email string) (Account, bool)
}
