package access

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"holdfast/api/sigv4"
	"holdfast/proto/metapb"
)

// keysOf are the keys of a user by its unique ID, or of the account's root (""), sorted.
func (n *snapshot) keysOf(account, user string) []*Key {
	var out []*Key
	for _, r := range n.tables[tableKeys].docs {
		if k, ok := r.value.(*Key); ok && k.Account == account && k.User == user {
			out = append(out, k)
		}
	}
	slices.SortFunc(out, func(a, b *Key) int { return strings.Compare(a.AccessKey, b.AccessKey) })
	return out
}

// owner is the unique ID of a user by its name; "" is the root.
func (n *snapshot) owner(account, user string) (string, error) {
	if user == "" {
		return "", nil
	}
	e, err := n.entity(account, User, user)
	if err != nil {
		return "", err
	}
	return e.ID, nil
}

// Keys are those of a user by its name, or of the account's root ("").
func (s *Store) Keys(ctx context.Context, account, user string) ([]*Key, error) {
	n, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	id, err := n.owner(account, user)
	if err != nil {
		return nil, err
	}
	return n.keysOf(account, id), nil
}

// Key finds one by itself.
func (s *Store) Key(ctx context.Context, accessKey string) (*Key, error) {
	n, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	if k, ok := n.tables[tableKeys].docs[accessKey].value.(*Key); ok {
		return k, nil
	}
	return nil, noKey(accessKey)
}

func noKey(accessKey string) error {
	return refuse(CodeNoSuchEntity, "The Access Key with id %s cannot be found.", accessKey)
}

// GivenKey is an access key that its owner has from elsewhere.
type GivenKey struct{ AccessKey, SecretKey string }

// Format keeps the secret out of every message.
func (g GivenKey) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("REDACTED")) }

func (s *Store) checkGiven(g GivenKey) error {
	k, secret := g.AccessKey, g.SecretKey
	switch {
	case len(k) < minAccessKey || !isWord(k, "._@+-", maxAccessKey):
		return refuse(CodeInvalidInput, "An access key has %d to %d letters, digits or . _ @ + -", minAccessKey, maxAccessKey)
	case strings.HasPrefix(k, prefixSession):
		return refuse(CodeInvalidInput, "Access keys that begin with %s are those of sessions.", prefixSession)
	case len(secret) < minSecret || len(secret) > maxSecret || strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r > '~' }):
		return refuse(CodeInvalidInput, "A secret key has %d to %d printable ASCII characters without spaces.", minSecret, maxSecret)
	case k == s.cfg.Root.User:
		return refuse(CodeAlreadyExists, "The access key is taken.")
	}
	return nil
}

// newKey draws a key, or takes the given one, and seals its secret.
func (s *Store) newKey(given *GivenKey, expires time.Time) (GivenKey, keyDoc, error) {
	var g GivenKey
	var err error
	if given != nil {
		g = *given
		err = s.checkGiven(g)
	} else if g.AccessKey, err = draw(s.cfg.Rand, prefixUserKey, capitals, idLetters); err == nil {
		g.SecretKey, err = draw(s.cfg.Rand, "", letters, secretLetters)
	}
	if err != nil {
		return g, keyDoc{}, err
	}
	now := s.cfg.Now().UTC()
	if !expires.IsZero() && !expires.After(now) {
		return g, keyDoc{}, refuse(CodeInvalidInput, "The key would have expired already.")
	}
	sealed, err := s.secrets.seal([]byte(g.SecretKey), g.AccessKey)
	return g, keyDoc{Secret: sealed, Created: now, Expires: expires}, err
}

// addKey has a change write a key that nobody has yet.
func (c *edit) addKey(g GivenKey, d keyDoc) error {
	if _, there := c.n.tables[tableKeys].docs[g.AccessKey]; there {
		return refuse(CodeAlreadyExists, "The access key is taken.")
	}
	c.put(tableKeys, g.AccessKey, &d)
	return nil
}

// dropKey has a change delete a key, and when it was used.
func (c *edit) dropKey(accessKey string) {
	c.drop(tableKeys, accessKey)
	c.changes = append(c.changes, &metapb.DocumentChange{Collection: usageCollection, Name: accessKey})
}

// CreateKey makes a key for a user, or for the account's root (""). What it returns is the only copy of a secret
// that was drawn.
func (s *Store) CreateKey(ctx context.Context, account, user string, given *GivenKey, expires time.Time) (*Key, sigv4.Credentials, error) {
	g, d, err := s.newKey(given, expires)
	if err != nil {
		return nil, sigv4.Credentials{}, err
	}
	err = s.change(ctx, func(c *edit) error {
		if _, ok := c.n.account(account); !ok {
			return missing("account", account)
		}
		id, err := c.n.owner(account, user)
		if err != nil {
			return err
		}
		if len(c.n.keysOf(account, id)) >= maxKeys {
			return quota("AccessKeysPerUser", maxKeys)
		}
		d.Account, d.User = account, id
		return c.addKey(g, d)
	})
	if err != nil {
		return nil, sigv4.Credentials{}, err
	}
	k := &Key{AccessKey: g.AccessKey, Account: account, User: d.User, Active: true, Created: d.Created, Expires: expires}
	return k, sigv4.Credentials{AccessKey: g.AccessKey, SecretKey: g.SecretKey}, nil
}

// ownKey finds a key that is a user's, or the root's.
func (n *snapshot) ownKey(account, user, accessKey string) (*Key, error) {
	id, err := n.owner(account, user)
	if err != nil {
		return nil, err
	}
	k, ok := n.tables[tableKeys].docs[accessKey].value.(*Key)
	if !ok || k.Account != account || k.User != id {
		return nil, noKey(accessKey)
	}
	return k, nil
}

// SetKey switches a key on or off.
func (s *Store) SetKey(ctx context.Context, account, user, accessKey string, active bool) error {
	return s.change(ctx, func(c *edit) error {
		k, err := c.n.ownKey(account, user, accessKey)
		if err != nil {
			return err
		}
		sealed, err := s.secrets.seal([]byte(k.secret), accessKey)
		if err != nil {
			return err
		}
		c.put(tableKeys, accessKey, &keyDoc{Account: k.Account, User: k.User, Secret: sealed, Off: !active, Created: k.Created, Expires: k.Expires})
		return nil
	})
}

// DeleteKey deletes one.
func (s *Store) DeleteKey(ctx context.Context, account, user, accessKey string) error {
	return s.change(ctx, func(c *edit) error {
		if _, err := c.n.ownKey(account, user, accessKey); err != nil {
			return err
		}
		c.dropKey(accessKey)
		return nil
	})
}
