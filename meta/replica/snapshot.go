package replica

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/zeebo/xxh3"
	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"holdfast/internal/id"
)

// SnapshotHead opens a snapshot. Message is what raft wanted sent, with the index, term and
// configuration that the chunks really have.
type SnapshotHead struct {
	Group    uint32
	From, To id.Drive
	Learner  bool
	Message  *pb.Message
}

// stagedRange is a snapshot's content beside the range in use.
type stagedRange struct {
	rangeID uint64
	at      entryID
}

const (
	// maxSending bounds the snapshots that a drive sends at once: each reads a whole range.
	maxSending = 2
	// snapshotTimeout bounds the sending of one.
	snapshotTimeout = 30 * time.Minute
)

var errSnapshot = errors.New("replica: malformed snapshot")

// makeSnapshot is raft.Storage's Snapshot: where the replica is now. The content, and with it the
// final index, is read when the snapshot is sent; raft accepts a later one than it asked for.
func (r *replica) makeSnapshot() (*pb.Snapshot, error) {
	index := r.applied.Load()
	term, err := r.st.Term(index)
	if err != nil || index == 0 {
		return nil, raft.ErrSnapshotTemporarilyUnavailable
	}
	return snapshotAt(entryID{index, term}, r.config), nil
}

func snapshotAt(at entryID, c *groupConfig) *pb.Snapshot {
	return &pb.Snapshot{
		Data:     c.encode(),
		Metadata: &pb.SnapshotMetadata{ConfState: c.conf, Index: new(at.index), Term: new(at.term)},
	}
}

// sendSnapshot streams the range to a follower, from a goroutine of its own.
func (l *loop) sendSnapshot(r *replica, m *pb.Message) {
	to, ok := r.config.members[m.GetTo()]
	if !ok || r.sending[m.GetTo()] || l.sending == maxSending {
		r.node.ReportSnapshot(m.GetTo(), raft.SnapshotFailure)
		return
	}
	if r.sending == nil {
		r.sending = make(map[uint64]bool)
	}
	r.sending[m.GetTo()] = true
	l.sending++
	head := SnapshotHead{
		Group: r.group, From: l.drive.ID, To: to,
		Learner: r.config.isLearner(m.GetTo()), Message: m,
	}
	l.host.background.Go(func() {
		err := l.streamRange(r, head)
		l.in.call(func(l *loop) {
			l.sending--
			delete(r.sending, m.GetTo())
			status := raft.SnapshotFinish
			if err != nil {
				status = raft.SnapshotFailure
				l.cfg.Logger.Warn("snapshot not sent", "group", r.group, "to", to, "error", err)
			}
			if !r.gone {
				r.node.ReportSnapshot(m.GetTo(), status)
				l.touch(r)
			}
		})
	})
}

// streamRange reads the range and the index it stands at from one transaction.
func (l *loop) streamRange(r *replica, head SnapshotHead) error {
	if !l.enter() {
		return ErrClosed
	}
	defer l.leave()
	ctx, cancel := context.WithTimeout(l.life, snapshotTimeout)
	defer cancel()
	txn := l.drive.KV.Begin(false)
	defer txn.Discard()
	st, err := loadState(txn, r.group)
	if err != nil {
		return err
	}
	if st == nil || st.raftID != r.id {
		return fmt.Errorf("replica: group %d has no state on this drive", r.group)
	}
	asked := head.Message
	head.Message = &pb.Message{
		Type: pb.MsgSnap.Enum(), To: asked.To, From: asked.From, Term: asked.Term,
		Snapshot: snapshotAt(st.applied, st.config),
	}
	prefix := rangePrefix(st.rangeID)
	it := txn.Iterate(prefix)
	defer it.Close()
	it.Seek(prefix)
	w := chunkWriter{}
	return l.host.transport.Stream(ctx, head, func() ([]byte, error) {
		if w.ended {
			return nil, io.EOF
		}
		w.begin()
		for ; it.Valid() && len(w.buf) < l.cfg.ChunkBytes; it.Next() {
			value, err := it.Value()
			if err != nil {
				return nil, err
			}
			w.add(it.Key()[rangeLen:], value)
		}
		if err := txn.Err(); err != nil {
			return nil, err
		}
		if !it.Valid() {
			w.end()
		}
		return w.buf, nil
	})
}

