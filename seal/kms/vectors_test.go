package kms_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"holdfast/internal/secret"
	"holdfast/seal"
	"holdfast/seal/kms"
)

// `go test ./seal/kms -update` writes testdata anew; that it changes means that the format changed.
var update = flag.Bool("update", false, "write testdata anew")

type hexed []byte

func (h hexed) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

func (h *hexed) UnmarshalText(b []byte) (err error) {
	*h, err = hex.DecodeString(string(b))
	return err
}

type vector struct {
	Name    string `json:"name"`
	Secret  hexed  `json:"cluster_secret"`
	Record  hexed  `json:"record"` // of the master key KeyID
	KeyID   string `json:"key_id"`
	Blob    hexed  `json:"blob"`
	Context hexed  `json:"context"` // canonical, as the KMS gets it
	// Proof is HKDF-SHA256(data key, no salt, LP("test"), 32): package kms gives no data key away.
	Proof hexed  `json:"proof,omitempty"`
	Error string `json:"error,omitempty"`
}

func makeVectors(t *testing.T) []vector {
	raw := roll("cluster", secret.Size)
	makeOne := func(name, key string, rotations int, c seal.Context) vector {
		store := newMemory()
		k := node(t, store, newClock(), "vector "+name)
		ok(t, k.Create(t.Context(), key))
		for range rotations {
			ok(t, k.Rotate(t.Context(), key))
		}
		d := generate(t, k, key, c)
		proof, err := d.Key.Derive(nil, 32, "test")
		ok(t, err)
		return vector{Name: name, Secret: raw, Record: store.get(key), KeyID: key, Blob: d.Blob, Context: c.Canonical(), Proof: proof}
	}
	a := makeOne("one version", "payroll", 0, contextA)
	b := makeOne("rotated twice", "team-a/photos", 2, seal.Context{"aws:s3:arn": "arn:aws:s3:::photos"})
	out := []vector{a, b, makeOne("no context", kms.KeyS3, 0, nil)}
	bad := func(name, code string, change func(*vector)) {
		v := b
		v.Record, v.Blob, v.Context = bytes.Clone(b.Record), bytes.Clone(b.Blob), bytes.Clone(b.Context)
		change(&v)
		v.Name, v.Error, v.Proof = name, code, nil
		out = append(out, v)
	}
	internal, state := string(kms.Internal), string(kms.InvalidState)
	bad("another cluster secret", state, func(v *vector) { v.Secret = roll("other", secret.Size) })
	bad("another context", internal, func(v *vector) { v.Context = contextA.Canonical() })
	bad("no context where there was one", internal, func(v *vector) { v.Context = seal.Context(nil).Canonical() })
	bad("blob of an older version", internal, func(v *vector) { v.Blob[4] = 2 })
	bad("blob of a version that is not there", internal, func(v *vector) { v.Blob[4] = 9 })
	bad("salt of the blob flipped", internal, func(v *vector) { v.Blob[5] ^= 1 })
	bad("blob's ciphertext flipped", internal, func(v *vector) { v.Blob[37] ^= 1 })
	bad("blob's tag flipped", internal, func(v *vector) { v.Blob[84] ^= 1 })
	bad("blob cut", internal, func(v *vector) { v.Blob = v.Blob[:84] })
	bad("blob of another format", internal, func(v *vector) { v.Blob[0] = 3 })
	bad("blob of another master key", internal, func(v *vector) { v.Blob = a.Blob })
	bad("record of another name", string(kms.NotFound), func(v *vector) { v.Record[3] ^= 1 })
	bad("record disabled", string(kms.Disabled), func(v *vector) { v.Record[1] = 2 })
	bad("record of another format", state, func(v *vector) { v.Record[0] = 2 })
	bad("record with a wrapped key flipped", state, func(v *vector) { v.Record[len(v.Record)-1] ^= 1 })
	bad("record with two versions swapped", state, func(v *vector) {
		at := 13 + len(v.KeyID) // versions of 92 bytes
		two, three := bytes.Clone(v.Record[at+96:at+184]), bytes.Clone(v.Record[at+188:at+276])
		copy(v.Record[at+96:], three)
		copy(v.Record[at+188:], two)
	})
	bad("record cut", state, func(v *vector) { v.Record = v.Record[:len(v.Record)-1] })
	return out
}

func TestWriterStillMakesTheVectors(t *testing.T) {
	want, err := json.MarshalIndent(makeVectors(t), "", "  ")
	ok(t, err)
	want = append(want, '\n')
	path := filepath.Join("testdata", "builtin.json")
	if *update {
		ok(t, os.WriteFile(path, want, 0o644))
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not what the writer makes now: %v", path, err)
	}
}

