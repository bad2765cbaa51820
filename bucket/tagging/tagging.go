// Package tagging is the tags of an object or a bucket: the Tagging document, the x-amz-tagging
// header and their limits. Tags stay in the order in which they were given.
package tagging

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"holdfast/internal/kind"
	"holdfast/internal/xmlio"
)

// The limits of S3. Lengths are in characters.
const (
	MaxObjectTags = 10
	MaxBucketTags = 50
	MaxKey        = 128
	MaxValue      = 256

	// MaxBytes is the longest document: 50 tags of four-byte characters, each spelled as a
	// reference of ten bytes, are 192 kB.
	MaxBytes = 256 << 10
)

// Tag is a key and a value. The value may be empty.
type Tag struct{ Key, Value string }

// Set is the tags of one object or bucket; no two have the same key.
type Set []Tag

// ParseObject reads the Tagging document of an object.
func ParseObject(doc string) (Set, error) {
	return parse(doc, MaxObjectTags,
		kind.New(kind.InvalidTag, "Object tags cannot be greater than %d", MaxObjectTags), "Your TagKey cannot be prefixed with aws:")
}

// ParseBucket reads the Tagging document of a bucket.
func ParseBucket(doc string) (Set, error) {
	return parse(doc, MaxBucketTags,
		kind.New(kind.BadRequest, "Bucket tag count cannot be greater than %d", MaxBucketTags), "System tags cannot be added/updated by requester")
}

func parse(doc string, limit int, tooMany error, system string) (Set, error) {
	root, err := xmlio.Decode(doc, "Tagging", MaxBytes)
	if err != nil {
		return nil, err
	}
	f, err := root.Fields("TagSet/")
	if err != nil {
		return nil, err
	}
	list, err := f["TagSet"][0].Fields("Tag/*")
	if err != nil {
		return nil, err
	}
	if len(list["Tag"]) > limit {
		return nil, tooMany
	}
	var s Set
	for _, e := range list["Tag"] {
		t, err := ReadTag(e)
		if err != nil {
			return nil, err
		}
		if err := t.validate(system); err != nil {
			return nil, err
		}
		if _, twice := s.Get(t.Key); twice {
			return nil, kind.New(kind.InvalidTag, "Cannot provide multiple Tags with the same key")
		}
		s = append(s, t)
	}
	return s, nil
}

// ReadTag reads a Tag element, of any content.
func ReadTag(e xmlio.Element) (Tag, error) {
	f, err := e.Fields("Key", "Value")
	if err != nil {
		return Tag{}, err
	}
	return Tag{f.Text("Key"), f.Text("Value")}, nil
}

// Validate holds a tag against what a client may set on an object.
func (t Tag) Validate() error { return t.validate("Your TagKey cannot be prefixed with aws:") }

func (t Tag) validate(system string) error {
	switch {
	case !valid(t.Key, 1, MaxKey):
		return kind.New(kind.InvalidTag, "The TagKey you have provided is invalid")
	case len(t.Key) >= 4 && strings.EqualFold(t.Key[:4], "aws:"):
		return kind.New(kind.InvalidTag, "%s", system)
	case !valid(t.Value, 0, MaxValue):
		return kind.New(kind.InvalidTag, "The TagValue you have provided is invalid")
	}
	return nil
}

// valid: letters, digits and white space of any language, and + - = . _ : / @.
func valid(s string, shortest, longest int) bool {
	n := utf8.RuneCountInString(s)
	return utf8.ValidString(s) && shortest <= n && n <= longest && !strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.In(r, unicode.N, unicode.Z) && !strings.ContainsRune("+-=._:/@", r)
	})
}

// ParseHeader reads the x-amz-tagging header of an object: pairs as in a query. No header is no
// tags.
func ParseHeader(header string) (Set, error) {
	if header == "" {
		return nil, nil
	}
	var s Set
	for pair := range strings.SplitSeq(header, "&") {
		rawKey, rawValue, _ := strings.Cut(pair, "=")
		key, err1 := url.QueryUnescape(rawKey)
		value, err2 := url.QueryUnescape(rawValue)
		if _, twice := s.Get(key); twice || err1 != nil || err2 != nil {
			return nil, kind.New(kind.InvalidArgument, "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.")
		}
		t := Tag{key, value}
		if err := t.Validate(); err != nil {
			return nil, err
		}
		if len(s) == MaxObjectTags {
			return nil, kind.New(kind.InvalidTag, "Object tags cannot be greater than %d", MaxObjectTags)
		}
		s = append(s, t)
	}
	return s, nil
}

// Header is the set in the form of the header, in one spelling.
func (s Set) Header() string {
	var b strings.Builder
	for i, t := range s {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(url.QueryEscape(t.Key) + "=" + url.QueryEscape(t.Value))
	}
	return b.String()
}

// Get finds a tag's value.
func (s Set) Get(key string) (string, bool) {
	for _, t := range s {
		if t.Key == key {
			return t.Value, true
		}
	}
	return "", false
}

// Contains says whether all of these tags are in the set, with these values.
func (s Set) Contains(all Set) bool {
	for _, t := range all {
		if v, ok := s.Get(t.Key); !ok || v != t.Value {
			return false
		}
	}
	return true
}

// WriteXML prints the document.
func (s Set) WriteXML(x *xmlio.Writer) {
	x.Root("Tagging")
	x.Open("TagSet")
	for _, t := range s {
		t.WriteXML(x)
	}
	x.Close("TagSet")
	x.Close("Tagging")
}

// WriteXML prints a Tag element.
func (t Tag) WriteXML(x *xmlio.Writer) {
	x.Open("Tag")
	x.Elem("Key", t.Key)
	x.Elem("Value", t.Value)
	x.Close("Tag")
}
