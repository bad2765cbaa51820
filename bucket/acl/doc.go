// Package acl is who may do what by access control lists: the AccessControlPolicy document, canned
// lists and x-amz-grant headers, who owns objects (OwnershipControls), and what of a list counts
// where public access is blocked (PublicAccessBlockConfiguration).
//
// Lists hold canonical IDs only: an e-mail address is resolved by a Directory when it is read.
package acl
