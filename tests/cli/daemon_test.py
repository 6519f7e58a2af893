# Tests rewrapd as clients and operators meet it: over TLS, by signals, after a kill.
import base64
import json
import os
import signal
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
import uuid

from soft_kms import REGION, SoftKms
from support import DONE, FAILED, CliTest, write_secret

DAEMON = os.environ.get("REWRAP_DAEMON", "")
PASSWORD = "correct-horse-battery"


class Response:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.text = status, headers, body.decode()

    @property
    def json(self):
        return json.loads(self.text)


class Daemon:
    """A running rewrapd on free loopback ports; ends with the test. Its log is kept, line by line."""

    def __init__(self, test, config):
        self.test = test
        test.assertTrue(os.access(DAEMON, os.X_OK), f"REWRAP_DAEMON does not name the daemon: '{DAEMON}'")
        self.lines = []
        self.popen = subprocess.Popen(
            [DAEMON, "--config", str(config)], env=test.environment(), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        test.addCleanup(self.kill)
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.port = self.wait_for("listening")["port"]
        self.tls = ssl.create_default_context(cafile=str(test.store / "tls" / "server.crt"))

    def _read(self):
        for line in self.popen.stderr:
            with self._changed:
                self.test.recorded.append(line)
                self.lines.append(json.loads(line))
                self._changed.notify_all()
        with self._changed:
            self.lines.append({"message": "ended"})
            self._changed.notify_all()

    def logged(self, message):
        with self._changed:
            return [line for line in self.lines if line["message"] == message]

    def wait_for(self, message, seconds=30):
        end = time.monotonic() + seconds
        with self._changed:
            while True:
                found = [line for line in self.lines if line["message"] == message]
                if found:
                    return found[0]
                over = any(line["message"] == "ended" for line in self.lines) or time.monotonic() > end
                self.test.assertFalse(over, f"no '{message}' in {self.lines}")
                self._changed.wait(1)

    def ask(self, method, path, body=None, account="admin", password=PASSWORD, headers=()):
        request = urllib.request.Request(f"https://127.0.0.1:{self.port}{path}", method=method)
        if account:
            token = base64.b64encode(f"{account}:{password}".encode()).decode()
            request.add_header("Authorization", f"Basic {token}")
        for name, value in headers:
            request.add_header(name, value)
        if body is not None:
            request.add_header("Content-Type", "application/json")
            request.data = json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, context=self.tls, timeout=60) as answer:
                return Response(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            return Response(error.code, error.headers, error.read())

    def get(self, path, **options):
        response = self.ask("GET", path, **options)
        self.test.assertEqual(response.status, 200, response.text)
        return response.json

    def stop(self):
        self.popen.send_signal(signal.SIGTERM)
        self.test.assertEqual(self.popen.wait(timeout=60), 0)
        self._reader.join()

    def kill(self):
        self.popen.kill()
        self.popen.wait(timeout=60)
        self._reader.join()
        self.popen.stderr.close()


class DaemonTest(CliTest):
    """A store with an admin account, and a configuration for it."""

    EXTRA = ""

    def setUp(self):
        super().setUp()
        self.config = self.dir / "rewrapd.toml"
        self.password_file = write_secret(self.dir / "password", PASSWORD.encode() + b"\n")
        self.add_account("admin", "admin")
        self.write_config()

    def tearDown(self):
        super().tearDown()
        self.assertNotIn(PASSWORD.encode(), b"".join(self.recorded))

    def add_account(self, name, role):
        self.rewrap("account", "add", name, "--role", role, "--password-file", self.password_file)

    def write_config(self, extra=""):
        self.config.write_text(
            f'[store]\ndirectory = "{self.store}"\n'
            f'[roots]\nservice = "{self.root}"\nallow_file_root = true\ntoken_wait = 1\n{self.EXTRA}\n'
            f'[server]\nlisten = ["127.0.0.1:0"]\nstop_grace = 1\n{extra}\n',
            encoding="ascii",
        )

    def daemon(self):
        return Daemon(self, self.config)

    def wait_for_job(self, daemon, job, *states, seconds=60):
        end = time.monotonic() + seconds
        while True:
            shown = daemon.get(f"/v1/jobs/{job}")
            if shown["state"] in states:
                return shown
            self.assertLess(time.monotonic(), end, shown)
            time.sleep(0.02)


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


class Ontap(DaemonTest):
    """rekey-internal by way of ONTAP REST, with a KMS of its own."""

    COUNT = 2000

    def setUp(self):
        super().setUp()
        self.kms = SoftKms(self, self.dir)
        self.key = self.kms.create_key()
        self.EXTRA = f'aws_ca = "{self.kms.folder / "ca.pem"}"'
        self.write_config()

    def access_key(self):
        lines = (self.kms.folder / "credentials").read_text(encoding="ascii").splitlines()
        return next(line.partition("= ")[2] for line in lines if line.startswith("aws_access_key_id"))

    def test_rekey_internal(self):
        self.make_keyset("svm1", self.COUNT)
        before = self.fingerprint("svm1")
        daemon = self.daemon()
        made = daemon.ask(
            "POST",
            "/api/security/aws-kms?return_timeout=60&return_records=true",
            {
                "svm": {"name": "svm1"},
                "region": REGION,
                "key_id": self.key,
                "access_key_id": self.access_key(),
                "secret_access_key": self.kms.secret,
                "host": "127.0.0.1",
                "port": int(self.kms.port),
            },
        )
        self.assertEqual(made.status, 201, made.text)
        records = daemon.get("/api/security/aws-kms")["records"]
        self.assertEqual(len(records), 1)
        path = f"/api/security/aws-kms/{records[0]['uuid']}/rekey-internal"
        started = daemon.ask("POST", f"{path}?return_timeout=0")
        self.assertEqual(started.status, 202, started.text)
        job = started.json["job"]["uuid"]
        self.assertEqual(self.wait_for_job(daemon, job, "succeeded", "failed")["state"], "succeeded")
        self.assertEqual(daemon.get(f"/api/cluster/jobs/{job}")["state"], "success")
        self.kms.set_key(key=self.key, state="Disabled")  # control: now the condition is real
        self.assertEqual(daemon.ask("POST", path).json["error"]["code"], "65537556")
        self.kms.set_key(key=self.key, state="Enabled")
        census = daemon.get("/v1/keysets/svm1/census")
        self.assertEqual([v["deks"] for v in census["versions"] if v["deks"]], [self.COUNT])
        daemon.stop()
        self.assertNotIn(self.kms.secret.encode(), b"".join(self.recorded))
        self.assertTrue(before)
