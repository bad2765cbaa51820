package object

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/meta/replica"
	"holdfast/proto/metapb"
	"holdfast/seal"
)

// settleTime bounds the search for what became of a command: an election, and a little more.
const settleTime = 5 * time.Second

// settle finds out, where a read can tell, whether a command took effect whose answer was lost with
// the node that had it. Only what is found counts: a command that is not there may have been undone
// since by another, or be on its way still. So the error stays, unless the work is there, or the
// command is one that takes effect once however often it is said.
func (e *Engine) settle(ctx context.Context, t target, cmd *metapb.Command, err error) (*metapb.Result, error) {
	var u *replica.UnknownError
	if !errors.As(err, &u) || ctx.Err() != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	switch op := cmd.Op.(type) {
	case *metapb.Command_PutVersion:
		q := &metapb.GetVersion{VersionId: op.PutVersion.Manifest.VersionId, WithoutParts: true}
		a, lookErr := e.ask(ctx, t, &metapb.Query{Op: &metapb.Query_GetVersion{GetVersion: q}})
		if lookErr == nil && a.Manifest != nil {
			return &metapb.Result{Manifest: a.Manifest}, nil
		}
	case *metapb.Command_PutPart:
		p := op.PutPart.Part
		q := &metapb.GetUpload{UploadId: op.PutPart.UploadId, PartNumbers: []uint32{p.Number}}
		a, lookErr := e.ask(ctx, t, &metapb.Query{Op: &metapb.Query_GetUpload{GetUpload: q}})
		if lookErr == nil && len(a.Parts) == 1 && bytes.Equal(a.Parts[0].StreamId, p.StreamId) {
			return &metapb.Result{}, nil
		}
	case *metapb.Command_AbortUpload:
		return e.cfg.Metadata.Apply(ctx, t.group, cmd) // that it is gone is an answer too
	case *metapb.Command_CreateUpload, *metapb.Command_CompleteUpload:
		// Said twice they take effect once: an upload ends once, and nobody knows it before its creation
		// is answered. A refusal tells nothing of the first attempt.
		if res, again := e.cfg.Metadata.Apply(ctx, t.group, cmd); again == nil {
			return res, nil
		}
	}
	return nil, err
}

// ask asks about a key.
func (e *Engine) ask(ctx context.Context, t target, q *metapb.Query) (*metapb.Answer, error) {
	q.Bucket, q.Key = t.bucket[:], t.key
	return e.cfg.Metadata.Ask(ctx, t.group, q)
}

// completedBefore answers a completion that is asked for again: the upload is no more, but the
// version that it became is there (it has the upload's ID), and has the parts that are named.
func (e *Engine) completedBefore(ctx context.Context, t target, r CompleteRequest) (PutResult, error) {
	upload, err := id.Parse[id.Upload](r.UploadID)
	if err != nil {
		return PutResult{}, errNoSuchUpload()
	}
	// Placements are not needed; 1 has but the first part's looked up.
	a, err := e.ask(ctx, t, &metapb.Query{Op: &metapb.Query_GetVersion{GetVersion: &metapb.GetVersion{VersionId: upload[:], PlaceTo: 1}}})
	if kind.Is(err, kind.NoSuchKey) || kind.Is(err, kind.NoSuchVersion) {
		return PutResult{}, errNoSuchUpload()
	}
	if err != nil {
		return PutResult{}, err
	}
	m := a.Manifest
	same := func(p *metapb.Part, named CompletePart) bool {
		return int(p.Number) == named.Number && p.Etag == named.ETag
	}
	if !m.GetMultipart() || !slices.EqualFunc(m.Parts, r.Parts, same) {
		return PutResult{}, errNoSuchUpload()
	}
	var key *seal.ObjectKey
	if r.Customer != nil || m.Envelope.GetMethod() != 0 {
		if key, err = e.unlockUpload(ctx, &metapb.Upload{Envelope: m.Envelope, VersionId: m.VersionId}, r.Customer, t); err != nil {
			return PutResult{}, err
		}
		defer key.Zero()
	}
	sum, err := objectSum(m.Checksum, key)
	if err != nil {
		return PutResult{}, err
	}
	out := putResult(m, sum)
	out.VersionID = newVersionText(m, t.versioning)
	return out, nil
}
