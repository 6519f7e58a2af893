# Tests the Element front end of a running rewrapd: the master key goes to a key server and comes back, through kills
# and faults; after each step the DEKs are opened by an outsider.
import contextlib
import sqlite3

from element_support import INFO, REKEY, ElementTest, KeyServer
from store_reader import StoreReader
from support import USAGE, VANDAL, SoftHsm


class Moves(ElementTest):
    """All that an operator does, with a KMIP server of its own."""

    COUNT = 100_000

    def test_to_a_key_server_and_back(self):
        self.make_deks(self.COUNT)
        kmip = KeyServer(self, self.dir)
        daemon = self.daemon()
        first = self.master_key(daemon)
        self.assertEqual(first["keyManagementType"], "internal")
        self.assertIn("keyCreatedTime", first)
        keks = [self.check_deks(1, self.root_keys)]
        provider, server = self.connect_kmip(daemon, kmip)
        self.assertFalse(self.provider(daemon, provider)["keyProviderIsActive"])
        self.assertEqual(kmip.keys(), [], "a test leaves nothing behind")

        out = self.rekeyed(daemon, {"keyManagementType": "External", "keyProviderID": provider})
        self.assertEqual(out["keyToDecommission"], first)
        self.assertEqual((out["newKey"]["keyManagementType"], out["newKey"]["keyProviderID"]), ("external", provider))
        self.assertEqual(
            out["operation"],
            "Rekeying Master Key. Master Key management being transferred from Internal Key Management to External Key"
            f" Management with keyProviderID={provider}",
        )
        self.assertEqual(self.master_key(daemon), out["newKey"])
        self.assertEqual(self.check_names(kmip, out["newKey"]), 1)
        keks.append(self.check_deks(2, kmip.keys()))
        self.assertEqual(StoreReader(self.store).keks(self.root_keys), {}, "the file opens nothing any more")
        self.check_protected(daemon, provider, server)

        again = self.rekeyed(daemon)  # in place is where the key is
        self.assertEqual(again["keyToDecommission"], out["newKey"])
        self.assertEqual(again["newKey"]["keyProviderID"], provider)
        self.assertEqual(again["operation"], "Rekeying Master Key.")
        keks.append(self.check_deks(3, kmip.keys()))

        back = self.rekeyed(daemon, {"keyManagementType": "internal"})
        self.assertEqual(back["keyToDecommission"], again["newKey"])
        self.assertEqual(back["newKey"]["keyManagementType"], "internal")
        self.assertNotIn("keyProviderID", back["newKey"])
        keks.append(self.check_deks(4, self.root_keys))
        self.assertEqual(len(set(keks)), 4, "keys are always new")
        ids = {key["keyID"] for result in (out, again, back) for key in (result["keyToDecommission"], result["newKey"])}
        self.assertEqual(len(ids), 4)

        self.assertFalse(self.provider(daemon, provider)["keyProviderIsActive"])
        kmip.stop()
        self.call(daemon, "RemoveKeyServerFromProviderKmip", {"keyServerID": server})
        self.call(daemon, "DeleteKeyServerKmip", {"keyServerID": server})
        self.call(daemon, "DeleteKeyProviderKmip", {"keyProviderID": provider})
        daemon.stop()
        self.check_verify(self.COUNT, self.KEYSET)
        self.rewrap("audit", "verify", self.store / "audit.log")

    def provider(self, daemon, provider):
        return self.call(daemon, "GetKeyProviderKmip", {"keyProviderID": provider})["kmipKeyProvider"]

    def check_names(self, kmip, key):
        """How many keys of the server bear the keyID of the cluster's key."""
        with contextlib.closing(sqlite3.connect(kmip.folder / "kmip.db")) as database:
            names = [row[0] for row in database.execute("SELECT name FROM managed_object_names")]
        return sum(key["keyID"] in name for name in names)

    def check_protected(self, daemon, provider, server):
        """An active provider and its last server cannot be taken away."""
        shown = self.provider(daemon, provider)
        self.assertEqual((shown["keyProviderIsActive"], shown["keyServerIDs"]), (True, [server]))
        for method, params in (
            ("DeleteKeyProviderKmip", {"keyProviderID": provider}),
            ("RemoveKeyServerFromProviderKmip", {"keyServerID": server}),
            ("DeleteKeyServerKmip", {"keyServerID": server}),
        ):
            self.refused(daemon, "xKeyProviderActive", method, params)
        self.assertEqual(self.provider(daemon, provider), shown)


