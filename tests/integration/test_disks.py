"""prepare and verify on disks: loop devices, as root. The wrong disk is never written."""

import json
import os
import shutil
import subprocess
import unittest

import harness
import loops
import volume as v
from harness import DRIVESET_HEADER, MIB
from preloaded import Preloaded

REFUSED, NOT_CONFIRMED, BUSY = 3, 4, 5


class Case(harness.Case):
    def setUp(self):
        loops.needed()

    def job(self, *rows, source=None):
        """A job on the devices: (device, drive id) each."""
        if source is None:
            source = self.env.directory("source")
            harness.write_file(source, "letter.txt", b"Dear reader")
            harness.write_large(source, "large.bin", 5 * MIB + 13, 1)
        self.source = source
        job = self.make_job(sources=[(f"{source}/", "archive/")], make_images=False)
        job.write("driveset.csv", "\n".join([DRIVESET_HEADER, *(
            f"{device},Format,PromptOnFormat,Encrypt,,{drive_id}," for device, drive_id in rows)]) + "\n")
        return job

    def refused(self, result, status, code):
        self.assertEqual((result.status, result.error()["code"]), (status, code), result)
        self.assertTrue(result.error()["remedy"], result)

    def unchanged(self, path, content):
        self.assertEqual(harness.digest_of(path), content, "the disk was written to")


class Preparing(Case):
    def check(self, sector, *accepting):
        device, image = loops.new(self, "--sector-size", str(sector))
        job = self.job((device, "L0"))
        result = job.prepare("--confirm", "L0", *accepting)
        self.assertEqual(result.status, 0, result)
        drive = result.json()["drives"][0]
        self.assertEqual(drive["state"], "finished")
        self.assertTrue(drive["verification"]["cache_bypassed"], drive)
        self.assertEqual(self.run_ok("verify", job.root, "--json").json()["exit"], 0)
        harness.need_fuse()
        self.assertEqual(v.outside_differences(image, sector, job.key("L0"), [(f"{self.source}/", "archive/")],
                                               self.env.directory("look")), [])
        begun = json.loads(job.journal("SELECT details FROM event WHERE kind = 'drive-begun'")[0][0])
        self.assertEqual((begun["identity"], begun["disk"]["serial_source"]),
                         (f"disk:L0:{os.stat(image).st_size}:{sector}", "operator"))
        self.assertEqual(begun["disk"]["accepted"], [each[:-3] for each in accepting[1:]])
        # Nothing is left to be done, and nothing is done again.
        self.assertEqual(job.prepare().status, 0)
        return job, device, image

    def test_with_512_byte_sectors(self):
        self.check(512)

    def test_with_4096_byte_sectors_once_they_are_accepted(self):
        device, image = loops.new(self, "--sector-size", "4096")
        content = harness.digest_of(image)
        self.refused(self.job((device, "L0")).prepare("--confirm", "L0"), REFUSED, "disk-4kn")
        self.unchanged(image, content)
        self.check(4096, "--accept", "disk-4kn:L0")

    def test_what_was_on_it_is_kept_beside_the_job(self):
        device, image = loops.new(self)
        subprocess.run(["mkfs.ext4", "-q", "-L", "precious", device], check=True)
        job = self.job((device, "L0"))
        result = job.prepare()
        self.refused(result, NOT_CONFIRMED, "disk-not-confirmed")
        self.assertIn("precious", result.error()["message"])
        self.assertEqual(job.prepare("--confirm", "L0").status, 0)
        saved = os.listdir(job.path("drives", "L0", "before"))
        self.assertTrue(any(name.startswith("wiped-0-") for name in saved), saved)

    def test_two_at_once_and_one_refused_stops_before_any_is_touched(self):
        first, one = loops.new(self)
        second, two = loops.new(self, "--read-only")
        contents = [harness.digest_of(path) for path in (one, two)]
        result = self.job((first, "L0"), (second, "L1")).prepare("--confirm", "L0", "--confirm", "L1")
        self.refused(result, REFUSED, "disk-read-only")
        for path, content in zip((one, two), contents):
            self.unchanged(path, content)

    def test_a_disk_beside_an_image(self):
        device, _ = loops.new(self)
        job = self.job((device, "L0"), ("disk1.img", "I1"))
        loops.sparse(job.path("disk1.img"))
        # Enough for both.
        result = job.prepare("--confirm", "L0")
        self.assertEqual(result.status, 0, result)


