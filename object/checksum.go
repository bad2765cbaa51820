package object

import (
	"crypto/md5"  //nolint:gosec // the ETag of S3 and Content-MD5 are MD5 by definition
	"crypto/sha1" //nolint:gosec // a checksum of S3, not a signature
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/crc32"
	"strconv"
	"strings"

	"github.com/minio/crc64nvme"

	"holdfast/internal/kind"
	"holdfast/proto/metapb"
)

// checksumLen is the length of a checksum's raw value in bytes.
func checksumLen(a metapb.Checksum_Algorithm) int {
	switch a {
	case metapb.Checksum_CRC32, metapb.Checksum_CRC32C:
		return 4
	case metapb.Checksum_CRC64NVME:
		return 8
	case metapb.Checksum_SHA1:
		return sha1.Size
	case metapb.Checksum_SHA256:
		return sha256.Size
	}
	return 0
}

func newHash(a metapb.Checksum_Algorithm) hash.Hash {
	switch a {
	case metapb.Checksum_CRC32:
		return crc32.NewIEEE()
	case metapb.Checksum_CRC32C:
		return crc32.New(crc32.MakeTable(crc32.Castagnoli))
	case metapb.Checksum_CRC64NVME:
		return crc64nvme.New()
	case metapb.Checksum_SHA1:
		return sha1.New() //nolint:gosec // see above
	case metapb.Checksum_SHA256:
		return sha256.New()
	}
	return nil
}

// digests computes what has to be known of a plaintext: MD5 when it is the ETag or was claimed,
// and the checksum that was asked for. A nil *digests has nothing to compute.
type digests struct {
	md5 hash.Hash
	sum hash.Hash
}

func newDigests(withMD5 bool, c *Checksum) *digests {
	d := &digests{}
	if withMD5 {
		d.md5 = md5.New() //nolint:gosec // see above
	}
	if c != nil {
		d.sum = newHash(c.Algorithm)
	}
	if d.md5 == nil && d.sum == nil {
		return nil
	}
	return d
}

func (d *digests) write(b []byte) {
	if d.md5 != nil {
		d.md5.Write(b)
	}
	if d.sum != nil {
		d.sum.Write(b)
	}
}

// check compares the digests with the client's claims and returns MD5 and checksum, nil where
// not computed.
func (d *digests) check(contentMD5 []byte, c *Checksum) (md5sum, sum []byte, err error) {
	if d == nil {
		return nil, nil, nil
	}
	if d.md5 != nil {
		md5sum = d.md5.Sum(nil)
		if contentMD5 != nil && string(contentMD5) != string(md5sum) {
			return nil, nil, kind.New(kind.BadDigest, "The Content-MD5 you specified did not match what we received.")
		}
	}
	if d.sum != nil {
		sum = d.sum.Sum(nil)
		if err := checkClaim(c, sum); err != nil {
			return nil, nil, err
		}
	}
	return md5sum, sum, nil
}

func checkClaim(c *Checksum, sum []byte) error {
	if c.Want == nil {
		return nil
	}
	want, err := c.Want()
	if err != nil {
		return err
	}
	if want != "" && want != base64.StdEncoding.EncodeToString(sum) {
		return kind.New(kind.BadDigest, "The %s you specified did not match the calculated checksum.", c.Algorithm)
	}
	return nil
}

// checksumText is the form of the S3 headers.
func checksumText(raw []byte, typ metapb.Checksum_Type, parts uint32) string {
	s := base64.StdEncoding.EncodeToString(raw)
	if typ == metapb.Checksum_COMPOSITE {
		s += "-" + strconv.FormatUint(uint64(parts), 10)
	}
	return s
}

func checksumValue(c *metapb.Checksum, raw []byte) *ChecksumValue {
	return &ChecksumValue{Algorithm: c.Algorithm, Type: c.Type, Value: checksumText(raw, c.Type, c.Parts)}
}

// parseChecksum takes the raw value from base64, without a "-N".
func parseChecksum(a metapb.Checksum_Algorithm, text string) ([]byte, error) {
	text, _, _ = strings.Cut(text, "-")
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) != checksumLen(a) {
		return nil, kind.New(kind.InvalidRequest, "Value for x-amz-checksum-%s header is invalid.", strings.ToLower(a.String()))
	}
	return raw, nil
}

// composite is the checksum of the parts' checksums.
func composite(a metapb.Checksum_Algorithm, parts [][]byte) []byte {
	h := newHash(a)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// fullObject combines the CRCs of consecutive parts into the CRC of the whole.
func fullObject(a metapb.Checksum_Algorithm, parts [][]byte, sizes []uint64) ([]byte, error) {
	var poly uint64
	var bits int
	switch a {
	case metapb.Checksum_CRC32:
		poly, bits = crc32.IEEE, 32
	case metapb.Checksum_CRC32C:
		poly, bits = crc32.Castagnoli, 32
	case metapb.Checksum_CRC64NVME:
		poly, bits = nvmePolynomial, 64
	default:
		return nil, fmt.Errorf("object: %s cannot be combined over parts", a)
	}
	var crc uint64
	for i, p := range parts {
		crc = combineCRC(poly, crc, bigEndian(p), sizes[i])
	}
	out := binary.BigEndian.AppendUint64(nil, crc)
	return out[8-bits/8:], nil
}

func bigEndian(b []byte) uint64 {
	var v uint64
	for _, x := range b {
		v = v<<8 | uint64(x)
	}
	return v
}
