"""Microsoft's clients for Python (python3-azure) believe in the vault double.

test_vault_double.py tests the double itself; vault_clients/ does the same as this with the clients
for JavaScript, which are several years younger.
"""

import os
import time
import unittest
import unittest.mock

from packages import need_packages

need_packages(("azure.keyvault.keys", "azure.identity", "jwcrypto", "urllib3"),
              "python3-azure and python3-jwcrypto")

from azure.core.exceptions import (ClientAuthenticationError, HttpResponseError,  # noqa: E402
                                   ResourceExistsError, ResourceNotFoundError)
from azure.identity import (CertificateCredential, ClientAssertionCredential,  # noqa: E402
                            ClientSecretCredential, CredentialUnavailableError,
                            ManagedIdentityCredential)
from azure.keyvault.keys import KeyClient  # noqa: E402
from azure.keyvault.keys.crypto import CryptographyClient, KeyWrapAlgorithm  # noqa: E402
from jwcrypto import jwe, jwk  # noqa: E402
from jwcrypto.common import base64url_decode, json_decode, json_encode  # noqa: E402

import harness  # noqa: E402
import python_clients  # noqa: E402
from vault_double.client import VaultDouble  # noqa: E402

SECRET = "a secret of the test"
DAY = 86400
ALL = ("get", "list", "wrapKey", "unwrapKey", "create", "delete", "recover", "purge")
RESOURCE = "https://vault.azure.net"
SCOPE = RESOURCE + "/.default"


class Case(unittest.TestCase):
    """One double for the whole class; each test has a vault with a name of its own, because the
    clients remember the challenges of a vault."""

    vaults = 0

    @classmethod
    def setUpClass(cls):
        cls.double = VaultDouble()
        cls.addClassCleanup(cls.double.close)
        python_clients.lead_to(cls.double, cls)

    def setUp(self):
        Case.vaults += 1
        self.double.reset()
        vault = self.double.create_vault(name=f"vault-{Case.vaults}")
        self.vault, self.url, self.tenant = vault["host"], vault["url"], vault["tenant"]
        self.agent = self.double.create_identity(name="agent", secret=SECRET)
        self.double.grant(self.vault, "agent", ALL)

    def options(self, **options):
        return {"retry_total": 0, **options}

    def credential(self):
        return ClientSecretCredential(self.tenant, self.agent["client_id"], SECRET,
                                      **self.options())

    def keys(self, credential=None, **options):
        return KeyClient(self.url, credential or self.credential(), **self.options(**options))

    def crypto(self, key):
        return CryptographyClient(key, self.credential(), **self.options())

    def make_key(self, **options):
        return self.double.create_key(vault=self.vault, name="cmk", **options)

    def statuses(self, endpoint="vault"):
        return [entry["status"] for entry in self.double.log(endpoint)]

    def assertRefused(self, status, code, function, *args):
        """The client understands the error's code."""
        with self.assertRaises(HttpResponseError) as caught:
            function(*args)
        error = caught.exception
        self.assertEqual((error.status_code, error.error.code), (status, code))
        return error


