# Tests of keysets whose KEKs are wrapped under a key of a KMIP server.
from soft_kmip import SoftKmip
from support import ROOT, CliTest


class Kmip(CliTest):
    """A keyset under a KMIP server of its own."""

    COUNT = 300

    def setUp(self):
        super().setUp()
        self.kmip = SoftKmip(self, self.dir)
        self.uri = self.kmip.uri()

    def test_the_main_job(self):
        create = ("keyset", "create", "k", "--root", self.uri)
        self.refuse(ROOT, "no key of this name", "rewrap root create", words=create)
        probed = self.json("root", "probe", self.uri)
        self.assertEqual((probed["key"], probed["chosen"]), ("", "AES-KW (RFC 3394)"))
        self.assertTrue(all(line["works"] for line in probed["capabilities"]), probed)
        self.assertTrue(self.json("root", "create", self.uri)["created"])
        self.refuse(ROOT, "already", words=("root", "create", self.uri))
        self.make_keyset("k", self.COUNT, self.uri)
        before = self.fingerprint()
        self.rewrap("rekey", "k")
        self.check_verify(self.COUNT)
        self.assertEqual(self.fingerprint(), before)
        self.rewrap("decommission", "k", 1)
        self.assertRegex(self.json("root", "probe", self.uri)["key"], "^id=.")

    def test_from_a_file_to_the_server_and_back(self):
        self.make_keyset("k", self.COUNT)
        before = self.fingerprint()
        self.rewrap("root", "create", self.uri)
        self.rewrap("rekey", "k", "--root", self.uri)
        self.check_verify(self.COUNT)
        self.rewrap("decommission", "k", 1)
        (self.dir / "root.key").rename(self.dir / "away")
        self.check_verify(self.COUNT)  # by the server alone
        (self.dir / "away").rename(self.dir / "root.key")
        self.rewrap("rekey", "k", "--root", self.root)
        self.check_verify(self.COUNT)
        self.rewrap("decommission", "k", 2)
        self.kmip.stop()
        self.check_verify(self.COUNT)  # without it
        self.assertEqual(self.fingerprint(), before)

    def test_a_server_that_is_away(self):
        self.rewrap("root", "create", self.uri)
        self.make_keyset("k", self.COUNT, self.uri)
        self.make_keyset("both", self.COUNT, self.uri)
        self.rewrap("reprotect", "both", "--root", self.root, "--add")
        self.kmip.stop()
        self.refuse(ROOT, "cannot be reached", "host and port", words=("verify", "k"))
        self.refuse(ROOT, "cannot be reached", words=("rekey", "k"))
        self.check_verify(self.COUNT, "both")
