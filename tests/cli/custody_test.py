# The custodies in which a KEK never leaves its token, on SoftHSM: the main job in each, its outcome opened by other
# means than the command, what each refuses, and tokens that go away.
import json
import os
import re

from support import (
    DEK_LENS,
    FAILED,
    INCOMPLETE,
    REFUSED,
    ROOT,
    USAGE,
    CliTest,
    SoftHsm,
    flip_bit,
    from_base64,
    base64_text,
    random_deks,
    unwrap_line,
    wrap_all,
)

KNOWN_KEY_MODULE = os.environ.get("REWRAP_KNOWN_KEY_MODULE", "")


class TokenCustodyTest(CliTest):
    """A keyset in a custody, with its root in a private token."""

    CUSTODY = ""
    WRAP = "kw"
    COUNT = 2100  # more than a segment

    def setUp(self):
        super().setUp()
        self.token = SoftHsm(self.dir)
        self.env = dict(self.token.env)
        self.file_root, self.root = self.root, self.token.uri("root")
        self.rewrap("root", "create", self.root)

    def create(self, name="disks", root=None, expect=0, **options):
        words = ("--custody", self.CUSTODY, "--wrap", self.WRAP)
        return self.rewrap("keyset", "create", name, "--root", root or self.root, *words, expect=expect, **options)

    def rekey(self, *words, expect=0, **options):
        report = self.json("rekey", "disks", *words, expect=expect, **options)
        self.assertEqual((report["custody"], report["implementation"]), (self.CUSTODY, "token"))
        return report

    def token_keks(self):
        """{CKA_ID in hex} of the KEKs in the token."""
        return {line.split()[0] for line in self.token.keys().splitlines() if line.split()[1].startswith("rewrap-kek-")}

    def key_refs(self, name="disks"):
        """{version: [key_ref]} as the store has them."""
        return {version["version"]: version["key_refs"] for version in self.json("census", name)["versions"]}

    def id_of(self, version):
        (ref,) = self.key_refs()[version]
        return re.search(r"id=([0-9a-f]+)", ref).group(1)

    def opened_in_token(self, version):
        """{id: DEK}: an export as it is, opened under the KEK in the token by token_key.py, which shares no code."""
        lines = self.export_lines("disks")
        records = [[from_base64(line.get(part, "")).hex() for part in ("wrapped", "iv", "tag", "aad")] for line in lines]
        damaged = [flip_bit(bytes.fromhex(records[0][0]), 5).hex(), *records[0][1:]]
        path = self.dir / "records.json"
        path.write_text(json.dumps([damaged, *records]), encoding="ascii")
        control, *opened = json.loads(self.token.open_wraps(self.id_of(version), self.OPENED_BY, path))
        self.assertIsNone(control, "the control: a damaged wrap does not open")
        self.assertNotIn(None, opened)
        return {line["id"]: bytes.fromhex(dek) for line, dek in zip(lines, opened, strict=True)}


