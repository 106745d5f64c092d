"""Who may use a key, and who may ask for a token: refusals under the code of each service."""

import os
import time

import harness
from key_conditions import AUTHORITY, FOR_EVER, GENERIC, PROFILES, USER_ASSIGNED, ConditionCase


INVALID_TOKEN = (f'Bearer authorization="{AUTHORITY}", resource="https://vault.azure.net", '
                 'error="invalid_token"')
OTHER_TENANT = "99999999-8888-7777-6666-555555555555"


class Access(ConditionCase):
    """Who may do what, and who is nobody."""

    FORBIDDEN = {"httpStatus": 403, "vaultCode": "Forbidden", "requestId": True}

    def refuse(self, path, **error):
        self.double.clear_faults()
        self.double.inject({"error": {"status": 403, **error}}, path=path, **FOR_EVER)

    def test_get_wrap_and_unwrap_that_were_not_granted(self):
        version = self.double.export_key(vault=self.vault, name="cmk")["kid"]
        for granted, condition, kid in ((["wrapKey", "unwrapKey"], "AccessDenied", self.key),
                                        (["get", "unwrapKey"], "WrapDenied", version),
                                        (["get", "wrapKey"], "WrapDenied", version),
                                        ([], "AccessDenied", self.key)):
            for style, inner in (("rbac", "ForbiddenByRbac"), ("policy", "AccessDenied")):
                self.double.set_vault(vault=self.vault, style=style)
                self.double.grant(self.vault, self.agent, granted)
                self.assert_condition(condition, vaultInnerCode=inner, kid=kid,
                                      profiles=PROFILES if style == "rbac" else ["backup-vault"],
                                      **self.FORBIDDEN)

    def test_the_refusal_of_a_managed_hsm_has_its_code_on_top(self):
        self.double.grant(self.vault, self.agent, [])
        self.double.set_vault(vault=self.vault, style="hsm")
        self.assert_condition("AccessDenied", httpStatus=403, vaultCode="AccessDenied",
                              requestId=True)

    def test_every_inner_code_that_means_denied(self):
        for inner in ("AccessDenied", "ForbiddenByRbac", "ForbiddenByPolicy"):
            for path, condition in (("^/keys/cmk$", "AccessDenied"), ("/wrapkey$", "WrapDenied"),
                                    ("/unwrapkey$", "WrapDenied")):
                self.refuse(path, inner=inner)
                self.assert_condition(condition, vaultInnerCode=inner, profiles=["backup-vault"],
                                      **self.FORBIDDEN)

    def test_the_firewall(self):
        self.double.set_vault(vault=self.vault, firewall=True)
        found = self.assert_condition("FirewallDenied", vaultInnerCode="ForbiddenByFirewall",
                                      kid=self.key, **self.FORBIDDEN)
        self.assertIn("it saw ", found["message"])
        self.double.set_vault(vault=self.vault, firewall=False, public_access=False)
        self.assert_condition("FirewallDenied", vaultInnerCode="ForbiddenByConnection",
                              kid=self.key, **self.FORBIDDEN)
        for message in ("Client address is not authorized and caller is not a trusted service.",
                        "Public network access is disabled."):
            self.refuse("^/keys/cmk$", message=message)
            self.assert_condition("FirewallDenied", profiles=["data-box"], **self.FORBIDDEN)

    def test_a_firewall_that_goes_up_in_between_stops_wrapping_too(self):
        self.refuse("/wrapkey$", inner="ForbiddenByFirewall")
        self.assert_condition("FirewallDenied", vaultInnerCode="ForbiddenByFirewall",
                              **self.FORBIDDEN)

    def test_a_refusal_that_says_nothing_known_is_nothing_particular(self):
        for error in ({"inner": "ForbiddenBySomethingNew"}, {"form": "empty"}, {"form": "html"},
                      {"form": "null"}, {"message": "no"}):
            self.refuse("^/keys/cmk$", **error)
            found = self.unfit(self.quick_job(), GENERIC, "Unexpected")
            self.assertEqual(found["httpStatus"], 403)

    def test_a_secret_that_is_wrong_or_has_expired(self):
        self.double.set_identity(identity=self.agent, secret=self.secret,
                                 secret_expires=int(time.time()) - 5)
        self.assert_condition("CredentialInvalid", httpStatus=401, vaultCode="invalid_client",
                              vaultInnerCode="AADSTS7000222", requestId=True, kid=self.key)
        with open(self.secret_file, "w", encoding="ascii") as file:
            file.write("another\n")
        self.assert_condition("CredentialInvalid", httpStatus=401, vaultCode="invalid_client",
                              vaultInnerCode="AADSTS7000215", requestId=True, kid=self.key)
        os.remove(self.secret_file)
        self.assert_condition("CredentialInvalid", kid=self.key)

    def test_an_identity_that_is_no_longer_in_the_directory(self):
        self.double.set_identity(identity=self.agent, present=False)
        self.assert_condition("PrincipalNotFound", httpStatus=400, vaultCode="unauthorized_client",
                              vaultInnerCode="AADSTS700016", requestId=True, kid=self.key)

    def managed(self, **identity):
        job = self.quick_job(credential={"source": "managed-identity"}, **identity)
        return job, {"AZURE_POD_IDENTITY_AUTHORITY_HOST": self.double.imds_url()}

    def test_a_machine_without_system_assigned_identity(self):
        job, env = self.managed()
        self.assert_condition("SystemIdentityAbsent", job=job, env=env, httpStatus=400,
                              vaultCode="invalid_request", kid=self.key)

    def test_a_user_assigned_identity_that_is_not_attached(self):
        job, env = self.managed(identity={"type": "UserAssigned",
                                          "userAssignedIdentityId": USER_ASSIGNED})
        self.assert_condition("UserIdentityAbsent", job=job, env=env, httpStatus=400,
                              vaultCode="invalid_request", kid=self.key)
        self.double.create_identity(name="uai", kind="user", msi_res_id=USER_ASSIGNED)
        self.double.grant(self.vault, "uai")
        self.fit(job, "--profile", "data-box", env={**self.env.variables(), **env})

    def test_an_identity_that_the_service_says_is_one_too_many(self):
        self.refuse("^/keys/cmk$", status=400, code="SsemUserErrorUserAssignedLimitReached")
        self.assert_condition("IdentityLimit", httpStatus=400, requestId=True, kid=self.key,
                              vaultCode="SsemUserErrorUserAssignedLimitReached")

    # --- tenants

    def unauthorized(self, message, **fault):
        self.double.inject({"challenge": INVALID_TOKEN, "status": 401,
                            "json": {"error": {"code": "Unauthorized", "message": message}}},
                           authorized=True, **FOR_EVER, **fault)

    def test_a_vault_that_moved_to_another_tenant(self):
        self.unauthorized("AKV10032: Invalid issuer. Expected one of https://sts.windows.net/x/.")
        self.assert_condition("TenantMismatch", httpStatus=401, vaultCode="Unauthorized",
                              requestId=True,
                              kid=self.key)

    def test_a_user_assigned_identity_of_another_tenant(self):
        self.unauthorized("AKV10032: Invalid issuer. Expected one of https://sts.windows.net/x/.")
        job = self.quick_job(identity={"type": "UserAssigned",
                                       "userAssignedIdentityId": USER_ASSIGNED})
        self.assert_condition("CrossTenantIdentity", job=job, httpStatus=401,
                              vaultCode="Unauthorized",
                              requestId=True, kid=self.key)

    def test_another_tenant_than_the_one_that_the_job_names(self):
        job = self.quick_job()
        job.spec["encryption"]["credential"]["tenantId"] = OTHER_TENANT
        job.write_spec()
        self.assert_condition("TenantMismatch", job=job, httpStatus=401, requestId=True,
                              kid=self.key)
        self.assertEqual(self.double.log("authority"), [])

    def test_what_the_sign_in_host_says_about_tenants(self):
        for number in (90002, 50020, 500011):
            self.double.clear_faults()
            self.double.inject({"status": 400, "json": {
                "error": "invalid_request", "error_description": f"AADSTS{number}: no.",
                "error_codes": [number]}}, on="authority", **FOR_EVER)
            self.assert_condition("TenantMismatch", httpStatus=400, vaultCode="invalid_request",
                                  vaultInnerCode=f"AADSTS{number}", requestId=True, kid=self.key,
                                  profiles=PROFILES if number == 90002 else ["data-box"])

    def test_a_fresh_token_that_is_refused(self):
        self.unauthorized("AKV10022: Invalid audience.")
        self.assert_condition("TokenRefused", httpStatus=401, vaultCode="Unauthorized",
                              requestId=True,
                              kid=self.key)
        signed_in = len(self.double.log("authority"))
        self.assertEqual(signed_in, 2 * len(PROFILES), "a new token once, then no more")

    def test_a_401_without_a_challenge_is_a_token_refused(self):
        self.double.inject({"error": {"status": 401, "code": "Unauthorized",
                                      "message": "AKV10032: no"}},
                           **FOR_EVER)
        self.assert_condition("TenantMismatch", httpStatus=401, vaultCode="Unauthorized",
                              requestId=True,
                              profiles=["import-export"])


