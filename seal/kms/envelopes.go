package kms

import (
	"context"
	"errors"
	"io"

	"holdfast/seal"
)

// Envelopes makes and opens the envelopes of managed encryption: it asks the right KMS with the
// right context. It is safe for concurrent use.
type Envelopes struct {
	S3      KMS         // of SSE-S3: the built-in one
	KMS     KMS         // of SSE-KMS; nil: there is none
	Buckets *BucketKeys // nil: a bucket key is asked for at each use
	Rand    io.Reader   // of salts and nonces
}

// Place is where an object is: its envelope is bound to the IDs, its context to the names.
type Place struct {
	seal.Binding
	BucketName string
}

// Wrap makes the envelope of an object key. s.KeyID is the master key's name (see Names.ID), but
// for SSE-S3, whose key is the server's.
func (e *Envelopes) Wrap(ctx context.Context, key *seal.ObjectKey, s seal.SSE, p Place) (seal.Managed, error) {
	r := seal.KeyRef{Method: s.Method, KeyID: s.KeyID, Context: s.Context, BucketKey: s.BucketKey}
	if s.Method == seal.SSES3 {
		r = seal.KeyRef{Method: s.Method, KeyID: KeyS3}
	}
	k, c, err := e.ask(r, p)
	if err != nil {
		return seal.Managed{}, err
	}
	var d DataKey
	if r.BucketKey && e.Buckets != nil {
		d, err = e.Buckets.ForWrite(ctx, k, r.KeyID, c)
	} else {
		d, err = k.GenerateDataKey(ctx, r.KeyID, c)
	}
	if err != nil {
		return seal.Managed{}, err
	}
	defer d.Key.Zero()
	r.Blob = d.Blob
	return key.WrapManaged(d.Key, r, p.Binding, e.Rand)
}

// Unwrap opens the envelope of an object: *Error from the KMS, or kind.Damaged from package seal.
func (e *Envelopes) Unwrap(ctx context.Context, m seal.Managed, p Place) (*seal.ObjectKey, error) {
	k, c, err := e.ask(m.KeyRef, p)
	if err != nil {
		return nil, err
	}
	var data *seal.KMSKey
	if m.BucketKey && e.Buckets != nil {
		data, err = e.Buckets.ForRead(ctx, k, m.KeyID, m.Blob, c)
	} else {
		data, err = k.Decrypt(ctx, m.KeyID, m.Blob, c)
	}
	if err != nil {
		return nil, err
	}
	defer data.Zero()
	return seal.UnwrapManaged(m, data, p.Binding)
}

// Rewrap moves an object to the newest version of its master key: a new envelope around the same
// object key. No data is read or written.
func (e *Envelopes) Rewrap(ctx context.Context, m seal.Managed, p Place) (seal.Managed, error) {
	key, err := e.Unwrap(ctx, m, p)
	if err != nil {
		return seal.Managed{}, err
	}
	defer key.Zero()
	return e.Wrap(ctx, key, seal.SSE{Method: m.Method, KeyID: m.KeyID, Context: m.Context, BucketKey: m.BucketKey}, p)
}

// ask finds the KMS of a method, and the context that it is asked with.
func (e *Envelopes) ask(r seal.KeyRef, p Place) (KMS, seal.Context, error) {
	c, err := r.Context.At(p.BucketName, p.Key, r.BucketKey)
	if err != nil {
		return nil, nil, err
	}
	k := e.S3
	if r.Method == seal.SSEKMS {
		k = e.KMS
	}
	switch {
	case r.Method.Header() == "":
		return nil, nil, errors.New("kms: an envelope without a method")
	case k == nil:
		return nil, nil, &Error{Code: Unavailable, Message: "No key management service is configured."}
	}
	return k, c, nil
}
