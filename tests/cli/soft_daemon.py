# A running rewrapd on loopback, and a store for it, for as long as a test lasts.
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

from support import CliTest, write_secret

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
                # What is not JSON is no log yet: errors in the configuration.
                self.lines.append(json.loads(line) if line.startswith(b"{") else {"message": line.decode()})
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
