#!/usr/bin/python3
# Checks the machine code of the fused kernels: nothing of a vector register on the stack, and constant time.
"""Usage: code_check.py LAYOUT OBJECT...              checks kernel objects
       code_check.py LAYOUT --self-test COMPILER   compiles kernels that break each rule and sees it found

LAYOUT is the program built from layout.cc. Every instruction of an object must be reached from its table, so that
none goes unchecked. Rules, a finding each:

  vector on the stack       keys and rows live in vector registers; a spill would leave them in ordinary memory (what is
                            known to be public, such as a pointer or a counter, may go there)
  secret on the stack       the same for general registers
  branch, address           a conditional branch or a memory address depends on a secret
  division                  an operand is secret: division takes a time that depends on its operands
  secret in a public field  of the caller's structures, which the checks above trust
  leaves the object         a call or jump goes elsewhere, or nobody knows where to
  not reached, unknown instruction, lost stack address, stack pointer, recursion   nothing can be promised

What a secret is says taint.py. Ends with 1 when something was found, one finding a line: OBJECT:ADDRESS: rule: text."""

import pathlib
import sys
import tempfile

import objects
import taint

# What is not named is public: numbers, and the addresses of buffers.
STATE = taint.Value(False, "state", 0)
SIDE = taint.Value(False, "side", 0)
SCHEDULE = taint.Value(False, "schedule", 0)  # of GCM: nothing in it is public
BATCH = taint.Value(False, "batch", 0)
ARGUMENTS = {
    "kw": {
        "set_up": {"rdi": STATE, "rdx": SIDE, "rcx": SIDE},
        "rewrap": {"rdi": STATE},
        "wrap": {"rdi": STATE},
        "unwrap": {"rdi": STATE},
        "check": {"rdi": STATE},
    },
    "gcm": {
        "set_up": {"rdi": SCHEDULE, "rdx": taint.Value(False, "shape", 0)},
        "rewrap": {"rdi": SCHEDULE, "rsi": SCHEDULE, "rdx": BATCH},
        "wrap": {"rdi": SCHEDULE, "rsi": BATCH},
        "unwrap": {"rdi": SCHEDULE, "rsi": BATCH},
        "check": {"rdi": SCHEDULE, "rsi": BATCH},
    },
}
RULES = {
    "vector on the stack", "secret on the stack", "branch", "address", "division", "secret in a public field",
    "leaves the object", "not reached", "unknown instruction", "lost stack address", "stack pointer", "recursion",
}  # fmt: skip


def read_layout(program):
    """({kind of table: {offset in it: name}}, {structure: [(offset, bytes)]})"""
    entries, public_fields = {}, {}
    for line in objects.output_of(program).split("\n"):
        words = line.split()
        if words[:1] == ["entry"]:
            entries.setdefault(words[1], {})[int(words[3])] = words[2]
        elif words[:1] == ["public"]:
            public_fields.setdefault(words[1], []).append((int(words[2]), int(words[3])))
    names = {kind: set(table.values()) for kind, table in entries.items()}
    expected = {kind: set(arguments) for kind, arguments in ARGUMENTS.items()}
    if names != expected or set(public_fields) != {"state", "side", "batch", "shape"}:
        raise ValueError(f"unexpected layout: {entries}, {public_fields}")
    return entries, public_fields


def check_object(path, layout):
    """(findings in order of address, number of instructions)"""
    kind = objects.table_kind(path)
    entries, public_fields = layout[0][kind], layout[1]
    code = objects.disassemble(path)
    table = objects.table_entries(path)
    if sorted(table) != sorted(entries):
        raise ValueError(f"{path}: its table has relocations at {sorted(table)}, expected {sorted(entries)}")
    if {instruction.section for instruction in code} != {".text"}:
        raise ValueError(f"{path}: code outside of .text is not followed")
    analysis = taint.Analysis(code, public_fields)
    for offset, name in entries.items():
        analysis.run_entry(table[offset], ARGUMENTS[kind][name])
    findings = set(analysis.findings)
    for instruction in code:
        if instruction.address not in analysis.visited and not taint.is_padding(instruction):
            findings.add(taint.Finding(instruction.address, "not reached", instruction.text))
    return sorted(findings), len(code)