func TestVectorsOfTheBuiltinKMS(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("testdata", "builtin.json"))
	ok(t, err)
	var vectors []vector
	ok(t, json.Unmarshal(b, &vectors))
	if len(vectors) < 15 {
		t.Fatalf("%d vectors", len(vectors))
	}
	for _, v := range vectors {
		store := newMemory()
		store.put(v.KeyID, v.Record)
		k, err := kms.NewBuiltin(kms.Config{Secret: parsed(t, v.Secret), Store: store, Rand: newDice("x"), Now: newClock().Now})
		ok(t, err)
		c, err := seal.DecodeContext(v.Context)
		ok(t, err)
		got, err := k.Decrypt(t.Context(), v.KeyID, v.Blob, c)
		if string(kms.CodeOf(err)) != v.Error {
			t.Errorf("%s: %v, want %q", v.Name, err, v.Error)
		}
		if err == nil {
			if proof, err := got.Derive(nil, 32, "test"); err != nil || !bytes.Equal(proof, v.Proof) {
				t.Errorf("%s: another data key", v.Name)
			}
		}
		ind, indErr := indBlob(v.Secret, v.Record, v.Blob, v.Context)
		if name, _, _ := indMaster(v.Secret, v.Record, v.Blob[1:5]); indErr == nil && name != v.KeyID {
			indErr = errIndependent
		}
		if (indErr == nil) != (v.Error == "") || indErr == nil && !bytes.Equal(indHKDF(ind, nil, 32, indLP("test")), v.Proof) {
			t.Errorf("%s: independent reader: %v, want %q", v.Name, indErr, v.Error)
		}
	}
}

// From the cluster's secret to an object's key by the independent reader alone.
func TestIndependentReaderOpensAnObject(t *testing.T) {
	store := newMemory()
	k := node(t, store, newClock(), "chain")
	e := &kms.Envelopes{S3: k, KMS: k, Rand: newDice("e")}
	ok(t, k.Create(t.Context(), "one"))
	for _, s := range choices() {
		o, p := objectKey(t, "o"), place("a")
		m, err := e.Wrap(t.Context(), o, s, p)
		ok(t, err)
		c, err := m.Context.At(p.BucketName, p.Key, m.BucketKey)
		ok(t, err)
		data, err := indBlob(roll("cluster", 32), store.get(m.KeyID), m.Blob, c.Canonical())
		ok(t, err)
		domain, flag := "holdfast/sse-s3/v1", "\x00"
		if m.Method == seal.SSEKMS {
			domain = "holdfast/sse-kms/v1"
		}
		if m.BucketKey {
			flag = "\x01"
		}
		got, err := indEnvelope(data, m.Salt, m.WrappedKey, m.Commitment, domain,
			string(p.Bucket[:]), p.Key, string(p.Version[:]), m.KeyID, string(m.Blob), string(m.Context.Canonical()), flag)
		if err != nil || !bytes.Equal(got, roll("o", 32)) {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

// FuzzRecord: a record that decodes has no other encoding, and what does not decode harms nobody.
func FuzzRecord(f *testing.F) {
	store := newMemory()
	k := node(f, store, newClock(), "fuzz")
	ok(f, k.Create(f.Context(), "one"))
	f.Add(store.get("one"))
	f.Add([]byte{})
	f.Add([]byte{1, 1, 255})
	f.Add([]byte("\x01\x01\x01a\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if again, err := kms.Reencode(b); err == nil && !bytes.Equal(again, b) {
			t.Fatalf("%x has another encoding", b)
		}
		s := newMemory()
		s.put("one", b)
		fresh := node(t, s, newClock(), "x")
		if _, err := fresh.List(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, _ = fresh.GenerateDataKey(t.Context(), "one", nil)
	})
}

// FuzzBlob: no bytes but those that were made open.
func FuzzBlob(f *testing.F) {
	k := node(f, newMemory(), newClock(), "fuzz")
	ok(f, k.Create(f.Context(), "one"))
	d := generate(f, k, "one", contextA)
	f.Add(d.Blob)
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := k.Decrypt(t.Context(), "one", b, contextA); (err == nil) != bytes.Equal(b, d.Blob) {
			t.Fatalf("%x: %v", b, err)
		}
	})
}

// FuzzKeyID: what is taken is a valid name, is its own alias, and is never that of SSE-S3.
func FuzzKeyID(f *testing.F) {
	n := kms.Names{Region: "r", Account: "1"}
	for _, s := range []string{"", "a", "alias/a/b", "key/a", "arn:aws:kms:r:1:key/a", "arn:aws:kms:r:1:alias/sse-s3", "a//b", "key/alias/a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, err := n.ID(s)
		if err != nil {
			return
		}
		again, err := n.ID(n.ARN(name))
		if !kms.ValidName(name) || name == kms.KeyS3 || err != nil || again != name {
			t.Fatalf("%q: %q, again %q, %v", s, name, again, err)
		}
	})
}
