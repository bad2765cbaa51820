package fsm

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"

	"holdfast/proto/metapb"
)

// fill sets every field of m, also those that a later version adds.
func fill(m protoreflect.Message, depth int) {
	fields := m.Descriptor().Fields()
	value := func(f protoreflect.FieldDescriptor, fresh func() protoreflect.Value) protoreflect.Value {
		switch f.Kind() {
		case protoreflect.BoolKind:
			return protoreflect.ValueOfBool(true)
		case protoreflect.StringKind:
			return protoreflect.ValueOfString("text of " + string(f.Name()))
		case protoreflect.BytesKind:
			return protoreflect.ValueOfBytes([]byte(f.Name()))
		case protoreflect.EnumKind:
			return protoreflect.ValueOfEnum(1)
		case protoreflect.Uint32Kind:
			return protoreflect.ValueOfUint32(uint32(f.Number()) * 300)
		case protoreflect.Uint64Kind:
			return protoreflect.ValueOfUint64(uint64(f.Number()) << 40)
		case protoreflect.Int64Kind:
			return protoreflect.ValueOfInt64(-int64(f.Number()))
		}
		v := fresh()
		fill(v.Message(), depth+1)
		return v
	}
	for i := range fields.Len() {
		f := fields.Get(i)
		switch {
		case f.IsMap():
			for _, k := range []string{"", "b", "a", "long"} {
				m.Mutable(f).Map().Set(protoreflect.ValueOfString(k).MapKey(), protoreflect.ValueOfString(k+k))
			}
		case f.IsList():
			l := m.Mutable(f).List()
			l.Append(value(f, l.NewElement))
			l.Append(value(f, l.NewElement))
		default:
			m.Set(f, value(f, func() protoreflect.Value { return m.NewField(f) }))
		}
	}
}

// TestEncodedManifestHasEveryField: what is written by hand says what the library would say.
func TestEncodedManifestHasEveryField(t *testing.T) {
	m := &metapb.Manifest{}
	fill(m.ProtoReflect(), 0)
	check := func(t failer, m *metapb.Manifest) {
		before := proto.Clone(m)
		b, err := encodeManifest(m)
		if err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(m, before) {
			t.Fatal("the manifest was changed")
		}
		if cap(b) != len(b) || len(b) != proto.Size(m) {
			t.Fatalf("%d bytes in a buffer of %d, the library takes %d", len(b), cap(b), proto.Size(m))
		}
		got := decodeAs(t, b, &metapb.Manifest{})
		if !proto.Equal(got, m) || len(got.ProtoReflect().GetUnknown()) > 0 {
			t.Fatalf("decoded %v\nfrom    %v", got, m)
		}
		again, _ := encodeManifest(got)
		if !bytes.Equal(b, again) {
			t.Fatal("the same manifest has two encodings")
		}
	}
	check(t, m)
	rapid.Check(t, func(t *rapid.T) {
		maps := rapid.MapOfN(rapid.String(), rapid.String(), 0, 40)
		check(t, &metapb.Manifest{Headers: maps.Draw(t, "headers"), Metadata: maps.Draw(t, "metadata"), Tags: "x"})
	})
}
