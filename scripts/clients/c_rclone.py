"""rclone. One remote a key, made by environment variables alone."""

import json
import shutil

from case import RANGE, NotOffered, check, check_listing, run


class Client:
    name = "rclone"

    def __init__(self, case):
        self.c = case
        self.env = {"RCLONE_CONFIG": "/dev/null", "RCLONE_CA_CERT": case.server.ca, "RCLONE_RETRIES": "1",
                    "RCLONE_LOW_LEVEL_RETRIES": "1"}
        self.remote("hf", case.key)
        self.root = f"hf:{case.bucket}"

    @staticmethod
    def missing():
        return shutil.which("rclone") is None

    @staticmethod
    def version():
        return run("rclone", "version").decode().split()[1].removeprefix("v")

    def remote(self, name, key):
        opts = {"TYPE": "s3", "PROVIDER": "Other", "ENDPOINT": self.c.server.url, "REGION": "us-east-1",
                "ACCESS_KEY_ID": self.c.server.access, "SECRET_ACCESS_KEY": self.c.server.secret,
                "CHUNK_SIZE": "10Mi", "UPLOAD_CUTOFF": "10Mi", "UPLOAD_CONCURRENCY": "4"}
        if key:
            opts |= {"SSE_CUSTOMER_ALGORITHM": "AES256", "SSE_CUSTOMER_KEY_BASE64": key.b64, "SSE_CUSTOMER_KEY_MD5": key.md5}
        self.env |= {f"RCLONE_CONFIG_{name.upper()}_{k}": v for k, v in opts.items()}

    def rclone(self, *args, **kw):
        return run("rclone", *args, env=self.env, **kw)

    def bucket(self):
        self.rclone("mkdir", self.root)
        check(f"{self.c.bucket}/" in self.rclone("lsf", "hf:").decode().split(), True, "the bucket is listed")

    def put(self):
        for name in ("empty", "tiny", "mid"):
            self.rclone("copyto", self.c.files.path(name), f"{self.root}/{name}")

    def get_(self):
        for name in ("empty", "tiny", "mid"):
            self.rclone("copyto", f"{self.root}/{name}", self.c.scratch / "got")
            self.c.same(self.c.scratch / "got", name, name)

    def range(self):
        first, last = RANGE
        got = self.rclone("cat", "--offset", str(first), "--count", str(last - first + 1), f"{self.root}/mid")
        check(got, self.c.files.slice("mid", first, last), "range")

    def head(self):
        h = json.loads(self.rclone("lsjson", "--stat", f"{self.root}/mid"))
        check((h["Name"], h["Size"]), ("mid", 300_007), "head")

    def copy(self):
        self.rclone("copyto", f"{self.root}/mid", f"{self.root}/copy")
        check(self.rclone("cat", f"{self.root}/copy"), self.c.files.read("mid"), "copy")

    def multipart(self):
        self.rclone("copyto", self.c.files.path("big"), f"{self.root}/big")
        self.rclone("copyto", f"{self.root}/big", self.c.scratch / "big")
        self.c.same(self.c.scratch / "big", "big", "the multipart object")

    def rotate(self):
        raise NotOffered("a remote has one key for both sides of a copy")

    def list(self):
        names = self.rclone("lsf", f"hf:{self.c.list_bucket}").decode().split()
        check_listing([n for n in names if n.endswith("/")], [n for n in names if not n.endswith("/")])
        check(len(self.rclone("lsf", "-R", "--files-only", f"hf:{self.c.list_bucket}").split()), 5_000, "keys listed recursively")

    def presign(self):
        url = self.rclone("link", "--expire", "1m", f"{self.root}/tiny").decode().strip()
        if self.c.sealed:
            self.c.needs_key(url)
            raise NotOffered("it signs no headers; without the key the URL answers 400")
        check(self.c.server.fetch(url), (200, self.c.files.read("tiny")), "presigned GET")
