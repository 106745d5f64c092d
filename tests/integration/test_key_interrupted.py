"""Killed, out of space or not allowed to write at any step of a re-wrap: every envelope still opens
with a key that it names, and the next run finishes."""

import itertools
import os
import shutil
import signal
import unittest

import envelopes
import harness
import vault_case
import volume as v
from harness import need, need_root, wait_until

BUSY, WRITE = 5, 6
KNOWN = {"job.json", "dataset.csv", "driveset.csv", "journal.db", "journal.db-wal",
         "journal.db-shm", "key-state.json", "audit-head.json"}
DAY = 24 * 3600
# Steps of a run that leave a trace in the file system, as system calls.
STEPS = {"rename": "rename", "make durable": "fsync,fdatasync", "write": "write,pwrite64",
         "remove": "unlink,ftruncate"}
MOST = 200  # more steps than this has no run


class Interrupted(vault_case.VaultCase):
    """A template of a job is made once and copied for each interruption."""

    SECRETS = 3

    def setUp(self):
        super().setUp()
        self.template = self.make_job(make_images=False)
        self.template.spec["location"] = "West Europe"

    def begin_in_vault(self):
        """Envelopes under the first version; there is a second one."""
        self.template.spec["encryption"] = self.encryption()
        self.template.write_spec()
        self.wrap_secret(self.template, "first", "value of first")
        self.values = {"first": "value of first", **envelopes.write_secrets(
            self.template, self.SECRETS - 1, self.double.export_key(
                vault=self.vault, name="cmk")["jwk"])}
        self.old = self.double.export_key(vault=self.vault, name="cmk")["kid"]
        self.new = self.new_version()
        self.learn_keys()

    def begin_locally(self):
        """Envelopes under a key of this machine; job.json names the vault's."""
        self.values = {}
        for name in ("a", "b", "c"):
            self.values[name] = f"value of {name}"
            self.wrap_secret(self.template, name, self.values[name])
        (self.old,) = envelopes.kids(self.template.path("secrets", "a.jwe.json"))
        self.template.spec["encryption"] = self.encryption()
        self.template.write_spec()
        self.new = self.double.export_key(vault=self.vault, name="cmk")["kid"]
        self.learn_keys()

    def learn_keys(self):
        """The private keys of old and new, once for all interruptions."""
        self.keys = {}
        for kid in (self.old, self.new):
            if kid.startswith("keystore:"):
                key = envelopes.local_key(self.env.key_store, kid)
            else:
                key = self.double.export_key(vault=self.vault, name="cmk",
                                             version=kid.split("/")[-1])["pem"]
            self.keys[kid] = envelopes.Opener(key)
        self.sealed = {name: envelopes.sealed(self.template.path("secrets", name + ".jwe.json"))
                       for name in self.values}

    def copy(self, root=None):
        job = harness.Job.__new__(harness.Job)
        job.__dict__.update(self.template.__dict__)
        job.root = root or self.env.path(f"copy-{next(self.env.names)}")
        shutil.copytree(self.template.root, job.root, dirs_exist_ok=True)
        return job

    def assertEveryEnvelopeOpens(self, job):
        for name, value in self.values.items():
            path = job.path("secrets", name + ".jwe.json")
            with open(path, encoding="utf-8") as file:
                text = file.read()
            self.assertEqual(envelopes.sealed(path), self.sealed[name])
            for kid in envelopes.kids(path):  # whichever of them: all work
                self.assertEqual(self.keys[kid].open(text, kid)["value"], value, name)

    def finish(self, job, command="rewrap"):
        """The next run ends what was begun, and leaves nothing behind but what belongs there."""
        result = self.run_ok("key", command, job.root, "--json").json()
        self.assertEqual(result["kid"], self.new)
        self.assertEveryEnvelopeOpens(job)
        for name in self.values:
            self.assertEqual(envelopes.kids(job.path("secrets", name + ".jwe.json"))[0], self.new)
        status = self.key_status(job)
        self.assertEqual((status["state"], status["current_kid"]), ("ok", self.new))
        self.assertNotIn("obstacle", status)
        left = set(harness.files_below(job.root)) - KNOWN
        self.assertEqual(left, {f"secrets/{name}.jwe.json" for name in self.values})
        self.events(job, "key-rewrapped")  # the chain is whole
        return status

    def interrupted_at(self, step, command, how="signal=SIGKILL", **options):
        """Runs on a copy and interrupts the n-th step of a kind, for every n that there is."""
        for number in itertools.count(1):
            self.assertLess(number, MOST, "the run ends")
            job = self.copy()
            result = self.env.run(
                *command, job.root, prefix=("strace", "-f", "-qq", "-o", "/dev/null", "-e",
                                            f"trace={STEPS[step]}", "-e",
                                            f"inject={STEPS[step]}:{how}:when={number}"))
            yield number, job, result
            shutil.rmtree(job.root)

    def killed_at(self, step, command=("key", "rewrap"), then="rewrap"):
        need("strace")
        kills = 0
        for number, job, result in self.interrupted_at(step, command):
            with self.subTest(step=step, number=number):
                self.assertEveryEnvelopeOpens(job)
                if result.status == 0:
                    break
                self.assertEqual(result.status, -signal.SIGKILL, result)
                kills += 1
                self.finish(job, then)
        print(f"killed at {kills} steps of the kind \"{step}\"", flush=True)
        return kills


