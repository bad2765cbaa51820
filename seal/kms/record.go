package kms

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Bounds of the built-in KMS. All records are held in memory by every front.
const (
	MaxKeys     = 1024 // master keys
	MaxVersions = 256  // of one key: a rotation a month for twenty years
)

const recordFormat = 1

// States of a master key, as stored.
const (
	stateEnabled  = 1
	stateDisabled = 2
)

var errRecord = errors.New("kms: a stored master key is damaged")

// record is one master key as the store keeps it.
type record struct {
	name     string
	state    byte
	created  time.Time // in milliseconds
	versions []wrappedVersion
}

// wrappedVersion is the random key of one rotation, wrapped under the cluster's secret.
type wrappedVersion struct {
	number  uint32
	created time.Time
	wrapped [wrappedSize]byte
}

// encode writes the record in the form that doc.go draws.
func (r record) encode() []byte {
	b := []byte{recordFormat, r.state, byte(len(r.name))}
	b = append(b, r.name...)
	b = binary.BigEndian.AppendUint64(b, uint64(r.created.UnixMilli()))
	b = binary.BigEndian.AppendUint16(b, uint16(len(r.versions)))
	for _, v := range r.versions {
		b = binary.BigEndian.AppendUint32(b, v.number)
		b = binary.BigEndian.AppendUint64(b, uint64(v.created.UnixMilli()))
		b = append(b, v.wrapped[:]...)
	}
	return b
}

// decodeRecord reads a record, strictly: what it takes, encode writes again byte for byte.
func decodeRecord(b []byte) (record, error) {
	if len(b) > 0 && b[0] != recordFormat {
		return record{}, fmt.Errorf("kms: a stored master key has format %d, this program knows %d", b[0], recordFormat)
	}
	const versionSize = 4 + 8 + wrappedSize
	if len(b) < 3 || len(b) < 3+int(b[2])+8+2 {
		return record{}, errRecord
	}
	r := record{state: b[1], name: string(b[3 : 3+int(b[2])])}
	b = b[3+len(r.name):]
	r.created = millis(b)
	n := int(binary.BigEndian.Uint16(b[8:]))
	b = b[10:]
	if !ValidName(r.name) || r.state != stateEnabled && r.state != stateDisabled ||
		n == 0 || n > MaxVersions || len(b) != n*versionSize {
		return record{}, errRecord
	}
	for last := uint32(0); len(b) > 0; b = b[versionSize:] {
		v := wrappedVersion{number: binary.BigEndian.Uint32(b), created: millis(b[4:]), wrapped: [wrappedSize]byte(b[12:versionSize])}
		if v.number <= last {
			return record{}, errRecord
		}
		last = v.number
		r.versions = append(r.versions, v)
	}
	return r, nil
}

func millis(b []byte) time.Time { return time.UnixMilli(int64(binary.BigEndian.Uint64(b))) }
