package kms_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/internal/kind"
	"holdfast/seal"
	"holdfast/seal/kms"
)

var contextA = seal.Context{"aws:s3:arn": "arn:aws:s3:::b/a", "team": "x"}

func TestDataKeyOpensUnderItsMasterKeyAndContextOnly(t *testing.T) {
	k := node(t, newMemory(), newClock(), "a")
	for _, name := range []string{"one", "two"} {
		ok(t, k.Create(t.Context(), name))
	}
	d := generate(t, k, "one", contextA)
	got, err := k.Decrypt(t.Context(), "one", d.Blob, contextA)
	if err != nil || !same(t, got, d.Key) {
		t.Fatal(err)
	}
	for what, c := range map[string]seal.Context{
		"none":          nil,
		"less":          {"aws:s3:arn": "arn:aws:s3:::b/a"},
		"more":          {"aws:s3:arn": "arn:aws:s3:::b/a", "team": "x", "y": ""},
		"other object":  {"aws:s3:arn": "arn:aws:s3:::b/b", "team": "x"},
		"case of names": {"aws:s3:arn": "arn:aws:s3:::b/a", "Team": "x"},
		"swapped":       {"aws:s3:arn": "x", "team": "arn:aws:s3:::b/a"},
	} {
		if _, err := k.Decrypt(t.Context(), "one", d.Blob, c); kms.CodeOf(err) != kms.Internal || !kind.Is(err, kind.Damaged) {
			t.Errorf("context %s: %v", what, err)
		}
	}
	_, err = k.Decrypt(t.Context(), "two", d.Blob, contextA)
	wantCode(t, err, kms.Internal)
	_, err = k.Decrypt(t.Context(), "three", d.Blob, contextA)
	wantCode(t, err, kms.NotFound)
	for n := range d.Blob {
		f := bytes.Clone(d.Blob)
		f[n] ^= 0x80
		if _, err := k.Decrypt(t.Context(), "one", f, contextA); kms.CodeOf(err) != kms.Internal {
			t.Fatalf("byte %d: %v", n, err)
		}
	}
	for _, f := range [][]byte{nil, {1}, d.Blob[:84], append(bytes.Clone(d.Blob), 0)} {
		_, err := k.Decrypt(t.Context(), "one", f, contextA)
		wantCode(t, err, kms.Internal)
	}
	if e := generate(t, k, "one", contextA); same(t, e.Key, d.Key) || bytes.Equal(e.Blob, d.Blob) {
		t.Error("two data keys are one")
	}
}

