// Package erasure turns a run of bytes into k+m shards and back. It is pure: it knows schemes,
// the arithmetic of stripes and blocks, and Reed-Solomon coding; package fanout moves the shards.
//
// # Nouns
//
//   - scheme k+m: k data shards and m parity shards; any k of the k+m give the bytes back.
//   - stripe: the unit of coding, k data blocks and m parity blocks of equal size.
//   - block: what one shard holds of one stripe. Shard i holds block i of every stripe, in order.
//
// # Geometry
//
// A full stripe holds k*BlockLen bytes, laid out block-major: block 0 holds its first BlockLen
// bytes, block 1 the next, and so on. The last stripe holds the rest R, 0 < R <= k*BlockLen; its
// blocks have the size ceil(R/k) and are filled in order; what R does not fill is zero, is coded
// and is stored. Here k = 3, m = 2, and the data ends in the second block of stripe 1:
//
//	           stripe 0                stripe 1 (last, R bytes)
//	shard 0  | 0 ........ B-1      | 3B ...... 3B+b-1    |     B = BlockLen
//	shard 1  | B ........ 2B-1     | 3B+b .. end | zeros |     b = ceil(R/3)
//	shard 2  | 2B ....... 3B-1     | zeros               |
//	shard 3  | parity row 0        | parity row 0        |     every shard is B+b bytes long
//	shard 4  | parity row 1        | parity row 1        |
//
// So, with L the length of the data:
//
//	full stripes  F = L / (k*B)            rest  R = L mod (k*B)
//	shard length    = F*B + ceil(R/k)
//	byte o is in stripe s = o / (k*B); b = B if s < F, else ceil(R/k)
//	         in block (o - s*k*B) / b at offset (o - s*k*B) mod b
//
// BlockLen is a whole number of sealed chunks (65536 bytes of plaintext and a 16-byte tag, 65552
// bytes) for all data, sealed or not: max(1, 16/k) chunks, about 1 MiB of data a stripe. A sealed
// chunk of a full stripe therefore lies in exactly one block: it is sealed in place there, and a
// range of 64 KiB costs one block of one shard.
//
// # Code
//
// Systematic Reed-Solomon over GF(2^8) with the polynomial x^8+x^4+x^3+x^2+1 (0x11d). The
// generator matrix is the (k+m) x k Vandermonde matrix V[r][c] = r^c (0^0 = 1) times the inverse
// of its own first k rows, so that these become the identity; row k+j makes parity block j. Bytes at
// the same offset of the k+m blocks form one codeword: any range of offsets can be coded alone.
package erasure
