"""What each condition of a key is called by each service, and what its error says besides."""

from vault_case import KEY, VaultCase

DAY = 86400
FOR_EVER = {"times": None}  # of an injected fault
AUTHORITY = "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555"
USER_ASSIGNED = ("/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/"
                 "userAssignedIdentities/keys")
PROFILES = ("import-export", "data-box", "backup-vault")
GENERIC = "KwKeyVaultError"  # own: the article of the service has no code

TYPE = "SsemUserErrorEncryptionKeyTypeNotSupported"
MISSING = "UserErrorCMKMissingMangedIdentityPermissionOnKeyVault"  # spelt so in the article
FAILURE = "UserErrorCMKKeyVaultAuthFailure"
REVOKED, BAD_REQUEST = "CmkErrorAccessRevoked", "SsemUserErrorKeyVaultBadRequestException"
NO_KEY, NO_VAULT = "CmkErrorKeyNotFound", "CmkErrorVaultNotFound"


def same(code):
    return (code,) * len(PROFILES)


# By condition: the code of each of PROFILES, and a word of what the user is told to do.
ROWS = {
    "UriInvalid": (same("SsemUserErrorInvalidKeyVaultUrl"), "identifier of the key"),
    "SchemeNotHttps": (same("SsemUserErrorKeyVaultUrlWithInvalidScheme"), "https"),
    "HostNotAllowed": (same("SsemUserErrorKeyVaultUrlInvalidHost"), ".vault.usgovcloudapi.net"),
    "KeyTypeUnsupported": ((TYPE, TYPE, MISSING), "RSA"),
    "KeySizeUnsupported": ((TYPE, TYPE, GENERIC), "2048"),
    "KeyMaterialExposed": (same("KwKeyMaterialExposed"), "Do not use this key"),
    "NotRecoverable": (same("SsemUserErrorSoftDeleteAndPurgeProtectionNotEnabled"),
                       "purge protection"),
    "KeyDisabled": (("CmkErrorKeyDisabled", "SsemUserErrorEncryptionKeyDisabled", GENERIC),
                    "Enable"),
    "KeyExpired": (("SsemUserErrorEncryptionKeyExpired", "SsemUserErrorEncryptionKeyExpired",
                    GENERIC), "new version"),
    "KeyNotYetActive": (same("KwKeyNotYetActive"), "activation date"),
    "KeyOperationMissing": (("KwKeyOperationNotPermitted", "KwKeyOperationNotPermitted", FAILURE),
                            "unwrapKey"),
    "KeyNotFound": ((NO_KEY, "SsemUserErrorKeyDetailsNotFound", GENERIC), "backup"),
    "KeySoftDeleted": ((NO_KEY, "SsemUserErrorKeyDetailsNotFound", GENERIC), "Recover"),
    "VaultNotFound": ((NO_VAULT, "SsemUserErrorKeyVaultDetailsNotFound", GENERIC), "recovered"),
    "TenantMismatch": ((NO_VAULT, "SsemUserErrorKeyVaultDetailsNotFound", FAILURE), "tenant"),
    "CrossTenantIdentity": (
        (NO_VAULT, "SsemUserErrorCrossTenantIdentityAccessForbidden", FAILURE), "tenant"),
    "AccessDenied": ((REVOKED, BAD_REQUEST, MISSING), "Grant"),
    "WrapDenied": ((REVOKED, BAD_REQUEST, FAILURE), "Crypto Service Encryption User"),
    "FirewallDenied": ((REVOKED, BAD_REQUEST, MISSING), "firewall"),
    "SystemIdentityAbsent": (
        (REVOKED, "SsemUserErrorSystemAssignedIdentityAbsent", MISSING), "system-assigned"),
    "UserIdentityAbsent": (
        (REVOKED, "SsemUserErrorUserAssignedIdentityAbsent", MISSING), "Attach"),
    "PrincipalNotFound": ((REVOKED, "SsemUserErrorKekUserIdentityNotFound", MISSING), "directory"),
    "IdentityLimit": ((GENERIC, "SsemUserErrorUserAssignedLimitReached", GENERIC), "fewer"),
    "RegionMismatch": (same("KwVaultRegionMismatch"), "region"),
    "RevertRefused": (same("KwCannotRevertToManagedKey"), "Keep"),
    "TokenRefused": (("KwTokenRefused", "KwTokenRefused", FAILURE), "tenant"),
    "CredentialInvalid": (same("KwCredentialInvalid"), "credential"),
    "Throttled": (same("KwThrottled"), "Wait"),
    "Unavailable": (same("KwUnavailable"), "network"),
    "Timeout": (same("KwTimeout"), "network"),
    "TlsFailure": (same("KwTlsFailure"), "certificate"),
    "ChallengeRejected": (same("KwChallengeRejected"), "Do not sign in"),
    "AuthorityNotTrusted": (same("KwAuthorityNotTrusted"), "Do not sign in"),
    "EnvelopeCorrupt": (same("envelope-corrupt"), "copy"),
    "EnvelopeNotOpened": (same("envelope-not-opened"), "copy"),
    "BindingMismatch": (same("envelope-binding-mismatch"), "Put the envelope"),
    "WrapFailed": (same("wrap-failed"), "another key"),
    "Unexpected": (same(GENERIC), "request id"),
}
RETRYABLE = {"Throttled", "Unavailable", "Timeout", "TlsFailure"}
FINAL = {"KeyNotFound", "RevertRefused", "ChallengeRejected", "AuthorityNotTrusted",
         "EnvelopeCorrupt", "EnvelopeNotOpened", "BindingMismatch"}
