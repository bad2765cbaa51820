package seal_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"testing"

	"holdfast/seal"
)

// With a random source that is stuck, what differs otherwise (object key, part, stream, plaintext,
// customer key) must still keep keys and nonces apart. See "Random numbers" in doc.go.
func TestStuckRandomSourceDoesNotRepeatKeysForOtherParts(t *testing.T) {
	const zero = stuck(0)
	o := objectKey(t, "o")
	seen := map[string]string{}
	add := func(what string, bytes []byte) {
		if was, ok := seen[string(bytes)]; ok {
			t.Errorf("%s has the bytes of %s", what, was)
		}
		seen[string(bytes)] = what
	}
	for what, in := range map[string]struct {
		o      *seal.ObjectKey
		part   uint32
		stream string
	}{
		"part 1":         {o, 1, "s1"},
		"part 2":         {o, 2, "s1"},
		"part 1 again":   {o, 1, "s2"},
		"another object": {objectKey(t, "o2"), 1, "s1"},
	} {
		d, wrapped, err := in.o.NewDataKey(in.part, roll16(in.stream), zero)
		if err != nil {
			t.Fatal(err)
		}
		add("data key of "+what, seal.BytesOf(d))
		add("nonce of "+what, wrapped[1:13])
	}
	c := customer(t, roll("c", 32))
	for what, in := range map[string]struct {
		o *seal.ObjectKey
		b seal.Binding
	}{
		"object":         {o, place("a")},
		"other object":   {objectKey(t, "o2"), place("a")},
		"another place":  {o, place("b")},
		"third and last": {objectKey(t, "o3"), place("b")},
	} {
		e, err := in.o.Wrap(c, in.b, zero)
		if err != nil {
			t.Fatal(err)
		}
		add("salt of "+what, e.Salt)
		add("nonce of "+what, e.WrappedKey[:12])
		add("commitment of "+what, e.Commitment)
	}
	for _, plain := range []string{"", "a", "b"} {
		s, err := o.SealSmall("label", []byte(plain), zero)
		if err != nil {
			t.Fatal(err)
		}
		add("nonce of small "+plain, s[1:13])
	}
}

// One object key wrapped under two customer keys with one salt must not show which parts are equal.
func TestStuckRandomSourceStillRewrapsUnderAnotherKey(t *testing.T) {
	o, b := objectKey(t, "o"), place("a")
	one, err := o.Wrap(customer(t, roll("c1", 32)), b, stuck(7))
	if err != nil {
		t.Fatal(err)
	}
	two, err := o.Wrap(customer(t, roll("c2", 32)), b, stuck(7))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(one.WrappedKey[12:], two.WrappedKey[12:]) || bytes.Equal(one.Commitment, two.Commitment) {
		t.Error("two customer keys gave one wrapped key")
	}
}

func TestGuardStopsASourceThatRepeats(t *testing.T) {
	g := seal.Guard(stuck(1))
	if _, err := seal.NewObjectKey(g); err != nil {
		t.Fatal(err)
	}
	if _, err := seal.NewObjectKey(g); !errors.Is(err, seal.ErrRandom) {
		t.Fatalf("second draw of a stuck source: %v", err)
	}
	if _, err := io.ReadFull(g, make([]byte, 1)); !errors.Is(err, seal.ErrRandom) {
		t.Fatalf("a broken source came back: %v", err)
	}
	cycle := bytes.Repeat(roll("cycle", 32*seal.GuardWindow), 2)
	g = seal.Guard(bytes.NewReader(cycle))
	buf := make([]byte, 32)
	for n := range seal.GuardWindow {
		if _, err := io.ReadFull(g, buf); err != nil {
			t.Fatalf("draw %d: %v", n, err)
		}
	}
	if _, err := io.ReadFull(g, buf); !errors.Is(err, seal.ErrRandom) || !bytes.Equal(buf, make([]byte, 32)) {
		t.Fatalf("a cycle of %d draws: %v", seal.GuardWindow, err)
	}
}

func TestGuardLetsAGoodSourceThrough(t *testing.T) {
	g := seal.Guard(rand.Reader)
	for range 3 * seal.GuardWindow {
		for _, n := range []int{0, 1, 12, 16, 32} {
			if _, err := io.ReadFull(g, make([]byte, n)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := seal.Guard(bytes.NewReader([]byte("short"))).Read(make([]byte, 32)); err == nil {
		t.Error("a short draw passed")
	}
}
