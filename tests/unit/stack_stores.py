#!/usr/bin/python3
# Checks that the kernels keep blocks, key stream and GHASH in registers: no vector goes to the stack.
"""Usage: stack_stores.py OBJECT...

Ends with 1 if an object file stores a vector register of 16 bytes or more below the stack or frame pointer, one finding
a line, or if an object has no AES instruction at all and so cannot be a kernel."""

import re
import subprocess
import sys

FUNCTION = re.compile(r"^[0-9a-f]+ <(.*)>:$")
# AT&T order: the destination is last. vmovq moves 8 bytes: GCC parks pointers in vector registers now and then.
STORE = re.compile(r"\t(?!vmovq\b)(v?mov\w+|vextract\w+)\s[^\t]*%[xyz]mm\d+(\{%k\d\})?,(-?0x[0-9a-f]+)?\(%r[sb]p\)")


def findings(path):
    command = ["objdump", "--disassemble", "--demangle", "--no-show-raw-insn", path]
    listing = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "aesenc" not in listing:
        yield f"{path}: no AES instruction: not a kernel"
    function = "?"
    for line in listing.splitlines():
        match = FUNCTION.match(line)
        if match:
            function = match.group(1)
        elif STORE.search(line):
            yield f"{path}: {function}: {line.strip()}"


def main(paths):
    if not paths:
        print(__doc__)
        return 2
    found = [finding for path in paths for finding in findings(path)]
    print("\n".join(found))
    print(f"stack_stores: {len(paths)} objects, {len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
