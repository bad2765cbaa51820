package main

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"net/http"
	"strconv"

	"holdfast/api/sigv4"
)

// headLen is how many bytes of an object depend on its key.
const headLen = sha256.Size

// content is what all objects of one size are made of: a hash of the key, then the same noise.
type content struct {
	noise   []byte
	trailer bool // send as aws-chunked with a CRC32C trailer
}

func newContent(size int64, trailer bool) *content {
	c := &content{noise: make([]byte, size), trailer: trailer}
	_, _ = rand.NewChaCha8([32]byte{1}).Read(c.noise)
	return c
}

// body gives the pieces of an object's body on the wire, and sets the headers that describe them.
func (c *content) body(key string, h http.Header) (pieces [][]byte, hash string) {
	head := sha256.Sum256([]byte(key))
	rest := c.noise[headLen:]
	if !c.trailer {
		return [][]byte{head[:], rest}, ""
	}
	size := strconv.Itoa(len(c.noise))
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Update(crc32.Checksum(head[:], table), table, rest)
	text := base64.StdEncoding.EncodeToString([]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})
	h["X-Amz-Decoded-Content-Length"] = []string{size}
	h["X-Amz-Trailer"] = []string{"x-amz-checksum-crc32c"}
	h["X-Amz-Sdk-Checksum-Algorithm"] = []string{"CRC32C"}
	h["Content-Encoding"] = []string{"aws-chunked"}
	open := append([]byte(strconv.FormatInt(int64(len(c.noise)), 16)+"\r\n"), head[:]...)
	return [][]byte{open, rest, []byte("\r\n0\r\nx-amz-checksum-crc32c:" + text + "\r\n\r\n")}, sigv4.StreamingUnsigned
}

// check returns a sink that holds a body against what was put: its head, or with all every byte.
// done tells whether it was all there.
func (c *content) check(key string, all bool) (sink func([]byte) error, done func() error) {
	head := sha256.Sum256([]byte(key))
	at := 0
	sink = func(b []byte) error {
		if at < headLen {
			n := min(len(b), headLen-at)
			if !bytes.Equal(b[:n], head[at:at+n]) {
				return errors.New("the body is that of another object")
			}
			b, at = b[n:], at+n
		}
		if at+len(b) > len(c.noise) {
			return fmt.Errorf("the body is longer than the %d bytes that were put", len(c.noise))
		}
		if all && !bytes.Equal(b, c.noise[at:at+len(b)]) {
			return errors.New("the body differs from what was put")
		}
		at += len(b)
		return nil
	}
	return sink, func() error {
		if at != len(c.noise) {
			return fmt.Errorf("the body has %d of %d bytes", at, len(c.noise))
		}
		return nil
	}
}

// customerHeaders are those of an SSE-C key that is made for the run.
func customerHeaders(key [32]byte) http.Header {
	sum := md5.Sum(key[:])
	return http.Header{
		"X-Amz-Server-Side-Encryption-Customer-Algorithm": {"AES256"},
		"X-Amz-Server-Side-Encryption-Customer-Key":       {base64.StdEncoding.EncodeToString(key[:])},
		"X-Amz-Server-Side-Encryption-Customer-Key-Md5":   {base64.StdEncoding.EncodeToString(sum[:])},
	}
}
