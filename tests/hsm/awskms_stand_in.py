#!/usr/bin/python3
# A stand-in for AWS KMS, for tests: HTTPS on a free port of 127.0.0.1, signatures checked by botocore's own SigV4.
"""Usage: awskms_stand_in.py FOLDER

Writes ca.pem (a test CA), other-ca.pem (one that signed nothing) and credentials into FOLDER, prints its port, and ends
when its standard input does. Each line of standard input is a command, `VERB` or `VERB JSON`; each is answered by one
line, `ok TEXT` or `error TEXT`. The verbs are the methods of Control.

It shares no code with rewrap: AES-GCM is python3-cryptography's, with the EncryptionContext as associated data, and the
signature of each request is computed anew by python3-botocore. Errors are those of the KMS API Reference."""

import base64
import datetime
import email.utils
import http.server
import ipaddress
import json
import os
import pathlib
import socket
import socketserver
import ssl
import sys
import threading
import time
import uuid

sys.modules["awscrt"] = None  # botocore would load it if it is there, which takes longer than all the rest

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.x509.oid import NameOID

REGION = "eu-test-1"
ACCOUNT = "111122223333"
MAX_SKEW_S = 300
BLOB_FORMAT = b"\x01"
SIGNED_AT_LEAST = {"host", "x-amz-date", "x-amz-target", "content-type"}


class KmsError(Exception):
    def __init__(self, name, message="", status=400):
        super().__init__(message)
        self.name, self.message, self.status = name, message, status


class Key:
    def __init__(self):
        self.id = str(uuid.uuid4())
        self.arn = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{self.id}"
        self.material = os.urandom(32)
        self.state = "Enabled"
        self.usage = "ENCRYPT_DECRYPT"
        self.spec = "SYMMETRIC_DEFAULT"
        self.created = time.time()

    def metadata(self):
        return {
            "AWSAccountId": ACCOUNT, "KeyId": self.id, "Arn": self.arn, "CreationDate": round(self.created, 3),
            "Enabled": self.state == "Enabled", "Description": "a \"test\" key", "KeyUsage": self.usage,
            "KeyState": self.state, "Origin": "AWS_KMS", "KeyManager": "CUSTOMER", "KeySpec": self.spec,
            "CustomerMasterKeySpec": self.spec, "EncryptionAlgorithms": [self.spec], "MultiRegion": False,
        }  # fmt: skip


def associated_data(key, context):
    return json.dumps([key.id, sorted(context.items())]).encode()


