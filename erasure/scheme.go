package erasure

import (
	"fmt"
	"strconv"
	"strings"

	"holdfast/node"
)

// Scheme says into how many shards data is coded: K of data and M of parity.
type Scheme struct{ K, M int }

// Shards is K+M.
func (s Scheme) Shards() int { return s.K + s.M }

func (s Scheme) String() string { return strconv.Itoa(s.K) + "+" + strconv.Itoa(s.M) }

// Validate reports whether data can be coded so.
func (s Scheme) Validate() error {
	if s.K < 1 || s.M < 0 || s.Shards() > node.MaxShards {
		return fmt.Errorf("erasure: scheme %s: want at least 1 data shard and at most %d shards", s, node.MaxShards)
	}
	return nil
}

// Parse takes a scheme from its text form, such as "4+2".
func Parse(text string) (Scheme, error) {
	left, right, ok := strings.Cut(text, "+")
	k, errK := strconv.ParseUint(left, 10, 8)
	m, errM := strconv.ParseUint(right, 10, 8)
	if !ok || errK != nil || errM != nil {
		return Scheme{}, fmt.Errorf("erasure: scheme %q: want data+parity, such as 4+2", text)
	}
	s := Scheme{K: int(k), M: int(m)}
	return s, s.Validate()
}

// Default is the scheme of a cluster that starts with so many drives. Two are refused: metadata
// on two drives has no majority without both, so the second would only add ways to stop.
func Default(drives int) (Scheme, error) {
	switch {
	case drives < 1 || drives == 2:
		return Scheme{}, fmt.Errorf("erasure: no scheme for %d drives: use 1, or 3 and more", drives)
	case drives == 1:
		return Scheme{K: 1}, nil
	case drives <= 7:
		return Scheme{K: drives - 2, M: 2}, nil
	case drives < 12:
		return Scheme{K: 6, M: 2}, nil
	case drives < 16:
		return Scheme{K: 8, M: 4}, nil
	}
	return Scheme{K: 12, M: 4}, nil
}
