#!/usr/bin/python3
# Checks that includes only go down the layers, and the rules on source files that no other tool knows.
"""Usage: layers.py [ROOT]        checks the sources below ROOT (default: this checkout)
       layers.py --self-test  breaks each rule on purpose in a temporary tree and sees it found

Ends with 1 when something was found, one finding a line: FILE:LINE: rule: text."""

import collections
import os
import pathlib
import re
import sys
import tempfile

# Each layer and what it may include, longest path first: engine/base is a layer of its own below engine.
MAY_INCLUDE = {
    "engine/base": {"engine/base"},
    "aesni": {"aesni"},
    "hsm": {"hsm", "engine/base"},
    "engine": {"engine", "engine/base", "hsm", "aesni"},
    "rekey": {"rekey", "engine", "engine/base", "hsm"},
    "api": {"api", "rekey", "engine", "engine/base", "hsm"},
    "tools": {"tools", "api", "rekey", "engine", "engine/base", "hsm", "aesni"},
    "bench": {"bench", "api", "rekey", "engine", "engine/base", "hsm", "aesni"},
    # A test may reach whatever it tests, a part of a tool too.
    "tests": {"tests", "tools", "api", "rekey", "engine", "engine/base", "hsm", "aesni"},
}
FOLDERS = ("aesni", "api", "bench", "engine", "hsm", "rekey", "tests", "tools")

# Foreign headers that only some files may see: (what, pattern of the header, pattern of the files that may).
FENCED = (
    ("PKCS#11 headers", r"(p11-kit/.*|(.*/)?pkcs11[^/]*)", r"(hsm/pkcs11|tests)/.*"),
    ("libtss2 headers", r"tss2/.*", r"hsm/tpm2/.*\.cc|tests/.*"),
    ("libcurl headers", r"curl/.*", r"hsm/awskms/.*\.cc|tests/.*"),
    ("lmdb.h", r"(.*/)?lmdb\.h", r"(rekey/lmdb|tests)/.*"),
    ("sqlite3.h", r"(.*/)?sqlite3\.h", r"api/service/database\.cc"),
    ("libsystemd headers", r"systemd/.*", r"tools/rewrapd/notify\.cc"),
    ("toml++ headers", r"toml\+\+/.*", r"tools/rewrapd/config\.cc"),
    ("OpenSSL headers", r"openssl/.*", r".*\.cc"),
    ("CLI11 headers", r"CLI/.*", r"tools/rewrapd?/main\.cc|tools/rewrap/verb\.cc"),
    ("ipsec-mb headers", r"(.*/)?intel-ipsec-mb\.h", r"engine/ipsecmb.*|(bench|tests)/.*"),
    ("Boost headers", r"boost/.*", r"(tools|api)/.*|rekey/jsonl\.cc|tests/api/(front|ontap|element|http_fronts|native)_.*"),
)

INCLUDE = re.compile(r'^\s*#\s*(?:include|include_next|import)\b\s*(?:(["<])([^">]+)[">])?')
# Literals are matched too so that a "//" inside one does not look like a comment. The look-behind is for 1'000'000.
COMMENT_OR_LITERAL = re.compile(
    r'(?P<comment>//[^\n]*|/\*.*?\*/)'
    r'|R"(?P<delimiter>[^()\\\s]{0,16})\(.*?\)(?P=delimiter)"'
    r'|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])*'",
    re.DOTALL,
)

Finding = collections.namedtuple("Finding", "path line rule text")


def layer_of(path):
    for layer in MAY_INCLUDE:
        if path.startswith(layer + "/"):
            return layer
    return None


def without_comments(text):
    """The text with comments blanked out, lines kept."""

    def blank(match):
        if match.group("comment") is None:
            return match.group(0)
        return re.sub(r"[^\n]", " ", match.group(0))

    return COMMENT_OR_LITERAL.sub(blank, text)


