# What tests of the Element front end share: a store with software encryption at rest, calls whose answers are checked
# against the documented members, and a certificate for the key pair of the cluster.
import contextlib
import re
import sqlite3
import time
import uuid

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from soft_daemon import DaemonTest
from soft_kmip import SoftKmip, pem
from store_reader import StoreReader
from support import random_deks

REKEY = "RekeySoftwareEncryptionAtRestMasterKey"
INFO = "GetSoftwareEncryptionAtRestInfo"
STATES = ("CreateNewMasterKey", "RewrapDataEncryptionKeys", "DecommissionOldMasterKey", "Ready")


# -- What the documents say of answers. A shape is a type, a predicate, [shape of each element], or {member: shape},
# where a member that may be absent ends with "?". There are no other members.


def is_time(value):
    return isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", value)


def is_uuid(value):
    return isinstance(value, str) and str(uuid.UUID(value)) == value


def one_of(*words):
    return lambda value: value in words


def null_or(kind):
    return lambda value: value is None or has_type(value, kind)


def has_type(value, kind):
    return isinstance(value, kind) and (kind is not int or not isinstance(value, bool))


KEY = {
    "keyID": is_uuid,
    "keyManagementType": one_of("internal", "external"),
    "keyProviderID?": int,
    "keyCreatedTime?": is_time,
}
OPERATION = {"keyToDecommission": KEY, "newKey": KEY, "operation": str, "state": one_of("Ready")}
UNDER_WAY = {"keyToDecommission?": KEY, "newKey?": KEY, "operation": str, "state": one_of(*STATES[:3])}
ERROR = {"name": str, "message": str, "code": one_of(500)}
RESULT = {"resultType": one_of(REKEY), "createTime": is_time, "lastUpdateTime": is_time}
LISTED = RESULT | {"asyncResultID": int, "completed": bool, "success": bool, "data": null_or(dict)}
PROVIDER = {
    "keyProviderID": int,
    "keyProviderName": str,
    "keyProviderIsActive": bool,
    "keyServerIDs": [int],
    "kmipCapabilities": str,
}
SERVER = {
    "keyServerID": int,
    "keyProviderID": null_or(int),
    "kmipAssignedProviderIsActive": null_or(bool),
    "kmipCaCertificate": str,
    "kmipClientCertificate": str,
    "kmipKeyServerHostnames": [str],
    "kmipKeyServerName": str,
    "kmipKeyServerPort": int,
}
SOFTWARE = {"currentVersion": str, "nodeID": int, "packageName": str, "pendingVersion": str, "startTime": str}
CLUSTER = {
    "attributes": {},
    "defaultProtectionScheme": one_of("singleHelix", "doubleHelix", "tripleHelix"),
    "enabledProtectionSchemes": [str],
    "encryptionAtRestState": one_of("disabled"),
    "ensemble": [str],
    "mvip": str,
    "mvipInterface": str,
    "mvipNodeID": int,
    "mvipVlanTag": str,
    "name": str,
    "repCount": int,
    "softwareEncryptionAtRestState": one_of("enabled", "disabled"),
    "supportedProtectionSchemes": [str],
    "svip": str,
    "svipInterface": str,
    "svipNodeID": int,
    "svipVlanTag": str,
    "uniqueID": str,
    "uuid": is_uuid,
}
ADMIN = {"access": [str], "attributes": {}, "authMethod": str, "clusterAdminID": int, "username": str}
SHAPES = {
    "GetAPI": {"12.3": [str], "currentVersion": one_of("12.3"), "supportedVersions": [str]},
    "GetClusterInfo": {"clusterInfo": CLUSTER},
    "GetClusterVersionInfo": {
        "clusterAPIVersion": str,
        "clusterVersion": str,
        "clusterVersionInfo": [{"nodeID": int, "nodeInternalRevision": str, "nodeVersion": str}],
        "softwareVersionInfo": SOFTWARE,
    },
    "GetCurrentClusterAdmin": {"clusterAdmin": ADMIN},
    REKEY: {"asyncHandle": int},
    INFO: {
        "masterKeyInfo?": KEY,
        "rekeyMasterKeyAsyncResultID?": int,
        "state": one_of("enabled", "disabled"),
        "version": int,
    },
    "ListAsyncResults": {"asyncHandles": [LISTED]},
    "GetEncryptionAtRestInfo": {"authenticationKeyInfo?": KEY, "state": one_of("disabled")},
    "EnableEncryptionAtRest": {},
    "DisableEncryptionAtRest": {},
    "GetFeatureStatus": {"features": [{"feature": str, "enabled": bool}]},
    "EnableFeature": {},
    "CreatePublicPrivateKeyPair": {},
    "GetClientCertificateSignRequest": {"clientCertificateSignRequest": str},
    "CreateKeyProviderKmip": {"kmipKeyProvider": PROVIDER},
    "DeleteKeyProviderKmip": {},
    "GetKeyProviderKmip": {"kmipKeyProvider": PROVIDER},
    "ListKeyProvidersKmip": {"kmipKeyProviders": [PROVIDER]},
    "TestKeyProviderKmip": {},
    "CreateKeyServerKmip": {"kmipKeyServer": SERVER},
    "ModifyKeyServerKmip": {"kmipKeyServer": SERVER},
    "DeleteKeyServerKmip": {},
    "GetKeyServerKmip": {"kmipKeyServer": SERVER},
    "ListKeyServersKmip": {"kmipKeyServers": [SERVER]},
    "TestKeyServerKmip": {},
    "AddKeyServerToProviderKmip": {},
    "RemoveKeyServerFromProviderKmip": {},
}


