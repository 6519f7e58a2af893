# Tests that no key byte shows anywhere: not in output, arguments, the store or exports, nor in a core dump.
import base64
import os
import pathlib
import re
import shutil
import unittest

from support import BINARY, DEK_LENS, MANY, CliTest, SoftHsm, random_deks, wrap_all

from cryptography.hazmat.primitives import keywrap

NOBODY = 65534


def forms_of(secret):
    """The secret as it is, in hexadecimal, and in base64 at each of the three places it can have there."""
    forms = {secret, secret.hex().encode(), secret.hex().upper().encode()}
    for before in range(3):
        text = base64.b64encode(b"\0" * before + secret)
        first = -(-before * 8 // 6)  # digits that also hold bits from before the secret
        last = (before + len(secret)) * 8 // 6
        forms.add(text[first:last])
        forms.add(text[first:last].replace(b"+", b"-").replace(b"/", b"_"))
    return forms


def found_in(data, secrets):
    """Names of the secrets that `data` holds in any form."""
    return {name for name, secret in secrets.items() for form in forms_of(secret) if form in data}


class KeyBytes(CliTest):
    """The main job with known keys; then everything it left behind is searched for them."""

    def setUp(self):
        super().setUp()
        self.token = SoftHsm(self.dir)
        self.env = self.token.env
        self.deks = random_deks(self.rng, 60, DEK_LENS)
        self.kek, self.kek_uri = self.make_kek()
        self.secrets = dict(self.deks, legacy=self.kek, root=self.root_key, pin=self.token.PIN.encode())

    def run_everything(self):
        damaged = wrap_all(self.deks, self.kek)
        damaged[3]["wrapped"] = damaged[8]["wrapped"][:-8] + damaged[3]["wrapped"][-8:]
        for wrap in ("kw", "kwp", "gcm"):
            name = f"k-{wrap}"
            self.make_keyset(name, 0, None, "--wrap", wrap)
            path = self.write_lines("bad.jsonl", damaged)
            self.rewrap("import", name, path, "--from-kek", self.kek_uri, expect=3)
            self.import_deks_again(name)
            self.rewrap("rekey", name)
            self.rewrap("verify", name)
            self.rewrap("rekey", name, "--root", self.token.uri("root"))
            self.rewrap("verify", name)
            self.rewrap("decommission", name, 1)
            self.rewrap("export", name, self.dir / f"{name}.as-is")
            self.rewrap("export", name, self.dir / f"{name}.legacy", "--to-kek", self.kek_uri)
            self.rewrap("dek", "get", name, next(iter(self.deks)))
            for words in (("census", name), ("status",), ("keyset", "list"), ("quarantine", "list", name)):
                self.rewrap(*words)
                self.json(*words)

    def import_deks_again(self, name):
        path = self.write_lines("in.jsonl", wrap_all(self.deks, self.kek))
        self.rewrap("import", name, path, "--from-kek", self.kek_uri, "--skip-existing")

    def run_failures(self):
        """Errors are where a careless program shows what it was working on."""
        pin = self.token.PIN
        legacy = self.kek_uri.removeprefix("file:")
        self.rewrap("keyset", "create", "x", "--root", f"{self.token.uri('root')}&pin-value=hidden", expect=2)
        self.rewrap("keyset", "create", "x", "--root", self.token.uri("absent"), expect=5)
        self.rewrap("import", "k-kw", legacy, "--from-kek", self.kek_uri, expect=1)
        self.rewrap("import", "k-kw", self.token.pin_file, "--from-kek", self.kek_uri, expect=1)
        self.rewrap("verify", "k-kw", "--implementation", "none", expect=(1, 2))
        self.assertEqual(self.token.pin_file.read_text().strip(), pin)

    def left_behind(self):
        """{name: bytes} of all that others can come to see."""
        seen = {f"output {i}": data for i, data in enumerate(self.recorded)}
        exports = [path for suffix in ("as-is", "legacy", "jsonl") for path in self.dir.glob(f"*.{suffix}")]
        for path in (*self.store.iterdir(), *exports):
            seen[str(path)] = path.read_bytes()
        return seen

    def keks_in_store(self):
        """The KEKs themselves: whatever near a root's URI in the store opens under the file root's key."""
        data = (self.store / "data.mdb").read_bytes()
        keks = set()
        for match in re.finditer(re.escape(self.root.encode()), data):
            for start in range(match.end(), min(match.end() + 400, len(data) - 40)):
                try:
                    keks.add(keywrap.aes_key_unwrap(self.root_key, data[start : start + 40]))
                except keywrap.InvalidUnwrap:
                    pass
        return {f"KEK {i}": kek for i, kek in enumerate(sorted(keks))}

    def test_no_key_shows(self):
        self.rewrap("root", "create", self.token.uri("root"))
        self.run_everything()
        self.run_failures()
        self.make_keyset("file-rooted", 10)
        keks = self.keks_in_store()
        self.assertGreaterEqual(len(keks), 1)
        secrets = self.secrets | keks
        seen = self.left_behind()
        self.assertGreater(sum(map(len, seen.values())), 200_000)
        self.assertGreater(len(seen), 40)
        for name, data in seen.items():
            self.assertEqual(found_in(data, secrets), set(), f"keys show in {name}")
        self.check_that_the_search_finds(secrets, seen)

    def check_that_the_search_finds(self, secrets, seen):
        """Negative control: each form of each key, planted into what was searched, is found."""
        page = next(data for name, data in seen.items() if name.endswith("data.mdb"))[:20_000]
        for name, secret in secrets.items():
            planted = [secret, secret.hex().encode(), secret.hex().upper().encode()]
            planted += [base64.b64encode(b"x" * before + secret + b"y" * 5) for before in range(5)]
            for form in planted:
                self.assertEqual(found_in(page[:7777] + form + page[7777:], {name: secret}), {name})
        # And wraps of the same keys are there, so the places searched are the right ones.
        exported = (self.dir / "k-kw.legacy").read_bytes()
        for line in wrap_all(self.deks, self.kek):
            self.assertIn(line["wrapped"].encode(), exported)


class Memory(CliTest):
    """What others on the machine can get out of the running program."""

    def test_arguments_name_files_only(self):
        self.make_keyset("k", MANY)
        running = self.start_slow_rekey()
        argv = pathlib.Path(f"/proc/{running.pid}/cmdline").read_bytes()
        environ = pathlib.Path(f"/proc/{running.pid}/environ").read_bytes() if os.geteuid() == 0 else b""
        self.assertIn(b"rekey", argv)
        self.assertEqual(found_in(argv + environ, {"root": self.root_key}), set())
        running.finish()

    def test_no_core_is_dumped(self):
        self.make_keyset("k", MANY)
        running = self.start_slow_rekey()
        limits = pathlib.Path(f"/proc/{running.pid}/limits").read_text()
        self.assertRegex(limits, r"Max core file size +0 +0 ")
        running.finish()

    def test_others_cannot_read_its_memory(self):
        """An undumpable process belongs to root in /proc, whoever runs it."""
        shutil.copy(BINARY, self.dir / "rewrap")
        self.make_keyset("k", MANY)
        options = {}
        if os.geteuid() == 0:
            for path in (self.dir, *self.dir.rglob("*")):
                os.chown(path, NOBODY, NOBODY)
            options = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        argv = [str(self.dir / "rewrap"), "--allow-file-root", "--json", "rekey", "k", "--rate", str(MANY)]
        running = self.start(argv=argv, **options)
        status = pathlib.Path(f"/proc/{running.pid}/mem")
        self.wait_until(lambda: status.stat().st_uid == 0 or not running.is_running(), "it is undumpable")
        self.assertTrue(running.is_running())
        self.assertEqual(status.stat().st_uid, 0)
        running.finish()
        # Negative control: another program run in the same way belongs to its user.
        sleeper = self.start(argv=["/bin/sleep", "5"], **options)
        own = NOBODY if options else os.geteuid()
        self.wait_until(lambda: os.stat(f"/proc/{sleeper.pid}/mem").st_uid == own, "a plain program is dumpable", 5)
        sleeper.signal(9)


if __name__ == "__main__":
    unittest.main()
