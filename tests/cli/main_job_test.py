# Tests the main job from end to end: foreign DEKs come in, are moved from KEK to KEK, and go out again unchanged.
import os
import unittest

from support import DEK_LENS, REFUSED, UNWRAP, CliTest, SoftHsm, alg_of, random_deks, unwrap_line, wrap_all

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


class MainJob(CliTest):
    """One keyset with its root in a token, from its first DEK to the end of its first KEK."""

    COUNT = 20_000

    def setUp(self):
        super().setUp()
        self.token = SoftHsm(self.dir)
        self.env = self.token.env
        self.root = self.token.uri("root")
        self.rewrap("root", "create", self.root)

    def states(self):
        return {v["version"]: (v["state"], v["deks"]) for v in self.json("census", "disks")["versions"]}

    def test_the_whole_life_of_a_keyset(self):
        deks = random_deks(self.rng, self.COUNT)
        kek, kek_uri = self.make_kek()
        self.assertEqual(self.json("keyset", "create", "disks", "--root", self.root)["kek_version"], 1)
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
            self.assertEqual((got["authenticated"], got["dek_size"], line["alg"]), (True, 32, "A256KW"))
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
        self.assertEqual({line["alg"] for line in lines}, {alg_of(out_kek, keyset_wrap.upper())})
        self.assertEqual({line["id"]: unwrap_line(line, out_kek) for line in lines}, deks)

    def test_every_algorithm_and_kek_size(self):
        for kek_len in (16, 24, 32):
            for wrap in UNWRAP:
                for keyset_wrap in ("kw", "kwp"):
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
