"""The AWS CLI: s3api for single steps, `aws s3 cp` for what people type."""

import json
import pathlib
import sys

from case import ORDER, RANGE, NotOffered, Wrong, check, check_listing, run


def program():
    """aws of this virtual environment."""
    return str(pathlib.Path(sys.executable).parent / "aws")


def sse(key, source=False):
    if key is None:
        return []
    prefix = "--copy-source-sse-customer-" if source else "--sse-customer-"
    return [prefix + "algorithm", "AES256", prefix + "key", key.b64, prefix + "key-md5", key.md5]


class Client:
    name = "aws-cli"

    def __init__(self, case):
        self.c = case
        self.sse = sse(case.key)
        config = case.scratch / "aws-config"
        config.write_text("[default]\ns3 =\n    signature_version = s3v4\n")  # version 1 presigns with SigV2 otherwise
        self.env = {
            "AWS_ACCESS_KEY_ID": case.server.access, "AWS_SECRET_ACCESS_KEY": case.server.secret,
            "AWS_DEFAULT_REGION": "us-east-1", "AWS_CA_BUNDLE": case.server.ca, "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": str(config), "AWS_SHARED_CREDENTIALS_FILE": str(case.scratch / "no-credentials"),
            "AWS_MAX_ATTEMPTS": "1", "AWS_ENDPOINT_URL": case.server.url,
        }

    @staticmethod
    def version():
        return run(program(), "--version").decode().split()[0].removeprefix("aws-cli/")

    def aws(self, *args, **kw):
        return run(program(), *args, env=self.env, **kw)

    def api(self, verb, *args, key=None):
        out = self.aws("s3api", verb, "--output", "json", "--bucket", self.c.bucket, *(["--key", key] if key else []), *args)
        return json.loads(out) if out.strip() else {}

    def fetch(self, key, sse_args, *more):
        path = self.c.scratch / "got"
        self.api("get-object", *sse_args, *more, path, key=key)
        return path.read_bytes()

    def bucket(self):
        self.api("create-bucket")
        self.api("head-bucket")
        check(self.c.bucket in self.aws("s3", "ls").decode(), True, "the bucket is listed")

    def put(self):
        for name in ("empty", "tiny", "mid"):
            self.api("put-object", "--body", self.c.files.path(name), *self.sse, key=name)

    def get_(self):
        for name in ("empty", "tiny", "mid"):
            check(self.fetch(name, self.sse), self.c.files.read(name), name)
        if self.c.sealed:
            check(self.aws("s3api", "get-object", "--bucket", self.c.bucket, "--key", "mid", self.c.scratch / "x", ok=False) != 0,
                  True, "refused without the key")

    def range(self):
        first, last = RANGE
        check(self.fetch("mid", self.sse, "--range", f"bytes={first}-{last}"), self.c.files.slice("mid", first, last), "range")

    def head(self):
        h = self.api("head-object", *self.sse, key="mid")
        check(h["ContentLength"], 300_007, "length")
        if self.c.sealed:
            check(h["SSECustomerKeyMD5"], self.c.key.md5, "key MD5")

    def copy(self):
        self.api("copy-object", "--copy-source", f"{self.c.bucket}/mid", *sse(self.c.key, True), *sse(self.c.key2), key="copy")
        check(self.fetch("copy", sse(self.c.key2)), self.c.files.read("mid"), "copy")

    def multipart(self):
        upload = self.api("create-multipart-upload", *self.sse, key="big")["UploadId"]
        etags, part = {}, self.c.scratch / "part"
        for n in ORDER:
            part.write_bytes(self.c.files.part(n))
            etags[n] = self.api("upload-part", "--upload-id", upload, "--part-number", str(n), "--body", part, *self.sse, key="big")["ETag"]
        parts = json.dumps({"Parts": [{"PartNumber": n, "ETag": e} for n, e in sorted(etags.items())]})
        self.api("complete-multipart-upload", "--upload-id", upload, "--multipart-upload", parts, *self.sse, key="big")
        self.api("get-object", *self.sse, self.c.scratch / "big", key="big")
        self.c.same(self.c.scratch / "big", "big", "the multipart object")
        self.high_level()

    def high_level(self):
        """aws s3 cp, both ways: parallel parts up, parallel ranges down."""
        args = ["--no-progress"]
        if self.c.sealed:
            raw = self.c.scratch / "key"
            raw.write_bytes(self.c.key.raw)
            args += ["--sse-c", "AES256", "--sse-c-key", f"fileb://{raw}"]
        self.aws("s3", "cp", *args, self.c.files.path("big"), f"s3://{self.c.bucket}/cp")
        self.aws("s3", "cp", *args, f"s3://{self.c.bucket}/cp", self.c.scratch / "big")
        self.c.same(self.c.scratch / "big", "big", "what aws s3 cp stored")

    def rotate(self):
        self.api("copy-object", "--copy-source", f"{self.c.bucket}/mid", *sse(self.c.key, True), *sse(self.c.key2), key="mid")
        check(self.fetch("mid", sse(self.c.key2)), self.c.files.read("mid"), "mid under the new key")
        try:
            self.fetch("mid", self.sse)
        except Wrong as e:
            check("AccessDenied" in str(e), True, f"AccessDenied in {e}")
        else:
            raise Wrong("the old key still opens the object")

    def list(self):
        out = json.loads(self.aws("s3api", "list-objects-v2", "--output", "json", "--bucket", self.c.list_bucket,
                                  "--delimiter", "/", "--page-size", "30"))
        check_listing([p["Prefix"] for p in out["CommonPrefixes"]], [k["Key"] for k in out["Contents"]])
        lines = self.aws("s3", "ls", "--recursive", f"s3://{self.c.list_bucket}").decode().splitlines()
        check(len(lines), 5_000, "keys listed by aws s3 ls --recursive")

    def presign(self):
        url = self.aws("s3", "presign", f"s3://{self.c.bucket}/tiny").decode().strip()
        if self.c.sealed:
            self.c.needs_key(url)
            raise NotOffered("it signs no headers; without the key the URL answers 400")
        check(self.c.server.fetch(url), (200, self.c.files.read("tiny")), "presigned GET")
