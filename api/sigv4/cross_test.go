package sigv4

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsv4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/minio/minio-go/v7/pkg/signer"
	"pgregory.net/rapid"
)

// anyRequest draws a request with an arbitrary path, query and headers. Names of arguments are
// unreserved characters, because the two foreign signers sort names before they encode them, and
// AWS after. The path is on the wire as AWS encodes it, which is what the AWS signer signs. Arguments repeat only
// when asked to: the MinIO signer leaves the values of a name in their order, where AWS sorts them.
func anyRequest(t *rapid.T, repeat bool) *http.Request {
	path := "/" + rapid.StringOf(rapid.OneOf(rapid.RuneFrom([]rune("ab/.. +%~$&?#*()'\"\\;=,:@é世")), rapid.Rune())).Draw(t, "path")
	u := &url.URL{Scheme: "https", Host: rapid.SampledFrom([]string{"127.0.0.1:9000", "bucket.s3.example.org", "[::1]:9000"}).Draw(t, "host"), Path: path}
	u.RawPath = string(appendEscaped(nil, path, true))
	q := url.Values{}
	for range rapid.IntRange(0, 5).Draw(t, "arguments") {
		name, value := rapid.StringMatching(`[A-Za-z0-9_.~-]{1,12}`).Draw(t, "name"), rapid.String().Draw(t, "value")
		if repeat || !q.Has(name) {
			q.Add(name, value)
		}
	}
	for name := range q {
		if strings.HasPrefix(strings.ToLower(name), "x-amz-") || name == "Signature" || name == "AWSAccessKeyId" {
			q.Del(name)
		}
	}
	u.RawQuery = q.Encode()
	r := &http.Request{Method: rapid.SampledFrom([]string{"GET", "PUT", "HEAD", "DELETE", "POST"}).Draw(t, "method"), URL: u, Host: u.Host, Header: http.Header{}}
	for range rapid.IntRange(0, 4).Draw(t, "headers") {
		r.Header.Add("X-Amz-Meta-"+rapid.StringMatching(`[A-Za-z0-9-]{1,8}`).Draw(t, "meta"), rapid.StringMatching(`([!-~]|  ? ?){0,20}`).Draw(t, "text"))
	}
	if rapid.Bool().Draw(t, "type") {
		r.Header.Set("Content-Type", "text/plain;  charset=utf-8")
	}
	return r
}

func awsSigner() *awsv4.Signer {
	return awsv4.NewSigner(func(o *awsv4.SignerOptions) { o.DisableURIPathEscaping = true })
}

func awsCreds(c Credentials) aws.Credentials {
	return aws.Credentials{AccessKeyID: c.AccessKey, SecretAccessKey: c.SecretKey, SessionToken: c.SessionToken}
}

// What three independent signers sign verifies, in headers and in the query.
func TestWhatAnySignerSignsVerifies(t *testing.T) {
	now := time.Date(2026, 2, 28, 23, 59, 59, 0, time.UTC)
	v := verifierAt(now.Add(time.Minute), "eu-north-1")
	signers := map[string]func(r *http.Request, c Credentials) *http.Request{
		"ours": func(r *http.Request, c Credentials) *http.Request {
			Sign(r, c, "eu-north-1", "s3", now, UnsignedPayload)
			return r
		},
		"aws": func(r *http.Request, c Credentials) *http.Request {
			r.Header.Set("X-Amz-Content-Sha256", UnsignedPayload)
			if err := awsSigner().SignHTTP(context.Background(), awsCreds(c), r, UnsignedPayload, "s3", "eu-north-1", now); err != nil {
				t.Fatal(err)
			}
			return r
		},
		"ours presigned": func(r *http.Request, c Credentials) *http.Request {
			r.URL = Presign(r, c, "eu-north-1", "s3", now, time.Hour)
			return r
		},
		"aws presigned": func(r *http.Request, c Credentials) *http.Request {
			r.URL.RawQuery = strings.TrimPrefix(r.URL.RawQuery+"&X-Amz-Expires=3600", "&")
			to, headers, err := awsSigner().PresignHTTP(context.Background(), awsCreds(c), r, UnsignedPayload, "s3", "eu-north-1", now)
			if err != nil {
				t.Fatal(err)
			}
			u, err := url.Parse(to)
			if err != nil {
				t.Fatal(err)
			}
			r.URL, r.Header = u, headers
			return r
		},
	}
	for name, sign := range signers {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				c := rapid.SampledFrom([]Credentials{docCreds, stsCreds}).Draw(rt, "credentials")
				r := sign(anyRequest(rt, true), c)
				id, _, err := v.Verify(onWire(t, r))
				if err != nil || id.AccessKey != c.AccessKey || id.Presigned != strings.Contains(name, "presigned") {
					rt.Fatalf("%s %s %v: %v", r.Method, r.URL, r.Header, err)
				}
			})
		})
	}
}

