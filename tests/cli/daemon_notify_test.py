# Tests what rewrapd tells the service manager, and what a reload puts in force.
import os
import signal
import socket
import ssl
import time

from soft_client import Who, basic
from soft_daemon import PASSWORD, DaemonTest


class Manager:
    """A service manager's end of sd_notify(3): a datagram socket."""

    def __init__(self, test, watchdog_s):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        test.addCleanup(self.socket.close)
        self.socket.bind(str(test.dir / "notify"))
        self.socket.settimeout(30)
        test.env |= {"NOTIFY_SOCKET": str(test.dir / "notify"), "WATCHDOG_USEC": str(int(watchdog_s * 1e6))}

    def wait_for(self, text):
        """Everything that was said until then, that included; fails by its time-out."""
        said = []
        while not said or text not in said[-1]:
            said.append(self.socket.recv(1000).decode())
        return said


class ServiceManager(DaemonTest):
    """Type=notify-reload, and the watchdog."""

    def test_it_is_told_of_each_step(self):
        manager = Manager(self, 0.6)
        daemon = self.daemon()
        self.assertIn("READY=1", manager.wait_for("READY=1")[-1])
        for _ in range(3):
            manager.wait_for("WATCHDOG=1")
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        daemon.popen.send_signal(signal.SIGHUP)
        reloading = manager.wait_for("RELOADING=1")[-1]
        self.assertGreaterEqual(int(reloading.partition("MONOTONIC_USEC=")[2]), before)
        manager.wait_for("READY=1")
        # A daemon that hangs says nothing: the manager would end it and start it again.
        daemon.popen.send_signal(signal.SIGSTOP)
        self.socket_is_silent(manager, 1.5)
        daemon.popen.send_signal(signal.SIGCONT)
        manager.wait_for("WATCHDOG=1")
        daemon.popen.send_signal(signal.SIGTERM)
        manager.wait_for("STOPPING=1")
        self.assertEqual(daemon.popen.wait(timeout=60), 0)

    def socket_is_silent(self, manager, seconds):
        manager.socket.setblocking(False)
        try:
            while True:
                manager.socket.recv(1000)  # what was said before
        except BlockingIOError:
            pass
        manager.socket.settimeout(seconds)
        with self.assertRaises(TimeoutError):
            manager.socket.recv(1000)
        manager.socket.settimeout(30)

    def test_without_a_watchdog_it_is_not_told_that_it_lives(self):
        manager = Manager(self, 0)
        daemon = self.daemon()
        manager.wait_for("READY=1")
        self.socket_is_silent(manager, 0.5)
        daemon.stop()
        self.assertNotIn("WATCHDOG", "".join(manager.wait_for("STOPPING=1")))


class Reload(DaemonTest):
    """SIGHUP."""

    def reload(self, daemon, count):
        daemon.popen.send_signal(signal.SIGHUP)
        self.wait_until(lambda: len(daemon.logged("reloaded")) == count, "it has reloaded")

    def test_new_limits_count_at_once_also_for_who_is_in(self):
        daemon = self.daemon()
        who = Who(daemon, log_in=basic("admin", PASSWORD))
        asked = ("GET", "/v1/jobs", None)
        self.assertEqual([who.ask(asked)[0] for _ in range(5)], [200] * 5)
        self.write_config("[limits]\nrequests_burst = 2\nrequests_per_second = 0.01\n")
        self.reload(daemon, 1)
        self.assertEqual([who.ask(asked)[0] for _ in range(3)], [200, 200, 429])
        self.write_config("[limits]\nrequests_burst = 200\n")
        self.reload(daemon, 2)
        self.assertEqual(who.ask(asked)[0], 200)

    def test_a_new_certificate_is_shown_to_new_connections(self):
        daemon = self.daemon()
        folder = self.store / "tls"
        before = (folder / "server.crt").read_bytes()
        shown = ssl.get_server_certificate(("127.0.0.1", daemon.port))
        self.assertEqual(shown.encode(), before)
        who = Who(daemon, log_in=basic("admin", PASSWORD))
        self.assertEqual(who.ask(("GET", "/healthz", None))[0], 200)
        other = folder / "other"
        other.mkdir()
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(other / "key")]
        make = ["openssl", "req", "-x509", *key, "-out", str(other / "crt"), "-days", "2", "-subj", "/CN=localhost"]
        self.run_argv(make)
        (folder / "server.crt").write_bytes(b"not a certificate")
        self.reload(daemon, 1)  # a file that is no certificate changes nothing
        daemon.wait_for("the certificate is left as it was")
        self.assertEqual(ssl.get_server_certificate(("127.0.0.1", daemon.port)).encode(), before)
        os.replace(other / "crt", folder / "server.crt")
        os.replace(other / "key", folder / "server.key")
        self.reload(daemon, 2)
        self.assertNotEqual(ssl.get_server_certificate(("127.0.0.1", daemon.port)).encode(), before)
        self.assertEqual(who.ask(("GET", "/healthz", None))[0], 200, "who was in stays in")
