package access

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"holdfast/api/policy"
)

// The collections of documents; the values are JSON, and fields are only ever added.
//
//	accounts     name in lower case            accountDoc
//	emails       address in lower case         emailDoc: whose it is, so that nobody else takes it
//	users, groups, roles                       Entity, by ACCOUNT/name in lower case
//	policies     ACCOUNT/name in lower case    Managed
//	access-keys  the access key                keyDoc, with the secret sealed
//	key-usage    the access key                usageDoc: when it was last used, coarsely
//	access       "changed"                     written with every change of the others but key-usage
const (
	tableAccounts = iota
	tableEmails
	tableUsers
	tableGroups
	tableRoles
	tablePolicies
	tableKeys
	tables

	usageCollection   = "key-usage"
	changesCollection = "access"
	changesName       = "changed"
)

var collections = [tables]string{"accounts", "emails", "users", "groups", "roles", "policies", "access-keys"}

type accountDoc struct {
	ID        string    `json:"id"`
	Canonical string    `json:"canonical"`
	Name      string    `json:"name"`
	Email     string    `json:"email,omitempty"`
	Created   time.Time `json:"created"`
	Disabled  bool      `json:"disabled,omitempty"`
}

type emailDoc struct {
	Account string `json:"account"`
}

type keyDoc struct {
	Account string    `json:"account"`
	User    string    `json:"user,omitempty"` // unique ID; "" is the account's root
	Secret  []byte    `json:"secret"`         // sealed, bound to the access key
	Off     bool      `json:"off,omitempty"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"`
}

type usageDoc struct {
	At   time.Time `json:"at"`
	What string    `json:"what"` // service/region
}

// Kind is one of the three that have policies.
type Kind uint8

const (
	User Kind = iota
	Group
	Role
)

// kindTraits are what differs between them.
type kindTraits struct {
	table   int
	word    string // in ARNs and sentences
	prefix  string // of unique IDs
	field   string // of names in refusals
	longest int    // name
	limit   int    // of them in an account
	quota   string // the limit's name
	inline  int    // bytes of all inline policies
}

var traits = [...]kindTraits{
	User:  {tableUsers, "user", prefixUser, "userName", 64, maxUsers, "UsersPerAccount", policy.MaxUser},
	Group: {tableGroups, "group", prefixGroup, "groupName", 128, maxGroups, "GroupsPerAccount", policy.MaxGroup},
	Role:  {tableRoles, "role", prefixRole, "roleName", 64, maxRoles, "RolesPerAccount", policy.MaxRole},
}

// String is user, group or role.
func (k Kind) String() string { return traits[k].word }

// Attachment is a managed policy that an entity has. A policy that was deleted and made again is another.
type Attachment struct {
	ARN string `json:"arn"`
	ID  string `json:"id"`
}

// Entity is a user, a group or a role. Those that a Store returns are shared: nobody changes them.
type Entity struct {
	Kind     Kind              `json:"-"`
	Account  string            `json:"account"`
	Name     string            `json:"name"`
	Path     string            `json:"path"`
	ID       string            `json:"id"` // unique, also in time
	Created  time.Time         `json:"created"`
	Inline   map[string]string `json:"inline,omitempty"` // documents by name
	Attached []Attachment      `json:"attached,omitempty"`
	Tags     []Tag             `json:"tags,omitempty"`
	Groups   []string          `json:"groups,omitempty"` // a user's, by ID

	Trust       string `json:"trust,omitempty"` // a role's, and what follows
	Description string `json:"description,omitempty"`
	MaxSession  int    `json:"max_session,omitempty"` // seconds

	own   []*policy.Policy // compiled, by name
	trust *policy.Policy
}

// ARN is the entity's.
func (e *Entity) ARN() string { return ARN(e.Account, e.Kind.String(), e.Path, e.Name) }

// TrustPolicy says who may assume a role.
func (e *Entity) TrustPolicy() *policy.Policy { return e.trust }

