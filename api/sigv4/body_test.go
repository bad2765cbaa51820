package sigv4

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"holdfast/internal/kind"
)

const crc = "x-amz-checksum-crc32"

// upload is a PUT as a server sees it, with an aws-chunked body that a test may edit.
type upload struct {
	form string
	data []byte
	wire []byte
	req  *http.Request
}

func newUpload(t testing.TB, form string, data []byte, chunk int) *upload {
	u := &upload{form: form, data: data}
	r := request(t, "PUT", "https://h/b/k", "X-Amz-Decoded-Content-Length: "+itoa(len(data)), "Content-Encoding: aws-chunked")
	var trailers func() map[string]string
	if form != StreamingPayload {
		r.Header.Set("X-Amz-Trailer", crc)
		trailers = func() map[string]string { return map[string]string{crc: "AAAAAA=="} }
	}
	chain := Sign(r, docCreds, "", "", testTime, form)
	if form == StreamingUnsigned {
		chain = nil
	}
	var b bytes.Buffer
	w := NewChunkWriter(&b, chain, chunk, trailers)
	_, _ = w.Write(data)
	_ = w.Close()
	u.wire, u.req = b.Bytes(), r2(r)
	return u
}

// open verifies the request and gives the body's reader; src is what the network delivers.
func (u *upload) open(t testing.TB, src io.Reader) (io.Reader, func() map[string]string, error) {
	u.req.Body, u.req.ContentLength = io.NopCloser(src), -1
	v := verifierAt(testTime)
	id, p, err := v.Verify(u.req)
	if err != nil {
		t.Fatal(err)
	}
	return v.Body(u.req, id, p)
}

var forms3 = []string{StreamingPayload, StreamingTrailer, StreamingUnsigned}

func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n)}).Read(b)
	return b
}

// Every size around the edges, whatever the chunks, the caller's buffer and the network's pieces.
func TestChunkedBodyComesOutWhole(t *testing.T) {
	for _, form := range forms3 {
		for _, size := range []int{0, 1, 1023, 1024, 1025, 65535, 65536, 65537, 200_000} {
			for _, chunk := range []int{1000, 8192, 65536, 1 << 20} {
				u := newUpload(t, form, noise(size), chunk)
				var trailers map[string]int
				if form != StreamingPayload {
					trailers = map[string]int{crc: 8}
				}
				if n := ChunkedLen(int64(size), chunk, form != StreamingUnsigned, trailers); n != int64(len(u.wire)) {
					t.Fatalf("ChunkedLen %d, wire %d", n, len(u.wire))
				}
				for _, buf := range []int{100, 4096, 65536, 1 << 20} {
					for name, src := range map[string]io.Reader{
						"all": bytes.NewReader(u.wire), "halves": iotest.HalfReader(bytes.NewReader(u.wire)), "eof with data": iotest.DataErrReader(bytes.NewReader(u.wire)),
					} {
						body, tr, err := u.open(t, src)
						if err != nil {
							t.Fatal(err)
						}
						got, err := io.ReadAll(&smallReads{body, buf})
						if err != nil || !bytes.Equal(got, u.data) {
							t.Fatalf("%s, %d bytes in chunks of %d, %s, buffer %d: got %d: %v", form, size, chunk, name, buf, len(got), err)
						}
						if form != StreamingPayload && tr()[crc] != "AAAAAA==" {
							t.Fatalf("trailers %v", tr())
						}
					}
				}
			}
		}
	}
}

// smallReads reads at most n bytes at a time.
type smallReads struct {
	r io.Reader
	n int
}

func (s *smallReads) Read(p []byte) (int, error) { return s.r.Read(p[:min(len(p), s.n)]) }

// What a signed chunk of an SDK's size brings is handed on only after its signature was verified,
// and the last byte of a body only after everything was.
func TestAttackA3NothingUnauthenticatedIsHandedOn(t *testing.T) {
	data := noise(5*8192 + 100)
	for _, form := range []string{StreamingPayload, StreamingTrailer} {
		for _, buf := range []int{1, 777, 8192, 65536} {
			for chunk := range 6 {
				u := newUpload(t, form, data, 8192)
				at := 0
				for range chunk + 1 { // the header of chunk
					at += bytes.Index(u.wire[at:], []byte(";chunk-signature=")) + 1
				}
				at += bytes.IndexByte(u.wire[at:], '\n') + 1
				u.wire[at+50] ^= 1
				body, _, err := u.open(t, bytes.NewReader(u.wire))
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(&smallReads{body, buf})
				wantCode(t, err, "SignatureDoesNotMatch")
				if len(got) != chunk*8192 || !bytes.Equal(got, data[:len(got)]) {
					t.Fatalf("%s: %d bytes were handed on, %d were authentic", form, len(got), chunk*8192)
				}
			}
		}
	}
}

