package fanout

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"holdfast/erasure"
	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/node"
	"holdfast/node/nodetest"
)

var scheme42 = erasure.Scheme{K: 4, M: 2}

// putOps are the calls in which a drive can fail a write.
var putOps = []nodetest.Op{nodetest.Create, nodetest.Write, nodetest.Commit}

// TestAFailingDriveCostsAShardNotTheWrite fails each number of drives in each call: up to m-margin
// the write succeeds and names what is missing; beyond, it fails and nothing stays behind.
func TestAFailingDriveCostsAShardNotTheWrite(t *testing.T) {
	for _, scheme := range []erasure.Scheme{{K: 1}, {K: 1, M: 2}, {K: 4, M: 2}, {K: 3, M: 1}, {K: 8, M: 4}} {
		for _, stripes := range []int{0, 1, 3} {
			for _, op := range putOps {
				for bad := 0; bad <= scheme.Shards(); bad++ {
					for margin := min(1, scheme.M); margin <= scheme.M; margin++ {
						if op == nodetest.Write && stripes == 0 {
							continue
						}
						r := newRig(t, scheme.Shards(), nil)
						for i := range bad {
							r.drives[(i*5+1)%len(r.drives)].Fail(op, errEIO, max(0, stripes-2))
							if op != nodetest.Write {
								r.drives[(i*5+1)%len(r.drives)].Fail(op, errEIO, 0)
							}
						}
						if scheme.Shards()%5 == 0 && bad > 1 {
							continue
						}
						data := randomBytes(stripes*scheme.K*tiny, 1)
						spec := r.small(scheme, len(data))
						spec.Margin = margin
						drives, err := r.f.Put(context.Background(), spec, bytes.NewReader(data))
						what := fmt.Sprintf("%s margin %d, %d stripes, %d drives fail in %d", scheme, margin, stripes, bad, op)
						checkOutcome(t, r, what, spec, data, drives, err, bad <= scheme.M-margin, bad)
					}
				}
			}
		}
	}
}

func checkOutcome(t *testing.T, r *rig, what string, spec PutSpec, data []byte, drives []id.Drive, err error, ok bool, missing int) {
	t.Helper()
	r.f.Close()
	if s := r.f.Stats(); s.PutBytes+s.HeldBytes != 0 {
		t.Fatalf("%s: %d bytes still charged", what, s.PutBytes)
	}
	if !ok {
		if !kind.Is(err, kind.Unavailable) || drives != nil {
			t.Fatalf("%s: got %v, %v", what, drives, err)
		}
		if n := r.census(); n != 0 {
			t.Fatalf("%s: %d shards stayed behind", what, n)
		}
		return
	}
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	zero := 0
	for i, name := range drives {
		if name.IsZero() {
			zero++
		} else if _, err := r.drive(name).Stat(context.Background(), node.Shard{Data: spec.Data, Index: uint8(i)}); err != nil {
			t.Fatalf("%s: shard %d is said to be on %s: %v", what, i, name, err)
		}
	}
	if zero != missing || r.census() != spec.Scheme.Shards()-missing {
		t.Fatalf("%s: %d shards are said to be missing, %d are there", what, zero, r.census())
	}
	r.mustGet(spec.ref(drives), data)
}

// TestAShortWriteWaitsForItsQuorum: Put may not return before k+margin shards are durable.
func TestAPutIsDurableBeforeItReturns(t *testing.T) {
	for margin := 1; margin <= 2; margin++ {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, 6, nil)
			for i, d := range r.drives {
				d.Slow(nodetest.Commit, time.Duration(i+1)*time.Minute)
			}
			spec := r.small(scheme42, 3*tiny*4)
			spec.Margin = margin
			start := time.Now()
			drives, err := r.f.Put(context.Background(), spec, bytes.NewReader(make([]byte, spec.Length)))
			if err != nil {
				t.Fatal(err)
			}
			durable := 0
			for i, name := range drives {
				if !name.IsZero() {
					durable++
					if shards, _ := r.drives[i].Census(); len(shards) != 1 {
						t.Errorf("shard %d is not there", i)
					}
				}
			}
			if durable < 4+margin || time.Since(start) < time.Duration(4+margin)*time.Minute {
				t.Errorf("returned after %v with %d shards", time.Since(start), durable)
			}
			r.f.Close()
			if n := r.census(); n != durable {
				t.Errorf("%d shards on the drives, %d were named", n, durable)
			}
		})
	}
}

