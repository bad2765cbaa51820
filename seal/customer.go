package seal

import (
	"crypto/md5"
	"crypto/subtle"
	"encoding/base64"

	"holdfast/internal/kind"
)

// Algorithm is the only value that S3 knows for the SSE-C algorithm header.
const Algorithm = "AES256"

// The sentences of AWS S3, word for word: clients match on them.
const (
	msgAlgorithm        = "The Encryption request you specified is not valid. Supported value: AES256."
	msgAlgorithmMissing = "Requests specifying Server Side Encryption with Customer provided keys must provide a valid encryption algorithm."
	msgKeyMissing       = "Requests specifying Server Side Encryption with Customer provided keys must provide an appropriate secret key."
	msgMD5Missing       = "Requests specifying Server Side Encryption with Customer provided keys must provide the client calculated MD5 of the secret key."
	msgKeyInvalid       = "The secret key was invalid for the specified algorithm."
	msgMD5Mismatch      = "The calculated MD5 hash of the key did not match the hash that was provided."
	msgWrongKey         = "Requests specifying Server Side Encryption with Customer provided keys must provide the correct secret key."
)

// CustomerKey is the key that a client sends with a request (SSE-C). It prints as REDACTED by every
// verb and encoder; copies share one set of bytes, which Zero clears for all of them.
type CustomerKey struct{ hidden }

// ParseCustomer takes the values of the three SSE-C headers of a request that has at least one of
// them, and checks them in the order of AWS. Errors have a kind.SSEC… kind and AWS's sentence.
func ParseCustomer(algorithm, key, keyMD5 string) (*CustomerKey, error) {
	switch {
	case algorithm == "":
		return nil, kind.New(kind.SSECAlgorithmMissing, msgAlgorithmMissing)
	case algorithm != Algorithm:
		return nil, kind.New(kind.SSECAlgorithm, msgAlgorithm)
	case key == "":
		return nil, kind.New(kind.SSECKeyMissing, msgKeyMissing)
	case keyMD5 == "":
		return nil, kind.New(kind.SSECMD5Missing, msgMD5Missing)
	}
	c, ok := decodeCustomer(key)
	if !ok {
		return nil, kind.New(kind.SSECKeyInvalid, msgKeyInvalid)
	}
	if subtle.ConstantTimeCompare([]byte(c.MD5()), []byte(keyMD5)) != 1 {
		c.Zero()
		return nil, kind.New(kind.SSECMD5Mismatch, msgMD5Mismatch)
	}
	return c, nil
}

// decodeCustomer decodes without leaving a second copy of the key behind.
func decodeCustomer(text string) (*CustomerKey, bool) {
	if len(text) != base64.StdEncoding.EncodedLen(KeySize) {
		return nil, false
	}
	var buf [KeySize + 1]byte // base64 wants room for whole groups of three
	defer clear(buf[:])
	n, err := base64.StdEncoding.Strict().Decode(buf[:], []byte(text))
	if err != nil || n != KeySize {
		return nil, false
	}
	sum := md5.Sum(buf[:KeySize]) // by the S3 protocol; nothing rests on MD5 being strong
	c := &CustomerKey{hide(buf[:KeySize])}
	(*c.p).sum = sum
	return c, true
}

// MD5 is the base64 MD5 of the key, which responses echo. It is "" once the key is zeroed. It must
// not be stored: it is an unsalted hash of the key.
func (c *CustomerKey) MD5() string {
	s, err := c.secret()
	if err != nil {
		return ""
	}
	return base64.StdEncoding.EncodeToString(s.sum[:])
}

// Zero clears the key. Every later use fails with ErrZeroed. It must not run beside a use.
func (c *CustomerKey) Zero() {
	if c != nil {
		c.zero()
	}
}

func (c *CustomerKey) secret() (*secret, error) {
	if c == nil {
		return nil, ErrZeroed
	}
	return c.use()
}
