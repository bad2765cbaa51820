package object

// nvmePolynomial is CRC-64/NVME's polynomial 0xad93d23594c93659, reflected.
const nvmePolynomial = 0x9a6c9329ac4bc9b5

// combineCRC returns the CRC of two strings a|b from the CRC of each and the length of b in
// bytes, for a reflected polynomial whose CRC starts and ends inverted. Appending a zero bit
// multiplies the register by x modulo the polynomial, so it is a linear map over GF(2); the map
// for n bytes is made by repeated squaring (Mark Adler's crc32_combine, told in zlib's docs).
func combineCRC(poly, a, b, n uint64) uint64 {
	if n == 0 {
		return a
	}
	step := zeroBit(poly)
	for range 3 { // one bit → one byte
		step = step.times(&step)
	}
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			a = step.apply(a)
		}
		step = step.times(&step)
	}
	return a ^ b
}

// matrix is a linear map over GF(2): column i is the image of bit i.
type matrix [64]uint64

// zeroBit is the map of a register when one zero bit is appended.
func zeroBit(poly uint64) matrix {
	m := matrix{0: poly}
	for i := 1; i < len(m); i++ {
		m[i] = 1 << (i - 1)
	}
	return m
}

func (m *matrix) apply(v uint64) uint64 {
	var out uint64
	for i := 0; v != 0; i, v = i+1, v>>1 {
		if v&1 == 1 {
			out ^= m[i]
		}
	}
	return out
}

func (m *matrix) times(o *matrix) matrix {
	var out matrix
	for i := range out {
		out[i] = m.apply(o[i])
	}
	return out
}
