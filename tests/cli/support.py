# What every test of the rewrap command shares: a private directory, a SoftHSM token, running the command, and key wrap
# by python3-cryptography, which owes nothing to this project.
"""REWRAP_BINARY names the command, REWRAP_VANDAL the program that damages stores (store_vandal.cc)."""

import base64
import concurrent.futures
import glob
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
import uuid

from cryptography.hazmat.primitives import keywrap
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

BINARY = os.environ.get("REWRAP_BINARY", "")
VANDAL = os.environ.get("REWRAP_VANDAL", "")
SOFTHSM_MODULE = os.environ.get("REWRAP_SOFTHSM_MODULE", "/usr/lib/softhsm/libsofthsm2.so")
HERE = pathlib.Path(__file__).resolve().parent

DONE, FAILED, USAGE, INCOMPLETE, DAMAGED, ROOT, REFUSED = range(7)  # the command's exit codes
DEK_LENS = (16, 24, 32, 48, 64)
SEGMENT_DEKS = 2048  # DEKs of one segment: what the command reads, re-wraps and authenticates as one
TIMEOUT = 200  # seconds for one run; a long test sets another
MANY = 100_000  # DEKs where a rekey has to last long enough to be met in the middle

WRAP = {"KW": keywrap.aes_key_wrap, "KWP": keywrap.aes_key_wrap_with_padding}
UNWRAP = {"KW": keywrap.aes_key_unwrap, "KWP": keywrap.aes_key_unwrap_with_padding}


def alg_of(kek, wrap="KW"):
    return f"A{len(kek) * 8}{wrap}"


def base64_text(data):
    return base64.b64encode(data).decode()


def from_base64(text):
    return base64.b64decode(text, validate=True)


def gcm_line(dek_id, kek, dek, aad=b""):
    """A line of AES-GCM (RFC 7518 section 4.7); `aad` is left out if it is empty."""
    iv = os.urandom(12)
    sealed = AESGCM(kek).encrypt(iv, dek, aad)
    parts = {"wrapped": sealed[:-16], "iv": iv, "tag": sealed[-16:]} | ({"aad": aad} if aad else {})
    return {"id": dek_id, "alg": alg_of(kek, "GCMKW")} | {name: base64_text(part) for name, part in parts.items()}


def wrap_line(dek_id, kek, dek, wrap="KW"):
    """One line of an import file, as a dictionary."""
    if wrap == "GCM":  # with additional data for one in three
        return gcm_line(dek_id, kek, dek, dek_id[:11].encode() if dek_id[0] in "01234" else b"")
    return {"id": dek_id, "alg": alg_of(kek, wrap), "wrapped": base64_text(WRAP[wrap](kek, dek))}


def wrap_all(deks, kek, wrap="KW"):
    return [wrap_line(dek_id, kek, dek, wrap) for dek_id, dek in deks.items()]


def unwrap_line(line, kek):
    if line["alg"] == alg_of(kek, "GCMKW"):
        sealed = from_base64(line["wrapped"]) + from_base64(line["tag"])
        return AESGCM(kek).decrypt(from_base64(line["iv"]), sealed, from_base64(line.get("aad", "")))
    wrap = "KWP" if line["alg"].endswith("P") else "KW"
    if line["alg"] != alg_of(kek, wrap):
        raise ValueError(f"{line['alg']} is not for this KEK")
    return UNWRAP[wrap](kek, from_base64(line["wrapped"]))


def random_deks(rng, count, lens=(32,)):
    """{id: key bytes}, sizes in turn."""
    ids = [str(uuid.UUID(bytes=rng.randbytes(16), version=4)) for _ in range(count)]
    return {dek_id: rng.randbytes(lens[i % len(lens)]) for i, dek_id in enumerate(ids)}


def flip_bit(data, bit):
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


class Outcome:
    """How one run of the command ended."""

    def __init__(self, argv, code, stdout, stderr):
        self.argv, self.code, self.stdout_bytes, self.stderr_bytes = argv, code, stdout, stderr
        self.stdout = stdout.decode("utf-8", "replace")
        self.stderr = stderr.decode("utf-8", "replace")

    @property
    def json(self):
        return json.loads(self.stdout)

    def __str__(self):
        return f"{self.argv} ended with {self.code}\nstdout: {self.stdout[-2000:]}\nstderr: {self.stderr[-4000:]}"


class Running:
    """A run that has not ended yet; finish() waits for it."""

    def __init__(self, test, argv, popen):
        self._test, self._argv, self._popen = test, argv, popen
        self.pid = popen.pid

    def is_running(self):
        return self._popen.poll() is None

    def signal(self, number):
        self._popen.send_signal(number)

    def finish(self, expect=DONE):
        stdout, stderr = self._popen.communicate(timeout=TIMEOUT)
        return self._test.judge(Outcome(self._argv, self._popen.returncode, stdout, stderr), expect)


