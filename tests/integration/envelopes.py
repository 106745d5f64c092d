"""Envelopes made and opened without the program: python3-jwcrypto does what RFC 7516 says.

The keys are those that the vault double gives out (export_key), and those of a local key store,
whose files any PKCS#8 reader opens with the store's unlock file.
"""

import base64
import glob
import json
import os
import shutil

from packages import need_packages

need_packages(("jwcrypto", "cryptography"), "python3-jwcrypto and python3-cryptography")

from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import padding  # noqa: E402
from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: E402
from jwcrypto import jwe, jwk  # noqa: E402

ALGORITHMS = ["RSA-OAEP-256", "A256GCM"]
SEALED = ("protected", "iv", "ciphertext", "tag")
SUFFIX = ".jwe.json"


def files_of(job):
    """All envelopes of a job by name: those of drives, and the customer's secrets."""
    found = glob.glob(job.path("drives", "*", "*" + SUFFIX)) + glob.glob(
        job.path("secrets", "*" + SUFFIX))
    return {os.path.relpath(path, job.root): path for path in sorted(found)}


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def store(path, envelope):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(envelope, file)


def sealed(path):
    """What a re-wrap must not change."""
    envelope = load(path)
    return tuple(envelope[member] for member in SEALED)


def kids(path):
    return [each["header"]["kid"] for each in load(path)["recipients"]]


def binding(name, job="job-a", purpose="secret"):
    return {"cty": "json", "enc": "A256GCM", "ie.drive": name, "ie.job": job, "ie.purpose": purpose,
            "ie.v": 1, "typ": "JOSE+JSON"}


def seal(name, value, keys, kind="secret", **bound):
    """An envelope as the program makes them, under the public keys given as JWKs with their kid."""
    payload = {"v": 1, "kind": kind, "value": value, "created": "2026-01-02T03:04:05Z"}
    token = jwe.JWE(json.dumps(payload).encode(), json.dumps(binding(name, **bound)),
                    algs=ALGORITHMS)
    for key in keys:
        token.add_recipient(jwk.JWK(**key), json.dumps({"alg": "RSA-OAEP-256", "kid": key["kid"]}))
    envelope = json.loads(token.serialize())
    if "recipients" not in envelope:  # jwcrypto writes one recipient flattened
        envelope["recipients"] = [{name: envelope.pop(name)
                                   for name in ("header", "encrypted_key")}]
    return envelope


def write_secrets(job, count, key, prefix="s"):
    """`count` secrets of the customer's, put into the job at once. Returns their values by name."""
    os.makedirs(job.path("secrets"), mode=0o700, exist_ok=True)
    values = {f"{prefix}{number:04}": f"value {number}" for number in range(count)}
    public = {name: key[name] for name in ("kty", "n", "e", "kid")}
    for name, value in values.items():
        store(job.path("secrets", name + SUFFIX), seal(name, value, [public], job=job.name))
    return values


def open_with(text, key):
    """The payload, with one recipient's private key as a JWK, whichever recipient that is."""
    token = jwe.JWE(algs=ALGORITHMS)
    token.deserialize(text)
    token.decrypt(jwk.JWK(**key))
    return json.loads(token.payload)


class Opener:
    """As open_with(), for many envelopes: jwcrypto checks a private key anew each time."""

    def __init__(self, key):
        """`key`: a private key, or its text in PEM."""
        self.key = serialization.load_pem_private_key(key.encode(), None) if isinstance(
            key, str) else key

    def open(self, text, kid):
        """The payload, by the recipient `kid` and no other."""
        envelope = json.loads(text)
        (wrapped,) = (each["encrypted_key"] for each in envelope["recipients"]
                      if each["header"] == {"alg": "RSA-OAEP-256", "kid": kid})
        content = self.key.decrypt(decode(wrapped), padding.OAEP(
            padding.MGF1(hashes.SHA256()), hashes.SHA256(), None))
        return json.loads(AESGCM(content).decrypt(
            decode(envelope["iv"]), decode(envelope["ciphertext"]) + decode(envelope["tag"]),
            envelope["protected"].encode()))


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def local_key(key_store, kid):
    """The private key of a local key store."""
    name, version = kid.split("/")[-2:]
    with open(os.path.join(key_store, "unlock"), "rb") as file:
        unlock = file.read()
    with open(os.path.join(key_store, "keys", name, version + ".pem"), "rb") as file:
        pem = file.read()
    for password in (unlock.strip(), unlock):
        try:
            return serialization.load_pem_private_key(pem, password)
        except ValueError:
            continue
    raise AssertionError(f"{key_store}: the unlock file does not open {kid}")


def remove_all(job):
    shutil.rmtree(job.path("secrets"), ignore_errors=True)
