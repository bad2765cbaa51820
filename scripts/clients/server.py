"""Starts and stops the Holdfast that the clients talk to."""

import os
import pathlib
import secrets
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request

from case import Server

ROOT = pathlib.Path(__file__).resolve().parents[2]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Holdfast:
    """`holdfast dev` in a directory of its own on a free loopback port."""

    def __init__(self, directory, binary=None):
        self.dir = pathlib.Path(directory)
        self.binary = binary or self.build()
        self.data = self.dir / "data"
        self.log = self.dir / "holdfast.log"
        self.server = Server(f"https://127.0.0.1:{free_port()}", str(self.data / "certs" / "ca.pem"),
                             "matrix", secrets.token_urlsafe(24))
        self.process = None

    def build(self):
        path = self.dir / "holdfast"
        subprocess.run(["go", "build", "-o", path, "./cmd/holdfast"], cwd=ROOT, check=True)
        return path

    def start(self, seconds=60):
        env = {**os.environ, "HOLDFAST_ROOT_USER": self.server.access, "HOLDFAST_ROOT_PASSWORD": self.server.secret}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [self.binary, "dev", "--dir", self.data, "--address", self.server.host, "--log-level", "debug", "--log-format", "json"],
                env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until = time.monotonic() + seconds
        while not self.ready():
            if self.process.poll() is not None:
                raise SystemExit(f"the server ended with status {self.process.returncode}:\n{self.tail()}")
            if time.monotonic() > until:
                self.process.kill()
                raise SystemExit(f"the server was not ready after {seconds} s:\n{self.tail()}")
            time.sleep(0.05)

    def ready(self):
        try:
            return self.server.fetch(self.server.url + "/-/ready")[0] == 200
        except (OSError, urllib.error.URLError, ssl.SSLError):
            return False

    def tail(self):
        return self.log.read_text(errors="replace")[-3000:]

    def metrics(self):
        status, body = self.server.fetch(self.server.url + "/-/metrics")
        if status != 200:
            raise SystemExit(f"/-/metrics answered {status}")
        return body

    def stop(self):
        """A clean stop; anything but exit status 0 within a minute is a failure."""
        if self.process is None or self.process.poll() is not None:
            return self.process is None or self.process.returncode == 0
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(60) == 0
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return False