// A chunk that is too large to be held back is refused before its end.
func TestAttackA3HugeChunkEndsInTheErrorNotInItsLastByte(t *testing.T) {
	data := noise(3 * maxStaged)
	u := newUpload(t, StreamingPayload, data, len(data))
	u.wire[len(u.wire)/2] ^= 1
	for _, buf := range []int{1000, 65536, 4 * maxStaged} {
		body, _, err := u.open(t, bytes.NewReader(u.wire))
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{body}, make([]byte, buf))
		wantCode(t, err, "SignatureDoesNotMatch")
		if n >= int64(len(data)) {
			t.Fatalf("%d bytes of %d", n, len(data))
		}
		if n, again := body.Read(make([]byte, 10)); n != 0 || again != err { //nolint:errorlint // the very same
			t.Fatal("the error does not stay")
		}
	}
}

// A3: edits of the framing. Each is refused, before DecodedLength bytes were handed on.
func TestAttackA3BrokenFramingIsRefused(t *testing.T) {
	const incompleteBody, malformed, mismatch, trailer = "IncompleteBody", "InvalidRequest", "SignatureDoesNotMatch", "MalformedTrailerError"
	any3, signed, unsigned, trailing := forms3, forms3[:2], forms3[2:], forms3[1:]
	re := func(pattern, with string) func([]byte) []byte {
		x := regexp.MustCompile(pattern)
		return func(b []byte) []byte {
			at := x.FindSubmatchIndex(b)
			if at == nil {
				panic("nothing to edit by " + pattern)
			}
			return append(x.Expand(append([]byte{}, b[:at[0]]...), []byte(with), b, at), b[at[1]:]...)
		}
	}
	cut := func(n int) func([]byte) []byte { return func(b []byte) []byte { return b[:len(b)-n] } }
	for name, c := range map[string]struct {
		forms []string
		edit  func([]byte) []byte
		code  string
	}{
		"extra byte":                     {any3, func(b []byte) []byte { return append(b, 'x') }, incompleteBody},
		"extra line":                     {any3, func(b []byte) []byte { return append(b, "\r\n\r\n"...) }, incompleteBody},
		"another chunk":                  {any3, func(b []byte) []byte { return append(b, b...) }, incompleteBody + "|" + trailer},
		"last CRLF cut":                  {any3, cut(1), incompleteBody},
		"nothing":                        {any3, func([]byte) []byte { return nil }, incompleteBody},
		"cut in data":                    {any3, func(b []byte) []byte { return b[:3000] }, incompleteBody},
		"no last chunk":                  {any3, re(`\r\n0[;\r](?s:.*)`, ""), incompleteBody},
		"last chunk claims data":         {any3, re(`\r\n0([;\r])`, "\r\n1$1"), incompleteBody},
		"no last chunk but CRLF":         {any3, re(`\r\n0[;\r](?s:.*)`, "\r\n"), incompleteBody},
		"larger than declared":           {any3, re(`^400`, "401"), incompleteBody + "|" + malformed + "|" + mismatch},
		"4 GiB declared":                 {any3, re(`^400`, "ffffffff"), incompleteBody},
		"2^63 declared":                  {any3, re(`^400`, "8000000000000000"), malformed},
		"2^64 declared":                  {any3, re(`^400`, "10000000000000000"), malformed},
		"negative":                       {any3, re(`^400`, "-400"), malformed},
		"plus":                           {any3, re(`^400`, "+400"), malformed},
		"0x":                             {any3, re(`^400`, "0x400"), malformed},
		"space":                          {any3, re(`^400`, " 400"), malformed},
		"no size":                        {any3, re(`^400`, ""), malformed},
		"not hex":                        {any3, re(`^400`, "40g"), malformed},
		"empty chunk in front":           {signed, re(`^400`, "0"), incompleteBody},
		"LF alone after the header":      {any3, re(`^([^\r]*)\r\n`, "$1\n"), malformed},
		"no CRLF after data":             {unsigned, func(b []byte) []byte { return append(b[:5+1024:5+1024], b[5+1024+2:]...) }, malformed},
		"extension on an unsigned chunk": {unsigned, re(`^400`, "400;chunk-signature="+strings.Repeat("0", 64)), malformed},
		"no signature":                   {signed, re(`^400;[^\r]*`, "400"), malformed},
		"other extension":                {signed, re(`^400;chunk-signature`, "400;chunk-signaturf"), malformed},
		"second extension":               {signed, re(`^(400;[^\r]*)`, "$1;x=y"), malformed},
		"short signature":                {signed, re(`^(400;[^\r]*).\r`, "$1\r"), malformed},
		"signature of the next":          {signed, re(`chunk-signature=\w+((?s:.*?)400;)(chunk-signature=\w+)`, "$2$1$2"), mismatch},
		"last signature":                 {signed, re(`\r\n0;chunk-signature=.`, "\r\n0;chunk-signature=g"), mismatch},
		"endless header":                 {any3, re(`^400`, strings.Repeat("0", 2000)+"400"), malformed},
		"chunks swapped":                 {signed, swapChunks, mismatch},
		"a chunk twice":                  {signed, func(b []byte) []byte { n := chunkLen(b); return append(append([]byte{}, b[:n]...), b...) }, mismatch},
		"a chunk dropped":                {signed, func(b []byte) []byte { return b[chunkLen(b):] }, mismatch},
		"trailer missing":                {trailing, re(crc+`:[^\r]*\r\n`, ""), trailer},
		"trailer twice":                  {trailing, re(`(`+crc+`:[^\r]*\r\n)`, "$1$1"), trailer},
		"trailer undeclared":             {trailing, re(crc+`:`, crc+"c:"), trailer},
		"trailer more":                   {trailing, re(`(`+crc+`:)`, "x-amz-meta-a:1\r\n$1"), trailer},
		"trailer without value":          {trailing, re(crc+`:[^\r]*`, crc+":"), trailer},
		"trailer without colon":          {trailing, re(crc+`:[^\r]*`, crc), trailer},
		"trailer with spaces":            {trailing, re(crc+`:`, crc+" :"), trailer},
		"trailer folded":                 {trailing, re(crc+`:`, crc+":\r\n "), trailer},
		"trailer endless":                {trailing, re(crc+`:`, crc+":"+strings.Repeat("A", 5000)), malformed},
		"trailer changed":                {forms3[1:2], re(crc+`:A`, crc+":B"), mismatch},
		"trailer signature changed":      {forms3[1:2], re(`x-amz-trailer-signature:.`, "x-amz-trailer-signature:g"), mismatch},
		"trailer signature gone":         {forms3[1:2], re(`x-amz-trailer-signature:[^\r]*\r\n`, ""), incompleteBody},
		"trailer signature first":        {forms3[1:2], re(`(`+crc+`:[^\r]*\r\n)(x-amz-trailer-sig[^\r]*\r\n)`, "$2$1"), trailer},
		"trailer signature unasked":      {unsigned, re(`(`+crc+`:[^\r]*\r\n)`, "${1}x-amz-trailer-signature:"+strings.Repeat("0", 64)+"\r\n"), trailer},
		"trailer where none is declared": {forms3[:1], re(`\r\n$`, crc+":AAAAAA==\r\n\r\n"), malformed},
		"three blank lines":              {unsigned, re(`\r\n$`, "\r\n\r\n\r\n"), incompleteBody},
	} {
		for _, form := range c.forms {
			for _, buf := range []int{1, 1024, 65536} {
				u := newUpload(t, form, noise(4*1024+5), 1024)
				u.wire = c.edit(u.wire)
				body, _, err := u.open(t, bytes.NewReader(u.wire))
				var got []byte
				if err == nil {
					got, err = io.ReadAll(&smallReads{body, buf})
				}
				var e *Error
				if !errors.As(err, &e) || !strings.Contains(c.code, e.Code) || len(got) >= len(u.data) {
					t.Errorf("%s, %s: %d bytes and %v; want %s", name, form, len(got), err, c.code)
				}
				if form != StreamingUnsigned && !bytes.HasPrefix(u.data, got) {
					t.Errorf("%s, %s: unauthentic bytes were handed on", name, form)
				}
			}
		}
	}
}

