# A headless Chromium for tests of the web console, driven by chromedriver: private profile, loopback only.
import base64
import datetime
import hashlib
import ipaddress
import json
import os
import shutil
import tempfile
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

CHROMIUM, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
# Every name but the loopback address is unknown to it: a request that left the page's origin would fail, and be logged.
SWITCHES = (
    "--headless=new",
    "--no-sandbox",  # it does not start as root otherwise, and shows our own page only
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--window-size=1280,1000",
)


def self_signed(name="127.0.0.1"):
    """(certificate, key) in PEM, and the digest of the public key by which the browser is told to accept it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(name))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    pin = base64.b64encode(hashlib.sha256(public).digest()).decode()
    return certificate.public_bytes(serialization.Encoding.PEM), pem, pin




class Browser:
    """One Chromium. It accepts the one certificate whose public key has the digest `pin`, and no other."""

    def __init__(self, pin):
        self.folder = tempfile.mkdtemp(prefix="rewrap-browser-")
        options = Options()
        options.binary_location = CHROMIUM
        own = (f"--user-data-dir={self.folder}/profile", f"--ignore-certificate-errors-spki-list={pin}")
        for switch in (*SWITCHES, *own):
            options.add_argument(switch)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        # Whatever else Chromium and its driver write goes into the folder too.
        places = dict.fromkeys(("HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"), self.folder)
        env = os.environ | places
        service = Service(DRIVER, env=env, log_path=f"{self.folder}/driver.log")
        self.driver = webdriver.Chrome(service=service, options=options)
        self.driver.set_script_timeout(20)

    def quit(self):
        self.driver.quit()
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- looking

    def find(self, css):
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def one(self, css):
        return self.driver.find_element(By.CSS_SELECTOR, css)

    def text(self, css):
        """What is visible there, whatever is replaced meanwhile; "" where nothing is."""
        script = "const e = document.querySelector(arguments[0]); return e === null ? '' : e.innerText"
        return self.driver.execute_script(script, css)

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def wait(self, condition, what, seconds=15):
        """What the condition gives, as soon as that is something."""
        end = time.monotonic() + seconds
        while True:
            try:
                found = condition()
            except StaleElementReferenceException:
                found = None
            if found:
                return found
            if time.monotonic() > end:
                raise AssertionError(f"waited too long until {what}; the page shows: {self.text('body')}")
            time.sleep(0.03)

    def click(self, css):
        self.wait(lambda: [e for e in self.find(css) if e.is_displayed() and e.is_enabled()], f"{css} can be clicked")
        self.one(css).click()

    def type(self, css, text):
        field = self.one(css)
        field.clear()
        field.send_keys(text)

    # -- what it has asked for and complained of since the last call

    def complaints(self):
        return self.driver.get_log("browser")

    def requests(self):
        """(method, URL) of each request."""
        messages = (json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance"))
        sent = (m["params"]["request"] for m in messages if m["method"] == "Network.requestWillBeSent")
        return [(request["method"], request["url"]) for request in sent]
