# Tests the Element front end of a running rewrapd: who gets in, what each request is answered, key providers and
# servers.
import base64
import concurrent.futures
import http.client
import json
import ssl

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from element_support import INFO, REKEY, SHAPES, ElementTest, KeyServer
from soft_daemon import PASSWORD
from soft_kmip import Ca, pem
from support import write_secret


class Access(ElementTest):
    """Log-ins and roles."""

    BODY = json.dumps({"method": "GetCurrentClusterAdmin", "id": 1})

    def setUp(self):
        super().setUp()
        self.ca = Ca()
        ca_file = write_secret(self.dir / "clients.pem", pem(self.ca.certificate))
        self.EXTRA_TABLES = f'[tls]\nclient_ca = "{ca_file}"\n[limits]\nfailed_log_ins_burst = 100\n'
        self.write_config()
        self.rewrap("account", "add", "robot", "--no-password", "--certificate", "robot", "--role", "rekey-operator")
        for name, role in (("operator", "rekey-operator"), ("reader", "read-only"), ("auditor", "audit")):
            self.add_account(name, role)
        self.make_keyset(self.KEYSET, 1)

    def post(self, daemon, account="", password=PASSWORD, certificate=None, path="/json-rpc/12.3", body=BODY, tls=None):
        """(status, headers without what differs always, text) of one request."""
        context = ssl.create_default_context(cafile=str(self.store / "tls" / "server.crt"))
        if certificate:
            context.load_cert_chain(self.dir / f"{certificate}.pem", self.dir / f"{certificate}.key")
        if tls:
            context.minimum_version = context.maximum_version = tls
        connection = http.client.HTTPSConnection("127.0.0.1", daemon.port, context=context, timeout=60)
        token = base64.b64encode(f"{account}:{password}".encode()).decode()
        headers = {"Authorization": f"Basic {token}"} if account else {}
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        kept = {name: value for name, value in answer.getheaders() if name not in ("Date", "X-Request-Id")}
        return answer.status, kept, text

    def issue(self, ca, name, file, days):
        ca.issue(self.dir, name, ExtendedKeyUsageOID.CLIENT_AUTH)
        key = x509.load_pem_x509_certificate((self.dir / f"{name}.pem").read_bytes()).public_key()
        usage = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False)
        write_secret(self.dir / f"{file}.pem", pem(ca.sign(name, key, [usage], days)))
        write_secret(self.dir / f"{file}.key", (self.dir / f"{name}.key").read_bytes())

    def test_whoever_is_refused_is_told_the_same(self):
        self.issue(self.ca, "robot", "good", 1)
        self.issue(self.ca, "robot", "expired", -1)
        self.issue(self.ca, "stranger", "unknown", 1)
        self.issue(Ca(), "robot", "foreign", 1)
        daemon = self.daemon()
        self.assertEqual(json.loads(self.post(daemon, "admin")[2])["result"]["clusterAdmin"]["username"], "admin")
        self.assertEqual(
            json.loads(self.post(daemon, certificate="good")[2])["result"]["clusterAdmin"]["username"], "robot"
        )
        first = self.post(daemon, "admin", "wrong-password")
        self.assertEqual((first[0], first[1]["WWW-Authenticate"][:6]), (401, "Basic "))
        self.assertIn("401 Unauthorized.", first[2])
        for case in (
            {"account": "nobody"},
            {"account": "nobody", "password": "wrong-password"},
            {"account": "robot"},
            {"account": ""},
            {"certificate": "expired"},
            {"certificate": "unknown"},
            {"certificate": "foreign"},
            {"certificate": "expired", "account": "admin", "password": "wrong-password"},
            {"account": "nobody", "path": "/json-rpc/99.9"},
            {"account": "nobody", "body": "{"},
            {"account": "nobody", "body": '{"method":"Nothing"}'},
        ):
            with self.subTest(case=case):
                self.assertEqual(self.post(daemon, **case), first)

    def test_tls_1_2_and_1_3(self):
        daemon = self.daemon()
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            self.assertEqual(self.post(daemon, "admin", tls=version)[0], 200)

    def test_what_a_role_may_not(self):
        """Denied with status 200, and nothing is done. Each method is asked of each role."""
        daemon = self.daemon()
        methods = set(self.call(daemon, "GetAPI")["12.3"])
        self.assertEqual(methods, set(SHAPES) | {"GetAsyncResult"})
        verbs = ("Create", "Delete", "Modify", "Test", "Add", "Remove")
        changing = {name for name in methods if name.startswith(verbs)}
        changing |= {"EnableEncryptionAtRest", "DisableEncryptionAtRest", "EnableFeature"}
        all_but_reads = changing | {REKEY}
        for account, denied in (("reader", all_but_reads), ("auditor", all_but_reads), ("operator", changing)):
            for method in sorted(methods):
                if method == REKEY and account == "operator":
                    continue
                envelope = self.exchange(daemon, method, account=account)
                name = envelope.get("error", {}).get("name")
                self.assertEqual(name == "xPermissionDenied", method in denied, f"{account} {method}: {envelope}")
        self.assertEqual(self.call(daemon, "ListAsyncResults")["asyncHandles"], [])
        self.assertEqual(self.call(daemon, "ListKeyProvidersKmip")["kmipKeyProviders"], [])
        handle = self.call(daemon, REKEY, account="operator")["asyncHandle"]
        self.assertIn("result", self.wait(daemon, handle)[0])
        log = (self.store / "audit.log").read_text(encoding="utf-8")
        self.assertIn("element.denied", log)
        self.assertIn(f"element.{REKEY}", log)