// chunkLen is the length of the first chunk on the wire, with 1024 bytes of data.
func chunkLen(b []byte) int { return bytes.IndexByte(b, '\n') + 1 + 1024 + 2 }

func swapChunks(b []byte) []byte {
	n := chunkLen(b)
	return append(append(append([]byte{}, b[n:2*n]...), b[:n]...), b[2*n:]...)
}

// An empty body has its last chunk, too, and it is checked although nobody reads.
func TestEmptyChunkedBodyIsCheckedBeforeItIsRead(t *testing.T) {
	for _, form := range forms3 {
		u := newUpload(t, form, nil, 1024)
		if _, _, err := u.open(t, bytes.NewReader(u.wire)); err != nil {
			t.Fatal(err)
		}
		_, _, err := u.open(t, bytes.NewReader(append(u.wire, 'x')))
		wantCode(t, err, "IncompleteBody")
	}
	r := request(t, "PUT", "https://h/b/k")
	Sign(r, docCreds, "", "", testTime, hex.EncodeToString(make([]byte, 32)))
	_, _, err := readAll(verifierAt(testTime), onWire(t, r))
	wantCode(t, err, "XAmzContentSHA256Mismatch")
}

func TestWrongHashIsRefusedInsteadOfTheLastByte(t *testing.T) {
	data := noise(100_000)
	sum := sha256.Sum256(data)
	for _, flip := range []int{-1, 0, 50_000, 99_999} {
		sent := bytes.Clone(data)
		if flip >= 0 {
			sent[flip] ^= 0x80
		}
		r := request(t, "PUT", "https://h/b/k")
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(sent)), int64(len(sent))
		Sign(r, docCreds, "", "", testTime, hex.EncodeToString(sum[:]))
		got, _, err := readAll(verifierAt(testTime), onWire(t, r))
		if flip < 0 {
			if err != nil || !bytes.Equal(got, data) {
				t.Fatal(err)
			}
			continue
		}
		if wantCode(t, err, "XAmzContentSHA256Mismatch"); len(got) == len(data) {
			t.Fatal("all of a wrong body was handed on")
		}
	}
}

