package replication

import (
	"cmp"
	"slices"
	"strings"

	"holdfast/bucket/tagging"
)

// Name is the bucket in the destination's ARN (arn:partition:service:region:account:bucket); "" if
// it is none.
func (d *Destination) Name() string {
	fields := strings.SplitN(d.Bucket, ":", 6)
	if len(fields) != 6 || fields[0] != "arn" || fields[1] == "" || fields[2] == "" || len(d.Bucket) > maxARN {
		return ""
	}
	name := fields[5]
	if len(name) < 3 || len(name) > 63 || strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.'
	}) {
		return ""
	}
	return name
}

// Covering are the enabled rules for an object, the highest priority first, and for each
// destination one.
func (c *Config) Covering(key string, tags tagging.Set) []*Rule {
	var all []*Rule
	for i := range c.Rules {
		if r := &c.Rules[i]; r.Enabled && r.Filter.Matches(key, 0, tags) { // these filters know no size
			all = append(all, r)
		}
	}
	slices.SortStableFunc(all, func(a, b *Rule) int { return cmp.Compare(b.Priority, a.Priority) })
	seen := make(map[string]bool)
	return slices.DeleteFunc(all, func(r *Rule) bool {
		again := seen[r.Destination.Bucket]
		seen[r.Destination.Bucket] = true
		return again
	})
}
