package replica

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// Badger keeps values above 1 MiB outside its tables, where nothing makes them durable. The
// manifest of an object of 10,000 parts is larger than that. Such a value is stored in pieces
// under keys of their own, and a stub in its place.

const (
	// pieceBytes is the size of a piece, and of the largest value that stays whole.
	pieceBytes = 768 << 10
	// metaPieces marks a stub: the value is the length in bytes (u32) of what the pieces hold.
	metaPieces byte = 1
)

var errPieces = errors.New("replica: value in pieces is damaged")

func pieceKey(key []byte, n int) []byte {
	k := append(make([]byte, 0, len(keyPiece)+len(key)+2+8), keyPiece...)
	return binary.BigEndian.AppendUint16(append(k, key...), uint16(n))
}

func pieces(length int) int { return (length + pieceBytes - 1) / pieceBytes }

func (t *badgerTxn) split(key, value []byte) error {
	t.kv.large.Store(true)
	for n := range pieces(len(value)) {
		piece := value[n*pieceBytes : min((n+1)*pieceBytes, len(value))]
		if err := tooBig(t.txn.Set(pieceKey(key, n), piece)); err != nil {
			return err
		}
	}
	stub := binary.LittleEndian.AppendUint32(nil, uint32(len(value)))
	return tooBig(t.txn.SetEntry(badger.NewEntry(key, stub).WithMeta(metaPieces)))
}

// stubLength is the length that a stub tells.
func stubLength(item *badger.Item) (length int, err error) {
	err = item.Value(func(v []byte) error {
		if len(v) != 4 {
			return errPieces
		}
		length = int(binary.LittleEndian.Uint32(v))
		return nil
	})
	return length, err
}

func (t *badgerTxn) join(item *badger.Item) ([]byte, error) {
	length, err := stubLength(item)
	if err != nil {
		return nil, err
	}
	key := item.KeyCopy(nil)
	value := make([]byte, 0, length)
	for n := range pieces(length) {
		piece, err := t.txn.Get(pieceKey(key, n))
		if err == nil {
			err = piece.Value(func(v []byte) error { value = append(value, v...); return nil })
		}
		if err != nil {
			return nil, fmt.Errorf("%w: piece %d: %w", errPieces, n, err)
		}
	}
	if len(value) != length {
		return nil, errPieces
	}
	return value, nil
}

// clear deletes the pieces of what is stored under key. It costs nothing while there is no such
// value in the database.
func (t *badgerTxn) clear(key []byte) error {
	if !t.kv.large.Load() {
		return nil
	}
	item, err := t.txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil
	}
	if err != nil || item.UserMeta() != metaPieces {
		return err
	}
	length, err := stubLength(item)
	if err != nil {
		return err
	}
	for n := range pieces(length) {
		if err := tooBig(t.txn.Delete(pieceKey(key, n))); err != nil {
			return err
		}
	}
	return nil
}
