// Package metapb holds the records and commands of the metadata groups (generated from meta.proto).
package metapb

//go:generate protoc --proto_path=. --go_out=. --go_opt=paths=source_relative meta.proto
