package load

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/encrypt"
)

const (
	// hotKeys is how many keys a writer overwrites and deletes, again and again; at most onceKeys
	// more are written once.
	hotKeys, onceKeys = 40, 400
	partBytes         = 5 << 20
)

// writer does one operation at a time on keys of its own.
type writer struct {
	l        *Load
	prefix   string
	rand     *rand.Rand
	stubborn bool // talks to the front that was struck
	versions [hotKeys]int
	once     int
	stop     atomic.Bool
}

func newWriter(l *Load, n int, stubborn bool) *writer {
	return &writer{l: l, prefix: fmt.Sprintf("w%d/", n), rand: rand.New(rand.NewPCG(l.cfg.Seed, uint64(n)+1)), stubborn: stubborn}
}

// next does one operation, and rests.
func (w *writer) next(ctx context.Context) {
	var through *Front
	if w.stubborn {
		if through = w.l.fronts.struck(); through == nil {
			wait(ctx, 50*time.Millisecond) // nothing is struck
			return
		}
	}
	w.act(ctx, through)
	if w.l.cfg.Gap > 0 {
		wait(ctx, w.l.cfg.Gap/2+time.Duration(w.rand.Int64N(int64(w.l.cfg.Gap))))
	}
}

func (w *writer) act(ctx context.Context, through *Front) {
	n := w.rand.IntN(100)
	if w.l.reading.Load() {
		n = []int{0, 90}[n/90] // a get, or now and then a listing
	}
	switch {
	case n < 34:
		w.get(ctx, through)
	case n < 68:
		slot := w.rand.IntN(hotKeys)
		w.put(ctx, through, w.hot(slot), slot, w.body(), "")
	case n < 74:
		w.putOnce(ctx, through)
	case n < 80:
		w.putRefused(ctx, through)
	case n < 88:
		w.remove(ctx, through)
	case n < 92:
		w.list(ctx, through)
	case n < 92+(w.l.cfg.LargePercent+1)/2:
		w.multipart(ctx, through)
	default:
		w.get(ctx, through)
	}
}

// hot is the name of an overwritten key: another one, once the last may not be written any more.
func (w *writer) hot(slot int) string {
	return fmt.Sprintf("%s%c/k%02d.%d", w.prefix, 'a'+slot%3, slot, w.versions[slot])
}

// body draws contents: most are inlined or small, some take several stripes.
func (w *writer) body() []byte {
	r := w.rand
	size := r.IntN(6 << 10)
	switch n := r.IntN(100); {
	case n < w.l.cfg.LargePercent:
		size = 1<<20 + r.IntN(9<<20)
	case n < 30:
		size = r.IntN(200 << 10)
	case n < 40:
		size = 8<<10 - 20 + r.IntN(40) // about where records end and shards begin
	}
	return w.bytes(size)
}

func (w *writer) bytes(n int) []byte {
	var seed [32]byte
	for i := range seed {
		seed[i] = byte(w.rand.Uint32())
	}
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(seed).Read(b)
	return b
}

// sealing is the customer's key for half of what is written.
func (w *writer) sealing() encrypt.ServerSide {
	if w.rand.IntN(2) == 0 {
		return nil
	}
	return w.l.ledger.key
}

// put writes a key. condition is "", "absent" (If-None-Match: *) or "never" (an If-Match that cannot
// hold). slot is that of a hot key, or -1.
func (w *writer) put(ctx context.Context, through *Front, key string, slot int, body []byte, condition string) outcome {
	sse := w.sealing()
	out := w.l.operate(ctx, "put", w.rand, through, func(ctx context.Context, c *minio.Core) error {
		opts := minio.PutObjectOptions{ServerSideEncryption: sse, DisableMultipart: true}
		switch condition {
		case "absent":
			opts.SetMatchETagExcept("*")
		case "never":
			opts.SetMatchETag("00000000000000000000000000000000")
		}
		_, err := c.Client.PutObject(ctx, w.l.cfg.Bucket, key, bytes.NewReader(body), int64(len(body)), opts)
		return err
	})
	w.settle(key, slot, stateOf(body), sse != nil, out)
	if condition == "" {
		w.unrefused("put "+key, out)
	}
	return out
}

// unrefused notes a refusal of what nothing speaks against. One that follows an attempt without an
// answer may be that attempt's doing.
func (w *writer) unrefused(what string, out outcome) {
	if out.verdict == refused && !out.doubtful {
		w.l.ledger.violate("REFUSED: %s: %v", what, out.err)
	}
}

// settle enters an outcome, and gives a hot key's slot a new name if its key may not be written again.
func (w *writer) settle(key string, slot int, s state, sealed bool, out outcome) {
	if !w.l.ledger.settle(key, s, sealed, out) && slot >= 0 {
		w.versions[slot]++
	}
}

