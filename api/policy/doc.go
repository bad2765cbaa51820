// Package policy reads and evaluates access policies in the language of AWS: the policies of
// users and groups (identity), of buckets, of sessions, and of who may assume a role (trust).
//
// Nouns:
//
//   - Policy: a document, compiled once by Compile and then read by any number of requests.
//   - Statement: one rule of it, with the principals, actions, resources and conditions that it is about.
//   - Request: who asks for which action on what, with the condition keys of the request and the time.
//   - Policies: all that has a say in one request.
//   - Decision: allow, explicit deny or implicit deny, and the statement which decided.
//
// Invariants:
//
//   - The package is pure: no I/O, no clock. The same Request and Policies give the same Decision.
//   - What is not understood is refused when it is put (an unknown element, operator, duplicate
//     key, variable without end), never passed over when it is evaluated.
//   - A denying statement wins over all that allow, but for one thing: the root of the account that
//     owns a bucket can always read, replace and delete the bucket's policy.
//   - A condition key that the request does not have matches nothing: operators that ask for a
//     match are false, their negations true, …IfExists true, as on AWS. A variable without a
//     value and without a default matches nothing.
//   - Matching a wildcard takes at most len(pattern) · len(text) steps, without recursion.
//   - A document is bounded: bytes, depth, statements.
//
// # Which policies say yes
//
// Within the account that owns the resource either an identity policy or the bucket's policy is
// enough. The bucket's policy must then name the user, the role or everyone: to name the account
// only delegates to the account, and an identity policy still has to allow. Across accounts both
// must allow. A session policy bounds both, unless the bucket's policy names the session itself.
// Nobody's request (anonymous) is allowed by the bucket's policy, or by an ACL, alone. The root of
// an account may do all in its account that nothing denies.
//
// An object that another account owns (only with ACLs enabled) is out of reach of what the
// bucket's policy allows, and within what it denies.
//
// # Sources
//
// "IAM JSON policy elements reference", "Policy evaluation logic" and "Grammar of the IAM JSON
// policy language" in the IAM User Guide; "Bucket policies" and "Blocking public access to your
// Amazon S3 storage" (The meaning of "public") in the S3 User Guide; "Actions, resources, and
// condition keys for Amazon S3" in the Service Authorization Reference.
package policy
