# Tests that a program killed at any moment loses nothing, and that the next run finishes its work.
import itertools
import signal
import time
import unittest

from support import DEK_LENS, DONE, FAILED, MANY, CliTest, SoftHsm, random_deks, wrap_all

KILLED = -signal.SIGKILL
WRITES = ("pwrite64", "pwritev", "pwritev2", "writev", "fdatasync", "fsync", "msync", "ftruncate")


class KillTest(CliTest):
    """What must hold after every kill."""

    COUNT = MANY

    def check_nothing_lost(self, what):
        """Before anything is resumed: every DEK is there, is the same, and opens under the version that it should."""
        report = self.json("verify", "k")
        self.assertEqual((report["deks"], report["ok"]), (self.COUNT, self.COUNT), f"seed {self.seed}: {what}")
        self.assertEqual(self.fingerprint(), self.before, f"seed {self.seed}: {what}")

    def finish_rekey(self):
        self.rewrap("rekey", "k")
        newest = max(self.census())
        self.assertEqual({version: deks for version, deks in self.census().items() if deks}, {newest: self.COUNT})
        return newest


class KillAtRandomTest(KillTest):
    """kill -9 at a random moment of a rekey that takes half a second."""

    ROUNDS = 30
    SECONDS = 0.5
    WRAP = "kw"

    def make_keyset(self, name="k", count=0, root=None, *words):
        super().make_keyset(name, count, root, "--wrap", self.WRAP, *words)

    def kill_at(self, moment, words):
        running = self.start(*words)
        time.sleep(moment)
        running.signal(signal.SIGKILL)
        return running.finish(expect=(KILLED, DONE))

    def test_a_rekey_killed_at_random(self):
        self.make_keyset("k", self.COUNT)
        self.before = self.fingerprint()
        num_mixed = 0
        for number in range(self.ROUNDS):
            moment = self.rng.uniform(0, 1.1 * self.SECONDS)
            self.kill_at(moment, ("rekey", "k", "--rate", int(self.COUNT / self.SECONDS)))
            num_mixed += self.is_mixed()
            self.check_nothing_lost(f"round {number}, killed after {moment:.4f} s")
            if number % 3:  # else the next round goes on with it, and may be killed as well
                self.finish_rekey()
        newest = self.finish_rekey()
        self.check_nothing_lost("the end")
        self.rewrap("decommission", "k", newest - 1)
        self.assertGreaterEqual(num_mixed, 5, f"seed {self.seed}: too few kills met a rekey in the middle")

    def test_a_rekey_killed_while_the_root_is_in_use(self):
        """SoftHSM rewrites its token at each login, so a kill can destroy the token: then its backup is put back."""
        token = SoftHsm(self.dir)
        self.env = token.env
        self.COUNT = 20_000
        self.rewrap("root", "create", token.uri("root"))
        self.make_keyset("k", self.COUNT, token.uri("root"))
        self.before = self.fingerprint()
        backup = token.backup()
        for number in range(15):
            moment = self.rng.uniform(0, 0.06)
            self.kill_at(moment, ("rekey", "k"))
            token.restore(backup)
            self.check_nothing_lost(f"round {number}, killed after {moment:.4f} s")
        self.finish_rekey()

    def test_generating_killed_at_random(self):
        """DEKs are there from the moment that their batch is committed, or not at all."""
        self.make_keyset("k")
        for _ in range(8):
            running = self.start("dek", "generate", "k", "--count", 300_000)
            time.sleep(self.rng.uniform(0, 0.5))
            running.signal(signal.SIGKILL)
            running.finish(expect=(KILLED, DONE))
            self.check_verify(sum(self.census().values()))
        self.rewrap("dek", "generate", "k", "--count", 10)


class KillAtRandom(KillAtRandomTest):
    """A keyset of RFC 3394 wraps."""


class KillAtRandomOfGcm(KillAtRandomTest):
    """A keyset of GCM wraps: besides, no IV comes twice under a KEK version."""

    COUNT = 40_000  # all of them are read after each kill
    WRAP = "gcm"

    def check_nothing_lost(self, what):
        super().check_nothing_lost(what)
        ivs = [line["iv"] for line in self.export_lines("k")]
        self.assertEqual(len(set(ivs)), self.COUNT, f"seed {self.seed}: {what}")


class KillAtEveryWrite(KillTest):
    """kill -9 at the first write or sync of the store's files and folders, at the second, and so on to the last."""

    COUNT = 20_000

    def runs_killed_at(self, words):
        """Yields what each run was killed at, behind it. strace counts the calls of each kind and thread for itself."""
        num_kills = 0
        for call in WRITES:
            for number in itertools.count(1):
                argv = words(f"{call}{number}")
                paths = (self.store / "data.mdb", self.store / "lock.mdb", self.store, self.dir)
                rules = [word for path in paths for word in ("-P", str(path))]
                argv = self.strace([*rules, f"-einject={call}:signal=KILL:when={number}"], *argv)
                code = self.run_argv(argv, expect=(DONE, KILLED, 128 + signal.SIGKILL)).code
                yield f"{call} {number}"
                if code == DONE:
                    break
                num_kills += 1
        self.assertGreater(num_kills, 8, "too few writes for a test")

    def test_a_rekey_killed_at_every_write(self):
        self.make_keyset("k", self.COUNT)
        self.before = self.fingerprint()
        num_mixed = 0
        for what in self.runs_killed_at(lambda _: ("rekey", "k", "--rate", 30_000)):
            num_mixed += self.is_mixed()
            self.check_nothing_lost(f"killed at {what}")
            self.finish_rekey()
        self.assertGreater(num_mixed, 3, "the rekey was met in the middle")

    def test_an_import_killed_at_every_write_is_finished_by_skip_existing(self):
        kek, uri = self.make_kek()
        deks = random_deks(self.rng, 200, DEK_LENS)
        path = self.write_lines("in.jsonl", wrap_all(deks, kek))
        counts = set()

        def words(run):
            self.name = f"k-{run}"
            self.make_keyset(self.name)
            return ("import", self.name, path, "--from-kek", uri)

        for what in self.runs_killed_at(words):
            num_deks = sum(self.census(self.name).values())
            counts.add(num_deks)
            self.check_verify(num_deks, self.name)
            self.rewrap("import", self.name, path, "--from-kek", uri, "--skip-existing")
            self.assertEqual(self.opened(self.name), deks, f"killed at {what}")
        self.assertGreater(len(counts), 3, "the import was met in the middle")

    def test_a_store_killed_while_it_is_made(self):
        def words(run):
            self.store = self.dir / f"store-{run}"
            return ("keyset", "create", "k", "--root", self.root)

        for _ in self.runs_killed_at(words):
            if not self.rewrap("census", "k", expect=(DONE, FAILED, 4)).code == DONE:
                self.rewrap("keyset", "create", "k", "--root", self.root)
            self.rewrap("dek", "generate", "k", "--count", 3)
            self.check_verify(3)


if __name__ == "__main__":
    unittest.main()
