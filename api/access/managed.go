package access

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"holdfast/api/policy"
)

// CreatePolicy makes a managed policy of m's account, name, path, description and tags.
func (s *Store) CreatePolicy(ctx context.Context, m Managed, doc string) (*Managed, error) {
	if err := checkName("policyName", m.Name, 128); err != nil {
		return nil, err
	}
	if err := checkPath(&m.Path); err != nil {
		return nil, err
	}
	if err := checkTags(m.Tags); err != nil {
		return nil, err
	}
	if len(m.Description) > maxDescription {
		return nil, refuse(CodeValidation, "Value at 'description' failed to satisfy constraint: Member must have length less than or equal to %d", maxDescription)
	}
	if _, err := policy.Compile([]byte(doc), policy.Rules{Name: m.Name}); err != nil {
		return nil, err
	}
	id, err := draw(s.cfg.Rand, prefixPolicy, capitals, idLetters)
	if err != nil {
		return nil, err
	}
	now := s.cfg.Now().UTC()
	m.ID, m.Created, m.Updated, m.Default, m.Last = id, now, now, "v1", 1
	m.Versions = []Version{{"v1", now, doc}}
	return &m, s.change(ctx, func(c *edit) error {
		if _, ok := c.n.account(m.Account); !ok {
			return missing("account", m.Account)
		}
		if _, there := c.n.tables[tablePolicies].docs[place(m.Account, m.Name)]; there {
			return refuse(CodeAlreadyExists, "A policy called %s already exists. Duplicate names are not allowed.", m.Name)
		}
		if len(list(c.n, tablePolicies, m.Account, all[*Managed])) >= maxPolicies {
			return quota("PoliciesPerAccount", maxPolicies)
		}
		c.put(tablePolicies, place(m.Account, m.Name), &m)
		return nil
	})
}

// Policy finds a managed policy by its ARN, as somebody of the account may name it.
func (s *Store) Policy(ctx context.Context, account, arn string) (*Managed, error) {
	n, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	return n.managed(account, arn)
}

// PolicyByName finds one by its name or ARN: the account's own, or one that every cluster has.
func (s *Store) PolicyByName(ctx context.Context, account, name string) (*Managed, error) {
	if strings.HasPrefix(name, "arn:") {
		return s.Policy(ctx, account, name)
	}
	n, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	if m, ok := n.tables[tablePolicies].docs[place(account, name)].value.(*Managed); ok {
		return m, nil
	}
	if c, ok := policy.FindCanned(name); ok {
		return n.canned[c.ARN], nil
	}
	return nil, missing("policy", name)
}

