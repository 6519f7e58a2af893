# Tests the main job from end to end: foreign DEKs come in, are moved from KEK to KEK, and go out again unchanged.
import contextlib
import os
import unittest

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import keywrap
from support import (
    DEK_LENS,
    INCOMPLETE,
    REFUSED,
    UNWRAP,
    CliTest,
    SoftHsm,
    alg_of,
    from_base64,
    random_deks,
    unwrap_line,
    wrap_all,
    write_secret,
)

REKEY_FIELDS = {
    "keyset": str,
    "from_version": int,
    "to_version": int,
    "deks": int,
    "rewrapped": int,
    "quarantined": int,
    "seconds": float,
    "deks_per_second": float,
    "implementation": str,
    "threads": int,
    "custody": str,
}


EXPORTED_AS = {"kw": "KW", "kwp": "KWP", "gcm": "KW"}


class MainJobTest(CliTest):
    """One keyset with its root in a token, from its first DEK to the end of its first KEK."""

    COUNT = 20_000
    WRAP = "kw"

    def setUp(self):
        super().setUp()
        self.token = SoftHsm(self.dir)
        self.env = self.token.env
        self.file_root, self.root = self.root, self.token.uri("root")
        self.rewrap("root", "create", self.root)

    def make_keyset(self, name="disks", count=0, root=None, *words):
        super().make_keyset(name, count, root, "--wrap", self.WRAP, *words)

    def states(self):
        return {v["version"]: (v["state"], v["deks"]) for v in self.json("census", "disks")["versions"]}

    def test_the_whole_life_of_a_keyset(self):
        deks = random_deks(self.rng, self.COUNT)
        kek, kek_uri = self.make_kek()
        made = self.json("keyset", "create", "disks", "--root", self.root, "--wrap", self.WRAP)
        self.assertEqual((made["kek_version"], made["wrap"]), (1, self.WRAP))
        self.make_keyset("other", count=100)
        other = sorted(map(str, self.export_lines("other")))
        self.import_deks("disks", deks, kek, kek_uri)
        self.assertEqual(self.states(), {1: ("current", self.COUNT)})

        before = self.export_lines("disks")
        plan = self.json("rekey", "disks", "--dry-run")
        self.assertEqual((plan["state"], plan["to_version"], plan["rewrapped"]), ("planned", 2, self.COUNT))
        self.assertEqual(self.export_lines("disks"), before, "a dry run changes nothing")
        self.assertEqual(self.states(), {1: ("current", self.COUNT)})

        report = self.json("rekey", "disks")
        for name, kind in REKEY_FIELDS.items():
            self.assertIsInstance(report[name], kind, name)
        expected = {"keyset": "disks", "from_version": 1, "to_version": 2, "deks": self.COUNT, "custody": "host"}
        expected |= {"rewrapped": self.COUNT, "quarantined": 0, "state": "done", "resumed": False}
        self.assertEqual({name: report[name] for name in expected}, expected)
        self.assertGreater(report["deks_per_second"], 0)
        self.assertEqual(self.states(), {1: ("superseded", 0), 2: ("current", self.COUNT)})

        self.refuse(REFUSED, "no clean verify", "run rewrap verify", words=("decommission", "disks", 1))
        self.assertTrue(self.check_verify(self.COUNT, "disks")["certified"])
        self.refuse(REFUSED, "the current KEK version", words=("decommission", "disks", 2))
        self.assertEqual(self.json("decommission", "disks", 1), {"keyset": "disks", "decommissioned": 1})
        self.assertEqual(self.states(), {1: ("destroyed", 0), 2: ("current", self.COUNT)})
        self.refuse(1, "was decommissioned before", words=("decommission", "disks", 1))
        self.refuse(1, "no such KEK version", words=("decommission", "disks", 9))

        self.assertEqual(self.opened("disks"), deks)
        self.assertEqual(sorted(map(str, self.export_lines("other"))), other, "the other keyset is untouched")
        listed = {keyset["keyset"]: keyset["deks"] for keyset in self.json("keyset", "list")["keysets"]}
        self.assertEqual(listed, {"disks": self.COUNT, "other": 100})
        (status,) = self.json("status", "disks")["keysets"]
        self.assertEqual((status["state"], status["kek_version"], status["verified_version"]), ("ready", 2, 2))

    def test_export_as_it_is_and_dek_get_agree(self):
        self.make_keyset("disks", 50)
        for line in self.export_lines("disks"):
            got = self.json("dek", "get", "disks", line["id"])
            self.assertEqual({name: got[name] for name in line}, line)
            alg = "A256GCMKW" if self.WRAP == "gcm" else "A256KW"
            self.assertEqual((got["authenticated"], got["dek_size"], line["alg"]), (True, 32, alg))
        got = self.json("dek", "get", "disks", line["id"], "--unauthenticated")
        self.assertEqual((got["authenticated"], got["wrapped"]), (False, line["wrapped"]))

    def test_generated_deks_are_all_different(self):
        self.make_keyset("disks")
        made = self.json("dek", "generate", "disks", "--count", 5000)
        self.assertEqual(made["generated"], 5000)
        opened = self.opened("disks")
        self.assertEqual(set(opened), set(made["ids"]))
        self.assertEqual(len(set(opened.values())), 5000)

    def test_rekey_moves_a_keyset_to_another_root(self):
        self.make_keyset("disks", 3000)
        before = self.opened("disks")
        other = self.token.uri("second")
        self.rewrap("root", "create", other)
        self.rewrap("rekey", "disks", "--root", other)
        self.check_verify(3000, "disks")
        self.rewrap("decommission", "disks", 1)
        self.assertEqual(self.opened("disks"), before)


