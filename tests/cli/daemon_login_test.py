# Tests who gets in to a running rewrapd and who does not: passwords and client certificates in every state, by every
# front end, each refusal in its API's own shape and none telling what was wrong.
import base64
import datetime
import json
import signal
import socket
import struct

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from soft_client import ASKED, Who, basic
from soft_daemon import PASSWORD, DaemonTest
from support import write_secret

# What takes more than reading, of things that are there and of things that are not.
NOBODY = "00000000-0000-4000-8000-000000000000"
CHANGES = {
    "ontap": [
        ("POST", "/api/security/aws-kms", {"svm": {"name": name}, "region": "r", "key_id": "k"}) for name in ("k", "none")
    ]
    + [("POST", f"/api/security/aws-kms/{NOBODY}/rekey-internal", None)],
    "element": [
        ("POST", "/json-rpc/12.3", {"method": "RekeySoftwareEncryptionAtRestMasterKey", "id": 1, "params": params})
        for params in ({}, {"keyManagementType": "External", "keyProviderID": 7})
    ],
    "native": [("POST", f"/v1/keysets/{name}/rekey", None) for name in ("k", "none")]
    + [("POST", f"/v1/jobs/{NOBODY}/cancel", None)],
}


def name_of(common_name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


class Ca:
    """All of them have one name: a certificate of another CA differs in the signature alone."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        self.key = ec.generate_private_key(ec.SECP256R1())
        basic = x509.BasicConstraints(ca=True, path_length=None)
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(self.sign("CA", self.key, [(basic, True)], 1).public_bytes(serialization.Encoding.PEM))

    def sign(self, common_name, key, extensions, days):
        now = datetime.datetime.utcnow()
        builder = x509.CertificateBuilder(
            issuer_name=name_of("CA"),
            subject_name=name_of(common_name),
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=now - datetime.timedelta(days=3),
            not_valid_after=now + datetime.timedelta(days=days),
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(self.key, hashes.SHA256())

    def issue(self, common_name, days=1, usage=ExtendedKeyUsageOID.CLIENT_AUTH):
        """A file with a certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self.sign(common_name, key, [(x509.ExtendedKeyUsage([usage]), False)], days)
        plain = serialization.NoEncryption()
        text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        path = self.folder / f"{self.name}-{common_name}-{days}-{usage.dotted_string}.pem"
        return write_secret(path, certificate.public_bytes(serialization.Encoding.PEM) + text)


class LogInTest(DaemonTest):
    """A daemon that takes certificates of one CA, and accounts of each kind."""

    def setUp(self):
        super().setUp()
        self.ca = Ca(self.dir, "ca")
        for name, role in (("cert-reader", "read-only"), ("cert-operator", "rekey-operator"), ("gone", "admin")):
            self.rewrap("account", "add", name, "--role", role, "--certificate", f"{name}.example", "--no-password")
        self.add_account("reader", "read-only")
        self.rewrap("account", "remove", "gone")
        limits = "[limits]\nfailed_log_ins_burst = 1000\nrequests_per_second = 10000\n"
        element = f'[element]\nkeyset = "k"\ninternal_root = "{self.root}"\n'
        self.write_config(f'[tls]\nclient_ca = "{self.ca.file}"\n{element}{limits}')
        self.make_keyset("k", 1)

    def check_shape(self, api, status, answer):
        """The error of one API, with this HTTP status."""
        got, headers, body = answer
        self.assertEqual(got, status, body)
        if api == "element":
            self.assertIn(("Content-Type", "text/html"), headers)
            self.assertIn(f"<h1>{status} ", body)
        elif api == "ontap":
            error = json.loads(body)["error"]
            self.assertTrue(error["message"] and error["code"].isdigit(), body)
        else:
            error = json.loads(body)["error"]
            self.assertTrue(error["message"] and error["reason"], body)


class LogIn(LogInTest):
    """Through the front door of each API."""

    def test_every_refusal_is_the_same_whatever_was_wrong(self):
        daemon = self.daemon()
        foreign = Ca(self.dir, "foreign")
        right = self.ca.issue("cert-reader.example")
        refused = {
            "no log-in": Who(daemon),
            "wrong password": Who(daemon, log_in=basic("admin", "wrong-password")),
            "unknown account": Who(daemon, log_in=basic("nobody", PASSWORD)),
            "an account without a password": Who(daemon, log_in=basic("cert-reader", PASSWORD)),
            "an empty password": Who(daemon, log_in=basic("admin", "")),
            "no colon": Who(daemon, log_in="Basic " + base64.b64encode(b"admin").decode()),
            "no base64": Who(daemon, log_in="Basic ???"),
            "another scheme": Who(daemon, log_in=f"Bearer {basic('admin', PASSWORD)[6:]}"),
            "an expired certificate": Who(daemon, self.ca.issue("cert-reader.example", days=-1)),
            "a certificate of another CA": Who(daemon, foreign.issue("cert-reader.example")),
            "a server's certificate": Who(
                daemon, self.ca.issue("cert-reader.example", usage=ExtendedKeyUsageOID.SERVER_AUTH)
            ),
            "a name that nobody has": Who(daemon, self.ca.issue("stranger.example")),
            "a name that was removed": Who(daemon, self.ca.issue("gone.example")),
            "the name of an account, not of its certificate": Who(daemon, self.ca.issue("admin")),
            "a right certificate beside a wrong password": Who(daemon, right, basic("admin", "wrong-password")),
        }
        for api, asked in ASKED.items():
            answers = {}
            for cause, who in refused.items():
                answers[cause] = who.ask(asked)
                self.check_shape(api, 401, answers[cause])
            # Nothing that may be seen differs: not the body, not a header.
            self.assertEqual(len({str(answer) for answer in answers.values()}), 1, answers)
            for good in (Who(daemon, right), Who(daemon, log_in=basic("admin", PASSWORD))):  # control
                status, _, body = good.ask(asked)
                self.assertEqual(status, 200, body)
        daemon.stop()
        logged = [line for line in daemon.lines if line["message"] == "request" and line["status"] == 401]
        self.assertEqual(len(logged), len(refused) * len(ASKED))

    def test_a_role_that_does_not_do_is_told_the_same_of_everything(self):
        daemon = self.daemon()
        readers = {
            "by password": Who(daemon, log_in=basic("reader", PASSWORD)),
            "by certificate": Who(daemon, self.ca.issue("cert-reader.example")),
        }
        for api, changes in CHANGES.items():
            answers = [who.ask(change) for who in readers.values() for change in changes]
            for answer in answers:
                if api == "element":
                    self.assertEqual(json.loads(answer[2])["error"]["name"], "xPermissionDenied")
                    self.assertEqual(answer[0], 200)
                else:
                    self.check_shape(api, 403, answer)
            self.assertEqual(len({str(answer) for answer in answers}), 1, "what is there shows")
        self.assertEqual(daemon.get("/v1/jobs")["jobs"], [])
        # Control: the same requests by those who may, one of them by certificate.
        operator = Who(daemon, self.ca.issue("cert-operator.example"))
        self.assertEqual(operator.ask(CHANGES["native"][1])[0], 404)
        self.assertEqual(operator.ask(CHANGES["native"][0])[0], 202)
        self.assertIn("asyncHandle", json.dumps(json.loads(operator.ask(CHANGES["element"][0])[2])))

    def test_an_account_that_is_removed_is_out_on_its_open_connection(self):
        daemon = self.daemon()
        who = Who(daemon, self.ca.issue("cert-operator.example"))
        self.assertEqual(who.ask(ASKED["native"])[0], 200)
        self.rewrap("account", "remove", "cert-operator")
        for asked in ASKED.values():
            self.assertEqual(who.ask(asked)[0], 401)

    def test_a_reload_takes_another_client_ca(self):
        daemon = self.daemon()
        before = self.ca.issue("cert-reader.example")
        self.assertEqual(Who(daemon, before).ask(ASKED["ontap"])[0], 200)
        self.ca.file.write_bytes(Ca(self.dir, "next").file.read_bytes())
        daemon.popen.send_signal(signal.SIGHUP)
        daemon.wait_for("reloaded")
        self.assertEqual(Who(daemon, before).ask(ASKED["ontap"])[0], 401)
        self.assertEqual(Who(daemon, log_in=basic("admin", PASSWORD)).ask(ASKED["ontap"])[0], 200)


class OldTls(LogInTest):
    """TLS below 1.2 is refused by the daemon, whatever this machine's OpenSSL would speak."""

    ALERT, FATAL, PROTOCOL_VERSION = 21, 2, 70

    def hello(self, version):
        """A ClientHello of one version, byte by byte (RFC 5246 section 7.4.1.2): no library here offers TLS 1.1."""
        ciphers = struct.pack("!5H", 0xC02B, 0xC023, 0xC009, 0xC013, 0x002F)
        groups = bytes.fromhex("000a000400020017000b00020100")
        algorithms = bytes.fromhex("000d00080006040308040401")
        extensions = groups + algorithms
        body = struct.pack("!H", version) + bytes(32) + b"\0" + struct.pack("!H", len(ciphers)) + ciphers + b"\1\0"
        body += struct.pack("!H", len(extensions)) + extensions
        message = b"\1" + struct.pack("!I", len(body))[1:] + body
        return b"\x16" + struct.pack("!HH", 0x0301, len(message)) + message

    def first_record(self, daemon, version):
        with socket.create_connection(("127.0.0.1", daemon.port), timeout=10) as client:
            client.sendall(self.hello(version))
            return client.recv(7)

    def test_tls_1_1_gets_an_alert(self):
        daemon = self.daemon()
        for version in (0x0301, 0x0302):
            record = self.first_record(daemon, version)
            self.assertEqual((record[0], record[5], record[6]), (self.ALERT, self.FATAL, self.PROTOCOL_VERSION))
        control = self.first_record(daemon, 0x0303)
        self.assertEqual((control[0], control[5]), (0x16, 2), "TLS 1.2 gets a ServerHello")
