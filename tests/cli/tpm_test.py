# Tests of keysets whose KEKs are sealed in a TPM, of its counter, which makes yesterday's store useless, and of the
# exchange of sealed KEKs with tpm2-tools.
import itertools
import os
import shutil
import stat
import signal
import subprocess
import unittest

from cryptography.hazmat.primitives import keywrap
from soft_tpm import SoftTpm
from support import DONE, FAILED, MANY, ROOT, USAGE, CliTest, unwrap_line, write_secret

KILLED = -signal.SIGKILL
COUNTER = "counter=0x01800100"


class TpmTest(CliTest):
    """A TPM of its own."""

    COUNT = 300

    def setUp(self):
        super().setUp()
        self.tpm = SoftTpm(self, self.dir)
        self.pin = write_secret(self.dir / "tpm.pin", b"a long enough pin")

    def tool(self, *words):
        env = self.environment(TPM2TOOLS_TCTI=f"swtpm:path={self.tpm.socket}")
        done = subprocess.run(["tpm2", *words], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)


class Tpm(TpmTest):
    """A keyset under a TPM."""

    def snapshot(self, name):
        shutil.copytree(self.store, self.dir / name)

    def put_back(self, name):
        shutil.rmtree(self.store)
        shutil.copytree(self.dir / name, self.store)

    def test_the_main_job(self):
        for number, words in enumerate(([], [f"pin-source=file:{self.pin}"], ["pcrs=sha256:7"])):
            name = f"k{number}"
            self.make_keyset(name, self.COUNT, self.tpm.uri(*words))
            before = self.fingerprint(name)
            self.rewrap("rekey", name)
            self.check_verify(self.COUNT, name)
            self.assertEqual(self.fingerprint(name), before)
            self.rewrap("decommission", name, 1)

    def test_a_recovery_protector_opens_after_a_planned_change_of_a_pcr(self):
        sealed = self.tpm.uri("pcrs=sha256:7")
        self.make_keyset("k", self.COUNT, sealed)
        self.make_keyset("without-recovery", 1, sealed)
        self.rewrap("reprotect", "k", "--root", self.root, "--add")
        self.tool("pcrextend", "7:sha256=" + 64 * "1")
        self.refuse(ROOT, "sha256:7", words=("verify", "without-recovery"))
        self.check_verify(self.COUNT)
        self.rewrap("reprotect", "k", "--root", sealed)
        (self.dir / "root.key").unlink()
        self.check_verify(self.COUNT)

    def test_another_tpm_says_so(self):
        self.make_keyset("k", self.COUNT, self.tpm.uri())
        socket = self.tpm.socket
        self.tpm.stop()
        self.refuse(ROOT, str(socket), words=("verify", "k"))
        socket.unlink()
        self.dir.joinpath("tpm.sock.ctrl").unlink()
        other = SoftTpm(self, self.dir, "other")
        other.socket.rename(socket)
        self.dir.joinpath("other.sock.ctrl").rename(str(socket) + ".ctrl")
        self.refuse(ROOT, "another TPM", words=("verify", "k"))

    def test_a_locked_tpm_says_so_and_takes_the_right_pin_again_when_it_is_unlocked(self):
        root = self.tpm.uri(f"pin-source=file:{self.pin}")
        self.make_keyset("k", self.COUNT, root)
        right = self.pin.read_bytes()
        write_secret(self.pin, b"a wrong pin")
        self.refuse(ROOT, "refused the PIN", words=("verify", "k"))
        while True:
            outcome = self.rewrap("--allow-final-pin-try", "verify", "k", expect=ROOT)
            if "the TPM is locked" in outcome.stderr:
                break
        write_secret(self.pin, right)
        self.refuse(ROOT, "the TPM is locked", "tpm2_dictionarylockout", words=("verify", "k"))
        self.tool("dictionarylockout", "-c")
        self.check_verify(self.COUNT)

    def test_leftovers_are_flushed_on_request(self):
        context = self.dir / "primary.ctx"
        self.tool("createprimary", "-c", context)
        self.tool("startauthsession", "-S", self.dir / "session.ctx")
        self.assertGreater(self.json("root", "flush", self.tpm.uri())["flushed"], 0)
        self.assertEqual(self.json("root", "flush", self.tpm.uri())["flushed"], 0)
        self.refuse(ROOT, "clean by itself", words=("root", "flush", self.root))

    def test_a_store_from_before_a_rekey_is_dead(self):
        self.make_keyset("k", self.COUNT, self.tpm.uri(COUNTER))
        before = self.fingerprint()
        self.snapshot("yesterday")
        self.rewrap("rekey", "k")
        # Directly: any other command in between would raise the counter if the rekey had not.
        self.snapshot("today")
        self.put_back("yesterday")
        for words in (("verify", "k"), ("rekey", "k"), ("export", "k", self.dir / "out.jsonl")):
            self.refuse(ROOT, "older than the TPM's counter", "restored from a backup", words=words)
        self.put_back("today")
        self.check_verify(self.COUNT)
        self.assertEqual(self.fingerprint(), before)
        self.rewrap("decommission", "k", 1)

    def test_a_recovery_protector_opens_an_old_store_only_if_it_is_told_to(self):
        counted = self.tpm.uri(COUNTER)
        self.make_keyset("k", self.COUNT, counted)
        self.rewrap("reprotect", "k", "--root", self.root, "--add")
        for first in (self.root, counted):  # that of the two made last is the first in the record
            self.rewrap("reprotect", "k", "--root", first, "--add")
            self.snapshot("yesterday")
            self.rewrap("rekey", "k")
            self.snapshot("today")
            self.put_back("yesterday")
            for words in (("verify", "k"), ("rekey", "k"), ("export", "k", self.dir / "out.jsonl")):
                self.refuse(ROOT, "older than the TPM's counter", "--recover", words=words)
            outcome = self.rewrap("--json", "verify", "k", "--recover")
            self.assertEqual(outcome.json["ok"], self.COUNT)
            self.assertEqual({broken["root"] for broken in outcome.json["broken_protectors"]}, {counted})
            self.assertIn("warning: KEK version", outcome.stderr)
            self.put_back("today")
            shutil.rmtree(self.dir / "yesterday")
            shutil.rmtree(self.dir / "today")
        self.rewrap("reprotect", "k", "--root", counted, "--recover", "--add")
        self.assertEqual(self.check_verify(self.COUNT)["broken_protectors"], [])

    def test_recovery_makes_the_old_store_the_one_that_counts(self):
        counted = self.tpm.uri(COUNTER)
        self.make_keyset("k", self.COUNT, counted)
        self.rewrap("reprotect", "k", "--root", self.root, "--add")
        self.snapshot("yesterday")
        self.rewrap("rekey", "k")
        self.put_back("yesterday")
        self.refuse(ROOT, "--recover", words=("reprotect", "k", "--root", counted, "--add"))
        self.rewrap("reprotect", "k", "--root", counted, "--add", "--recover")
        self.assertEqual(self.check_verify(self.COUNT)["broken_protectors"], [])

    def test_a_wrong_pin_is_tried_once_for_all_kek_versions(self):
        self.make_keyset("k", self.COUNT, self.tpm.uri(f"pin-source=file:{self.pin}"))
        self.rewrap("reprotect", "k", "--root", self.root, "--add")
        self.rewrap("rekey", "k")
        self.rewrap("rekey", "k")
        write_secret(self.pin, b"a wrong pin")
        broken = self.check_verify(self.COUNT)["broken_protectors"]
        self.assertEqual([(one["version"], "refused the PIN" in one["error"]) for one in broken], [(v, True) for v in (1, 2, 3)])
        left = next(one for one in self.json("root", "probe", self.tpm.uri())["capabilities"] if one["name"] == "PIN tries left")
        self.assertTrue(left["detail"].startswith("2 of 3;"), left)

    def test_without_the_counter_it_is_not(self):
        """The control: the counter makes the difference."""
        self.make_keyset("k", self.COUNT, self.tpm.uri())
        self.snapshot("yesterday")
        self.rewrap("rekey", "k")
        self.put_back("yesterday")
        self.check_verify(self.COUNT)

    def test_an_interrupted_rekey_goes_on_under_the_counter(self):
        self.make_keyset("k", MANY, self.tpm.uri(COUNTER))
        before = self.fingerprint()
        running = self.start_slow_rekey("k", 1.0, MANY)
        running.signal(signal.SIGINT)
        running.finish(expect=FAILED)
        self.check_verify(MANY)
        self.rewrap("rekey", "k")
        self.check_verify(MANY)
        self.assertEqual(self.fingerprint(), before)

    def test_a_counter_serves_one_keyset(self):
        self.make_keyset("k", self.COUNT, self.tpm.uri(COUNTER))
        self.refuse(6, "another keyset", words=("keyset", "create", "k2", "--root", self.tpm.uri(COUNTER)))
        self.make_keyset("k3", 10)
        self.refuse(6, "another keyset", words=("rekey", "k3", "--root", self.tpm.uri(COUNTER)))
        self.refuse(6, "another keyset", words=("reprotect", "k3", "--root", self.tpm.uri(COUNTER), "--add"))
        self.rewrap("rekey", "k")
        self.check_verify(self.COUNT)
        self.check_verify(10, "k3")
        store, self.store = self.store, self.dir / "another-store"
        self.make_keyset("k4")
        for words in (("keyset", "create", "k5"), ("rekey", "k4"), ("reprotect", "k4", "--add")):
            self.refuse(6, "another store", "tpm2_nvundefine", words=(*words, "--root", self.tpm.uri(COUNTER)))
        self.store = store
        self.check_verify(self.COUNT)

    def test_another_protector_on_the_same_counter_leaves_the_first_alive(self):
        with_pin = self.tpm.uri(f"pin-source=file:{self.pin}", COUNTER)
        with_pcr = self.tpm.uri("pcrs=sha256:7", COUNTER)
        self.make_keyset("k", self.COUNT, with_pin)
        self.assertEqual(self.json("reprotect", "k", "--root", with_pcr, "--add")["protectors"], 2)
        self.rewrap("rekey", "k")
        self.assertEqual([len(version["key_refs"]) for version in self.json("census", "k")["versions"]], [2, 2])
        self.assertEqual(self.json("reprotect", "k", "--root", with_pcr, "--add")["protectors"], 2)
        self.pin.rename(self.dir / "hidden.pin")
        self.check_verify(self.COUNT)
        words = ("reprotect", "k", "--root", with_pcr, "--add")
        self.refuse(ROOT, "bound to the same counter", "leave --add out", words=words)
        (self.dir / "hidden.pin").rename(self.pin)
        self.tool("pcrextend", "7:sha256=" + 64 * "1")
        self.check_verify(self.COUNT)

    def kill_at_every_write(self, *words):
        """Runs the command killed at its first write or sync of the store, at the second and so on; yields after each."""
        num_kills = 0
        for call in ("pwrite64", "writev", "fdatasync"):
            for number in itertools.count(1):
                rules = ["-P", str(self.store / "data.mdb"), f"-einject={call}:signal=KILL:when={number}"]
                argv = self.strace(rules, *words)
                code = self.run_argv(argv, expect=(DONE, KILLED, 128 + signal.SIGKILL)).code
                yield f"{call} {number}"
                if code == DONE:
                    break
                num_kills += 1
        self.assertGreater(num_kills, 5, "too few writes for a test")

    def test_a_rekey_killed_at_every_write_leaves_the_store_openable(self):
        self.make_keyset("k", self.COUNT, self.tpm.uri(COUNTER))
        before = self.fingerprint()
        for what in self.kill_at_every_write("rekey", "k"):
            self.check_verify(self.COUNT)
            self.assertEqual(self.fingerprint(), before, what)

    def test_a_reprotect_killed_at_every_write_leaves_the_store_openable(self):
        self.make_keyset("k", self.COUNT, self.tpm.uri(COUNTER))
        before = self.fingerprint()
        for what in self.kill_at_every_write("reprotect", "k", "--root", self.tpm.uri(COUNTER)):
            self.check_verify(self.COUNT)
            self.assertEqual(self.fingerprint(), before, what)

    def run_on_a_new_keyset(self, verb, words, number, rules):
        """Runs `verb` under strace on a keyset with a counter of its own; what it leaves behind must open."""
        name, index = f"{verb}{number}", f"{0x01800200 + number:#010x}"
        root = self.tpm.uri(f"counter={index}")
        self.make_keyset(name, 10, root)
        argv = self.strace(["-e", "trace=connect,fdatasync", *rules], verb, name, *words(root))
        code = self.run_argv(argv, expect=(DONE, KILLED, 128 + signal.SIGKILL)).code
        calls = [line.split("(")[0].split()[-1] for line in (self.dir / "strace").read_text().splitlines() if "(" in line]
        self.rewrap("root", "flush", self.tpm.uri())
        self.check_verify(10, name)
        self.tool("nvundefine", index, "-C", "o")
        return code, calls

    def kill_between_commits(self, verb, words):
        """Kills the command on its way to the TPM, after its first commit, before its last, and between: there the counter rises."""
        code, calls = self.run_on_a_new_keyset(verb, words, 0, [])
        self.assertEqual(code, DONE)
        first = calls[: calls.index("fdatasync")].count("connect") + 1
        last = calls[: len(calls) - calls[::-1].index("fdatasync")].count("connect")
        self.assertGreaterEqual(last, first, "the counter rises after the first commit")
        for number in (first, (first + last) // 2, last):
            code, _ = self.run_on_a_new_keyset(verb, words, number, [f"-einject=connect:signal=KILL:when={number}"])
            self.assertNotEqual(code, DONE)

    def test_a_rekey_killed_before_the_counter_rises_leaves_the_store_openable(self):
        self.kill_between_commits("rekey", lambda root: ())

    def test_a_reprotect_killed_before_the_counter_rises_leaves_the_store_openable(self):
        self.kill_between_commits("reprotect", lambda root: ("--root", root))


class SealedKeks(TpmTest):
    """keyset export-sealed-kek, keyset create --sealed-kek: the other side is tpm2-tools."""

    PARENT = "0x81000001"

    def setUp(self):
        super().setUp()
        self.sealed = self.tpm.uri(f"handle={self.PARENT}")
        self.rewrap("root", "create", self.sealed)
        self.kek = os.urandom(32)

    def seal(self, name, *words, kek=None):
        """tpm2_create; gives the name to which .pub and .priv belong."""
        prefix = self.dir / name
        secret = write_secret(self.dir / "kek", kek or self.kek)
        attributes = "fixedtpm|fixedparent" + ("" if "-p" in words else "|noda") + ("" if "-L" in words else "|userwithauth")
        files = ["-u", f"{prefix}.pub", "-r", f"{prefix}.priv"]
        self.tool("create", "-C", self.PARENT, "-i", secret, *files, "-a", attributes, *words)
        self.tool("flushcontext", "-t")
        return prefix

    def unseal(self, prefix, *words):
        """tpm2_load and tpm2_unseal: the secret."""
        context, out = self.dir / "sealed.ctx", self.dir / "unsealed"
        self.tool("load", "-C", self.PARENT, "-u", f"{prefix}.pub", "-r", f"{prefix}.priv", "-c", context)
        self.tool("unseal", "-c", context, "-o", out, *words)
        self.tool("flushcontext", "-t")
        return out.read_bytes()

    def opened_by(self, kek, name="k"):
        """{id: key bytes}, the wraps as they are stored opened by python3-cryptography with this KEK."""
        return {line["id"]: unwrap_line(line, kek) for line in self.export_lines(name)}

    def refuse_kek(self, code, *texts, prefix, words=(), root=None):
        create = ("keyset", "create", "k", "--root", root or self.sealed, "--sealed-kek", prefix, *words)
        self.refuse(code, *texts, words=create)
        self.assertEqual(self.json("keyset", "list", expect=(DONE, FAILED)).get("keysets", []), [])

    def test_tpm2_unseal_opens_what_rewrap_sealed(self):
        self.make_keyset("k", self.COUNT, self.sealed)
        report = self.json("keyset", "export-sealed-kek", "k", self.dir / "one")
        for path in (report["pub"], report["priv"]):
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        first = self.unseal(self.dir / "one")
        self.assertEqual(self.opened_by(first), self.opened("k"))
        self.rewrap("rekey", "k")
        self.rewrap("keyset", "export-sealed-kek", "k", self.dir / "two")
        self.rewrap("keyset", "export-sealed-kek", "k", self.dir / "old", "--kek-version", 1)
        second = self.unseal(self.dir / "two")
        self.assertNotEqual(first, second)
        self.assertEqual(self.unseal(self.dir / "old"), first)
        self.assertEqual(self.opened_by(second), self.opened("k"))

    def test_the_tpm_s_protector_is_found_among_several(self):
        self.make_keyset("k", 1, self.root)
        words = ("keyset", "export-sealed-kek", "k", self.dir / "sealed")
        self.refuse(FAILED, "no TPM seals", "reprotect", words=words)
        self.refuse(FAILED, "no KEK version of that number", words=(*words, "--kek-version", 2))
        self.refuse(USAGE, "--kek-version", words=(*words, "--kek-version", 0))
        self.rewrap("reprotect", "k", "--root", self.tpm.uri(f"handle={self.PARENT}", "pcrs=sha256:7"), "--add")
        other = self.dir / "other.key"
        write_secret(other, os.urandom(32))
        self.rewrap("reprotect", "k", "--root", f"file:{other}", "--add")
        self.rewrap(*words)
        self.assertEqual(self.opened_by(self.unseal(self.dir / "sealed", "-p", "pcr:sha256:7")), self.opened("k"))

    def test_existing_files_are_left_alone(self):
        self.make_keyset("k", 1, self.sealed)
        for taken, other in ((".pub", ".priv"), (".priv", ".pub")):
            path = self.dir / f"out{taken}"
            path.write_bytes(b"mine")
            words = ("keyset", "export-sealed-kek", "k", self.dir / "out")
            self.refuse(FAILED, "exists", "remove it first", words=words)
            self.assertEqual(path.read_bytes(), b"mine")
            self.assertFalse((self.dir / f"out{other}").exists())
            path.unlink()

    def test_rewrap_opens_what_tpm2_create_sealed(self):
        policy = self.dir / "pcr.policy"
        self.tool("createpolicy", "--policy-pcr", "-l", "sha256:7", "-L", policy)
        for name, given, terms in (
            ("plain", (), ()),
            ("pin", ("-p", f"file:{self.pin}"), (f"pin-source=file:{self.pin}",)),
            ("pcrs", ("-L", policy), ("pcrs=sha256:7",)),
        ):
            root = self.tpm.uri(f"handle={self.PARENT}", *terms)
            prefix = self.seal(name, *given)
            self.make_keyset(name, self.COUNT, root, "--sealed-kek", prefix)
            self.assertEqual(len(self.opened_by(self.kek, name)), self.COUNT)
            self.assertEqual(self.opened_by(self.kek, name), self.opened(name))
            self.rewrap("rekey", name)
            with self.assertRaises(keywrap.InvalidUnwrap):  # the control: another KEK now
                self.opened_by(self.kek, name)
            self.check_verify(self.COUNT, name)
            self.rewrap("decommission", name, 1)

    def test_damaged_and_exchanged_files(self):
        good, other = self.seal("good"), self.seal("other", kek=os.urandom(32))
        pub, priv = good.with_suffix(".pub").read_bytes(), good.with_suffix(".priv").read_bytes()
        bad = self.dir / "bad"
        for this_pub, this_priv in (
            (pub[:-1], priv),
            (b"", priv),
            (pub, priv[:-1]),
            (pub, b""),
            (pub + b"x", priv),
            (pub, other.with_suffix(".priv").read_bytes()),
        ):
            bad.with_suffix(".pub").write_bytes(this_pub)
            bad.with_suffix(".priv").write_bytes(this_priv)
            self.refuse_kek(ROOT, "does not load", "which TPM this is", prefix=bad)
        bad.with_suffix(".priv").write_bytes(priv + bytes(4000))
        self.refuse_kek(USAGE, "too long", prefix=bad)
        self.refuse_kek(FAILED, "cannot be opened", "tpm2_create", prefix=self.dir / "absent")
        self.make_keyset("k", 1, self.sealed, "--sealed-kek", good)  # the control

    def test_what_a_sealed_kek_is_not_for(self):
        prefix = self.seal("good")
        self.refuse_kek(USAGE, "same IVs", prefix=prefix, words=("--wrap", "gcm"))
        self.refuse_kek(USAGE, "--custody host", prefix=prefix, words=("--custody", "kek-in-token"))
        self.refuse_kek(USAGE, "counter=", prefix=prefix, root=f"{self.sealed}&{COUNTER}")
        self.refuse_kek(USAGE, "not a tpm2 URI", prefix=prefix, root=self.root)
        self.refuse_kek(USAGE, "32 bytes", prefix=self.seal("short", kek=os.urandom(16)))
        other = SoftTpm(self, self.dir, "other")
        self.refuse_kek(ROOT, "does not load", prefix=prefix, root=other.uri())


if __name__ == "__main__":
    unittest.main()