func TestShortAndBrokenBodiesSayWhy(t *testing.T) {
	broken := errors.New("connection reset by peer")
	own := kind.New(kind.Canceled, "the client went away")
	for _, form := range []string{UnsignedPayload, StreamingPayload, StreamingUnsigned} {
		for _, c := range []struct {
			end  error
			code string
		}{{io.EOF, "IncompleteBody"}, {io.ErrUnexpectedEOF, "IncompleteBody"}, {broken, "IncompleteBody"}, {os.ErrDeadlineExceeded, "RequestTimeout"}} {
			_, err := readBroken(t, form, c.end)
			wantCode(t, err, c.code)
			if c.end == broken && !errors.Is(err, broken) {
				t.Fatal("the cause is lost")
			}
		}
		if _, err := readBroken(t, form, own); !errors.Is(err, own) {
			t.Fatalf("the kind that the reader gave is lost: %v", err)
		}
	}
}

func readBroken(t *testing.T, form string, end error) ([]byte, error) {
	data := noise(50_000)
	src := func(b []byte) io.Reader { return io.MultiReader(bytes.NewReader(b[:30_000]), iotest.ErrReader(end)) }
	if form != UnsignedPayload {
		u := newUpload(t, form, data, 8192)
		body, _, err := u.open(t, src(u.wire))
		if err != nil {
			t.Fatal(err)
		}
		return io.ReadAll(body)
	}
	r := r2(request(t, "PUT", "https://h/b/k"))
	Sign(r, docCreds, "", "", testTime, form)
	r.Body, r.ContentLength = io.NopCloser(src(data)), int64(len(data))
	got, _, err := readAll(verifierAt(testTime), r)
	return got, err
}

