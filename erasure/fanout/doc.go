// Package fanout moves erasure-coded data to and from many drives at once. It knows data IDs,
// schemes and drives, and neither bucket nor key nor plaintext.
package fanout
