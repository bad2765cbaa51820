// Command awsgo is the aws-sdk-go-v2 client of the matrix in scripts/clients: its argument is the
// step, the rest comes from environment variables (see c_go.py).
package main

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

const partSize = 20 << 20

// customer is an SSE-C key as the SDK wants it: three strings, all nil for plain objects.
type customer struct{ algorithm, key, md5 *string }

type client struct {
	*s3.Client
	http      *http.Client
	bucket    *string
	key, key2 customer
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
	c := &client{bucket: aws.String(os.Getenv("HF_BUCKET"))}
	c.http = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	c.Client = s3.New(s3.Options{
		BaseEndpoint: aws.String(os.Getenv("HF_URL")), UsePathStyle: true, Region: "us-east-1", HTTPClient: c.http, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(os.Getenv("HF_ACCESS"), os.Getenv("HF_SECRET"), ""),
	})
	if c.key, err = parse(os.Getenv("HF_KEY")); err != nil {
		return nil, err
	}
	c.key2, err = parse(os.Getenv("HF_KEY2"))
	return c, err
}

func parse(text string) (customer, error) {
	if text == "" {
		return customer{}, nil
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	sum := md5.Sum(raw)
	return customer{aws.String("AES256"), &text, aws.String(base64.StdEncoding.EncodeToString(sum[:]))}, err
}

func payload(name string) []byte {
	b, err := os.ReadFile(filepath.Join(os.Getenv("HF_FILES"), name))
	if err != nil {
		panic(err)
	}
	return b
}

func (c *client) read(ctx context.Context, key string, k customer, byteRange *string) ([]byte, error) {
	r, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: c.bucket, Key: &key, Range: byteRange,
		SSECustomerAlgorithm: k.algorithm, SSECustomerKey: k.key, SSECustomerKeyMD5: k.md5})
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	return io.ReadAll(r.Body)
}

func (c *client) same(ctx context.Context, key string, k customer, want []byte) error {
	got, err := c.read(ctx, key, k, nil)
	if err != nil {
		return fmt.Errorf("read %s: %w", key, err)
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%s: %d bytes read, not the %d that were put", key, len(got), len(want))
	}
	return nil
}

func (c *client) makeBucket(ctx context.Context) error {
	if _, err := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: c.bucket}); err != nil {
		return err
	}
	_, err := c.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: c.bucket})
	return err
}

// put uses a different checksum algorithm each time: all of them must be known.
func (c *client) put(ctx context.Context) error {
	for name, sum := range map[string]types.ChecksumAlgorithm{
		"empty": types.ChecksumAlgorithmSha256, "tiny": types.ChecksumAlgorithmCrc32c, "mid": types.ChecksumAlgorithmCrc64nvme,
		"sha1": types.ChecksumAlgorithmSha1, "crc32": types.ChecksumAlgorithmCrc32,
	} {
		body := "tiny"
		if name == "empty" || name == "mid" {
			body = name
		}
		_, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: c.bucket, Key: &name, Body: bytes.NewReader(payload(body)), ChecksumAlgorithm: sum,
			Metadata: map[string]string{"colour": "green"}, ContentType: aws.String("text/x-test"),
			SSECustomerAlgorithm: c.key.algorithm, SSECustomerKey: c.key.key, SSECustomerKeyMD5: c.key.md5})
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
	got, err := c.read(ctx, "mid", c.key, aws.String("bytes=65000-66199"))
	if err == nil && !bytes.Equal(got, payload("mid")[65000:66200]) {
		err = fmt.Errorf("range: wrong bytes (%d)", len(got))
	}
	return err
}

func (c *client) head(ctx context.Context) error {
	h, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: c.bucket, Key: aws.String("mid"), ChecksumMode: types.ChecksumModeEnabled,
		SSECustomerAlgorithm: c.key.algorithm, SSECustomerKey: c.key.key, SSECustomerKeyMD5: c.key.md5})
	if err != nil {
		return err
	}
	if *h.ContentLength != 300_007 || h.Metadata["colour"] != "green" || h.ChecksumCRC64NVME == nil {
		return fmt.Errorf("head: length %d, metadata %v, CRC64NVME %v", *h.ContentLength, h.Metadata, h.ChecksumCRC64NVME)
	}
	return nil
}

func (c *client) copyTo(ctx context.Context, from string, k customer, to string, k2 customer) error {
	_, err := c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: c.bucket, Key: &to, CopySource: aws.String(*c.bucket + "/" + from),
		CopySourceSSECustomerAlgorithm: k.algorithm, CopySourceSSECustomerKey: k.key, CopySourceSSECustomerKeyMD5: k.md5,
		SSECustomerAlgorithm: k2.algorithm, SSECustomerKey: k2.key, SSECustomerKeyMD5: k2.md5})
	return err
}

