"""Real S3 clients against a Holdfast, each step plain and with SSE-C; then the canary search.

Prints a table and exits non-zero when a step failed or a canary was found. See README.md."""

import argparse
import concurrent.futures
import dataclasses
import os
import pathlib
import shutil
import sys
import tempfile
import time
import traceback

import c_awscli
import c_boto3
import c_go
import c_mc
import c_miniopy
import c_rclone
import canary
from case import STEPS, Case, Key, NotOffered, Payloads, Server
from server import Holdfast

CLIENTS = (c_boto3.Client, c_awscli.Client, c_rclone.Client, c_miniopy.Client, c_go.MinioGo, c_go.AWSGo, c_mc.Client)
MODES = ("plain", "SSE-C")


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--only", help="clients to run, separated by commas: " + ", ".join(c.name for c in CLIENTS))
    p.add_argument("--endpoint", help="use this server (https://HOST:PORT) instead of starting one; no canary search then. "
                                      "Several nodes of one cluster, separated by commas, are used in turn, one a step. "
                                      "The credentials come from HOLDFAST_ROOT_USER and HOLDFAST_ROOT_PASSWORD")
    p.add_argument("--ca", help="CA certificate of --endpoint")
    p.add_argument("--holdfast", help="holdfast binary to start; the default is to build it")
    p.add_argument("--keep", action="store_true", help="keep the directory with the server's data and log")
    p.add_argument("--verbose", action="store_true", help="print the whole trace of a failed step")
    return p.parse_args()


class Matrix:
    def __init__(self, directory, servers, verbose):
        """servers are the nodes to go through in turn; of a single server, just that."""
        self.dir, self.servers, self.verbose = directory, servers, verbose
        self.server = servers[0]
        self.files = {mode: Payloads(directory, "plain" if mode == "plain" else "sealed") for mode in MODES}
        self.key, self.key2 = Key(), Key()
        self.rows, self.notes, self.failures = [], [], []

    def keys(self, mode):
        return (None, None) if mode == "plain" else (self.key, self.key2)

    def fill(self):
        """The list buckets, both at once."""
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for f in [pool.submit(c_boto3.fill, self.server, self.list_bucket(mode), self.keys(mode)[0]) for mode in MODES]:
                f.result()

    def list_bucket(self, mode):
        return f"list-of-5000-{mode.lower()}"

    def run(self, client):
        if hasattr(client, "optional") and client.optional():
            self.notes.append(f"{client.name}: not run (give its binary by {client.name.upper()}=/path)")
            return
        if hasattr(client, "missing") and client.missing():
            self.failures.append(f"{client.name}: not installed")
            return
        if hasattr(client, "build"):
            client.build(self.dir)
        name = f"{client.name} {client.version()}"
        for mode in MODES:
            key, key2 = self.keys(mode)
            scratch = pathlib.Path(tempfile.mkdtemp(dir=self.dir, prefix="scratch-"))
            case = Case(self.server, self.files[mode], f"{client.name}-{mode.lower()}", self.list_bucket(mode), scratch, key, key2)
            started = time.monotonic()
            cells = self.steps(client, case, f"{client.name}, {mode}")
            self.rows.append([name, mode, *cells, f"{time.monotonic() - started:.0f} s"])
            shutil.rmtree(scratch)

    def steps(self, client, case, label):
        try:
            through = [client(dataclasses.replace(case, server=s)) for s in self.servers]
        except Exception as e:
            self.failures.append(f"{label}: {e}")
            return ["FAIL"] * len(STEPS)
        cells = []
        for number, step in enumerate(STEPS):
            c = through[number % len(through)]
            if step == "rotate" and not case.sealed:
                cells.append("")
                continue
            try:
                getattr(c, step + "_" if step == "get" else step)()
                cells.append("ok")
            except NotOffered as e:
                cells.append("n/a")
                self.notes.append(f"{label}, {step}: {e}")
            except Exception as e:
                cells.append("FAIL")
                self.failures.append(f"{label}, {step}: {type(e).__name__}: {e}")
                if self.verbose:
                    traceback.print_exc()
        return cells

    def print(self):
        table = [["client", "mode", *STEPS, "time"], *self.rows]
        widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
        for row in table:
            print("  ".join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip())
        for note in self.notes:
            print("note:", note)

    def search(self, holdfast):
        """Canaries of the sealed runs must be nowhere; those of the plain runs must be found."""
        metrics = self.dir / "metrics.txt"
        metrics.write_bytes(holdfast.metrics())
        forbidden = {"plaintext of sealed objects": self.files["SSE-C"].canary}
        forbidden |= canary.key_patterns("SSE-C key", self.key) | canary.key_patterns("second SSE-C key", self.key2)
        forbidden["root password"] = self.server.secret.encode()
        control = {"plaintext of plain objects": self.files["plain"].canary}
        for when in ("while it ran", "after it stopped"):
            hits, files, size = canary.search(forbidden | control, holdfast.data, holdfast.log, metrics)
            # The credentials file is where the root password belongs; dev prints where it is.
            hits["root password"] = [p for p in hits["root password"] if p.parent != holdfast.data]
            for label in forbidden:
                self.failures += [f"canary: {label} found {when} in {p.relative_to(self.dir)}" for p in hits[label][:3]]
            if not hits["plaintext of plain objects"]:
                self.failures.append(f"canary: the control was not found {when}, so the search proves nothing")
            print(f"canary search {when}: {files} files, {size / 1e6:.0f} MB; control in {len(hits['plaintext of plain objects'])} files, "
                  f"forbidden strings in {sum(len(hits[label]) for label in forbidden)}")
            if when == "while it ran" and not holdfast.stop():
                self.failures.append("the server did not stop cleanly:\n" + holdfast.tail())


def main():
    args = arguments()
    chosen = [c for c in CLIENTS if not args.only or c.name in args.only.split(",")]
    directory = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-clients-"))
    holdfast = None
    try:
        if args.endpoint:
            user, password = os.environ["HOLDFAST_ROOT_USER"], os.environ["HOLDFAST_ROOT_PASSWORD"]
            servers = [Server(url, args.ca, user, password) for url in args.endpoint.split(",")]
        else:
            holdfast = Holdfast(directory, args.holdfast)
            holdfast.start()
            servers = [holdfast.server]
        matrix = Matrix(directory, servers, args.verbose)
        matrix.fill()
        for client in chosen:
            matrix.run(client)
        matrix.print()
        if holdfast:
            matrix.search(holdfast)
    finally:
        if holdfast:
            holdfast.stop()
        if args.keep:
            print("kept:", directory)
        else:
            shutil.rmtree(directory, ignore_errors=True)
    for failure in matrix.failures:
        print("FAIL:", failure)
    done = sum(cell == "ok" for row in matrix.rows for cell in row)
    print(f"clients: {done} steps passed, {len(matrix.failures)} failed")
    return 1 if matrix.failures or not done else 0


if __name__ == "__main__":
    sys.exit(main())
