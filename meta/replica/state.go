package replica

import (
	"encoding/binary"
	"fmt"

	"holdfast/meta/fsm"
)

// Keys in the drive's KV; see doc.go.
const (
	keyRange   = 'g'    // range ID (8, big endian), key of the state machine → its value
	keyConfig  = "rc"   // group (4, big endian) → range ID, raft ID, index of the last snapshot, configuration
	keyApplied = "ra"   // group (4, big endian) → raft ID, applied index, its term
	keyPiece   = "rp"   // key, number (2, big endian) → a piece of a value too large for one record
	keyFiller  = "rfil" // nothing: pushes memtables out
	rangeLen   = 1 + 8
)

func configKey(group uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte(keyConfig), group)
}

func appliedKey(group uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte(keyApplied), group)
}

func rangePrefix(rangeID uint64) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, rangeLen), keyRange), rangeID)
}

// kvState is what the KV holds of one replica besides its range: the two are written in the
// same transaction.
type kvState struct {
	raftID  uint64
	rangeID uint64
	applied entryID
	// installed is the index of the newest snapshot that was swapped in.
	installed uint64
	config    *groupConfig
}

func saveConfig(s fsm.Store, group uint32, st kvState) error {
	v := binary.LittleEndian.AppendUint64(nil, st.rangeID)
	v = binary.LittleEndian.AppendUint64(v, st.raftID)
	v = binary.LittleEndian.AppendUint64(v, st.installed)
	return s.Set(configKey(group), append(v, st.config.encode()...))
}

func saveApplied(s fsm.Store, group uint32, raftID uint64, applied entryID) error {
	v := binary.LittleEndian.AppendUint64(make([]byte, 0, 24), raftID)
	v = binary.LittleEndian.AppendUint64(v, applied.index)
	return s.Set(appliedKey(group), binary.LittleEndian.AppendUint64(v, applied.term))
}

func saveState(s fsm.Store, group uint32, st kvState) error {
	if err := saveConfig(s, group, st); err != nil {
		return err
	}
	return saveApplied(s, group, st.raftID, st.applied)
}

// loadState returns nil if there is no replica of the group.
func loadState(r fsm.Reader, group uint32) (*kvState, error) {
	v, err := r.Get(configKey(group))
	if err != nil || v == nil {
		return nil, err
	}
	d := decoder{buf: v}
	st := &kvState{rangeID: d.u64(), raftID: d.u64(), installed: d.u64()}
	if d.err != nil {
		return nil, fmt.Errorf("replica: state of group %d: %w", group, d.err)
	}
	if st.config, err = decodeConfig(v[d.off:]); err != nil {
		return nil, fmt.Errorf("replica: state of group %d: %w", group, err)
	}
	if v, err = r.Get(appliedKey(group)); err != nil {
		return nil, err
	}
	d = decoder{buf: v}
	raftID := d.u64()
	st.applied = entryID{d.u64(), d.u64()}
	if d.err != nil || raftID != st.raftID {
		return nil, fmt.Errorf("replica: applied index of group %d is missing or another replica's", group)
	}
	return st, nil
}

// rangeIDs lists the ranges that have keys, one seek each.
func rangeIDs(r fsm.Reader) []uint64 {
	it := r.Iterate([]byte{keyRange})
	defer it.Close()
	var ids []uint64
	for it.Seek([]byte{keyRange}); it.Valid(); {
		k := it.Key()
		if len(k) < rangeLen {
			it.Next()
			continue
		}
		rangeID := binary.BigEndian.Uint64(k[1:])
		ids = append(ids, rangeID)
		if rangeID == ^uint64(0) {
			break
		}
		it.Seek(rangePrefix(rangeID + 1))
	}
	return ids
}

// ranged is the part of a transaction that belongs to one range: what the state machine sees.
type ranged struct {
	txn     Txn
	prefix  []byte
	scratch []byte
	// written counts the bytes handed to Set and Delete, with an estimate of the overhead.
	written int
}

func (s *ranged) key(key []byte) []byte {
	s.scratch = append(append(s.scratch[:0], s.prefix...), key...)
	return s.scratch
}

func (s *ranged) newKey(key []byte) []byte {
	k := make([]byte, 0, len(s.prefix)+len(key)+8) // room for Badger's version
	return append(append(k, s.prefix...), key...)
}

// writeOverhead is about what a write costs in a transaction besides key and value, in bytes.
const writeOverhead = 64

// Get implements fsm.Reader.
func (s *ranged) Get(key []byte) ([]byte, error) { return s.txn.Get(s.key(key)) }

// Set implements fsm.Store.
func (s *ranged) Set(key, value []byte) error {
	s.written += len(key) + len(value) + writeOverhead
	return s.txn.Set(s.newKey(key), value)
}

// Delete implements fsm.Store.
func (s *ranged) Delete(key []byte) error {
	s.written += len(key) + writeOverhead
	return s.txn.Delete(s.newKey(key))
}

// Iterate implements fsm.Reader.
func (s *ranged) Iterate(prefix []byte) fsm.Iterator {
	return &rangedIterator{it: s.txn.Iterate(s.newKey(prefix)), s: s}
}

type rangedIterator struct {
	it fsm.Iterator
	s  *ranged
}

func (i *rangedIterator) Seek(key []byte)        { i.it.Seek(i.s.key(key)) }
func (i *rangedIterator) Valid() bool            { return i.it.Valid() }
func (i *rangedIterator) Next()                  { i.it.Next() }
func (i *rangedIterator) Key() []byte            { return i.it.Key()[rangeLen:] }
func (i *rangedIterator) Value() ([]byte, error) { return i.it.Value() }
func (i *rangedIterator) Close()                 { i.it.Close() }