class MainJob(MainJobTest):
    """A keyset of RFC 3394 wraps."""


class MainJobOfGcm(MainJobTest):
    """A keyset of GCM wraps, and what is theirs alone."""

    WRAP = "gcm"

    def keyset(self, name="disks"):
        (status,) = self.json("status", name)["keysets"]
        return status

    def kek_of(self, line):
        """The KEK that opens this line, found as an outsider with the root key would: its wrap is in the store."""
        (data,) = self.store.glob("data*")
        data = data.read_bytes()
        length = (40).to_bytes(4, "big")  # stands before the RFC 3394 wrap of 32 bytes
        at = data.find(length)
        while at >= 0:
            with contextlib.suppress(keywrap.InvalidUnwrap, InvalidTag):
                kek = keywrap.aes_key_unwrap(self.root_key, data[at + 4 : at + 44])
                unwrap_line(line, kek)
                return kek
            at = data.find(length, at + 1)
        return self.fail("no KEK in the store opens this line")

    def test_exported_wraps_name_all_that_opens_them(self):
        """With a root key that is known, an outsider opens the KEK and with it every line of an as-is export."""
        self.make_keyset("disks", 300, self.file_root)
        opened = self.opened("disks")
        (listed,) = self.json("keyset", "list")["keysets"]
        uuid = bytes.fromhex(listed["uuid"].replace("-", ""))
        for turn in (1, 2):
            lines = self.export_lines("disks")
            kek = self.kek_of(lines[0])
            self.assertEqual({line["id"]: unwrap_line(line, kek) for line in lines}, opened)
            ivs = [from_base64(line["iv"]) for line in lines]
            self.assertEqual(len(set(ivs)), 300)
            self.assertEqual({iv[:4] for iv in ivs}, {turn.to_bytes(4, "big")}, "the KEK version")
            self.assertEqual(sorted(int.from_bytes(iv[4:], "big") for iv in ivs), list(range(300)))
            for line in lines:
                self.assertEqual(from_base64(line["aad"]), uuid + bytes.fromhex(line["id"].replace("-", "")))
                self.assertEqual(line["kek_version"], turn)
            self.rewrap("rekey", "disks")

    def test_an_own_export_comes_back_in(self):
        self.make_keyset("disks", 300, self.file_root)
        lines = self.export_lines("disks")
        path = self.write_lines("own.jsonl", lines)
        kek = write_secret(self.dir / "own.kek", self.kek_of(lines[0]))
        for name, wrap in (("copy", "gcm"), ("kw-copy", "kw")):
            CliTest.make_keyset(self, name, 0, None, "--wrap", wrap)
            self.assertEqual(self.json("import", name, path, "--from-kek", f"file:{kek}")["imported"], 300)
            self.assertEqual(self.opened(name), self.opened("disks"))

    def test_a_wrap_under_another_id_does_not_open(self):
        """Two foreign wraps with additional data exchanged; in quarantine they keep all that they came with."""
        kek, uri = self.make_kek()
        lines = wrap_all(random_deks(self.rng, 20), kek, "GCM")
        first, second = [line for line in lines if "aad" in line][:2] or self.fail("no line with additional data")
        first["aad"], second["aad"] = second["aad"], first["aad"]
        self.make_keyset("disks")
        report = self.json(
            "import", "disks", self.write_lines("in.jsonl", lines), "--from-kek", uri, expect=INCOMPLETE
        )
        self.assertEqual((report["imported"], report["quarantined"]), (18, 2))
        kept = {dek["id"]: dek for dek in self.json("quarantine", "list", "disks")["quarantined"]}
        for line in (first, second):
            names = ("wrapped", "iv", "tag", "aad")
            self.assertEqual([kept[line["id"]][name] for name in names], [line[name] for name in names])
        good = wrap_all({line["id"]: bytes(32) for line in (first, second)}, kek, "GCM")
        self.rewrap("import", "disks", self.write_lines("good.jsonl", good), "--from-kek", uri)
        self.check_verify(20, "disks")

    def test_wraps_left_are_counted(self):
        self.make_keyset("disks", 100)
        self.assertEqual(self.keyset()["gcm_wraps_left"], 2**32 - 100)
        self.rewrap("rekey", "disks")
        self.rewrap("dek", "generate", "disks", "--count", 10)
        self.assertEqual(self.keyset()["gcm_wraps_left"], 2**32 - 110)
        CliTest.make_keyset(self, "kw")
        self.assertNotIn("gcm_wraps_left", self.keyset("kw"))


