# Holds what every front end says of a running rekey against what is in the store.
import base64
import http.client
import json
import re
import ssl
import time
import urllib.error

from soft_daemon import PASSWORD

GONE = (ConnectionError, TimeoutError, urllib.error.URLError, http.client.HTTPException, ssl.SSLError)
LOG_IN = {"Authorization": "Basic " + base64.b64encode(f"admin:{PASSWORD}".encode()).decode()}
COUNTED = re.compile(r"(in progress|paused): (\d+) of (\d+) keys")


class JobWitness:
    """Knows what was said of one job of one keyset, over any number of daemons that were killed."""

    def __init__(self, test, job, handle, keyset, total):
        self.test, self.job, self.handle, self.keyset, self.total = test, job, handle, keyset, total
        self.last_done = 0  # shown by this daemon
        self.most_done = 0  # shown by any
        self.most_stored = 0
        self.succeeded = False
        self.target = None
        self.looks = 0
        self._connection = (None, None)  # the daemon, and the connection to it that is kept

    def watch(self, daemon, until=None, pause=0.01):
        """Looks until the job has ended (True), the daemon is gone, or `until` says so (False)."""
        self.last_done = 0
        while not (until and until()):
            try:
                if self.look(daemon):
                    return True
            except GONE:
                self.test.assertIsNotNone(daemon.popen.wait(timeout=60), "the daemon lives and does not answer")
                return False
            time.sleep(pause)
        return False

    def look(self, daemon):
        """Asks everybody, and then counts: whatever was said to be done has to be there by now."""
        said = [self._ontap(daemon), self._element(daemon), self._native(daemon)]
        census = {v["version"]: v for v in self._get(daemon, f"/v1/keysets/{self.keyset}/census")["versions"]}
        moved = {version: v["deks"] for version, v in census.items() if v["deks"]}
        stored = moved.get(self.target, 0) if self.target else 0
        for ended, done in said:
            if done is not None:
                self.test.assertLessEqual(done, stored, "more is said to be done than is stored")
                self.test.assertGreaterEqual(done, self.last_done, "the progress goes backwards")
                self.last_done = done
            if self.succeeded:
                self.test.assertTrue(ended, "a success is taken back")
            if ended:
                self.succeeded = True
                self.test.assertEqual(moved, {self.target: self.total}, "success before the end")
                old = [v["state"] for version, v in census.items() if version != self.target]
                self.test.assertEqual(set(old) - {"destroyed"}, set(), "success before the old key is gone")
        self.test.assertGreaterEqual(stored, self.most_stored, "stored work is lost")
        self.most_stored = stored
        self.most_done = max(self.most_done, self.last_done)
        self.looks += 1
        return self.succeeded

    def check_killed(self, shown, census):
        """What is on the disk after a kill: `rewrap jobs show` and `rewrap census`."""
        self.test.assertEqual(shown["state"] == "succeeded", shown["ended"] is not None)
        if self.succeeded:
            self.test.assertEqual(shown["state"], "succeeded", "the success that was told is not stored")
        self.target = self.target or shown["to_version"]
        stored = census.get(self.target, 0)
        self.test.assertGreaterEqual(stored, self.most_done, "what was told is not stored")
        self.test.assertGreaterEqual(stored, shown["done"], "what is noted is not stored")
        self.test.assertEqual(sum(census.values()), self.total)
        self.most_stored = max(self.most_stored, stored)
        return stored

    def _ask(self, daemon, method, path, body=None):
        if self._connection[0] is not daemon:
            self._connection = daemon, http.client.HTTPSConnection("127.0.0.1", daemon.port, context=daemon.tls)
        connection = self._connection[1]
        connection.request(method, path, json.dumps(body) if body else None, LOG_IN)
        answer = connection.getresponse()
        text = answer.read().decode()
        self.test.assertEqual(answer.status, 200, text)
        return json.loads(text)

    def _get(self, daemon, path):
        return self._ask(daemon, "GET", path)

    # Each gives (has it succeeded, DEKs done or None); the order is ended <= asked later.

    def _ontap(self, daemon):
        job = self._get(daemon, f"/api/cluster/jobs/{self.job}?fields=state,message,error")
        self.test.assertNotIn("error", job, job)
        self.test.assertIn(job["state"], ("queued", "running", "success"), job)
        if job["state"] == "success":
            self._learn_target(daemon)
            return True, None
        counted = COUNTED.fullmatch(job["message"])
        if not counted:
            return False, None
        self._learn_target(daemon)
        self.test.assertEqual(int(counted[3]), self.total)
        return False, int(counted[2])

    def _element(self, daemon):
        params = {"asyncHandle": self.handle, "keepResult": True}
        answer = self._ask(daemon, "POST", "/json-rpc/12.3", {"method": "GetAsyncResult", "id": 1, "params": params})
        result = answer["result"]
        self.test.assertNotIn("error", result, answer)
        self.test.assertEqual(result["status"] == "complete", "result" in result, answer)
        return result["status"] == "complete", None

    def _native(self, daemon):
        job = self._get(daemon, f"/v1/jobs/{self.job}")
        self.test.assertIn(job["state"], ("queued", "running", "succeeded"), job)
        self.test.assertIsNone(job["error"], job)
        return job["state"] == "succeeded", job["done"]

    def _learn_target(self, daemon):
        self.target = self._get(daemon, f"/v1/jobs/{self.job}")["to_version"] or self.target


def start_element_rekey(test, daemon, keyset):
    """(uuid, handle) of the job that every front end can be asked about."""
    request = {"method": "RekeySoftwareEncryptionAtRestMasterKey", "id": 1}
    answer = daemon.ask("POST", "/json-rpc/12.3", request)
    test.assertEqual(answer.status, 200, answer.text)
    handle = json.loads(answer.text)["result"]["asyncHandle"]
    jobs = daemon.get(f"/v1/jobs?keyset={keyset}")["jobs"]
    return next(job["uuid"] for job in jobs if job["handle"] == handle), handle


def element_config(keyset, root):
    return f'[element]\nkeyset = "{keyset}"\ninternal_root = "{root}"\n'