func TestDeclarationsOfTheBodyAreChecked(t *testing.T) {
	for name, c := range map[string]struct {
		form    string
		headers []string
		length  int64
		code    string
	}{
		"no decoded length":        {StreamingPayload, nil, 100, "MissingContentLength"},
		"negative":                 {StreamingPayload, []string{"X-Amz-Decoded-Content-Length: -1"}, 100, "InvalidArgument"},
		"plus":                     {StreamingPayload, []string{"X-Amz-Decoded-Content-Length: +1"}, 100, "InvalidArgument"},
		"no number":                {StreamingPayload, []string{"X-Amz-Decoded-Content-Length: ten"}, 100, "InvalidArgument"},
		"too large a number":       {StreamingPayload, []string{"X-Amz-Decoded-Content-Length: 9223372036854775808"}, 100, "InvalidArgument"},
		"larger than the body":     {StreamingPayload, []string{"X-Amz-Decoded-Content-Length: 101"}, 100, "IncompleteBody"},
		"trailer, plain body":      {UnsignedPayload, []string{"X-Amz-Trailer: " + crc}, 100, "InvalidRequest"},
		"trailer, signed chunks":   {StreamingPayload, []string{"X-Amz-Decoded-Content-Length: 1", "X-Amz-Trailer: " + crc}, 100, "InvalidRequest"},
		"trailer that is no sum":   {StreamingTrailer, []string{"X-Amz-Decoded-Content-Length: 1", "X-Amz-Trailer: x-amz-meta-a"}, 100, "InvalidRequest"},
		"trailer twice":            {StreamingTrailer, []string{"X-Amz-Decoded-Content-Length: 1", "X-Amz-Trailer: " + crc + ", " + crc}, 100, "InvalidRequest"},
		"trailer twice, two lines": {StreamingTrailer, []string{"X-Amz-Decoded-Content-Length: 1", "X-Amz-Trailer: " + crc, "X-Amz-Trailer: " + crc}, 100, "InvalidRequest"},
		"nine trailers":            {StreamingTrailer, []string{"X-Amz-Decoded-Content-Length: 1", "X-Amz-Trailer: " + strings.Repeat(crc+"x,", 9)}, 100, "InvalidRequest"},
		"signature 4A":             {streamingECDSA, nil, 100, "NotImplemented"},
	} {
		r := r2(request(t, "PUT", "https://h/b/k", c.headers...))
		r.ContentLength = c.length
		Sign(r, docCreds, "", "", testTime, c.form)
		_, _, err := verifierAt(testTime).Verify(r)
		if err == nil {
			t.Fatalf("%s: accepted", name)
		}
		wantCode(t, err, c.code)
	}
	r := r2(request(t, "PUT", "https://h/b/k"))
	r.ContentLength = -1
	Sign(r, docCreds, "", "", testTime, UnsignedPayload)
	_, _, err := readAll2(verifierAt(testTime), r)
	wantCode(t, err, "MissingContentLength")
}

func readAll2(v *Verifier, r *http.Request) (io.Reader, func() map[string]string, error) {
	id, p, err := v.Verify(r)
	if err != nil {
		return nil, nil, err
	}
	return v.Body(r, id, p)
}

// Memory for a body does not grow with it, nor with what a chunk's header claims.
func TestMemoryDoesNotGrowWithTheBody(t *testing.T) {
	for _, c := range []struct {
		form  string
		chunk int
	}{{StreamingPayload, 65536}, {StreamingPayload, 8 << 20}, {StreamingUnsigned, 32 << 20}} {
		u := newUpload(t, c.form, noise(32<<20), c.chunk)
		buf := make([]byte, 65536)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		body, _, err := u.open(t, bytes.NewReader(u.wire))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, body, buf); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > maxStaged+512<<10 {
			t.Errorf("%s in chunks of %d: %d bytes were allocated", c.form, c.chunk, n)
		}
	}
}

// A large read of the caller goes to the network as it is: no copy in between.
func TestLargeReadsAreNotCopied(t *testing.T) {
	for _, form := range []string{UnsignedPayload, StreamingPayload, StreamingUnsigned} {
		data := noise(4 << 20)
		src := &watched{}
		var body io.Reader
		var err error
		if form == UnsignedPayload {
			r := r2(request(t, "PUT", "https://h/b/k"))
			Sign(r, docCreds, "", "", testTime, form)
			src.Reader = bytes.NewReader(data)
			r.Body, r.ContentLength = io.NopCloser(src), int64(len(data))
			body, _, err = readAll2(verifierAt(testTime), r)
		} else {
			u := newUpload(t, form, data, 64<<10)
			src.Reader = bytes.NewReader(u.wire)
			body, _, err = u.open(t, src)
		}
		if err != nil {
			t.Fatal(err)
		}
		src.buf = make([]byte, 64<<10)
		for range len(data) / len(src.buf) {
			if _, err := io.ReadFull(body, src.buf); err != nil {
				t.Fatal(err)
			}
		}
		if src.direct < int64(len(data))*97/100 {
			t.Errorf("%s: %d of %d bytes came straight", form, src.direct, len(data))
		}
	}
}

// watched counts the bytes that are read straight into buf.
type watched struct {
	io.Reader
	buf    []byte
	direct int64
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	for i := range w.buf {
		if len(p) > 0 && &w.buf[i] == &p[0] {
			w.direct += int64(n)
		}
	}
	return n, err
}
