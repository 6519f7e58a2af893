# Tests that what /v1 answers is what its OpenAPI document says, by a validator that shares no code with either.
import uuid

import jsonschema
from soft_daemon import DaemonTest


class OpenApi(DaemonTest):
    """The document as a client's generator would take it."""

    COUNT = 2000

    def setUp(self):
        super().setUp()
        self.make_keyset("k", self.COUNT)
        self.write_config('[ontap]\nadmin_keyset = "l"\n')
        self.running = self.daemon()
        self.document = self.running.get("/v1/openapi.json", account="")

    def schema_of(self, path, method, status):
        responses = self.document["paths"][path][method]["responses"]
        return self.closed(responses.get(str(status), responses["default"])["content"]["application/json"]["schema"])

    def closed(self, schema):
        """The schema with every reference in place, that takes no member it does not name."""
        if isinstance(schema, list):
            return [self.closed(item) for item in schema]
        if not isinstance(schema, dict):
            return schema
        if "$ref" in schema:
            return self.closed(self.document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
        closed = {name: self.closed(value) for name, value in schema.items()}
        if schema.get("type") == "object" or "object" in schema.get("type", ()):
            closed["additionalProperties"] = False
        return closed

    def check(self, method, path, body=None, status=200, account="admin", **names):
        """Asks, and checks status and answer against the document; gives the answer."""
        answer = self.running.ask(method, path.format(**names), body, account=account)
        self.assertEqual(answer.status, status, answer.text)
        self.assertEqual(answer.headers["Content-Type"], "application/json")
        where = path.partition("?")[0]
        if account:
            self.seen.add((where, method.lower()))
        schema = self.schema_of(where, method.lower(), status)
        jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(answer.json)
        return answer.json

    def test_schemas_are_schemas(self):
        for name, schema in self.document["components"]["schemas"].items():
            with self.subTest(schema=name):
                jsonschema.Draft202012Validator.check_schema(schema)
        for path, operations in self.document["paths"].items():
            holes = {part[1:-1] for part in path.split("/") if part.startswith("{")}
            for operation in operations.values():
                named = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"}
                self.assertEqual(named, holes, path)

    def test_the_check_can_fail(self):
        """The control: an answer with a member too many, one too few, a wrong type or an unknown word is found."""
        job = self.running.ask("POST", "/v1/keysets/k/verify").json["job"]
        validator = jsonschema.Draft202012Validator(
            self.closed({"$ref": "#/components/schemas/Job"}), format_checker=jsonschema.FormatChecker()
        )
        validator.validate(job)
        less = {name: value for name, value in job.items() if name != "rate"}
        changes = ({"x": 1}, {"done": "1"}, {"done": None}, {"state": "fast"}, {"uuid": "1"})
        for wrong in (less, *(job | change for change in changes)):
            self.assertFalse(validator.is_valid(wrong))

    def test_every_answer_keeps_to_the_document(self):
        self.seen = set()
        self.check("GET", "/v1/account")
        self.check("GET", "/v1/cluster")
        self.check("GET", "/v1/keysets")
        self.check("POST", "/v1/keysets", {"name": "l", "root": self.root, "wrap": "gcm", "dek_size": 64}, 201)
        ids = self.check("POST", "/v1/keysets/{keyset}/deks", {"count": 5}, 201, keyset="l")["ids"]
        self.assertEqual(len(ids), 5)
        page = self.check("GET", "/v1/keysets/{keyset}/deks?limit=3", keyset="l")
        rest = self.check("GET", "/v1/keysets/{keyset}/deks?from=" + page["next"], keyset="l")
        self.assertEqual([dek["id"] for dek in page["deks"] + rest["deks"]], ids)
        self.check("GET", "/v1/keysets/{keyset}/deks/{id}", keyset="l", id=ids[0])
        in_admin = "/v1/keysets/{keyset}/deks_in_admin/{id}"
        self.check("POST", in_admin, None, 201, keyset="k", id=ids[0])
        self.check("POST", in_admin, None, 409, keyset="l", id=ids[0])
        self.check("DELETE", in_admin, keyset="k", id=ids[0])
        self.check("GET", "/v1/keysets/{keyset}/quarantine", keyset="k")
        self.jobs()
        self.check("GET", "/v1/keysets/{keyset}/keys", keyset="k")
        old = self.check("GET", "/v1/keysets/{keyset}/keys/{version}", keyset="k", version=1)
        self.assertEqual(old["state"], "destroyed")
        self.check("GET", "/v1/keysets/{keyset}/census", keyset="k")
        self.check("GET", "/v1/nodes")
        self.check("POST", "/v1/nodes", {"name": "n"}, 201)
        self.check("POST", "/v1/nodes/{node}/heartbeat", node="n")
        self.check("GET", "/v1/nodes")
        self.check("DELETE", "/v1/nodes/{node}", node="n")
        self.errors()
        all_of_them = {(path, method) for path, operations in self.document["paths"].items() for method in operations}
        self.assertEqual(self.seen, all_of_them)

    def jobs(self):
        self.check("GET", "/v1/keysets/{keyset}", keyset="k")
        job = self.check("POST", "/v1/keysets/{keyset}/rekey", {"rate": 500}, 202, keyset="k")["job"]["uuid"]
        self.check("GET", "/v1/keysets/{keyset}", keyset="k")
        self.wait_for_job(self.running, job, "running")
        self.check("POST", "/v1/jobs/{uuid}/pause", uuid=job)
        self.wait_for_job(self.running, job, "paused")
        self.check("GET", "/v1/jobs/{uuid}", uuid=job)
        self.check("PATCH", "/v1/jobs/{uuid}", {"rate": 0}, uuid=job)
        self.check("POST", "/v1/jobs/{uuid}/resume", uuid=job)
        self.wait_for_job(self.running, job, "succeeded")
        self.check("POST", "/v1/jobs/{uuid}/cancel", None, 409, uuid=job)
        for what in ("verify", "restore"):
            started = self.check("POST", "/v1/keysets/{keyset}/" + what, None, 202, keyset="k")
            self.wait_for_job(self.running, started["job"]["uuid"], "succeeded")
        started = self.check("POST", "/v1/keysets/{keyset}/reprotect", {"root": "file:/none"}, 202, keyset="k")
        failed = self.wait_for_job(self.running, started["job"]["uuid"], "failed")
        self.assertEqual(self.check("GET", "/v1/jobs/{uuid}", uuid=failed["uuid"])["error"]["reason"], "root_blocked")
        path = "/v1/keysets/{keyset}/keys/{version}/decommission"
        started = self.check("POST", path, None, 202, keyset="k", version=2)
        self.wait_for_job(self.running, started["job"]["uuid"], "failed")
        self.check("GET", "/v1/jobs?kind=rekey&limit=1")

    def errors(self):
        self.check("GET", "/v1/keysets/{keyset}", None, 404, keyset="none")
        self.check("GET", "/v1/keysets", None, 401, account="")
        self.check("POST", "/v1/keysets", {"name": "a b", "root": self.root}, 400)
        self.check("GET", "/v1/jobs/{uuid}", None, 404, uuid=uuid.uuid4())
