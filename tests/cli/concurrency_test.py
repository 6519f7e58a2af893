# Tests what may go on during a rekey and what may not, and that a rekey can be interrupted.
import signal
import unittest

from support import DONE, FAILED, MANY, REFUSED, CliTest, random_deks, wrap_all


class DuringRekey(CliTest):
    """A rekey slowed down by --rate, met in the middle."""

    def setUp(self):
        super().setUp()
        self.make_keyset("k", MANY)
        self.before = self.fingerprint()

    def check_done(self, running):
        report = running.finish().json
        expected = {"state": "done", "to_version": 2, "rewrapped": MANY}
        self.assertEqual({name: report[name] for name in expected}, expected)
        self.check_end()

    def check_end(self, extra=0):
        self.assertEqual(self.census(), {1: 0, 2: MANY + extra})
        self.check_verify(MANY + extra)

    def stop_and_finish(self, running):
        """Ends a rekey that was slow enough for anything to meet it, and lets another run do the rest."""
        self.assertTrue(running.is_running(), "the rekey was not met in the middle")
        running.signal(signal.SIGTERM)
        running.finish(expect=FAILED)
        self.rewrap("rekey", "k")

    def test_a_second_rekey_is_refused_and_the_first_goes_on(self):
        running = self.start_slow_rekey()
        for _ in range(3):
            self.refuse(FAILED, "another rekey", "wait for it to end", words=("rekey", "k"))
        self.assertTrue(running.is_running())
        self.check_done(running)
        self.assertEqual(self.fingerprint(), self.before)

    def test_decommission_is_refused(self):
        running = self.start_slow_rekey()
        self.refuse(REFUSED, "a rekey of this keyset is not finished", words=("decommission", "k", 1))
        self.refuse(REFUSED, "the current KEK version", words=("decommission", "k", 2))
        self.check_done(running)
        self.assertEqual(self.fingerprint(), self.before)

    def test_reads_go_on(self):
        lines = self.export_lines("k")
        ids = [line["id"] for line in (lines[0], lines[MANY // 2], lines[-1])]
        running = self.start_slow_rekey(seconds=100)
        # Two workers: the first segment that is moved need not be the first of the keyset.
        self.wait_until(lambda: self.json("dek", "get", "k", ids[0])["kek_version"] == 2, "the first DEK is moved")
        versions = set()
        for dek_id in ids:
            got = self.json("dek", "get", "k", dek_id)
            self.assertTrue(got["authenticated"])
            versions.add(got["kek_version"])
        self.assertEqual(self.fingerprint(), self.before, "an export in the middle")
        report = self.json("verify", "k")
        self.assertEqual((report["ok"], report["certified"]), (MANY, False))
        (status,) = self.json("status", "k")["keysets"]
        self.assertEqual((status["state"], status["kek_version"], status["deks"]), ("rekeying", 2, MANY))
        self.assertEqual(versions, {1, 2})
        self.assertEqual(self.json("rekey", "k", "--dry-run")["resumed"], True)
        self.stop_and_finish(running)
        self.check_end()

    def test_inserts_go_on_under_the_new_version(self):
        kek, uri = self.make_kek()
        deks = random_deks(self.rng, 3000, (32, 64))
        path = self.write_lines("in.jsonl", wrap_all(deks, kek))
        running = self.start_slow_rekey(seconds=100)
        made = self.json("dek", "generate", "k", "--count", 3000)["ids"]
        self.rewrap("import", "k", path, "--from-kek", uri)
        for dek_id in (made[0], made[-1], *list(deks)[:2]):
            self.assertEqual(self.json("dek", "get", "k", dek_id)["kek_version"], 2)
        self.stop_and_finish(running)
        self.check_end(extra=6000)
        opened = self.opened("k")
        self.assertEqual({dek_id: opened[dek_id] for dek_id in deks}, deks)
        self.assertLess(set(made), set(opened))

    def interrupt(self, number):
        """Segments that were computed already are still committed, so of a small keyset nothing may be left to do."""
        running = self.start_slow_rekey()
        running.signal(number)
        outcome = running.finish(expect=FAILED)
        self.assertEqual(outcome.json["state"], "stopped")
        self.assertIn("nothing is lost", outcome.stderr)
        self.assertIn("rewrap rekey k goes on", outcome.stderr)
        self.check_verify(MANY)
        self.assertEqual(self.fingerprint(), self.before)
        self.assertIn("a rekey is running, or was stopped", self.rewrap("status", "k").stdout)
        self.refuse(REFUSED, "run rewrap rekey again", words=("decommission", "k", 1))
        report = self.json("rekey", "k")
        self.assertEqual((report["resumed"], report["rewrapped"] < MANY), (True, True))
        self.assertEqual(self.census(), {1: 0, 2: MANY})
        self.assertEqual(self.fingerprint(), self.before)

    def test_sigterm_stops_between_two_commits(self):
        self.interrupt(signal.SIGTERM)

    def test_sigint_stops_between_two_commits(self):
        self.interrupt(signal.SIGINT)

    def test_a_large_keyset_is_left_in_the_middle(self):
        total = 700_000
        self.rewrap("--quiet", "dek", "generate", "k", "--count", total - MANY)
        running = self.start_slow_rekey(seconds=7, count=total)
        running.signal(signal.SIGTERM)
        report = running.finish(expect=FAILED).json
        self.assertEqual(self.census(), {1: total - report["rewrapped"], 2: report["rewrapped"]})
        self.assertTrue(self.is_mixed())
        self.check_verify(total)
        self.assertEqual(self.json("rekey", "k")["rewrapped"], total - report["rewrapped"])
        self.check_verify(total)

    def test_the_rate_is_kept(self):
        report = self.json("rekey", "k", "--rate", MANY)
        self.assertGreater(report["seconds"], 0.9)
        self.assertLess(report["deks_per_second"], 1.2 * MANY)


class SideBySide(CliTest):
    """Several programs on one store at once, none of them slowed down."""

    def finish_all(self, *lines, expect=DONE):
        runs = [self.start(*words) for words in lines]
        return [running.finish(expect) for running in runs]

    def test_two_keysets_are_rekeyed_at_once(self):
        for name in ("a", "b"):
            self.make_keyset(name, 30_000)
        before = [self.fingerprint(name) for name in ("a", "b")]
        for _ in range(3):
            self.finish_all(("rekey", "a"), ("rekey", "b"))
        for name in ("a", "b"):
            self.check_verify(30_000, name)
        self.assertEqual([self.fingerprint(name) for name in ("a", "b")], before)

    def test_generating_at_once_counts_all(self):
        self.make_keyset("k")
        runs = self.finish_all(*[("--json", "dek", "generate", "k", "--count", 1000)] * 8)
        ids = {dek_id for run in runs for dek_id in run.json["ids"]}
        self.assertEqual(len(ids), 8000)
        self.check_verify(8000)
        self.assertEqual(set(self.opened("k")), ids)

    def test_only_one_keyset_of_a_name_is_made(self):
        self.make_keyset("first")
        runs = self.finish_all(*[("keyset", "create", "k", "--root", self.root)] * 6, expect=(DONE, FAILED))
        self.assertEqual(sorted(run.code for run in runs), [DONE] + [FAILED] * 5)
        self.check_verify(0)

    def test_a_store_is_made_once(self):
        runs = self.finish_all(*[("keyset", "create", f"k{i}", "--root", self.root) for i in range(6)])
        self.assertEqual(len(runs), 6)
        self.assertEqual(len(self.json("keyset", "list")["keysets"]), 6)

    def test_many_rekeys_at_once_end_in_one_version(self):
        self.make_keyset("k", 5000)
        before = self.fingerprint()
        runs = self.finish_all(*[("rekey", "k")] * 6, expect=(DONE, FAILED))
        for run in runs:
            self.assertTrue(run.code == DONE or "another rekey" in run.stderr, str(run))
        self.assertEqual([deks for deks in self.census().values() if deks], [5000])
        self.check_verify(5000)
        self.assertEqual(self.fingerprint(), before)


if __name__ == "__main__":
    unittest.main()
