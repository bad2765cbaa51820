package policy

import "strings"

// checkAction refuses an action by its form, and in bucket and trust policies by its name.
func (r Rules) checkAction(a action) error {
	switch {
	case r.Kind == Bucket:
		if !knownAction(a) {
			return r.refuse(faultAction, a.text)
		}
		return nil
	case strings.Count(a.text, ":") > 1:
		return &Error{CodeMalformedPolicyDocument, "Actions/Condition can contain only one colon."}
	case !isAction(a.text):
		return r.refuse(faultAction, a.text)
	}
	vendor, _, _ := strings.Cut(a.text, ":")
	if a.text != "*" && strings.Trim(vendor, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.") != "" {
		return &Error{CodeMalformedPolicyDocument, quote("Vendor %s is not valid", vendor[:min(len(vendor), maxQuoted)])}
	}
	if r.Kind == Trust && !strings.EqualFold(vendor, "sts") {
		return &Error{CodeMalformedPolicyDocument, "AssumeRole policy may only specify STS AssumeRole actions."}
	}
	return nil
}

// knownAction reports whether the pattern names at least one action of S3.
func knownAction(a action) bool {
	vendor, _, ok := strings.Cut(a.text, ":")
	if a.text != "*" && (!ok || !strings.EqualFold(vendor, "s3")) {
		return false
	}
	for i := range s3Actions {
		if matchTokens(a.pattern.tokens, s3Actions[i].lowerName) {
			return true
		}
	}
	return false
}

// checkApplies refuses what S3 refuses of a new bucket policy: an action that none of the statement's
// resources can have, and a condition key of S3 that none of its actions has.
func (r Rules) checkApplies(s *statement) error {
	if s.notAction || s.notResource {
		return nil
	}
	var levels level
	for i := range s.resources {
		if s.resources[i].rest.can(r.Bucket) {
			levels |= onBucket
		}
		if s.resources[i].rest.reaches(r.Bucket + "/") {
			levels |= onObject
		}
	}
	var keys keySet
	for _, a := range s.actions {
		applies := false
		for _, k := range s3Actions {
			if k.level&levels != 0 && matchTokens(a.pattern.tokens, k.lowerName) {
				applies = true
				keys |= k.keys
			}
		}
		if !applies {
			return r.refuse(faultActionApplies, a.text)
		}
	}
	for i := range s.conditions {
		if group, ok := keyGroup(s.conditions[i].key); ok && group&(keys|keysAll) == 0 {
			return r.refuse(faultKeyApplies, s.conditions[i].keyText)
		}
	}
	return nil
}

// knowsKey reports whether a condition key (in lower case) may stand in the document. S3 takes every
// key of aws: and its own; IAM every key with a vendor.
func (r Rules) knowsKey(key string) bool {
	vendor, name, ok := strings.Cut(key, ":")
	if !ok || vendor == "" || name == "" {
		return false
	}
	if r.Kind != Bucket || vendor == "aws" {
		return true
	}
	_, ok = keyGroup(key)
	return ok
}

// keyGroup finds the group of one of S3's condition keys.
func keyGroup(key string) (keySet, bool) {
	if front, tag, ok := strings.Cut(key, "/"); ok {
		if tag == "" {
			return 0, false
		}
		key = front + "/"
	}
	g, ok := s3Keys[key]
	return g, ok
}
