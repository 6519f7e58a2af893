#!/usr/bin/python3
# Runs clang-tidy 14 on every .cc below the given folders, in parallel, and remembers which are clean.
"""Usage: tidy.py [--deep] BUILD_DIR FOLDER...    for example: tidy.py build/dev engine hsm rekey tools
       tidy.py --self-test

  --deep   the analyzer follows three times as many paths through a function, and takes three times as long

BUILD_DIR holds compile_commands.json and the memory, lint-tidy/. A file is clean for as long as it, every header of
the checkout, .clang-tidy, its compile command and clang-tidy stay the same. Ends with 1 on any finding.

Most of clang-tidy's time goes into headers, so files that are compiled alike are read one behind the other, as one
file, with the definitions and include paths of all of them. (Not by #include: some checks and warnings look into the
main file only.) A group that is not clean, be it for two
of its files that give two things the same name, is checked again in halves: findings are those of the files alone."""

import concurrent.futures
import hashlib
import itertools
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

from repo_files import ROOT, repo_files

CLANG_TIDY = "clang-tidy-14"
# Clang's own budgets for a function are 75,000 states ("shallow") and 225,000. A few large functions use up any, and
# would make up most of the time.
OPTIONS = [f"--extra-arg={word}" for word in ("-Xclang", "-analyzer-config", "-Xclang", "max-nodes=75000")]
GROUP_LEN = 120_000  # bytes of source text: more would save little, and leave a processor idle at the end
# Classes; other types, constants and functions.
NAMES = re.compile(
    rb"^(?:(?:class|struct|enum|enum class) (\w+)|"
    rb"(?!namespace |class |struct |enum |static_assert)(?:\w[\w:<>,*& ]*[ *&])?(\w+)(?: = |\{| \{|\())",
    re.MULTILINE,
)


def output_of(command):
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout


def digest_of(parts):
    """One digest of several byte strings; each is preceded by its length so that none can run into the next."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def common_digest():
    """What the findings in every file depend on."""
    parts = [output_of([CLANG_TIDY, "--version"]).encode(), *(word.encode() for word in OPTIONS)]
    for path in [".clang-tidy"] + repo_files([".h"]):
        parts += [path.encode(), (ROOT / path).read_bytes()]
    return digest_of(parts)


class Source:
    """A file and how it is compiled."""

    def __init__(self, entry):
        self.directory = entry["directory"]
        self.full_path = os.path.normpath(os.path.join(self.directory, entry["file"]))
        self.path = os.path.relpath(os.path.realpath(self.full_path), ROOT)
        self.command = entry.get("command", "")
        # Neither its own name nor its object's, nor what clang-tidy makes nothing of.
        words = [word for word in shlex.split(self.command) if word not in ("-c", "-fPIC", "-fPIE", entry["file"])]
        if "-o" in words:
            del words[words.index("-o") : words.index("-o") + 2]
        # What files that are read together may differ in: definitions and include paths, {name: words}.
        self.added = {}
        self.options = []
        while words:
            word = words.pop(0)
            if word in ("-D", "-I", "-isystem"):
                self.added[word + words[0]] = [word, words.pop(0)]
            elif word.startswith(("-D", "-I")):
                self.added[word.partition("=")[0]] = [word]
            else:
                self.options.append(word)


    def read(self):
        return (ROOT / self.path).read_bytes()


def sources_of(build_dir):
    """Source by path relative to ROOT."""
    entries = json.loads((build_dir / "compile_commands.json").read_text(encoding="utf-8"))
    sources = [Source(entry) for entry in entries]
    return {source.path: source for source in sources}


def names_of(text):
    """What a file defines at the left margin, be it in an unnamed namespace: two files with the same stay apart."""
    return {one or other for one, other in NAMES.findall(text)}


def groups_of(sources):
    """Lists of files of one layer that are compiled alike, the longest first: first fit by size and by names. Folder by
    folder, as one folder's files have more headers in common."""
    bins = []
    for source in sorted(sources, key=lambda source: (os.path.dirname(source.path), -len(source.read()))):
        kind, text = (source.path.partition("/")[0], source.directory, source.options), source.read()
        names = names_of(text)

        def has_room(one):
            added = one["added"]
            return (
                one["kind"] == kind
                and one["len"] + len(text) <= GROUP_LEN
                and not one["names"] & names
                and all(added.get(name, words) == words for name, words in source.added.items())
            )

        one = next(filter(has_room, bins), None)
        if one is None:
            one = {"kind": kind, "len": 0, "names": set(), "added": {}, "sources": []}
            bins.append(one)
        one["len"] += len(text)
        one["names"] |= names
        one["added"] |= source.added
        one["sources"].append(source)
    return [one["sources"] for one in sorted(bins, key=lambda one: -one["len"])]


def clang_tidy(build_dir, path):
    """True, "" when clean, else False and the findings."""
    command = [CLANG_TIDY, "--quiet", *OPTIONS, "-p", str(build_dir), str(path)]
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace", check=False
    )
    if done.returncode == 0 and not done.stdout.strip():
        return True, ""
    # The number of suppressed warnings goes to stderr, of no use unless there is nothing else.
    return False, done.stdout.strip() or done.stderr.strip() or f"{CLANG_TIDY} ended with {done.returncode}"