class Kms:
    """The service itself: keys, aliases, and one method for each action."""

    def __init__(self):
        self.keys = {}
        self.aliases = {}

    def find(self, name):
        prefix = f"arn:aws:kms:{REGION}:{ACCOUNT}:"
        if name.startswith("arn:"):
            if not name.startswith(prefix):
                raise KmsError("NotFoundException", "the ARN is of another region or account")
            name = name[len(prefix) :].removeprefix("key/")
        if name.startswith("alias/"):
            name = self.aliases.get(name, "")
        if name not in self.keys:
            raise KmsError("NotFoundException", f"Key '{prefix}key/{name}' does not exist")
        return self.keys[name]

    def find_usable(self, name):
        key = self.find(name)
        if key.state == "Disabled":
            raise KmsError("DisabledException", f"{key.arn} is disabled.")
        if key.state != "Enabled":
            raise KmsError("KMSInvalidStateException", f"{key.arn} is {key.state}.")
        if key.usage != "ENCRYPT_DECRYPT":
            raise KmsError("InvalidKeyUsageException", f"{key.arn} key usage is {key.usage}.")
        return key

    def create_key(self, _request):
        key = Key()
        self.keys[key.id] = key
        return {"KeyMetadata": key.metadata()}

    def describe_key(self, request):
        return {"KeyMetadata": self.find(request["KeyId"]).metadata()}

    def encrypt(self, request):
        key = self.find_usable(request["KeyId"])
        plaintext = base64.b64decode(request["Plaintext"], validate=True)
        if not 1 <= len(plaintext) <= 4096:
            raise KmsError("ValidationException", "Plaintext must have 1 to 4096 bytes")
        nonce = os.urandom(12)
        aad = associated_data(key, request.get("EncryptionContext", {}))
        blob = BLOB_FORMAT + uuid.UUID(key.id).bytes + nonce + AESGCM(key.material).encrypt(nonce, plaintext, aad)
        return {"CiphertextBlob": base64.b64encode(blob).decode(), "KeyId": key.arn, "EncryptionAlgorithm": key.spec}

    def decrypt(self, request):
        blob = base64.b64decode(request["CiphertextBlob"], validate=True)
        if not 1 <= len(blob) <= 6144:
            raise KmsError("ValidationException", "CiphertextBlob must have 1 to 6144 bytes")
        if len(blob) < 1 + 16 + 12 + 16 or blob[:1] != BLOB_FORMAT:
            raise KmsError("InvalidCiphertextException")
        maker = self.keys.get(str(uuid.UUID(bytes=blob[1:17])))
        if maker is None:
            raise KmsError("InvalidCiphertextException")
        if "KeyId" in request and self.find(request["KeyId"]) is not maker:
            raise KmsError("IncorrectKeyException", "The key ID in the request does not identify the CMK that was used")
        key = self.find_usable(maker.id)
        aad = associated_data(key, request.get("EncryptionContext", {}))
        try:
            plaintext = AESGCM(key.material).decrypt(blob[17:29], blob[29:], aad)
        except InvalidTag:
            raise KmsError("InvalidCiphertextException") from None
        return {"KeyId": key.arn, "Plaintext": base64.b64encode(plaintext).decode(), "EncryptionAlgorithm": key.spec}

    def enable_key(self, request):
        self.find(request["KeyId"]).state = "Enabled"

    def disable_key(self, request):
        self.find(request["KeyId"]).state = "Disabled"

    def schedule_key_deletion(self, request):
        key = self.find(request["KeyId"])
        key.state = "PendingDeletion"
        return {"KeyId": key.arn, "DeletionDate": round(time.time() + 30 * 86400, 3), "KeyState": key.state}

    def cancel_key_deletion(self, request):
        key = self.find(request["KeyId"])
        key.state = "Disabled"
        return {"KeyId": key.arn}

    def create_alias(self, request):
        self.aliases[request["AliasName"]] = self.find(request["TargetKeyId"]).id

    update_alias = create_alias

    ACTIONS = {
        "CreateKey": create_key, "DescribeKey": describe_key, "Encrypt": encrypt, "Decrypt": decrypt,
        "EnableKey": enable_key, "DisableKey": disable_key, "ScheduleKeyDeletion": schedule_key_deletion,
        "CancelKeyDeletion": cancel_key_deletion, "CreateAlias": create_alias, "UpdateAlias": update_alias,
    }  # fmt: skip


