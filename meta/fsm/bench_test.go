package fsm

import (
	"bytes"
	"fmt"
	"testing"

	"holdfast/proto/metapb"
)

func benchPut(key string, n byte, body []byte) *metapb.Command {
	v := bytes.Repeat([]byte{n}, 16)
	return &metapb.Command{RequestId: v, NowMs: 1, Bucket: bytes.Repeat([]byte{7}, 16), Key: key, Op: &metapb.Command_PutVersion{PutVersion: &metapb.PutVersion{
		Manifest: &metapb.Manifest{VersionId: v, Size: uint64(len(body)), Etag: "0123456789abcdef0123456789abcdef", ModifiedMs: 1700000000000,
			Parts:    []*metapb.Part{{Number: 1, Size: uint64(len(body)), Inline: body, WrappedKey: make([]byte, 60), StreamId: v, Etag: "0123456789abcdef0123456789abcdef", ModifiedMs: 1700000000000}},
			Envelope: &metapb.Envelope{Version: 1, Salt: make([]byte, 32), WrappedKey: make([]byte, 60), Commitment: make([]byte, 32)},
			Headers:  map[string]string{"Content-Type": "application/octet-stream"}, Metadata: map[string]string{"a": "b", "mtime": "1700000000.123"}},
	}}}
}

// nullStore keeps nothing: what is left of Apply's time without a store.
type nullStore struct{ *MapStore }

func (nullStore) Set(k, v []byte) error        { return nil }
func (nullStore) Delete(k []byte) error        { return nil }
func (nullStore) Get(k []byte) ([]byte, error) { return nil, nil }

func BenchmarkApplyPut(b *testing.B) {
	body := bytes.Repeat([]byte{1}, 4096)
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprintf("dir/object-%06d", i)
	}
	for _, c := range []struct {
		name string
		s    Store
	}{{"bare", nullStore{NewMapStore()}}, {"map", NewMapStore()}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			cmd := benchPut("", 0, body)
			v := cmd.GetPutVersion().Manifest
			for i := 0; b.Loop(); i++ {
				cmd.Key = keys[i%1000]
				v.VersionId = []byte(fmt.Sprintf("%016d", i))
				if r, err := Apply(c.s, 1, uint64(i+1), cmd); err != nil || r.Kind != 0 {
					b.Fatal(err, r)
				}
			}
		})
	}
}

func benchStore(b *testing.B, n int) *MapStore {
	s := NewMapStore()
	for i := range n {
		if r, err := Apply(s, 1, uint64(i+1), benchPut(fmt.Sprintf("dir/object-%06d", i), 1, make([]byte, 4096))); err != nil || r.Kind != 0 {
			b.Fatal(r, err)
		}
	}
	return s
}

// BenchmarkAnswerGet is the metadata side of a GET of a small object.
func BenchmarkAnswerGet(b *testing.B) {
	s := benchStore(b, 10)
	q := &metapb.Query{Bucket: bytes.Repeat([]byte{7}, 16), Key: "dir/object-000005", Op: &metapb.Query_GetVersion{GetVersion: &metapb.GetVersion{}}}
	b.ReportAllocs()
	for b.Loop() {
		if a, err := Answer(s, 1, q); err != nil || a.Kind != 0 {
			b.Fatal(a, err)
		}
	}
}

// BenchmarkAnswerList is a page of a thousand keys.
func BenchmarkAnswerList(b *testing.B) {
	s := benchStore(b, 2000)
	q := &metapb.Query{Bucket: bytes.Repeat([]byte{7}, 16), Op: &metapb.Query_ListObjects{ListObjects: &metapb.ListObjects{Prefix: "dir/", Limit: 1000}}}
	b.ReportAllocs()
	for b.Loop() {
		if a, err := Answer(s, 1, q); err != nil || len(a.Entries) != 1000 || !a.Truncated {
			b.Fatal(a, err)
		}
	}
}
