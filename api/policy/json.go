package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"
)

// maxDepth is how deep a policy goes: document, statements, statement, condition, operator, values.
const maxDepth = 6

var (
	errDepth     = errors.New("deeper than a policy")
	errDuplicate = errors.New("a key occurs twice in one object")
	errEncoding  = errors.New("not UTF-8")
	errTrailing  = errors.New("something follows the document")
	errNull      = errors.New("null is no value of a policy")
)

// node is a JSON value. Numbers and Booleans are scalars with their text, as AWS takes them for
// strings in conditions.
type node struct {
	form    form
	text    string   // of a string or scalar
	items   []node   // of an array
	members []member // of an object, in the document's order
}

type form uint8

const (
	formString form = iota
	formScalar
	formArray
	formObject
)

type member struct {
	name  string
	value node
}

// readJSON reads one object and nothing else. Object keys are compared exactly, and one that
// occurs twice is refused: two readers could take a different one of the two.
func readJSON(doc []byte) (node, error) {
	if !utf8.Valid(doc) {
		return node{}, errEncoding
	}
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	n, err := readValue(d, 0)
	if err != nil {
		return node{}, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return node{}, errTrailing
	}
	return n, nil
}

func readValue(d *json.Decoder, depth int) (node, error) {
	t, err := d.Token()
	if err != nil {
		return node{}, err
	}
	switch t := t.(type) {
	case string:
		return node{form: formString, text: t}, nil
	case json.Number:
		return node{form: formScalar, text: t.String()}, nil
	case bool:
		if t {
			return node{form: formScalar, text: "true"}, nil
		}
		return node{form: formScalar, text: "false"}, nil
	case json.Delim:
		if depth++; depth > maxDepth {
			return node{}, errDepth
		}
		if t == '[' {
			return readArray(d, depth)
		}
		return readObject(d, depth)
	}
	return node{}, errNull
}

func readArray(d *json.Decoder, depth int) (node, error) {
	n := node{form: formArray}
	for d.More() {
		v, err := readValue(d, depth)
		if err != nil {
			return node{}, err
		}
		n.items = append(n.items, v)
	}
	_, err := d.Token()
	return n, err
}

func readObject(d *json.Decoder, depth int) (node, error) {
	n := node{form: formObject}
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return node{}, err
		}
		name, ok := t.(string)
		if !ok || seen[name] {
			return node{}, errDuplicate
		}
		seen[name] = true
		v, err := readValue(d, depth)
		if err != nil {
			return node{}, err
		}
		n.members = append(n.members, member{name, v})
	}
	_, err := d.Token()
	return n, err
}

// strings are the texts of a string or of an array of strings.
func (n node) strings() ([]string, bool) {
	switch n.form {
	case formString:
		return []string{n.text}, true
	case formArray:
		all := make([]string, 0, len(n.items))
		for _, i := range n.items {
			if i.form != formString {
				return nil, false
			}
			all = append(all, i.text)
		}
		return all, true
	}
	return nil, false
}

// scalars are the texts of a string, number, Boolean, or of an array of them.
func (n node) scalars() ([]string, bool) {
	switch n.form {
	case formString, formScalar:
		return []string{n.text}, true
	case formArray:
		all := make([]string, 0, len(n.items))
		for _, i := range n.items {
			if i.form != formString && i.form != formScalar {
				return nil, false
			}
			all = append(all, i.text)
		}
		return all, true
	}
	return nil, false
}
