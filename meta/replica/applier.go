package replica

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync"

	pb "go.etcd.io/raft/v3/raftpb"

	"holdfast/meta/fsm"
	"holdfast/proto/metapb"
)

// applier carries out committed entries of all replicas on a drive, in order, from one goroutine.
type applier struct {
	l      *loop
	kv     KV
	mu     sync.Mutex
	queue  []applyJob
	spare  []applyJob
	closed bool
	wake   chan struct{}
	done   chan struct{}

	results []*metapb.Result // of a transaction
	history history
}

// applyJob is what one Ready of one replica wants applied, or a snapshot to be swapped in.
type applyJob struct {
	r         *replica
	entries   []*pb.Entry
	configs   map[uint64]*groupConfig // by index of the entry that brings it
	proposals []*proposal             // as long as entries, or nil
	responses []*pb.Message
	install   *installJob
	drop      bool // forget the replica

	next   int // the first entry not applied
	failed error
}

// applyDone tells the loop. config is set when this drive's membership may have changed.
type applyDone struct {
	r         *replica
	responses []*pb.Message
	config    *groupConfig
	install   *installJob
	err       error // of the replica: it must stop
	driveErr  error // of the KV: the drive must go out
}

// maxTxnBytes is where a transaction is committed, in bytes written. Badger takes about 2.4 MB
// with memtables of 16 MiB; one command may write up to that by itself.
const maxTxnBytes = 1 << 20

func newApplier(l *loop) *applier {
	return &applier{l: l, kv: l.drive.KV, wake: make(chan struct{}, 1), done: make(chan struct{})}
}

func (a *applier) push(j applyJob) {
	a.mu.Lock()
	a.queue = append(a.queue, j)
	a.mu.Unlock()
	a.signal()
}

func (a *applier) signal() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

func (a *applier) close() {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.signal()
	<-a.done
}

func (a *applier) take() (jobs []applyJob, closed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.spare)
	a.queue, a.spare = a.spare[:0], a.queue
	return a.spare, a.closed
}

func (a *applier) run() {
	defer close(a.done)
	for range a.wake {
		jobs, closed := a.take()
		if closed {
			for i := range jobs {
				jobs[i].abandon()
			}
			return
		}
		if err := a.work(jobs); err != nil {
			a.report(applyDone{driveErr: fmt.Errorf("replica: drive %s: apply: %w", a.l.drive.ID, err)})
			for i := range jobs {
				jobs[i].abandon()
			}
			return
		}
	}
}

// alone reports whether a job has transactions of its own.
func (j *applyJob) alone() bool { return j.install != nil || j.drop }

// abandon answers the waiters of a job that will not be done here.
func (j *applyJob) abandon() {
	for _, p := range j.proposals {
		if p != nil {
			p.lost()
		}
	}
}

func (a *applier) report(d applyDone) {
	a.l.in.put(func(w *work) bool { w.applied = append(w.applied, d); return true })
}

// work carries out jobs, as many in a transaction as it takes.
func (a *applier) work(jobs []applyJob) error {
	for len(jobs) > 0 {
		if j := &jobs[0]; j.alone() {
			var err error
			if j.drop {
				err = a.forget(j.r)
			} else {
				err = a.swap(j)
			}
			if err != nil {
				return err
			}
			jobs = jobs[1:]
			continue
		}
		n := 1
		for n < len(jobs) && !jobs[n].alone() {
			n++
		}
		if err := a.apply(jobs[:n]); err != nil {
			return err
		}
		jobs = jobs[n:]
	}
	return nil
}

// apply runs jobs of entries. When a command does not fit into the transaction any more,
// everything is done again up to it: the state machine is pure.
func (a *applier) apply(jobs []applyJob) error {
	limit := -1
	for len(jobs) > 0 {
		if jobs[0].r.broken && jobs[0].failed == nil {
			jobs = jobs[1:]
			continue
		}
		done, err := a.transaction(jobs, limit)
		if errors.Is(err, ErrTxnTooBig) && done > 0 {
			limit = done
			continue
		}
		if err != nil {
			return err
		}
		limit = -1
		for len(jobs) > 0 && (jobs[0].next == len(jobs[0].entries) || jobs[0].failed != nil) {
			a.finished(&jobs[0])
			jobs = jobs[1:]
		}
	}
	return nil
}

