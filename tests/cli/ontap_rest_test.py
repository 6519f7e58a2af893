# Tests the ONTAP REST front end of a running rewrapd as its clients meet it: over TLS, with a KMS of its own.
import base64
import contextlib
import datetime
import http.client
import json
import sqlite3
import time
import unittest
import uuid

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap
from ontap_support import JOBS, KMS, OntapTest
from soft_daemon import PASSWORD
from support import MANY, random_deks, unwrap_line


class EndToEnd(OntapTest):
    """What it is all for: 100,000 volume keys, one POST, and every key is the same under a new KEK."""

    KNOWN = 500  # at either end

    def test_rekey_internal(self):
        first, last = (random_deks(self.rng, self.KNOWN, (64,)) for _ in range(2))
        kek, uri = self.make_kek()
        self.make_keyset("svm1", 0, None, "--dek-size", 64)
        self.import_deks("svm1", first, kek, uri)
        self.rewrap("dek", "generate", "svm1", "--count", MANY - 2 * self.KNOWN)
        self.import_deks("svm1", last, kek, uri)
        fingerprint = self.fingerprint("svm1")
        before = {line["wrapped"] for line in self.export_lines("svm1")}
        daemon = self.daemon()
        path = self.configure(daemon, "svm1")

        started = daemon.ask("POST", f"{path}/rekey-internal")
        self.assertEqual((started.status, started.headers["Location"]), (202, path), started.text)
        job = started.json["job"]
        self.assertEqual(job["_links"]["self"]["href"], f"{JOBS}/{job['uuid']}")
        self.assertEqual(self.watch(daemon, job["uuid"])["message"], "success")
        census = daemon.get("/v1/keysets/svm1/census")["versions"]
        self.assertEqual({v["version"]: v["deks"] for v in census if v["deks"]}, {2: MANY})

        kek = self.leave_kms(daemon, path, "svm1")
        lines = {line["id"]: line for line in self.export_lines("svm1")}
        self.assertEqual(len(lines), MANY)
        self.assertFalse(before & {line["wrapped"] for line in lines.values()}, "a DEK was left as it was")
        for dek_id, dek in (first | last).items():  # by python3-cryptography, with the KEK that AWS gave
            self.assertEqual(unwrap_line(lines[dek_id], kek), dek)
        self.assertEqual(self.fingerprint("svm1"), fingerprint)  # all others, by the command
        with self.assertRaises(InvalidUnwrap):  # control
            unwrap_line(lines[dek_id], bytes(32))

class Refusals(OntapTest):
    """Each cause why a rekey is refused at once, made real, over the wire."""

    def check(self, daemon, path, status, code):
        answer = daemon.ask("POST", f"{path}/rekey-internal")
        self.assertEqual((answer.status, answer.json["error"]["code"]), (status, code), answer.text)
        self.assertGreater(len(answer.json["error"]["message"]), 20)
        return answer

    def test_the_five_codes(self):
        self.make_keyset("cluster")
        self.make_keyset("svm1")
        self.write_config('[ontap]\nadmin_keyset = "cluster"\n')
        daemon = self.daemon()
        self.check(daemon, f"{KMS}/{uuid.uuid4()}", 404, "65537926")
        path = self.configure(daemon, "svm1")
        self.check(daemon, path, 409, "65537559")
        self.assertEqual(daemon.ask("POST", "/v1/keysets/svm1/deks", {"count": 10}).status, 201)

        (dek,) = daemon.ask("POST", "/v1/keysets/cluster/deks", {"count": 1}).json["ids"]
        tag = f"/v1/keysets/svm1/deks_in_admin/{dek}"
        self.assertEqual(daemon.ask("POST", tag).status, 201)
        self.check(daemon, path, 409, "65537547")
        self.assertEqual(daemon.ask("DELETE", tag).status, 200)

        self.assertEqual(daemon.ask("POST", "/v1/nodes", {"name": "node-2"}).status, 201)
        self.assertGreaterEqual(int(self.check(daemon, path, 503, "65537566").headers["Retry-After"]), 1)
        self.assertEqual(daemon.ask("DELETE", "/v1/nodes/node-2").status, 200)

        self.kms.set_key(key=self.key, state="Disabled")
        self.check(daemon, path, 409, "65537556")
        self.assertEqual(daemon.get("/api/security/key-stores?fields=state&type=aws")["records"][0]["state"], "blocked")
        shown = daemon.get(f"{path}?fields=state,amazon_reachability")
        self.assertEqual((shown["state"]["cluster_state"], shown["amazon_reachability"]["reachable"]), (False, False))
        self.kms.set_key(key=self.key, state="Enabled")

        job = daemon.ask("POST", f"{path}/rekey-internal").json["job"]["uuid"]  # control: with none of these it goes
        self.assertEqual(self.watch(daemon, job)["state"], "success")
        self.assertEqual(len(daemon.get(JOBS)["records"]), 1, "a refused rekey made a job")

