"""The commands as a user and a script meet them: help, JSON, prompts, locks, repetition."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import unittest

import harness
import volume as v
from harness import MIB, Drive, need_root, wait_until, written_bytes

NOT_CONFIRMED, BUSY, VERIFICATION = 4, 5, 7


class Commands(harness.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.tree = harness.make_tree(cls.env.path("tree"))
        cls.sources = [(cls.tree + "/", "archive/")]
        cls.finished = harness.Job(cls.env, cls.env.directory("job"), sources=cls.sources,
                                   drives=[Drive("DISK0"), Drive("DISK1", sector=4096)])
        cls.first_run = cls.finished.prepare()

    def setUp(self):
        self.assertEqual(self.first_run.status, 0, self.first_run)

    def small_job(self, **options):
        tree = self.env.directory("tree")
        harness.write_file(tree, "a.txt", b"a")
        return self.make_job(sources=[(tree + "/", "archive/")], **options)

    # --- help and output

    def test_help_of_every_command_has_an_example(self):
        for command in (["init"], ["plan"], ["prepare"], ["verify"], ["status"], ["request"],
                        ["key", "show"]):
            with self.subTest(command=command):
                text = self.run_ok(*command, "--help").out
                self.assertRegex(text, rf"Example:\n\s+driveprep {' '.join(command)} \S")
                self.assertIn("--json", text)
        text = self.run_ok("--help").out
        for command in ("init", "plan", "prepare", "verify", "status", "request", "key"):
            self.assertRegex(text, rf"(?m)^\s+{command}\s")
        self.assertRegex(self.run_ok("--version").out, r"^driveprep \d+\.\d+\.\d+\n$")

    def test_init_writes_samples_that_plan_understands_and_leaves_what_is_there(self):
        root = self.env.path("fresh")
        result = self.run_ok("init", root, "--json").json()
        self.assertEqual({os.path.basename(path) for path in result["written"]} &
                         {"job.json", "dataset.csv", "driveset.csv"},
                         {"job.json", "dataset.csv", "driveset.csv"})
        before = harness.snapshot(root)
        self.assertEqual(self.run_ok("init", root, "--json").json()["written"], [])
        self.assertEqual(harness.snapshot(root), before)
        with open(os.path.join(root, "disk0.img"), "wb") as image:
            image.truncate(64 * MIB)
        plan = self.run_ok("plan", root, "--json").json()
        self.assertEqual(plan["drives"][0]["id"], "IMAGE0")
        self.assertGreaterEqual(plan["files"], 1)

    def test_plan_is_repeatable_and_writes_nothing(self):
        job = self.small_job()
        before = harness.snapshot(job.root)
        first, second = job.plan(), job.plan()
        self.assertEqual(first["digest"], second["digest"])
        self.assertIn(first["digest"], self.run_ok("plan", job.root).out)
        self.assertEqual(harness.snapshot(job.root), before)

    def test_prepare_insists_on_the_plan_that_was_confirmed(self):
        job = self.small_job()
        digest = job.plan()["digest"]
        refused = job.prepare("--plan", "0" * 64)
        self.assertEqual((refused.status, refused.error()["code"]), (NOT_CONFIRMED, "plan-digest-differs"))
        self.assertEqual(written_bytes(job.image()), 0)
        self.assertEqual(job.prepare("--plan", digest).status, 0)

    def test_a_finished_job_is_left_alone(self):
        images = [harness.digest_of(self.finished.image(d)) for d in ("DISK0", "DISK1")]
        envelopes = harness.snapshot(self.finished.path("drives"))
        result = self.finished.prepare()
        self.assertEqual(result.status, 0, result)
        self.assertEqual(result.json()["drives"], [])
        self.assertIn("Nothing to do", self.run_ok("prepare", self.finished.root).out)
        self.assertEqual([harness.digest_of(self.finished.image(d)) for d in ("DISK0", "DISK1")], images)
        self.assertEqual(harness.snapshot(self.finished.path("drives")), envelopes)

    def test_two_drives_hold_every_file_once(self):
        plan = {drive["id"]: {item["blob"] for item in drive["placement"]}
                for drive in self.finished.plan()["drives"]}
        shipped = {}
        for drive_id in ("DISK0", "DISK1"):
            manifest = self.finished.path("drives", drive_id, "DriveManifest.xml")
            shipped[drive_id] = set(v.blobs_of(manifest)) if os.path.exists(manifest) else set()
        self.assertEqual(shipped, plan)
        self.assertFalse(shipped["DISK0"] & shipped["DISK1"])
        self.assertEqual(len(shipped["DISK0"] | shipped["DISK1"]), len(harness.files_below(self.tree)))

    def test_ten_drives_at_once_take_less_than_300_mib_of_memory(self):
        harness.need_not_instrumented("the memory")
        tree = self.env.directory("tree")
        for number in range(10):
            harness.write_large(tree, f"{number}.bin", 120 * MIB, number)
        drives = [Drive(f"DISK{number}", size=200 * MIB) for number in range(10)]
        job = self.make_job(sources=[(tree + "/", "archive/")], drives=drives)
        with open(self.env.path("output"), "w+b") as output:
            process = job.start(stdout=output, stderr=output)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            output.seek(0)
            self.assertEqual(process.returncode, 0, output.read())
        self.assertEqual({drive["state"] for drive in job.status().values()}, {"finished"})
        print(f"ten drives at once: {usage.ru_maxrss / 1024:.0f} MiB resident", flush=True)
        self.assertLess(usage.ru_maxrss / 1024, 300)

    def test_progress_is_one_json_object_a_line(self):
        lines = [line for line in self.first_run.err.splitlines() if line]
        self.assertTrue(lines)
        for line in lines:
            event = json.loads(line)
            self.assertEqual((event["schema"], event["event"]), (1, "progress"))
            self.assertIn(event["drive"], ("DISK0", "DISK1"))
            self.assertIn("phase", event)

    def test_status_tells_the_state_of_every_drive(self):
        states = self.finished.status()
        shipped = [d for d in states.values() if d["planned_files"] > 0]
        self.assertEqual({d["state"] for d in shipped}, {"finished"})
        self.assertEqual(sum(d["files_done"] for d in shipped), len(harness.files_below(self.tree)))
        text = self.run_ok("status", self.finished.root).out
        for drive_id in states:
            self.assertIn(drive_id, text)

    def test_status_of_a_read_only_job_directory(self):
        need_root()
        job = self.small_job()
        self.assertEqual(job.prepare().status, 0)
        point = self.env.directory("read-only")
        if v.run("mount", "--bind", job.root, point).returncode != 0:
            raise unittest.SkipTest("needs the right to mount")
        try:
            v.run_ok("mount", "-o", "remount,bind,ro", point)
            before = harness.snapshot(point)
            result = self.env.run("status", point, "--json")
            self.assertEqual(result.status, 0, result)
            self.assertEqual(result.json()["drives"][0]["state"], "finished")
            self.assertEqual(harness.snapshot(point), before)
        finally:
            v.unmount(point)

    def test_verify_reads_every_block_back(self):
        for flags in ([], ["--json"]):
            result = self.run_ok("verify", self.finished.root, *flags)
        drives = result.json()["drives"]
        self.assertTrue(drives and all(drive["ok"] for drive in drives))
        self.assertEqual(sum(drive["verification"]["files"] for drive in drives),
                         len(harness.files_below(self.tree)))
        one = self.run_ok("verify", self.finished.root, "--json", "--drive", drives[0]["id"]).json()
        self.assertEqual([drive["id"] for drive in one["drives"]], [drives[0]["id"]])
        unknown = self.env.run("verify", self.finished.root, "--json", "--drive", "NONE")
        self.assertEqual((unknown.status, unknown.error()["code"]), (2, "drive-unknown"))

    def test_request_and_key_show(self):
        result = self.run_ok("request", self.finished.root, "--json").json()
        self.assertFalse(result["keys_revealed"])
        again = harness.snapshot(self.finished.path("requests"))
        self.run_ok("request", self.finished.root)
        self.assertEqual(harness.snapshot(self.finished.path("requests")), again)
        drive_id = next(d["id"] for d in self.finished.status().values() if d["planned_files"])
        key = self.finished.key(drive_id)
        blocks = [int(block) for block in key.split("-")]
        self.assertTrue(len(blocks) == 8 and all(b % 11 == 0 and b < 720896 for b in blocks), key)
        shown = self.run_ok("key", "show", self.finished.root, "--drive", drive_id, "--json").json()
        self.assertEqual((shown["drive"], shown["recovery_password"]), (drive_id, key))
        unknown = self.env.run("key", "show", self.finished.root, "--drive", "NONE", "--json")
        self.assertEqual((unknown.status, unknown.error()["code"]), (2, "drive-unknown"))

    def test_a_changed_job_is_not_continued(self):
        job = self.small_job()
        self.assertEqual(job.prepare().status, 0)
        job.spec["session"] = "another"
        job.write_spec()
        result = job.prepare()
        self.assertEqual((result.status, result.error()["code"]), (11, "job-changed"), result)

    def test_a_job_that_was_renamed_is_neither_continued_nor_requested(self):
        job = self.small_job()
        self.assertEqual(job.prepare().status, 0)
        # An earlier session stays, so that the name alone differs.
        job.spec["session"], job.spec["name"] = job.spec["name"], "renamed-job"
        job.write_spec()
        before = harness.snapshot(job.root)
        for command in ("prepare", "request"):
            result = self.env.run(command, job.root, "--json")
            self.assertEqual((result.status, result.error()["code"]), (11, "journal-other-job"), result)
            self.assertIn("job-a", result.error()["remedy"])
        after = harness.snapshot(job.root)
        self.assertEqual({**after, ".lock": None}, {**before, ".lock": None})

    # --- one flipped byte

    def one_drive(self):
        job = self.make_job(sources=self.sources)
        self.assertEqual(job.prepare().status, 0)
        return job, v.Volume(job.image(), 512)

    def assert_found(self, job, *mentions):
        result = self.env.run("verify", job.root, "--json")
        self.assertEqual(result.status, VERIFICATION, result)
        drive = result.json()["drives"][0]
        self.assertFalse(drive["ok"])
        for mention in mentions:
            self.assertIn(mention, result.out)
        return drive

    def test_verify_finds_one_flipped_byte(self):
        harness.need_fuse()
        job, volume = self.one_drive()
        scratch = self.env.directory("look")
        with v.dislocker(job.image(), volume.offset, [f"-p{job.key()}"],
                         os.path.join(scratch, "decrypted")) as decrypted:
            stream = os.path.join(decrypted, "dislocker-file")
            blob, byte = "archive/nine.bin", 5 * MIB + 77
            files = v.blobs_of(job.path("drives", "DISK0", "DriveManifest.xml"))
            places = {"file data": v.place_of(stream, files[blob], byte),
                      "manifest": v.place_of(stream, "DriveManifest.xml", 700)}
        places |= {f"metadata copy {n + 1}": offset + 0x100
                   for n, offset in enumerate(volume.metadata_offsets)}
        for what, place in places.items():
            with self.subTest(what):
                self.assertIsNotNone(place, "not resident")
                harness.flip(job.image(), volume.offset + place)
                drive = self.assert_found(job)
                if what == "file data":
                    self.assertEqual(drive["error"]["code"], "blocks-differ")
                    mismatches = drive["verification"]["mismatches"]
                    self.assertEqual([(m["blob"], m["offset"]) for m in mismatches], [(blob, 4 * MIB)])
                self.assertEqual(job.state(), "failed")
                refused = self.env.run("request", job.root, "--json")
                self.assertEqual(refused.error()["code"], "drive-not-finished")
                harness.flip(job.image(), volume.offset + place)
                self.run_ok("verify", job.root)
                self.assertEqual(job.state(), "finished")
        # What the program itself does not need to find its way, others do.
        for what, place in {"sector size in the volume header": volume.offset + 0x0B,
                            "place of copy 3": volume.offset + 0xC2,
                            "signature of the MBR": 510,
                            "checksum of the first partition table": 512 + 16,
                            "entry of the partition": 2 * 512 + 60,
                            "second partition table": os.path.getsize(job.image()) - 512 + 40}.items():
            with self.subTest(what):
                harness.flip(job.image(), place)
                self.assert_found(job)
                self.assertEqual(job.state(), "failed")
                harness.flip(job.image(), place)
        self.run_ok("verify", job.root)
        self.assertEqual(job.state(), "finished")

    # --- locks and stops

    def test_two_prepares_at_once(self):
        tree = self.env.directory("tree")
        harness.write_large(tree, "large", 300 * MIB, 1)
        job = self.make_job(sources=[(tree + "/", "archive/")], drives=[Drive(size=400 * MIB)])
        process = job.start()
        self.assertTrue(wait_until(lambda: job.state() == "writing", process))
        with harness.Stopped(process):
            for command in (["prepare"], ["verify"], ["request"]):
                second = self.env.run(*command, job.root, "--json")
                self.assertEqual((second.status, second.error()["code"]), (BUSY, "job-busy"), second)
                self.assertIn(str(process.pid), second.error()["message"])
            self.assertEqual(self.env.run("status", job.root, "--json").status, 0)
            other = self.make_job(sources=[(tree + "/", "archive/")], make_images=False)
            other.write("driveset.csv", f"{harness.DRIVESET_HEADER}\n{job.image()},Format,SilentMode,"
                                        "Encrypt,,DISK0,512\n")
            third = other.prepare()
            self.assertEqual((third.status, third.error()["code"]), (BUSY, "image-busy"), third)
        result = self.env.wait(process)
        self.assertEqual(result.status, 0, result)

    def test_an_interrupted_prepare_says_so_and_goes_on(self):
        tree = self.env.directory("tree")
        harness.write_large(tree, "large", 500 * MIB, 1)
        for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            with self.subTest(number):
                job = self.make_job(sources=[(tree + "/", "archive/")], drives=[Drive(size=600 * MIB)])
                process = job.start()
                self.assertTrue(wait_until(lambda: written_bytes(job.image()) > 40 * MIB, process))
                process.send_signal(number)
                result = self.env.wait(process)
                self.assertEqual(result.status, status, result)
                self.assertIn("stopp", result.out + result.err)
                self.assertEqual(job.state(), "writing")
                shutil.rmtree(job.root)

    # --- consent

    def occupied(self, **options):
        job = self.small_job(drives=[Drive(prompt="PromptOnFormat", **options)])
        with open(job.image(), "r+b") as image:
            image.seek(20 * MIB)
            image.write(b"precious")
        return job

    def in_terminal(self, job, answer):
        return self.env.in_terminal("prepare", job.root, question="drive id", answer=answer)

    def test_without_a_terminal_consent_has_to_be_an_option(self):
        job = self.occupied()
        content = harness.digest_of(job.image())
        process = job.start(stdin=subprocess.PIPE)
        out, err = process.communicate(b"DISK0\n", timeout=harness.TIMEOUT)
        self.assertEqual(process.returncode, NOT_CONFIRMED, out + err)
        self.assertIn(b"--confirm DISK0", err)
        self.assertEqual(job.prepare("--confirm", "DISK1").error()["code"], "drive-unknown")
        self.assertEqual(harness.digest_of(job.image()), content)
        result = job.prepare("--confirm", "DISK0")
        self.assertEqual(result.status, 0, result)
        self.assertEqual(job.state(), "finished")

    def test_in_a_terminal_the_drive_id_is_typed(self):
        job = self.occupied()
        content = harness.digest_of(job.image())
        ctrl_d = "\x04"
        for answer, code in (("yes", "image-wrong-confirmation"), ("disk0", "image-wrong-confirmation"),
                             ("", "image-not-confirmed"), (ctrl_d, "image-not-confirmed")):
            status, shown = self.in_terminal(job, answer)
            self.assertEqual(status, NOT_CONFIRMED, shown)
            self.assertIn(code, shown)
            self.assertRegex(shown, r"(?s)plan digest [0-9a-f]{64}.*Type its drive id", "the plan first")
            self.assertFalse(os.path.exists(job.path("plan.db")))
            self.assertIn("not empty", shown)
            self.assertEqual(harness.digest_of(job.image()), content)
        status, shown = self.in_terminal(job, "DISK0")
        self.assertEqual(status, 0, shown)
        self.assertEqual(shown.count("plan digest"), 1, shown)
        self.assertEqual(job.state(), "finished")

    def test_the_log_tells_phases_and_how_every_drive_was_left(self):
        text = ""
        for name in sorted(os.listdir(self.finished.path("logs"))):
            with open(self.finished.path("logs", name), encoding="utf-8") as log:
                text += log.read()
        for drive_id, drive in self.finished.status().items():
            for phase in ("formatting", "copying", "finishing", "verifying", "sealing", "done"):
                self.assertRegex(text, rf"info drive {drive_id}: {phase}\n")
            self.assertRegex(text, rf"info drive {drive_id}: finished: every block read back equal, .*"
                                   rf"protector {drive['volume']['recovery_protector']}\n")
            self.assertNotIn(self.finished.key(drive_id), text)

    def test_silent_mode_does_not_ask(self):
        job = self.small_job()
        with open(job.image(), "r+b") as image:
            image.write(b"old")
        self.assertEqual(job.prepare().status, 0)

    def test_an_empty_image_needs_no_consent(self):
        job = self.small_job(drives=[Drive(prompt="PromptOnFormat")])
        self.assertEqual(job.prepare().status, 0)

    # --- the audit trail

    def test_the_audit_trail_is_a_chain(self):
        rows = self.finished.journal("SELECT sequence, time, kind, drive, details, hash FROM event "
                                     "ORDER BY sequence")
        self.assertTrue(any(row[2] == "drive-finished" for row in rows))
        previous = bytes(32)
        for number, (sequence, ticks, kind, drive, details, digest) in enumerate(rows, 1):
            self.assertEqual(sequence, number)
            text = f"{sequence}\n{ticks}\n{kind}\n{drive}\n{details}".encode()
            self.assertEqual(hashlib.sha256(previous + text).digest(), digest)
            previous = digest


if __name__ == "__main__":
    harness.main()
