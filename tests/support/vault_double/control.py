"""The control interface: POST /OPERATION with a JSON object of arguments, answered with JSON.

A mistake in a call is answered with 400 and {"error": "..."}. By hand, with $PORT from the double's
first line: curl -d '{"name": "demo"}' http://127.0.0.1:$PORT/create_vault. Times are seconds since
1970; `?` marks what may be left out.

vaults, named by their host (demo.vault.azure.net):
  create_vault {name, cloud?: public|usgovernment|china|added one, hsm?, host?, tenant?, SETTINGS?}
      -> {host, url, tenant}. `host` replaces name + suffix, for strange names.
  set_vault {vault, SETTINGS}      SETTINGS are
      region             null: no x-ms-keyvault-region header
      recovery_level     null: the attribute is absent; any text goes
      recoverable_days   default: what goes with the level
      style              of a 403: rbac, policy, hsm
      firewall, public_access
      get_of_disabled    200 or 403
      wrap_with_disabled true: the service wraps with a disabled key
      window_inner_codes false: a wrap outside nbf/exp is told by its message only
      deletion_delay     seconds in which a deleted or recovered key is seen nowhere
      required_claims    tokens must have been asked for with these, else insufficient_claims
      claims_form        of that challenge: full, or bare (no resource, authorization_uri)
      tenant             the vault moves: tokens of the old tenant get AKV10032
  delete_vault {vault}, recover_vault {vault}
keys:
  create_key {vault, name, kty?, size?, crv?, key_ops?: list|"absent", nbf?, exp?, enabled?, tags?,
      managed?, exportable?, release_policy?, leading_zero?, private_members?} -> {kid, version}
      kty is RSA, RSA-HSM, EC, EC-HSM, oct, oct-HSM or any text; again for a new version.
  set_key {vault, name, version?, enabled?, nbf?, exp?, key_ops?, ... as for create_key}
  delete_key, recover_key, purge_key {vault, name}
  age_deleted_key {vault, name, seconds}   as if it had been deleted so much earlier
  export_key {vault, name, version?} -> {kid, pem, jwk}   the private key, for other openers
  set_permissions {vault, identity, operations: list, key?}   replaces those of the identity: get,
      list, wrapKey, unwrapKey, create, delete, recover, purge
identities:
  create_identity {name, kind?: app|system|user, tenant?, client_id?, object_id?, msi_res_id?,
      attached?, present?, secret?, secret_expires?, federated?: [{issuer, subject, audience?}]}
      -> {client_id, object_id, tenant}
  set_identity {identity, same members}, delete_identity {identity}
  make_certificate {identity} -> {path, thumbprint}   a PEM file with key and certificate
  add_certificate {identity, pem}
  make_federated_token {issuer, subject, audience?, lifetime?} -> {token}
  make_token {identity, resource, lifetime?, claims?, overrides?: of claims in the token} -> {token}
settings {token_lifetime?, managed_token_lifetime?, clock_offset?,
      arc?: {realm?, size?, announced?}}
      clock_offset moves the double's time, its Date header included.
add_cloud {name, vault, hsm, logins}   suffixes without dot
add_tenant {tenant}
local_endpoints {} -> {identity_header: of App Service, arc_tokens: where the files really lie}
set_certificate {host, kind: valid|expired|wrong-name|untrusted}   valid also adds a host name
inject {match?, times?, do} -> {id}   times: default 1, null for ever. The first match counts.
  match: on (vault, authority, imds, app_service, arc), method, host, path, query (expressions that
      are searched for), authorized (vault: with a token; default true, false with do.challenge),
      skip: so many matches pass first
  do: instead of the answer (nothing is carried out)
      status, body (text), json
      error {status, code, message, inner,
             form: innererror|innerError|nested|null|absent|empty|list|string|html}
      challenge: WWW-Authenticate, a text or a list of texts, each one header
      retry_after: seconds, any text, or {date: seconds from now}; retry_after_ms; both mean 429
      redirect: address
      reset: before
    to the answer (what was asked is carried out)
      merge: a JSON merge patch, null removes: {"nextLink": ...}, {"key": {"n": ...}}
      kid: a text, or parts {host, name, version}
      garbage: true: the value of a wrap or unwrap is noise
      headers {name: text|list|null}
      truncate: half of the body; oversize: so many bytes; close; drip: seconds a byte; reset: after
    delay: seconds before the answer
faults {} -> list with hits, clear_faults {id?}
log {since?} -> requests, whole: number, time, endpoint, connection, sni, host, method, target,
      path, query, headers, body, status, seconds, fault; failed handshakes have `handshake` instead
clear_log {}, counts {} -> {requests, most_in_flight by endpoint}
reset {}   forgets everything but ports, certification authority and added clouds
"""