def result_shape(result):
    """The shape of GetAsyncResult's answer, which depends on its status."""
    if result.get("status") == "running":
        return RESULT | {"status": str, "details": UNDER_WAY}
    if "error" in result:
        return RESULT | {"status": one_of("complete"), "error": ERROR}
    return RESULT | {"status": one_of("complete"), "result": OPERATION}


def misfit(value, shape, where="result"):
    """What is wrong with a value; empty if nothing is."""
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return f"{where} is no object: {value}"
        shapes = {name.rstrip("?"): inner for name, inner in shape.items()}
        required = {name for name in shape if not name.endswith("?")}
        if not required <= set(value) <= set(shapes):
            return f"{where} has the members {sorted(value)}, not {sorted(shape)}"
        found = [misfit(inner, shapes[name], f"{where}.{name}") for name, inner in value.items()]
        return "".join(found)
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{where} is no array: {value}"
        return "".join(misfit(inner, shape[0], f"{where}[]") for inner in value)
    good = has_type(value, shape) if isinstance(shape, type) else shape(value)
    return "" if good else f"{where} is {value!r}"


class ElementTest(DaemonTest):
    """A keyset that is the cluster's, under a root that is internal key management's."""

    KEYSET = "volumes"
    SAMPLE = 1000  # DEKs whose bytes the test has chosen itself
    EXTRA_TABLES = ""

    def setUp(self):
        self.internal_root = ""
        super().setUp()
        self.ids = 0
        self.internal_root = self.root
        self.root_keys = [self.root_key]  # those of internal key management
        self.write_config()

    def write_config(self, extra=""):
        element = f'[element]\nkeyset = "{self.KEYSET}"\ninternal_root = "{self.internal_root}"\n'
        super().write_config(f"{extra}\n{element}{self.EXTRA_TABLES}")

    # -- calls

    def exchange(self, daemon, method, params=None, **options):
        """The envelope of the answer, checked."""
        self.ids += 1
        body = {"method": method, "id": self.ids, "params": params or {}}
        answer = daemon.ask("POST", "/json-rpc/12.3", body, **options)
        self.assertEqual(answer.status, 200, answer.text)
        self.assertEqual(answer.headers["Content-Type"], "application/json")
        envelope = answer.json
        self.assertEqual(envelope.pop("id"), self.ids)
        self.assertIn(set(envelope), ({"result"}, {"error"}), answer.text)
        if "error" in envelope:
            self.assertEqual(misfit(envelope["error"], ERROR, "error"), "", answer.text)
            self.assertIn('"code":500', answer.text)
        return envelope

    def call(self, daemon, method, params=None, **options):
        envelope = self.exchange(daemon, method, params, **options)
        self.assertIn("result", envelope, f"{method} {params}: {envelope}")
        result = envelope["result"]
        shape = SHAPES[method] if method != "GetAsyncResult" else result_shape(result)
        self.assertEqual(misfit(result, shape), "", result)
        return result

    def refused(self, daemon, name, method, params=None, **options):
        """The message of the error, which must be of that name."""
        envelope = self.exchange(daemon, method, params, **options)
        self.assertIn("error", envelope, f"{method} {params}: {envelope}")
        self.assertEqual(envelope["error"]["name"], name, envelope)
        return envelope["error"]["message"]

    # -- rekeys

    def start_rekey(self, daemon, params=None):
        return self.call(daemon, REKEY, params)["asyncHandle"]

    def poll(self, daemon, handle, keep=True):
        return self.call(daemon, "GetAsyncResult", {"asyncHandle": handle, "keepResult": keep})

    def wait(self, daemon, handle, seconds=60):
        """(complete result, the states seen on the way)"""
        seen = []
        end = time.monotonic() + seconds
        while True:
            result = self.poll(daemon, handle)
            if result["status"] == "complete":
                return result, seen
            if result["details"]["state"] not in seen[-1:]:
                seen.append(result["details"]["state"])
            self.assertLess(time.monotonic(), end, result)
            time.sleep(0.01)

    def rekeyed(self, daemon, params=None):
        """The result of a rekey that succeeds, fetched for good; its states came in order."""
        handle = self.start_rekey(daemon, params)
        complete, seen = self.wait(daemon, handle)
        self.assertIn("result", complete, complete)
        self.assertEqual(seen, sorted(seen, key=STATES.index), "states only go forward")
        self.assertEqual(self.poll(daemon, handle, keep=False), complete)
        self.assertIn(f"/asyncresults/{handle}]", self.refused_handle(daemon, handle))
        return complete["result"]

    def refused_handle(self, daemon, handle):
        return self.refused(daemon, "xDBNoSuchPath", "GetAsyncResult", {"asyncHandle": handle, "keepResult": True})

    def master_key(self, daemon):
        return self.call(daemon, INFO)["masterKeyInfo"]

    # -- DEKs

    def make_deks(self, count):
        """A keyset of so many DEKs, of which the test knows SAMPLE, the first and the last."""
        self.make_keyset(self.KEYSET, 0, self.internal_root)
        chosen = random_deks(self.rng, self.SAMPLE)
        chosen["00000000-0000-4000-8000-000000000000"] = self.rng.randbytes(32)
        chosen["ffffffff-ffff-4fff-bfff-ffffffffffff"] = self.rng.randbytes(32)
        kek, uri = self.make_kek()
        self.import_deks(self.KEYSET, chosen, kek, uri)
        if count > len(chosen):
            self.rewrap("dek", "generate", self.KEYSET, "--count", count - len(chosen))
        self.chosen = {uuid.UUID(dek_id).bytes: dek for dek_id, dek in chosen.items()}
        self.count = count

    def check_deks(self, version, root_keys):
        """All DEKs are under one KEK, and the chosen ones are what they were, as an outsider sees it."""
        store = StoreReader(self.store)
        self.assertEqual(store.versions(), {version: self.count})
        keks = store.keks(root_keys)
        self.assertEqual(set(keks), {version}, "no other KEK can be had")
        opened = {dek_id: store.open(dek_id, keks) for dek_id in self.chosen}
        self.assertTrue(opened == self.chosen, f"seed {self.seed}: a DEK is another")
        return keks[version]

    # -- key management

    def connect_kmip(self, daemon, kmip):
        """Makes a provider with a server as an operator does; its id."""
        subject = {"commonName": "element", "organization": "rewrap", "country": "DE"}
        self.call(daemon, "CreatePublicPrivateKeyPair", subject)
        certificate = kmip.certify(self.call(daemon, "GetClientCertificateSignRequest"))
        server = self.call(
            daemon,
            "CreateKeyServerKmip",
            {
                "kmipCaCertificate": pem(kmip.ca.certificate).decode(),
                "kmipClientCertificate": certificate,
                "kmipKeyServerHostnames": ["127.0.0.1"],
                "kmipKeyServerName": "PyKMIP",
                "kmipKeyServerPort": str(kmip.port),
            },
        )["kmipKeyServer"]
        self.assertEqual([server["keyProviderID"], server["kmipAssignedProviderIsActive"]], [None, None])
        provider = self.call(daemon, "CreateKeyProviderKmip", {"keyProviderName": "vault"})["kmipKeyProvider"]
        pair = {"keyProviderID": provider["keyProviderID"], "keyServerID": server["keyServerID"]}
        self.call(daemon, "AddKeyServerToProviderKmip", pair)
        self.call(daemon, "TestKeyServerKmip", {"keyServerID": server["keyServerID"]})
        self.call(daemon, "TestKeyProviderKmip", {"keyProviderID": provider["keyProviderID"]})
        return pair["keyProviderID"], pair["keyServerID"]


class KeyServer(SoftKmip):
    """A key server with a CA that signs what Element asks for, and whose keys the test can read."""

    def certify(self, answer, days=1):
        request = x509.load_pem_x509_csr(answer["clientCertificateSignRequest"].encode())
        if not request.is_signature_valid:
            raise AssertionError("the request is not signed by its key")
        usage = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False)
        return pem(self.ca.sign("element", request.public_key(), [usage], days)).decode()

    def keys(self):
        """The bytes of all keys that the server has."""
        with contextlib.closing(sqlite3.connect(f"file:{self.folder / 'kmip.db'}?mode=ro", uri=True)) as database:
            return [row[0] for row in database.execute("SELECT value FROM managed_objects ORDER BY uid")]
