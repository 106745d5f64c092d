"""Vaults, keys and versions, and when the vault allows what with them.

Everything takes the time as an argument, in seconds since 1970, and has no other input than its
arguments; the caller holds the lock.
"""

import secrets
from dataclasses import dataclass, field

from . import errors
from .material import make_material, to_base64url

DAY = 86400

RETENTION_DAYS = {  # recoverableDays that go with a recovery level, and the allowed range
    "Purgeable": (0, range(0, 1)),
    "Recoverable": (90, range(90, 91)),
    "CustomizedRecoverable": (30, range(7, 90)),
}


def retention(recovery_level, days=None):
    """Days that a deleted key is kept: 0 without soft delete."""
    base = (recovery_level or "").partition("+")[0]
    default, allowed = RETENTION_DAYS.get(base, (90, range(0, 91)))
    days = default if days is None else days
    if days not in allowed:
        raise ValueError(f"{recovery_level} does not go with {days} days")
    return days


@dataclass
class Version:
    """One version of a key. `quirks` are what no real service should answer; see control.py."""

    version: str
    kty: str
    material: object
    created: int
    updated: int
    enabled: bool = True
    nbf: int | None = None
    exp: int | None = None
    key_ops: list | None = None  # None: the member is absent, nothing is restricted
    tags: dict = field(default_factory=dict)
    managed: bool = False
    exportable: bool = False
    release_policy: bool = False
    leading_zero: bool = False
    private_members: bool = False

    def jwk(self, kid):
        numbers = (self.material.jwk_with_leading_zero() if self.leading_zero
                   else self.material.jwk())
        private = self.material.private_jwk() if self.private_members else {}
        operations = {} if self.key_ops is None else {"key_ops": self.key_ops}
        return {"kid": kid, "kty": self.kty, **operations, **numbers, **private}

    def attributes(self, vault, api_version):
        found = {"enabled": self.enabled}
        for name in ("nbf", "exp"):
            if getattr(self, name) is not None:
                found[name] = int(getattr(self, name))
        found |= {"created": self.created, "updated": self.updated}
        if vault.recovery_level is not None:
            found |= {"recoveryLevel": vault.recovery_level,
                      "recoverableDays": vault.retention_days()}
        if self.exportable or vault.hsm:
            found["exportable"] = self.exportable
        if api_version not in ("7.0", "7.1", "7.2", "7.3", "7.4"):
            found["hsmPlatform"] = "2" if vault.hsm or self.kty.endswith("-HSM") else "0"
        return found

    def extras(self):
        found = {}
        if self.tags:
            found["tags"] = self.tags
        if self.managed:
            found["managed"] = True
        return found

    def permits(self, operation):
        return self.key_ops is None or operation in self.key_ops


@dataclass
class Deletion:
    at: float        # when it was asked for
    visible: float   # from when on the deleted key can be seen
    purge: float     # when it is gone for good


class Key:
    """A key is its versions, the newest last."""

    def __init__(self, name):
        self.name = name
        self.versions = []
        self.deletion = None
        self.recovered = 0.0  # from when on a recovered key can be seen again

    def newest(self):
        return self.versions[-1]

    def find(self, version):
        """The version, or the newest one for an empty text; None when there is none."""
        if not version:
            return self.newest()
        return next((each for each in self.versions if each.version == version.lower()), None)


