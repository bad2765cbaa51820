"""boto3: the reference; it also fills the buckets that every client lists."""

import concurrent.futures
import itertools

import boto3
import botocore.client
import botocore.exceptions

from case import ORDER, RANGE, check, check_listing, list_names


def connect(server):
    return boto3.client(
        "s3", endpoint_url=server.url, verify=server.ca, region_name="us-east-1",
        aws_access_key_id=server.access, aws_secret_access_key=server.secret,
        config=botocore.client.Config(signature_version="s3v4", max_pool_connections=16,
                                      retries={"max_attempts": 1}, s3={"addressing_style": "path"}))


def sse(key, source=False):
    if key is None:
        return {}
    prefix = "CopySource" if source else ""
    return {prefix + "SSECustomerAlgorithm": "AES256", prefix + "SSECustomerKey": key.raw}


def fill(server, bucket, key):
    """Puts the keys of the list bucket."""
    s3 = connect(server)
    s3.create_bucket(Bucket=bucket)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for _ in pool.map(lambda name: s3.put_object(Bucket=bucket, Key=name, Body=name.encode(), **sse(key)), list_names()):
            pass


def refused(code, call, **args):
    """The call fails with this S3 code (HEAD has only the status)."""
    try:
        call(**args)
    except botocore.exceptions.ClientError as e:
        check(e.response["Error"]["Code"], code, "error code")
        return
    check("success", code, "error code")


