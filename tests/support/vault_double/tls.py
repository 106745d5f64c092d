"""A certification authority of our own and the certificates of the hosts that are doubled."""

import datetime
import os
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

KINDS = ("valid", "expired", "wrong-name", "untrusted")


def make_name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def days_from_now(days):
    return datetime.datetime.utcnow() + datetime.timedelta(days=days)


def write_private(path, *parts):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(b"".join(parts))
    return path


def pem_of_key(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption())


def pem_of_certificate(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)


class CertificateAuthority:
    def __init__(self, title):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = make_name(title)
        self.certificate = self.sign(
            self.name, self.key.public_key(), -1, 3650,
            [(x509.BasicConstraints(ca=True, path_length=0), True),
             (key_usage(key_cert_sign=True, crl_sign=True), True)])

    def sign(self, subject, public_key, begins, ends, extensions):
        own = self.key.public_key()
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(self.name)
                   .public_key(public_key).serial_number(x509.random_serial_number())
                   .not_valid_before(days_from_now(begins)).not_valid_after(days_from_now(ends)))
        extensions = extensions + [
            (x509.SubjectKeyIdentifier.from_public_key(public_key), False),
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(own), False)]
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(self.key, hashes.SHA256())

    def issue(self, hosts, key, begins=-1, ends=365):
        """A server's certificate for all these host names, the first one being its name."""
        return self.sign(
            make_name(hosts[0]), key.public_key(), begins, ends,
            [(x509.BasicConstraints(ca=False, path_length=None), True),
             (key_usage(digital_signature=True), True),
             (x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH]), False),
             (x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), False)])


def key_usage(**used):
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
             "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{name: used.get(name, False) for name in names})


class Certificates:
    """The TLS side of the listeners: which host name gets which certificate.

    `accepts(host)` says whether a name without a certificate of its own is served; others are
    turned away in the handshake, as close as a server can come to a host that does not exist.
    """

    def __init__(self, directory, hosts, accepts):
        self.directory, self.hosts, self.accepts = directory, list(hosts), accepts
        self.authority = CertificateAuthority("vault double")
        self.stranger = CertificateAuthority("vault double, not trusted")
        self.ca_path = os.path.join(directory, "ca.pem")
        with open(self.ca_path, "wb") as file:
            file.write(pem_of_certificate(self.authority.certificate))
        self.reset()

    def reset(self):
        self.own = {}
        self.default = self.context(self.authority, self.hosts)

    def add_hosts(self, hosts):
        self.hosts += hosts
        self.default = self.context(self.authority, self.hosts)

    def set(self, host, kind):
        if kind not in KINDS:
            raise ValueError(f"certificate must be one of {', '.join(KINDS)}")
        self.own[host.lower()] = self.context(
            self.stranger if kind == "untrusted" else self.authority,
            ["other.invalid" if kind == "wrong-name" else host],
            **({"begins": -30, "ends": -1} if kind == "expired" else {}))

    def context(self, authority, hosts, **validity):
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = authority.issue(hosts, key, **validity)
        path = write_private(os.path.join(self.directory, "server.pem"), pem_of_key(key),
                             pem_of_certificate(certificate))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(path)
        os.remove(path)
        return context

    def listening_context(self):
        context = self.context(self.authority, self.hosts)
        context.sni_callback = self.choose
        return context

    def choose(self, stream, name, unused):
        stream.sni = name
        host = (name or "").lower()
        own = self.own.get(host)
        if own is None and not self.accepts(host):
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        stream.context = own or self.default
        return None
