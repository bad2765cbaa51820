package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"holdfast/api/sigv4"
)

// call makes one call of the admin API at a node.
func call(ctx context.Context, c *http.Client, as sigv4.Credentials, method, address, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "https://"+address+"/-/admin/v1/"+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	const emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	sigv4.Sign(req, as, "us-east-1", "s3", time.Now(), emptySHA256)
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("%s %s at %s answered %s: %s", method, path, address, resp.Status, strings.TrimSpace(string(body)))
	}
	return body, err
}

// root is who may do everything.
func root() sigv4.Credentials { return sigv4.Credentials{AccessKey: accessKey, SecretKey: secretKey} }

// callTimeout bounds one call.
const callTimeout = 20 * time.Second
