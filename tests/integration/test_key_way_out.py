"""Damaged envelopes, lost records, a lost version, too many versions, deleted files: a job finds its
way out, or says what to do; nothing that still opens is lost, and no way leads around the rule about
going back."""

import json
import os

import envelopes
import harness
import vault_case
from harness import need, need_root
from vault_case import KEY

JOURNAL = ("journal.db", "journal.db-wal", "journal.db-shm")
TWO_DAYS = 2 * 86400




class WayOut(vault_case.VaultCase):
    def job_with(self, *names, **members):
        job = self.vault_job(**members)
        for name in names:
            self.wrap_secret(job, name, f"value of {name}")
        return job

    def path(self, job, name):
        return job.path("secrets", name + envelopes.SUFFIX)

    def load(self, job, name):
        with open(self.path(job, name), encoding="utf-8") as file:
            return json.load(file)

    def store(self, job, name, envelope):
        with open(self.path(job, name), "w", encoding="utf-8") as file:
            json.dump(envelope, file)

    def kids(self, job, name):
        return envelopes.kids(self.path(job, name))

    def opens(self, job, *names):
        for name in names:
            self.assertEqual(self.unwrap_secret(job, name), f"value of {name}")

    def forget(self, job, *files):
        for file in files:
            if os.path.exists(job.path(file)):
                os.remove(job.path(file))

    # --- damaged envelopes

    def swapped_fronts(self):
        """Two envelopes under two versions, whose newer recipients are those of each other."""
        job = self.job_with("a", "b")
        self.new_version()
        self.rewrap(job)
        a, b = self.load(job, "a"), self.load(job, "b")
        a["recipients"][0], b["recipients"][0] = b["recipients"][0], a["recipients"][0]
        self.store(job, "a", a)
        self.store(job, "b", b)
        return job

    def test_a_damaged_recipient_is_made_anew_from_an_older_one(self):
        job = self.swapped_fronts()
        self.opens(job, "a", "b")  # by the older one
        done = self.rewrap(job)
        self.assertEqual((done["rewrapped"], done["dropped"]), (2, 0))
        for name in "ab":
            self.assertEqual(len(self.kids(job, name)), 2)
        self.let_time_pass(job, TWO_DAYS)
        self.assertEqual(self.rewrap(job)["dropped"], 2)
        self.opens(job, "a", "b")

    def test_the_only_good_recipient_is_never_dropped(self):
        job = self.swapped_fronts()
        self.let_time_pass(job, TWO_DAYS)
        self.rewrap(job)
        self.opens(job, "a", "b")

    def test_recipients_of_another_envelope_are_not_wrapped_again(self):
        job = self.job_with("a", "b")
        a, b = self.load(job, "a"), self.load(job, "b")
        a["recipients"], b["recipients"] = b["recipients"], a["recipients"]
        self.store(job, "a", a)
        self.store(job, "b", b)
        self.new_version()
        before = [self.kids(job, name) for name in "ab"]
        self.refused(KEY, "envelope-not-opened", "key", "rewrap", job.root)
        self.assertEqual([self.kids(job, name) for name in "ab"], before)

    def test_envelopes_that_cannot_be_seen_stop_the_change(self):
        need_root()
        need("setpriv")
        job = self.job_with("a")
        self.new_version()
        hidden = job.path("drives", "DISK9")
        os.makedirs(hidden)
        os.chmod(hidden, 0)
        self.addCleanup(os.chmod, hidden, 0o700)
        without = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--inh-caps",
                   "-dac_override,-dac_read_search"]
        error = self.refused(KEY, "envelopes-unreadable", "key", "rewrap", job.root, prefix=without)
        self.assertIn(hidden, error["message"])
        os.chmod(hidden, 0o700)
        self.assertEqual(self.rewrap(job)["rewrapped"], 1)

    def test_a_symbolic_link_is_no_envelope(self):
        job = self.job_with("a", "b")
        moved = os.path.join(self.env.directory("elsewhere"), "b")
        os.rename(self.path(job, "b"), moved)
        os.symlink(moved, self.path(job, "b"))
        self.new_version()
        for command in (["rewrap"], ["unwrap-secret", "--name", "b"]):
            error = self.refused(KEY, "envelope-corrupt", "key", command[0], job.root, *command[1:])
            self.assertIn("symbolic link", error["message"])
        os.remove(self.path(job, "b"))
        os.rename(moved, self.path(job, "b"))
        self.assertEqual(self.rewrap(job)["envelopes"], 2)
        self.opens(job, "a", "b")

    def test_a_drive_without_its_envelope_is_told(self):
        job = self.job_with_a_file()
        self.assertEqual(job.prepare().status, 0)
        os.rename(job.path("drives", "DISK0", "key.jwe.json"), job.path("kept"))
        self.new_version()
        self.assertIn("DISK0", " ".join(self.rewrap(job)["warnings"]))
        os.rename(job.path("kept"), job.path("drives", "DISK0", "key.jwe.json"))
        self.assertEqual(self.rewrap(job)["rewrapped"], 1)

    # --- versions

    def test_more_versions_than_an_envelope_takes(self):
        job = self.job_with("a")
        for _ in range(7):
            self.new_version()
            self.rewrap(job)
        self.new_version()
        error = self.refused(KEY, "envelope-recipients", "key", "rewrap", job.root)
        self.assertRegex(error["remedy"], r"after \d{4}-\d\d-\d\dT")
        self.assertEqual(self.key_status(job)["state"], "ok")  # nothing was begun
        self.opens(job, "a")
        self.wrap_secret(job, "b", "value of b")
        self.let_time_pass(job, TWO_DAYS)
        self.assertEqual(self.rewrap(job)["rewrapped"], 2)
        self.opens(job, "a", "b")

    def test_versions_that_are_followed_by_themselves_never_fill_an_envelope(self):
        job = self.job_with("a")
        for number in range(11):
            self.new_version()
            self.let_time_pass(job, TWO_DAYS)
            self.wrap_secret(job, f"s{number}", "x")
        self.assertLessEqual(len(self.kids(job, "a")), 8)
        self.opens(job, "a")

    def lost_on_the_way(self):
        """A re-wrap to the newest version was killed, and that version is disabled now."""
        job = self.job_with("a", "b")
        first = self.kids(job, "a")[0]
        second = self.new_version()
        self.kill(["key", "rewrap", job.root], lambda: self.key_status(job)["state"] == "inconsistent")
        self.double.set_key(vault=self.vault, name="cmk", version=second.rsplit("/")[-1],
                            enabled=False)
        return job, first

    def test_a_followed_version_that_is_lost_on_the_way_is_given_up(self):
        job, first = self.lost_on_the_way()
        done = self.rewrap(job)
        self.assertEqual(done["kid"], first)
        self.assertIn("disabled", done["newer_unused"])
        self.assertEqual(self.key_status(job)["state"], "ok")
        self.opens(job, "a", "b")

    def test_a_followed_version_that_is_lost_on_the_way_gives_room_to_a_newer_one(self):
        job, _ = self.lost_on_the_way()
        third = self.new_version()
        self.assertEqual(self.rewrap(job)["kid"], third)
        self.opens(job, "a", "b")

    def test_the_key_before_can_be_set_instead(self):
        job, first = self.lost_on_the_way()
        self.run_ok("key", "set", job.root, "--key-url", first)
        status = self.key_status(job)
        self.assertEqual((status["state"], status["current_kid"]), ("ok", first))
        self.opens(job, "a", "b")

    def test_a_newest_version_of_which_the_vault_tells_only_that_it_is_disabled(self):
        job = self.job_with("a")
        first = self.kids(job, "a")[0]
        self.new_version(enabled=False)
        self.double.set_vault(vault=self.vault, get_of_disabled=403)
        self.let_time_pass(job, TWO_DAYS)
        result = self.wrap_secret(job, "b", "value of b")
        self.assertIn("disabled", result.err)
        self.assertEqual(self.kids(job, "b"), [first])
        self.assertEqual(self.key_status(job)["state"], "ok")
        looks = len(self.requests(method="GET", path="/keys/cmk"))
        self.wrap_secret(job, "c", "value of c")
        self.assertEqual(len(self.requests(method="GET", path="/keys/cmk")), looks)
        self.assertIn("disabled", self.rewrap(job)["newer_unused"])

    def test_a_disabled_key_hands_over_to_no_other_key(self):
        job = self.job_with("a")
        first = self.kids(job, "a")[0]
        second = self.new_version()
        self.rewrap(job)
        self.double.set_key(vault=self.vault, name="cmk", version=second.rsplit("/")[-1],
                            enabled=False)
        self.double.create_key(vault=self.vault, name="other")
        other = f"https://{self.vault}/keys/other"
        self.refused(KEY, "CmkErrorKeyDisabled", "key", "set", job.root, "--key-url", other)
        self.assertEqual(self.key_status(job)["state"], "revoked")
        # The way back to the older version, which is over the envelope still, is open.
        self.run_ok("key", "set", job.root, "--key-url", first)
        self.run_ok("key", "set", job.root, "--key-url", other)
        self.opens(job, "a")

    # --- records

    def test_what_a_killed_run_has_done_is_recorded_by_the_next(self):
        names = [f"s{number}" for number in range(24)]
        job = self.job_with(*names)
        second = self.new_version()

        def done():
            return [name for name in names if self.kids(job, name)[0] == second]
        self.kill(["key", "rewrap", job.root], done)
        self.assertLess(len(done()), len(names))
        self.rewrap(job)
        told = [event["details"] for event in self.events(job, "key-rewrapped")]
        self.assertEqual({each["envelope"] for each in told},
                         {name + envelopes.SUFFIX for name in names})
        for each in told:
            self.assertEqual((each["to"], each["verified"]), (second, True))
            self.assertEqual(each["sealed_before"], each["sealed_after"])
            self.assertRegex(each["old_key_needed_until"], r"^\d{4}-\d\d-\d\dT")
        count = len(told)
        self.rewrap(job)  # and not again
        self.assertEqual(len(self.events(job, "key-rewrapped")), count)
        self.let_time_pass(job, TWO_DAYS)
        self.kill(["key", "rewrap", job.root], lambda: any(len(self.kids(job, name)) == 1 for name in names))
        self.rewrap(job)
        dropped = {event["details"]["envelope"] for event in self.events(job, "key-dropped")}
        self.assertEqual(dropped, {name + envelopes.SUFFIX for name in names})

    # --- the rule about going back

    def test_deleting_state_and_journal_and_naming_another_service_leads_nowhere(self):
        job = self.job_with("a")
        self.forget(job, "key-state.json", *JOURNAL)
        job.spec["encryption"]["profile"] = "data-box"
        job.write_spec()
        refused = ("key", "set", job.root, "--local")
        self.refused(KEY, "KwCannotRevertToManagedKey", *refused)
        self.run_ok("key", "set", job.root)
        self.refused(KEY, "KwCannotRevertToManagedKey", *refused)
        self.forget(job, *JOURNAL)
        self.edit_state(job, lambda state: state.update(profile="data-box"))
        self.run_ok("key", "rewrap", job.root)
        self.refused(KEY, "KwCannotRevertToManagedKey", *refused)
        job.spec["encryption"]["profile"] = "import-export"
        for member in ("keyUrl", "vaultResourceId"):
            job.spec["encryption"].pop(member)
        job.write_spec()
        self.forget(job, "key-state.json", *JOURNAL)
        self.refused(KEY, "KwCannotRevertToManagedKey", "key", "wrap-secret", job.root, "--name",
                     "n", given=b"x")

    def test_a_data_box_job_goes_back_and_forth(self):
        job = self.job_with("a", profile="data-box")
        for _ in range(2):
            self.run_ok("key", "set", job.root, "--local")
            self.assertTrue(self.kids(job, "a")[0].startswith("keystore://"))
            self.run_ok("key", "set", job.root, "--key-url", self.key)
            self.assertTrue(self.kids(job, "a")[0].startswith("https://"))
        self.opens(job, "a")


if __name__ == "__main__":
    harness.main()
