# Tests that damage to a store is found, named, survived and never called success.
import os
import pathlib
import shutil
import subprocess
import unittest

from support import DAMAGED, DONE, FAILED, INCOMPLETE, REFUSED, ROOT, SEGMENT_DEKS, VANDAL, CliTest, in_parallel

HEADER_LEN = 96
ID_SLOT_LEN = 24


class Vandalism(CliTest):
    """Changes made through LMDB, which LMDB itself cannot notice. Each case works on a fresh copy of one good store."""

    COUNT = 2 * SEGMENT_DEKS + 500  # three segments

    def setUp(self):
        super().setUp()
        self.assertTrue(os.access(VANDAL, os.X_OK), f"REWRAP_VANDAL does not name the program: '{VANDAL}'")
        self.make_keyset("k", self.COUNT)
        self.before = self.fingerprint()
        self.pristine = self.dir / "pristine"
        shutil.copytree(self.store, self.pristine)

    def vandal(self, *words):
        argv = [VANDAL, str(self.store), *map(str, words)]
        return subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout

    def restore(self):
        shutil.rmtree(self.store)
        shutil.copytree(self.pristine, self.store)

    def check_damaged(self, segment, *texts, words=None):
        """verify finds damage in this segment (None: in the keyset); the exit code says so, and so do the numbers."""
        outcome = self.rewrap("--json", "verify", "k", expect=DAMAGED)
        place = "keyset" if segment is None else f"segment {segment}"
        self.assertIn(f"rewrap: damaged: {place}", outcome.stderr, f"{words}: {outcome}")
        for text in texts:
            self.assertIn(text, outcome.stderr, f"{words}: {outcome}")
        self.assertGreater(outcome.json["findings"], 0)
        self.assertFalse(outcome.json["certified"])
        return outcome

    def check_case(self, segment, text, *words):
        self.restore()
        self.vandal(*words)
        self.check_damaged(segment, text, words=words)
        self.assertEqual(self.census()[1] > 0, True)

    def test_an_untouched_store_passes(self):
        self.assertEqual(self.vandal("count"), "3\n")
        self.restore()
        self.check_verify(self.COUNT)
        self.vandal("flip-wrap", 1, 7, 100)
        self.vandal("flip-wrap", 1, 7, 100)
        self.check_verify(self.COUNT)
        self.assertEqual(self.fingerprint(), self.before)

    def test_every_kind_of_damage_is_found_in_its_segment(self):
        authentication = "fails authentication"
        for segment, text, *words in (
            (1, authentication, "swap-wraps", 1, 0, 1),
            (0, authentication, "swap-wraps", 0, 5, 2047),
            (0, "in another one's place", "move-segments", 0, 1),
            (1, "in another one's place", "move-segments", 0, 1),
            (0, authentication, "swap-segments", 0, 1),
            (2, authentication, "swap-segments", 1, 2),
            (1, authentication, "flip-wrap", 1, 7, 0),
            (2, authentication, "flip-wrap", 2, 499, 319),
            (0, authentication, "flip-bitmap", 0, 0),
            (2, authentication, "flip-bitmap", 2, 499),
            (2, authentication, "flip-bitmap", 2, 503),
            (1, authentication, "flip-tag", 1, 15, 7),
            (1, "ids column was damaged", "flip-ids", 1, 0, 0),
            (1, "ids column was damaged", "flip-ids", 1, ID_SLOT_LEN * SEGMENT_DEKS - 1, 7),
            (1, "a column of this segment is missing", "drop-segment", 1),
            (2, "a column of this segment is missing", "drop-ids", 2),
            (None, "cannot be reached", "drop-index", 0),
            (None, "cannot be reached", "drop-index", self.COUNT - 1),
            (1, "leads to the wrong place", "turn-index", 10, 1, 5000),
            (9, "leads to the wrong place", "turn-index", 10, 9, 0),
        ):
            with self.subTest(words=words):
                self.check_case(segment, text, *words)

    def test_every_byte_of_a_header_counts(self):
        for byte in range(HEADER_LEN):
            with self.subTest(byte=byte):
                self.check_case(1, "", "flip-header", 1, byte, self.rng.randrange(8))

    def test_a_changed_keyset_record_is_found(self):
        # The record ends in a nonce and a tag; before them are name, counters and the numbers of segments and DEKs.
        for byte in range(120):
            with self.subTest(byte=byte):
                self.restore()
                self.vandal("flip-keyset", byte, self.rng.randrange(8))
                outcome = self.rewrap("verify", "k", expect=(FAILED, DAMAGED))
                self.assertIn("rewrap: error: ", outcome.stderr)
                self.rewrap("rekey", "k", expect=(FAILED, DAMAGED))

    def test_a_damaged_segment_cannot_be_exported_or_read(self):
        line = self.export_lines("k")[SEGMENT_DEKS]  # the first of segment 1
        self.vandal("flip-wrap", 1, 7, 100)
        for words in (("export", "k", self.dir / "out"), ("dek", "get", "k", line["id"])):
            self.refuse(DAMAGED, "fails authentication", "rewrap verify", words=words)
        self.assertFalse((self.dir / "out").exists())
        self.assertFalse((self.dir / "out.partial").exists())
        self.assertEqual(self.json("dek", "get", "k", line["id"], "--unauthenticated")["wrapped"], line["wrapped"])

    def rekey_over_damage(self, *words):
        """A rekey leaves segment 1 alone and moves the others; the old version cannot be decommissioned."""
        self.restore()
        self.vandal(*words)
        damaged = self.vandal("print", 1)
        outcome = self.rewrap("--json", "rekey", "k", expect=INCOMPLETE)
        expected = {"state": "incomplete", "damaged_segments": [1], "accepted_segments": [], "quarantined": 0}
        expected["rewrapped"] = self.COUNT - SEGMENT_DEKS
        self.assertEqual({name: outcome.json[name] for name in expected}, expected)
        self.assertIn("rewrap verify k", outcome.stderr)
        self.assertEqual(self.vandal("print", 1), damaged, "a damaged segment is left as it was")
        self.check_damaged(1)
        self.refuse(REFUSED, "a rekey of this keyset is not finished", words=("decommission", "k", 1))
        outcome = self.rewrap("--json", "rekey", "k", expect=INCOMPLETE)
        self.assertEqual((outcome.json["resumed"], outcome.json["rewrapped"]), (True, 0))

    def test_rekey_over_damage(self):
        for words in ("swap-wraps 1 3 4", "flip-wrap 1 7 100", "flip-header 1 70 1", "flip-tag 1 0 0"):
            with self.subTest(words=words):
                self.rekey_over_damage(*words.split())

    def test_rekey_over_damage_and_a_restored_segment(self):
        shutil.copytree(self.pristine, self.dir / "store.old")
        self.rekey_over_damage("flip-wrap", 1, 7, 100)
        self.assertEqual(self.census(), {1: SEGMENT_DEKS, 2: self.COUNT - SEGMENT_DEKS})
        self.vandal("replay", 1)
        self.assertTrue(self.json("rekey", "k")["resumed"])
        self.check_verify(self.COUNT)
        self.assertEqual(self.fingerprint(), self.before)
        self.rewrap("decommission", "k", 1)

    def test_rekey_over_a_lost_segment(self):
        self.vandal("drop-segment", 1)
        report = self.rewrap("--json", "rekey", "k", expect=INCOMPLETE).json
        self.assertEqual(report["damaged_segments"], [1])
        self.refuse(REFUSED, words=("decommission", "k", 1))

    def test_accepting_a_damaged_segment_moves_what_opens(self):
        self.vandal("flip-wrap", 1, 7, 100)
        outcome = self.rewrap("--json", "rekey", "k", "--accept-damaged-segments", expect=INCOMPLETE)
        self.assertEqual((outcome.json["accepted_segments"], outcome.json["quarantined"]), ([1], 1))
        self.assertIn("is not proven", outcome.stderr)
        self.assertEqual(self.census(), {1: 0, 2: self.COUNT - 1})
        (entry,) = self.json("quarantine", "list", "k")["quarantined"]
        self.assertEqual((entry["reason"], entry["kek_version"]), ("rekey", 1))
        self.check_verify(self.COUNT - 1)
        self.refuse(REFUSED, "quarantine still need", words=("decommission", "k", 1))
        rest = [line for line in self.before if entry["id"].encode() not in line]
        self.assertEqual(len(rest), self.COUNT - 1)
        self.assertEqual(self.fingerprint(expect=INCOMPLETE), rest)
        self.rewrap("quarantine", "drop", "k", "--all")
        self.rewrap("decommission", "k", 1)

    def test_accepting_a_segment_of_which_only_the_tag_is_damaged(self):
        self.vandal("flip-tag", 1, 0, 0)
        outcome = self.rewrap("--json", "rekey", "k", "--accept-damaged-segments")
        self.assertEqual((outcome.json["accepted_segments"], outcome.json["quarantined"]), ([1], 0))
        self.check_verify(self.COUNT)
        self.assertEqual(self.fingerprint(), self.before)

    def test_dek_generate_does_not_add_to_a_damaged_segment(self):
        self.vandal("flip-wrap", 2, 7, 100)
        self.refuse(DAMAGED, "fails authentication", words=("dek", "generate", "k", "--count", 1))
        self.check_damaged(2)

    def test_an_old_segment_put_back_before_the_old_kek_is_gone(self):
        """Nothing is lost by that, so verify passes; but the old version stays needed."""
        self.rewrap("rekey", "k")
        shutil.copytree(self.pristine, self.dir / "store.old")
        self.check_verify(self.COUNT)
        self.vandal("replay", 1)
        self.assertEqual(self.census(), {1: SEGMENT_DEKS, 2: self.COUNT - SEGMENT_DEKS})
        self.refuse(REFUSED, "DEKs still need this KEK version", words=("decommission", "k", 1))
        self.assertFalse(self.check_verify(self.COUNT)["certified"])
        self.rewrap("rekey", "k")
        self.assertEqual(self.fingerprint(), self.before)

    def test_an_old_segment_put_back_after_the_old_kek_is_gone(self):
        self.rewrap("rekey", "k")
        self.check_verify(self.COUNT)
        self.rewrap("decommission", "k", 1)
        shutil.copytree(self.pristine, self.dir / "store.old")
        self.vandal("replay", 1)
        self.check_damaged(1, "KEK version that cannot be opened")

    def test_a_shorter_segment_put_back(self):
        shutil.copytree(self.pristine, self.dir / "store.old")
        self.rewrap("dek", "generate", "k", "--count", 10)
        self.check_verify(self.COUNT + 10)
        self.vandal("replay", 2)
        self.check_damaged(2)

    def test_a_segment_of_another_keyset_with_the_same_number(self):
        """The keyset's own UUID is in the header, and its MAC key in the tag."""
        (self.dir / "other").mkdir()
        self.store = self.dir / "other" / "store"
        self.make_keyset("k", self.COUNT)
        shutil.copytree(self.store, self.dir / "store.old")
        self.store = self.dir / "store"
        self.vandal("replay", 1)
        self.check_damaged(1)

    def test_format_numbers(self):
        for number, code, text in ((2, FAILED, "newer"), (0xFFFFFFFF, FAILED, "newer"), (0, DAMAGED, "not valid")):
            self.restore()
            self.vandal("set-format", number)
            size = os.path.getsize(self.store / "data.mdb")
            for words in ("verify k", "rekey k", "keyset list", f"keyset create x --root {self.root}"):
                self.refuse(code, text, words=words.split())
            self.assertEqual(os.path.getsize(self.store / "data.mdb"), size)