class Requests(ElementTest):
    """Each row of the table of what a rekey may be asked, and what surrounds a request."""

    COUNT = 10

    def setUp(self):
        super().setUp()
        self.make_keyset(self.KEYSET, self.COUNT)
        self.running = self.daemon()

    def test_the_decision_table(self):
        daemon = self.running
        made = self.call(daemon, "CreateKeyProviderKmip", {"keyProviderName": "p"})
        provider = made["kmipKeyProvider"]["keyProviderID"]
        before = self.master_key(daemon)
        for params, name in (
            ({"keyManagementType": "External"}, "xMissingParameter"),
            ({"keyManagementType": "external", "keyProviderID": 0}, "xMissingParameter"),
            ({"keyManagementType": "Internal", "keyProviderID": provider}, "xInvalidParameter"),
            ({"keyProviderID": provider}, "xInvalidParameter"),
            ({"keyManagementType": "Sideways"}, "xUnrecognizedEnumString"),
            ({"keyManagementType": "External", "keyProviderID": provider + 1}, "xKeyProviderIDDoesNotExist"),
            ({"keyManagementType": 1}, "xInvalidParameterType"),
            ({"keyManagementType": "External", "keyProviderID": "one"}, "xInvalidParameterType"),
            ({"keyManagementType": "External", "keyProviderID": 1.5}, "xInvalidParameterType"),
            ({"keyManagementType": "External", "keyProviderID": f"{provider} "}, "xInvalidParameterType"),
            ({"keyManagementType": "External", "keyProviderID": f"+{provider}"}, "xInvalidParameterType"),
        ):
            with self.subTest(params=params):
                self.refused(daemon, name, REKEY, params)
        self.assertEqual(self.call(daemon, "ListAsyncResults")["asyncHandles"], [], "none of these began")
        self.assertEqual(self.master_key(daemon), before)
        keys = [before["keyID"]]
        for params in (
            {},
            {"keyProviderID": 0},
            {"keyManagementType": None, "keyProviderID": None},
            {"keyManagementType": "Internal"},
            {"keyManagementType": "INTERNAL", "keyProviderID": "0"},
        ):
            with self.subTest(params=params):
                result = self.rekeyed(daemon, params)
                self.assertEqual(result["keyToDecommission"]["keyID"], keys[-1])
                keys.append(result["newKey"]["keyID"])
        self.assertEqual(len(set(keys)), 6)
        self.assertEqual(self.call(daemon, INFO)["version"], 1, "a rekey does not count")
        self.assertNotIn("rekeyMasterKeyAsyncResultID", self.call(daemon, INFO))

    def test_a_result_is_fetched_once(self):
        handle = self.start_rekey(self.running)
        self.wait(self.running, handle)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            read = {"method": "GetAsyncResult", "params": {"asyncHandle": handle}}
            answers = list(pool.map(lambda _: self.running.ask("POST", "/json-rpc/12.3", read).json, range(4)))
        self.assertEqual(sorted("result" in answer for answer in answers), [False, False, False, True], answers)
        self.assertIn(str(handle), self.refused_handle(self.running, handle))

    def test_by_url(self):
        path = "/json-rpc/12.3?method="
        info = self.running.get(path + INFO)
        self.assertEqual((info["id"], info["result"]["state"]), (None, "enabled"))
        refused = self.running.get(path + REKEY)
        self.assertEqual(refused["error"]["name"], "xAPINotPermitted")
        self.assertEqual(self.call(self.running, "ListAsyncResults")["asyncHandles"], [])

    def test_envelopes(self):
        daemon = self.running
        for body, expected in (
            ({"method": "getapi"}, {"id": None}),
            ({"method": "GETAPI", "id": 0, "params": None}, {"id": 0}),
            ({"method": "GetAPI", "id": "a", "json-rpc": "2.0"}, {"id": "a"}),
            ({"method": "GetAPI", "id": 1, "params": {"x": [1]}}, {"id": 1, "unusedParameters": {"x": [1]}}),
        ):
            answer = daemon.ask("POST", "/json-rpc/7.0/", body)
            self.assertIn(b'"result":{', answer.text.encode())
            envelope = answer.json
            del envelope["result"]
            self.assertEqual(envelope, expected)
        for body, name in (
            ([], "xInvalidAPIParameter"),
            ({}, "xMissingParameter"),
            ({"method": "GetAPI", "params": []}, "xInvalidParameterType"),
            ({"method": "ListVolumes"}, "xUnknownAPIMethod"),
        ):
            answer = daemon.ask("POST", "/json-rpc/12.3", body)
            self.assertEqual((answer.status, answer.json["error"]["name"]), (200, name))
            self.assertEqual((answer.json["id"], answer.json["error"]["code"]), (None, 500))
        for version in ("99.0", "12", ""):
            answer = daemon.ask("POST", f"/json-rpc/{version}", {"method": "GetAPI"})
            self.assertEqual(answer.status, 404)
            self.assertIn("404 Not Found", answer.text)

    def test_what_has_a_name_but_no_place_here(self):
        daemon = self.running
        for verb in ("GetClusterVersionInfo", "GetEncryptionAtRestInfo", "DisableEncryptionAtRest", "GetFeatureStatus"):
            self.call(daemon, verb)
        self.refused(daemon, "xAPINotPermitted", "EnableEncryptionAtRest")
        self.refused(daemon, "xAPINotPermitted", "EnableFeature", {"feature": "vvols"})


