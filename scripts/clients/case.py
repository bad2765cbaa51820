"""What every client of the matrix is given and must do: the payloads, the keys, the checks."""

import base64
import dataclasses
import hashlib
import os
import pathlib
import random
import secrets
import ssl
import subprocess
import urllib.request

MIB = 1 << 20
BIG = 100 * MIB  # the multipart object, bytes
PART = 20 * MIB  # of it
ORDER = (3, 1, 5, 2, 4)  # in which low-level clients send the parts
RANGE = (65_000, 66_199)  # first and last byte; crosses the edge of a 64 KiB chunk
STEPS = ("bucket", "put", "get", "range", "head", "copy", "multipart", "rotate", "list", "presign")

LIST_DIRS, LIST_FILES, LIST_TOP = 50, 99, 50  # 50 prefixes of 99 keys and 50 keys beside them
LIST_KEYS = LIST_DIRS * LIST_FILES + LIST_TOP


class NotOffered(Exception):
    """The client itself has no way to do the step."""


class Wrong(Exception):
    """The server answered, but not what it should have."""


def check(got, want, what):
    if got != want:
        raise Wrong(f"{what}: got {got!r:.200}, want {want!r:.200}")


class Key:
    """One SSE-C key in the forms that clients want it in."""

    def __init__(self):
        self.raw = secrets.token_bytes(32)
        self.b64 = base64.b64encode(self.raw).decode()
        self.md5 = base64.b64encode(hashlib.md5(self.raw).digest()).decode()

    def headers(self, prefix="x-amz-server-side-encryption-customer-"):
        return {prefix + "algorithm": "AES256", prefix + "key": self.b64, prefix + "key-MD5": self.md5}


@dataclasses.dataclass
class Server:
    """How to reach the server under test."""

    url: str  # https://127.0.0.1:PORT
    ca: str  # path of the CA certificate
    access: str
    secret: str

    @property
    def host(self):
        return self.url.removeprefix("https://")

    def fetch(self, url, headers=None, data=None, method=None):
        """One HTTPS request without any client library; returns (status, body)."""
        req = urllib.request.Request(url, data=data, headers=headers or {}, method=method)
        context = ssl.create_default_context(cafile=self.ca)
        try:
            with urllib.request.urlopen(req, context=context, timeout=60) as r:
                return r.status, r.read()
        except urllib.error.HTTPError as e:
            return e.code, e.read()


class Payloads:
    """The files to store, all of them full of one canary text. name -> path and bytes."""

    SIZES = {"empty": 0, "tiny": 1_000, "mid": 300_007, "big": BIG}

    def __init__(self, directory, kind):
        self.dir = pathlib.Path(directory, kind)
        self.dir.mkdir()
        self.canary = f"holdfast-canary-{kind}-{secrets.token_hex(16)}".encode()
        rng = random.Random(kind)
        for name, size in self.SIZES.items():
            data = bytearray(rng.randbytes(size))
            for at in range(100, size - len(self.canary), 4096):
                data[at : at + len(self.canary)] = self.canary
            self.path(name).write_bytes(data)

    def path(self, name):
        return self.dir / name

    def read(self, name):
        return self.path(name).read_bytes()

    def slice(self, name, first, last):
        with open(self.path(name), "rb") as f:
            f.seek(first)
            return f.read(last - first + 1)

    def part(self, number):
        return self.slice("big", (number - 1) * PART, number * PART - 1)


@dataclasses.dataclass
class Case:
    """One client in one mode (plain or sealed)."""

    server: Server
    files: Payloads
    bucket: str  # of this client and mode, made by its first step
    list_bucket: str  # filled with LIST_KEYS keys beforehand
    scratch: pathlib.Path  # for downloads
    key: Key | None = None  # sealed: what objects are put with
    key2: Key | None = None  # sealed: what copies and rotations move to

    @property
    def sealed(self):
        return self.key is not None

    def needs_key(self, url):
        """The presigned URL of a sealed object opens nothing without the key."""
        status, body = self.server.fetch(url)
        check((status, b"stored using a form of Server Side Encryption" in body), (400, True), f"presigned GET without the key ({body[:200]})")

    def same(self, path, name, what):
        """The downloaded file has the bytes of the payload."""
        check(digest(path), digest(self.files.path(name)), f"SHA-256 of {what}")


def digest(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def list_names():
    """The keys of the list bucket."""
    for d in range(LIST_DIRS):
        for f in range(LIST_FILES):
            yield f"dir-{d:02}/file-{f:03}"
    for f in range(LIST_TOP):
        yield f"top-{f:03}"


def check_listing(prefixes, keys):
    """What a listing with delimiter '/' must have given."""
    check(sorted(prefixes), [f"dir-{d:02}/" for d in range(LIST_DIRS)], "common prefixes")
    check(sorted(keys), [f"top-{f:03}" for f in range(LIST_TOP)], "keys beside the prefixes")


def run(*command, env=None, stdin=None, ok=True):
    """Runs a client program; its output, or with ok=False its exit status. What the caller's
    environment says to S3 clients is left out: the case says it all."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "MC_", "RCLONE_", "S3_"))}
    p = subprocess.run([str(c) for c in command], env=inherited | (env or {}), input=stdin,
                       stdin=None if stdin is not None else subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300)
    if not ok:
        return p.returncode
    if p.returncode != 0:
        raise Wrong(f"{command[0]} exit {p.returncode}: {(p.stderr or p.stdout).decode(errors='replace').strip()[-600:]}")
    return p.stdout
