package seal_test

// A second reader of the format, written from doc.go and on nothing but AES-GCM and HMAC. It imports
// nothing of package seal: what it opens was sealed as documented.

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
)

var errIndependent = errors.New("independent: does not open")

func indHMAC(key, data []byte) []byte {
	m := hmac.New(sha256.New, key)
	m.Write(data)
	return m.Sum(nil)
}

func indExpand(prk []byte, n int, fields ...string) (okm []byte) {
	var info []byte
	for _, f := range fields {
		info = append(binary.BigEndian.AppendUint32(info, uint32(len(f))), f...)
	}
	for t, i := []byte(nil), byte(1); len(okm) < n; i++ {
		t = indHMAC(prk, append(append(t, info...), i))
		okm = append(okm, t...)
	}
	return okm[:n]
}

func indOpen(key, nonce, text, aad []byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return gcm.Open(nil, nonce, text, aad)
}

func indEnvelope(customer, salt, wrapped, commitment []byte, bucket, key, version string) ([]byte, error) {
	okm := indExpand(indHMAC(salt, customer), 64, "holdfast/sse-c/v1", bucket, key, version)
	if !hmac.Equal(okm[32:], commitment) || len(wrapped) != 60 {
		return nil, errIndependent
	}
	return indOpen(okm[:32], wrapped[:12], wrapped[12:], []byte("holdfast/sse-c/v1"))
}

// indManaged opens a managed envelope; context is as it is stored.
func indManaged(method uint32, data, salt, wrapped, commitment []byte, bucketKey bool, bound ...string) ([]byte, error) {
	domain := map[uint32]string{1: "holdfast/sse-s3/v1", 2: "holdfast/sse-kms/v1"}[method]
	flag := "\x00"
	if bucketKey {
		flag = "\x01"
	}
	okm := indExpand(indHMAC(salt, data), 64, append(append([]string{domain}, bound...), flag)...)
	if domain == "" || !hmac.Equal(okm[32:], commitment) || len(wrapped) != 60 {
		return nil, errIndependent
	}
	return indOpen(okm[:32], wrapped[:12], wrapped[12:], []byte(domain))
}

func indDataKey(object, wrapped []byte, part uint32, stream string) ([]byte, error) {
	if len(wrapped) != 61 || wrapped[0] != 1 {
		return nil, errIndependent
	}
	aad := append(binary.BigEndian.AppendUint32([]byte{1}, part), stream...)
	return indOpen(indExpand(object, 32, "holdfast/data-key-wrap/v1"), wrapped[1:13], wrapped[13:], aad)
}

func indStream(data, text []byte, stream string, size int) (plain []byte, err error) {
	key, aad := indExpand(data, 32, "holdfast/stream/v1", stream), append([]byte{1}, stream...)
	for n := uint64(0); ; n++ {
		nonce := append(binary.BigEndian.AppendUint64(make([]byte, 3), n), 0)
		take := 65536 + 16
		if rest := size - len(plain); rest <= 65536 {
			nonce[11], take = 1, rest+16
		}
		if len(text) < take {
			return nil, errIndependent
		}
		chunk, err := indOpen(key, nonce, text[:take], aad)
		if err != nil {
			return nil, err
		}
		if plain, text = append(plain, chunk...), text[take:]; nonce[11] == 1 {
			break
		}
	}
	if len(text) > 0 {
		return nil, errIndependent
	}
	return plain, nil
}

func indSmall(key, sealed []byte, label string) ([]byte, error) {
	if len(sealed) < 29 || sealed[0] != 1 {
		return nil, errIndependent
	}
	return indOpen(indExpand(key, 64, "holdfast/small/v1", label)[:32], sealed[1:13], sealed[13:], sealed[:1])
}
