package object

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"holdfast/internal/kind"
	"holdfast/internal/secret"
	"holdfast/proto/metapb"
	"holdfast/seal"
	"holdfast/seal/kms"
)

// withKeys gives the engine a KMS over the store's own metadata.
func (s *store) withKeys() *kms.Builtin {
	s.t.Helper()
	shared, err := secret.Parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
	must(s.t, err)
	k, err := kms.NewBuiltin(kms.Config{Secret: shared, Store: KeyStore{s.meta}, Rand: s.cfg.Rand, Now: time.Now, MaxAge: time.Nanosecond})
	must(s.t, err)
	s.t.Cleanup(k.Close)
	s.cfg.Keys = &kms.Envelopes{S3: k, KMS: k, Rand: s.cfg.Rand}
	return k
}

// ways are all ways to encrypt an object.
func ways(t *testing.T) map[string]PutRequest {
	return map[string]PutRequest{
		"plain":   {},
		"SSE-C":   {Customer: customer(t, 5)},
		"SSE-S3":  {SSE: seal.SSE{Method: seal.SSES3}},
		"SSE-KMS": {SSE: seal.SSE{Method: seal.SSEKMS, KeyID: "mine", Context: seal.Context{"team": "red"}}},
	}
}

func TestKeysOfTheServerSealAndOpenObjects(t *testing.T) {
	s := newStore(t)
	k := s.withKeys()
	must(t, k.Create(t.Context(), "mine"))
	for _, size := range []int{0, 1, 5000, 300_000} {
		body := s.bytes(size)
		for name, way := range ways(t) {
			way.Bucket, way.Key, way.Body, way.Size = "b", fmt.Sprint(name, size), bytes.NewReader(body), int64(size)
			way.Checksum = &Checksum{Algorithm: metapb.Checksum_CRC32C, Type: metapb.Checksum_FULL_OBJECT, Want: func() (string, error) { return "", nil }}
			res, err := s.Put(t.Context(), way)
			must(t, err)
			sum := md5.Sum(body)
			if shown := res.ETag == hex.EncodeToString(sum[:]); shown != (name == "plain" || name == "SSE-S3") {
				t.Errorf("%s: ETag is the MD5: %v", name, shown)
			}
			got, r, err := s.get(GetRequest{Key: way.Key, Customer: way.Customer})
			if err != nil || !bytes.Equal(got, body) {
				t.Fatalf("%s of %d bytes: %d bytes, %v", name, size, len(got), err)
			}
			if r.SSE.Method != way.SSE.Method || r.Sealed != (name == "SSE-C") || r.SSE.KeyID != way.SSE.KeyID || r.Checksum == nil || *r.Checksum != *res.Checksum {
				t.Errorf("%s: told as %+v", name, r.Info)
			}
			if size == 300_000 {
				part, _, err := s.get(GetRequest{Key: way.Key, Customer: way.Customer, Range: &Range{First: 70_000, Last: 140_000}})
				if err != nil || !bytes.Equal(part, body[70_000:140_001]) {
					t.Errorf("%s: a range: %v", name, err)
				}
			}
		}
	}
	_, _, err := s.get(GetRequest{Key: "SSE-S35000", Customer: customer(t, 5)})
	wantKind(t, err, kind.SSECNotApplicable)
	must(t, k.Disable(t.Context(), "mine"))
	_, _, err = s.get(GetRequest{Key: "SSE-KMS5000"})
	if kms.CodeOf(err) != kms.Disabled {
		t.Errorf("with a disabled key: %v", err)
	}
	must(t, k.Enable(t.Context(), "mine"))
	must(t, k.Rotate(t.Context(), "mine"))
	_, _, err = s.get(GetRequest{Key: "SSE-KMS5000"})
	must(t, err)
}

func TestCopiesGoFromEveryEncryptionToEveryOther(t *testing.T) {
	s := newStore(t)
	must(t, s.withKeys().Create(t.Context(), "mine"))
	body := s.bytes(200_000)
	for from, src := range ways(t) {
		src.Bucket, src.Key, src.Body, src.Size = "b", "from "+from, bytes.NewReader(body), int64(len(body))
		_, err := s.Put(t.Context(), src)
		must(t, err)
		for to, dst := range ways(t) {
			for _, key := range []string{"from " + from + " to " + to, src.Key} { // to another key, and onto itself
				before := s.census()
				_, err := s.Copy(t.Context(), CopyRequest{Bucket: "b", Key: key, Customer: dst.Customer, SSE: dst.SSE, Replace: true,
					Source: Source{Bucket: "b", Key: src.Key, Customer: src.Customer}})
				must(t, err)
				if same := key == src.Key && to == from; same != (s.census() == before) {
					t.Errorf("%s to %s, %q: %d shards became %d", from, to, key, before, s.census())
				}
				got, r, err := s.get(GetRequest{Key: key, Customer: dst.Customer})
				if err != nil || !bytes.Equal(got, body) || r.SSE.Method != dst.SSE.Method || r.Sealed != (dst.Customer != nil) {
					t.Errorf("%s to %s: %d bytes, %v", from, to, len(got), err)
				}
			}
			src.Body = bytes.NewReader(body)
			_, err := s.Put(t.Context(), src)
			must(t, err)
		}
	}
}

func TestPartsAreSealedWithTheKeyOfTheServer(t *testing.T) {
	s := newStore(t)
	must(t, s.withKeys().Create(t.Context(), "mine"))
	for name, way := range ways(t) {
		u, err := s.CreateUpload(t.Context(), CreateUploadRequest{Bucket: "b", Key: name, Customer: way.Customer, SSE: way.SSE, ChecksumAlgorithm: metapb.Checksum_SHA256, ChecksumType: metapb.Checksum_COMPOSITE})
		must(t, err)
		one, two := s.bytes(MinPartSize), s.bytes(100)
		var named []CompletePart
		for i, body := range [][]byte{one, two} {
			p, err := s.PutPart(t.Context(), PartRequest{Bucket: "b", Key: name, UploadID: u.UploadID, Number: i + 1, Body: bytes.NewReader(body), Size: int64(len(body)), Customer: way.Customer})
			must(t, err)
			named = append(named, CompletePart{Number: i + 1, ETag: p.ETag})
		}
		page, err := s.ListParts(t.Context(), "b", name, u.UploadID, 0, 10)
		must(t, err)
		if shown := page.Parts[0].Checksum != nil && page.Parts[0].Checksum.Value != ""; shown != (name != "SSE-C") || page.SSE.Method != way.SSE.Method {
			t.Errorf("%s: checksums of parts are shown: %v", name, shown)
		}
		_, err = s.CompleteUpload(t.Context(), CompleteRequest{Bucket: "b", Key: name, UploadID: u.UploadID, Parts: named, Customer: way.Customer})
		must(t, err)
		got, r, err := s.get(GetRequest{Key: name, Customer: way.Customer})
		if err != nil || !bytes.Equal(got, append(one, two...)) || r.Checksum == nil {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}
