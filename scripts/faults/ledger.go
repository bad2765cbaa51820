package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/encrypt"

	"holdfast/api/sigv4"
)

const bucket = "ledger"

// absent is the hash of an object that is not there.
var absent = [32]byte{}

// account is what is known of one key: the state that was acknowledged last, and those that an
// operation without an answer may have made.
type account struct {
	acked  [32]byte
	doubts [][32]byte
	sealed map[[32]byte]bool // which of the bodies were written under the customer's key
}

// ledger writes objects and remembers every answer. A key belongs to one writer, so that its
// order of writes is known.
type ledger struct {
	srv      *server
	client   *minio.Client
	key      encrypt.ServerSide
	seed     uint64
	mu       sync.Mutex
	accounts map[string]*account

	acked, refused, doubtful, reads atomic.Int64
}

func newLedger(ctx context.Context, srv *server, seed uint64) (*ledger, error) {
	hc, err := srv.client()
	if err != nil {
		return nil, err
	}
	c, err := minio.New(srv.address, &minio.Options{
		Creds: credentials.NewStaticV4(accessKey, secretKey, ""), Secure: true, Transport: hc.Transport, MaxRetries: 1, Region: "us-east-1"})
	if err != nil {
		return nil, err
	}
	var raw [32]byte
	binary.BigEndian.PutUint64(raw[:], seed)
	key, err := encrypt.NewSSEC(raw[:])
	if err != nil {
		return nil, err
	}
	l := &ledger{srv: srv, client: c, key: key, seed: seed, accounts: map[string]*account{}}
	return l, c.MakeBucket(ctx, bucket, minio.MakeBucketOptions{})
}

// write runs writers until the context ends or each has done its number of operations.
func (l *ledger) write(ctx context.Context, writers, ops int, round uint64) {
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(l.seed^round<<20, uint64(w)))
			for i := 0; i < ops && ctx.Err() == nil; i++ {
				l.operate(ctx, r, fmt.Sprintf("w%d/%c/k%d", w, 'a'+r.IntN(3), r.IntN(40)))
			}
		})
	}
	wg.Wait()
}

// size draws a body's length: most are inlined or small, some take several stripes.
func size(r *rand.Rand) int {
	switch r.IntN(10) {
	case 0:
		return r.IntN(4 << 20)
	case 1, 2:
		return r.IntN(200 << 10)
	case 3:
		return 8<<10 - 20 + r.IntN(40)
	}
	return r.IntN(6 << 10)
}

func (l *ledger) operate(ctx context.Context, r *rand.Rand, key string) {
	body := make([]byte, size(r))
	chacha := rand.NewChaCha8([32]byte{byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())})
	_, _ = chacha.Read(body) // never fails
	opts := minio.PutObjectOptions{DisableMultipart: true}
	if r.IntN(2) == 0 {
		opts.ServerSideEncryption = l.key
	}
	switch r.IntN(10) {
	case 0:
		l.settle(key, absent, false, l.client.RemoveObject(ctx, bucket, key, minio.RemoveObjectOptions{}))
		return
	case 1: // a refused write: the condition cannot hold
		opts.SetMatchETag("00000000000000000000000000000000")
		_, err := l.client.PutObject(ctx, bucket, key, bytes.NewReader(body), int64(len(body)), opts)
		if answered(err) {
			l.refused.Add(1)
		}
		return
	}
	_, err := l.client.PutObject(ctx, bucket, key, bytes.NewReader(body), int64(len(body)), opts)
	l.settle(key, sum(body), opts.ServerSideEncryption != nil, err)
}

func sum(body []byte) [32]byte {
	h := sha256.New()
	h.Write([]byte{1}) // so that no body hashes to what absent is
	h.Write(body)
	return [32]byte(h.Sum(nil))
}

// answered reports whether the server answered with an S3 error, so that the outcome is known.
func answered(err error) bool {
	var resp minio.ErrorResponse
	return errors.As(err, &resp) && resp.StatusCode >= 400 && resp.StatusCode < 500
}