MEMBERS = ("condition", "code", "profile", "httpStatus", "vaultCode", "vaultInnerCode", "requestId",
           "kid", "recoverable", "retryable", "remedy", "action")


class ConditionCase(VaultCase):
    def assert_tells(self, found, condition, profile, **evidence):
        """`found`: a finding, or the error of a command. `evidence`: members with their values;
        requestId: true means that there is one."""
        codes, word = ROWS[condition]
        self.assertEqual(set(MEMBERS) - set(found), set(), found)
        self.assertEqual((found["condition"], found["code"], found["profile"]),
                         (condition, codes[PROFILES.index(profile)], profile), found)
        self.assertEqual((found["recoverable"], found["retryable"]),
                         (condition not in FINAL, condition in RETRYABLE), found)
        self.assertEqual(found["remedy"], found["action"])
        self.assertIn(word, found["remedy"])
        self.assertTrue(found["message"])
        if "requestId" in evidence:
            self.assertEqual(found["requestId"] is not None, evidence.pop("requestId"), found)
        self.assertEqual({name: found[name] for name in evidence}, evidence, found)

    def assert_condition(self, condition, *arguments, job=None, profiles=PROFILES, env=None,
                         **evidence):
        """`key check` finds it for each service; the finding for the last one. Unless `evidence`
        says otherwise, nothing came from the vault."""
        job = job or self.quick_job()
        expected = {"httpStatus": None, "vaultCode": None, "vaultInnerCode": None,
                    "requestId": False, **evidence}
        options = {"env": {**self.env.variables(), **env}} if env else {}
        found = None
        for profile in profiles:
            with self.subTest(condition=condition, profile=profile):
                code = ROWS[condition][0][PROFILES.index(profile)]
                found = self.unfit(job, code, condition, "--profile", profile, *arguments,
                                   **options)
                self.assert_tells(found, condition, profile, **expected)
        return found

    def quick_job(self, key_url=None, **members):
        """Does not ask a busy vault again."""
        return self.vault_job(key_url, **{"retrySeconds": 0, **members})

    def command_fails(self, condition, profile, *command, **evidence):
        result = self.env.run(*command, "--json")
        self.assertEqual(result.status, KEY, result)
        error = result.error()
        self.assert_tells(error, condition, profile, **evidence)
        return error