// finished tells the loop that a job is done.
func (a *applier) finished(j *applyJob) {
	d := applyDone{r: j.r, responses: j.responses, err: j.failed}
	for _, e := range j.entries {
		if c := j.configs[e.GetIndex()]; c != nil {
			d.config = c
		}
	}
	if j.failed != nil {
		d.responses = nil
		j.abandon()
	}
	a.report(d)
}

// transaction applies entries until it is full, at most limit if that is not negative, and commits
// them with the applied index of each group. It returns how many; with ErrTxnTooBig nothing was
// committed and that many would have fit.
func (a *applier) transaction(jobs []applyJob, limit int) (int, error) {
	txn := a.kv.Begin(true)
	defer txn.Discard()
	a.results = a.results[:0]
	written, n := 0, 0
	ends := make([]int, 0, len(jobs)) // jobs[i].next after this transaction
	for i := range jobs {
		j := &jobs[i]
		if limit >= 0 && n >= limit || written > maxTxnBytes || j.r.broken {
			break
		}
		s := &ranged{txn: txn, prefix: rangePrefix(j.r.rangeID.Load())}
		k := j.next
		for k < len(j.entries) && (limit < 0 || n < limit) && (k == j.next || written+s.written <= maxTxnBytes) {
			res, err := a.applyEntry(s, j, j.entries[k])
			if errors.Is(err, ErrTxnTooBig) && n > 0 {
				return n, ErrTxnTooBig
			}
			if err != nil {
				if n > 0 && txn.Err() == nil { // commit what is sound, then come back to it alone
					return n, ErrTxnTooBig
				}
				if txn.Err() != nil || !errors.Is(err, fsm.ErrDamaged) {
					return 0, err // the store's: the drive's matter
				}
				j.r.broken = true
				j.failed = fmt.Errorf("replica: group %d: apply entry %d: %w", j.r.group, j.entries[k].GetIndex(), err)
				return 0, nil
			}
			a.results = append(a.results, res)
			k++
			n++
		}
		last := j.entries[k-1]
		if err := saveApplied(txn, j.r.group, j.r.id, entryID{last.GetIndex(), last.GetTerm()}); err != nil {
			if errors.Is(err, ErrTxnTooBig) && n > 1 {
				return n - 1, err
			}
			return 0, err
		}
		written += s.written + writeOverhead
		ends = append(ends, k)
	}
	if err := txn.Commit(); err != nil {
		return 0, fmt.Errorf("commit: %w", err)
	}
	a.publish(jobs, ends)
	a.history.note(a.kv, jobs, ends, written)
	return n, nil
}

// publish makes the effects of a committed transaction known, and answers who waits for them.
func (a *applier) publish(jobs []applyJob, ends []int) {
	results := a.results
	for i, end := range ends {
		j := &jobs[i]
		entries := j.entries[j.next:end]
		j.r.results.put(entries, results[:len(entries)])
		j.r.applied.Store(entries[len(entries)-1].GetIndex())
		if j.proposals != nil {
			for k := range entries {
				if p := j.proposals[j.next+k]; p != nil {
					p.finish(outcome{result: results[k]})
					j.proposals[j.next+k] = nil
				}
			}
		}
		results = results[len(entries):]
		j.next = end
	}
}

// applyEntry runs the state machine. A panic in it stops the replica, not the process, which would
// meet the same entry again after its next start.
func (a *applier) applyEntry(s *ranged, j *applyJob, e *pb.Entry) (res *metapb.Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: the state machine panicked: %v\n%s", fsm.ErrDamaged, p, debug.Stack())
		}
	}()
	if e.GetType() != pb.EntryNormal {
		c := j.configs[e.GetIndex()]
		if c == nil {
			return nil, nil
		}
		return &metapb.Result{}, saveConfig(s.txn, j.r.group, kvState{
			raftID: j.r.id, rangeID: j.r.rangeID.Load(), installed: j.r.installed, config: c,
		})
	}
	if len(e.GetData()) == 0 {
		return nil, nil
	}
	c, err := a.l.host.decoded.get(j.r.group, e)
	if err != nil {
		return nil, err
	}
	return c.run(s, a.l.cfg.Apply)
}
