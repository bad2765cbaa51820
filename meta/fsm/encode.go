package fsm

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"holdfast/proto/metapb"
)

// Field numbers of the maps of a manifest.
const (
	fieldHeaders  = 9
	fieldMetadata = 10
)

// encodeManifest is encode for the largest and most frequent record. The library sorts maps by
// reflection, which costs more than all the rest of a manifest; so they are taken out and appended
// by hand, behind the other fields. Any protobuf decoder reads that.
func encodeManifest(m *metapb.Manifest) ([]byte, error) {
	headers, metadata := m.Headers, m.Metadata
	m.Headers, m.Metadata = nil, nil
	size := proto.Size(m)
	b := make([]byte, 0, size+mapSize(headers)+mapSize(metadata))
	b, err := proto.MarshalOptions{Deterministic: true, UseCachedSize: true}.MarshalAppend(b, m)
	m.Headers, m.Metadata = headers, metadata
	if err != nil {
		return nil, fmt.Errorf("fsm: encode manifest: %w", err)
	}
	return appendMap(appendMap(b, fieldHeaders, headers), fieldMetadata, metadata), nil
}

// entrySize is the length of a map's entry without its tag and length: both fields have tags of
// one byte.
func entrySize(k, v string) int {
	return 2 + protowire.SizeBytes(len(k)) + protowire.SizeBytes(len(v))
}

func mapSize(m map[string]string) (n int) {
	for k, v := range m {
		n += 1 + protowire.SizeBytes(entrySize(k, v))
	}
	return n
}

func appendMap(b []byte, field protowire.Number, m map[string]string) []byte {
	var room [16]string
	keys := room[:0]
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		v := m[k]
		b = protowire.AppendTag(b, field, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(entrySize(k, v)))
		b = protowire.AppendTag(b, 1, protowire.BytesType)
		b = protowire.AppendString(b, k)
		b = protowire.AppendTag(b, 2, protowire.BytesType)
		b = protowire.AppendString(b, v)
	}
	return b
}
