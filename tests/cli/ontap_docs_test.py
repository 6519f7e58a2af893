# Tests docs/ontap.md: the commands of its transcript are run again, and must print what stands there.
import json
import pathlib
import re
import subprocess
import time
import unittest

from ontap_support import OntapTest
from soft_daemon import DAEMON, PASSWORD
from support import write_secret

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "ontap.md"
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def blocks(kind):
    """The texts between the fences of a kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def transcript():
    """[(command, what it prints)]"""
    (text,) = blocks("console")
    return [part.split("\n", 1) for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]]


class Page(OntapTest):
    """The page's ids stand for those of this run: the first one that the page shows is the first one here, and so on."""

    COUNT = 1000

    def run_command(self, daemon, command):
        prelude = (
            f"api=https://127.0.0.1:{daemon.port}/api\n"
            f'curl() {{ command curl --silent --cacert "{self.store}/tls/server.crt" --netrc-file netrc "$@"; }}\n'
        )
        argv = ["bash", "-c", prelude + command]
        done = subprocess.run(argv, cwd=self.dir, env=self.environment(), capture_output=True, timeout=100, check=True)
        return done.stdout.decode()

    def translate(self, text):
        return UUID.sub(lambda found: self.ids.get(found[0], found[0]), text)

    def matches(self, printed, expected):
        """Takes over ids that the page has not shown before; everything else must be the same."""
        for shown, real in zip(UUID.findall(expected), UUID.findall(printed), strict=False):
            self.ids.setdefault(shown, real)
        return printed == self.translate(expected)

    def test_the_transcript(self):
        self.make_keyset("svm1", self.COUNT)
        write_secret(self.dir / "netrc", f"machine 127.0.0.1 login admin password {PASSWORD}\n".encode())
        write_secret(self.dir / "svm1.json", json.dumps(self.settings("svm1")).encode())
        daemon = self.daemon()
        self.ids = {}
        commands = transcript()
        self.assertGreater(len(commands), 5)
        for command, expected in commands:
            end = time.monotonic() + 30
            printed = self.run_command(daemon, self.translate(command))
            while not self.matches(printed, expected) and time.monotonic() < end and "jobs/" in command:
                time.sleep(0.05)
                printed = self.run_command(daemon, self.translate(command))
            self.assertEqual(printed, self.translate(expected), command)

    def test_the_configuration(self):
        (text,) = blocks("toml")
        self.config.write_text(text, encoding="ascii")
        self.run_argv([DAEMON, "--config", str(self.config), "--check-config"])


if __name__ == "__main__":
    unittest.main()
