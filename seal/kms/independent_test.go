package kms_test

// A second reader of all that the built-in KMS keeps, written from the packages' documentation and on
// nothing but AES-GCM and HMAC: from the cluster's secret to an object key. It imports nothing of
// package kms or seal.

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
)

var errIndependent = errors.New("independent: does not open")

func indHKDF(secret, salt []byte, n int, info string) (okm []byte) {
	mac := func(key, data []byte) []byte {
		m := hmac.New(sha256.New, key)
		m.Write(data)
		return m.Sum(nil)
	}
	prk := mac(append([]byte(nil), salt...), secret)
	for t, i := []byte(nil), byte(1); len(okm) < n; i++ {
		t = mac(prk, append(append(t, info...), i))
		okm = append(okm, t...)
	}
	return okm[:n]
}

func indLP(fields ...string) (out string) {
	for _, f := range fields {
		out += string(binary.BigEndian.AppendUint32(nil, uint32(len(f)))) + f
	}
	return out
}

func indGCM(key, nonce, text, aad []byte) ([]byte, error) {
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

func indUnwrap(parent, wrapped []byte, domain, name string, version, aad []byte) ([]byte, error) {
	if len(wrapped) != 80 {
		return nil, errIndependent
	}
	okm := indHKDF(parent, wrapped[:32], 44, indLP(domain, name, string(version)))
	return indGCM(okm[:32], okm[32:], wrapped[32:], aad)
}

// indMaster finds the version of a master key in its record.
func indMaster(clusterSecret, record, version []byte) (name string, master []byte, err error) {
	if len(record) < 13 || record[0] != 1 || len(record) < 13+int(record[2]) || record[1] != 1 {
		return "", nil, errIndependent
	}
	name = string(record[3 : 3+record[2]])
	wrapper := indHKDF(clusterSecret, nil, 32, "holdfast/cluster/v1/kms/master-keys/v1")
	for v := record[13+len(name):]; len(v) >= 92; v = v[92:] {
		if string(v[:4]) == string(version) {
			master, err = indUnwrap(wrapper, v[12:92], "holdfast/kms-master-key/v1", name, v[:4], nil)
			return name, master, err
		}
	}
	return "", nil, errIndependent
}

func indBlob(clusterSecret, record, blob, context []byte) ([]byte, error) {
	if len(blob) != 85 || blob[0] != 1 {
		return nil, errIndependent
	}
	name, master, err := indMaster(clusterSecret, record, blob[1:5])
	if err != nil {
		return nil, err
	}
	return indUnwrap(master, blob[5:], "holdfast/kms-data-key/v1", name, blob[1:5], context)
}

func indEnvelope(data, salt, wrapped, commitment []byte, domain string, fields ...string) ([]byte, error) {
	okm := indHKDF(data, salt, 64, indLP(append([]string{domain}, fields...)...))
	if !hmac.Equal(okm[32:], commitment) || len(wrapped) != 60 {
		return nil, errIndependent
	}
	return indGCM(okm[:32], wrapped[:12], wrapped[12:], []byte(domain))
}
