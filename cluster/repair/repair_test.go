package repair

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"holdfast/cluster"
	"holdfast/cluster/upkeep"
	"holdfast/erasure"
	"holdfast/erasure/fanout"
	"holdfast/internal/id"
	"holdfast/meta"
	"holdfast/meta/metatest"
	"holdfast/node"
	"holdfast/node/client"
	"holdfast/node/nodetest"
	"holdfast/object"
	"holdfast/proto/metapb"
)

// clock is a time that tests set.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

type world struct {
	t      *testing.T
	meta   *metatest.Groups
	routes *client.Drives
	drives []*nodetest.Drive
	engine *object.Engine
	repair *Repairer
	clock  *clock
	bodies map[string][]byte
}

func newWorld(t *testing.T, drives int) *world {
	t.Helper()
	w := &world{t: t, meta: metatest.New(3), routes: client.NewDrives(), clock: &clock{t: time.Unix(1_800_000_000, 0)}, bodies: map[string][]byte{}}
	for range drives {
		w.addDrive()
	}
	var err error
	shards, err := fanout.New(fanout.Config{Drives: w.routes, OnDamage: func(s node.Shard, d id.Drive, err error) { w.repair.Damage(s, d, err) }})
	must(t, err)
	placer := cluster.Placer{Drives: w.routes}
	w.engine, err = object.New(object.Config{Metadata: w.meta, Shards: shards, Placer: placer, Scheme: erasure.Scheme{K: 4, M: 2}, Now: w.clock.now})
	must(t, err)
	w.repair, err = New(Config{Metadata: w.meta, Shards: shards, Drives: w.routes, Placer: placer, ReclaimAfter: time.Minute,
		ScrubBytesPerSecond: 1 << 50, Now: w.clock.now})
	must(t, err)
	must(t, w.engine.CreateBucket(t.Context(), object.CreateBucketRequest{Name: "b", Owner: "root"}))
	r := rand.New(rand.NewPCG(1, 1))
	for i, n := range []int{10_000, 70_000, 1_500_000, 3} {
		body := make([]byte, n)
		for j := range body {
			body[j] = byte(r.Uint32())
		}
		w.put(string(rune('a'+i)), body)
	}
	return w
}

// sharded is how many of the bodies of newWorld have shards.
const sharded = 3

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) addDrive() {
	d := nodetest.NewDrive(id.Drive{byte(len(w.drives) + 1)})
	w.drives = append(w.drives, d)
	w.routes.Add(d)
}

func (w *world) put(key string, body []byte) {
	w.t.Helper()
	_, err := w.engine.Put(w.t.Context(), object.PutRequest{Bucket: "b", Key: key, Body: bytes.NewReader(body), Size: int64(len(body))})
	must(w.t, err)
	w.bodies[key] = body
}

func (w *world) readAll() {
	w.t.Helper()
	for key, body := range w.bodies {
		r, err := w.engine.Get(w.t.Context(), object.GetRequest{Bucket: "b", Key: key})
		must(w.t, err)
		var out bytes.Buffer
		_, err = r.WriteTo(w.t.Context(), &out)
		r.Close()
		must(w.t, err)
		if !bytes.Equal(out.Bytes(), body) {
			w.t.Fatalf("%s differs", key)
		}
	}
}

// census fails unless every shard of every data record is on its drive and no other shard is.
func (w *world) census() {
	w.t.Helper()
	want := 0
	for g := uint32(1); g <= w.meta.Groups(); g++ {
		a, err := w.meta.Ask(w.t.Context(), g, &metapb.Query{Op: &metapb.Query_ScanData{ScanData: &metapb.ScanData{Limit: 1000}}})
		must(w.t, err)
		for _, rec := range a.Data {
			ref, err := upkeep.RefOf(rec)
			must(w.t, err)
			for i, name := range ref.Drives {
				d, ok := w.routes.Drive(name)
				if !ok {
					w.t.Fatalf("shard %d of %s is on no reachable drive", i, ref.Data)
				}
				must(w.t, d.Verify(w.t.Context(), node.Shard{Data: ref.Data, Index: uint8(i)}))
				want++
			}
		}
	}
	have := 0
	for _, d := range w.routes.All() {
		page, err := d.List(w.t.Context(), node.Shard{}, 1000)
		must(w.t, err)
		have += len(page)
	}
	if have != want {
		w.t.Fatalf("%d shards on the drives, %d in the records", have, want)
	}
}

func (w *world) shards(d *nodetest.Drive) []node.Shard {
	shards, _ := d.Census()
	return shards
}

