package access

import (
	"context"
	"maps"
	"slices"
	"strings"

	"holdfast/api/policy"
)

// The shortest and longest that a role's session may be allowed to last, in seconds.
const (
	minMaxSession     = 3600
	maxMaxSession     = 12 * 3600
	defaultMaxSession = 3600
)

// Create makes a user, a group or a role of e's account, name, path and what its kind has besides.
func (s *Store) Create(ctx context.Context, e Entity) (*Entity, error) {
	t := traits[e.Kind]
	if err := checkName(t.field, e.Name, t.longest); err != nil {
		return nil, err
	}
	if err := checkPath(&e.Path); err != nil {
		return nil, err
	}
	if err := e.checkRest(); err != nil {
		return nil, err
	}
	id, err := draw(s.cfg.Rand, t.prefix, capitals, idLetters)
	if err != nil {
		return nil, err
	}
	e.ID, e.Created = id, s.cfg.Now().UTC()
	return &e, s.change(ctx, func(c *edit) error {
		if _, ok := c.n.account(e.Account); !ok {
			return missing("account", e.Account)
		}
		if _, there := c.n.tables[t.table].docs[place(e.Account, e.Name)]; there {
			return alreadyThere(e.Kind.String(), e.Name)
		}
		if len(list(c.n, t.table, e.Account, all[*Entity])) >= t.limit {
			return quota(t.quota, t.limit)
		}
		c.put(t.table, place(e.Account, e.Name), &e)
		return nil
	})
}

func all[T any](T) bool { return true }

func alreadyThere(what, name string) error {
	return refuse(CodeAlreadyExists, "%s with name %s already exists.", strings.ToUpper(what[:1])+what[1:], name)
}

func quota(name string, limit int) error {
	return refuse(CodeLimitExceeded, "Cannot exceed quota for %s: %d", name, limit)
}

// checkRest looks at tags and at what only roles have.
func (e *Entity) checkRest() error {
	if err := checkTags(e.Tags); err != nil {
		return err
	}
	if e.Kind != Role {
		return nil
	}
	if e.MaxSession == 0 {
		e.MaxSession = defaultMaxSession
	}
	if e.MaxSession < minMaxSession || e.MaxSession > maxMaxSession {
		return refuse(CodeValidation, "Value at 'maxSessionDuration' failed to satisfy constraint: Member must be between %d and %d", minMaxSession, maxMaxSession)
	}
	if len(e.Description) > maxDescription {
		return refuse(CodeValidation, "Value at 'description' failed to satisfy constraint: Member must have length less than or equal to %d", maxDescription)
	}
	_, err := policy.Compile([]byte(e.Trust), policy.Rules{Kind: policy.Trust, Account: e.Account})
	return err
}

// Get finds one by its name, whatever its case.
func (s *Store) Get(ctx context.Context, account string, k Kind, name string) (*Entity, error) {
	n, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	return n.entity(account, k, name)
}

// Find finds one by its unique ID.
func (s *Store) Find(ctx context.Context, id string) (*Entity, bool, error) {
	n, err := s.current(ctx)
	if err != nil {
		return nil, false, err
	}
	e, ok := n.byID[id]
	return e, ok, nil
}

// List are those of an account whose path begins so, sorted by name.
func (s *Store) List(ctx context.Context, account string, k Kind, pathPrefix string) ([]*Entity, error) {
	n, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	return list(n, traits[k].table, account, func(e *Entity) bool { return strings.HasPrefix(e.Path, pathPrefix) }), nil
}

// Members are the users in a group.
func (s *Store) Members(ctx context.Context, g *Entity) ([]*Entity, error) {
	n, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	return n.members(g), nil
}

func (n *snapshot) members(g *Entity) []*Entity {
	return list(n, tableUsers, g.Account, func(u *Entity) bool { return slices.Contains(u.Groups, g.ID) })
}

// GroupsOf are the groups that a user is in, sorted by name.
func (s *Store) GroupsOf(ctx context.Context, u *Entity) ([]*Entity, error) {
	n, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	return list(n, tableGroups, u.Account, func(g *Entity) bool { return slices.Contains(u.Groups, g.ID) }), nil
}