// TestASpareTakesTheShard of a drive that is unset, unknown, out, full or fails in time.
func TestASpareTakesTheShard(t *testing.T) {
	for name, harm := range map[string]func(*rig, *PutSpec){
		"unset":   func(r *rig, s *PutSpec) { s.Drives[2] = id.Drive{} },
		"unknown": func(r *rig, s *PutSpec) { s.Drives[2] = id.Drive{0xFF} },
		"out":     func(r *rig, s *PutSpec) { r.drives[2].SetOut(true) },
		"full":    func(r *rig, s *PutSpec) { r.drives[2].Fail(nodetest.Create, kind.New(kind.Full, "full"), 0) },
		"write":   func(r *rig, s *PutSpec) { r.drives[2].Fail(nodetest.Write, errEIO, 0) },
		"two": func(r *rig, s *PutSpec) {
			r.drives[2].SetOut(true)
			r.drives[6].SetOut(true)
		},
	} {
		for _, stripes := range []int{1, 4} {
			r := newRig(t, 8, nil)
			data := randomBytes(stripes*4*tiny-3, 5)
			spec := r.small(scheme42, len(data))
			spec.Drives = append([]id.Drive(nil), spec.Drives...)
			harm(r, &spec)
			ref := r.put(spec, data)
			for i, d := range ref.Drives {
				if d.IsZero() {
					t.Errorf("%s, %d stripes: shard %d is missing", name, stripes, i)
				}
			}
			if n := r.census(); n != 6 {
				t.Errorf("%s: %d shards", name, n)
			}
			ref.Drives[0], ref.Drives[5] = id.Drive{}, id.Drive{} // the spare's shard is needed
			r.mustGet(ref, data)
		}
	}
}

// TestAShortObjectIsWrittenAgainToASpare even when its drive fails in the commit.
func TestAShortObjectIsWrittenAgainToASpare(t *testing.T) {
	r := newRig(t, 7, nil)
	r.drives[3].Fail(nodetest.Commit, errEIO, 0)
	data := randomBytes(100, 1)
	ref := r.put(r.small(scheme42, 100), data)
	if ref.Drives[3] != r.names[6] {
		t.Errorf("shard 3 is on %s", ref.Drives[3])
	}
	ref.Drives[0], ref.Drives[1] = id.Drive{}, id.Drive{}
	r.mustGet(ref, data)
}

// TestAllDrivesFullIsFull: the client is told to stop, not to retry.
func TestAllDrivesFullIsFull(t *testing.T) {
	r := newRig(t, 6, nil)
	for _, d := range r.drives {
		d.Fail(nodetest.Create, kind.New(kind.Full, "full"), 0)
	}
	_, err := r.f.Put(context.Background(), r.small(scheme42, 10), bytes.NewReader(make([]byte, 10)))
	if !kind.Is(err, kind.Full) {
		t.Error(err)
	}
}

// TestAFailedPutDoesNotWaitForADriveThatHangs: what it has made durable there goes without it, on the others at once.
func TestAFailedPutDoesNotWaitForADriveThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 6, nil)
		release := r.drives[1].Hang(nodetest.Delete)
		for _, d := range r.drives[3:] {
			d.Fail(nodetest.Commit, errEIO, 0)
		}
		data, begin := randomBytes(4*tiny, 1), time.Now()
		if _, err := r.f.Put(t.Context(), r.small(scheme42, len(data)), bytes.NewReader(data)); !kind.Is(err, kind.Unavailable) {
			t.Errorf("put with three drives: %v", err)
		}
		if took := time.Since(begin); took > cleanupPatience+r.f.cfg.Grace {
			t.Errorf("it took %v", took)
		}
		if n := r.census(); n != 1 {
			t.Errorf("%d shards are left, one is held", n)
		}
		release()
		r.f.Close()
		if n := r.census(); n != 0 {
			t.Errorf("%d shards are left", n)
		}
	})
}

