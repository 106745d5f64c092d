"""What the vault double does that no official client asks for: raw requests, and other times.

That it is like the service otherwise is shown by the clients: test_vault_double_python.py and
vault_clients/.
"""

import http.client
import json
import os
import socket
import ssl
import threading
import time
import unittest
import urllib.parse
import uuid

from packages import need_packages

need_packages(("cryptography",), "python3-cryptography")

from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import padding  # noqa: E402
from cryptography.x509 import load_pem_x509_certificate  # noqa: E402

import harness  # noqa: E402
from vault_double.client import VaultDouble  # noqa: E402
from vault_double.errors import VaultError  # noqa: E402
from vault_double.keys import DAY, Vault  # noqa: E402
from vault_double.material import from_base64url, to_base64url  # noqa: E402

RESOURCE = "https://vault.azure.net"
SECRET = "a secret of the test"


class States(unittest.TestCase):
    """Vaults without any network, at times of our choice."""

    def setUp(self):
        self.vault = Vault("demo.vault.azure.net", "vault.azure.net", "tenant")

    def assertRefused(self, status, inner, function, *args):
        with self.assertRaises(VaultError) as caught:
            function(*args)
        self.assertEqual((caught.exception.status, caught.exception.inner), (status, inner))

    def test_a_version_wraps_from_nbf_until_exp_and_always_unwraps(self):
        _, version = self.vault.create_key("cmk", 0, nbf=100, exp=200)
        for now in (100, 199):
            self.vault.check_wrap(version, now)
        self.assertRefused(403, "KeyNotYetValid", self.vault.check_wrap, version, 99)
        self.assertRefused(403, "KeyExpired", self.vault.check_wrap, version, 200)
        self.vault.check_unwrap(version)
        version.enabled = False
        self.assertRefused(403, "KeyDisabled", self.vault.check_wrap, version, 150)
        self.assertRefused(403, "KeyDisabled", self.vault.check_unwrap, version)
        self.vault.wrap_with_disabled = True
        self.vault.check_wrap(version, 150)

    def test_operations_that_are_absent_restrict_nothing(self):
        _, version = self.vault.create_key("cmk", 0, key_ops=["wrapKey"])
        self.vault.check_wrap(version, 0)
        self.assertRefused(403, "KeyOperationForbidden", self.vault.check_unwrap, version)
        _, version = self.vault.create_key("cmk", 0, key_ops="absent")
        self.assertNotIn("key_ops", version.jwk("kid"))
        self.vault.check_unwrap(version)

    def test_a_deleted_key_is_seen_nowhere_then_deleted_then_gone(self):
        self.vault.create_key("cmk", 0)
        self.vault.deletion_delay = 10
        self.vault.delete_key("cmk", 1000)
        self.assertRefused(404, None, self.vault.find_key, "cmk", 1000)
        self.assertRefused(404, None, self.vault.find_deleted, "cmk", 1009)
        self.assertRefused(409, "ObjectIsBeingDeleted", self.vault.create_key, "cmk", 1009)
        self.vault.find_deleted("CMK", 1010)
        self.assertRefused(409, "ObjectIsDeletedButRecoverable", self.vault.create_key, "cmk", 1010)
        self.assertRefused(403, None, self.vault.purge_key, "cmk", 1010)
        self.vault.recover_key("cmk", 1010)
        self.assertRefused(404, None, self.vault.find_key, "cmk", 1019)
        self.assertRefused(409, "ObjectIsBeingRecovered", self.vault.create_key, "cmk", 1019)
        self.vault.find_key("cmk", 1020)
        self.vault.delete_key("cmk", 2000)
        self.vault.find_deleted("cmk", 2000 + 90 * DAY - 1)
        self.assertRefused(404, None, self.vault.find_deleted, "cmk", 2000 + 90 * DAY)
        self.vault.create_key("cmk", 2000 + 90 * DAY)

    def test_without_soft_delete_a_deleted_key_is_gone(self):
        self.vault.recovery_level = "Purgeable"
        _, version = self.vault.create_key("cmk", 0)
        self.assertEqual(version.attributes(self.vault, "7.4")["recoverableDays"], 0)
        self.vault.delete_key("cmk", 0)
        self.assertRefused(404, None, self.vault.find_deleted, "cmk", 1)

    def test_material_of_any_length_and_with_what_it_should_not_have(self):
        for size in (1024, 2047, 2056):
            _, version = self.vault.create_key("cmk", 0, size=size)
            modulus = from_base64url(version.jwk("kid")["n"])
            self.assertEqual(int.from_bytes(modulus, "big").bit_length(), size)
        _, version = self.vault.create_key("cmk", 0, leading_zero=True, private_members=True)
        shown = version.jwk("kid")
        self.assertEqual(from_base64url(shown["n"])[:1], b"\0")
        self.assertLessEqual({"d", "p", "q", "dp", "dq", "qi"}, set(shown))