class Life(OntapTest):
    """A configuration from its making to its end."""

    def expect(self, answer, status, code=None):
        self.assertEqual((answer.status, answer.json.get("error", {}).get("code")), (status, code), answer.text)

    def test_the_whole_life_of_a_configuration(self):
        self.make_keyset("svm1", 500)
        before = self.fingerprint("svm1")
        daemon = self.daemon()
        bad = {**self.settings("svm1"), "secret_access_key": "not-the-secret"}
        self.expect(daemon.ask("POST", KMS, bad), 400, "65537900")
        self.assertEqual(daemon.get(KMS)["num_records"], 0)
        path = self.configure(daemon, "svm1")
        self.expect(daemon.ask("POST", KMS, self.settings("svm1")), 409, "65537910")
        self.expect(daemon.ask("PATCH", path, {"secret_access_key": "not-the-secret"}), 400, "65537921")
        self.expect(daemon.ask("PATCH", path, {"polling_period": 30, "timeout": 20}), 200)
        self.assertEqual((daemon.get(path)["polling_period"], daemon.get(path)["timeout"]), (30, 20))
        self.expect(daemon.ask("DELETE", path), 409, "65537106")

        other = self.kms.create_key()
        self.kms.set_key(key=other, state="Disabled")
        external = f"{path}/rekey-external?return_timeout=60"
        self.expect(daemon.ask("POST", external, {"key_id": other}), 500, "65537919")
        self.assertEqual(daemon.get(path)["key_id"], self.key)
        self.kms.set_key(key=other, state="Enabled")
        self.expect(daemon.ask("POST", external, {"key_id": other}), 201)
        self.assertEqual(daemon.get(path)["key_id"], other)
        self.kms.delete_key(self.key)  # nothing depends on it any more
        self.expect(daemon.ask("POST", f"{path}/rekey-internal?return_timeout=60"), 201)

        self.leave_kms(daemon, path, "svm1")
        self.expect(daemon.ask("DELETE", path), 200)
        self.expect(daemon.ask("GET", path), 404, "4")
        self.expect(daemon.ask("DELETE", path), 404, "65537926")
        daemon.stop()
        self.assertEqual(self.fingerprint("svm1"), before)


