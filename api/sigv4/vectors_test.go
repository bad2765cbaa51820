package sigv4

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// The examples of the Amazon S3 API Reference: "Signature Calculations for the Authorization
// Header: Transferring Payload in a Single Chunk".
func TestDocumentedHeaderSignatures(t *testing.T) {
	const host = "https://examplebucket.s3.amazonaws.com"
	empty := "x-amz-content-sha256: " + EmptySHA256
	for _, c := range []struct {
		name, method, url string
		headers           []string
		signature         string
	}{
		{"get object", "GET", "/test.txt", []string{"Range: bytes=0-9", empty},
			"f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
		{"put object", "PUT", "/test$file.text", []string{"Date: Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class: REDUCED_REDUNDANCY",
			"x-amz-content-sha256: 44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"},
			"98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
		{"get lifecycle", "GET", "/?lifecycle", []string{empty}, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
		{"list", "GET", "/?max-keys=2&prefix=J", []string{empty}, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := request(t, c.method, host+c.url, c.headers...)
			Sign(r, docCreds, "us-east-1", "s3", docTime, r.Header.Get("X-Amz-Content-Sha256"))
			if auth := r.Header.Get("Authorization"); !strings.HasSuffix(auth, "Signature="+c.signature) {
				t.Fatalf("signed as %s", auth)
			}
			id, _, err := verifierAt(docTime, "us-east-1").Verify(onWire(t, r))
			if err != nil || id.AccessKey != docCreds.AccessKey || !id.Signed.Equal(docTime) || id.Presigned || id.Anonymous {
				t.Fatalf("%v: %v", id, err)
			}
		})
	}
}

// "Authenticating Requests: Using Query Parameters".
func TestDocumentedPresignedURL(t *testing.T) {
	const want = "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request" +
		"&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
	r := request(t, "GET", "https://examplebucket.s3.amazonaws.com/test.txt")
	u := Presign(r, docCreds, "us-east-1", "s3", docTime, 24*time.Hour)
	if u.String() != want {
		t.Fatalf("got %s", u)
	}
	got := onWire(t, request(t, "GET", want))
	id, p, err := verifierAt(docTime.Add(24 * time.Hour)).Verify(got)
	if err != nil || !id.Presigned || p.Kind != Unsigned {
		t.Fatalf("%v %v: %v", id, p, err)
	}
}

// docChunked is the body of the two chunked examples: 65 KiB of 'a' in a chunk of 64 KiB and one of 1 KiB.
func docChunked(signatures [3]string, tail string) []byte {
	var b bytes.Buffer
	for i, n := range []int{65536, 1024} {
		fmt.Fprintf(&b, "%x;chunk-signature=%s\r\n%s\r\n", n, signatures[i], strings.Repeat("a", n))
	}
	fmt.Fprintf(&b, "0;chunk-signature=%s\r\n%s", signatures[2], tail)
	return b.Bytes()
}

func checkDocChunked(t *testing.T, r *http.Request, seed string, body []byte) map[string]string {
	t.Helper()
	chain := Sign(r, docCreds, "us-east-1", "s3", docTime, r.Header.Get("X-Amz-Content-Sha256"))
	if string(chain.prev[:]) != seed {
		t.Fatalf("seed signature %s, want %s", chain.prev[:], seed)
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	r.Header.Del("Content-Length")
	got, trailers, err := readAll(verifierAt(docTime), onWire(t, r))
	if err != nil || !bytes.Equal(got, bytes.Repeat([]byte("a"), 66560)) {
		t.Fatalf("%d bytes: %v", len(got), err)
	}
	var ours bytes.Buffer // the writer must make the same signatures
	var tr func() map[string]string
	if trailers != nil {
		tr = func() map[string]string { return trailers }
	}
	w := NewChunkWriter(&ours, chain, 65536, tr)
	_, _ = w.Write(got)
	_ = w.Close()
	if trailers == nil && !bytes.Equal(ours.Bytes(), body) {
		t.Fatal("ChunkWriter frames the example in another way")
	}
	if trailers != nil && strings.ReplaceAll(ours.String(), "\r\n", "\n") != strings.Replace(strings.ReplaceAll(string(body), "\r\n", "\n"), "==\n\n", "==\n", 1) {
		t.Fatal("ChunkWriter signs the example in another way")
	}
	return trailers
}

// "Signature Calculations for the Authorization Header: Transferring Payload in Multiple Chunks".
func TestDocumentedChunkedUpload(t *testing.T) {
	r := request(t, "PUT", "https://s3.amazonaws.com/examplebucket/chunkObject.txt", "x-amz-storage-class: REDUCED_REDUNDANCY",
		"Content-Encoding: aws-chunked", "x-amz-decoded-content-length: 66560", "Content-Length: 66824", "x-amz-content-sha256: "+StreamingPayload)
	body := docChunked([3]string{
		"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
		"0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
		"b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
	}, "\r\n")
	if len(body) != 66824 {
		t.Fatalf("the example has %d bytes", len(body))
	}
	if n := ChunkedLen(66560, 65536, true, nil); n != 66824 {
		t.Fatalf("ChunkedLen gives %d", n)
	}
	checkDocChunked(t, r, "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9", body)
}

// "… Transferring Payload in Multiple Chunks, with Trailing Headers". The example ends the trailer
// with a lone LF and an empty line.
func TestDocumentedChunkedUploadWithTrailer(t *testing.T) {
	r := request(t, "PUT", "https://s3.amazonaws.com/examplebucket/chunkObject.txt", "x-amz-storage-class: REDUCED_REDUNDANCY",
		"Content-Encoding: aws-chunked", "x-amz-decoded-content-length: 66560", "x-amz-trailer: x-amz-checksum-crc32c", "x-amz-content-sha256: "+StreamingTrailer)
	body := docChunked([3]string{
		"b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
		"1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
		"2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
	}, "x-amz-checksum-crc32c:sOO8/Q==\n\r\nx-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n")
	trailers := checkDocChunked(t, r, "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e", body)
	if trailers["x-amz-checksum-crc32c"] != "sOO8/Q==" {
		t.Fatalf("trailers %v", trailers)
	}
}
