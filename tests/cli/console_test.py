# Tests the web console as an operator meets it: in Chromium, over TLS, against a running rewrapd.
import sqlite3
import time

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from soft_browser import Browser, self_signed
from soft_daemon import PASSWORD, DaemonTest
from support import write_secret

HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


class Console(DaemonTest):
    """One browser for all of them, a new daemon for each."""

    COUNT = 20_000

    @classmethod
    def setUpClass(cls):
        cls.certificate, cls.key, pin = self_signed()
        cls.browser = Browser(pin)
        cls.addClassCleanup(cls.browser.quit)

    def setUp(self):
        super().setUp()
        folder = self.store / "tls"
        folder.mkdir(mode=0o700)
        for name, data in (("server.crt", self.certificate), ("server.key", self.key)):
            (folder / name).write_bytes(data)
            (folder / name).chmod(0o600)
        self.expected_complaints = []

    def tearDown(self):
        # No error of the script's, nothing that the policy stopped, nothing asked of anybody else.
        complaints = [entry["message"] for entry in self.browser.complaints()]
        requests = self.browser.requests()
        self.browser.driver.get("about:blank")
        for text in self.expected_complaints:
            self.assertTrue(any(text in complaint for complaint in complaints), f"no '{text}' in {complaints}")
            complaints = [complaint for complaint in complaints if text not in complaint]
        self.assertEqual(complaints, [])
        ours = (self.origin + "/", "chrome:", "data:")
        self.assertEqual([url for _, url in requests if not url.startswith(ours)], [])
        super().tearDown()

    def open(self, account="admin", password=PASSWORD):
        daemon = self.daemon()
        self.origin = f"https://127.0.0.1:{daemon.port}"
        self.browser.driver.get(self.origin + "/")
        self.sign_in(account, password)
        return daemon

    def sign_in(self, account, password):
        self.browser.type("#name", account)
        self.browser.type("#password", password)
        self.browser.click("#sign-in")

    def wait_live(self):
        self.browser.wait(lambda: self.browser.text("#link") == "Live", "it is live")

    def wait_text(self, css, *texts):
        self.browser.wait(lambda: all(text in self.browser.text(css) for text in texts), f"{css} shows {texts}")

    def census_shown(self, name="k"):
        """{version: DEKs} as the rows of a keyset say it, and as the parts of its bar do."""
        script = """return [...document.querySelectorAll(arguments[0])].map(e => [e.dataset.version, e.dataset.deks ??
                    e.children[2].firstChild.textContent.replaceAll(',', '')])"""
        card = f"[data-keyset={name}].keyset"
        rows, parts = (dict(self.browser.run(script, f"{card} {css}")) for css in ("tbody tr", ".census span"))
        return {int(k): int(v) for k, v in rows.items()}, {int(k): int(v) for k, v in parts.items()}

    def test_numbers_are_those_of_the_store(self):
        self.make_keyset("k", 3000)
        self.rewrap("rekey", "k")
        self.make_keyset("empty")
        self.open()
        self.wait_live()
        self.assertEqual(self.browser.driver.current_url, self.origin + "/console")
        card = "[data-keyset=k].keyset"
        self.wait_text(card, "3,000 DEKs", "wrap kw", "32-byte DEKs", "verified", "current")
        self.assertEqual(self.census_shown(), (self.census(), {2: 3000}))
        self.wait_text("[data-keyset=empty].keyset", "0 DEKs", "not verified yet")
        self.browser.click(f"{card} summary")
        self.wait_text(f"{card} .roots", self.root, "AES-KW (RFC 3394)")
        self.assertEqual(self.browser.text("#account"), "admin")
        self.assertTrue(self.browser.one("#running-none").is_displayed())

    def test_a_wrong_password_and_signing_out(self):
        self.make_keyset("secret-name", 1)
        self.open(password="wrong-password")
        self.wait_text("#login-error", "Name or password is wrong.")
        self.assertEqual(self.browser.one("#password").get_attribute("value"), "")
        self.expected_complaints.append("401 (Unauthorized)")
        self.sign_in("admin", PASSWORD)
        self.wait_text("#keysets", "secret-name")
        # The password is nowhere in the page, and nowhere in the browser's stores.
        kept = self.browser.run(
            "return document.documentElement.outerHTML + JSON.stringify([{...localStorage}, {...sessionStorage}])"
            " + document.cookie + [...document.querySelectorAll('input')].map(i => i.value)"
        )
        self.assertNotIn(PASSWORD, kept)
        self.browser.click("#sign-out")
        self.assertNotIn("secret-name", self.browser.run("return document.documentElement.outerHTML"))
        self.browser.driver.refresh()
        self.assertTrue(self.browser.one("#login-form").is_displayed())

    def test_a_rekey_is_started_watched_paused_and_resumed(self):
        self.make_keyset("k", self.COUNT)
        daemon = self.open()
        self.wait_live()
        self.browser.click(".keyset .rekey")
        self.browser.type("#rekey-rate", "2500")
        self.browser.click("#rekey-start")
        self.wait_text("#result", "k: the rekey has begun.")
        self.wait_text(".job", "running", "moving DEKs", "limit 2,500/s", "KEK 1 → 2", "by admin", "left")
        first = self.progress()
        self.browser.wait(lambda: self.progress() > first, "progress moves")
        self.browser.wait(lambda: len(self.census_shown()[1]) == 2, "the bar has two parts")
        self.assertEqual(sum(self.census_shown()[1].values()), self.COUNT)
        self.assertFalse(self.browser.one(".keyset .rekey").is_enabled())
        self.browser.click(".job .pause")
        self.wait_text(".job", "paused")
        job = daemon.get("/v1/jobs")["jobs"][0]
        self.assertEqual((job["state"], job["rate"]), ("paused", 2500))
        self.assertIn(f"{job['done']:,} of {self.COUNT:,} DEKs", self.browser.text(".job .facts"))
        self.browser.type(".job .rate", "0")
        self.browser.one(".job .rate").send_keys(Keys.ENTER)
        self.browser.wait(lambda: "limit" not in self.browser.text(".job .facts"), "there is no limit")
        self.browser.click(".job .resume")
        self.wait_text("#recent-rows [data-state=succeeded]", "Rekey", "KEK 1 → 2", "k", f"{self.COUNT:,}", "admin")
        self.browser.wait(lambda: self.census_shown() == ({2: self.COUNT},) * 2, "all DEKs are under version 2")
        self.wait_text(".keyset", "1 earlier version destroyed", "at rest")
        self.assertIn("succeeded", self.browser.run("return document.getElementById('spoken').textContent"))
        self.browser.click("#sign-out")
        daemon.stop()
        self.check_verify(self.COUNT)

    def progress(self):
        return float(self.browser.run("return document.querySelector('.job progress')?.value ?? 0"))

    def test_cancelling_asks_first_and_old_versions_are_destroyed_by_hand(self):
        self.make_keyset("k", self.COUNT)
        daemon = self.open()
        job = daemon.ask("POST", "/v1/keysets/k/rekey", {"rate": 2000}).json["job"]["uuid"]
        self.browser.click(".job .cancel")
        self.wait_text("#confirm-dialog", "Cancel the rekey of k?", "No DEK is lost")
        self.browser.one("#confirm-dialog").send_keys(Keys.ESCAPE)
        self.assertEqual(daemon.get(f"/v1/jobs/{job}")["state"], "running")
        self.browser.click(".job .cancel")
        self.browser.click("#confirm-yes")
        self.wait_text("#recent-rows", "cancelled")
        self.wait_text(".keyset", "unfinished rekey")
        self.browser.click(".keyset .rekey")
        self.browser.click("#rekey-decommission")
        self.browser.click("#rekey-start")
        self.wait_text("#recent-rows", "succeeded")
        self.browser.click(".keyset button.plain")
        self.wait_text("#confirm-dialog", "Destroy KEK version 1 of k?")
        self.browser.click("#confirm-yes")
        self.wait_text("#recent-rows", "Destroy a KEK version")
        self.browser.wait(lambda: daemon.get("/v1/keysets/k/keys/1")["state"] == "destroyed", "version 1 is gone")

    def test_a_reader_sees_no_button_and_is_refused_anyway(self):
        self.make_keyset("k", self.COUNT)
        self.add_account("reader", "read-only")
        daemon = self.open("reader")
        job = daemon.ask("POST", "/v1/keysets/k/rekey", {"rate": 2000}).json["job"]["uuid"]
        self.wait_text(".job", "running")
        self.wait_text(".keyset", "current")
        buttons = [button.get_attribute("id") for button in self.browser.find("#console button")]
        self.assertEqual((buttons, self.browser.find("#console input")), (["sign-out"], []))
        for method, path in (("POST", f"/v1/jobs/{job}/cancel"), ("POST", "/v1/keysets/k/verify")):
            self.assertEqual(daemon.ask(method, path, account="reader").status, 403)
        self.assertEqual(daemon.get(f"/v1/jobs/{job}")["requested"], "none")

    def test_hostile_texts_are_texts(self):
        """Names are checked by the service; these come into its records behind its back, and by way of a root's URI."""
        self.root = f"file:{write_secret(self.dir / '<b>root.key', self.root_key)}"
        self.make_keyset("k", 1)
        daemon = self.daemon()
        job = daemon.ask("POST", "/v1/keysets/k/verify").json["job"]["uuid"]
        self.wait_for_job(daemon, job, "succeeded")
        daemon.stop()
        with sqlite3.connect(self.store / "service.db") as database:
            database.execute(
                "UPDATE jobs SET user = ?, keyset = ?, state = 5, error_reason = 1, error_message = ?, error_hint = ?",
                [HOSTILE] * 4,
            )
        database.close()
        self.open()
        self.wait_text("#recent-rows", HOSTILE, "failed")
        self.browser.click(".keyset summary")
        self.wait_text(".roots", "<b>root.key")
        self.assertEqual(self.browser.find("#console img[src=x], #recent script, .roots b"), [])
        self.assertEqual(self.browser.driver.title, "rewrap · rewrap")
        # The control: the policy stops what the script would have done had it made HTML of it.
        stopped = self.browser.run(
            "try { document.body.insertAdjacentHTML('beforeend', arguments[0]); return '' } catch (e) { return e.name }",
            HOSTILE,
        )
        self.assertEqual(stopped, "TypeError")
        self.expected_complaints.append("TrustedHTML")

    def test_it_says_so_when_the_service_is_gone_and_comes_back_with_it(self):
        self.make_keyset("k", 1)
        daemon = self.open()
        self.wait_live()
        self.config.write_text(self.config.read_text().replace("127.0.0.1:0", f"127.0.0.1:{daemon.port}"))
        daemon.kill()
        self.wait_text("#problem", "The service cannot be reached.", "may be old")
        self.wait_text("#link", "Not reached")
        self.expected_complaints.append("ERR_CONNECTION_REFUSED")
        again = self.daemon()
        self.wait_live()
        self.assertFalse(self.browser.one("#problem").is_displayed())
        # The account is removed under it: it forgets all that it has shown.
        again.kill()
        self.rewrap("account", "remove", "admin")
        self.daemon()
        self.browser.wait(lambda: self.browser.text("#login-error"), "it signs out")
        self.assertIn("does not accept this account any more", self.browser.text("#login-error"))
        self.assertEqual(self.browser.find("#console .keyset"), [])
        self.expected_complaints.append("401 (Unauthorized)")

    def test_too_many_requests_and_an_hour_without_use(self):
        self.write_config("[limits]\nrequests_burst = 5\nrequests_per_second = 0.25\n")
        self.open()
        self.wait_text("#problem", "Too many requests. Asking again in")
        self.expected_complaints.append("429 (Too Many Requests)")
        self.browser.run("const now = Date.now; Date.now = () => now() + 3_600_001")
        self.browser.wait(lambda: self.browser.text("#login-error"), "it signs out")
        self.assertIn("after an hour without use", self.browser.text("#login-error"))

    def test_pages_of_other_origins_can_do_nothing(self):
        """A form and a script of another origin, in a browser that has the account's password: see cross_site.h."""
        self.make_keyset("k", 1)
        daemon = self.open()
        self.wait_live()
        host = f"127.0.0.1:{daemon.port}"
        # A browser that the user gave the password keeps it for this origin, and sends it along whoever asks.
        self.browser.driver.get(f"https://admin:{PASSWORD}@{host}/v1/keysets")
        self.assertIn('"name":"k"', self.browser.text("body"))
        self.browser.complaints()  # it may want a favicon.ico beside the bare JSON
        self.browser.requests()
        form = f"<form method=post action='https://{host}/v1/keysets/k/verify'><button>x"
        self.browser.driver.get(f"data:text/html,{form}")
        self.browser.click("button")
        self.browser.wait(lambda: "Forbidden" in self.browser.text("body"), "the form is refused")
        self.assertEqual(daemon.get("/v1/jobs")["jobs"], [])
        self.expected_complaints.append("403 (Forbidden)")
        # The control: the same request of the page's own origin is taken.
        self.browser.driver.get(self.origin + "/console")
        status = self.browser.run("return fetch('/v1/keysets/k/verify', {method: 'POST'}).then(r => r.status)")
        self.assertEqual((status, len(daemon.get("/v1/jobs")["jobs"])), (202, 1))

    def test_it_fits_a_phone_and_works_by_keyboard(self):
        self.make_keyset("k", self.COUNT)
        self.rewrap("rekey", "k")
        daemon = self.daemon()
        self.origin = f"https://127.0.0.1:{daemon.port}"
        self.browser.driver.get(self.origin + "/console")
        metrics = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
        self.browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.addCleanup(self.browser.driver.execute_cdp_cmd, "Emulation.clearDeviceMetricsOverride", {})
        keys = self.browser.driver.switch_to.active_element
        keys.send_keys("admin", Keys.TAB)
        self.browser.driver.switch_to.active_element.send_keys(PASSWORD, Keys.ENTER)
        self.wait_text(".keyset", "current")
        daemon.ask("POST", "/v1/keysets/k/rekey", {"rate": 2000})
        self.wait_text(".job", "running")
        wide = self.browser.run("return [document.documentElement.scrollWidth, innerWidth]")
        self.assertLessEqual(wide[0], wide[1], "it has to be scrolled sideways")
        # Every control has a name, and every field a label.
        unnamed = self.browser.run(
            "return [...document.querySelectorAll('button, input')].filter(e => e.offsetParent)"
            ".filter(e => e.tagName === 'INPUT' ? !e.labels?.length : !e.textContent.trim()).map(e => e.outerHTML)"
        )
        self.assertEqual(unnamed, [])
        pause = self.browser.driver.find_element(By.CSS_SELECTOR, ".job .pause")
        self.browser.run("arguments[0].focus()", pause)
        time.sleep(1.2)  # the card is updated meanwhile: the focus must stay
        self.browser.driver.switch_to.active_element.send_keys(Keys.SPACE)
        self.wait_text(".job", "paused")
