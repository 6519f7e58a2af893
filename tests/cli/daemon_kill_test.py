# Tests that a rekey survives kills of rewrapd, and that every front end tells the truth about it all the time.
# tests/long/daemon_kill.py does the same with millions of DEKs.
import os
import threading

from job_witness import JobWitness, element_config, start_element_rekey
from soft_daemon import DaemonTest

NO_LIMITS = "[limits]\nrequests_per_second = 1e6\nrequests_burst = 1000000\n"


class KillAndTell(DaemonTest):
    """One rekey, started by Element JSON-RPC, watched by all, killed when it has begun and then at random moments."""

    COUNT = int(os.environ.get("REWRAP_KILL_DEKS", "8000"))
    RATE = int(os.environ.get("REWRAP_KILL_RATE", "3000"))
    KILLS = int(os.environ.get("REWRAP_KILLS", "3"))
    SECONDS = float(os.environ.get("REWRAP_KILL_SECONDS", "0.7"))  # until a kill, at most

    def setUp(self):
        super().setUp()
        self.write_config(f"[jobs]\nrate = {self.RATE}\n{element_config('k', self.root)}{NO_LIMITS}")

    def test_a_rekey_survives_kills_and_nobody_lies(self):
        self.make_keyset("k", self.COUNT)
        before = self.kept_deks()
        daemon = self.daemon()
        witness = JobWitness(self, *start_element_rekey(self, daemon, "k"), "k", self.COUNT)
        resumed = []
        for kill in range(self.KILLS):
            if self.watch_until_kill(witness, daemon, at_random=kill > 0):
                break
            stored = witness.check_killed(self.json("jobs", "show", witness.job), self.census())
            resumed.append(stored)
            daemon = self.daemon()
        else:
            witness.watch(daemon)
        self.assertTrue(witness.succeeded)
        self.assertTrue(witness.look(daemon))
        daemon.kill()  # the success that was told is durable
        witness.check_killed(self.json("jobs", "show", witness.job), self.census())
        daemon = self.daemon()
        self.assertTrue(witness.look(daemon))
        daemon.stop()
        self.assertTrue([stored for stored in resumed if 0 < stored < self.COUNT], "no kill met it in the middle")
        self.tell(witness, resumed)
        self.check_verify(self.COUNT)
        self.assertEqual(self.kept_deks(), before)
        self.rewrap("audit", "verify", self.store / "audit.log")

    def watch_until_kill(self, witness, daemon, at_random):
        timer = threading.Timer(self.rng.uniform(0.2, self.SECONDS), daemon.popen.kill)
        if at_random:
            timer.start()
        try:
            return witness.watch(daemon, until=None if at_random else lambda: witness.most_done > 0)
        finally:
            timer.cancel()
            if at_random:
                timer.join()
            if not witness.succeeded:
                daemon.kill()

    def kept_deks(self):
        """What has to be the same afterwards."""
        return self.fingerprint()

    def tell(self, witness, resumed):
        """For the long version."""
