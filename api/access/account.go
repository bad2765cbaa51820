package access

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"holdfast/api/sigv4"
)

// Accounts are all of them, the first one first and the others by name.
func (s *Store) Accounts(ctx context.Context) ([]Account, error) {
	n, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	var out []Account
	for id, a := range n.accounts {
		if id == a.ID && id != s.root.Account.ID {
			out = append(out, *a)
		}
	}
	slices.SortFunc(out, func(a, b Account) int { return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) })
	return append([]Account{s.root.Account}, out...), nil
}

// FindAccount finds one by its name, whatever its case, its ID or its canonical ID.
func (s *Store) FindAccount(ctx context.Context, name string) (Account, error) {
	all, err := s.Accounts(ctx)
	if err != nil {
		return Account{}, err
	}
	for _, a := range all {
		if strings.EqualFold(a.Name, name) || a.ID == name || a.Canonical == name {
			return a, nil
		}
	}
	return Account{}, missing("account", name)
}

func checkEmail(email string) error {
	name, host, ok := strings.Cut(email, "@")
	if !ok || name == "" || host == "" || len(email) > maxEmail || strings.ContainsFunc(email, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`<>"\,;:`, r) }) {
		return refuse(CodeValidation, "%q is no e-mail address.", email)
	}
	return nil
}

// NewAccount is what an account is made of.
type NewAccount struct {
	Name, Email string
	ID          string    // twelve digits, of an account that moves here; "": a random one
	Key         *GivenKey // of its root; nil: one is drawn
}

// CreateAccount makes an account and a key of its root, whose secret nobody else has.
func (s *Store) CreateAccount(ctx context.Context, a NewAccount) (Account, sigv4.Credentials, error) {
	var none sigv4.Credentials
	if err := checkName("name", a.Name, 64); err != nil {
		return Account{}, none, err
	}
	if a.Email != "" {
		if err := checkEmail(a.Email); err != nil {
			return Account{}, none, err
		}
	}
	random := make([]byte, 8+32)
	if _, err := io.ReadFull(s.cfg.Rand, random); err != nil {
		return Account{}, none, fmt.Errorf("access: read random bytes: %w", err)
	}
	if a.ID == "" {
		a.ID = accountNumber(random[:8])
	} else if len(a.ID) != 12 || strings.Trim(a.ID, "0123456789") != "" {
		return Account{}, none, refuse(CodeValidation, "An account's ID has twelve digits.")
	}
	g, key, err := s.newKey(a.Key, time.Time{})
	if err != nil {
		return Account{}, none, err
	}
	d := accountDoc{ID: a.ID, Canonical: hex.EncodeToString(random[8:]), Name: a.Name, Email: a.Email, Created: s.cfg.Now().UTC()}
	key.Account = d.ID
	err = s.change(ctx, func(c *edit) error {
		low := strings.ToLower(a.Name)
		_, there := c.n.tables[tableAccounts].docs[low]
		_, taken := c.n.accounts[d.ID]
		switch {
		case there || strings.EqualFold(a.Name, s.root.Account.Name):
			return alreadyThere("account", a.Name)
		case taken:
			return alreadyThere("account", a.ID)
		case len(c.n.tables[tableAccounts].docs) >= maxAccounts:
			return quota("Accounts", maxAccounts)
		}
		if err := c.takeEmail(a.Email, d.ID); err != nil {
			return err
		}
		c.put(tableAccounts, low, &d)
		return c.addKey(g, key)
	})
	if err != nil {
		return Account{}, none, err
	}
	out := Account{ID: d.ID, Canonical: d.Canonical, Name: d.Name, Email: d.Email, Created: d.Created}
	return out, sigv4.Credentials{AccessKey: g.AccessKey, SecretKey: g.SecretKey}, nil
}

// takeEmail has a change note whose an address is.
func (c *edit) takeEmail(email, account string) error {
	if email == "" {
		return nil
	}
	low := strings.ToLower(email)
	if _, taken := c.n.tables[tableEmails].docs[low]; taken {
		return refuse(CodeAlreadyExists, "Another account has that e-mail address.")
	}
	c.put(tableEmails, low, &emailDoc{account})
	return nil
}

// SetAccount changes an account's e-mail address, or switches it off with all its keys and sessions; nil leaves it.
func (s *Store) SetAccount(ctx context.Context, name string, email *string, disabled *bool) error {
	if email != nil && *email != "" {
		if err := checkEmail(*email); err != nil {
			return err
		}
	}
	return s.change(ctx, func(c *edit) error {
		low, old, err := s.ownAccount(c.n, name)
		if err != nil {
			return err
		}
		d := *old
		if email != nil && !strings.EqualFold(*email, d.Email) {
			if err := c.takeEmail(*email, d.ID); err != nil {
				return err
			}
			if d.Email != "" {
				c.drop(tableEmails, strings.ToLower(d.Email))
			}
		}
		if email != nil {
			d.Email = *email
		}
		if disabled != nil {
			d.Disabled = *disabled
		}
		c.put(tableAccounts, low, &d)
		return nil
	})
}

// ownAccount finds the document of an account by its name or ID; the first account has none.
func (s *Store) ownAccount(n *snapshot, name string) (string, *accountDoc, error) {
	if strings.EqualFold(name, s.root.Account.Name) || name == s.root.Account.ID {
		return "", nil, refuse(CodeUnmodifiable, "The first account is that of the server's root credentials and cannot be changed.")
	}
	for low, r := range n.tables[tableAccounts].docs {
		if d, ok := r.value.(*accountDoc); ok && (strings.EqualFold(d.Name, name) || d.ID == name || d.Canonical == name) {
			return low, d, nil
		}
	}
	return "", nil, missing("account", name)
}

// DeleteAccount deletes an account that has nothing left but its root's keys. That it owns no bucket the
// caller has to see to.
func (s *Store) DeleteAccount(ctx context.Context, name string) error {
	return s.change(ctx, func(c *edit) error {
		low, d, err := s.ownAccount(c.n, name)
		if err != nil {
			return err
		}
		if len(list(c.n, tableUsers, d.ID, all[*Entity]))+len(list(c.n, tableGroups, d.ID, all[*Entity]))+
			len(list(c.n, tableRoles, d.ID, all[*Entity]))+len(list(c.n, tablePolicies, d.ID, all[*Managed])) > 0 {
			return refuse(CodeDeleteConflict, "The account still has users, groups, roles or policies.")
		}
		for _, k := range c.n.keysOf(d.ID, "") {
			c.dropKey(k.AccessKey)
		}
		if d.Email != "" {
			c.drop(tableEmails, strings.ToLower(d.Email))
		}
		c.drop(tableAccounts, low)
		return nil
	})
}
