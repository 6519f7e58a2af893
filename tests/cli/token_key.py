# A test's own hands on a PKCS#11 token: puts AES keys with chosen attributes into it, lists and deletes keys, reads its
# flags, and opens wraps under a key that stays inside. Shares no code with the command.
"""Usage: token_key.py MODULE TOKEN PIN_FILE import LABEL HEX [extractable|encrypt|decrypt|wrap|unwrap]...
       token_key.py MODULE TOKEN PIN_FILE keys                       a line each: CKA_ID, label
       token_key.py MODULE TOKEN PIN_FILE delete PREFIX              those whose label begins so
       token_key.py MODULE TOKEN PIN_FILE open ID ecb-kw|ecb-gcm|unwrap FILE
                                          a JSON list of the keys in hex, null for each that does not open
       token_key.py MODULE TOKEN PIN_FILE flags

FILE is a JSON list of [wrapped, iv, tag, aad], each in hex."""

import ctypes
import json
import pathlib
import sys

ULONG = ctypes.c_ulong
CKU_USER = 1
CKF_RW_SERIAL = 6
CKO_SECRET_KEY = 4
CKK_GENERIC_SECRET, CKK_AES = 0x10, 0x1F
CKM_AES_ECB, CKM_AES_KEY_WRAP = 0x1081, 0x2109
CLASS, TOKEN, PRIVATE, LABEL, VALUE, KEY_TYPE, ID, SENSITIVE, EXTRACTABLE = 0, 1, 2, 3, 0x11, 0x100, 0x102, 0x103, 0x162
USES = {"encrypt": 0x104, "decrypt": 0x105, "wrap": 0x106, "unwrap": 0x107}


class Attribute(ctypes.Structure):
    _fields_ = [("type", ULONG), ("value", ctypes.c_char_p), ("value_len", ULONG)]


class Mechanism(ctypes.Structure):
    _fields_ = [("type", ULONG), ("parameter", ctypes.c_void_p), ("parameter_len", ULONG)]


class TokenInfo(ctypes.Structure):
    _fields_ = [
        ("label", ctypes.c_char * 32),
        ("names", ctypes.c_char * (32 + 16 + 16)),
        ("flags", ULONG),
        ("numbers", ULONG * 10),
        ("rest", ctypes.c_char * 64),
    ]


def call(module, name, *arguments):
    result = getattr(module, name)(*arguments)
    if result != 0:
        sys.exit(f"{name}: {result:#x}")


def find_token(module, label):
    """(slot, flags) of the token."""
    slots, count = (ULONG * 64)(), ULONG(64)
    call(module, "C_GetSlotList", 1, slots, ctypes.byref(count))
    for slot in slots[: count.value]:
        info = TokenInfo()
        call(module, "C_GetTokenInfo", ULONG(slot), ctypes.byref(info))
        if info.label.rstrip() == label.encode():
            return slot, info.flags
    return sys.exit(f"no token '{label}'")


def ulong(value):
    return bytes(ULONG(value))


def template(values):
    """(attributes, their number)"""
    return (Attribute * len(values))(*(Attribute(name, data, len(data)) for name, data in values.items())), ULONG(len(values))


class Session:
    """A session that is logged in."""

    def __init__(self, module, slot, pin):
        self.module, self.handle = module, ULONG()
        call(module, "C_OpenSession", ULONG(slot), ULONG(CKF_RW_SERIAL), None, None, ctypes.byref(self.handle))
        self.call("C_Login", ULONG(CKU_USER), pin, ULONG(len(pin)))

    def call(self, name, *arguments):
        call(self.module, name, self.handle, *arguments)

    def import_key(self, label, value, flags):
        extractable = "extractable" in flags
        values = {CLASS: ulong(CKO_SECRET_KEY), KEY_TYPE: ulong(CKK_AES), TOKEN: b"\1", PRIVATE: b"\1"}
        values |= {SENSITIVE: bytes([not extractable]), EXTRACTABLE: bytes([extractable])}
        values |= {LABEL: label.encode(), VALUE: value}
        values |= {number: bytes([use in flags]) for use, number in USES.items()}
        self.call("C_CreateObject", *template(values), ctypes.byref(ULONG()))

    def find(self, values):
        self.call("C_FindObjectsInit", *template({CLASS: ulong(CKO_SECRET_KEY)} | values))
        handles, count = (ULONG * 256)(), ULONG()
        self.call("C_FindObjects", handles, ULONG(256), ctypes.byref(count))
        self.call("C_FindObjectsFinal")
        return list(handles[: count.value])

    def read(self, handle, name):
        buffer = ctypes.create_string_buffer(256)
        wanted = (Attribute * 1)(Attribute(name, ctypes.cast(buffer, ctypes.c_char_p), 256))
        self.call("C_GetAttributeValue", ULONG(handle), wanted, ULONG(1))
        return buffer.raw[: wanted[0].value_len]

    def ecb(self, direction, handle, blocks):
        """AES-ECB over whole blocks; direction: Encrypt or Decrypt."""
        mechanism, out, out_len = Mechanism(CKM_AES_ECB, None, 0), ctypes.create_string_buffer(len(blocks)), ULONG(len(blocks))
        self.call(f"C_{direction}Init", ctypes.byref(mechanism), ULONG(handle))
        self.call(f"C_{direction}", blocks, ULONG(len(blocks)), out, ctypes.byref(out_len))
        return out.raw

    def unwrap(self, handle, wrapped):
        """C_UnwrapKey into a session key that may be read; None if it does not open."""
        key_type = CKK_AES if len(wrapped) - 8 in (16, 24, 32) else CKK_GENERIC_SECRET
        values = {CLASS: ulong(CKO_SECRET_KEY), KEY_TYPE: ulong(key_type), TOKEN: b"\0", PRIVATE: b"\1"}
        values |= {SENSITIVE: b"\0", EXTRACTABLE: b"\1"}
        mechanism, key = Mechanism(CKM_AES_KEY_WRAP, None, 0), ULONG()
        arguments = (ctypes.byref(mechanism), ULONG(handle), wrapped, ULONG(len(wrapped)), *template(values))
        if self.module.C_UnwrapKey(self.handle, *arguments, ctypes.byref(key)) != 0:
            return None
        value = self.read(key.value, VALUE)
        self.call("C_DestroyObject", key)
        return value


