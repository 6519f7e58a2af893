# Tests imports of files that are wrong: the whole file is refused with its lines named, and nothing is imported.
import base64
import json
import os
import unittest

from support import (
    DONE,
    FAILED,
    INCOMPLETE,
    ROOT,
    USAGE,
    CliTest,
    base64_text,
    flip_bit,
    from_base64,
    gcm_line,
    random_deks,
    wrap_all,
    wrap_line,
)


class BadInput(CliTest):
    """A keyset with one DEK, and files that must not get in."""

    def setUp(self):
        super().setUp()
        self.kek, self.kek_uri = self.make_kek()
        self.make_keyset()
        self.deks = random_deks(self.rng, 5)
        self.lines = wrap_all(self.deks, self.kek)
        self.there = self.lines.pop()
        self.import_file(self.text([self.there]))

    def text(self, lines):
        return b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)

    def import_file(self, data, *words, expect=DONE):
        self.path = self.dir / "in.jsonl"
        self.path.write_bytes(data)
        return self.rewrap("import", "k", self.path, "--from-kek", self.kek_uri, *words, expect=expect)

    def refuse_line(self, bad, *texts, words=()):
        """`bad` stands third in a file of good lines."""
        self.refuse_file(self.text([*self.lines[:2], bad, *self.lines[2:]]), 3, *texts, words=words)

    def refuse_file(self, data, number, *texts, words=()):
        outcome = self.import_file(data, *words, expect=FAILED)
        for text in (f"rewrap: error: {self.path}:{number}: ", "nothing was imported", *texts):
            self.assertIn(text, outcome.stderr, str(outcome))
        self.assertEqual(outcome.stdout, "")
        self.assertEqual(self.census(), {1: 1}, "nothing is imported")
        return outcome

    def changed(self, **members):
        """A good line with members replaced, or taken away (None)."""
        line = dict(self.extra(), **members)
        return {name: value for name, value in line.items() if value is not None}

    def extra(self, kek=None):
        ((dek_id, dek),) = random_deks(self.rng, 1).items()
        return wrap_line(dek_id, kek or self.kek, dek)

    def test_members_that_are_wrong(self):
        good = self.extra()["wrapped"]
        for text, members in (
            ("not base64", {"wrapped": good[:-1]}),
            ("not base64", {"wrapped": good[:-1] + "!"}),
            ("not base64", {"wrapped": good + "===="}),
            ("not base64", {"wrapped": good[:8] + "\n" + good[8:]}),
            ("not base64", {"wrapped": good.replace("=", "") + "-_"}),
            ("not base64", {"wrapped": ""}),
            ("not base64", {"wrapped": None}),
            ("not base64", {"wrapped": 17}),
            ("not base64", {"wrapped": {"a": good}}),
            ("length that no DEK", {"wrapped": good[:-4]}),
            ("length that no DEK", {"wrapped": "AAAA"}),
            ("length that no DEK", {"wrapped": "AAAA" * 1000}),
            ("not one of A128KW", {"alg": "A256GCM"}),
            ("length that no DEK", {"alg": "A256GCMKW"}),
            ("not one of A128KW", {"alg": "a256kw"}),
            ("not one of A128KW", {"alg": ""}),
            ("not one of A128KW", {"alg": None}),
            ("not one of A128KW", {"alg": ["A256KW"]}),
            ("another size than --from-kek", {"alg": "A128KW"}),
            ("another size than --from-kek", {"alg": "A192KWP"}),
            ('"id" is not a UUID', {"id": None}),
            ('"id" is not a UUID', {"id": 7}),
            ('"id" is not a UUID', {"id": "6fa459ea"}),
            ('"id" is not a UUID', {"id": "6fa459eaxee8ax4ca4x894exdb77e160355e"}),
            ('"id" is not a UUID', {"id": "{6fa459ea-ee8a-4ca4-894e-db77e16035}"}),
            ('"id" is not a UUID', {"id": "6fa459ea-ee8a-4ca4-894e-db77e160355e "}),
        ):
            with self.subTest(members=str(members)[:80]):
                self.refuse_line(self.changed(**members), text)

    def test_members_of_gcm_that_are_wrong(self):
        good = gcm_line(next(iter(random_deks(self.rng, 1))), self.kek, bytes(32), b"more")
        for text, members in (
            ('"iv" is not 12 bytes', {"iv": None}),
            ('"iv" is not 12 bytes', {"iv": good["tag"]}),
            ('"iv" is not 12 bytes', {"iv": good["iv"][:-4]}),
            ('"iv" is not 12 bytes', {"iv": good["iv"][:-1] + "-"}),
            ('"iv" is not 12 bytes', {"iv": 12}),
            ('"tag" is not 16 bytes', {"tag": None}),
            ('"tag" is not 16 bytes', {"tag": good["iv"]}),
            ('"tag" is not 16 bytes', {"tag": good["wrapped"]}),
            ('"tag" is not 16 bytes', {"tag": [good["tag"]]}),
            ('"aad" is not base64', {"aad": "?"}),
            ('"aad" is not base64', {"aad": 1}),
            ('"aad" is longer than 1024 bytes', {"aad": "AAAA" * 342}),
            ("length that no DEK", {"wrapped": good["tag"][:-4] + "AAAA"}),
            ("length that no DEK", {"wrapped": "AAAA" * 10}),
            ("another size than --from-kek", {"alg": "A128GCMKW"}),
            ("another size than --from-kek", {"alg": "A192GCMKW"}),
        ):
            with self.subTest(members=str(members)[:80]):
                line = {name: value for name, value in (good | members).items() if value is not None}
                self.refuse_line(line, text)

    def test_gcm_wraps_that_do_not_open_are_quarantined(self):
        """One bit of each part; whole ones open."""
        deks = random_deks(self.rng, 9)
        lines = [gcm_line(dek_id, self.kek, dek, b"more") for dek_id, dek in deks.items()]
        for line, name in zip(lines, ("wrapped", "iv", "tag", "aad")):
            line[name] = base64_text(flip_bit(from_base64(line[name]), 3))
        del lines[4]["aad"]
        self.import_file(self.text(lines), expect=INCOMPLETE)
        self.assertEqual(self.census(), {1: 5})

    def test_base64_that_is_not_canonical(self):
        # A wrap of 40 bytes ends in "==": four bits of the digit before are cut off and must be zero.
        wrapped = self.extra()["wrapped"]
        digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        for cut_off in (1, 8, 15):
            twin = wrapped[:-3] + digits[digits.index(wrapped[-3]) | cut_off] + "=="
            self.assertEqual(base64.b64decode(twin), base64.b64decode(wrapped))
            self.refuse_line(self.changed(wrapped=twin), "not base64")

    def test_text_that_is_not_a_json_object(self):
        good = json.dumps(self.extra()).encode()
        for bad in (
            b"hello",
            b"{",
            good[:-1],
            good + b"}",
            good + good,
            b"[" + good + b"]",
            b"17",
            b"null",
            b'""',
            b"//" + good,
            good.replace(b'"', b"'"),
            b'{"id":}',
            b"\xef\xbb\xbf" + good,
            b"\xff\xfe" + good,
            good.replace(b"A256KW", b"A256KW\xff"),
            good.replace(b"A256KW", b"A256KW\0"),
            b"\0" * 100,
            b"\0" + good,
            b"[" * 30_000,
            b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
            good[:-1] + b',"x":NaN}',
            good[:-1] + b',"x":0x10}',
            b"\x00\xd8" * 50,
        ):
            with self.subTest(bad=bad[:60]):
                self.refuse_line(bad, "not a JSON object")

    def test_what_is_odd_but_right(self):
        for tail in (b',"x":' + b"9" * 400 + b"}", b',"x":1e308}', b',"x":{"y":[1,2]}}', b',"kek_version":7}', b"}  "):
            with self.subTest(tail=tail[:40]):
                before = sum(self.census().values())
                self.import_file(json.dumps(self.extra()).encode()[:-1] + tail + b"\n")
                self.assertEqual(self.census(), {1: before + 1})

    def test_lines_that_are_too_long(self):
        for length in (65_537, 200_000, 10_000_000):
            with self.subTest(length=length):
                good = json.dumps(self.extra()).encode()
                outcome = self.refuse_file(
                    self.text([self.lines[0], good + b" " * (length - len(good)), b"{"]), 2, "longer than 65536 bytes"
                )
                self.assertIn(f"{self.path}:3: not a JSON object", outcome.stderr)
        good = json.dumps(self.extra()).encode()
        self.import_file(good + b" " * (65_536 - len(good)) + b"\n")

    def test_ids_that_come_twice(self):
        self.refuse_line(self.lines[0], "the id stands on an earlier line as well")
        upper = dict(self.lines[0], id=self.lines[0]["id"].upper())
        self.refuse_line(upper, "the id stands on an earlier line as well")
        self.refuse_line(self.lines[0], "the id stands on an earlier line as well", words=("--skip-existing",))

    def test_an_id_that_is_there(self):
        self.refuse_line(self.there, "already has a DEK of this id", "--skip-existing")

    def test_every_bad_line_is_counted_and_the_first_ones_are_listed(self):
        bad = [{"id": i} for i in range(1000)]
        outcome = self.refuse_file(self.text([*self.lines, *bad]), 5, "and 980 more", "1000 of the lines are wrong")
        self.assertIn(f"{self.path}:24: ", outcome.stderr)
        self.assertNotIn(f"{self.path}:25: ", outcome.stderr)
        report = json.loads(
            self.rewrap("--json", "import", "k", self.path, "--from-kek", self.kek_uri, expect=FAILED).stdout
        )
        self.assertEqual((report["lines"], report["imported"], report["problems"]), (1004, 0, 1000))

    def test_files_that_are_odd_but_right(self):
        for name, data in (
            ("empty", b""),
            ("blank", b"\n\r\n\n"),
            ("blank lines between", b"\n\n" + self.text(self.lines[:1]) + b"\r\n\n"),
            ("CRLF", self.text(self.lines[1:3]).replace(b"\n", b"\r\n")),
            ("no newline at the end", self.text(self.lines[3:]).rstrip(b"\n")),
        ):
            with self.subTest(name=name):
                self.import_file(data)
        self.assertEqual(self.opened("k"), self.deks)

    def test_a_line_number_counts_blank_lines_too(self):
        self.refuse_file(b"\n\r\n" + self.text([b"{"]), 3, "not a JSON object")

    def test_files_that_are_none(self):
        missing = ("import", "k", self.dir / "absent", "--from-kek", self.kek_uri)
        self.refuse(FAILED, str(self.dir / "absent"), "No such file", words=missing)
        self.refuse(USAGE, "not a regular file", words=("import", "k", self.dir, "--from-kek", self.kek_uri))
        self.refuse(USAGE, "not a regular file", words=("import", "k", "/dev/null", "--from-kek", self.kek_uri))
        self.assertEqual(self.census(), {1: 1})

    def test_a_named_pipe_does_not_hang(self):
        os.mkfifo(self.dir / "fifo")
        running = self.start("import", "k", self.dir / "fifo", "--from-kek", self.kek_uri)
        self.wait_until(lambda: not running.is_running(), "a pipe is refused", seconds=10)
        self.assertIn("not a regular file", running.finish(expect=USAGE).stderr)

    def test_a_keyset_that_is_not_there(self):
        path = self.write_lines("in.jsonl", self.lines)
        words = ("import", "absent", path, "--from-kek", self.kek_uri)
        self.refuse(FAILED, "no keyset of that name", "rewrap keyset list", words=words)

    def test_a_from_kek_that_is_wrong(self):
        path = self.write_lines("in.jsonl", self.lines)
        for uri, code, text in (
            (f"file:{self.dir}/absent", ROOT, "cannot open the key file"),
            ("file:relative", USAGE, "absolute path"),
            (f"file:{path}", (USAGE, ROOT), "key file"),
            (self.make_kek("short", 17)[1], USAGE, "16, 24 or 32"),
        ):
            self.refuse(code, text, words=("import", "k", path, "--from-kek", uri))
        (self.dir / "legacy").chmod(0o644)
        self.refuse(ROOT, "mode is not 0600", words=("import", "k", path, "--from-kek", self.kek_uri))
        self.assertEqual(self.census(), {1: 1})


