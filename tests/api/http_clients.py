#!/usr/bin/python3
# The HTTP server as python3-requests and http.client see it. Run by http_clients_test.cc.
"""Usage: http_clients.py behave PLAIN-PORT TLS-PORT CA-FILE   ends with 0 if all is as it should be
       http_clients.py secret TLS-PORT                    sends secrets made here, prints each as
                                                          masked hex, a line each, when answered"""

import http.client
import secrets
import ssl
import sys

MASK = 0x5A


def expect(what, got, wanted):
    if got != wanted:
        sys.exit(f"{what}: got {got!r}, wanted {wanted!r}")


def behave(plain_port, tls_port, ca_file):
    import requests  # not needed, and slow to load, for the other command

    plain = f"http://127.0.0.1:{plain_port}"
    tls = f"https://localhost:{tls_port}"
    for base in (plain, tls):
        with requests.Session() as session:
            session.verify = ca_file
            session.trust_env = False
            answer = session.get(base + "/a b/ä?x=1", params={"fields": "*", "s": "a b&c"})
            expect("get", answer.content.decode(), "GET /a b/ä|x=1;fields=*;s=a b&c;|")
            expect("status", answer.status_code, 200)
            answer = session.post(base + "/p", json={"key": "value"})
            expect("post", answer.text, 'POST /p||{"key": "value"}')
            answer = session.post(base + "/p", data=iter([b"chunk one,", b"chunk two"]))
            expect("chunked", answer.text, "POST /p||chunk one,chunk two")
            answer = session.post(base + "/p")  # Content-Length: 0
            expect("empty", answer.text, "POST /p||")
            answer = session.head(base + "/h")
            expect("head", (answer.text, answer.headers["Content-Length"]), ("", "9"))
            for method in ("PUT", "PATCH", "DELETE", "OPTIONS"):
                expect(method, session.request(method, base + "/m").text, f"{method} /m||")
            answer = session.get(base + "/x", headers={"X": "y" * 20_000})
            expect("too long", answer.status_code, 431)
            answer = session.post(base + "/x", data=b"x" * 1_500_000)
            expect("too large", answer.status_code, 413)
            expect("after an error", session.get(base + "/x").status_code, 200)
    try:
        requests.get(tls, timeout=5)
    except requests.exceptions.SSLError:
        return
    sys.exit("control: a certificate nobody knows was accepted")


def secret(tls_port):
    made = [secrets.token_hex(16) for _ in range(4)]
    # What is freed loses its first bytes to the allocator: the secrets lie further in.
    filler = "f" * 100
    connection = http.client.HTTPSConnection("127.0.0.1", tls_port, context=ssl._create_unverified_context())
    target = f"/x?password={filler}{made[0]}"
    headers = {"Authorization": f"Basic {filler}{made[1]}"}
    connection.request("POST", target, body=filler + made[2] + "x" * 500, headers=headers)
    connection.getresponse().read()
    # A chunked one, which grows as it comes, on the same connection. Nothing longer comes after it.
    last = "z" * 9_000 + filler + made[3]
    connection.request("POST", "/x", body=iter([b"y" * 20, last.encode()]))
    connection.getresponse().read()
    connection.close()
    for each in made:
        print(bytes(byte ^ MASK for byte in each.encode()).hex())


def main(arguments):
    if len(arguments) == 4 and arguments[0] == "behave":
        return behave(int(arguments[1]), int(arguments[2]), arguments[3])
    if len(arguments) == 2 and arguments[0] == "secret":
        return secret(int(arguments[1]))
    print(__doc__)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
