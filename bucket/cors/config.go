// Package cors is a bucket's CORSConfiguration, and the headers which it puts into the answers to
// browsers. Nothing that a client sent gets into a header unless it is of the form that such a
// header has.
package cors

import (
	"math"
	"slices"
	"strings"

	"holdfast/internal/kind"
	"holdfast/internal/xmlio"
)

const (
	// MaxRules and MaxBytes (of the document) are S3's limits.
	MaxRules = 100
	MaxBytes = 64 << 10

	maxID = 255
)

// Config is a bucket's rules, in the order in which they are tried.
type Config struct{ Rules []Rule }

// Rule allows requests of some origins. All lists are in the order of the document.
type Rule struct {
	ID             string
	AllowedHeaders []string // each with at most one *
	AllowedMethods []string // of GET, PUT, HEAD, POST, DELETE
	AllowedOrigins []string // each with at most one *
	ExposeHeaders  []string
	MaxAgeSeconds  int64 // -1: not given
}

// Parse reads the document.
func Parse(doc string) (*Config, error) {
	root, err := xmlio.Decode(doc, "CORSConfiguration", MaxBytes)
	if err != nil {
		return nil, err
	}
	f, err := root.Fields("CORSRule/+")
	if err != nil {
		return nil, err
	}
	if len(f["CORSRule"]) > MaxRules {
		return nil, kind.New(kind.InvalidRequest, "The number of CORS rules should not exceed allowed limit of %d rules.", MaxRules)
	}
	c := &Config{}
	for _, e := range f["CORSRule"] {
		r, err := parseRule(e)
		if err != nil {
			return nil, err
		}
		c.Rules = append(c.Rules, r)
	}
	return c, nil
}

func parseRule(e xmlio.Element) (Rule, error) {
	f, err := e.Fields("ID?", "AllowedHeader*", "AllowedMethod+", "AllowedOrigin+", "ExposeHeader*", "MaxAgeSeconds?")
	if err != nil {
		return Rule{}, err
	}
	r := Rule{
		ID: f.Text("ID"), AllowedHeaders: f.Texts("AllowedHeader"), AllowedMethods: f.Texts("AllowedMethod"),
		AllowedOrigins: f.Texts("AllowedOrigin"), ExposeHeaders: f.Texts("ExposeHeader"), MaxAgeSeconds: -1,
	}
	if f.Has("MaxAgeSeconds") {
		if r.MaxAgeSeconds, err = f.Int("MaxAgeSeconds"); err != nil || r.MaxAgeSeconds < 0 || r.MaxAgeSeconds > math.MaxInt32 {
			return Rule{}, xmlio.Malformed()
		}
	}
	return r, r.validate()
}

func (r *Rule) validate() error {
	if len([]rune(r.ID)) > maxID {
		return kind.New(kind.InvalidRequest, "ID length should not exceed allowed limit of %d", maxID)
	}
	for _, m := range r.AllowedMethods {
		if !method(m) {
			return kind.New(kind.InvalidRequest, "Found unsupported HTTP method in CORS config. Unsupported method is %s", m)
		}
	}
	for _, o := range r.AllowedOrigins {
		if o == "" {
			return xmlio.Malformed()
		}
		if strings.Count(o, "*") > 1 {
			return kind.New(kind.InvalidRequest, "AllowedOrigin \"%s\" can not have more than one wildcard.", o)
		}
	}
	for _, h := range r.AllowedHeaders {
		if strings.Count(h, "*") > 1 {
			return kind.New(kind.InvalidRequest, "AllowedHeader \"%s\" can not have more than one wildcard.", h)
		}
		if !token(h) {
			return kind.New(kind.InvalidRequest, "AllowedHeader \"%s\" contains invalid character.", h)
		}
	}
	for _, h := range r.ExposeHeaders {
		if strings.Contains(h, "*") {
			return kind.New(kind.InvalidRequest, "ExposeHeader \"%s\" contains wildcard. We currently do not support wildcard for ExposeHeader.", h)
		}
		if !token(h) {
			return kind.New(kind.InvalidRequest, "ExposeHeader \"%s\" contains invalid character.", h)
		}
	}
	return nil
}

func method(m string) bool {
	return slices.Contains([]string{"GET", "PUT", "HEAD", "POST", "DELETE"}, m)
}

// token says whether a text may be the name of a header (RFC 9110, 5.6.2).
func token(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		return !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}

// WriteXML prints the document.
func (c *Config) WriteXML(x *xmlio.Writer) {
	x.Root("CORSConfiguration")
	for i := range c.Rules {
		r := &c.Rules[i]
		x.Open("CORSRule")
		x.Some("ID", r.ID)
		for _, list := range []struct {
			name   string
			values []string
		}{{"AllowedHeader", r.AllowedHeaders}, {"AllowedMethod", r.AllowedMethods}, {"AllowedOrigin", r.AllowedOrigins}, {"ExposeHeader", r.ExposeHeaders}} {
			for _, v := range list.values {
				x.Elem(list.name, v)
			}
		}
		if r.MaxAgeSeconds >= 0 {
			x.Number("MaxAgeSeconds", r.MaxAgeSeconds)
		}
		x.Close("CORSRule")
	}
	x.Close("CORSConfiguration")
}
