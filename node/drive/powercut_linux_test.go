package drive

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/dgraph-io/badger/v4"

	"holdfast/internal/kind"
	"holdfast/node"
	"holdfast/node/drive/log"
)

const (
	// writerEnv makes the test binary the victim of a power cut: it writes to the drive there.
	writerEnv = "HOLDFAST_TEST_POWERCUT_DRIVE"
	// cutsEnv is how many power cuts the test makes; default 3, for a long run 200 and more.
	cutsEnv = "HOLDFAST_TEST_POWERCUTS"
	// ext4Shutdown and noLogFlush are EXT4_IOC_SHUTDOWN and EXT4_GOING_FLAGS_NOLOGFLUSH: all that
	// was not synced is lost, and every later call answers EIO.
	ext4Shutdown = 0x8004587d
	noLogFlush   = 2
)

// TestNothingAcknowledgedIsLostInPowerCuts cuts the power of a real file system while another
// process writes shards and, like a group replica, to the raft log and to Badger.
func TestNothingAcknowledgedIsLostInPowerCuts(t *testing.T) {
	cuts := 3
	if s := os.Getenv(cutsEnv); s != "" {
		var err error
		if cuts, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	} else if testing.Short() {
		t.Skip("short")
	}
	f := newLoop(t)
	l := ledger{shards: map[int]bool{}, touched: map[int]bool{}}
	r := rand.New(rand.NewPCG(uint64(os.Getpid()), 1))
	for cut := range cuts {
		f.mount(t)
		path := filepath.Join(f.dir, "drive")
		l.read(t, f, path, time.Duration(30+r.IntN(400))*time.Millisecond)
		f.unmount(t)
		f.mount(t)
		if _, err := os.Stat(path); err == nil {
			l.check(t, path)
		} else if l.next > 0 {
			t.Fatal("the drive is gone")
		}
		f.unmount(t)
		if t.Failed() {
			t.Fatalf("after cut %d", cut)
		}
	}
	t.Logf("%d cuts, %d shards, %d replica writes", cuts, l.next, l.replica)
	if l.next == 0 {
		t.Error("nothing was written")
	}
}

// loop is an ext4 file system in a file.
type loop struct{ image, dir string }

func newLoop(t *testing.T) *loop {
	t.Helper()
	f := &loop{image: filepath.Join(t.TempDir(), "image"), dir: t.TempDir()}
	if os.Getuid() != 0 {
		t.Skip("needs root: power cuts are not tested")
	}
	image, err := os.Create(f.image)
	if err != nil {
		t.Fatal(err)
	}
	if err := image.Truncate(1 << 30); err != nil {
		t.Fatal(err)
	}
	image.Close()
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", f.image).CombinedOutput(); err != nil {
		t.Skipf("no ext4 to be made here: power cuts are not tested: %v %s", err, out)
	}
	if out, err := exec.Command("mount", "-o", "loop", f.image, f.dir).CombinedOutput(); err != nil {
		t.Skipf("no loop mounts here: power cuts are not tested: %v %s", err, out)
	}
	f.unmount(t)
	return f
}

func (f *loop) mount(t *testing.T) {
	t.Helper()
	if out, err := exec.Command("mount", "-o", "loop", f.image, f.dir).CombinedOutput(); err != nil {
		t.Fatalf("mount: %v %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", f.dir).Run() }) // if the test fails before
}

func (f *loop) unmount(t *testing.T) {
	t.Helper()
	if out, err := exec.Command("umount", f.dir).CombinedOutput(); err != nil {
		t.Fatalf("umount: %v %s", err, out)
	}
}

func (f *loop) cut(t *testing.T) {
	t.Helper()
	dir, err := os.Open(f.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	flag := uint32(noLogFlush)
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, dir.Fd(), ext4Shutdown, uintptr(unsafe.Pointer(&flag)))
	if errno != 0 {
		t.Skipf("no shutdown of ext4 here: power cuts are not tested: %v", errno)
	}
}

// ledger is what the writers were promised.
type ledger struct {
	next    int          // number of the next shard
	shards  map[int]bool // acknowledged: true, deleted: false
	touched map[int]bool // a deletion began and may or may not have happened
	replica int          // replica writes acknowledged
}

// read starts a writer, notes what it says, and cuts the power.
func (l *ledger) read(t *testing.T, f *loop, path string, after time.Duration) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run", "^$")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s", writerEnv, path),
		fmt.Sprintf("FIRST=%d", l.next), fmt.Sprintf("REPLICA=%d", l.replica))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	var timer *time.Timer
	for lines.Scan() {
		word, number, _ := strings.Cut(lines.Text(), " ")
		n, _ := strconv.Atoi(number)
		switch word {
		case "ready":
			timer = time.AfterFunc(after, func() {
				f.cut(t)
				_ = cmd.Process.Kill()
			})
		case "put":
			l.shards[n], l.next = true, max(l.next, n+1)
		case "deleting":
			l.touched[n] = true
		case "deleted":
			l.shards[n] = false
		case "replica":
			l.replica = n + 1
		}
	}
	_ = cmd.Wait() // killed, or by SIGBUS: Badger writes through mmap
	if timer == nil {
		t.Fatal("the writer did not start")
	}
	timer.Stop()
	if _, err := os.Stat(f.dir); err == nil {
		f.cut(t) // the writer may have failed by itself before
	}
}

