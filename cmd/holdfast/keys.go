package main

import (
	"crypto/rand"
	"time"

	"holdfast/object"
	"holdfast/seal"
	"holdfast/seal/kms"
)

// homeAccount stands in ARNs: everything belongs to one account.
const homeAccount = "000000000000"

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

// keyNames are the names of master keys as clients see them.
func (c *Config) keyNames() kms.Names { return kms.Names{Region: c.Region, Account: homeAccount} }
