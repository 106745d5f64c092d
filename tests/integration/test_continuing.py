"""Between two runs something is not as it was: nothing good is lost, and there is a way on."""

import fcntl
import os
import shutil
import signal
import sqlite3
import unittest

import harness
import volume as v
from harness import MIB, Drive, need, wait_until, written_bytes

NOT_CONFIRMED, BUSY, VERIFICATION, MISMATCH, KEY = 4, 5, 7, 11, 12


class Finished(harness.Case):
    """A finished drive whose image is not to be formatted without consent."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.tree = cls.env.directory("tree")
        for number in range(20):
            harness.write_file(cls.tree, f"{number}.txt", b"%d" % number * 50)
        harness.write_large(cls.tree, "large.bin", 12 * MIB, 1)
        cls.sources = [(cls.tree + "/", "archive/")]

    def finished_job(self, count=1):
        drives = [Drive(f"DISK{n}", size=96 * MIB, prompt="PromptOnFormat") for n in range(count)]
        job = self.make_job(sources=self.sources, drives=drives)
        result = job.prepare()
        self.assertEqual(result.status, 0, result)
        return job

    def envelope(self, job):
        with open(job.path("drives", "DISK0", "key.jwe.json"), "rb") as file:
            return file.read()

    def verification(self, job):
        return job.journal("SELECT result FROM verification WHERE drive = 'DISK0'")[0][0]

    def drive_error(self, result):
        return result.json()["drives"][0]["error"]

    # --- another image at the place of the drive

    def test_another_image_at_its_place_says_nothing_about_the_drive(self):
        job = self.finished_job()
        other = self.finished_job()
        envelope, image = self.envelope(job), job.image()
        os.rename(image, image + ".away")

        def empty():
            with open(image, "wb") as file:
                file.truncate(96 * MIB)

        for what, put in (("empty", empty),
                          ("another drive", lambda: shutil.copyfile(other.image(), image))):
            with self.subTest(what):
                put()
                result = self.env.run("verify", job.root, "--json")
                self.assertEqual(result.status, MISMATCH, result)
                self.assertEqual(self.drive_error(result)["code"], "image-not-the-one-begun")
                self.assertEqual(job.state(), "finished")
                self.assertEqual(self.verification(job), "ok")
                os.remove(image)
        os.rename(image + ".away", image)
        content = harness.digest_of(image)
        result = job.prepare()
        self.assertEqual(result.status, 0, result)
        self.assertEqual(result.json()["drives"], [], "nothing is left to be done")
        self.assertEqual(self.envelope(job), envelope)
        self.assertEqual(harness.digest_of(image), content)

    def test_a_drive_that_failed_its_verification_is_made_anew_only_with_consent(self):
        job = self.finished_job()
        volume = v.Volume(job.image(), 512)
        place = volume.offset + volume.metadata_offsets[2] + 100
        harness.flip(job.image(), place)
        result = self.env.run("verify", job.root, "--json")
        self.assertEqual(result.status, VERIFICATION, result)
        self.assertEqual(job.state(), "failed")
        envelope, content = self.envelope(job), harness.digest_of(job.image())
        result = job.prepare()
        self.assertEqual(result.status, NOT_CONFIRMED, result)
        self.assertEqual(result.error()["code"], "image-not-confirmed")
        self.assertIn("recovery password", result.error()["message"])
        # Even if the image at its place is empty: the envelope of the drive would go.
        os.rename(job.image(), job.image() + ".away")
        with open(job.image(), "wb") as file:
            file.truncate(96 * MIB)
        self.assertEqual(job.prepare().error()["code"], "image-not-confirmed")
        os.rename(job.image() + ".away", job.image())
        self.assertEqual(self.envelope(job), envelope)
        self.assertEqual(harness.digest_of(job.image()), content)
        # The damage was elsewhere after all: it is as good as before.
        harness.flip(job.image(), place)
        self.run_ok("verify", job.root)
        self.assertEqual((job.state(), self.verification(job)), ("finished", "ok"))

        harness.flip(job.image(), place)
        self.assertEqual(self.env.run("verify", job.root).status, VERIFICATION)
        result = job.prepare("--confirm", "DISK0")
        self.assertEqual(result.status, 0, result)
        self.assertEqual(job.state(), "finished")
        self.assertNotEqual(self.envelope(job), envelope)
        self.run_ok("verify", job.root)

    def test_a_read_error_is_reported_but_is_no_judgement(self):
        need("strace")
        job = self.finished_job()
        trace = self.env.path("trace")

        def verify_with(*options):
            return self.env.run("verify", job.root, "--json", prefix=(
                "strace", "-f", "-o", trace, "-P", job.image(), "-e", "trace=pread64", *options))

        if verify_with().status != 0:
            raise unittest.SkipTest("needs a strace that may trace")
        # Moments count in each thread for itself. The first read of a file is a trial of direct reading,
        # then comes the partition table; the first of the threads that compare is a block.
        for what, moment, expected in (("the partition table", 2, "read-failed"),
                                       ("a block", 1, "blocks-unreadable")):
            with self.subTest(what):
                result = verify_with("-e", f"inject=pread64:error=EIO:when={moment}")
                self.assertNotEqual(result.status, 0, result)
                self.assertEqual(self.drive_error(result)["code"], expected, result)
                self.assertEqual((job.state(), self.verification(job)), ("finished", "ok"))
        self.run_ok("verify", job.root)

    # --- one at a time

    def test_verify_and_prepare_do_not_use_one_image_at_once(self):
        job = self.finished_job()
        with open(job.image(), "rb") as image:
            fcntl.flock(image, fcntl.LOCK_EX)  # as prepare does
            result = self.env.run("verify", job.root, "--json")
            self.assertEqual(result.status, BUSY, result)
            self.assertEqual(self.drive_error(result)["code"], "image-busy")
            self.assertEqual((job.state(), self.verification(job)), ("finished", "ok"))
            fcntl.flock(image, fcntl.LOCK_SH)  # as another verify does
            self.run_ok("verify", job.root)
        process = self.env.start("verify", job.root, "--json")
        try:
            with open(job.image(), "rb") as image:
                def held():
                    try:
                        fcntl.flock(image, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    except BlockingIOError:
                        return True
                    fcntl.flock(image, fcntl.LOCK_UN)
                    return False
                self.assertTrue(wait_until(held, process), "verify keeps writers away")
        finally:
            self.env.wait(process)

    def test_a_finished_drive_without_its_envelope_says_what_is_lost(self):
        job = self.finished_job()
        envelope = job.path("drives", "DISK0", "key.jwe.json")
        os.rename(envelope, envelope + ".away")
        verify = self.env.run("verify", job.root, "--json")
        self.assertEqual(verify.status, KEY, verify)
        for error in (self.drive_error(verify),
                      self.env.run("key", "show", job.root, "--drive", "DISK0", "--json").error(),
                      self.env.run("request", job.root, "--reveal-keys", "--json").error()):
            self.assertEqual((error["code"], error["exit"]), ("envelope-missing", KEY))
            self.assertIn(envelope, error["message"])
            self.assertIn("recovery password", error["message"])
            self.assertIn("new job directory", error["remedy"])
        self.assertEqual((job.state(), self.verification(job)), ("finished", "ok"))
        self.assertEqual(job.prepare("--confirm", "DISK0").status, 0, "a finished drive stays")
        os.rename(envelope + ".away", envelope)
        self.run_ok("verify", job.root)

    def test_the_way_to_the_envelope_is_durable_before_the_drive_is_written(self):
        need("strace")
        job = self.make_job(sources=self.sources, drives=[Drive(size=96 * MIB)])
        trace = self.env.path("trace")
        store = os.path.realpath(self.env.directory("stores"))
        job.spec["encryption"]["keyStore"] = os.path.join(store, "a", "b", "keystore")
        job.write_spec()
        result = self.env.run("prepare", job.root, "--json", prefix=(
            "strace", "-f", "-y", "-o", trace, "-e",
            "trace=fsync,fdatasync,rename,renameat,renameat2,pwrite64,write"))
        if not os.path.exists(trace) or "strace: " in result.err:
            raise unittest.SkipTest("needs a strace that may trace")
        self.assertEqual(result.status, 0, result)
        with open(trace, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()

        def first(what, *parts):
            found = [n for n, line in enumerate(lines) if all(part in line for part in parts)]
            self.assertTrue(found, what)
            return found[0]
        root = os.path.realpath(job.root)
        written = first("the image is written", "write", f"<{root}/DISK0.img>")
        renamed = first("the envelope gets its name", "rename", "key.jwe.json")
        for directory in (root, f"{root}/drives", store, f"{store}/a", f"{store}/a/b"):
            self.assertLess(first(directory, "sync(", f"<{directory}>"), written)
        entries = [n for n, line in enumerate(lines)
                   if "sync(" in line and f"<{root}/drives/DISK0>" in line and n > renamed]
        self.assertTrue(entries and entries[0] < written, "the name of the envelope is durable")


class Unfinished(harness.Case):
    """A drive that was stopped in the middle of a large file, and copies of its job directory."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        tree = cls.env.directory("tree")
        for number in range(50):
            harness.write_file(tree, f"a/{number}.txt", b"small %d" % number)
        harness.write_large(tree, "m/large.bin", 300 * MIB, 1)
        drive = Drive(size=400 * MIB, prompt="PromptOnFormat")
        cls.job = harness.Job(cls.env, cls.env.directory("job"), sources=[(tree + "/", "archive/")],
                              drives=[drive])
        process = cls.job.start("--json")
        before = written_bytes(cls.job.image())
        wait_until(lambda: written_bytes(cls.job.image()) > before + 40 * MIB, process)
        process.send_signal(signal.SIGTERM)
        result = cls.env.wait(process)
        if result.status != 143:
            raise AssertionError(f"prepare could not be stopped in the middle: {result}")

    def copied_job(self):
        copy = self.env.directory("copy")
        v.run_ok("cp", "--archive", "--sparse=always", self.job.root + "/.", copy)
        job = object.__new__(harness.Job)
        job.__dict__.update(self.job.__dict__, root=copy)
        return job

    def volume_of(self, job):
        return job.status()["DISK0"]["volume"]["volume_guid"]

    def change_journal(self, job, statement):
        connection = sqlite3.connect(job.path("journal.db"))
        with connection:
            connection.execute(statement)
        connection.close()

    def lose_envelope(self, job):
        return job.path("drives", "DISK0", "key.jwe.json")

    def lose_redo(self, job):
        self.change_journal(job, "UPDATE checkpoint SET applied = 0")
        return job.path("drives", "DISK0", "redo")

    def lose_spool(self, job):
        return job.path("drives", "DISK0", "hashes.spool")

    def test_what_continuing_needs_can_be_restored_or_done_without_on_consent(self):
        for lose, code, status in ((self.lose_envelope, "envelope-missing", KEY),
                                   (self.lose_redo, "redo-missing", MISMATCH),
                                   (self.lose_spool, "hash-spool-short", MISMATCH)):
            with self.subTest(code):
                job = self.copied_job()
                volume = self.volume_of(job)
                file = lose(job)
                os.rename(file, file + ".away")
                for _ in range(2):
                    result = job.prepare()
                    self.assertEqual(result.status, status, result)
                    error = result.json()["drives"][0]["error"]
                    self.assertEqual(error["code"], code)
                    self.assertIn("--confirm DISK0", error["remedy"])
                    self.assertEqual(job.state(), "writing", "the drive itself has not failed")
                again = self.copied_job()
                os.remove(lose(again))

                os.rename(file + ".away", file)
                result = job.prepare("--confirm", "DISK0")
                self.assertEqual(result.status, 0, result)
                self.assertEqual(self.volume_of(job), volume, "it was continued")

                result = again.prepare("--confirm", "DISK0")
                self.assertEqual(result.status, 0, result)
                self.assertNotEqual(self.volume_of(again), volume, "it was started over")
                for finished in (job, again):
                    self.assertEqual(finished.state(), "finished")
                    self.run_ok("verify", finished.root)

    def test_a_damaged_spool_that_shows_only_at_the_end(self):
        job = self.copied_job()
        volume = self.volume_of(job)
        with open(job.path("drives", "DISK0", "hashes.spool"), "r+b") as spool:
            spool.seek(8 + 8)
            spool.write(b"\xff")  # a status that does not exist
        for _ in range(2):
            result = job.prepare()
            self.assertEqual(result.status, MISMATCH, result)
            error = result.json()["drives"][0]["error"]
            self.assertEqual(error["code"], "hash-spool-malformed")
            self.assertIn("--confirm DISK0", error["remedy"])
        result = job.prepare("--confirm", "DISK0")
        self.assertEqual(result.status, 0, result)
        self.assertNotEqual(self.volume_of(job), volume)

    def test_a_key_store_that_is_missing_is_not_made_anew(self):
        job = self.copied_job()
        before = harness.snapshot(job.path("drives"))
        os.rename(self.env.key_store, self.env.key_store + ".away")
        try:
            result = job.prepare()
            self.assertEqual(result.status, KEY, result)
            self.assertEqual(result.error()["code"], "key-store-missing")
            self.assertFalse(os.path.exists(self.env.key_store), "nothing was made")
            self.assertEqual(job.state(), "writing")
            self.assertEqual(harness.snapshot(job.path("drives")), before)

            # Another store there is not taken either.
            source = self.env.directory("source")
            harness.write_file(source, "file", b"content")
            self.assertEqual(self.make_job(sources=[(source + "/", "archive/")]).prepare().status, 0)
            result = job.prepare()
            self.assertEqual(result.status, KEY, result)
            self.assertEqual(result.error()["code"], "key-store-other")
            self.assertEqual(job.state(), "writing")
        finally:
            shutil.rmtree(self.env.key_store, ignore_errors=True)
            os.rename(self.env.key_store + ".away", self.env.key_store)
        result = job.prepare()
        self.assertEqual(result.status, 0, result)


if __name__ == "__main__":
    harness.main()
