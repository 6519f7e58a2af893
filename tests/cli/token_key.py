# A test's own hands on a PKCS#11 token: puts AES keys with chosen attributes into it, reads its flags.
"""Usage: token_key.py MODULE TOKEN PIN_FILE import LABEL HEX [extractable|encrypt|decrypt|wrap|unwrap]...
       token_key.py MODULE TOKEN PIN_FILE flags"""

import ctypes
import pathlib
import sys

ULONG = ctypes.c_ulong
CKU_USER = 1
CKF_RW_SERIAL = 6
CKO_SECRET_KEY = 4
CKK_AES = 0x1F
CLASS, TOKEN, PRIVATE, LABEL, VALUE, KEY_TYPE, SENSITIVE, EXTRACTABLE = 0, 1, 2, 3, 0x11, 0x100, 0x103, 0x162
USES = {"encrypt": 0x104, "decrypt": 0x105, "wrap": 0x106, "unwrap": 0x107}


class Attribute(ctypes.Structure):
    _fields_ = [("type", ULONG), ("value", ctypes.c_char_p), ("value_len", ULONG)]


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


def import_key(module, slot, pin, label, value, flags):
    session = ULONG()
    call(module, "C_OpenSession", ULONG(slot), ULONG(CKF_RW_SERIAL), None, None, ctypes.byref(session))
    call(module, "C_Login", session, ULONG(CKU_USER), pin, ULONG(len(pin)))
    extractable = "extractable" in flags
    values = {CLASS: ulong(CKO_SECRET_KEY), KEY_TYPE: ulong(CKK_AES), TOKEN: b"\1", PRIVATE: b"\1"}
    values |= {SENSITIVE: bytes([not extractable]), EXTRACTABLE: bytes([extractable])}
    values |= {LABEL: label.encode(), VALUE: value}
    values |= {number: bytes([use in flags]) for use, number in USES.items()}
    attributes = (Attribute * len(values))(*(Attribute(name, data, len(data)) for name, data in values.items()))
    call(module, "C_CreateObject", session, attributes, ULONG(len(values)), ctypes.byref(ULONG()))


def main(module_path, token, pin_file, verb, *arguments):
    module = ctypes.CDLL(module_path)
    call(module, "C_Initialize", None)
    slot, flags = find_token(module, token)
    if verb == "flags":
        print(hex(flags))
    else:
        label, value, *uses = arguments
        pin = pathlib.Path(pin_file).read_bytes().rstrip(b"\n")
        import_key(module, slot, pin, label, bytes.fromhex(value), uses)
    call(module, "C_Finalize", None)


if __name__ == "__main__":
    main(*sys.argv[1:])
