package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
)

// Chain is the state of a chain of signatures: the key and scope that sign each link, and the
// last signature, which the next one covers.
type Chain struct {
	key         *signingKey
	date, scope string
	prev        [64]byte // hex
}

// String names the scope alone.
func (c *Chain) String() string { return "signatures for " + c.scope }

// chainer computes the links of one chain.
type chainer struct {
	Chain
	mac  hash.Hash // keyed with the signing key, reset for each link
	text []byte    // string to sign
}

func newChainer(c *Chain) *chainer {
	return &chainer{Chain: *c, mac: hmac.New(sha256.New, c.key[:]), text: make([]byte, 0, 512)}
}

// chunk makes the signature of a chunk whose data has the given hash the newest link.
func (c *chainer) chunk(sum *[sha256.Size]byte) { c.link("AWS4-HMAC-SHA256-PAYLOAD", EmptySHA256, sum) }

// trailer does so for the trailers.
func (c *chainer) trailer(sum *[sha256.Size]byte) { c.link("AWS4-HMAC-SHA256-TRAILER", "", sum) }

func (c *chainer) link(name, empty string, sum *[sha256.Size]byte) {
	b := append(c.text[:0], name...)
	b = append(b, '\n')
	b = append(b, c.date...)
	b = append(b, '\n')
	b = append(b, c.scope...)
	b = append(b, '\n')
	b = append(b, c.prev[:]...)
	b = append(b, '\n')
	if empty != "" {
		b = append(b, empty...)
		b = append(b, '\n')
	}
	b = hex.AppendEncode(b, sum[:])
	c.text = b
	c.mac.Reset()
	c.mac.Write(b)
	var raw [sha256.Size]byte
	hex.Encode(c.prev[:], c.mac.Sum(raw[:0]))
}
