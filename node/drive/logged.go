package drive

import (
	"fmt"

	"holdfast/node/drive/index"
	"holdfast/node/drive/shard"
)

// readLogged reads from a block that is kept in the log, after the whole block was verified.
func (d *Drive) readLogged(e index.Entry, n, off int, dst []byte) error {
	size := e.BlockSize(n)
	at := int64(blockAt(e.Spec, n))
	if len(dst) == size { // straight into the caller's buffer
		var trailer [shard.TrailerLen]byte
		if err := d.shard.ReadPart(e.Place, at, dst, trailer[:]); err != nil {
			return err
		}
		return shard.Open(trailer[:], e.Spec, n, dst)
	}
	b := d.buffers.get(size + shard.TrailerLen)
	defer d.buffers.put(b)
	if err := d.shard.ReadPart(e.Place, at, *b); err != nil {
		return err
	}
	if err := shard.Open((*b)[size:], e.Spec, n, (*b)[:size]); err != nil {
		return err
	}
	copy(dst, (*b)[off:size])
	return nil
}

// verifyRecord checks the record of a shard, and its blocks if they are in it.
func (d *Drive) verifyRecord(e index.Entry) error {
	b := d.buffers.get(int(e.Bytes))
	defer d.buffers.put(b)
	recordKind, payload, err := d.shard.Read(e.Place, *b)
	if err != nil {
		return err
	}
	op, err := decodeRecord(e.Place, recordKind, payload)
	if err != nil {
		return err
	}
	if got := op.Shard; recordKind != kindShard || got.Spec != e.Spec || got.Blob != e.Blob {
		return fmt.Errorf("%w: record of %s where %s belongs", shard.ErrDamaged, got.Shard, e.Shard)
	}
	if e.Blob != 0 {
		return nil
	}
	for n := range e.Blocks() {
		block := payload[blockAt(e.Spec, n):]
		size := e.BlockSize(n)
		if err := shard.Open(block[size:], e.Spec, n, block[:size]); err != nil {
			return err
		}
	}
	return nil
}
