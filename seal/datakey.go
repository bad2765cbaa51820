package seal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"holdfast/internal/kind"
)

const (
	domainDataKey  = "holdfast/data-key/v1"
	domainDataWrap = "holdfast/data-key-wrap/v1"

	wrappedDataSize = 1 + nonceSize + KeySize + Overhead
)

// ErrSpent is returned when a data key would seal a second stream: nonces would repeat.
var ErrSpent = errors.New("seal: this data key has sealed its stream, or was opened and may not seal; make a new one")

// DataKey seals one stream of chunks: a part, or an object put in one request. One that came from
// NewDataKey seals once, the stream that it was made for; one that came from OpenDataKey never
// seals. So no caller can make a nonce repeat. It prints as REDACTED.
type DataKey struct{ hidden }

// NewDataKey makes the key of one attempt to write a part (number 1 if the object has no parts),
// and the same key wrapped under the object key, bound to the part number and the stream.
func (k *ObjectKey) NewDataKey(part uint32, stream [16]byte, rand io.Reader) (*DataKey, []byte, error) {
	object, err := k.bytes()
	if err != nil {
		return nil, nil, err
	}
	place := binary.BigEndian.AppendUint32(make([]byte, 0, 4), part)
	okm, err := hedged(object, info(domainDataKey, place, stream[:]), KeySize+nonceSize, rand)
	if err != nil {
		return nil, nil, err
	}
	wrapper, err := subkey(object, info(domainDataWrap))
	if err != nil {
		return nil, nil, err
	}
	wrapped := make([]byte, 1+nonceSize, wrappedDataSize)
	wrapped[0] = FormatVersion
	copy(wrapped[1:], okm[KeySize:])
	wrapped = wrapper.Seal(wrapped, okm[KeySize:], okm[:KeySize], dataKeyAAD(part, stream))
	d := newDataKey(okm[:KeySize], stream)
	(*d.p).fresh.Store(true)
	return d, wrapped, nil
}

// OpenDataKey unwraps the key of a stored part. What does not open (moved from another object, part
// or attempt, or altered) is kind.Damaged: the object key was right already.
func (k *ObjectKey) OpenDataKey(wrapped []byte, part uint32, stream [16]byte) (*DataKey, error) {
	object, err := k.bytes()
	if err != nil {
		return nil, err
	}
	if len(wrapped) > 0 && wrapped[0] != FormatVersion {
		return nil, fmt.Errorf("%w: data key %d", ErrFormat, wrapped[0])
	}
	if len(wrapped) != wrappedDataSize {
		return nil, kind.New(kind.Damaged, "seal: wrapped data key of %d bytes", len(wrapped))
	}
	wrapper, err := subkey(object, info(domainDataWrap))
	if err != nil {
		return nil, err
	}
	key, err := wrapper.Open(nil, wrapped[1:1+nonceSize], wrapped[1+nonceSize:], dataKeyAAD(part, stream))
	if err != nil {
		return nil, kind.New(kind.Damaged, "seal: the wrapped data key of part %d is damaged or belongs elsewhere", part)
	}
	return newDataKey(key, stream), nil
}

// Zero clears the key. It must not run beside a use; readers and openers made before go on, for
// they hold a key schedule of their own.
func (d *DataKey) Zero() {
	if d != nil {
		d.zero()
	}
}

// newDataKey takes the bytes of key and zeroes key.
func newDataKey(key []byte, stream [16]byte) *DataKey {
	d := &DataKey{hide(key)}
	(*d.p).stream = stream
	return d
}

func (d *DataKey) bytes() ([]byte, error) {
	if d == nil {
		return nil, ErrZeroed
	}
	s, err := d.use()
	if err != nil {
		return nil, err
	}
	return s.b[:], nil
}

// spend gives the key up for sealing its one stream.
func (d *DataKey) spend(stream [16]byte) error {
	if stream != (*d.p).stream || !(*d.p).fresh.Swap(false) {
		return ErrSpent
	}
	return nil
}

// dataKeyAAD binds a wrapped data key to its format, part number and stream.
func dataKeyAAD(part uint32, stream [16]byte) []byte {
	b := make([]byte, 0, 1+4+16)
	b = append(b, FormatVersion)
	b = binary.BigEndian.AppendUint32(b, part)
	return append(b, stream[:]...)
}
