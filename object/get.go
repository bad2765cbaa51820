package object

import (
	"context"
	"io"

	"google.golang.org/protobuf/proto"

	"holdfast/erasure/fanout"
	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/proto/metapb"
	"holdfast/seal"
)

// found is a version that a reader may see, with its key opened.
type found struct {
	target
	manifest *metapb.Manifest
	key      *seal.ObjectKey // nil for plain objects
	Info
}

// Head describes a version. The customer's key and the conditions are checked as in Get.
func (e *Engine) Head(ctx context.Context, r GetRequest) (*Reading, error) {
	reading, err := e.open(ctx, r, &metapb.GetVersion{WithoutParts: r.PartNumber == 0})
	if err != nil {
		return reading, err
	}
	reading.Close()
	reading.body = nil
	return reading, nil
}

// Get opens an object or a range of it. Where a condition or the range refuses it (kind.NotModified,
// PreconditionFailed, InvalidRange), or it is a delete marker, a closed Reading beside the error tells the object's Info.
func (e *Engine) Get(ctx context.Context, r GetRequest) (*Reading, error) {
	q := &metapb.GetVersion{}
	if rg := r.Range; rg != nil && !rg.IsSuffix && rg.Last >= rg.First && rg.First >= 0 {
		q.PlaceFrom, q.PlaceTo = uint64(rg.First), uint64(rg.Last)+1
	}
	return e.open(ctx, r, q)
}

func (e *Engine) open(ctx context.Context, r GetRequest, q *metapb.GetVersion) (*Reading, error) {
	f, err := e.find(ctx, r.Bucket, r.Key, r.VersionID, r.Customer, q)
	if err != nil && f.DeleteMarker {
		return &Reading{Info: f.Info}, err
	}
	if err != nil {
		return nil, err
	}
	if err := r.Condition.check(f.Info); err != nil {
		f.key.Zero()
		return &Reading{Info: f.Info}, err
	}
	reading := &Reading{Info: f.Info, Length: f.Size, key: f.key}
	if err := reading.choose(f.manifest, r); err != nil {
		f.key.Zero()
		return &Reading{Info: f.Info}, err
	}
	reading.body = func(ctx context.Context, w io.Writer) (int64, error) {
		return e.stream(ctx, f, reading.First, reading.Length, w)
	}
	return reading, nil
}

// WriteTo sends the selected bytes and returns how many were sent.
func (r *Reading) WriteTo(ctx context.Context, w io.Writer) (int64, error) {
	if r.body == nil {
		return 0, nil
	}
	return r.body(ctx, w)
}

// Close forgets the object's key.
func (r *Reading) Close() { r.key.Zero() }

// choose sets the selected bytes from the request's range or part number.
func (r *Reading) choose(m *metapb.Manifest, q GetRequest) error {
	switch {
	case q.PartNumber > 0:
		return r.choosePart(m, q.PartNumber)
	case q.Range == nil:
		return nil
	}
	first, length, err := q.Range.resolve(r.Size)
	if err != nil {
		return err
	}
	r.First, r.Length, r.Ranged = first, length, true
	return nil
}

func (r *Reading) choosePart(m *metapb.Manifest, number int) error {
	if !m.Multipart {
		if number == 1 {
			r.Ranged = true
			return nil
		}
		return kind.New(kind.InvalidPartNumber, "The requested partnumber is not satisfiable")
	}
	var off int64
	for _, p := range m.Parts {
		if int(p.Number) == number {
			r.First, r.Length, r.Ranged = off, int64(p.Size), true
			return nil
		}
		off += int64(p.Size)
	}
	return kind.New(kind.InvalidPartNumber, "The requested partnumber is not satisfiable")
}

// resolve turns the range into offset and length in an object of size bytes.
func (r *Range) resolve(size int64) (first, length int64, err error) {
	unsatisfiable := kind.New(kind.InvalidRange, "The requested range is not satisfiable")
	if r.IsSuffix {
		if r.Suffix <= 0 || size == 0 {
			return 0, 0, unsatisfiable
		}
		n := min(r.Suffix, size)
		return size - n, n, nil
	}
	if r.First < 0 || r.First >= size {
		return 0, 0, unsatisfiable
	}
	last := size - 1
	if r.Last >= 0 && r.Last < last {
		last = r.Last
	}
	if last < r.First {
		return 0, 0, unsatisfiable
	}
	return r.First, last - r.First + 1, nil
}

// find asks the group for a version and opens its key. Of a delete marker it tells the Info beside the error.
func (e *Engine) find(ctx context.Context, bucket, key, version string, c *seal.CustomerKey, q *metapb.GetVersion) (found, error) {
	t, err := e.target(ctx, bucket, key)
	if err != nil {
		return found{}, err
	}
	m, err := e.version(ctx, t, version, q)
	if err != nil {
		if m != nil {
			return found{Info: infoOf(t, m, nil)}, err
		}
		return found{}, err
	}
	objectKey, err := e.unlock(ctx, m.Envelope, c, t, m.VersionId)
	if err != nil {
		return found{}, err
	}
	sum, err := objectSum(m.Checksum, objectKey)
	if err != nil {
		objectKey.Zero()
		return found{}, err
	}
	return found{target: t, manifest: m, key: objectKey, Info: infoOf(t, m, sum)}, nil
}