def with_settings_of(source, folder):
    """A folder below `folder` to which the same .clang-tidy apply, one below the other, as to the source."""
    for above in reversed(pathlib.Path(source.full_path).parents):
        if (above / ".clang-tidy").exists():
            shutil.copy(above / ".clang-tidy", folder)
            folder /= "below"
            folder.mkdir()
    return folder


def is_clean_together(group):
    """Whether the files, one behind the other, have no finding; and if they have, what the first one is."""
    with tempfile.TemporaryDirectory(prefix="rewrap-tidy-") as folder:
        together = with_settings_of(group[0], pathlib.Path(folder)) / "together.cc"
        together.write_bytes(b"".join(source.read() + b"\n" for source in group))
        added = {name: words for source in group for name, words in source.added.items()}
        # What has a name in one file may be a parameter in the next; the compiler itself tells of shadows in one.
        arguments = [*group[0].options, *itertools.chain(*added.values()), "-Wno-shadow", "-c", str(together)]
        entry = {"directory": group[0].directory, "file": str(together), "arguments": arguments}
        (pathlib.Path(folder) / "compile_commands.json").write_text(json.dumps([entry]), encoding="utf-8")
        clean, text = clang_tidy(folder, together)
        return clean, text.partition("\n")[0].removeprefix(f"{together}:")


def findings_of(build_dir, group):
    """{path: findings} of the files of a group that are not clean."""
    if len(group) == 1:
        clean, text = clang_tidy(build_dir, group[0].full_path)
        return {} if clean else {group[0].path: text}
    clean, first = is_clean_together(group)
    if clean:
        return {}
    print(f"tidy: in halves: {' '.join(source.path for source in group)}: {first}", flush=True)
    half = len(group) // 2
    return findings_of(build_dir, group[:half]) | findings_of(build_dir, group[half:])


def check(build_dir, sources):
    """The number of files with findings, which are printed as they come."""
    memory = build_dir / "lint-tidy"
    memory.mkdir(exist_ok=True)
    common = common_digest()

    def key_of(source):
        return memory / digest_of([common.encode(), source.path.encode(), source.read(), source.command.encode()])

    keys = {source.path: key_of(source) for source in sources}
    for old in memory.iterdir():
        if old not in keys.values():
            old.unlink()
    stale = [source for source in sources if not keys[source.path].exists()]
    print(f"tidy: {len(sources)} files, {len(stale)} to check", flush=True)

    num_bad = 0
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        running = {pool.submit(findings_of, build_dir, group): group for group in groups_of(stale)}
        for done in concurrent.futures.as_completed(running):
            findings = done.result()
            for source in running[done]:
                if source.path not in findings:
                    keys[source.path].touch()
            num_bad += len(findings)
            for path, text in findings.items():
                print(f"---- {path}\n{text}", flush=True)
    return num_bad


SAMPLES = {
    "clean.cc": "namespace {\nint twice(int x) { return 2 * x; }\n}  // namespace\nint clean(int x) { return twice(x); }\n",
    "same_name.cc": "namespace {\nint twice(int x) { return x + x; }\n}  // namespace\nint same(int x) { return twice(x); }\n",
    # Of the kind that is found in the main file only.
    "bad.cc": "namespace other {\nint number();\n}  // namespace other\nusing other::number;\n",
}


def self_test():
    """A finding in a group comes out under its own file's name, and two files with the same name harm nobody."""
    with tempfile.TemporaryDirectory(prefix="rewrap-tidy-test-") as name:
        folder, entries = pathlib.Path(name).resolve(), []
        shutil.copy(ROOT / ".clang-tidy", folder)
        for file, text in SAMPLES.items():
            (folder / file).write_text(text, encoding="ascii")
            command = f"c++ -std=c++20 -Wall -o {file}.o -c {folder / file}"
            entries.append({"directory": str(folder), "file": str(folder / file), "command": command})
        (folder / "compile_commands.json").write_text(json.dumps(entries), encoding="utf-8")
        by_name = {os.path.basename(path): source for path, source in sources_of(folder).items()}
        clean, same_name, bad = (by_name[file] for file in SAMPLES)
        assert len(groups_of([clean, same_name])) == 2, "files with the same name are kept apart"
        assert groups_of([clean, bad]) in ([[clean, bad]], [[bad, clean]]), "others go together"
        assert is_clean_together([clean])[0]
        assert not is_clean_together([clean, bad])[0], "the finding is seen in the group"
        findings = findings_of(folder, [clean, bad])
        assert list(findings) == [bad.path] and "bad.cc:4:" in findings[bad.path], findings
        assert not is_clean_together([clean, same_name])[0] and not findings_of(folder, [clean, same_name])
    print("tidy: self-test passed")


def main(arguments):
    if arguments == ["--self-test"]:
        self_test()
        return 0
    if arguments[:1] == ["--deep"]:
        OPTIONS.clear()
        arguments = arguments[1:]
    if len(arguments) < 2 or arguments[0] in ("--help", "-h"):
        print(__doc__)
        return 2
    build_dir = pathlib.Path(arguments[0]).resolve()
    folders = tuple(folder.rstrip("/") + "/" for folder in arguments[1:])
    paths = [path for path in repo_files([".cc"]) if path.startswith(folders)]
    sources = sources_of(build_dir)
    not_built = [path for path in paths if path not in sources]
    for path in not_built:
        print(f"{path}: no target builds this file")
    num_bad = check(build_dir, [sources[path] for path in paths if path in sources])
    print(f"tidy: findings in {num_bad} files")
    return 1 if num_bad or not_built or not paths else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