class Away(Case):
    """A finished disk may be on its way already; one that was begun is missed."""

    def test_a_finished_disk_is_not_looked_for(self):
        device, image = loops.new(self)
        job = self.job((device, "L0"))
        self.assertEqual(job.prepare("--confirm", "L0").status, 0)
        self.assertTrue(job.plan()["drives"][0]["finished"])
        loops.detach(device)
        self.assertTrue(job.plan()["drives"][0]["finished"])
        self.assertEqual(job.prepare().status, 0)
        self.assertEqual(job.status()["L0"]["state"], "finished")
        self.assertEqual(self.env.run("request", job.root, "--json").status, 0)
        result = self.env.run("verify", job.root, "--json")
        self.assertEqual((result.status, result.json()["drives"][0]["error"]["code"]), (BUSY, "disk-not-there"))

    def test_a_begun_disk_goes_on_at_another_place(self):
        device, image = loops.new(self)
        job = self.job((device, "L0"))
        process = job.start("--json", "--confirm", "L0")
        harness.wait_until(lambda: job.journal("SELECT 1 FROM volume"), process)
        process.kill()
        process.wait()
        loops.detach(device)
        self.refused(job.prepare(), BUSY, "disk-not-there")
        other = loops.sparse(os.path.join(self.env.directory("other"), "disk.img"))
        loops.attach_at(device, other)
        self.refused(job.prepare(), 11, "disk-not-the-one-begun")
        self.refused(job.prepare("--confirm", "L0"), 11, "disk-not-the-one-begun")
        loops.detach(device)
        loops.attach_at(device, image)
        result = job.prepare()
        self.assertEqual(result.status, 0, result)

    def test_the_others_go_on_without_one_that_is_missing(self):
        first, second = loops.new(self), loops.new(self)
        source = self.env.directory("source")
        for name in ("a.bin", "b.bin", "c.bin"):
            harness.write_large(source, name, 40 * MIB, 1)
        job = self.job((first[0], "L0"), (second[0], "L1"), source=source)
        process = job.start("--json", "--confirm", "L0", "--confirm", "L1")
        harness.wait_until(lambda: len(job.journal("SELECT 1 FROM volume")) == 2, process)
        process.kill()
        process.wait()
        loops.detach(first[0])
        result = job.prepare()
        self.assertEqual(result.status, 10, result)
        drives = {drive["id"]: drive for drive in result.json()["drives"]}
        self.assertEqual((drives["L0"]["exit"], drives["L0"]["error"]["code"]), (BUSY, "disk-not-there"))
        self.assertEqual(drives["L1"]["state"], "finished")
        self.assertIn("drive L0 is left out", result.err)
        self.refused(job.prepare(), BUSY, "disk-not-there")  # nothing else is left to do
        loops.attach_at(*first)
        self.assertEqual(job.prepare().status, 0)
        self.assertEqual(self.env.run("verify", job.root).status, 0)


