# Tests rewrapd as clients and operators meet it: over TLS, by signals, after a kill.
import signal
import uuid

from soft_daemon import DAEMON, PASSWORD, DaemonTest
from support import DONE, FAILED


class Native(DaemonTest):
    """The REST API of its own, with a file as root."""

    COUNT = 5000

    def test_the_main_job_survives_a_kill(self):
        self.make_keyset("k", self.COUNT)
        before = self.fingerprint()
        daemon = self.daemon()
        started = daemon.ask("POST", "/v1/keysets/k/rekey", {"rate": 2500})
        self.assertEqual(started.status, 202, started.text)
        job = started.json["job"]["uuid"]
        self.wait_for_job(daemon, job, "running")
        daemon.kill()
        daemon = self.daemon()
        self.assertEqual(daemon.ask("PATCH", f"/v1/jobs/{job}", {"rate": 0}).json["rate"], 0)
        done = self.wait_for_job(daemon, job, "succeeded", "failed", "incomplete")
        self.assertEqual((done["state"], done["done"], done["error"]), ("succeeded", self.COUNT, None))
        census = daemon.get("/v1/keysets/k/census")
        self.assertEqual({v["version"]: v["deks"] for v in census["versions"] if v["deks"]}, {2: self.COUNT})
        daemon.stop()
        self.check_verify(self.COUNT)
        self.assertEqual(self.fingerprint(), before)

    def test_who_may_do_what(self):
        self.make_keyset("k", 1)
        self.add_account("reader", "read-only")
        daemon = self.daemon()
        self.assertEqual([k["name"] for k in daemon.get("/v1/keysets", account="reader")["keysets"]], ["k"])
        refused = daemon.ask("POST", "/v1/keysets/k/rekey", account="reader")
        self.assertEqual(refused.status, 403, refused.text)
        self.assertEqual(daemon.get("/v1/jobs")["jobs"], [])
        answers = [
            daemon.ask("GET", "/v1/keysets", account=account, password=password)
            for account, password in (("reader", "wrong-password"), ("nobody", PASSWORD), ("", ""))
        ]
        self.assertEqual([answer.status for answer in answers], [401] * 3)
        self.assertEqual(len({answer.text for answer in answers}), 1, "what was wrong shows")
        for path in ("/healthz", "/readyz", "/v1/openapi.json"):
            self.assertEqual(daemon.ask("GET", path, account="").status, 200, path)
        self.assertEqual(daemon.ask("GET", "/metrics", account="").status, 401)

    def test_bad_requests_name_no_secret_and_change_nothing(self):
        self.make_keyset("k", 1)
        daemon = self.daemon()
        for method, path, body, status in (
            ("GET", "/v1/keysets/none", None, 404),
            ("GET", "/v1/nothing", None, 404),
            ("DELETE", "/v1/keysets", None, 405),
            ("GET", "/v1/jobs/not-a-uuid", None, 400),
            ("GET", "/v1/jobs?stat=running", None, 400),
            ("POST", "/v1/keysets/k/rekey", {"rate": "fast"}, 400),
            ("POST", "/v1/keysets/k/rekey", {"speed": 1}, 400),
            ("POST", "/v1/keysets", {"name": "k", "root": self.root}, 409),
            ("POST", "/v1/keysets", {"name": "l"}, 400),
            ("GET", "/elsewhere", None, 404),
        ):
            with self.subTest(method=method, path=path, body=body):
                answer = daemon.ask(method, path, body)
                self.assertEqual(answer.status, status, answer.text)
                self.assertIn("error", answer.json)
        self.assertEqual([k["name"] for k in daemon.get("/v1/keysets")["keysets"]], ["k"])

    def test_the_document_describes_what_is_served(self):
        self.make_keyset("k", 1)
        daemon = self.daemon()
        document = daemon.get("/v1/openapi.json")
        self.assertEqual(document["openapi"], "3.1.0")
        schema = document["components"]["schemas"]["Keyset"]
        self.assertEqual(set(daemon.get("/v1/keysets/k")), set(schema["required"]))
        for path, operations in document["paths"].items():
            served = path.replace("{keyset}", "k").replace("{version}", "7").replace("{node}", "n")
            served = served.replace("{id}", str(uuid.uuid4())).replace("{uuid}", str(uuid.uuid4()))
            answer = daemon.ask("PUT", served)  # no route takes PUT: 405, and Allow says what is taken
            self.assertEqual(answer.status, 405, path)
            allowed = set(answer.headers["Allow"].lower().split(", "))
            self.assertEqual(allowed, set(operations), path)

    def test_metrics_count(self):
        self.make_keyset("k", 3)
        daemon = self.daemon()
        daemon.ask("GET", "/v1/keysets", password="wrong-password")
        text = daemon.ask("GET", "/metrics").text
        values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        self.assertEqual(values['rewrap_keyset_deks{keyset="k"}'], "3")
        self.assertEqual(values["rewrap_http_unauthorised_total"], "1")
        self.assertEqual(values["rewrap_ready"], "1")


