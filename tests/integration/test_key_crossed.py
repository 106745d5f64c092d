"""Our envelopes are opened by Microsoft's clients with jose and jwcrypto, theirs by us; what was
tampered with is refused by all."""

import copy
import json
import os
import subprocess
import unittest

from packages import need_packages

need_packages(("azure.keyvault.keys", "azure.identity", "jwcrypto", "urllib3"),
              "python3-azure and python3-jwcrypto")

from azure.identity import ClientSecretCredential  # noqa: E402
from azure.keyvault.keys.crypto import CryptographyClient, KeyWrapAlgorithm  # noqa: E402
from jwcrypto import jwe, jwk  # noqa: E402
from jwcrypto.common import base64url_decode, base64url_encode  # noqa: E402

import envelopes  # noqa: E402
import harness  # noqa: E402
import python_clients  # noqa: E402
import vault_case  # noqa: E402
from vault_case import KEY  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
ALG = "RSA-OAEP-256"
PAYLOAD = {"v": 1, "kind": "secret", "value": "from elsewhere", "created": "2026-01-02T03:04:05Z"}


class PythonClient:
    """azure-keyvault-keys unwraps and wraps, jwcrypto does the rest."""

    name = "azure-keyvault-keys and jwcrypto"

    def __init__(self, case):
        self.case = case
        self.credential = ClientSecretCredential(case.tenant, case.client["client_id"],
                                                 case.secret, retry_total=0)

    def client(self, kid):
        return CryptographyClient(kid, self.credential, retry_total=0)

    def open(self, text, kid):
        envelope = json.loads(text)
        recipient = next(each for each in envelope.pop("recipients")
                         if each["header"]["kid"] == kid)
        if recipient["header"]["alg"] != ALG:
            raise ValueError("another algorithm")
        key = self.client(kid).unwrap_key(
            KeyWrapAlgorithm.rsa_oaep_256, base64url_decode(recipient["encrypted_key"])).key
        opened = jwe.JWE(algs=["dir", "A256GCM"])
        opened.deserialize(json.dumps({**envelope, "header": {"alg": "dir"}}),
                           jwk.JWK(kty="oct", k=base64url_encode(key)))
        return opened.payload.decode()

    def open_alone(self, text, kid):
        """jwcrypto with the private key that the recipient names."""
        return json.dumps(envelopes.open_with(text, self.case.private(kid)["jwk"]))

    def seal(self, payload, header, kid, alg=ALG):
        key = os.urandom(32)
        wrapped = self.client(kid).wrap_key(KeyWrapAlgorithm(alg), key)
        token = jwe.JWE(payload.encode(), json.dumps(header), algs=["dir", "A256GCM"])
        token.add_recipient(jwk.JWK(kty="oct", k=base64url_encode(key)), '{"alg":"dir"}')
        sealed = json.loads(token.serialize())
        return json.dumps({
            **{name: sealed[name] for name in envelopes.SEALED},
            "recipients": [{"header": {"alg": alg, "kid": wrapped.key_id},
                            "encrypted_key": base64url_encode(wrapped.encrypted_key)}]})