class MovesFromToken(ElementTest):
    """Internal key management by a token (SoftHSM)."""

    COUNT = 5000

    def test_there_and_back(self):
        token = SoftHsm(self.dir)
        self.env = token.env
        root_key = self.rng.randbytes(32)
        token.import_key("root", root_key, "wrap", "unwrap")
        self.internal_root = token.uri("root")
        self.write_config()
        self.make_deks(self.COUNT)
        kmip = KeyServer(self, self.dir)
        daemon = self.daemon()
        self.check_deks(1, [root_key])
        provider, _ = self.connect_kmip(daemon, kmip)
        self.rekeyed(daemon, {"keyManagementType": "external", "keyProviderID": str(provider)})
        self.check_deks(2, kmip.keys())
        self.refuse(USAGE, "kmip", words=("verify", self.KEYSET))  # the providers are the service's
        job = daemon.ask("POST", f"/v1/keysets/{self.KEYSET}/verify").json["job"]["uuid"]
        self.assertEqual(self.wait_for_job(daemon, job, "succeeded", "failed")["state"], "succeeded")
        self.rekeyed(daemon, {"keyManagementType": "INTERNAL"})
        self.check_deks(3, [root_key])


class Kill(ElementTest):
    """The daemon dies in the middle."""

    COUNT = 20_000

    def test_a_rekey_goes_on_and_tells_the_truth(self):
        self.make_deks(self.COUNT)
        kmip = KeyServer(self, self.dir)
        self.write_config(f"[jobs]\nrate = {self.COUNT // 4}\n")
        daemon = self.daemon()
        provider, _ = self.connect_kmip(daemon, kmip)
        before = self.master_key(daemon)
        handle = self.start_rekey(daemon, {"keyManagementType": "external", "keyProviderID": provider})
        self.wait_until(lambda: len(StoreReader(self.store).versions()) > 1, "the rekey is in the middle")
        running = self.poll(daemon, handle, keep=False)
        self.check_running(running, before, provider)
        daemon.kill()

        left = StoreReader(self.store).versions()
        self.assertEqual(set(left), {1, 2}, "killed in the middle")
        daemon = self.daemon()
        resumed = self.poll(daemon, handle, keep=False)
        self.check_running(resumed, before, provider)
        self.assertEqual(resumed["details"]["newKey"], running["details"]["newKey"], "no second new key")
        self.assertEqual(resumed["createTime"], running["createTime"])
        self.assertIn(f"asyncHandle {handle}", self.refused(daemon, "xAPINotPermitted", REKEY))
        self.assertEqual(self.call(daemon, INFO)["rekeyMasterKeyAsyncResultID"], handle)
        job = daemon.get("/v1/jobs")["jobs"][0]["uuid"]
        daemon.ask("PATCH", f"/v1/jobs/{job}", {"rate": 0})
        complete, seen = self.wait(daemon, handle)
        self.assertNotIn("CreateNewMasterKey", seen)
        self.assertEqual(complete["result"]["newKey"], running["details"]["newKey"])
        self.assertEqual(len(kmip.keys()), 1)
        self.check_deks(2, kmip.keys())

        daemon.kill()  # what is complete stays so
        daemon = self.daemon()
        self.assertEqual(self.poll(daemon, handle), complete)
        self.assertEqual(self.master_key(daemon), complete["result"]["newKey"])
        (listed,) = self.call(daemon, "ListAsyncResults")["asyncHandles"]
        self.assertEqual((listed["asyncResultID"], listed["completed"], listed["success"]), (handle, True, True))
        self.assertEqual(listed["data"], complete["result"])

    def check_running(self, result, before, provider):
        self.assertEqual(result["status"], "running")
        details = result["details"]
        self.assertEqual(details["state"], "RewrapDataEncryptionKeys")
        self.assertEqual(details["keyToDecommission"], before)
        self.assertEqual(details["newKey"]["keyProviderID"], provider)


