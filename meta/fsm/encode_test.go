package fsm

import (
	"bytes"
	"testing"
	"unicode/utf8"

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
		byHand := &metapb.Manifest{}
		if err := decodeManifest(b, byHand); err != nil || !proto.Equal(byHand, m) {
			t.Fatalf("decoded by hand %v %v\nfrom           %v", err, byHand, m)
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

// FuzzDecodeManifest: the decoder by hand agrees with the library.
func FuzzDecodeManifest(f *testing.F) {
	full := &metapb.Manifest{}
	fill(full.ProtoReflect(), 0)
	own, err := encodeManifest(full)
	if err != nil {
		f.Fatal(err)
	}
	library, err := encode(full)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(own)
	f.Add(library)
	f.Add([]byte{fieldHeaders<<3 | 2, 4, 2<<3 | 2, 0, 1<<3 | 2, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, want := &metapb.Manifest{}, &metapb.Manifest{}
		lib, hand := proto.Unmarshal(b, want), decodeManifest(b, got)
		if (lib == nil) != (hand == nil) || lib == nil && !proto.Equal(got, want) {
			t.Fatalf("%x: %v %v, the library says %v %v", b, got, hand, want, lib)
		}
	})
}

// FuzzDecodeCurrent: the decoder by hand agrees with the library, but that it does not mind text
// which is not UTF-8.
func FuzzDecodeCurrent(f *testing.F) {
	full := &metapb.Current{}
	fill(full.ProtoReflect(), 0)
	for _, m := range []proto.Message{full, &metapb.Current{}, &metapb.Current{Etag: "e", ChecksumAlgorithm: -1, ModifiedMs: -5}, &metapb.Manifest{Etag: "other"}} {
		b, err := encode(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, want := &metapb.Current{}, &metapb.Current{}
		lib := proto.Unmarshal(b, want)
		if err := decodeCurrent(b, got); err != nil {
			if lib == nil {
				t.Fatalf("%x: %v, the library takes it: %v", b, err, want)
			}
			return
		}
		if lib != nil {
			if utf8.ValidString(got.Etag) && utf8.ValidString(got.StorageClass) {
				t.Fatalf("%x: taken as %v, the library says %v", b, got, lib)
			}
			return
		}
		if !proto.Equal(got, want) {
			t.Fatalf("%x: %v, the library says %v", b, got, want)
		}
	})
}

// TestDecodeCurrentKnowsEveryField: a field added to the message must be added to the decoder, or
// each LIST takes the slow way.
func TestDecodeCurrentKnowsEveryField(t *testing.T) {
	fields := (&metapb.Current{}).ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		c := &metapb.Current{}
		if !setNumber(c, f.Number(), 1) && !setText(c, f.Number(), "x") {
			t.Errorf("field %s is unknown", f.Name())
		}
	}
}
