# Tests what the command does when its root is wrong, missing, ambiguous, badly guarded or gone.
import os
import pathlib
import unittest

from support import ROOT, USAGE, CliTest, SoftHsm, pkcs11_spy, write_secret

CKF_USER_PIN_COUNT_LOW = 0x10000
CKF_USER_PIN_LOCKED = 0x40000


class TokenRoot(CliTest):
    """A root in a SoftHSM token."""

    def setUp(self):
        super().setUp()
        self.token = SoftHsm(self.dir)
        self.env = dict(self.token.env)
        self.root = self.token.uri("root")
        self.rewrap("root", "create", self.root)

    def spied_uri(self, pin_file=None):
        """(the root's URI by way of OpenSC's spy module, the file that gets the calls); the spy leaks memory."""
        self.ignore_leaks()
        log = self.dir / "spy.log"
        self.env |= {"PKCS11SPY": self.token.MODULE, "PKCS11SPY_OUTPUT": str(log)}
        return self.token.uri("root", pin_file, module=pkcs11_spy()), log

    def refuse_root(self, code, *texts, uri):
        """Every verb that takes a root must refuse this one in the same way, and leave no keyset behind."""
        self.refuse(code, *texts, words=("keyset", "create", "k", "--root", uri))
        self.refuse(code, *texts, words=("root", "probe", uri))
        self.assertEqual(self.json("keyset", "list", expect=(0, 1, 4)).get("keysets", []), [])

    def test_a_wrong_pin_is_tried_once(self):
        wrong = write_secret(self.dir / "wrong", b"0000")
        uri, log = self.spied_uri(wrong)
        self.refuse(ROOT, "refused the PIN", "CKR_PIN_INCORRECT", "check the PIN", words=("root", "probe", uri))
        self.assertEqual(log.read_text(errors="replace").count("C_Login\n"), 1)
        flags = self.token.flags()
        self.assertTrue(flags & CKF_USER_PIN_COUNT_LOW, hex(flags))
        self.assertFalse(flags & CKF_USER_PIN_LOCKED, hex(flags))
        self.make_keyset()
        self.assertFalse(self.token.flags() & CKF_USER_PIN_COUNT_LOW, "the right PIN clears the flag")

    def test_a_wrong_pin_at_rekey_is_tried_once_and_changes_nothing(self):
        uri, log = self.spied_uri()
        self.make_keyset("k", 100, uri)
        before = self.export_lines("k")
        log.unlink()
        write_secret(self.token.pin_file, b"0000\n")
        self.refuse(ROOT, "refused the PIN", words=("rekey", "k"))
        self.assertEqual(log.read_text(errors="replace").count("C_Login\n"), 1)
        write_secret(self.token.pin_file, self.token.PIN.encode())
        self.assertEqual(self.export_lines("k"), before)
        self.assertEqual(self.census(), {1: 100})

    def test_a_wrong_pin_is_tried_once_for_all_keys_and_kek_versions(self):
        uri, log = self.spied_uri()
        second = uri.replace("object=root", "object=second")
        file_root = f"file:{self.dir}/root.key"
        self.make_keyset("k", 10, uri)
        self.rewrap("root", "create", second)
        for root in (file_root, second):  # the last one is the first to be asked
            self.rewrap("reprotect", "k", "--root", root, "--add")
        for _ in range(3):
            self.rewrap("rekey", "k")
        log.unlink()
        write_secret(self.token.pin_file, b"0000\n")
        for words in (("verify", "k"), ("reprotect", "k", "--root", file_root, "--add")):
            broken = self.json(*words)["broken_protectors"]
            self.assertTrue(broken and all("CKR_PIN_INCORRECT" in one["error"] for one in broken), broken)
            self.assertEqual(log.read_text(errors="replace").count("C_Login\n"), 1, words)
            write_secret(self.token.pin_file, self.token.PIN.encode())
            self.rewrap("root", "probe", uri)  # clears the token's count
            write_secret(self.token.pin_file, b"0000\n")
            log.unlink()

    def test_a_credential_of_the_service_manager(self):
        def uri(name):
            return self.root.replace(f"file:{self.token.pin_file}", f"credential:{name}")

        given = {"CREDENTIALS_DIRECTORY": str(self.token.pin_file.parent)}
        self.rewrap("root", "probe", uri("pin"), env=given)
        self.refuse(ROOT, "was given none", "LoadCredential=", words=("root", "probe", uri("pin")))
        self.refuse(ROOT, "cannot open", words=("root", "probe", uri("absent")), env=given)
        for name in ("", ".", "..", "../pin", "/etc/passwd"):
            self.refuse((ROOT, USAGE), "pin-source", words=("root", "probe", uri(name)), env=given)

    def test_the_pin_file(self):
        for data, text in (
            (None, "cannot open the PIN file"),
            (b"", "empty"),
            (b"\n", "no PIN"),
            (b"1" * 300, "longer than any"),
        ):
            with self.subTest(data=data):
                path = self.dir / "other-pin"
                if data is not None:
                    write_secret(path, data)
                self.refuse((USAGE, ROOT), text, words=("root", "probe", self.token.uri("root", path)))
        self.refuse(ROOT, "not a regular file", words=("root", "probe", self.token.uri("root", self.dir)))
        self.assertFalse(self.token.flags() & CKF_USER_PIN_COUNT_LOW, "no login was tried")

    def test_no_pin_source_and_no_terminal(self):
        uri = self.token.uri("root").split("&")[0]
        words = ("root", "probe", uri)
        outcome = self.refuse(ROOT, "no terminal to ask at", "pin-source=", words=words, start_new_session=True)
        self.assertNotIn("PIN of token", outcome.stdout)

    def test_a_missing_module(self):
        uri = self.token.uri("root", module="/nonexistent.so")
        self.refuse_root(ROOT, "no PKCS#11 module", "module-path=", uri=uri)

    def test_a_module_that_is_none(self):
        text = write_secret(self.dir / "text.so", b"hello")
        self.refuse_root(ROOT, "cannot be loaded as a PKCS#11 module", uri=self.token.uri("root", module=text))

    def test_a_missing_token(self):
        self.refuse_root(ROOT, "no token of that name", "token=", uri=self.token.uri("root", token="absent"))

    def test_a_missing_key(self):
        words = ("keyset", "create", "k", "--root", self.token.uri("absent"))
        self.refuse(ROOT, "no secret key of that name", "rewrap root create", words=words)
        self.assertIn("rewrap root create", self.rewrap("root", "probe", self.token.uri("absent")).stdout)

    def test_two_tokens_of_one_label(self):
        self.token.add_token(self.token.label)
        self.refuse_root(ROOT, "more than one token", "serial=", uri=self.root)

    def test_two_keys_of_one_label(self):
        for _ in range(2):
            self.token.import_key("twin", os.urandom(32), "wrap", "unwrap")
        words = ("keyset", "create", "k", "--root", self.token.uri("twin"))
        self.refuse(ROOT, "more than one key", "id=", words=words)

    def test_a_second_key_of_the_name_does_not_make_generate_loop(self):
        self.rewrap("root", "create", self.token.uri("twin"))
        self.rewrap("keyset", "create", "k", "--root", self.token.uri("twin"))
        self.rewrap("dek", "generate", "k", "--count", 1)
        self.token.import_key("twin", os.urandom(32), "wrap", "unwrap")
        self.refuse(ROOT, "more than one key", "id=", words=("dek", "generate", "k", "--count", 1))

    def test_keys_that_guard_nothing(self):
        for name, flags in (("leaky", ("extractable", "wrap", "unwrap")), ("double", ("wrap", "unwrap", "decrypt"))):
            self.token.import_key(name, os.urandom(32), *flags)
            words = ("keyset", "create", "k", "--root", self.token.uri(name))
            self.refuse(ROOT, "the root key", words=words)

    def test_uris_that_are_wrong(self):
        pin = self.token.PIN
        for uri, text in (
            (self.root + "&colour=red", "not known"),
            (self.root.replace("?", ";colour=red?"), "not known"),
            (self.root + f"&pin-value={pin}", "put the PIN in a file"),
            (self.root.replace("token=", "token=x;token="), "twice"),
            ("pkcs11:object=root?module-path=" + self.token.MODULE, "names no token"),
            ("pkcs11:token=t;object=%zz?module-path=/m.so", "RFC 7512"),
            ("pkcs11:token=t;object=root", "which module"),
            ("vault:secret", "unknown scheme"),
            ("", "unknown scheme"),
            ("file:relative", "absolute path"),
            ("kmip:host", "kmip://HOST"),
            ("kmip://host?name=x", "ca=, cert= or key= is missing"),
            ("pkcs11:token=t;object=root?module-path=/m.so&x=" + "y" * 3000, "longer than"),
        ):
            with self.subTest(uri=uri[:60]):
                self.refuse_root(USAGE, text, uri=uri)

    def test_root_create_refuses_a_second_key(self):
        self.refuse(ROOT, "already has a key of that name", words=("root", "create", self.root))
        self.assertEqual(self.json("root", "create", self.token.uri("two"))["created"], True)

    def test_root_probe(self):
        text = self.rewrap("root", "probe", self.root).stdout
        self.assertIn("SoftHSM", text)
        report = self.json("root", "probe", self.root)
        self.assertEqual(report["root"], self.root)
        self.assertIn("root", report["key"])
        self.assertTrue(any(c["works"] and c["per_second"] > 0 for c in report["capabilities"]), report)
        for capability in report["capabilities"]:
            self.assertEqual(set(capability), {"name", "works", "detail", "per_second"})
            self.assertIn(capability["name"], text)

    def test_a_root_that_is_gone_at_rekey(self):
        self.make_keyset("k", 5000)
        before = self.export_lines("k")
        away = self.token.tokens.rename(self.dir / "away")
        self.token.tokens.mkdir(mode=0o700)
        for words in ("rekey k", "rekey k --dry-run", "verify k", "dek generate k --count 1"):
            self.refuse(ROOT, "no token of that name", "token=", words=words.split())
        self.refuse(ROOT, "no token of that name", words=("export", "k", self.dir / "out"))
        self.assertFalse((self.dir / "out").exists())
        # What needs no root still works, and says that nothing has changed.
        self.assertEqual(self.census(), {1: 5000})
        self.assertEqual(self.json("status", "k")["keysets"][0]["state"], "ready")
        got = self.json("dek", "get", "k", before[0]["id"], "--unauthenticated")
        self.assertEqual(got["wrapped"], before[0]["wrapped"])
        self.token.tokens.rmdir()
        away.rename(self.token.tokens)
        self.assertEqual(self.export_lines("k"), before)
        self.rewrap("rekey", "k")
        self.check_verify(5000)

    def test_a_root_that_is_gone_at_decommission(self):
        self.make_keyset("k", 10)
        self.rewrap("rekey", "k")
        self.check_verify(10)
        self.token.tokens.rename(self.dir / "away")
        self.token.tokens.mkdir(mode=0o700)
        self.refuse(ROOT, "no token of that name", words=("decommission", "k", 1))
        self.assertEqual(self.census(), {1: 0, 2: 10})

    def test_a_root_key_replaced_by_another_of_the_same_name(self):
        self.make_keyset("k", 10)
        for path in self.token.tokens.rglob("*.object"):
            if path.name != "token.object":
                path.unlink()
                path.with_suffix(".lock").unlink(missing_ok=True)
        self.refuse(ROOT, "no secret key of that name", words=("rekey", "k"))
        self.rewrap("root", "create", self.root)
        self.refuse(ROOT, "another root key", words=("rekey", "k"))
        self.assertEqual(self.census(), {1: 10})


