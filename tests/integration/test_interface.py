"""What people and scripts read: JSON documents, errors of the command line, progress, status."""

import json
import os
import re
import shutil
import signal

import harness
from harness import MIB, Drive, wait_until, written_bytes

USAGE, BUSY, WRITE, VERIFICATION, SOURCE, INTERRUPTED = 2, 5, 6, 7, 8, 130
COMMANDS = (["init"], ["plan"], ["prepare"], ["verify"], ["status"], ["request"], ["key", "show"])
VOLUME_COMMANDS = (["info"], ["unlock"], ["ls"], ["cat"], ["extract"], ["export"], ["create"],
                   ["protectors", "add"], ["protectors", "remove"], ["protectors", "change"],
                   ["backup-metadata"], ["restore-metadata"])
KEYSTORE_COMMANDS = ("init", "create", "list", "new-version", "disable", "enable", "expire",
                     "delete", "recover", "purge")


class Interface(harness.Case):
    def small_job(self, **options):
        tree = self.env.directory("tree")
        harness.write_file(tree, "a.txt", b"a")
        return self.make_job(sources=[(tree + "/", "archive/")], **options)

    incomplete = None

    def incomplete_job(self):
        """A job whose drive is incomplete, for all tests: a source vanished behind the plan."""
        if Interface.incomplete is None:
            tree = self.env.directory("tree")
            harness.write_large(tree, "m/large", 8 * MIB, 1)
            last = harness.write_file(tree, "z/last.txt", b"z")
            job = self.make_job(sources=[(tree + "/", "archive/")], drives=[Drive()])
            process = job.start()
            # The plan is made, and nothing has been read yet.
            self.assertTrue(wait_until(lambda: written_bytes(job.image()) > 0, process))
            with harness.Stopped(process):
                os.remove(last)
            job.result = self.env.wait(process)
            self.assertEqual(job.result.status, SOURCE, job.result)
            Interface.incomplete = job
        return Interface.incomplete

    def arguments(self, command, job, drive="DISK0"):
        return [*command, job] + (["--drive", drive] if command == ["key", "show"] else [])

    def one_document(self, result):
        """The one JSON document that standard output holds, and nothing else."""
        document, end = json.JSONDecoder().raw_decode(result.out)
        self.assertEqual(result.out[end:].strip(), "", result)
        self.assertEqual(document["schema"], 1)
        return document

    def one_error(self, result, status, code):
        error = self.one_document(result)["error"]
        self.assertEqual((result.status, error["code"], error["exit"]), (status, code, status), result)
        for member in ("message", "remedy", "kind"):
            self.assertTrue(error[member], result)
        self.assertIn(error["message"].splitlines()[0], result.err)
        return error

    # --- JSON

    def test_every_command_prints_one_json_document(self):
        job = self.small_job()
        for command in COMMANDS:
            with self.subTest(command=command):
                result = self.run_ok(*self.arguments(command, job.root), "--json")
                document = self.one_document(result)
                self.assertEqual((document["job"], document["name"]), (job.root, job.name))
                for line in result.err.splitlines():
                    self.assertEqual(json.loads(line)["event"], "progress", result)

    def test_every_error_is_one_json_document(self):
        nowhere = self.env.path("nowhere")
        broken = self.small_job()
        broken.write("job.json", "{")
        for command in COMMANDS:
            with self.subTest(command=command):
                if command == ["init"]:
                    occupied = harness.write_file(self.env.directory("file"), "job", b"")
                    result = self.env.run("init", occupied, "--json")
                    self.assertIn("error", self.one_document(result))
                    self.assertNotEqual(result.status, 0)
                    continue
                result = self.env.run(*self.arguments(command, nowhere), "--json")
                self.one_error(result, USAGE, "job-directory-missing")
                result = self.env.run(*self.arguments(command, broken.root), "--json")
                self.one_error(result, USAGE, "json-syntax")

    def test_a_wrong_command_line_is_one_json_document_too(self):
        for arguments, code in ((["frobnicate"], "command-unknown"), (["plan"], "arguments"),
                                (["plan", "a", "--frobnicate"], "option-unknown")):
            with self.subTest(arguments=arguments):
                self.one_error(self.env.run(*arguments, "--json"), USAGE, code)

    # --- the command line

    def test_an_empty_path_is_a_usage_error(self):
        for command in COMMANDS:
            with self.subTest(command=command):
                error = self.one_error(self.env.run(*self.arguments(command, ""), "--json"), USAGE,
                                       "arguments")
                self.assertIn("path of the job directory is empty", error["message"])

    def test_a_misspelt_command_or_option_is_told_what_was_meant(self):
        for arguments, meant in ((["statis", "x"], "status"), (["key", "sow", "x"], "show"),
                                 (["prepare", "x", "--confrim", "D"], "--confirm"),
                                 (["plan", "x", "--jsn"], "--json")):
            with self.subTest(arguments=arguments):
                result = self.env.run(*arguments)
                self.assertEqual(result.status, USAGE, result)
                self.assertIn(f'Did you mean "{meant}"?', result.err)
                self.assertIn("--help", result.err)
        result = self.env.run("teleport")
        self.assertNotIn("Did you mean", result.err)
        self.assertIn("init, plan, prepare", result.err)

    def test_help_fits_a_terminal_and_says_what_is_written_where(self):
        for command in ([], ["drives"], ["test"], ["wipe"], ["report"], *COMMANDS,
                        *((["volume", *words]) for words in VOLUME_COMMANDS),
                        *((["keystore", word]) for word in KEYSTORE_COMMANDS)):
            with self.subTest(command=command):
                text = self.run_ok(*command, "--help").out
                self.assertLessEqual(max(map(len, text.splitlines())), 80, text)
                if command:
                    self.assertRegex(text, r"(?m)^Writes:\n  \S")
                    self.assertRegex(text, r"(?m)^Examples?:\n  \S")
        self.assertIn("Usage:", self.env.run().err)

    def test_an_option_does_not_swallow_the_job(self):
        job = self.small_job()
        self.run_ok("prepare", "--confirm", "DISK0", job.root)
        self.run_ok("verify", "--drive", "DISK0", job.root)

    def test_the_samples_and_messages_name_only_commands_that_exist(self):
        # The program holds the samples, and all of its messages.
        with open(harness.PROGRAM, "rb") as program:
            text = b"\n".join(re.findall(rb"[\x20-\x7e]{8,}", program.read())).decode()
        help_text = self.run_ok("--help").out
        named = set(re.findall(r'(?:"|run |Run |Next: |on: )driveprep ([a-z]+)(?: |"|$)', text))
        self.assertTrue(named)
        for command in named:
            self.assertRegex(help_text, rf"(?m)^  {command}\s", command)

    def test_a_result_that_cannot_be_written_is_an_error(self):
        job = self.small_job()
        with open("/dev/full", "wb") as full:
            result = self.env.run("plan", job.root, stdout=full)
        self.assertEqual(result.status, WRITE, result)
        self.assertIn("output-failed", result.err)

    # --- status

    def test_status_before_the_first_prepare_shows_every_drive_as_planned(self):
        job = self.small_job(drives=[Drive("DISK0"), Drive("DISK1")], make_images=False)
        before = harness.snapshot(job.root)
        document = self.run_ok("status", job.root, "--json").json()
        self.assertEqual([(d["id"], d["state"]) for d in document["drives"]],
                         [("DISK0", "planned"), ("DISK1", "planned")])
        self.assertIsNone(document["drives"][0]["planned_files"])
        self.assertIsNone(document["running"])
        text = self.run_ok("status", job.root).out
        self.assertRegex(text, r"(?m)^DISK1\s+planned\s")
        self.assertIn(f"driveprep prepare {job.root}", text)
        self.assertEqual(harness.snapshot(job.root), before)

    def test_status_tells_a_run_that_is_at_work_one_that_was_stopped_and_one_that_was_killed(self):
        tree = self.env.directory("tree")
        harness.write_large(tree, "large", 256 * MIB, 1)
        job = self.make_job(sources=[(tree + "/", "archive/")], drives=[Drive(size=340 * MIB)])
        process = job.start()
        self.assertTrue(wait_until(lambda: written_bytes(job.image()) > 40 * MIB, process))
        with harness.Stopped(process):
            document = self.run_ok("status", job.root, "--json").json()
            self.assertEqual((document["running"], document["next"]), (process.pid, None))
            self.assertIn(str(process.pid), self.run_ok("status", job.root).out)
        process.send_signal(signal.SIGINT)
        self.assertEqual(self.env.wait(process).status, INTERRUPTED)
        self.assert_status(job, "writing", "stopped by the operator", "driveprep prepare")
        process = job.start()
        self.assertTrue(wait_until(
            lambda: job.journal("SELECT detail FROM drive") == [("copying",)], process))
        process.kill()
        self.env.wait(process)
        if job.state() == "writing":
            self.assert_status(job, "writing", "interrupted while", "driveprep prepare")
        self.assertEqual(job.prepare().status, 0)
        self.assert_status(job, "finished", "verified 20", "driveprep request")
        shutil.rmtree(job.root)

    def assert_status(self, job, state, detail, command):
        document = self.run_ok("status", job.root, "--json").json()
        drive = document["drives"][0]
        self.assertEqual(drive["state"], state, document)
        self.assertIn(detail, drive["detail"])
        self.assertIsNone(document["running"])
        self.assertEqual(document["next"], f"{command} {job.root}")
        text = self.run_ok("status", job.root).out
        self.assertIn(detail, text)
        self.assertIn(f"Next: {command} {job.root}", text)

    def test_a_verification_that_was_stopped_claims_nothing(self):
        job = self.small_job()
        self.assertEqual(job.prepare().status, 0)
        process = self.env.start("verify", job.root, "--json")
        # It is open for the time that the unlocking takes, at least.
        self.assertTrue(wait_until(lambda: self.has_open(process, job.image()), process))
        process.send_signal(signal.SIGINT)
        result = self.env.wait(process)
        self.assertEqual(result.status, INTERRUPTED, result)
        drive = self.one_document(result)["drives"][0]
        self.assertEqual((drive["ok"], drive["stopped"], drive["error"]), (False, True, None), result)
        self.assert_status(job, "finished", "stopped by the operator", "driveprep request")
        self.run_ok("verify", job.root)
        self.assert_status(job, "finished", "verified 20", "driveprep request")

    @staticmethod
    def has_open(process, path):
        files = f"/proc/{process.pid}/fd"
        try:
            return any(os.path.realpath(os.path.join(files, fd)) == path for fd in os.listdir(files))
        except FileNotFoundError:
            return False

    def test_status_lists_the_sources_that_failed(self):
        job = self.incomplete_job()
        text = self.run_ok("status", job.root).out
        self.assertIn("Not copied to DISK0:", text)
        self.assertIn("(source-missing)", text)
        self.assertIn("Next: driveprep prepare", text)

    # --- verify

    def test_a_drive_that_is_not_finished_cannot_be_verified(self):
        job = self.incomplete_job()
        result = self.env.run("verify", job.root, "--json")
        self.assertEqual(result.status, USAGE, result)
        drive = self.one_document(result)["drives"][0]
        self.assertEqual((drive["ok"], drive["error"]["code"]), (False, "drive-not-finished"))
        self.assertIn("driveprep prepare", drive["error"]["remedy"])
        self.assertIn("incomplete", self.env.run("verify", job.root).out)

    def test_a_drive_without_files_is_no_success(self):
        job = self.small_job(drives=[Drive("DISK0"), Drive("DISK1")])
        self.assertEqual(job.prepare().status, 0)
        empty = next(d["id"] for d in job.status().values() if d["planned_files"] == 0)
        self.one_error(self.env.run("verify", job.root, "--json", "--drive", empty), USAGE,
                       "drive-not-needed")

    def test_an_image_that_is_away_says_nothing_about_the_drive(self):
        job = self.small_job()
        self.assertEqual(job.prepare().status, 0)
        os.rename(job.image(), job.path("away"))
        result = self.env.run("verify", job.root, "--json")
        self.assertEqual((result.status, result.json()["drives"][0]["error"]["code"]),
                         (BUSY, "image-vanished"))
        self.assertEqual(job.state(), "finished")
        os.rename(job.path("away"), job.image())
        with open(job.image(), "r+b") as image:
            image.seek(MIB)
            image.write(bytes(512))
        result = self.env.run("verify", job.root, "--json")
        self.assertEqual((result.status, result.json()["drives"][0]["error"]["code"]),
                         (VERIFICATION, "not-bitlocker"))
        self.assertEqual(job.state(), "failed")

    def test_what_was_compared_and_what_was_left_out_make_up_the_plan(self):
        tree = self.env.directory("tree")
        harness.write_file(tree, "disk.vhd", b"\0" * (20 * MIB) + b"data" * 128)
        job = self.make_job()
        job.write("dataset.csv", f"{harness.DATASET_HEADER}\n"
                                 f"{tree}/disk.vhd,vhds/disk.vhd,PageBlob,overwrite,None,None\n")
        self.assertEqual(job.prepare().status, 0)
        result = self.run_ok("verify", job.root, "--json")
        found = result.json()["drives"][0]["verification"]
        self.assertGreater(found["empty_bytes"], 15 * MIB)
        self.assertEqual(found["bytes"] + found["empty_bytes"], 20 * MIB + 512)
        self.assertIn("empty page blob ranges", self.run_ok("verify", job.root).out)

    # --- progress

    def test_plain_progress_claims_no_speed_at_the_start_of_a_phase(self):
        tree = self.env.directory("tree")
        harness.write_large(tree, "large", 512 * MIB, 1)  # long enough to be looked at
        job = self.make_job(sources=[(tree + "/", "archive/")], drives=[Drive(size=640 * MIB)])
        result = self.run_ok("prepare", job.root)
        shutil.rmtree(job.root)
        lines = result.err.splitlines()
        self.assertEqual(lines[-1].split(), ["DISK0", "done"])
        self.assertTrue(any("copying" in line or "verifying" in line for line in lines), result)
        for line in lines:
            self.assertNotIn("0 B/s", line)

    def test_progress_of_a_drive_that_ends_incomplete_says_so(self):
        job = self.incomplete_job()
        phases = [line.split()[1] for line in job.result.err.splitlines()]
        self.assertEqual(phases[-1], "incomplete", job.result)
        self.assertNotIn("failed", phases)

    def in_terminal(self, arguments, wait_for=None, then=b""):
        """Types `then` once `wait_for` is shown."""
        return self.env.terminal(arguments, [(wait_for.decode(), then)] if wait_for else [])

    def test_the_line_of_the_scan_is_erased(self):
        status, shown = self.in_terminal(["plan", self.small_job().root])
        self.assertEqual(status, 0, shown)
        before, found, after = shown.partition(b"scanning the sources")
        self.assertTrue(found, shown)
        last = after.rsplit(b"scanning", 1)[-1]
        self.assertRegex(last, rb"^[^\r\n]*\r\x1b\[2KDRIVE ")

    def test_ctrl_c_at_the_question_ends_the_program_and_nothing_is_written(self):
        job = self.small_job(drives=[Drive(prompt="PromptOnFormat")])
        with open(job.image(), "r+b") as image:
            image.seek(20 * MIB)
            image.write(b"precious")
        content = harness.digest_of(job.image())
        status, shown = self.in_terminal(["prepare", job.root], b"drive id", b"\x03")
        self.assertEqual(status, INTERRUPTED, shown)
        self.assertIn(b"stopped", shown)
        self.assertEqual(harness.digest_of(job.image()), content)
        for made in ("journal.db", "plan.db", ".lock"):
            self.assertFalse(os.path.exists(job.path(made)), made)

    def test_ctrl_c_while_drives_are_written_is_answered_on_the_screen(self):
        job = self.small_job()
        status, shown = self.in_terminal(["prepare", job.root], b"formatting", b"\x03")
        self.assertEqual(status, INTERRUPTED, shown)
        self.assertIn(b"stopping at the next checkpoint", shown)
        # What stays on the screen: the question of how to go on is answered, no stale line is left.
        self.assertIn(b"To go on: driveprep prepare", shown.rsplit(b"\x1b[J", 1)[-1])


if __name__ == "__main__":
    harness.main()
