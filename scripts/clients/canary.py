"""Looks for byte strings in everything that a server has written."""

import base64
import mmap
import pathlib


def key_patterns(label, key):
    """The forms in which a key, or an unsalted hash of it, could have been left behind."""
    md5 = base64.b64decode(key.md5)
    return {
        f"{label}, raw": key.raw,
        f"{label}, base64": key.b64.rstrip("=").encode(),
        f"{label}, base64url": base64.urlsafe_b64encode(key.raw).rstrip(b"="),
        f"{label}, hex": key.raw.hex().encode(),
        f"{label}, MD5 raw": md5,
        f"{label}, MD5 base64": key.md5.rstrip("=").encode(),
        f"{label}, MD5 hex": md5.hex().encode(),
    }


def files_under(*places):
    for place in map(pathlib.Path, places):
        yield from (p for p in sorted(place.rglob("*")) if p.is_file()) if place.is_dir() else [place]


def search(patterns, *places):
    """Searches every file under the places. patterns: label -> bytes.
    Returns label -> paths with a hit, and the number of files and bytes searched."""
    hits = {label: [] for label in patterns}
    files = size = 0
    for path in files_under(*places):
        with open(path, "rb") as f:
            length = path.stat().st_size
            files += 1
            size += length
            if length == 0:
                continue  # cannot be mapped
            with mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as data:
                for label, pattern in patterns.items():
                    if data.find(pattern) >= 0:
                        hits[label].append(path)
    return hits, files, size
