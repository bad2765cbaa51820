package wire_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"holdfast/meta/fsm"
	"holdfast/proto/metapb"
)

// The tests' state machine is a set of registers. PutVersion sets the register named by the key to the
// manifest's ETag. Every request ID is remembered, and one that takes effect twice is counted.

func testApply(s fsm.Store, _ uint32, index uint64, cmd *metapb.Command) (*metapb.Result, error) {
	if err := add(s, "count"); err != nil {
		return nil, err
	}
	if len(cmd.RequestId) > 0 {
		seen := append([]byte("seen"), cmd.RequestId...)
		v, err := s.Get(seen)
		if err != nil {
			return nil, err
		}
		if v != nil {
			if err := add(s, "twice"); err != nil {
				return nil, err
			}
		}
		if err := s.Set(seen, []byte{1}); err != nil {
			return nil, err
		}
	}
	value := cmd.GetPutVersion().GetManifest().GetEtag()
	if err := s.Set([]byte("k"+cmd.GetKey()), []byte(value)); err != nil {
		return nil, err
	}
	return &metapb.Result{Message: fmt.Sprint(index)}, nil
}

func add(s fsm.Store, key string) error {
	v, err := s.Get([]byte(key))
	if err != nil {
		return err
	}
	var n uint64
	if v != nil {
		n = binary.BigEndian.Uint64(v)
	}
	return s.Set([]byte(key), binary.BigEndian.AppendUint64(nil, n+1))
}

// testAnswer answers with a register; "#name" reads a counter, "*n" answers with n bytes, "~d" takes
// the time d.
func testAnswer(r fsm.Reader, _ uint32, q *metapb.Query) (*metapb.Answer, error) {
	if n, ok := strings.CutPrefix(q.GetKey(), "*"); ok {
		var size int
		_, err := fmt.Sscan(n, &size)
		return &metapb.Answer{Message: strings.Repeat("x", size)}, err
	}
	if d, ok := strings.CutPrefix(q.GetKey(), "~"); ok {
		took, err := time.ParseDuration(d)
		time.Sleep(took)
		return &metapb.Answer{Message: d}, err
	}
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