// check opens the drive and compares.
func (l *ledger) check(t *testing.T, path string) {
	t.Helper()
	d := open(t, config(path))
	defer closeDrive(t, d)
	for n, there := range l.shards {
		s := cutSpec(n)
		switch {
		case there && !l.touched[n]:
			wantShard(t, d, s, content(s, 1))
		case !there:
			wantNone(t, d, s)
		}
	}
	list, err := d.List(context.Background(), node.Shard{}, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		wantShard(t, d, s, content(s, 1))
	}
	_, values := openReplica(t.Fatal, d)
	for n := range l.replica {
		if values[uint32(n)%replicaKeys] < uint32(n) {
			t.Fatalf("replica write %d is lost", n)
		}
	}
}

func cutSpec(n int) node.Spec {
	return spec(n, 65536, []uint64{100, 5000, 60_000, 300_000}[n%4])
}

// replicaKeys is how many keys the replica writes over and over.
const replicaKeys = 16

// openReplica opens the raft log and brings what Badger holds up to it, as a group replica does.
func openReplica(fatal func(...any), d *Drive) (*log.Log, map[uint32]uint32) {
	values := map[uint32]uint32{}
	var applied uint32
	err := d.KV().Badger().View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte("g")})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			v, err := it.Item().ValueCopy(nil)
			if err != nil {
				return err
			}
			values[binary.BigEndian.Uint32(it.Item().Key()[1:])] = binary.BigEndian.Uint32(v)
		}
		item, err := txn.Get([]byte("r"))
		if err == nil {
			v, _ := item.ValueCopy(nil)
			applied = binary.BigEndian.Uint32(v)
		}
		return nil
	})
	if err != nil {
		fatal(err)
	}
	for k, v := range values { // the position is of the same transaction as the last value
		if v > applied {
			fatal(fmt.Sprintf("key %d is at %d, the position at %d", k, v, applied))
		}
	}
	l, err := d.OpenRaftLog(func(_ log.Pos, _ uint8, payload []byte) error {
		if n := binary.BigEndian.Uint32(payload); n > applied {
			values[n%replicaKeys] = n
		}
		return nil
	})
	if err != nil {
		fatal(err)
	}
	return l, values
}

// victim writes until the power goes. It tells of each acknowledgement on standard output.
func victim(path string) {
	first, _ := strconv.Atoi(os.Getenv("FIRST"))
	replica, _ := strconv.Atoi(os.Getenv("REPLICA"))
	d, err := Open(context.Background(), config(path))
	if err != nil {
		fmt.Fprintln(os.Stderr, "victim:", err)
		os.Exit(1)
	}
	fail := func(a ...any) { fmt.Fprintln(os.Stderr, a...); os.Exit(1) }
	raft, _ := openReplica(fail, d)
	fmt.Println("ready")
	go func() {
		for n := uint32(replica); ; n++ {
			if err := replicate(d, raft, n); err != nil {
				return
			}
			fmt.Printf("replica %d\n", n)
		}
	}()
	for n := first; ; n++ {
		s := cutSpec(n)
		if err := tryPut(d, s, content(s, 1)); err != nil {
			select {} // the power is gone: wait for the end
		}
		fmt.Printf("put %d\n", n)
		if n%3 != 0 {
			continue
		}
		fmt.Printf("deleting %d\n", n)
		if err := d.Delete(context.Background(), []node.Shard{s.Shard}); err != nil {
			if kind.Is(err, kind.Unavailable) {
				select {}
			}
			fail(err)
		}
		fmt.Printf("deleted %d\n", n)
	}
}

// replicate does what a replica does for one entry: log, then apply with the position. The values
// are large, so that memtables are flushed.
func replicate(d *Drive, raft *log.Log, n uint32) error {
	entry := binary.BigEndian.AppendUint32(nil, n)
	done := make(chan error, 1)
	raft.Append(1, [][]byte{entry}, func(_ log.Pos, err error) { done <- err })
	if err := <-done; err != nil {
		return err
	}
	value := make([]byte, 200_000)
	binary.BigEndian.PutUint32(value, n)
	return d.KV().Badger().Update(func(txn *badger.Txn) error {
		if err := txn.Set(binary.BigEndian.AppendUint32([]byte("g"), n%replicaKeys), value); err != nil {
			return err
		}
		return txn.Set([]byte("r"), entry)
	})
}
