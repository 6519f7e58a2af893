# Tests the Element front end of a running rewrapd with what clients send: recorded bytes, NetApp's Python SDK or its
# stand-in, and Ansible.
"""REWRAP_SOLIDFIRE_SDK names a folder with NetApp's module `solidfire`, to be used instead of the stand-in."""

import json
import os
import pathlib
import socket
import subprocess
import sys

from element_support import INFO, REKEY, ElementTest, misfit, result_shape
from soft_daemon import PASSWORD
from support import write_secret

HERE = pathlib.Path(__file__).resolve().parent
STAND_IN = HERE / "solidfire_stand_in"
SDK = os.environ.get("REWRAP_SOLIDFIRE_SDK") or str(STAND_IN)
PLAYBOOK = "ansible-playbook"

sys.path.insert(0, str(STAND_IN))
from solidfire import REQUEST, exchange, token_of  # noqa: E402

# Heads of requests. Recorded: PYTHON (SDK, solidfire-cli and Cinder use the same library in the same way) and the
# bodies of JAVA. The rest is as the clients' sources have it: those clients were not run.
PYTHON = REQUEST
JAVA = (
    "POST /json-rpc/{version} HTTP/1.1\r\nAuthorization: Basic {token}\r\nUser-Agent: Java/17.0.9\r\nHost: {host}\r\n"
    "Accept: text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2\r\nConnection: keep-alive\r\n"
    "Content-type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n"
)
GO = (
    "POST /json-rpc/{version} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Go-http-client/1.1\r\n"
    "Content-Length: {length}\r\nAuthorization: Basic {token}\r\nContent: Application/json\r\n"
    "Accept-Encoding: gzip\r\n\r\n"
)
POWERSHELL = (
    "POST /json-rpc/{version} HTTP/1.1\r\nAuthorization: Basic {token}\r\n"
    "Content-Type: application/json; charset=utf-8\r\nHost: {host}\r\n"
    "Content-Length: {length}\r\nExpect: 100-continue\r\nConnection: Keep-Alive\r\n\r\n"
)


