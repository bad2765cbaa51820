package s3

import (
	"strings"

	"holdfast/internal/kind"
)

// route is one operation of S3: its name, and what its requests look like.
type route struct {
	op     string // as AWS names it; also the label of metrics and logs
	method string
	level  level
	query  string // "name" or "name=value" that must be in the query; "" for none
	also   string // a second one
	header string // a header that must be there, by its canonical name
	bucket string // the one bucket name that this is about, "" for any
	run    func(*call) error
	open   bool // answered without authentication, and without the engine
}

// router finds the route of a request. Routes that ask for more come before those that ask for
// less, in the order of the table.
type router struct {
	byMethod map[string]*[3][]route
	// sub are the sub-resources of each level. A request for one of them by a method that it does
	// not have must not fall through to the resource itself: DELETE ?acl deletes nothing.
	sub [3]map[string]bool
	// none stands for what is no operation of S3 at all.
	none *route
}

func newRouter(routes []route) router {
	rt := router{byMethod: map[string]*[3][]route{}, sub: [3]map[string]bool{{}, {}, {}}}
	rt.none = &route{op: "Unknown", run: func(*call) error { return plain(kind.MethodNotAllowed) }}
	for _, r := range routes {
		if name, _, _ := strings.Cut(r.query, "="); name != "" && name != "list-type" && name != "partNumber" {
			rt.sub[r.level][name] = true
		}
		m := rt.byMethod[r.method]
		if m == nil {
			m = new([3][]route)
			rt.byMethod[r.method] = m
		}
		m[r.level] = append(m[r.level], r)
	}
	return rt
}

func (rt router) find(c *call) *route {
	m := rt.byMethod[c.r.Method]
	if m == nil {
		return rt.none
	}
	return rt.among(m[c.level], c)
}

// among finds the route of a request in those of one method and level.
func (rt router) among(list []route, c *call) *route {
	for i := range list {
		if !list[i].matches(c) {
			continue
		}
		if list[i].query == "" && rt.namesSub(c) {
			return rt.none
		}
		return &list[i]
	}
	return rt.none
}

// namesSub reports whether the query names a sub-resource.
func (rt router) namesSub(c *call) bool {
	for i := range c.query {
		if rt.sub[c.level][c.query[i].name] {
			return true
		}
	}
	return false
}

// allowed lists the methods that the target of a request has, for the Allow header of a 405.
func (rt router) allowed(c *call) string {
	var list []string
	for _, method := range []string{get, head, put, post, del} {
		m := rt.byMethod[method]
		if m != nil && rt.among(m[c.level], c) != rt.none {
			list = append(list, method)
		}
	}
	return strings.Join(list, ", ")
}

func (r *route) matches(c *call) bool {
	if r.query != "" && !c.query.matches(r.query) || r.also != "" && !c.query.matches(r.also) {
		return false
	}
	if r.header != "" && len(c.r.Header[r.header]) == 0 {
		return false
	}
	return r.bucket == "" || r.bucket == c.bucket
}

// matches reports whether "name" or "name=value" is among the arguments.
func (q query) matches(want string) bool {
	if len(q) == 0 {
		return false
	}
	name, value, exact := strings.Cut(want, "=")
	return q.has(name) && (!exact || q.get(name) == value)
}