// TestABodyErrorLeavesNothing fails the body after each number of bytes, and with its last byte.
func TestABodyErrorLeavesNothing(t *testing.T) {
	bodyErr := errors.New("the signature of a chunk is wrong")
	for _, size := range []int{1, tiny, 4 * tiny, 10*tiny + 3} {
		for cut := 0; cut <= size; cut += 7 {
			for name, body := range map[string]io.Reader{
				"error":     io.MultiReader(bytes.NewReader(make([]byte, cut)), iotest.ErrReader(bodyErr)),
				"short":     bytes.NewReader(make([]byte, cut)),
				"with data": iotest.DataErrReader(io.MultiReader(bytes.NewReader(make([]byte, cut)), iotest.ErrReader(bodyErr))),
			} {
				if cut == size && name != "with data" {
					continue
				}
				r := newRig(t, 7, nil)
				spec := r.small(scheme42, size)
				inspected := 0
				spec.Inspect = func(b []byte) { inspected += len(b) }
				_, err := r.f.Put(context.Background(), spec, body)
				switch {
				case name == "short" && !errors.Is(err, io.ErrUnexpectedEOF), name != "short" && !errors.Is(err, bodyErr):
					t.Fatalf("size %d, %s after %d: %v", size, name, cut, err)
				case inspected > cut:
					t.Fatalf("size %d, %s after %d: %d bytes inspected", size, name, cut, inspected)
				}
				if n := r.census(); n != 0 {
					t.Fatalf("size %d, %s after %d: %d shards stayed behind", size, name, cut, n)
				}
				if s := r.f.Stats(); s.PutBytes+s.HeldBytes != 0 {
					t.Fatalf("%d bytes still charged", s.PutBytes)
				}
			}
		}
	}
}

// TestExactlyLengthBytesAreRead: what follows them in the connection is not the object's.
func TestExactlyLengthBytesAreRead(t *testing.T) {
	for _, size := range []int{0, 1, 4 * tiny, 9*tiny + 1} {
		r := newRig(t, 6, nil)
		body := bytes.NewReader(make([]byte, size+10))
		if _, err := r.f.Put(context.Background(), r.small(scheme42, size), body); err != nil {
			t.Fatal(err)
		}
		if body.Len() != 10 {
			t.Errorf("size %d: %d of 10 bytes are left", size, body.Len())
		}
	}
}

// TestASlowDriveIsLeftBehind hangs up to m-margin drives in each call: the write ends soon after the
// others are done, the shard is said to be missing, and what comes late is left to the orphan sweep if it
// was being committed, and is dropped otherwise.
func TestASlowDriveIsLeftBehind(t *testing.T) {
	for _, stripes := range []int{1, 8} {
		for _, op := range putOps {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 6, nil)
				release := r.drives[1].Hang(op)
				data := randomBytes(stripes*4*tiny, 2)
				spec := r.small(scheme42, len(data))
				var seen bytes.Buffer
				spec.Inspect = func(b []byte) { seen.Write(b) }
				start := time.Now()
				drives, err := r.f.Put(context.Background(), spec, bytes.NewReader(data))
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took > time.Second || took < 400*time.Millisecond {
					t.Errorf("op %d: took %v", op, took)
				}
				if !drives[1].IsZero() {
					t.Errorf("op %d: shard 1 is said to be durable", op)
				}
				if !bytes.Equal(seen.Bytes(), data) {
					t.Errorf("op %d: Inspect saw other bytes", op)
				}
				// Others use the buffers that the hung drive might still look at: it may not have them.
				for range 4 {
					other := randomBytes(4*tiny, 8)
					ref := r.spec(scheme42, 4*tiny)
					ref.BlockLen, ref.Drives, ref.Spares = tiny, append([]id.Drive{r.names[0], {}}, r.names[2:]...), nil
					r.mustGet(r.put(ref, other), other)
				}
				release()
				r.f.Close()
				if shards, open := r.drives[1].Census(); len(shards) > 0 && op != nodetest.Commit || open != 0 {
					t.Errorf("op %d: the late shard stayed: %v, %d", op, shards, open)
				}
				if s := r.f.Stats(); s.PutBytes+s.HeldBytes != 0 || s.Abandoned != 1 {
					t.Errorf("op %d: %+v", op, s)
				}
				r.mustGet(spec.ref(drives), data)
			})
		}
	}
}

// TestAShardThatComesLateDoesNotTakeARepairedOneAway: repair, which runs on another node, has put the same
// shard on the drive by the time that the drive ends the first write.
func TestAShardThatComesLateDoesNotTakeARepairedOneAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 6, nil)
		release, erase := r.drives[1].Hang(nodetest.Commit), r.drives[1].Hang(nodetest.Delete)
		data := randomBytes(8*tiny, 2)
		spec := r.small(scheme42, len(data))
		drives, err := r.f.Put(context.Background(), spec, bytes.NewReader(data))
		if err != nil || !drives[1].IsZero() {
			t.Fatal(drives, err)
		}
		other, err := New(Config{Drives: r.f.cfg.Drives})
		if err != nil {
			t.Fatal(err)
		}
		release()
		ref := spec.ref(drives)
		if err := other.Rebuild(context.Background(), ref, []int{1}, r.names[1:2]); err != nil {
			t.Fatal(err)
		}
		erase()
		r.f.Close()
		ref.Drives[1] = r.names[1]
		if bad, err := other.Check(context.Background(), ref, Looking{}); len(bad) != 0 || err != nil {
			t.Errorf("shards %v are not where the record says: %v", bad, err)
		}
		other.Close()
	})
}