// Policies are the account's own, and with canned those that every cluster has, by name.
func (s *Store) Policies(ctx context.Context, account, pathPrefix string, own, canned bool) ([]*Managed, error) {
	n, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	var out []*Managed
	if own {
		out = list(n, tablePolicies, account, func(m *Managed) bool { return strings.HasPrefix(m.Path, pathPrefix) })
	}
	if canned {
		for _, m := range n.canned {
			if strings.HasPrefix(m.Path, pathPrefix) {
				out = append(out, m)
			}
		}
	}
	slices.SortFunc(out, func(a, b *Managed) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// Holders are the entities of an account that have a policy attached.
func (s *Store) Holders(ctx context.Context, account string, m *Managed) ([]*Entity, error) {
	n, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	return n.holders(account, m), nil
}

func (n *snapshot) holders(account string, m *Managed) (out []*Entity) {
	for k := range traits {
		out = append(out, list(n, traits[k].table, account, func(e *Entity) bool {
			return slices.Contains(e.Attached, Attachment{m.ARN(), m.ID})
		})...)
	}
	return out
}

// AddVersion gives a policy another text.
func (s *Store) AddVersion(ctx context.Context, account, arn, doc string, use bool) (Version, error) {
	if _, err := policy.Compile([]byte(doc), policy.Rules{}); err != nil {
		return Version{}, err
	}
	var v Version
	return v, s.edit(ctx, account, arn, func(m *Managed) error {
		if len(m.Versions) >= maxVersions {
			return refuse(CodeLimitExceeded, "A managed policy can have up to %d versions. Before you create a new version, you must delete an existing version.", maxVersions)
		}
		m.Last++
		v = Version{"v" + strconv.Itoa(m.Last), s.cfg.Now().UTC(), doc}
		m.Versions, m.Updated = append(m.Versions, v), v.Created
		if use {
			m.Default = v.ID
		}
		return nil
	})
}

// Replace gives a policy another text that holds at once; the oldest of the others goes if there are too many.
func (s *Store) Replace(ctx context.Context, account, arn, doc string) error {
	if _, err := policy.Compile([]byte(doc), policy.Rules{}); err != nil {
		return err
	}
	return s.edit(ctx, account, arn, func(m *Managed) error {
		if len(m.Versions) >= maxVersions {
			m.Versions = slices.Delete(m.Versions, 0, 1)
		}
		m.Last++
		v := Version{"v" + strconv.Itoa(m.Last), s.cfg.Now().UTC(), doc}
		m.Versions, m.Updated, m.Default = append(m.Versions, v), v.Created, v.ID
		return nil
	})
}

// UseVersion makes one the default.
func (s *Store) UseVersion(ctx context.Context, account, arn, version string) error {
	return s.edit(ctx, account, arn, func(m *Managed) error {
		if _, ok := m.Version(version); !ok {
			return noVersion(arn, version)
		}
		m.Default, m.Updated = version, s.cfg.Now().UTC()
		return nil
	})
}

// DeleteVersion deletes one that is not the default.
func (s *Store) DeleteVersion(ctx context.Context, account, arn, version string) error {
	return s.edit(ctx, account, arn, func(m *Managed) error {
		if _, ok := m.Version(version); !ok {
			return noVersion(arn, version)
		}
		if m.Default == version {
			return refuse(CodeDeleteConflict, "Cannot delete the default version of a policy.")
		}
		m.Versions = slices.DeleteFunc(m.Versions, func(v Version) bool { return v.ID == version })
		return nil
	})
}

func noVersion(arn, version string) error {
	return refuse(CodeNoSuchEntity, "Policy %s version %s does not exist or is not attachable.", arn, version)
}

// RetagPolicy changes the tags of a policy.
func (s *Store) RetagPolicy(ctx context.Context, account, arn string, f func([]Tag) []Tag) error {
	return s.edit(ctx, account, arn, func(m *Managed) error {
		m.Tags = f(m.Tags)
		return checkTags(m.Tags)
	})
}

// edit changes a copy of a policy of the account and writes it.
func (s *Store) edit(ctx context.Context, account, arn string, f func(m *Managed) error) error {
	return s.change(ctx, func(c *edit) error {
		old, err := c.n.own(account, arn)
		if err != nil {
			return err
		}
		m := old.copied()
		if err := f(m); err != nil {
			return err
		}
		c.put(tablePolicies, place(account, m.Name), m)
		return nil
	})
}

// own finds a policy that the account may change.
func (n *snapshot) own(account, arn string) (*Managed, error) {
	m, err := n.managed(account, arn)
	if err == nil && m.Account != account {
		return nil, refuse(CodeUnmodifiable, "Policy %s is part of every cluster and cannot be changed.", arn)
	}
	return m, err
}

// DeletePolicy deletes a policy. Without force nobody may have it attached, and it must have one version alone.
func (s *Store) DeletePolicy(ctx context.Context, account, arn string, force bool) error {
	return s.change(ctx, func(c *edit) error {
		m, err := c.n.own(account, arn)
		switch {
		case err != nil:
			return err
		case !force && len(c.n.holders(account, m)) > 0:
			return refuse(CodeDeleteConflict, "Cannot delete a policy attached to entities.")
		case !force && len(m.Versions) > 1:
			return refuse(CodeDeleteConflict, "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.")
		}
		c.drop(tablePolicies, place(account, m.Name))
		return nil
	})
}