def unwrap_by_ecb(session, handle, wraps):
    """RFC 3394 section 2.2.2 on wraps of one length, all of them a step at a time."""
    n = len(wraps[0]) // 8 - 1
    a = [int.from_bytes(wrap[:8], "big") for wrap in wraps]
    r = [[wrap[8 * i : 8 * i + 8] for i in range(1, n + 1)] for wrap in wraps]
    for t in range(6 * n, 0, -1):
        i = (t - 1) % n
        blocks = b"".join((a[k] ^ t).to_bytes(8, "big") + r[k][i] for k in range(len(wraps)))
        plain = session.ecb("Decrypt", handle, blocks)
        for k in range(len(wraps)):
            a[k] = int.from_bytes(plain[16 * k : 16 * k + 8], "big")
            r[k][i] = plain[16 * k + 8 : 16 * k + 16]
    return [b"".join(r[k]) if a[k] == 0xA6A6A6A6A6A6A6A6 else None for k in range(len(wraps))]


def open_kw(session, handle, records):
    opened = [None] * len(records)
    for length in {len(record[0]) for record in records}:
        places = [k for k, record in enumerate(records) if len(record[0]) == length]
        for k, key in zip(places, unwrap_by_ecb(session, handle, [records[k][0] for k in places]), strict=True):
            opened[k] = key
    return opened


def ghash(hash_key, data):
    """SP 800-38D section 6.4, a bit at a time."""
    h, y = int.from_bytes(hash_key, "big"), 0
    for at in range(0, len(data), 16):
        x, v, y = y ^ int.from_bytes(data[at : at + 16], "big"), h, 0
        for bit in range(127, -1, -1):
            y ^= v * (x >> bit & 1)
            v = (v >> 1) ^ (0xE1 << 120) * (v & 1)
    return y.to_bytes(16, "big")


def padded(data):
    return data + bytes(-len(data) % 16)


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b, strict=False))


def open_gcm(session, handle, records):
    """SP 800-38D section 7.2; the tag of one record in 50 is computed, which is slow here."""
    hash_key = session.ecb("Encrypt", handle, bytes(16))
    opened = []
    for k, (body, iv, tag, aad) in enumerate(records):
        counters = b"".join(iv + (1 + i).to_bytes(4, "big") for i in range(1 + -(-len(body) // 16)))
        stream = session.ecb("Encrypt", handle, counters)
        lengths = (8 * len(aad)).to_bytes(8, "big") + (8 * len(body)).to_bytes(8, "big")
        fits = k % 50 or xor(ghash(hash_key, padded(aad) + padded(body) + lengths), stream) == tag
        opened.append(xor(body, stream[16:]) if fits else None)
    return opened


def open_wraps(session, key_id, how, path):
    (handle,) = session.find({ID: bytes.fromhex(key_id)})
    records = [[bytes.fromhex(part) for part in record] for record in json.loads(pathlib.Path(path).read_text("ascii"))]
    if how == "unwrap":
        opened = [session.unwrap(handle, record[0]) for record in records]
    else:
        opened = (open_kw if how == "ecb-kw" else open_gcm)(session, handle, records)
    print(json.dumps([key and key.hex() for key in opened]))


def main(module_path, token, pin_file, verb, *arguments):
    module = ctypes.CDLL(module_path)
    call(module, "C_Initialize", None)
    slot, flags = find_token(module, token)
    if verb == "flags":
        print(hex(flags))
        call(module, "C_Finalize", None)
        return
    session = Session(module, slot, pathlib.Path(pin_file).read_bytes().rstrip(b"\n"))
    if verb == "import":
        label, value, *uses = arguments
        session.import_key(label, bytes.fromhex(value), uses)
    elif verb == "open":
        open_wraps(session, *arguments)
    else:
        for handle in session.find({}):
            label = session.read(handle, LABEL).decode()
            if verb == "keys":
                print(session.read(handle, ID).hex() or "-", label)
            elif label.startswith(arguments[0]):
                session.call("C_DestroyObject", ULONG(handle))
    call(module, "C_Finalize", None)


if __name__ == "__main__":
    main(*sys.argv[1:])
