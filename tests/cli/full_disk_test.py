# Tests what happens when the disk is full or fails: the job stops, says why, loses nothing, and can be run again.
import pathlib
import re
import resource
import unittest

from support import FAILED, CliTest

WRITES = "pwrite64,pwritev,pwritev2,writev"
SYNCS = "fdatasync,fsync,msync"
# LMDB commits by writing one of its two meta pages, through a descriptor of its own (O_DSYNC).
META_WRITE = re.compile(r"pwrite64\((\d+), .*, \d+, (?:\d\d|41\d\d)\) +=")
OPEN_SYNCED = re.compile(r"openat\(.*O_DSYNC.*\) += (\d+)$")


def unsynced_commits(trace):
    """(number of commits, numbers of those whose data was not made durable first) of a strace."""
    synced_fds, commits, unsynced, pending = set(), 0, [], False
    for line in trace.splitlines():
        opened, meta = OPEN_SYNCED.search(line), META_WRITE.search(line)
        if opened:
            synced_fds.add(opened.group(1))
        elif meta:
            commits += 1
            if pending or meta.group(1) not in synced_fds:
                unsynced.append(commits)
        elif re.search(r"\b(pwrite64|pwritev2?|writev)\(", line):
            pending = True
        elif re.search(r"\bfdatasync\(", line):
            pending = False
    return commits, unsynced


class FullDisk(CliTest):
    """A rekey whose writes fail from some moment on."""

    COUNT = 20_000
    REKEY = ("rekey", "k", "--rate", 30_000)  # slow enough for many commits, however fast the machine

    def setUp(self):
        super().setUp()
        self.make_keyset("k", self.COUNT)
        self.before = self.fingerprint()

    def check_nothing_lost(self):
        self.check_verify(self.COUNT)
        self.assertEqual(self.fingerprint(), self.before)
        self.rewrap("rekey", "k")
        self.check_verify(self.COUNT)
        self.assertEqual(self.fingerprint(), self.before)

    def fail_from(self, calls, error, numbers):
        """Each failing run's stderr; `numbers` says from which call on they fail."""
        texts = []
        for number in numbers:
            argv = self.strace([f"-einject={calls}:error={error}:when={number}+"], *self.REKEY)
            texts.append(self.run_argv(argv, expect=FAILED).stderr)
            self.check_nothing_lost()
        return texts

    def test_a_full_disk(self):
        for text in self.fail_from(WRITES, "ENOSPC", (1, 2, 4, 6, 9, 12)):
            self.assertIn("the disk is full; nothing that was committed is lost", text)
            self.assertIn("free some space and run the same command again", text)

    def test_a_full_quota(self):
        for text in self.fail_from(WRITES, "EDQUOT", (5,)):
            self.assertIn("the disk is full", text)

    def test_writes_that_fail(self):
        for text in self.fail_from(WRITES, "EIO", (1, 5, 9)):
            self.assertIn("Input/output error", text)

    def test_syncs_that_fail(self):
        for text in self.fail_from(SYNCS, "EIO", (1, 2, 3)):
            self.assertIn("Input/output error", text)

    def test_a_failed_commit_is_not_tried_again(self):
        """R9: behind the first failed sync there is none more, so that a lying second one cannot pass for success."""
        argv = self.strace([f"-etrace={SYNCS}", f"-einject={SYNCS}:error=EIO:when=2"], *self.REKEY)
        self.run_argv(argv, expect=FAILED)
        lines = [line for line in (self.dir / "strace").read_text().splitlines() if "sync(" in line]
        self.assertIn("INJECTED", lines[-1])
        self.assertEqual(len(lines), 2)
        self.check_nothing_lost()

    def limited(self, words, limit):
        """A full disk without a tracer: no file may grow beyond `limit`."""

        def limit_files():
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        return self.rewrap(*words, expect=FAILED, preexec_fn=limit_files)

    def test_the_limit_on_file_size(self):
        size = (self.store / "data.mdb").stat().st_size
        self.assertIn("the disk is full", self.limited(("rekey", "k"), size).stderr)
        self.check_nothing_lost()

    def test_a_write_of_which_only_a_part_fits(self):
        """LMDB takes that for a failing disk, which is as safe."""
        size = (self.store / "data.mdb").stat().st_size
        self.assertRegex(self.limited(("rekey", "k"), size + 5000).stderr, "the disk is full|Input/output error")
        self.check_nothing_lost()

    def test_an_export_that_does_not_fit(self):
        outcome = self.limited(("export", "k", self.dir / "out"), 100_000)
        self.assertIn("cannot be written", outcome.stderr)
        self.assertEqual(list(self.dir.glob("out*")), [], "no part of a file is left")

    def test_each_commit_is_durable_before_it_counts(self):
        calls = f"{WRITES},{SYNCS},openat"
        self.run_argv(self.strace([f"-etrace={calls}"], *self.REKEY))
        trace = pathlib.Path(self.dir / "strace").read_text()
        commits, unsynced = unsynced_commits(trace)
        self.assertGreaterEqual(commits, 4, trace)
        self.assertEqual(unsynced, [], trace)
        # Negative control: the same trace without its syncs, or with the meta pages written through a plain descriptor.
        without_syncs = "\n".join(line for line in trace.splitlines() if "fdatasync(" not in line)
        self.assertEqual(len(unsynced_commits(without_syncs)[1]), commits)
        self.assertEqual(len(unsynced_commits(trace.replace("O_DSYNC", "O_CLOEXEC"))[1]), commits)


if __name__ == "__main__":
    unittest.main()
