#!/usr/bin/python3
# Compares rewrap's key wrap with python3-cryptography's, both ways, on random keys and on damaged wraps.
"""Usage: interop.py [--self-check] [--seed SEED] ORACLE

ORACLE is the program wrap_oracle; every implementation that it lists is compared.
--self-check falsifies answers of the oracle and ends with success only if each falsification is noticed."""

import argparse
import random
import subprocess
import sys

from cryptography.hazmat.primitives import keywrap

CASES_EACH_WAY = 2000
DAMAGED_PERCENT = 20
MAX_KEY_LEN = 136
SHOWN = 10

WRAP = {"kw": keywrap.aes_key_wrap, "kwp": keywrap.aes_key_wrap_with_padding}
UNWRAP = {"kw": keywrap.aes_key_unwrap, "kwp": keywrap.aes_key_unwrap_with_padding}


def ask(oracle, implementation, questions):
    """The oracle's answers, one for each question."""
    text = "".join(" ".join(question) + "\n" for question in questions)
    done = subprocess.run([oracle, implementation], input=text, stdout=subprocess.PIPE, text=True, check=True)
    answers = done.stdout.split()
    if len(answers) != len(questions):
        raise SystemExit(f"interop: {len(questions)} questions, {len(answers)} answers")
    return answers


def their_unwrap(algorithm, kek, wrapped):
    """What python3-cryptography says: hexadecimal or FAIL."""
    try:
        return UNWRAP[algorithm](kek, wrapped).hex()
    except keywrap.InvalidUnwrap:
        return "FAIL"


def flip_bit(data, bit):
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def random_case(rng):
    """(algorithm, KEK, key)"""
    algorithm = rng.choice(sorted(WRAP))
    key_len = rng.randrange(16, MAX_KEY_LEN + 1, 8) if algorithm == "kw" else rng.randrange(1, MAX_KEY_LEN + 1)
    return algorithm, rng.randbytes(rng.choice((16, 24, 32))), rng.randbytes(key_len)


def unwrap_questions(rng):
    """They wrap, some wraps are damaged, we unwrap: [(question, expected answer)]."""
    for _ in range(CASES_EACH_WAY):
        algorithm, kek, key = random_case(rng)
        wrapped = WRAP[algorithm](kek, key)
        expected = key.hex()
        if rng.randrange(100) < DAMAGED_PERCENT:
            wrapped = flip_bit(wrapped, rng.randrange(8 * len(wrapped)))
            expected = "FAIL"
        yield ("unwrap", algorithm, kek.hex(), wrapped.hex()), expected


def compare_unwrap(rng, answer_all):
    """They wrap, we unwrap. Findings as text."""
    cases = list(unwrap_questions(rng))
    for (question, expected), answer in zip(cases, answer_all([question for question, _ in cases])):
        theirs = their_unwrap(question[1], bytes.fromhex(question[2]), bytes.fromhex(question[3]))
        if theirs != expected:
            yield f"{' '.join(question)}: python3-cryptography says {theirs}, expected {expected}"
        if answer != expected:
            yield f"{' '.join(question)}: we say {answer}, expected {expected}"


def compare_wrap(rng, answer_all):
    """We wrap, they unwrap, damaged ones too. Findings as text."""
    cases = [random_case(rng) for _ in range(CASES_EACH_WAY)]
    questions = [("wrap", algorithm, kek.hex(), key.hex()) for algorithm, kek, key in cases]
    for (algorithm, kek, key), question, answer in zip(cases, questions, answer_all(questions)):
        if answer != WRAP[algorithm](kek, key).hex():
            yield f"{' '.join(question)}: we say {answer}, python3-cryptography another wrap"
            continue
        wrapped, expected = bytes.fromhex(answer), key.hex()
        if rng.randrange(100) < DAMAGED_PERCENT:
            wrapped, expected = flip_bit(wrapped, rng.randrange(8 * len(wrapped))), "FAIL"
        theirs = their_unwrap(algorithm, kek, wrapped)
        if theirs != expected:
            yield f"{' '.join(question)}: python3-cryptography opens our wrap as {theirs}, expected {expected}"


def compare(seed, answer_all):
    """All findings of both ways; the same seed asks the same questions."""
    return list(compare_unwrap(random.Random(f"unwrap {seed}"), answer_all)) + list(
        compare_wrap(random.Random(f"wrap {seed}"), answer_all)
    )


def falsify_first(answers, condition, change):
    """The answers with the first one that meets the condition changed."""
    changed = list(answers)
    index = next((i for i, answer in enumerate(answers) if condition(answer)), None)
    if index is not None:
        changed[index] = change(answers[index])
    return changed


# What a broken rewrap might answer: name, which questions, which answers, the wrong answer.
FALSIFICATIONS = (
    ("one bit of a wrap", "wrap", lambda a: a != "FAIL", lambda a: flip_bit(bytes.fromhex(a), 7).hex()),
    ("a wrap refused", "wrap", lambda a: a != "FAIL", lambda a: "FAIL"),
    ("one bit of a key", "unwrap", lambda a: a != "FAIL", lambda a: flip_bit(bytes.fromhex(a), 0).hex()),
    ("a good wrap refused", "unwrap", lambda a: a != "FAIL", lambda a: "FAIL"),
    ("a damaged wrap opened", "unwrap", lambda a: a == "FAIL", lambda a: "00" * 16),
)


def self_check(seed, answer_all):
    """Each falsification must give exactly one finding, and the truth none."""
    failures = [f"finding without falsification: {finding}" for finding in compare(seed, answer_all)]
    for name, kind, condition, change in FALSIFICATIONS:

        def falsified(questions, kind=kind, condition=condition, change=change):
            answers = answer_all(questions)
            return falsify_first(answers, condition, change) if questions[0][0] == kind else answers

        num_findings = len(compare(seed, falsified))
        print(f"interop self-check: {name}: {num_findings} findings")
        if num_findings != 1:
            failures.append(f"{name}: {num_findings} findings instead of 1")
    return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--self-check", action="store_true")
    parser.add_argument("--seed", default="1")
    parser.add_argument("oracle")
    options = parser.parse_args()
    listed = subprocess.run([options.oracle, "--list"], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    if not listed:
        print("interop: the oracle lists no implementation")
        return 1
    run = self_check if options.self_check else compare
    num_findings = 0
    for implementation in listed[-1:] if options.self_check else listed:
        findings = run(options.seed, lambda questions, name=implementation: ask(options.oracle, name, questions))
        print(f"interop: {implementation}: {CASES_EACH_WAY} each way, seed {options.seed}, {len(findings)} findings")
        for finding in findings[:SHOWN]:
            print(f"  {finding}")
        num_findings += len(findings)
    return 1 if num_findings else 0


if __name__ == "__main__":
    sys.exit(main())