import datetime
import json
import os
import uuid

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from .authority import FEDERATED_AUDIENCE
from .clouds import Cloud, certificate_hosts
from .connection import Response
from .identities import Identity
from .keys import Vault, Version, retention
from .tls import make_name, pem_of_certificate, pem_of_key, write_private

DEFAULT_TENANT = "11111111-2222-3333-4444-555555555555"
VAULT_SETTINGS = {"region", "recovery_level", "recoverable_days", "style", "firewall",
                  "public_access", "get_of_disabled", "wrap_with_disabled", "window_inner_codes",
                  "deletion_delay", "required_claims", "claims_form", "tenant"}
IDENTITY_MEMBERS = {"kind", "tenant", "client_id", "object_id", "msi_res_id", "attached", "present"}


def set_members(target, allowed, values):
    unknown = set(values) - allowed
    if unknown:
        raise ValueError(f"no member {', '.join(sorted(unknown))}")
    for name, value in values.items():
        setattr(target, name, value)


class Control:
    def __init__(self, double):
        self.double = double

    def handle(self, request):
        operation = request.path.strip("/")
        try:
            function = getattr(self, "op_" + operation, None)
            if function is None:
                raise ValueError(f"no operation {operation}")
            arguments = json.loads(request.body or b"{}")
            with self.double.lock:
                result = function(**arguments)
            return json_response(200, result)
        except Exception as error:  # the caller's mistakes, whichever they are
            return json_response(400, {"error": f"{operation}: {type(error).__name__}: {error}"})

    # Vaults

    def vault(self, host):
        return self.double.vaults[host.lower()]

    def op_create_vault(self, name=None, cloud="public", hsm=False, host=None,
                        tenant=DEFAULT_TENANT, **settings):
        names = self.double.clouds[cloud]
        suffix = names.hsm if hsm else names.vault
        vault = Vault((host or f"{name}.{suffix}").lower(), suffix, tenant.lower(), hsm)
        set_members(vault, VAULT_SETTINGS, settings)
        retention(vault.recovery_level, vault.recoverable_days)
        self.double.vaults[vault.host] = vault
        return {"host": vault.host, "url": f"https://{vault.host}", "tenant": vault.tenant}

    def op_set_vault(self, vault, **settings):
        set_members(self.vault(vault), VAULT_SETTINGS, settings)

    def op_delete_vault(self, vault):
        self.vault(vault).deleted = self.double.now()

    def op_recover_vault(self, vault):
        self.vault(vault).deleted = None

    # Keys

    def op_create_key(self, vault, name, **options):
        vault = self.vault(vault)
        key, version = vault.create_key(name, self.double.now(), **options)
        return {"kid": vault.kid(key, version), "version": version.version}

    def op_set_key(self, vault, name, version="", **members):
        found = self.vault(vault).keys[name.lower()].find(version)
        if members.get("key_ops") == "absent":
            members["key_ops"] = None
        set_members(found, set(Version.__dataclass_fields__), members)
        found.updated = int(self.double.now())

    def op_delete_key(self, vault, name):
        self.vault(vault).delete_key(name, self.double.now())

    def op_recover_key(self, vault, name):
        self.vault(vault).recover_key(name, self.double.now())

    def op_purge_key(self, vault, name):
        self.vault(vault).purge_key(name, self.double.now())

    def op_age_deleted_key(self, vault, name, seconds):
        deletion = self.vault(vault).keys[name.lower()].deletion
        deletion.at -= seconds
        deletion.visible -= seconds
        deletion.purge -= seconds

    def op_export_key(self, vault, name, version=""):
        vault = self.vault(vault)
        key = vault.keys[name.lower()]
        found = key.find(version)
        kid = vault.kid(key, found)
        jwk = {"kty": found.kty.removesuffix("-HSM"), "kid": kid, **found.material.jwk(),
               **found.material.private_jwk()}
        return {"kid": kid, "pem": found.material.pem(), "jwk": jwk}

    def op_set_permissions(self, vault, identity, operations, key=""):
        granted = self.vault(vault).permissions.setdefault(
            self.double.identities[identity].object_id, {})
        granted[key.lower()] = set(operations)

    # Identities and tokens

    def op_create_identity(self, name, tenant=DEFAULT_TENANT, **members):
        identity = Identity(name, tenant.lower())
        self.double.identities[name] = identity
        try:
            return self.op_set_identity(name, **members)
        except Exception:
            del self.double.identities[name]
            raise

    def op_set_identity(self, identity, secret=None, secret_expires=None, federated=None,
                        **members):
        found = self.double.identities[identity]
        set_members(found, IDENTITY_MEMBERS, members)
        if secret is not None:
            found.secrets = [each for each in found.secrets if each["value"] != secret]
            found.secrets.append({"value": secret, "expires": secret_expires})
        if federated is not None:
            found.federated = [{"audience": FEDERATED_AUDIENCE, **rule} for rule in federated]
        return {"client_id": found.client_id, "object_id": found.object_id, "tenant": found.tenant}

    def op_delete_identity(self, identity):
        del self.double.identities[identity]

    def op_make_certificate(self, identity):
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        now = datetime.datetime.utcnow()
        name = make_name(identity)
        certificate = (x509.CertificateBuilder().subject_name(name).issuer_name(name)
                       .public_key(key.public_key()).serial_number(x509.random_serial_number())
                       .not_valid_before(now - datetime.timedelta(days=1))
                       .not_valid_after(now + datetime.timedelta(days=365))
                       .sign(key, hashes.SHA256()))
        pem = pem_of_certificate(certificate)
        self.op_add_certificate(identity, pem.decode())
        path = write_private(os.path.join(self.double.directory, f"client-{uuid.uuid4()}.pem"),
                             pem_of_key(key), pem)
        return {"path": path, "thumbprint": certificate.fingerprint(hashes.SHA1()).hex().upper()}

    def op_add_certificate(self, identity, pem):
        self.double.identities[identity].add_certificate(pem)

    def op_make_federated_token(self, issuer, subject, audience=FEDERATED_AUDIENCE, lifetime=3600):
        now = int(self.double.now())
        return {"token": self.double.issuer(issuer).sign(
            {"iss": issuer, "sub": subject, "aud": audience, "iat": now, "nbf": now,
             "exp": now + lifetime, "jti": str(uuid.uuid4())})}

    def op_make_token(self, identity, resource, lifetime=3599, claims=None, overrides=None):
        return {"token": self.double.tokens.issue(
            self.double.identities[identity], resource, self.double.now(), lifetime, claims,
            **(overrides or {}))}

    # The double itself

    def op_settings(self, arc=None, **members):
        set_members(self.double, {"token_lifetime", "managed_token_lifetime", "clock_offset"},
                    members)
        set_members(self.double.endpoints["arc"], {"realm", "size", "announced"}, arc or {})

    def op_local_endpoints(self):
        return {"identity_header": self.double.endpoints["app_service"].secret,
                "arc_tokens": self.double.endpoints["arc"].directory}

    def op_add_cloud(self, name, vault, hsm, logins):
        cloud = Cloud(vault, hsm, logins, [])
        self.double.clouds[name] = cloud
        self.double.certificates.add_hosts(certificate_hosts([cloud])[2:])

    def op_add_tenant(self, tenant):
        self.double.tenants.add(tenant.lower())

    def op_set_certificate(self, host, kind):
        self.double.certificates.set(host, kind)

    def op_inject(self, do, match=None, times=1):
        return {"id": self.double.faults.add(match or {}, times, do).number}

    def op_faults(self):
        return [fault.describe() for fault in self.double.faults.queue]

    def op_clear_faults(self, id=None):
        self.double.faults.remove(id)

    def op_log(self, since=0):
        return self.double.log.since(since)

    def op_clear_log(self):
        self.double.log.clear()

    def op_counts(self):
        return self.double.log.counts()

    def op_reset(self):
        self.double.reset()


def json_response(status, content):
    return Response(status, json.dumps(content).encode(), [("Content-Type", "application/json")])