func (l *ledger) settle(key string, state [32]byte, sealed bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.accounts[key]
	if a == nil {
		a = &account{sealed: map[[32]byte]bool{}}
		l.accounts[key] = a
	}
	a.sealed[state] = sealed
	switch {
	case err == nil:
		l.acked.Add(1)
		a.acked, a.doubts = state, nil
	case answered(err):
		l.refused.Add(1)
	default:
		l.doubtful.Add(1)
		a.doubts = append(a.doubts, state)
	}
}

// read returns the state of a key as the server has it.
func (l *ledger) read(ctx context.Context, key string) ([32]byte, error) {
	// Which of the two it is, the server knows best: ask without the key first.
	state, err := l.readAs(ctx, key, nil)
	if minio.ToErrorResponse(err).Code == "InvalidRequest" {
		state, err = l.readAs(ctx, key, l.key)
	}
	if minio.ToErrorResponse(err).Code == "NoSuchKey" {
		return absent, nil
	}
	return state, err
}

func (l *ledger) readAs(ctx context.Context, key string, sse encrypt.ServerSide) ([32]byte, error) {
	// Core.GetObject sends one request; Client.GetObject would ask again behind our back.
	core := minio.Core{Client: l.client}
	body, _, _, err := core.GetObject(ctx, bucket, key, minio.GetObjectOptions{ServerSideEncryption: sse})
	if err != nil {
		return absent, err
	}
	defer body.Close()
	b, err := io.ReadAll(body)
	if err != nil {
		return absent, err
	}
	return sum(b), nil
}

// verify reads every key and compares it with the ledger, then the listing.
func (l *ledger) verify(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	keys := make(chan string)
	errs := make(chan error, 8)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for key := range keys {
				if err := l.check(ctx, key, l.accounts[key]); err != nil {
					select {
					case errs <- err:
					default:
					}
				}
			}
		})
	}
	for key := range l.accounts {
		keys <- key
	}
	close(keys)
	wg.Wait()
	select {
	case err := <-errs:
		return err
	default:
	}
	return l.listed(ctx)
}

func (l *ledger) check(ctx context.Context, key string, a *account) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	l.reads.Add(1)
	state, err := l.read(ctx, key)
	if err != nil {
		return fmt.Errorf("read %s: %w", key, err)
	}
	if state == a.acked {
		a.doubts = nil
		return nil
	}
	for _, d := range a.doubts {
		if state == d { // the write without an answer did happen: from now on it must stay
			a.acked, a.doubts = state, nil
			return nil
		}
	}
	return fmt.Errorf("LOST or WRONG: %s is %x (none is all zero), acknowledged was %x, in doubt %d others", key, state[:4], a.acked[:4], len(a.doubts))
}

// listed compares the listing with the ledger: no ghost and nothing missing.
func (l *ledger) listed(ctx context.Context) error {
	seen := map[string]bool{}
	for o := range l.client.ListObjects(ctx, bucket, minio.ListObjectsOptions{Recursive: true}) {
		if o.Err != nil {
			return fmt.Errorf("list: %w", o.Err)
		}
		seen[o.Key] = true
		if a := l.accounts[o.Key]; a == nil || a.acked == absent {
			return fmt.Errorf("GHOST: %s is listed but was deleted or never written", o.Key)
		}
	}
	for key, a := range l.accounts {
		if a.acked != absent && !seen[key] {
			return fmt.Errorf("UNLISTED: %s is there but not listed", key)
		}
	}
	return nil
}

// post calls the admin API.
func (l *ledger) post(ctx context.Context, path string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+l.srv.address+path, http.NoBody)
	if err != nil {
		return err
	}
	const emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	sigv4.Sign(req, sigv4.Credentials{AccessKey: accessKey, SecretKey: secretKey}, "us-east-1", "s3", time.Now(), emptySHA256)
	resp, err := l.srv.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s answered %s", path, resp.Status)
	}
	return nil
}
