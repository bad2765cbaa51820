package sigv4

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"testing"
	"time"
)

func BenchmarkVerify(b *testing.B) {
	for _, presigned := range []bool{false, true} {
		name := "header"
		if presigned {
			name = "presigned"
		}
		b.Run(name, func(b *testing.B) {
			r := request(b, "PUT", "https://127.0.0.1:9000/bucket/some/key-0001", "Content-Type: application/octet-stream",
				"X-Amz-Server-Side-Encryption-Customer-Algorithm: AES256",
				"X-Amz-Server-Side-Encryption-Customer-Key: MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
				"X-Amz-Server-Side-Encryption-Customer-Key-Md5: AAAAAAAAAAAAAAAAAAAAAA==")
			if presigned {
				r.URL = Presign(r, docCreds, "", "", testTime, time.Hour)
			} else {
				Sign(r, docCreds, "", "", testTime, UnsignedPayload)
			}
			r = onWire(b, r)
			v := verifierAt(testTime)
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := v.Verify(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkBody reads 10 MiB in pieces of 64 KiB; the framing alone is "unsigned chunks" less "plain".
func BenchmarkBody(b *testing.B) {
	data := noise(10 << 20)
	buf := make([]byte, 64<<10)
	sum := sha256.Sum256(data)
	run := func(name string, open func() io.Reader) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				body := open()
				for range len(data) / len(buf) {
					if _, err := io.ReadFull(body, buf); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
	plain := func(hash string) func() io.Reader {
		return func() io.Reader {
			r := r2(request(b, "PUT", "https://h/b/k"))
			Sign(r, docCreds, "", "", testTime, hash)
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(data)), int64(len(data))
			body, _, err := readAll2(verifierAt(testTime), r)
			if err != nil {
				b.Fatal(err)
			}
			return body
		}
	}
	run("plain", plain(UnsignedPayload))
	run("signed hash", plain(hex.EncodeToString(sum[:])))
	for name, u := range map[string]*upload{
		"signed chunks 64 KiB":    newUpload(b, StreamingPayload, data, 64<<10),
		"signed chunks 1 MiB":     newUpload(b, StreamingPayload, data, 1<<20),
		"unsigned chunks 64 KiB":  newUpload(b, StreamingUnsigned, data, 64<<10),
		"unsigned chunks one all": newUpload(b, StreamingUnsigned, data, len(data)),
	} {
		run(name, func() io.Reader {
			body, _, err := u.open(b, bytes.NewReader(u.wire))
			if err != nil {
				b.Fatal(err)
			}
			return body
		})
	}
}
