// Package admin is the JSON API for operators under /-/admin/v1/, signed like S3 (SigV4): package
// cluster/operate over HTTP. Arguments are in the query; no call has a body.
//
//	GET  status                                    nodes, drives, groups, redundancy, work under way
//	POST drives/add       path=DIR [node=N]        take a directory of a node into service
//	POST drives/drain     drive=D                  have it emptied
//	POST drives/undrain   drive=D
//	POST drives/remove    drive=D [force=true]
//	POST nodes/drain      node=N
//	POST nodes/undrain    node=N
//	POST nodes/remove     node=N [force=true]
//	POST rebalance/pause, rebalance/resume, rebalance/kick
//	POST rebalance/rate   bytes_per_second=B       of each node; 0 is the default
//	POST repair/after     seconds=S                how long a drive may be away; 0 is the default
//	POST scrub                                     read and verify every shard now
//
// A drive is named by its ID, the first digits of it, or NODE:PATH; a node by its name or ID. Errors
// are {"code": …, "message": …}; the codes are those of cluster/operate and never change.
//
// Whatever changes something is logged with who asked and what came of it, and may be said twice.
package admin