def check_objects(paths, layout):
    num_findings = 0
    for path in paths:
        findings, num_instructions = check_object(path, layout)
        num_findings += len(findings)
        for finding in findings:
            print(f"{pathlib.Path(path).name}:{finding.address:x}: {finding.rule}: {finding.text}")
        print(f"code check: {pathlib.Path(path).name}: {num_instructions} instructions, {len(findings)} findings")
    return 1 if num_findings else 0


# ---- self-test ----

# %s: helpers, the body of set_up, the body of rewrap.
KERNEL = """
#include <immintrin.h>
#include <string.h>
#include "aesni/kernels.h"
namespace rewrap::aesni {
extern const KwKernel kTriedKw;
namespace {
#define NOINLINE __attribute__((noinline))
#define MARK asm volatile("nop")  // keeps a branch a branch
#define FENCE asm volatile("" ::: "memory")
uint64_t load(const void* at) { uint64_t v; __builtin_memcpy(&v, at, 8); return v; }
__m512i* row(KwState* state) { return reinterpret_cast<__m512i*>(state->rows[0].blocks); }
struct Holder { const uint8_t* in; uint8_t* out; size_t n; uint64_t v; };
%s
void set_up(KwState* state, size_t n, const KwSide* from, const KwSide* to) {
  state->num_semiblocks = n; (void)from; (void)to; %s
}
void rewrap(KwState* state, const uint8_t* in, uint8_t* out, uint8_t* verdicts, size_t num_keys) {
  (void)state; (void)in; (void)out; (void)verdicts; (void)num_keys; %s
}
void wrap(KwState*, const uint8_t*, uint8_t*, size_t) {}
void unwrap(KwState*, const uint8_t*, uint8_t*, uint8_t*, size_t) {}
void check(KwState*, const uint8_t*, uint8_t*, size_t) {}
}
const KwKernel kTriedKw{set_up, rewrap, wrap, unwrap, check};
}
"""

ALL_VECTORS = ", ".join(f'"xmm{i}"' for i in range(32))

