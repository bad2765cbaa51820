package fsm

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"holdfast/proto/metapb"
)

// seedCommands are commands of each kind, which also fill a store.
func seedCommands() []*metapb.Command {
	r := &script{group: 1}
	var out []*metapb.Command
	for _, line := range []string{
		"put k v1 data=d1:10:AB-", "put k v2 inline=x mode=enabled if-none-match=zz", "put k v3 share=v1 mode=enabled if-match=*", "delete k marker=m1 mode=enabled",
		"delete k version=m1", "put a/b v4 inline=1", "put a~c v5 inline=1", "create k u1 version=v6", "part k u1 1 data=d2:10:ABC etag=e1", "part k u1 2 data=d3:10:ABC etag=e2",
		"complete k u1 1:e1", "create k u2 version=v7", "part k u2 1 inline=x etag=e1", "swap d1 2:-:D", "ack-repair d1", "queue d1", "ack d3",
		"create l u3 version=v8", "part l u3 3 data=d4:9:ABC etag=e", "part l u3 4 data=d5:9:ABC etag=e", "abort l u3", "delete k null mode=suspended", "close", "open",
	} {
		name, w := parseWords(line)
		cmd := r.command(name, w)
		if cmd.NowMs = 5; cmd.Bucket == nil {
			cmd.Bucket = named("bucket")
		}
		out = append(out, cmd)
	}
	return out
}

func seedQueries() []*metapb.Query {
	r := &script{group: 1}
	var out []*metapb.Query
	for _, line := range []string{
		"get k", "get k null", "get k version=v2", "get k from=1 to=5", "list limit=5", "list limit=2 delimiter=/ prefix=a after=a", "uploads limit=3", "uploads limit=1 after=k upload=u1 delimiter=k",
		"upload k u2 parts", "upload k u2 1", "parts k u2 limit=1", "data d1 d9", "scan limit=1", "scan drive=A", "scan missing after=d1", "garbage", "repair limit=1",
	} {
		q := r.query(parseWords(line))
		q.Bucket = named("bucket")
		out = append(out, q)
	}
	return out
}

func seedStore(t failer) *guardStore {
	s := newGuard(t)
	for i, cmd := range seedCommands() {
		s.apply(1, uint64(i+1), cmd)
	}
	return s
}

// FuzzApply: no command, however wrong, panics, is taken for damage, or writes when it is refused;
// and the store keeps its invariants.
func FuzzApply(f *testing.F) {
	for _, cmd := range seedCommands() {
		b, err := proto.Marshal(cmd)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		cmd := &metapb.Command{}
		if proto.Unmarshal(b, cmd) != nil {
			return
		}
		s := seedStore(t)
		s.apply(2, 1000, cmd)
		s.apply(2, 1001, cmd)
		takeCensus(t, s.MapStore).check(t)
		if _, err := Apply(s, 0, 1002, cmd); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzAnswer: no query panics, writes or is taken for damage, and no page is longer than asked.
func FuzzAnswer(f *testing.F) {
	for _, q := range seedQueries() {
		b, err := proto.Marshal(q)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	s := seedStore(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		q := &metapb.Query{}
		if proto.Unmarshal(b, q) != nil {
			return
		}
		writes := s.writes
		for group := range uint32(2) {
			a, err := Answer(s, group, q)
			if err != nil || s.open || s.writes != writes {
				t.Fatal(err, s.open)
			}
			if limit := q.GetListObjects().GetLimit(); q.GetListObjects() != nil && len(a.Entries) > int(limit) {
				t.Fatalf("%d entries, the limit is %d", len(a.Entries), limit)
			}
		}
	})
}

// FuzzDamagedRecord: a record replaced by other bytes may change answers or be found out, but
// causes no panic, and no endless loop.
func FuzzDamagedRecord(f *testing.F) {
	for i := range 20 {
		f.Add(uint8(i), []byte{0xff}, uint8(i))
		f.Add(uint8(i), []byte{}, uint8(7*i))
	}
	commands, queries := seedCommands(), seedQueries()
	f.Fuzz(func(t *testing.T, which uint8, value []byte, command uint8) {
		s := seedStore(t)
		it := s.MapStore.Iterate(nil)
		it.Seek(nil)
		for range int(which) % s.Len() {
			it.Next()
		}
		_ = s.MapStore.Set(it.Key(), slices.Clone(value))
		for _, q := range queries {
			if _, err := Answer(s, 1, q); err != nil && !errors.Is(err, ErrDamaged) {
				t.Fatal(err)
			}
		}
		cmd := commands[int(command)%len(commands)]
		if _, err := Apply(s, 1, 1000, cmd); err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatal(err)
		}
	})
}

// FuzzKey: what splitKey takes, objectKey makes, and the order of keys is that of their encodings.
func FuzzKey(f *testing.F) {
	f.Add([]byte("a\x00\x01rest"), "a", "a\x00")
	f.Add([]byte("a\x00\xff\x00\x01"), "\x00\xff", "\x00\x01")
	f.Fuzz(func(t *testing.T, b []byte, x, y string) {
		if key, rest, ok := splitKey(b); ok {
			if again := append(currentKey(nil, string(key))[1:], rest...); !bytes.Equal(again, b) {
				t.Fatalf("%q became %q", b, again)
			}
		}
		ex, ey := currentKey(nil, x), currentKey(nil, y)
		if key, rest, ok := splitKey(ex[1:]); !ok || string(key) != x || len(rest) != 0 {
			t.Fatalf("%q came back as %q", x, key)
		}
		if (x < y) != (bytes.Compare(ex, ey) < 0) {
			t.Fatalf("%q and %q change their order", x, y)
		}
		if x != y && bytes.HasPrefix(ey, ex) {
			t.Fatalf("the encoding of %q is a prefix of that of %q", x, y)
		}
	})
}
