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

// janitor is the goroutine that does what may take long or need a disk, and nobody waits for: it looks
// how far the KV has flushed, cuts the log, and deletes dead ranges, a batch at a time in between.
func (l *loop) janitor() {
	defer close(l.swept)
	var dead []uint64
	for l.life.Err() == nil {
		if len(dead) > 0 {
			select {
			case <-l.looks:
				l.lookAround()
			case segment := <-l.cuts:
				l.removeBefore(segment)
			default:
				dead = l.sweepFirst(dead)
			}
			continue
		}
		select {
		case <-l.life.Done():
		case <-l.looks:
			l.lookAround()
		case segment := <-l.cuts:
			l.removeBefore(segment)
		case rangeID := <-l.sweeps:
			dead = append(dead, rangeID)
		}
	}
}

func (l *loop) removeBefore(segment uint64) {
	if err := l.log.RemoveBefore(segment); err != nil {
		l.cfg.Logger.Warn("raft log not cut", "drive", l.drive.ID, "error", err)
	}
}

// sweepFirst deletes a batch of the first dead range, and returns those that are left.
func (l *loop) sweepFirst(dead []uint64) []uint64 {
	n, err := l.sweepSome(dead[0])
	if err != nil {
		l.cfg.Logger.Warn("dead range not deleted", "drive", l.drive.ID, "error", err)
	}
	if n == 0 || err != nil {
		return dead[1:]
	}
	return dead
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