class Vault:
    """A vault or a managed HSM. Settings are plain members; control.py says what they mean."""

    def __init__(self, host, suffix, tenant, hsm=False):
        self.host, self.suffix, self.tenant, self.hsm = host, suffix, tenant, hsm
        self.region = "westeurope"
        self.recovery_level = "Recoverable"
        self.recoverable_days = None
        self.style = "hsm" if hsm else "rbac"
        self.firewall = False
        self.public_access = True
        self.get_of_disabled = 200
        self.wrap_with_disabled = False
        self.window_inner_codes = True
        self.deletion_delay = 0.0
        self.required_claims = None
        self.claims_form = "full"
        self.deleted = None
        self.keys = {}
        self.permissions = {}  # object id -> {key name in lower case, or "": set of operations}

    @property
    def name(self):
        return self.host.removesuffix("." + self.suffix)

    @property
    def resource(self):
        return f"https://{self.suffix}"

    def retention_days(self):
        return retention(self.recovery_level, self.recoverable_days)

    def allows(self, object_id, operation, key):
        granted = self.permissions.get(object_id, {})
        return operation in granted.get("", ()) or operation in granted.get(key.lower(), ())

    def kid(self, key, version):
        return f"https://{self.host}/keys/{key.name}/{version.version}"

    # Making

    def create_key(self, name, now, **options):
        """A new key, or a new version of the key of that name."""
        key = self.keys.get(name.lower())
        if key and key.deletion:
            self.forget_purged(key, now)
            key = self.keys.get(name.lower())
        if key and key.deletion:
            if now < key.deletion.visible:
                raise errors.conflict(f"Key {name} is currently being deleted and cannot be "
                                      "re-created; retry later.", "ObjectIsBeingDeleted")
            raise errors.conflict(
                f"Key {name} is currently in a deleted but recoverable state, and its name cannot "
                "be reused; in this state, the key can only be recovered or purged.",
                "ObjectIsDeletedButRecoverable")
        if key and now < key.recovered:
            raise errors.conflict(f"Key {name} is currently being recovered.",
                                  "ObjectIsBeingRecovered")
        version = self.make_version(now, **options)
        if key is None:
            key = self.keys[name.lower()] = Key(name)
        key.versions.append(version)
        return key, version

    def make_version(self, now, kty=None, size=None, crv=None, key_ops=None, **members):
        kty = kty or ("RSA-HSM" if self.hsm else "RSA")
        material = make_material(kty, size, crv)
        if key_ops is None:
            key_ops = list(material.operations)
        elif key_ops == "absent":
            key_ops = None
        unknown = set(members) - set(Version.__dataclass_fields__)
        if unknown:
            raise ValueError(f"a key has no {', '.join(sorted(unknown))}")
        return Version(secrets.token_hex(16), kty, material, int(now), int(now), key_ops=key_ops,
                       **members)

    # Looking

    def find_key(self, name, now):
        key = self.keys.get(name.lower())
        if key is None or key.deletion or now < key.recovered:
            raise errors.key_not_found(name)
        return key

    def find_version(self, name, version, now):
        key = self.find_key(name, now)
        found = key.find(version)
        if found is None:
            raise errors.key_not_found(f"{name}/{version}")
        return key, found

    def check_get(self, version):
        if not version.enabled and self.get_of_disabled == 403:
            raise errors.key_is_disabled("get")

    def check_wrap(self, version, now):
        """Wrapping needs a version that is enabled, has begun and has not expired."""
        if not version.enabled and not self.wrap_with_disabled:
            raise errors.key_is_disabled("wrapKey")
        if not version.permits("wrapKey"):
            raise errors.operation_not_permitted("wrapKey")
        coded = self.window_inner_codes
        if version.nbf is not None and now < version.nbf:
            raise errors.outside_window("wrapKey", "a not yet valid",
                                        "KeyNotYetValid" if coded else None)
        if version.exp is not None and now >= version.exp:
            raise errors.outside_window("wrapKey", "an expired", "KeyExpired" if coded else None)

    def check_unwrap(self, version):
        """What is wrapped stays recoverable outside the window, not under a disabled version."""
        if not version.enabled:
            raise errors.key_is_disabled("unwrapKey")
        if not version.permits("unwrapKey"):
            raise errors.operation_not_permitted("unwrapKey")

    def bundle(self, key, version, api_version):
        found = {"key": version.jwk(self.kid(key, version)),
                 "attributes": version.attributes(self, api_version), **version.extras()}
        if version.release_policy:
            policy = b'{"version":"1.0.0","anyOf":[]}'
            found["release_policy"] = {"contentType": "application/json; charset=utf-8",
                                       "data": to_base64url(policy), "immutable": False}
        return found

    def items(self, name, api_version, now):
        """What a list of versions holds, in an order that has nothing to do with their age."""
        key = self.find_key(name, now)
        return [{"kid": self.kid(key, each), "attributes": each.attributes(self, api_version),
                 **each.extras()}
                for each in sorted(key.versions, key=lambda each: each.version)]

    # Deleting and recovering

    def delete_key(self, name, now):
        key = self.find_key(name, now)
        days = self.retention_days()
        if days == 0:
            del self.keys[name.lower()]
            return key
        key.deletion = Deletion(now, now + self.deletion_delay, now + days * DAY)
        return key

    def forget_purged(self, key, now):
        if key.deletion and now >= key.deletion.purge:
            del self.keys[key.name.lower()]

    def find_deleted(self, name, now):
        key = self.keys.get(name.lower())
        if key:
            self.forget_purged(key, now)
        if key is None or not key.deletion or not (
                key.deletion.visible <= now < key.deletion.purge):
            raise errors.deleted_key_not_found(name)
        return key

    def recover_key(self, name, now):
        key = self.find_deleted(name, now)
        key.deletion = None
        key.recovered = now + self.deletion_delay
        return key

    def purge_key(self, name, now):
        key = self.find_deleted(name, now)
        if "Purgeable" not in (self.recovery_level or ""):
            raise errors.forbidden(
                'Operation "purge" is not allowed because purge protection is enabled for this '
                "vault. Key Vault service will automatically purge it after the retention period "
                "has passed.", None)
        del self.keys[name.lower()]

    def deletion_facts(self, key):
        if not key.deletion:
            return {}
        return {"recoveryId": f"https://{self.host}/deletedkeys/{key.name}",
                "deletedDate": int(key.deletion.at),
                "scheduledPurgeDate": int(key.deletion.purge)}
