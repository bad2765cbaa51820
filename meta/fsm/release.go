package fsm

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"holdfast/internal/id"
	"holdfast/proto/metapb"
)

// A version or an upload can have 10,000 parts; dropping all of their data in one command would
// not fit into one transaction of the store, and would hold up the group. So what is more than
// releaseBatch is written down in Release records, and later commands work those off one batch
// each, oldest first. Until then the references count.

// release drops one reference of each data ID, now if there are few.
func (a *applier) release(dataIDs [][]byte) error {
	if len(dataIDs) <= a.batch {
		for _, dataID := range dataIDs {
			if err := a.dropRef(dataID); err != nil {
				return err
			}
		}
		return nil
	}
	for batch := range slices.Chunk(dataIDs, a.batch) {
		if err := a.postpone(&metapb.Release{DataIds: bytes.Join(batch, nil)}); err != nil {
			return err
		}
	}
	return nil
}

// postpone puts a record on the backlog.
func (a *applier) postpone(r *metapb.Release) error {
	if err := save(a.s, releaseKey(a.index, a.releases), r); err != nil {
		return err
	}
	a.releases++
	n, err := backlog(a.s)
	if err != nil {
		return err
	}
	return a.setBacklog(n + 1)
}

// backlog is the number of Release records. It has a record of its own because looking for the
// first of them would cost every command an iterator.
func backlog(r Reader) (uint64, error) {
	b, err := r.Get([]byte{tableBacklog})
	if err != nil {
		return 0, fmt.Errorf("fsm: read backlog: %w", err)
	}
	switch len(b) {
	case 0:
		return 0, nil
	case sequenceLen:
		return binary.BigEndian.Uint64(b), nil
	}
	return 0, damaged("backlog", nil)
}

func (a *applier) setBacklog(n uint64) error {
	if n == 0 {
		return a.s.Delete([]byte{tableBacklog})
	}
	return a.s.Set([]byte{tableBacklog}, sequenceValue(n))
}

// workOff drops one batch of references from the backlog and reports whether more are left.
func (a *applier) workOff() (more bool, err error) {
	n, err := backlog(a.s)
	if err != nil || n == 0 {
		return false, err
	}
	key, r, err := a.oldestRelease()
	if err != nil {
		return false, err
	}
	done := true
	if len(r.UploadId) > 0 {
		done, err = a.dropParts(r.UploadId, r.Kept)
	} else {
		for dataID := range slices.Chunk(r.DataIds, id.Size) {
			if err = a.dropRef(dataID); err != nil {
				break
			}
		}
	}
	if err != nil || !done {
		return true, err
	}
	if err := a.s.Delete(key); err != nil {
		return false, err
	}
	return n > 1, a.setBacklog(n - 1)
}

func (a *applier) oldestRelease() ([]byte, *metapb.Release, error) {
	it := a.s.Iterate([]byte{tableRelease})
	defer it.Close()
	it.Seek([]byte{tableRelease})
	if !it.Valid() {
		return nil, nil, damaged("backlog counts records that are not there", nil)
	}
	b, err := it.Value()
	if err != nil {
		return nil, nil, fmt.Errorf("fsm: read release: %w", err)
	}
	r := &metapb.Release{}
	if err := proto.Unmarshal(b, r); err != nil {
		return nil, nil, damaged("release", err)
	}
	return slices.Clone(it.Key()), r, nil
}

// dropParts removes up to releaseBatch part records of an upload that is over, and the data of
// those that are not kept. It reports whether none are left.
func (a *applier) dropParts(upload, kept []byte) (done bool, err error) {
	parts, more, err := readParts(a.s, upload, 0, a.batch)
	if err != nil {
		return false, err
	}
	for _, p := range parts {
		if err := a.s.Delete(partKey(upload, p.Number)); err != nil {
			return false, err
		}
		if len(p.DataId) == 0 || bitSet(kept, p.Number) {
			continue
		}
		if err := a.dropRef(p.DataId); err != nil {
			return false, err
		}
	}
	return !more, nil
}

func bitSet(bits []byte, n uint32) bool {
	return int(n/8) < len(bits) && bits[n/8]&(1<<(n%8)) != 0
}

func setBit(bits []byte, n uint32) []byte {
	for int(n/8) >= len(bits) {
		bits = append(bits, 0)
	}
	bits[n/8] |= 1 << (n % 8)
	return bits
}