// chunkWriter builds chunks: rows of (key length u32, value length u32, key, value). The last
// chunk ends with a row of no key whose value is the number of rows and the XXH3 of all before.
type chunkWriter struct {
	buf   []byte
	rows  uint64
	sum   xxh3.Hasher
	ended bool
}

func (w *chunkWriter) begin() { w.buf = w.buf[:0] }

func (w *chunkWriter) add(key, value []byte) {
	start := len(w.buf)
	w.buf = binary.LittleEndian.AppendUint32(w.buf, uint32(len(key)))
	w.buf = binary.LittleEndian.AppendUint32(w.buf, uint32(len(value)))
	w.buf = append(append(w.buf, key...), value...)
	_, _ = w.sum.Write(w.buf[start:])
	w.rows++
}

func (w *chunkWriter) end() {
	w.ended = true
	sum, rows := w.sum.Sum64(), w.rows
	w.buf = binary.LittleEndian.AppendUint32(w.buf, 0)
	w.buf = binary.LittleEndian.AppendUint32(w.buf, 16)
	w.buf = binary.LittleEndian.AppendUint64(w.buf, rows)
	w.buf = binary.LittleEndian.AppendUint64(w.buf, sum)
}

// chunkReader is the other side; it checks the end.
type chunkReader struct {
	rows  uint64
	sum   xxh3.Hasher
	ended bool
}

func (c *chunkReader) read(chunk []byte, row func(key, value []byte) error) error {
	d := decoder{buf: chunk}
	for d.off < len(chunk) && !c.ended {
		start := d.off
		k, v := int(d.u32()), int(d.u32())
		key, value := d.bytes(k), d.bytes(v)
		if d.err != nil {
			return errSnapshot
		}
		if k == 0 {
			if v != 16 || binary.LittleEndian.Uint64(value) != c.rows || binary.LittleEndian.Uint64(value[8:]) != c.sum.Sum64() {
				return errSnapshot
			}
			c.ended = true
			break
		}
		_, _ = c.sum.Write(chunk[start:d.off])
		c.rows++
		if err := row(key, value); err != nil {
			return err
		}
	}
	if d.off != len(chunk) {
		return errSnapshot
	}
	return nil
}

// Receive takes a snapshot for a drive of this process: it writes the content beside the range in
// use and then passes the message to the replica, which swaps it in or throws it away.
func (h *Host) Receive(ctx context.Context, head SnapshotHead, next func() ([]byte, error)) error {
	l := h.loopOf(head.To)
	if l == nil {
		return fmt.Errorf("replica: no drive %s here", head.To)
	}
	if !h.enter() {
		return ErrClosed
	}
	defer h.background.Done()
	if !l.enter() {
		return ErrClosed
	}
	defer l.leave()
	meta := head.Message.GetSnapshot().GetMetadata()
	staged := &stagedRange{rangeID: l.newRange(), at: entryID{meta.GetIndex(), meta.GetTerm()}}
	if err := l.stage(ctx, staged, next); err != nil {
		l.sweep(staged.rangeID)
		return err
	}
	m := Message{Group: head.Group, From: head.From, To: head.To, Learner: head.Learner, Raft: head.Message, staged: staged}
	taken := l.in.put(func(w *work) bool { w.messages = append(w.messages, m); return true })
	if !taken {
		return ErrClosed
	}
	return nil
}

