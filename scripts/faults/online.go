package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// flipOnline flips a bit of a database table or of a raft log under the running server, while it is
// written to, and has it scrub. The server must heal the drive without a restart: what
// was flipped is moved aside, and the next scrub finds nothing.
func (r *run) flipOnline(ctx context.Context, round int) error {
	pick, part := r.table, "badger"
	if round%2 == 1 {
		pick, part = r.raftLog, "raft"
	}
	path, off, err := pick()
	if err != nil {
		return err
	}
	what, err := filepath.Rel(r.srv.data, path)
	if err != nil {
		return err
	}
	before, process, err := r.healed(ctx)
	if err != nil {
		return err
	}
	if err := flipBit(path, off, r.rand.IntN(8)); err != nil {
		return err
	}
	flipped, err := os.Stat(filepath.Dir(path)) // the file itself may be compacted away
	if err != nil {
		return err
	}
	if err := r.load.Verify(ctx, "while it is damaged"); err != nil {
		return fmt.Errorf("after an online flip in %s: %w", what, err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { r.load.Write(ctx, 3) })
	err = r.scrub(ctx)
	wg.Wait()
	if err != nil {
		return fmt.Errorf("after an online flip in %s: %w", what, err)
	}
	for look := range 2 {
		after, now, err := r.healed(ctx)
		switch aside, statErr := os.Stat(filepath.Dir(path) + ".damaged"); {
		case err != nil:
			return err
		case now != process:
			return fmt.Errorf("the server was restarted after a flip in %s", what)
		case after != before+1:
			return fmt.Errorf("%s was flipped at %d under the running server, and after %d scrubs %d drives were healed", what, off, look+1, after-before)
		case statErr != nil || !os.SameFile(flipped, aside):
			return fmt.Errorf("%s was flipped, but the %s of that drive was not replaced: %w", what, part, statErr)
		}
		if look == 0 {
			if err := r.scrub(ctx); err != nil { // finds what was not healed
				return err
			}
		}
	}
	fmt.Printf("round %d: flipped %s at %d under the running server; healed without a restart\n", round, what, off)
	return nil
}

// healed is how many drives the server has healed since its start, and its process.
func (r *run) healed(ctx context.Context) (n int64, process int, err error) {
	body, err := call(ctx, r.srv.http, root(), http.MethodGet, r.srv.address, "status")
	if err != nil {
		return 0, 0, err
	}
	status := struct{ Healed *int64 }{}
	if err := json.Unmarshal(body, &status); err != nil {
		return 0, 0, err
	}
	if status.Healed == nil {
		return 0, 0, fmt.Errorf("the status does not say how many drives were healed")
	}
	return *status.Healed, r.srv.cmd.Process.Pid, nil
}

// any chooses a file of any drive.
func (r *run) any(pattern string) (string, error) {
	names, err := filepath.Glob(filepath.Join(r.srv.data, "drive?", pattern))
	if err != nil || len(names) == 0 {
		return "", fmt.Errorf("no drive has %s: %w", pattern, err)
	}
	return names[r.rand.IntN(len(names))], nil
}

// table chooses a byte of a table: each is covered by a checksum.
func (r *run) table() (path string, off int64, err error) {
	if path, err = r.any("badger/*.sst"); err != nil {
		return "", 0, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", 0, err
	}
	return path, r.rand.Int64N(info.Size()), nil
}

// raftLog chooses a byte of the header of a record: behind the last record there are none, and between
// two there may be a few bytes. It takes the oldest segment of a drive: a later one may be empty yet.
func (r *run) raftLog() (path string, off int64, err error) {
	if path, err = r.any("raft/*.log"); err != nil {
		return "", 0, err
	}
	segments, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*.log"))
	if err != nil || len(segments) == 0 {
		return "", 0, fmt.Errorf("no raft log beside %s: %w", path, err)
	}
	path = slices.Min(segments)
	b, err := os.ReadFile(path)
	if err != nil {
		return "", 0, err
	}
	const headerLen = 40
	b = b[:len(bytes.TrimRight(b, "\x00"))/2] // certainly synced
	last := bytes.LastIndex(b[:r.rand.IntN(len(b))+1], []byte("HFL1"))
	return path, int64(max(last, 0) + r.rand.IntN(headerLen)), nil
}

func flipBit(path string, off int64, bit int) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], off); err != nil {
		return err
	}
	b[0] ^= 1 << bit
	_, err = f.WriteAt(b[:], off)
	return err
}