class MainJobTest(TokenCustodyTest):
    """From the first DEK to the end of the first KEK; the DEKs are opened by a second program, in the token."""

    def test_the_whole_life_of_a_keyset(self):
        deks = random_deks(self.rng, self.COUNT, DEK_LENS)
        kek, kek_uri = self.make_kek()
        self.assertIn(f"custody {self.CUSTODY}", self.create().stdout)
        self.import_deks("disks", deks, kek, kek_uri)
        self.assertEqual(self.opened_in_token(1), deks)
        self.rewrap("dek", "generate", "disks", "--count", 100)
        report = self.rekey()
        self.assertEqual((report["rewrapped"], report["quarantined"], report["state"]), (self.COUNT + 100, 0, "done"))
        self.check_verify(self.COUNT + 100, "disks")
        moved = self.opened_in_token(2)
        self.assertEqual({dek_id: moved[dek_id] for dek_id in deks}, deks)
        self.assertEqual(len(set(moved.values())), len(moved), "generated DEKs differ")

        old, new = self.id_of(1), self.id_of(2)
        self.assertEqual(self.token_keks(), {old, new})
        self.rewrap("decommission", "disks", 1)
        self.assertEqual(self.token_keks(), {new}, "the old KEK has left the token")
        self.assertEqual(self.key_refs(), {1: [], 2: self.key_refs()[2]})
        (status,) = self.json("status", "disks")["keysets"]
        self.assertEqual((status["custody"], status["kek_version"], status["state"]), (self.CUSTODY, 2, "ready"))
        dek_id = next(iter(deks))
        self.assertEqual(self.json("dek", "get", "disks", dek_id)["kek_version"], 2)

    def test_a_damaged_dek_is_put_aside_and_the_others_move(self):
        self.create()
        deks = random_deks(self.rng, 50)
        kek, kek_uri = self.make_kek()
        lines = wrap_all(deks, kek)
        lines[7]["wrapped"] = base64_text(flip_bit(from_base64(lines[7]["wrapped"]), 99))
        path = self.write_lines("damaged.jsonl", lines)
        report = self.json("import", "disks", path, "--from-kek", kek_uri, expect=INCOMPLETE)
        self.assertEqual((report["imported"], report["quarantined"]), (49, 1))
        self.check_verify(49, "disks")
        self.rewrap("quarantine", "drop", "disks", "--all")
        self.assertEqual(self.rekey()["rewrapped"], 49)

    def test_a_stopped_rekey_goes_on(self):
        self.create()
        self.rewrap("dek", "generate", "disks", "--count", 4200)
        running = self.start("--json", "rekey", "disks", "--rate", 1500)
        self.wait_until(lambda: self.is_mixed("disks") or not running.is_running(), "the rekey is in the middle")
        running.signal(2)
        self.assertEqual(running.finish(FAILED).json["state"], "stopped")
        report = self.rekey()
        self.assertTrue(report["resumed"])
        self.check_verify(4200, "disks")

    def test_an_implementation_cannot_be_forced(self):
        self.create()
        for verb in ("rekey", "verify"):
            self.refuse(USAGE, "stay in their token", words=(verb, "disks", "--implementation", "openssl"))

    def test_with_a_kek_of_known_value_python_opens_the_deks(self):
        deks = random_deks(self.rng, 300, DEK_LENS)
        legacy, legacy_uri = self.make_kek()
        first, second = os.urandom(32), os.urandom(32)
        root = self.token.uri("root", module=KNOWN_KEY_MODULE)
        self.create(root=root, env={"REWRAP_TEST_KEK": first.hex()})
        self.import_deks("disks", deks, legacy, legacy_uri)
        self.assertEqual({line["id"]: unwrap_line(line, first) for line in self.export_lines("disks")}, deks)
        self.rekey(env={"REWRAP_TEST_KEK": second.hex()})
        self.assertEqual({line["id"]: unwrap_line(line, second) for line in self.export_lines("disks")}, deks)
        with self.assertRaises(Exception, msg="the control: under the old KEK nothing opens any more"):
            unwrap_line(self.export_lines("disks")[0], first)


class KekInTokenKw(MainJobTest):
    CUSTODY, WRAP, OPENED_BY = "kek-in-token", "kw", "ecb-kw"

    def test_export_under_another_kek(self):
        self.create()
        deks = random_deks(self.rng, 100, DEK_LENS)
        kek, kek_uri = self.make_kek()
        self.import_deks("disks", deks, kek, kek_uri)
        self.rekey()
        self.assertEqual(self.opened("disks"), deks)

    def test_a_long_job_says_beforehand_how_long_it_will_take(self):
        self.create()
        self.rewrap("dek", "generate", "disks", "--count", 60_000)
        running = self.start("rekey", "disks", "--rate", 4000)  # 15 s
        self.wait_until(lambda: self.census("disks").get(2, 0) > 4096, "the rate is known")
        running.signal(2)
        outcome = running.finish(FAILED)
        (seconds,) = re.findall(r"about (\d+) s for [0-9]+ DEKs in the token", outcome.stderr)
        self.assertTrue(10 <= int(seconds) <= 20, outcome.stderr)
        self.assertNotIn("about", self.rewrap("rekey", "disks").stderr)  # the control: a short one


