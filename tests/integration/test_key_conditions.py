"""Every condition of a key, made by the vault double, under the code of each service."""

import os
import shutil
import socket
import time

import harness
from key_conditions import DAY, FOR_EVER, PROFILES, ROWS, ConditionCase
from preloaded import Preloaded
from vault_case import KEY


class Identifiers(ConditionCase):
    """What is wrong with the identifier is found without any request."""

    def assert_url(self, condition, url):
        self.assert_condition(condition, "--key-url", url, kid=None)

    def tearDown(self):
        self.assertEqual(self.double.log(), [])

    def test_what_is_no_identifier_of_a_key(self):
        host = self.vault
        self.assert_url("UriInvalid", f"https://{host}/secrets/cmk")
        job = self.quick_job()
        for url in ("cmk", "https://", f"ftp://{host}/keys/cmk", f"https://{host}",
                    f"https://{host}/keys",
                    f"https://{host}/keys/", f"https://{host}/keys/c_mk",
                    f"https://{host}/keys/c%2emk",
                    f"https://{host}/certificates/cmk", f"https://{host}/keys/cmk/" + "0" * 31,
                    f"https://{host}/keys/cmk/" + "g" * 32,
                    f"https://{host}/keys/cmk/{'0' * 32}/wrapkey",
                    f"https://{host}:8443/keys/cmk", f"https://user@{host}/keys/cmk",
                    f"https://{host}/keys/cmk?api-version=7.4", f"https://{host}/keys/cmk#x",
                    f"https://{host}/keys/../keys/cmk", f"https://{host}/keys/" + "k" * 128,
                    "https://ab.vault.azure.net/keys/cmk", "https://a--b.vault.azure.net/keys/cmk",
                    "https://1ab.vault.azure.net/keys/cmk",
                    "https://abc-.vault.azure.net/keys/cmk"):
            with self.subTest(url=url):
                self.unfit(job, "SsemUserErrorInvalidKeyVaultUrl", "UriInvalid", "--key-url", url)

    def test_http_is_told_apart_from_what_is_no_identifier(self):
        for url in (f"http://{self.vault}/keys/cmk", f"HTTP://{self.vault}:443/keys/cmk"):
            self.assert_url("SchemeNotHttps", url)

    def test_hosts_that_are_no_vault_of_the_cloud(self):
        self.assert_url("HostNotAllowed", "https://evilvault.azure.net/keys/cmk")
        job = self.quick_job()
        for host in ("vault.azure.net", "a.b.vault.azure.net", "x.vault.azure.net.example.org",
                     "demo.vault.azure.cn", "demo.vault.usgovcloudapi.net",
                     "demo.vault.microsoftazure.de",
                     "demo.privatelink.vaultcore.azure.net", "demo.vault.azure.net.", "127.0.0.1"):
            with self.subTest(host=host):
                self.unfit(job, "SsemUserErrorKeyVaultUrlInvalidHost", "HostNotAllowed",
                           "--key-url",
                           f"https://{host}/keys/cmk")

    def test_a_managed_hsm_is_for_services_that_name_it(self):
        url = "https://demo.managedhsm.azure.net/keys/cmk"
        for profile in ("import-export", "data-box"):
            job = self.quick_job(url, profile=profile)
            found = self.unfit(job, "SsemUserErrorKeyVaultUrlInvalidHost", "HostNotAllowed")
            self.assertIn("allowManagedHsm", found["remedy"])