class SoftHsm:
    """A SoftHSM token in a private directory."""

    PIN = "71904236"
    MODULE = SOFTHSM_MODULE

    def __init__(self, folder, label="rewrap-cli"):
        self.label = label
        self.tokens = folder / "tokens"
        self.tokens.mkdir(mode=0o700)
        self.conf = folder / "softhsm2.conf"
        self.conf.write_text(
            f"directories.tokendir = {self.tokens}\nobjectstore.backend = file\nlog.level = ERROR\n", encoding="ascii"
        )
        self.pin_file = write_secret(folder / "pin", self.PIN.encode() + b"\n")
        self.env = {"SOFTHSM2_CONF": str(self.conf)}
        self.add_token(label)

    def add_token(self, label):
        self._run("softhsm2-util", "--init-token", "--free", "--label", label, "--pin", self.PIN, "--so-pin", "567890")

    def uri(self, key="", pin_file=None, token=None, module=None):
        names = f"pkcs11:token={token or self.label}" + (f";object={key}" if key else "")
        return f"{names}?module-path={module or self.MODULE}&pin-source=file:{pin_file or self.pin_file}"

    def import_key(self, label, value, *flags):
        """Puts an AES key into the token; flags: extractable encrypt decrypt wrap unwrap."""
        self._token_key("import", label, value.hex(), *flags)

    def keys(self):
        """A line for each secret key: CKA_ID in hex, label."""
        return self._token_key("keys")

    def delete_keys(self, prefix):
        self._token_key("delete", prefix)

    def open_wraps(self, key_id, how, path):
        """The DEKs of [wrapped, iv, tag, aad] records in a JSON file, opened in the token; see token_key.py."""
        return self._token_key("open", key_id, how, str(path))

    def flags(self):
        """CK_TOKEN_INFO.flags"""
        return int(self._token_key("flags"), 16)

    def backup(self):
        """A copy of the token's files. SoftHSM rewrites one at each login: a kill at that moment destroys the token."""
        return {path: path.read_bytes() for path in self.tokens.rglob("*") if path.is_file()}

    def restore(self, backup):
        """Puts the copy back; True if the token had been damaged."""
        damaged = any(not path.exists() or path.stat().st_size < len(data) // 2 for path, data in backup.items())
        shutil.rmtree(self.tokens)
        for path, data in backup.items():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.write_bytes(data)
        return damaged

    def _token_key(self, *words):
        script = [sys.executable, str(HERE / "token_key.py"), self.MODULE, self.label, str(self.pin_file)]
        return self._run(*script, *words)

    def _run(self, *words):
        env = dict(os.environ, **self.env)
        done = subprocess.run(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{words[0]} {words[1]}: {done.stdout}")
        return done.stdout.strip()


def write_secret(path, data):
    """A file of mode 0600."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
    os.chmod(path, 0o600)
    return path


def pkcs11_spy():
    """OpenSC's module that logs each call before it passes it on."""
    found = glob.glob("/usr/lib/*/pkcs11-spy.so") + glob.glob("/usr/lib/*/pkcs11/pkcs11-spy.so")
    if not found:
        raise RuntimeError("pkcs11-spy.so is not here: install the package opensc (tools/setup)")
    return found[0]


class CliTest(unittest.TestCase):
    """A private directory with a root key file, ready for a store. Everything the command prints is recorded."""

    maxDiff = 2000

    def setUp(self):
        self.assertTrue(os.access(BINARY, os.X_OK), f"REWRAP_BINARY does not name the command: '{BINARY}'")
        folder = tempfile.TemporaryDirectory(prefix="rewrap-cli-")
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)
        self.store = self.dir / "store"
        self.root_key = os.urandom(32)
        self.root = f"file:{write_secret(self.dir / 'root.key', self.root_key)}"
        self.env = {}
        self.recorded = []
        # Reproducible: REWRAP_SEED repeats a run.
        self.seed = int(os.environ.get("REWRAP_SEED", random.SystemRandom().randrange(1 << 32)))
        self.rng = random.Random(self.seed)

    # -- running the command

    def environment(self, **more):
        env = {name: value for name, value in os.environ.items() if not name.startswith(("REWRAP_", "SOFTHSM2_"))}
        return env | {"LC_ALL": "C", "HOME": str(self.dir), "REWRAP_STORE": str(self.store)} | self.env | more

    def argv(self, words):
        return [BINARY, "--allow-file-root", *map(str, words)]

    def judge(self, outcome, expect=DONE):
        """Records an outcome; it must have ended as expected (a code, or several that will do)."""
        self.recorded += [outcome.stdout_bytes, outcome.stderr_bytes]
        codes = expect if isinstance(expect, tuple) else (expect,)
        if expect is not None:
            self.assertIn(outcome.code, codes, f"seed {self.seed}: {outcome}")
        return outcome

    def run_argv(self, argv, expect=DONE, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, **options):
        env = self.environment(**options.pop("env", {}))
        done = subprocess.run(
            argv, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, env=env, timeout=TIMEOUT, check=False, **options
        )
        return self.judge(Outcome(argv, done.returncode, done.stdout or b"", done.stderr), expect)

    def rewrap(self, *words, expect=DONE, **options):
        return self.run_argv(self.argv(words), expect, **options)

    def json(self, *words, expect=DONE, **options):
        return self.rewrap("--json", *words, expect=expect, **options).json

    def start(self, *words, argv=None, **options):
        argv = argv or self.argv(words)
        options |= {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        popen = subprocess.Popen(argv, env=self.environment(), **options)
        self.addCleanup(popen.communicate)
        self.addCleanup(popen.kill)
        return Running(self, argv, popen)

    def ignore_leaks(self):
        self.env["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"

    def strace(self, rules, *words):
        """The command line that runs the command with system calls counted or made to fail."""
        if not shutil.which("strace"):
            raise RuntimeError("strace is not here (tools/setup)")
        self.ignore_leaks()  # LeakSanitizer cannot work where a tracer has the process already
        return ["strace", "-f", "-qq", "-o", str(self.dir / "strace"), *rules, *self.argv(words)]

    def refuse(self, code, *texts, words, **options):
        """The command must end with `code` and say each of the texts on stderr, and no memory address or stack."""
        outcome = self.rewrap(*words, expect=code, **options)
        for text in texts:
            self.assertIn(text, outcome.stderr, str(outcome))
        self.assertTrue(outcome.stderr.startswith("rewrap: "), str(outcome))
        return outcome

    # -- keysets

    def make_keyset(self, name="k", count=0, root=None, *words):
        self.rewrap("keyset", "create", name, "--root", root or self.root, *words)
        if count:
            self.rewrap("dek", "generate", name, "--count", count)

    def make_kek(self, name="legacy", length=32):
        """(key bytes, URI of the file that holds them)"""
        value = os.urandom(length)
        return value, f"file:{write_secret(self.dir / name, value)}"

    def write_lines(self, name, lines):
        path = self.dir / name
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="ascii")
        return path

    def import_deks(self, name, deks, kek, uri, wrap="KW"):
        path = self.write_lines("import.jsonl", wrap_all(deks, kek, wrap))
        report = self.json("import", name, path, "--from-kek", uri)
        self.assertEqual((report["imported"], report["quarantined"]), (len(deks), 0))

    def export_lines(self, name, *words, expect=DONE):
        path = self.dir / "export.jsonl"
        path.unlink(missing_ok=True)
        self.rewrap("export", name, path, *words, expect=expect)
        return [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]

    def opened(self, name, *words, expect=DONE):
        """{id: key bytes} of a keyset: exported under a new KEK and opened by python3-cryptography."""
        kek, uri = self.make_kek("export.kek")
        lines = self.export_lines(name, "--to-kek", uri, *words, expect=expect)
        self.recorded_lines = lines
        return {line["id"]: unwrap_line(line, kek) for line in lines}

    def fingerprint(self, name="k", *words, expect=DONE):
        """The sorted lines of an export under one fixed KEK: equal for equal DEKs, since key wrap is deterministic."""
        kek = self.dir / "fingerprint.kek"
        if not kek.exists():
            write_secret(kek, os.urandom(32))
        path = self.dir / f"fingerprint-{name}.jsonl"
        path.unlink(missing_ok=True)
        self.rewrap("export", name, path, "--to-kek", f"file:{kek}", *words, expect=expect)
        return sorted(path.read_bytes().splitlines())

    def census(self, name="k"):
        """{version: DEKs}"""
        return {version["version"]: version["deks"] for version in self.json("census", name)["versions"]}

    def check_verify(self, count, name="k"):
        report = self.json("verify", name)
        self.assertEqual((report["deks"], report["ok"], report["damaged"]), (count, count, 0), f"seed {self.seed}")
        return report

    def wait_until(self, condition, what, seconds=60):
        end = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), end, f"waited too long until {what}")
            time.sleep(0.005)

    def start_slow_rekey(self, name="k", seconds=2.0, count=MANY, argv=None):
        """A rekey that takes about so long, met when some DEKs have moved and most have not."""
        running = self.start("--json", "rekey", name, "--rate", int(count / seconds), argv=argv)
        self.wait_until(lambda: self.is_mixed(name) or not running.is_running(), "the rekey is in the middle")
        self.assertTrue(running.is_running(), "the rekey ended before it was met")
        return running

    def is_mixed(self, name="k"):
        return sum(1 for deks in self.census(name).values() if deks) > 1


def in_parallel(function, items):
    """Results of independent runs, two at a time."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return list(pool.map(function, items))