// TestASlowDriveKeepsItsBuffer: when a hung drive goes on at last, it reads its block and fills the
// room behind it; by then another write has taken what was freed.
func TestASlowDriveKeepsItsBuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 6, nil)
		for range 10 {
			release := r.drives[1].Hang(nodetest.Write)
			r.put(r.small(scheme42, 4*tiny), make([]byte, 4*tiny))
			go func() {
				time.Sleep(time.Second)
				release()
			}()
			for _, d := range r.drives {
				d.Slow(nodetest.Write, 2*time.Second)
			}
			data := randomBytes(16*tiny, 3)
			spec := r.spec(scheme42, int64(len(data)))
			spec.BlockLen = 4 * tiny
			spec.Drives = append([]id.Drive{r.names[0], {}}, r.names[2:]...)
			ref := r.put(spec, data)
			for hidden := range ref.Drives { // look at every shard
				part := ref
				part.Drives = append([]id.Drive(nil), ref.Drives...)
				part.Drives[hidden] = id.Drive{}
				r.mustGet(part, data)
			}
			for _, d := range r.drives {
				d.Slow(nodetest.Write, 0)
			}
		}
		r.f.Close()
	})
}

// TestADriveThatHoldsWritesIsPassedOver: each abandoned write keeps a buffer, so there is a limit.
func TestADriveThatHoldsWritesIsPassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 7, nil)
		release := r.drives[1].Hang(nodetest.Write)
		for n := range 10 {
			start := time.Now()
			spec := r.small(scheme42, 8*4*tiny)
			spec.Data[15] = byte(n)
			drives, err := r.f.Put(context.Background(), spec, bytes.NewReader(make([]byte, spec.Length)))
			if err != nil {
				t.Fatal(err)
			}
			if n < 4 != drives[1].IsZero() {
				t.Errorf("write %d: shard 1 is on %s", n, drives[1])
			}
			if n >= 4 && time.Since(start) > 0 {
				t.Errorf("write %d waited %v", n, time.Since(start))
			}
		}
		release()
		r.f.Close()
		if s := r.f.Stats(); s.PutBytes+s.HeldBytes != 0 || s.Abandoned != 4 {
			t.Errorf("%+v", s)
		}
		drives, err := r.f.Put(context.Background(), r.small(scheme42, 100), bytes.NewReader(make([]byte, 100)))
		if err != nil || drives[1] != r.names[1] {
			t.Errorf("after it answered again: %v, %v", drives, err)
		}
	})
}

// TestASlowDriveDoesNotSetThePace: one drive takes 250 ms a block, the others 1 ms; a long write is
// bounded by the grace and a share, not by the slowest drive.
func TestASlowDriveDoesNotSetThePace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 6, nil)
		for i, d := range r.drives {
			d.Slow(nodetest.Write, time.Millisecond)
			if i == 4 {
				d.Slow(nodetest.Write, 250*time.Millisecond)
			}
		}
		start := time.Now()
		data := randomBytes(400*4*tiny, 1)
		ref := r.put(r.small(scheme42, len(data)), data)
		if took := time.Since(start); took > 1500*time.Millisecond {
			t.Errorf("took %v", took)
		}
		if !ref.Drives[4].IsZero() {
			t.Error("the slow drive's shard is said to be durable")
		}
		r.f.Close()
		r.mustGet(ref, data)
	})
}

// TestAnEvenlySlowSystemLosesNoShard: slowness of all is no reason to give up redundancy.
func TestAnEvenlySlowSystemLosesNoShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 6, nil)
		for i, d := range r.drives {
			d.Slow(nodetest.Write, 2*time.Second+time.Duration(i)*100*time.Millisecond)
			d.Slow(nodetest.Commit, 2*time.Second+time.Duration(i)*20*time.Millisecond)
		}
		data := randomBytes(30*4*tiny, 1)
		ref := r.put(r.small(scheme42, len(data)), data)
		for i, d := range ref.Drives {
			if d.IsZero() {
				t.Errorf("shard %d was given up", i)
			}
		}
	})
}

