"""From one key to another: envelopes get a new key, what they seal and the drives stay as they are."""

import hashlib
import os
import re
import time
import unittest

import envelopes
import harness
import vault_case
from vault_case import KEY, USAGE

HOUR = 3600
DAY = 24 * HOUR
REVOKED = "CmkErrorAccessRevoked"
NO_WAY_BACK = "KwCannotRevertToManagedKey"
IDENTITY = ("/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/"
            "userAssignedIdentities/")


class RewrapCase(vault_case.VaultCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.tree = cls.env.path("tree")
        harness.write_file(cls.tree, "a.txt", b"a")

    def make_job(self, **options):
        return super().make_job(sources=[(self.tree + "/", "archive/")], **options)

    def kid(self):
        """The newest version."""
        return self.double.export_key(vault=self.vault, name="cmk")["kid"]

    def looks(self, since=0):
        """How often somebody asked for the newest version."""
        return len([each for each in self.double.log("vault", since)
                    if each["method"] == "GET" and each["status"] == 200 and
                    re.fullmatch(r"/keys/[^/]+/?", each["path"])])

    def to_vault(self, job, **members):
        job.spec["encryption"] = self.encryption(**members)
        job.write_spec()

    def all_kids(self, job):
        return {name: envelopes.kids(path) for name, path in envelopes.files_of(job).items()}

    def all_sealed(self, job):
        return {name: envelopes.sealed(path) for name, path in envelopes.files_of(job).items()}

    def assertOpens(self, job, values, vault=None, name="cmk", version=""):
        """Each secret opens with that key of the vault, without the program."""
        key = self.double.export_key(vault=vault or self.vault, name=name, version=version)
        opener = envelopes.Opener(key["pem"])
        for secret, value in values.items():
            with open(job.path("secrets", secret + envelopes.SUFFIX), encoding="utf-8") as file:
                self.assertEqual(opener.open(file.read(), key["kid"])["value"], value)


class Changing(RewrapCase):
    def test_drives_and_what_envelopes_seal_stay_byte_for_byte(self):
        job = self.make_job()
        self.assertEqual(job.prepare().status, 0)
        self.wrap_secret(job, "unlock", "open sesame", "--purpose", "device-unlock-key")
        password = job.key()
        image, before = sha256(job.image()), self.all_sealed(job)
        self.assertIn("drives/DISK0/key.jwe.json", before)
        (local,) = envelopes.kids(envelopes.files_of(job)["drives/DISK0/key.jwe.json"])
        self.assertTrue(local.startswith("keystore://"), local)

        self.to_vault(job)
        result = self.run_ok("key", "set", job.root, "--json").json()
        first = self.kid()
        self.assertEqual((result["changed"], result["old_kid"], result["kid"], result["reason"],
                          result["rewrapped"], result["envelopes"]),
                         (True, local, first, "mode-change", len(before), len(before)))
        self.assertEqual(self.all_kids(job), dict.fromkeys(before, [first, local]))
        second = self.new_version()
        result = self.rewrap(job)
        self.assertEqual((result["old_kid"], result["kid"], result["reason"]),
                         (first, second, "new-version"))
        self.assertEqual(self.all_kids(job), dict.fromkeys(before, [second, first, local]))

        self.assertEqual(self.all_sealed(job), before)
        self.assertEqual(sha256(job.image()), image)
        self.assertEqual((job.key(), self.unwrap_secret(job)), (password, "open sesame"))
        for event in self.events(job, "key-rewrapped"):
            details = event["details"]
            self.assertEqual(details["sealed_before"], details["sealed_after"])
            self.assertEqual((details["alg"], details["verified"]), ("RSA-OAEP-256", True))
        self.assertEqual(
            {sha256_of_sealed(sealed) for sealed in before.values()},
            {event["details"]["sealed_after"] for event in self.events(job, "key-rewrapped")})

        key = self.double.export_key(vault=self.vault, name="cmk")["jwk"]
        with open(job.path("drives", "DISK0", "key.jwe.json"), encoding="utf-8") as file:
            text = file.read()
        self.assertEqual(envelopes.open_with(text, key)["value"], password)
        opener = envelopes.Opener(envelopes.local_key(self.env.key_store, local))
        self.assertEqual(opener.open(text, local)["value"], password, "the local key opens it, too")

    def test_another_key_another_vault_another_version(self):
        job = self.vault_job()
        self.wrap_secret(job)
        first = self.kid()
        self.double.create_key(vault=self.vault, name="other")
        vault, url = self.make_vault(key="third")
        self.double.grant(vault, self.agent)
        job.spec["encryption"] = self.encryption(self.key, vaults=[self.vault, vault])
        self.second_identity_of(job, vault)
        for wanted, reason in ((f"https://{self.vault}/keys/other", "new-key"),
                               (url, "new-vault"), (first, "new-vault"), (self.key, None)):
            result = self.run_ok("key", "set", job.root, "--json", "--key-url", wanted).json()
            if reason:
                self.assertEqual(result["reason"], reason, wanted)
            self.assertTrue(result["kid"].startswith(wanted), result)
            self.assertEqual(self.unwrap_secret(job), "open sesame")
        status = self.key_status(job)
        self.assertEqual((status["version_mode"], status["state"]), ("auto", "ok"))
        self.assertEqual([each["reason"] for each in status["rotations"]],
                         ["new-key", "new-vault", "new-vault"], "the same version is no rotation")

    def second_identity_of(self, job, vault):
        """make_vault() has made another secret; the job keeps the first one."""
        self.double.grant(vault, self.agent)
        self.double.grant(self.vault, self.agent)
        job.spec["encryption"]["credential"] = {
            "source": "client-secret", "clientId": self.client["client_id"],
            "clientSecretFile": self.secret_file}
        job.write_spec()

    def test_a_key_that_is_unfit_changes_nothing(self):
        job = self.vault_job()
        self.wrap_secret(job)
        self.double.create_key(vault=self.vault, name="small", key_ops=["wrapKey"])
        before = harness.snapshot(job.path("secrets")), self.key_status(job)
        self.refused(KEY, "KwKeyOperationNotPermitted", "key", "set", job.root, "--key-url",
                     f"https://{self.vault}/keys/small")
        self.assertEqual((harness.snapshot(job.path("secrets")), self.key_status(job)), before)

    def test_the_old_key_must_still_open_before_anything_is_changed(self):
        job = self.vault_job()
        self.wrap_secret(job)
        first = self.kid()
        self.double.set_key(vault=self.vault, name="cmk", enabled=False)
        self.double.create_key(vault=self.vault, name="other")
        before = self.all_kids(job)
        self.refused(KEY, "CmkErrorKeyDisabled", "key", "set", job.root, "--key-url",
                     f"https://{self.vault}/keys/other")
        self.new_version()
        self.refused(KEY, "CmkErrorKeyDisabled", "key", "rewrap", job.root)
        self.let_time_pass(job, DAY)
        self.refused(KEY, "CmkErrorKeyDisabled", "key", "unwrap-secret", job.root, "--name",
                     "unlock")
        self.assertEqual(self.all_kids(job), before)
        self.assertEqual(self.key_status(job)["state"], "revoked", "not inconsistent")
        self.double.set_key(vault=self.vault, name="cmk", version=first.split("/")[-1],
                            enabled=True)
        self.assertTrue(self.rewrap(job)["changed"])
        self.assertEqual(self.key_status(job)["state"], "ok")

    def test_an_expired_old_key_still_opens_for_a_re_wrap(self):
        job = self.vault_job()
        self.wrap_secret(job)
        self.double.set_key(vault=self.vault, name="cmk", exp=int(time.time()) - HOUR)
        self.new_version()
        result = self.rewrap(job)
        self.assertEqual(result["rewrapped"], 1)
        self.assertRegex(" ".join(result["warnings"]), "expired")

    def test_back_to_the_version_before_while_its_recipient_is_still_there(self):
        job = self.vault_job()
        self.wrap_secret(job)
        first = self.kid()
        second = self.new_version()
        self.rewrap(job)
        self.double.set_key(vault=self.vault, name="cmk", enabled=False)  # the new one is no good
        result = self.run_ok("key", "set", job.root, "--json", "--key-url", first).json()
        self.assertEqual((result["old_kid"], result["kid"]), (second, first))
        (kids,) = self.all_kids(job).values()
        self.assertEqual(kids, [first, second])
        self.assertEqual(self.unwrap_secret(job), "open sesame")

    def test_a_copy_that_was_put_back_comes_under_the_key_again(self):
        job = self.vault_job()
        self.wrap_secret(job)
        path = job.path("secrets", "unlock.jwe.json")
        old = envelopes.load(path)
        first, second = self.kid(), self.new_version()
        self.rewrap(job)
        self.let_time_pass(job, DAY)
        self.assertEqual(self.rewrap(job)["dropped"], 1)
        envelopes.store(path, old)
        result = self.rewrap(job)
        self.assertEqual((result["changed"], result["rewrapped"]), (False, 1))
        self.assertEqual(envelopes.kids(path)[0], second)
        self.let_time_pass(job, DAY)
        self.rewrap(job)
        self.assertEqual(envelopes.kids(path), [second], f"{first} is dropped once more")
        self.assertEqual(self.events(job, "key-rewrapped")[-1]["details"]["reason"], "repair")


class Versions(RewrapCase):
    def test_the_newest_version_is_looked_up_once_a_day_and_taken(self):
        job = self.vault_job()
        self.wrap_secret(job, "a")
        first = self.kid()
        self.assertEqual(self.looks(), 1, "when the key is used first")
        second = self.new_version()
        for name in "bc":
            self.wrap_secret(job, name)
            self.unwrap_secret(job, name)
        self.let_time_pass(job, DAY - 10 * 60)
        self.wrap_secret(job, "d")
        self.assertEqual(self.looks(), 1)
        self.assertEqual(set(map(tuple, self.all_kids(job).values())), {(first,)})
        self.let_time_pass(job, 11 * 60)
        self.wrap_secret(job, "e")
        self.wrap_secret(job, "f")
        self.assertEqual(self.looks(), 2)
        kids = self.all_kids(job)
        self.assertEqual({tuple(kids[f"secrets/{name}.jwe.json"]) for name in "abcd"},
                         {(second, first)}, "what was there comes along")
        self.assertEqual({tuple(kids[f"secrets/{name}.jwe.json"]) for name in "ef"}, {(second,)})

    def test_a_clock_that_went_back_makes_the_look_up_due(self):
        job = self.vault_job()
        self.wrap_secret(job, "a")
        self.let_time_pass(job, -30 * DAY)
        self.wrap_secret(job, "b")
        self.wrap_secret(job, "c")
        self.assertEqual(self.looks(), 2)

    def test_commands_that_only_look_never_ask_the_vault(self):
        job = self.vault_job()
        self.wrap_secret(job)
        self.let_time_pass(job, 3 * DAY)
        since = len(self.double.log())
        for command in (["key", "status"], ["key", "audit"], ["status"], ["plan"]):
            self.run_ok(*command, job.root)
        self.assertEqual(self.double.log(since=since), [])

    def test_a_pinned_version_stays_whatever_comes_after_it(self):
        first = self.kid()
        job = self.vault_job(first)
        self.wrap_secret(job, "a")
        self.new_version()
        self.let_time_pass(job, 5 * DAY)
        self.wrap_secret(job, "b")
        self.assertFalse(self.rewrap(job)["changed"])
        self.assertEqual(set(map(tuple, self.all_kids(job).values())), {(first,)})
        self.assertEqual(self.looks(), 0)
        self.assertEqual(self.key_status(job)["version_mode"], "pinned")

    def test_pinned_to_automatic_and_back(self):
        first = self.kid()
        job = self.vault_job(first)
        self.wrap_secret(job)
        second = self.new_version()
        result = self.run_ok("key", "set", job.root, "--json", "--key-url", self.key).json()
        self.assertEqual((result["kid"], result["reason"]), (second, "new-version"))
        self.assertEqual(self.key_status(job)["version_mode"], "auto")
        result = self.run_ok("key", "set", job.root, "--json", "--key-url", second).json()
        self.assertEqual(self.key_status(job)["version_mode"], "pinned")
        self.new_version()
        self.assertFalse(self.rewrap(job)["changed"])

    def test_an_empty_version_in_three_members_means_automatic(self):
        first = self.kid()
        job = self.vault_job(first)
        self.wrap_secret(job)
        second = self.new_version()
        spec = job.spec["encryption"]
        del spec["keyUrl"]
        spec.update(vaultUri=f"https://{self.vault}", keyName="cmk", keyVersion="")
        job.write_spec()
        self.refused(USAGE, "key-settings-changed", "key", "rewrap", job.root)
        self.assertEqual(self.run_ok("key", "set", job.root, "--json").json()["kid"], second)
        status = self.key_status(job)
        self.assertEqual((status["version_mode"], status["key_uri"]), ("auto", self.key))

    def newer_is_not_used(self, why, **options):
        job = self.vault_job()
        self.wrap_secret(job, "a")
        first = self.kid()
        second = self.new_version(**options)
        self.let_time_pass(job, DAY)
        result = self.wrap_secret(job, "b")
        self.assertIn(second, result.err, "the operator is told")
        self.assertRegex(result.err, why)
        self.wrap_secret(job, "c")
        self.assertEqual(self.looks(), 2, "tried again on the next day, not at once")
        result = self.rewrap(job)
        self.assertEqual((result["kid"], result["changed"]), (first, False))
        self.assertRegex(result["newer_unused"], why)
        self.assertIn(second, result["newer_unused"])
        self.assertEqual(set(map(tuple, self.all_kids(job).values())), {(first,)})
        self.assertEqual(self.key_status(job)["state"], "ok")
        self.double.set_key(vault=self.vault, name="cmk", enabled=True, nbf=None)
        self.let_time_pass(job, DAY)
        self.wrap_secret(job, "d")
        self.assertEqual(self.key_status(job)["current_kid"], second)

    def test_a_newer_version_that_is_disabled_is_told_and_not_used(self):
        self.newer_is_not_used("disabled", enabled=False)

    def test_a_newer_version_that_is_not_yet_active_is_told_and_not_used(self):
        self.newer_is_not_used("not (yet )?(active|valid|be used)", nbf=int(time.time()) + DAY)


class TheOldVersion(RewrapCase):
    def rotated(self):
        job = self.vault_job()
        self.wrap_secret(job)
        first, second = self.kid(), self.new_version()
        result = self.rewrap(job)
        self.assertIn("old_key_needed_until", result)
        return job, first, second

    def kids(self, job):
        (kids,) = self.all_kids(job).values()
        return kids

    def test_it_is_dropped_after_a_day_and_not_before(self):
        job, first, second = self.rotated()
        self.assertEqual(self.rewrap(job)["dropped"], 0)
        self.let_time_pass(job, DAY - 60)
        self.assertEqual(self.rewrap(job)["dropped"], 0)
        self.assertEqual(self.kids(job), [second, first])
        self.let_time_pass(job, 120)
        self.assertEqual(self.rewrap(job)["dropped"], 1)
        self.assertEqual(self.kids(job), [second])
        (rotation,) = self.key_status(job)["rotations"]
        self.assertEqual((rotation["old_kid"], rotation["new_kid"]), (first, second))
        self.assertIn("old_key_dropped", rotation)
        (event,) = self.events(job, "key-dropped")
        self.assertEqual(event["details"]["dropped"], first)
        self.double.set_key(vault=self.vault, name="cmk", version=first.split("/")[-1],
                            enabled=False)
        self.assertEqual(self.unwrap_secret(job), "open sesame")

    def test_the_operator_is_told_how_long_it_is_needed(self):
        job, first, _ = self.rotated()
        self.assertRegex(self.run_ok("key", "status", job.root).out,
                         re.escape(f"from {first}") + r", needed until \d{4}-\d\d-\d\dT")
        out = self.run_ok("key", "rewrap", job.root).out
        self.assertRegex(out, re.escape(f"Leave {first}") + r"\s+enabled until \d{4}-")

    def test_a_clock_that_went_back_begins_the_day_anew(self):
        job, first, second = self.rotated()
        self.let_time_pass(job, -40 * DAY)  # it was made in the future
        self.assertEqual(self.rewrap(job)["dropped"], 0)
        self.let_time_pass(job, DAY - 60)
        self.assertEqual(self.rewrap(job)["dropped"], 0)
        self.assertEqual(self.kids(job), [second, first])
        self.let_time_pass(job, 120)
        self.assertEqual(self.rewrap(job)["dropped"], 1)

    def test_an_earlier_end_that_somebody_wrote_into_the_state_is_not_believed(self):
        job, first, second = self.rotated()

        def sooner(state):
            state["rotations"][0]["oldDroppable"] = state["rotations"][0]["time"]
        self.edit_state(job, sooner)
        self.assertEqual(self.rewrap(job)["dropped"], 0)
        self.assertEqual(self.kids(job), [second, first])

    def test_it_stays_when_the_new_version_does_not_open_at_that_time(self):
        job, first, second = self.rotated()
        self.let_time_pass(job, 2 * DAY)
        self.double.set_key(vault=self.vault, name="cmk", enabled=False)
        self.refused(KEY, "CmkErrorKeyDisabled", "key", "rewrap", job.root)
        self.assertEqual(self.kids(job), [second, first])

    def test_the_keys_of_this_machine_are_dropped_whichever_of_their_versions_it_was(self):
        job = self.make_job()
        self.wrap_secret(job, "a")
        self.run_ok("keystore", "new-version", "driveprep", "--store", self.env.key_store)
        self.wrap_secret(job, "b")
        before = self.all_kids(job)
        self.assertEqual(len(set(map(tuple, before.values()))), 2, before)
        self.to_vault(job)
        self.run_ok("key", "set", job.root)
        self.assertEqual({len(kids) for kids in self.all_kids(job).values()}, {2})
        self.let_time_pass(job, DAY + 60)
        self.assertEqual(self.rewrap(job)["dropped"], 2)
        self.assertEqual(set(map(tuple, self.all_kids(job).values())), {(self.kid(),)})


class OneWay(RewrapCase):
    def adopted(self, profile):
        job = self.vault_job(profile=profile)
        self.wrap_secret(job, "a")
        return job

    def make_local(self, job, profile=None):
        job.spec["encryption"] = {"keyStore": self.env.key_store}
        if profile:
            job.spec["encryption"]["profile"] = profile
        job.write_spec()

    def assertStays(self, job, where, *others):
        """No command brings anything under a local key."""
        with self.subTest(where):
            for command in (["key", "set", job.root, "--local"], ["key", "set", job.root],
                            ["key", "rewrap", job.root],
                            ["key", "wrap-secret", job.root, "--name", "new"]):
                if "--local" not in command and "keyUrl" in job.spec["encryption"]:
                    continue
                result = self.env.run(*command, "--json", given=b"new")
                self.assertIn((result.status, result.error()["code"]),
                              {(KEY, NO_WAY_BACK), (USAGE, "key-settings-changed"), *others},
                              f"{where}: {result}")
            self.assertEqual(
                [kid for kids in self.all_kids(job).values() for kid in kids
                 if kid.startswith("keystore:")], [], where)

    def no_way_back(self, profile):
        job = self.adopted(profile)
        self.refused(KEY, NO_WAY_BACK, "key", "set", job.root, "--local")
        self.assertStays(job, "as it is")
        self.make_local(job)
        self.assertStays(job, "job.json names no key")
        result = job.prepare()
        self.assertNotEqual(result.status, 0, result)
        for other in ("data-box", "storage"):
            self.make_local(job, other)
            self.assertStays(job, f"job.json says {other}")

        def edited(state):
            local = {"place": "local", "keyUri": "driveprep", "versionMode": "auto"}
            state.update(mode="local", everCmk=False, profile="data-box", key=local, jobFile=local)
        with open(job.path("key-state.json"), "rb") as file:
            kept = file.read()

        def put_back():
            with open(job.path("key-state.json"), "wb") as file:
                file.write(kept)
        self.edit_state(job, lambda state: state.update(profile="storage"))
        self.assertStays(job, "key-state.json says another service")
        self.edit_state(job, edited)
        self.assertStays(job, "key-state.json says that it never was")
        put_back()
        self.edit_state(job, lambda state: state.update(state="inconsistent", target={
            "key": {"place": "local", "keyUri": "driveprep", "versionMode": "auto"},
            "kid": self.local_kid(), "reason": "mode-change"}))
        result = self.env.run("key", "rewrap", job.root, "--json")
        self.assertEqual((result.status, result.error()["code"]), (KEY, NO_WAY_BACK), result)
        self.assertStays(job, "key-state.json is on its way to the local key",
                         (KEY, "key-change-unfinished"))
        os.remove(job.path("key-state.json"))
        self.assertStays(job, "without key-state.json")
        self.make_local(job, "data-box")
        self.assertStays(job, "without key-state.json, job.json says data-box")
        for name in os.listdir(job.root):
            if name.startswith("journal.db"):
                os.remove(job.path(name))
        self.assertStays(job, "without key-state.json and journal")

    def local_kid(self):
        other = self.make_job()
        self.wrap_secret(other)
        return envelopes.kids(other.path("secrets", "unlock.jwe.json"))[0]

    def test_an_import_export_job_never_goes_back(self):
        self.no_way_back("import-export")

    def test_a_backup_vault_job_never_goes_back(self):
        self.no_way_back("backup-vault")

    def test_without_its_envelopes_the_journal_still_knows(self):
        job = self.adopted("import-export")
        envelopes.remove_all(job)
        os.remove(job.path("key-state.json"))
        self.make_local(job, "storage")
        self.assertStays(job, "without envelopes and key-state.json")

    def test_another_key_of_the_customers_stays_possible(self):
        job = self.adopted("import-export")
        self.double.create_key(vault=self.vault, name="other")
        result = self.run_ok("key", "set", job.root, "--json", "--key-url",
                             f"https://{self.vault}/keys/other").json()
        self.assertEqual(result["reason"], "new-key")

    def there_and_back(self, profile):
        job = self.make_job()
        job.spec["encryption"]["profile"] = profile
        job.write_spec()
        self.wrap_secret(job, "a", "the value")
        sealed = self.all_sealed(job)
        local = dict(job.spec["encryption"])
        for _ in range(2):
            self.to_vault(job, profile=profile)
            self.assertEqual(self.run_ok("key", "set", job.root, "--json").json()["reason"],
                             "mode-change")
            self.assertEqual(self.key_status(job)["mode"], "cmk")
            result = self.run_ok("key", "set", job.root, "--local", "--json").json()
            self.assertEqual((result["reason"], result["kid"].split(":")[0]),
                             ("mode-change", "keystore"))
            status = self.key_status(job)
            self.assertEqual((status["mode"], status["ever_cmk"], status["state"]),
                             ("local", True, "ok"))
        job.spec["encryption"] = {**job.spec["encryption"], **local}
        for member in ("keyUrl", "vaultResourceId"):
            job.spec["encryption"].pop(member)
        job.write_spec()
        self.wrap_secret(job, "b", "another")
        self.assertTrue(all(kids[0].startswith("keystore:") for kids in
                            self.all_kids(job).values()))
        self.assertEqual(self.all_sealed(job)["secrets/a.jwe.json"], sealed["secrets/a.jwe.json"])
        self.assertEqual(self.unwrap_secret(job, "a"), "the value")

    def test_a_data_box_job_may_go_back(self):
        self.there_and_back("data-box")

    def test_a_storage_job_may_go_back(self):
        self.there_and_back("storage")

    def test_an_edited_job_file_is_no_change_of_the_key(self):
        job = self.adopted("data-box")
        self.double.create_key(vault=self.vault, name="other")
        job.spec["encryption"]["keyUrl"] = f"https://{self.vault}/keys/other"
        job.write_spec()
        for command in (["wrap-secret", job.root, "--name", "b"], ["rewrap", job.root]):
            self.refused(USAGE, "key-settings-changed", "key", *command, given=b"b")
        self.assertEqual(self.unwrap_secret(job, "a"), "open sesame", "opening needs no setting")
        self.run_ok("key", "set", job.root)
        self.wrap_secret(job, "b")


class Identities(RewrapCase):
    def identity_of(self, job):
        status = self.key_status(job)["identity"]
        return status["type"], status["id"]

    def test_system_to_user_to_user_to_system(self):
        job = self.vault_job(profile="data-box")
        self.wrap_secret(job)
        before = self.all_kids(job)
        for wanted, shown in ((IDENTITY + "one", ("UserAssigned", IDENTITY + "one")),
                              (IDENTITY + "two", ("UserAssigned", IDENTITY + "two")),
                              ("system", ("SystemAssigned", ""))):
            self.run_ok("key", "set", job.root, "--identity", wanted)
            self.assertEqual(self.identity_of(job), shown)
            self.assertEqual(self.all_kids(job), before)
            self.wrap_secret(job, "again", "x", "--replace")
            os.remove(job.path("secrets", "again.jwe.json"))
        self.assertEqual(self.key_status(job)["rotations"], [])

    def test_key_and_identity_never_change_in_one_step(self):
        job = self.vault_job(profile="data-box")
        self.wrap_secret(job)
        self.double.create_key(vault=self.vault, name="other")
        other = f"https://{self.vault}/keys/other"
        status, since = self.key_status(job), len(self.double.log())
        self.refused(USAGE, "key-and-identity", "key", "set", job.root, "--key-url", other,
                     "--identity", IDENTITY + "one")
        job.spec["encryption"].update(
            keyUrl=other, identity={"type": "UserAssigned",
                                    "userAssignedIdentityId": IDENTITY + "one"})
        job.write_spec()
        self.refused(USAGE, "key-and-identity", "key", "set", job.root)
        self.assertEqual(self.double.log(since=since), [], "no vault was asked")
        job.spec["encryption"] = self.encryption(profile="data-box")
        job.write_spec()
        self.assertEqual(self.key_status(job), status)
        self.run_ok("key", "set", job.root, "--identity", IDENTITY + "one")
        self.run_ok("key", "set", job.root, "--key-url", other)
        self.assertEqual(self.identity_of(job), ("UserAssigned", IDENTITY + "one"))
        self.assertEqual(self.unwrap_secret(job), "open sesame")


class Revocation(RewrapCase):
    def test_access_that_is_taken_away_stops_what_needs_the_secret_and_nothing_else(self):
        job = self.vault_job()
        self.assertEqual(job.prepare().status, 0)
        self.wrap_secret(job)
        password = job.key()
        self.double.grant(self.vault, self.agent, ())
        for command in (["key", "show", job.root, "--drive", "DISK0"],
                        ["key", "unwrap-secret", job.root, "--name", "unlock"],
                        ["key", "rewrap", job.root],
                        ["request", job.root, "--reveal-keys"],
                        ["key", "set", job.root, "--key-url", self.kid()]):
            error = self.refused(KEY, REVOKED, *command)
            self.assertTrue(error["remedy"])
            self.assertNotIn(password, str(error))
        result = self.env.run("verify", job.root, "--json")
        self.assertEqual(result.status, KEY, result)
        self.assertIn(REVOKED, result.out)
        status = self.key_status(job)
        self.assertEqual((status["state"], status["trouble"]), ("revoked", REVOKED))
        self.assertIn("revoked", self.run_ok("key", "status", job.root).out)
        for command in (["status"], ["plan"], ["key", "audit"], ["request"]):
            self.run_ok(*command, job.root)
        self.assertEqual(job.state(), "finished", "a key that is gone says nothing about the drive")

        self.double.grant(self.vault, self.agent)
        self.assertEqual(job.key(), password)
        self.assertEqual(self.key_status(job)["state"], "ok")
        self.assertNotIn("trouble", self.key_status(job))
        self.assertEqual(self.unwrap_secret(job), "open sesame")
        self.run_ok("verify", job.root)

    def revoked_by(self, code, take, give):
        job = self.vault_job()
        self.wrap_secret(job)
        take()
        self.refused(KEY, code, "key", "unwrap-secret", job.root, "--name", "unlock")
        status = self.key_status(job)
        self.assertEqual((status["state"], status["trouble"]), ("revoked", code))
        give()
        self.assertEqual(self.unwrap_secret(job), "open sesame")
        self.assertEqual(self.key_status(job)["state"], "ok")

    def test_a_key_that_is_disabled(self):
        change = lambda on: lambda: self.double.set_key(vault=self.vault, name="cmk", enabled=on)
        self.revoked_by("CmkErrorKeyDisabled", change(False), change(True))

    def test_a_key_that_is_deleted_and_recovered(self):
        self.revoked_by("CmkErrorKeyNotFound",
                        lambda: self.double.delete_key(vault=self.vault, name="cmk"),
                        lambda: self.double.recover_key(vault=self.vault, name="cmk"))

    def test_a_firewall(self):
        change = lambda on: lambda: self.double.set_vault(vault=self.vault, firewall=on)
        self.revoked_by(REVOKED, change(True), change(False))

    def test_unwrapping_alone_taken_away(self):
        self.revoked_by(REVOKED,
                        lambda: self.double.grant(self.vault, self.agent, ("get", "wrapKey")),
                        lambda: self.double.grant(self.vault, self.agent))

    def test_a_vault_that_is_busy_is_not_called_revoked(self):
        job = self.vault_job()
        self.wrap_secret(job)
        self.double.inject({"error": {"status": 503, "code": "ServiceUnavailable"}}, times=None)
        result = self.env.run("key", "unwrap-secret", job.root, "--name", "unlock", "--json")
        self.assertNotEqual(result.status, 0)
        self.assertEqual(self.key_status(job)["state"], "ok")

    def test_prepare_touches_no_drive(self):
        job = self.vault_job()
        self.wrap_secret(job)
        before = sha256(job.image())
        self.double.grant(self.vault, self.agent, ())
        result = job.prepare()
        self.assertEqual((result.status, result.error()["code"]), (KEY, REVOKED), result)
        self.assertEqual(sha256(job.image()), before)


class Inconsistent(RewrapCase):
    def interrupted(self, job, *command, count=6, after=3):
        """Access is lost after some envelopes are done."""
        fault = self.double.inject({"error": {"status": 403, "code": "Forbidden",
                                              "inner": "ForbiddenByPolicy"}}, times=None,
                                   path="/wrapkey$", skip=after)
        result = self.env.run(*command, "--json")
        self.assertEqual((result.status, result.error()["code"]), (KEY, REVOKED), result)
        self.double.clear_faults(id=fault)
        kids = [kids[0] for kids in self.all_kids(job).values()]
        self.assertEqual(len(set(kids)), 2, "some are done")

    def test_a_change_that_fails_midway_is_shown_and_repaired_by_repeating_it(self):
        job = self.vault_job()
        self.wrap_secret(job, "first")
        values = envelopes.write_secrets(job, 6, self.double.export_key(
            vault=self.vault, name="cmk")["jwk"])
        first, second = self.kid(), self.new_version()
        self.double.create_key(vault=self.vault, name="other")
        sealed = self.all_sealed(job)
        self.interrupted(job, "key", "rewrap", job.root)
        status = self.key_status(job)
        self.assertEqual((status["state"], status["target_kid"], status["current_kid"],
                          status["obstacle"]["code"]),
                         ("inconsistent", second, first, "key-change-unfinished"))
        self.assertIn("key rewrap", status["obstacle"]["remedy"])
        for name, value in values.items():
            self.assertEqual(self.unwrap_secret(job, name), value)
        self.refused(KEY, "key-change-unfinished", "key", "wrap-secret", job.root, "--name", "n",
                     given=b"n")
        self.refused(KEY, "key-change-unfinished", "key", "set", job.root, "--key-url",
                     f"https://{self.vault}/keys/other")
        result = self.rewrap(job)
        self.assertEqual((result["changed"], result["kid"]), (True, second))
        self.assertGreater(result["rewrapped"], 0)
        self.assertLess(result["rewrapped"], 7)
        self.assertEqual(set(map(tuple, self.all_kids(job).values())), {(second, first)})
        self.assertEqual(self.all_sealed(job), sealed)
        self.assertEqual(self.key_status(job)["state"], "ok")
        self.assertOpens(job, values)
        self.assertEqual([each["old_kid"] for each in self.key_status(job)["rotations"]], [first])

    def test_the_way_to_a_customers_key_that_was_interrupted_is_finished_and_recorded(self):
        job = self.make_job()
        for name in "abcdef":
            self.wrap_secret(job, name, name)
        (local,) = {kids[0] for kids in self.all_kids(job).values()}
        self.to_vault(job)
        self.interrupted(job, "key", "set", job.root)
        self.assertEqual(self.key_status(job)["state"], "inconsistent")
        self.assertTrue(self.rewrap(job)["changed"])
        self.assertEqual(set(map(tuple, self.all_kids(job).values())), {(self.kid(), local)})
        (rotation,) = self.key_status(job)["rotations"]
        self.assertEqual((rotation["old_kid"], rotation["reason"]), (local, "mode-change"))
        self.let_time_pass(job, DAY)
        self.assertEqual(self.rewrap(job)["dropped"], 6)

    def test_once_begun_the_way_to_a_customers_key_is_one_way(self):
        job = self.make_job()
        for name in "abcdef":
            self.wrap_secret(job, name, name)
        local = dict(job.spec["encryption"])
        self.to_vault(job)
        self.interrupted(job, "key", "set", job.root)
        self.refused(KEY, NO_WAY_BACK, "key", "set", job.root, "--local")
        job.spec["encryption"] = local
        job.write_spec()
        result = self.env.run("key", "wrap-secret", job.root, "--name", "n", "--json", given=b"n")
        self.assertEqual(result.status, KEY, result)

    def test_a_target_that_is_lost_for_good_does_not_hold_the_job_for_ever(self):
        job = self.vault_job(self.kid())
        self.wrap_secret(job, "first")
        first = self.kid()
        envelopes.write_secrets(job, 6, self.double.export_key(
            vault=self.vault, name="cmk")["jwk"])
        self.double.create_key(vault=self.vault, name="other")
        self.interrupted(job, "key", "set", job.root, "--key-url",
                         f"https://{self.vault}/keys/other")
        self.double.delete_key(vault=self.vault, name="other")
        self.refused(KEY, "CmkErrorKeyNotFound", "key", "rewrap", job.root)
        result = self.run_ok("key", "set", job.root, "--json", "--key-url", first).json()
        self.assertEqual(result["kid"], first)
        self.assertEqual({kids[0] for kids in self.all_kids(job).values()}, {first})
        self.assertEqual(self.key_status(job)["state"], "ok")
        self.wrap_secret(job, "more")


class Throttled(RewrapCase):
    def test_sixty_envelopes_with_few_requests_at_a_time_and_a_busy_vault(self):
        job = self.vault_job(retrySeconds=60)
        self.wrap_secret(job, "first")
        values = envelopes.write_secrets(job, 60, self.double.export_key(
            vault=self.vault, name="cmk")["jwk"])
        sealed, second = self.all_sealed(job), self.new_version()
        faults = [self.double.inject({"retry_after": wait}, times=2, method="POST", skip=9 * number)
                  for number, wait in enumerate((0, 1, {"date": 1}, None, {"date": -5}))]
        faults.append(self.double.inject({"retry_after_ms": 200}, times=2, method="POST", skip=50))
        self.double.clear_log()
        result = self.rewrap(job)
        self.assertEqual((result["rewrapped"], result["kid"]), (61, second))
        self.assertEqual([self.double.hits(fault) for fault in faults], [2] * 6)
        most = self.double.counts()["most_in_flight"]["vault"]
        self.assertLessEqual(most, 8)
        self.assertGreater(most, 1, "several at a time")
        self.assertEqual(self.all_sealed(job), sealed)
        self.assertOpens(job, values)
        tokens = [each for each in self.double.log("authority") if each["method"] == "POST"]
        self.assertEqual(len(tokens), 1, "one token for all of them")


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(
            hashlib, "file_digest") else harness.digest_of(path)


def sha256_of_sealed(sealed):
    return hashlib.sha256(".".join(sealed).encode()).hexdigest()


if __name__ == "__main__":
    harness.main()
