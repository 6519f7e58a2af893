# Tests that whatever changes something by way of rewrapd is in the audit log before it is answered, by every front end,
# and that a log of the daemon's tells what was done to it.
import json

from soft_daemon import DAEMON, DaemonTest
from soft_kms import REGION, SoftKms
from support import DAMAGED

NOBODY = "00000000-0000-4000-8000-000000000000"
# What Element's methods that change nothing begin with: it has no drives to encrypt and no features to switch.
READS = ("Get", "List", "Test", "EnableEncryptionAtRest", "DisableEncryptionAtRest", "EnableFeature")


class AuditTest(DaemonTest):
    """A daemon with a keyed audit log, a keyset for Element, and a KMS for ONTAP."""

    def setUp(self):
        super().setUp()
        self.kms = SoftKms(self, self.dir)
        self.EXTRA = f'aws_ca = "{self.kms.folder / "ca.pem"}"'
        limits = "[limits]\nrequests_per_second = 10000\n"
        self.write_config(f'[element]\nkeyset = "k"\ninternal_root = "{self.root}"\n{limits}')
        self.make_keyset("k", 1)
        self.log = self.store / "audit.log"

    def lines(self):
        return [json.loads(line) for line in self.log.read_bytes().splitlines()]

    def lines_of(self, request_id):
        return [line for line in self.lines() if line["request_id"] == request_id]

    def kms_body(self, svm):
        keys = dict(
            line.split(" = ") for line in (self.kms.folder / "credentials").read_text().splitlines() if " = " in line
        )
        return {
            "svm": {"name": svm}, "region": REGION, "key_id": self.kms.create_key(),
            "access_key_id": keys["aws_access_key_id"], "secret_access_key": keys["aws_secret_access_key"],
            "host": "127.0.0.1", "port": int(self.kms.port),
        }  # fmt: skip


class EveryChange(AuditTest):
    """What changes something, asked once each; most of it of things that are not there, which is audited as well."""

    def native_changes(self, daemon):
        bodies = {
            "/v1/keysets": {"name": "made", "root": self.root},
            "/v1/keysets/{keyset}/reprotect": {"root": "file:/nowhere"},
            "/v1/jobs/{uuid}": {"rate": 5},
            "/v1/nodes": {"name": "n2"},
        }
        for path, operations in daemon.get("/v1/openapi.json")["paths"].items():
            for method in operations:
                if method in ("get", "head", "parameters") or path.endswith("/heartbeat"):
                    continue
                target = path.replace("{keyset}", "k").replace("{version}", "7").replace("{node}", "none")
                yield method.upper(), target.replace("{id}", NOBODY).replace("{uuid}", NOBODY), bodies.get(path)

    def element_changes(self, daemon):
        params = {
            "CreatePublicPrivateKeyPair": {"commonName": "rewrap"},
            "CreateKeyProviderKmip": {"keyProviderName": "p"},
            "CreateKeyServerKmip": {
                "kmipCaCertificate": "-----BEGIN CERTIFICATE-----\n", "kmipClientCertificate": "-----BEGIN CERTIFICATE-----\n",
                "kmipKeyServerHostnames": ["127.0.0.1"], "kmipKeyServerName": "s",
            },
        }  # fmt: skip
        api = daemon.ask("POST", "/json-rpc/12.3", {"method": "GetAPI", "id": 0}).json["result"]
        names = [method if isinstance(method, str) else method["name"] for method in api["12.3"]]
        changes = [name for name in names if not name.startswith(READS)]
        self.assertGreater(len(changes), 8, api)
        for name in changes:
            given = params.get(name, {"keyProviderID": 77, "keyServerID": 78})
            if name.startswith("Rekey"):
                given = {}
            yield "POST", "/json-rpc/12.3", {"method": name, "id": 1, "params": given}

    def ontap_changes(self, _):
        one = f"/api/security/aws-kms/{NOBODY}"
        yield "POST", "/api/security/aws-kms?return_timeout=60", self.kms_body("svm1")
        yield "PATCH", one, {"region": "x"}
        yield "DELETE", one, None
        yield "POST", f"{one}/rekey-internal", None
        yield "POST", f"{one}/rekey-external", {"key_id": "x"}
        yield "POST", f"{one}/restore", None
        for action in ("pause", "resume", "cancel"):
            yield "PATCH", f"/api/cluster/jobs/{NOBODY}?action={action}", None

    def test_every_change_is_there_when_it_is_answered(self):
        daemon = self.daemon()
        known = len(self.lines())
        counts = {}
        for changes in (self.native_changes, self.element_changes, self.ontap_changes):
            for number, (method, path, body) in enumerate(changes(daemon)):
                name = f"{changes.__name__}-{number}"
                answer = daemon.ask(method, path, body, headers=[("X-Request-Id", name)])
                written = self.lines_of(name)  # read at once: not a moment after the answer
                with self.subTest(method=method, path=path, body=body, answer=answer.text):
                    self.assertNotIn(answer.status, (400, 401, 403, 405, 429), "the request does not get that far")
                    self.assertGreaterEqual(len(written), 2, "what is about to be done, and how it went")
                    self.assertEqual({line["user"] for line in written}, {"admin"})
                    self.assertEqual({line["origin"] for line in written}, {"127.0.0.1"})
                    went = "ok" if self.is_done(answer) else "failed"
                    self.assertEqual(written[-1]["outcome"], went)
                counts[changes.__name__] = number + 1
        self.assertEqual(counts["ontap_changes"], 9)
        self.assertGreaterEqual(counts["native_changes"], 13)
        before = len(self.lines())
        for path in ("/v1/jobs", "/api/cluster", "/v1/keysets/k/census"):
            daemon.get(path, headers=[("X-Request-Id", "a-read")])
        self.assertEqual(self.lines_of("a-read"), [], "control: reading is no change")
        self.assertGreater(before, known)
        daemon.stop()
        self.rewrap("audit", "verify", self.log)
        for secret in (self.kms.secret, "correct-horse-battery"):
            self.assertNotIn(secret.encode(), self.log.read_bytes())

    @staticmethod
    def is_done(answer):
        return answer.status < 400 and '"error":{' not in answer.text

    def test_a_kill_right_after_the_answer_loses_no_line(self):
        asked = {
            "native": ("POST", "/v1/keysets/k/verify", None),
            "element": ("POST", "/json-rpc/12.3", {"method": "RekeySoftwareEncryptionAtRestMasterKey", "id": 1}),
            "ontap": ("POST", "/api/security/aws-kms", self.kms_body("svm2")),
        }
        for name, (method, path, body) in asked.items():
            daemon = self.daemon()
            answer = daemon.ask(method, path, body, headers=[("X-Request-Id", f"killed-{name}")])
            daemon.popen.kill()
            self.assertLess(answer.status, 300, answer.text)
            daemon.kill()
            self.assertEqual([line["outcome"] for line in self.lines_of(f"killed-{name}")][-1:], ["ok"])
            self.rewrap("audit", "verify", self.log)
        daemon = self.daemon()  # and what was left half done does not stop the next one
        daemon.stop()
        self.rewrap("audit", "verify", self.log)