class Limits(DaemonTest):
    """Guessing, and asking too often."""

    def test_guessing_passwords_becomes_slow(self):
        self.write_config("[limits]\nfailed_log_ins_burst = 3\nfailed_log_ins_per_minute = 1\n")
        daemon = self.daemon()
        self.assertEqual(daemon.ask("GET", "/v1/jobs").status, 200)
        seen = [daemon.ask("GET", "/v1/jobs", account=f"u{i}", password="guess").status for i in range(5)]
        self.assertEqual(seen, [401, 401, 401, 429, 429])
        answer = daemon.ask("GET", "/v1/jobs")
        self.assertEqual(answer.status, 429, "the address waits, whatever it says now")
        self.assertGreaterEqual(int(answer.headers["Retry-After"]), 1)
        self.assertEqual(daemon.ask("GET", "/healthz", account="").status, 200)

    def test_an_account_has_its_share_of_requests(self):
        self.add_account("other", "read-only")
        self.write_config("[limits]\nrequests_burst = 4\nrequests_per_second = 0.01\n")
        daemon = self.daemon()
        self.assertEqual([daemon.ask("GET", "/v1/jobs").status for _ in range(6)], [200] * 4 + [429] * 2)
        self.assertEqual(daemon.ask("GET", "/v1/jobs", account="other").status, 200)


class Operation(DaemonTest):
    """Configuration, reload, stop."""

    def check_config(self, text, *expected):
        self.config.write_text(text, encoding="ascii")
        outcome = self.run_argv([DAEMON, "--config", str(self.config), "--check-config"], 2 if expected else DONE)
        for line in expected:
            self.assertIn(f"{self.config}:{line}", outcome.stderr)

    def test_the_configuration_is_checked(self):
        self.check_config('[store]\ndirectory = "/x"\n')
        self.check_config("[store]\nfolder = 1\n", "2: there is no key store.folder")
        self.check_config('\n[shop]\nx = "y"\n', "2: there is no table [shop]")
        self.check_config("[jobs]\nthreads = 0\n[log]\nlevel = 3\n", "2: jobs.threads is", "4: log.level is")
        self.check_config("[store\n", "1")
        printed = self.run_argv([DAEMON, "--print-config"]).stdout
        self.check_config(printed)

    def test_a_reload_takes_what_it_can(self):
        daemon = self.daemon()
        port = daemon.port
        self.write_config("max_body = 4096\n[log]\nrequests = false\n")
        daemon.popen.send_signal(signal.SIGHUP)
        daemon.wait_for("reloaded")
        self.assertEqual(daemon.wait_for("changed, and needs a restart")["keys"], ["server.max_body"])
        requests = len(daemon.logged("request"))
        self.assertEqual(daemon.ask("GET", "/healthz").status, 200)
        self.assertEqual((len(daemon.logged("request")), daemon.port), (requests, port))
        self.config.write_text("[nonsense]\n", encoding="ascii")
        daemon.popen.send_signal(signal.SIGHUP)
        daemon.wait_for("the new configuration is refused")
        self.assertEqual(daemon.ask("GET", "/healthz").status, 200)
        daemon.stop()

    def test_a_stop_leaves_jobs_to_go_on(self):
        self.make_keyset("k", 5000)
        daemon = self.daemon()
        job = daemon.ask("POST", "/v1/keysets/k/rekey", {"rate": 1000}).json["job"]["uuid"]
        self.wait_for_job(daemon, job, "running")
        daemon.stop()
        self.assertIn(self.json("jobs", "show", job)["state"], ("running", "queued"))
        daemon = self.daemon()
        daemon.ask("PATCH", f"/v1/jobs/{job}", {"rate": 0})
        self.assertEqual(self.wait_for_job(daemon, job, "succeeded", "failed")["state"], "succeeded")
        daemon.stop()
        self.rewrap("audit", "verify", self.store / "audit.log")

    def test_every_request_has_an_id_in_the_log(self):
        daemon = self.daemon()
        answer = daemon.ask("GET", "/v1/jobs", headers=[("X-Request-Id", "from-the-client-1")])
        self.assertEqual(answer.headers["X-Request-Id"], "from-the-client-1")
        line = daemon.wait_for("request")
        self.assertEqual((line["request_id"], line["path"], line["status"]), ("from-the-client-1", "/v1/jobs", 200))

    def test_two_daemons_do_not_share_a_store(self):
        self.daemon()
        outcome = self.run_argv([DAEMON, "--config", str(self.config)], FAILED)
        self.assertIn("not started", outcome.stderr)