func TestScrubFindsAndHealsFlippedAndMissingShards(t *testing.T) {
	w := newWorld(t, 6)
	for i, s := range w.shards(w.drives[0]) {
		if i%2 == 0 {
			w.drives[0].Flip(s, 0, 5)
		} else {
			w.drives[0].Drop(s)
		}
	}
	w.repair.scrub(t.Context())
	w.repair.look(t.Context())
	w.census()
	w.readAll()
	if st := w.repair.Stats(); st.Rebuilt != sharded || st.Damaged != sharded {
		t.Fatalf("%d shards found bad and %d rebuilt, want %d", st.Damaged, st.Rebuilt, sharded)
	}
}

func TestReaderReportsDamageAndItIsHealed(t *testing.T) {
	w := newWorld(t, 6)
	for _, d := range w.drives[:2] {
		for _, s := range w.shards(d) {
			w.drives[0].Flip(s, 0, 1)
			d.Flip(s, 0, 1)
		}
	}
	w.readAll()
	w.repair.look(t.Context())
	w.repair.scrub(t.Context()) // parity that no reader looked at
	w.repair.look(t.Context())
	w.census()
}

func TestLostDriveIsRebuiltOnAnotherAndRetired(t *testing.T) {
	w := newWorld(t, 6)
	lost := w.drives[2].Status().ID
	var retired []id.Drive
	w.repair.cfg.Retire = func(_ context.Context, d id.Drive) error {
		retired = append(retired, d)
		return nil
	}
	w.routes.Remove(lost)
	w.repair.Lost(lost)
	w.repair.look(t.Context())
	if w.repair.Idle() {
		t.Fatal("idle, although a shard of each data ID has no drive to go to")
	}
	w.readAll()
	w.addDrive()
	for range 3 {
		w.repair.look(t.Context())
	}
	w.census()
	w.readAll()
	if len(retired) != 1 || retired[0] != lost || !w.repair.Idle() {
		t.Fatalf("retired %v, idle %t", retired, w.repair.Idle())
	}
}

func TestWriteWithAMissingDriveIsCompletedLater(t *testing.T) {
	w := newWorld(t, 5)
	w.addDrive()
	w.repair.look(t.Context())
	w.census()
	w.readAll()
}

func TestDeletedDataIsReclaimedAfterTheGraceAndNotBefore(t *testing.T) {
	w := newWorld(t, 6)
	for key := range w.bodies {
		_, err := w.engine.Delete(t.Context(), object.DeleteRequest{Bucket: "b", Key: key})
		must(t, err)
	}
	reap := func() (n int) {
		for g := uint32(1); g <= w.meta.Groups(); g++ {
			_, err := w.repair.reap(t.Context(), g)
			must(t, err)
		}
		for _, d := range w.drives {
			n += len(w.shards(d))
		}
		return n
	}
	w.clock.pass(59 * time.Second)
	if n := reap(); n != 6*sharded {
		t.Fatalf("%d shards are left within the grace, want %d", n, 6*sharded)
	}
	w.clock.pass(2 * time.Second)
	if n := reap(); n != 0 {
		t.Fatalf("%d shards are left after the grace", n)
	}
}

func TestOrphanIsDeletedOnlyWhenAskedTwice(t *testing.T) {
	w := newWorld(t, 6)
	// A shard of a known group that no record names, as a crash between shards and commit leaves it.
	data, err := id.NewData(meta.SystemGroup+1, bytes.NewReader(make([]byte, id.Size)))
	must(t, err)
	wr, err := w.drives[3].Create(t.Context(), node.Spec{Shard: node.Shard{Data: data, Index: 1}, K: 4, M: 2, BlockLen: 100, Length: 10})
	must(t, err)
	must(t, wr.WriteBlock(t.Context(), make([]byte, 10)))
	must(t, wr.Commit(t.Context()))
	suspects := w.repair.sweep(t.Context(), nil)
	if len(suspects) != 1 || len(w.shards(w.drives[3])) != sharded+1 {
		t.Fatalf("%d suspects, %d shards after the first question", len(suspects), len(w.shards(w.drives[3])))
	}
	w.meta.Silence(errors.New("no leader"))
	w.repair.sweep(t.Context(), suspects)
	if len(w.shards(w.drives[3])) != sharded+1 {
		t.Fatal("a shard was deleted although its group did not answer")
	}
	w.meta.Silence(nil)
	w.repair.cfg.Metadata = slow{w.meta, w.clock} // the process was paused after the answer
	w.repair.sweep(t.Context(), suspects)
	if len(w.shards(w.drives[3])) != sharded+1 {
		t.Fatal("a shard was deleted by an answer of long ago")
	}
	w.repair.cfg.Metadata = w.meta
	w.repair.sweep(t.Context(), suspects)
	w.census()
	w.readAll()
}

// slow answers take a minute.
type slow struct {
	upkeep.Metadata
	clock *clock
}

func (s slow) Ask(ctx context.Context, group uint32, q *metapb.Query) (*metapb.Answer, error) {
	defer s.clock.pass(time.Minute)
	return s.Metadata.Ask(ctx, group, q)
}
