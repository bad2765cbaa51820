package policy

import (
	"bytes"
	"encoding/json"
	"strings"
)

// Compile reads a document. What it refuses is an *Error with AWS's code and words.
func Compile(doc []byte, r Rules) (*Policy, error) {
	if len(doc) > maxRaw {
		return nil, r.tooLarge(r.limit())
	}
	trimmed := bytes.TrimLeft(doc, " \t\r\n")
	if len(trimmed) == 0 || trimmed[0] != '{' {
		return nil, r.refuse(faultNotJSON, "")
	}
	n, err := readJSON(trimmed)
	if err != nil {
		return nil, r.refuse(faultJSON, "")
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, trimmed); err != nil {
		return nil, r.refuse(faultJSON, "")
	}
	if compact.Len() > r.limit() {
		return nil, r.tooLarge(r.limit())
	}
	p := &Policy{kind: r.Kind, name: r.Name, size: compact.Len()}
	statements, err := r.readDocument(p, n)
	if err != nil {
		return nil, err
	}
	if err := r.readStatements(p, statements); err != nil {
		return nil, err
	}
	p.public = p.isPublic()
	p.keys = p.gatherKeys()
	return p, nil
}

// readDocument reads all but the statements, which it returns: their meaning depends on the version,
// which may stand after them.
func (r Rules) readDocument(p *Policy, n node) ([]node, error) {
	var statements *node
	for i := range n.members {
		switch m := &n.members[i]; m.name {
		case "Version":
			if p.version = m.value.text; m.value.form != formString || p.version != version2008 && p.version != version2012 {
				return nil, r.refuse(faultVersion, m.value.text)
			}
		case "Id":
			if p.id = m.value.text; m.value.form != formString {
				return nil, r.refuse(faultSyntax, m.name)
			}
		case "Statement":
			statements = &m.value
		default:
			return nil, r.refuse(faultUnknown, m.name)
		}
	}
	switch {
	case statements == nil:
		return nil, r.refuse(faultMissing, "Statement")
	case statements.form == formObject:
		return []node{*statements}, nil
	case statements.form != formArray:
		return nil, r.refuse(faultSyntax, "Statement")
	case len(statements.items) == 0 && r.Kind == Bucket:
		return nil, &Error{CodeMalformedPolicy, "Could not parse the policy: Statement is empty!"}
	case len(statements.items) == 0:
		return nil, r.refuse(faultEmpty, "Statement")
	case len(statements.items) > maxStatements:
		return nil, r.refuse(faultMany, "")
	}
	return statements.items, nil
}

func (r Rules) readStatements(p *Policy, nodes []node) error {
	sids := map[string]bool{}
	for _, n := range nodes {
		s, err := r.readStatement(n, p.version == version2012)
		if err != nil {
			return err
		}
		// S3 takes a Sid twice, and spaces in it; IAM does not.
		if r.Kind != Bucket && s.sid != "" {
			if !isAlphanumeric(s.sid) {
				return r.refuse(faultSid, s.sid)
			}
			if sids[s.sid] {
				return r.refuse(faultSidTwice, s.sid)
			}
			sids[s.sid] = true
		}
		p.statements = append(p.statements, s)
	}
	return nil
}

// elements are a statement's, by name; nil where it has none.
type elements struct {
	sid, effect, principal, notPrincipal, action, notAction, resource, notResource, condition *node
}

func (r Rules) readElements(n node) (e elements, err error) {
	if n.form != formObject {
		return e, r.refuse(faultSyntax, "Statement")
	}
	for i := range n.members {
		v := &n.members[i].value
		switch n.members[i].name {
		case "Sid":
			e.sid = v
		case "Effect":
			e.effect = v
		case "Principal":
			e.principal = v
		case "NotPrincipal":
			e.notPrincipal = v
		case "Action":
			e.action = v
		case "NotAction":
			e.notAction = v
		case "Resource":
			e.resource = v
		case "NotResource":
			e.notResource = v
		case "Condition":
			e.condition = v
		default:
			return e, r.refuse(faultUnknown, n.members[i].name)
		}
	}
	if e.principal != nil && e.notPrincipal != nil || e.action != nil && e.notAction != nil || e.resource != nil && e.notResource != nil {
		return e, r.refuse(faultSyntax, "")
	}
	return e, nil
}