// The MinIO signer reads the clock itself, so its requests are verified at the time of day.
func TestWhatMinioGoSignsVerifies(t *testing.T) {
	v := New(Config{Lookup: lookup, Now: time.Now})
	rapid.Check(t, func(rt *rapid.T) {
		c := rapid.SampledFrom([]Credentials{docCreds, stsCreds}).Draw(rt, "credentials")
		r := anyRequest(rt, false)
		if rapid.Bool().Draw(rt, "presigned") {
			r = signer.PreSignV4(*r, c.AccessKey, c.SecretKey, c.SessionToken, "us-east-1", 600)
		} else {
			r.Header.Set("X-Amz-Content-Sha256", UnsignedPayload)
			r = signer.SignV4(*r, c.AccessKey, c.SecretKey, c.SessionToken, "us-east-1")
		}
		if _, _, err := v.Verify(onWire(t, r)); err != nil {
			rt.Fatalf("%s %s %v: %v", r.Method, r.URL, r.Header, err)
		}
	})
}

type plainSHA struct{ hash.Hash }

func (plainSHA) Close() {}

// The streaming bodies of minio-go: signed, with and without trailer, and unsigned with trailer.
func TestWhatMinioGoStreamsVerifies(t *testing.T) {
	now := time.Date(2026, 2, 28, 12, 0, 0, 0, time.UTC)
	v := verifierAt(now)
	for _, size := range []int{0, 1, 65535, 65536, 65537, 300_000} {
		for _, form := range []string{StreamingPayload, StreamingTrailer, StreamingUnsigned} {
			data := bytes.Repeat([]byte("0123456789"), size/10+1)[:size]
			r := request(t, "PUT", "https://127.0.0.1:9000/bucket/key")
			r.Body = io.NopCloser(bytes.NewReader(data))
			if form != StreamingPayload {
				r.Trailer = http.Header{"X-Amz-Checksum-Crc32c": {"sOO8/Q=="}}
			}
			if form == StreamingUnsigned {
				r.Header.Set("X-Amz-Content-Sha256", form)
				r.Header.Set("X-Amz-Trailer", "x-amz-checksum-crc32c")
				r.Header.Set("X-Amz-Decoded-Content-Length", itoa(size))
				Sign(r, docCreds, "", "", now, form)
				r = signer.StreamingUnsignedV4(r, "", int64(size), now)
			} else {
				r = signer.StreamingSignV4(r, docCreds.AccessKey, docCreds.SecretKey, "", "us-east-1", int64(size), now, plainSHA{sha256.New()})
			}
			got, trailers, err := readAll(v, onWire(t, r))
			if err != nil || !bytes.Equal(got, data) {
				t.Fatalf("%s of %d bytes: got %d: %v", form, size, len(got), err)
			}
			if form != StreamingPayload && trailers["x-amz-checksum-crc32c"] != "sOO8/Q==" {
				t.Fatalf("%s: trailers %v", form, trailers)
			}
		}
	}
}

// And the other way: the AWS signer agrees with every byte that ours signs.
func TestOurSignatureIsTheOneOfTheAWSSigner(t *testing.T) {
	now := time.Date(2026, 2, 28, 12, 0, 0, 0, time.UTC)
	sum := sha256.Sum256([]byte("body"))
	payload := hex.EncodeToString(sum[:])
	rapid.Check(t, func(rt *rapid.T) {
		ours := anyRequest(rt, true)
		theirs := ours.Clone(context.Background())
		theirs.Header.Set("X-Amz-Content-Sha256", payload)
		Sign(ours, docCreds, "us-west-2", "s3", now, payload)
		if err := awsSigner().SignHTTP(context.Background(), awsCreds(docCreds), theirs, payload, "s3", "us-west-2", now); err != nil {
			rt.Fatal(err)
		}
		if a, b := ours.Header.Get("Authorization"), theirs.Header.Get("Authorization"); a != b {
			rt.Fatalf("ours   %s\ntheirs %s", a, b)
		}
	})
}