// parseVersion takes a version ID of the S3 API.
func parseVersion(s string) (version []byte, null bool, err error) {
	if s == "null" {
		return nil, true, nil
	}
	v, err := id.Parse[id.Version](s)
	if err != nil {
		return nil, false, kind.New(kind.InvalidArgument, "Invalid version id specified")
	}
	return v[:], false, nil
}

func infoOf(t target, m *metapb.Manifest, sum []byte) Info {
	i := Info{
		Bucket: t.name, Key: t.key, Size: int64(m.Size), ETag: m.Etag, Modified: modified(m.ModifiedMs),
		Attributes: Attributes{Headers: m.Headers, Metadata: m.Metadata, StorageClass: m.StorageClass, Tags: m.Tags,
			Protection: protectionOf(m), Owner: m.Owner, ACL: m.Acl},
		Sealed: sealedByCustomer(m.Envelope), SSE: sseOf(m.Envelope), DeleteMarker: m.DeleteMarker, VersionID: versionText(m, t.versioning), Replication: m.Replication,
	}
	if m.Multipart {
		i.Parts = len(m.Parts)
	}
	if sum != nil {
		i.Checksum = checksumValue(m.Checksum, sum)
	}
	return i
}

// stream sends bytes [off, off+n) of an object to w.
func (e *Engine) stream(ctx context.Context, f found, off, n int64, w io.Writer) (int64, error) {
	out := &counter{w: w}
	for _, p := range f.manifest.Parts {
		size := int64(p.Size)
		if off >= size {
			off -= size
			continue
		}
		if n == 0 {
			break
		}
		take := min(n, size-off)
		if err := e.streamPart(ctx, f.key, p, off, take, out); err != nil {
			return out.n, err
		}
		off, n = 0, n-take
	}
	if n > 0 {
		return out.n, kind.New(kind.Damaged, "the parts of %q are shorter than the object", f.Key)
	}
	return out.n, nil
}

func (e *Engine) streamPart(ctx context.Context, key *seal.ObjectKey, p *metapb.Part, off, n int64, w io.Writer) error {
	k, stream, err := dataKey(key, p)
	if err != nil {
		return err
	}
	defer k.Zero()
	if len(p.DataId) == 0 {
		return sendInline(k, stream, p, off, n, w)
	}
	out := &counter{w: w}
	for try := 1; ; try++ {
		before := out.n
		err := e.streamShards(ctx, k, stream, p, off, n, out)
		if err == nil || try == streamTries || !kind.Is(err, kind.Damaged) && !kind.Is(err, kind.Unavailable) {
			return err
		}
		moved, lookErr := e.lookAgain(ctx, p)
		if lookErr != nil || moved == nil {
			return err
		}
		p, off, n = moved, off+out.n-before, n-(out.n-before)
	}
}

// streamTries is how often a part is looked for: shards that were moved stay where they were for a
// minute, and a large part may take longer than that.
const streamTries = 4

// lookAgain is the part with its shards where they are now; nil if they are where they were.
func (e *Engine) lookAgain(ctx context.Context, p *metapb.Part) (*metapb.Part, error) {
	data, err := id.FromBytes[id.Data](p.DataId)
	if err != nil {
		return nil, err
	}
	a, err := e.cfg.Metadata.Ask(ctx, data.Group(), &metapb.Query{Op: &metapb.Query_GetData{GetData: &metapb.GetData{DataIds: [][]byte{p.DataId}}}})
	if err != nil || len(a.Data) != 1 || a.Data[0].GetPlacement() == nil || proto.Equal(a.Data[0].Placement, p.Placement) {
		return nil, err
	}
	moved := proto.CloneOf(p)
	moved.Placement = a.Data[0].Placement
	return moved, nil
}

// streamShards sends bytes [off, off+n) of a part that has shards.
func (e *Engine) streamShards(ctx context.Context, k *seal.DataKey, stream [16]byte, p *metapb.Part, off, n int64, w io.Writer) error {
	ref, err := refOf(p)
	if err != nil {
		return err
	}
	if k == nil {
		return e.cfg.Shards.Get(ctx, ref, off, n, func(b []byte) error {
			_, err := w.Write(b)
			return err
		})
	}
	at, length, _, _ := seal.Locate(off, n, int64(p.Size))
	opener := seal.NewOpener(k, stream, int64(p.Size), off, n, w)
	if err := e.cfg.Shards.Get(ctx, ref, at, length, opener.Write); err != nil {
		return err
	}
	return opener.Close()
}

func sendInline(k *seal.DataKey, stream [16]byte, p *metapb.Part, off, n int64, w io.Writer) error {
	plain := p.Inline
	if k != nil {
		var err error
		if plain, err = seal.OpenBytes(k, stream, p.Inline); err != nil {
			return kind.Wrap(kind.Damaged, err, "the inlined bytes of part %d", p.Number)
		}
	}
	if int64(len(plain)) != int64(p.Size) {
		return kind.New(kind.Damaged, "part %d has %d inlined bytes, not %d", p.Number, len(plain), p.Size)
	}
	_, err := w.Write(plain[off : off+n])
	return err
}

func refOf(p *metapb.Part) (fanout.Ref, error) {
	data, err := id.FromBytes[id.Data](p.DataId)
	if err != nil {
		return fanout.Ref{}, kind.Wrap(kind.Damaged, err, "the data ID of part %d", p.Number)
	}
	if p.Placement == nil || p.Placement.Layout == nil {
		return fanout.Ref{}, kind.New(kind.Damaged, "part %d has no placement record", p.Number)
	}
	return fanout.NewRef(data, p.Placement)
}

// counter counts what was sent.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}