// update changes a copy of an entity and writes it.
func (s *Store) update(ctx context.Context, account string, k Kind, name string, f func(n *snapshot, e *Entity) error) error {
	return s.change(ctx, func(c *edit) error {
		old, err := c.n.entity(account, k, name)
		if err != nil {
			return err
		}
		e := old.copied()
		if err := f(c.n, e); err != nil {
			return err
		}
		from, to := place(account, old.Name), place(account, e.Name)
		if from != to {
			if _, there := c.n.tables[traits[k].table].docs[to]; there {
				return alreadyThere(k.String(), e.Name)
			}
			c.drop(traits[k].table, from)
		}
		c.put(traits[k].table, to, e)
		return nil
	})
}

// Rename gives a user or group another name or path; "" leaves it.
func (s *Store) Rename(ctx context.Context, account string, k Kind, name, newName, newPath string) error {
	if newName != "" {
		if err := checkName("new"+k.String(), newName, traits[k].longest); err != nil {
			return err
		}
	}
	if newPath != "" {
		if err := checkPath(&newPath); err != nil {
			return err
		}
	}
	return s.update(ctx, account, k, name, func(_ *snapshot, e *Entity) error {
		if newName != "" {
			e.Name = newName
		}
		if newPath != "" {
			e.Path = newPath
		}
		return nil
	})
}

// PutInline gives an entity a policy of its own, in the place of one with that name.
func (s *Store) PutInline(ctx context.Context, account string, k Kind, name, policyName, doc string) error {
	if err := checkName("policyName", policyName, 128); err != nil {
		return err
	}
	limit := traits[k].inline
	p, err := policy.Compile([]byte(doc), policy.Rules{Name: "inline/" + policyName, MaxSize: maxDocumentLen})
	if err != nil {
		return err
	}
	return s.update(ctx, account, k, name, func(_ *snapshot, e *Entity) error {
		e.Inline[policyName] = doc
		total := 0
		for _, d := range e.Inline {
			if q, err := policy.Compile([]byte(d), policy.Rules{MaxSize: maxDocumentLen}); err == nil {
				total += q.Size()
			}
		}
		if p.Size() > limit || total > limit || len(e.Inline) > maxInline {
			return refuse(CodeLimitExceeded, "Maximum policy size of %d bytes exceeded for %s %s", limit, k, e.Name)
		}
		return nil
	})
}

// DeleteInline takes one away.
func (s *Store) DeleteInline(ctx context.Context, account string, k Kind, name, policyName string) error {
	return s.update(ctx, account, k, name, func(_ *snapshot, e *Entity) error {
		if _, there := e.Inline[policyName]; !there {
			return missing(k.String()+" policy", policyName)
		}
		delete(e.Inline, policyName)
		return nil
	})
}

// Attach gives an entity a managed policy; to have it already is no error.
func (s *Store) Attach(ctx context.Context, account string, k Kind, name, arn string) error {
	return s.update(ctx, account, k, name, func(n *snapshot, e *Entity) error {
		m, err := n.managed(account, arn)
		if err != nil {
			return err
		}
		e.Attached = slices.DeleteFunc(e.Attached, func(a Attachment) bool { return a.ARN == arn })
		e.Attached = append(e.Attached, Attachment{arn, m.ID})
		if len(e.Attached) > maxAttached {
			return quota("AttachedPoliciesPer"+strings.ToUpper(k.String()[:1])+k.String()[1:], maxAttached)
		}
		return nil
	})
}

// Detach takes it away.
func (s *Store) Detach(ctx context.Context, account string, k Kind, name, arn string) error {
	return s.update(ctx, account, k, name, func(_ *snapshot, e *Entity) error {
		before := len(e.Attached)
		e.Attached = slices.DeleteFunc(e.Attached, func(a Attachment) bool { return a.ARN == arn })
		if len(e.Attached) == before {
			return refuse(CodeNoSuchEntity, "Policy %s was not found.", arn)
		}
		return nil
	})
}

// Join makes a user a member of a group.
func (s *Store) Join(ctx context.Context, account, group, user string) error {
	return s.update(ctx, account, User, user, func(n *snapshot, e *Entity) error {
		g, err := n.entity(account, Group, group)
		if err != nil {
			return err
		}
		// Groups that were deleted take no room.
		e.Groups = slices.DeleteFunc(e.Groups, func(id string) bool { return id == g.ID || n.byID[id] == nil })
		e.Groups = append(e.Groups, g.ID)
		if len(e.Groups) > maxUserGroups {
			return quota("GroupsPerUser", maxUserGroups)
		}
		return nil
	})
}

