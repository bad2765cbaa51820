package id

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestTextAndBytesLeadBack(t *testing.T) {
	d, err := Random[Drive](rand.Reader)
	if err != nil || d.IsZero() {
		t.Fatal(d, err)
	}
	if back, err := Parse[Drive](d.String()); err != nil || back != d {
		t.Errorf("%s: %v, %v", d, back, err)
	}
	if back, err := FromBytes[Drive](d[:]); err != nil || back != d {
		t.Errorf("%s: %v, %v", d, back, err)
	}
	if len(d.String()) != 2*Size || strings.ToLower(d.String()) != d.String() || fmt.Sprint(d) != d.String() {
		t.Errorf("text %s", d)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "drive", d)
	if !strings.Contains(log.String(), "drive="+d.String()) {
		t.Errorf("in a log: %s", log.String())
	}
}

func TestWhatIsNoIdentifierIsRefused(t *testing.T) {
	for _, text := range []string{"", "00", strings.Repeat("g", 2*Size), strings.Repeat("0", 2*Size+1), strings.Repeat("0", 2*Size-2)} {
		if v, err := Parse[Version](text); !errors.Is(err, ErrInvalid) || !v.IsZero() {
			t.Errorf("%q: %s, %v", text, v, err)
		}
	}
	for _, n := range []int{0, Size - 1, Size + 1} {
		if _, err := FromBytes[Bucket](make([]byte, n)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func TestDataSaysItsGroup(t *testing.T) {
	a, err := NewData(0xA1B2C3D4, rand.Reader)
	if err != nil || a.Group() != 0xA1B2C3D4 || !strings.HasPrefix(a.String(), "a1b2c3d4") {
		t.Fatal(a, err)
	}
	if b, _ := NewData(0xA1B2C3D4, rand.Reader); a == b {
		t.Error("two are the same")
	}
	if _, err := NewData(1, bytes.NewReader(make([]byte, Size-1))); err == nil {
		t.Error("too little randomness is enough")
	}
}
