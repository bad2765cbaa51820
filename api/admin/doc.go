// Package admin is the JSON API for operators under /-/admin/v1/, signed like S3 (SigV4). It says
// how the server is, and starts what does not start by itself.
//
//	GET  /-/admin/v1/status   drives, metadata groups and repair
//	POST /-/admin/v1/scrub    read and verify every shard now; 202, and scrub is under way
package admin