class Served(unittest.TestCase):
    """One double, one vault, one application with a token."""

    @classmethod
    def setUpClass(cls):
        cls.double = VaultDouble()
        cls.addClassCleanup(cls.double.close)

    def setUp(self):
        self.double.reset()
        self.host = self.double.create_vault(name="demo")["host"]
        self.agent = self.double.create_identity(name="agent", secret=SECRET)
        self.double.grant(self.host, "agent", ("get", "list", "wrapKey", "unwrapKey"))
        self.key = self.double.create_key(vault=self.host, name="cmk", kty="EC")  # quickly made
        self.token = self.double.make_token(identity="agent", resource=RESOURCE)["token"]

    def make_rsa_key(self):
        self.key = self.double.create_key(vault=self.host, name="cmk")
        return self.key["version"]

    def connect(self, host, port="vault"):
        context = ssl.create_default_context(cafile=self.double.ca)
        stream = socket.create_connection(("127.0.0.1", self.double.ports[port]), timeout=20)
        connection = http.client.HTTPConnection(host)
        self.addCleanup(stream.close)
        connection.sock = context.wrap_socket(stream, server_hostname=host)
        self.addCleanup(connection.close)
        return connection

    def ask(self, method, target, body=None, token=True, headers=None, host=None):
        """(status, headers, content or text) of one request to the vault."""
        connection = self.connect(host or self.host)
        headers = dict(headers or {})
        if token:
            headers["Authorization"] = "Bearer " + (self.token if token is True else token)
        if isinstance(body, dict):
            body = json.dumps(body)
        connection.request(method, target, body, headers)
        response = connection.getresponse()
        text = response.read()
        try:
            text = json.loads(text)
        except ValueError:
            pass
        return response.status, response.headers, text

    def get(self, **options):
        return self.ask("GET", "/keys/cmk?api-version=7.4", **options)