class Damage(AuditTest):
    """The daemon's log as a file that somebody has changed: each line, in each way."""

    def findings(self, lines):
        self.log.write_bytes(b"".join(lines))
        found = self.json("audit", "verify", self.log, expect=DAMAGED)["findings"]
        return [(finding["fault"], finding["line"]) for finding in found]

    def test_whatever_is_done_to_a_line_is_found_at_that_line(self):
        daemon = self.daemon()
        daemon.ask("POST", "/v1/keysets/k/verify")
        daemon.ask("GET", "/api/cluster", password="wrong-password")
        daemon.stop()
        lines = self.log.read_bytes().splitlines(keepends=True)
        self.assertTrue(self.json("audit", "verify", self.log)["keyed"])
        self.assertGreater(len(lines), 5)
        last = len(lines) - 1
        for at, line in enumerate(lines):
            number = at + 1
            removed = [("cut_off" if at == last else "removed", number)]
            self.assertEqual(self.findings(lines[:at] + lines[number:]), removed)
            changed = line.replace(b'"user":"', b'"user":"x', 1)
            self.assertNotEqual(changed, line)
            self.assertEqual(self.findings([*lines[:at], changed, *lines[number:]]), [("changed", number)])
            if at != last:
                swapped = [*lines[:at], lines[number], line, *lines[number + 1 :]]
                faults = self.findings(swapped)
                self.assertIn(faults[0], [("reordered", number + 1), ("removed", number)], swapped)
            doubled = self.findings([*lines[:number], line, *lines[number:]])
            self.assertEqual(doubled[0], ("reordered", number + 1))
        self.log.write_bytes(b"".join(lines))
        self.rewrap("audit", "verify", self.log)
        # And the daemon appends to no log whose end does not fit.
        self.log.write_bytes(b"".join(lines[:-1]))
        self.assertIn("audit", self.run_argv([DAEMON, "--config", str(self.config)], 1).stderr)