class Killed(Interrupted):
    def test_at_each_rename(self):
        self.begin_in_vault()
        self.assertGreaterEqual(self.killed_at("rename"), 3)

    def test_whenever_something_is_made_durable(self):
        self.begin_in_vault()
        self.assertGreaterEqual(self.killed_at("make durable"), 6)

    def test_at_each_write(self):
        self.begin_in_vault()
        self.assertGreaterEqual(self.killed_at("write"), 6)

    def test_whenever_something_is_removed(self):
        self.begin_in_vault()
        self.assertGreaterEqual(self.killed_at("remove"), 1)

    def test_at_each_request_to_the_vault(self):
        self.begin_in_vault()
        for number in itertools.count():
            self.assertLess(number, MOST)
            job = self.copy()
            fault = self.double.inject({"delay": 1}, skip=number)
            process = self.env.start("key", "rewrap", job.root)
            reached = wait_until(lambda: self.double.hits(fault), process, interval=0.01)
            process.kill()
            process.communicate()
            self.double.clear_faults()
            with self.subTest(request=number):
                self.assertEveryEnvelopeOpens(job)
                if not reached:
                    break
                self.finish(job)
            shutil.rmtree(job.root)
        print(f"killed at {number} requests", flush=True)
        # One look and its trial, the old key, and three for each envelope.
        self.assertGreaterEqual(number, 4 + 3 * self.SECRETS)

    def test_on_the_way_to_a_customers_key(self):
        self.begin_locally()
        for step in ("rename", "make durable"):
            self.killed_at(step, ("key", "set"), then="set")

    def test_on_the_way_to_a_customers_key_which_rewrap_finishes(self):
        self.begin_locally()
        need("strace")
        begun = 0
        for number, job, result in self.interrupted_at("rename", ("key", "set")):
            if result.status == 0:
                break
            if self.key_status(job)["state"] != "inconsistent":
                continue  # nothing was begun, or all is done
            begun += 1
            status = self.finish(job)
            self.assertEqual([each["old_kid"] for each in status["rotations"]], [self.old], number)
        self.assertGreater(begun, 1)

    def test_while_old_recipients_are_dropped(self):
        self.begin_in_vault()
        self.rewrap(self.template)
        self.let_time_pass(self.template, DAY)
        for step in ("rename", "make durable"):
            self.assertGreaterEqual(self.killed_at(step), 2)
        job = self.copy()
        self.assertEqual(self.rewrap(job)["dropped"], self.SECRETS)

    def test_while_a_secret_is_wrapped(self):
        need("strace")
        self.begin_in_vault()
        number = 0
        for number in itertools.count(1):
            job = self.copy()
            result = self.env.run(
                "key", "wrap-secret", job.root, "--name", "late", given=b"late",
                prefix=("strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=rename,fsync", "-e",
                        f"inject=rename,fsync:signal=SIGKILL:when={number}"))
            self.assertEveryEnvelopeOpens(job)
            if result.status == 0:
                break
            self.wrap_secret(job, "late", "late", "--replace")
            self.assertEqual(self.unwrap_secret(job, "late"), "late")
            os.remove(job.path("secrets", "late.jwe.json"))
            self.finish(job)
            shutil.rmtree(job.root)
        self.assertGreater(number, 2)


