package fsm

import (
	"bytes"
	"slices"

	"holdfast/internal/kind"
	"holdfast/proto/metapb"
)

// model is what a group should be, said in the plainest way: lists, searched from the front.
// Data without a user is garbage at once; there is no backlog.
type model struct {
	keys    map[string][]*modelVersion // newest first
	uploads map[string]*modelUpload    // by upload ID
	closed  bool
	data    map[string][]string // drives
	garbage map[string]bool
	queue   map[string]bool
}

type modelVersion struct {
	id           string
	null, marker bool
	m            *metapb.Manifest
}

type modelUpload struct {
	key   string
	u     *metapb.Upload
	parts map[uint32]*metapb.Part
}

func newModel() *model {
	return &model{keys: map[string][]*modelVersion{}, uploads: map[string]*modelUpload{}, data: map[string][]string{},
		garbage: map[string]bool{}, queue: map[string]bool{}}
}

func (m *model) users(d string) (n int) {
	for _, vs := range m.keys {
		for _, v := range vs {
			for _, p := range v.m.GetParts() {
				if string(p.DataId) == d {
					n++
				}
			}
		}
	}
	for _, u := range m.uploads {
		for _, p := range u.parts {
			if string(p.DataId) == d {
				n++
			}
		}
	}
	return n
}

func (m *model) collect() {
	for d := range m.data {
		if m.users(d) == 0 {
			delete(m.data, d)
			delete(m.queue, d)
			m.garbage[d] = true
		}
	}
}

func (m *model) known(parts ...*metapb.Part) bool {
	return slices.ContainsFunc(parts, func(p *metapb.Part) bool {
		return len(p.DataId) > 0 && (m.data[string(p.DataId)] != nil || m.garbage[string(p.DataId)])
	})
}

func (m *model) take(parts ...*metapb.Part) {
	for _, p := range parts {
		if len(p.DataId) == 0 {
			continue
		}
		d := string(p.DataId)
		for _, drive := range p.Placement.Drives {
			if noDrive(drive) {
				drive = nil
				m.queue[d] = true
			}
			m.data[d] = append(m.data[d], string(drive))
		}
	}
}

func (m *model) apply(cmd *metapb.Command) kind.Kind {
	defer m.collect()
	switch op := cmd.Op.(type) {
	case *metapb.Command_PutVersion:
		return m.put(cmd.Key, op.PutVersion)
	case *metapb.Command_DeleteVersion:
		return m.remove(cmd.Key, op.DeleteVersion)
	case *metapb.Command_CreateUpload:
		if m.closed {
			return kind.NoSuchBucket
		}
		u := op.CreateUpload.Upload
		if m.uploads[string(u.UploadId)] == nil {
			m.uploads[string(u.UploadId)] = &modelUpload{cmd.Key, u, map[uint32]*metapb.Part{}}
		}
	case *metapb.Command_PutPart:
		return m.putPart(cmd.Key, op.PutPart)
	case *metapb.Command_CompleteUpload:
		return m.complete(cmd.Key, op.CompleteUpload)
	case *metapb.Command_AbortUpload:
		if m.upload(cmd.Key, op.AbortUpload.UploadId) == nil {
			return kind.NoSuchUpload
		}
		delete(m.uploads, string(op.AbortUpload.UploadId))
	case *metapb.Command_CloseBucket:
		for _, vs := range m.keys {
			if len(vs) > 0 {
				return kind.BucketNotEmpty
			}
		}
		m.closed = true
		if !op.CloseBucket.KeepUploads {
			clear(m.uploads)
		}
	case *metapb.Command_OpenBucket:
		m.closed = false
	case *metapb.Command_SwapDrives:
		return m.swap(op.SwapDrives)
	case *metapb.Command_AckGarbage:
		for _, d := range op.AckGarbage.DataIds {
			delete(m.garbage, string(d))
		}
	case *metapb.Command_AckRepair:
		for _, d := range op.AckRepair.DataIds {
			delete(m.queue, string(d))
		}
	case *metapb.Command_QueueRepair:
		for _, d := range op.QueueRepair.DataIds {
			if m.data[string(d)] != nil {
				m.queue[string(d)] = true
			}
		}
	}
	return 0
}

func (m *model) find(key string, match func(*modelVersion) bool) *modelVersion {
	if i := slices.IndexFunc(m.keys[key], match); i >= 0 {
		return m.keys[key][i]
	}
	return nil
}

func (m *model) byID(key string, id []byte) *modelVersion {
	return m.find(key, func(v *modelVersion) bool { return v.id == string(id) })
}

func isNull(v *modelVersion) bool { return v.null }

func (m *model) top(key string) *modelVersion {
	return m.find(key, func(*modelVersion) bool { return true })
}

func (m *model) drop(key string, v *modelVersion) {
	if v != nil {
		m.keys[key] = slices.DeleteFunc(m.keys[key], func(w *modelVersion) bool { return w == v })
	}
}

func (m *model) push(key string, v *modelVersion, mode metapb.Versioning) {
	v.null = mode != metapb.Versioning_ENABLED
	if v.null {
		m.drop(key, m.find(key, isNull))
	}
	m.keys[key] = slices.Insert(m.keys[key], 0, v)
}

