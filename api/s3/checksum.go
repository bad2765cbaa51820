package s3

import (
	"crypto/sha1" //nolint:gosec // a checksum of S3, not a signature
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"hash/crc32"
	"strings"

	"github.com/minio/crc64nvme"

	"holdfast/internal/kind"
	"holdfast/internal/xmlio"
	"holdfast/object"
	"holdfast/proto/metapb"
)

// algorithm is a flexible checksum with its spellings.
type algorithm struct {
	id      metapb.Checksum_Algorithm
	name    string // in headers and XML
	header  string // canonical
	wire    string // on the wire, and in trailers
	element string
	size    int // bytes of the raw value
}

var algorithms = [...]*algorithm{
	{metapb.Checksum_CRC32, "CRC32", "X-Amz-Checksum-Crc32", "x-amz-checksum-crc32", "ChecksumCRC32", 4},
	{metapb.Checksum_CRC32C, "CRC32C", "X-Amz-Checksum-Crc32c", "x-amz-checksum-crc32c", "ChecksumCRC32C", 4},
	{metapb.Checksum_CRC64NVME, "CRC64NVME", "X-Amz-Checksum-Crc64nvme", "x-amz-checksum-crc64nvme", "ChecksumCRC64NVME", 8},
	{metapb.Checksum_SHA1, "SHA1", "X-Amz-Checksum-Sha1", "x-amz-checksum-sha1", "ChecksumSHA1", 20},
	{metapb.Checksum_SHA256, "SHA256", "X-Amz-Checksum-Sha256", "x-amz-checksum-sha256", "ChecksumSHA256", 32},
}

// laterAlgorithms are in S3 and not here.
var laterAlgorithms = []string{"SHA512", "MD5", "XXHASH64", "XXHASH3", "XXHASH128"}

const (
	headerChecksumAlgorithm    = "X-Amz-Checksum-Algorithm"
	headerChecksumType         = "X-Amz-Checksum-Type"
	headerChecksumMode         = "X-Amz-Checksum-Mode"
	headerSDKChecksumAlgorithm = "X-Amz-Sdk-Checksum-Algorithm"
)

func algorithmOf(id metapb.Checksum_Algorithm) *algorithm {
	for i := range algorithms {
		if algorithms[i].id == id {
			return algorithms[i]
		}
	}
	return nil
}

// algorithmNamed finds an algorithm by the value of the header that names it.
func algorithmNamed(name, header string) (*algorithm, error) {
	for i := range algorithms {
		if strings.EqualFold(algorithms[i].name, name) {
			return algorithms[i], nil
		}
	}
	for _, later := range laterAlgorithms {
		if strings.EqualFold(later, name) {
			return nil, unbuilt("The checksum algorithm " + later)
		}
	}
	return nil, badRequest("Value for %s header is invalid.", header)
}

func (a *algorithm) hash() hash.Hash {
	switch a.id {
	case metapb.Checksum_CRC32:
		return crc32.NewIEEE()
	case metapb.Checksum_CRC32C:
		return crc32.New(crc32.MakeTable(crc32.Castagnoli))
	case metapb.Checksum_CRC64NVME:
		return crc64nvme.New()
	case metapb.Checksum_SHA1:
		return sha1.New() //nolint:gosec // see above
	default:
		return sha256.New()
	}
}

// valid reports whether v is the base64 of a value of this algorithm.
func (a *algorithm) valid(v string) bool {
	raw, err := base64.StdEncoding.DecodeString(v)
	return err == nil && len(raw) == a.size
}

// claimed finds the one algorithm of which the request has a value in a header, or declares a
// trailer.
func (c *call) claimed() (a *algorithm, value string, trailer bool, err error) {
	n := 0
	for i := range algorithms {
		if v, ok := c.r.Header[algorithms[i].header]; ok {
			a, value, n = algorithms[i], first(v), n+len(v)
		}
	}
	for _, later := range laterAlgorithms {
		if _, ok := c.r.Header["X-Amz-Checksum-"+later[:1]+strings.ToLower(later[1:])]; ok {
			return nil, "", false, unbuilt("The checksum algorithm " + later)
		}
	}
	for _, t := range c.payload.Trailers {
		n++
		trailer = true
		if a, err = algorithmNamed(strings.TrimPrefix(t, "x-amz-checksum-"), "x-amz-trailer"); err != nil {
			return nil, "", false, err
		}
	}
	if n > 1 {
		return nil, "", false, badRequest("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
	}
	if a != nil && !trailer && !a.valid(value) {
		return nil, "", false, badRequest("Value for %s header is invalid.", a.wire)
	}
	return a, value, trailer, nil
}

// bodyChecksum is what the request claims of its body, nil for nothing. trailers comes from open.
func (c *call) bodyChecksum() (want func(trailers func() map[string]string) *object.Checksum, err error) {
	a, value, trailer, err := c.claimed()
	if err != nil {
		return nil, err
	}
	if name := c.header(headerSDKChecksumAlgorithm); name != "" {
		sdk, err := algorithmNamed(name, "x-amz-sdk-checksum-algorithm")
		switch {
		case err != nil:
			return nil, err
		case a == nil:
			return nil, badRequest("x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.")
		case a != sdk:
			return nil, badRequest("Value for x-amz-sdk-checksum-algorithm header is invalid.")
		}
	}
	return func(trailers func() map[string]string) *object.Checksum {
		if a == nil {
			return nil
		}
		return &object.Checksum{Algorithm: a.id, Type: metapb.Checksum_FULL_OBJECT, Want: func() (string, error) {
			if !trailer {
				return value, nil
			}
			v, ok := trailers()[a.wire]
			if !ok {
				return "", plain(kind.MalformedTrailer)
			}
			if !a.valid(v) {
				return "", badRequest("Value for %s trailing header is invalid.", a.wire)
			}
			return v, nil
		}}
	}, nil
}

// contentMD5 parses Content-MD5: 16 bytes, or nil without one.
func (c *call) contentMD5() ([]byte, error) {
	v, ok := c.r.Header["Content-Md5"]
	if !ok {
		return nil, nil
	}
	sum, err := base64.StdEncoding.DecodeString(first(v))
	if err != nil || len(sum) != 16 {
		return nil, plain(kind.InvalidDigest)
	}
	return sum, nil
}

// echoChecksum puts a stored checksum into the headers.
func echoChecksum(h *headers, v *object.ChecksumValue) {
	if v == nil {
		return
	}
	if a := algorithmOf(v.Algorithm); a != nil {
		h.set(a.wire, v.Value)
		if v.Type != metapb.Checksum_UNSET {
			h.set("x-amz-checksum-type", v.Type.String())
		}
	}
}

// checksum puts a stored checksum into an XML answer.
func writeChecksum(x *xmlio.Writer, v *object.ChecksumValue) {
	if v == nil {
		return
	}
	if a := algorithmOf(v.Algorithm); a != nil {
		x.Elem(a.element, v.Value)
		if v.Type != metapb.Checksum_UNSET {
			x.Elem("ChecksumType", v.Type.String())
		}
	}
}