class Gate:
    """Who may call: access keys, and the check of each request's signature."""

    def __init__(self):
        self.secrets = {"AKIDTEST": ("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "")}
        self.expired = set()
        self.denied = set()
        self.clock_offset_s = 0
        self.num_refused = 0

    def now(self):
        return time.time() + self.clock_offset_s

    def check(self, method, host, headers, body, action):
        try:
            self._check(method, host, headers, body)
        except KmsError:
            self.num_refused += 1
            raise
        if action in self.denied:
            raise KmsError("AccessDeniedException", f"User: arn:aws:iam::{ACCOUNT}:user/test is not authorized")

    def _check(self, method, host, headers, body):
        algorithm, _, rest = headers.get("Authorization", "").partition(" ")
        if algorithm != "AWS4-HMAC-SHA256":
            raise KmsError("MissingAuthenticationTokenException", "Missing Authentication Token", 403)
        parts = dict(part.strip().split("=", 1) for part in rest.split(","))
        access_key, date, region, service, terminator = parts["Credential"].split("/")
        if access_key not in self.secrets:
            raise KmsError("UnrecognizedClientException", "The security token included in the request is invalid.")
        secret, token = self.secrets[access_key]
        if (region, service, terminator) != (REGION, "kms", "aws4_request"):
            raise KmsError("InvalidSignatureException", "Credential should be scoped to a valid region.")
        signed = parts["SignedHeaders"].split(";")
        if not SIGNED_AT_LEAST <= set(signed) or signed != sorted(signed):
            raise KmsError("IncompleteSignatureException", f"signed are only {signed}")
        if headers.get("X-Amz-Security-Token", "") != token or (token and "x-amz-security-token" not in signed):
            raise KmsError("UnrecognizedClientException", "The security token included in the request is invalid.")
        if access_key in self.expired:
            raise KmsError("ExpiredTokenException", "The security token included in the request is expired")
        stamp = headers["X-Amz-Date"]
        expected = self.signature(method, host, headers, body, signed, access_key, secret)
        if expected != parts["Signature"] or not stamp.startswith(date):
            raise KmsError("InvalidSignatureException", "The request signature we calculated does not match")
        sent = datetime.datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc).timestamp()
        if abs(sent - self.now()) > MAX_SKEW_S:
            raise KmsError("InvalidSignatureException", f"Signature expired: {stamp} is now earlier than")

    @staticmethod
    def signature(method, host, headers, body, signed, access_key, secret):
        """What botocore makes of the same request. The credentials lack the token: the header is there already."""
        chosen = {name: headers[name] for name in signed if name != "host"}
        request = AWSRequest(method=method, url=f"https://{host}/", data=body, headers=chosen)
        request.context["timestamp"] = headers["X-Amz-Date"]
        auth = SigV4Auth(ReadOnlyCredentials(access_key, secret, None), "kms", REGION)
        return auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)