// InlineNames are those of the inline policies, sorted.
func (e *Entity) InlineNames() []string {
	names := make([]string, 0, len(e.Inline))
	for n := range e.Inline {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// copied is the entity for somebody who changes it.
func (e *Entity) copied() *Entity {
	c := *e
	c.own, c.trust = nil, nil
	c.Attached, c.Tags, c.Groups = slices.Clone(e.Attached), slices.Clone(e.Tags), slices.Clone(e.Groups)
	c.Inline = make(map[string]string, len(e.Inline))
	for k, v := range e.Inline {
		c.Inline[k] = v
	}
	return &c
}

// compile reads the documents of a stored entity. One that cannot be read denies everything.
func (e *Entity) compile(log *slog.Logger) {
	for _, name := range e.InlineNames() {
		e.own = append(e.own, compiled(log, e.Inline[name], policy.Rules{Name: "inline/" + name, MaxSize: maxDocumentLen}))
	}
	if e.Kind == Role {
		e.trust = compiled(log, e.Trust, policy.Rules{Kind: policy.Trust, Name: e.Name, Account: e.Account, MaxSize: maxDocumentLen})
	}
}

func compiled(log *slog.Logger, doc string, r policy.Rules) *policy.Policy {
	p, err := policy.Compile([]byte(doc), r)
	if err != nil {
		log.Error("a stored policy cannot be read: until it is replaced it denies everything", "policy", r.Name, "error", err)
		return policy.DenyAll(r.Kind, r.Name)
	}
	return p
}

// Version is one text of a managed policy.
type Version struct {
	ID       string    `json:"id"` // v1, v2 …; never used again
	Created  time.Time `json:"created"`
	Document string    `json:"document"`
}

// Managed is a policy that can be attached to any number of entities of its account.
type Managed struct {
	Account     string    `json:"account"` // "aws" for those that every cluster has
	Name        string    `json:"name"`
	Path        string    `json:"path"`
	ID          string    `json:"id"`
	Description string    `json:"description,omitempty"`
	Created     time.Time `json:"created"`
	Updated     time.Time `json:"updated"`
	Default     string    `json:"default"`
	Last        int       `json:"last"` // number of the newest version that there ever was
	Versions    []Version `json:"versions"`
	Tags        []Tag     `json:"tags,omitempty"`

	compiled *policy.Policy // the default version
}

// ARN is the policy's.
func (m *Managed) ARN() string { return ARN(m.Account, "policy", m.Path, m.Name) }

// Version finds one by its ID.
func (m *Managed) Version(id string) (Version, bool) {
	for _, v := range m.Versions {
		if v.ID == id {
			return v, true
		}
	}
	return Version{}, false
}

func (m *Managed) copied() *Managed {
	c := *m
	c.Versions, c.Tags, c.compiled = slices.Clone(m.Versions), slices.Clone(m.Tags), nil
	return &c
}

func (m *Managed) compile(log *slog.Logger) {
	v, _ := m.Version(m.Default)
	m.compiled = compiled(log, v.Document, policy.Rules{Name: m.Name, MaxSize: maxDocumentLen})
}

// Key is an access key without its secret.
type Key struct {
	AccessKey string
	Account   string
	User      string // the unique ID of whose it is; "" is the account's root
	Active    bool
	Created   time.Time
	Expires   time.Time // zero: never

	secret string
	use    *use
}

// Format keeps the secret out of every message, whatever the verb.
func (k Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "key "+k.AccessKey+" (REDACTED)") }

// LogValue keeps it out of logs.
func (k Key) LogValue() slog.Value { return slog.StringValue("key " + k.AccessKey + " (REDACTED)") }

// expired reports whether the key's time is over.
func (k *Key) expired(now time.Time) bool { return !k.Expires.IsZero() && !now.Before(k.Expires) }

// decode reads one document; nil if it cannot be read.
func (s *Store) decode(t int, name string, value []byte) any {
	var v any
	switch t {
	case tableAccounts:
		v = &accountDoc{}
	case tableEmails:
		v = &emailDoc{}
	case tablePolicies:
		v = &Managed{}
	case tableKeys:
		v = &keyDoc{}
	default:
		v = &Entity{}
	}
	if err := json.Unmarshal(value, v); err != nil {
		s.cfg.Logger.Error("a record of who may do what cannot be read and is left out", "collection", collections[t], "name", name)
		return nil
	}
	switch v := v.(type) {
	case *Entity:
		v.Kind = Kind(t - tableUsers)
		v.compile(s.cfg.Logger)
	case *Managed:
		v.compile(s.cfg.Logger)
	case *keyDoc:
		secret, err := s.secrets.open(v.Secret, name)
		if err != nil {
			s.cfg.Logger.Error("the secret of an access key does not open: was the cluster's secret changed?", "key", name)
			return nil
		}
		return &Key{AccessKey: name, Account: v.Account, User: v.User, Active: !v.Off, Created: v.Created, Expires: v.Expires,
			secret: string(secret), use: s.useOf(name)}
	}
	return v
}

// place is where something of an account lies in its table.
func place(account, name string) string { return account + "/" + strings.ToLower(name) }