# (what, rules that must be found and no other, helpers, set_up, rewrap)
CASES = (
    ("nothing", set(), "", "", ""),
    ("a mask instead of a branch", set(), "", "", "uint64_t a = load(in) ^ load(&state->expected);"
     "uint64_t keep = ((a | (~a + 1)) >> 63) - 1; *verdicts = keep + 1; out[0] = in[8] & keep;"),
    ("a loop over a public number", set(), "", "",
     "for (size_t i = 0; i < state->num_semiblocks * num_keys; ++i) out[i] = in[i] ^ state->in_a;"),
    ("a public structure on the stack", set(),
     "NOINLINE void move(Holder* h) { while (h->n-- != 0) { *h->out++ = *h->in++; FENCE; } }",
     "", "Holder h{in, out, num_keys, 0}; move(&h); *verdicts = h.n == 7;"),
    ("a vector in the caller's memory", set(), "", "",
     "row(state)[3] = _mm512_aesenc_epi128(row(state)[1], row(state)[num_keys]);"),
    ("a selection by cmov", set(), "", "",
     "uint64_t v = load(in), a = 1; asm(\"test %1, %1; cmove %1, %0\" : \"+r\"(a) : \"r\"(v) : \"cc\"); out[0] = a;"),
    ("a vector kept by volatile", {"vector on the stack"}, "", "",
     "volatile __m512i keep = row(state)[0]; (void)keep;"),
    ("half a vector kept", {"vector on the stack"}, "", "",
     "volatile __m128i keep = _mm512_castsi512_si128(row(state)[0]); (void)keep;"),
    ("a spill for want of registers", {"vector on the stack"}, "", "",
     f"__m512i v = row(state)[0]; asm(\"\" : \"+v\"(v)); asm volatile(\"\" ::: {ALL_VECTORS}); row(state)[1] = v;"),
    ("a public vector on the stack", set(), "", "",
     "volatile __m512i keep = _mm512_set1_epi64(static_cast<long long>(num_keys)); (void)keep;"),
    ("a selection by mask", set(), "", "",
     "__m512i v = row(state)[0]; row(state)[1] = _mm512_maskz_mov_epi64(_mm512_testn_epi64_mask(v, v), v);"),
    ("a branch on a public mask", set(), "", "",
     "__mmask8 m = static_cast<__mmask8>(num_keys); asm volatile(\"\" : \"+k\"(m));"
     "if (_kortestz_mask8_u8(m, m)) MARK;"),
    ("a branch on a mask", {"branch"}, "", "",
     "__m512i v = row(state)[0]; __mmask8 m = _mm512_testn_epi64_mask(v, v); if (_kortestz_mask8_u8(m, m)) MARK;"),
    ("a branch on what a secret mask selects", {"branch"}, "", "",
     "__m512i v = row(state)[0]; __m512i w = _mm512_maskz_set1_epi64(_mm512_testn_epi64_mask(v, v), 1);"
     "asm(\"\" : \"+v\"(w)); if (_mm_cvtsi128_si64(_mm512_castsi512_si128(w)) != 0) MARK;"),
    ("a branch on what a mask leaves in place", {"branch"}, "", "",
     "__m512i w = _mm512_mask_set1_epi64(row(state)[0], static_cast<__mmask8>(num_keys), 1);"
     "asm(\"\" : \"+v\"(w)); if (_mm_cvtsi128_si64(_mm512_castsi512_si128(w)) != 0) MARK;"),
    ("a mask on the stack", {"secret on the stack"}, "", "",
     "__m512i v = row(state)[0]; volatile __mmask8 keep = _mm512_testn_epi64_mask(v, v); (void)keep;"),
    ("a store where a mask says", {"unknown instruction"}, "", "",
     "__m512i v = row(state)[0]; _mm512_mask_storeu_epi64(out, _mm512_testn_epi64_mask(v, v), v);"),
    ("a spill in a helper's helper", {"vector on the stack"},
     "NOINLINE void deep(__m128i v) { volatile __m128i keep = v; (void)keep; }"
     "NOINLINE void helper(KwState* s) { deep(_mm512_castsi512_si128(row(s)[0])); FENCE; }",
     "", "helper(state); FENCE;"),
    ("a vector put into the caller's frame", {"vector on the stack"},
     "NOINLINE void put(KwState* s, __m128i* at) { *at = _mm512_castsi512_si128(row(s)[0]); }", "",
     "__m128i v; put(state, &v); asm volatile(\"\" :: \"r\"(&v) : \"memory\");"),
    ("a secret word on the stack", {"secret on the stack"}, "", "",
     "volatile uint64_t keep = load(in); (void)keep;"),
    ("a secret in a structure on the stack", {"secret on the stack"},
     "NOINLINE void hold(Holder* h) { h->v = load(h->in); }", "",
     "Holder h{in, out, 0, 0}; hold(&h); asm volatile(\"\" :: \"r\"(&h) : \"memory\");"),
    ("a branch on a byte that came in", {"branch"}, "", "", "if (in[0] & 1) MARK;"),
    ("a branch on a KEK byte", {"branch"}, "", "if (from->key[0] == 7) MARK;", ""),
    ("a branch on a round key", {"branch"}, "", "", "if (state->wrap.keys[3].bytes[0] & 1) MARK;"),
    ("a branch on a row", {"branch"}, "", "",
     "if (state->rows[num_keys & 1].blocks[num_keys].r & 1) MARK;"),
    ("a branch on a vector", {"branch"}, "", "",
     "__m128i v = _mm512_castsi512_si128(row(state)[0]); if (_mm_testz_si128(v, v)) MARK;"),
    ("a branch in a helper on what it is given", {"branch"},
     "NOINLINE void look(uint64_t v) { if (v != 0) MARK; }", "", "look(load(in)); FENCE;"),
    ("an early exit on bad integrity", {"branch"}, "", "",
     "if (state->rows[0].checks[0].a != state->expected) { *verdicts = 1; return; } MARK; *verdicts = 0;"),
    ("a loop that ends by a secret", {"branch"}, "", "", "while (*in++ != 0) *out++ = 1;"),
    ("a branch on a secret from a loop", {"branch"}, "", "",
     "uint64_t all = 0; for (size_t i = 0; i < num_keys; ++i) { all ^= load(in + 8 * i); FENCE; }"
     "if (all == 3) MARK;"),
    ("a table lookup", {"address"}, "const uint8_t kTable[256] = {1, 2, 3};", "", "out[0] = kTable[in[0]];"),
    ("a lookup in a row", {"address"}, "", "", "out[0] = state->rows[0].blocks[in[0]].a;"),
    ("a store to a secret place", {"address"}, "", "", "out[in[0]] = 0;"),
    ("a prefetch of a secret place", {"address"}, "", "", "__builtin_prefetch(out + 64 * in[0]);"),
    ("a division", {"division"}, "", "", "out[0] = num_keys % (load(in) | 1);"),
    ("a secret length", {"secret in a public field"}, "", "", "state->num_semiblocks = in[0];"),
    ("a call of the C library", {"leaves the object"}, "", "", "memcpy(out, in, num_keys); FENCE;"),
    ("a call by address", {"leaves the object"}, "", "",
     "void (*f)(); asm volatile(\"\" : \"=r\"(f)); f(); FENCE;"),
    ("code that is never called", {"not reached"},
     "__attribute__((used)) void idle() { asm volatile(\"ud2\"); }", "", ""),
    ("recursion", {"recursion", "not reached"},
     "NOINLINE size_t again(size_t n) { FENCE; size_t v = again(n); FENCE; return v + 1; }", "",
     "*verdicts = again(num_keys);"),
    ("an unknown instruction", {"unknown instruction"}, "", "",
     "asm volatile(\"cpuid\" ::: \"eax\", \"ebx\", \"ecx\", \"edx\");"),
    ("an array on the stack at a place not known", {"lost stack address"}, "", "",
     "volatile uint8_t a[64]; a[3] = 0; a[num_keys & 63] = 1; out[0] = a[3];"),
    ("a stack pointer that moves by no known step", {"stack pointer"}, "", "",
     "asm volatile(\"sub %0, %%rsp; push %0\" :: \"r\"(num_keys));"),
)  # fmt: skip

