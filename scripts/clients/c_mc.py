"""mc, when its binary is given by MC=/path (it is never downloaded)."""

import json
import os

from case import NotOffered, Wrong, check, check_listing, run


class Client:
    name = "mc"

    def __init__(self, case):
        self.c = case
        self.config = case.scratch / ("mc-" + case.server.host.replace(":", "-"))  # several servers, several aliases of one name
        (self.config / "certs" / "CAs").mkdir(parents=True)
        (self.config / "certs" / "CAs" / "ca.pem").write_bytes(open(case.server.ca, "rb").read())
        self.root = f"hf/{case.bucket}"
        self.sse = self.enc("", case.key)
        self.mc("alias", "set", "hf", case.server.url, case.server.access, case.server.secret, "--api", "S3v4")

    @staticmethod
    def optional():
        return not os.environ.get("MC")

    @staticmethod
    def version():
        return run(os.environ["MC"], "--version").decode().split("\n")[0].split()[2]

    def mc(self, *args, **kw):
        return run(os.environ["MC"], "--config-dir", self.config, "--quiet", *args, **kw)

    def enc(self, prefix, key):
        """--enc-c for what begins with prefix; mc wants base64 without padding."""
        return ["--enc-c", f"{self.root}/{prefix}={key.b64.rstrip('=')}"] if key else []

    def bucket(self):
        self.mc("mb", self.root)
        check(self.c.bucket + "/" in self.mc("ls", "hf").decode(), True, "the bucket is listed")

    def put(self):
        for name in ("empty", "tiny", "mid"):
            self.mc("put", *self.sse, self.c.files.path(name), f"{self.root}/{name}")

    def get_(self):
        for name in ("empty", "tiny", "mid"):
            self.mc("cp", *self.sse, f"{self.root}/{name}", self.c.scratch / "got")
            self.c.same(self.c.scratch / "got", name, name)

    def range(self):
        got = self.mc("cat", *self.sse, "--offset", "65000", f"{self.root}/mid")
        check(got, self.c.files.slice("mid", 65_000, 300_006), "all from an offset")
        got = self.mc("cat", *self.sse, "--tail", "100", f"{self.root}/mid")
        check(got, self.c.files.slice("mid", 300_007 - 100, 300_006), "tail")

    def head(self):
        h = json.loads(self.mc("stat", "--json", *self.sse, f"{self.root}/mid"))
        check(h["size"], 300_007, "stat")

    def copy(self):
        self.mc("cp", *self.enc("mid", self.c.key), *self.enc("copy", self.c.key2), f"{self.root}/mid", f"{self.root}/copy")
        check(self.mc("cat", *self.enc("copy", self.c.key2), f"{self.root}/copy"), self.c.files.read("mid"), "copy")

    def multipart(self):
        self.mc("put", *self.sse, "--part-size", "10MiB", "--parallel", "4", self.c.files.path("big"), f"{self.root}/big")
        self.mc("cp", *self.sse, f"{self.root}/big", self.c.scratch / "big")
        self.c.same(self.c.scratch / "big", "big", "the multipart object")

    def rotate(self):
        raise NotOffered("one --enc-c a path, and both sides have the same path")

    def list(self):
        found = [json.loads(line) for line in self.mc("ls", "--json", f"hf/{self.c.list_bucket}/").splitlines()]
        check_listing([f["key"] for f in found if f["type"] == "folder"], [f["key"] for f in found if f["type"] != "folder"])
        check(len(self.mc("ls", "--recursive", f"hf/{self.c.list_bucket}/").splitlines()), 5_000, "keys listed recursively")

    def presign(self):
        if self.c.sealed:
            raise NotOffered("mc share takes no --enc-c")
        out = json.loads(self.mc("share", "download", "--json", "--expire", "1m", f"{self.root}/tiny"))
        check(self.c.server.fetch(out["share"]), (200, self.c.files.read("tiny")), "presigned GET")
