// Package encryption is a bucket's ServerSideEncryptionConfiguration: how objects are encrypted
// whose request does not say it, and which encryption requests may not ask for.
package encryption

import (
	"slices"
	"unicode"
	"unicode/utf8"

	"holdfast/internal/kind"
	"holdfast/internal/xmlio"
)

const (
	// MaxBytes is the longest document.
	MaxBytes = 16 << 10
	// MaxKeyID is the longest name of a master key, in bytes: an ARN of KMS.
	MaxKeyID = 2048
)

// Algorithm is how objects are encrypted by default.
type Algorithm string

// The algorithms.
const (
	SSES3  Algorithm = "AES256"
	SSEKMS Algorithm = "aws:kms"
)

// Blocking says whether uploads may ask for SSE-C.
type Blocking string

// What a bucket can say of SSE-C. Unsaid leaves it to the cluster.
const (
	Unsaid     Blocking = ""
	BlockNone  Blocking = "NONE"
	BlocksSSEC Blocking = "SSE-C"
)

// elementType names a blocked type in the document.
const elementType = "EncryptionType"

// Config is the one rule of the document.
type Config struct {
	Algorithm Algorithm // "": the cluster's default
	KeyID     string    // of SSEKMS; "": the cluster's default key
	BucketKey bool
	Blocked   Blocking
}

// Parse reads the document.
func Parse(doc string) (*Config, error) {
	root, err := xmlio.Decode(doc, "ServerSideEncryptionConfiguration", MaxBytes)
	if err != nil {
		return nil, err
	}
	f, err := root.Fields("Rule/")
	if err != nil {
		return nil, err
	}
	rule, err := f["Rule"][0].Fields("ApplyServerSideEncryptionByDefault/?", "BucketKeyEnabled?", "BlockedEncryptionTypes/?")
	if err != nil {
		return nil, err
	}
	if len(rule) == 0 {
		return nil, xmlio.Malformed()
	}
	c := &Config{}
	if c.BucketKey, err = rule.Bool("BucketKeyEnabled"); err != nil {
		return nil, err
	}
	for _, e := range rule["BlockedEncryptionTypes"] {
		if err := c.parseBlocked(e); err != nil {
			return nil, err
		}
	}
	for _, e := range rule["ApplyServerSideEncryptionByDefault"] {
		if err := c.parseDefault(e); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *Config) parseDefault(e xmlio.Element) error {
	f, err := e.Fields("SSEAlgorithm", "KMSMasterKeyID?")
	if err != nil {
		return err
	}
	c.Algorithm, c.KeyID = Algorithm(f.Word("SSEAlgorithm")), f.Word("KMSMasterKeyID")
	switch {
	case c.Algorithm == "aws:kms:dsse":
		return kind.New(kind.Unbuilt, "Dual-layer server-side encryption (aws:kms:dsse) is not implemented")
	case c.Algorithm == SSES3 && f.Has("KMSMasterKeyID"):
		return kind.New(kind.InvalidArgument, "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse")
	case c.Algorithm != SSES3 && c.Algorithm != SSEKMS:
		return xmlio.Malformed()
	case len(c.KeyID) > MaxKeyID || !utf8.ValidString(c.KeyID) || slices.ContainsFunc([]rune(c.KeyID), unicode.IsControl):
		return kind.New(kind.InvalidArgument, "The KMSMasterKeyID is not valid")
	}
	return nil
}

func (c *Config) parseBlocked(e xmlio.Element) error {
	f, err := e.Fields(elementType + "*")
	if err != nil {
		return err
	}
	for _, one := range f[elementType] {
		b := Blocking(one.Word())
		if b != BlockNone && b != BlocksSSEC || c.Blocked != Unsaid && c.Blocked != b {
			return xmlio.Malformed() // NONE together with SSE-C contradicts itself
		}
		c.Blocked = b
	}
	return nil
}

// Blocks says whether uploads with SSE-C are refused, where the cluster's default is byDefault. A
// nil Config says nothing.
func (c *Config) Blocks(byDefault bool) bool {
	if c == nil || c.Blocked == Unsaid {
		return byDefault
	}
	return c.Blocked == BlocksSSEC
}

// WriteXML prints the document.
func (c *Config) WriteXML(x *xmlio.Writer) {
	x.Root("ServerSideEncryptionConfiguration")
	x.Open("Rule")
	if c.Algorithm != "" {
		x.Open("ApplyServerSideEncryptionByDefault")
		x.Elem("SSEAlgorithm", string(c.Algorithm))
		x.Some("KMSMasterKeyID", c.KeyID)
		x.Close("ApplyServerSideEncryptionByDefault")
	}
	x.Boolean("BucketKeyEnabled", c.BucketKey)
	if c.Blocked != Unsaid {
		x.Open("BlockedEncryptionTypes")
		x.Elem(elementType, string(c.Blocked))
		x.Close("BlockedEncryptionTypes")
	}
	x.Close("Rule")
	x.Close("ServerSideEncryptionConfiguration")
}
