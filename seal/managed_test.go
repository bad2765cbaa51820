package seal_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/seal"
)

func kmsRef(m seal.Method) seal.KeyRef {
	return seal.KeyRef{Method: m, KeyID: "payroll", Blob: roll("blob", 85), Context: seal.Context{"team": "a", "app": "b"}}
}

func wrapManaged(t testing.TB, o *seal.ObjectKey, w *seal.KMSKey, r seal.KeyRef, b seal.Binding, seed string) seal.Managed {
	t.Helper()
	m, err := o.WrapManaged(w, r, b, newDice(seed))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// cloneManaged copies all that edits may change.
func cloneManaged(m seal.Managed) seal.Managed {
	m.Blob, m.Salt, m.WrappedKey, m.Commitment = bytes.Clone(m.Blob), bytes.Clone(m.Salt), bytes.Clone(m.WrappedKey), bytes.Clone(m.Commitment)
	c := seal.Context{}
	for k, v := range m.Context {
		c[k] = v
	}
	m.Context = c
	return m
}

func TestManagedEnvelopeOpensAtItsPlaceOnly(t *testing.T) {
	w, o, b := seal.KMSKeyOf(roll("w", 32)), objectKey(t, "o"), place("a")
	for _, method := range []seal.Method{seal.SSES3, seal.SSEKMS} {
		m := wrapManaged(t, o, w, kmsRef(method), b, "wrap")
		got, err := seal.UnwrapManaged(m, w, b)
		if err != nil || !bytes.Equal(seal.BytesOf(got), seal.BytesOf(o)) {
			t.Fatalf("method %d: %v", method, err)
		}
		for what, at := range map[string]seal.Binding{
			"bucket":  {Bucket: id.Bucket(roll16("x")), Key: b.Key, Version: b.Version},
			"key":     {Bucket: b.Bucket, Key: b.Key + "x", Version: b.Version},
			"no key":  {Bucket: b.Bucket, Version: b.Version},
			"version": {Bucket: b.Bucket, Key: b.Key, Version: id.Version(roll16("x"))},
			"swapped": {Bucket: id.Bucket(b.Version), Key: b.Key, Version: id.Version(b.Bucket)},
		} {
			if _, err := seal.UnwrapManaged(m, w, at); kind.Of(err) != kind.Damaged {
				t.Errorf("method %d moved to another %s: %v", method, what, err)
			}
		}
		for n := range 32 {
			raw := roll("w", 32)
			raw[n] ^= 1
			if _, err := seal.UnwrapManaged(m, seal.KMSKeyOf(raw), b); kind.Of(err) != kind.Damaged {
				t.Fatalf("another data key, byte %d: %v", n, err)
			}
		}
	}
}

func TestAlteredManagedEnvelopeNeverOpens(t *testing.T) {
	w, o, b := seal.KMSKeyOf(roll("w", 32)), objectKey(t, "o"), place("a")
	m := wrapManaged(t, o, w, kmsRef(seal.SSEKMS), b, "wrap")
	for what, pick := range map[string]func(*seal.Managed) []byte{
		"salt":       func(m *seal.Managed) []byte { return m.Salt },
		"key":        func(m *seal.Managed) []byte { return m.WrappedKey },
		"commitment": func(m *seal.Managed) []byte { return m.Commitment },
		"blob":       func(m *seal.Managed) []byte { return m.Blob },
	} {
		for n := range pick(&m) {
			f := cloneManaged(m)
			pick(&f)[n] ^= 1 << (n % 8)
			if _, err := seal.UnwrapManaged(f, w, b); kind.Of(err) != kind.Damaged {
				t.Fatalf("%s byte %d: %v", what, n, err)
			}
		}
	}
	for what, edit := range map[string]func(*seal.Managed){
		"key ID":          func(m *seal.Managed) { m.KeyID = "payrolls" },
		"no key ID":       func(m *seal.Managed) { m.KeyID = "" },
		"long key ID":     func(m *seal.Managed) { m.KeyID = strings.Repeat("k", 257) },
		"no blob":         func(m *seal.Managed) { m.Blob = nil },
		"long blob":       func(m *seal.Managed) { m.Blob = make([]byte, 1025) },
		"context value":   func(m *seal.Managed) { m.Context["team"] = "b" },
		"context more":    func(m *seal.Managed) { m.Context["x"] = "" },
		"context less":    func(m *seal.Managed) { delete(m.Context, "app") },
		"context none":    func(m *seal.Managed) { m.Context = nil },
		"context shifted": func(m *seal.Managed) { m.Context = seal.Context{"team": "b", "app": "a"} },
		"bucket key":      func(m *seal.Managed) { m.BucketKey = true },
		"method":          func(m *seal.Managed) { m.Method = seal.SSES3 },
		"short salt":      func(m *seal.Managed) { m.Salt = m.Salt[:31] },
		"short key":       func(m *seal.Managed) { m.WrappedKey = m.WrappedKey[:59] },
		"no commitment":   func(m *seal.Managed) { m.Commitment = nil },
	} {
		f := cloneManaged(m)
		edit(&f)
		if _, err := seal.UnwrapManaged(f, w, b); kind.Of(err) != kind.Damaged {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, edit := range map[string]func(*seal.Managed){
		"version 1":  func(m *seal.Managed) { m.Version = 1 },
		"version 3":  func(m *seal.Managed) { m.Version = 3 },
		"method 0":   func(m *seal.Managed) { m.Method = 0 },
		"method 3":   func(m *seal.Managed) { m.Method = 3 },
		"no version": func(m *seal.Managed) { m.Version = 0 },
	} {
		f := cloneManaged(m)
		edit(&f)
		if _, err := seal.UnwrapManaged(f, w, b); !errors.Is(err, seal.ErrFormat) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// One bucket key wraps many objects: their envelopes do not mix, and no two have a wrapping key alike
// even when the random source repeats.
func TestEnvelopesOfOneBucketKeyDoNotMix(t *testing.T) {
	w, b := seal.KMSKeyOf(roll("w", 32)), place("a")
	r := kmsRef(seal.SSEKMS)
	r.BucketKey = true
	one, two := wrapManaged(t, objectKey(t, "1"), w, r, b, "same"), wrapManaged(t, objectKey(t, "2"), w, r, b, "same")
	if bytes.Equal(one.Salt, two.Salt) || bytes.Equal(one.WrappedKey[:12], two.WrappedKey[:12]) {
		t.Error("two object keys share a salt or a nonce under a source that repeats")
	}
	for mask := 1; mask < 7; mask++ {
		mix := one
		if mask&1 != 0 {
			mix.Salt = two.Salt
		}
		if mask&2 != 0 {
			mix.WrappedKey = two.WrappedKey
		}
		if mask&4 != 0 {
			mix.Commitment = two.Commitment
		}
		if _, err := seal.UnwrapManaged(mix, w, b); err == nil {
			t.Errorf("mix %03b opens", mask)
		}
	}
	moved := place("b")
	if _, err := seal.UnwrapManaged(one, w, moved); kind.Of(err) != kind.Damaged {
		t.Errorf("the same bucket key opens the envelope elsewhere: %v", err)
	}
}

func TestRewrapFromCustomerToManagedAndBackKeepsTheData(t *testing.T) {
	c, w, b := customer(t, roll("c", 32)), seal.KMSKeyOf(roll("w", 32)), place("a")
	o, stream := objectKey(t, "o"), roll16("s")
	_, wrapped, err := o.NewDataKey(1, stream, newDice("d"))
	if err != nil {
		t.Fatal(err)
	}
	first, err := seal.UnwrapManaged(wrapManaged(t, o, w, kmsRef(seal.SSES3), b, "1"), w, b)
	if err != nil {
		t.Fatal(err)
	}
	second, err := seal.Unwrap(wrap(t, first, c, b, "2"), c, b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.OpenDataKey(wrapped, 1, stream); err != nil {
		t.Fatal(err)
	}
}

func TestManagedKeysCanBeZeroedAndFailingSourcesSealNothing(t *testing.T) {
	w, o, b := seal.KMSKeyOf(roll("w", 32)), objectKey(t, "o"), place("a")
	m := wrapManaged(t, o, w, kmsRef(seal.SSES3), b, "wrap")
	if m, err := o.WrapManaged(w, kmsRef(seal.SSES3), b, bytes.NewReader(make([]byte, 31))); err == nil || m.WrappedKey != nil {
		t.Error("sealed without randomness")
	}
	twin, err := w.Clone()
	if err != nil {
		t.Fatal(err)
	}
	w.Zero()
	if !bytes.Equal(seal.BytesOf(w), make([]byte, 32)) {
		t.Error("bytes still there")
	}
	for what, k := range map[string]*seal.KMSKey{"zeroed": w, "nil": nil, "empty": {}} {
		if _, err := seal.UnwrapManaged(m, k, b); !errors.Is(err, seal.ErrZeroed) {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := o.WrapManaged(k, kmsRef(seal.SSES3), b, newDice("x")); !errors.Is(err, seal.ErrZeroed) {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := k.Clone(); !errors.Is(err, seal.ErrZeroed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := seal.UnwrapManaged(m, twin, b); err != nil {
		t.Errorf("a clone went with its original: %v", err)
	}
	for _, n := range []int{0, 31, 33} {
		raw := roll("r", n)
		if k, err := seal.NewKMSKey(raw); err == nil || k != nil || !bytes.Equal(raw, make([]byte, n)) {
			t.Errorf("a key of %d bytes", n)
		}
	}
}

func TestNoVerbOrEncoderShowsAKMSKey(t *testing.T) {
	raw := []byte("canary-canary-canary-canary-0123")
	k := seal.KMSKeyOf(raw)
	type private struct {
		k  seal.KMSKey
		kp *seal.KMSKey
		m  map[string]*seal.KMSKey
		a  any
	}
	type public struct {
		K  seal.KMSKey
		KP *seal.KMSKey
	}
	in, pub := private{*k, k, map[string]*seal.KMSKey{"k": k}, *k}, public{*k, k}
	var shown []string
	for _, v := range []any{k, *k, in, &in, pub, &pub, []any{k, *k}} {
		for _, flags := range []string{"", "+", "#", " ", "-", "0", "8.3", "+#"} {
			for _, verb := range "vTtbcdoOqxXUeEfFgGspw" {
				shown = append(shown, fmt.Sprintf("%"+flags+string(verb), v))
			}
		}
		if b, err := json.Marshal(v); err == nil {
			shown = append(shown, string(b))
		}
		if b, err := xml.Marshal(v); err == nil {
			shown = append(shown, string(b))
		}
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("key", "k", v)
		slog.New(slog.NewTextHandler(&log, nil)).Info("key", "k", v)
		shown = append(shown, log.String())
	}
	assertHidden(t, shown, raw)
}

type managedVector struct {
	Name       string `json:"name"`
	DataKey    hexed  `json:"data_key"`
	Bucket     hexed  `json:"bucket"`
	Key        string `json:"key"`
	Version    hexed  `json:"version"`
	Format     uint32 `json:"format"`
	Method     uint32 `json:"method"`
	KeyID      string `json:"key_id"`
	Blob       hexed  `json:"blob"`
	Context    hexed  `json:"context"`
	BucketKey  bool   `json:"bucket_key"`
	Salt       hexed  `json:"salt"`
	WrappedKey hexed  `json:"wrapped_key"`
	Commitment hexed  `json:"commitment"`
	ObjectKey  hexed  `json:"object_key,omitempty"`
	Error      string `json:"error,omitempty"`
}

func TestVectorsOfManagedEnvelopes(t *testing.T) {
	for _, v := range load[managedVector](t, "managed.json") {
		b := seal.Binding{Bucket: id.Bucket(v.Bucket), Key: v.Key, Version: id.Version(v.Version)}
		c, err := seal.DecodeContext(v.Context)
		var got []byte
		if err == nil {
			m := seal.Managed{Version: v.Format, KeyRef: seal.KeyRef{Method: seal.Method(v.Method), KeyID: v.KeyID, Blob: v.Blob, Context: c, BucketKey: v.BucketKey},
				Salt: v.Salt, WrappedKey: v.WrappedKey, Commitment: v.Commitment}
			var k *seal.ObjectKey
			if k, err = seal.UnwrapManaged(m, seal.KMSKeyOf(v.DataKey), b); err == nil {
				got = seal.BytesOf(k)
			}
		}
		ind, indErr := indManaged(v.Method, v.DataKey, v.Salt, v.WrappedKey, v.Commitment, v.BucketKey,
			string(v.Bucket), v.Key, string(v.Version), v.KeyID, string(v.Blob), string(v.Context))
		if v.Format != 2 {
			indErr = errIndependent
		}
		judge(t, v.Name, v.Error, v.ObjectKey, got, err, ind, indErr)
	}
}

func TestWriterStillMakesTheManagedVectors(t *testing.T) {
	want, err := json.MarshalIndent(makeManaged(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	path := filepath.Join("testdata", "managed.json")
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not what the writer makes now: %v", path, err)
	}
}

func makeManaged(t *testing.T) []managedVector {
	makeOne := func(name, key string, r seal.KeyRef) managedVector {
		p := place(name)
		p.Key = key
		w, o := roll("data "+name, 32), seal.ObjectKeyOf(roll("object "+name, 32))
		m := wrapManaged(t, o, seal.KMSKeyOf(w), r, p, "vector "+name)
		return managedVector{name, w, p.Bucket[:], p.Key, p.Version[:], m.Version, uint32(m.Method), m.KeyID, m.Blob, m.Context.Canonical(), m.BucketKey,
			m.Salt, m.WrappedKey, m.Commitment, seal.BytesOf(o), ""}
	}
	bucket := kmsRef(seal.SSEKMS)
	bucket.BucketKey = true
	a, b := makeOne("SSE-KMS", "photos/a.jpg", kmsRef(seal.SSEKMS)), makeOne("bucket key", "photos/été/猫 🐈", bucket)
	out := []managedVector{a, b, makeOne("SSE-S3", "", seal.KeyRef{Method: seal.SSES3, KeyID: "sse-s3", Blob: roll("blob s3", 85)}),
		makeOne("a blob of Vault", "x", seal.KeyRef{Method: seal.SSEKMS, KeyID: "v", Blob: []byte("\x02\x01vault:v1:AAAA")})}
	bad := func(name, err string, change func(*managedVector)) {
		v := a
		v.Salt, v.WrappedKey, v.Commitment, v.Blob, v.Context = bytes.Clone(a.Salt), bytes.Clone(a.WrappedKey), bytes.Clone(a.Commitment), bytes.Clone(a.Blob), bytes.Clone(a.Context)
		change(&v)
		v.Name, v.Error, v.ObjectKey = name, err, nil
		out = append(out, v)
	}
	bad("another data key", "damaged", func(v *managedVector) { v.DataKey = b.DataKey })
	bad("moved to another bucket", "damaged", func(v *managedVector) { v.Bucket = b.Bucket })
	bad("moved to another key", "damaged", func(v *managedVector) { v.Key = b.Key })
	bad("moved to another version", "damaged", func(v *managedVector) { v.Version = b.Version })
	bad("taken for SSE-S3", "damaged", func(v *managedVector) { v.Method = 1 })
	bad("taken for a bucket key's", "damaged", func(v *managedVector) { v.BucketKey = true })
	bad("another master key", "damaged", func(v *managedVector) { v.KeyID = "payrolls" })
	bad("blob flipped", "damaged", func(v *managedVector) { v.Blob[84] ^= 1 })
	bad("byte slid from key ID to blob", "damaged", func(v *managedVector) {
		v.KeyID, v.Blob = "payrol", append(hexed("l"), v.Blob...)
	})
	bad("context flipped", "damaged", func(v *managedVector) { v.Context[len(v.Context)-1] ^= 1 })
	bad("no context", "damaged", func(v *managedVector) { v.Context = seal.Context(nil).Canonical() })
	bad("salt flipped", "damaged", func(v *managedVector) { v.Salt[0] ^= 1 })
	bad("commitment flipped", "damaged", func(v *managedVector) { v.Commitment[31] ^= 1 })
	bad("wrapped key flipped", "damaged", func(v *managedVector) { v.WrappedKey[12] ^= 1 })
	bad("wrapped key cut", "damaged", func(v *managedVector) { v.WrappedKey = v.WrappedKey[:59] })
	bad("wrapped key of another", "damaged", func(v *managedVector) { v.WrappedKey = b.WrappedKey })
	bad("unknown version", "format", func(v *managedVector) { v.Format = 3 })
	bad("unknown method", "format", func(v *managedVector) { v.Method = 3 })
	return out
}