class Trouble(OntapTest):
    """What goes wrong while a job works."""

    def test_a_rekey_waits_for_its_kms_and_goes_on_when_asked_anew(self):
        self.make_keyset("svm1", 0, None, "--dek-size", 64)
        deks = random_deks(self.rng, 100, (64,))
        self.import_deks("svm1", deks, *self.make_kek())
        daemon = self.daemon()
        path = self.configure(daemon, "svm1")
        self.kms.deny("Encrypt")  # what it has opens, so the rekey is taken, but no new KEK can be guarded
        started = daemon.ask("POST", f"{path}/rekey-internal")
        self.assertEqual(started.status, 202, started.text)
        link = started.json["job"]["_links"]["self"]["href"]
        self.wait_until(lambda: daemon.get(link)["message"].startswith("waiting: "), "it waits")
        self.assertEqual(daemon.get(link)["state"], "running")
        self.assertIn("Encrypt", daemon.get(link)["message"])

        self.kms.deny()
        done = daemon.ask("POST", f"{path}/rekey-internal?return_timeout=60")
        self.assertEqual((done.status, done.json["job"]), (201, started.json["job"]), done.text)
        self.assertEqual(daemon.get(link)["state"], "success")
        kek = self.leave_kms(daemon, path, "svm1")
        self.assertEqual({line["id"]: unwrap_line(line, kek) for line in self.export_lines("svm1")}, deks)

    def test_a_keyset_that_is_being_moved_to_another_key_is_not_rekeyed(self):
        self.make_keyset("svm1", 10)
        daemon = self.daemon()
        path = self.configure(daemon, "svm1")
        self.kms.fault(action="Encrypt", slow=3)
        moving = daemon.ask("POST", f"{path}/rekey-external", {"key_id": self.kms.create_key()})
        self.assertEqual(moving.status, 202, moving.text)
        refused = daemon.ask("POST", f"{path}/rekey-internal")
        self.assertEqual((refused.status, refused.json["error"]["code"]), (409, "65537610"), refused.text)
        self.assertEqual(self.watch(daemon, moving.json["job"]["uuid"])["state"], "success")
        again = daemon.ask("POST", f"{path}/rekey-internal?return_timeout=60")  # control
        self.assertEqual(again.status, 201, again.text)

    def test_a_job_that_fails_says_so_in_every_field(self):
        self.make_keyset("svm1", 10)
        daemon = self.daemon()
        path = self.configure(daemon, "svm1")
        self.kms.deny("Decrypt")
        started = daemon.ask("POST", f"{path}/restore")
        self.assertEqual(started.status, 202, started.text)
        self.assertEqual(self.watch(daemon, started.json["job"]["uuid"])["state"], "failure")
        job = daemon.get(f"{JOBS}/{started.json['job']['uuid']}")
        self.assertEqual((job["code"], job["error"]["code"]), (65536082, "65536082"))
        self.assertEqual(job["error"]["message"], job["message"])
        self.assertIn("Decrypt", job["message"])
        waited = daemon.ask("POST", f"{path}/restore?return_timeout=60")
        self.assertEqual((waited.status, waited.json["error"]["code"]), (500, "65536082"), waited.text)
        self.kms.deny()
        self.assertEqual(daemon.ask("POST", f"{path}/restore?return_timeout=60").status, 201)


