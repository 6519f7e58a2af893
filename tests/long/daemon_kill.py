#!/usr/bin/python3
# The proof of tests/cli/daemon_kill_test.py with millions of DEKs: rewrapd is killed again and again during one rekey,
# every front end is asked about it all the time, and in the end every DEK is what it was.
"""
Usage: tests/long/daemon_kill.py [--build=build/release] [--deks=10000000] [--kills=12] [--seconds=3] [--rate=0]

--seconds is the longest time until a kill, --rate a limit in DEKs per second (0: none). Needs about 200 bytes of disk
for each DEK under $TMPDIR, and 10 minutes for ten million on two cores. Exits with 0 if everything held.
"""

import argparse
import hashlib
import os
import pathlib
import sys
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=ROOT / "build/release", type=pathlib.Path)
    parser.add_argument("--deks", default=10_000_000, type=int)
    parser.add_argument("--kills", default=12, type=int)
    parser.add_argument("--seconds", default=3.0, type=float)
    parser.add_argument("--rate", default=0, type=int)
    return parser.parse_args()


def prepare(args):
    """The module under test reads its environment when it is loaded."""
    build = args.build.resolve()
    os.environ |= {
        "REWRAP_BINARY": str(build / "tools/rewrap/rewrap"),
        "REWRAP_DAEMON": str(build / "tools/rewrapd/rewrapd"),
        "REWRAP_KILL_DEKS": str(args.deks),
        "REWRAP_KILLS": str(args.kills),
        "REWRAP_KILL_SECONDS": str(args.seconds),
        "REWRAP_KILL_RATE": str(args.rate),
    }
    sys.path.insert(0, str(ROOT / "tests/cli"))


def long_version():
    """The test case, with a fingerprint that is a digest and times that are told."""
    import daemon_kill_test  # noqa: PLC0415: after prepare
    import support  # noqa: PLC0415

    class Long(daemon_kill_test.KillAndTell):
        def setUp(self):
            super().setUp()
            support.TIMEOUT = 3600
            self.begun = time.monotonic()

        def say(self, text):
            print(f"{time.monotonic() - self.begun:8.1f} s  {text}", flush=True)

        def make_keyset(self, *words):
            super().make_keyset(*words)
            self.say(f"{self.COUNT} DEKs made")

        def watch_until_kill(self, *words, **options):
            ended = super().watch_until_kill(*words, **options)
            witness = words[0]
            self.say(f"{'ended' if ended else 'killed'}: {witness.looks} looks, {witness.most_done} DEKs told")
            return ended

        def kept_deks(self):
            kek = self.dir / "fingerprint.kek"
            if not kek.exists():
                support.write_secret(kek, os.urandom(32))
            path = self.dir / "fingerprint.jsonl"
            path.unlink(missing_ok=True)
            self.rewrap("export", "k", path, "--to-kek", f"file:{kek}")
            total = 0  # the sum does not depend on the order of the lines
            lines = 0
            with open(path, "rb") as file:
                for line in file:
                    total += int.from_bytes(hashlib.sha256(line).digest(), "big")
                    lines += 1
            path.unlink()
            self.assertEqual(lines, self.COUNT)
            self.say("every DEK exported under one fixed KEK, and summed")
            return total % (1 << 256)

        def tell(self, witness, resumed):
            self.say(f"succeeded; {len(resumed)} kills, with so many DEKs moved: {resumed}")

        def check_verify(self, count):
            super().check_verify(count)
            self.say("rewrap verify: whole")

    return Long("test_a_rekey_survives_kills_and_nobody_lies")


def main():
    prepare(arguments())
    return 0 if unittest.TextTestRunner(verbosity=2).run(long_version()).wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