class NodeClient:
    """@azure/keyvault-keys and jose, in a process of their own."""

    name = "@azure/keyvault-keys and jose"

    def __init__(self, case, work):
        self.case = case
        settings = {name: case.double.ports[name] for name in ("vault", "authority")}
        settings.update(ca=case.double.ca, tenant=case.tenant, secret=case.secret,
                        client_id=case.client["client_id"])
        variables = {name: value for name, value in os.environ.items()
                     if "proxy" not in name.lower()}
        self.process = subprocess.Popen(
            ["node", "crossed.mjs", json.dumps(settings)], cwd=work, text=True, env=variables,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        case.addCleanup(self.close)

    def close(self):
        self.process.communicate()

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "refused" in answer:
            raise ValueError(answer["refused"])
        return answer["value"]

    def open(self, text, kid):
        return self.ask(open=text, kid=kid)

    def open_alone(self, text, kid):
        return self.ask(open=text, pem=self.case.private(kid)["pem"])

    def seal(self, payload, header, kid):
        return self.ask(seal=payload, header=header, kid=kid)


class Crossed(vault_case.VaultCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        python_clients.lead_to(cls.double, cls)

    def setUp(self):
        super().setUp()
        self.tenant = self.client["tenant"]
        self.job = self.vault_job()
        self.wrap_secret(self.job, "a", "value of a")
        self.wrap_secret(self.job, "b", "value of b")
        self.first = self.double.export_key(vault=self.vault, name="cmk")["kid"]
        self.second = self.new_version()
        self.rewrap(self.job)

    def private(self, kid):
        """jwk and pem; the vault does not give them out, its double does."""
        return self.double.export_key(vault=self.vault, name=kid.split("/")[-2],
                                      version=kid.split("/")[-1])

    def node(self):
        harness.need("node")
        work = os.environ.get("VAULT_CLIENTS_WORK", "")
        if not os.path.exists(os.path.join(work, "node_modules", ".installed")):
            raise unittest.SkipTest("needs the clients that the test vault_clients installs")
        return NodeClient(self, work)

    def path(self, name):
        return self.job.path("secrets", name + envelopes.SUFFIX)

    def text(self, name="a"):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def put(self, text, name="a"):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)

    # --- ours, opened by them

    def opened_by(self, peer):
        for name in "ab":
            self.assertEqual(envelopes.kids(self.path(name)), [self.second, self.first])
            for kid in (self.second, self.first):
                for way in (peer.open, peer.open_alone):
                    payload = json.loads(way(self.text(name), kid))
                    self.assertEqual((payload["kind"], payload["value"]),
                                     ("secret", f"value of {name}"))
        self.wrap_secret(self.job, "box", "unlock me", "--purpose", "device-unlock-key")
        payload = json.loads(peer.open(self.text("box"), self.second))
        self.assertEqual((payload["kind"], payload["value"]), ("device-unlock-key", "unlock me"))

    def test_ours_open_with_the_python_client(self):
        self.opened_by(PythonClient(self))

    def test_ours_open_with_the_javascript_client(self):
        self.opened_by(self.node())

    def test_a_recovery_password_opens_with_both(self):
        job = self.job_with_a_file()
        self.assertEqual(job.prepare().status, 0)
        with open(job.path("drives", "DISK0", "key.jwe.json"), encoding="utf-8") as file:
            text = file.read()
        password = job.key()
        payload = json.loads(PythonClient(self).open(text, self.second))
        self.assertEqual((payload["kind"], payload["value"]), ("recovery-password", password))
        self.assertRegex(password, f"^{vault_case.PASSWORD}$")
        self.assertEqual(json.loads(self.node().open(text, self.second))["value"], password)

    # --- theirs, opened by us

    def test_what_was_wrapped_with_rsa_oaep_opens_when_asked_for_only(self):
        text = PythonClient(self).seal(json.dumps(PAYLOAD), envelopes.binding("theirs"), self.first,
                                       "RSA-OAEP")
        self.put(text, "theirs")
        command = ["key", "unwrap-secret", self.job.root, "--name", "theirs"]
        error = self.refused(KEY, "envelope-algorithm", *command)
        self.assertIn("--allow-rsa-oaep", error["remedy"])
        result = self.run_ok(*command, "--allow-rsa-oaep", "--json")
        self.assertEqual(result.json()["value"], PAYLOAD["value"])
        self.assertIn("SHA-1", result.err)
        # The name decides, not what fits.
        for alg, other in (("RSA-OAEP", ALG), (ALG, "RSA-OAEP")):
            text = PythonClient(self).seal(json.dumps(PAYLOAD), envelopes.binding("theirs"),
                                           self.first, alg)
            self.put(text.replace(f'"alg": "{alg}"', f'"alg": "{other}"'), "theirs")
            self.refused(KEY, "envelope-not-opened", *command, "--allow-rsa-oaep")

    def sealed_by(self, peer):
        for kid in (self.second, self.first):
            self.put(peer.seal(json.dumps(PAYLOAD), envelopes.binding("theirs"), kid), "theirs")
            self.assertEqual(self.unwrap_secret(self.job, "theirs"), PAYLOAD["value"])
        self.new_version()
        self.assertEqual(self.rewrap(self.job)["rewrapped"], 3)
        self.assertEqual(self.unwrap_secret(self.job, "theirs"), PAYLOAD["value"])
        self.assertEqual(json.loads(peer.open(self.text("theirs"), self.first)), PAYLOAD)
        self.put(peer.seal(json.dumps(PAYLOAD), envelopes.binding("another"), self.first),
                 "theirs")
        self.refused(KEY, "envelope-binding-mismatch", "key", "unwrap-secret", self.job.root, "--name",
                     "theirs")

    def test_theirs_of_the_python_client_open_with_ours(self):
        self.sealed_by(PythonClient(self))

    def test_theirs_of_the_javascript_client_open_with_ours(self):
        self.sealed_by(self.node())

    # --- tampered

    def tampered(self):
        """(what, text, the kids under which the other openers are tried)"""
        mine, other = json.loads(self.text("a")), json.loads(self.text("b"))
        kids = (self.second, self.first)

        def changed(change):
            envelope = copy.deepcopy(mine)
            change(envelope)
            return json.dumps(envelope)

        def header(**members):
            head = {**json.loads(base64url_decode(mine["protected"])), **members}
            return changed(lambda e: e.update(protected=base64url_encode(json.dumps(head))))

        for member in envelopes.SEALED:
            if member != "protected":
                yield (f"one bit of {member}",
                       changed(lambda e: e.update({member: flipped(e[member])})), kids)
                yield f"a shorter {member}", changed(
                    lambda e: e.update({member: e[member][:-4]})), kids
            yield f"{member} of another envelope", changed(
                lambda e: e.update({member: other[member]})), kids
            yield f"without {member}", changed(lambda e: e.pop(member)), kids
        for name, value in (("ie.job", "job-b"), ("ie.drive", "b"), ("ie.v", 2),
                            ("ie.purpose", "databox-device-unlock-key"), ("enc", "A128GCM"),
                            ("enc", "A256CBC-HS512"), ("cty", "text"), ("zip", "DEF"),
                            ("crit", ["ie.v"]), ("alg", "dir")):
            yield f"{name} is {value}", header(**{name: value}), kids
        for number, kid in enumerate(kids):
            def recipient(change):
                """The only recipient, changed: another one would still open it."""
                return changed(lambda e: e.update(recipients=[change(e["recipients"][number])]))
            yield "an encrypted key with one bit changed", recipient(lambda r: {
                **r, "encrypted_key": flipped(r["encrypted_key"])}), [kid]
            yield "an encrypted key of another envelope", recipient(lambda r: {
                **r, "encrypted_key": other["recipients"][number]["encrypted_key"]}), [kid]
            yield "the recipient of another envelope", recipient(
                lambda r: other["recipients"][number]), [kid]
            for alg in ("RSA1_5", "RSA-OAEP", "dir", "A256KW"):
                yield f"alg {alg}", recipient(
                    lambda r: {**r, "header": {**r["header"], "alg": alg}}), [kid]
            yield "the key of another version", recipient(lambda r: {
                **r, "header": {**r["header"], "kid": kids[1 - number]}}), [kids[1 - number]]
        yield "no recipient", changed(lambda e: e.update(recipients=[])), kids
        text = json.dumps(mine)
        for member in envelopes.SEALED:
            twice = text[:-1] + f', "{member}": {json.dumps(other[member])}}}'
            yield f"{member} twice", twice, kids
        yield ("recipients twice",
               text[:-1] + f', "recipients": {json.dumps(other["recipients"])}}}', kids)

    def refused_by(self, *peers):
        good = self.text("a")
        for peer in peers:
            for kid in (self.second, self.first):
                self.assertIn("value of a", peer.open(good, kid))
        count = 0
        for what, text, kids in self.tampered():
            with self.subTest(what):
                for peer in peers:
                    for kid in kids:
                        for way in (peer.open, peer.open_alone):
                            # Whatever they raise: a wrong tag, a missing member, 400 of the vault.
                            with self.assertRaises(Exception, msg=f"{peer.name}: {what}"):
                                way(text, kid)
                self.put(text)
                result = self.env.run("key", "unwrap-secret", self.job.root, "--name", "a",
                                      "--json")
                self.assertEqual(result.status, KEY, f"{what}: {result}")
                self.assertIn(result.error()["code"],
                              ("envelope-corrupt", "envelope-algorithm",
                               "envelope-binding-mismatch", "envelope-not-opened"), what)
                self.assertNotIn("value of", result.out + result.err)
                count += 1
        self.put(good)
        self.assertEqual(self.unwrap_secret(self.job, "a"), "value of a")
        self.assertGreater(count, 35)

    def test_tampered_envelopes_are_refused_by_us_and_by_the_python_client(self):
        self.refused_by(PythonClient(self))

    def test_tampered_envelopes_are_refused_by_the_javascript_client(self):
        peer = self.node()
        for what, text, kids in self.tampered():
            for kid in kids:
                for way in (peer.open, peer.open_alone):
                    with self.subTest(what, kid=kid, way=way.__name__):
                        with self.assertRaises(ValueError):
                            way(text, kid)

    def test_members_given_twice_are_refused_even_when_both_are_right(self):
        text = self.text("a").strip()
        envelope = json.loads(text)
        recipient = json.dumps(envelope["recipients"][0])
        key = json.dumps(envelope["recipients"][0]["encrypted_key"])
        doubled = {
            **{name: text[:-1] + f', "{name}": {json.dumps(envelope[name])}}}'
               for name in (*envelopes.SEALED, "recipients")},
            "encrypted_key": json.dumps({**envelope, "recipients": 0}).replace(
                '"recipients": 0',
                '"recipients": [' + recipient[:-1] + f', "encrypted_key": {key}}}]')}
        for name, text in doubled.items():
            with self.subTest(name):
                self.put(text)
                self.refused(KEY, "envelope-corrupt", "key", "unwrap-secret", self.job.root,
                             "--name", "a")


def flipped(text):
    """base64url with one bit of the first byte changed."""
    data = bytearray(base64url_decode(text))
    data[0] ^= 1
    return base64url_encode(bytes(data))


if __name__ == "__main__":
    harness.main()
