package s3

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"unicode/utf8"

	"holdfast/internal/kind"
	"holdfast/object"
)

// level is what a request addresses.
type level uint8

const (
	levelService level = iota
	levelBucket
	levelObject
)

// target is what a request names: nothing, a bucket, or a key in a bucket.
type target struct {
	level       level
	bucket, key string
}

// parseTarget splits host and path. The path is r.URL.Path: unescaped once by net/http, and the
// very string that sigv4 signs. It is never cleaned and never unescaped again.
func parseTarget(r *http.Request, domains []string) (target, error) {
	path := r.URL.Path
	if path == "" || path[0] != '/' {
		return target{}, plain(kind.InvalidURI)
	}
	path = path[1:]
	if !utf8.ValidString(path) {
		return target{}, plain(kind.InvalidURI)
	}
	bucket, hosted := bucketOfHost(r.Host, domains)
	key := path
	if !hosted {
		if path == "" {
			return target{level: levelService}, nil
		}
		bucket, key, _ = strings.Cut(path, "/")
	}
	t := target{level: levelBucket, bucket: bucket, key: key}
	if key != "" {
		t.level = levelObject
	}
	return t, nil
}

// bucketOfHost is the bucket of a virtual-host style request. domains are in lower case, the
// longest first.
func bucketOfHost(host string, domains []string) (string, bool) {
	if len(domains) == 0 {
		return "", false
	}
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	for _, d := range domains {
		if strings.EqualFold(host, d) {
			return "", false
		}
		if n := len(host) - len(d) - 1; n > 0 && host[n] == '.' && strings.EqualFold(host[n+1:], d) {
			return strings.ToLower(host[:n]), true
		}
	}
	return "", false
}

// check refuses names that no bucket or key can have.
func (t target) check() error {
	if t.level == levelService {
		return nil
	}
	if !validBucket(t.bucket) {
		return plain(kind.InvalidBucketName)
	}
	if len(t.key) > object.MaxKeyLen {
		return plain(kind.KeyTooLong)
	}
	return nil
}

// validBucket holds a name against AWS's rules for general purpose buckets ("Bucket naming
// rules" in the Amazon S3 User Guide), but for reserved prefixes and suffixes; see reservedBucket.
func validBucket(name string) bool {
	if len(name) < 3 || len(name) > 63 {
		return false
	}
	for i := 0; i < len(name); i++ {
		c := name[i]
		letter := 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
		edge := i == 0 || i == len(name)-1
		switch {
		case letter:
		case edge, c != '-' && c != '.':
			return false
		case c == '.' && name[i-1] == '.':
			return false
		}
	}
	return !looksLikeIPv4(name)
}

func looksLikeIPv4(name string) bool {
	if strings.Count(name, ".") != 3 {
		return false
	}
	_, err := netip.ParseAddr(name)
	return err == nil || strings.Trim(name, "0123456789.") == ""
}

// reservedBucket reports whether AWS keeps names of this form for itself. They are refused for
// new buckets, so that whatever moves to AWS later keeps its name.
func reservedBucket(name string) bool {
	for _, p := range []string{"xn--", "sthree-", "amzn-s3-demo-"} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	for _, s := range []string{"-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3", "-an"} {
		if strings.HasSuffix(name, s) {
			return true
		}
	}
	return false
}
