// Package formpb holds what nodes say to each other while they form a cluster (generated from form.proto).
package formpb

//go:generate protoc --proto_path=. --go_out=. --go_opt=paths=source_relative form.proto
