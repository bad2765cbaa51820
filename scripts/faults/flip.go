package main

import (
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// flipRounds flips one byte of one file of one drive of a stopped server, reads everything back,
// scrubs, waits for repair, flips another under the running server, and in the end deletes two other
// drives: what was not healed would now be lost.
func flipRounds(ctx context.Context, r *run) error {
	r.load.Write(ctx, 60)
	for round := range r.rounds {
		if round%3 == 2 {
			r.srv.kill() // an unclean stop leaves other files than a clean one
		} else if err := r.srv.stop(); err != nil {
			return err
		}
		drive := 1 + r.rand.IntN(driveCount)
		what, err := r.flip(r.srv.drive(drive))
		if err != nil {
			return err
		}
		if err := r.srv.start(ctx); err != nil {
			return fmt.Errorf("after a flip in %s: %w", what, err)
		}
		if err := r.load.Verify(ctx, "at rest"); err != nil {
			return fmt.Errorf("after a flip in %s: %w", what, err)
		}
		if err := r.scrub(ctx); err != nil {
			return fmt.Errorf("after a flip in %s: %w", what, err)
		}
		r.load.Write(ctx, 3)
		fmt.Printf("round %d: flipped %s; everything read, scrubbed and healed\n", round, what)
		if err := r.flipOnline(ctx, round); err != nil {
			return err
		}
	}
	if err := r.srv.stop(); err != nil {
		return err
	}
	for _, d := range []int{1 + r.rand.IntN(3), 4 + r.rand.IntN(3)} {
		if err := os.RemoveAll(r.srv.drive(d)); err != nil {
			return err
		}
	}
	if err := r.srv.start(ctx); err != nil {
		return err
	}
	if err := r.load.Verify(ctx, "at rest"); err != nil {
		return fmt.Errorf("after healing, with two drives lost: %w", err)
	}
	return r.srv.stop()
}

// scrub starts a scrub and waits for its end and for the repairs that it asked for.
func (r *run) scrub(ctx context.Context) error {
	before := r.srv.metric("holdfast_scrubs_total")
	if _, err := call(ctx, r.srv.http, root(), http.MethodPost, r.srv.address, "scrub"); err != nil {
		return err
	}
	if err := r.srv.await(ctx, "scrubbed", readyTimeout, func() bool { return r.srv.metric("holdfast_scrubs_total") > before }); err != nil {
		return err
	}
	return r.srv.whole(ctx)
}

// flip changes one bit of one byte of a file below dir, chosen by bytes, so that large and small
// files get their share, but every third time by file, so that small files are not forgotten.
func (r *run) flip(dir string) (what string, err error) {
	var files []string
	var total int64
	sizes := map[string]int64{}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasSuffix(path, ".damaged") {
			return fs.SkipDir // was moved aside, and nobody reads it
		}
		if d.IsDir() {
			return nil
		}
		info, err := d.Info()
		if err != nil || info.Size() == 0 || strings.HasSuffix(path, "lock") {
			return err
		}
		files, sizes[path], total = append(files, path), info.Size(), total+info.Size()
		return nil
	})
	if err != nil || len(files) == 0 {
		return "", fmt.Errorf("no file to flip a byte of in %s: %w", dir, err)
	}
	path := files[r.rand.IntN(len(files))]
	if r.rand.IntN(3) > 0 {
		at := r.rand.Int64N(total)
		for _, path = range files {
			if at -= sizes[path]; at < 0 {
				break
			}
		}
	}
	off := r.rand.Int64N(sizes[path])
	if err := flipBit(path, off, r.rand.IntN(8)); err != nil {
		return "", err
	}
	rel, err := filepath.Rel(filepath.Dir(dir), path)
	return fmt.Sprintf("%s at %d of %d", rel, off, sizes[path]), err
}
