package fsm

import (
	"fmt"
	"slices"
	"unicode/utf8"

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

// encodeVersion is what a manifest is stored as: its own record, and more with the parts that
// would make one larger than about limit bytes. It sets m.PartRecords.
func encodeVersion(m *metapb.Manifest, limit int) (values [][]byte, err error) {
	groups := splitParts(m.Parts, limit)
	all := m.Parts
	m.Parts, m.PartRecords = groups[0], uint32(len(groups)-1)
	first, err := encodeManifest(m)
	m.Parts = all
	if err != nil {
		return nil, err
	}
	values, size := append(make([][]byte, 0, len(groups)), first), len(first)
	for _, g := range groups[1:] {
		b, err := encode(&metapb.Manifest{Parts: g})
		if err != nil {
			return nil, err
		}
		values, size = append(values, b), size+len(b)
	}
	if size > maxManifest {
		return nil, errManifestTooLarge
	}
	return values, nil
}

// splitParts cuts parts into at least one group of at most limit bytes, or one part.
func splitParts(parts []*metapb.Part, limit int) (groups [][]*metapb.Part) {
	begin, size := 0, 0
	if len(parts) > 1 {
		for i, p := range parts {
			n := 1 + protowire.SizeBytes(proto.Size(p))
			if size+n > limit && i > begin {
				groups = append(groups, parts[begin:i])
				begin, size = i, 0
			}
			size += n
		}
	}
	return append(groups, parts[begin:])
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

// decodeManifest is proto.Unmarshal for what encodeManifest writes: the maps at the end are read by
// hand. Records in another order are left to the library.
func decodeManifest(b []byte, m *metapb.Manifest) error {
	head, ok := headLen(b)
	if !ok {
		return proto.Unmarshal(b, m)
	}
	if err := proto.Unmarshal(b[:head], m); err != nil {
		return err
	}
	for rest := b[head:]; len(rest) > 0; {
		field, _, n := protowire.ConsumeTag(rest) // headLen has seen to it that these succeed
		entry, l := protowire.ConsumeBytes(rest[n:])
		rest = rest[n+l:]
		k, v, ok := mapEntry(entry)
		if !ok {
			proto.Reset(m)
			return proto.Unmarshal(b, m)
		}
		into := &m.Headers
		if field == fieldMetadata {
			into = &m.Metadata
		}
		if *into == nil {
			*into = map[string]string{}
		}
		(*into)[k] = v
	}
	return nil
}

// headLen is where the maps begin; not ok if anything else follows them.
func headLen(b []byte) (head int, ok bool) {
	inMaps := false
	for at := 0; at < len(b); {
		field, wire, n := protowire.ConsumeTag(b[at:])
		if n < 0 {
			return 0, false
		}
		l := protowire.ConsumeFieldValue(field, wire, b[at+n:])
		if l < 0 {
			return 0, false
		}
		isMap := (field == fieldHeaders || field == fieldMetadata) && wire == protowire.BytesType
		if inMaps && !isMap {
			return 0, false
		}
		inMaps = isMap
		at += n + l
		if !inMaps {
			head = at
		}
	}
	return head, true
}

// mapEntry is a key and a value in the form that appendMap writes.
func mapEntry(b []byte) (k, v string, ok bool) {
	text := string(b)
	for want := protowire.Number(1); want <= 2; want++ {
		field, wire, n := protowire.ConsumeTag(b)
		if n < 0 || field != want || wire != protowire.BytesType {
			return "", "", false
		}
		value, l := protowire.ConsumeBytes(b[n:])
		if l < 0 {
			return "", "", false
		}
		end := len(text) - len(b) + n + l
		k, v = v, text[end-len(value):end]
		b = b[n+l:]
	}
	return k, v, len(b) == 0 && utf8.ValidString(k) && utf8.ValidString(v)
}
