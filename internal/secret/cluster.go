package secret

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"holdfast/internal/keyfile"
)

// Size is the length of a cluster secret in bytes.
const Size = 32

// minDistinct is how many different bytes a secret must have. Thirty-two random bytes have fewer
// than eight once in 10^30 times; "AAAA…" and other inventions of people do not have them.
const minDistinct = 8

// ErrInvalid is returned for text that is not a cluster secret.
var ErrInvalid = errors.New("secret: a cluster secret is 32 random bytes in base64 (44 characters); make one with: head -c 32 /dev/urandom | base64")

// Cluster is the secret that all nodes of a cluster share.
type Cluster struct{ hidden }

// Parse takes a secret from its base64 text, such as an environment variable holds. Its error never
// quotes the text.
func Parse(text string) (Cluster, error) {
	text = strings.TrimSpace(text)
	if len(text) != base64.StdEncoding.EncodedLen(Size) {
		return Cluster{}, ErrInvalid
	}
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != Size {
		return Cluster{}, ErrInvalid
	}
	seen := map[byte]bool{}
	for _, x := range b {
		seen[x] = true
	}
	if len(seen) < minDistinct {
		return Cluster{}, fmt.Errorf("%w: this one is not random", ErrInvalid)
	}
	return Cluster{hide(b)}, nil
}

// Load reads a secret from its file.
func Load(path string) (Cluster, error) {
	b, err := keyfile.Read(path)
	if err != nil {
		return Cluster{}, fmt.Errorf("secret: read cluster secret: %w", err)
	}
	defer clear(b)
	c, err := Parse(string(bytes.TrimSpace(b)))
	if err != nil {
		return Cluster{}, fmt.Errorf("%w (in %s)", err, path)
	}
	return c, nil
}

// LoadOrCreate reads the secret from its file, which it makes of rand when it is not there. created
// says which it was.
func LoadOrCreate(path string, rand io.Reader) (c Cluster, created bool, err error) {
	c, err = Load(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return c, false, err
	}
	raw := make([]byte, Size)
	defer clear(raw)
	if _, err := io.ReadFull(rand, raw); err != nil {
		return Cluster{}, false, fmt.Errorf("secret: read random bytes: %w", err)
	}
	text := base64.StdEncoding.EncodeToString(raw)
	if _, err := Parse(text); err != nil {
		return Cluster{}, false, fmt.Errorf("secret: the random source: %w", err)
	}
	err = keyfile.Create(path, []byte(text+"\n"), keyfile.Private)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return Cluster{}, false, fmt.Errorf("secret: write cluster secret: %w", err)
	}
	created = err == nil // else another process was first: take what it wrote
	c, err = Load(path)
	return c, created && err == nil, err
}

// IsZero reports whether there is no secret.
func (c Cluster) IsZero() bool { return len(c.bytes()) == 0 }

// Derive makes n bytes for one purpose, such as "gossip": HKDF-SHA256 with the purpose behind a
// domain of our own, so that no two purposes share a key.
func (c Cluster) Derive(purpose string, n int) ([]byte, error) {
	if c.IsZero() {
		return nil, errors.New("secret: no cluster secret")
	}
	out, err := hkdf.Key(sha256.New, c.bytes(), nil, "holdfast/cluster/v1/"+purpose, n)
	if err != nil {
		return nil, fmt.Errorf("secret: derive %s: %w", purpose, err)
	}
	return out, nil
}
