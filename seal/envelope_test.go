package seal_test

import (
	"bytes"
	"errors"
	"testing"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/seal"
)

func wrap(t testing.TB, o *seal.ObjectKey, c *seal.CustomerKey, b seal.Binding, seed string) seal.Envelope {
	t.Helper()
	e, err := o.Wrap(c, b, newDice(seed))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func cloneEnvelope(e seal.Envelope) seal.Envelope {
	return seal.Envelope{Version: e.Version, Salt: bytes.Clone(e.Salt), WrappedKey: bytes.Clone(e.WrappedKey), Commitment: bytes.Clone(e.Commitment)}
}

func TestEnvelopeOpensWithItsKeyAtItsPlaceOnly(t *testing.T) {
	c, o, b := customer(t, roll("c", 32)), objectKey(t, "o"), place("a")
	e := wrap(t, o, c, b, "wrap")
	got, err := seal.Unwrap(e, c, b)
	if err != nil || !bytes.Equal(seal.BytesOf(got), seal.BytesOf(o)) {
		t.Fatalf("unwrap: %v", err)
	}
	moved := map[string]seal.Binding{
		"bucket":  {Bucket: id.Bucket(roll16("x")), Key: b.Key, Version: b.Version},
		"key":     {Bucket: b.Bucket, Key: b.Key + "x", Version: b.Version},
		"no key":  {Bucket: b.Bucket, Version: b.Version},
		"version": {Bucket: b.Bucket, Key: b.Key, Version: id.Version(roll16("x"))},
		"swapped": {Bucket: id.Bucket(b.Version), Key: b.Key, Version: id.Version(b.Bucket)},
	}
	for what, m := range moved {
		_, err := seal.Unwrap(e, c, m)
		wantKind(t, err, kind.SSECWrongKey)
		if err.Error() != "Requests specifying Server Side Encryption with Customer provided keys must provide the correct secret key." {
			t.Errorf("%s: %v", what, err)
		}
	}
	for n := range 32 {
		raw := roll("c", 32)
		raw[n] ^= 1
		_, err := seal.Unwrap(e, customer(t, raw), b)
		wantKind(t, err, kind.SSECWrongKey)
	}
}

// The fields of a place are length-prefixed: bytes cannot slide from one to the next.
func TestPlacesWithTheSameBytesInOtherFieldsDiffer(t *testing.T) {
	c, o := customer(t, roll("c", 32)), objectKey(t, "o")
	v := id.Version(roll16("v"))
	a := seal.Binding{Bucket: id.Bucket(roll16("b")), Key: "k" + string(v[:]), Version: v}
	b := seal.Binding{Bucket: a.Bucket, Key: "k", Version: v}
	_, err := seal.Unwrap(wrap(t, o, c, a, "w"), c, b)
	wantKind(t, err, kind.SSECWrongKey)
}

func TestAlteredEnvelopeNeverOpens(t *testing.T) {
	c, o, b := customer(t, roll("c", 32)), objectKey(t, "o"), place("a")
	e := wrap(t, o, c, b, "wrap")
	flip := func(what string, pick func(*seal.Envelope) []byte, want kind.Kind) {
		for n := range pick(&e) {
			for bit := range 8 {
				f := cloneEnvelope(e)
				pick(&f)[n] ^= 1 << bit
				if _, err := seal.Unwrap(f, c, b); kind.Of(err) != want {
					t.Fatalf("%s byte %d bit %d: %v", what, n, bit, err)
				}
			}
		}
	}
	flip("salt", func(e *seal.Envelope) []byte { return e.Salt }, kind.SSECWrongKey)
	flip("commitment", func(e *seal.Envelope) []byte { return e.Commitment }, kind.SSECWrongKey)
	flip("wrapped key", func(e *seal.Envelope) []byte { return e.WrappedKey }, kind.Damaged)
	for what, f := range map[string]seal.Envelope{
		"empty":         {Version: 1},
		"short salt":    {Version: 1, Salt: e.Salt[:31], WrappedKey: e.WrappedKey, Commitment: e.Commitment},
		"short key":     {Version: 1, Salt: e.Salt, WrappedKey: e.WrappedKey[:59], Commitment: e.Commitment},
		"long key":      {Version: 1, Salt: e.Salt, WrappedKey: append(bytes.Clone(e.WrappedKey), 0), Commitment: e.Commitment},
		"no commitment": {Version: 1, Salt: e.Salt, WrappedKey: e.WrappedKey},
	} {
		if _, err := seal.Unwrap(f, c, b); kind.Of(err) != kind.Damaged {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, version := range []uint32{0, 2, 1 << 31} {
		f := cloneEnvelope(e)
		f.Version = version
		if _, err := seal.Unwrap(f, c, b); !errors.Is(err, seal.ErrFormat) {
			t.Errorf("version %d: %v", version, err)
		}
	}
}

// Whole fields taken from another envelope of the same customer do not fit either.
func TestFieldsOfTwoEnvelopesDoNotMix(t *testing.T) {
	c, b := customer(t, roll("c", 32)), place("a")
	one, two := wrap(t, objectKey(t, "o1"), c, b, "w1"), wrap(t, objectKey(t, "o2"), c, b, "w2")
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
		if _, err := seal.Unwrap(mix, c, b); err == nil {
			t.Errorf("mix %03b opens", mask)
		}
	}
}

func TestRewrapChangesTheCustomerKeyAndNothingElse(t *testing.T) {
	old, fresh := customer(t, roll("old", 32)), customer(t, roll("new", 32))
	from, to := place("a"), place("b")
	o := objectKey(t, "o")
	stream := roll16("s")
	_, wrapped, err := o.NewDataKey(1, stream, newDice("d"))
	if err != nil {
		t.Fatal(err)
	}
	first := wrap(t, o, old, from, "w1")
	opened, err := seal.Unwrap(first, old, from)
	if err != nil {
		t.Fatal(err)
	}
	second := wrap(t, opened, fresh, to, "w2")
	again, err := seal.Unwrap(second, fresh, to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.OpenDataKey(wrapped, 1, stream); err != nil {
		t.Fatalf("data key after the rewrap: %v", err)
	}
	if _, err := seal.Unwrap(first, old, from); err != nil {
		t.Fatalf("the old version with the old key: %v", err)
	}
	_, err = seal.Unwrap(second, old, to)
	wantKind(t, err, kind.SSECWrongKey)
	_, err = seal.Unwrap(first, fresh, from)
	wantKind(t, err, kind.SSECWrongKey)
}

func TestFailingRandomSourceSealsNothing(t *testing.T) {
	c, o := customer(t, roll("c", 32)), objectKey(t, "o")
	short := func() *bytes.Reader { return bytes.NewReader(make([]byte, 11)) }
	e, err := o.Wrap(c, place("a"), short())
	if err == nil || e.WrappedKey != nil {
		t.Error("Wrap")
	}
	if k, err := seal.NewObjectKey(short()); err == nil || k != nil {
		t.Error("NewObjectKey")
	}
	if k, w, err := o.NewDataKey(1, roll16("s"), short()); err == nil || k != nil || w != nil {
		t.Error("NewDataKey")
	}
	if b, err := o.SealSmall("l", nil, short()); err == nil || b != nil {
		t.Error("SealSmall")
	}
}