// putOnce creates a key on the condition that it is not there, which holds.
func (w *writer) putOnce(ctx context.Context, through *Front) {
	if w.once == onceKeys {
		w.get(ctx, through)
		return
	}
	w.once++
	key := fmt.Sprintf("%sonce/%05d", w.prefix, w.once)
	out := w.put(ctx, through, key, -1, w.body(), "absent")
	if out.verdict == refused && !out.doubtful {
		w.l.ledger.violate("CONDITION: %s was refused (%v), but was never there", key, out.err)
	}
}

// putRefused writes on a condition that does not hold.
func (w *writer) putRefused(ctx context.Context, through *Front) {
	slot := w.rand.IntN(hotKeys)
	key, condition := w.hot(slot), "never"
	if s, _ := w.l.ledger.expected(key); s != absent && w.rand.IntN(2) == 0 {
		condition = "absent"
	}
	if out := w.put(ctx, through, key, slot, w.body(), condition); out.verdict == done {
		w.l.ledger.violate("CONDITION: %s was written although the condition (%s) did not hold", key, condition)
	}
}

func (w *writer) remove(ctx context.Context, through *Front) {
	slot := w.rand.IntN(hotKeys)
	key := w.hot(slot)
	out := w.l.operate(ctx, "delete", w.rand, through, func(ctx context.Context, c *minio.Core) error {
		return c.Client.RemoveObject(ctx, w.l.cfg.Bucket, key, minio.RemoveObjectOptions{})
	})
	w.settle(key, slot, absent, false, out)
	w.unrefused("delete "+key, out)
}

// get reads one of the writer's keys and compares it: it wrote it last, and nobody writes it now.
func (w *writer) get(ctx context.Context, through *Front) {
	key := w.hot(w.rand.IntN(hotKeys))
	if w.once > 0 && w.rand.IntN(4) == 0 {
		key = fmt.Sprintf("%sonce/%05d", w.prefix, 1+w.rand.IntN(w.once))
	}
	var got state
	out := w.l.operate(ctx, "get", w.rand, through, func(ctx context.Context, c *minio.Core) (err error) {
		got, err = w.l.ledger.read(ctx, c, key)
		return err
	})
	w.unrefused("get "+key, out)
	if out.verdict == done {
		w.l.ledger.compare("under load", key, got)
	}
}

// list compares a listing of the writer's keys.
func (w *writer) list(ctx context.Context, through *Front) {
	known := w.l.ledger.outlines(func(key string) bool { return strings.HasPrefix(key, w.prefix) })
	var listed map[string]bool
	out := w.l.operate(ctx, "list", w.rand, through, func(ctx context.Context, c *minio.Core) (err error) {
		listed, err = w.l.ledger.list(ctx, c, w.prefix)
		return err
	})
	w.unrefused("list "+w.prefix, out)
	if out.verdict == done {
		w.l.ledger.compareListing("under load", known, listed)
	}
}

// multipart writes an object in two parts, each call through another front.
func (w *writer) multipart(ctx context.Context, through *Front) {
	slot := w.rand.IntN(hotKeys)
	key, body, sse := w.hot(slot), w.bytes(partBytes+1+w.rand.IntN(1<<20)), w.sealing()
	l, opts := w.l, minio.PutObjectOptions{ServerSideEncryption: sse}
	call := func(op string, f func(context.Context, *minio.Core) error) outcome {
		out := l.operate(ctx, op, w.rand, through, f)
		w.unrefused(op+" "+key, out)
		return out
	}
	var upload string
	if call("create upload", func(ctx context.Context, c *minio.Core) (err error) {
		upload, err = c.NewMultipartUpload(ctx, l.cfg.Bucket, key, opts)
		return err
	}).verdict != done {
		return
	}
	parts := make([]minio.CompletePart, 2)
	for i := range parts {
		piece := body[i*partBytes : min((i+1)*partBytes, len(body))]
		if call("put part", func(ctx context.Context, c *minio.Core) error {
			p, err := c.PutObjectPart(ctx, l.cfg.Bucket, key, upload, i+1, io.NopCloser(bytes.NewReader(piece)), int64(len(piece)), minio.PutObjectPartOptions{SSE: sse})
			parts[i] = minio.CompletePart{PartNumber: i + 1, ETag: p.ETag}
			return err
		}).verdict != done {
			return // the upload stays, as uploads do
		}
	}
	out := call("complete", func(ctx context.Context, c *minio.Core) error {
		_, err := c.CompleteMultipartUpload(ctx, l.cfg.Bucket, key, upload, parts, opts)
		return err
	})
	w.settle(key, slot, stateOf(body), sse != nil, out)
}
