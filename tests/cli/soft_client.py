# A client of rewrapd for tests: one connection that is kept, with a certificate, a password, both or neither.
import base64
import http.client
import json
import ssl

# What everybody with an account may ask.
ASKED = {
    "ontap": ("GET", "/api/cluster/jobs", None),
    "element": ("POST", "/json-rpc/12.3", {"method": "GetClusterInfo", "id": 1}),
    "native": ("GET", "/v1/keysets", None),
    "metrics": ("GET", "/metrics", None),
}


def basic(account, password):
    return "Basic " + base64.b64encode(f"{account}:{password}".encode()).decode()


class Who:
    """A client's connection: with a certificate, with a password, with both or neither."""

    def __init__(self, daemon, certificate=None, log_in=None):
        context = ssl.create_default_context(cafile=str(daemon.test.store / "tls" / "server.crt"))
        if certificate:
            context.load_cert_chain(certificate)
        self.connection = http.client.HTTPSConnection("127.0.0.1", daemon.port, context=context, timeout=60)
        daemon.test.addCleanup(self.connection.close)
        self.headers = {"Authorization": log_in} if log_in else {}

    def ask(self, asked):
        """(status, headers but for those that differ each time, body)"""
        method, path, body = asked
        self.connection.request(method, path, json.dumps(body) if body else None, self.headers)
        answer = self.connection.getresponse()
        headers = [(name, value) for name, value in answer.getheaders() if name not in ("X-Request-Id", "Date")]
        return answer.status, headers, answer.read().decode()
