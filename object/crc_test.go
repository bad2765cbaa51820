package object

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"holdfast/proto/metapb"
)

func TestFullObjectChecksumOfPartsEqualsThatOfTheWhole(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, a := range []metapb.Checksum_Algorithm{metapb.Checksum_CRC32, metapb.Checksum_CRC32C, metapb.Checksum_CRC64NVME} {
		for range 50 {
			whole := newHash(a)
			var sums [][]byte
			var sizes []uint64
			for range 1 + r.IntN(5) {
				b := make([]byte, r.IntN(3000))
				for i := range b {
					b[i] = byte(r.Uint32())
				}
				h := newHash(a)
				h.Write(b)
				whole.Write(b)
				sums, sizes = append(sums, h.Sum(nil)), append(sizes, uint64(len(b)))
			}
			got, err := fullObject(a, sums, sizes)
			if err != nil {
				t.Fatal(err)
			}
			if want := whole.Sum(nil); !bytes.Equal(got, want) {
				t.Fatalf("%s of %v bytes: got %x, want %x", a, sizes, got, want)
			}
		}
	}
}