class Keys(Case):
    def test_the_first_request_has_neither_token_nor_body(self):
        self.make_key()
        self.keys().get_key("cmk")
        first, second = self.double.log("vault")
        self.assertEqual((first["status"], first["body"], second["status"]), (401, "", 200))
        self.assertNotIn("authorization", [name.lower() for name, _ in first["headers"]])

    def test_the_newest_version_or_the_named_one(self):
        expires = int(time.time()) + 30 * DAY
        first = self.make_key(exp=expires, tags={"purpose": "drives"})
        second = self.make_key(size=3072, enabled=False)
        newest = self.keys().get_key("cmk")
        self.assertEqual((newest.id, len(newest.key.n)), (second["kid"], 384))
        self.assertFalse(newest.properties.enabled)
        named = self.keys().get_key("cmk", first["version"])
        self.assertEqual(named.id, first["kid"])
        self.assertEqual(named.properties.expires_on.timestamp(), expires)
        self.assertEqual(named.properties.tags, {"purpose": "drives"})
        self.assertEqual(named.properties.recovery_level, "Recoverable")
        self.assertEqual(named.properties.recoverable_days, 90)
        self.assertEqual(named.key_operations,
                         ["encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"])

    def test_all_versions_are_listed_over_several_pages(self):
        made = {self.make_key(kty="EC")["version"] for _ in range(5)}
        pages = self.keys().list_properties_of_key_versions("cmk", max_page_size=2).by_page()
        listed = [[item.version for item in page] for page in pages]
        self.assertEqual([len(page) for page in listed], [2, 2, 1])
        self.assertEqual({version for page in listed for version in page}, made)

    def test_what_the_client_wraps_the_vault_unwraps(self):
        """This client wraps by itself, with the public key that it has read."""
        self.make_key()
        key = self.keys().get_key("cmk")
        crypto, secret = self.crypto(key), os.urandom(32)
        for algorithm in (KeyWrapAlgorithm.rsa_oaep_256, KeyWrapAlgorithm.rsa_oaep,
                          KeyWrapAlgorithm.rsa1_5):
            wrapped = crypto.wrap_key(algorithm, secret)
            opened = crypto.unwrap_key(algorithm, wrapped.encrypted_key)
            self.assertEqual((opened.key, opened.key_id), (secret, key.id))
        paths = [entry["path"] for entry in self.double.log("vault")]
        self.assertFalse([path for path in paths if path.endswith("/wrapkey")])

    def test_what_the_vault_wraps_the_vault_unwraps(self):
        """Without permission to read the key the client lets the vault wrap."""
        key = self.make_key()
        self.double.grant(self.vault, "agent", ("wrapKey", "unwrapKey"))
        crypto, secret = self.crypto(key["kid"]), os.urandom(32)
        wrapped = crypto.wrap_key(KeyWrapAlgorithm.rsa_oaep_256, secret)
        self.assertEqual(wrapped.key_id, key["kid"])
        opened = crypto.unwrap_key(KeyWrapAlgorithm.rsa_oaep_256, wrapped.encrypted_key)
        self.assertEqual(opened.key, secret)

    def test_disabled_expired_and_future_keys(self):
        key = self.make_key()
        self.double.grant(self.vault, "agent", ("wrapKey", "unwrapKey"))
        crypto, now, oaep = self.crypto(key["kid"]), time.time(), KeyWrapAlgorithm.rsa_oaep_256
        wrapped = crypto.wrap_key(oaep, b"secret").encrypted_key
        for window in ({"exp": now - DAY}, {"exp": None, "nbf": now + DAY}):
            self.double.set_key(vault=self.vault, name="cmk", **window)
            self.assertRefused(403, "Forbidden", crypto.wrap_key, oaep, b"secret")
            self.assertEqual(crypto.unwrap_key(oaep, wrapped).key, b"secret")
        self.double.set_key(vault=self.vault, name="cmk", nbf=None, enabled=False)
        for function, argument in ((crypto.wrap_key, b"secret"), (crypto.unwrap_key, wrapped)):
            error = self.assertRefused(403, "Forbidden", function, oaep, argument)
            self.assertEqual(error.error.innererror["code"], "KeyDisabled")

    def test_deleting_recovering_and_purging(self):
        self.double.set_vault(vault=self.vault, deletion_delay=1)
        key = self.make_key()
        keys = self.keys()
        poller = keys.begin_delete_key("cmk", _polling_interval=0.2)
        self.assertRaises(ResourceNotFoundError, keys.get_key, "cmk")
        self.assertRaises(ResourceNotFoundError, keys.get_deleted_key, "cmk")
        poller.wait()
        deleted = keys.get_deleted_key("cmk")
        self.assertEqual(deleted.recovery_id, f"{self.url}/deletedkeys/cmk")
        self.assertEqual((deleted.scheduled_purge_date - deleted.deleted_date).days, 90)
        self.assertRaises(ResourceExistsError, keys.create_rsa_key, "cmk")
        self.assertRefused(403, "Forbidden", keys.purge_deleted_key, "cmk")
        keys.begin_recover_deleted_key("cmk", _polling_interval=0.2).wait()
        self.assertEqual(keys.get_key("cmk").id, key["kid"])
        self.double.set_vault(vault=self.vault, deletion_delay=0, recovery_level="Purgeable")
        keys.begin_delete_key("cmk", _polling_interval=0.2).wait()
        self.assertRefused(404, "KeyNotFound", keys.get_deleted_key, "cmk")

    def test_waiting_as_long_as_it_is_told(self):
        self.make_key(kty="EC")
        keys = self.keys(retry_total=3, retry_status=3)
        keys.get_key("cmk")
        for wait, least in (({"retry_after": 1}, 0.9), ({"retry_after": {"date": 3}}, 1.9)):
            self.double.inject(wait)
            self.double.clear_log()
            begin = time.monotonic()
            keys.get_key("cmk")
            self.assertGreaterEqual(time.monotonic() - begin, least)
            self.assertEqual(self.statuses(), [429, 200])

    def test_error_codes_are_understood(self):
        self.make_key(kty="EC")
        keys = self.keys()
        self.assertRefused(404, "KeyNotFound", keys.get_key, "absent")
        self.assertRefused(404, "KeyNotFound", keys.get_key, "cmk", "0" * 32)
        for settings, inner in (({"firewall": True}, "ForbiddenByFirewall"),
                                ({"public_access": False}, "ForbiddenByConnection")):
            self.double.set_vault(vault=self.vault, **settings)
            error = self.assertRefused(403, "Forbidden", keys.get_key, "cmk")
            self.assertEqual(error.error.innererror["code"], inner)
        self.double.set_vault(vault=self.vault, firewall=False, public_access=True)
        self.double.grant(self.vault, "agent", ())
        for style, inner in (("rbac", "ForbiddenByRbac"), ("policy", "AccessDenied")):
            self.double.set_vault(vault=self.vault, style=style)
            error = self.assertRefused(403, "Forbidden", keys.get_key, "cmk")
            self.assertEqual(error.error.innererror["code"], inner)

    def test_a_challenge_for_another_resource_is_refused(self):
        self.make_key(kty="EC")
        authority = "https://login.microsoftonline.com/" + self.tenant
        self.double.inject({"challenge": f'Bearer authorization="{authority}", '
                                         'resource="https://vault.azure.net.evil.example"'})
        with self.assertRaisesRegex(ValueError, "does not match the requested domain"):
            self.keys().get_key("cmk")
        self.assertEqual(self.double.log("authority"), [])

    def test_an_envelope_of_jwcrypto_opens_through_unwrap(self):
        key = self.make_key()
        bundle = self.keys().get_key("cmk")
        exported = self.double.export_key(vault=self.vault, name="cmk")["jwk"]
        public = jwk.JWK(**{name: exported[name] for name in ("kty", "n", "e")})
        envelope = jwe.JWE(b"a password", json_encode({"enc": "A256GCM"}))
        envelope.add_recipient(public, json_encode({"alg": "RSA-OAEP-256", "kid": key["kid"]}))
        content = json_decode(envelope.serialize())
        wrapped = base64url_decode(content.pop("encrypted_key"))
        secret = self.crypto(bundle).unwrap_key(KeyWrapAlgorithm.rsa_oaep_256, wrapped).key
        content["header"] = {"alg": "dir"}
        opened = jwe.JWE()
        opened.deserialize(json_encode(content),
                           jwk.JWK(kty="oct", k=jwk.base64url_encode(secret)))
        self.assertEqual(opened.payload, b"a password")