class StoreFiles(CliTest):
    """The store's files: missing, foreign, cut, changed at random."""

    COUNT = 3000

    def data(self):
        return self.store / "data.mdb"

    def test_no_store(self):
        for words in (
            ("keyset", "list"),
            ("status",),
            ("census", "k"),
            ("rekey", "k"),
            ("verify", "k"),
            ("decommission", "k", 1),
            ("dek", "generate", "k", "--count", 1),
            ("dek", "get", "k", "6fa459ea-ee8a-4ca4-894e-db77e160355e"),
            ("export", "k", self.dir / "out"),
            ("quarantine", "list", "k"),
            ("quarantine", "drop", "k", "--all"),
        ):
            self.refuse(FAILED, "there is no store in this directory", "--store", words=words)
            self.assertFalse(self.store.exists())
        words = ("--store", self.dir / "a" / "b", "keyset", "create", "k", "--root", self.root)
        self.refuse(FAILED, "cannot be made", "parent directory", words=words)

    def test_a_directory_that_cannot_be_one(self):
        words = ("--store", self.root.removeprefix("file:"), "keyset", "create", "k", "--root", self.root)
        self.refuse(FAILED, "Not a directory", words=words)

    def test_modes(self):
        self.make_keyset("k", 1)
        self.assertEqual(self.store.stat().st_mode & 0o777, 0o700)
        for path in self.store.iterdir():
            self.assertEqual(path.stat().st_mode & 0o777, 0o600, path)
        (self.dir / "out").unlink(missing_ok=True)
        self.rewrap("export", "k", self.dir / "out")
        self.assertEqual((self.dir / "out").stat().st_mode & 0o777, 0o600)
        self.refuse(FAILED, "the output file exists", words=("export", "k", self.dir / "out"))

    def test_a_file_that_is_no_store(self):
        self.store.mkdir()
        for data in (b"hello", b"\0" * 65536, self.rng.randbytes(65536), b"x" * 4096):
            self.data().write_bytes(data)
            for words in (("verify", "k"), ("rekey", "k"), ("keyset", "create", "k", "--root", self.root)):
                self.refuse(DAMAGED, "not a rewrap store", words=words)
            self.assertEqual(self.data().read_bytes(), data, "what is not ours is not touched")
        self.data().write_bytes(b"")
        self.refuse(DAMAGED, "not a rewrap store", words=("verify", "k"))

    def test_an_lmdb_file_of_another_program(self):
        # What mdb_env_open makes of an empty file: LMDB, and no table in it.
        self.store.mkdir()
        self.data().touch()
        self.refuse(DAMAGED, "not a rewrap store", words=("verify", "k"))
        self.assertGreater(self.data().stat().st_size, 0)
        self.refuse(DAMAGED, "not a rewrap store", words=("census", "k"))

    def judge_damage(self, store, reference, what):
        """verify of a damaged copy must end, and may claim success only if every key is still there."""
        words = ("--store", store, "verify", "k")
        # ROOT: the changed byte may be in the root's URI, which is read before anything can be authenticated.
        outcome = self.rewrap(*words, expect=(DONE, FAILED, DAMAGED, ROOT))
        # LMDB itself says a line before it aborts on a page that it cannot make sense of.
        self.assertTrue(outcome.code == DONE or "rewrap: " in outcome.stderr, f"{what}: {outcome}")
        if outcome.code != DONE:
            return outcome.code
        out = pathlib.Path(f"{store}.export")
        self.rewrap("--store", store, "export", "k", out, "--to-kek", f"file:{self.dir}/fingerprint.kek")
        self.assertEqual(sorted(out.read_bytes().splitlines()), reference, f"seed {self.seed}: {what}: the keys differ")
        out.unlink()
        return DONE

    def make_reference(self):
        self.make_keyset("k", self.COUNT)
        self.rewrap("rekey", "k")
        return self.fingerprint()

    def damage_copy(self, number, data, reference, what):
        store = self.dir / f"copy-{number}"
        store.mkdir()
        (store / "data.mdb").write_bytes(data)
        code = self.judge_damage(store, reference, what)
        shutil.rmtree(store)
        return code

    def test_a_truncated_file(self):
        reference = self.make_reference()
        data = self.data().read_bytes()
        lengths = {0, 1, 4095, 4096, 8191, 8192, 8193, len(data) - 4096, len(data) - 1}
        lengths |= {self.rng.randrange(len(data)) for _ in range(60)}
        codes = {}
        for length in sorted(lengths):
            codes[length] = self.damage_copy(length, data[:length], reference, f"cut to {length}")
        self.assertEqual({length for length, code in codes.items() if code == DONE}, set(), "a cut file passed")

    def test_changes_at_random_places(self):
        reference = self.make_reference()
        data = self.data().read_bytes()
        cases = [(self.rng.randrange(len(data)), self.rng.randrange(8)) for _ in range(300)]

        def judge(case):
            at, bit = case
            changed = bytearray(data)
            changed[at] ^= 1 << bit
            return self.damage_copy(f"{at}-{bit}", changed, reference, f"bit {bit} of byte {at}")

        codes = in_parallel(judge, cases)
        self.assertGreater(codes.count(DAMAGED), 50, "most of the file holds segments")
        self.assertEqual(self.damage_copy("control", data, reference, "untouched"), DONE)

    def test_pages_wiped_at_random(self):
        reference = self.make_reference()
        data = self.data().read_bytes()
        for page in self.rng.sample(range(len(data) // 4096), min(60, len(data) // 4096)):
            for filler in (b"\0" * 4096, self.rng.randbytes(4096)):
                changed = data[: page * 4096] + filler + data[(page + 1) * 4096 :]
                self.damage_copy(f"page-{page}", changed, reference, f"page {page}")


if __name__ == "__main__":
    unittest.main()