class Client:
    name = "boto3"

    def __init__(self, case):
        self.c = case
        self.s3 = connect(case.server)
        self.sse = sse(case.key)

    @staticmethod
    def version():
        return boto3.__version__

    def get(self, key, sse_args, **more):
        return self.s3.get_object(Bucket=self.c.bucket, Key=key, **sse_args, **more)["Body"].read()

    def bucket(self):
        self.s3.create_bucket(Bucket=self.c.bucket)
        self.s3.head_bucket(Bucket=self.c.bucket)
        names = [b["Name"] for b in self.s3.list_buckets()["Buckets"]]
        check(self.c.bucket in names, True, "the bucket is listed")

    def put(self):
        for name in ("empty", "tiny", "mid"):
            r = self.s3.put_object(Bucket=self.c.bucket, Key=name, Body=self.c.files.read(name),
                                   ContentType="text/x-test", Metadata={"colour": "sea green"}, **self.sse)
            if self.c.sealed:
                check((r["SSECustomerAlgorithm"], r["SSECustomerKeyMD5"]), ("AES256", self.c.key.md5), "echo of the key")

    def get_(self):
        for name in ("empty", "tiny", "mid"):
            check(self.get(name, self.sse), self.c.files.read(name), name)
            if self.c.sealed:
                refused("InvalidRequest", self.s3.get_object, Bucket=self.c.bucket, Key=name)
                refused("AccessDenied", self.s3.get_object, Bucket=self.c.bucket, Key=name, **sse(self.c.key2))
        refused("NoSuchKey", self.s3.get_object, Bucket=self.c.bucket, Key="no such key")

    def range(self):
        first, last = RANGE
        mid = self.c.files.read("mid")
        check(self.get("mid", self.sse, Range=f"bytes={first}-{last}"), mid[first : last + 1], "range")
        check(self.get("mid", self.sse, Range="bytes=-100"), mid[-100:], "suffix range")
        check(self.get("tiny", self.sse, Range="bytes=990-"), self.c.files.read("tiny")[990:], "open range")

    def head(self):
        h = self.s3.head_object(Bucket=self.c.bucket, Key="mid", **self.sse)
        check((h["ContentLength"], h["ContentType"], h["Metadata"]), (300_007, "text/x-test", {"colour": "sea green"}), "head")
        if self.c.sealed:
            check(h["SSECustomerKeyMD5"], self.c.key.md5, "key MD5")
            refused("400", self.s3.head_object, Bucket=self.c.bucket, Key="mid")
            refused("403", self.s3.head_object, Bucket=self.c.bucket, Key="mid", **sse(self.c.key2))

    def copy(self):
        for name in ("empty", "tiny", "mid"):
            self.s3.copy_object(Bucket=self.c.bucket, Key="copy-" + name, CopySource={"Bucket": self.c.bucket, "Key": name},
                                **sse(self.c.key, source=True), **sse(self.c.key2))
            check(self.get("copy-" + name, sse(self.c.key2)), self.c.files.read(name), "copy of " + name)

    def multipart(self):
        at = {"Bucket": self.c.bucket, "Key": "big"}
        up = {**at, "UploadId": self.s3.create_multipart_upload(**at, **self.sse)["UploadId"]}
        etags = {}
        for n in ORDER:
            etags[n] = self.s3.upload_part(**up, PartNumber=n, Body=self.c.files.part(n), **self.sse)["ETag"]
        listed = self.s3.list_parts(**up)["Parts"]
        check([(p["PartNumber"], p["ETag"]) for p in listed], sorted(etags.items()), "listed parts")
        parts = [{"PartNumber": n, "ETag": e} for n, e in sorted(etags.items())]
        self.s3.complete_multipart_upload(**up, MultipartUpload={"Parts": parts}, **self.sse)
        path = self.c.scratch / "big"
        with open(path, "wb") as f:
            for block in self.s3.get_object(**at, **self.sse)["Body"].iter_chunks(1 << 20):
                f.write(block)
        self.c.same(path, "big", "the multipart object")
        edge = 20 << 20  # over the edge of parts 1 and 2
        check(self.get("big", self.sse, Range=f"bytes={edge - 50}-{edge + 49}"),
              self.c.files.slice("big", edge - 50, edge + 49), "range over two parts")
        check(self.s3.head_object(**at, PartNumber=2, **self.sse)["PartsCount"], 5, "number of parts")

    def rotate(self):
        for name in ("empty", "tiny", "mid", "big"):
            at = {"Bucket": self.c.bucket, "Key": name}
            before = self.s3.head_object(**at, **self.sse)["ETag"]
            self.s3.copy_object(**at, CopySource=at, **sse(self.c.key, source=True), **sse(self.c.key2))
            check(self.s3.head_object(**at, **sse(self.c.key2))["ETag"], before, "ETag after the rotation")
            refused("403", self.s3.head_object, **at, **self.sse)
            if name != "big":
                check(self.get(name, sse(self.c.key2)), self.c.files.read(name), name + " under the new key")
        self.s3.copy_object(**at, CopySource=at, **sse(self.c.key2, source=True), **self.sse)  # and back
        check(self.get("big", self.sse, Range="bytes=0-99"), self.c.files.slice("big", 0, 99), "big under the old key again")

    def list(self):
        for op, token in (("list_objects_v2", "ContinuationToken"), ("list_objects", "Marker")):
            pages = list(self.s3.get_paginator(op).paginate(Bucket=self.c.list_bucket, Delimiter="/", PaginationConfig={"PageSize": 30}))
            check(len(pages) > 3, True, op + " pages")
            check_listing([p["Prefix"] for page in pages for p in page.get("CommonPrefixes", [])],
                          [k["Key"] for page in pages for k in page.get("Contents", [])])
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.c.list_bucket)
        keys = [k["Key"] for page in pages for k in page.get("Contents", [])]
        check(keys, sorted(list_names()), "all keys in order")
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.c.list_bucket, Prefix="dir-07/", StartAfter="dir-07/file-049")
        keys = [k["Key"] for k in itertools.chain.from_iterable(p.get("Contents", []) for p in pages)]
        check(keys, [f"dir-07/file-{n:03}" for n in range(50, 99)], "keys under a prefix after one")

    def presign(self):
        args = {"Bucket": self.c.bucket, "Key": "signed", **self.sse}
        headers = self.c.key.headers() if self.c.sealed else {}
        body = self.c.files.read("mid")
        url = self.s3.generate_presigned_url("put_object", Params=args, ExpiresIn=60)
        check(self.c.server.fetch(url, headers, body, "PUT")[0], 200, "presigned PUT")
        url = self.s3.generate_presigned_url("get_object", Params=args, ExpiresIn=60)
        check("customer-key=" in url.lower(), False, "the key is in the URL")
        check(self.c.server.fetch(url, headers), (200, body), "presigned GET")
        digit = url.index("X-Amz-Signature=") + len("X-Amz-Signature=")
        bad = url[:digit] + ("1" if url[digit] == "0" else "0") + url[digit + 1 :]
        check(self.c.server.fetch(bad, headers)[0], 403, "a wrong signature")