class Faults:
    """What goes wrong with the next answers. Each fault is a dictionary; see Handler.answer."""

    def __init__(self):
        self._queue = []
        self._lock = threading.Lock()

    def add(self, fault, times):
        with self._lock:
            self._queue += [fault] * times

    def clear(self):
        with self._lock:
            self._queue = []

    def take(self, action):
        with self._lock:
            for i, fault in enumerate(self._queue):
                if fault.get("action", action) == action:
                    return self._queue.pop(i)
        return {}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "stand-in"
    disable_nagle_algorithm = True

    def setup(self):
        self.request.settimeout(60)
        self.request.do_handshake()
        super().setup()

    def log_message(self, *_):
        pass

    def date_time_string(self, timestamp=None):
        return email.utils.formatdate(self.server.gate.now(), usegmt=True)

    def do_POST(self):
        server = self.server
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        action = self.headers.get("X-Amz-Target", "").removeprefix("TrentService.")
        server.note(action, self.headers, body)
        fault = server.faults.take(action)
        try:
            if "error" in fault:
                raise KmsError(fault["error"], fault.get("message", ""), fault.get("status", 400))
            server.gate.check(self.command, self.headers["Host"], self.headers, body, action)
            if action not in Kms.ACTIONS:
                raise KmsError("UnknownOperationException")
            with server.lock:
                result = Kms.ACTIONS[action](server.kms, json.loads(body))
            self.answer(200, result, fault)
        except KmsError as error:
            prefix = "com.amazonaws.kms#" if action == "Decrypt" else ""  # both are seen in the wild
            self.answer(error.status, {"__type": prefix + error.name, "message": error.message}, fault)

    def answer(self, status, result, fault):
        """Sends the answer as the fault says:
        slow=S waits before it; close=true sends nothing; raw=TEXT sends that; replace={..} changes members, null takes
        one out; escape=true writes '/' and '+' as JSON escapes; garble=N changes N bytes; truncate=N
        sends N bytes of the body and hangs up; pad=N adds blanks; status=N."""
        for name, value in fault.get("replace", {}).items():
            result = {k: v for k, v in result.items() if k != name} | ({} if value is None else {name: value})
        text = "" if result is None else json.dumps(result)
        if fault.get("escape"):
            text = text.replace("/", "\\/").replace("+", "\\u002b")
        data = (fault.get("raw", text) + " " * fault.get("pad", 0)).encode()
        for _ in range(fault.get("garble", 0)):
            place = int.from_bytes(os.urandom(4), "big") % len(data)
            data = data[:place] + os.urandom(1) + data[place + 1 :]
        if "slow" in fault:
            self.server.stopping.wait(fault["slow"])
        if fault.get("close"):
            self.close_connection = True
            return
        self.send_response(fault.get("status", status))
        self.send_header("Content-Type", fault.get("type", "application/x-amz-json-1.1"))
        self.send_header("x-amzn-RequestId", str(uuid.uuid4()))
        self.send_header("Content-Length", str(len(data)))
        if "location" in fault:
            self.send_header("Location", fault["location"])
        self._headers_buffer.append(b"\r\n")
        head, self._headers_buffer = b"".join(self._headers_buffer), []
        if "truncate" in fault:
            data = data[: fault["truncate"]]
            self.close_connection = True
        try:
            self.wfile.write(head + data)
        except OSError:
            self.close_connection = True


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, context):
        super().__init__(("127.0.0.1", 0), Handler)
        self.context = context
        self.kms, self.gate, self.faults = Kms(), Gate(), Faults()
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.counts = {}
        self.last = {}
        self.num_connections = 0

    def get_request(self):
        sock, address = super().get_request()
        # The handshake is the handler's, so that a slow client holds up nobody else.
        return self.context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False), address

    def process_request_thread(self, request, client_address):
        with self.lock:
            self.num_connections += 1
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self.lock:
                self.num_connections -= 1

    def handle_error(self, request, client_address):
        pass  # clients that hang up, or do not like the certificate

    def note(self, action, headers, body):
        with self.lock:
            self.counts[action] = self.counts.get(action, 0) + 1
            self.last = {"action": action, "headers": dict(headers), "body": body.decode("utf-8", "replace")}