class Challenges(ConditionCase):
    def assert_challenge(self, condition, *headers, profiles=("import-export",)):
        self.double.clear_faults()
        self.double.clear_log()
        self.double.inject({"challenge": list(headers)}, **FOR_EVER)
        self.assert_condition(condition, profiles=profiles, kid=self.key, httpStatus=401,
                              requestId=True)
        self.assertEqual(self.double.log("authority"), [], "nobody signed in")

    def test_a_token_for_somebody_else(self):
        resource = 'Bearer authorization="%s", resource="%s"'
        self.assert_challenge("ChallengeRejected", resource % (AUTHORITY, "https://azure.net"),
                              profiles=PROFILES)
        for wanted in ("https://vault.azure.net.evil.example", "https://managedhsm.azure.net",
                       "vault.azure.net",
                       "http://vault.azure.net", "https://vault.azure.cn",
                       "https://management.azure.com",
                       "https://net", ""):
            with self.subTest(resource=wanted):
                self.assert_challenge("ChallengeRejected", resource % (AUTHORITY, wanted))

    def test_a_form_that_is_none(self):
        for header in ("", "Basic realm=x", "Bearer", 'Bearer authorization="', "Negotiate",
                       f'Bearer authorization="{AUTHORITY}"',
                       'Bearer resource="https://vault.azure.net"',
                       f'Bearer authorization="{AUTHORITY}", resource="https://vault.azure.net", '
                       'authorization_uri="https://login.windows.net/x"',
                       'Bearer authorization="https://login.microsoftonline.com/common", '
                       'resource="https://vault.azure.net"'):
            with self.subTest(header=header):
                self.assert_challenge("ChallengeRejected", header)

    def test_a_foreign_sign_in_host(self):
        tenant = AUTHORITY.rsplit("/", 1)[1]
        challenge = 'Bearer authorization="%s", resource="https://vault.azure.net"'
        self.assert_challenge("AuthorityNotTrusted", challenge % f"https://login.example/{tenant}",
                              profiles=PROFILES)
        for authority in (f"http://login.microsoftonline.com/{tenant}",
                          f"https://login.microsoftonline.com.evil.example/{tenant}",
                          f"https://login.microsoftonline.com@evil.example/{tenant}",
                          f"https://login.microsoftonline.us/{tenant}",
                          f"https://{self.vault}/{tenant}"):
            with self.subTest(authority=authority):
                self.assert_challenge("AuthorityNotTrusted", challenge % authority)

    def test_a_vault_that_asks_nobody_who_they_are(self):
        self.double.inject({"json": {"value": "welcome"}}, authorized=False, **FOR_EVER)
        self.assert_condition("ChallengeRejected", httpStatus=200, kid=self.key, requestId=True)

    def test_challenges_that_are_good_in_spite_of_their_form(self):
        job = self.quick_job()
        vault = "https://vault.azure.net"
        for headers in (['PoP authorization="https://x.example", resource="y"',
                         f'Bearer resource="{vault}"  authorization="{AUTHORITY}"'],
                        [f'bearer authorization_uri="{AUTHORITY}",scope="{vault}/.default"'],
                        [f'Bearer authorization="{AUTHORITY}/", resource="{vault}/"']):
            with self.subTest(headers=headers):
                self.double.clear_faults()
                self.double.inject({"challenge": headers}, **FOR_EVER)
                self.fit(job)

    def test_claims_that_are_wanted_are_asked_for_once(self):
        self.double.set_vault(vault=self.vault,
                              required_claims={"access_token": {"nbf": {"value": "1"}}})
        self.fit(self.quick_job())
        self.assertEqual(len(self.double.log("authority")), 2)


if __name__ == "__main__":
    harness.main()
