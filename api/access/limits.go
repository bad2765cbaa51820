package access

import "strings"

// The limits of each account, where AWS has them as AWS has by default or allows on request; each keeps the
// snapshot that every front holds small.
const (
	maxAccounts   = 1000
	maxUsers      = 5000
	maxGroups     = 500
	maxRoles      = 1000
	maxPolicies   = 1500
	maxVersions   = 5
	maxKeys       = 10 // of a user; AWS has 2
	maxAttached   = 20
	maxUserGroups = 10
	maxTags       = 50
	maxInline     = 100 // inline policies of one entity, however short

	maxPath        = 512
	maxDescription = 1000
	maxEmail       = 254
	maxDocumentLen = 128 << 10 // bytes of a policy as it is sent

	// The access key and the secret that an operator brings along, as other servers and clients take them.
	minAccessKey, maxAccessKey = 3, 128
	minSecret, maxSecret       = 8, 128
)

// The characters of IAM's names besides letters and digits.
const nameMarks = "_+=,.@-"

func isWord(s, marks string, longest int) bool {
	if s == "" || len(s) > longest {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte(marks, c) < 0 {
			return false
		}
	}
	return true
}

// checkName refuses what is no name: of a user and a role up to 64 characters, else up to 128.
func checkName(field, name string, longest int) error {
	switch {
	case name == "" || len(name) > longest:
		return refuse(CodeValidation, "Value at '%s' failed to satisfy constraint: Member must have length between 1 and %d", field, longest)
	case !isWord(name, nameMarks, longest):
		return refuse(CodeValidation, "The specified value for %s is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-", field)
	}
	return nil
}

// checkPath takes "" for "/".
func checkPath(path *string) error {
	if *path == "" {
		*path = "/"
	}
	p := *path
	if len(p) > maxPath || p[0] != '/' || p[len(p)-1] != '/' || strings.ContainsFunc(p, func(r rune) bool { return r < '!' || r > '~' }) {
		return refuse(CodeValidation, "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters.")
	}
	return nil
}

// Tag is a key and a value that an entity or a session bears.
type Tag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

func checkTags(tags []Tag) error {
	if len(tags) > maxTags {
		return refuse(CodeLimitExceeded, "The number of tags has reached the maximum limit of %d.", maxTags)
	}
	seen := map[string]bool{}
	for _, t := range tags {
		low := strings.ToLower(t.Key)
		switch {
		case t.Key == "" || len(t.Key) > 128 || len(t.Value) > 256 || strings.HasPrefix(low, "aws:"):
			return refuse(CodeInvalidInput, "A tag's key must have 1 to 128 characters and not begin with aws:, and its value at most 256.")
		case seen[low]:
			return refuse(CodeInvalidInput, "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		case strings.ContainsFunc(t.Key+t.Value, func(r rune) bool { return r < ' ' || r == 0x7f }):
			return refuse(CodeInvalidInput, "A tag must not have control characters.")
		}
		seen[low] = true
	}
	return nil
}

// SetTags adds tags to a list, in the place of those with the same keys.
func SetTags(list, more []Tag) []Tag {
	out := DropTags(list, more)
	return append(out, more...)
}

// DropTags takes those with the same keys, whatever their case, out of a list.
func DropTags(list, drop []Tag) []Tag {
	var out []Tag
	for _, t := range list {
		gone := false
		for _, d := range drop {
			gone = gone || strings.EqualFold(t.Key, d.Key)
		}
		if !gone {
			out = append(out, t)
		}
	}
	return out
}