// Leave ends that; not to be a member is no error.
func (s *Store) Leave(ctx context.Context, account, group, user string) error {
	return s.update(ctx, account, User, user, func(n *snapshot, e *Entity) error {
		g, err := n.entity(account, Group, group)
		if err != nil {
			return err
		}
		e.Groups = slices.DeleteFunc(e.Groups, func(id string) bool { return id == g.ID })
		return nil
	})
}

// Retag changes the tags of an entity.
func (s *Store) Retag(ctx context.Context, account string, k Kind, name string, f func([]Tag) []Tag) error {
	return s.update(ctx, account, k, name, func(_ *snapshot, e *Entity) error {
		e.Tags = f(e.Tags)
		return checkTags(e.Tags)
	})
}

// SetRole changes what roles alone have: f gets a copy.
func (s *Store) SetRole(ctx context.Context, account, name string, f func(e *Entity)) error {
	return s.update(ctx, account, Role, name, func(_ *snapshot, e *Entity) error {
		c := *e
		f(&c)
		e.Trust, e.Description, e.MaxSession = c.Trust, c.Description, c.MaxSession
		return e.checkRest()
	})
}

// Delete deletes an entity. Without force it must have no policies, no members and no keys, as on AWS.
func (s *Store) Delete(ctx context.Context, account string, k Kind, name string, force bool) error {
	return s.change(ctx, func(c *edit) error {
		e, err := c.n.entity(account, k, name)
		if err != nil {
			return err
		}
		keys := c.n.keysOf(account, e.ID)
		if !force {
			if err := c.n.deletable(e, len(keys)); err != nil {
				return err
			}
		}
		if k == User {
			for _, key := range keys {
				c.dropKey(key.AccessKey)
			}
		}
		c.drop(traits[k].table, place(account, name))
		return nil
	})
}

func (n *snapshot) deletable(e *Entity, keys int) error {
	switch {
	case len(e.Attached) > 0 && len(n.attached(e.Account, e.Attached)) > 0:
		return refuse(CodeDeleteConflict, "Cannot delete entity, must detach all policies first.")
	case len(e.Inline) > 0:
		return refuse(CodeDeleteConflict, "Cannot delete entity, must delete policies first.")
	case e.Kind == Group && len(n.members(e)) > 0, e.Kind == User && slices.ContainsFunc(e.Groups, func(id string) bool { return n.byID[id] != nil }):
		return refuse(CodeDeleteConflict, "Cannot delete entity, must remove users from group first.")
	case e.Kind == User && keys > 0:
		return refuse(CodeDeleteConflict, "Cannot delete entity, must delete access keys first.")
	}
	return nil
}

// Counts are how many there are of each in an account, by the names of IAM's account summary.
func (s *Store) Counts(ctx context.Context, account string) (map[string]int, error) {
	n, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	rootKeys := 0
	if len(n.keysOf(account, "")) > 0 || account == s.root.Account.ID {
		rootKeys = 1
	}
	counts := map[string]int{
		"Users": len(list(n, tableUsers, account, all[*Entity])), "Groups": len(list(n, tableGroups, account, all[*Entity])),
		"Roles": len(list(n, tableRoles, account, all[*Entity])), "Policies": len(list(n, tablePolicies, account, all[*Managed])),
		"AccountAccessKeysPresent": rootKeys,
	}
	maps.Copy(counts, map[string]int{
		"UsersQuota": maxUsers, "GroupsQuota": maxGroups, "RolesQuota": maxRoles, "PoliciesQuota": maxPolicies, "GroupsPerUserQuota": maxUserGroups,
		"AccessKeysPerUserQuota": maxKeys, "VersionsPerPolicyQuota": maxVersions, "PolicySizeQuota": policy.MaxManaged, "UserPolicySizeQuota": policy.MaxUser,
		"GroupPolicySizeQuota": policy.MaxGroup, "RolePolicySizeQuota": policy.MaxRole, "AssumeRolePolicySizeQuota": policy.MaxTrust,
		"AttachedPoliciesPerUserQuota": maxAttached, "AttachedPoliciesPerGroupQuota": maxAttached, "AttachedPoliciesPerRoleQuota": maxAttached,
		"AccountMFAEnabled": 0, "MFADevices": 0, "MFADevicesInUse": 0, "ServerCertificates": 0, "Providers": 0,
	})
	return counts, nil
}
