# Not NetApp's SDK, but a stand-in of ours for its module `solidfire`, which Debian does not have: it sends the bytes
# that the SDK (12.3, with python3-requests 2.28.1) was recorded to send, and knows what our tests and Ansible call.
import base64
import http.client
import itertools
import json
import re
import socket
import ssl
import types

from solidfire.common import ApiConnectionError, ApiServerError

REQUEST = (
    "POST /json-rpc/{version} HTTP/1.1\r\n"
    "Host: {host}\r\n"
    "User-Agent: python-requests/2.28.1\r\n"
    "Accept-Encoding: gzip, deflate\r\n"
    "Accept: */*\r\n"
    "Connection: keep-alive\r\n"
    "Content-Length: {length}\r\n"
    "Authorization: Basic {token}\r\n"
    "\r\n"
)
ids = itertools.count()  # of the process, as the SDK has it


def token_of(username, password):
    return base64.b64encode(f"{username}:{password}".encode()).decode()


def exchange(host, port, *parts):
    """(status, body) of one request on a connection of its own. Certificates are not checked: the SDK's default."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(socket.create_connection((host, port), timeout=60)) as connection:
        for part in parts:
            connection.sendall(part)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer.status, answer.read().decode()


def camel(name):
    """key_provider_id: keyProviderID"""
    first, *rest = name.split("_")
    return first + "".join({"id": "ID", "api": "API"}.get(word, word.capitalize()) for word in rest)


def snake(name):
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def as_objects(value):
    if isinstance(value, list):
        return [as_objects(inner) for inner in value]
    if isinstance(value, dict):
        return types.SimpleNamespace(**{snake(name): as_objects(inner) for name, inner in value.items()})
    return value


class Element:
    """Has every method of the API, in the SDK's spelling: get_key_provider_kmip(key_provider_id=1)."""

    def __init__(self, target, username, password, version):
        host, _, port = target.partition(":")
        self._address = (host, int(port or 443))
        self._request = {"host": target, "token": token_of(username, password), "version": version}

    def __getattr__(self, name):
        method = camel(name)
        method = method[0].upper() + method[1:]

        def call(**params):
            given = {camel(key): value for key, value in params.items() if value is not None}
            result = self.invoke_sfapi(method, given)
            return result if method == "GetAsyncResult" else as_objects(result)

        return call

    def invoke_sfapi(self, method, parameters):
        body = json.dumps({"method": method, "id": next(ids), "params": parameters})
        head = REQUEST.format(length=len(body), **self._request)
        _, answer = exchange(*self._address, head.encode(), body.encode())
        if "401 Unauthorized." in answer:
            raise ApiConnectionError("Bad Credentials")
        answer = json.loads(answer)
        if "error" in answer:
            raise ApiServerError(method, answer)
        return answer["result"]
