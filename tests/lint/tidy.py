#!/usr/bin/python3
# Runs clang-tidy 14 on every .cc below the given folders, in parallel, and remembers which are clean.
"""Usage: tidy.py BUILD_DIR FOLDER...    for example: tidy.py build/dev engine hsm rekey tools

BUILD_DIR holds compile_commands.json and the memory, lint-tidy/. A file is clean for as long as it, every header of
the checkout, .clang-tidy, its compile command and clang-tidy stay the same. Ends with 1 on any finding."""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import subprocess
import sys

from repo_files import ROOT, repo_files

CLANG_TIDY = "clang-tidy-14"


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
    parts = [output_of([CLANG_TIDY, "--version"]).encode()]
    for path in [".clang-tidy"] + repo_files([".h"]):
        parts += [path.encode(), (ROOT / path).read_bytes()]
    return digest_of(parts)


def compile_commands(build_dir):
    """Compile command by path relative to ROOT."""
    entries = json.loads((build_dir / "compile_commands.json").read_text(encoding="utf-8"))
    commands = {}
    for entry in entries:
        path = os.path.normpath(os.path.join(entry["directory"], entry["file"]))
        commands[os.path.relpath(os.path.realpath(path), ROOT)] = entry.get("command", "")
    return commands


def tidy(build_dir, path):
    """True, "" when clean, else False and the findings."""
    command = [CLANG_TIDY, "--quiet", "-p", str(build_dir), str(ROOT / path)]
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace", check=False
    )
    if done.returncode == 0 and not done.stdout.strip():
        return True, ""
    # The number of suppressed warnings goes to stderr, of no use unless there is nothing else.
    return False, done.stdout.strip() or done.stderr.strip() or f"{CLANG_TIDY} ended with {done.returncode}"


def check(build_dir, paths, commands):
    """The number of files with findings, which are printed as they come."""
    memory = build_dir / "lint-tidy"
    memory.mkdir(exist_ok=True)
    common = common_digest()

    def key_of(path):
        parts = [common.encode(), path.encode(), (ROOT / path).read_bytes(), commands[path].encode()]
        return memory / digest_of(parts)

    keys = {path: key_of(path) for path in paths}
    for old in memory.iterdir():
        if old not in keys.values():
            old.unlink()
    stale = [path for path in paths if not keys[path].exists()]
    print(f"tidy: {len(paths)} files, {len(stale)} to check", flush=True)

    num_bad = 0
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        running = {pool.submit(tidy, build_dir, path): path for path in stale}
        for done in concurrent.futures.as_completed(running):
            clean, text = done.result()
            if clean:
                keys[running[done]].touch()
            else:
                num_bad += 1
                print(f"---- {running[done]}\n{text}", flush=True)
    return num_bad


def main(arguments):
    if len(arguments) < 2 or arguments[0] in ("--help", "-h"):
        print(__doc__)
        return 2
    build_dir = pathlib.Path(arguments[0]).resolve()
    folders = tuple(folder.rstrip("/") + "/" for folder in arguments[1:])
    paths = [path for path in repo_files([".cc"]) if path.startswith(folders)]
    commands = compile_commands(build_dir)
    not_built = [path for path in paths if path not in commands]
    for path in not_built:
        print(f"{path}: no target builds this file")
    num_bad = check(build_dir, [path for path in paths if path in commands], commands)
    print(f"tidy: findings in {num_bad} files")
    return 1 if num_bad or not_built or not paths else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