# Breaks of the kernels' own source: (file, text that is there once, what takes its place, rules that must be found).
MUTANTS = (
    ("aesni.cc", "kChains = 12;", "kChains = 18;", {"vector on the stack"}),
    ("kw_core.h", "*verdicts++ = static_cast<uint8_t>(keep + 1);",
     "*verdicts++ = static_cast<uint8_t>(keep + 1); if (keep == 0) return;", {"branch"}),
    ("kw_core.h", "verdicts[key] = static_cast<uint8_t>(keep + 1);",
     "verdicts[key] = static_cast<uint8_t>(keep + 1); if (keep == 0) return;", {"branch"}),
    ("kw_setup.h", "const __m128i words = _mm_set1_epi32(static_cast<int>(word));",
     "static const uint8_t kBox[256] = {1, 2}; if (word < 256) word = kBox[word & 255];"
     "const __m128i words = _mm_set1_epi32(static_cast<int>(word));", {"address"}),
    ("vaes512_gcm.cc", "  return static_cast<__mmask8>((equal &",
     "  if (equal != 0xff) asm volatile(\"nop\");  return static_cast<__mmask8>((equal &", {"branch"}),
    ("vaes512_gcm.cc", "      clear_damaged(wraps.body, intact);",
     "      if (intact != kAllIntact) { clear_damaged(wraps.body, intact); asm volatile(\"\"); }", {"branch"}),
    ("vaes512_gcm.cc", "  const Quad wrong_tag =",
     "  volatile Quad keep = tag_mask; (void)keep; const Quad wrong_tag =", {"vector on the stack"}),
    ("vaes512_gcm.cc", "    apply(wraps.body, stream);\n    factor_body",
     "    volatile Quad keep[4]; keep[batch.aad_stride & 3] = wraps.body.blocks[0];"
     " apply(wraps.body, stream);\n    factor_body", {"vector on the stack", "lost stack address"}),
    ("vaes512_gcm.cc", "  uint32_t bytes = _pdep",
     "  __builtin_prefetch(verdicts + 64 * intact); uint32_t bytes = _pdep", {"address"}),
    ("vaes512_gcm.cc", "  const size_t num_blocks = (shape.key_len",
     "  if (kek[0] == 0) asm volatile(\"nop\"); const size_t num_blocks = (shape.key_len", {"branch"}),
)  # fmt: skip

