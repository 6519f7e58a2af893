# Tests the command line: help, wrong words, bad numbers, what goes to stdout, and what happens when nobody reads it.
import json
import os
import shutil
import unittest

from support import BINARY, FAILED, USAGE, CliTest, random_deks, wrap_all

VERBS = (
    ("keyset",),
    ("keyset", "create"),
    ("keyset", "list"),
    ("keyset", "export-sealed-kek"),
    ("status",),
    ("census",),
    ("quarantine",),
    ("quarantine", "list"),
    ("quarantine", "drop"),
    ("dek",),
    ("dek", "generate"),
    ("dek", "get"),
    ("import",),
    ("export",),
    ("rekey",),
    ("reprotect",),
    ("verify",),
    ("decommission",),
    ("root",),
    ("root", "create"),
    ("root", "probe"),
    ("root", "flush"),
    ("jobs",),
    ("jobs", "list"),
    ("jobs", "show"),
    ("jobs", "pause"),
    ("jobs", "resume"),
    ("jobs", "cancel"),
    ("jobs", "rate"),
    ("audit",),
    ("audit", "verify"),
    ("selftest",),
    ("bench",),
)
SOME_ID = "6fa459ea-ee8a-4ca4-894e-db77e160355e"


class Words(CliTest):
    """Right and wrong command lines."""

    def test_help(self):
        text = self.rewrap("--help").stdout
        for word in ("Exit codes:", "--store", "--json", "--quiet", "Example:"):
            self.assertIn(word, text)
        for verb in VERBS:
            self.assertIn(verb[0], text)
            help_text = self.rewrap(*verb, "--help")
            self.assertIn("--help", help_text.stdout, verb)
            self.assertEqual(help_text.stderr, "")

    def test_version(self):
        self.assertRegex(self.rewrap("--version").stdout, r"\Arewrap \d+\.\d+\.\d+\n\Z")

    def test_wrong_words(self):
        self.make_keyset()
        for words in (
            (),
            ("nonsense",),
            ("keyset",),
            ("keyset", "nonsense"),
            ("dek",),
            ("root",),
            ("quarantine",),
            ("rekey",),
            ("rekey", "k", "extra"),
            ("rekey", "k", "--nonsense"),
            ("--nonsense", "rekey", "k"),
            ("rekey", "k", "--threads"),
            ("rekey", "k", "--root"),
            ("verify",),
            ("census",),
            ("decommission", "k"),
            ("decommission",),
            ("keyset", "create", "x"),
            ("keyset", "create", "--root", self.root),
            ("keyset", "create", "x", "--root", self.root, "--wrap", "cbc"),
            ("keyset", "create", "x", "--root", self.root, "--dek-size", "33"),
            ("keyset", "create", "x", "--root", self.root, "--custody", "nowhere"),
            ("dek", "generate", "k"),
            ("dek", "generate", "k", "--count", "1", "--size", "17"),
            ("dek", "get", "k"),
            ("dek", "get", "k", "not-a-uuid"),
            ("import", "k", "file"),
            ("import", "k", "--from-kek", self.root),
            ("export", "k"),
            ("root", "create"),
            ("bench", "extra"),
            ("bench", "--implementation"),
            ("--store",),
        ):
            with self.subTest(words=words):
                outcome = self.rewrap(*words, expect=USAGE)
                self.assertEqual(outcome.stdout, "")
                self.assertTrue(outcome.stderr.startswith("rewrap: error: "), str(outcome))
        self.assertEqual(self.census(), {1: 0})

    def test_bad_numbers(self):
        self.make_keyset("k", 1)
        threads = [("rekey", "k", "--threads", n) for n in ("0", "257", "1000000", "-1", "1.5", "x", "", str(1 << 64))]
        threads += [("verify", "k", "--threads", n) for n in ("0", "1000000", "-1")]
        rates = [("rekey", "k", "--rate", n) for n in ("-1", "0", "0.5", "1e300", "nan", "-nan", "inf", "x", "")]
        counts = ("0", "-1", "100000001", str(1 << 64), "1e3", "x", "1.5")
        counts = [("dek", "generate", "k", "--count", n) for n in counts]
        versions = [("decommission", "k", n) for n in ("-1", "x", str(1 << 32), str(1 << 64), "1.5")]
        times = [("bench", "--milliseconds", n) for n in ("9", "-1", "5001", "1e3", "10.5", str(1 << 64), "x", "")]
        for words in threads + rates + counts + versions + times:
            with self.subTest(words=words):
                outcome = self.rewrap(*words, expect=USAGE)
                self.assertTrue(outcome.stderr.startswith("rewrap: error: "), str(outcome))
        self.assertEqual(self.census(), {1: 1}, "nothing was done")
        self.refuse(FAILED, "no such KEK version", words=("decommission", "k", "0"))

    def test_keyset_names(self):
        for name in ("", ".hidden", "a b", "a/b", "x" * 65, "ä", "a\nb", "..", "a:b"):
            words = ("keyset", "create", name, "--root", self.root)
            self.refuse(USAGE, "letters, digits, dots, dashes or underscores", words=words)
        self.rewrap("keyset", "create", "-dash", "--root", self.root, expect=USAGE)
        for name in ("x" * 64, "a", "A-b_c.9"):
            self.make_keyset(name, 1)
            self.rewrap("rekey", name)
        self.refuse(FAILED, "a keyset of that name already", words=("keyset", "create", "a", "--root", self.root))

    def test_a_keyset_that_is_not_there(self):
        self.make_keyset("k")
        for words in (
            ("status", "absent"),
            ("census", "absent"),
            ("rekey", "absent"),
            ("rekey", "absent", "--dry-run"),
            ("verify", "absent"),
            ("decommission", "absent", 1),
            ("dek", "generate", "absent", "--count", 1),
            ("dek", "get", "absent", SOME_ID),
            ("export", "absent", self.dir / "out"),
            ("quarantine", "list", "absent"),
            ("quarantine", "drop", "absent", "--all"),
        ):
            self.refuse(FAILED, "no keyset of that name", "rewrap keyset list", words=words)
        self.refuse(FAILED, "", words=("dek", "get", "k", SOME_ID))

    def test_implementations(self):
        self.make_keyset("k", 1)
        outcome = self.rewrap("rekey", "k", "--implementation", "nonsense", expect=(FAILED, USAGE))
        self.assertIn("rewrap bench --list", outcome.stderr)
        self.assertEqual(self.census(), {1: 1})
        names = [entry["implementation"] for entry in self.json("selftest")["implementations"] if entry["passed"]]
        self.assertGreater(len(names), 0)

    def test_bench_list(self):
        """The list agrees with the self-test, and the default is what a rekey uses."""
        listed = self.json("bench", "--list")["implementations"]
        tested = self.json("selftest")["implementations"]
        self.assertEqual([(e["name"], e["runs"]) for e in listed], [(e["implementation"], e["runs"]) for e in tested])
        for entry in listed:
            self.assertTrue(entry["description"] and entry["needs"], entry)
        self.make_keyset("k", 1)
        (default,) = [entry["name"] for entry in listed if entry["default"]]
        self.assertEqual(self.json("rekey", "k")["implementation"], default)
        text = self.rewrap("bench", "--list").stdout
        self.assertEqual(len(text.splitlines()), len(listed))
        self.assertRegex(text, rf"(?m)^{default} +default ")

    def test_bench(self):
        """Every implementation that runs here has a number for each algorithm, or a reason."""
        listed = [e["name"] for e in self.json("bench", "--list")["implementations"] if e["runs"]]
        cpus = sorted({1, len(os.sched_getaffinity(0))})
        report = self.json("bench", "--milliseconds", 10)
        measured = [(e["implementation"], e["algorithm"], e["threads"]) for e in report["results"] + report["absent"]]
        wanted = [(name, algorithm, n) for name in listed for algorithm in ("kw", "gcm") for n in cpus]
        self.assertEqual(sorted(measured), sorted(wanted))
        for entry in report["results"]:
            self.assertGreater(entry["keys_per_second"], 0, entry)
            if entry["implementation"] == "openssl":
                self.assertEqual(entry["times_openssl"], 1, entry)
        for name in listed:
            kw = [e for e in report["results"] if (e["implementation"], e["algorithm"]) == (name, "kw")]
            self.assertEqual(len(kw), len(cpus), f"{name} re-wraps KW")
        for entry in report["absent"]:
            self.assertTrue(entry["reason"], entry)
        text = self.rewrap("bench", "--milliseconds", 10).stdout
        self.assertEqual([line.split()[0] for line in text.splitlines()[2:]], [n for n in listed for _ in cpus])

    def test_bench_of_one(self):
        report = self.json("bench", "--implementation", "openssl", "--milliseconds", 10)
        self.assertEqual({e["implementation"] for e in report["results"]}, {"openssl"})
        for name in ("nonsense", "openss", "OPENSSL", " "):
            self.refuse(FAILED, "no implementation of that name", "rewrap bench --list", words=("bench", "--implementation", name))
        self.assertFalse(self.store.exists(), "a benchmark needs no store")

    def test_the_store_comes_from_the_option_or_the_environment(self):
        self.make_keyset("here")
        other = self.dir / "other"
        self.rewrap("--store", other, "keyset", "create", "there", "--root", self.root)
        self.assertEqual(self.rewrap("keyset", "list").stdout.split()[0], "here")
        self.assertEqual(self.rewrap("keyset", "list", "--store", other).stdout.split()[0], "there")
        self.assertEqual(self.rewrap("keyset", "list", env={"REWRAP_STORE": str(other)}).stdout.split()[0], "there")
        self.assertIn(str(other), self.rewrap("--help", env={"REWRAP_STORE": str(other)}).stdout)


