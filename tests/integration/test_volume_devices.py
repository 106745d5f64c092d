"""driveprep volume on block devices: loop devices with sectors of 512 and of 4096 bytes. Needs root."""

import contextlib
import os
import subprocess
import unittest

import harness
import volume as v
from harness import MIB, Drive, need, need_root

BUSY = 5


class Loop:
    """An image file as a block device: with Loop(path) as device."""

    def __init__(self, image, sector=512, offset=0, length=None, read_only=False):
        self.options = ["--sector-size", str(sector), "--offset", str(offset)]
        if length is not None:
            self.options += ["--sizelimit", str(length)]
        if read_only:
            self.options.append("--read-only")
        self.image = image

    def __enter__(self):
        done = subprocess.run(["losetup", "--find", "--show", *self.options, self.image],
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise unittest.SkipTest("no loop device: " + done.stderr.strip())
        self.device = done.stdout.strip()
        return self.device

    def __exit__(self, *unused):
        subprocess.run(["losetup", "--detach", self.device], check=True)


@contextlib.contextmanager
def held(path):
    """Opened as the kernel does for what is mounted or part of another device."""
    descriptor = os.open(path, os.O_RDWR | os.O_EXCL)
    try:
        yield
    finally:
        os.close(descriptor)


class VolumeDevices(harness.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        need_root()
        need("cryptsetup", "losetup")
        if not os.path.exists("/dev/loop-control"):
            raise unittest.SkipTest("needs /dev/loop-control")
        cls.tree = cls.env.path("tree")
        for number in range(5):
            harness.write_file(cls.tree, f"{number}.txt", b"content %d" % number * 500)

    def finished(self, sector):
        job = self.make_job(sources=[(self.tree + "/", "archive/")],
                            drives=[Drive(size=64 * MIB, sector=sector)],
                            bitlocker={"cipher": "xts-aes-128", "externalKey": True})
        result = job.prepare()
        self.assertEqual(result.status, 0, result)
        return job

    def volume(self, *arguments, **options):
        return self.env.run("volume", *arguments, "--json", **options)

    def document(self, *arguments):
        result = self.volume(*arguments)
        self.assertEqual(result.status, 0, result)
        return result.json()

    def bek(self, job):
        directory = job.path("drives", "DISK0")
        (name,) = [name for name in os.listdir(directory) if name.endswith(".BEK")]
        return os.path.join(directory, name)

    def opens(self, device, option, path):
        return self.volume("unlock", "--check", device, option, path).status == 0

    def check_openers(self, job, device, expected):
        """Recovery passwords in files: which of them open the volume. cryptsetup knows no partitions."""
        for path, opens in expected.items():
            self.assertEqual(self.opens(device, "--recovery-password-file", path), opens, path)
            if self.document("info", device)["partition"] is None:
                key = v.key_file_of(job.root, "key", self.text(path))
                done = v.run("cryptsetup", "bitlkDump", "--dump-volume-key", "--batch-mode",
                             "--key-file", key, device)
                self.assertEqual(done.returncode == 0, opens, done)

    def protectors(self, device):
        return [entry["id"] for entry in self.document("info", device)["metadata"]["protectors"]]

    # --- promises

    def all_commands(self, job, device, sector):
        by_file = ["--bek-file", self.bek(job)]
        told = self.document("info", device, *by_file)
        self.assertEqual(told["metadata"]["sector_size"], sector)
        self.assertEqual([copy["integrity"] for copy in told["copies"]], ["good"] * 3)
        listed = {entry["path"] for entry in self.document("ls", device, "-R", *by_file)["entries"]}
        self.assertLessEqual({f"job-a/archive/{number}.txt" for number in range(5)}, listed)
        shown = self.env.run("volume", "cat", device, "job-a/archive/3.txt", *by_file)
        self.assertEqual(shown.out.encode(), b"content 3" * 500)

        # Add, change, remove.
        first = job.status()["DISK0"]["volume"]["recovery_protector"]
        original = v.key_file_of(job.root, "original", job.key())
        second = os.path.join(self.env.directory("keys"), "second.txt")
        added = self.document("protectors", "add", device, "recovery-password", "--output", second,
                              *by_file)["added"]
        self.assertIn(added, self.protectors(device))
        self.check_openers(job, device, {original: True, second: True})
        third = second + ".changed"
        changed = self.document("protectors", "change", device, added, "--output", third,
                                "--recovery-password-file", second)
        self.document("protectors", "remove", device, first, *by_file)
        self.check_openers(job, device, {original: False, second: False, third: True})
        self.assertNotIn(first, self.protectors(device))
        self.assertIn(changed["added"], self.protectors(device))

        # Kept, destroyed, brought back.
        sealing = ["--job", job.root, "--drive", "DISK0"]
        kept = self.document("backup-metadata", device, *sealing)
        before = self.document("info", device)
        places = [0] + [copy["offset"] for copy in before["copies"]]
        places.append(before["metadata"]["relocated_offset"])
        with open(device, "r+b") as file:
            for place in places:
                file.seek(before["offset"] + place)
                file.write(os.urandom(8192))
        partition = [] if before["partition"] is None else ["--partition", str(before["partition"])]
        self.assertEqual(self.document("info", device, *partition)["state"], "none")
        self.document("restore-metadata", device, *partition, *sealing, "--confirm",
                      kept["volume_guid"][:8])
        self.assertEqual(self.document("info", device), before)
        self.assertTrue(self.opens(device, "--recovery-password-file", third))
        self.assertEqual(len(self.document("ls", device, "-R", *by_file)["entries"]), len(listed))

    def text(self, path):
        with open(path, encoding="ascii") as file:
            return file.read().strip()

    def test_every_command_works_on_a_disk_with_a_partition_table(self):
        for sector in (512, 4096):
            with self.subTest(sector):
                job = self.finished(sector)
                with Loop(job.image(), sector) as device:
                    self.all_commands(job, device, sector)

    def test_every_command_works_on_a_partition(self):
        for sector in (512, 4096):
            with self.subTest(sector):
                job = self.finished(sector)
                found = v.Volume(job.image(), sector)
                with Loop(job.image(), sector, found.offset, found.length) as device:
                    self.assertIsNone(self.document("info", device)["partition"])
                    self.all_commands(job, device, sector)

    def test_a_device_that_is_held_is_not_written_and_can_be_read(self):
        job = self.finished(512)
        by_file = ["--bek-file", self.bek(job)]
        sealing = ["--job", job.root, "--drive", "DISK0"]
        with Loop(job.image()) as device:
            kept = self.document("backup-metadata", device, *sealing)
            ids = self.protectors(device)
            before = harness.digest_of(job.image())
            with held(device):
                for command in (["protectors", "add", device, "external-key", "--output", job.root, *by_file],
                                ["protectors", "remove", device, ids[0], *by_file],
                                ["protectors", "change", device, ids[0], "--output",
                                 os.path.join(job.root, "new"), *by_file],
                                ["restore-metadata", device, *sealing, "--confirm",
                                 kept["volume_guid"]]):
                    result = self.volume(*command)
                    self.assertEqual((result.status, result.error()["code"]), (BUSY, "target-busy"))
                self.assertEqual(self.protectors(device), ids)
            self.assertEqual(harness.digest_of(job.image()), before)
            self.assertEqual([name for name in os.listdir(job.root) if name.endswith(".BEK")], [])
            # And the file behind it is not written past the device.
            result = self.volume("protectors", "remove", job.image(), ids[0], *by_file)
            self.assertEqual((result.status, result.error()["code"]), (BUSY, "image-backs-loop"))
        self.document("protectors", "remove", job.image(), ids[0], *by_file)

    def test_a_mounted_device_is_refused(self):
        need("mkfs.ext4", "mount", "umount")
        image = self.env.path("mounted.img")
        with open(image, "wb") as file:
            file.truncate(64 * MIB)
        v.run_ok("mkfs.ext4", "-q", image)
        point = self.env.directory("mounted")
        with Loop(image) as device:
            if v.run("mount", device, point).returncode != 0:
                self.skipTest("may not mount")
            try:
                result = self.volume("protectors", "add", device, "external-key", "--output", self.env.root,
                                 "--password-file", v.key_file_of(self.env.root, "pw", "some password"))
            finally:
                v.unmount(point)
            self.assertEqual((result.status, result.error()["code"]), (BUSY, "target-busy"))

    def test_a_read_only_device_is_read_and_not_changed(self):
        job = self.finished(512)
        by_file = ["--bek-file", self.bek(job)]
        with Loop(job.image(), read_only=True) as device:
            self.assertEqual(self.document("info", device)["state"], "encrypted")
            result = self.volume("protectors", "add", device, "external-key", "--output", job.root, *by_file)
            self.assertEqual(result.error()["code"], "target-not-writable")
            self.assertEqual([name for name in os.listdir(job.root) if name.endswith(".BEK")], [])


if __name__ == "__main__":
    harness.main()
