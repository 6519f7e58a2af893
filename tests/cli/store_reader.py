# Reads a store as an outsider does who holds a copy of it and the root key: by LMDB's own library and
# python3-cryptography. It shares no code with the command; the layout is that of rekey/segment.h.
import contextlib
import ctypes
import struct

from cryptography.hazmat.primitives import keywrap

MDB_RDONLY, MDB_FIRST, MDB_NEXT = 0x20000, 0, 8
SEGMENT = struct.Struct(">I H B x 16s I I H H H 2x Q 32s 12s 4x")  # magic ... version, dek_len, count, ...
ID_SLOT_LEN = 24
WRAPPED_KEK_LEN = 40  # of 32 bytes by RFC 3394


class Value(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("data", ctypes.c_void_p)]

    def bytes(self):
        return ctypes.string_at(self.data, self.size)


class Lmdb:
    """One read transaction; whatever else works on the store goes on."""

    def __init__(self, directory):
        self.lib = ctypes.CDLL("liblmdb.so.0")
        self.env, self.txn = ctypes.c_void_p(), ctypes.c_void_p()
        self.must(self.lib.mdb_env_create(ctypes.byref(self.env)))
        self.must(self.lib.mdb_env_set_maxdbs(self.env, 16))
        self.must(self.lib.mdb_env_open(self.env, str(directory).encode(), MDB_RDONLY, 0))
        self.must(self.lib.mdb_txn_begin(self.env, None, MDB_RDONLY, ctypes.byref(self.txn)))

    def must(self, code):
        if code != 0:
            raise RuntimeError(f"LMDB: {code}")

    def table(self, name):
        """{key: value}"""
        handle, cursor, found = ctypes.c_uint(), ctypes.c_void_p(), {}
        self.must(self.lib.mdb_dbi_open(self.txn, name.encode(), 0, ctypes.byref(handle)))
        self.must(self.lib.mdb_cursor_open(self.txn, handle, ctypes.byref(cursor)))
        key, value, step = Value(), Value(), MDB_FIRST
        while self.lib.mdb_cursor_get(cursor, ctypes.byref(key), ctypes.byref(value), step) == 0:
            found[key.bytes()] = value.bytes()
            step = MDB_NEXT
        self.lib.mdb_cursor_close(cursor)
        return found

    def close(self):
        self.lib.mdb_txn_abort(self.txn)
        self.lib.mdb_env_close(self.env)


class StoreReader:
    """A store with one keyset of RFC 3394 wraps, as it is now."""

    def __init__(self, directory):
        lmdb = Lmdb(directory)
        keks, ids, wraps = (lmdb.table(name) for name in ("keks", "ids", "wraps"))
        lmdb.close()
        self.kek_records = {struct.unpack(">II", key)[1]: value for key, value in keks.items()}
        self.wraps = {}  # {id: (KEK version, wrap)}
        for key, value in wraps.items():
            self._read_segment(ids[key], value)

    def _read_segment(self, ids, value):
        version, dek_len, count = SEGMENT.unpack(value[: SEGMENT.size])[5:8]
        wrap_len = dek_len + 8
        bitmap_len = (count + 7) // 8
        bitmap = value[SEGMENT.size : SEGMENT.size + bitmap_len]
        at = SEGMENT.size + bitmap_len
        for slot in range(count):
            if bitmap[slot // 8] >> slot % 8 & 1:
                dek_id = ids[slot * ID_SLOT_LEN :][:16]
                self.wraps[dek_id] = (version, value[at + slot * wrap_len :][:wrap_len])

    def keks(self, root_keys):
        """{version: KEK} of those that one of the root keys opens."""
        found = {}
        for version, record in self.kek_records.items():
            for at in range(len(record) - WRAPPED_KEK_LEN + 1):
                for root_key in root_keys if record[at - 4 : at] == WRAPPED_KEK_LEN.to_bytes(4, "big") else ():
                    with contextlib.suppress(keywrap.InvalidUnwrap):
                        kek = keywrap.aes_key_unwrap(root_key, record[at : at + WRAPPED_KEK_LEN])
                        found.setdefault(version, kek)  # the protector's canary comes after it
        return found

    def versions(self):
        """{KEK version: DEKs}"""
        counts = {}
        for version, _ in self.wraps.values():
            counts[version] = counts.get(version, 0) + 1
        return counts

    def open(self, dek_id, keks):
        version, wrap = self.wraps[dek_id]
        return keywrap.aes_key_unwrap(keks[version], wrap)