class Wire(Served):
    def test_a_request_without_token_is_challenged_before_anything_else(self):
        status, headers, content = self.ask("POST", "/nonsense", body="nonsense", token=False,
                                            headers={"x-ms-client-request-id": "mine"})
        self.assertEqual((status, content["error"]["code"]), (401, "Unauthorized"))
        self.assertIn("AKV10000", content["error"]["message"])
        self.assertEqual(headers["WWW-Authenticate"],
                         'Bearer authorization="https://login.microsoftonline.com/'
                         f'{self.agent["tenant"]}", resource="{RESOURCE}"')
        self.assertEqual(headers["x-ms-keyvault-region"], "westeurope")
        self.assertEqual(headers["x-ms-client-request-id"], "mine")
        for name in ("x-ms-request-id", "x-ms-keyvault-service-version", "Date",
                     "x-ms-keyvault-network-info"):
            self.assertTrue(headers[name], name)

    def test_a_managed_hsm_tells_less(self):
        host = self.double.create_vault(name="demo", hsm=True)["host"]
        self.double.grant(host, "agent", ("get",))
        self.double.create_key(vault=host, name="cmk", kty="EC-HSM")
        status, headers, content = self.get(host=host, token=False)
        self.assertEqual((status, content), (401, b""))
        self.assertIn('resource="https://managedhsm.azure.net"', headers["WWW-Authenticate"])
        self.assertEqual((headers["x-ms-keyvault-region"], headers["Date"]), (None, None))
        self.assertIn("AKV10022", self.get(host=host)[2]["error"]["message"])
        token = self.double.make_token(identity="agent", resource="https://managedhsm.azure.net")
        status, headers, _ = self.get(host=host, token=token["token"])
        self.assertEqual((status, headers["x-ms-keyvault-region"]), (200, "westeurope"))

    def test_paths_and_parameters_as_clients_write_them(self):
        version = self.make_rsa_key()
        for target in ("/keys/cmk?api-version=7.4", "/keys/cmk/?api%2Dversion=7.4",
                       "/keys/CMK?api-version=2025-07-01",
                       f"/keys/cmk/{version.upper()}/?api-version=7.6"):
            status, _, content = self.ask("GET", target)
            self.assertEqual((status, content["key"]["kid"]), (200, self.key["kid"]), target)
        body = {"alg": "RSA-OAEP-256", "value": to_base64url(b"secret")}
        for operation in (f"{version}/wrapkey", f"{version}/wrapKey", "/WRAPKEY"):
            status, _, content = self.ask("POST", f"/keys/cmk/{operation}?api-version=7.4", body)
            self.assertEqual((status, content["kid"]), (200, self.key["kid"]), operation)

    def test_bad_requests(self):
        wrap = f"/keys/cmk/{self.make_rsa_key()}/wrapkey?api-version=7.4"
        good = {"alg": "RSA-OAEP-256", "value": "AAAA"}
        for method, target, body in (
                ("GET", "/keys/cmk", None), ("GET", "/keys/cmk?api-version=1.0", None),
                ("GET", "/keys/cmk/versions?api-version=7.4&maxresults=26", None),
                ("POST", wrap, "no JSON"), ("POST", wrap, {**good, "alg": "A256KW"}),
                ("POST", wrap, {**good, "value": "AAA="}),
                ("POST", wrap, {**good, "value": "AA+A"}),
                ("POST", wrap, {**good, "value": "AAB"}), ("POST", wrap, {"alg": "RSA-OAEP-256"}),
                ("POST", wrap, {**good, "value": to_base64url(bytes(191))}),
                ("POST", wrap.replace("/wrap", "/unwrap"), good)):
            status, _, content = self.ask(method, target, body)
            self.assertEqual((status, content["error"]["code"]), (400, "BadParameter"),
                             (target, body))

    def test_a_vault_that_there_is_not_is_not_answered(self):
        with self.assertRaises(ssl.SSLError):
            self.connect("other.vault.azure.net")
        self.double.delete_vault(vault=self.host)
        with self.assertRaises(ssl.SSLError):
            self.connect(self.host)
        self.double.recover_vault(vault=self.host)
        self.assertEqual(self.get()[0], 200)
        self.assertIn("handshake", self.double.log("vault")[0])

    def test_certificates_that_must_be_refused(self):
        for kind in ("expired", "untrusted", "wrong-name"):
            self.double.set_certificate(host=self.host, kind=kind)
            with self.assertRaises(ssl.SSLCertVerificationError, msg=kind):
                self.connect(self.host)
        self.double.set_certificate(host="demo.vault.azure.net.evil.example", kind="valid")
        self.assertEqual(self.get(host="demo.vault.azure.net.evil.example")[0], 404)
        self.assertIn(["Authorization", "Bearer " + self.token],
                      self.double.log("vault")[-1]["headers"])

    def test_several_requests_at_once_are_counted(self):
        self.double.inject({"delay": 0.3}, times=None)
        threads = [threading.Thread(target=self.get) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(self.double.counts()["most_in_flight"]["vault"], 4)

    def test_the_clock_moves_only_the_double(self):
        self.double.settings(clock_offset=7200)
        status, headers, content = self.get()
        self.assertEqual(status, 401)
        self.assertIn("IDX10223", content["error"]["message"])
        date = time.mktime(time.strptime(headers["Date"], "%a, %d %b %Y %H:%M:%S GMT"))
        self.assertAlmostEqual(date - time.mktime(time.gmtime()), 7200, delta=30)


class Faults(Served):
    def test_the_first_match_counts_and_is_used_up(self):
        self.double.inject({"status": 500}, method="POST")
        self.double.inject({"status": 503}, times=2, path="/keys/cmk$", skip=1)
        self.assertEqual([self.get()[0] for _ in range(4)], [200, 503, 503, 200])
        self.assertEqual(self.get(token=False)[0], 401)
        self.double.clear_faults()

    def test_all_forms_of_throttling(self):
        for wait in (2, 0, {"date": 30}):
            self.double.inject({"retry_after": wait})
            status, headers, content = self.get()
            self.assertEqual((status, content["error"]["code"]), (429, "Throttled"))
            self.assertEqual(headers["Retry-After"].isdigit(), not isinstance(wait, dict))
        self.double.inject({"retry_after_ms": 5})
        self.assertEqual(self.get()[1]["retry-after-ms"], "5")
        self.double.inject({"error": {"status": 429, "code": "Throttled"}})
        self.assertIsNone(self.get()[1]["Retry-After"])

    def test_all_forms_of_error_bodies(self):
        found = {}
        for form in ("innererror", "innerError", "nested", "null", "absent", "empty", "list",
                     "string", "html"):
            self.double.inject({"error": {"status": 403, "inner": "KeyDisabled", "form": form}})
            status, _, found[form] = self.get()
            self.assertEqual(status, 403)
        self.assertEqual(found["innererror"]["error"]["innererror"], {"code": "KeyDisabled"})
        self.assertEqual(found["innerError"]["error"]["innerError"], {"code": "KeyDisabled"})
        self.assertEqual(found["nested"]["error"]["innererror"]["innererror"]["innererror"],
                         {"code": "KeyDisabled"})
        self.assertEqual([found[form] for form in ("null", "absent", "empty", "list")],
                         [{"error": None}, {}, b"", []])
        self.assertIn(b"<html>", found["html"])

    def test_challenges_of_any_form(self):
        for challenge in (['PoP nonce="1"', f'Bearer resource="{RESOURCE}"'], "Bearer"):
            self.double.inject({"challenge": challenge})
            status, headers, _ = self.get(token=False)
            wanted = challenge if isinstance(challenge, list) else [challenge]
            self.assertEqual((status, headers.get_all("WWW-Authenticate")), (401, wanted))

    def test_spoilt_answers(self):
        self.double.inject({"kid": {"host": "evil.example", "version": "1" * 32}})
        self.assertEqual(self.get()[2]["key"]["kid"],
                         f"https://evil.example/keys/cmk/{'1' * 32}")
        self.double.inject({"merge": {"attributes": {"recoveryLevel": None}, "managed": True},
                            "headers": {"x-ms-keyvault-region": None, "Via": "proxy"}})
        _, headers, content = self.get()
        self.assertNotIn("recoveryLevel", content["attributes"])
        self.assertEqual((content["managed"], headers["Via"]), (True, "proxy"))
        self.assertIsNone(headers["x-ms-keyvault-region"])
        self.double.inject({"oversize": 1 << 20})
        self.assertEqual(self.get()[1]["Content-Length"], str(1 << 20))
        body = {"alg": "RSA-OAEP-256", "value": to_base64url(b"secret")}
        target = f"/keys/cmk/{self.make_rsa_key()}/wrapkey?api-version=7.4"
        self.double.inject({"garbage": True})
        value = self.ask("POST", target, body)[2]["value"]
        status, _, _ = self.ask("POST", target.replace("/wrap", "/unwrap"),
                                {**body, "value": value})
        self.assertEqual((len(from_base64url(value)), status), (256, 400))

    def test_broken_connections(self):
        self.double.inject({"truncate": True})
        self.assertRaises(http.client.IncompleteRead, self.get)
        for moment in ("before", "after"):
            self.double.inject({"reset": moment})
            self.assertRaises((ConnectionResetError, http.client.RemoteDisconnected, ssl.SSLError),
                              self.get)
        self.double.inject({"redirect": "https://evil.example/"})
        status, headers, _ = self.get()
        self.assertEqual((status, headers["Location"]), (307, "https://evil.example/"))


class SigningIn(Served):
    def post(self, form, host="login.microsoftonline.com"):
        connection = self.connect(host, "authority")
        form = {"grant_type": "client_credentials", "client_id": self.agent["client_id"],
                "scope": RESOURCE + "/.default", **form}
        connection.request("POST", f"/{self.agent['tenant']}/oauth2/v2.0/token",
                           urllib.parse.urlencode(form))
        return json.loads(connection.getresponse().read())

    def assertion(self, pem, algorithm="PS256", **changes):
        """Signed with the key of a certificate; a claim that is None is left out."""
        key = serialization.load_pem_private_key(pem, None)
        certificate = load_pem_x509_certificate(pem[pem.index(b"-----BEGIN CERT"):])
        digest, name = {"PS256": (hashes.SHA256(), "x5t#S256"),
                        "RS256": (hashes.SHA1(), "x5t")}[algorithm]
        header = {"alg": algorithm, name: to_base64url(certificate.fingerprint(digest))}
        client, now = self.agent["client_id"], int(time.time())
        audience = f"https://login.microsoftonline.com/{self.agent['tenant']}/oauth2/v2.0/token"
        claims = {"iss": client, "sub": client, "aud": audience, "jti": str(uuid.uuid4()),
                  "nbf": now, "exp": now + 600, **changes}
        claims = {name: value for name, value in claims.items() if value is not None}
        signed = ".".join(to_base64url(json.dumps(part).encode()) for part in (header, claims))
        scheme = (padding.PSS(padding.MGF1(hashes.SHA256()), 32) if algorithm == "PS256"
                  else padding.PKCS1v15())
        signature = key.sign(signed.encode(), scheme, hashes.SHA256())
        return {"client_assertion": f"{signed}.{to_base64url(signature)}",
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}

    def test_assertions_with_both_algorithms_and_what_is_wrong_with_others(self):
        with open(self.double.make_certificate(identity="agent")["path"], "rb") as file:
            pem = file.read()
        for algorithm in ("PS256", "RS256"):
            token = self.post(self.assertion(pem, algorithm))["access_token"]
            self.assertEqual(self.get(token=token)[0], 200)
        now = int(time.time())
        for number, changes in ((700024, {"exp": now - 1}), (700024, {"nbf": now + 900}),
                                (700024, {"exp": None}), (700024, {"exp": now + 2 * DAY}),
                                (700023, {"aud": "https://login.microsoftonline.us/"}),
                                (50027, {"jti": None}), (700021, {"iss": str(uuid.uuid4())})):
            answer = self.post(self.assertion(pem, **changes))
            self.assertEqual(answer["error_codes"], [number], changes)
        forged = self.assertion(pem)
        forged["client_assertion"] = forged["client_assertion"][:-8] + "AAAAAAAA"
        self.assertEqual(self.post(forged)["error_codes"], [700027])

    def test_what_the_token_endpoint_refuses(self):
        good = {"client_secret": SECRET}
        for number, form in ((900144, {**good, "scope": ""}),
                             (1002012, {**good, "scope": RESOURCE}),
                             (500011, {**good, "scope": "https://vault.azure.cn/.default"}),
                             (70003, {**good, "grant_type": "password"}), (7000218, {})):
            self.assertEqual(self.post(form)["error_codes"], [number], form)
        self.assertEqual(self.post(good, host="login.microsoftonline.us")["error_codes"], [500011])
        self.double.settings(token_lifetime=60)
        self.assertEqual(self.post(good)["expires_in"], 60)

    def local(self, port, target, headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.double.ports[port])
        self.addCleanup(connection.close)
        connection.request("GET", target, headers=headers)
        response = connection.getresponse()
        return response.status, response.headers, json.loads(response.read())

    def test_token_endpoints_of_a_machine(self):
        target = f"/metadata/identity/oauth2/token?api-version=2018-02-01&resource={RESOURCE}"
        self.assertEqual(self.local("imds", target, {})[0], 400)
        status, _, content = self.local("imds", target, {"Metadata": "true"})
        self.assertEqual((status, content["error_description"]), (400, "Identity not found"))
        self.double.create_identity(name="machine", kind="system")
        _, _, content = self.local("imds", target, {"Metadata": "true"})
        self.assertIsInstance(content["expires_in"], str)
        forwarded = {"Metadata": "true", "X-Forwarded-For": "192.0.2.1"}
        self.assertEqual(self.local("imds", target, forwarded)[0], 400)

    def test_an_arc_key_is_good_once(self):
        self.double.create_identity(name="machine", kind="system")
        self.double.settings(arc={"size": 4098})
        target = f"/metadata/identity/oauth2/token?api-version=2020-06-01&resource={RESOURCE}"
        status, headers, _ = self.local("arc", target, {"Metadata": "true"})
        announced = headers["WWW-Authenticate"].removeprefix("Basic realm=")
        self.assertEqual(status, 401)
        self.assertEqual(os.path.dirname(announced), "/var/opt/azcmagent/tokens")
        path = os.path.join(self.double.local_endpoints()["arc_tokens"],
                            os.path.basename(announced))
        with open(path, encoding="ascii") as file:
            key = file.read()
        self.assertEqual(len(key), 4098)
        answer = {"Metadata": "true", "Authorization": "Basic " + key}
        self.assertEqual([self.local("arc", target, answer)[0] for _ in range(2)], [200, 401])


if __name__ == "__main__":
    harness.run_tests()