class SigningIn(Case):
    def setUp(self):
        super().setUp()
        self.make_key(kty="EC")
        self.enterContext(unittest.mock.patch.dict(os.environ))

    def make_identity(self, **members):
        identity = self.double.create_identity(name="other", **members)
        self.double.grant(self.vault, "other", ("get",))
        return identity["client_id"]

    def assertAccepted(self, credential):
        self.assertEqual(self.keys(credential).get_key("cmk").name, "cmk")

    def assertDenied(self, pattern, credential):
        errors = (ClientAuthenticationError, CredentialUnavailableError)
        with self.assertRaisesRegex(errors, pattern):
            credential.get_token(SCOPE)

    def test_client_secret(self):
        client = self.make_identity(secret=SECRET)
        self.assertAccepted(
            ClientSecretCredential(self.tenant, client, SECRET, **self.options()))
        self.assertDenied("AADSTS7000215", ClientSecretCredential(
            self.tenant, client, "wrong", **self.options()))
        self.assertDenied("AADSTS700016", ClientSecretCredential(
            self.tenant, "00000000-1111-2222-3333-444444444444", SECRET, **self.options()))

    def test_client_certificate(self):
        client = self.make_identity()
        own = self.double.make_certificate(identity="other")["path"]
        strange = self.double.make_certificate(identity="agent")["path"]
        self.assertAccepted(CertificateCredential(self.tenant, client, own, **self.options()))
        self.assertDenied("AADSTS700027", CertificateCredential(self.tenant, client, strange,
                                                                **self.options()))

    def test_workload_identity(self):
        rule = {"issuer": "https://issuer.example", "subject": "system:serviceaccount:import:agent"}
        client = self.make_identity(federated=[rule])

        def credential(subject):
            made = self.double.make_federated_token(issuer=rule["issuer"], subject=subject)
            return ClientAssertionCredential(self.tenant, client, lambda: made["token"])

        self.assertAccepted(credential(rule["subject"]))
        self.assertDenied("AADSTS700213", credential("other"))

    def test_instance_metadata(self):
        os.environ["AZURE_POD_IDENTITY_AUTHORITY_HOST"] = self.double.imds_url()
        self.assertDenied("Identity not found|no response|assigned",
                          ManagedIdentityCredential(**self.options()))
        self.make_identity(kind="system")
        self.assertAccepted(ManagedIdentityCredential(**self.options()))
        client = self.make_identity(kind="user")
        self.assertAccepted(ManagedIdentityCredential(client_id=client, **self.options()))

    def test_app_service(self):
        os.environ.update(self.double.app_service_environment())
        self.make_identity(kind="system")
        self.assertAccepted(ManagedIdentityCredential(**self.options()))
        os.environ["IDENTITY_HEADER"] = "wrong"
        self.assertDenied("", ManagedIdentityCredential(**self.options()))

    def test_azure_arc(self):
        os.environ.update(self.double.arc_environment())
        files = self.double.local_endpoints()["arc_tokens"]
        self.double.settings(arc={"announced": files})  # this client reads any file it is told to
        self.make_identity(kind="system")
        self.assertAccepted(ManagedIdentityCredential(**self.options()))
        self.assertEqual(self.statuses("arc"), [401, 200])


if __name__ == "__main__":
    harness.run_tests()