class Consent(Case):
    def test_no_terminal_and_no_option_is_no_consent(self):
        device, image = loops.new(self)
        content = harness.digest_of(image)
        job = self.job((device, "L0"))
        for given in (b"L0\n", b"y\n"):
            result = self.env.run("prepare", job.root, "--json", given=given)
            self.refused(result, NOT_CONFIRMED, "disk-not-confirmed")
        self.refused(job.prepare("--confirm", "L1"), 2, "drive-unknown")
        self.unchanged(image, content)

    def test_the_serial_number_is_typed_once(self):
        device, image = loops.new(self)
        content = harness.digest_of(image)
        job = self.job((device, "L0"))
        for answer, code in (("y", "disk-wrong-confirmation"), ("l0", "disk-wrong-confirmation"),
                             ("", "disk-not-confirmed")):
            status, shown = self.type(job, answer)
            self.assertEqual(status, NOT_CONFIRMED, shown)
            self.assertIn(code, shown)
            for fact in (device, image, "empty", "Everything on it will be destroyed"):
                self.assertIn(fact, shown)
        self.unchanged(image, content)
        status, shown = self.type(job, "L0")
        self.assertEqual(status, 0, shown)

    def test_what_was_typed_before_the_question_is_no_answer(self):
        device, image = loops.new(self)
        content = harness.digest_of(image)
        job = self.job((device, "L0"))
        status, shown = self.env.terminal(["prepare", job.root], [("Type its serial number", "\n")],
                                          typed_ahead="L0\n")
        self.assertIn(b"L0\r\n", shown.split(b"scanning")[0], "typed before the program began")
        self.assertEqual(status, NOT_CONFIRMED, shown)
        self.unchanged(image, content)

    def type(self, job, answer):
        return self.env.in_terminal("prepare", job.root, question="Type its serial number", answer=answer)

    def test_the_digest_of_a_plan_agrees_to_its_disks(self):
        device, image = loops.new(self)
        job = self.job((device, "L0"))
        digest = job.plan()["digest"]
        self.assertEqual(job.plan()["digest"], digest, "the same twice")
        self.refused(job.prepare("--plan", "0" * 64), NOT_CONFIRMED, "plan-digest-differs")
        self.assertEqual(job.prepare("--plan", digest).status, 0)
        self.assertEqual(job.state("L0"), "finished")

    def test_a_plan_says_nothing_of_a_disk_that_has_changed(self):
        device, image = loops.new(self)
        job = self.job((device, "L0"))
        digest = job.plan()["digest"]
        with open(image, "r+b") as file:
            file.seek(40 * MIB)
            file.write(b"new")
        subprocess.run(["blockdev", "--flushbufs", device], check=True)
        content = harness.digest_of(image)
        self.refused(job.prepare("--plan", digest), BUSY, "disk-changed")
        self.unchanged(image, content)

    def test_a_plan_says_nothing_of_a_disk_begun_without_a_table_and_changed_since(self):
        device, image = loops.new(self)
        job = self.job((device, "L0"))
        digest = job.plan()["digest"]
        broken = Preloaded(self.env).writes(device, 0, "fail", job.path("writes.log"))
        stopped = job.prepare("--plan", digest, env=broken)
        self.assertEqual(stopped.json()["drives"][0]["error"]["code"], "write-failed", stopped)
        subprocess.run(["mkfs.ext4", "-q", "-L", "precious", device], check=True)
        content = harness.digest_of(image)
        self.refused(job.prepare("--plan", digest), BUSY, "disk-changed")
        self.refused(job.prepare(), NOT_CONFIRMED, "disk-not-confirmed")
        self.unchanged(image, content)
        self.assertEqual(job.prepare("--confirm", "L0").status, 0)

    def test_an_override_is_for_one_reason_of_one_drive(self):
        device, _ = loops.new(self)
        job = self.job((device, "L0"))
        self.refused(job.prepare("--accept", "disk-4kn"), 2, "accept-malformed")
        self.refused(job.prepare("--accept", "disk-mounted:L0"), 2, "accept-unknown")
        self.refused(job.prepare("--accept", "disk-4kn:L9"), 2, "drive-unknown")


class Swapped(Case):
    """Another file at the place of the one that was looked at."""

    def setUp(self):
        super().setUp()
        self.device, self.image = loops.new(self)
        self.other = loops.sparse(os.path.join(self.env.directory("other"), "disk.img"))
        with open(self.other, "r+b") as file:
            file.write(b"not meant")
        self.content = harness.digest_of(self.other)

    def swap(self):
        loops.detach(self.device)
        loops.attach_at(self.device, self.other)

    def test_between_plan_and_prepare(self):
        job = self.job((self.device, "L0"))
        digest = job.plan()["digest"]
        self.swap()
        self.refused(job.prepare("--plan", digest), BUSY, "disk-changed")
        self.unchanged(self.other, self.content)

    def test_by_one_with_the_same_content(self):
        job = self.job((self.device, "L0"))
        digest = job.plan()["digest"]
        self.other, self.content = self.image, harness.digest_of(self.image)
        self.swap()
        self.refused(job.prepare("--plan", digest), BUSY, "disk-changed")
        self.unchanged(self.other, self.content)

    def test_while_the_question_is_asked(self):
        job = self.job((self.device, "L0"))

        def answer():
            self.swap()
            return "L0"
        status, shown = self.env.in_terminal("prepare", job.root, question="Type its serial number",
                                             answer=answer)
        self.assertEqual(status, BUSY, shown)
        self.assertIn("is not what was checked and confirmed", shown)
        self.unchanged(self.other, self.content)