class Sizes(CliTest):
    """Every DEK size, both algorithms, every KEK size; in and out."""

    def through(self, wrap, keyset_wrap, kek_len):
        deks = random_deks(self.rng, 500, DEK_LENS)
        name = f"k{kek_len}-{wrap}-{keyset_wrap}"
        kek, uri = self.make_kek(length=kek_len)
        self.make_keyset(name, 0, None, "--wrap", keyset_wrap)
        self.import_deks(name, deks, kek, uri, wrap)
        self.rewrap("rekey", name)
        self.check_verify(len(deks), name)
        out_kek, out_uri = self.make_kek("out.kek", kek_len)
        lines = self.export_lines(name, "--to-kek", out_uri)
        # GCM wraps go out as RFC 3394: no IVs are kept for somebody else's KEK.
        self.assertEqual({line["alg"] for line in lines}, {alg_of(out_kek, EXPORTED_AS[keyset_wrap])})
        self.assertEqual({line["id"]: unwrap_line(line, out_kek) for line in lines}, deks)

    def test_every_algorithm_and_kek_size(self):
        for kek_len in (16, 24, 32):
            for wrap in (*UNWRAP, "GCM"):
                for keyset_wrap in EXPORTED_AS:
                    with self.subTest(kek_len=kek_len, wrap=wrap, keyset_wrap=keyset_wrap):
                        self.through(wrap, keyset_wrap, kek_len)

    def test_generated_sizes(self):
        self.make_keyset("k", 0, None, "--dek-size", 64)
        for length in (None, *DEK_LENS):
            self.rewrap("dek", "generate", "k", "--count", 10, *(("--size", length) if length else ()))
        lens = sorted(len(dek) for dek in self.opened("k").values())
        self.assertEqual(lens, sorted([64] * 10 + list(DEK_LENS) * 10))

    def test_segment_boundaries(self):
        for count in (1, 7, 8, 9, 2047, 2048, 2049, 4096):
            self.make_keyset(f"k{count}", count)
            before = self.opened(f"k{count}")
            self.assertEqual(len(before), count)
            self.rewrap("rekey", f"k{count}")
            self.check_verify(count, f"k{count}")
            self.assertEqual(self.opened(f"k{count}"), before)

    def test_an_empty_keyset(self):
        self.make_keyset("k")
        self.assertEqual(self.json("rekey", "k")["deks"], 0)
        self.check_verify(0)
        self.rewrap("decommission", "k", 1)
        self.assertEqual(self.export_lines("k"), [])

    def test_every_implementation_and_thread_count(self):
        self.make_keyset("k", 10_000)
        before = self.fingerprint()
        for entry in self.json("selftest")["implementations"]:
            if not entry["runs"]:
                continue
            for threads in (1, 5):
                report = self.json("rekey", "k", "--implementation", entry["implementation"], "--threads", threads)
                self.assertEqual((report["implementation"], report["threads"]), (entry["implementation"], threads))
                self.assertEqual(self.fingerprint(), before)


