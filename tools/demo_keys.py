#!/usr/bin/python3
"""The legacy side of the demo, by python3-cryptography alone: makes wrapped DEKs, and opens what rewrap exports.

Usage: demo_keys.py make DIR COUNT    writes legacy.key, test.key, legacy.jsonl and, to check against, originals
       demo_keys.py check DIR         opens a sample of export.jsonl under test.key and compares
"""
import base64
import json
import os
import random
import sys
import time
import uuid
from multiprocessing import Pool

from cryptography.hazmat.primitives.keywrap import aes_key_unwrap, aes_key_wrap

# python3-cryptography wraps some 20,000 keys per second, so a million lines repeat this many wraps under new ids.
MAX_DISTINCT = 100_000
SAMPLE = 5_000
DEK_LEN = 32


def write_private(path, data):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(data)


def wrap(job):
    kek, dek = job
    return base64.b64encode(aes_key_wrap(kek, dek)).decode()


def make(directory, count):
    kek = os.urandom(32)
    write_private(f"{directory}/legacy.key", kek)
    write_private(f"{directory}/test.key", os.urandom(32))
    distinct = min(count, MAX_DISTINCT)
    deks = [os.urandom(DEK_LEN) for _ in range(distinct)]
    write_private(f"{directory}/originals", b"".join(deks))
    start = time.monotonic()
    with Pool() as pool:
        wraps = pool.map(wrap, [(kek, dek) for dek in deks], chunksize=1000)
    seconds = time.monotonic() - start
    with open(f"{directory}/legacy.jsonl", "w", encoding="ascii") as out:
        for i in range(count):
            # The id's last four bytes name the original, so that the check can find it.
            name = uuid.UUID(bytes=os.urandom(12) + (i % distinct).to_bytes(4, "big"))
            out.write(f'{{"id":"{name}","alg":"A256KW","wrapped":"{wraps[i % distinct]}"}}\n')
    print(f"{distinct:,} DEKs wrapped one by one in {seconds:.1f} s ({distinct / seconds:,.0f}/s)")
    if distinct < count:
        print(f"{count:,} lines written: each wrap stands under {count // distinct} ids or more, since making them all would take minutes")


def check(directory):
    with open(f"{directory}/test.key", "rb") as file:
        kek = file.read()
    with open(f"{directory}/originals", "rb") as file:
        originals = file.read()
    with open(f"{directory}/export.jsonl", encoding="ascii") as file:
        lines = file.readlines()
    sample = random.sample(lines, min(SAMPLE, len(lines)))
    for line in sample:
        record = json.loads(line)
        index = int.from_bytes(uuid.UUID(record["id"]).bytes[12:], "big")
        dek = aes_key_unwrap(kek, base64.b64decode(record["wrapped"]))
        if dek != originals[index * DEK_LEN : (index + 1) * DEK_LEN]:
            sys.exit(f"DEK {record['id']} is not the original")
    print(f"{len(sample):,} of {len(lines):,} exported DEKs opened at random: all equal the originals")


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] == "make":
        make(sys.argv[2], int(sys.argv[3]))
    elif len(sys.argv) == 3 and sys.argv[1] == "check":
        check(sys.argv[2])
    else:
        sys.exit(__doc__)
