package rebalance

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/cluster"
	"holdfast/cluster/placement"
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

// layout is a View that tests change.
type layout struct {
	mu   sync.Mutex
	view *cluster.View
}

func (l *layout) View() *cluster.View {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.view
}

// change publishes a changed View.
func (l *layout) change(edit func(v *cluster.View)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := *l.view
	v.Drives, v.Nodes = slices.Clone(v.Drives), slices.Clone(v.Nodes)
	v.Version++
	edit(&v)
	l.view = &v
}

func (l *layout) set(d id.Drive, edit func(d *cluster.DriveView)) {
	l.change(func(v *cluster.View) {
		for i := range v.Drives {
			if v.Drives[i].ID == d {
				edit(&v.Drives[i])
			}
		}
	})
}

// Place is the placer of writes: active drives that take shards.
func (l *layout) Place(data id.Data, n int) (chosen, spares []id.Drive) {
	f := upkeep.NewFleet(l.View())
	return placement.Choose(f.Candidates(f.Takes), data, n)
}

const groupsOfTests = 3

type world struct {
	t      *testing.T
	meta   *metatest.Groups
	routes *client.Drives
	layout *layout
	shards *fanout.Fanout
	engine *object.Engine
	drives map[id.Drive]*nodetest.Drive
	bodies map[string][]byte
	rng    *rand.Rand
	damage atomic.Int64 // shards that readers missed
	scheme erasure.Scheme
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newWorld(t *testing.T, scheme erasure.Scheme, nodes, drives int) *world {
	w := &world{t: t, meta: metatest.New(groupsOfTests), routes: client.NewDrives(), layout: &layout{}, drives: map[id.Drive]*nodetest.Drive{},
		bodies: map[string][]byte{}, rng: rand.New(rand.NewPCG(1, uint64(nodes))), scheme: scheme}
	w.layout.view = &cluster.View{Version: 1, Cluster: id.Cluster{1}, Scheme: scheme, Settings: &metapb.Settings{}}
	for range nodes {
		w.addNode(drives)
	}
	var err error
	w.shards, err = fanout.New(fanout.Config{Drives: w.routes, OnDamage: func(node.Shard, id.Drive, error) { w.damage.Add(1) }})
	must(t, err)
	w.engine, err = object.New(object.Config{Metadata: w.meta, Shards: w.shards, Placer: w.layout, Scheme: scheme})
	must(t, err)
	must(t, w.engine.CreateBucket(t.Context(), object.CreateBucketRequest{Name: "b", Owner: "root"}))
	return w
}

// addNode adds a node with drives to the cluster.
func (w *world) addNode(drives int) (names []id.Drive) {
	n := id.Node{byte(len(w.layout.View().Nodes) + 1)}
	w.layout.change(func(v *cluster.View) {
		v.Nodes = append(v.Nodes, cluster.NodeView{ID: n, Storage: true, Alive: true})
		for range drives {
			name := id.Drive{byte(w.rng.Uint32()), byte(w.rng.Uint32()), n[0], byte(len(v.Drives))}
			d := nodetest.NewDrive(name)
			w.drives[name] = d
			w.routes.Add(d)
			v.Drives = append(v.Drives, cluster.DriveView{ID: name, Node: n, Alive: true, CapacityBytes: 1 << 40, Status: d.Status()})
			_, err := w.meta.Apply(w.t.Context(), meta.SystemGroup, &metapb.Command{Op: &metapb.Command_PutDrive{
				PutDrive: &metapb.PutDrive{Drive: &metapb.Drive{Id: name[:], Node: n[:]}}}})
			must(w.t, err)
			names = append(names, name)
		}
	})
	return names
}

// fill puts n objects of about size bytes.
func (w *world) fill(n, size int) {
	w.t.Helper()
	for range n {
		body := make([]byte, size/2+w.rng.IntN(size))
		for j := range body {
			body[j] = byte(w.rng.Uint32())
		}
		key := fmt.Sprint("key", len(w.bodies))
		_, err := w.engine.Put(w.t.Context(), object.PutRequest{Bucket: "b", Key: key, Body: bytes.NewReader(body), Size: int64(len(body))})
		must(w.t, err)
		w.bodies[key] = body
	}
}

func (w *world) read(ctx context.Context, key string) error { return w.readLate(ctx, key, 0) }

// readLate reads an object some time after it was looked up.
func (w *world) readLate(ctx context.Context, key string, wait time.Duration) error {
	r, err := w.engine.Get(ctx, object.GetRequest{Bucket: "b", Key: key})
	if err != nil {
		return err
	}
	defer r.Close()
	if err := pause(ctx, wait); err != nil {
		return err
	}
	var out bytes.Buffer
	if _, err := r.WriteTo(ctx, &out); err != nil {
		return err
	}
	if !bytes.Equal(out.Bytes(), w.bodies[key]) {
		return fmt.Errorf("%s differs", key)
	}
	return nil
}

func (w *world) readAll() {
	w.t.Helper()
	for key := range w.bodies {
		must(w.t, w.read(w.t.Context(), key))
	}
}

// refs are all data there is.
func (w *world) refs() (refs []fanout.Ref) {
	w.t.Helper()
	for g := uint32(1); g <= groupsOfTests; g++ {
		_, err := upkeep.Each(w.t.Context(), w.meta, g, upkeep.ScanData(id.Drive{}), func(d *metapb.DataRecord) error {
			ref, err := upkeep.RefOf(d)
			refs = append(refs, ref)
			return err
		})
		must(w.t, err)
	}
	return refs
}

// bytesOn are the bytes of shards that records have on each drive.
func (w *world) bytesOn() map[id.Drive]int64 {
	n := map[id.Drive]int64{}
	for _, ref := range w.refs() {
		for _, d := range ref.Drives {
			n[d] += ref.Layout.ShardLen()
		}
	}
	return n
}

// least is what must be moved from one distribution to another.
func least(before, after map[id.Drive]int64) (n int64) {
	for d := range after {
		n += max(0, after[d]-before[d])
	}
	return n
}

// census fails unless each shard that a record names is on its drive, and whole, and no data has two on one.
// It returns the number of shards that no record names.
func (w *world) census() (orphans int) {
	w.t.Helper()
	want := 0
	for _, ref := range w.refs() {
		seen := map[id.Drive]bool{}
		for i, name := range ref.Drives {
			if seen[name] {
				w.t.Fatalf("%s has two shards on drive %s", ref.Data, name)
			}
			seen[name] = true
			d := w.drives[name]
			if d == nil {
				w.t.Fatalf("shard %d of %s is on no drive", i, ref.Data)
			}
			must(w.t, d.Verify(context.Background(), node.Shard{Data: ref.Data, Index: uint8(i)}))
			want++
		}
	}
	have := 0
	for _, d := range w.drives {
		shards, open := d.Census()
		if have += len(shards); open != 0 {
			w.t.Fatalf("%d writers are open", open)
		}
	}
	return have - want
}

// misplaced counts the shards that are not on a drive which placement chooses.
func (w *world) misplaced() (n int) {
	f := upkeep.NewFleet(w.layout.View())
	stay := f.Candidates(func(d id.Drive) bool { return f.Fate(d) == upkeep.Stays })
	for _, ref := range w.refs() {
		wanted, _ := placement.Choose(stay, ref.Data, len(ref.Drives))
		for _, d := range ref.Drives {
			if !slices.Contains(wanted, d) {
				n++
			}
		}
	}
	return n
}

func (w *world) config() Config {
	return Config{Metadata: w.meta, Shards: w.shards, Drives: w.routes, Layout: w.layout}
}

// start runs a Rebalancer until the returned function is called.
func (w *world) start(cfg Config) (b *Rebalancer, stop func()) {
	w.t.Helper()
	b, err := New(cfg)
	must(w.t, err)
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.Run(ctx)
	}()
	return b, func() {
		cancel()
		<-done
	}
}

// until waits for something, for an hour of fake time at most.
func (w *world) until(what string, is func() bool) {
	w.t.Helper()
	for range 3600 {
		if is() {
			return
		}
		time.Sleep(time.Second)
	}
	w.t.Fatalf("an hour was not enough: %s", what)
}

// settled reports whether a survey of all groups found nothing to move, for the layout as it is.
func settledNow(w *world, b *Rebalancer) func() bool {
	return func() bool {
		p := b.Progress()
		return p.Surveyed && p.LeftShards == 0 && w.misplaced() == 0
	}
}

// Full implements object.Placer.
func (l *layout) Full() bool { return false }