class KekInTokenGcm(MainJobTest):
    CUSTODY, WRAP, OPENED_BY = "kek-in-token", "gcm", "ecb-gcm"


class InToken(MainJobTest):
    CUSTODY, WRAP, OPENED_BY, COUNT = "in-token", "kw", "unwrap", 300

    def test_what_passes_the_host_is_said_and_what_would_leave_is_refused(self):
        self.create()
        deks = random_deks(self.rng, 10)
        kek, kek_uri = self.make_kek()
        path = self.write_lines("in.jsonl", wrap_all(deks, kek))
        self.assertIn("in the clear", self.rewrap("import", "disks", path, "--from-kek", kek_uri).stderr)
        words = ("export", "disks", self.dir / "out.jsonl", "--to-kek", kek_uri)
        self.refuse(REFUSED, "never leave their token", "without --to-kek", words=words)
        self.assertFalse((self.dir / "out.jsonl").exists())
        self.assertEqual(len(self.export_lines("disks")), 10)

    def test_a_rekey_into_another_token_changes_nothing(self):
        self.create()
        self.rewrap("dek", "generate", "disks", "--count", 10)
        self.token.add_token("other")
        other = self.token.uri("root", token="other")
        self.rewrap("root", "create", other)
        self.refuse(REFUSED, "same token", words=("rekey", "disks", "--root", other))
        self.assertEqual(self.census("disks"), {1: 10})
        self.assertEqual(self.rekey()["rewrapped"], 10)


class Refusals(TokenCustodyTest):
    def test_what_goes_with_what(self):
        create = ("keyset", "create", "k", "--root")
        for wrap in ("kwp", "gcm"):
            words = (*create, self.root, "--custody", "in-token", "--wrap", wrap)
            self.refuse(USAGE, "RFC 3394 only", "--custody kek-in-token", words=words)
        for custody in ("kek-in-token", "in-token"):
            words = (*create, self.file_root, "--custody", custody)
            self.refuse(ROOT, "no KEKs of its own", "--custody host", words=words)
        self.refuse(USAGE, "custody", words=(*create, self.root, "--custody", "elsewhere"))
        self.assertEqual(self.json("keyset", "list")["keysets"], [])
        self.assertEqual(self.token_keks(), set())

    def test_a_token_that_goes_away_for_good(self):
        """Its files vanish under a running rekey: exit code 5, nothing is lost, and the next rekey goes on."""
        self.CUSTODY = "in-token"
        self.create()
        self.rewrap("dek", "generate", "disks", "--count", 16_400)
        running = self.start("--token-wait", 1, "rekey", "disks", "--rate", 4000)
        self.wait_until(lambda: self.is_mixed("disks") or not running.is_running(), "the rekey is in the middle")
        backup = self.token.backup()
        self.token.tokens.rename(self.dir / "gone")
        outcome = running.finish(ROOT)
        self.assertIn("waiting up to 1 s", outcome.stderr)
        self.assertIn("run rewrap rekey again", outcome.stderr)
        (self.dir / "gone").rename(self.token.tokens)
        self.token.restore(backup)
        self.assertEqual(self.json("status", "disks")["keysets"][0]["quarantined"], 0)
        report = self.rekey()
        self.assertTrue(report["resumed"])
        self.check_verify(16_400, "disks")

    def test_a_lost_key_and_a_lost_token_are_told(self):
        for custody in ("kek-in-token", "in-token"):
            self.CUSTODY = custody
            self.create(custody)
            self.rewrap("dek", "generate", custody, "--count", 10)
        backup = self.token.backup()
        self.token.delete_keys("rewrap-kek-")
        for custody in ("kek-in-token", "in-token"):
            for verb in ("rekey", "verify"):
                self.refuse(ROOT, "no secret key of that name", "backup", words=(verb, custody))
        self.token.restore(backup)
        for custody in ("kek-in-token", "in-token"):
            self.check_verify(10, custody)
