package access

import (
	"context"
	"encoding/json"
	"time"

	"holdfast/meta"
	"holdfast/proto/metapb"
)

const (
	// usageEvery is the number of polls between two looks at which keys were used.
	usageEvery = 60
	// usageGrain is how much later a use must be than the one that was written down.
	usageGrain = 15 * time.Minute
	// usageBatch bounds the documents of one command; the rest waits for the next look.
	usageBatch = 50
)

// LastUse is when a key was last used, to a quarter of an hour.
type LastUse struct {
	At   time.Time // zero: never
	What string    // service/region
}

// useOf is the note of a key, which outlives snapshots.
func (s *Store) useOf(accessKey string) *use {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.uses[accessKey]
	if u == nil {
		u = &use{}
		s.uses[accessKey] = u
	}
	return u
}

func (u *use) last() (LastUse, bool) {
	at, what := u.at.Load(), u.what.Load()
	if at == 0 || what == nil {
		return LastUse{}, false
	}
	return LastUse{time.Unix(at, 0).UTC(), *what}, true
}

// saveUsage writes down which keys were used here. Nothing depends on it: an error waits for the next time.
func (s *Store) saveUsage(ctx context.Context) {
	st := s.state.Load()
	if st == nil {
		return
	}
	var changes []*metapb.DocumentChange
	s.mu.Lock()
	for name, u := range s.uses {
		if _, there := st.tables[tableKeys].docs[name]; !there {
			delete(s.uses, name)
			delete(s.told, name)
			continue
		}
		l, ok := u.last()
		if !ok || l.At.Unix()-s.told[name] < int64(usageGrain/time.Second) || len(changes) == usageBatch {
			continue
		}
		if b, err := json.Marshal(usageDoc(l)); err == nil {
			changes = append(changes, &metapb.DocumentChange{Collection: usageCollection, Name: name, Value: b})
			s.told[name] = l.At.Unix()
		}
	}
	s.mu.Unlock()
	if len(changes) == 0 {
		return
	}
	_, err := s.cfg.Metadata.Apply(ctx, meta.SystemGroup, &metapb.Command{Op: &metapb.Command_PutDocuments{PutDocuments: &metapb.PutDocuments{Changes: changes}}})
	if err != nil {
		s.cfg.Logger.Debug("when keys were used could not be written down", "error", err)
	}
}

// LastUsed is when a key was last used on any front, as far as that is written down.
func (s *Store) LastUsed(ctx context.Context, accessKey string) (LastUse, error) {
	var found LastUse
	if accessKey == "" {
		return found, nil
	}
	q := &metapb.ListDocuments{Collection: usageCollection, After: accessKey[:len(accessKey)-1], Limit: pageSize}
	if q.After == "" {
		return found, nil
	}
	a, err := s.ask(ctx, q)
	if err != nil {
		return found, err
	}
	for _, d := range a.Documents {
		if d.Name == accessKey {
			var u usageDoc
			if json.Unmarshal(d.Value, &u) == nil {
				found = LastUse(u)
			}
		}
	}
	s.mu.Lock()
	u := s.uses[accessKey]
	s.mu.Unlock()
	if u != nil {
		if here, ok := u.last(); ok && here.At.After(found.At) {
			found = here
		}
	}
	return found, nil
}
