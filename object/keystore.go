package object

import (
	"bytes"
	"context"

	"holdfast/internal/kind"
	"holdfast/meta"
	"holdfast/proto/metapb"
)

// keyCollection holds the records of the built-in KMS's master keys.
const keyCollection = "master-keys"

// keyPage is how many records one question asks for.
const keyPage = 200

// KeyStore keeps the records of the built-in KMS as documents of the system group. It is a kms.Store.
type KeyStore struct{ Metadata Metadata }

// Load returns all records.
func (s KeyStore) Load(ctx context.Context) ([][]byte, error) {
	docs, err := s.documents(ctx)
	if err != nil {
		return nil, err
	}
	records := make([][]byte, len(docs))
	for i, d := range docs {
		records[i] = d.Value
	}
	return records, nil
}

func (s KeyStore) documents(ctx context.Context) (docs []*metapb.Document, err error) {
	q := &metapb.ListDocuments{Collection: keyCollection, Limit: keyPage}
	for {
		a, err := s.Metadata.Ask(ctx, meta.SystemGroup, &metapb.Query{Op: &metapb.Query_ListDocuments{ListDocuments: q}})
		if err != nil {
			return nil, err
		}
		docs = append(docs, a.Documents...)
		if !a.Truncated || len(a.Documents) == 0 {
			return docs, nil
		}
		q.After = docs[len(docs)-1].Name
	}
}

// Save writes the record of a name if the one that is there equals old (nil: none is), else kind.Conflict.
func (s KeyStore) Save(ctx context.Context, name string, old, record []byte) error {
	change := &metapb.DocumentChange{Collection: keyCollection, Name: name, Value: record, IfAbsent: old == nil}
	if old != nil {
		docs, err := s.documents(ctx)
		if err != nil {
			return err
		}
		for _, d := range docs {
			if d.Name == name && bytes.Equal(d.Value, old) {
				change.IfRevision = d.Revision
			}
		}
		if change.IfRevision == 0 {
			return kind.New(kind.Conflict, "the record of master key %q has changed", name)
		}
	}
	_, err := s.Metadata.Apply(ctx, meta.SystemGroup, &metapb.Command{Op: &metapb.Command_PutDocuments{PutDocuments: &metapb.PutDocuments{Changes: []*metapb.DocumentChange{change}}}})
	if kind.Is(err, kind.Exists) {
		return kind.Wrap(kind.Conflict, err, "master key %q", name)
	}
	return err
}