def without_literals(code):
    """Code whose comments are gone already, with literals blanked out, lines kept."""
    return COMMENT_OR_LITERAL.sub(lambda match: re.sub(r"[^\n]", " ", match.group(0)), code)


def check_own_include(root, path, header):
    """Yields (rule, text) for an include of one of our own headers."""
    if layer_of(header) is None or ".." in header.split("/") or not (root / header).is_file():
        yield "own-include", f'no file "{header}" in a layer below the repository root'
        return
    if not header.endswith(".h"):
        yield "own-include", f'"{header}" is not a header'
    if layer_of(header) not in MAY_INCLUDE[layer_of(path)]:
        yield "layer", f'{layer_of(path)} may not include "{header}"'


def check_foreign_include(root, path, header):
    """Yields (rule, text) for an include in angle brackets."""
    if (root / header).is_file() and layer_of(header) is not None:
        yield "own-include", f"own header <{header}> belongs in quotes"
    for what, headers, files in FENCED:
        if re.fullmatch(headers, header) and not re.fullmatch(files, path):
            yield "foreign", f"{what} are not for this file: <{header}>"


def check_includes(root, path, code):
    for number, line in enumerate(code.split("\n"), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        bracket, header = match.groups()
        if header is None:
            yield Finding(path, number, "own-include", "an include names its file; macros are not followed")
            continue
        check = check_own_include if bracket == '"' else check_foreign_include
        for rule, text in check(root, path, header):
            yield Finding(path, number, rule, text)


def check_guard(path, code):
    guard = "REWRAP_" + re.sub(r"[^A-Z0-9]", "_", path[: -len(".h")].upper()) + "_H_"
    lines = [line.strip() for line in code.split("\n") if line.strip()]
    if lines[:2] != [f"#ifndef {guard}", f"#define {guard}"] or lines[-1] != "#endif":
        yield Finding(path, 1, "guard", f"the include guard around everything must be {guard}")


def check_text(path, text, code):
    if not re.match(r"// ?\S", text):
        yield Finding(path, 1, "purpose", "the first line must say the file's purpose in a // comment")
    for number, line in enumerate(text.split("\n"), 1):
        word = re.search(r"\b(TODO|FIXME)\b", line)
        if word:
            yield Finding(path, number, "unfinished", f"{word.group()} in a finished file")
    for match in re.finditer(r"\busing\s+namespace\b", without_literals(code)):
        yield Finding(path, code.count("\n", 0, match.start()) + 1, "using", "no using namespace")


def check_file(root, path):
    text = (root / path).read_text(encoding="utf-8")
    code = without_comments(text)
    yield from check_text(path, text, code)
    yield from check_includes(root, path, code)
    if path.endswith(".h"):
        yield from check_guard(path, code)


def source_files(root):
    for top in FOLDERS:
        for folder, folders, files in os.walk(root / top):
            folders.sort()
            for name in sorted(files):
                if name.endswith((".h", ".cc")):
                    yield os.path.relpath(os.path.join(folder, name), root)


def check_tree(root):
    return [finding for path in source_files(root) for finding in check_file(root, path)]


# ---- self-test ----


def header_text(path, body=""):
    guard = "REWRAP_" + path[:-2].upper().replace("/", "_") + "_H_"
    return f"// A header.\n#ifndef {guard}\n#define {guard}\n{body}\n#endif  // {guard}\n"


GOOD_HEADERS = (
    "aesni/kernel.h", "api/service.h", "bench/clock.h", "engine/base/status.h", "engine/batch.h", "hsm/root.h",
    "hsm/pkcs11/token.h", "rekey/store.h", "tests/unit/helper.h", "tools/rewrap/table.h",
)  # fmt: skip
# Files that break no rule although they come close to it.
GOOD = {
    "engine/a.cc": '// It is.\n#include "aesni/kernel.h"\n#include "engine/base/status.h"\n#include "hsm/root.h"\n',
    "engine/b.cc": "// It is.\n#include <openssl/evp.h>\n#include <vector>\n",
    "engine/c.cc": '// It is.\n// #include "rekey/store.h"\n/*\n#include "api/service.h"\n*/\nint x = 1\'000\'000;\n',
    "engine/d.cc": '// It is.\nconst char* kX = "using namespace std; // \\" /*";\nconst char* kY = R"(")";\n',
    "engine/e.cc": "// It is.\n// We avoid using namespace std here.\nint todo = 0;\n",
    "api/service/database.cc": "// It is.\n#include <sqlite3.h>\n",
    "engine/ipsecmb.cc": "// It is.\n#include <intel-ipsec-mb.h>\n",
    "hsm/pkcs11/a.cc": '// It is.\n#include <p11-kit/pkcs11.h>\n#include <p11-kit/uri.h>\n#include "hsm/pkcs11/token.h"\n',
    "hsm/awskms/a.cc": "// It is.\n#include <curl/curl.h>\n",
    "hsm/tpm2/a.cc": "// It is.\n#include <tss2/tss2_esys.h>\n",
    "tools/rewrap/verb.cc": "// It is.\n#include <CLI/CLI.hpp>\n",
    "rekey/lmdb/a.cc": "// It is.\n#include <lmdb.h>\n",
    "rekey/jsonl.cc": "// It is.\n#include <boost/json.hpp>\n",
    "tests/unit/a.cc": '// It is.\n#include <lmdb.h>\n#include <p11-kit/pkcs11.h>\n#include "tools/rewrap/table.h"\n',
    "tools/rewrap/json.h": header_text("tools/rewrap/json.h", "#include <boost/json.hpp>"),
}


def include(header):
    return f'// A file.\n#include "{header}"\n'


def foreign(header):
    return f"// A file.\n#include <{header}>\n"


def bad_files():
    """(path, text, rule): each file breaks exactly this rule."""
    for layer, allowed in MAY_INCLUDE.items():
        for header in GOOD_HEADERS:
            if layer_of(header) not in allowed:
                yield f"{layer}/bad.cc", include(header), "layer"
    yield "hsm/bad.h", header_text("hsm/bad.h", '#include "engine/batch.h"'), "layer"
    yield "hsm/bad.cc", '// A file.\n  #  include   "aesni/kernel.h"  // why\n', "layer"
    yield "engine/bad.cc", include("status.h"), "own-include"
    yield "engine/bad.cc", include("engine/missing.h"), "own-include"
    yield "engine/bad.cc", include("../hsm/root.h"), "own-include"
    yield "engine/bad.cc", include("hsm/../engine/batch.h"), "own-include"
    yield "engine/bad.cc", include("engine/a.cc"), "own-include"
    yield "engine/bad.cc", include("lmdb.h"), "own-include"
    yield "engine/bad.cc", foreign("rekey/store.h"), "own-include"
    yield "engine/bad.cc", "// A file.\n#include HEADER\n", "own-include"
    for path in ("hsm/bad.cc", "engine/bad.cc", "tools/bad.cc", "bench/bad.cc"):
        for header in ("p11-kit/uri.h", "p11-kit/pkcs11.h", "pkcs11.h", "softhsm/pkcs11t.h"):
            yield path, foreign(header), "foreign"
    for path in ("hsm/bad.cc", "hsm/pkcs11/bad.cc", "tools/bad.cc"):
        yield path, foreign("tss2/tss2_esys.h"), "foreign"
    path = "hsm/tpm2/bad.h"
    yield path, header_text(path, "#include <tss2/tss2_esys.h>"), "foreign"
    for path in ("hsm/bad.cc", "api/bad.cc"):
        yield path, foreign("curl/curl.h"), "foreign"
    path = "hsm/awskms/bad.h"
    yield path, header_text(path, "#include <curl/curl.h>"), "foreign"
    for path in ("rekey/bad.cc", "tools/bad.cc", "engine/bad.cc"):
        yield path, foreign("lmdb.h"), "foreign"
    yield "tools/rewrap/bad.cc", foreign("CLI/CLI.hpp"), "foreign"
    for path in ("api/service/bad.cc", "rekey/bad.cc", "tools/bad.cc", "tests/bad.cc"):
        yield path, foreign("sqlite3.h"), "foreign"
    for path in ("rekey/bad.cc", "tools/bad.cc", "engine/bad.cc", "engine/base/ipsecmb.cc", "hsm/bad.cc"):
        yield path, foreign("intel-ipsec-mb.h"), "foreign"
    for layer in MAY_INCLUDE:
        path = f"{layer}/bad.h"
        yield path, header_text(path, "#include <openssl/evp.h>"), "foreign"
    for path in ("engine/bad.cc", "hsm/bad.cc", "rekey/bad.cc", "rekey/lmdb/bad.cc", "tests/bad.cc"):
        yield path, foreign("boost/json.hpp"), "foreign"
    path = "rekey/jsonl.h"
    yield path, header_text(path, "#include <boost/json.hpp>"), "foreign"
    yield "engine/bad.h", header_text("engine/worse.h"), "guard"
    yield "engine/bad.h", "// A header.\n#pragma once\n", "guard"
    yield "engine/bad.h", header_text("engine/bad.h") + "int after = 0;\n", "guard"
    yield "engine/bad.h", "// A header.\n", "guard"
    yield "engine/bad.cc", "int x = 0;\n", "purpose"
    yield "engine/bad.cc", "\n// Late.\n", "purpose"
    yield "engine/bad.cc", "//\n// Late.\n", "purpose"
    yield "engine/bad.cc", "", "purpose"
    yield "engine/bad.cc", "/* A file. */\n", "purpose"
    yield "tests/bad.cc", "// A file.\n// " + "TO" + "DO: more\n", "unfinished"
    yield "tools/bad.cc", "// A file.\nint x = 0;  // " + "FIX" + "ME\n", "unfinished"
    yield "tests/bad.cc", "// A file.\nusing namespace std;\n", "using"
    yield "engine/bad.cc", '// A file.\nconst char* k = "//"; using\n  namespace std::literals;\n', "using"


def write(root, path, text):
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text, encoding="utf-8")


