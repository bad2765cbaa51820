package main

import (
	"crypto/md5"
	"crypto/rand"
	"encoding/base64"
	"fmt"

	"github.com/spf13/cobra"
)

// keyBytes is the length of an SSE-C key: AES-256.
const keyBytes = 32

// newCustomerKey draws an SSE-C key and returns it with its MD5, both in base64, as the S3
// headers want them.
func newCustomerKey() (key, sum string) {
	var raw [keyBytes]byte
	rand.Read(raw[:]) //nolint:errcheck // it cannot fail: crypto/rand ends the process instead
	digest := md5.Sum(raw[:])
	return base64.StdEncoding.EncodeToString(raw[:]), base64.StdEncoding.EncodeToString(digest[:])
}

func newKey() *cobra.Command {
	key := &cobra.Command{
		Use:     "key",
		Short:   "Make keys for SSE-C",
		Example: "  holdfast key new",
		Args:    cobra.NoArgs,
	}
	key.AddCommand(&cobra.Command{
		Use:   "new",
		Short: "Print a new SSE-C key and its MD5",
		Long: `Prints a new random 256-bit key and its MD5, both in base64, as these headers want them:

  x-amz-server-side-encryption-customer-algorithm: AES256
  x-amz-server-side-encryption-customer-key:       the key
  x-amz-server-side-encryption-customer-key-MD5:   its MD5

Holdfast never stores the key: an object whose key is lost is lost.`,
		Example: `  holdfast key new
  holdfast key new | awk '/^key/ {print $2}' | base64 -d > my.key      # 32 raw bytes, for aws s3 cp --sse-c-key fileb://my.key`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			k, sum := newCustomerKey()
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "key  %s\nMD5  %s\n", k, sum)
			return err
		},
	})
	return key
}
