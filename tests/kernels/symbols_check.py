#!/usr/bin/python3
# Checks that each kernel object exports its table alone and needs nothing of anybody.
"""Usage: symbols_check.py OBJECT...              checks kernel objects
       symbols_check.py --self-test COMPILER   compiles objects that break each rule and sees it found

The objects are compiled for instruction sets that the rest of the program must not use. Rules, a finding each:

  exports    the one global symbol must be a KwKernel or GcmKernels, as data: aesni.cc exports rewrap::aesni::kAesniKw
  weak       a weak or unique symbol: the linker may take it for everybody's, and other CPUs then run it
  group      a section group (COMDAT): the same
  undefined  a symbol from elsewhere, as memcpy: key bytes would pass through code that is not checked here

Ends with 1 when something was found, one finding a line: OBJECT: rule: symbol."""

import pathlib
import re
import sys
import tempfile

import objects

TABLE = re.compile(r"rewrap::aesni::k\w+(Kw|Gcm)")
# What code for shared libraries refers to whatever it does.
HARMLESS = {"_GLOBAL_OFFSET_TABLE_"}


def check_object(path):
    """Yields (rule, symbol) of each finding."""
    exports = []
    for line in objects.output_of("nm", "--format=posix", "--demangle", str(path)).split("\n"):
        match = re.match(r"(?P<name>.+) (?P<type>[A-Za-z-])(?: [0-9a-f]+)?(?: [0-9a-f]*)?\s*$", line)
        if not match:
            continue
        name, kind = match["name"], match["type"]
        if kind in "wWvVu":
            yield "weak", name
        elif kind == "U":
            if name not in HARMLESS:
                yield "undefined", name
        elif kind.isupper():
            exports.append((name, kind))
    if len(exports) != 1 or not TABLE.fullmatch(exports[0][0]) or exports[0][1] not in "DR":
        yield "exports", ", ".join(name for name, _ in exports) or "nothing"
    if "COMDAT" in objects.output_of("readelf", "--section-groups", "--wide", str(path)):
        yield "group", "COMDAT"


def check_objects(paths):
    num_findings = 0
    for path in paths:
        findings = list(check_object(path))
        num_findings += len(findings)
        for rule, symbol in findings:
            print(f"{pathlib.Path(path).name}: {rule}: {symbol}")
        print(f"symbols check: {pathlib.Path(path).name}: {len(findings)} findings")
    return 1 if num_findings else 0


# ---- self-test ----

KERNEL = """
#include "aesni/kernels.h"
namespace rewrap::aesni {
extern const KwKernel kTriedKw;
%s
namespace { void check(KwState*, const uint8_t* in, uint8_t* out, size_t n) { (void)in; (void)out; (void)n; %s } }
const KwKernel kTriedKw{nullptr, nullptr, nullptr, nullptr, check};
}
"""

# (what, rules that must be found and no other, helpers, the body of a function)
CASES = (
    ("nothing", set(), "", ""),
    ("a helper of its own", set(), "namespace { __attribute__((noinline)) void help() { asm(\"\"); } }", "help();"),
    ("a second export", {"exports"}, "void help(); void help() {}", ""),
    ("exported data", {"exports"}, "int count = 3;", ""),
    ("an inline function", {"weak", "group"}, "__attribute__((noinline)) inline void help() { asm(\"\"); }", "help();"),
    ("a template", {"weak", "group"},
     "template <int> __attribute__((noinline)) void help() { asm(\"\"); }", "help<3>();"),
    ("an inline variable", {"weak", "group"}, "struct X { static inline int count = 3; };", "out[0] = X::count++;"),
    ("a static of an inline function", {"weak", "group"},
     "inline int help() { static int count; return ++count; }", "out[0] = help();"),
    ("a weak function", {"weak"}, "__attribute__((weak)) void help() {}", ""),
    ("memcpy", {"undefined"}, "", "__builtin_memcpy(out, in, n);"),
    ("memset", {"undefined"}, "", "__builtin_memset(out, 0, n);"),
    ("data of others", {"undefined"}, "extern int elsewhere;", "out[0] = elsewhere;"),
)  # fmt: skip
# No table at all, and one that is not data.
BARE = (
    ("no table", "static int x; int* y() { return &x; }"),
    ("a function", "namespace rewrap::aesni { void kXKw() {} }"),
)


def self_test(compiler):
    failures = 0
    with tempfile.TemporaryDirectory(prefix="rewrap-symbols-check-") as name:
        source, path = pathlib.Path(name) / "case.cc", pathlib.Path(name) / "case.o"
        cases = [(what, expected, KERNEL % tuple(parts)) for what, expected, *parts in CASES]
        cases += [(what, {"exports"}, text) for what, text in BARE]
        for what, expected, text in cases:
            source.write_text(text, encoding="utf-8")
            objects.compile_object(compiler, source, path)
            findings = list(check_object(path))
            if {rule for rule, _ in findings} != expected:
                failures += 1
                print(f"expected {expected} in {what}, found {findings}")
    print(f"symbols check self-test: {len(cases)} objects tried, {failures} failures")
    return 1 if failures else 0


def main(arguments):
    if len(arguments) == 2 and arguments[0] == "--self-test":
        return self_test(arguments[1])
    if not arguments or arguments[0].startswith("-"):
        print(__doc__)
        return 2
    return check_objects(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
