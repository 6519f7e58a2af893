#!/usr/bin/python3
# How a running rewrapd answers on one processor while a rekey has that processor too.
"""
Usage: bench/http/daemon_load.py [--build=build/release] [--deks=2000000] [--seconds=60] [--rate=2000] [--cpu=0]
                                 [--slow=0] [--no-rekey]

Starts rewrapd bound to one processor, a rekey of --deks DEKs (again and again, until the time is over), and http_bench
on the others: authenticated keep-alive GETs of /api/cluster/jobs/UUID and /v1/jobs/UUID over TLS at a fixed rate.
--slow is the number of clients that send a byte a second meanwhile. Ends with 0 if no request failed.
"""

import argparse
import base64
import os
import pathlib
import re
import subprocess
import sys
import threading
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
ARGS = None


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=ROOT / "build/release", type=pathlib.Path)
    parser.add_argument("--deks", default=2_000_000, type=int)
    parser.add_argument("--seconds", default=60, type=int)
    parser.add_argument("--rate", default=2000, type=int)
    parser.add_argument("--connections", default=32, type=int)
    parser.add_argument("--cpu", default=0, type=int)
    parser.add_argument("--slow", default=0, type=int)
    parser.add_argument("--no-rekey", action="store_true")
    return parser.parse_args()


def load_test():
    build = ARGS.build.resolve()
    os.environ["REWRAP_BINARY"] = str(build / "tools/rewrap/rewrap")
    os.environ["REWRAP_DAEMON"] = str(build / "tools/rewrapd/rewrapd")
    sys.path.insert(0, str(ROOT / "tests/cli"))
    import soft_daemon  # noqa: PLC0415: it reads its environment when it is loaded

    class Load(soft_daemon.DaemonTest):
        def test_load(self):
            self.make_keyset("k", ARGS.deks)
            limits = "[limits]\nrequests_per_second = 1e6\nrequests_burst = 1000000\n[log]\nrequests = false\n"
            self.write_config(limits)
            everywhere = os.sched_getaffinity(0)
            os.sched_setaffinity(0, {ARGS.cpu})  # inherited by the daemon
            daemon = self.daemon()
            os.sched_setaffinity(0, everywhere - {ARGS.cpu} or everywhere)
            job = daemon.ask("POST", "/v1/keysets/k/verify").json["job"]["uuid"]
            self.wait_for_job(daemon, job, "succeeded", seconds=600)
            done = threading.Event()
            self.rekeys = 0
            keeper = threading.Thread(target=self.keep_rekeying, args=(daemon, done))
            if not ARGS.no_rekey:
                keeper.start()
            text = self.drive(build, daemon, [f"/api/cluster/jobs/{job}", f"/v1/jobs/{job}"])
            done.set()
            if keeper.is_alive():
                keeper.join()
            print(f"{text}{self.rekeys} rekeys of {ARGS.deks} DEKs ended meanwhile")
            daemon.stop()
            self.assertEqual(re.search(r"(\d+) errors", text)[1], "0")

        def keep_rekeying(self, daemon, done):
            while not done.is_set():
                job = daemon.ask("POST", "/v1/keysets/k/rekey").json["job"]["uuid"]
                while not done.wait(0.5):
                    if daemon.get(f"/v1/jobs/{job}")["state"] == "succeeded":
                        self.rekeys += 1
                        break

        def drive(self, build, daemon, paths):
            log_in = base64.b64encode(f"admin:{soft_daemon.PASSWORD}".encode()).decode()
            options = [f"--{name}={getattr(ARGS, name)}" for name in ("seconds", "rate", "connections", "slow")]
            return subprocess.run(
                [build / "bench/http/http_bench", f"--port={daemon.port}", *options, *paths],
                env=os.environ | {"REWRAP_BENCH_LOG_IN": log_in}, stdout=subprocess.PIPE, text=True, check=True,
            ).stdout  # fmt: skip

    return Load("test_load")


if __name__ == "__main__":
    ARGS = arguments()
    sys.exit(0 if unittest.TextTestRunner().run(load_test()).wasSuccessful() else 1)
