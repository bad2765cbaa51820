package seal_test

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	"holdfast/internal/kind"
	"holdfast/seal"
)

func TestWrappedDataKeyOpensForItsPartAndStreamOnly(t *testing.T) {
	o, stream := objectKey(t, "o"), roll16("s")
	d, wrapped, err := o.NewDataKey(7, stream, newDice("d"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := o.OpenDataKey(wrapped, 7, stream)
	if err != nil || !bytes.Equal(seal.BytesOf(got), seal.BytesOf(d)) {
		t.Fatalf("open: %v", err)
	}
	_, err = o.OpenDataKey(wrapped, 8, stream)
	wantKind(t, err, kind.Damaged)
	_, err = o.OpenDataKey(wrapped, 7, roll16("other"))
	wantKind(t, err, kind.Damaged)
	_, err = objectKey(t, "other").OpenDataKey(wrapped, 7, stream)
	wantKind(t, err, kind.Damaged)
	for n := range wrapped {
		for bit := range 8 {
			bad := bytes.Clone(wrapped)
			bad[n] ^= 1 << bit
			_, err := o.OpenDataKey(bad, 7, stream)
			if n == 0 && !errors.Is(err, seal.ErrFormat) {
				t.Fatalf("version: %v", err)
			} else if n > 0 {
				wantKind(t, err, kind.Damaged)
			}
		}
	}
	for _, bad := range [][]byte{nil, wrapped[:1], wrapped[:60], append(bytes.Clone(wrapped), 0)} {
		_, err := o.OpenDataKey(bad, 7, stream)
		wantKind(t, err, kind.Damaged)
	}
}

func TestDataKeySealsOneStreamOnce(t *testing.T) {
	o, stream := objectKey(t, "o"), roll16("s")
	make1 := func() *seal.DataKey {
		d, _, err := o.NewDataKey(1, stream, newDice("d"))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	read := func(d *seal.DataKey, stream [16]byte) error {
		_, err := io.ReadAll(seal.NewSealReader(d, stream, bytes.NewReader([]byte("x")), 1))
		return err
	}
	bytes1 := func(d *seal.DataKey, stream [16]byte) error {
		return second(seal.SealBytes(d, stream, []byte("y")))
	}
	for name, first := range map[string]func(*seal.DataKey, [16]byte) error{"reader": read, "bytes": bytes1} {
		d := make1()
		if err := first(d, stream); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := read(d, stream); !errors.Is(err, seal.ErrSpent) {
			t.Errorf("%s, then reader: %v", name, err)
		}
		if err := bytes1(d, stream); !errors.Is(err, seal.ErrSpent) {
			t.Errorf("%s, then bytes: %v", name, err)
		}
	}
	if err := read(make1(), roll16("other")); !errors.Is(err, seal.ErrSpent) {
		t.Errorf("another stream: %v", err)
	}
	_, wrapped, _ := o.NewDataKey(1, stream, newDice("d"))
	opened, err := o.OpenDataKey(wrapped, 1, stream)
	if err != nil {
		t.Fatal(err)
	}
	if err := read(opened, stream); !errors.Is(err, seal.ErrSpent) {
		t.Errorf("an opened key seals: %v", err)
	}
	d, won := make1(), atomic.Int32{}
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			if bytes1(d, stream) == nil {
				won.Add(1)
			}
		})
	}
	wait.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of eight concurrent sealers got through", won.Load())
	}
}

// A part uploaded twice, with other bytes: nothing of the second attempt's ciphertext may relate to
// the first's, as it does when a server derives a part's key from its number.
func TestPartUploadedTwiceHasTwoKeys(t *testing.T) {
	o, rand := objectKey(t, "o"), newDice("d")
	plain := [2][]byte{roll("first", 1000), roll("second", 1000)}
	for name, streams := range map[string][2][16]byte{
		"streams of their own": {roll16("s1"), roll16("s2")},
		"one stream":           {roll16("s1"), roll16("s1")}, // the caller's slip: the draw still differs
	} {
		var text [2][]byte
		for n := range plain {
			d, _, err := o.NewDataKey(3, streams[n], rand)
			if err != nil {
				t.Fatal(err)
			}
			if text[n], err = seal.SealBytes(d, streams[n], plain[n]); err != nil {
				t.Fatal(err)
			}
		}
		assertNoPad(t, name, plain, text)
	}
}

// assertNoPad fails if two ciphertexts were made with one key stream.
func assertNoPad(t *testing.T, name string, plain, text [2][]byte) {
	t.Helper()
	same := 0
	for n := range plain[0] {
		if text[0][n]^text[1][n] == plain[0][n]^plain[1][n] {
			same++
		}
	}
	if same > len(plain[0])/16 {
		t.Errorf("%s: %d of %d bytes under one key stream", name, same, len(plain[0]))
	}
}

func TestSmallOpensUnderItsKeyAndLabelOnly(t *testing.T) {
	o := objectKey(t, "o")
	d := seal.DataKeyOf(roll("d", 32), roll16("s"))
	type small interface {
		SealSmall(string, []byte, io.Reader) ([]byte, error)
		OpenSmall(string, []byte) ([]byte, error)
	}
	for name, k := range map[string]small{"object": o, "data": d} {
		for _, plain := range [][]byte{{}, []byte("x"), roll("p", 32), roll("p", seal.MaxSmall)} {
			sealed, err := k.SealSmall("crc", plain, newDice("r"))
			if err != nil || len(sealed) != len(plain)+29 {
				t.Fatalf("%s: %d bytes, %v", name, len(sealed), err)
			}
			if got, err := k.OpenSmall("crc", sealed); err != nil || !bytes.Equal(got, plain) {
				t.Fatalf("%s: %v", name, err)
			}
			_, err = k.OpenSmall("cr", sealed)
			wantKind(t, err, kind.Damaged)
			_, err = objectKey(t, "x").OpenSmall("crc", sealed)
			wantKind(t, err, kind.Damaged)
			for n := 1; n < len(sealed) && n < 100; n++ {
				bad := bytes.Clone(sealed)
				bad[n] ^= 0x80
				_, err = k.OpenSmall("crc", bad)
				wantKind(t, err, kind.Damaged)
			}
			for n := range min(len(sealed), 100) {
				if got, err := k.OpenSmall("crc", sealed[:n]); err == nil {
					t.Fatalf("%s: %d bytes open to %d", name, n, len(got))
				}
			}
		}
		if _, err := k.SealSmall("crc", make([]byte, seal.MaxSmall+1), newDice("r")); err == nil {
			t.Error("too long a value was sealed")
		}
		if _, err := k.OpenSmall("crc", append([]byte{2}, make([]byte, 40)...)); !errors.Is(err, seal.ErrFormat) {
			t.Errorf("format 2: %v", err)
		}
	}
}