class Faults(ElementTest):
    """What cannot be done changes nothing, and says what is wrong."""

    COUNT = 1002
    EXTERNAL = {"keyManagementType": "external"}

    def setUp(self):
        super().setUp()
        self.make_deks(self.COUNT)

    def failed(self, daemon, params):
        """The error of a rekey that fails; the old key serves on."""
        before = self.master_key(daemon)
        complete, _ = self.wait(daemon, self.start_rekey(daemon, params))
        self.assertIn("error", complete, complete)
        self.assertEqual(self.master_key(daemon), before)
        return complete["error"]

    def test_a_key_server_that_is_not_there(self):
        kmip = KeyServer(self, self.dir)
        daemon = self.daemon()
        alone = self.call(daemon, "CreateKeyProviderKmip", {"keyProviderName": "alone"})
        alone = alone["kmipKeyProvider"]["keyProviderID"]
        self.refused(daemon, "xAPINotPermitted", "TestKeyProviderKmip", {"keyProviderID": alone})
        error = self.failed(daemon, self.EXTERNAL | {"keyProviderID": alone})
        self.assertEqual(error["name"], "xAPINotPermitted", error)
        self.assertIn("AddKeyServerToProviderKmip", error["message"])
        provider, server = self.connect_kmip(daemon, kmip)
        kmip.stop()
        for method, params in (
            ("TestKeyServerKmip", {"keyServerID": server}),
            ("TestKeyProviderKmip", {"keyProviderID": provider}),
            ("ModifyKeyServerKmip", {"keyServerID": server, "kmipKeyServerName": "new"}),
        ):
            self.refused(daemon, "xKmipConnectionFailure", method, params)
        self.call(daemon, "ModifyKeyServerKmip", {"keyServerID": server})  # nothing is asked: no error
        error = self.failed(daemon, self.EXTERNAL | {"keyProviderID": provider})
        self.assertEqual(error["name"], "xKmipConnectionFailure", error)
        self.check_deks(1, self.root_keys)
        self.rekeyed(daemon)
        self.check_deks(2, self.root_keys)

    def test_a_certificate_that_the_key_server_refuses(self):
        kmip = KeyServer(self, self.dir)
        daemon = self.daemon()
        provider, server = self.connect_kmip(daemon, kmip)
        request = self.call(daemon, "GetClientCertificateSignRequest")
        expired = {"keyServerID": server, "kmipClientCertificate": kmip.certify(request, days=-1)}
        self.refused(daemon, "xKmipConnectionFailure", "ModifyKeyServerKmip", expired)
        self.call(daemon, "CreatePublicPrivateKeyPair", {"commonName": "another"})
        port = {"keyServerID": server, "kmipKeyServerPort": 1}
        self.refused(daemon, "xInvalidParameter", "ModifyKeyServerKmip", port)
        another = kmip.certify(self.call(daemon, "GetClientCertificateSignRequest"))
        self.call(daemon, "ModifyKeyServerKmip", {"keyServerID": server, "kmipClientCertificate": another})
        self.call(daemon, "TestKeyProviderKmip", {"keyProviderID": provider})

    def test_a_key_server_that_goes_away_with_the_master_key(self):
        kmip = KeyServer(self, self.dir)
        daemon = self.daemon()
        provider, _ = self.connect_kmip(daemon, kmip)
        self.rekeyed(daemon, self.EXTERNAL | {"keyProviderID": provider})
        key = self.master_key(daemon)
        kmip.stop()
        for params in ({}, {"keyManagementType": "internal"}):
            self.refused(daemon, "xMasterKeyUnavailable", REKEY, params)
        self.assertEqual(self.master_key(daemon), key)
        self.check_deks(2, kmip.keys())

    def test_a_key_server_that_goes_away_in_the_middle(self):
        """The rekey waits, and says for what; when the server is back it goes on."""
        kmip = KeyServer(self, self.dir)
        self.rewrap("dek", "generate", self.KEYSET, "--count", 20_000 - self.COUNT)
        self.count = 20_000
        self.write_config("[jobs]\nrate = 5000\n")
        daemon = self.daemon()
        provider, server = self.connect_kmip(daemon, kmip)
        handle = self.start_rekey(daemon, self.EXTERNAL | {"keyProviderID": provider})
        self.wait_until(lambda: "newKey" in self.details(daemon, handle), "the new key is there")
        kmip.stop()
        self.rewrap("jobs", "rate", handle, 0)
        self.wait_until(lambda: "Paused: " in self.details(daemon, handle)["operation"], "the rekey waits")
        waiting = self.details(daemon, handle)
        self.assertEqual(waiting["state"], "RewrapDataEncryptionKeys")
        self.assertIn(f"asyncHandle {handle}", self.refused(daemon, "xAPINotPermitted", REKEY))
        self.assertEqual(set(StoreReader(self.store).keks([*self.root_keys, *kmip.keys()])), {1, 2}, "both are there")
        kmip.start()
        self.call(daemon, "ModifyKeyServerKmip", {"keyServerID": server, "kmipKeyServerPort": kmip.port})
        self.rewrap("jobs", "resume", handle)
        complete, _ = self.wait(daemon, handle)
        self.assertEqual(complete["result"]["newKey"], waiting["newKey"])
        self.check_deks(2, kmip.keys())

    def details(self, daemon, handle):
        return self.poll(daemon, handle).get("details", {"operation": ""})