class Wire(OntapTest):
    """What only a real connection shows."""

    def exchange(self, connection, method, target, body=None, headers=(), password=PASSWORD):
        """One request on a connection that is kept: the answer, its headers, and its body as it came."""
        token = base64.b64encode(f"admin:{password}".encode()).decode()
        connection.request(method, target, body, {"Authorization": f"Basic {token}", **dict(headers)})
        answer = connection.getresponse()
        return answer, answer.read()

    def test_every_answer_has_a_length_and_the_connection_is_kept(self):
        daemon = self.daemon()
        one = self.configure(daemon, "svm1")
        json_type = ("Content-Type", "application/json")
        connection = http.client.HTTPSConnection("127.0.0.1", daemon.port, context=daemon.tls, timeout=60)
        self.addCleanup(connection.close)
        connection.connect()
        socket = connection.sock
        for method, target, body, headers, status in (
            ("GET", "/api/cluster?fields=version", None, [("X-Dot-Client-App", "netapp.ontap.na_ontap_rest_cli")], 200),
            ("GET", f"{KMS}?max_records=1024&fields=", None, [("Accept", "application/hal+json")], 200),
            ("GET", f"/api//security/aws-kms/{one.rpartition('/')[2]}/?fields=%2A", None, [("X-Unknown", "x")], 200),
            ("GET", f"/api/security/./keys/../aws-kms?fields=%2A%2A", None, [], 200),
            ("GET", f"{KMS}/{uuid.uuid4()}", None, [], 404),
            ("GET", "/api/nothing", None, [], 404),
            ("PUT", KMS, "{}", [json_type], 405),
            ("OPTIONS", KMS, None, [], 200),
            ("PATCH", one, '{"polling_period":30}', [json_type], 200),
            ("PATCH", one, "{}", [json_type], 400),
            ("POST", KMS, '{"svm":', [json_type], 400),
            ("POST", f"{one}/rekey-internal", None, [("Accept", "application/json")], 409),
            ("POST", f"{one}/rekey-internal", "{}", [json_type], 409),
            ("POST", f"{one}/restore?return_timeout=60", "", [], 201),
            ("DELETE", one, "{}", [json_type], 200),
        ):
            with self.subTest(method=method, target=target, body=body):
                answer, text = self.exchange(connection, method, target, body, headers)
                self.assertEqual(answer.status, status, text)
                self.assertEqual(answer.headers["Content-Length"], str(len(text)))
                self.assertIsInstance(json.loads(text), dict)
                plain = dict(headers).get("Accept") == "application/json"
                self.assertEqual(answer.headers["Content-Type"], f"application/{'' if plain else 'hal+'}json")
                self.assertEqual(answer.headers["X-Content-Type-Options"], "nosniff")
                self.assertIs(connection.sock, socket, "the connection was given up")
        got, text = self.exchange(connection, "GET", KMS)
        head, nothing = self.exchange(connection, "HEAD", KMS)
        self.assertEqual((head.status, nothing, head.headers["Content-Length"]), (200, b"", str(len(text))))

    def test_a_secret_is_neither_taken_from_a_url_nor_given_back(self):
        daemon = self.daemon()
        made = daemon.ask("POST", f"{KMS}?return_records=true", self.settings("svm1"))
        self.assertEqual(made.status, 201, made.text)
        one = f"{KMS}/{made.json['records'][0]['uuid']}"
        answers = [made]
        for method, target, code in (
            ("GET", f"{KMS}?secret_access_key={self.kms.secret}", "262202"),
            ("POST", f"{KMS}?secret_access_key={self.kms.secret}", "262202"),
            ("PATCH", f"{one}?secret_access_key={self.kms.secret}", "262202"),
            ("GET", f"{KMS}?fields=secret_access_key", "262249"),
            ("GET", f"{KMS}?order_by=secret_access_key", "262268"),
            ("GET", f"{KMS}?query={self.kms.secret}&query_fields=secret_access_key", "262274"),
            ("GET", f"{KMS}?fields=**", None),
            ("GET", f"{one}?fields=**", None),
            ("PATCH", f"{one}?return_records=true&fields=**", "65537541"),
        ):
            body = {} if method == "PATCH" else None
            answer = daemon.ask(method, target.replace("/K7MDENG+", "%2FK7MDENG%2B"), body)
            answers.append(answer)
            self.assertEqual(answer.json.get("error", {}).get("code"), code, answer.text)
        for answer in answers:
            self.assertNotIn(self.kms.secret, answer.text)
            self.assertNotIn("secret_access_key\":", answer.text)
        daemon.stop()
        files = [path for path in self.store.rglob("*") if path.is_file()]
        self.assertIn(self.store / "audit.log", files)
        for path in files:
            self.assertNotIn(self.kms.secret.encode(), path.read_bytes(), path)

    def test_a_job_is_gone_five_minutes_after_its_end(self):
        self.make_keyset("svm1", 10)
        daemon = self.daemon()
        job = daemon.ask("POST", f"{self.configure(daemon, 'svm1')}/rekey-internal").json["job"]["uuid"]
        self.watch(daemon, job)
        shown = daemon.get(f"{JOBS}/{job}")
        ended = datetime.datetime.fromisoformat(shown["end_time"]).timestamp()
        with contextlib.closing(sqlite3.connect(self.store / "service.db", timeout=10)) as database, database:
            (kept,) = database.execute("SELECT keep_until FROM jobs").fetchone()
            self.assertGreaterEqual(kept, ended + 300)
            database.execute("UPDATE jobs SET keep_until = ?", (int(time.time()) - 1,))
        self.assertEqual(daemon.get(JOBS)["num_records"], 0)
        for method, target in (("GET", f"{JOBS}/{job}"), ("PATCH", f"{JOBS}/{job}?action=cancel")):
            answer = daemon.ask(method, target)
            self.assertEqual(answer.status, 404)
            self.assertEqual(answer.json["error"], {"message": "entry doesn't exist", "code": "4", "target": "uuid"})

    def test_too_many_requests_are_told_so_in_the_same_shape(self):
        self.write_config("[limits]\nrequests_burst = 3\nrequests_per_second = 0.01\n")
        daemon = self.daemon()
        answers = [daemon.ask("GET", "/api/cluster") for _ in range(5)]
        self.assertEqual([answer.status for answer in answers], [200] * 3 + [429] * 2)
        self.assertGreaterEqual(int(answers[-1].headers["Retry-After"]), 1)
        self.assertEqual(answers[-1].json["error"]["code"], "262160")


if __name__ == "__main__":
    unittest.main()
