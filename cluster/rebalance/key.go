package rebalance

import (
	"encoding/binary"
	"math"

	"github.com/zeebo/xxh3"

	"holdfast/internal/id"
)

// situation is all that decides where shards should be, and whether they can go there, as a hash. While
// it is the same a survey would find what the last one found.
type situation uint64

// picture is a situation drive by drive.
type picture struct {
	key    situation
	drives map[id.Drive]uint64 // hash of what is known of each
}

func (b *Rebalancer) keyNow() situation { return b.eachDrive(func(id.Drive, uint64) {}) }

func (b *Rebalancer) pictureNow() picture {
	p := picture{drives: map[id.Drive]uint64{}}
	p.key = b.eachDrive(func(d id.Drive, sum uint64) { p.drives[d] = sum })
	return p
}

// extends reports whether nothing has changed about the drives of old; others may have come.
func (p *picture) extends(old map[id.Drive]uint64) bool {
	for d, sum := range old {
		if now, ok := p.drives[d]; !ok || now != sum {
			return false
		}
	}
	return true
}

// eachDrive calls fn with a hash of what is known of each drive, and returns that of all.
func (b *Rebalancer) eachDrive(fn func(id.Drive, uint64)) situation {
	f := b.eye.Fleet()
	takes := b.takes(f)
	all, one := xxh3.New(), xxh3.New()
	var n [8]byte
	for _, c := range f.View.Candidates() {
		flags := []byte{byte(f.Fate(c.ID)), 0, 0}
		if takes(c.ID) {
			flags[1] = 1
		}
		if f.Alive(c.ID) {
			flags[2] = 1
		}
		binary.BigEndian.PutUint64(n[:], math.Float64bits(c.Weight))
		one.Reset()
		for _, part := range [][]byte{c.ID[:], c.Node[:], flags, n[:], []byte(c.Zone), {0}} {
			_, _ = one.Write(part)
		}
		fn(c.ID, one.Sum64())
		binary.BigEndian.PutUint64(n[:], one.Sum64())
		_, _ = all.Write(n[:])
	}
	return situation(all.Sum64())
}
