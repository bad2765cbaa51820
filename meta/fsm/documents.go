package fsm

import (
	"fmt"

	"holdfast/internal/kind"
	"holdfast/proto/metapb"

	"google.golang.org/protobuf/proto"
)

// Documents are records of the system group that belong to others: users, keys, policies. The group keeps them by
// collection and name, and says when a collection has changed.

// documentKey is that of a document; a collection's name has no byte 0.
func documentKey(collection, name string) []byte {
	return tableKey(tableDocument, []byte(collection), []byte{0}, []byte(name))
}

func collectionKey(collection string) []byte { return tableKey(tableCollection, []byte(collection)) }

func (a *applier) putDocuments(c *metapb.PutDocuments) (*metapb.Result, error) {
	if len(c.Changes) == 0 || len(c.Changes) > maxChanges {
		return nil, refuse(kind.InvalidArgument, "a command changes 1 to %d documents", maxChanges)
	}
	collections, seen, total := map[string]bool{}, map[string]bool{}, 0
	for _, d := range c.Changes {
		if err := a.checkDocument(d); err != nil {
			return nil, err
		}
		key := string(documentKey(d.Collection, d.Name))
		if seen[key] {
			return nil, refuse(kind.InvalidArgument, "document %s/%s is changed twice", d.Collection, d.Name)
		}
		seen[key], collections[d.Collection] = true, true
		total += len(d.Value)
	}
	if total > maxChangeBytes {
		return nil, refuse(kind.EntityTooLarge, "a command writes at most %d bytes of documents", maxChangeBytes)
	}
	for _, d := range c.Changes {
		key := documentKey(d.Collection, d.Name)
		err := error(nil)
		if len(d.Value) == 0 {
			err = a.s.Delete(key)
		} else {
			err = save(a.s, key, &metapb.Document{Collection: d.Collection, Name: d.Name, Value: d.Value, Revision: a.index})
		}
		if err != nil {
			return nil, err
		}
	}
	for _, d := range c.Changes { // in the command's order, so that every replica writes alike
		if collections[d.Collection] {
			delete(collections, d.Collection)
			if err := a.s.Set(collectionKey(d.Collection), sequenceValue(a.index)); err != nil {
				return nil, err
			}
		}
	}
	return &metapb.Result{Revision: a.index}, nil
}

// checkDocument refuses a change that is malformed, or whose condition does not hold.
func (a *applier) checkDocument(d *metapb.DocumentChange) error {
	if err := checkCollection(d.Collection); err != nil {
		return err
	}
	if d.Name == "" || len(d.Name) > maxKeyLen || len(d.Value) > maxDocument {
		return refuse(kind.InvalidArgument, "document: the name has 1 to %d bytes, the value at most %d", maxKeyLen, maxDocument)
	}
	old := &metapb.Document{}
	there, err := load(a.s, documentKey(d.Collection, d.Name), "document", old)
	switch {
	case err != nil:
		return err
	case d.IfAbsent && there:
		return refuse(kind.Exists, "%s/%s is there already", d.Collection, d.Name)
	case d.IfPresent && !there:
		return refuse(kind.NotFound, "there is no %s/%s", d.Collection, d.Name)
	case d.IfRevision != 0 && old.Revision != d.IfRevision:
		return refuse(kind.Conflict, "%s/%s has changed", d.Collection, d.Name)
	}
	return nil
}

func checkCollection(name string) error {
	if name == "" || len(name) > maxNameLen {
		return refuse(kind.InvalidArgument, "the name of a collection has 1 to %d bytes", maxNameLen)
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && c != '-' {
			return refuse(kind.InvalidArgument, "the name of a collection is of small letters and hyphens")
		}
	}
	return nil
}

func listDocuments(r Reader, q *metapb.ListDocuments) (*metapb.Answer, error) {
	if err := checkCollection(q.Collection); err != nil {
		return nil, err
	}
	revision, _, err := loadSequence(r, collectionKey(q.Collection), "collection")
	if err != nil {
		return nil, err
	}
	a := &metapb.Answer{Revision: revision}
	if q.KnownRevision != 0 && q.KnownRevision == revision || q.Limit == 0 {
		return a, nil
	}
	prefix := documentKey(q.Collection, "")
	from := prefix
	if q.After != "" {
		from = append(documentKey(q.Collection, q.After), 0)
	}
	it := r.Iterate(prefix)
	defer it.Close()
	size := 0
	for it.Seek(from); it.Valid(); it.Next() {
		b, err := it.Value()
		if err != nil {
			return nil, fmt.Errorf("fsm: read document: %w", err)
		}
		if len(a.Documents) >= int(min(q.Limit, maxPage)) || len(a.Documents) > 0 && size+len(b) > maxDocumentPage {
			a.Truncated = true
			break
		}
		d := &metapb.Document{}
		if err := proto.Unmarshal(b, d); err != nil {
			return nil, damaged("document", err)
		}
		size += len(b)
		a.Documents = append(a.Documents, d)
	}
	return a, nil
}
