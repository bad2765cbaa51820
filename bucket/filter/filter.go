// Package filter says which objects a rule of a bucket's lifecycle or replication is for: by
// prefix, tags and size.
package filter

import (
	"math"
	"slices"
	"strings"

	"holdfast/bucket/tagging"
	"holdfast/internal/kind"
	"holdfast/internal/xmlio"
)

// maxPrefix is S3's longest key, in bytes.
const maxPrefix = 1024

// None is a size that is not given.
const None = -1

// Filter is a conjunction. The empty filter matches everything.
type Filter struct {
	HasPrefix bool // whether the document names a prefix, perhaps the empty one
	Prefix    string
	Tags      tagging.Set
	Greater   int64 // bytes, None without
	Less      int64
}

// OfPrefix is the filter of a prefix alone.
func OfPrefix(prefix string) (Filter, error) {
	if len(prefix) > maxPrefix {
		return Filter{}, kind.New(kind.InvalidRequest, "The maximum size of a prefix is %d.", maxPrefix)
	}
	return Filter{HasPrefix: true, Prefix: prefix, Greater: None, Less: None}, nil
}

// Parse reads a Filter element. AWS takes several conditions only within an And; here they may lie
// beside it too, as s3-tests and other servers have it, and all of them count.
func Parse(e xmlio.Element, sizes bool) (Filter, error) {
	fl := Filter{Greater: None, Less: None}
	within, beside := []string{"Prefix?", "Tag/*"}, []string{"Prefix?", "Tag/?", "And/?"}
	if sizes {
		within = append(within, "ObjectSizeGreaterThan?", "ObjectSizeLessThan?")
		beside = append(beside, within[2:]...)
	}
	f, err := e.Fields(beside...)
	if err != nil {
		return fl, err
	}
	if err := fl.add(f); err != nil {
		return fl, err
	}
	for _, and := range f["And"] {
		f, err := and.Fields(within...)
		if err != nil {
			return fl, err
		}
		if len(f) == 0 || len(f) == 1 && len(f["Tag"]) < 2 {
			return fl, xmlio.Malformed() // And is of two or more
		}
		if err := fl.add(f); err != nil {
			return fl, err
		}
	}
	if fl.Less != None && fl.Less <= fl.Greater {
		return fl, kind.New(kind.InvalidRequest, "'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.")
	}
	return fl, nil
}

// add takes the conditions of one element in, beside those that are there.
func (fl *Filter) add(f xmlio.Fields) error {
	if f.Has("Prefix") {
		p, err := OfPrefix(f.Text("Prefix"))
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(p.Prefix, fl.Prefix):
			fl.Prefix = p.Prefix // the longer one says all
		case !strings.HasPrefix(fl.Prefix, p.Prefix):
			return xmlio.Malformed() // nothing begins with both
		}
		fl.HasPrefix = true
	}
	for _, e := range f["Tag"] {
		t, err := tagging.ReadTag(e)
		if err != nil {
			return err
		}
		if err := t.Validate(); err != nil {
			return err
		}
		if _, twice := fl.Tags.Get(t.Key); twice {
			return kind.New(kind.InvalidRequest, "Duplicate Tag Keys are not allowed.")
		}
		if len(fl.Tags) == tagging.MaxObjectTags {
			return xmlio.Malformed() // no object has as many
		}
		fl.Tags = append(fl.Tags, t)
	}
	if err := size(f, "ObjectSizeGreaterThan", 0, &fl.Greater); err != nil {
		return err
	}
	return size(f, "ObjectSizeLessThan", 1, &fl.Less)
}

func size(f xmlio.Fields, name string, least int64, to *int64) error {
	if !f.Has(name) {
		return nil
	}
	n, err := f.Int(name)
	switch {
	case err != nil:
		return err
	case n < least || n == math.MaxInt64:
		return kind.New(kind.InvalidRequest, "'%s' must be at least %d", name, least)
	case *to != None:
		return xmlio.Malformed()
	}
	*to = n
	return nil
}

// BySize says whether the size of an object matters.
func (fl *Filter) BySize() bool { return fl.Greater != None || fl.Less != None }

// MatchesKey says whether a key begins as the filter wants.
func (fl *Filter) MatchesKey(key string) bool { return strings.HasPrefix(key, fl.Prefix) }

// Matches says whether the filter is for an object of this key, size (in bytes) and tags.
func (fl *Filter) Matches(key string, size int64, tags tagging.Set) bool {
	return fl.MatchesKey(key) && tags.Contains(fl.Tags) && (fl.Greater == None || size > fl.Greater) && (fl.Less == None || size < fl.Less)
}

// Equal says whether two filters are the same, in their order.
func (fl *Filter) Equal(other *Filter) bool {
	return fl.HasPrefix == other.HasPrefix && fl.Prefix == other.Prefix && fl.Greater == other.Greater && fl.Less == other.Less && slices.Equal(fl.Tags, other.Tags)
}

// WriteXML prints the Filter element, with an And if there is more than one condition.
func (fl *Filter) WriteXML(x *xmlio.Writer) {
	n := len(fl.Tags)
	for _, given := range []bool{fl.HasPrefix, fl.Greater != None, fl.Less != None} {
		if given {
			n++
		}
	}
	x.Open("Filter")
	if n > 1 {
		x.Open("And")
	}
	if fl.HasPrefix {
		x.Elem("Prefix", fl.Prefix)
	}
	for _, t := range fl.Tags {
		t.WriteXML(x)
	}
	if fl.Greater != None {
		x.Number("ObjectSizeGreaterThan", fl.Greater)
	}
	if fl.Less != None {
		x.Number("ObjectSizeLessThan", fl.Less)
	}
	if n > 1 {
		x.Close("And")
	}
	x.Close("Filter")
}