class Output(CliTest):
    """What goes to stdout, and what happens where it cannot."""

    def setUp(self):
        super().setUp()
        self.make_keyset("k", 3000)
        self.id = self.export_lines("k")[0]["id"]
        self.kek, self.kek_uri = self.make_kek()
        self.import_path = self.write_lines("in.jsonl", wrap_all(random_deks(self.rng, 5), self.kek))

    def successes(self):
        """Every verb in turn, on a keyset that it can succeed on."""
        yield "keyset", "create", "new", "--root", self.root
        yield "keyset", "list"
        yield "dek", "generate", "k", "--count", 2
        yield "dek", "get", "k", self.id
        yield "import", "k", self.import_path, "--from-kek", self.kek_uri
        yield "export", "k", self.dir / "out"
        yield "rekey", "k", "--dry-run"
        yield "rekey", "k"
        yield "verify", "k"
        yield "decommission", "k", 1
        yield "census", "k"
        yield ("status",)
        yield "status", "k"
        yield "quarantine", "list", "k"
        yield "quarantine", "drop", "k", "--all"
        yield "root", "create", f"file:{self.dir}/new.key"
        yield "root", "probe", self.root
        yield ("selftest",)
        yield "bench", "--list"
        yield "bench", "--milliseconds", 10

    def test_json_is_one_object_and_nothing_else(self):
        for words in self.successes():
            for flags in ((), ("--quiet",)) if words[0] in ("status", "census", "verify") else ((),):
                outcome = self.rewrap("--json", *flags, *words)
                self.assertIsInstance(json.loads(outcome.stdout), dict, words)
                self.assertEqual(outcome.stdout.count("\n"), 1, words)
                self.assertEqual(outcome.stderr, "", words)

    def test_text_goes_to_stdout_only(self):
        for words in self.successes():
            outcome = self.rewrap(*words)
            self.assertEqual(outcome.stderr, "", words)
            if words[0] != "quarantine" or words[1] != "list":
                self.assertNotEqual(outcome.stdout, "", words)

    def test_quiet_prints_results_only(self):
        for words in self.successes():
            outcome = self.rewrap("--quiet", *words)
            self.assertEqual(outcome.stderr, "", words)
            if words[:2] in (("dek", "generate"), ("dek", "get")):
                self.assertNotEqual(outcome.stdout, "", words)
            elif words[0] in ("rekey", "verify", "import", "export", "decommission"):
                self.assertEqual(outcome.stdout, "", words)

    def test_options_may_stand_behind_the_verb(self):
        self.assertEqual(self.rewrap("census", "k", "--json").json, self.json("census", "k"))

    def test_failures_print_nothing_on_stdout(self):
        outcome = self.rewrap("--json", "rekey", "absent", expect=FAILED)
        self.assertEqual(outcome.stdout, "")
        outcome = self.rewrap("--quiet", "rekey", "absent", expect=FAILED)
        self.assertIn("no keyset of that name", outcome.stderr)

    def test_stdout_that_is_full(self):
        for words in ("keyset list", "--json census k", "dek generate k --count 5000", "--help"):
            with open("/dev/full", "wb") as full:
                self.refuse(FAILED, "stdout cannot be written", words=words.split(), stdout=full)
        self.check_verify(8000)

    def test_stdout_that_nobody_reads(self):
        read_end, write_end = os.pipe()
        os.close(read_end)
        self.refuse(FAILED, "stdout cannot be written", words=("--json", "rekey", "k"), stdout=write_end)
        os.close(write_end)
        self.assertEqual(self.census(), {1: 0, 2: 3000})

    def test_closed_descriptors_do_not_reach_the_store(self):
        """Messages must not go into a file of the store that was opened with the number of stdout or stderr."""
        pristine = self.dir / "pristine"
        shutil.copytree(self.store, pristine)
        commands = ("rekey k", "rekey k --root nonsense", "dek generate k --count 100 --json", "decommission k 1")
        for closed in ("<&-", ">&-", "2>&-", "<&- >&-", "<&- 2>&-", ">&- 2>&-", "<&- >&- 2>&-"):
            for command in commands:
                with self.subTest(closed=closed, command=command):
                    shutil.rmtree(self.store)
                    shutil.copytree(pristine, self.store)
                    self.run_argv(["/bin/sh", "-c", f"{BINARY} --allow-file-root {command} {closed}"], expect=None)
                    # What a message in the middle of a lock or data file does shows at the latest here.
                    for path in self.store.iterdir():
                        printed = any(text in path.read_bytes() for text in (b"rewrap: ", b'{"keyset"'))
                        self.assertFalse(printed, f"{path} holds what was printed")
                    report = self.json("verify", "k")
                    self.assertEqual(report["ok"], report["deks"])

    def test_a_closed_stdout_is_a_failure(self):
        for words in ("keyset list", "census k --json", "dek generate k --count 1"):
            outcome = self.run_argv(["/bin/sh", "-c", f"{BINARY} --allow-file-root {words} >&-"], expect=FAILED)
            self.assertIn("stdout cannot be written", outcome.stderr)


if __name__ == "__main__":
    unittest.main()
