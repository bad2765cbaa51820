package policy

import (
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"strings"
	"time"
)

// The reference evaluator: the rules of the IAM User Guide written down a second time, slowly and
// without a look at the first. It interprets the JSON anew at every request, keeps no compiled
// form, matches wildcards by a table over all prefixes, and computes with big rationals.

// written are the documents of a Policies.
type written struct {
	identity, session     []string
	bucket                string
	acl, restrict, gaveUp bool
	public                bool
}

func reference(r *Request, w *written) Effect {
	var identity, session []refStatement
	for _, d := range w.identity {
		identity = append(identity, refRead(d)...)
	}
	for _, d := range w.session {
		session = append(session, refRead(d)...)
	}
	bucket := refRead(w.bucket)
	c := refContext(r)

	// 1. explicit denies
	for _, s := range append(append([]refStatement{}, identity...), session...) {
		if s.Effect == "Deny" && s.about(r, c) {
			return ExplicitDeny
		}
	}
	ownRoot := r.Principal.Type == Root && r.Principal.Account == r.Resource.BucketOwner
	repairs := ownRoot && !w.gaveUp && strings.Contains(" s3:getbucketpolicy s3:putbucketpolicy s3:deletebucketpolicy ", " "+strings.ToLower(r.Action)+" ")
	for _, s := range bucket {
		if s.Effect == "Deny" && !repairs && s.names(r) != "" && s.about(r, c) {
			return ExplicitDeny
		}
	}

	// 2. what allows
	owner := r.Resource.BucketOwner
	if r.Resource.ObjectOwner != "" {
		owner = r.Resource.ObjectOwner
	}
	says := map[string]bool{} // how the bucket's policy names the principal where it allows
	for _, s := range bucket {
		if s.Effect == "Allow" && s.about(r, c) {
			says[s.names(r)] = true
		}
	}
	delete(says, "")
	stranger := r.Principal.Type == Anonymous || r.Principal.Account != r.Resource.BucketOwner
	if r.Resource.BucketOwner == "" || owner != r.Resource.BucketOwner || w.restrict && w.public && stranger {
		says = nil
	}
	identityAllows := r.Principal.Type == Root
	for _, s := range identity {
		identityAllows = identityAllows || s.Effect == "Allow" && s.about(r, c)
	}
	sessionAllows := len(w.session) == 0
	for _, s := range session {
		sessionAllows = sessionAllows || s.Effect == "Allow" && s.about(r, c)
	}
	allowed := false
	switch {
	case r.Principal.Type == Anonymous:
		allowed = len(says) > 0 || w.acl
	case owner == "" || owner == r.Principal.Account:
		allowed = sessionAllows && (identityAllows || says["entity"]) || says["session"]
	default:
		allowed = sessionAllows && identityAllows && (len(says) > 0 || w.acl)
	}
	if allowed {
		return Allow
	}
	return ImplicitDeny
}

type refStatement struct {
	Effect                  string
	Principal, NotPrincipal any
	Action, NotAction       any
	Resource, NotResource   any
	Condition               map[string]map[string]any
	variables               bool
}

func refRead(doc string) []refStatement {
	if doc == "" {
		return nil
	}
	var d struct {
		Version   string
		Statement json.RawMessage
	}
	var many []refStatement
	err := json.Unmarshal([]byte(doc), &d)
	if err == nil && d.Statement[0] == '{' {
		d.Statement = []byte("[" + string(d.Statement) + "]")
	}
	if err == nil {
		err = json.Unmarshal(d.Statement, &many)
	}
	if err != nil {
		panic(err)
	}
	for i := range many {
		many[i].variables = d.Version == "2012-10-17"
	}
	return many
}

func refList(v any) []string {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		var all []string
		for _, i := range v {
			all = append(all, refList(i)...)
		}
		return all
	case float64:
		return []string{strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.6f", v), "0"), ".")}
	}
	return []string{fmt.Sprint(v)}
}

// refContext has every key of the request.
func refContext(r *Request) map[string][]string {
	c := map[string][]string{}
	for k, v := range r.Keys {
		c[k] = v
	}
	for _, k := range []string{"aws:currenttime", "aws:epochtime", "aws:principalaccount", "aws:principalarn", "aws:principaltype",
		"aws:resourceaccount", "aws:userid", "aws:username", "s3:resourceaccount"} {
		delete(c, k)
	}
	p := r.Principal
	c["aws:principaltype"] = []string{[]string{"Anonymous", "Account", "User", "AssumedRole"}[p.Type]}
	c["aws:userid"] = []string{"anonymous"}
	if p.Type != Anonymous {
		c["aws:userid"] = []string{p.ID}
		c["aws:principalaccount"] = []string{p.Account}
		c["aws:principalarn"] = []string{p.ARN}
	}
	if p.Type == User {
		c["aws:username"] = []string{p.Name}
	}
	if r.Resource.BucketOwner != "" {
		c["aws:resourceaccount"], c["s3:resourceaccount"] = []string{r.Resource.BucketOwner}, []string{r.Resource.BucketOwner}
	}
	c["aws:currenttime"] = []string{r.Time.Format(time.RFC3339)}
	c["aws:epochtime"] = []string{fmt.Sprint(r.Time.Unix())}
	return c
}

