# A running rewrapd whose SVMs are guarded by a KMS of their own, as a client of ONTAP REST has it.
import time

from soft_daemon import DaemonTest
from soft_kms import REGION, SoftKms
from support import from_base64

KMS = "/api/security/aws-kms"
JOBS = "/api/cluster/jobs"


class OntapTest(DaemonTest):
    """A stand-in for AWS KMS with one key, and the requests that most tests begin with."""

    def setUp(self):
        super().setUp()
        self.kms = SoftKms(self, self.dir)
        self.key = self.kms.create_key()
        self.EXTRA = f'aws_ca = "{self.kms.folder / "ca.pem"}"'
        self.write_config()

    def tearDown(self):
        super().tearDown()
        self.assertNotIn(self.kms.secret.encode(), b"".join(self.recorded))

    def access_key(self):
        lines = (self.kms.folder / "credentials").read_text(encoding="ascii").splitlines()
        return next(line.partition("= ")[2] for line in lines if line.startswith("aws_access_key_id"))

    def settings(self, svm):
        """The body that makes a configuration for an SVM."""
        return {
            "svm": {"name": svm},
            "region": REGION,
            "key_id": self.key,
            "access_key_id": self.access_key(),
            "secret_access_key": self.kms.secret,
            "host": "127.0.0.1",
            "port": int(self.kms.port),
        }

    def configure(self, daemon, svm):
        """Makes a configuration, and gives its path."""
        made = daemon.ask("POST", KMS, self.settings(svm))
        self.assertEqual(made.status, 201, made.text)
        return made.headers["Location"]

    def watch(self, daemon, job, seconds=60):
        """Polls a job as the Python library does, until it has ended."""
        end = time.monotonic() + seconds
        while True:
            shown = daemon.get(f"{JOBS}/{job}?fields=message,state,error")
            if shown["state"] in ("success", "failure"):
                return shown
            self.assertIn(shown["state"], ("queued", "running", "paused"))
            self.assertLess(time.monotonic(), end, shown)
            time.sleep(0.05)

    def leave_kms(self, daemon, path, svm):
        """Gives the SVM's only KEK in use, as the stand-in for AWS has it, and puts that KEK back under the file root:
        then the command can export the DEKs as they are stored."""
        opened = daemon.ask("POST", f"{path}/restore?return_timeout=60")
        self.assertEqual(opened.status, 201, opened.text)
        kek = from_base64(self.kms.decrypt_last())
        moved = daemon.ask("POST", f"/v1/keysets/{svm}/reprotect", {"root": self.root})
        self.assertEqual(moved.status, 202, moved.text)
        self.assertEqual(self.watch(daemon, moved.json["job"]["uuid"])["state"], "success")
        return kek
