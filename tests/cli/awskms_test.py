# Tests of keysets whose KEKs are guarded by AWS KMS keys.
import unittest

from soft_kms import SoftKms
from support import FAILED, REFUSED, ROOT, USAGE, CliTest

ALIAS = "alias/rewrap"


class AwsKms(CliTest):
    """Keysets under a KMS of their own."""

    COUNT = 300

    def setUp(self):
        super().setUp()
        self.kms = SoftKms(self, self.dir)
        self.key = self.kms.create_key()

    def tearDown(self):
        super().tearDown()
        self.assertNotIn(self.kms.secret.encode(), b"".join(self.recorded))

    def test_the_main_job(self):
        self.make_keyset("k", self.COUNT, self.kms.uri(self.key))
        before = self.fingerprint()
        self.kms.fault(times=2, error="ThrottlingException")
        self.kms.fault(times=1, close=True)
        self.rewrap("rekey", "k")
        self.check_verify(self.COUNT)
        self.assertEqual(self.fingerprint(), before)
        self.rewrap("decommission", "k", 1)
        self.check_verify(self.COUNT)

    def test_reprotect_moves_a_keyset_to_another_kms_key(self):
        self.make_keyset("k", self.COUNT)
        before = self.fingerprint()
        other = self.kms.create_key()
        for uri in (self.kms.uri(self.key), self.kms.uri(other)):
            self.rewrap("reprotect", "k", "--root", uri)
        self.kms.delete_key(self.key)
        (self.dir / "root.key").unlink()
        self.assertEqual(self.fingerprint(), before)
        self.kms.delete_key(other)  # control: now there is nothing left that opens it
        self.refuse(ROOT, "no such key", words=("verify", "k"))

    def test_a_disabled_key_says_how_to_go_on(self):
        self.make_keyset("k", self.COUNT, self.kms.uri(self.key))
        for state, words in (("Disabled", "enable-key"), ("PendingDeletion", "cancel-key-deletion")):
            self.kms.set_key(key=self.key, state=state)
            self.refuse(ROOT, words, words=("rekey", "k"))
        self.kms.set_key(key=self.key, state="Enabled")
        self.rewrap("rekey", "k")
        self.check_verify(self.COUNT)

    def test_an_alias_that_moved_is_told_and_can_be_mended(self):
        self.kms.set_alias(ALIAS, self.key)
        self.make_keyset("k", self.COUNT, self.kms.uri(ALIAS))
        other = self.kms.create_key()
        self.kms.set_alias(ALIAS, other)
        self.refuse(ROOT, "another KMS key", "alias", words=("verify", "k"))
        self.kms.set_alias(ALIAS, self.key)
        self.rewrap("reprotect", "k", "--root", self.kms.uri(other))
        self.kms.set_alias(ALIAS, other)
        self.check_verify(self.COUNT)

    def test_what_the_operator_has_to_mend_is_named(self):
        self.make_keyset("k", 1, self.kms.uri(self.key))
        create = ("keyset", "create", "x", "--root")
        self.kms.credentials(file="wrong", key_id="AKIDTEST", secret="wrong", known=False)
        for uri, words in (
            (self.kms.uri(self.key, credentials="wrong"), "aws_secret_access_key"),
            (self.kms.uri(self.key, credentials="absent"), "credentials file"),
            (self.kms.uri(self.key, ca="other-ca.pem"), "not trusted"),
            (self.kms.uri(self.key.replace("eu-test-1", "eu-test-2")), "region"),
            (self.kms.uri("alias/absent"), "no such key"),
            (self.kms.uri(self.key, "secret-access-key=AAAA"), "access key"),
            (self.kms.uri(self.key).replace("https://", "http://"), "TLS"),
        ):
            self.refuse((ROOT, USAGE), words, words=(*create, uri))
        self.kms.deny("Encrypt")
        self.refuse(ROOT, "kms:Encrypt", words=(*create, self.kms.uri(self.key)))
        self.kms.deny()
        self.check_verify(1)
        self.assertEqual(len(self.json("keyset", "list")["keysets"]), 1)

    def test_probe_and_create(self):
        report = self.json("root", "probe", self.kms.uri(self.key))
        self.assertEqual(report["key"], self.key)
        self.assertEqual(report["chosen"], "AWS KMS ciphertext")
        self.assertTrue(all(capability["works"] for capability in report["capabilities"]), report)
        self.refuse((FAILED, ROOT, REFUSED), "aws kms create-key", words=("root", "create", self.kms.uri(self.key)))


if __name__ == "__main__":
    unittest.main()
