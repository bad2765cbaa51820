package seal

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"holdfast/internal/kind"
)

// Bounds of an encryption context: it is stored with each object and sent to the KMS.
const (
	MaxContext      = 2048 // bytes of a canonical context
	MaxContextPairs = 32

	// ContextARN is the pair that S3 adds to every context: where the object, or its bucket, is.
	ContextARN = "aws:s3:arn"
)

const msgContext = "The header 'x-amz-server-side-encryption-context' shall be Base64-encoded UTF-8 string holding JSON which represents a string-string map"

// Context is the encryption context of AWS KMS: pairs that are authenticated together with a data
// key and must be repeated exactly to open it. They are no secret.
type Context map[string]string

// Canonical is the one encoding of a context: the number of pairs, then LP(name) LP(value) in the
// order of the names' bytes. Integers have four bytes, big-endian. See doc.go for LP.
func (c Context) Canonical() []byte {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, c.size()), uint32(len(c)))
	for _, name := range slices.Sorted(maps.Keys(c)) {
		for _, s := range []string{name, c[name]} {
			b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
			b = append(b, s...)
		}
	}
	return b
}

// DecodeContext reads what Canonical wrote, and nothing else (kind.Damaged). No bytes are no pairs: a
// record without the field.
func DecodeContext(b []byte) (Context, error) {
	if len(b) == 0 {
		return nil, nil
	}
	damaged := kind.New(kind.Damaged, "seal: a stored encryption context is damaged")
	if len(b) < 4 || len(b) > MaxContext {
		return nil, damaged
	}
	n, rest := binary.BigEndian.Uint32(b), b[4:]
	if n > MaxContextPairs {
		return nil, damaged
	}
	c := make(Context, n)
	for range n {
		var pair [2]string
		for i := range pair {
			if len(rest) < 4 || uint64(binary.BigEndian.Uint32(rest)) > uint64(len(rest)-4) {
				return nil, damaged
			}
			end := 4 + binary.BigEndian.Uint32(rest)
			pair[i], rest = string(rest[4:end]), rest[end:]
		}
		c[pair[0]] = pair[1]
	}
	// Pairs out of order, or twice the same name, do not come out as they went in.
	if !bytes.Equal(c.Canonical(), b) || c.check() != nil {
		return nil, damaged
	}
	return c, nil
}

// ParseContext reads the header x-amz-server-side-encryption-context: base64 of a JSON object whose
// values are strings. What is not that, names a pair twice or is over the bounds is
// kind.InvalidArgument with AWS's sentence.
func ParseContext(header string) (Context, error) {
	refused := kind.New(kind.InvalidArgument, msgContext)
	// JSON may spell a letter in six bytes; and the decoder would pass over line feeds.
	if len(header) > base64.StdEncoding.EncodedLen(2*MaxContext) || strings.ContainsAny(header, "\r\n") {
		return nil, refused
	}
	text, err := base64.StdEncoding.Strict().DecodeString(header)
	if err != nil || !utf8.Valid(text) {
		return nil, refused
	}
	c, ok := parsePairs(json.NewDecoder(bytes.NewReader(text)))
	if !ok || c.check() != nil {
		return nil, refused
	}
	return c, nil
}

// parsePairs reads one flat JSON object and the end of the text. By tokens, for a map would take
// the last of two equal names, and there is no depth to bound.
func parsePairs(d *json.Decoder) (Context, bool) {
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, false
	}
	c := Context{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, false
		}
		value, err := d.Token()
		if err != nil {
			return nil, false
		}
		n, isName := name.(string)
		v, isText := value.(string)
		if _, again := c[n]; !isName || !isText || again || len(c) == MaxContextPairs {
			return nil, false
		}
		c[n] = v
	}
	if _, err := d.Token(); err != nil {
		return nil, false
	}
	_, err := d.Token()
	return c, err == io.EOF
}

// Header is the context as ParseContext reads it, for the answer to a write; "" for an empty one.
func (c Context) Header() string {
	if len(c) == 0 {
		return ""
	}
	text, err := json.Marshal(map[string]string(c)) // sorted by name
	if err != nil {
		return ""
	}
	return base64.StdEncoding.EncodeToString(text)
}

// At adds the pair aws:s3:arn, as S3 does: the ARN of the object, or of its bucket where a bucket
// key wraps. A client may send that pair itself, but only as it would be added
// (kind.InvalidArgument).
func (c Context) At(bucket, key string, bucketKey bool) (Context, error) {
	arn := "arn:aws:s3:::" + bucket
	if !bucketKey {
		arn += "/" + key
	}
	if own, sent := c[ContextARN]; sent && own != arn {
		return nil, kind.New(kind.InvalidArgument, "The encryption context names another %s than that of this request", ContextARN)
	}
	out := make(Context, len(c)+1)
	maps.Copy(out, c)
	out[ContextARN] = arn
	return out, nil
}

func (c Context) size() int {
	n := 4
	for name, value := range c {
		n += 8 + len(name) + len(value)
	}
	return n
}

// check keeps the bounds of what is stored. What At returns may be longer by one pair.
func (c Context) check() error {
	if len(c) > MaxContextPairs || c.size() > MaxContext {
		return kind.New(kind.InvalidArgument, msgContext)
	}
	for name, value := range c {
		if name == "" || !utf8.ValidString(name) || !utf8.ValidString(value) {
			return kind.New(kind.InvalidArgument, msgContext)
		}
	}
	return nil
}