class Exchange(ElementTest):
    """Requests byte for byte."""

    def setUp(self):
        super().setUp()
        self.make_keyset(self.KEYSET, 100)
        self.running = self.daemon()

    def send(self, head, version, body, password=PASSWORD):
        """(status, body) of the answer."""
        host = f"127.0.0.1:{self.running.port}"
        head = head.format(host=host, token=token_of("admin", password), version=version, length=len(body))
        return exchange("127.0.0.1", self.running.port, head.encode(), body.encode())

    def expect(self, answer, head, version, body):
        self.assertEqual(self.send(head, version, body), (200, answer), body)

    def finish(self):
        (handle,) = [one["asyncResultID"] for one in self.call(self.running, "ListAsyncResults")["asyncHandles"]]
        return self.wait(self.running, handle)[0], self.poll(self.running, handle, keep=False)

    def test_the_python_sdk(self):
        provider = self.call(self.running, "CreateKeyProviderKmip", {"keyProviderName": "without a server"})
        self.assertEqual(provider["kmipKeyProvider"]["keyProviderID"], 1)
        status, api = self.send(PYTHON, "7.0", '{"method": "GetAPI", "id": 0, "params": {}}')
        self.assertEqual((status, json.loads(api)["id"]), (200, 0))
        _, info = self.send(PYTHON, "12.3", f'{{"method": "{INFO}", "id": 1, "params": {{}}}}')
        self.assertEqual(json.loads(info)["result"]["state"], "enabled")
        self.expect(
            '{"id":2,"error":{"code":500,"name":"xInvalidParameter","message":"keyProviderID is for keyManagementType'
            ' External only."}}',
            PYTHON,
            "12.3",
            f'{{"method": "{REKEY}", "id": 2, "params": {{"keyManagementType": "internal", "keyProviderID": 1}}}}',
        )
        self.expect(
            '{"id":2,"result":{"asyncHandle":1}}',
            PYTHON,
            "12.3",
            f'{{"method": "{REKEY}", "id": 2, "params": {{"keyManagementType": "external", "keyProviderID": 1}}}}',
        )
        poll = '{"method": "GetAsyncResult", "id": 3, "params": {"asyncHandle": 1, "keepResult": true}}'
        result = {"status": "running"}
        while result["status"] == "running":
            status, answer = self.send(PYTHON, "12.3", poll)
            result = json.loads(answer)["result"]
            self.assertEqual(misfit(result, result_shape(result)), "", result)
        self.assertIn("error", result, "the provider has no server")
        last = '{"method": "GetAsyncResult", "id": 4, "params": {"asyncHandle": 1}}'
        self.assertEqual(json.loads(self.send(PYTHON, "12.3", last)[1])["result"], result)
        self.expect(
            '{"id":4,"error":{"code":500,"name":"xDBNoSuchPath","message":"DBClient operation requested on a'
            ' non-existent path at [/asyncresults/1]"}}',
            PYTHON,
            "12.3",
            last,
        )

    def test_a_wrong_password(self):
        body = '{"method": "GetAPI", "id": 0, "params": {}}'
        self.assertEqual(self.send(PYTHON, "7.0", body)[0], 200)
        status, text = self.send(PYTHON, "7.0", body, password="wrong-password")
        self.assertEqual(status, 401)
        self.assertIn("401 Unauthorized.", text)
        self.assertEqual(self.send(PYTHON, "99.9", "{", password="wrong-password"), (401, text), "before all else")

    def test_java_without_arguments(self):
        self.expect(
            '{"id":3,"result":{"asyncHandle":1}}',
            JAVA,
            "12.3",
            f'{{"id":3,"method":"{REKEY}","json-rpc":"2.0","params":{{"keyProviderID":0}}}}',
        )
        self.assertIn("result", self.finish()[0])
        _, answer = self.send(JAVA, "12.3", '{"id":4,"method":"GetClusterInfo","json-rpc":"2.0"}')
        self.assertEqual(set(json.loads(answer)["result"]), {"clusterInfo"})
        internal = f'{{"id":5,"method":"{REKEY}","json-rpc":"2.0","params":{{"keyManagementType":"Internal"}}}}'
        self.expect('{"id":5,"result":{"asyncHandle":2}}', JAVA, "12.3", internal)

    def test_solidfire_cli_in_lower_case(self):
        body = f'{{"method": "{REKEY.lower()}", "id": 1, "params": {{"keyManagementType": "internal"}}}}'
        self.expect('{"id":1,"result":{"asyncHandle":1}}', PYTHON, "12.3", body)
        self.assertIn("result", self.finish()[0])
        self.expect(
            '{"id":1,"error":{"code":500,"name":"xKeyProviderIDDoesNotExist",'
            '"message":"KeyProviderID 7 does not exist."}}',
            PYTHON,
            "12.3",
            body.replace('"internal"', '"external", "keyProviderID": "7"'),
        )

    def test_cinder_go_and_powershell(self):
        for head, version, body, request_id in (
            (PYTHON, "1.0/", '{"method": "GetClusterInfo", "params": {}}', None),
            (GO, "12.3", '{"method":"GetClusterInfo","id":1,"params":null}', 1),
            (POWERSHELL, "12.3", '{"id":7,"method":"GetClusterInfo","params":{}}', 7),
        ):
            status, answer = self.send(head, version, body)
            answer = json.loads(answer)
            self.assertEqual((status, answer["id"]), (200, request_id))
            self.assertEqual(answer["result"]["clusterInfo"]["softwareEncryptionAtRestState"], "enabled")

    def test_a_client_that_waits_to_be_let_go_on(self):
        """.NET sends the body only after 100 Continue, or a while later."""
        body = b'{"id":1,"method":"GetAPI","params":{}}'
        host = f"127.0.0.1:{self.running.port}"
        head = POWERSHELL.format(host=host, token=token_of("admin", PASSWORD), version="12.3", length=len(body))
        with socket.create_connection(("127.0.0.1", self.running.port), timeout=30) as plain:
            with self.running.tls.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
                connection.sendall(head.encode())
                self.assertTrue(connection.recv(1000).startswith(b"HTTP/1.1 100 "))
                connection.sendall(body)
                self.assertTrue(connection.recv(1000).startswith(b"HTTP/1.1 200 "))