class Proxy(http.server.BaseHTTPRequestHandler):
    """A proxy that knows CONNECT, for those who give the right name and password."""

    protocol_version = "HTTP/1.1"
    accepts = ""  # the Proxy-Authorization header
    seen = {}

    def log_message(self, *_):
        pass

    def do_CONNECT(self):
        Proxy.seen = dict(self.headers)
        if self.headers.get("Proxy-Authorization") != Proxy.accepts:
            self.send_response(407)
            self.send_header("Proxy-Authenticate", 'Basic realm="test"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        host, _, port = self.path.partition(":")
        with socket.create_connection((host, int(port)), timeout=60) as upstream:
            self.send_response(200)
            self.end_headers()
            other_way = threading.Thread(target=copy_all, args=(upstream, self.connection), daemon=True)
            other_way.start()
            copy_all(self.connection, upstream)
            other_way.join()
        self.close_connection = True


def copy_all(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


class Control:
    """The commands of standard input."""

    def __init__(self, server, folder):
        self.server, self.folder = server, folder

    def create_key(self):
        return self.server.kms.create_key({})["KeyMetadata"]["Arn"]

    def set_key(self, key, **what):
        for name, value in what.items():
            setattr(self.server.kms.find(key), name, value)

    def delete_key(self, key):
        """What AWS does when the waiting time after ScheduleKeyDeletion is over."""
        del self.server.kms.keys[self.server.kms.find(key).id]

    def set_alias(self, name, key):
        self.server.kms.create_alias({"AliasName": name, "TargetKeyId": key})

    def credentials(self, file, key_id, secret, token="", known=True):
        """Writes a shared credentials file; the server knows the access key if `known`."""
        if known:
            self.server.gate.secrets[key_id] = (secret, token)
        lines = ["[default]", f"aws_access_key_id = {key_id}", f"aws_secret_access_key = {secret}"]
        lines += [f"aws_session_token = {token}"] if token else []
        path = self.folder / file
        path.touch(mode=0o600)
        path.write_text("\n".join(lines) + "\n", encoding="ascii")
        return str(path)

    def random_credentials(self, file):
        """Temporary credentials that no test has in its source."""
        secret, token = (base64.b64encode(os.urandom(30)).decode() for _ in range(2))
        self.credentials(file, "ASIARANDOM", secret, token)

    def expire(self, key_id):
        self.server.gate.expired.add(key_id)

    def deny(self, *actions):
        self.server.gate.denied = set(actions)

    def clock(self, offset_s):
        self.server.gate.clock_offset_s = offset_s

    def fault(self, times=1, **fault):
        self.server.faults.add(fault, times)

    def start_proxy(self, user, password):
        Proxy.accepts = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        return proxy.server_address[1]

    def proxy_headers(self):
        return json.dumps(Proxy.seen)

    def reset(self):
        """Everything as at the start, but for the keys."""
        self.server.gate.__init__()
        self.server.faults.clear()
        self.server.counts.clear()

    def num_calls(self, action):
        return self.server.counts.get(action, 0)

    def num_refused(self):
        return self.server.gate.num_refused

    def num_connections(self):
        return self.server.num_connections

    def last_request(self):
        return json.dumps(self.server.last)

    def decrypt_last(self):
        """What the latest request, a Decrypt, was answered with: a key that was to be guarded."""
        return self.server.kms.decrypt(json.loads(self.server.last["body"]))["Plaintext"]

    def run(self, line):
        verb, _, argument = line.strip().partition(" ")
        method = getattr(self, verb)
        arguments = json.loads(argument or "{}")
        return method(*arguments) if isinstance(arguments, list) else method(**arguments)


def write_pem(path, *items):
    path.touch(mode=0o600)
    with path.open("wb") as out:
        for item in items:
            if isinstance(item, x509.Certificate):
                out.write(item.public_bytes(serialization.Encoding.PEM))
            else:
                out.write(
                    item.private_bytes(
                        serialization.Encoding.PEM,
                        serialization.PrivateFormat.PKCS8,
                        serialization.NoEncryption(),
                    )
                )


def make_certificate(name, key, issuer, issuer_key, extensions):
    now = datetime.datetime.utcnow()
    builder = x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]),
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - datetime.timedelta(days=1),
        not_valid_after=now + datetime.timedelta(days=2),
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
    return builder.sign(issuer_key, hashes.SHA256())


def make_ca(name):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return key, make_certificate(name, key, subject, key, [x509.BasicConstraints(ca=True, path_length=0)])


def make_tls(folder):
    ca_key, ca = make_ca("rewrap test CA")
    write_pem(folder / "ca.pem", ca)
    write_pem(folder / "other-ca.pem", make_ca("another test CA")[1])
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    write_pem(folder / "server.pem", key, make_certificate("stand-in", key, ca.subject, ca_key, [names]))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return context


def main(arguments):
    if len(arguments) != 1:
        print(__doc__)
        return 2
    folder = pathlib.Path(arguments[0])
    server = Server(make_tls(folder))
    control = Control(server, folder)
    access_key, (secret, _) = next(iter(server.gate.secrets.items()))
    control.credentials("credentials", access_key, secret)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 60}, daemon=True).start()
    print(server.server_address[1], flush=True)
    for line in sys.stdin:
        try:
            with server.lock:
                result = control.run(line)
            print("ok", "" if result is None else result, flush=True)
        except Exception as error:  # said to the test, which fails by it
            print("error", repr(error), flush=True)
    server.stopping.set()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