class FileRoot(CliTest):
    """A root in a key file: for development."""

    def argv(self, words):
        return [word for word in super().argv(words) if not (self.refuse_files and word == "--allow-file-root")]

    refuse_files = False

    def path(self):
        return pathlib.Path(self.root.removeprefix("file:"))

    def test_it_has_to_be_asked_for(self):
        self.make_keyset("k", 10)
        self.refuse_files = True
        for words in (f"root create file:{self.dir}/new", f"keyset create x --root {self.root}", "rekey k"):
            self.refuse(ROOT, "for development only", "--allow-file-root", words=words.split())
        self.assertFalse((self.dir / "new").exists())

    def test_the_mode_must_be_0600(self):
        self.make_keyset("k", 10)
        for mode in (0o644, 0o640, 0o660, 0o400, 0o700):
            self.path().chmod(mode)
            self.refuse(ROOT, "mode is not 0600", "chmod 600", words=("rekey", "k"))
        self.path().chmod(0o600)
        self.rewrap("rekey", "k")

    def test_root_create_makes_one_and_refuses_a_second(self):
        uri = f"file:{self.dir}/new.key"
        self.rewrap("root", "create", uri)
        path = self.dir / "new.key"
        self.assertEqual((path.stat().st_size, path.stat().st_mode & 0o777), (32, 0o600))
        before = path.read_bytes()
        self.refuse(ROOT, "cannot make the key file", "File exists", words=("root", "create", uri))
        self.assertEqual(path.read_bytes(), before)

    def test_files_that_hold_no_root_key(self):
        for length in (0, 16, 31, 33):
            write_secret(self.path(), b"x" * length)
            self.refuse(USAGE, "file", words=("keyset", "create", "k", "--root", self.root))
        self.path().unlink()
        self.refuse(ROOT, "rewrap root create", words=("keyset", "create", "k", "--root", self.root))
        link = self.dir / "link.key"
        link.symlink_to(write_secret(self.dir / "real.key", os.urandom(32)))
        self.refuse(ROOT, "symbolic link", words=("keyset", "create", "k", "--root", f"file:{link}"))

    def test_another_key_in_the_same_file(self):
        self.make_keyset("k", 10)
        write_secret(self.path(), os.urandom(32))
        self.refuse(ROOT, "another root key", words=("rekey", "k"))
        self.refuse(ROOT, "another root key", words=("verify", "k"))
        write_secret(self.path(), self.root_key)
        self.rewrap("rekey", "k")

    def test_probe(self):
        self.assertIn("for development only", self.json("root", "probe", self.root)["description"])


if __name__ == "__main__":
    unittest.main()
