package replica

// sweepBatch is how many keys of a dead range are deleted in one transaction.
const sweepBatch = 2000

// newRange gives out a range ID that no key on the drive has.
func (l *loop) newRange() uint64 { return l.nextRange.Add(1) }

// sweep deletes a range in the background. If the process ends before that, the next start finds
// the range without an owner.
func (l *loop) sweep(rangeID uint64) {
	if rangeID == 0 {
		return
	}
	select {
	case l.sweeps <- rangeID:
	default: // the next start does it
		l.cfg.Logger.Debug("range left for the next start", "drive", l.drive.ID, "range", rangeID)
	}
}

// janitor is the goroutine that does what may take long and nobody waits for: it deletes dead
// ranges and segments of the log.
func (l *loop) janitor() {
	defer close(l.swept)
	for {
		select {
		case <-l.host.life.Done():
			return
		case segment := <-l.cuts:
			if err := l.log.RemoveBefore(segment); err != nil {
				l.cfg.Logger.Warn("raft log not cut", "drive", l.drive.ID, "error", err)
			}
		case rangeID := <-l.sweeps:
			for l.host.life.Err() == nil {
				n, err := l.sweepSome(rangeID)
				if err != nil {
					l.cfg.Logger.Warn("dead range not deleted", "drive", l.drive.ID, "error", err)
				}
				if n == 0 || err != nil {
					break
				}
			}
		}
	}
}

func (l *loop) sweepSome(rangeID uint64) (int, error) {
	keys := l.keysOf(rangeID)
	if len(keys) == 0 {
		return 0, nil
	}
	txn := l.drive.KV.Begin(true)
	defer txn.Discard()
	for _, k := range keys {
		if err := txn.Delete(k); err != nil {
			return 0, err
		}
	}
	return len(keys), txn.Commit()
}

func (l *loop) keysOf(rangeID uint64) [][]byte {
	txn := l.drive.KV.Begin(false)
	defer txn.Discard()
	prefix := rangePrefix(rangeID)
	it := txn.Iterate(prefix)
	defer it.Close()
	var keys [][]byte
	for it.Seek(prefix); it.Valid() && len(keys) < sweepBatch; it.Next() {
		keys = append(keys, append([]byte(nil), it.Key()...))
	}
	return keys
}