class Guarded(Case):
    """What must not be written is not, byte for byte."""

    def check(self, image, rows, status, code, *options, source=None):
        content = harness.digest_of(image)
        job = self.job(*rows, source=source)
        self.refused(job.prepare("--confirm", rows[0][1], *options), status, code)
        self.unchanged(image, content)
        self.assertFalse(os.path.exists(job.path("plan.db")), "a refusal leaves nothing")

    def mounted(self, device):
        point = self.env.directory("mount")
        done = subprocess.run(["mount", device, point], capture_output=True, text=True)
        if done.returncode != 0:
            raise unittest.SkipTest("needs mount: " + done.stderr.strip())
        self.addCleanup(subprocess.run, ["umount", point], check=False)
        return point

    def test_a_mounted_one(self):
        device, image = loops.new(self)
        subprocess.run(["mkfs.ext4", "-q", device], check=True)
        self.mounted(device)
        subprocess.run(["sync"], check=True)
        self.check(image, [(device, "L0")], BUSY, "disk-mounted")

    def test_one_with_a_loop_device_upon_it(self):
        """The kernel names neither as holder of the other, and the loop device claims nothing."""
        device, image = loops.new(self)
        upper = loops.attach(self, device)
        self.check(image, [(device, "L0")], BUSY, "disk-held")
        subprocess.run(["mkfs.ext4", "-q", upper], check=True)
        self.mounted(upper)
        subprocess.run(["sync"], check=True)
        for disk in (device, upper):
            self.check(image, [(disk, "L0")], BUSY, "disk-mounted")

    def test_the_one_that_holds_the_source(self):
        device, image = loops.new(self)
        subprocess.run(["mkfs.ext4", "-q", device], check=True)
        point = self.mounted(device)
        harness.write_file(point, "a", b"precious")
        subprocess.run(["mount", "-o", "remount,ro", point], check=True)
        content = harness.digest_of(image)
        result = self.job((device, "L0"), source=point).prepare("--confirm", "L0")
        self.assertIn(result.status, (REFUSED, BUSY), result)
        self.assertRegex(result.error()["message"], "holds the source|mounted")
        self.unchanged(image, content)

    def test_the_one_whose_file_lies_in_the_source(self):
        source = self.env.directory("source")
        harness.write_file(source, "a", b"text")
        image = loops.sparse(os.path.join(source, "disk.img"))
        device = loops.attach(self, image)
        self.check(image, [(device, "L0")], REFUSED, "disk-holds-source", source=source)

    def test_a_read_only_one(self):
        device, image = loops.new(self, "--read-only")
        self.check(image, [(device, "L0")], REFUSED, "disk-read-only")

    def test_one_in_exclusive_use(self):
        device, image = loops.new(self)
        fd = os.open(device, os.O_RDWR | os.O_EXCL)
        self.addCleanup(os.close, fd)
        content = harness.digest_of(image)
        result = self.job((device, "L0")).prepare("--confirm", "L0")
        self.assertEqual(result.status, BUSY, result)
        self.assertEqual(result.json()["drives"][0]["error"]["code"], "disk-in-use", result)
        self.unchanged(image, content)

    def test_one_that_is_locked(self):
        device, image = loops.new(self)
        content = harness.digest_of(image)
        result = self.job((device, "L0")).prepare("--confirm", "L0",
                                                  prefix=("flock", "--exclusive", device))
        self.assertEqual(result.status, BUSY, result)
        self.assertEqual(result.error()["code"], "disk-locked", result)
        listed = self.run_ok("drives", "--all", "--json", prefix=("flock", "--exclusive", device)).json()["drives"]
        drive, = (each for each in listed if each["node"] == device)
        self.assertEqual([reason["code"] for reason in drive["reasons"]], ["disk-locked"])
        self.unchanged(image, content)

    def test_a_part_of_something_larger(self):
        device, image = loops.new(self)
        with open(image, "r+b") as file:  # the label of an LVM physical volume, in sector 1
            label = b"LABELONE" + (1).to_bytes(8, "little")
            body = (32).to_bytes(4, "little") + b"LVM2 001" + b"0" * 32 + bytes(452)
            body = body[:492]
            crc = 0xf597a6cf
            for byte in body:
                crc ^= byte
                for _ in range(8):
                    crc = crc >> 1 ^ (0xedb88320 if crc & 1 else 0)
            file.seek(512)
            file.write(label + crc.to_bytes(4, "little") + body)
        subprocess.run(["blockdev", "--flushbufs", device], check=True)
        self.check(image, [(device, "L0")], REFUSED, "disk-member")

    def test_a_copy_on_another_disk_is_not_verified_for_the_one_prepared(self):
        device, image = loops.new(self)
        job = self.job((device, "L0"))
        result = job.prepare("--confirm", "L0")
        self.assertEqual(result.status, 0, result)
        copy = image + ".copy"
        shutil.copyfile(image, copy)
        with open(copy, "ab") as larger:
            larger.truncate(os.path.getsize(image) + MIB)
        loops.detach(device)
        loops.attach_at(device, copy)
        result = self.env.run("verify", job.root, "--json")
        self.assertEqual(result.status, 11, result)
        self.assertEqual(result.json()["drives"][0]["error"]["code"], "drive-other-disk")
        self.assertEqual(job.state("L0"), "finished")  # it says nothing about the other one
        loops.detach(device)
        loops.attach_at(device, image)
        self.assertEqual(self.env.run("verify", job.root).status, 0)

    def test_one_that_is_not_there(self):
        device, image = loops.new(self)
        loops.detach(device)
        self.check(image, [(device, "L0")], BUSY, "disk-not-there")
        job = self.job(("serial:NO-SUCH", ""))
        self.refused(job.prepare("--confirm", "NO-SUCH"), BUSY, "disk-not-there")

    def test_one_that_is_too_small(self):
        device, image = loops.new(self, size=32 * MIB)
        self.check(image, [(device, "L0")], REFUSED, "disk-too-small")

    def test_one_named_by_a_name_that_may_change(self):
        device, image = loops.new(self)
        content = harness.digest_of(image)
        self.refused(self.job(("/dev/sdb", "L0")).prepare("--confirm", "L0"), 2, "csv-drive-node")
        link = f"/dev/{os.path.basename(self.env.root)}"
        os.symlink(device, link)
        self.addCleanup(os.unlink, link)
        self.refused(self.job((link, "L0")).prepare("--confirm", "L0"), 2, "csv-drive-node")
        self.unchanged(image, content)

    def test_one_named_twice(self):
        device, image = loops.new(self)
        os.makedirs("/dev/disk/by-id", exist_ok=True)
        other = f"/dev/disk/by-id/{os.path.basename(self.env.root)}"
        os.symlink(device, other)
        self.addCleanup(os.unlink, other)
        content = harness.digest_of(image)
        result = self.job((device, "L0"), (other, "L1")).prepare("--confirm", "L0", "--confirm", "L1")
        self.refused(result, 2, "csv-drive-repeated")
        self.unchanged(image, content)


