package object

import (
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/internal/kind"
	"holdfast/proto/metapb"
)

func (s *store) versioning(v metapb.Versioning) {
	s.t.Helper()
	_, err := s.UpdateBucket(s.t.Context(), "b", BucketChange{Versioning: &v})
	must(s.t, err)
}

// versions are all versions of the bucket, read in pages; behind each page the versions in it go if remove.
func (s *store) versions(limit int, remove bool) (all []string) {
	s.t.Helper()
	r := ListVersionsRequest{Bucket: "b", Limit: limit}
	for {
		page, err := s.ListVersions(s.t.Context(), r)
		must(s.t, err)
		for _, v := range page.Entries {
			name := v.Key + ":" + v.VersionID
			if v.Latest {
				name += ":latest"
			}
			if v.DeleteMarker {
				name += ":marker"
			}
			all = append(all, name)
			if remove {
				_, err := s.Delete(s.t.Context(), DeleteRequest{Bucket: "b", Key: v.Key, VersionID: v.VersionID})
				must(s.t, err)
			}
		}
		if !page.More {
			return all
		}
		r.KeyAfter, r.VersionAfter = page.Entries[len(page.Entries)-1].Key, page.NextVersion
	}
}

func TestVersionsAreReadListedAndRemovedByTheirIDs(t *testing.T) {
	s := newStore(t)
	if r := s.put("k", []byte("null"), nil); r.VersionID != "" {
		t.Errorf("a version ID %q without versioning", r.VersionID)
	}
	s.versioning(metapb.Versioning_ENABLED)
	one, two := s.put("k", []byte("one"), nil), s.put("k", []byte("two"), nil)
	sealed := s.put("l", []byte("sealed"), customer(t, 7))
	gone, err := s.Delete(t.Context(), DeleteRequest{Bucket: "b", Key: "k"})
	must(t, err)
	if !gone.DeleteMarker || len(gone.VersionID) != 32 || len(one.VersionID) != 32 || one.VersionID == two.VersionID {
		t.Fatalf("%+v %+v %+v", gone, one, two)
	}
	want := []string{"k:" + gone.VersionID + ":latest:marker", "k:" + two.VersionID, "k:" + one.VersionID, "k:null", "l:" + sealed.VersionID + ":latest"}
	for limit := 1; limit <= 6; limit++ {
		if got := s.versions(limit, false); !slices.Equal(got, want) {
			t.Errorf("in pages of %d:\n%q, want\n%q", limit, got, want)
		}
	}
	for version, body := range map[string]string{one.VersionID: "one", two.VersionID: "two", "null": "null"} {
		if got, r, err := s.get(GetRequest{Key: "k", VersionID: version}); err != nil || string(got) != body || r.VersionID != version {
			t.Errorf("version %s: %q, %v", version, got, err)
		}
	}
	r, err := s.Get(t.Context(), GetRequest{Bucket: "b", Key: "k"})
	wantKind(t, err, kind.NoSuchKey)
	if r == nil || !r.DeleteMarker || r.VersionID != gone.VersionID {
		t.Errorf("a delete marker is not told: %+v", r)
	}
	r, err = s.Head(t.Context(), GetRequest{Bucket: "b", Key: "k", VersionID: gone.VersionID})
	wantKind(t, err, kind.MethodNotAllowed)
	if r == nil || !r.DeleteMarker {
		t.Errorf("a delete marker is not told: %+v", r)
	}
	// A page begins behind a plain version ID too; pages go on when what they ended with is gone.
	page, err := s.ListVersions(t.Context(), ListVersionsRequest{Bucket: "b", KeyAfter: "k", VersionAfter: two.VersionID, Limit: 1})
	if err != nil || page.Entries[0].VersionID != one.VersionID {
		t.Errorf("behind %s: %+v %v", two.VersionID, page, err)
	}
	if got := s.versions(1, true); len(got) != len(want) {
		t.Errorf("while versions went: %q", got)
	}
	if got := s.versions(10, false); len(got) != 0 {
		t.Errorf("left: %q", got)
	}
	must(t, s.DeleteBucket(t.Context(), "b"))
}

func TestASuspendedBucketReplacesItsNullVersionOnly(t *testing.T) {
	s := newStore(t)
	s.versioning(metapb.Versioning_ENABLED)
	one := s.put("k", []byte("one"), nil)
	s.versioning(metapb.Versioning_SUSPENDED)
	s.put("k", []byte("two"), nil)
	s.put("k", s.bytes(100_000), nil)
	_, err := s.Delete(t.Context(), DeleteRequest{Bucket: "b", Key: "k"})
	must(t, err)
	if got, want := s.versions(10, false), []string{"k:null:latest:marker", "k:" + one.VersionID}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	wantKind(t, s.DeleteBucket(t.Context(), "b"), kind.BucketNotEmpty)
	_, err = s.Delete(t.Context(), DeleteRequest{Bucket: "b", Key: "k", VersionID: "null"})
	must(t, err)
	if got, _, err := s.get(GetRequest{Key: "k"}); err != nil || string(got) != "one" {
		t.Errorf("%q %v", got, err)
	}
}

func TestLocksTagsAndACLsBelongToAVersion(t *testing.T) {
	s := newStore(t)
	must(t, s.CreateBucket(t.Context(), CreateBucketRequest{Name: "l", Owner: "root", ObjectLock: true, Documents: map[string][]byte{"cors": []byte("x")}}))
	b, err := s.HeadBucket(t.Context(), "l")
	if err != nil || !b.ObjectLock || b.Versioning != metapb.Versioning_ENABLED || string(b.Documents["cors"]) != "x" {
		t.Fatalf("%+v %v", b, err)
	}
	put := PutRequest{Bucket: "l", Key: "k", Body: strings.NewReader("body"), Size: 4}
	put.Retention, put.Owner, put.ACL = &Retention{Mode: metapb.Retention_GOVERNANCE, Until: time.Now().Add(time.Hour)}, "alt", []byte("acl")
	r, err := s.Put(t.Context(), put)
	must(t, err)
	del := DeleteRequest{Bucket: "l", Key: "k", VersionID: r.VersionID}
	_, err = s.Delete(t.Context(), del)
	wantKind(t, err, kind.AccessDenied)
	tags, hold := "a=1", true
	i, err := s.Update(t.Context(), UpdateRequest{Bucket: "l", Key: "k", VersionID: r.VersionID, Tags: &tags, LegalHold: &hold})
	if err != nil || i.Tags != tags || !i.LegalHold || i.Owner != "alt" || string(i.ACL) != "acl" || i.Retention == nil {
		t.Fatalf("%+v %v", i, err)
	}
	del.BypassGovernance = true
	_, err = s.Delete(t.Context(), del)
	wantKind(t, err, kind.AccessDenied)
	hold = false
	_, err = s.Update(t.Context(), UpdateRequest{Bucket: "l", Key: "k", LegalHold: &hold})
	must(t, err)
	if i, err := s.Stat(t.Context(), "l", "k", ""); err != nil || i.LegalHold || i.Tags != tags {
		t.Errorf("%+v %v", i, err)
	}
	_, err = s.Delete(t.Context(), del)
	must(t, err)
	_, err = s.Stat(t.Context(), "l", "k", "")
	wantKind(t, err, kind.NoSuchKey)
	_, err = s.UpdateBucket(t.Context(), "l", BucketChange{Versioning: metapb.Versioning_SUSPENDED.Enum()})
	wantKind(t, err, kind.InvalidBucketState)
}
