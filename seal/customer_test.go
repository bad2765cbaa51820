package seal_test

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"

	"holdfast/internal/kind"
	"holdfast/seal"
)

func TestParseCustomerChecksInTheOrderAndWordsOfAWS(t *testing.T) {
	key := base64.StdEncoding.EncodeToString(roll("customer", 32))
	sum := md5.Sum(roll("customer", 32))
	good := base64.StdEncoding.EncodeToString(sum[:])
	other := base64.StdEncoding.EncodeToString(make([]byte, 16))
	short := base64.StdEncoding.EncodeToString(make([]byte, 31))
	long := base64.StdEncoding.EncodeToString(make([]byte, 33))
	const must = "Requests specifying Server Side Encryption with Customer provided keys must provide "
	for _, c := range []struct {
		algorithm, key, md5 string
		kind                kind.Kind
		message             string
	}{
		{"", "", "", kind.SSECAlgorithmMissing, must + "a valid encryption algorithm."},
		{"", key, good, kind.SSECAlgorithmMissing, must + "a valid encryption algorithm."},
		{"aes256", key, good, kind.SSECAlgorithm, "The Encryption request you specified is not valid. Supported value: AES256."},
		{"AES128", "", "", kind.SSECAlgorithm, "The Encryption request you specified is not valid. Supported value: AES256."},
		{"AES256", "", "", kind.SSECKeyMissing, must + "an appropriate secret key."},
		{"AES256", "", good, kind.SSECKeyMissing, must + "an appropriate secret key."},
		{"AES256", key, "", kind.SSECMD5Missing, must + "the client calculated MD5 of the secret key."},
		{"AES256", "rubbish!", "", kind.SSECMD5Missing, must + "the client calculated MD5 of the secret key."},
		{"AES256", "rubbish!", other, kind.SSECKeyInvalid, "The secret key was invalid for the specified algorithm."},
		{"AES256", short, other, kind.SSECKeyInvalid, "The secret key was invalid for the specified algorithm."},
		{"AES256", long, other, kind.SSECKeyInvalid, "The secret key was invalid for the specified algorithm."},
		{"AES256", strings.Repeat("=", 44), other, kind.SSECKeyInvalid, "The secret key was invalid for the specified algorithm."},
		{"AES256", key[:43] + "\n", good, kind.SSECKeyInvalid, "The secret key was invalid for the specified algorithm."},
		{"AES256", key[:20] + "\r\n" + key[22:], good, kind.SSECKeyInvalid, "The secret key was invalid for the specified algorithm."},
		{"AES256", key[:42] + string(key[42]+1) + "=", good, kind.SSECKeyInvalid, "The secret key was invalid for the specified algorithm."}, // stray bits
		{"AES256", key, other, kind.SSECMD5Mismatch, "The calculated MD5 hash of the key did not match the hash that was provided."},
		{"AES256", key, "rubbish", kind.SSECMD5Mismatch, "The calculated MD5 hash of the key did not match the hash that was provided."},
		{"AES256", key, hex.EncodeToString(sum[:]), kind.SSECMD5Mismatch, "The calculated MD5 hash of the key did not match the hash that was provided."},
	} {
		k, err := seal.ParseCustomer(c.algorithm, c.key, c.md5)
		var e *kind.Error
		if k != nil || !errors.As(err, &e) || e.Kind != c.kind || e.Message != c.message || err.Error() != c.message {
			t.Errorf("%q %q %q: %v, want kind %d %q", c.algorithm, c.key, c.md5, err, c.kind, c.message)
		}
	}
	k, err := seal.ParseCustomer("AES256", key, good)
	if err != nil || k.MD5() != good || !bytes.Equal(seal.BytesOf(k), roll("customer", 32)) {
		t.Fatalf("a good key: %v", err)
	}
}