class Disabled(ElementTest):
    """A cluster without a keyset."""

    def test_software_encryption_is_disabled(self):
        daemon = self.daemon()
        self.assertEqual(self.call(daemon, INFO), {"state": "disabled", "version": 0})
        self.assertEqual(
            self.call(daemon, "GetClusterInfo")["clusterInfo"]["softwareEncryptionAtRestState"], "disabled"
        )
        for params in ({}, {"keyManagementType": "Internal"}, {"keyManagementType": "External", "keyProviderID": 1}):
            self.refused(daemon, "xAPINotPermitted", REKEY, params)
        self.assertEqual(self.call(daemon, "ListAsyncResults")["asyncHandles"], [])
        self.call(daemon, "CreatePublicPrivateKeyPair")  # what needs no key works


class Damage(ElementTest):
    """The old key stays for as long as something needs it."""

    COUNT = 1002

    def test_a_damaged_dek_keeps_the_old_key(self):
        self.make_deks(self.COUNT)
        self.vandalise("flip-wrap", 0, 5, 3)
        daemon = self.daemon()
        complete, _ = self.wait(daemon, self.start_rekey(daemon))
        self.assertEqual(complete["error"]["name"], "xDataEncryptionKeysDamaged", complete)
        store = StoreReader(self.store)
        self.assertEqual(set(store.keks(self.root_keys)), {1, 2}, "both keys are there")

    def vandalise(self, *words):
        self.run_argv([VANDAL, str(self.store), *map(str, words)])

    def test_what_verify_finds_keeps_the_old_key(self):
        """The index leads nowhere for one DEK: a rekey does not notice, the verify after it does."""
        self.make_deks(self.COUNT)
        self.vandalise("drop-index", 7)
        daemon = self.daemon()
        complete, seen = self.wait(daemon, self.start_rekey(daemon))
        self.assertEqual(complete["error"]["name"], "xDataEncryptionKeysDamaged", complete)
        self.assertNotIn("DecommissionOldMasterKey", seen)
        store = StoreReader(self.store)
        self.assertEqual((store.versions(), set(store.keks(self.root_keys))), ({2: self.COUNT}, {1, 2}))
        self.assertEqual(self.master_key(daemon)["keyID"], self.keys(daemon)[-1], "the new key serves all the same")

    def keys(self, daemon):
        return [key["uuid"] for key in daemon.get(f"/v1/keysets/{self.KEYSET}/keys")["keys"]]