func (r Rules) readStatement(n node, variables bool) (s statement, err error) {
	e, err := r.readElements(n)
	if err != nil {
		return s, err
	}
	if e.sid != nil {
		if s.sid = e.sid.text; e.sid.form != formString {
			return s, r.refuse(faultSyntax, "Sid")
		}
	}
	if err := r.readEffect(&s, e.effect); err != nil {
		return s, err
	}
	if err := r.readWho(&s, e.principal, e.notPrincipal); err != nil {
		return s, err
	}
	if err := r.readActions(&s, e.action, e.notAction); err != nil {
		return s, err
	}
	if err := r.readResources(&s, e.resource, e.notResource, variables); err != nil {
		return s, err
	}
	if e.condition != nil {
		s.hasCondition = true
		if s.conditions, err = r.readConditions(*e.condition, variables); err != nil {
			return s, err
		}
	}
	if r.Strict && r.Kind == Bucket {
		return s, r.checkApplies(&s)
	}
	return s, nil
}

func (r Rules) readEffect(s *statement, n *node) error {
	switch {
	case n == nil:
		return r.refuse(faultMissing, "Effect")
	case n.form != formString:
		return r.refuse(faultSyntax, "Effect")
	case n.text != "Allow" && n.text != "Deny":
		return r.refuse(faultEffect, n.text)
	}
	s.allow = n.text == "Allow"
	return nil
}

// readWho reads Principal or NotPrincipal, which policies of buckets and roles must have, and others
// must not. NotPrincipal only denies: allowing it would let in whoever is not thought of.
func (r Rules) readWho(s *statement, principal, notPrincipal *node) (err error) {
	named := r.Kind == Bucket || r.Kind == Trust
	switch {
	case !named && (principal != nil || notPrincipal != nil):
		return &Error{CodeMalformedPolicyDocument, "Policy document should not specify a principal."}
	case !named:
		return nil
	case principal == nil && notPrincipal == nil:
		return r.refuse(faultMissing, "Principal")
	case notPrincipal != nil && s.allow:
		return r.refuse(faultPrincipal, quoted("NotPrincipal"))
	case notPrincipal != nil:
		s.principals, err = r.readPrincipals(*notPrincipal, true)
		return err
	}
	s.principals, err = r.readPrincipals(*principal, false)
	return err
}

func (r Rules) readActions(s *statement, n, not *node) error {
	name := "Action"
	if not != nil {
		n, name, s.notAction = not, "NotAction", true
	}
	if n == nil {
		return r.refuse(faultMissing, "Action")
	}
	texts, ok := n.strings()
	switch {
	case !ok:
		return r.refuse(faultSyntax, name)
	case len(texts) == 0:
		return r.refuse(faultEmpty, "Action")
	}
	for _, text := range texts {
		a := action{text: text}
		a.pattern, _ = parsePattern(strings.ToLower(text), true, false) // without variables it cannot fail
		if err := r.checkAction(a); err != nil {
			return err
		}
		s.actions = append(s.actions, a)
	}
	return nil
}

func (r Rules) readResources(s *statement, n, not *node, variables bool) error {
	if r.Kind == Trust {
		if n != nil || not != nil {
			return &Error{CodeMalformedPolicyDocument, "Has prohibited field Resource"}
		}
		s.anyResource = true
		return nil
	}
	name := "Resource"
	if not != nil {
		n, name, s.notResource = not, "NotResource", true
	}
	if n == nil {
		return r.refuse(faultMissing, "Resource")
	}
	texts, ok := n.strings()
	switch {
	case !ok:
		return r.refuse(faultSyntax, name)
	case len(texts) == 0:
		return r.refuse(faultEmpty, "Resource")
	}
	for _, text := range texts {
		one, err := r.readResource(text, variables)
		if err != nil {
			return err
		}
		s.resources = append(s.resources, one)
	}
	return nil
}
