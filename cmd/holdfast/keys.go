package main

import (
	"crypto/rand"
	"time"

	"holdfast/object"
	"holdfast/seal"
	"holdfast/seal/kms"
)

// openKeys makes the KMS whose master keys lie in the metadata, wrapped under the cluster's secret.
func (s *server) openKeys(metadata object.Metadata) (*kms.Envelopes, error) {
	guarded := seal.Guard(rand.Reader)
	builtin, err := kms.NewBuiltin(kms.Config{Secret: s.cfg.Secret, Store: object.KeyStore{Metadata: metadata}, Rand: guarded, Now: time.Now})
	if err != nil {
		return nil, err
	}
	s.closeKeys = builtin.Close
	buckets, err := kms.NewBucketKeys(kms.BucketConfig{Now: time.Now})
	if err != nil {
		return nil, err
	}
	return &kms.Envelopes{S3: builtin, KMS: builtin, Buckets: buckets, Rand: guarded}, nil
}

// keyNames are the names of master keys as clients see them: all belong to the first account.
func (c *Config) keyNames(account string) kms.Names {
	return kms.Names{Region: c.Region, Account: account}
}
