package object

import (
	"fmt"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/proto/metapb"
	"holdfast/seal"
)

// newEnvelope draws an object key and wraps it for a version. Without a customer key both are nil.
func (e *Engine) newEnvelope(c *seal.CustomerKey, t target, v id.Version) (*seal.ObjectKey, *metapb.Envelope, error) {
	if c == nil {
		return nil, nil, nil
	}
	key, err := seal.NewObjectKey(e.cfg.Rand)
	if err != nil {
		return nil, nil, err
	}
	env, err := e.wrap(key, c, t, v)
	return key, env, err
}

func (e *Engine) wrap(key *seal.ObjectKey, c *seal.CustomerKey, t target, v id.Version) (*metapb.Envelope, error) {
	env, err := key.Wrap(c, seal.Binding{Bucket: t.bucket, Key: t.key, Version: v}, e.cfg.Rand)
	if err != nil {
		return nil, err
	}
	return &metapb.Envelope{Version: env.Version, Salt: env.Salt, WrappedKey: env.WrappedKey, Commitment: env.Commitment}, nil
}

// unlock checks the customer's key against a version's envelope: the rows of the SSE-C table for
// reads. The key is nil for a plain object.
func unlock(env *metapb.Envelope, c *seal.CustomerKey, t target, version []byte) (*seal.ObjectKey, error) {
	switch {
	case env == nil && c == nil:
		return nil, nil
	case env == nil:
		return nil, kind.New(kind.SSECNotApplicable, "The encryption parameters are not applicable to this object.")
	case c == nil:
		return nil, kind.New(kind.SSECRequired, "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object.")
	}
	v, err := id.FromBytes[id.Version](version)
	if err != nil {
		return nil, kind.Wrap(kind.Damaged, err, "a manifest's version ID")
	}
	return seal.Unwrap(seal.Envelope{Version: env.Version, Salt: env.Salt, WrappedKey: env.WrappedKey, Commitment: env.Commitment},
		c, seal.Binding{Bucket: t.bucket, Key: t.key, Version: v})
}

// unlockUpload is unlock for the parts of an upload, whose rows of the table differ.
func unlockUpload(u *metapb.Upload, c *seal.CustomerKey, t target) (*seal.ObjectKey, error) {
	key, err := unlock(u.Envelope, c, t, u.VersionId)
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

func openedSum(sum []byte, err error) ([]byte, error) {
	if err != nil {
		return nil, kind.Wrap(kind.Damaged, fmt.Errorf("object: %w", err), "a sealed checksum")
	}
	return sum, nil
}
