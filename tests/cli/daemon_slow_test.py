# Tests that clients which begin and do not go on keep nobody else from being answered by a running rewrapd.
import os
import resource
import socket
import ssl

from soft_client import ASKED, Who, basic
from soft_daemon import PASSWORD, DaemonTest


class SlowClients(DaemonTest):
    """REWRAP_SLOW_CLIENTS of them, a third of each kind."""

    COUNT = int(os.environ.get("REWRAP_SLOW_CLIENTS", "1002"))

    def setUp(self):
        super().setUp()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4 * self.COUNT + 1024)), hard))
        self.write_config("[limits]\nrequests_per_second = 10000\n")
        self.make_keyset("k", 1)
        self.daemon_ = self.daemon()
        self.slow = []

    def connect(self):
        client = socket.create_connection(("127.0.0.1", self.daemon_.port), timeout=60)
        self.addCleanup(client.close)
        return client

    def stopped_handshake(self):
        client = self.connect()
        client.sendall(b"\x16\x03\x01\x02\x00\x01")  # of a ClientHello of 512 bytes
        return client

    def begun(self, request):
        context = ssl.create_default_context(cafile=str(self.store / "tls" / "server.crt"))
        client = context.wrap_socket(self.connect(), server_hostname="localhost")
        self.addCleanup(client.close)
        client.sendall(request)
        return client

    def test_a_thousand_slow_clients_stop_nobody(self):
        header = b"GET /api/cluster HTTP/1.1\r\nHost: h\r\nX-Slow: "
        log_in = basic("admin", PASSWORD).encode()
        body = b"POST /v1/keysets HTTP/1.1\r\nHost: h\r\nContent-Length: 9000\r\nAuthorization: " + log_in + b"\r\n\r\n{"
        for _ in range(self.COUNT // 3):
            self.slow += [self.stopped_handshake(), self.begun(header), self.begun(body)]
        for _ in range(3):
            for client in self.slow:
                client.sendall(b"x")  # each goes on, a byte at a time
            for asked in ASKED.values():
                self.assertEqual(Who(self.daemon_, log_in=basic("admin", PASSWORD)).ask(asked)[0], 200)
        # Control: all of them are there.
        metrics = self.daemon_.ask("GET", "/metrics").text
        values = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if not line.startswith("#"))
        self.assertGreaterEqual(int(values["rewrap_http_connections"]), len(self.slow))
        self.daemon_.stop()  # nor do they hold up its end