class Keys(ConditionCase):
    """What the description of the key tells."""

    def assert_key(self, condition, key=None, **options):
        key = key or self.key
        job = self.quick_job(key)
        return self.assert_condition(condition, job=job, requestId=True, kid=self.kid(key),
                                     **options)

    def kid(self, key):
        """Of the newest version."""
        name = key.rsplit("/", 1)[1]
        return self.double.export_key(vault=self.vault, name=name)["kid"]

    def set_key(self, **members):
        self.double.set_key(vault=self.vault, name="cmk", **members)

    def test_types_other_than_RSA(self):
        for number, kty in enumerate(("EC", "EC-HSM", "oct", "oct-HSM", "AKP")):
            made = self.double.create_key(vault=self.vault, name=f"type-{number}", kty=kty)
            key = f"https://{self.vault}/keys/type-{number}"
            job = self.quick_job(key)
            for profile in PROFILES if kty == "EC" else ("backup-vault",):
                found = self.unfit(job, ROWS["KeyTypeUnsupported"][0][PROFILES.index(profile)],
                                   "KeyTypeUnsupported", "--profile", profile)
                self.assert_tells(found, "KeyTypeUnsupported", profile, kid=made["kid"],
                                  requestId=True)
                self.assertIn(kty, found["message"])

    def test_sizes(self):
        self.double.create_key(vault=self.vault, name="small", size=1024)
        found = self.assert_key("KeySizeUnsupported", f"https://{self.vault}/keys/small")
        self.assertIn("1024 bits", found["message"])

    def test_a_size_that_only_some_services_take(self):
        self.double.create_key(vault=self.vault, name="odd", size=2056)
        job = self.quick_job(f"https://{self.vault}/keys/odd")
        for profile in ("import-export", "data-box"):
            self.fit(job, "--profile", profile)
        self.assert_condition("KeySizeUnsupported", job=job, profiles=["backup-vault"],
                              requestId=True)
        self.unfit(job, "SsemUserErrorEncryptionKeyTypeNotSupported", "KeySizeUnsupported",
                   "--profile", "storage")

    def test_a_description_with_private_parts(self):
        self.set_key(private_members=True)
        self.assert_key("KeyMaterialExposed")

    def test_a_vault_without_purge_protection(self):
        self.double.set_vault(vault=self.vault, recovery_level="Recoverable+Purgeable")
        self.assert_key("NotRecoverable")
        job = self.quick_job()
        for level in ("CustomizedRecoverable+Purgeable", "Purgeable", None, "Unheard"):
            with self.subTest(level=level):
                self.double.set_vault(vault=self.vault, recovery_level=level)
                self.unfit(job, "SsemUserErrorSoftDeleteAndPurgeProtectionNotEnabled",
                           "NotRecoverable")
        for level in ("Recoverable", "Recoverable+ProtectedSubscription", "CustomizedRecoverable",
                      "CustomizedRecoverable+ProtectedSubscription"):
            with self.subTest(level=level):
                self.double.set_vault(vault=self.vault, recovery_level=level)
                self.fit(job)

    def test_a_disabled_key_that_can_be_read(self):
        self.set_key(enabled=False)
        self.assert_key("KeyDisabled")

    def test_a_disabled_key_that_cannot_be_read(self):
        self.double.set_vault(vault=self.vault, get_of_disabled=403)
        self.set_key(enabled=False)
        self.assert_condition("KeyDisabled", httpStatus=403, vaultCode="Forbidden",
                              vaultInnerCode="KeyDisabled", requestId=True, kid=self.key)

    def test_an_expired_key(self):
        self.set_key(exp=int(time.time()) - DAY)
        self.assert_key("KeyExpired")

    def test_a_key_that_is_not_active_yet(self):
        self.set_key(nbf=int(time.time()) + DAY)
        self.assert_key("KeyNotYetActive")

    def test_a_wrap_refused_for_its_time_by_the_message_alone(self):
        for condition, state in (("KeyExpired", "an expired"),
                                 ("KeyNotYetActive", "a not yet valid")):
            self.double.clear_faults()
            message = f"Operation wrapKey is not allowed on {state} key."
            self.double.inject({"error": {"message": message}}, path="/wrapkey$", **FOR_EVER)
            self.assert_condition(condition, httpStatus=403, vaultCode="Forbidden", requestId=True,
                                  kid=self.kid(self.key))

    def test_a_key_that_may_not_wrap_or_unwrap(self):
        for operations in (["wrapKey"], ["unwrapKey"], ["sign"], []):
            self.set_key(key_ops=operations)
            self.assert_key("KeyOperationMissing")
        self.set_key(key_ops="absent")
        self.fit(self.quick_job())

    def test_an_operation_refused_though_the_key_does_not_tell_it(self):
        kid = self.kid(self.key)
        error = {"message": "Operation unwrapKey is not permitted on this key.",
                 "inner": "KeyOperationForbidden"}
        self.double.inject({"error": error}, path="/unwrapkey$", **FOR_EVER)
        self.assert_condition("KeyOperationMissing", httpStatus=403, vaultCode="Forbidden",
                              vaultInnerCode="KeyOperationForbidden", requestId=True, kid=kid)

    def test_a_key_that_is_not_there(self):
        for url in (f"https://{self.vault}/keys/other", f"{self.key}/{'0' * 32}"):
            self.assert_condition("KeyNotFound", job=self.quick_job(url), httpStatus=404,
                                  vaultCode="KeyNotFound", requestId=True, kid=url)

    def test_a_deleted_key(self):
        self.double.delete_key(vault=self.vault, name="cmk")
        found = self.assert_condition("KeySoftDeleted", httpStatus=404, vaultCode="KeyNotFound",
                                      requestId=True, kid=self.key)
        until = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 90 * DAY))
        self.assertIn(f"it can be recovered until {until}", found["message"])

    def test_a_key_deleted_a_moment_ago_is_seen_nowhere(self):
        self.double.set_vault(vault=self.vault, deletion_delay=60)
        self.double.delete_key(vault=self.vault, name="cmk")
        self.assert_condition("KeyNotFound", httpStatus=404, vaultCode="KeyNotFound",
                              requestId=True)

    def test_who_may_not_see_deleted_keys_gets_the_general_answer(self):
        self.double.delete_key(vault=self.vault, name="cmk")
        self.double.inject({"error": {"inner": "ForbiddenByRbac"}}, path="^/deletedkeys/",
                           **FOR_EVER)
        self.assert_condition("KeyNotFound", httpStatus=404, vaultCode="KeyNotFound",
                              requestId=True)

    def test_a_vault_in_another_region(self):
        self.double.set_vault(vault=self.vault, region="northeurope")
        self.assert_key("RegionMismatch", profiles=["import-export"])
        job = self.quick_job()
        for profile in ("data-box", "backup-vault", "storage"):
            self.fit(job, "--profile", profile)
        warned = self.fit(self.quick_job(allowRegionMismatch=True))
        self.assertEqual([(each["condition"], each["severity"]) for each in warned["findings"]],
                         [("RegionMismatch", "warning")])

    def test_all_that_is_wrong_is_told_in_order_and_the_first_gives_the_code(self):
        self.double.set_vault(vault=self.vault, recovery_level="Purgeable", region="northeurope")
        self.double.create_key(vault=self.vault, name="bad", size=1024, key_ops=["wrapKey"],
                               enabled=False,
                               nbf=int(time.time()) + DAY, exp=int(time.time()) - DAY)
        status, document = self.check(self.quick_job(f"https://{self.vault}/keys/bad"))
        self.assertEqual((status, document["code"]),
                         (KEY, "SsemUserErrorEncryptionKeyTypeNotSupported"))
        self.assertEqual([each["condition"] for each in document["findings"]
                          if each["severity"] == "error"],
                         ["KeySizeUnsupported", "KeyOperationMissing", "NotRecoverable",
                          "KeyDisabled",
                          "KeyNotYetActive", "KeyExpired", "RegionMismatch"])
        self.assertFalse(document["trial"]["wrapped"])

    def test_peculiar_keys_are_taken_with_a_warning(self):
        self.set_key(managed=True, exportable=True, release_policy=True)
        document = self.fit(self.quick_job())
        self.assertEqual({each["severity"] for each in document["findings"]}, {"warning"})
        self.assertEqual(len(document["findings"]), 2)


