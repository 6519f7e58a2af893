# The stand-in for AWS KMS of tests/hsm, for as long as a test lasts.
import json
import os
import pathlib
import subprocess
import sys

STAND_IN = pathlib.Path(__file__).resolve().parent.parent / "hsm" / "awskms_stand_in.py"
REGION = "eu-test-1"


class SoftKms:
    """Has its own directory; ends with the test. Its commands are the methods of the stand-in's Control."""

    def __init__(self, test, folder):
        self.folder = folder / "kms"
        self.folder.mkdir(mode=0o700)
        self.process = subprocess.Popen(
            [sys.executable, str(STAND_IN), str(self.folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(os.environ, PYTHONDONTWRITEBYTECODE="1"),
        )  # fmt: skip
        test.addCleanup(self.stop)
        self.port = self.process.stdout.readline().strip()
        if not self.port:
            raise RuntimeError("the stand-in for AWS KMS does not start (tools/setup)")

    def stop(self):
        self.process.kill()
        self.process.communicate()

    def __getattr__(self, verb):
        def command(*arguments, **named):
            self.process.stdin.write(f"{verb} {json.dumps(arguments or named)}\n")
            self.process.stdin.flush()
            outcome, _, text = self.process.stdout.readline().rstrip("\n").partition(" ")
            if outcome != "ok":
                raise RuntimeError(f"{verb}: {text}")
            return text

        return command

    def uri(self, key, *words, credentials="credentials", ca="ca.pem"):
        base = f"awskms:{key}?region={REGION}&endpoint=https://127.0.0.1:{self.port}&ca=file:{self.folder / ca}"
        return "&".join([base, f"credentials=file:{self.folder / credentials}", *words])

    @property
    def secret(self):
        """The secret access key."""
        lines = (self.folder / "credentials").read_text(encoding="ascii").splitlines()
        return next(line.partition("= ")[2] for line in lines if line.startswith("aws_secret"))
