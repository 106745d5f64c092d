"""driveprep report: records signed by other tools are checked, and jwcrypto judges the same files."""

import copy
import json
import os
import re
import subprocess
import sys

import harness
from packages import need_packages

need_packages(("cryptography", "jwcrypto"), "python3-cryptography and python3-jwcrypto")

from cryptography.hazmat.primitives import serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec, ed25519  # noqa: E402
from jwcrypto import jwk, jws  # noqa: E402
from jwcrypto.common import base64url_decode, base64url_encode  # noqa: E402

USAGE, VERIFICATION, KEY = 2, 7, 12
WIPE = {
    "schema": 1, "kind": "wipe", "program": "driveprep 0.1.0", "host": "workstation-7",
    "user": "alex", "started": "2026-11-21T10:00:00Z", "ended": "2026-11-21T12:30:00Z",
    "result": "wiped", "error": None,
    "drive": {"serial": "WD-WX51A1234567", "serial_source": "ata-identify", "model": "WDC WD10",
              "firmware": "01.01A01", "wwn": "0x50014ee2b1234567", "bytes": 1000204886016,
              "logical_sector": 512, "physical_sector": 4096, "bus": "sata", "bus_path": "ata-3",
              "device": "/dev/sdb", "disk_sequence": 11},
    "before": {"description": "GPT, one BitLocker volume",
               "bitlocker_volumes": ["4967d63b-2e29-4ad8-8399-f6a339e3d001"], "signatures": []},
    "method": "overwrite", "metadata_destroyed": True, "metadata_destroyed_at": "2026-11-21T10:00:01Z",
    "bytes_covered": 1000204886016, "contents_gone": True,
    "destroyed": [{"what": "metadata copy 1", "offset": 35651584, "length": 65536}],
    "read_back": {"samples": 1002, "zero": 1002, "other": 0, "unreadable": 0, "failed": 0,
                  "complete": True, "cache_bypassed": True, "places_of_metadata_checked": 1},
    "health": {"before": {"failing": False, "celsius": 31}, "after": {"failing": False, "celsius": 38}},
}


class Signer:
    """A key of another tool; what it signs has the form of docs/records.md."""

    def __init__(self):
        self.private = ed25519.Ed25519PrivateKey.generate()
        raw = self.private.public_key().public_bytes(serialization.Encoding.Raw,
                                                     serialization.PublicFormat.Raw)
        self.jwk = {"kty": "OKP", "crv": "Ed25519", "x": base64url_encode(raw)}
        self.kid = jwk.JWK(**self.jwk).thumbprint()

    def private_pem(self):
        return self.private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                          serialization.NoEncryption())

    def public_pem(self):
        return self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def header(self, **changes):
        return {"alg": "EdDSA", "jwk": self.jwk, "typ": "driveprep-record+json", "kid": self.kid,
                **changes}

    def sign(self, record, header=None, payload=None):
        payload = json.dumps(record).encode() if payload is None else payload
        protected = base64url_encode(json.dumps(header or self.header()))
        signed = f"{protected}.{base64url_encode(payload)}".encode()
        return {"record": record, "payload": base64url_encode(payload), "protected": protected,
                "signature": base64url_encode(self.private.sign(signed))}


def jwcrypto_accepts(text, pem):
    """An independent verifier's word; it knows nothing of the readable part."""
    try:
        signature = jws.JWS()
        signature.deserialize(text)
        signature.verify(jwk.JWK.from_pem(pem))
        return True
    except Exception:  # pylint: disable=broad-except  # whatever it dislikes
        return False