func (l *loop) stage(ctx context.Context, staged *stagedRange, next func() ([]byte, error)) error {
	prefix := rangePrefix(staged.rangeID)
	var c chunkReader
	for {
		if err := errors.Join(ctx.Err(), l.life.Err()); err != nil {
			return err
		}
		chunk, err := next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		txn := l.drive.KV.Begin(true)
		err = c.read(chunk, func(key, value []byte) (err error) {
			k := append(append(make([]byte, 0, len(prefix)+len(key)), prefix...), key...)
			v := bytes.Clone(value)
			if err = txn.Set(k, v); !errors.Is(err, ErrTxnTooBig) {
				return err
			}
			if err = txn.Commit(); err != nil { // parts of the row may be in it: they are written again
				return err
			}
			txn = l.drive.KV.Begin(true)
			return txn.Set(k, v)
		})
		if err == nil {
			err = txn.Commit()
		}
		txn.Discard()
		if err != nil {
			return err
		}
	}
	if !c.ended {
		return errSnapshot
	}
	return nil
}

// stepSnapshot hands a snapshot message to raft, which wants it or not.
func (l *loop) stepSnapshot(r *replica, m *Message) {
	r.staged = m.staged
	_ = r.node.Step(m.Raft)
	for !r.gone && r.node.HasReady() {
		l.ready(r)
	}
	if r.staged != nil {
		l.sweep(r.staged.rangeID)
		r.staged = nil
	}
}

// installJob swaps a staged range in.
type installJob struct {
	staged  *stagedRange
	config  *groupConfig
	message *pb.Message
	old     uint64 // the range that it replaces
}

// install begins the swap that raft asked for. Nothing else of the replica is written until it is
// done.
func (l *loop) install(r *replica, m *pb.Message) {
	meta := m.GetSnapshot().GetMetadata()
	config, err := decodeConfig(m.GetSnapshot().GetData())
	if err != nil || r.staged == nil || r.staged.at != (entryID{meta.GetIndex(), meta.GetTerm()}) {
		panic(fmt.Sprintf("replica: group %d: snapshot %d without content (%v)", r.group, meta.GetIndex(), err))
	}
	job := &installJob{staged: r.staged, config: config, message: m}
	r.staged, r.installing, r.config = nil, true, config
	l.apply.push(applyJob{r: r, install: job})
}

// swap makes the staged range the replica's, in one transaction, and has it flushed: what the
// replica answers afterwards must not depend on a memtable.
func (a *applier) swap(j *applyJob) error {
	r, job := j.r, j.install
	job.old = r.rangeID.Load()
	txn := a.kv.Begin(true)
	defer txn.Discard()
	st := kvState{raftID: r.id, rangeID: job.staged.rangeID, applied: job.staged.at, installed: job.staged.at.index, config: job.config}
	if err := saveState(txn, r.group, st); err != nil {
		return err
	}
	if err := txn.Commit(); err != nil {
		return err
	}
	r.rangeID.Store(job.staged.rangeID)
	r.installed = job.staged.at.index
	r.applied.Store(job.staged.at.index)
	read := a.kv.Begin(false)
	version := read.Version()
	read.Discard()
	a.l.host.background.Go(func() {
		if !a.l.enter() {
			return
		}
		defer a.l.leave()
		d := applyDone{r: r, install: job}
		if err := a.kv.Flush(a.l.life, version); err != nil {
			d = applyDone{driveErr: fmt.Errorf("replica: drive %s: flush a snapshot: %w", a.l.drive.ID, err)}
		}
		a.report(d)
	})
	return nil
}

// installed writes the new beginning of the replica's log, and then what waited for it.
func (l *loop) installed(r *replica, job *installJob) {
	l.sweep(job.old)
	r.flushed = job.staged.at.index
	r.installing = false
	l.write(r, job.message, &job.staged.at)
	behind := r.behind
	r.behind = nil
	for _, m := range behind {
		l.onStorageAppend(r, m)
	}
}