func (m *model) condition(c *metapb.Condition, v *modelVersion) kind.Kind {
	if c == nil {
		return 0
	}
	if len(c.IfVersion) > 0 && (v == nil || v.id != string(c.IfVersion)) {
		return kind.Conflict
	}
	if v == nil || v.marker {
		if c.IfMatch != "" {
			return kind.NoSuchKeyCondition
		}
		return 0
	}
	ok := (c.IfMatch == "" || c.IfMatch == "*" || c.IfMatch == v.m.Etag) &&
		(c.IfNoneMatch == "" || c.IfNoneMatch != "*" && c.IfNoneMatch != v.m.Etag) &&
		(c.IfModifiedMs == 0 || c.IfModifiedMs/1000 == v.m.ModifiedMs/1000) &&
		(c.IfSize == 0 || uint64(c.IfSize) == v.m.Size+1)
	if !ok {
		return kind.PreconditionFailed
	}
	return 0
}

func (m *model) put(key string, c *metapb.PutVersion) kind.Kind {
	if m.closed {
		return kind.NoSuchBucket
	}
	if m.byID(key, c.Manifest.VersionId) != nil {
		return 0
	}
	if k := m.condition(c.Condition, m.top(key)); k != 0 {
		return k
	}
	rec := c.Manifest
	if len(c.ShareFrom) > 0 {
		lender := m.byID(key, c.ShareFrom)
		if lender == nil {
			return kind.Conflict
		}
		if lender.marker {
			return kind.InvalidArgument
		}
		rec = &metapb.Manifest{VersionId: rec.VersionId, Etag: rec.Etag, Size: lender.m.Size, ModifiedMs: rec.ModifiedMs, Parts: lender.m.Parts, Envelope: rec.Envelope}
	} else {
		if m.known(rec.Parts...) {
			return kind.Conflict
		}
		m.take(rec.Parts...)
	}
	m.push(key, &modelVersion{id: string(rec.VersionId), m: rec}, c.Versioning)
	return 0
}

func (m *model) remove(key string, c *metapb.DeleteVersion) kind.Kind {
	if m.closed {
		return kind.NoSuchBucket
	}
	if len(c.VersionId) > 0 || c.NullVersion {
		v := m.byID(key, c.VersionId)
		if c.NullVersion {
			v = m.find(key, isNull)
		}
		if k := m.condition(c.Condition, v); k != 0 {
			return k
		}
		m.drop(key, v)
		return 0
	}
	top := m.top(key)
	if m.byID(key, c.MarkerId) != nil {
		return 0
	}
	if k := m.condition(c.Condition, top); k != 0 {
		return k
	}
	if c.Versioning == metapb.Versioning_UNVERSIONED {
		if top == nil {
			return 0
		}
		if top.null && len(m.keys[key]) == 1 {
			m.drop(key, top)
			return 0
		}
	}
	m.push(key, &modelVersion{id: string(c.MarkerId), marker: true}, c.Versioning)
	return 0
}

func (m *model) upload(key string, upload []byte) *modelUpload {
	if u := m.uploads[string(upload)]; u != nil && u.key == key {
		return u
	}
	return nil
}

func (m *model) putPart(key string, c *metapb.PutPart) kind.Kind {
	if m.closed {
		return kind.NoSuchBucket
	}
	u := m.upload(key, c.UploadId)
	if u == nil {
		return kind.NoSuchUpload
	}
	if old := u.parts[c.Part.Number]; old != nil && bytes.Equal(old.StreamId, c.Part.StreamId) {
		return 0
	}
	if m.known(c.Part) {
		return kind.Conflict
	}
	m.take(c.Part)
	u.parts[c.Part.Number] = c.Part
	return 0
}

func (m *model) complete(key string, c *metapb.CompleteUpload) kind.Kind {
	if m.closed {
		return kind.NoSuchBucket
	}
	u := m.upload(key, c.UploadId)
	if u == nil {
		v := m.byID(key, c.VersionId)
		if v == nil || v.marker || len(v.m.Parts) != len(c.Parts) {
			return kind.NoSuchUpload
		}
		for i, p := range v.m.Parts {
			if p.Number != c.Parts[i].Number || p.Etag != c.Parts[i].Etag {
				return kind.NoSuchUpload
			}
		}
		return 0
	}
	rec := &metapb.Manifest{VersionId: u.u.VersionId, ModifiedMs: 1000, Etag: c.Etag, Envelope: u.u.Envelope, Multipart: true}
	for i, want := range c.Parts {
		p := u.parts[want.Number]
		switch {
		case p == nil || p.Etag != want.Etag:
			return kind.InvalidPart
		case len(want.StreamId) > 0 && !bytes.Equal(want.StreamId, p.StreamId):
			return kind.Conflict
		case p.Size < c.MinPartSize && i < len(c.Parts)-1:
			return kind.EntityTooSmall
		}
		rec.Size += p.Size
		rec.Parts = append(rec.Parts, p)
	}
	if k := m.condition(c.Condition, m.top(key)); k != 0 {
		return k
	}
	delete(m.uploads, string(c.UploadId))
	m.push(key, &modelVersion{id: string(rec.VersionId), m: rec}, c.Versioning)
	return 0
}

func (m *model) swap(c *metapb.SwapDrives) kind.Kind {
	drives := m.data[string(c.DataId)]
	if drives == nil {
		return kind.NotFound
	}
	drives = slices.Clone(drives)
	lost := false
	for _, w := range c.Swaps {
		if drives[w.Index] != string(w.From) && drives[w.Index] != string(w.To) {
			return kind.Conflict
		}
		drives[w.Index] = string(w.To)
		lost = lost || len(w.To) == 0
	}
	m.data[string(c.DataId)] = drives
	if lost {
		m.queue[string(c.DataId)] = true
	}
	return 0
}
