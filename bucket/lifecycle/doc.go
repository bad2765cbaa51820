// Package lifecycle is a bucket's LifecycleConfiguration: Parse reads and validates it, and Config
// says of a version or an upload what becomes of it and when. Whoever asks brings the facts and
// the length of a day; nothing here reads a clock.
//
// A decision is a plan and no permission: object lock is asked when it is carried out.
package lifecycle
