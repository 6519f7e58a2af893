# Tests that KEKs move from root to root, or have several, and that no moment of it leaves a keyset without one that opens.
import os
import unittest

from support import FAILED, MANY, ROOT, USAGE, CliTest, SoftHsm, flip_bit, write_secret


class Reprotect(CliTest):
    """reprotect: the same KEK, another root key."""

    COUNT = 500

    def setUp(self):
        super().setUp()
        self.other = self.file_root("other")
        self.make_keyset("k", self.COUNT)
        self.wraps = self.export_lines("k")

    def file_root(self, name):
        return f"file:{write_secret(self.dir / name, os.urandom(32))}"

    def hide(self, root):
        path = root.removeprefix("file:")
        os.rename(path, path + ".hidden")

    def show(self, root):
        path = root.removeprefix("file:")
        os.rename(path + ".hidden", path)

    def check_opens_without(self, *roots):
        for root in roots:
            self.hide(root)
        self.check_verify(self.COUNT)
        for root in roots:
            self.show(root)

    def check_needs(self, *roots):
        """With all of these gone nothing opens: the control for check_opens_without."""
        for root in roots:
            self.hide(root)
        self.rewrap("verify", "k", expect=ROOT)
        for root in roots:
            self.show(root)

    def test_the_old_root_is_no_longer_needed_and_no_dek_is_touched(self):
        report = self.json("reprotect", "k", "--root", self.other)
        self.assertEqual((report["versions"], report["protectors"]), ([1], 1))
        self.check_opens_without(self.root)
        self.check_needs(self.other)
        self.assertEqual(self.export_lines("k"), self.wraps)

    def test_several_protectors_hold_one_kek(self):
        token = SoftHsm(self.dir)
        self.env |= token.env
        self.rewrap("root", "create", token.uri("root"))
        self.rewrap("reprotect", "k", "--root", token.uri("root"), "--add")
        report = self.json("reprotect", "k", "--root", self.other, "--add")
        self.assertEqual(report["protectors"], 3)
        self.check_opens_without(self.root, self.other)
        token.pin_file.rename(self.dir / "no-pin")
        self.check_opens_without(self.root)
        self.check_opens_without(self.other)
        self.check_needs(self.root, self.other)

    def test_a_rekey_keeps_all_protectors(self):
        self.rewrap("reprotect", "k", "--root", self.other, "--add")
        self.rewrap("rekey", "k")
        self.check_opens_without(self.root)
        self.check_opens_without(self.other)
        self.rewrap("rekey", "k", "--root", self.other)
        self.check_opens_without(self.root)
        self.hide(self.other)
        self.rewrap("rekey", "k", expect=ROOT)

    def test_a_rekey_that_cannot_reach_one_of_the_roots_changes_nothing(self):
        self.rewrap("reprotect", "k", "--root", self.other, "--add")
        self.hide(self.root)
        self.rewrap("rekey", "k", expect=ROOT)
        self.assertEqual(self.census(), {1: self.COUNT})
        self.assertEqual(self.export_lines("k"), self.wraps)

    def test_every_version_in_use_moves(self):
        self.rewrap("dek", "generate", "k", "--count", MANY - self.COUNT)
        self.COUNT = MANY
        running = self.start_slow_rekey("k", 1.0, MANY)
        running.signal(2)
        running.finish(expect=FAILED)
        self.assertTrue(self.is_mixed())
        self.assertEqual(self.json("reprotect", "k", "--root", self.other)["versions"], [1, 2])
        self.hide(self.root)
        self.check_verify(self.COUNT)
        self.rewrap("rekey", "k")
        self.check_verify(self.COUNT)

    def test_the_same_root_again_does_not_pile_up(self):
        for _ in range(12):
            self.assertEqual(self.json("reprotect", "k", "--root", self.root, "--add")["protectors"], 1)

    def test_what_is_dropped_is_told(self):
        self.rewrap("reprotect", "k", "--root", self.other, "--add")
        report = self.json("rekey", "k", "--root", self.other)
        self.assertEqual(report["dropped_roots"], [self.root])
        self.assertIn(f"no longer guarded by {self.root}", self.rewrap("reprotect", "k", "--root", self.other).stdout)
        self.assertEqual(self.json("reprotect", "k", "--root", self.root)["dropped_roots"], [self.other])
        self.assertEqual(self.json("rekey", "k")["dropped_roots"], [])

    def test_a_protector_that_does_not_open_is_told_although_another_does(self):
        self.rewrap("reprotect", "k", "--root", self.other, "--add")
        self.rewrap("rekey", "k")
        self.assertEqual(self.check_verify(self.COUNT)["broken_protectors"], [])
        for root in (self.root, self.other):
            self.hide(root)
            outcome = self.rewrap("--json", "verify", "k")
            broken = [(one["version"], one["root"]) for one in outcome.json["broken_protectors"]]
            self.assertEqual(sorted(broken), [(1, root), (2, root)])
            self.assertIn(f"warning: KEK version 1: its protector under {root} does not open", outcome.stderr)
            self.show(root)

    def test_there_is_a_limit(self):
        for i in range(7):
            self.rewrap("reprotect", "k", "--root", self.file_root(f"root{i}"), "--add")
        self.refuse(FAILED, "8", "without --add", words=("reprotect", "k", "--root", self.file_root("one-more"), "--add"))
        self.check_verify(self.COUNT)

    def test_a_bad_new_root_changes_nothing(self):
        for code, root in ((ROOT, f"file:{self.dir}/absent"), (ROOT, "file:relative"), (ROOT, "http://x")):
            self.rewrap("reprotect", "k", "--root", root, expect=(code, FAILED, USAGE))
        self.rewrap("reprotect", "absent", "--root", self.other, expect=FAILED)
        self.rewrap("reprotect", "k", expect=USAGE)
        self.check_needs(self.root)
        self.check_verify(self.COUNT)

    def test_a_root_key_that_was_exchanged_is_refused(self):
        path = self.dir / "root.key"
        write_secret(path, flip_bit(self.root_key, 7))
        self.rewrap("reprotect", "k", "--root", self.other, expect=ROOT)
        write_secret(path, self.root_key)
        self.check_verify(self.COUNT)


if __name__ == "__main__":
    unittest.main()
