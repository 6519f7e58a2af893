#!/usr/bin/python3
# Fails when a file of the checkout names something that only the machine it was written on has.
"""Usage: words.py [--self-test]

Ends with 1 when something was found, one finding a line: FILE:LINE: words."""

import pathlib
import re
import sys

from repo_files import ROOT, repo_files

# The checkout itself and the home of whoever runs this. A path counts only from its very start: "a/root/b" is fine.
PLACES = [str(place) for place in (ROOT, pathlib.Path.home()) if len(place.parts) > 1]


def pattern_of(places):
    return re.compile(r"(?<![\w.}\])*-])(?:" + "|".join(map(re.escape, places)) + ")/")


BINARY_PROBE_LEN = 8192


def findings_in(text, pattern):
    """(line number, words) of each finding."""
    for number, line in enumerate(text.split("\n"), 1):
        for match in pattern.finditer(line):
            yield number, match.group()


def self_test():
    pattern = pattern_of(["/checkout", "/home/me"])
    bad = ("see /checkout/a", '"/home/me/.x"', "--store=/checkout/b", "'/home/me/'")
    good = ("tests/checkout/a", "$dir/checkout/b", "${dir}/home/me/b", "checkout/b", "<dir>-x/checkout/", "/checkouts/a")
    missed = [text for text in bad if len(list(findings_in(text, pattern))) != 1]
    wrong = [text for text in good if list(findings_in(text, pattern))]
    print(f"words self-test: missed {missed}, wrongly found {wrong}")
    return 1 if missed or wrong else 0


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    if arguments:
        print(__doc__)
        return 2
    pattern = pattern_of(PLACES)
    num_files = num_findings = 0
    for path in repo_files():
        data = (ROOT / path).read_bytes()
        if b"\0" in data[:BINARY_PROBE_LEN]:
            continue
        num_files += 1
        for number, words in findings_in(data.decode("utf-8", "replace"), pattern):
            num_findings += 1
            print(f"{path}:{number}: {words}")
    print(f"words: {num_files} files, {num_findings} findings")
    return 1 if num_findings or num_files == 0 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