def self_test():
    failures = 0
    num_cases = 0
    with tempfile.TemporaryDirectory(prefix="rewrap-layers-") as folder:
        root = pathlib.Path(folder)
        for path in GOOD_HEADERS:
            write(root, path, header_text(path))
        for path, text in GOOD.items():
            write(root, path, text)
        for finding in check_tree(root):
            failures += 1
            print("found in a good tree: %s:%d: %s: %s" % finding)
        rules = set()
        for path, text, rule in bad_files():
            num_cases += 1
            rules.add(rule)
            write(root, path, text)
            found = [(finding.path, finding.rule) for finding in check_tree(root)]
            (root / path).unlink()
            if found != [(path, rule)]:
                failures += 1
                print(f"expected only '{rule}' in {path}, found {found}:\n{text}")
        if rules != {"layer", "own-include", "foreign", "guard", "purpose", "unfinished", "using"}:
            failures += 1
            print(f"some rule has no case: {rules}")
    print(f"layers self-test: {num_cases} violations tried, {failures} failures")
    return 1 if failures else 0


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    if len(arguments) > 1 or arguments[:1] in (["--help"], ["-h"]):
        print(__doc__)
        return 0 if len(arguments) == 1 else 2
    root = pathlib.Path(arguments[0]) if arguments else pathlib.Path(__file__).resolve().parents[2]
    num_files = sum(1 for _ in source_files(root))
    findings = check_tree(root)
    for finding in findings:
        print("%s:%d: %s: %s" % finding)
    print(f"layers: {num_files} files, {len(findings)} findings")
    if num_files == 0:
        print("layers: no source file found; is this the repository root?")
    return 1 if findings or num_files == 0 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
