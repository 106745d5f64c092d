"""driveprep drives: what is connected, and why it may or may not be used."""

import os
import unittest

import harness
from harness import MIB, need, need_root


class Drives(harness.Case):
    def drives(self, *arguments):
        return self.run_ok("drives", "--json", *arguments).json()["drives"]

    def test_every_drive_has_an_answer(self):
        for drive in self.drives("--all"):
            self.assertEqual(drive["ready"], drive["reasons"] == [], drive["name"])
            for reason in drive["reasons"]:
                self.assertTrue(reason["code"].startswith("disk-"), reason)
                self.assertTrue(reason["message"] and reason["remedy"], reason)

    def test_the_disk_that_holds_the_root_is_never_ready(self):
        status = os.stat("/")
        number = f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
        if not os.path.exists(f"/sys/dev/block/{number}"):
            raise unittest.SkipTest("needs a root on a block device")
        device = os.path.realpath(f"/sys/dev/block/{number}")
        if os.path.exists(os.path.join(device, "partition")):
            device = os.path.dirname(device)
        if os.path.exists(os.path.join(device, "slaves")) and os.listdir(f"{device}/slaves"):
            raise unittest.SkipTest("needs a root straight on a disk")
        name = os.path.basename(device)
        drive = next(each for each in self.drives("--all") if each["name"] == name)
        self.assertFalse(drive["ready"])
        codes = {reason["code"] for reason in drive["reasons"]}
        self.assertTrue(codes & {"disk-system", "disk-mounted"}, codes)

    def test_a_name_that_no_drive_has(self):
        result = self.env.run("drives", "--explain", "NO-SUCH-SERIAL", "--json")
        self.assertEqual((result.status, result.error()["code"]), (2, "drive-not-there"))
        result = self.env.run("drives", "--explain", "", "--json")
        self.assertEqual((result.status, result.error()["code"]), (2, "drive-not-there"))


class LoopDevices(harness.Case):
    def setUp(self):
        need_root()
        need("losetup", "mkfs.ext4")

    def attach(self, size=64 * MIB, *options):
        image = os.path.join(self.env.directory("image"), "disk.img")
        with open(image, "wb") as file:
            file.truncate(size)
        done = harness.subprocess.run(["losetup", "--find", "--show", *options, image],
                                      capture_output=True, text=True)
        if done.returncode != 0:
            raise unittest.SkipTest("needs loop devices: " + done.stderr.strip())
        device = done.stdout.strip()
        self.addCleanup(harness.subprocess.run, ["losetup", "--detach", device], check=False)
        return device

    def look(self, device):
        (drive,) = self.run_ok("drives", "--explain", device, "--json").json()["drives"]
        return drive

    def codes(self, device):
        return [reason["code"] for reason in self.look(device)["reasons"]]

    def test_sector_sizes_size_and_contents_are_told(self):
        device = self.attach(64 * MIB)
        drive = self.look(device)
        self.assertEqual((drive["bytes"], drive["logical_sector"], drive["ready"]),
                         (64 * MIB, 512, True))
        self.assertEqual(drive["identity"]["bus"], "loop")
        self.assertNotIn(device, self.run_ok("drives").out)
        self.assertIn(device, self.run_ok("drives", "--all").out)
        harness.subprocess.run(["mkfs.ext4", "-q", "-L", "holiday", device], check=True)
        self.assertIn("holiday", self.look(device)["contents"]["description"])
        self.assertIn("holiday", self.run_ok("drives", "--explain", device).out)

    def test_every_fact_is_told_and_those_of_a_plain_device_are_known(self):
        drive = self.look(self.attach(64 * MIB))
        self.assertEqual(list(drive), [
            "name", "path", "node", "links", "handle", "whole", "disk", "hidden", "backing_file", "identity", "bytes",
            "logical_sector", "physical_sector", "misalignment", "read_only", "removable_medium", "zones",
            "rotational", "write_cache", "largest_discard", "uses", "opened", "contents", "health", "ready",
            "reasons", "warnings"])
        self.assertEqual([name for name, fact in drive.items() if isinstance(fact, dict) and "unknown" in fact],
                         ["health"])
        self.assertEqual(drive["opened"], {"handle": drive["handle"], "bytes": 64 * MIB, "logical_sector": 512,
                                           "read_only": False})
        self.assertTrue(drive["backing_file"].endswith(".img"), drive)

    def test_each_of_these_has_its_reason(self):
        self.assertEqual(self.codes(self.attach(64 * MIB, "--sector-size", "4096")), ["disk-4kn"])
        self.assertEqual(self.codes(self.attach(64 * MIB, "--read-only")), ["disk-read-only"])
        self.assertEqual(self.codes(self.attach(32 * MIB)), ["disk-too-small"])

    def test_a_mounted_one_is_in_use(self):
        device = self.attach()
        harness.subprocess.run(["mkfs.ext4", "-q", device], check=True)
        point = self.env.directory("point")
        done = harness.subprocess.run(["mount", device, point], capture_output=True, text=True)
        if done.returncode != 0:
            raise unittest.SkipTest("needs the right to mount")
        self.addCleanup(harness.subprocess.run, ["umount", point], check=False)
        drive = self.look(device)
        self.assertEqual({reason["code"] for reason in drive["reasons"]}, {"disk-mounted"})
        self.assertEqual([(use["kind"], use["what"]) for use in drive["uses"]], [("mount", point)])


if __name__ == "__main__":
    harness.main()