class Sdk(ElementTest):
    """A session of the module `solidfire`."""

    def test_a_rekey(self):
        self.make_keyset(self.KEYSET, 2000)
        self.add_account("reader", "read-only")
        daemon = self.daemon()
        done = self.session(daemon)
        self.assertEqual(done["before"], ["enabled", 1, "internal"])
        self.assertEqual(done["result"]["status"], "complete")
        self.assertEqual(misfit(done["result"], result_shape(done["result"])), "")
        self.assertEqual(done["after"], done["result"]["result"]["newKey"]["keyID"])
        self.assertEqual(
            done["errors"],
            [
                ["xDBNoSuchPath", 500],
                ["xInvalidParameter", 500],
                ["xMissingParameter", 500],
                ["xUnrecognizedEnumString", 500],
                ["xKeyProviderIDDoesNotExist", 500],
                ["xPermissionDenied", 500],
                ["Bad Credentials", 0],
                ["Bad Credentials", 0],
            ],
        )

    def session(self, daemon):
        """Runs sdk_session.py, as a client's own process."""
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": SDK, "PYTHONDONTWRITEBYTECODE": "1"}
        argv = [sys.executable, "-W", "ignore", str(HERE / "sdk_session.py"), str(daemon.port)]
        done = subprocess.run(argv, env=env, input=PASSWORD, capture_output=True, text=True, timeout=100, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return json.loads(done.stdout.splitlines()[-1])


class Ansible(ElementTest):
    """na_elementsw_cluster_config of Debian's collection netapp.elementsw, which uses the module `solidfire`."""

    def task(self, daemon, name, **options):
        connection = {
            "hostname": f"127.0.0.1:{daemon.port}",
            "username": "admin",
            "password": "{{ lookup('ansible.builtin.env', 'REWRAP_TEST_PASSWORD') }}",
        }
        return {"name": name, "netapp.elementsw.na_elementsw_cluster_config": connection | options}

    def play(self, tasks):
        """{task: what the module gave}"""
        play = {"hosts": "localhost", "connection": "local", "gather_facts": False}
        play["tasks"] = [{"ignore_errors": True, **task} for task in tasks]
        path = self.dir / "play.json"  # JSON is YAML
        path.write_text(json.dumps([play]), encoding="ascii")
        folder = self.dir / "ansible"
        folder.mkdir(mode=0o700)
        env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": SDK,
            "HOME": str(folder),
            "LC_ALL": "C.UTF-8",
            "REWRAP_TEST_PASSWORD": PASSWORD,
            "ANSIBLE_CONFIG": str(write_secret(folder / "ansible.cfg", b"")),
            "ANSIBLE_LOCAL_TEMP": str(folder / "local"),
            "ANSIBLE_REMOTE_TEMP": str(folder / "remote"),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
            "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3",
            "ANSIBLE_PIPELINING": "true",
        }
        argv = [PLAYBOOK, "-i", "localhost,", str(path)]
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=200, check=False)
        self.recorded += [done.stdout.encode(), done.stderr.encode()]
        self.assertEqual(done.returncode, 0, done.stdout[-4000:] + done.stderr[-4000:])
        (played,) = json.loads(done.stdout[done.stdout.index("{") :])["plays"]
        return {task["task"]["name"]: task["hosts"]["localhost"] for task in played["tasks"]}

    def test_a_playbook(self):
        self.make_keyset(self.KEYSET, 10)
        daemon = self.daemon()
        off = {"enable_virtual_volumes": False}
        done = self.play(
            [
                self.task(daemon, "absent", encryption_at_rest="absent", **off),
                self.task(daemon, "present", encryption_at_rest="present", **off),
                self.task(daemon, "vvols", enable_virtual_volumes=True),
            ]
        )
        self.assertEqual((done["absent"].get("failed"), done["absent"]["changed"]), (None, False), done["absent"])
        for name in ("present", "vvols"):
            self.assertTrue(done[name]["failed"], done[name])
            self.assertIn("xAPINotPermitted", done[name]["msg"])
