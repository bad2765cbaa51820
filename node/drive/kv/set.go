package kv

import (
	"bytes"
	"sort"

	"github.com/dgraph-io/badger/v4/y"
)

// set is the tables at one time. Those of level 0 overlap, newest last or not; those of a level above
// are in order and do not.
type set struct {
	levels [][]*handle
	users  int    // under DB.mu; the current one has one more
	let    func() // lets the files go
}

// newest looks for a key in every table that may hold a version above floor and at or below at.
func (s *set) newest(key []byte, floor, at uint64) (best version, err error) {
	if len(s.levels) == 0 {
		return version{}, nil
	}
	full, hash := y.KeyWithTs(key, at), y.Hash(key)
	best.ts = floor
	look := func(h *handle) error {
		if h.t.MaxVersion() <= best.ts {
			return nil
		}
		v, err := h.newest(full, hash)
		if err == nil && v.ts > best.ts {
			best = v
		}
		return err
	}
	for level, tables := range s.levels {
		if level > 0 {
			n := sort.Search(len(tables), func(i int) bool { return y.CompareKeys(tables[i].t.Biggest(), full) >= 0 })
			tables = tables[n:min(n+1, len(tables))]
		}
		for _, h := range tables {
			if err := look(h); err != nil {
				return version{}, err
			}
		}
	}
	if best.ts == floor {
		return version{}, nil
	}
	return best, nil
}

// with are the tables of a level that may have keys with a prefix.
func with(prefix []byte, tables []*handle) (out []*handle) {
	for _, h := range tables {
		if comparePrefix(y.ParseKey(h.t.Biggest()), prefix) >= 0 && comparePrefix(y.ParseKey(h.t.Smallest()), prefix) <= 0 {
			out = append(out, h)
		}
	}
	return out
}

// comparePrefix is 0 if key begins with prefix, else on which side of all those it is.
func comparePrefix(key, prefix []byte) int {
	return bytes.Compare(key[:min(len(key), len(prefix))], prefix)
}
