package sniff

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// windowLen is how much of a file is looked at in one go.
const windowLen = 4 << 20

// Search looks for byte strings in every file below dir. It returns the files that have each, and
// how many bytes it read.
func Search(dir string, patterns map[string][]byte) (hits map[string][]string, size int64, err error) {
	hits = map[string][]string{}
	longest := 0
	for _, p := range patterns {
		longest = max(longest, len(p))
	}
	window := make([]byte, windowLen)
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		found := map[string]bool{}
		for kept := 0; ; {
			n, err := io.ReadFull(f, window[kept:])
			size += int64(n)
			for name, p := range patterns {
				if !found[name] && bytes.Contains(window[:kept+n], p) {
					found[name] = true
					hits[name] = append(hits[name], path)
				}
			}
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return nil
			}
			if err != nil {
				return err
			}
			// A string may lie across two windows.
			kept = copy(window, window[len(window)-longest:])
		}
	})
	return hits, size, err
}
