package shard

import (
	"encoding/hex"
	"errors"
	"testing"

	"holdfast/node"
	"holdfast/node/drive/log"
)

func sample() Header {
	h := Header{Blob: 77, Origin: log.Pos{Segment: 3, Offset: 4096}}
	h.Index, h.K, h.M, h.BlockLen, h.Length = 5, 4, 2, 1000, 2500
	for i := range h.Data {
		h.Data[i] = byte(i + 1)
	}
	return h
}

func TestHeaderAndTrailerAreWhatTheyWere(t *testing.T) {
	var b [HeaderLen]byte
	h := sample()
	h.Encode(b[:])
	if got := hex.EncodeToString(b[:]); got != headerV1 {
		t.Errorf("the header changed; it is now\n%s", got)
	}
	if back, err := DecodeHeader(b[:]); err != nil || back != h {
		t.Errorf("decoded %+v, %v", back, err)
	}
	var tr [TrailerLen]byte
	Seal(tr[:], h.Spec, 2, make([]byte, 500))
	if got := hex.EncodeToString(tr[:]); got != trailerV1 {
		t.Errorf("the trailer changed; it is now\n%s", got)
	}
}

const (
	headerV1 = "48465331050402000102030405060708090a0b0c0d0e0f10e803000000000000c409000000000000" +
		"4d0000000000000003000000000000000010000000000000000000000000000043edc7ef4fbb68df"
	trailerV1 = "48464231050402000102030405060708090a0b0c0d0e0f10e803000002000000" +
		"c409000000000000f401000000000000ce210c5f38f83158a0086783ec987244"
)

func TestATrailerFitsOneBlockOfOneShard(t *testing.T) {
	s := sample().Spec
	payload := []byte("payload of block one")
	var tr [TrailerLen]byte
	Seal(tr[:], s, 1, payload)
	if err := Open(tr[:], s, 1, payload); err != nil {
		t.Fatal(err)
	}
	others := map[string]func(s *node.Spec, n *int, p *[]byte){
		"data ID":       func(s *node.Spec, _ *int, _ *[]byte) { s.Data[15]++ },
		"index":         func(s *node.Spec, _ *int, _ *[]byte) { s.Index++ },
		"k":             func(s *node.Spec, _ *int, _ *[]byte) { s.K++ },
		"m":             func(s *node.Spec, _ *int, _ *[]byte) { s.M++ },
		"block length":  func(s *node.Spec, _ *int, _ *[]byte) { s.BlockLen++ },
		"length":        func(s *node.Spec, _ *int, _ *[]byte) { s.Length++ },
		"block number":  func(_ *node.Spec, n *int, _ *[]byte) { *n++ },
		"shorter":       func(_ *node.Spec, _ *int, p *[]byte) { *p = (*p)[1:] },
		"other payload": func(_ *node.Spec, _ *int, p *[]byte) { *p = []byte("payload of block two") },
	}
	for what, change := range others {
		s, n, p := s, 1, payload
		change(&s, &n, &p)
		if err := Open(tr[:], s, n, p); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for i := range tr {
		tr[i] ^= 4
		if err := Open(tr[:], s, 1, payload); !errors.Is(err, ErrDamaged) {
			t.Errorf("byte %d flipped: %v", i, err)
		}
		tr[i] ^= 4
	}
}

func TestImpossibleShardsAreRefused(t *testing.T) {
	for what, change := range map[string]func(*node.Spec){
		"no data ID":      func(s *node.Spec) { s.Data = node.Spec{}.Data },
		"k of 0":          func(s *node.Spec) { s.K = 0 },
		"too many shards": func(s *node.Spec) { s.K, s.M = 30, 3 },
		"index too high":  func(s *node.Spec) { s.Index = 6 },
		"no block length": func(s *node.Spec) { s.BlockLen = 0 },
		"large blocks":    func(s *node.Spec) { s.BlockLen = node.MaxBlockLen + 1 },
		"too long":        func(s *node.Spec) { s.Length = MaxLength + 1 },
	} {
		s := sample().Spec
		change(&s)
		if Check(s) == nil {
			t.Errorf("%s is accepted", what)
		}
	}
}

func FuzzDecodeHeader(f *testing.F) {
	var b [HeaderLen]byte
	sample().Encode(b[:])
	f.Add(b[:])
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := DecodeHeader(b)
		if err != nil {
			return
		}
		var again [HeaderLen]byte
		h.Encode(again[:])
		if Check(h.Spec) != nil {
			t.Error("an impossible shard was decoded")
		}
	})
}
