"""Who may ask for tokens: applications and managed identities, and the tokens given to them."""

import base64
import hashlib
import json
import secrets
import uuid
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from .material import from_base64url, to_base64url


@dataclass
class Identity:
    """An application (kind app) or a managed identity (system or user)."""

    name: str
    tenant: str
    kind: str = "app"
    client_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    object_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    msi_res_id: str | None = None
    attached: bool = True   # managed identities: assigned to this machine
    present: bool = True    # in the directory
    secrets: list = field(default_factory=list)       # of {"value", "expires"}
    certificates: list = field(default_factory=list)  # of x509.Certificate
    federated: list = field(default_factory=list)     # of {"issuer", "subject", "audience"}

    def add_certificate(self, pem):
        self.certificates.append(x509.load_pem_x509_certificate(pem.encode()))

    def certificate_of(self, header):
        """The registered certificate that a client assertion's header names, or None."""
        for certificate in self.certificates:
            for member, algorithm in (("x5t#S256", hashes.SHA256()), ("x5t", hashes.SHA1())):
                wanted = header.get(member)
                if wanted and wanted in thumbprints(certificate, algorithm):
                    return certificate
        return None


def thumbprints(certificate, algorithm):
    digest = certificate.fingerprint(algorithm)
    return (to_base64url(digest), base64.urlsafe_b64encode(digest).decode(), digest.hex().upper())


class BadJwt(ValueError):
    pass


def read_jwt(text):
    """(header, claims, signed bytes, signature)."""
    try:
        first, second, third = text.split(".")
        header, claims = (json.loads(from_base64url(part)) for part in (first, second))
        if not isinstance(header, dict) or not isinstance(claims, dict):
            raise ValueError("not objects")
        return header, claims, f"{first}.{second}".encode(), from_base64url(third)
    except ValueError as error:
        raise BadJwt(str(error)) from None


def verify_jwt(public_key, algorithm, signed, signature):
    """InvalidSignature of the library, or BadJwt for an algorithm that is not accepted."""
    if algorithm == "PS256":
        scheme = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
    elif algorithm == "RS256":
        scheme = padding.PKCS1v15()
    else:
        raise BadJwt(f"algorithm {algorithm}")
    public_key.verify(signature, signed, scheme, hashes.SHA256())


class Signer:
    """Signs tokens: the directory's own key, or that of an issuer of federated tokens."""

    def __init__(self):
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.numbers = self.key.public_key().public_numbers()
        self.kid = to_base64url(hashlib.sha256(self.numbers.n.to_bytes(256, "big")).digest())[:27]

    def sign(self, claims):
        header = {"typ": "JWT", "alg": "RS256", "kid": self.kid, "x5t": self.kid}
        signed = ".".join(to_base64url(json.dumps(part).encode()) for part in (header, claims))
        signature = self.key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{to_base64url(signature)}"

    def jwks(self):
        return {"keys": [{"kty": "RSA", "use": "sig", "kid": self.kid, "x5t": self.kid, "e": "AQAB",
                          "n": to_base64url(self.numbers.n.to_bytes(256, "big"))}]}


class Tokens:
    """Access tokens that were given out; a vault believes only in these."""

    def __init__(self):
        self.signer = Signer()
        self.issued = {}

    def issue(self, identity, resource, now, lifetime, claims=None, **overrides):
        """`claims` is what a client asked for after an insufficient_claims challenge."""
        content = {"aud": resource, "iss": f"https://sts.windows.net/{identity.tenant}/",
                   "iat": int(now), "nbf": int(now), "exp": int(now + lifetime),
                   "appid": identity.client_id, "appidacr": "1", "idtyp": "app",
                   "oid": identity.object_id, "sub": identity.object_id, "tid": identity.tenant,
                   "uti": secrets.token_urlsafe(16), "ver": "1.0", **overrides}
        text = self.signer.sign(content)
        self.issued[text] = {**content, "granted_claims": claims}
        return text

    def find(self, text):
        return self.issued.get(text)