class NoSpace(Interrupted):
    def test_each_step_that_fails_for_lack_of_space(self):
        need("strace")
        self.begin_in_vault()
        failed = 0
        for step in ("rename", "make durable", "write"):
            for number, job, result in self.interrupted_at(step, ("key", "rewrap"),
                                                           "error=ENOSPC"):
                with self.subTest(step=step, number=number):
                    self.assertEveryEnvelopeOpens(job)
                    self.assertGreaterEqual(result.status, 0, "it ends by itself")
                    self.finish(job)
                failed += result.status != 0
                if result.status == 0 and number > 30:
                    break
        self.assertGreater(failed, 10)

    def mounted(self, size):
        need_root()
        point = self.env.directory("small")
        if v.run("mount", "-t", "tmpfs", "-o", f"size={size}", "none", point).returncode != 0:
            raise unittest.SkipTest("needs the right to mount")
        self.addCleanup(v.run_ok, "umount", "-l", point)
        return point

    def test_a_disk_that_runs_full_on_the_way(self):
        self.SECRETS = 10
        self.begin_in_vault()
        point = self.mounted("2m")
        stopped = set()
        for spare in range(0, 180, 16):  # KiB
            root = os.path.join(point, "job")
            job = self.copy(root)
            filler = os.path.join(point, "filler")
            facts = os.statvfs(point)
            with open(filler, "wb") as file:
                file.write(bytes(max(0, facts.f_bavail * facts.f_frsize - spare * 1024)))
            result = self.env.run("key", "rewrap", job.root, "--json")
            stopped.add(result.status)
            with self.subTest(spare=spare):
                self.assertEveryEnvelopeOpens(job)
                if result.status != 0:
                    self.assertEqual(result.status, WRITE, result)
                    self.assertTrue(result.error()["remedy"])
                os.remove(filler)
                self.finish(job)
            shutil.rmtree(root)
        self.assertEqual(stopped, {0, WRITE})

    def test_a_directory_that_may_not_be_written(self):
        self.begin_in_vault()
        point = self.mounted("8m")
        job = self.copy(os.path.join(point, "job"))
        before = harness.snapshot(job.root)
        v.run_ok("mount", "-o", "remount,ro", point)
        result = self.env.run("key", "rewrap", job.root, "--json")
        self.assertEqual(result.status, WRITE, result)
        self.assertEqual(harness.snapshot(job.root), before)
        self.key_status(job)
        v.run_ok("mount", "-o", "remount,rw", point)
        self.finish(job)

    def test_only_the_envelopes_may_not_be_written(self):
        self.begin_in_vault()
        point = self.mounted("8m")
        job = self.copy(os.path.join(point, "job"))
        secrets = job.path("secrets")
        v.run_ok("mount", "--bind", secrets, secrets)
        try:
            v.run_ok("mount", "-o", "remount,bind,ro", secrets)
            result = self.env.run("key", "rewrap", job.root, "--json")
            self.assertEqual(result.status, WRITE, result)
            self.assertEveryEnvelopeOpens(job)
            self.assertEqual(self.key_status(job)["state"], "inconsistent")
        finally:
            v.run_ok("umount", secrets)
        self.finish(job)


class TwoAtOnce(Interrupted):
    def test_the_second_is_told_who_is_at_work(self):
        self.begin_in_vault()
        job = self.copy()
        fault = self.double.inject({"delay": 3}, path="/unwrapkey$", skip=4)
        first = self.env.start("key", "rewrap", job.root, "--json")
        self.assertTrue(wait_until(lambda: self.double.hits(fault), first, interval=0.01))
        for command in (["rewrap"], ["set"], ["wrap-secret", "--name", "x"],
                        ["unwrap-secret", "--name", "first"]):
            result = self.env.run("key", command[0], job.root, *command[1:], "--json", given=b"x")
            self.assertEqual((result.status, result.error()["code"]), (BUSY, "job-busy"), result)
            self.assertIn(str(first.pid), result.err)
        self.key_status(job)
        self.assertIsNone(first.poll(), "it is still at work")
        self.assertEqual(self.env.wait(first).status, 0)
        self.finish(job)

    def test_several_that_begin_together(self):
        self.SECRETS = 12
        self.begin_in_vault()
        for _ in range(3):
            job = self.copy()
            runs = [self.env.start("key", "rewrap", job.root, "--json") for _ in range(4)]
            results = [self.env.wait(run) for run in runs]
            self.assertIn(0, [each.status for each in results])
            for result in results:
                self.assertIn(result.status, (0, BUSY), result)
            self.finish(job)
            rewrapped = [event["details"]["envelope"] for event in
                         self.events(job, "key-rewrapped")]
            self.assertEqual(sorted(rewrapped), sorted(set(rewrapped)), "none of them twice")


if __name__ == "__main__":
    harness.main()
