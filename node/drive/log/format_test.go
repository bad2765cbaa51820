package log

import (
	"encoding/hex"
	"testing"

	"holdfast/internal/vfs"
)

// TestFormatIsWhatItWas holds the bytes of a small log against those of version 1.
func TestFormatIsWhatItWas(t *testing.T) {
	m := vfs.NewMem()
	l, _ := open(t, memConfig(m), Pos{})
	put(t, l, 7, []byte("hello, "), []byte("log"))
	put(t, l, 255)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	b := contents(t, m)["000001.log"]
	if got := hex.EncodeToString(b[:200]); got != vectorV1 {
		t.Errorf("the format changed; it is now\n%s", got)
	}
	for i, c := range b[200:] {
		if c != 0 {
			t.Fatalf("byte %d is not zero", 200+i)
		}
	}
}

const vectorV1 = "48464c310001000018000000000000000e38cc89a4e6e01500000000000000003a31d4058a490280" +
	"010000000000000000000000000000000000000000000000" +
	"48464c31070000000a0000000000000080c0862209ac0a943a31d4058a4902807fcdc0b4ade0adb1" +
	"68656c6c6f2c206c6f67000000000000" +
	"48464c31ff0000000000000078000000c294d3380580062d7fcdc0b4ade0adb101e9234f71a37e17" +
	"48464c310003000000000000a0000000c294d3380580062d01e9234f71a37e17114f837e4b02e02a"

func FuzzDecode(f *testing.F) {
	_, files := sample(f, sampleSizes...)
	for _, b := range files {
		f.Add(b, uint64(1))
		f.Add(b[200:], uint64(2))
	}
	f.Fuzz(func(t *testing.T, b []byte, segment uint64) {
		if h, err := decode(b, 1, Pos{segment, 0}); err == nil && h.length > MaxPayload {
			t.Error("a length over the limit")
		}
		cfg := memConfig(restore(t, map[string][]byte{"000001.log": b}))
		l, got, err := tryOpen(cfg, Pos{})
		if err != nil {
			return
		}
		p := put(t, l, 1, []byte("next"))
		l.Close()
		l, again := open(t, cfg, Pos{})
		defer l.Close()
		same(t, again, append(got, rec{p, 1, []byte("next")}))
	})
}