// names says how a statement of a bucket policy names the principal: session, entity, account or not at all.
func (s refStatement) names(r *Request) string {
	p := r.Principal
	if s.NotPrincipal != nil {
		for _, n := range refPrincipals(s.NotPrincipal) {
			if n == "*" || p.Type != Anonymous && (n == p.ARN || n == p.SessionARN) || p.Type == Root && (n == p.Account || n == "canonical:"+p.CanonicalID) {
				return ""
			}
		}
		return "entity"
	}
	found := map[string]bool{}
	for _, n := range refPrincipals(s.Principal) {
		found["entity"] = found["entity"] || n == "*"
		if p.Type != Anonymous {
			found["entity"] = found["entity"] || n == p.ARN || p.Type == Root && (n == p.Account || n == "canonical:"+p.CanonicalID)
			found["session"] = found["session"] || n == p.SessionARN
			found["account"] = found["account"] || n == p.Account || n == "arn:aws:iam::"+p.Account+":root" || n == "canonical:"+p.CanonicalID
		}
	}
	if found["entity"] && refPrincipals(s.Principal)[0] == "*" {
		return "entity"
	}
	for _, how := range []string{"session", "entity", "account"} {
		if found[how] {
			return how
		}
	}
	return ""
}

func refPrincipals(v any) []string {
	if m, ok := v.(map[string]any); ok {
		all := refList(m["AWS"])
		for _, c := range refList(m["CanonicalUser"]) {
			all = append(all, "canonical:"+c)
		}
		for _, n := range all { // everyone goes before whoever is named beside
			if n == "*" {
				return []string{"*"}
			}
		}
		return all
	}
	return []string{"*"}
}

// about: action, resource and all conditions.
func (s refStatement) about(r *Request, c map[string][]string) bool {
	listed := func(list any) bool {
		for _, a := range refList(list) {
			if refGlob(refExact(strings.ToLower(a), true), strings.ToLower(r.Action)) {
				return true
			}
		}
		return false
	}
	if s.NotAction != nil && listed(s.NotAction) || s.NotAction == nil && !listed(s.Action) {
		return false
	}
	if !s.reaches(r, c) {
		return false
	}
	for operator, keys := range s.Condition {
		for key, values := range keys {
			if !refCondition(operator, c[strings.ToLower(key)], refList(values), s.variables, c) {
				return false
			}
		}
	}
	return true
}

func (s refStatement) reaches(r *Request, c map[string][]string) bool {
	arn := r.Resource.ARN
	if arn == "" {
		arn = "arn:aws:s3:::*"
		if r.Resource.Bucket != "" {
			arn = "arn:aws:s3:::" + r.Resource.Bucket
		}
		if r.Resource.Key != "" {
			arn += "/" + r.Resource.Key
		}
	}
	list := s.Resource
	if s.NotResource != nil {
		list = s.NotResource
	}
	named, lost := false, false
	for _, text := range refList(list) {
		if text == "*" {
			named = true
			continue
		}
		pattern, have := strings.SplitN(text, ":", 6), strings.SplitN(arn, ":", 6)
		all := true
		for i := range 5 {
			all = all && refGlob(refExact(pattern[i], true), have[i])
		}
		last, ok := refExpand(pattern[5], true, s.variables, c)
		lost = lost || !ok
		named = named || all && ok && refGlob(last, have[5])
	}
	if s.NotResource != nil {
		return !named && !(lost && s.Effect == "Allow")
	}
	return named
}

func refCondition(operator string, have, values []string, variables bool, c map[string][]string) bool {
	set := ""
	if i := strings.Index(operator, ":"); i > 0 {
		set, operator = operator[:i], operator[i+1:]
	}
	missing := len(have) == 0
	if operator == "Null" {
		for _, v := range values {
			if strings.EqualFold(v, "true") == missing {
				return true
			}
		}
		return false
	}
	optional := strings.HasSuffix(operator, "IfExists")
	operator = strings.TrimSuffix(operator, "IfExists")
	negated := strings.Contains(operator, "Not")
	operator = strings.Replace(operator, "Not", "", 1)
	if missing && optional {
		return true
	}
	fulfilled := 0 // how many of the request's values do what the operator with its Not says
	for _, h := range have {
		match := false
		for _, v := range values {
			match = match || refCompare(operator, h, v, variables, c)
		}
		if match != negated {
			fulfilled++
		}
	}
	switch {
	case set == "ForAllValues":
		return fulfilled == len(have)
	case set == "ForAnyValue":
		return fulfilled > 0
	case negated:
		return fulfilled == len(have)
	}
	return fulfilled > 0
}

