"""The Go clients: small programs of this repository, one command a step."""

import pathlib
import subprocess

from case import STEPS, Wrong, run

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Program:
    """A Go program under scripts/clients that is told the step by its argument and all the rest
    by environment variables."""

    package = ""
    module = ""
    binary = None

    def __init__(self, case):
        self.c = case
        self.env = {
            "HF_URL": case.server.url, "HF_CA": case.server.ca, "HF_ACCESS": case.server.access, "HF_SECRET": case.server.secret,
            "HF_BUCKET": case.bucket, "HF_LIST_BUCKET": case.list_bucket, "HF_FILES": str(case.files.dir),
            "HF_KEY": case.key.b64 if case.key else "", "HF_KEY2": case.key2.b64 if case.key2 else "",
        }
        for step in STEPS:
            setattr(self, step + "_" if step == "get" else step, lambda step=step: self.step(step))

    @classmethod
    def build(cls, into):
        cls.binary = into / cls.package
        subprocess.run(["go", "build", "-o", cls.binary, f"./scripts/clients/{cls.package}"], cwd=ROOT, check=True)

    @classmethod
    def version(cls):
        out = run("go", "version", "-m", cls.binary).decode()
        return next(line.split()[2] for line in out.splitlines() if f"\t{cls.module}\t" in line).removeprefix("v")

    def step(self, name):
        run(self.binary, name, env=self.env)


class MinioGo(Program):
    name = "minio-go"
    package = "miniogo"
    module = "github.com/minio/minio-go/v7"


class AWSGo(Program):
    name = "aws-sdk-go"
    package = "awsgo"
    module = "github.com/aws/aws-sdk-go-v2/service/s3"
