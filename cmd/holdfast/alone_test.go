package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"holdfast/cluster/operate"
	"holdfast/erasure"
)

// operate makes a call of the admin API and takes in what it answers.
func (r *running) operate(t *testing.T, method, what string, into any) {
	t.Helper()
	if err := json.Unmarshal(r.admin(t, method, what), into); err != nil {
		t.Fatal(err)
	}
}

// waitStatus waits until the status is as it should be.
func (r *running) waitStatus(t *testing.T, what string, is func(s operate.Status) bool) (s operate.Status) {
	t.Helper()
	for end := time.Now().Add(10 * patience); ; time.Sleep(200 * time.Millisecond) {
		s = operate.Status{}
		if r.operate(t, "GET", "status", &s); is(s) {
			return s
		}
		if time.Now().After(end) {
			t.Fatalf("not in time: %s; %+v", what, s)
		}
	}
}

// TestAProcessAloneTakesDrivesInAndOut while it is read from: as a cluster does.
func TestAProcessAloneTakesDrivesInAndOut(t *testing.T) {
	f := newFixture(t, 3, erasure.Scheme{K: 1, M: 2})
	r := f.start(t)
	if err := r.MakeBucket(t.Context(), "bucket", minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	bodies := map[string][]byte{}
	for i := range 20 {
		key := fmt.Sprint("o", i)
		bodies[key] = payload(100 + i*20_000)
		r.put(t, key, bodies[key], nil)
	}
	stop := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		for {
			for key, body := range bodies {
				select {
				case <-stop:
					return
				default:
					r.wants(t, key, body, nil)
				}
			}
		}
	})
	defer reader.Wait()
	defer close(stop)

	added := filepath.Join(f.dir, "added")
	var c operate.Change
	r.operate(t, "POST", "drives/add?path="+url.QueryEscape(added), &c)
	if c.State != operate.StateActive {
		t.Fatalf("%+v", c)
	}
	s := r.waitStatus(t, "the drive is there", func(s operate.Status) bool { return len(s.Drives) == 4 })
	var leaving string
	for _, d := range s.Drives {
		if d.Path == f.cfg.Data[1] {
			leaving = d.ID
		}
	}
	r.operate(t, "POST", "drives/drain?drive="+leaving, &c)
	at := func(s operate.Status) (d operate.DriveStatus) {
		for _, d = range s.Drives {
			if d.ID == leaving {
				break
			}
		}
		return d
	}
	r.waitStatus(t, "the drive is empty", func(s operate.Status) bool { return at(s).State == operate.StateRetired })
	r.operate(t, "POST", "drives/remove?drive="+leaving, &c)
	if c.State != operate.StateRetired {
		t.Fatalf("%+v", c)
	}
	r.waitStatus(t, "everything is where it should be", func(s operate.Status) bool {
		return s.Redundancy.Full && s.Rebalance.Surveyed && s.Rebalance.LeftShards == 0 && at(s).Shards == 0
	})
	body := bytes.Repeat([]byte{7}, 50_000)
	r.put(t, "after", body, nil)
	r.wants(t, "after", body, nil)
}
