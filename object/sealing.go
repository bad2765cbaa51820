package object

import (
	"context"
	"fmt"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/proto/metapb"
	"holdfast/seal"
	"holdfast/seal/kms"
)

// Keys makes and opens envelopes of objects whose keys the server keeps; *kms.Envelopes does.
type Keys interface {
	Wrap(ctx context.Context, key *seal.ObjectKey, s seal.SSE, p kms.Place) (seal.Managed, error)
	Unwrap(ctx context.Context, m seal.Managed, p kms.Place) (*seal.ObjectKey, error)
}

// sealing is how a new object is to be encrypted. The zero sealing is not at all.
type sealing struct {
	customer *seal.CustomerKey
	sse      seal.SSE
}

func (s sealing) none() bool { return s.customer == nil && s.sse.Method == 0 }

// same reports whether an object that is sealed as m is would be sealed by the same kind of key.
func (s sealing) same(env *metapb.Envelope) bool {
	return s.none() == (env == nil) && seal.Method(env.GetMethod()) == s.sse.Method
}

func (t target) place(v id.Version) kms.Place {
	return kms.Place{Binding: seal.Binding{Bucket: t.bucket, Key: t.key, Version: v}, BucketName: t.name}
}

// newEnvelope draws an object key and wraps it for a version. For a plain object both are nil.
func (e *Engine) newEnvelope(ctx context.Context, s sealing, t target, v id.Version) (*seal.ObjectKey, *metapb.Envelope, error) {
	if s.none() {
		return nil, nil, nil
	}
	key, err := seal.NewObjectKey(e.cfg.Rand)
	if err != nil {
		return nil, nil, err
	}
	env, err := e.wrap(ctx, key, s, t, v)
	if err != nil {
		key.Zero()
		return nil, nil, err
	}
	return key, env, nil
}

func (e *Engine) wrap(ctx context.Context, key *seal.ObjectKey, s sealing, t target, v id.Version) (*metapb.Envelope, error) {
	if s.customer == nil {
		if e.cfg.Keys == nil {
			return nil, errNoKeys()
		}
		m, err := e.cfg.Keys.Wrap(ctx, key, s.sse, t.place(v))
		if err != nil {
			return nil, err
		}
		return &metapb.Envelope{Version: m.Version, Salt: m.Salt, WrappedKey: m.WrappedKey, Commitment: m.Commitment,
			Method: uint32(m.Method), KmsKeyId: m.KeyID, KmsBlob: m.Blob, KmsContext: m.Context.Canonical(), BucketKey: m.BucketKey}, nil
	}
	env, err := key.Wrap(s.customer, t.place(v).Binding, e.cfg.Rand)
	if err != nil {
		return nil, err
	}
	return &metapb.Envelope{Version: env.Version, Salt: env.Salt, WrappedKey: env.WrappedKey, Commitment: env.Commitment}, nil
}

func errNoKeys() error {
	return kind.New(kind.Unbuilt, "Encryption with keys of the server is not set up here")
}

// unlock opens a version's envelope: with the customer's key, by the rows of the SSE-C table for reads, or with the
// key that the server keeps. The object's key is nil for a plain object.
func (e *Engine) unlock(ctx context.Context, env *metapb.Envelope, c *seal.CustomerKey, t target, version []byte) (*seal.ObjectKey, error) {
	managed := env.GetMethod() != 0
	switch {
	case env == nil && c == nil:
		return nil, nil
	case (env == nil || managed) && c != nil:
		return nil, kind.New(kind.SSECNotApplicable, "The encryption parameters are not applicable to this object.")
	case c == nil && !managed:
		return nil, kind.New(kind.SSECRequired, "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object.")
	}
	v, err := id.FromBytes[id.Version](version)
	if err != nil {
		return nil, kind.Wrap(kind.Damaged, err, "a manifest's version ID")
	}
	if managed {
		return e.unlockManaged(ctx, env, t, v)
	}
	return seal.Unwrap(seal.Envelope{Version: env.Version, Salt: env.Salt, WrappedKey: env.WrappedKey, Commitment: env.Commitment}, c, t.place(v).Binding)
}