class Providers(ElementTest):
    """Key providers and key servers, with a KMIP server of its own."""

    def test_the_life_of_a_provider_and_its_server(self):
        kmip = KeyServer(self, self.dir)
        daemon = self.daemon()
        self.refused(daemon, "xAPINotPermitted", "GetClientCertificateSignRequest")
        provider, server = self.connect_kmip(daemon, kmip)
        pair = {"keyProviderID": provider, "keyServerID": server}
        self.call(daemon, "AddKeyServerToProviderKmip", pair)  # it is there: no error
        shown = self.call(daemon, "GetKeyServerKmip", {"keyServerID": str(server)})["kmipKeyServer"]
        self.assertEqual((shown["keyProviderID"], shown["kmipAssignedProviderIsActive"]), (provider, False))
        self.assertEqual((shown["kmipKeyServerPort"], shown["kmipKeyServerHostnames"]), (kmip.port, ["127.0.0.1"]))
        self.assertTrue(shown["kmipClientCertificate"].startswith("-----BEGIN CERTIFICATE-----\n"))

        given = ("kmipCaCertificate", "kmipClientCertificate", "kmipKeyServerHostnames", "kmipKeyServerName")
        again = {name: shown[name] for name in given}
        spare = self.call(daemon, "CreateKeyServerKmip", again)["kmipKeyServer"]
        self.assertEqual((spare["kmipKeyServerPort"], spare["keyProviderID"]), (5696, None))
        self.assertGreater(spare["keyServerID"], server)
        taken = {"keyProviderID": provider, "keyServerID": spare["keyServerID"]}
        self.refused(daemon, "xAPINotPermitted", "AddKeyServerToProviderKmip", taken)

        for method, name, filters, count in (
            ("ListKeyServersKmip", "kmipKeyServers", {}, 2),
            ("ListKeyServersKmip", "kmipKeyServers", {"keyProviderID": provider}, 1),
            ("ListKeyServersKmip", "kmipKeyServers", {"kmipHasProviderAssigned": False}, 1),
            ("ListKeyServersKmip", "kmipKeyServers", {"kmipAssignedProviderIsActive": True}, 0),
            ("ListKeyProvidersKmip", "kmipKeyProviders", {"kmipKeyProviderHasServerAssigned": True}, 1),
            ("ListKeyProvidersKmip", "kmipKeyProviders", {"keyProviderIsActive": True}, 0),
        ):
            self.assertEqual(len(self.call(daemon, method, filters)[name]), count, filters)
        for method, params, name in (
            ("CreateKeyServerKmip", again | {"kmipCaCertificate": "none"}, "xInvalidParameter"),
            ("CreateKeyServerKmip", again | {"kmipKeyServerHostnames": []}, "xInvalidParameter"),
            ("CreateKeyServerKmip", again | {"kmipKeyServerPort": 65536}, "xInvalidParameter"),
            ("CreatePublicPrivateKeyPair", {"country": "Germany"}, "xInvalidParameter"),
            ("GetKeyServerKmip", {"keyServerID": 99}, "xKeyServerIDDoesNotExist"),
            ("DeleteKeyProviderKmip", {"keyProviderID": 99}, "xKeyProviderIDDoesNotExist"),
        ):
            self.refused(daemon, name, method, params)

        changed = self.call(daemon, "ModifyKeyServerKmip", {"keyServerID": server, "kmipKeyServerName": "new"})
        self.assertEqual(changed["kmipKeyServer"], shown | {"kmipKeyServerName": "new"})
        for _ in range(2):  # the second time it is not assigned: no error
            self.call(daemon, "RemoveKeyServerFromProviderKmip", {"keyServerID": server})
        unassigned = self.call(daemon, "GetKeyServerKmip", {"keyServerID": server})["kmipKeyServer"]
        self.assertEqual([unassigned["keyProviderID"], unassigned["kmipAssignedProviderIsActive"]], [None, None])
        self.call(daemon, "DeleteKeyServerKmip", {"keyServerID": server})
        self.call(daemon, "DeleteKeyProviderKmip", {"keyProviderID": provider})
        self.refused(daemon, "xKeyProviderIDDoesNotExist", "GetKeyProviderKmip", {"keyProviderID": provider})
        daemon.stop()
        stored = b"".join(path.read_bytes() for path in self.store.glob("service.db*"))
        self.assertIn(b"BEGIN CERTIFICATE REQUEST", stored, "control")
        self.assertNotIn(b"PRIVATE KEY", stored)

    def test_the_certificate_request(self):
        daemon = self.daemon()
        subject = {
            "commonName": "cluster",
            "organization": "O",
            "organizationalUnit": "OU",
            "locality": "L",
            "state": "ST",
            "country": "DE",
            "emailAddress": "a@example.org",
        }
        self.call(daemon, "CreatePublicPrivateKeyPair", subject)
        text = self.call(daemon, "GetClientCertificateSignRequest")["clientCertificateSignRequest"]
        self.assertTrue(text.startswith("-----BEGIN CERTIFICATE REQUEST-----\n") and text.endswith("-----\n"), text)
        request = x509.load_pem_x509_csr(text.encode())
        self.assertEqual([part.value for part in request.subject], list(subject.values()))
        self.assertEqual(request.public_key().key_size, 2048)
        self.assertEqual(request.signature_hash_algorithm.name, "sha256")
        usage = request.extensions.get_extension_for_class(x509.KeyUsage)
        self.assertTrue(usage.critical and usage.value.digital_signature and usage.value.key_encipherment)
        extended = request.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        self.assertEqual(list(extended), [ExtendedKeyUsageOID.CLIENT_AUTH])
