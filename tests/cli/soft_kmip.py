# A KMIP server (Debian's PyKMIP) on a free loopback port, with certificates of its own, for as long as a test lasts.
import datetime
import ipaddress
import pathlib
import subprocess
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from support import write_secret

SERVER = pathlib.Path(__file__).resolve().parents[1] / "hsm" / "kmip_server.py"
LOOPBACK = x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))


def pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)


def called(name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


class Ca:
    """Signs certificates for servers and clients."""

    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())
        is_ca = (x509.BasicConstraints(ca=True, path_length=None), True)
        self.certificate = self.sign("test CA", self.key.public_key(), [is_ca])

    def sign(self, name, public_key, extensions, days=1):
        """A certificate that has been valid since two days ago, for so many more."""
        now = datetime.datetime.utcnow()
        builder = x509.CertificateBuilder(
            issuer_name=called("test CA"),
            subject_name=called(name),
            public_key=public_key,
            serial_number=x509.random_serial_number(),
            not_valid_before=now - datetime.timedelta(days=2),
            not_valid_after=now + datetime.timedelta(days=days),
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(self.key, hashes.SHA256())

    def issue(self, folder, name, usage):
        """Writes NAME.pem and NAME.key."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([LOOPBACK])
        certificate = self.sign(name, key.public_key(), [(names, False), (x509.ExtendedKeyUsage([usage]), False)])
        text = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_secret(folder / f"{name}.pem", pem(certificate))
        write_secret(folder / f"{name}.key", text)


class SoftKmip:
    """Ends with the test."""

    def __init__(self, test, folder):
        self.folder = folder / "kmip"
        (self.folder / "policy").mkdir(mode=0o700, parents=True)
        self.ca = Ca()
        write_secret(self.folder / "ca.pem", pem(self.ca.certificate))
        self.ca.issue(self.folder, "server", ExtendedKeyUsageOID.SERVER_AUTH)
        self.ca.issue(self.folder, "client", ExtendedKeyUsageOID.CLIENT_AUTH)
        self.start()
        test.addCleanup(self.stop)

    def start(self):
        """Starts it, on another port than before, with the keys that it had."""
        argv = [sys.executable, "-W", "ignore", str(SERVER), str(self.folder)]
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        port = self.process.stdout.readline().strip()
        if not port:
            raise RuntimeError("PyKMIP does not start (tools/setup)")
        self.port = int(port)

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def uri(self, name="rewrap-root"):
        files = "&".join(
            f"{word}=file:{self.folder}/{file}"
            for word, file in (("ca", "ca.pem"), ("cert", "client.pem"), ("key", "client.key"))
        )
        return f"kmip://127.0.0.1:{self.port}?name={name}&{files}"