func TestZeroClearsTheKeyForAllItsCopies(t *testing.T) {
	c := customer(t, roll("customer", 32))
	twin := *c
	env, err := objectKey(t, "o").Wrap(c, place("a"), newDice("wrap"))
	if err != nil {
		t.Fatal(err)
	}
	c.Zero()
	c.Zero()
	if !bytes.Equal(seal.BytesOf(&twin), make([]byte, 32)) || twin.MD5() != "" || c.MD5() != "" {
		t.Fatal("key or hash still there")
	}
	if _, err := seal.Unwrap(env, &twin, place("a")); !errors.Is(err, seal.ErrZeroed) {
		t.Fatalf("unwrap with a zeroed key: %v", err)
	}
	if _, err := objectKey(t, "o").Wrap(c, place("a"), newDice("wrap")); !errors.Is(err, seal.ErrZeroed) {
		t.Fatalf("wrap under a zeroed key: %v", err)
	}
	var none *seal.CustomerKey
	none.Zero()
	if _, err := seal.Unwrap(env, none, place("a")); !errors.Is(err, seal.ErrZeroed) || none.MD5() != "" {
		t.Fatalf("no key: %v", err)
	}
	if _, err := seal.Unwrap(env, &seal.CustomerKey{}, place("a")); !errors.Is(err, seal.ErrZeroed) {
		t.Fatalf("empty key: %v", err)
	}
}

func TestObjectAndDataKeysCanBeZeroed(t *testing.T) {
	o := objectKey(t, "o")
	stream := roll16("s")
	d, wrapped, err := o.NewDataKey(1, stream, newDice("d"))
	if err != nil {
		t.Fatal(err)
	}
	o.Zero()
	d.Zero()
	if !bytes.Equal(seal.BytesOf(o), make([]byte, 32)) || !bytes.Equal(seal.BytesOf(d), make([]byte, 32)) {
		t.Fatal("bytes still there")
	}
	for what, err := range map[string]error{
		"Wrap":       second(o.Wrap(customer(t, roll("c", 32)), place("a"), newDice("w"))),
		"OpenData":   second(o.OpenDataKey(wrapped, 1, stream)),
		"SealSmall":  second(d.SealSmall("x", nil, newDice("x"))),
		"OpenSmall":  second(o.OpenSmall("x", make([]byte, 40))),
		"SealBytes":  second(seal.SealBytes(d, stream, nil)),
		"OpenBytes":  second(seal.OpenBytes(d, stream, make([]byte, 16))),
		"SealReader": second(seal.NewSealReader(d, stream, strings.NewReader(""), 0).Read(make([]byte, 16))),
		"Opener":     seal.NewOpener(d, stream, 0, 0, 0, nil).Write(make([]byte, 16)),
		"nil object": second((*seal.ObjectKey)(nil).OpenSmall("x", nil)),
		"nil data":   second((*seal.DataKey)(nil).OpenSmall("x", nil)),
	} {
		if !errors.Is(err, seal.ErrZeroed) {
			t.Errorf("%s with a zeroed key: %v", what, err)
		}
	}
	(*seal.ObjectKey)(nil).Zero()
	(*seal.DataKey)(nil).Zero()
	(&seal.DataKey{}).Zero()
}

func second[T any](_ T, err error) error { return err }