class Names(ConditionCase):
    """Hosts that have no address."""

    def names(self, codes=None):
        return Preloaded(self.env).names(codes)

    def gone(self, *, signs_in=True):
        url = f"https://gone-{os.getpid()}.vault.azure.net/keys/cmk"
        hosts = self.double.connect_to() if signs_in else []
        return url, self.quick_job(url,
                                   testEndpoints={"connectTo": hosts, "caFile": self.double.ca})

    def test_a_vault_whose_name_does_not_exist(self):
        url, job = self.gone()
        self.assert_condition("VaultNotFound", job=job, kid=url, env=self.names())

    def test_a_machine_that_is_offline_does_not_say_that_the_vault_is_gone(self):
        url, job = self.gone(signs_in=False)
        self.assert_condition("Unavailable", job=job, kid=url, env=self.names())

    def test_the_sign_in_host_is_asked_for_as_any_other(self):
        url, job = self.gone(signs_in=False)
        self.assert_condition("VaultNotFound", job=job, kid=url, profiles=["import-export"],
                              env=self.names({"login.microsoftonline.com": 0}))

    def test_a_resolver_that_fails_for_a_while_says_nothing_about_the_vault(self):
        url, job = self.gone()
        host = url.split("/")[2]
        self.assert_condition("Unavailable", job=job, kid=url,
                              env=self.names({host: socket.EAI_AGAIN}))
        for code in (socket.EAI_FAIL, socket.EAI_SYSTEM):
            self.assert_condition("Unavailable", job=job, kid=url, profiles=["data-box"],
                                  env=self.names({host: code}))

    def test_a_sign_in_host_without_address_is_no_vault_without_address(self):
        job = self.quick_job(testEndpoints={"connectTo": self.double.connect_to(self.vault)[:1],
                                            "caFile": self.double.ca})
        self.assert_condition("Unavailable", job=job, kid=self.key, env=self.names())

    def test_a_vault_that_was_deleted_on_the_way_is_remembered_as_revoked(self):
        job = self.vault_job(retrySeconds=0)
        self.wrap_secret(job)
        job.spec["encryption"]["testEndpoints"]["connectTo"] = self.double.connect_to()
        job.write_spec()
        env = {**self.env.variables(), **self.names()}
        result = self.env.run("key", "unwrap-secret", job.root, "--name", "unlock", "--json",
                              env=env)
        self.assertEqual(result.status, KEY, result)
        self.assert_tells(result.error(), "VaultNotFound", "import-export")
        self.assertEqual(self.key_status(job)["state"], "revoked")


