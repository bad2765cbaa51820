package fsm

import (
	"bytes"
	"encoding/binary"
	"strings"

	"holdfast/internal/id"
)

// The tables: the first byte of each key. doc.go draws the rest.
const (
	tableCurrent    = 'c' // bucket, key → Current
	tableVersion    = 'v' // bucket, key, inverted sequence → Manifest
	tableParts      = 'm' // bucket, key, inverted sequence, number → Manifest with parts only
	tableIndex      = 'i' // bucket, key, version ID → sequence, of versions below the current one
	tableNull       = 'n' // bucket, key → sequence of the null version, when it is below the current one
	tableUpload     = 'u' // bucket, key, upload ID → Upload
	tablePart       = 'p' // upload ID, number → Part
	tableData       = 'd' // data ID → Placement
	tableGarbage    = 'g' // data ID → Garbage
	tableRepair     = 'r' // data ID → mark
	tableUsage      = 'U' // bucket → Usage
	tableClosed     = 'x' // bucket → mark
	tableRelease    = 'z' // raft index, number → Release
	tableBacklog    = 'Z' // → number of Release records
	tableBucket     = 'B' // name → Bucket
	tableDrive      = 'D' // drive ID → Drive
	tableNode       = 'N' // node ID → Node
	tableSettings   = 'S' // → Settings
	tableLayout     = 'L' // → index of the last command that changed nodes, drives, settings or cluster
	tableCluster    = 'C' // → Cluster
	tableDocument   = 'T' // collection, 0, name → Document
	tableCollection = 'W' // collection → index of the last command that changed it
	sequenceLen     = 8
	bucketTableLen  = 1 + id.Size
)

// Escapes of S3 keys: a byte 0 becomes 0, 255 and the end is 0, 1. So encoded keys sort as the
// keys themselves do and none is a prefix of another.
const (
	escapeByte = 0xff
	endByte    = 0x01
)

// mark is the value of records that say something by being there.
var markValue = []byte{1}

func appendEscaped(dst []byte, key string) []byte {
	for {
		i := strings.IndexByte(key, 0)
		if i < 0 {
			return append(dst, key...)
		}
		dst = append(dst, key[:i+1]...)
		dst = append(dst, escapeByte)
		key = key[i+1:]
	}
}

// currentKey is the key of an S3 key's Current. Behind its first byte is the middle of all keys
// about that S3 key.
func currentKey(bucket []byte, key string) []byte {
	b := make([]byte, 0, 1+len(bucket)+len(key)+2+strings.Count(key, "\x00"))
	b = append(append(b, tableCurrent), bucket...)
	return append(appendEscaped(b, key), 0, endByte)
}

// splitKey takes the S3 key off the front of b, which begins behind the bucket, and returns what
// follows it. The key aliases b if it has no byte 0.
func splitKey(b []byte) (key, rest []byte, ok bool) {
	i := bytes.IndexByte(b, 0)
	if i >= 0 && i+1 < len(b) && b[i+1] == endByte {
		return b[:i], b[i+2:], true
	}
	for {
		i := bytes.IndexByte(b, 0)
		if i < 0 || i+1 >= len(b) {
			return nil, nil, false
		}
		key = append(key, b[:i]...)
		switch b[i+1] {
		case endByte:
			return key, b[i+2:], true
		case escapeByte:
			key = append(key, 0)
		default:
			return nil, nil, false
		}
		b = b[i+2:]
	}
}

// tableKey puts a table's letter before parts of a key.
func tableKey(table byte, parts ...[]byte) []byte {
	n := 1
	for _, p := range parts {
		n += len(p)
	}
	b := append(make([]byte, 0, n), table)
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// versionKey ends in the inverted sequence: the newest version comes first.
func versionKey(object []byte, sequence uint64) []byte {
	b := make([]byte, 0, 1+len(object)+sequenceLen)
	b = append(append(b, tableVersion), object...)
	return binary.BigEndian.AppendUint64(b, ^sequence)
}

// partsKey is that of the n-th further record of a version's parts.
func partsKey(object []byte, sequence uint64, n uint32) []byte {
	b := make([]byte, 0, 1+len(object)+sequenceLen+4)
	b = append(append(b, tableParts), object...)
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(b, ^sequence), n)
}

func partKey(upload []byte, number uint32) []byte {
	b := make([]byte, 0, 1+len(upload)+4)
	b = append(append(b, tablePart), upload...)
	return binary.BigEndian.AppendUint32(b, number)
}

func releaseKey(index uint64, n uint32) []byte {
	b := append(make([]byte, 0, 13), tableRelease)
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(b, index), n)
}

// successor turns b into the smallest key above all that begin with b; nil if there is none.
func successor(b []byte) []byte {
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] != 0xff {
			b[i]++
			return b[:i+1]
		}
	}
	return nil
}

func sequenceValue(sequence uint64) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, 0, sequenceLen), sequence)
}
