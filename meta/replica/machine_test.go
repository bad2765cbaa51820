package replica_test

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	"holdfast/internal/kind"
	"holdfast/meta/fsm"
	"holdfast/proto/metapb"
)

// The tests' state machine is a set of registers. PutVersion sets the register named by the key to
// the manifest's ETag, if the condition's ETag, when there is one, is the present value. A register
// remembers the index of the entry that set it, which is the order of the group's history; every
// result and answer carries indexes, so that a history can be checked without a search. Each
// request ID is remembered too: one that takes effect twice is counted.

// register is a value and the index of the entry that wrote it.
type register struct {
	index uint64
	value string
}

func (r register) String() string { return fmt.Sprintf("%d|%s", r.index, r.value) }

func parseRegister(s string) register {
	index, value, _ := strings.Cut(s, "|")
	n, _ := strconv.ParseUint(index, 10, 64)
	return register{n, value}
}

// written is the result of a put: where it stands in the history, and what it replaced.
func written(res *metapb.Result) (index uint64, old register) {
	index, _ = strconv.ParseUint(res.GetManifest().GetEtag(), 10, 64)
	return index, parseRegister(res.GetMessage())
}

func testApply(s fsm.Store, _ uint32, index uint64, cmd *metapb.Command) (*metapb.Result, error) {
	if err := add(s, "count", 1); err != nil {
		return nil, err
	}
	if len(cmd.RequestId) > 0 {
		seen := append([]byte("seen"), cmd.RequestId...)
		switch v, err := s.Get(seen); {
		case err != nil:
			return nil, err
		case v != nil:
			if err := add(s, "twice", 1); err != nil {
				return nil, err
			}
		}
		if err := s.Set(seen, []byte{1}); err != nil {
			return nil, err
		}
	}
	put := cmd.GetPutVersion()
	key := []byte("k" + cmd.GetKey())
	v, err := s.Get(key)
	if err != nil {
		return nil, err
	}
	old := parseRegister(string(v))
	if want := put.GetCondition().GetIfMatch(); want != "" && want != old.value {
		return &metapb.Result{Kind: uint32(kind.PreconditionFailed), Message: old.String()}, nil
	}
	if cmd.GetKey() == "poison" {
		return nil, fmt.Errorf("%w: poison", fsm.ErrDamaged)
	}
	if big := put.GetManifest().GetSize(); big > 0 { // an effect much larger than the command
		if err := s.Set([]byte("b"+cmd.GetKey()), []byte(strings.Repeat("b", int(big)))); err != nil {
			return nil, err
		}
	}
	now := register{index, put.GetManifest().GetEtag()}
	if err := s.Set(key, []byte(now.String())); err != nil {
		return nil, err
	}
	return &metapb.Result{Message: old.String(), Manifest: &metapb.Manifest{Etag: fmt.Sprint(index)}}, nil
}

func add(s fsm.Store, key string, n uint64) error {
	v, err := s.Get([]byte(key))
	if err != nil {
		return err
	}
	if v != nil {
		n += binary.BigEndian.Uint64(v)
	}
	return s.Set([]byte(key), binary.BigEndian.AppendUint64(nil, n))
}

// testAnswer answers with a register; "#name" reads a counter.
func testAnswer(r fsm.Reader, _ uint32, q *metapb.Query) (*metapb.Answer, error) {
	if name, ok := strings.CutPrefix(q.GetKey(), "#"); ok {
		v, err := r.Get([]byte(name))
		if err != nil || v == nil {
			return &metapb.Answer{Message: "0"}, err
		}
		return &metapb.Answer{Message: fmt.Sprint(binary.BigEndian.Uint64(v))}, nil
	}
	v, err := r.Get([]byte("k" + q.GetKey()))
	return &metapb.Answer{Message: string(v)}, err
}

func put(key, value string) *metapb.Command {
	return &metapb.Command{Key: key, Op: &metapb.Command_PutVersion{
		PutVersion: &metapb.PutVersion{Manifest: &metapb.Manifest{Etag: value}},
	}}
}

func encode(c *metapb.Command) []byte {
	b, err := proto.Marshal(c)
	if err != nil {
		panic(err)
	}
	return b
}