MACHINES = {"vaes512.cc": objects.WIDEST, "vaes512_gcm.cc": objects.GCM}


def rules_found(path, layout):
    findings, _ = check_object(path, layout)
    return {finding.rule for finding in findings}, findings


def expect(what, expected, path, layout, exact=True):
    """1 if the rules found in an object are not those expected."""
    rules, findings = rules_found(path, layout)
    if rules == expected or (not exact and rules >= expected):
        return 0
    print(f"expected {expected} in {what}, found:")
    for finding in findings:
        print(f"  {finding.address:x}: {finding.rule}: {finding.text}")
    return 1


def mutate(folder, file, old, new):
    """Copies the kernels' source with one piece of it exchanged."""
    (folder / "aesni").mkdir(exist_ok=True)
    for source in (objects.ROOT / "aesni").iterdir():
        if source.suffix not in (".h", ".cc"):
            continue
        text = source.read_text(encoding="utf-8")
        if source.name == file:
            if text.count(old) != 1:
                raise ValueError(f"{file} has changed: a mutant needs to find {old!r} once")
            text = text.replace(old, new)
        (folder / "aesni" / source.name).write_text(text, encoding="utf-8")


def self_test(layout, compiler):
    failures = 0
    with tempfile.TemporaryDirectory(prefix="rewrap-code-check-") as name:
        folder = pathlib.Path(name)
        for number, (what, expected, *parts) in enumerate(CASES):
            source, path = folder / f"case{number}.cc", folder / f"case{number}.o"
            source.write_text(KERNEL % tuple(parts), encoding="utf-8")
            objects.compile_object(compiler, source, path)
            failures += expect(what, expected, path, layout)
        for file, old, new, expected in MUTANTS:
            mutate(folder, file, old, new)
            source = folder / "aesni" / (file if file.endswith(".cc") else "aesni.cc")
            machine = MACHINES.get(source.name, ("-maes", "-msse4.1"))
            objects.compile_object(compiler, source, folder / "mutant.o", machine, folder)
            failures += expect(f"a mutant of {file}", expected, folder / "mutant.o", layout, exact=False)
    tried = set().union(*(case[1] for case in CASES))
    if tried != RULES:
        failures += 1
        print(f"rules without a case: {RULES - tried}, cases without a rule: {tried - RULES}")
    print(f"code check self-test: {len(CASES)} kernels and {len(MUTANTS)} mutants tried, {failures} failures")
    return 1 if failures else 0


def main(arguments):
    if len(arguments) == 3 and arguments[1] == "--self-test":
        return self_test(read_layout(arguments[0]), arguments[2])
    if len(arguments) < 2 or arguments[1].startswith("-"):
        print(__doc__)
        return 2
    return check_objects(arguments[1:], read_layout(arguments[0]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