class Report(harness.Case):
    def setUp(self):
        self.signer = Signer()
        self.work = self.env.directory("records")
        self.key_file = os.path.join(self.env.home, ".local/state/driveprep/record-key.pem")
        if os.path.exists(self.key_file):
            os.remove(self.key_file)

    def file(self, content, name="record.json"):
        data = content if isinstance(content, (bytes, str)) else json.dumps(content, indent=2)
        return harness.write_file(self.work, name, data if isinstance(data, bytes) else data.encode())

    def check(self, *files, options=()):
        return self.env.run("report", "--check", *files, "--json", *options)

    def assert_refused(self, content, status, code, options=()):
        path = self.file(content)
        result = self.check(path, options=options)
        entry = result.json()["records"][0]
        self.assertEqual((result.status, entry["good"], entry["error"]["code"]), (status, False, code),
                         result)
        self.assertIn(code, result.err)
        return entry

    def own_key(self, signer):
        os.makedirs(os.path.dirname(self.key_file), exist_ok=True)
        harness.write_file("/", self.key_file, signer.private_pem())
        os.chmod(self.key_file, 0o600)

    def test_a_record_of_another_tool_is_accepted_as_signed_by_another_key(self):
        path = self.file(self.signer.sign(WIPE))
        with open(path, encoding="utf-8") as file:
            self.assertTrue(jwcrypto_accepts(file.read(), self.signer.public_pem()))
        document = self.check(path).json()
        self.assertEqual(document["records"], [
            {"file": path, "good": True, "kid": self.signer.kid, "own_key": False,
             "jwk": self.signer.jwk, "record": WIPE, "error": None}])
        text = self.run_ok("report", "--check", path).out
        for said in (f"{path}: signature good", "WD-WX51A1234567 (ata-identify)", "WDC WD10",
                     "1.0 TB (1,000,204,886,016 bytes)", "overwrite", "yes (1 place)",
                     "1,002 samples: 1,002 zero, 0 other, 0 unreadable, 0 failed", "celsius 38",
                     "Result", "wiped", "2026-11-21T10:00:00Z", "2026-11-21T12:30:00Z",
                     "alex on workstation-7", f"another key (kid {self.signer.kid})"):
            self.assertIn(said, text)

    def test_what_a_disk_hides_is_told(self):
        for hidden, told in ((1048576, True), (0, False), (None, False)):
            record = {**WIPE, "drive": {**WIPE["drive"], "hidden_bytes": hidden}}
            text = self.run_ok("report", "--check", self.file(self.signer.sign(record))).out
            self.assertEqual("1,048,576 bytes at its end, which the disk hides (HPA)" in text, told, text)

    def test_the_check_that_the_documents_give_works(self):
        documents = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs")
        with open(os.path.join(documents, "records.md"), encoding="utf-8") as file:
            program = re.search(r"```python\n(.*?)```", file.read(), re.DOTALL).group(1)
        key = harness.write_file(self.work, "key.pem", self.signer.public_pem())
        good = self.signer.sign(WIPE)
        for content, accepted in ((good, True), ({**good, "record": {}}, False),
                                  (Signer().sign(WIPE), False)):
            done = subprocess.run([sys.executable, "-c", program, self.file(content), key],
                                  capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode == 0, accepted, done.stderr)
            self.assertEqual(self.signer.kid in done.stdout, accepted)

    def test_ones_own_key_is_known_and_shown(self):
        self.own_key(self.signer)
        path = self.file(self.signer.sign(WIPE))
        self.assertIs(self.check(path).json()["records"][0]["own_key"], True)
        self.assertIn(f"this machine's key (kid {self.signer.kid})",
                      self.run_ok("report", "--check", path).out)
        other = self.file(Signer().sign(WIPE), "other.json")
        self.assertIs(self.check(other).json()["records"][0]["own_key"], False)
        self.assertEqual(self.run_ok("report", "--public-key").out.encode(), self.signer.public_pem())
        document = self.run_ok("report", "--public-key", "--json").json()
        self.assertEqual(document, {"schema": 1, "kid": self.signer.kid, "jwk": self.signer.jwk,
                                    "pem": self.signer.public_pem().decode()})

    def test_the_private_key_is_never_shown(self):
        self.own_key(self.signer)
        path = self.file(self.signer.sign(WIPE))
        seed = self.signer.private.private_bytes(serialization.Encoding.Raw,
                                                 serialization.PrivateFormat.Raw,
                                                 serialization.NoEncryption())
        secrets = (self.signer.private_pem().decode().splitlines()[1], base64url_encode(seed),
                   seed.hex())
        for arguments in (["--check", path], ["--public-key"], ["--check", path, "--key", self.key_file]):
            for more in ([], ["--json"]):
                result = self.env.run("report", *arguments, *more)
                for secret in secrets:
                    self.assertNotIn(secret, result.out + result.err)

    def test_without_a_key_there_is_none_to_show_and_none_is_made(self):
        for more in ([], ["--json"]):
            result = self.env.run("report", "--public-key", *more)
            self.assertEqual(result.status, USAGE, result)
            self.assertIn("record-key-missing", result.err)
        self.assertEqual(self.check(self.file(self.signer.sign(WIPE))).status, 0)
        self.assertFalse(os.path.exists(self.key_file))

    def test_a_key_that_others_can_read_is_not_used(self):
        self.own_key(self.signer)
        path = self.file(self.signer.sign(WIPE))
        for mode in (0o640, 0o604):
            os.chmod(self.key_file, mode)
            result = self.env.run("report", "--public-key")
            self.assertEqual(result.status, KEY, result)
            self.assertIn("record-key-unsafe", result.err)
            result = self.check(path)  # a record can be checked by anybody
            self.assertEqual(result.status, 0, result)
            self.assertIn("warning", result.err)

    def test_a_demanded_key_is_demanded(self):
        good = self.signer.sign(WIPE)
        path = self.file(good)
        pem = harness.write_file(self.work, "key.pem", self.signer.public_pem())
        as_jwk = harness.write_file(self.work, "key.jwk", json.dumps(self.signer.jwk).encode())
        for key in (pem, as_jwk):
            self.assertEqual(self.check(path, options=["--key", key]).status, 0)
            self.assertIn("the key of --key (kid", self.run_ok("report", "--check", path, "--key", key).out)
        other = harness.write_file(self.work, "other.pem", Signer().public_pem())
        entry = self.assert_refused(good, VERIFICATION, "record-key", ["--key", other])
        self.assertIsNone(entry["record"])
        curve = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        for content in (b"", b"{}", curve, self.signer.private_pem()):
            key = harness.write_file(self.work, "bad.pem", content)
            result = self.check(path, options=["--key", key])
            self.assertEqual((result.status, result.error()["code"]), (USAGE, "record-key-file"))

    def test_what_was_changed_is_refused_by_both(self):
        good = self.signer.sign(WIPE)
        pem = self.signer.public_pem()
        payload = bytearray(base64url_decode(good["payload"]))
        at = payload.index(b"wiped")
        payload[at:at + 5] = b"WIPED"
        signature = bytearray(base64url_decode(good["signature"]))
        signature[3] ^= 1
        stranger = Signer()
        changes = {"payload": base64url_encode(bytes(payload)),
                   "signature": base64url_encode(bytes(signature)),
                   "protected": base64url_encode(json.dumps(stranger.header()))}
        for member, value in changes.items():
            with self.subTest(member=member):
                changed = {**good, member: value}
                self.assertFalse(jwcrypto_accepts(json.dumps(changed), pem))
                entry = self.assert_refused(changed, VERIFICATION, "record-signature")
                self.assertEqual((entry["record"], entry["kid"]), (None, None))
        # Only the readable part: a JWS tool does not see it.
        changed = copy.deepcopy(good)
        changed["record"]["drive"]["serial"] = "WD-OTHER"
        self.assertTrue(jwcrypto_accepts(json.dumps(changed), pem))
        self.assert_refused(changed, VERIFICATION, "record-differs")
        self.assertNotIn("WD-OTHER", self.env.run("report", "--check", self.file(changed)).out)

    def test_other_algorithms_and_ambiguous_files_are_no_records(self):
        good = self.signer.sign(WIPE)
        text = json.dumps(good)
        unsigned = {**self.signer.sign(WIPE, self.signer.header(alg="none")), "signature": ""}
        hashed = self.signer.sign(WIPE, self.signer.header(alg="HS256"))
        doubled = self.signer.sign({"a": 1}, payload=b'{"a": 1, "a": 1}')
        for content in (unsigned, hashed, doubled, text + "{}", text + "x", text[:-1], b"", b"[]", b"\xff",
                        '{"record": {}, ' + text[1:], {**good, "header": {"alg": "EdDSA"}},
                        {**good, "signatures": []}, self.signer.sign(WIPE, self.signer.header(crit=["x"])),
                        {name: good[name] for name in ("payload", "protected", "signature")}):
            with self.subTest(content=str(content)[:60]):
                self.assert_refused(content, USAGE, "record-malformed")

    def test_a_wipe_that_contradicts_itself_is_refused_though_it_is_signed(self):
        for change in ({"metadata_destroyed": False}, {"ended": "2026-11-21T09:59:59Z"}, {"schema": 2},
                       {"contents_gone": False}, {"bytes_covered": 1000204886015}, {"read_back": None},
                       {"read_back": {**WIPE["read_back"], "complete": False}},
                       {"read_back": {**WIPE["read_back"], "samples": 0, "zero": 0}},
                       {"read_back": {**WIPE["read_back"], "zero": 1001, "other": 1}},
                       {"read_back": {**WIPE["read_back"], "zero": 1001, "failed": 1}}):
            with self.subTest(change=change):
                entry = self.assert_refused(self.signer.sign({**WIPE, **change}), VERIFICATION,
                                            "record-inconsistent")
                self.assertEqual(entry["kid"], self.signer.kid)

    def test_a_genuine_record_of_a_failed_wipe_is_none_of_a_wiped_drive(self):
        failed = {**WIPE, "result": "failed", "metadata_destroyed": False,
                  "error": {"code": "device-failed", "message": "write at 5 GB: I/O error"}}
        entry = self.assert_refused(self.signer.sign(failed), VERIFICATION, "record-not-wiped")
        self.assertEqual(entry["record"], failed)
        result = self.env.run("report", "--check", self.file(self.signer.sign(failed)))
        for said in ("signature good, but the drive was NOT wiped", "write at 5 GB: I/O error (device-failed)"):
            self.assertIn(said, result.out)

    def test_a_record_of_another_kind_is_checked_for_its_signature(self):
        other_kind = {"schema": 9, "kind": "weighed", "drive": {"serial": "WD-1"}}
        text = self.run_ok("report", "--check", self.file(self.signer.sign(other_kind))).out
        self.assertIn("WD-1", text)
        self.assertIn("only its signature was checked", text)

    def test_several_files_are_all_told_and_the_worst_decides(self):
        good = self.file(self.signer.sign(WIPE), "good.json")
        changed = self.file({**self.signer.sign(WIPE), "record": {}}, "changed.json")
        malformed = self.file(b"{", "malformed.json")
        missing = os.path.join(self.work, "missing.json")
        for files, status in (((good, good), 0), ((good, malformed), USAGE), ((missing, good), USAGE),
                              ((changed, malformed, good), VERIFICATION)):
            result = self.check(*files)
            self.assertEqual(result.status, status, result)
            self.assertEqual([entry["file"] for entry in result.json()["records"]], list(files))
            text = self.env.run("report", "--check", *files)
            self.assertEqual(text.status, status, text)
            for path in files:
                self.assertIn(f"{path}: ", text.out)

    def test_names_in_a_record_give_no_orders_to_a_terminal(self):
        record = copy.deepcopy(WIPE)
        record["drive"]["model"] = "a\x1b[2Jb\u202ec\nResult  wiped\x9b" + "x" * 5000
        record["host"] = {"deep": ["y\x07"]}
        result = self.run_ok("report", "--check", self.file(self.signer.sign(record)))
        self.assertFalse(set(result.out) & set("\x1b\x07\u202e\x9b"), result)
        self.assertEqual(len([line for line in result.out.splitlines() if "Result  wiped" in line]), 1)
        self.assertLess(max(map(len, result.out.splitlines())), 600)

    def test_one_thing_at_a_time_is_asked(self):
        path = self.file(self.signer.sign(WIPE))
        for arguments in ([], ["--public-key", "--check", path], ["--key", path, "--public-key"],
                          ["--check"], ["--json"]):
            result = self.env.run("report", *arguments)
            self.assertEqual(result.status, USAGE, result)


if __name__ == "__main__":
    harness.main()
