"""What comes out is a drive to everybody else: partitions, volume, keys, files, manifest."""

import os
import re
import subprocess
import sys
import unittest
import xml.etree.ElementTree as ElementTree

import harness
import password_derivation as derivation
import volume as v
from harness import MIB, Drive, need

PASSWORD = "correct horse 7 battery"


class Volumes(harness.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.tree = harness.make_tree(cls.env.path("tree"))
        cls.sources = [(cls.tree + "/", "archive/2026/")]
        cls.password_file = cls.env.path("password")
        with open(cls.password_file, "w", encoding="ascii") as file:
            file.write(PASSWORD)

    def prepared(self, cipher, sector, password=False, external_key=False):
        options = {"cipher": cipher, "externalKey": external_key}
        if password:
            options["passwordFile"] = self.password_file
        job = self.make_job(sources=self.sources, drives=[Drive(sector=sector)], bitlocker=options)
        result = job.prepare()
        self.assertEqual(result.status, 0, result)
        return job

    def check_volume(self, cipher, sector, password=False, external_key=False):
        need("cryptsetup", "ntfsresize")
        harness.need_fuse()
        job = self.prepared(cipher, sector, password, external_key)
        image, scratch = job.image(), self.env.directory("look")
        recovery_password = job.key()
        with self.subTest("partition table"):
            self.check_partition_table(image, sector)
        volume = v.Volume(image, sector)
        self.assertEqual(volume.metadata.method, v.METHODS[cipher])
        with self.subTest("volume key"):
            key = self.check_volume_key(job, volume, scratch, recovery_password, password, external_key)
        with self.subTest("dislocker, recovery password"):
            with v.dislocker(image, volume.offset, [f"-p{recovery_password}"],
                             os.path.join(scratch, "decrypted")) as decrypted:
                self.check_file_system(job, os.path.join(decrypted, "dislocker-file"), scratch)
        if cipher != "xts-aes-256":  # libbde 20190102 misreads genuine XTS-256 volumes too
            with self.subTest("libbde"):
                self.check_libbde(image, volume, recovery_password, scratch)
        with self.subTest("announcements"):
            self.check_announcements(job)
        with self.subTest("room left is free room"):
            self.check_filling(image, volume, key, scratch)

    def check_partition_table(self, image, sector):
        gpt = v.Gpt(image, sector)
        self.assertGreater(gpt.length, 61 * MIB)
        if sector == 512:  # these two know no other sector size of a file
            need("sgdisk", "sfdisk")
            self.assertIn("No problems found", v.run_ok("sgdisk", "-v", image))
            self.assertIn("No errors detected", v.run_ok("sfdisk", "--verify", image))

    def check_volume_key(self, job, volume, scratch, recovery_password, password, external_key):
        partition = os.path.join(scratch, "partition")
        v.copy_partition(volume.image, volume.offset, volume.length, partition)
        dump = v.run_ok("cryptsetup", "bitlkDump", partition)
        self.assertRegex(dump, rf"Sector size:\s+{volume.sector} ")
        self.assertIn(str(volume.metadata.volume), dump)
        keys = {"recovery password": v.volume_key(
            partition, v.key_file_of(scratch, "recovery", recovery_password))}
        if password:
            keys["password"] = v.volume_key(partition, self.password_file)
        if external_key:
            keys["external key"] = v.volume_key(partition, self.external_key_file(job))
        self.assertEqual(len(set(keys.values())), 1, "each protector leads to the same volume key")
        key = keys["recovery password"]
        self.assertEqual(len(key), {"xts-aes-256": 64, "aes-cbc-128": 16}.get(
            job.spec["bitlocker"]["cipher"], 32))
        os.remove(partition)
        return key

    @staticmethod
    def external_key_file(job):
        directory = job.path("drives", "DISK0")
        names = [name for name in os.listdir(directory) if name.endswith(".BEK")]
        v.check(len(names) == 1 and re.fullmatch(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}\.BEK",
                                                  names[0]), f"one BEK file: {names}")
        return os.path.join(directory, names[0])

    def check_file_system(self, job, decrypted, scratch):
        report = v.run_ok("ntfsresize", "--info", "--force", "--no-progress-bar", decrypted)
        self.assertNotRegex(report, r"(?i)error|inconsisten|corrupt|mismatch")
        with v.ntfs(decrypted, os.path.join(scratch, "files")) as files:
            self.assertEqual(v.differences(files, self.sources), [])
            self.check_directories(files)
            manifest = os.path.join(files, "DriveManifest.xml")
            checker = [sys.executable, "-B", os.path.join(harness.SUPPORT, "check_manifest.py"),
                       manifest, files,
                       "--hash", job.status()["DISK0"]["manifest"]["md5"]]
            done = subprocess.run(checker, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            self.assertEqual(done.returncode, 0, done.stdout)
            self.assertEqual(harness.digest_of(manifest),
                             harness.digest_of(job.path("drives", "DISK0", "DriveManifest.xml")))

    def check_directories(self, files):
        top = os.path.join(files, "job-a", "archive", "2026")
        self.assertEqual(os.listdir(os.path.join(top, "empty directory")), [])
        for name in ("empty directory", "deep/er", "."):
            self.assertEqual(os.stat(os.path.join(top, name)).st_mtime_ns // 100,
                             os.stat(os.path.join(self.tree, name)).st_mtime_ns // 100,
                             f"the time of directory {name}")

    def check_libbde(self, image, volume, recovery_password, scratch):
        need("bdemount")
        point = v.Mount(["bdemount", "-o", str(volume.offset), "-r", recovery_password, image],
                        os.path.join(scratch, "bde"))
        with point as bde, v.ntfs(os.path.join(bde, "bde1"), os.path.join(scratch, "files")) as files:
            self.assertEqual(v.differences(files, self.sources), [])

    def check_announcements(self, job):
        manifest = job.path("drives", "DISK0", "DriveManifest.xml")
        announced = job.status()["DISK0"]["manifest"]["md5"]
        self.assertEqual(v.run_ok("md5sum", manifest).split()[0].upper(), announced)
        info = ElementTree.parse(job.path("drives", "DISK0", "DriveInfo.xml")).getroot()
        text = ElementTree.tostring(info, encoding="unicode")
        self.assertIn(announced, text)
        self.assertIn("DISK0", text)
        self.run_ok("request", job.root)
        for name in ("databox.json", "importexport.json"):
            with open(job.path("requests", name), encoding="utf-8") as file:
                self.assertIn(announced, file.read(), name)

    def check_filling(self, image, volume, key, scratch):
        """Writes into all free clusters by way of dislocker and ntfs-3g: nothing of ours was free."""
        fvek = v.fvek_file(scratch, volume.metadata.method, key)
        with v.dislocker(image, volume.offset, ["-k", fvek], os.path.join(scratch, "decrypted"),
                         read_only=False) as decrypted:
            stream, point = os.path.join(decrypted, "dislocker-file"), os.path.join(scratch, "files")
            with v.ntfs(stream, point, read_only=False) as files:
                written = self.fill(os.path.join(files, "filler"))
                self.assertGreater(written, 10 * MIB)
            with v.ntfs(stream, point) as files:
                self.assertEqual(v.differences(files, self.sources), [])
        self.assertEqual(v.Volume(image, volume.sector).copies, volume.copies)

    @staticmethod
    def fill(path):
        written, block = 0, bytes(range(256)) * 4096
        with open(path, "wb", buffering=0) as file:
            for size in (MIB, 4096):
                try:
                    while True:
                        written += file.write(block[:size])
                except OSError:
                    continue
        return written

    def test_default_cipher_and_every_protector(self):
        self.check_volume("xts-aes-256", 512, password=True, external_key=True)

    def test_xts_aes_256_with_sectors_of_4096(self):
        self.check_volume("xts-aes-256", 4096)

    def test_xts_aes_128(self):
        self.check_volume("xts-aes-128", 512)

    def test_xts_aes_128_with_sectors_of_4096(self):
        self.check_volume("xts-aes-128", 4096, password=True)

    def test_aes_cbc_128(self):
        self.check_volume("aes-cbc-128", 512, external_key=True)

    def test_aes_cbc_128_with_sectors_of_4096(self):
        self.check_volume("aes-cbc-128", 4096)

    def test_aes_cbc_256(self):
        self.check_volume("aes-cbc-256", 512)

    def test_aes_cbc_256_with_sectors_of_4096(self):
        self.check_volume("aes-cbc-256", 4096, external_key=True)

    def test_external_key_and_password_open_the_volume_in_dislocker(self):
        need("dislocker-file", "cryptsetup")
        job = self.prepared("xts-aes-128", 512, password=True, external_key=True)
        volume = v.Volume(job.image(), 512)
        streams = set()
        for way in (["-f", self.external_key_file(job)], [f"-u{PASSWORD}"], [f"-p{job.key()}"]):
            out = self.env.path("stream")
            v.run_ok("dislocker-file", "-V", job.image(), "-O", str(volume.offset), *way, "--", out)
            self.assertEqual(v.read_at(out, 3, 8), b"NTFS    ")
            streams.add(harness.digest_of(out))
            os.remove(out)
        self.assertEqual(len(streams), 1, "each protector gives the same file system")

    def test_a_password_beyond_ascii_leads_to_the_volume_key(self):
        need("openssl", "cryptsetup")
        password = "Schlüssel für 日本 \U0001F511"
        file = self.env.path("password-beyond-ascii")
        with open(file, "w", encoding="utf-8") as out:
            out.write(password)
        job = self.make_job(sources=self.sources,
                            bitlocker={"cipher": "xts-aes-256", "passwordFile": file})
        result = job.prepare()
        self.assertEqual(result.status, 0, result)
        volume, scratch = v.Volume(job.image(), 512), self.env.directory("look")
        partition = os.path.join(scratch, "partition")
        v.copy_partition(volume.image, volume.offset, volume.length, partition)
        key = v.volume_key(partition, v.key_file_of(scratch, "recovery", job.key()))
        self.assertEqual(derivation.volume_key(volume.copies[0], password), key)
        with self.assertRaises(derivation.NotOpened):
            derivation.volume_key(volume.copies[0], password + "!")

    def test_what_an_image_held_before_is_in_no_place_that_belongs_to_the_volume(self):
        harness.need_fuse()
        job = self.make_job(sources=self.sources)
        old = b"OLD SECRET DATA!" * (v.METADATA_SIZE // 16)
        with open(job.image(), "wb") as image:
            for _ in range(64 * MIB // len(old)):
                image.write(old)
        self.assertEqual(job.prepare().status, 0)
        volume, scratch = v.Volume(job.image(), 512), self.env.directory("look")
        last_mib = os.stat(job.image()).st_size - MIB
        own = {"before the partition": v.read_at(job.image(), 0, MIB),
               "before NTFS": volume.read(0, 8192),
               "after the partition": v.read_at(job.image(), last_mib, MIB),
               "B and D": volume.read(volume.metadata.relocated, 8192 + v.RESERVED_SIZE)}
        for place, data in own.items():
            self.assertNotIn(old[:64], data, place)
        with v.dislocker(job.image(), volume.offset, [f"-p{job.key()}"],
                         os.path.join(scratch, "decrypted")) as decrypted:
            stream = os.path.join(decrypted, "dislocker-file")
            self.assertEqual(v.read_at(stream, volume.metadata.relocated + 8192, v.RESERVED_SIZE),
                             bytes(v.RESERVED_SIZE), "D is zeros, encrypted")
            with v.ntfs(stream, os.path.join(scratch, "files")) as files:
                name = "System Volume Information/FVE2.{da392a22-cae0-4f0f-9a30-b8830385d046}"
                self.assertEqual(v.read_at(os.path.join(files, name), 0, MIB),
                                 bytes(v.RESERVED_SIZE), "D belongs to its file")
                self.assertEqual(v.differences(files, self.sources), [])


if __name__ == "__main__":
    harness.main()
