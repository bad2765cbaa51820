package s3

import (
	"net/http"
	"strings"

	"holdfast/bucket/cors"
	"holdfast/internal/kind"
)

const (
	headerOrigin         = "Origin"
	headerRequestMethod  = "Access-Control-Request-Method"
	headerRequestHeaders = "Access-Control-Request-Headers"
	prefixAllow          = "Access-Control-"
	headerVary           = "Vary"
)

// preflight answers a browser's question whether another site may ask. A bucket that is not there
// allows as little as one without rules, in the same words.
func (c *call) preflight() error {
	rules, err := c.corsRules()
	if err != nil && !kind.Is(err, kind.NoSuchBucket) {
		return err
	}
	h := c.r.Header
	allowed, err := rules.Preflight(c.header(headerOrigin), c.header(headerRequestMethod), strings.Join(h[headerRequestHeaders], ","))
	if err != nil {
		return err
	}
	c.allowOrigin(allowed)
	c.sendEmpty(http.StatusOK)
	return nil
}

// crossOrigin puts into every answer what the bucket's rules say to the page that asks: into an
// error's too, or the page could not read it. It comes before authentication; what it tells is
// what a preflight tells anybody.
func (c *call) crossOrigin() {
	origin := c.header(headerOrigin)
	if origin == "" || c.level == levelService {
		return
	}
	rules, err := c.corsRules()
	if err != nil || rules == nil {
		return
	}
	method := c.header(headerRequestMethod)
	if method == "" {
		method = c.r.Method
	}
	if allowed := rules.Simple(origin, method); allowed != nil {
		c.allowOrigin(allowed)
		return
	}
	c.w.Header()[headerVary] = varyOrigin // a cache must not give this answer to another origin
}

// Shared; nobody appends to it.
var varyOrigin = []string{"Origin, Access-Control-Request-Headers, Access-Control-Request-Method"}

func (c *call) allowOrigin(list []cors.Header) {
	for _, h := range list {
		c.w.Header()[h.Name] = []string{h.Value}
	}
}

// corsRules are the rules of the bucket, nil if it has none.
func (c *call) corsRules() (*cors.Config, error) {
	if c.level == levelService || !validBucket(c.bucket) {
		return nil, nil
	}
	b, err := c.bucketInfo()
	if err != nil {
		return nil, err
	}
	doc := b.Documents[settingCORS]
	if len(doc) == 0 {
		return nil, nil
	}
	return cors.Parse(string(doc))
}