func refCompare(operator, have, want string, variables bool, c map[string][]string) bool {
	switch operator {
	case "StringEquals", "StringLike":
		p, ok := refExpand(want, operator == "StringLike", variables, c)
		return ok && refGlob(p, have)
	case "StringEqualsIgnoreCase":
		p, ok := refExpand(want, false, variables, c)
		text := ""
		for _, r := range p {
			text += string(r.char)
		}
		return ok && strings.EqualFold(text, have)
	case "Bool":
		return strings.EqualFold(have, want)
	case "BinaryEquals":
		return have == want
	case "IpAddress":
		ip := net.ParseIP(have)
		if _, network, err := net.ParseCIDR(want); err == nil {
			return ip != nil && network.Contains(ip)
		}
		return ip != nil && ip.Equal(net.ParseIP(want))
	case "ArnEquals", "ArnLike":
		h, w := strings.SplitN(have, ":", 6), strings.SplitN(strings.ReplaceAll(want, "${aws:", "${aws;"), ":", 6)
		if len(h) < 6 || h[0] != "arn" {
			return false
		}
		for i := 0; want != "*" && i < 6; i++ {
			p, ok := refExpand(strings.ReplaceAll(w[i], "${aws;", "${aws:"), true, variables, c)
			if !ok || !refGlob(p, h[i]) {
				return false
			}
		}
		return true
	}
	a, okA := refNumber(have, strings.HasPrefix(operator, "Date"))
	b, okB := refNumber(want, strings.HasPrefix(operator, "Date"))
	if !okA || !okB {
		return false
	}
	switch d := a.Cmp(b); strings.TrimPrefix(strings.TrimPrefix(operator, "Numeric"), "Date") {
	case "Equals":
		return d == 0
	case "LessThan":
		return d < 0
	case "LessThanEquals":
		return d <= 0
	case "GreaterThan":
		return d > 0
	case "GreaterThanEquals":
		return d >= 0
	}
	panic(operator)
}

func refNumber(s string, date bool) (*big.Rat, bool) {
	if date {
		for _, form := range []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00", time.DateOnly, "2006-01", "2006"} {
			if t, err := time.Parse(form, s); err == nil {
				return big.NewRat(t.UnixNano(), 1e9), true
			}
		}
	}
	if s == "" || strings.Trim(s, "+-.0123456789") != "" {
		return nil, false
	}
	return new(big.Rat).SetString(s)
}

// refRune is a character of a pattern: wild ones are * and ?.
type refRune struct {
	char rune
	wild bool
}

func refExact(text string, wildcards bool) []refRune {
	var all []refRune
	for _, c := range text {
		all = append(all, refRune{c, wildcards && (c == '*' || c == '?')})
	}
	return all
}

// refExpand puts the values of variables in.
func refExpand(text string, wildcards, variables bool, c map[string][]string) ([]refRune, bool) {
	front, rest, found := strings.Cut(text, "${")
	if !variables || !found {
		return refExact(text, wildcards), true
	}
	name, rest, _ := strings.Cut(rest, "}")
	value := name
	if name != "*" && name != "?" && name != "$" {
		key, fallback, hasFallback := strings.Cut(name, ",")
		switch values := c[strings.ToLower(strings.TrimSpace(key))]; {
		case len(values) == 1:
			value = values[0]
		case len(values) == 0 && hasFallback:
			value = strings.Trim(strings.TrimSpace(fallback), "'")
		default:
			return nil, false
		}
	}
	after, ok := refExpand(rest, wildcards, variables, c)
	return append(append(refExact(front, wildcards), refExact(value, false)...), after...), ok
}

// refGlob fills a table: fits[i] is whether the pattern so far can take the first i characters.
func refGlob(pattern []refRune, text string) bool {
	t := []rune(text)
	fits := make([]bool, len(t)+1)
	fits[0] = true
	for _, p := range pattern {
		next := make([]bool, len(t)+1)
		for i := range next {
			switch {
			case p.wild && p.char == '*':
				next[i] = fits[i] || i > 0 && next[i-1]
			case i > 0:
				next[i] = fits[i-1] && (p.wild || p.char == t[i-1])
			}
		}
		fits = next
	}
	return fits[len(t)]
}