class Commands(ConditionCase):
    """Other commands than `key check` speak in the words of the job's service."""

    def test_the_profile_of_the_job_decides(self):
        for profile in PROFILES:
            self.double.set_key(vault=self.vault, name="cmk", enabled=True)
            job = self.quick_job(profile=profile)
            self.wrap_secret(job)
            kid = self.double.export_key(vault=self.vault, name="cmk")["kid"]
            self.double.set_key(vault=self.vault, name="cmk", enabled=False)
            with self.subTest(profile=profile):
                for command in (["key", "unwrap-secret", job.root, "--name", "unlock"],
                                ["key", "rewrap", job.root], ["key", "set", job.root]):
                    self.command_fails("KeyDisabled", profile, *command, kid=kid)
                self.assertEqual(self.key_status(job)["state"], "revoked")

    def test_no_way_back_to_the_key_of_this_machine(self):
        for profile in PROFILES:
            with self.subTest(profile=profile):
                job = self.quick_job(profile=profile)
                self.wrap_secret(job)
                command = ["key", "set", job.root, "--local"]
                if profile == "data-box":
                    self.run_ok(*command)
                    self.assertEqual(self.unwrap_secret(job), "open sesame")
                else:
                    self.command_fails("RevertRefused", profile, *command)

    def test_damaged_and_exchanged_envelopes(self):
        for profile in PROFILES:
            with self.subTest(profile=profile):
                job = self.quick_job(profile=profile)
                self.wrap_secret(job, "one")
                self.wrap_secret(job, "two")
                one, two = (job.path("secrets", f"{name}.jwe.json") for name in ("one", "two"))
                command = ["key", "unwrap-secret", job.root, "--name", "one"]
                shutil.copy(two, one)
                self.command_fails("BindingMismatch", profile, *command)
                with open(one, "w", encoding="ascii") as file:
                    file.write("{}")
                self.command_fails("EnvelopeCorrupt", profile, *command)

    def test_an_envelope_that_the_key_does_not_open(self):
        for profile in PROFILES:
            with self.subTest(profile=profile):
                job = self.quick_job(profile=profile)
                self.wrap_secret(job)
                fault = self.double.inject({"garbage": True}, path="/unwrapkey$", **FOR_EVER)
                command = ["key", "unwrap-secret", job.root, "--name", "unlock"]
                self.command_fails("EnvelopeNotOpened", profile, *command)
                self.double.clear_faults(id=fault)
                fault = self.double.inject({"error": {"status": 400, "code": "BadParameter"}},
                                           path="/unwrapkey$", **FOR_EVER)
                self.command_fails("EnvelopeNotOpened", profile, *command)
                self.double.clear_faults(id=fault)

    def test_every_condition_is_explained(self):
        for condition, (codes, _) in ROWS.items():
            with self.subTest(condition=condition):
                meanings = self.run_ok("key", "explain", condition, "--json").json()["meanings"]
                self.assertEqual([tuple(each["codes"][profile] for profile in PROFILES)
                                  for each in meanings], [codes])
        for old, new in (("CmkErrorDisabled", "CmkErrorKeyDisabled"),
                         ("CmkErrorNotFound", "CmkErrorKeyNotFound")):
            older, newer = ({each["condition"] for each in
                             self.run_ok("key", "explain", code, "--json").json()["meanings"]}
                            for code in (old, new))
            self.assertEqual(older, newer)

    def test_a_text_for_people_has_code_and_remedy(self):
        self.double.set_vault(vault=self.vault, firewall=True)
        for profile in PROFILES:
            result = self.env.run("key", "check", self.quick_job().root, "--profile", profile)
            self.assertEqual(result.status, KEY)
            self.assertIn(ROWS["FirewallDenied"][0][PROFILES.index(profile)] + "  (request ",
                          result.out)
            self.assertIn("what to do: ", result.out)


if __name__ == "__main__":
    harness.main()