func TestRotatedKeyWrapsAnewAndStillOpensWhatIsOld(t *testing.T) {
	store, c := newMemory(), newClock()
	k, other := node(t, store, c, "a"), node(t, store, c, "b")
	ok(t, k.Create(t.Context(), "one"))
	old := generate(t, k, "one", contextA)
	generate(t, other, "one", contextA)
	ok(t, k.Rotate(t.Context(), "one"))
	fresh := generate(t, k, "one", contextA)
	if old.Blob[4] != 1 || fresh.Blob[4] != 2 {
		t.Fatalf("versions %d and %d", old.Blob[4], fresh.Blob[4])
	}
	// The other node still knows the old version only: at a blob of the new one it looks again.
	c.pass(time.Second)
	for what, d := range map[string]kms.DataKey{"old": old, "new": fresh} {
		for _, n := range []*kms.Builtin{k, other} {
			if got, err := n.Decrypt(t.Context(), "one", d.Blob, contextA); err != nil || !same(t, got, d.Key) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	again := node(t, store, c, "c") // after a restart
	if got, err := again.Decrypt(t.Context(), "one", old.Blob, contextA); err != nil || !same(t, got, old.Key) {
		t.Errorf("after a restart: %v", err)
	}
	moved := bytes.Clone(old.Blob)
	moved[4] = 2
	_, err := k.Decrypt(t.Context(), "one", moved, contextA)
	wantCode(t, err, kms.Internal)
}

func TestDisabledKeyOpensAndMakesNothing(t *testing.T) {
	store, c := newMemory(), newClock()
	k, other := node(t, store, c, "a"), node(t, store, c, "b")
	ok(t, k.Create(t.Context(), "one"))
	d := generate(t, other, "one", contextA)
	ok(t, k.Disable(t.Context(), "one"))
	ok(t, k.Disable(t.Context(), "one"))
	refused := func(n *kms.Builtin) {
		t.Helper()
		_, err := n.GenerateDataKey(t.Context(), "one", contextA)
		wantCode(t, err, kms.Disabled)
		_, err = n.Decrypt(t.Context(), "one", d.Blob, contextA)
		wantCode(t, err, kms.Disabled)
		if !strings.Contains(err.Error(), "one is disabled.") || !kind.Is(err, kind.InvalidRequest) {
			t.Error(err)
		}
	}
	refused(k)
	c.pass(5*time.Second + time.Millisecond) // Config.MaxAge
	refused(other)
	ok(t, k.Enable(t.Context(), "one"))
	c.pass(5*time.Second + time.Millisecond)
	for _, n := range []*kms.Builtin{k, other} {
		if got, err := n.Decrypt(t.Context(), "one", d.Blob, contextA); err != nil || !same(t, got, d.Key) {
			t.Error(err)
		}
	}
	if err := k.Disable(t.Context(), kms.KeyS3); !kind.Is(err, kind.InvalidArgument) {
		t.Errorf("the key of SSE-S3: %v", err)
	}
}

func TestServersOwnKeysAreMadeWhenNeededAndOnce(t *testing.T) {
	store, c := newMemory(), newClock()
	nodes := []*kms.Builtin{node(t, store, c, "a"), node(t, store, c, "b"), node(t, store, c, "c")}
	blobs := make([]kms.DataKey, 24)
	var wait sync.WaitGroup
	for n := range blobs {
		wait.Go(func() {
			d, err := nodes[n%3].GenerateDataKey(t.Context(), []string{kms.KeyS3, kms.KeyDefault}[n%2], contextA)
			if err != nil {
				t.Error(err)
			}
			blobs[n] = d
		})
	}
	wait.Wait()
	for n, d := range blobs {
		got, err := nodes[(n+1)%3].Decrypt(t.Context(), []string{kms.KeyS3, kms.KeyDefault}[n%2], d.Blob, contextA)
		if err != nil || !same(t, got, d.Key) {
			t.Errorf("%d: %v", n, err)
		}
	}
	if len(store.records) != 2 {
		t.Errorf("%d keys", len(store.records))
	}
	_, err := nodes[0].GenerateDataKey(t.Context(), "other", contextA)
	wantCode(t, err, kms.NotFound)
	if _, err := nodes[0].Decrypt(t.Context(), "nobody", blobs[0].Blob, nil); kms.CodeOf(err) != kms.NotFound || len(store.records) != 2 {
		t.Errorf("Decrypt made a key: %v", err)
	}
}

func TestChangesAtOnceAreAllKept(t *testing.T) {
	store, c := newMemory(), newClock()
	k, other := node(t, store, c, "a"), node(t, store, c, "b")
	ok(t, k.Create(t.Context(), "one"))
	store.before = func() { ok(t, other.Disable(t.Context(), "one")) }
	ok(t, k.Rotate(t.Context(), "one"))
	list, err := other.List(t.Context())
	if err != nil || len(list) != 1 || list[0].Enabled || list[0].Versions != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	if err := k.Create(t.Context(), "one"); !kind.Is(err, kind.Conflict) {
		t.Errorf("made twice: %v", err)
	}
	store.before = func() { ok(t, other.Create(t.Context(), "two")) }
	if err := k.Create(t.Context(), "two"); !kind.Is(err, kind.Conflict) {
		t.Errorf("made at once: %v", err)
	}
	for _, change := range []func(context.Context, string) error{k.Rotate, k.Enable, k.Disable} {
		wantCode(t, change(t.Context(), "nobody"), kms.NotFound)
	}
	for _, name := range []string{"", "a b", "../x", "key/x", "alias/x", strings.Repeat("x", 129), "a:b", "é"} {
		if err := k.Create(t.Context(), name); !kind.Is(err, kind.InvalidArgument) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestListTellsAnOperatorWhatThereIs(t *testing.T) {
	store, c := newMemory(), newClock()
	k := node(t, store, c, "a")
	made := c.Now()
	for _, name := range []string{"b", "a", "c"} {
		ok(t, k.Create(t.Context(), name))
	}
	c.pass(time.Hour)
	ok(t, k.Rotate(t.Context(), "b"))
	ok(t, k.Disable(t.Context(), "c"))
	broken := store.get("a")
	broken[len(broken)-1] ^= 1
	store.put("a", broken)
	list, err := k.List(t.Context())
	ok(t, err)
	if len(list) != 3 || list[0].Name != "a" || list[0].Enabled || list[0].Damaged == "" ||
		!list[1].Enabled || list[1].Versions != 2 || !list[1].Created.Equal(made) || !list[1].Rotated.Equal(made.Add(time.Hour)) ||
		list[2].Enabled || list[2].Damaged != "" {
		t.Errorf("%+v", list)
	}
}

// A record that does not open stops its own key, with a reason, and no other.
func TestDamagedRecordStopsItsOwnKeyOnly(t *testing.T) {
	store, c := newMemory(), newClock()
	k := node(t, store, c, "a")
	ok(t, k.Create(t.Context(), "one"))
	ok(t, k.Create(t.Context(), "two"))
	d := generate(t, k, "two", contextA)
	good := store.get("one")
	more := append(bytes.Clone(good), good[len(good)-92:]...) // a version that its count does not have
	more[len(good)+3]++
	edits := [][]byte{nil, {1}, good[:len(good)-1], append(bytes.Clone(good), 0), store.get("two"), more}
	for n := range good {
		f := bytes.Clone(good)
		f[n] ^= 1
		edits = append(edits, f)
	}
	at := bytes.Index(good, []byte("one")) + 3 // when it was made: 8 bytes that nothing rests on, then 2 of the count, 4 of the number, 8 of when
	for n, f := range edits {
		store.put("one", f)
		fresh := node(t, store, c, "fresh")
		if _, err := fresh.Decrypt(t.Context(), "two", d.Blob, contextA); err != nil {
			t.Fatalf("edit %d: the other key: %v", n, err)
		}
		if i := n - 6; i >= at && i < at+8 || i >= at+14 && i < at+22 {
			continue
		}
		if _, err := fresh.GenerateDataKey(t.Context(), "one", contextA); kms.CodeOf(err) != kms.InvalidState && kms.CodeOf(err) != kms.NotFound && kms.CodeOf(err) != kms.Disabled {
			t.Errorf("edit %d: %v", n, err)
		}
	}
	// Whole records under another name, and keys of another version, do not open either.
	store.put("one", bytes.Replace(store.get("two"), []byte("two"), []byte("one"), 1))
	_, err := node(t, store, c, "x").GenerateDataKey(t.Context(), "one", contextA)
	wantCode(t, err, kms.InvalidState)
	if err := node(t, store, c, "x").Rotate(t.Context(), "one"); kms.CodeOf(err) != kms.InvalidState {
		t.Errorf("a damaged record was changed: %v", err)
	}
}

func TestRecordHasOneEncoding(t *testing.T) {
	store := newMemory()
	k := node(t, store, newClock(), "a")
	ok(t, k.Create(t.Context(), "one"))
	ok(t, k.Rotate(t.Context(), "one"))
	good := store.get("one")
	if again, err := kms.Reencode(good); err != nil || !bytes.Equal(again, good) {
		t.Fatal(err)
	}
	for n := range good { // the count, the numbers and the lengths leave no room
		for _, x := range []byte{1, 0xff} {
			f := bytes.Clone(good)
			f[n] ^= x
			if again, err := kms.Reencode(f); err == nil && !bytes.Equal(again, f) {
				t.Errorf("byte %d: another encoding", n)
			}
		}
	}
	last := good[len(good)-92:]
	more := append(bytes.Clone(good), last...)
	more[len(good)+3]++
	if _, err := kms.Reencode(more); err == nil {
		t.Error("more versions than the count says")
	}
}

func TestAnotherClusterSecretOpensNothing(t *testing.T) {
	store, c := newMemory(), newClock()
	ok(t, node(t, store, c, "a").Create(t.Context(), "one"))
	k, err := kms.NewBuiltin(kms.Config{Secret: clusterSecret(t, "other"), Store: store, Rand: newDice("x"), Now: c.Now})
	ok(t, err)
	_, err = k.GenerateDataKey(t.Context(), "one", contextA)
	wantCode(t, err, kms.InvalidState)
	if !strings.Contains(err.Error(), "another cluster secret?") {
		t.Error(err)
	}
}

func TestStoreThatDoesNotAnswerStopsTheKMSAfterAWhile(t *testing.T) {
	store, c := newMemory(), newClock()
	k := node(t, store, c, "a")
	ok(t, k.Create(t.Context(), "one"))
	d := generate(t, k, "one", contextA)
	store.breaks(errors.New("no quorum"))
	c.pass(4 * time.Minute)
	if _, err := k.Decrypt(t.Context(), "one", d.Blob, contextA); err != nil {
		t.Fatalf("soon after: %v", err)
	}
	c.pass(2 * time.Minute)
	_, err := k.Decrypt(t.Context(), "one", d.Blob, contextA)
	wantCode(t, err, kms.Unavailable)
	if !kind.Is(err, kind.Unavailable) {
		t.Error(err)
	}
	_, err = node(t, store, c, "b").GenerateDataKey(t.Context(), "one", contextA)
	wantCode(t, err, kms.Unavailable)
	store.breaks(nil)
	if _, err := k.Decrypt(t.Context(), "one", d.Blob, contextA); err != nil {
		t.Errorf("when it is back: %v", err)
	}
}

func TestNamesThatClientsMakeUpDoNotReachTheStoreEachTime(t *testing.T) {
	store, c := newMemory(), newClock()
	k := node(t, store, c, "a")
	ok(t, k.Create(t.Context(), "one"))
	generate(t, k, "one", contextA)
	before := store.loaded()
	for n := range 1000 {
		_, err := k.GenerateDataKey(t.Context(), fmt.Sprintf("made-up-%d", n), contextA)
		wantCode(t, err, kms.NotFound)
		c.pass(time.Millisecond)
	}
	if n := store.loaded() - before; n < 1 || n > 5 {
		t.Errorf("%d loads in a second", n)
	}
	other := node(t, store, c, "b")
	ok(t, other.Create(t.Context(), "two"))
	c.pass(300 * time.Millisecond)
	generate(t, k, "two", contextA) // made elsewhere just now
}

func TestUseWhileKeysRotateAndAreReadAnew(t *testing.T) {
	store, c := newMemory(), newClock()
	k, admin := node(t, store, c, "a"), node(t, store, c, "b")
	ok(t, k.Create(t.Context(), "one"))
	d := generate(t, k, "one", contextA)
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for range 100 {
				if got, err := k.Decrypt(t.Context(), "one", d.Blob, contextA); err != nil || !same(t, got, d.Key) {
					t.Error(err)
					return
				}
				if _, err := k.GenerateDataKey(t.Context(), "one", contextA); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 20 {
		ok(t, admin.Rotate(t.Context(), "one"))
		c.pass(6 * time.Second)
	}
	wait.Wait()
}

func TestBoundsOfKeysAndVersionsHold(t *testing.T) {
	store, c := newMemory(), newClock()
	k := node(t, store, c, "a")
	ok(t, k.Create(t.Context(), "one"))
	for range kms.MaxVersions - 1 {
		ok(t, k.Rotate(t.Context(), "one"))
	}
	if err := k.Rotate(t.Context(), "one"); !kind.Is(err, kind.InvalidArgument) {
		t.Errorf("one version too many: %v", err)
	}
	generate(t, k, "one", contextA)
	for n := range kms.MaxKeys - 1 {
		store.put(fmt.Sprintf("k%d", n), []byte(fmt.Sprintf("\x01\x01\x05k%04d", n)))
	}
	if err := k.Create(t.Context(), "more"); !kind.Is(err, kind.InvalidArgument) {
		t.Errorf("one key too many: %v", err)
	}
}

// source is a random source that does not print what it will give.
type source func([]byte) (int, error)

func (s source) Read(p []byte) (int, error) { return s(p) }

func TestNothingOfAKeyIsPrinted(t *testing.T) {
	store, c := newMemory(), newClock()
	canary := "canary-canary-canary-canary-0123"
	k, err := kms.NewBuiltin(kms.Config{Secret: clusterSecret(t, "cluster"), Store: store, Rand: source(strings.NewReader(strings.Repeat(canary, 100)).Read), Now: c.Now})
	ok(t, err)
	ok(t, k.Create(t.Context(), "one")) // its bytes are the canary: the first that were drawn
	d := generate(t, k, "one", contextA)
	list, _ := k.List(t.Context())
	buckets, err := kms.NewBucketKeys(kms.BucketConfig{Now: c.Now})
	ok(t, err)
	kept, err := buckets.ForWrite(t.Context(), k, "one", contextA)
	ok(t, err)
	mux := kms.Mux{New: k, Open: map[byte]kms.KMS{1: k}}
	_, failed := k.Decrypt(t.Context(), "one", d.Blob, nil)
	var shown []string
	for _, v := range []any{k, d, &d, kept, list, mux, &mux, buckets, failed, kms.Envelopes{S3: k, KMS: mux, Buckets: buckets}} {
		for _, flags := range []string{"", "+", "#", " ", "0", "+#"} {
			for _, verb := range "vTtbcdoOqxXUeEfFgGsp" {
				shown = append(shown, fmt.Sprintf("%"+flags+string(verb), v))
			}
		}
		if b, err := json.Marshal(v); err == nil {
			shown = append(shown, string(b))
		}
	}
	shown = append(shown, string(store.get("one")), string(d.Blob))
	part := []byte(canary[8:13])
	for _, format := range []string{"%s", "%x", "%X", "% x", "%v", "%#v", "%b", "%o", "%d", "%U", "%c", "%q", "% X", "%#x"} {
		tell := strings.Trim(fmt.Sprintf(format, part), `[]{}"`)
		if at := slices.IndexFunc(shown, func(s string) bool { return strings.Contains(s, tell) }); at >= 0 {
			t.Fatalf("a key shows as %q in %q", tell, shown[at])
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	good := kms.Config{Secret: clusterSecret(t, "x"), Store: newMemory(), Rand: newDice("x"), Now: time.Now}
	for what, edit := range map[string]func(*kms.Config){
		"secret": func(c *kms.Config) { c.Secret = kms.Config{}.Secret },
		"store":  func(c *kms.Config) { c.Store = nil },
		"rand":   func(c *kms.Config) { c.Rand = nil },
		"clock":  func(c *kms.Config) { c.Now = nil },
	} {
		c := good
		edit(&c)
		if _, err := kms.NewBuiltin(c); err == nil {
			t.Errorf("no %s, no error", what)
		}
	}
	if _, err := kms.NewBucketKeys(kms.BucketConfig{}); err == nil {
		t.Error("no clock, no error")
	}
}
