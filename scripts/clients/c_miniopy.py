"""The MinIO client library for Python."""

import datetime

import minio
import minio.commonconfig
import minio.error
import minio.sse
import urllib3

from case import PART, RANGE, NotOffered, Wrong, check, check_listing


def ssec(key):
    return minio.sse.SseCustomerKey(key.raw) if key else None


class Client:
    name = "minio-py"

    def __init__(self, case):
        self.c = case
        self.sse = ssec(case.key)
        pool = urllib3.PoolManager(ca_certs=case.server.ca, cert_reqs="CERT_REQUIRED", retries=False, maxsize=8)
        self.mc = minio.Minio(case.server.host, access_key=case.server.access, secret_key=case.server.secret, http_client=pool)

    @staticmethod
    def version():
        return minio.__version__

    def read(self, name, sse, offset=0, length=0):
        r = self.mc.get_object(self.c.bucket, name, offset=offset, length=length, ssec=sse)
        try:
            return r.read()
        finally:
            r.close()
            r.release_conn()

    def bucket(self):
        self.mc.make_bucket(self.c.bucket)
        check(self.mc.bucket_exists(self.c.bucket), True, "bucket_exists")
        check(self.c.bucket in [b.name for b in self.mc.list_buckets()], True, "the bucket is listed")

    def put(self):
        for name in ("empty", "tiny", "mid"):
            self.mc.fput_object(self.c.bucket, name, str(self.c.files.path(name)), sse=self.sse, metadata={"colour": "green"})

    def get_(self):
        for name in ("empty", "tiny", "mid"):
            check(self.read(name, self.sse), self.c.files.read(name), name)

    def range(self):
        first, last = RANGE
        check(self.read("mid", self.sse, first, last - first + 1), self.c.files.slice("mid", first, last), "range")

    def head(self):
        h = self.mc.stat_object(self.c.bucket, "mid", ssec=self.sse)
        check((h.size, h.metadata["x-amz-meta-colour"]), (300_007, "green"), "stat")

    def copy(self):
        self.mc.copy_object(self.c.bucket, "copy", minio.commonconfig.CopySource(self.c.bucket, "mid", ssec=self.sse), sse=ssec(self.c.key2))
        check(self.read("copy", ssec(self.c.key2)), self.c.files.read("mid"), "copy")

    def multipart(self):
        # Its own threads send the parts, so they arrive in any order.
        self.mc.fput_object(self.c.bucket, "big", str(self.c.files.path("big")), sse=self.sse, part_size=PART, num_parallel_uploads=4)
        self.mc.fget_object(self.c.bucket, "big", str(self.c.scratch / "big"), ssec=self.sse)
        self.c.same(self.c.scratch / "big", "big", "the multipart object")

    def rotate(self):
        for name in ("mid", "big"):
            self.mc.copy_object(self.c.bucket, name, minio.commonconfig.CopySource(self.c.bucket, name, ssec=self.sse), sse=ssec(self.c.key2))
        check(self.read("mid", ssec(self.c.key2)), self.c.files.read("mid"), "mid under the new key")
        try:
            self.read("mid", self.sse)
        except minio.error.S3Error as e:
            check(e.code, "AccessDenied", "error code for the old key")
        else:
            raise Wrong("the old key still opens the object")

    def list(self):
        for v1 in (False, True):
            found = list(self.mc.list_objects(self.c.list_bucket, use_api_v1=v1))
            check_listing([o.object_name for o in found if o.is_dir], [o.object_name for o in found if not o.is_dir])
        check(len(list(self.mc.list_objects(self.c.list_bucket, recursive=True))), 5_000, "keys listed recursively")

    def presign(self):
        url = self.mc.presigned_get_object(self.c.bucket, "tiny", expires=datetime.timedelta(minutes=1))
        if self.c.sealed:
            self.c.needs_key(url)
            raise NotOffered("it signs no headers; without the key the URL answers 400")
        check(self.c.server.fetch(url), (200, self.c.files.read("tiny")), "presigned GET")