func (e *Engine) unlockManaged(ctx context.Context, env *metapb.Envelope, t target, v id.Version) (*seal.ObjectKey, error) {
	if e.cfg.Keys == nil {
		return nil, errNoKeys()
	}
	pairs, err := seal.DecodeContext(env.KmsContext)
	if err != nil {
		return nil, err
	}
	return e.cfg.Keys.Unwrap(ctx, seal.Managed{
		Version: env.Version, Salt: env.Salt, WrappedKey: env.WrappedKey, Commitment: env.Commitment,
		KeyRef: seal.KeyRef{Method: seal.Method(env.Method), KeyID: env.KmsKeyId, Blob: env.KmsBlob, Context: pairs, BucketKey: env.BucketKey},
	}, t.place(v))
}

// sseOf is what an envelope says to clients. Its context is nobody's business.
func sseOf(env *metapb.Envelope) seal.SSE {
	if env.GetMethod() == 0 {
		return seal.SSE{}
	}
	s := seal.SSE{Method: seal.Method(env.Method), BucketKey: env.BucketKey}
	if s.Method == seal.SSEKMS {
		s.KeyID = env.KmsKeyId
	}
	return s
}

// sealedByCustomer reports whether an envelope opens with a customer's key only.
func sealedByCustomer(env *metapb.Envelope) bool { return env != nil && env.Method == 0 }

// showsMD5 reports whether the ETag of what is sealed so is the MD5 of the plaintext: as on AWS, that of SSE-S3 is.
func showsMD5(env *metapb.Envelope) bool {
	return env == nil || seal.Method(env.Method) == seal.SSES3
}

// unlockUpload is unlock for the parts of an upload, whose rows of the table differ.
func (e *Engine) unlockUpload(ctx context.Context, u *metapb.Upload, c *seal.CustomerKey, t target) (*seal.ObjectKey, error) {
	key, err := e.unlock(ctx, u.Envelope, c, t, u.VersionId)
	switch kind.Of(err) {
	case kind.SSECNotApplicable, kind.SSECRequired:
		return nil, kind.New(kind.SSECPartRequired, "The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate encryption parameters.")
	case kind.SSECWrongKey:
		return nil, kind.New(kind.SSECPartMismatch, "The provided encryption parameters did not match the ones used originally.")
	}
	return key, err
}

// dataKey opens a part's data key; nil for plain objects.
func dataKey(key *seal.ObjectKey, p *metapb.Part) (*seal.DataKey, [16]byte, error) {
	if len(p.StreamId) != id.Size {
		return nil, [16]byte{}, kind.New(kind.Damaged, "part %d has no stream ID", p.Number)
	}
	stream := [16]byte(p.StreamId)
	if key == nil {
		return nil, stream, nil
	}
	k, err := key.OpenDataKey(p.WrappedKey, p.Number, stream)
	if err != nil {
		return nil, stream, kind.Wrap(kind.Damaged, err, "the sealed key of part %d", p.Number)
	}
	return k, stream, nil
}

// objectSum opens an object's checksum: nil without one, or when it is sealed and key is nil.
func objectSum(c *metapb.Checksum, key *seal.ObjectKey) ([]byte, error) {
	switch {
	case c == nil || c.Algorithm == metapb.Checksum_NONE:
		return nil, nil
	case len(c.Sealed) == 0:
		return c.Value, nil
	case key == nil:
		return nil, nil
	}
	return openedSum(key.OpenSmall(checksumLabel, c.Sealed))
}

// partSum opens a part's checksum: nil without one, or when it is sealed and key is nil.
func partSum(p *metapb.Part, key *seal.ObjectKey) ([]byte, error) {
	c := p.Checksum
	switch {
	case c == nil || len(c.Sealed) > 0 && key == nil:
		return nil, nil
	case len(c.Sealed) == 0:
		return c.Value, nil
	}
	k, _, err := dataKey(key, p)
	if err != nil {
		return nil, err
	}
	defer k.Zero()
	return openedSum(k.OpenSmall(checksumLabel, c.Sealed))
}

func openedSum(sum []byte, err error) ([]byte, error) {
	if err != nil {
		return nil, kind.Wrap(kind.Damaged, fmt.Errorf("object: %w", err), "a sealed checksum")
	}
	return sum, nil
}
