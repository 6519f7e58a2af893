#!/usr/bin/python3
# Lists the files of the checkout, one a line: those that git tracks and those it neither tracks nor ignores.
"""Usage: repo_files.py [SUFFIX...]    for example: repo_files.py .h .cc"""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
NOT_OURS = {".git", ".cache", "build", "__pycache__"}


def _from_git():
    # safe.directory: a checkout may belong to another user than the one who tests it.
    command = ["git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT), "ls-files", "-z"]
    command += ["--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return [os.fsdecode(name) for name in done.stdout.split(b"\0") if name]


def _from_walk():
    # A source archive has no git data; then everything counts that is not built.
    names = []
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in NOT_OURS]
        names += [os.path.relpath(os.path.join(folder, name), ROOT) for name in files]
    return names


def repo_files(suffixes=()):
    """Sorted paths relative to ROOT; with suffixes, only files that end in one of them."""
    try:
        names = _from_git()
    except (OSError, subprocess.CalledProcessError):
        names = _from_walk()
    # A tracked file that has been deleted is still listed by git; a link is judged where it points.
    return sorted(
        name
        for name in set(names)
        if (ROOT / name).is_file()
        and not (ROOT / name).is_symlink()
        and (not suffixes or name.endswith(tuple(suffixes)))
    )


if __name__ == "__main__":
    for found in repo_files(sys.argv[1:]):
        print(found)
