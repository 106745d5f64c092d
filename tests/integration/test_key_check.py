"""`key check` answers for the key that the job will use: by the rules of the service that is asked
about, as the identity that is meant, within the time that was given."""

import os
import time

import harness
import vault_case
from vault_case import KEY, USAGE

UAI = ("/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/"
       "Microsoft.ManagedIdentity/userAssignedIdentities/")


class Check(vault_case.VaultCase):
    def used_job(self, **members):
        job = self.vault_job(**members)
        self.wrap_secret(job, "a", "value of a")
        return job

    def local_job(self):
        job = self.make_job()
        job.spec["encryption"] = {"keyStore": os.path.join(self.env.directory("keys"), "store")}
        job.write_spec()
        return job

    def errors(self, job, *arguments):
        status, document = self.check(job, *arguments)
        self.assertEqual(status, KEY if not document["fit"] else 0, document)
        return [each["code"] for each in document["findings"] if each["severity"] == "error"]

    # --- the key that the job will use

    def test_a_key_that_somebody_has_written_into_job_json(self):
        job = self.used_job()
        self.double.create_key(vault=self.vault, name="other")
        job.spec["encryption"]["keyUrl"] = f"https://{self.vault}/keys/other"
        job.write_spec()
        self.assertEqual(self.errors(job), ["key-settings-changed"])
        self.assertIn("/keys/other", self.check(job)[1]["key"])
        job.spec["encryption"]["keyUrl"] = f"https://{self.vault}/keys/missing"
        job.write_spec()
        self.assertEqual(self.errors(job), ["CmkErrorKeyNotFound"])
        self.run_ok("key", "check", job.root, "--key-url", self.key)

    def test_a_key_that_somebody_has_taken_out_of_job_json(self):
        job = self.used_job()
        for member in ("keyUrl", "vaultResourceId"):
            job.spec["encryption"].pop(member)
        job.write_spec()
        self.assertIn("KwCannotRevertToManagedKey", self.errors(job))
        result = self.env.run("key", "check", job.root)
        self.assertEqual(result.status, KEY)
        self.assertIn("what to do", result.out)

    def test_an_unfinished_change(self):
        job = self.used_job()
        self.edit_state(job, lambda state: state.update(state="inconsistent"))
        self.assertEqual(self.errors(job), ["key-change-unfinished"])
        # Nothing says where it led: the operator does.
        error = self.refused(KEY, "key-change-unfinished", "key", "wrap-secret", job.root, "--name",
                             "b", given=b"b")
        self.assertIn("key set", error["remedy"])
        self.run_ok("key", "set", job.root)
        self.fit(job)

    def test_the_version_in_use_decides_and_a_newer_one_warns(self):
        job = self.used_job()
        first = self.key_status(job)["current_kid"]
        second = self.new_version(enabled=False)
        document = self.fit(job)
        self.assertEqual(document["version"]["kid"], first)
        warnings = [each for each in document["findings"] if each["severity"] == "warning"]
        self.assertIn("not used", warnings[0]["message"])
        self.double.set_key(vault=self.vault, name="cmk", version=second.rsplit("/")[-1],
                            enabled=True)
        self.double.set_key(vault=self.vault, name="cmk", version=first.rsplit("/")[-1],
                            enabled=False)
        self.assertEqual(self.errors(job), ["CmkErrorKeyDisabled"])

    def test_a_key_url_that_nobody_has_filled_in(self):
        job = self.vault_job()
        for member in ("keyUrl", "vaultUri"):
            job.spec["encryption"] = self.encryption()
            if member == "vaultUri":
                del job.spec["encryption"]["keyUrl"]
                job.spec["encryption"]["keyName"] = "cmk"
            job.spec["encryption"][member] = ""
            job.write_spec()
            error = self.refused(USAGE, "job-value", "key", "check", job.root)
            self.assertIn("is empty", error["message"])

    # --- by whose rules

    def test_a_managed_hsm_by_the_rules_of_the_service_that_is_asked_about(self):
        name = f"hsm{os.getpid()}"
        host = self.double.create_vault(name=name, hsm=True, region=vault_case.REGION)["host"]
        self.double.create_key(vault=host, name="cmk")
        self.double.grant(host, self.agent)
        url = f"https://{host}/keys/cmk"
        for own, taken in (("import-export", False), ("storage", True)):
            job = self.vault_job(url, vaults=[host], profile=own)
            for asked, expected in (("import-export", False), ("data-box", False),
                                    ("storage", True), ("backup-vault", True)):
                status, document = self.check(job, "--profile", asked)
                self.assertEqual(document["fit"], expected, (own, asked, document))
            self.assertEqual(self.check(job)[1]["fit"], taken)

    def test_warnings_are_about_what_they_say_and_go_with_every_use(self):
        self.double.set_key(vault=self.vault, name="cmk", exportable=True)
        job = self.vault_job()
        document = self.fit(job)
        warning = next(each for each in document["findings"] if "exportable" in each["message"])
        self.assertEqual((warning["condition"], warning["code"], warning["recoverable"]),
                         (None, None, None))
        self.assertIn("not exportable", warning["remedy"])
        result = self.wrap_secret(job, "a", "x")
        self.assertIn("exportable", result.err)
        self.assertIn("only while the key", result.err)  # what stands at stake, once
        result = self.wrap_secret(job, "b", "x")
        self.assertNotIn("only while the key", result.err)
        document = self.run_ok("key", "set", job.root, "--json").json()
        self.assertIn("exportable", " ".join(document["warnings"]))

    def test_a_disabled_local_key(self):
        job = self.local_job()
        self.wrap_secret(job, "a", "x")
        name = self.key_status(job)["envelopes"][0]["kids"][0].split("/keys/")[1]
        self.run_ok("keystore", "disable", name, "--store",
                    job.spec["encryption"]["keyStore"])
        finding = self.unfit(job, "CmkErrorKeyDisabled")
        self.assertIn("keystore enable", finding["remedy"])

    def test_a_vault_in_another_region_is_allowed_alone(self):
        far, key = self.make_vault(region="eastus")
        other, other_key = self.make_vault(region="eastus")
        for vault in (self.vault, far, other):
            self.double.grant(vault, self.agent)  # that of the last one
        hosts = [self.vault, far, other]
        job = self.vault_job(vaults=hosts)
        self.refused(KEY, "KwVaultRegionMismatch", "key", "set", job.root, "--key-url", key)
        self.run_ok("key", "set", job.root, "--key-url", key, "--allow-region-mismatch")
        self.run_ok("key", "set", job.root, "--key-url", self.key)
        self.run_ok("key", "set", job.root, "--key-url", key)
        self.refused(KEY, "KwVaultRegionMismatch", "key", "set", job.root, "--key-url", other_key)

    # --- as whom

    def machine_job(self):
        self.double.create_identity(name="machine", kind="system")
        self.double.grant(self.vault, "machine")
        environment = {**self.env.variables(),
                       "AZURE_POD_IDENTITY_AUTHORITY_HOST": self.double.imds_url()}
        return self.vault_job(credential={"source": "managed-identity"},
                              profile="data-box"), environment

    def asked_as(self):
        """The user-assigned identity for which the machine asked last."""
        return self.double.log("imds")[-1]["query"].get("msi_res_id")

    def test_a_new_identity_has_to_have_its_permissions(self):
        job, environment = self.machine_job()
        for name in ("granted", "idle"):
            self.double.create_identity(name=name, kind="user", msi_res_id=UAI + name)
        self.double.grant(self.vault, "granted")
        options = {"env": environment}
        self.run_ok("key", "wrap-secret", job.root, "--name", "a", given=b"x", **options)
        command = ("key", "set", job.root, "--identity")
        self.refused(KEY, "SsemUserErrorUserAssignedIdentityAbsent", *command, UAI + "missing",
                     **options)
        self.refused(KEY, "SsemUserErrorKeyVaultBadRequestException", *command, UAI + "idle",
                     **options)
        self.refused(USAGE, "identity", *command, "/subscriptions/nonsense", **options)
        self.run_ok(*command, UAI + "granted", **options)
        self.assertEqual(self.asked_as(), UAI + "granted")
        self.run_ok("key", "unwrap-secret", job.root, "--name", "a", **options)
        self.assertEqual(self.asked_as(), UAI + "granted")
        change = self.events(job, "key-changed")[-1]["details"]
        self.assertEqual((change["reason"], change["identity"]),
                         ("new-identity", UAI + "granted"))
        document = self.run_ok(*command, "system", "--json", **options).json()
        self.assertEqual((document["reason"], document["identity"]),
                         ("new-identity", "system-assigned"))

    def test_only_a_key_of_a_vault_has_an_identity(self):
        job = self.local_job()
        self.wrap_secret(job, "a", "x")
        self.refused(USAGE, "identity", "key", "set", job.root, "--identity", UAI + "x")

    def test_an_identity_that_this_machine_does_not_have_is_told(self):
        job = self.used_job(profile="data-box")
        result = self.run_ok("key", "set", job.root, "--identity", UAI + "x")
        self.assertIn("could not be tried", result.err)

    # --- waiting for access

    def test_a_grant_that_comes_while_it_waits(self):
        job = self.vault_job()
        self.double.inject({"error": {"status": 403, "code": "Forbidden", "inner": "AccessDenied"}},
                           times=1)
        begin = time.monotonic()
        result = self.run_ok("key", "check", job.root, "--wait-for-access", "3s")
        self.assertLess(time.monotonic() - begin, 15)
        self.assertIn("asking again", result.err)

    def test_the_time_is_for_the_whole_check(self):
        job = self.vault_job()
        self.double.grant(self.vault, self.agent, operations=[])
        begin = time.monotonic()
        status, _ = self.check(job, "--wait-for-access", "4s")
        self.assertEqual(status, KEY)
        self.assertTrue(3 < time.monotonic() - begin < 15)

    # --- what is said

    def test_every_code_about_keys_is_explained(self):
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs",
                            "exit-codes.md"), encoding="utf-8") as file:
            section = file.read().split("### 12, key")[1].split("\n### ")[0]
        codes = [word for word in section.split("`")[1::2] if "..." not in word and " " not in word]
        self.assertGreater(len(codes), 35)
        for code in [*codes, "key-settings-changed", "key-and-identity", "audit-chain-broken"]:
            with self.subTest(code):
                result = self.run_ok("key", "explain", code)
                self.assertIn("what to do: ", result.out)
                self.assertEqual(self.run_ok("key", "explain", code, "--json").json()["code"], code)

    def test_older_names_are_read_and_not_printed(self):
        for older, newer in (("CmkErrorNotFound", "CmkErrorKeyNotFound"),
                             ("CmkErrorDisabled", "CmkErrorKeyDisabled")):
            for arguments in ([], ["--json"]):
                result = self.run_ok("key", "explain", older, *arguments)
                self.assertNotIn(older, result.out)
                self.assertIn(newer, result.out)

    def test_the_request_id_is_told_with_every_refusal(self):
        job = self.used_job()
        self.double.inject({"error": {"status": 400, "code": "BadParameter", "message": "odd"}},
                           times=None)
        result = self.env.run("key", "unwrap-secret", job.root, "--name", "a")
        self.assertEqual(result.status, KEY)
        self.assertRegex(result.err, "request id: [0-9a-f-]{36}")


if __name__ == "__main__":
    harness.main()