class CallingUser(Case):
    """Behind sudo the work is done as the user who called; one small process keeps what opens disks."""

    USER, GROUP = 65534, 65534

    def sudo(self):
        return {**self.env.variables(), "SUDO_UID": str(self.USER), "SUDO_GID": str(self.GROUP),
                "XDG_DATA_HOME": self.env.home, "XDG_STATE_HOME": self.env.home}

    def test_everything_but_the_opening_of_the_disk(self):
        device, _ = loops.new(self)
        job = self.job((device, "L0"))
        subprocess.run(["chmod", "755", self.env.root], check=True)
        subprocess.run(["chown", "-R", f"{self.USER}:{self.GROUP}", self.env.root], check=True)
        process = job.start("--confirm", "L0", env=self.sudo())
        found = {}

        def both():
            found.update(self.processes(process.pid))
            return len(found) == 2 and any("loop" in name for each in found.values() for name in each[2])
        harness.wait_until(both, process)
        out, err = process.communicate(timeout=harness.TIMEOUT)
        self.assertEqual(process.returncode, 0, out + err)
        worker, opener = found.pop(process.pid), next(iter(found.values()))
        self.assertEqual(worker[:2], (self.USER, 0), "the user's id, and no capability")
        self.assertEqual(opener[:2], (0, 1 << 17 | 1 << 21), "CAP_SYS_RAWIO and CAP_SYS_ADMIN")
        strange = subprocess.run(["find", self.env.root, "-user", "root"], capture_output=True, text=True)
        self.assertEqual(strange.stdout, "", "a file of root's is left")
        self.assertEqual(self.env.run("verify", job.root, env=self.sudo()).status, 0)

    def processes(self, pid):
        """{pid: (effective user, effective capabilities, files)} of the program and its child."""
        found = {}
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            children = [int(child) for child in file.read().split()]
        for each in (pid, *children):
            try:
                with open(f"/proc/{each}/status", encoding="ascii") as file:
                    status = dict(line.split(":", 1) for line in file.read().splitlines())
                names = [os.readlink(f"/proc/{each}/fd/{fd}") for fd in os.listdir(f"/proc/{each}/fd")]
            except OSError:
                continue
            if status["Name"].strip() == "driveprep":
                found[each] = (int(status["Uid"].split()[1]), int(status["CapEff"], 16), names)
        return found

    def test_what_only_the_host_has_mounted_is_mounted(self):
        """sudo may have been called where other mounts are seen than those of the host."""
        device, image = loops.new(self)
        subprocess.run(["mkfs.ext4", "-q", device], check=True)
        point = self.env.directory("mount")
        if subprocess.run(["mount", "-o", "ro", device, point], capture_output=True).returncode != 0:
            self.skipTest("needs mount")
        self.addCleanup(subprocess.run, ["umount", point], check=False)
        try:
            with open("/proc/1/mountinfo", encoding="utf-8") as file:
                known = f" {point} " in file.read()
        except OSError:
            known = False
        if not known:
            self.skipTest("needs a process 1 that sees this mount, and may be asked")
        subprocess.run(["chmod", "755", self.env.root], check=True)
        without = ("unshare", "--mount", "--propagation", "private", "sh", "-c", 'umount "$0" && exec "$@"', point)
        seen = self.env.run("drives", "--all", "--json", prefix=without, env=self.sudo())
        drive = next(each for each in seen.json()["drives"] if each["node"] == device)
        self.assertIn("disk-mounted", [reason["code"] for reason in drive["reasons"]])

    def test_who_called_has_to_be_told(self):
        for variables in ({"SUDO_UID": "nobody", "SUDO_GID": "1"}, {"SUDO_UID": "1000"}):
            result = self.env.run("drives", env={**self.env.variables(), **variables})
            self.assertEqual(result.status, 1, result)
            self.assertIn("SUDO_UID", result.err)

    def test_sources_of_root_are_not_read(self):
        device, image = loops.new(self)
        job = self.job((device, "L0"))
        subprocess.run(["chmod", "755", self.env.root], check=True)
        subprocess.run(["chown", "-R", f"{self.USER}:{self.GROUP}", self.env.root], check=True)
        secret = self.env.directory("secret")
        harness.write_file(secret, "shadow", b"root's")
        os.chmod(secret, 0o700)
        job.write("dataset.csv", f'{harness.DATASET_HEADER}\n"{secret}/",archive/,BlockBlob,no-overwrite,None,None\n')
        content = harness.digest_of(image)
        result = self.env.run("prepare", job.root, "--confirm", "L0", "--json", env=self.sudo())
        self.assertNotEqual(result.status, 0, result)
        self.unchanged(image, content)


if __name__ == "__main__":
    harness.main()