func (c *client) copy(ctx context.Context) error {
	if err := c.copyTo(ctx, "mid", c.key, "copy", c.key2); err != nil {
		return err
	}
	return c.same(ctx, "copy", c.key2, payload("mid"))
}

func (c *client) multipart(ctx context.Context) error {
	big, key := payload("big"), aws.String("big")
	up, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: c.bucket, Key: key,
		SSECustomerAlgorithm: c.key.algorithm, SSECustomerKey: c.key.key, SSECustomerKeyMD5: c.key.md5})
	if err != nil {
		return err
	}
	var parts []types.CompletedPart
	for _, n := range []int32{3, 1, 5, 2, 4} {
		p, err := c.UploadPart(ctx, &s3.UploadPartInput{Bucket: c.bucket, Key: key, UploadId: up.UploadId, PartNumber: &n,
			Body:                 bytes.NewReader(big[(n-1)*partSize : n*partSize]),
			SSECustomerAlgorithm: c.key.algorithm, SSECustomerKey: c.key.key, SSECustomerKeyMD5: c.key.md5})
		if err != nil {
			return fmt.Errorf("part %d: %w", n, err)
		}
		parts = append(parts, types.CompletedPart{PartNumber: &n, ETag: p.ETag, ChecksumCRC32: p.ChecksumCRC32})
	}
	slices.SortFunc(parts, func(a, b types.CompletedPart) int { return int(*a.PartNumber - *b.PartNumber) })
	_, err = c.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: c.bucket, Key: key, UploadId: up.UploadId,
		MultipartUpload:      &types.CompletedMultipartUpload{Parts: parts},
		SSECustomerAlgorithm: c.key.algorithm, SSECustomerKey: c.key.key, SSECustomerKeyMD5: c.key.md5})
	if err != nil {
		return err
	}
	return c.same(ctx, "big", c.key, big)
}

func (c *client) rotate(ctx context.Context) error {
	for _, name := range []string{"empty", "mid"} {
		if err := c.copyTo(ctx, name, c.key, name, c.key2); err != nil {
			return err
		}
		if err := c.same(ctx, name, c.key2, payload(name)); err != nil {
			return err
		}
		var refused smithy.APIError
		if _, err := c.read(ctx, name, c.key, nil); !errors.As(err, &refused) || refused.ErrorCode() != "AccessDenied" {
			return fmt.Errorf("the old key: got %v, want AccessDenied", err)
		}
	}
	return nil
}

func (c *client) list(ctx context.Context) error {
	bucket := aws.String(os.Getenv("HF_LIST_BUCKET"))
	count := func(delimiter *string, pageSize int32) (dirs, keys int, err error) {
		pages := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: bucket, Delimiter: delimiter, MaxKeys: &pageSize})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return 0, 0, err
			}
			dirs, keys = dirs+len(page.CommonPrefixes), keys+len(page.Contents)
		}
		return dirs, keys, nil
	}
	if dirs, keys, err := count(aws.String("/"), 30); err != nil || dirs != 50 || keys != 50 {
		return fmt.Errorf("list with delimiter: %d prefixes, %d keys, %w", dirs, keys, err)
	}
	if dirs, keys, err := count(nil, 1000); err != nil || dirs != 0 || keys != 5000 {
		return fmt.Errorf("list: %d prefixes, %d keys, %w", dirs, keys, err)
	}
	return nil
}

func (c *client) presign(ctx context.Context) error {
	signer, body := s3.NewPresignClient(c.Client, s3.WithPresignExpires(time.Minute)), payload("mid")
	put, err := signer.PresignPutObject(ctx, &s3.PutObjectInput{Bucket: c.bucket, Key: aws.String("signed"),
		SSECustomerAlgorithm: c.key.algorithm, SSECustomerKey: c.key.key, SSECustomerKeyMD5: c.key.md5})
	if err != nil {
		return err
	}
	if _, err = c.do(put, body); err != nil {
		return err
	}
	get, err := signer.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: c.bucket, Key: aws.String("signed"),
		SSECustomerAlgorithm: c.key.algorithm, SSECustomerKey: c.key.key, SSECustomerKeyMD5: c.key.md5})
	if err != nil {
		return err
	}
	got, err := c.do(get, nil)
	if err == nil && !bytes.Equal(got, body) {
		err = errors.New("presigned GET: wrong bytes")
	}
	return err
}

// do sends a presigned request with the headers that its signature covers.
func (c *client) do(signed *v4.PresignedHTTPRequest, body []byte) ([]byte, error) {
	req, err := http.NewRequest(signed.Method, signed.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header = signed.SignedHeader.Clone()
	req.Header.Del("Content-Length")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != 200 {
		err = fmt.Errorf("presigned %s: status %d: %s", signed.Method, resp.StatusCode, got)
	}
	return got, err
}
