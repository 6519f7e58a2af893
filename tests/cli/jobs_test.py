# Tests `rewrap jobs` against a service in another process, and `rewrap audit verify`.
import hashlib
import os
import pathlib
import subprocess
import time

from support import DAMAGED, FAILED, ROOT, USAGE, CliTest

HOST = os.environ.get("REWRAP_SERVICE_HOST", "")


class Service:
    """service_host (tests/api/service_host.cc): a service that ends with its input."""

    def __init__(self, test, *words, tracer=()):
        argv = [*tracer, HOST, str(test.store), *map(str, words)]
        pipe = subprocess.PIPE
        self._popen = subprocess.Popen(argv, env=test.environment(), stdin=pipe, stdout=pipe, text=True)
        test.addCleanup(self.stop)
        self.job = self._popen.stdout.readline().strip() if "--rekey" in words else None
        test.assertEqual(self._popen.stdout.readline(), "ready\n")

    def stop(self):
        self._popen.stdin.close()
        self._popen.wait(timeout=100)
        self._popen.stdout.close()

    def kill(self):
        self._popen.kill()
        self._popen.wait(timeout=100)


class Jobs(CliTest):
    """What a person asks of a running job."""

    COUNT = 10_000

    def setUp(self):
        super().setUp()
        self.make_keyset("k", self.COUNT)

    def show(self, job):
        return self.json("jobs", "show", job)

    def wait_for(self, job, **wanted):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            shown = self.show(job)
            if all(shown[name] == value for name, value in wanted.items()):
                return shown
            time.sleep(0.05)
        self.fail(f"the job is still {shown}")

    def test_pause_rate_resume(self):
        service = Service(self, "--rekey", "k", 2500)
        job = service.job
        self.wait_for(job, state="running", phase="rewrapping")
        paused = self.json("jobs", "pause", job)
        self.assertEqual((paused["state"], paused["requested"], paused["error"]), ("paused", "none", None))
        self.assertLess(paused["done"], self.COUNT)
        self.refuse(FAILED, "paused already", words=("jobs", "pause", job))
        self.assertEqual(self.json("jobs", "rate", "1", 0)["rate"], 0)  # by its number
        self.rewrap("jobs", "resume", job)
        ended = self.wait_for(job, state="succeeded")
        self.assertEqual((ended["done"], ended["from_version"], ended["to_version"]), (self.COUNT, 1, 2))
        self.assertEqual([each["uuid"] for each in self.json("jobs", "list")["jobs"]], [job])
        self.assertEqual(self.json("jobs", "list", "--active")["jobs"], [])
        self.refuse(FAILED, "ended already", words=("jobs", "cancel", job))
        service.stop()
        self.check_verify(self.COUNT)

    def test_cancel_and_a_rekey_without_a_service(self):
        before = self.fingerprint()
        service = Service(self, "--rekey", "k", 2500)
        self.wait_for(service.job, state="running", phase="rewrapping")
        self.assertEqual(self.json("jobs", "cancel", service.job)["state"], "cancelled")
        service.stop()
        self.check_verify(self.COUNT)
        self.assertEqual(len(self.census()), 2)
        self.assertTrue(self.json("rekey", "k")["resumed"])
        self.check_verify(self.COUNT)
        self.assertEqual(self.fingerprint(), before)

    def test_without_a_service_the_job_follows_later(self):
        service = Service(self, "--rekey", "k", 2500)
        job = service.job
        self.wait_for(job, state="running", phase="rewrapping")
        service.kill()
        outcome = self.rewrap("jobs", "pause", job)
        self.assertIn("no service works on this store", outcome.stderr)
        self.assertEqual(self.show(job)["requested"], "pause")
        second = Service(self)
        self.assertEqual(self.show(job)["state"], "paused")
        self.rewrap("jobs", "rate", job, 0)
        self.rewrap("jobs", "resume", job)
        self.wait_for(job, state="succeeded")
        second.stop()
        self.check_verify(self.COUNT)

    def test_full_disk_under_the_database(self):
        Service(self).stop()  # makes the tables, and in them no other file
        # The thread of the job writes more than each of the others: from some write on only its own fail.
        trace, log = self.dir / "strace", self.store / "service.db-wal"
        self.ignore_leaks()
        rules = ("-P", log, "-e", "trace=pwrite64", "-e", "inject=pwrite64:error=ENOSPC:when=15..17")
        tracer = ["strace", "-f", "-qq", "-o", str(trace), *map(str, rules)]
        service = Service(self, "--rekey", "k", 0, tracer=tracer)
        paused = self.wait_for(service.job, state="paused")  # told once there is room again
        service.stop()
        self.assertEqual(paused["error"]["reason"], "storage_full")
        self.assertGreaterEqual(trace.read_text(encoding="ascii").count("INJECTED"), 2)
        second = Service(self)
        self.rewrap("jobs", "resume", service.job)
        ended = self.wait_for(service.job, state="succeeded")
        self.assertEqual((ended["from_version"], ended["to_version"], ended["error"]), (1, 2, None))
        second.stop()
        self.check_verify(self.COUNT)

    def test_wrong_words(self):
        self.refuse(FAILED, "no service has worked on this store", words=("jobs", "list"))
        Service(self).stop()
        self.assertEqual(self.json("jobs", "list"), {"jobs": []})
        self.refuse(USAGE, "by its uuid or its number", words=("jobs", "show", "nonsense"))
        self.refuse(FAILED, "there is no such job", words=("jobs", "pause", "1"))
        self.refuse(USAGE, words=("jobs", "rate", "1", "-1"))


