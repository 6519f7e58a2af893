# Tests ONTAP REST with a client that is not ours: the netapp.ontap collection of Debian's Ansible.
import json
import os
import subprocess
import unittest

import yaml
from ontap_docs_test import blocks
from ontap_support import JOBS, KMS, OntapTest
from soft_daemon import PASSWORD
from support import unwrap_line, write_secret

PLAYBOOK = "ansible-playbook"
NO_CONFIGURATION = "ab000000-0000-4000-8000-000000000001"


def restit(name, api, method="POST", **more):
    """A task that sends a request."""
    return {"name": name, "netapp.ontap.na_ontap_restit": {"api": api, "method": method, **more}, "register": name}


def info(name, **more):
    """A task that reads all configurations."""
    return {"name": name, "netapp.ontap.na_ontap_rest_info": {"gather_subset": ["security/aws-kms"], **more}}


class Ansible(OntapTest):
    """The play of docs/ontap.md and more tasks in it, in one run: Ansible takes half a second and more for each."""

    COUNT = 2000

    def play(self, daemon, tasks, **variables):
        """Runs the tasks after the page's, over TLS with the daemon's own certificate; {task: what the module gave}."""
        ((play,),) = (yaml.safe_load(text) for text in blocks("yaml"))
        play["tasks"] += [{"ignore_errors": True, **task} for task in tasks]
        variables |= {"rewrap_host": "127.0.0.1", "rewrap_port": daemon.port, "rewrap_password": PASSWORD}
        write_secret(self.dir / "variables.json", json.dumps(variables).encode())
        path = self.dir / "play.json"  # JSON is YAML
        path.write_text(json.dumps([play]), encoding="ascii")
        folder = self.dir / "ansible"
        folder.mkdir(mode=0o700)
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "LC_ALL": "C.UTF-8",
            "REQUESTS_CA_BUNDLE": str(self.store / "tls" / "server.crt"),
            "ANSIBLE_CONFIG": str(write_secret(folder / "ansible.cfg", b"")),
            "ANSIBLE_LOCAL_TEMP": str(folder / "local"),
            "ANSIBLE_REMOTE_TEMP": str(folder / "remote"),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
            "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3",
            "ANSIBLE_PIPELINING": "true",
        }
        argv = [PLAYBOOK, "-i", "localhost,", "-c", "local", "-e", f"@{self.dir / 'variables.json'}", str(path)]
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=200, check=False)
        self.recorded += [done.stdout.encode(), done.stderr.encode()]
        self.assertEqual(done.returncode, 0, done.stdout[-4000:] + done.stderr[-4000:])
        (played,) = json.loads(done.stdout[done.stdout.index("{") :])["plays"]
        return {task["task"]["name"]: task["hosts"]["localhost"] for task in played["tasks"]}

    def test_a_playbook(self):
        self.make_keyset("svm1", self.COUNT)
        self.make_keyset("empty")
        before = self.opened("svm1")
        daemon = self.daemon()
        empty = self.configure(daemon, "empty").removeprefix("/api/")
        one = "security/aws-kms/{{ made.response.records[0].uuid }}"
        done = self.play(
            daemon,
            [
                restit("begun", f"{one}/rekey-internal"),
                restit("with_body", f"{one}/rekey-internal", body={}, wait_for_completion=True),
                info("identified", max_records=1),  # two pages
                # Control: the certificate is looked at.
                info("untrusted") | {"environment": {"REQUESTS_CA_BUNDLE": str(self.kms.folder / "ca.pem")}},
                restit("no_deks", f"{empty}/rekey-internal"),
                restit("no_configuration", f"security/aws-kms/{NO_CONFIGURATION}/rekey-internal"),
            ],
            aws_kms=self.settings("svm1"),
        )
        self.assertIn("hidden", done["configure"]["censored"])
        for name in ("rekey", "list", "begun", "with_body", "identified"):
            self.assertFalse(done[name].get("failed", False), done[name])
        self.assertEqual(done["begun"]["status_code"], 202)
        for name in ("rekey", "with_body"):
            self.assertEqual(done[name]["response"]["job_response"], "success", done[name])

        records = done["identified"]["ontap_info"]["security/aws-kms"]["records"]
        self.assertEqual([set(record) for record in records], [{"uuid", "_links"}] * 2)
        shown = {one["svm"]["name"]: one for one in done["list"]["ontap_info"]["security/aws-kms"]["records"]}
        self.assertEqual(set(shown), {"svm1", "empty"})
        self.assertEqual(shown["svm1"]["key_id"], self.key)
        self.assertIn("certificate verify failed", str(done["untrusted"]))
        for name, code in (("no_deks", "65537559"), ("no_configuration", "65537926")):
            self.assertTrue(done[name]["failed"])
            self.assertEqual(done[name]["error_code"], code, done[name])

        jobs = daemon.get(f"{JOBS}?fields=state")["records"]
        self.assertEqual({job["state"] for job in jobs}, {"success"})
        self.assertIn(len(jobs), (2, 3))  # a request that comes while a job runs gets that job
        # The requests are those of the collection, not of the test.
        asked = [(line["method"], line["path"].removeprefix("/api/")) for line in daemon.logged("request")]
        self.assertIn(("GET", "cluster"), asked)
        self.assertIn(("GET", "/security/aws-kms"), asked)  # /api//security/aws-kms: the second page
        waits = [path for method, path in asked if method == "GET" and path.startswith("cluster/jobs/")]
        self.assertGreaterEqual(len(waits), 2)
        kek = self.leave_kms(daemon, f"{KMS}/{shown['svm1']['uuid']}", "svm1")
        self.assertEqual({line["id"]: unwrap_line(line, kek) for line in self.export_lines("svm1")}, before)


if __name__ == "__main__":
    unittest.main()
