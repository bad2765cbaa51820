package policy

import "slices"

// Keys are the condition keys, in lower case, by which the policy decides: those of its conditions and of
// its variables, each once and sorted. A Request need not have others, for this policy's sake.
// The list is not to be changed.
func (p *Policy) Keys() []string { return p.keys }

func (p *Policy) gatherKeys() []string {
	var all []string
	in := func(list ...pattern) {
		for _, q := range list {
			for _, t := range q.tokens {
				if t.kind == variable {
					all = append(all, t.key)
				}
			}
		}
	}
	for i := range p.statements {
		s := &p.statements[i]
		for _, a := range s.actions {
			in(a.pattern)
		}
		for j := range s.resources {
			in(s.resources[j].head[:]...)
			in(s.resources[j].rest)
		}
		for _, c := range s.conditions {
			all = append(all, c.key)
			for _, v := range c.values {
				in(v.pattern)
				in(v.arn...)
			}
		}
	}
	return slices.Compact(sorted(all))
}