// TestACanceledPutLeavesNothing cancels while drives hang in each call.
func TestACanceledPutLeavesNothing(t *testing.T) {
	for _, stripes := range []int{1, 5} {
		for _, op := range putOps {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 6, nil)
				var releases []func()
				for _, d := range r.drives[:3] {
					releases = append(releases, d.Hang(op))
				}
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				spec := r.small(scheme42, stripes*4*tiny)
				_, err := r.f.Put(ctx, spec, bytes.NewReader(make([]byte, spec.Length)))
				if !kind.Is(err, kind.Canceled) || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("op %d: %v", op, err)
				}
				for i, d := range r.drives[3:] {
					if shards, open := d.Census(); len(shards) != 0 || open != 0 {
						t.Errorf("op %d: drive %d holds %v, %d open", op, i+3, shards, open)
					}
				}
				for _, release := range releases {
					release()
				}
				r.f.Close()
				if n := r.census(); n != 0 {
					t.Errorf("op %d: %d shards stayed", op, n)
				}
				if s := r.f.Stats(); s.PutBytes+s.HeldBytes != 0 {
					t.Errorf("op %d: %+v", op, s)
				}
			})
		}
	}
}

// TestInspectedBytesDoNotChange: the inspector is slower than everything else, and looks twice.
func TestInspectedBytesDoNotChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 6, nil)
		data := randomBytes(9*4*tiny+5, 1)
		at := 0
		spec := r.small(scheme42, len(data))
		spec.Inspect = func(b []byte) {
			for range 2 {
				if !bytes.Equal(b, data[at:at+len(b)]) {
					t.Errorf("the bytes at %d changed", at)
				}
				time.Sleep(time.Second)
			}
			at += len(b)
		}
		ref := r.put(spec, data)
		if at != len(data) {
			t.Errorf("Put returned when %d bytes were inspected", at)
		}
		if s := r.f.Stats(); s.Abandoned != 0 {
			t.Errorf("drives were blamed for a slow inspector: %+v", s)
		}
		r.mustGet(ref, data)
	})
}

func TestImpossiblePutsAreRefused(t *testing.T) {
	r := newRig(t, 6, nil)
	for name, change := range map[string]func(*PutSpec){
		"scheme":      func(s *PutSpec) { s.Scheme = erasure.Scheme{K: 40, M: 2} },
		"drives":      func(s *PutSpec) { s.Drives = s.Drives[:5] },
		"no margin":   func(s *PutSpec) { s.Margin = 0 },
		"margin":      func(s *PutSpec) { s.Margin = 3 },
		"length":      func(s *PutSpec) { s.Length = -1 },
		"long blocks": func(s *PutSpec) { s.BlockLen = node.MaxBlockLen + 1 },
	} {
		spec := r.small(scheme42, 100)
		change(&spec)
		if _, err := r.f.Put(context.Background(), spec, bytes.NewReader(make([]byte, 100))); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if n := r.census(); n != 0 {
		t.Errorf("%d shards", n)
	}
}

// TestPaddingIsZero: buffers are used again, and what another object left in one must not rest in a
// shard of this one.
func TestPaddingIsZero(t *testing.T) {
	ctx := context.Background()
	for _, c := range [][2]int{ // bytes, block length
		{1, tiny}, {3, tiny}, {tiny - 1, tiny}, {tiny + 1, tiny}, {4*tiny - 1, tiny}, {4*tiny + 1, tiny}, {8*tiny - 3, tiny},
		{4*4096 - 1, 4096}, {8*4096 - 1, 4096}, {8*4096 - 2, 4096}, {7 * 4096, 4096}, {6*4096 + 1, 4096},
	} {
		r := newRig(t, 6, nil)
		size := c[0]
		full := bytes.Repeat([]byte{0xFF}, size)
		for range 5 {
			spec := r.spec(scheme42, int64(size))
			spec.BlockLen = c[1]
			ref := r.put(spec, full)
			n := ref.Layout.Stripes() - 1
			for i := range 4 {
				from, to := ref.Layout.Span(n, i, 0, int64(size))
				block := make([]byte, ref.Layout.BlockSize(n))
				if err := r.drives[i].ReadBlock(ctx, ref.Layout.Spec(ref.Data, i), n, 0, block); err != nil {
					t.Fatal(err)
				}
				if bytes.Count(block, []byte{0xFF}) != to-from || bytes.Count(block[to:], []byte{0}) != len(block)-to {
					t.Fatalf("%d bytes: block %d of the last stripe is %x", size, i, block)
				}
			}
		}
	}
}
