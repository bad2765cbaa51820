package fanout

import (
	"fmt"
	"time"

	"holdfast/internal/kind"
	"holdfast/node"
)

// span is a range [from, to) of a block.
type span struct{ from, to int }

func (s span) empty() bool        { return s.from >= s.to }
func (s span) covers(o span) bool { return s.from <= o.from && o.to <= s.to }
func (s span) hull(o span) span {
	if s.empty() {
		return o
	}
	return span{min(s.from, o.from), max(s.to, o.to)}
}

// gather is the reading of one stripe: it wants some spans of data blocks, or a number of whole
// blocks, whichever shards they are from. get.mu guards it.
type gather struct {
	g     *get
	n     int                  // stripe
	size  int                  // of each block
	want  [node.MaxShards]span // of the data blocks; empty where nothing is wanted
	hull  span                 // what of each of K blocks is needed to decode what is wanted
	quota int                  // blocks with the span hull that are wanted, of whatever shard
	reads []*read
	few   [8]*read // room for reads
	left  int64    // bytes of the granted memory that are not used yet
	err   error
	out   [node.MaxShards][]byte // result: what was wanted of each data block
	own   [node.MaxShards]buffer // of decoded blocks
}

// read is one ReadBlock under way.
type read struct {
	g     *get
	st    *gather // not touched once gone
	n     int     // stripe
	shard int
	span  span
	buf   buffer
	began time.Time
	state readState
	slow  bool // a spare was sent for it
	gone  bool // the stripe was let go: the goroutine frees the buffer
}

type readState uint8

const (
	pending readState = iota
	arrived
	failed
)

func (r *read) bytes() []byte { return r.buf.buf[:r.span.to-r.span.from] }

// launch reads a span of a shard's block on a goroutine of its own.
func (st *gather) launch(shard int, sp span) {
	r := &read{g: st.g, st: st, n: st.n, shard: shard, span: sp, buf: st.buffer(sp.to - sp.from), began: time.Now()}
	st.reads = append(st.reads, r)
	st.g.f.background.Add(1)
	go r.run()
}

// buffer takes a block from what was granted for the stripe; what goes beyond (spares, decoded
// blocks) is at most M blocks and does not wait.
func (st *gather) buffer(size int) buffer {
	class := classFor(size)
	b := buffer{block: st.g.f.blocks.get(class)}
	if st.left -= classBytes(class); st.left < 0 {
		b.charge(st.g.budget)
	}
	return b
}

// buffer is a block and the budget it is charged to by itself, if any.
type buffer struct {
	*block
	charged *budget
}

func (b *buffer) charge(to *budget) {
	if b.charged == nil {
		b.charged = to
		to.force(classBytes(b.class))
	}
}

func (b *buffer) free(g *get) {
	if b.charged != nil {
		b.charged.release(classBytes(b.class))
	}
	g.f.blocks.put(b.block)
	*b = buffer{}
}

func (r *read) run() {
	g := r.g
	defer g.f.background.Done()
	s := &g.shards[r.shard]
	err := s.drive.ReadBlock(g.ctx, s.spec, r.n, r.span.from, r.bytes())
	ended := err != nil && g.ctx.Err() != nil
	if err == nil || ended {
		s.health.sample(time.Since(r.began))
	}
	g.mu.Lock()
	report := false
	r.state = arrived
	if err != nil {
		r.state = failed
		report = !ended && s.blame(err)
	}
	if r.gone {
		r.buf.free(g)
	} else {
		r.st.step()
		if r.st.ready() {
			g.notify()
		}
	}
	g.mu.Unlock()
	if report {
		g.damaged(r.shard, err)
	}
}

// start sends the first reads.
func (st *gather) start() {
	st.left = st.g.room
	direct := st.quota == 0
	for i := range st.want {
		if !st.want[i].empty() {
			st.hull = st.hull.hull(st.want[i])
			direct = direct && st.g.shards[i].good()
		}
	}
	for i := range st.want {
		if st.want[i].empty() || !st.g.shards[i].good() {
			continue
		}
		if direct {
			st.launch(i, st.want[i])
		} else {
			st.launch(i, st.hull) // decoding needs the same span of every block
		}
	}
	st.step()
}

// ready reports whether what is wanted has come, or can be decoded from what has.
func (st *gather) ready() bool {
	if st.err != nil {
		return true
	}
	if st.quota == 0 && st.direct() {
		return true
	}
	return st.have(arrived) >= max(st.quota, st.g.layout.K)
}

// direct reports whether every wanted span has arrived by itself.
func (st *gather) direct() bool {
	for i := range st.want {
		if !st.want[i].empty() && st.find(i, st.want[i], arrived) == nil {
			return false
		}
	}
	return true
}

// find is a read of a shard in a state that covers a span.
func (st *gather) find(shard int, sp span, state readState) *read {
	for _, r := range st.reads {
		if r.shard == shard && r.state == state && r.span.covers(sp) {
			return r
		}
	}
	return nil
}

// have counts the shards of which a read that covers the hull is in a state; slow ones are not
// counted as pending.
func (st *gather) have(state readState) int {
	n := 0
	for i := range st.g.shards {
		if r := st.find(i, st.hull, state); r != nil && !(state == pending && r.slow) {
			n++
		}
	}
	return n
}

// hopeful reports whether nothing but time is needed: all that is wanted is on its way by itself.
func (st *gather) hopeful() bool {
	if st.quota > 0 {
		return false
	}
	for i := range st.want {
		if st.want[i].empty() || st.find(i, st.want[i], arrived) != nil {
			continue
		}
		if r := st.find(i, st.want[i], pending); r == nil || r.slow {
			return false
		}
	}
	return true
}

