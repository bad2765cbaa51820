package seal_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/seal"
)

// The vectors of testdata, described in testdata/README.md. `go test ./seal -update` writes them
// anew; that they change means that the format changed.
var update = flag.Bool("update", false, "write testdata anew")

// hexed is bytes which JSON holds as hexadecimal digits.
type hexed []byte

func (h hexed) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

func (h *hexed) UnmarshalText(b []byte) (err error) {
	*h, err = hex.DecodeString(string(b))
	return err
}

type envelopeVector struct {
	Name        string `json:"name"`
	CustomerKey hexed  `json:"customer_key"`
	Bucket      hexed  `json:"bucket"`
	Key         string `json:"key"`
	Version     hexed  `json:"version"`
	Format      uint32 `json:"format"`
	Salt        hexed  `json:"salt"`
	WrappedKey  hexed  `json:"wrapped_key"`
	Commitment  hexed  `json:"commitment"`
	ObjectKey   hexed  `json:"object_key,omitempty"`
	Error       string `json:"error,omitempty"`
}

type dataKeyVector struct {
	Name      string `json:"name"`
	ObjectKey hexed  `json:"object_key"`
	Part      uint32 `json:"part"`
	Stream    hexed  `json:"stream"`
	Wrapped   hexed  `json:"wrapped"`
	DataKey   hexed  `json:"data_key,omitempty"`
	Error     string `json:"error,omitempty"`
}

type smallVector struct {
	Name   string `json:"name"`
	Key    hexed  `json:"key"`
	Label  string `json:"label"`
	Sealed hexed  `json:"sealed"`
	Plain  hexed  `json:"plaintext"`
	Error  string `json:"error,omitempty"`
}

type piece struct {
	File string `json:"file,omitempty"`
	Off  int    `json:"off,omitempty"`
	Len  int    `json:"len,omitempty"`
	Hex  hexed  `json:"hex,omitempty"`
}

type streamVector struct {
	Name    string  `json:"name"`
	DataKey hexed   `json:"data_key"`
	Stream  hexed   `json:"stream"`
	Size    int64   `json:"size"`             // plaintext bytes by the metadata
	Text    []piece `json:"ciphertext"`       // joined
	Flip    []int   `json:"flip,omitempty"`   // then the lowest bit of these bytes is inverted
	SHA256  hexed   `json:"sha256,omitempty"` // of the plaintext
	Error   string  `json:"error,omitempty"`
}

func load[T any](t *testing.T, name string) (vectors []T) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&vectors); err != nil || len(vectors) == 0 {
		t.Fatalf("%s: %d vectors, %v", name, len(vectors), err)
	}
	return vectors
}

// judge compares what seal and the independent reader made of a vector with what it says.
func judge(t *testing.T, name, want string, plain, got []byte, err error, ind []byte, indErr error) {
	t.Helper()
	says := ""
	switch {
	case errors.Is(err, seal.ErrFormat):
		says = "format"
	case kind.Is(err, kind.SSECWrongKey):
		says = "wrong key"
	case kind.Is(err, kind.Damaged):
		says = "damaged"
	case err != nil:
		says = err.Error()
	}
	if says != want || want == "" && !bytes.Equal(got, plain) {
		t.Errorf("%s: %q, want %q; bytes equal: %v", name, says, want, bytes.Equal(got, plain))
	}
	if (indErr == nil) != (want == "") || indErr == nil && !bytes.Equal(ind, plain) {
		t.Errorf("%s: independent reader: %v, want %q", name, indErr, want)
	}
}

func TestVectorsOfEnvelopes(t *testing.T) {
	for _, v := range load[envelopeVector](t, "envelope.json") {
		b := seal.Binding{Bucket: id.Bucket(v.Bucket), Key: v.Key, Version: id.Version(v.Version)}
		e := seal.Envelope{Version: v.Format, Salt: v.Salt, WrappedKey: v.WrappedKey, Commitment: v.Commitment}
		k, err := seal.Unwrap(e, customer(t, v.CustomerKey), b)
		var got []byte
		if err == nil {
			got = seal.BytesOf(k)
		}
		ind, indErr := indEnvelope(v.CustomerKey, v.Salt, v.WrappedKey, v.Commitment, string(v.Bucket), v.Key, string(v.Version))
		if v.Format != 1 {
			indErr = errIndependent // it knows version 1 only
		}
		judge(t, v.Name, v.Error, v.ObjectKey, got, err, ind, indErr)
	}
}

func TestVectorsOfDataKeys(t *testing.T) {
	for _, v := range load[dataKeyVector](t, "datakey.json") {
		k, err := seal.ObjectKeyOf(v.ObjectKey).OpenDataKey(v.Wrapped, v.Part, [16]byte(v.Stream))
		var got []byte
		if err == nil {
			got = seal.BytesOf(k)
		}
		ind, indErr := indDataKey(v.ObjectKey, v.Wrapped, v.Part, string(v.Stream))
		judge(t, v.Name, v.Error, v.DataKey, got, err, ind, indErr)
	}
}

func TestVectorsOfSmallValues(t *testing.T) {
	for _, v := range load[smallVector](t, "small.json") {
		got, err := seal.ObjectKeyOf(v.Key).OpenSmall(v.Label, v.Sealed)
		ind, indErr := indSmall(v.Key, v.Sealed, v.Label)
		judge(t, v.Name, v.Error, v.Plain, got, err, ind, indErr)
	}
}

func TestVectorsOfStreams(t *testing.T) {
	for _, v := range load[streamVector](t, "stream.json") {
		var text []byte
		for _, p := range v.Text {
			text = append(text, p.Hex...)
			if p.File != "" {
				b, err := os.ReadFile(filepath.Join("testdata", p.File))
				if err != nil {
					t.Fatal(err)
				}
				text = append(text, b[p.Off:p.Off+p.Len]...)
			}
		}
		for _, at := range v.Flip {
			text[at] ^= 1
		}
		k := seal.DataKeyOf(v.DataKey, [16]byte(v.Stream))
		got, err := open(k, [16]byte(v.Stream), text, v.Size, 0, v.Size, 100_000)
		ind, indErr := indStream(v.DataKey, text, string(v.Stream), int(v.Size))
		judge(t, v.Name, v.Error, v.SHA256, sum256(got), err, sum256(ind), indErr)
	}
}