// TestNoVerbOrEncoderShowsAKey prints keys in every way we know of, alone and inside other values,
// and looks for the bytes in each notation.
func TestNoVerbOrEncoderShowsAKey(t *testing.T) {
	raw := []byte("canary-canary-canary-canary-0123") // printable, so %s and %q would show it
	c := customer(t, raw)
	o := seal.ObjectKeyOf(raw)
	d := seal.DataKeyOf(raw, roll16("s"))
	type private struct {
		c  seal.CustomerKey
		cp *seal.CustomerKey
		o  seal.ObjectKey
		d  seal.DataKey
		s  []*seal.CustomerKey
		m  map[string]seal.ObjectKey
		a  any
	}
	type public struct {
		C  seal.CustomerKey
		CP *seal.CustomerKey
		O  *seal.ObjectKey
		D  *seal.DataKey
	}
	in := private{*c, c, *o, *d, []*seal.CustomerKey{c}, map[string]seal.ObjectKey{"k": *o}, *d}
	pub := public{*c, c, o, d}
	var shown []string
	say := func(format string, args ...any) { shown = append(shown, fmt.Sprintf(format, args...)) }
	values := []any{c, *c, o, *o, d, *d, in, &in, pub, &pub, []any{c, *o}, map[string]any{"k": *d}, []seal.CustomerKey{*c}}
	for _, flags := range []string{"", "+", "#", " ", "-", "0", "8.3", "+#"} {
		for _, verb := range "vTtbcdoOqxXUeEfFgGspw" {
			for _, v := range values {
				say("%"+flags+string(verb), v)
			}
		}
	}
	for _, v := range values {
		say("%s", fmt.Sprint(v))
		say("%s", fmt.Errorf("wrapped: %v", v))
		if b, err := json.Marshal(v); err == nil {
			say("%s", b)
		}
		if b, err := xml.Marshal(v); err == nil {
			say("%s", b)
		}
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("key", "k", v, slog.Any("again", v), slog.Group("g", "k", v))
		slog.New(slog.NewJSONHandler(&log, nil)).Info("key", "k", v, slog.Any("again", v), slog.Group("g", "k", v))
		say("%s", log.String())
		func() {
			defer func() { say("%v", recover()) }()
			panic(v)
		}()
		func() {
			defer func() { say("%v", recover()) }()
			panic(fmt.Sprint(v))
		}()
	}
	say("%s %s %s", c.String(), o.GoString(), d.LogValue())
	assertHidden(t, shown, raw)
	if fmt.Sprint(c) != seal.Redacted || fmt.Sprintf("%#v", *o) != seal.Redacted || fmt.Sprintf("%x", d) != seal.Redacted {
		t.Errorf("keys print as %v %#v %x", c, *o, d)
	}
	if b, _ := json.Marshal(pub); string(b) != `{"C":"REDACTED","CP":"REDACTED","O":"REDACTED","D":"REDACTED"}` {
		t.Errorf("JSON %s", b)
	}
}

// assertHidden looks for five or more successive bytes of the key in each notation that fmt has.
func assertHidden(t *testing.T, shown []string, raw []byte) {
	t.Helper()
	part := raw[8:13]
	var tells []string
	for _, format := range []string{"%s", "%x", "%X", "% x", "%v", "%#v", "%b", "%o", "%d", "%U", "%c", "%q", "% X", "%#x"} {
		tells = append(tells, strings.Trim(fmt.Sprintf(format, part), `[]{}"`))
	}
	tells = append(tells, "0x63, 0x61", base64.StdEncoding.EncodeToString(raw)[4:16])
	for _, text := range shown {
		for _, tell := range tells {
			if strings.Contains(text, tell) {
				t.Fatalf("a key shows as %q in %q", tell, text)
			}
		}
	}
}

// TestCrashShowsNoKey crashes a process that holds keys, and reads its traceback.
func TestCrashShowsNoKey(t *testing.T) {
	raw := []byte("canary-canary-canary-canary-0123")
	switch os.Getenv("SEAL_TEST_CRASH") {
	case "pointer":
		crash(customer(t, raw), *seal.ObjectKeyOf(raw))
	case "value":
		panic(*customer(t, raw))
	case "key":
		panic(customer(t, raw))
	}
	for _, how := range []string{"pointer", "value", "key"} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestCrashShowsNoKey$")
		cmd.Env = append(os.Environ(), "SEAL_TEST_CRASH="+how, "GOTRACEBACK=system")
		out, err := cmd.CombinedOutput()
		if err == nil || !bytes.Contains(out, []byte("goroutine ")) {
			t.Fatalf("%s: no crash: %v", how, err)
		}
		shown := []string{string(out)}
		assertHidden(t, shown, raw)
		for n := 0; n+8 <= len(raw); n++ { // words of a traceback, in either order of bytes
			for _, word := range []uint64{binary.LittleEndian.Uint64(raw[n:]), binary.BigEndian.Uint64(raw[n:])} {
				if strings.Contains(string(out), fmt.Sprintf("%x", word)) {
					t.Fatalf("%s: the traceback has bytes of the key:\n%s", how, out)
				}
			}
		}
	}
}

//go:noinline
func crash(c *seal.CustomerKey, o seal.ObjectKey) {
	if c.MD5() != "" {
		panic(fmt.Sprint("crash with ", c, o))
	}
}
