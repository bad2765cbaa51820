package object

import (
	"bytes"
	"crypto/md5"
	"fmt"
	"slices"
	"strings"
	"testing"

	"holdfast/internal/kind"
	"holdfast/proto/metapb"
	"holdfast/seal"
)

func (s *store) upload(key string, c *seal.CustomerKey, a metapb.Checksum_Algorithm, typ metapb.Checksum_Type) string {
	s.t.Helper()
	u, err := s.CreateUpload(s.t.Context(), CreateUploadRequest{Bucket: "b", Key: key, Customer: c, ChecksumAlgorithm: a, ChecksumType: typ})
	must(s.t, err)
	return u.UploadID
}

func (s *store) part(key, upload string, number int, body []byte, c *seal.CustomerKey) CompletePart {
	s.t.Helper()
	p, err := s.PutPart(s.t.Context(), PartRequest{Bucket: "b", Key: key, UploadID: upload, Number: number,
		Body: bytes.NewReader(body), Size: int64(len(body)), Customer: c})
	must(s.t, err)
	return CompletePart{Number: number, ETag: p.ETag}
}

func TestPartsInAnyOrderMakeTheObject(t *testing.T) {
	s := newStore(t)
	for _, c := range []*seal.CustomerKey{nil, customer(t, 1)} {
		bodies := [][]byte{s.bytes(MinPartSize), s.bytes(MinPartSize + 12345), s.bytes(777)}
		up := s.upload("k", c, metapb.Checksum_NONE, metapb.Checksum_UNSET)
		var parts []CompletePart
		var sums []byte
		for _, i := range []int{2, 0, 1} {
			s.part("k", up, 10*i+1, s.bytes(MinPartSize), c) // a first attempt that does not count
			parts = append(parts, s.part("k", up, 10*i+1, bodies[i], c))
		}
		slices.SortFunc(parts, func(a, b CompletePart) int { return a.Number - b.Number })
		res, err := s.CompleteUpload(t.Context(), CompleteRequest{Bucket: "b", Key: "k", UploadID: up, Parts: parts})
		must(t, err)
		if !strings.HasSuffix(res.ETag, "-3") {
			t.Errorf("ETag %s does not say three parts", res.ETag)
		}
		for _, b := range bodies {
			sum := md5.Sum(b)
			sums = append(sums, sum[:]...)
		}
		if want := fmt.Sprintf("%x-3", md5.Sum(sums)); (c == nil) != (res.ETag == want) {
			t.Errorf("sealed %t: ETag %s, MD5 of MD5s %s", c != nil, res.ETag, want)
		}
		whole := slices.Concat(bodies...)
		got, r, err := s.get(GetRequest{Key: "k", Customer: c})
		must(t, err)
		if !bytes.Equal(got, whole) || r.Parts != 3 {
			t.Fatalf("the object differs from its parts")
		}
		at := int64(MinPartSize - 10)
		got, _, err = s.get(GetRequest{Key: "k", Customer: c, Range: &Range{First: at, Last: at + MinPartSize + 13000}})
		must(t, err)
		if !bytes.Equal(got, whole[at:at+MinPartSize+13001]) {
			t.Fatal("a range over three parts is wrong")
		}
		got, _, err = s.get(GetRequest{Key: "k", Customer: c, PartNumber: 11})
		must(t, err)
		if !bytes.Equal(got, bodies[1]) {
			t.Fatal("part 11 is wrong")
		}
	}
}

func TestUploadChecksumsOfSealedAndPlain(t *testing.T) {
	s := newStore(t)
	for _, c := range []*seal.CustomerKey{nil, customer(t, 1)} {
		for _, typ := range []metapb.Checksum_Type{metapb.Checksum_FULL_OBJECT, metapb.Checksum_COMPOSITE} {
			up := s.upload("k", c, metapb.Checksum_CRC32C, typ)
			a, b := s.bytes(MinPartSize), s.bytes(100)
			parts := []CompletePart{s.part("k", up, 1, a, c), s.part("k", up, 2, b, c)}
			res, err := s.CompleteUpload(t.Context(), CompleteRequest{Bucket: "b", Key: "k", UploadID: up, Parts: parts, Customer: c})
			must(t, err)
			_, r, err := s.get(GetRequest{Key: "k", Customer: c})
			must(t, err)
			h, ha, hb := newHash(metapb.Checksum_CRC32C), newHash(metapb.Checksum_CRC32C), newHash(metapb.Checksum_CRC32C)
			h.Write(a)
			h.Write(b)
			ha.Write(a)
			hb.Write(b)
			want := checksumText(h.Sum(nil), typ, 0)
			if typ == metapb.Checksum_COMPOSITE {
				want = checksumText(composite(metapb.Checksum_CRC32C, [][]byte{ha.Sum(nil), hb.Sum(nil)}), typ, 2)
			}
			if res.Checksum == nil || res.Checksum.Value != want || r.Checksum == nil || r.Checksum.Value != want {
				t.Errorf("sealed %t, %s: answered %+v, stored %+v, want %s", c != nil, typ, res.Checksum, r.Checksum, want)
			}
		}
	}
}

func TestPartKeyMustBeTheUploads(t *testing.T) {
	s := newStore(t)
	put := func(up string, c *seal.CustomerKey) error {
		_, err := s.PutPart(t.Context(), PartRequest{Bucket: "b", Key: "k", UploadID: up, Number: 1, Body: strings.NewReader("x"), Size: 1, Customer: c})
		return err
	}
	sealed := s.upload("k", customer(t, 1), metapb.Checksum_NONE, metapb.Checksum_UNSET)
	plain := s.upload("k", nil, metapb.Checksum_NONE, metapb.Checksum_UNSET)
	wantKind(t, put(sealed, nil), kind.SSECPartRequired)
	wantKind(t, put(sealed, customer(t, 2)), kind.SSECPartMismatch)
	wantKind(t, put(plain, customer(t, 1)), kind.SSECPartRequired)
	must(t, put(sealed, customer(t, 1)))
}

func TestCompleteRefusesWhatDoesNotFit(t *testing.T) {
	s := newStore(t)
	up := s.upload("k", nil, metapb.Checksum_NONE, metapb.Checksum_UNSET)
	one, two := s.part("k", up, 1, s.bytes(100), nil), s.part("k", up, 2, s.bytes(100), nil)
	complete := func(parts ...CompletePart) error {
		_, err := s.CompleteUpload(t.Context(), CompleteRequest{Bucket: "b", Key: "k", UploadID: up, Parts: parts})
		return err
	}
	wantKind(t, complete(two, one), kind.InvalidPartOrder)
	wantKind(t, complete(one, two), kind.EntityTooSmall)
	wantKind(t, complete(CompletePart{Number: 1, ETag: two.ETag}), kind.InvalidPart)
	wantKind(t, complete(CompletePart{Number: 3, ETag: one.ETag}), kind.InvalidPart)
	must(t, complete(two))
	wantKind(t, s.AbortUpload(t.Context(), "b", "k", up), kind.NoSuchUpload)
}