class ForeignKekInToken(CliTest):
    """The legacy KEK lives in a token, which lets it be used in one way only."""

    def setUp(self):
        super().setUp()
        self.token = SoftHsm(self.dir)
        self.env = self.token.env
        self.make_keyset()

    def import_from(self, flags, deks, wrap="KW", length=32):
        kek = os.urandom(length)
        self.token.import_key("legacy", kek, *flags)
        self.import_deks("k", deks, kek, self.token.uri("legacy"), wrap)
        self.assertEqual(self.opened("k"), deks)

    def test_import_from_an_extractable_kek(self):
        self.import_from(("extractable", "decrypt"), random_deks(self.rng, 1000, DEK_LENS))

    def test_import_by_bulk_ecb(self):
        self.import_from(("decrypt",), random_deks(self.rng, 1000, DEK_LENS))

    def test_import_of_kwp_by_bulk_ecb(self):
        self.import_from(("decrypt",), random_deks(self.rng, 1000, DEK_LENS), "KWP", 16)

    def test_import_by_unwrap(self):
        self.import_from(("unwrap",), random_deks(self.rng, 500, DEK_LENS))

    def test_a_gcm_keyset_and_a_kek_in_its_token(self):
        self.make_keyset("g", 0, None, "--wrap", "gcm")
        deks = {}
        for flags in (("extractable", "decrypt"), ("decrypt",), ("unwrap",)):
            kek = os.urandom(32)
            self.token.import_key("-".join(flags), kek, *flags)
            more = random_deks(self.rng, 300, DEK_LENS)
            deks |= more
            self.import_deks("g", more, kek, self.token.uri("-".join(flags)))
        self.assertEqual(self.opened("g"), deks)
        kek = os.urandom(24)
        self.token.import_key("new", kek, "encrypt")
        lines = self.export_lines("g", "--to-kek", self.token.uri("new"))
        self.assertEqual({line["id"]: unwrap_line(line, kek) for line in lines}, deks)

    def test_gcm_wraps_need_a_kek_that_can_be_read(self):
        for flags in (("decrypt",), ("unwrap",)):
            name, kek = "gcm-" + flags[0], os.urandom(32)
            self.token.import_key(name, kek, *flags)
            path = self.write_lines("in.jsonl", wrap_all(random_deks(self.rng, 3), kek, "GCM"))
            outcome = self.rewrap("import", "k", path, "--from-kek", self.token.uri(name), expect=1)
            self.assertIn("GCM wraps cannot be made or opened by this KEK inside its token", outcome.stderr)
            self.assertIn("must be extractable", outcome.stderr)
            self.assertEqual(sum(self.census().values()), 0)

    def test_damage_is_noticed_in_every_way(self):
        for flags in (("extractable", "decrypt"), ("decrypt",), ("unwrap",)):
            name = "legacy-" + "-".join(flags)
            kek = os.urandom(32)
            self.token.import_key(name, kek, *flags)
            lines = wrap_all(random_deks(self.rng, 20), kek)
            lines[7]["wrapped"] = lines[8]["wrapped"][:-4] + lines[7]["wrapped"][-4:]
            path = self.write_lines(f"{name}.jsonl", lines)
            report = self.json("import", "k", path, "--from-kek", self.token.uri(name), expect=3)
            self.assertEqual((report["imported"], report["quarantined"]), (19, 1))

    def test_a_kek_that_cannot_serve(self):
        self.token.import_key("wraps", os.urandom(32), "wrap")
        path = self.write_lines("in.jsonl", [])
        words = ("import", "k", path, "--from-kek", self.token.uri("wraps"))
        self.refuse(5, "in no way that serves", "CKA_DECRYPT", words=words)
        words = ("export", "k", self.dir / "out", "--to-kek", self.token.uri("wraps"))
        self.refuse(5, "in no way that serves", "CKA_ENCRYPT", words=words)
        self.assertFalse((self.dir / "out").exists())

    def test_export_by_bulk_ecb(self):
        self.rewrap("dek", "generate", "k", "--count", 3000)
        originals = self.opened("k")
        kek = os.urandom(24)
        self.token.import_key("new", kek, "encrypt")
        lines = self.export_lines("k", "--to-kek", self.token.uri("new"))
        self.assertEqual({line["id"]: unwrap_line(line, kek) for line in lines}, originals)


if __name__ == "__main__":
    unittest.main()
