package fsm

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"holdfast/internal/kind"
)

// ErrDamaged is in the chain of errors that mean stored bytes are not what Apply once wrote. A
// replica that sees it must stop and be rebuilt from its peers.
var ErrDamaged = errors.New("fsm: damaged record")

// Reader is an ordered map at one point in time. Keys are relative to the group.
type Reader interface {
	// Get returns the value of key, nil if there is none. It is valid until the next call on the
	// store and is never written to. No stored value is empty.
	Get(key []byte) ([]byte, error)
	// Iterate opens an iterator over the keys that begin with prefix, in ascending order of bytes.
	// It stands nowhere before its first Seek. At most one is open at a time, nothing is written while
	// it is open, and it sees what was written before it was opened.
	Iterate(prefix []byte) Iterator
}

// Iterator walks keys with a common prefix.
type Iterator interface {
	// Seek moves to the first key at or after key, which begins with the iterator's prefix or is
	// above all that do. It only ever moves forward.
	Seek(key []byte)
	Next()
	Valid() bool
	// Key and Value are valid until the iterator moves and are never written to.
	Key() []byte
	Value() ([]byte, error)
	Close()
}

// Store is what Apply changes: a Reader that sees its own writes. It keeps the slices given to
// Set and Delete until it is committed; Apply does not touch them again.
type Store interface {
	Reader
	Set(key, value []byte) error
	Delete(key []byte) error
}

// refusal is a command's or a query's answer other than success. It is an error only within this
// package: whatever else is an error stops the replica, and an error of the store must never be
// taken for an answer, even if it carries a kind.
type refusal struct {
	kind    kind.Kind
	message string
}

func (r *refusal) Error() string { return r.message }

func refuse(k kind.Kind, format string, args ...any) error {
	return &refusal{k, fmt.Sprintf(format, args...)}
}

func damaged(what string, err error) error {
	if err == nil {
		return fmt.Errorf("%w: %s", ErrDamaged, what)
	}
	return fmt.Errorf("%w: %s: %w", ErrDamaged, what, err)
}

// load reads a record into m and reports whether it is there.
func load(r Reader, key []byte, what string, m proto.Message) (bool, error) {
	b, err := r.Get(key)
	if err != nil {
		return false, fmt.Errorf("fsm: read %s: %w", what, err)
	}
	if b == nil {
		return false, nil
	}
	if err := proto.Unmarshal(b, m); err != nil {
		return false, damaged(what, err)
	}
	return true, nil
}

// has reports whether a record is there.
func has(r Reader, key []byte, what string) (bool, error) {
	b, err := r.Get(key)
	if err != nil {
		return false, fmt.Errorf("fsm: read %s: %w", what, err)
	}
	return b != nil, nil
}

// encode is the stored form of m: the same bytes on every replica, whatever the order of maps.
func encode(m proto.Message) ([]byte, error) {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("fsm: encode %T: %w", m, err)
	}
	return b, nil
}

// save writes a record.
func save(s Store, key []byte, m proto.Message) error {
	b, err := encode(m)
	if err != nil {
		return err
	}
	return s.Set(key, b)
}
