// Command miniogo is the minio-go client of the matrix in scripts/clients: its argument is the
// step, the rest comes from environment variables (see c_go.py).
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/encrypt"
)

const partSize = 20 << 20

type client struct {
	*minio.Core
	http      *http.Client
	bucket    string
	key, key2 encrypt.ServerSide // nil: plain
}

func main() {
	if err := run(context.Background(), os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, step string) error {
	c, err := connect()
	if err != nil {
		return err
	}
	steps := map[string]func(context.Context) error{
		"bucket": c.makeBucket, "put": c.put, "get": c.get, "range": c.ranged, "head": c.head, "copy": c.copy,
		"multipart": c.multipart, "rotate": c.rotate, "list": c.list, "presign": c.presign,
	}
	return steps[step](ctx)
}

func connect() (*client, error) {
	pem, err := os.ReadFile(os.Getenv("HF_CA"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	core, err := minio.NewCore(strings.TrimPrefix(os.Getenv("HF_URL"), "https://"), &minio.Options{
		Creds:  credentials.NewStaticV4(os.Getenv("HF_ACCESS"), os.Getenv("HF_SECRET"), ""),
		Secure: true, Transport: transport, Region: "us-east-1", MaxRetries: 1,
	})
	if err != nil {
		return nil, err
	}
	c := &client{Core: core, http: &http.Client{Transport: transport}, bucket: os.Getenv("HF_BUCKET")}
	if c.key, err = ssec(os.Getenv("HF_KEY")); err != nil {
		return nil, err
	}
	c.key2, err = ssec(os.Getenv("HF_KEY2"))
	return c, err
}

func ssec(text string) (encrypt.ServerSide, error) {
	if text == "" {
		return nil, nil
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, err
	}
	return encrypt.NewSSEC(raw)
}

func payload(name string) []byte {
	b, err := os.ReadFile(filepath.Join(os.Getenv("HF_FILES"), name))
	if err != nil {
		panic(err)
	}
	return b
}

func (c *client) read(ctx context.Context, key string, sse encrypt.ServerSide, first, last int64) ([]byte, error) {
	opts := minio.GetObjectOptions{ServerSideEncryption: sse}
	if last > 0 {
		if err := opts.SetRange(first, last); err != nil {
			return nil, err
		}
	}
	body, _, _, err := c.Core.GetObject(ctx, c.bucket, key, opts)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(body)
}

// same reads an object with a key and compares it.
func (c *client) same(ctx context.Context, key string, sse encrypt.ServerSide, want []byte) error {
	got, err := c.read(ctx, key, sse, 0, 0)
	if err != nil {
		return fmt.Errorf("read %s: %w", key, err)
	}
	if sha256.Sum256(got) != sha256.Sum256(want) {
		return fmt.Errorf("%s: %d bytes read, not the %d that were put", key, len(got), len(want))
	}
	return nil
}

func (c *client) makeBucket(ctx context.Context) error {
	if err := c.MakeBucket(ctx, c.bucket, minio.MakeBucketOptions{}); err != nil {
		return err
	}
	found, err := c.BucketExists(ctx, c.bucket)
	if err == nil && !found {
		err = errors.New("the bucket is not there")
	}
	return err
}

func (c *client) put(ctx context.Context) error {
	for _, name := range []string{"empty", "tiny", "mid"} {
		b := payload(name)
		_, err := c.Client.PutObject(ctx, c.bucket, name, bytes.NewReader(b), int64(len(b)), minio.PutObjectOptions{
			ServerSideEncryption: c.key, UserMetadata: map[string]string{"colour": "green"}, ContentType: "text/x-test",
		})
		if err != nil {
			return fmt.Errorf("put %s: %w", name, err)
		}
	}
	return nil
}

func (c *client) get(ctx context.Context) error {
	for _, name := range []string{"empty", "tiny", "mid"} {
		if err := c.same(ctx, name, c.key, payload(name)); err != nil {
			return err
		}
	}
	return nil
}

func (c *client) ranged(ctx context.Context) error {
	got, err := c.read(ctx, "mid", c.key, 65000, 66199)
	if err == nil && !bytes.Equal(got, payload("mid")[65000:66200]) {
		err = fmt.Errorf("range: wrong bytes (%d)", len(got))
	}
	return err
}

func (c *client) head(ctx context.Context) error {
	info, err := c.StatObject(ctx, c.bucket, "mid", minio.StatObjectOptions{ServerSideEncryption: c.key})
	if err != nil {
		return err
	}
	if info.Size != 300_007 || info.UserMetadata["Colour"] != "green" || info.ContentType != "text/x-test" {
		return fmt.Errorf("head: size %d, metadata %v, type %s", info.Size, info.UserMetadata, info.ContentType)
	}
	return nil
}

func (c *client) copyTo(ctx context.Context, from string, fromKey encrypt.ServerSide, to string, toKey encrypt.ServerSide) error {
	_, err := c.Client.CopyObject(ctx, minio.CopyDestOptions{Bucket: c.bucket, Object: to, Encryption: toKey},
		minio.CopySrcOptions{Bucket: c.bucket, Object: from, Encryption: fromKey})
	return err
}

func (c *client) copy(ctx context.Context) error {
	if err := c.copyTo(ctx, "mid", c.key, "copy", c.key2); err != nil {
		return err
	}
	return c.same(ctx, "copy", c.key2, payload("mid"))
}

func (c *client) multipart(ctx context.Context) error {
	big := payload("big")
	upload, err := c.NewMultipartUpload(ctx, c.bucket, "big", minio.PutObjectOptions{ServerSideEncryption: c.key})
	if err != nil {
		return err
	}
	var parts []minio.CompletePart
	for _, n := range []int{3, 1, 5, 2, 4} {
		b := big[(n-1)*partSize : n*partSize]
		p, err := c.PutObjectPart(ctx, c.bucket, "big", upload, n, bytes.NewReader(b), int64(len(b)), minio.PutObjectPartOptions{SSE: c.key})
		if err != nil {
			return fmt.Errorf("part %d: %w", n, err)
		}
		parts = append(parts, minio.CompletePart{PartNumber: n, ETag: p.ETag})
	}
	slices.SortFunc(parts, func(a, b minio.CompletePart) int { return a.PartNumber - b.PartNumber })
	if _, err = c.CompleteMultipartUpload(ctx, c.bucket, "big", upload, parts, minio.PutObjectOptions{ServerSideEncryption: c.key}); err != nil {
		return err
	}
	if err = c.same(ctx, "big", c.key, big); err != nil {
		return err
	}
	return c.composed(ctx, big)
}

// composed makes an object of ranges of another: UploadPartCopy.
func (c *client) composed(ctx context.Context, big []byte) error {
	part := func(first, last int64) minio.CopySrcOptions {
		return minio.CopySrcOptions{Bucket: c.bucket, Object: "big", Encryption: c.key, MatchRange: true, Start: first, End: last}
	}
	_, err := c.ComposeObject(ctx, minio.CopyDestOptions{Bucket: c.bucket, Object: "composed", Encryption: c.key2},
		part(30<<20, 40<<20-1), part(7, 10<<20))
	if err != nil {
		return fmt.Errorf("compose: %w", err)
	}
	return c.same(ctx, "composed", c.key2, slices.Concat(big[30<<20:40<<20], big[7:10<<20+1]))
}

func (c *client) rotate(ctx context.Context) error {
	for _, name := range []string{"empty", "mid"} {
		if err := c.copyTo(ctx, name, c.key, name, c.key2); err != nil {
			return err
		}
		if err := c.same(ctx, name, c.key2, payload(name)); err != nil {
			return err
		}
		if _, err := c.read(ctx, name, c.key, 0, 0); minio.ToErrorResponse(err).Code != "AccessDenied" {
			return fmt.Errorf("the old key: got %v, want AccessDenied", err)
		}
	}
	return nil
}

func (c *client) list(ctx context.Context) error {
	bucket := os.Getenv("HF_LIST_BUCKET")
	for _, v1 := range []bool{false, true} {
		dirs, keys := 0, 0
		for o := range c.Client.ListObjects(ctx, bucket, minio.ListObjectsOptions{UseV1: v1, MaxKeys: 30}) {
			switch {
			case o.Err != nil:
				return o.Err
			case strings.HasSuffix(o.Key, "/"):
				dirs++
			default:
				keys++
			}
		}
		if dirs != 50 || keys != 50 {
			return fmt.Errorf("list (v1 %t): %d prefixes and %d keys, want 50 and 50", v1, dirs, keys)
		}
	}
	all := 0
	for o := range c.Client.ListObjects(ctx, bucket, minio.ListObjectsOptions{Recursive: true}) {
		if o.Err != nil {
			return o.Err
		}
		all++
	}
	if all != 5000 {
		return fmt.Errorf("list: %d keys, want 5000", all)
	}
	return nil
}

// presign signs the SSE-C headers into the URL's list of signed headers; the key itself is sent
// as a header with the request.
func (c *client) presign(ctx context.Context) error {
	headers := http.Header{}
	if c.key != nil {
		c.key.Marshal(headers)
	}
	body := payload("mid")
	u, err := c.PresignHeader(ctx, "PUT", c.bucket, "signed", time.Minute, nil, headers)
	if err != nil {
		return err
	}
	if _, err = c.do("PUT", u, headers, body); err != nil {
		return err
	}
	if u, err = c.PresignHeader(ctx, "GET", c.bucket, "signed", time.Minute, nil, headers); err != nil {
		return err
	}
	got, err := c.do("GET", u, headers, nil)
	if err == nil && !bytes.Equal(got, body) {
		err = errors.New("presigned GET: wrong bytes")
	}
	return err
}

func (c *client) do(method string, u *url.URL, headers http.Header, body []byte) ([]byte, error) {
	req, err := http.NewRequest(method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header = headers.Clone()
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != 200 {
		err = fmt.Errorf("presigned %s: status %d: %s", method, resp.StatusCode, got)
	}
	return got, err
}