// step sends more reads when those that are under way cannot be enough, and fails the stripe when
// there are no more shards to read.
func (st *gather) step() {
	if st.err != nil || st.ready() || st.hopeful() {
		return
	}
	goal := max(st.quota, st.g.layout.K)
	for st.have(arrived)+st.have(pending) < goal {
		shard := st.candidate()
		if shard < 0 {
			break
		}
		st.launch(shard, st.hull)
	}
	for _, r := range st.reads {
		if r.state == pending {
			return
		}
	}
	switch have := st.have(arrived); {
	case have >= goal:
	case have >= st.g.layout.K:
		st.quota = min(st.quota, have) // a spare block was wanted, but there is none
	default:
		st.err = st.g.shortage(st.n, have)
	}
}

// candidate is the best shard of which the hull was not asked yet; -1 when there is none.
func (st *gather) candidate() int {
	best, bestRank := -1, rankNever
	for i := range st.g.shards {
		if st.asked(i) {
			continue
		}
		rank := st.g.shards[i].rank()
		if st.late(i) && rank < rankNever {
			rank = rankSuspect // only when there is nothing else
		}
		if rank < bestRank {
			best, bestRank = i, rank
		}
	}
	return best
}

// late reports whether a read of a shard is late already: another span of it would be, too.
func (st *gather) late(shard int) bool {
	for _, r := range st.reads {
		if r.shard == shard && r.state == pending && r.slow {
			return true
		}
	}
	return false
}

func (st *gather) asked(shard int) bool {
	for _, r := range st.reads {
		if r.shard == shard && (r.state == failed || r.span.covers(st.hull)) {
			return true
		}
	}
	return false
}

// hedge sends spares for reads that are late and returns the time until the next one will be; 0 when
// there is none to wait for. Each shard is asked once, so there are at most M more reads than it
// takes to decode.
func (st *gather) hedge(delay time.Duration) (next time.Duration) {
	for i := 0; i < len(st.reads); i++ { // also those that step adds: a spare may be late, too
		r := st.reads[i]
		if r.state != pending || r.slow || st.candidate() < 0 {
			continue
		}
		if left := delay - time.Since(r.began); left > 0 {
			if next == 0 || left < next {
				next = left
			}
			continue
		}
		r.slow = true
		st.g.f.stats.hedged.Add(1)
		st.step()
	}
	return next
}

// settle makes the result of a stripe that is ready: wanted spans, decoded if needed. Called
// without the lock; no read under way touches what it uses.
func (st *gather) settle() error {
	g := st.g
	g.mu.Lock()
	if st.err != nil {
		g.mu.Unlock()
		return st.err
	}
	var blocks [node.MaxShards][]byte
	var missing [node.MaxShards]bool
	decode := st.quota > 0
	for i := range g.shards {
		if r := st.find(i, st.hull, arrived); r != nil {
			blocks[i] = r.bytes()
		}
		if st.want[i].empty() {
			continue
		}
		if r := st.find(i, st.want[i], arrived); r != nil {
			st.out[i] = r.bytes()[st.want[i].from-r.span.from : st.want[i].to-r.span.from]
			continue
		}
		missing[i], decode = true, true
		if late := st.find(i, st.want[i], pending); late != nil {
			g.shards[i].slow = true
			g.f.stats.hedgeWon.Add(1)
		}
	}
	g.mu.Unlock()
	if !decode || st.quota > 0 {
		return nil
	}
	g.f.stats.decoded.Add(1)
	return st.decode(blocks[:len(g.shards)], missing[:len(g.shards)])
}

// decode reconstructs the missing data blocks' span of the hull.
func (st *gather) decode(blocks [][]byte, missing []bool) error {
	g := st.g
	size := st.hull.to - st.hull.from
	for i := range missing {
		if missing[i] {
			st.own[i] = st.buffer(size)
			blocks[i] = st.own[i].buf
		}
	}
	if err := g.codec.Reconstruct(blocks, missing); err != nil {
		return kind.Wrap(kind.Damaged, err, "fanout: stripe %d of %s", st.n, g.ref.Data)
	}
	for i := range missing {
		if missing[i] {
			st.out[i] = blocks[i][st.want[i].from-st.hull.from : st.want[i].to-st.hull.from]
		}
	}
	return nil
}

// release frees the buffers; those of reads still under way are freed when they end.
func (st *gather) release() {
	st.g.mu.Lock()
	st.releaseBut(-1)
	st.g.mu.Unlock()
}

// releaseBut frees all buffers but the one that out[keep] lies in.
func (st *gather) releaseBut(keep int) {
	g := st.g
	reads := st.reads
	st.reads = reads[:0]
	for _, r := range reads {
		switch {
		case r.state == pending:
			r.gone = true
			r.buf.charge(g.budget) // what was granted goes to the next stripe
		case r.shard == keep && r.state == arrived && st.own[keep].block == nil:
			st.reads = append(st.reads, r)
		default:
			r.buf.free(g)
		}
	}
	for i := range st.own {
		if i != keep && st.own[i].block != nil {
			st.own[i].free(g)
		}
	}
}

func (g *get) damaged(shard int, err error) {
	s := &g.shards[shard]
	g.f.stats.damaged.Add(1)
	g.f.cfg.Logger.Warn("a shard is damaged or missing", "shard", s.spec.Shard, "drive", g.ref.Drives[shard], "error", err)
	g.f.cfg.OnDamage(s.spec.Shard, g.ref.Drives[shard], fmt.Errorf("drive %s: %w", g.ref.Drives[shard], err))
}
