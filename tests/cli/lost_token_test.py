# Tests that a token lost under a running rekey costs no DEK: a real one, killed and started again, and one that fails on demand.
import os
import shutil
import signal
import subprocess
import time
import unittest

from custody_test import TokenCustodyTest
from support import DEK_LENS, DONE, ROOT, random_deks

FAULT_MODULE = os.environ.get("REWRAP_FAULT_MODULE", "")
CLIENT_MODULE = os.environ.get("REWRAP_P11_KIT_CLIENT", "")

# What tokens say when they lose a session, a login, a key or themselves, and what happens with it.
FAULTS = (
    "rv=0x30", "rv=0x32", "rv=0xe0", "rv=0xe1", "rv=0x03", "rv=0x05", "rv=0x06", "rv=0x90", "rv=0x190",
    "rv=0xb3\ndrop_sessions=1", "rv=0xb0\ndrop_sessions=1", "rv=0x101\ndrop_login=1", "rv=0x82", "rv=0x60",
    "rv=0x30\nuntil_restart=1", "rv=0x30\nafter=1",
)  # fmt: skip
# The first so many object handles lead to each other's objects, and nothing is said of it.
EXCHANGES = tuple(f"exchange={num}" for num in range(4, 20))


class P11KitServer:
    """A process that serves a SoftHSM token on a socket; killing it is losing the token."""

    def __init__(self, test, token):
        if not shutil.which("p11-kit"):
            raise RuntimeError("p11-kit is not here (tools/setup)")
        self.token = token
        self.socket = test.dir / "p11"
        self.backup = token.backup()
        self.env = dict(os.environ, **token.env)
        self.process = None
        test.addCleanup(self.kill)
        self.start()

    def start(self):
        # A kill can meet SoftHSM while it rewrites its token.
        self.token.restore(self.backup)
        argv = ["p11-kit", "server", "--foreground", "--provider", self.token.MODULE, "--name", str(self.socket)]
        argv.append(f"pkcs11:token={self.token.label}")
        null = subprocess.DEVNULL
        self.process = subprocess.Popen(argv, env=self.env, stdin=null, stdout=null, stderr=null, start_new_session=True)
        while not self.socket.exists():
            time.sleep(0.005)

    def kill(self):
        if self.process is None:
            return
        os.killpg(self.process.pid, signal.SIGKILL)  # with those that serve a connection each
        self.process.wait()
        self.process = None
        self.socket.unlink(missing_ok=True)


class RealToken(TokenCustodyTest):
    """p11-kit's server in front of SoftHSM; it forwards AES-ECB, but not AES key wrap."""

    CUSTODY, OPENED_BY = "kek-in-token", "ecb-kw"
    COUNT = 40_000
    KILLS = 20

    def test_a_rekey_outlives_its_token(self):
        server = P11KitServer(self, self.token)
        self.env["P11_KIT_SERVER_ADDRESS"] = f"unix:path={server.socket}"
        self.create(root=self.token.uri("root", module=CLIENT_MODULE))
        self.rewrap("dek", "generate", "disks", "--count", self.COUNT)
        before = self.fingerprint("disks")
        running = self.start("--token-wait", 60, "rekey", "disks", "--rate", 4000)
        self.wait_until(lambda: self.is_mixed("disks"), "the rekey is in the middle")
        server.backup = self.token.backup()  # with the new KEK, which was made by now
        num_kills = 0
        while num_kills < self.KILLS and running.is_running():
            time.sleep(self.rng.uniform(0, 0.2))
            server.kill()
            num_kills += 1
            time.sleep(self.rng.uniform(0, 0.1))
            server.start()
        outcome = running.finish(DONE)
        self.assertEqual(num_kills, self.KILLS, f"seed {self.seed}: the rekey ended too early")
        self.assertIn("waiting up to 60 s", outcome.stderr)
        self.check_verify(self.COUNT, "disks")
        self.assertEqual(self.fingerprint("disks"), before, f"seed {self.seed}")
        self.assertEqual({version: deks for version, deks in self.census("disks").items() if deks}, {2: self.COUNT})


class FaultTest(TokenCustodyTest):
    """Every kind of loss, at calls drawn at random; the tests of the token's own layer try every call."""

    COUNT = 60
    ROUNDS = 32

    def order(self, fault):
        path = self.dir / "faults"
        path.write_text(fault + "\n", encoding="ascii")
        path.with_suffix(".seen").unlink(missing_ok=True)
        return {"REWRAP_FAULTS": str(path)}

    def seen(self):
        lines = (self.dir / "faults.seen").read_text(encoding="ascii").split()
        return {name: int(number) for name, number in (line.split("=") for line in lines)}

    def make_deks(self):
        root = self.token.uri("root", module=FAULT_MODULE)
        self.create(root=root)
        deks = random_deks(self.rng, self.COUNT, DEK_LENS)
        kek, kek_uri = self.make_kek()
        self.import_deks("disks", deks, kek, kek_uri)
        return deks

    def test_handles_exchanged_at_random_calls(self):
        """A token that fails over to a copy of itself and takes the old handles for other keys."""
        deks = self.make_deks()
        self.rewrap("rekey", "disks", env=self.order("rv=0"))
        num_calls = self.seen()["calls"]
        num_more = 0
        for exchange in EXCHANGES:
            fault = f"{exchange}\nat={self.rng.randrange(num_calls // 4, num_calls + 1)}"
            what = f"seed {self.seed}: {fault!r}"
            self.rewrap("--token-wait", 5, "rekey", "disks", env=self.order(fault), expect=(DONE, ROOT))
            num_more += self.seen()["calls"] > num_calls
            self.rewrap("rekey", "disks")
            self.assertEqual(self.opened_in_token(max(self.census("disks"))), deks, what)
        self.assertEqual(self.json("quarantine", "list", "disks")["quarantined"], [])
        self.assertGreaterEqual(num_more, len(EXCHANGES) // 8, f"seed {self.seed}: too few were found out")

    def test_faults_at_random_calls(self):
        deks = self.make_deks()
        self.rewrap("rekey", "disks", env=self.order("rv=0"))
        num_calls = self.seen()["calls"]
        self.assertGreater(num_calls, 20)
        num_faults = num_done = 0
        for number in range(self.ROUNDS):
            at = self.rng.randrange(1, num_calls + 1)
            fault = f"{FAULTS[number % len(FAULTS)]}\nat={at}"
            what = f"seed {self.seed}: {fault!r}"
            outcome = self.rewrap("--token-wait", 5, "rekey", "disks", env=self.order(fault), expect=(DONE, ROOT))
            num_faults += self.seen()["faults"]
            num_done += outcome.code == DONE
            self.check_verify(self.COUNT, "disks")
            self.rewrap("rekey", "disks")
            self.assertEqual(self.opened_in_token(max(self.census("disks"))), deks, what)
        self.assertEqual(self.json("quarantine", "list", "disks")["quarantined"], [])
        self.assertGreaterEqual(num_faults, self.ROUNDS // 2, f"seed {self.seed}: too few rekeys met their fault")
        self.assertGreaterEqual(num_done, self.ROUNDS // 4, f"seed {self.seed}: too few mended it by themselves")


class FaultsUnderKekInToken(FaultTest):
    CUSTODY, WRAP, OPENED_BY = "kek-in-token", "kw", "ecb-kw"


class FaultsUnderInToken(FaultTest):
    CUSTODY, WRAP, OPENED_BY = "in-token", "kw", "unwrap"


if __name__ == "__main__":
    unittest.main()
