package rebalance

import (
	"encoding/binary"
	"math"

	"github.com/zeebo/xxh3"
)

// situation is all that decides where shards should be, and whether they can go there, as a hash. While
// it is the same a survey would find what the last one found.
type situation uint64

func (b *Rebalancer) keyNow() situation {
	f := b.eye.Fleet()
	takes := b.takes(f)
	h := xxh3.New()
	var n [8]byte
	for _, c := range f.View.Candidates() {
		fate := f.Fate(c.ID)
		flags := []byte{byte(fate), 0, 0}
		if takes(c.ID) {
			flags[1] = 1
		}
		if f.Alive(c.ID) {
			flags[2] = 1
		}
		binary.BigEndian.PutUint64(n[:], math.Float64bits(c.Weight))
		for _, part := range [][]byte{c.ID[:], c.Node[:], flags, n[:], []byte(c.Zone), {0}} {
			_, _ = h.Write(part)
		}
	}
	return situation(h.Sum64())
}