class DamagedAtImport(CliTest):
    """A wrap that does not open is kept aside, byte for byte; the others come in."""

    def setUp(self):
        super().setUp()
        self.kek, self.kek_uri = self.make_kek()
        self.make_keyset()
        self.deks = random_deks(self.rng, 100)
        self.good = wrap_all(self.deks, self.kek)

    def import_lines(self, lines, *words, expect=DONE):
        path = self.write_lines("in.jsonl", lines)
        return self.rewrap("import", "k", path, "--from-kek", self.kek_uri, *words, expect=expect)

    def damaged(self, *numbers):
        """The good lines with one bit flipped in some wraps."""
        lines = [dict(line) for line in self.good]
        for number in numbers:
            ((dek_id, dek),) = [list(self.deks.items())[number]]
            line = wrap_line(dek_id, flip_bit(self.kek, 0), dek)
            lines[number] = dict(line)
        return lines

    def quarantine(self):
        return {entry["id"]: entry for entry in self.json("quarantine", "list", "k")["quarantined"]}

    def test_one_flipped_bit(self):
        bit = self.rng.randrange(40 * 8)
        line = self.good[13]
        wrapped = base64.b64encode(flip_bit(base64.b64decode(line["wrapped"]), bit)).decode()
        lines = [*self.good[:13], dict(line, wrapped=wrapped), *self.good[14:]]
        outcome = self.import_lines(lines, expect=INCOMPLETE)
        self.assertIn("1 DEKs do not open under --from-kek", outcome.stderr)
        entry = self.quarantine()[line["id"]]
        expected = {"id": line["id"], "reason": "import", "wrapped": wrapped, "kek_version": 0, "wrap": "kw"}
        self.assertEqual({name: entry[name] for name in expected}, expected)
        rest = {dek_id: dek for dek_id, dek in self.deks.items() if dek_id != line["id"]}
        self.assertEqual(self.opened("k", expect=INCOMPLETE), rest)
        self.refuse(INCOMPLETE, "in quarantine", words=("dek", "get", "k", line["id"]))
        self.check_verify(99)

    def test_the_wrong_kek_puts_all_aside(self):
        self.import_lines(self.damaged(*range(100)), expect=INCOMPLETE)
        self.assertEqual(self.census(), {1: 0})
        self.assertEqual(len(self.quarantine()), 100)

    def test_drop_needs_to_be_told_what(self):
        self.import_lines(self.damaged(1, 2, 3), expect=INCOMPLETE)
        ids = list(self.quarantine())
        self.refuse(USAGE, "give the ids to drop, or --all", words=("quarantine", "drop", "k"))
        self.refuse(USAGE, "give the ids to drop, or --all", words=("quarantine", "drop", "k", ids[0], "--all"))
        self.refuse(USAGE, "is a UUID", words=("quarantine", "drop", "k", "nonsense"))
        healthy = self.good[50]["id"]
        self.refuse(FAILED, "not in quarantine", words=("quarantine", "drop", "k", ids[0], healthy))
        self.assertEqual(list(self.quarantine()), ids, "all of the ids or none")
        self.assertEqual(self.json("quarantine", "drop", "k", ids[0])["dropped"], 1)
        self.assertEqual(list(self.quarantine()), ids[1:])
        self.assertEqual(self.json("quarantine", "drop", "k", "--all")["dropped"], 2)
        self.assertEqual(self.quarantine(), {})
        self.assertEqual(len(self.opened("k")), 97)

    def test_a_good_copy_replaces_it(self):
        self.import_lines(self.damaged(1, 2), expect=INCOMPLETE)
        self.import_lines([self.good[1]])
        self.assertEqual(list(self.quarantine()), [self.good[2]["id"]])
        self.import_lines(self.good, "--skip-existing")
        self.assertEqual(self.quarantine(), {})
        self.assertEqual(self.opened("k"), self.deks)
        self.check_verify(100)

    def test_another_bad_copy_does_not_replace_a_good_dek(self):
        self.import_lines(self.good)
        outcome = self.import_lines(self.damaged(5), "--skip-existing")
        self.assertIn("100 were there already", outcome.stdout)
        self.assertEqual(self.opened("k"), self.deks)

    def test_skip_existing_finishes_an_interrupted_import(self):
        self.import_lines(self.good[:40])
        self.import_lines(self.good, expect=FAILED)
        report = self.json("import", "k", self.dir / "in.jsonl", "--from-kek", self.kek_uri, "--skip-existing")
        self.assertEqual((report["lines"], report["imported"], report["skipped"]), (100, 60, 40))
        self.assertEqual(self.opened("k"), self.deks)


if __name__ == "__main__":
    unittest.main()
