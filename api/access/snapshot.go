package access

import (
	"slices"
	"strings"
	"sync"

	"holdfast/api/policy"
)

// record is one document as it was last read.
type record struct {
	revision uint64
	value    any // nil: it cannot be read
}

type table struct {
	revision uint64 // of the collection when its first page was read
	docs     map[string]record
}

// snapshot is all that is known at one moment. It is immutable, but for the identities that are made of it
// when they are first asked for.
type snapshot struct {
	changes uint64 // revision of the collection of changes
	tables  [tables]table

	accounts map[string]*Account // by ID and by canonical ID
	emails   map[string]*Account
	byID     map[string]*Entity
	canned   map[string]*Managed // by ARN
	unread   map[string]bool     // accounts with a group that cannot be read
	byKey    sync.Map            // access key: *Identity
}

// index makes what the tables are looked up by.
func (s *Store) index(n *snapshot) {
	n.accounts, n.emails, n.byID, n.canned = map[string]*Account{}, map[string]*Account{}, map[string]*Entity{}, s.canned
	add := func(a *Account) {
		n.accounts[a.ID], n.accounts[a.Canonical] = a, a
		if a.Email != "" {
			n.emails[strings.ToLower(a.Email)] = a
		}
	}
	for _, r := range n.tables[tableAccounts].docs {
		if d, ok := r.value.(*accountDoc); ok {
			add(&Account{ID: d.ID, Canonical: d.Canonical, Name: d.Name, Email: d.Email, Created: d.Created, Disabled: d.Disabled})
		}
	}
	root := s.root.Account
	add(&root)
	n.unread = map[string]bool{}
	for name, r := range n.tables[tableGroups].docs {
		if account, _, ok := strings.Cut(name, "/"); ok && r.value == nil {
			n.unread[account] = true
		}
	}
	for _, k := range traits {
		for _, r := range n.tables[k.table].docs {
			if e, ok := r.value.(*Entity); ok {
				n.byID[e.ID] = e
			}
		}
	}
}

func (n *snapshot) entity(account string, kind Kind, name string) (*Entity, error) {
	if e, ok := n.tables[traits[kind].table].docs[place(account, name)].value.(*Entity); ok {
		return e, nil
	}
	return nil, missing(kind.String(), name)
}

// managed finds a policy by its ARN, as somebody of the account may name it.
func (n *snapshot) managed(account, arn string) (*Managed, error) {
	if m, ok := n.canned[arn]; ok {
		return m, nil
	}
	of, kind, name, ok := CutARN(arn)
	if !ok || kind != "policy" {
		return nil, refuse(CodeInvalidInput, "ARN %s is not valid.", arn)
	}
	if m, ok := n.tables[tablePolicies].docs[place(of, name)].value.(*Managed); ok && of == account && m.ARN() == arn {
		return m, nil
	}
	return nil, refuse(CodeNoSuchEntity, "Policy %s does not exist or is not attachable.", arn)
}

// attached compiles what an entity has attached. A policy that was deleted allows nothing.
func (n *snapshot) attached(account string, list []Attachment) []*policy.Policy {
	var all []*policy.Policy
	for _, a := range list {
		_, _, name, _ := CutARN(a.ARN)
		if m, err := n.managed(account, a.ARN); err == nil && m.ID == a.ID {
			all = append(all, m.compiled)
		} else if r, there := n.tables[tablePolicies].docs[place(account, name)]; there && r.value == nil {
			all = append(all, policy.DenyAll(policy.Identity, name)) // it cannot be read: it may deny anything
		}
	}
	return all
}

// policies are all that an entity has, a user's groups' included.
func (n *snapshot) policies(e *Entity) []*policy.Policy {
	all := append(slices.Clone(e.own), n.attached(e.Account, e.Attached)...)
	for _, id := range e.Groups {
		if g := n.byID[id]; g != nil && g.Kind == Group && g.Account == e.Account {
			all = append(append(all, g.own...), n.attached(g.Account, g.Attached)...)
		} else if g == nil && n.unread[e.Account] {
			all = append(all, policy.DenyAll(policy.Identity, "group"))
		}
	}
	return all
}

// account finds one that is not disabled.
func (n *snapshot) account(id string) (*Account, bool) {
	a, ok := n.accounts[id]
	return a, ok && !a.Disabled
}

// rootOf is the identity of an account's root.
func rootOf(a *Account, u *use) *Identity {
	return &Identity{
		Principal: policy.Principal{Type: policy.Root, Account: a.ID, CanonicalID: a.Canonical, ARN: RootARN(a.ID), ID: a.ID},
		Account:   *a, use: u,
	}
}

// userOf is the identity of a user.
func (n *snapshot) userOf(a *Account, e *Entity, u *use) *Identity {
	return &Identity{
		Principal: policy.Principal{Type: policy.User, Account: a.ID, CanonicalID: a.Canonical, ARN: e.ARN(), Name: e.Name, ID: e.ID},
		Account:   *a, Policies: n.policies(e), Tags: tagKeys(principalTag, e.Tags), use: u,
	}
}

// identity is who has a key, nil if nobody has.
func (n *snapshot) identity(k *Key) *Identity {
	if i, ok := n.byKey.Load(k.AccessKey); ok {
		return i.(*Identity)
	}
	i := n.make(k.Account, k.User, k.use)
	n.byKey.Store(k.AccessKey, i)
	return i
}

func (n *snapshot) make(account, user string, u *use) *Identity {
	a, ok := n.account(account)
	if !ok {
		return nil
	}
	if user == "" {
		return rootOf(a, u)
	}
	e := n.byID[user]
	if e == nil || e.Kind != User || e.Account != account {
		return nil
	}
	return n.userOf(a, e, u)
}

// list collects what one table has of an account, sorted by name.
func list[T any](n *snapshot, table int, account string, want func(T) bool) []T {
	var names []string
	for name, r := range n.tables[table].docs {
		if v, ok := r.value.(T); ok && strings.HasPrefix(name, account+"/") && want(v) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	out := make([]T, 0, len(names))
	for _, name := range names {
		out = append(out, n.tables[table].docs[name].value.(T))
	}
	return out
}
