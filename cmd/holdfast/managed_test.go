package main

import (
	"bytes"
	"io"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/encrypt"

	"holdfast/erasure"
)

// TestKeysOfTheServerOutliveARestart also asks for all versions of a key, by a real client.
func TestKeysOfTheServerOutliveARestart(t *testing.T) {
	f := newFixture(t, 3, erasure.Scheme{K: 1, M: 2})
	r := f.start(t)
	if err := r.MakeBucket(t.Context(), "bucket", minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := r.EnableVersioning(t.Context(), "bucket"); err != nil {
		t.Fatal(err)
	}
	kms, err := encrypt.NewSSEKMS("", map[string]string{"team": "red"})
	if err != nil {
		t.Fatal(err)
	}
	bodies := map[string][]byte{}
	for _, sse := range []encrypt.ServerSide{nil, encrypt.NewSSE(), kms} {
		data := payload(100_000 + len(bodies))
		info, err := r.PutObject(t.Context(), "bucket", "key", bytes.NewReader(data), int64(len(data)), minio.PutObjectOptions{ServerSideEncryption: sse})
		if err != nil {
			t.Fatal(err)
		}
		bodies[info.VersionID] = data
	}
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	r = f.start(t)
	n := 0
	for o := range r.ListObjects(t.Context(), "bucket", minio.ListObjectsOptions{WithVersions: true}) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		got, err := r.GetObject(t.Context(), "bucket", "key", minio.GetObjectOptions{VersionID: o.VersionID})
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(got)
		if err != nil || !bytes.Equal(data, bodies[o.VersionID]) {
			t.Errorf("version %s: %d bytes, %v", o.VersionID, len(data), err)
		}
		n++
	}
	if n != 3 || len(bodies) != 3 {
		t.Errorf("%d versions of %d", n, len(bodies))
	}
}
