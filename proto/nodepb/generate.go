// Package nodepb holds the messages between node/client and node/server (generated from node.proto).
package nodepb

//go:generate protoc --proto_path=. --go_out=. --go_opt=paths=source_relative node.proto
