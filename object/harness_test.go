package object

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"holdfast/erasure"
	"holdfast/erasure/fanout"
	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/meta/metatest"
	"holdfast/node"
	"holdfast/node/client"
	"holdfast/node/nodetest"
	"holdfast/seal"
)

// placeAll puts shard i on drive i.
type placeAll struct {
	drives []id.Drive
	full   bool
}

func (p *placeAll) Place(_ id.Data, n int) (chosen, spares []id.Drive) {
	return p.drives[:n], p.drives[n:]
}

func (p *placeAll) Full() bool { return p.full }

type store struct {
	*Engine
	t      *testing.T
	meta   *metatest.Groups
	drives []node.Drive
	placer *placeAll
	rand   *rand.Rand
}

func newStore(t *testing.T) *store {
	t.Helper()
	s := &store{t: t, meta: metatest.New(4), rand: rand.New(rand.NewPCG(7, 7))}
	s.placer = &placeAll{}
	for i := range 6 {
		d := nodetest.NewDrive(id.Drive{byte(i + 1)})
		s.drives, s.placer.drives = append(s.drives, d), append(s.placer.drives, d.Status().ID)
	}
	shards, err := fanout.New(fanout.Config{Drives: client.NewDrives(s.drives...)})
	if err != nil {
		t.Fatal(err)
	}
	s.Engine, err = New(Config{Metadata: s.meta, Shards: shards, Placer: s.placer, Scheme: erasure.Scheme{K: 4, M: 2}})
	if err != nil {
		t.Fatal(err)
	}
	must(t, s.CreateBucket(t.Context(), CreateBucketRequest{Name: "b", Owner: "root"}))
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantKind(t *testing.T, err error, k kind.Kind) {
	t.Helper()
	if kind.Of(err) != k || err == nil {
		t.Fatalf("got error %v of kind %d, want kind %d", err, kind.Of(err), k)
	}
}

func (s *store) bytes(n int) []byte {
	b := make([]byte, n)
	for i := 0; i+8 <= n; i += 8 {
		v := s.rand.Uint64()
		for j := range 8 {
			b[i+j] = byte(v >> (8 * j))
		}
	}
	return b
}

// customer makes a key that is all of one byte.
func customer(t *testing.T, fill byte) *seal.CustomerKey {
	t.Helper()
	raw := bytes.Repeat([]byte{fill}, 32)
	sum := md5.Sum(raw)
	c, err := seal.ParseCustomer("AES256", base64.StdEncoding.EncodeToString(raw), base64.StdEncoding.EncodeToString(sum[:]))
	must(t, err)
	return c
}

func (s *store) put(key string, body []byte, c *seal.CustomerKey) PutResult {
	s.t.Helper()
	r, err := s.Put(s.t.Context(), PutRequest{Bucket: "b", Key: key, Body: bytes.NewReader(body), Size: int64(len(body)), Customer: c})
	must(s.t, err)
	return r
}

func (s *store) get(r GetRequest) ([]byte, *Reading, error) {
	r.Bucket = "b"
	reading, err := s.Get(s.t.Context(), r)
	if err != nil {
		return nil, nil, err
	}
	defer reading.Close()
	var out bytes.Buffer
	n, err := reading.WriteTo(s.t.Context(), &out)
	if err == nil && (n != int64(out.Len()) || n != reading.Length) {
		err = errors.New("WriteTo sent another number of bytes than it says")
	}
	return out.Bytes(), reading, err
}

// census counts the shards on all drives.
func (s *store) census() int {
	s.t.Helper()
	var n int
	for _, d := range s.drives {
		page, err := d.List(s.t.Context(), node.Shard{}, 100_000)
		must(s.t, err)
		n += len(page)
	}
	return n
}

// eventually waits for what another goroutine does without being waited for.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			t.Fatalf("not within 10 s: %s", what)
		case <-tick.C:
		}
	}
}

// failing yields some bytes, then an error.
type failing struct {
	r   io.Reader
	err error
}

func (f failing) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if errors.Is(err, io.EOF) {
		err = f.err
	}
	return n, err
}