class Audit(CliTest):
    """The audit log as a file that somebody has changed."""

    def setUp(self):
        super().setUp()
        self.make_keyset("k", 100)
        self.log = self.dir / "audit.log"

    def write_log(self, *words):
        Service(self, "--audit", self.log, *words).stop()

    def test_plain(self):
        for _ in range(3):
            self.write_log()
        whole = self.json("audit", "verify", self.log)
        self.assertEqual((whole["lines"], whole["keyed"], whole["findings"]), (3, False, []))
        lines = self.log.read_bytes().splitlines(keepends=True)
        self.log.write_bytes(lines[0] + lines[2])
        removed = self.json("audit", "verify", self.log, expect=DAMAGED)["findings"]
        self.assertEqual(removed, [{"fault": "removed", "line": 2, "sequence": 2, "count": 1}])
        self.log.write_bytes(b"".join(lines[:2]))
        outcome = self.rewrap("audit", "verify", self.log, expect=DAMAGED)
        self.assertIn("1 line(s) missing at the end", outcome.stderr)

    def test_keyed(self):
        self.write_log("--service-root", self.root)
        self.assertTrue(self.json("audit", "verify", self.log)["keyed"])
        lines = self.log.read_bytes()
        self.log.write_bytes(lines.replace(b"audit.opened", b"audit.closed"))
        self.rewrap("audit", "verify", self.log, expect=DAMAGED)
        self.log.write_bytes(lines)
        (self.dir / "root.key").unlink()
        self.rewrap("audit", "verify", self.log, expect=ROOT)

    def test_a_keyed_log_that_was_rewritten_without_a_key(self):
        self.write_log("--service-root", self.root)
        whole = self.json("audit", "verify", self.log, "--root", self.root)
        self.assertEqual((whole["keyed"], whole["service_root"]), (True, self.root))
        # Whoever may write both files but not use the key can make this; it is sound as far as it goes.
        body = '{"seq":1,"prev":"' + 64 * "0" + '","time":"2026-01-01T00:00:00.000Z","action":"audit.opened"'
        body += ',"user":"","origin":"service","object":"","outcome":"ok","detail":"","request_id":""'
        digest = hashlib.sha256(body.encode()).hexdigest()
        self.log.write_text(f'{body},"sha256":"{digest}"}}\n', encoding="ascii")
        head = f"{1:020d} {digest}"
        check = hashlib.sha256(f"head {head}".encode()).hexdigest()
        pathlib.Path(f"{self.log}.head").write_text(f"{head} {check}\n", encoding="ascii")
        self.rewrap("audit", "verify", self.log, expect=DAMAGED)
        # Where no service key is known it passes, which says so; a root that was named is asked for.
        nowhere = ("--store", self.dir / "nowhere")
        self.assertFalse(self.json(*nowhere, "audit", "verify", self.log)["keyed"])
        self.refuse(ROOT, "no service key", words=(*nowhere, "audit", "verify", self.log, "--root", self.root))

    def test_no_file(self):
        self.refuse(FAILED, "cannot be read", words=("audit", "verify", self.log))
