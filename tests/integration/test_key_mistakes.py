"""Everyday mistakes with keys: a descriptor that nobody opened, an empty variable, a misspelt key, a
file that was cut and pasted together, a change back and forth. Each is told, and does no harm."""

import json
import os

import envelopes
import harness
import vault_case
from vault_case import KEY, USAGE

DAY = 86400


class Mistakes(vault_case.VaultCase):
    def file(self, job, name="unlock"):
        return job.path("secrets", name + envelopes.SUFFIX)

    def text(self, job, name="unlock"):
        with open(self.file(job, name), encoding="utf-8") as file:
            return file.read()

    def put(self, job, text, name="unlock"):
        with open(self.file(job, name), "w", encoding="utf-8") as file:
            file.write(text)

    def job_with_secret(self):
        job = self.vault_job()
        self.wrap_secret(job)
        return job

    def test_a_descriptor_that_nobody_opened_is_not_read(self):
        """By the time of the sign-in its number belongs to the journal, or to a connection."""
        for number in range(3, 12):
            job = self.vault_job()
            job.spec["encryption"]["credential"]["clientSecretFile"] = f"/dev/fd/{number}"
            job.write_spec()
            finding = self.unfit(job, "KwCredentialInvalid")
            self.assertIn("started without it", finding["message"])
            error = self.refused(KEY, "KwCredentialInvalid", "key", "wrap-secret", job.root,
                                 "--name", "a", given=b"x")
            self.assertIn(f"/dev/fd/{number}", error["message"])

    def test_a_key_of_a_volume_is_not_read_from_the_programs_own_files_either(self):
        image = self.env.path("volume.img")
        with open(image, "wb") as file:
            file.truncate(64 * harness.MIB)
        for number in range(3, 8):
            error = self.refused(KEY, "key-file", "volume", "ls", image, "/",
                                 "--recovery-password-file", f"/dev/fd/{number}")
            self.assertIn("started without", error["message"])

    def test_re_wrapping_a_new_job_of_the_local_key_has_nothing_to_do(self):
        job = self.make_job()
        result = self.run_ok("key", "rewrap", job.root, "--json").json()
        self.assertEqual((result["changed"], result["envelopes"]), (False, 0))
        self.assertIn("Nothing is wrapped yet", self.run_ok("key", "rewrap", job.root).out)

    def test_a_key_that_was_refused_says_nothing_about_the_key_in_use(self):
        job = self.job_with_secret()
        self.double.create_key(vault=self.vault, name="off")
        self.double.set_key(vault=self.vault, name="off", enabled=False)
        for name in ("misspelt", "off"):
            self.assertEqual(self.env.run("key", "set", job.root, "--key-url",
                                          f"https://{self.vault}/keys/{name}").status, KEY)
            self.assertEqual(self.key_status(job)["state"], "ok")
        self.double.set_key(vault=self.vault, name="cmk", enabled=False)
        self.assertEqual(self.env.run("key", "unwrap-secret", job.root, "--name", "unlock").status,
                         KEY)
        self.assertEqual(self.key_status(job)["state"], "revoked")

    def test_an_empty_value_is_not_the_absence_of_a_value(self):
        job = self.job_with_secret()
        before = self.text(job)
        code = self.check(job, "--key-url", "nonsense")[1]["code"]
        self.unfit(job, code, None, "--key-url", "")
        for arguments in (["set", job.root, "--key-url", ""], ["set", job.root, "--identity", ""]):
            result = self.env.run("key", *arguments, "--json")
            self.assertNotEqual(result.status, 0, result)
        self.refused(USAGE, "audit-head", "key", "audit", job.root, "--head", "")
        self.assertEqual(self.text(job), before)

    def test_what_comes_behind_a_nul_or_before_the_text_is_not_ignored(self):
        job = self.job_with_secret()
        whole = self.text(job)
        for text in (whole + "\0", whole + '\0{"tag":"x"}', "\ufeff" + whole):
            self.put(job, text)
            self.refused(KEY, "envelope-corrupt", "key", "unwrap-secret", job.root, "--name", "unlock")
        self.put(job, whole)
        self.assertEqual(self.unwrap_secret(job), "open sesame")
        job.write("job.json", json.dumps(job.spec) + "\0")
        error = self.refused(USAGE, "json-syntax", "key", "status", job.root)
        self.assertIn("NUL", error["message"])

    def test_a_recipient_that_somebody_added_is_told_and_kept_out_of_the_changes(self):
        job = self.job_with_secret()
        envelope = json.loads(self.text(job))
        stranger = "https://evil.example.org/keys/k/" + "0" * 32
        envelope["recipients"].append(
            {"header": {"alg": "RSA-OAEP-256", "kid": stranger},
             "encrypted_key": envelope["recipients"][0]["encrypted_key"]})
        self.put(job, json.dumps(envelope))
        self.new_version()
        result = self.rewrap(job)
        self.assertIn(stranger, " ".join(result["warnings"]))
        self.assertNotIn(stranger, [each["old_kid"] for each in self.key_status(job)["rotations"]])
        self.assertEqual(self.unwrap_secret(job), "open sesame")

    def test_an_envelope_under_a_stranger_alone_is_told_in_the_words_of_its_kind(self):
        job = self.job_with_secret()
        whole = json.loads(self.text(job))
        for kid, words in (("https://evil.example.org/keys/k/" + "0" * 32, "cloud"),
                           ("pkcs11:token=t;object=x", "token")):
            envelope = json.loads(json.dumps(whole))
            envelope["recipients"][0]["header"]["kid"] = kid
            self.put(job, json.dumps(envelope))
            error = self.refused(KEY, "envelope-key-foreign", "key", "unwrap-secret", job.root,
                                 "--name", "unlock")
            self.assertIn(words, error["remedy"])

    def test_no_secret_is_wrapped_without_a_record(self):
        job = self.vault_job()
        self.wrap_secret(job, "first")
        harness.need("strace")
        harness.need_not_instrumented("a process under strace")
        calls = "rename,renameat,renameat2,fsync,fdatasync"
        for number in range(1, 60):
            name = f"late-{number}"
            result = self.env.run(
                "key", "wrap-secret", job.root, "--name", name, given=b"x",
                prefix=["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}",
                        "-e", f"inject={calls}:signal=SIGKILL:when={number}"])
            wrapped = [each["details"]["envelope"] for each in self.events(job, "secret-wrapped")]
            self.assertTrue(name in wrapped or not os.path.exists(self.file(job, name)), number)
            if result.status == 0:
                break
        self.assertGreater(number, 3, "it was never killed")
        self.assertIn(name, wrapped)

    def test_back_and_forth_calls_no_key_dropped_that_is_in_use(self):
        job = self.job_with_secret()
        first = json.loads(self.text(job))["recipients"][0]["header"]["kid"]
        second = self.new_version()
        for kid in (second, first, second):
            self.run_ok("key", "set", job.root, "--key-url", kid)
            self.let_time_pass(job, 3600)
        self.let_time_pass(job, 23 * 3600)
        self.run_ok("key", "rewrap", job.root)
        there = envelopes.kids(self.file(job))
        for rotation in self.key_status(job)["rotations"]:
            if rotation["old_kid"] in there:
                self.assertNotIn("old_key_dropped", rotation)
        self.assertIn("in use again", self.run_ok("key", "status", job.root).out)
        self.let_time_pass(job, 2 * DAY)
        self.rewrap(job)
        self.assertEqual(envelopes.kids(self.file(job)), [second])
        dropped = {each["old_kid"] for each in self.key_status(job)["rotations"]
                   if "old_key_dropped" in each}
        self.assertEqual(dropped, {first})

    def test_a_token_that_cannot_be_reached_is_a_finding(self):
        job = self.vault_job()
        for url in ("pkcs11:token=t;object=x", "pkcs11:token=t;object=x?module-path=/nowhere.so"):
            status, document = self.check(job, "--key-url", url)
            self.assertEqual((status, document["fit"]), (KEY, False), document)
            self.assertTrue(document["findings"][0]["code"].startswith("token-"), document)

    def test_an_identity_is_the_same_in_capitals(self):
        name = ("/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/"
                "Microsoft.ManagedIdentity/userAssignedIdentities/agent")
        job = self.vault_job(identity={"type": "UserAssigned", "userAssignedIdentityId": name})
        self.wrap_secret(job)
        result = self.run_ok("key", "set", job.root, "--identity", name.upper(), "--json").json()
        self.assertFalse(result["changed"], result)

    def test_bodies_made_with_the_former_key_are_told(self):
        job = self.job_with_secret()
        self.double.create_key(vault=self.vault, name="other")
        harness.write_file(job.root, "requests/databox.json", b"{}")
        result = self.run_ok("key", "set", job.root, "--key-url",
                             f"https://{self.vault}/keys/other")
        self.assertIn("driveprep request", result.err)


if __name__ == "__main__":
    harness.main()
