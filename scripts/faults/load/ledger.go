package load

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/encrypt"
)

// state is the content of a key: a hash of it, or absent.
type state [32]byte

// absent is the state of a key without an object; no content has it.
var absent = state{}

func stateOf(body []byte) state {
	h := sha256.New()
	h.Write([]byte{1}) // so that no body hashes to what absent is
	h.Write(body)
	return state(h.Sum(nil))
}

// account is what is known of one key.
type account struct {
	acked   state
	doubts  []state        // what operations without an answer may have made of it, or make of it yet
	sealed  map[state]bool // which contents were written under the customer's key
	retired bool           // never written again
}

// right reports whether a state may be read now, and learns from it.
func (a *account) right(s state) bool {
	if s == a.acked {
		return true
	}
	i := slices.Index(a.doubts, s)
	if i < 0 {
		return false
	}
	// It did happen: from now on it must stay, for nothing else is under way but other doubts.
	a.acked, a.doubts = s, slices.Delete(a.doubts, i, i+1)
	return true
}

// Ledger is what is known of all keys of a bucket.
type Ledger struct {
	bucket string
	seed   uint64
	key    encrypt.ServerSide

	mu       sync.Mutex
	accounts map[string]*account
	wrong    []string

	// Acked, Refused and Doubtful count writes by their answer, Reads what was read and compared.
	Acked, Refused, Doubtful, Reads atomic.Int64
}

func newLedger(bucket string, seed uint64) (*Ledger, error) {
	key, err := encrypt.NewSSEC(CustomerKey(seed))
	return &Ledger{bucket: bucket, seed: seed, key: key, accounts: map[string]*account{}}, err
}

// CustomerKey is the SSE-C key of a ledger with this seed.
func CustomerKey(seed uint64) []byte {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("customer key"), seed))
	return sum[:]
}

// account finds or makes the account of a key.
func (l *Ledger) account(key string) *account {
	a := l.accounts[key]
	if a == nil {
		a = &account{sealed: map[state]bool{}}
		l.accounts[key] = a
	}
	return a
}

// settle enters the outcome of a write that would make the key's state s, and reports whether the
// key may be written again.
func (l *Ledger) settle(key string, s state, sealed bool, out outcome) (again bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.account(key)
	a.sealed[s] = sealed
	switch {
	case out.verdict == done:
		l.Acked.Add(1)
		a.acked = s
	case !out.doubtful:
		l.Refused.Add(1)
	default:
		l.Doubtful.Add(1)
		a.doubts = append(a.doubts, s)
	}
	a.retired = a.retired || out.doubtful
	return !a.retired
}

// violate notes what must not be.
func (l *Ledger) violate(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrong = append(l.wrong, fmt.Sprintf(format, args...))
}

// Violations are what was found that must not be.
func (l *Ledger) Violations() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.wrong)
}

// Keys is the number of keys.
func (l *Ledger) Keys() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.accounts)
}

// compare judges what was read of a key.
func (l *Ledger) compare(when, key string, got state) {
	l.Reads.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.account(key)
	if want := a.acked; !a.right(got) {
		l.wrong = append(l.wrong, fmt.Sprintf("LOST or WRONG %s: %s is %x (absent is zero), acknowledged is %x, in doubt %d others", when, key, got[:4], want[:4], len(a.doubts)))
	}
}

// expected is the state that a read should find, and whether it is sealed.
func (l *Ledger) expected(key string) (s state, sealed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.account(key)
	return a.acked, a.sealed[a.acked]
}

// read asks a front for a key's state: first as the ledger believes it to be, then the other way.
func (l *Ledger) read(ctx context.Context, c *minio.Core, key string) (state, error) {
	_, sealed := l.expected(key)
	s, err := l.readAs(ctx, c, key, sealed)
	if code := minio.ToErrorResponse(err).Code; err != nil && code != "NoSuchKey" && judge(err) == refused {
		s, err = l.readAs(ctx, c, key, !sealed)
	}
	if err != nil && minio.ToErrorResponse(err).Code == "NoSuchKey" {
		return absent, nil
	}
	return s, err
}

func (l *Ledger) readAs(ctx context.Context, c *minio.Core, key string, sealed bool) (state, error) {
	opts := minio.GetObjectOptions{}
	if sealed {
		opts.ServerSideEncryption = l.key
	}
	// Core.GetObject sends one request; Client.GetObject would ask again behind our back.
	body, info, _, err := c.GetObject(ctx, l.bucket, key, opts)
	if err != nil {
		return absent, err
	}
	defer body.Close()
	var b bytes.Buffer
	n, err := io.Copy(&b, body)
	if err != nil {
		return absent, err
	}
	if n != info.Size {
		return absent, fmt.Errorf("load: %s has %d bytes, %d came: %w", key, info.Size, n, io.ErrUnexpectedEOF)
	}
	return stateOf(b.Bytes()), nil
}

// list asks a front for all keys that begin with a prefix.
func (l *Ledger) list(ctx context.Context, c *minio.Core, prefix string) (map[string]bool, error) {
	listed := map[string]bool{}
	for o := range c.Client.ListObjects(ctx, l.bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		if o.Err != nil {
			return nil, o.Err
		}
		listed[o.Key] = true
	}
	return listed, nil
}

// outline is what is known of a key, for the comparison with listings.
type outline struct {
	there, doubtful bool
}

// outlines is what is known of all keys that begin with a prefix.
func (l *Ledger) outlines(match func(string) bool) map[string]outline {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := map[string]outline{}
	for key, a := range l.accounts {
		if match(key) {
			all[key] = outline{a.acked != absent, len(a.doubts) > 0}
		}
	}
	return all
}

// compareListing judges a listing of all those keys: no ghost, and none missing.
func (l *Ledger) compareListing(when string, known map[string]outline, listed map[string]bool) {
	for key := range listed {
		if o := known[key]; !o.there && !o.doubtful {
			l.violate("GHOST %s: %s is listed, but was deleted or never written", when, key)
		}
	}
	for key, o := range known {
		if o.there && !o.doubtful && !listed[key] {
			l.violate("UNLISTED %s: %s is there but not listed", when, key)
		}
	}
}
