"""Key material and what is done with it: RSA, EC and symmetric keys, JWK members, key wrapping."""

import base64
import os
import re

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from .tls import pem_of_key

CURVES = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1,
          "P-256K": ec.SECP256K1}


def to_base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64url(text):
    """Without padding, and strict: what does not come out the same when encoded is no base64url."""
    if not isinstance(text, str) or not re.fullmatch(r"[A-Za-z0-9_-]*", text) or len(text) % 4 == 1:
        raise ValueError("not base64url")
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if to_base64url(data) != text:
        raise ValueError("not base64url: trailing bits")
    return data


def number(value, length=None):
    return to_base64url(value.to_bytes(length or (value.bit_length() + 7) // 8 or 1, "big"))


def oaep(algorithm):
    return padding.OAEP(mgf=padding.MGF1(algorithm()), algorithm=algorithm(), label=None)


RSA_PADDINGS = {"RSA-OAEP-256": oaep(hashes.SHA256), "RSA-OAEP": oaep(hashes.SHA1),
                "RSA1_5": padding.PKCS1v15()}


class RsaMaterial:
    operations = ["encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"]

    def __init__(self, size):
        self.private = rsa.generate_private_key(public_exponent=65537, key_size=size)
        self.public = self.private.public_key()

    def jwk(self):
        numbers = self.public.public_numbers()
        return {"n": number(numbers.n), "e": number(numbers.e)}

    def jwk_with_leading_zero(self):
        numbers = self.public.public_numbers()
        return {**self.jwk(), "n": number(numbers.n, (numbers.n.bit_length() + 7) // 8 + 1)}

    def private_jwk(self):
        numbers = self.private.private_numbers()
        return {"d": number(numbers.d), "p": number(numbers.p), "q": number(numbers.q),
                "dp": number(numbers.dmp1), "dq": number(numbers.dmq1), "qi": number(numbers.iqmp)}

    def pem(self):
        return pem_of_key(self.private).decode()

    def wrap(self, algorithm, data):
        """ValueError when the algorithm does not fit this key or the data are too long for it."""
        return self.public.encrypt(data, self.padding(algorithm))

    def unwrap(self, algorithm, data):
        return self.private.decrypt(data, self.padding(algorithm))

    @staticmethod
    def padding(algorithm):
        if algorithm not in RSA_PADDINGS:
            raise ValueError("algorithm does not fit the key")
        return RSA_PADDINGS[algorithm]


class UnusedMaterial:
    """Of kinds that the double keeps and shows but does nothing with."""

    def wrap(self, unused_algorithm, unused_data):
        raise ValueError("algorithm does not fit the key")

    unwrap = wrap


class EcMaterial(UnusedMaterial):
    operations = ["sign", "verify"]

    def __init__(self, curve):
        self.curve = curve
        self.private = ec.generate_private_key(CURVES[curve]())

    def jwk(self):
        numbers = self.private.public_key().public_numbers()
        length = (self.private.curve.key_size + 7) // 8
        return {"crv": self.curve, "x": number(numbers.x, length), "y": number(numbers.y, length)}

    def private_jwk(self):
        return {"d": number(self.private.private_numbers().private_value)}

    def pem(self):
        return pem_of_key(self.private).decode()


class SymmetricMaterial(UnusedMaterial):
    operations = ["encrypt", "decrypt", "wrapKey", "unwrapKey"]

    def __init__(self, size):
        self.secret = os.urandom(size // 8)

    def jwk(self):
        return {}

    def private_jwk(self):
        return {"k": to_base64url(self.secret)}


def make_material(kty, size=None, crv=None):
    kind = kty.removesuffix("-HSM")
    if kind == "RSA":
        return RsaMaterial(size or 2048)
    if kind == "EC":
        return EcMaterial(crv or "P-256")
    return SymmetricMaterial(size or 256)  # oct, and whatever the future brings
