"""driveprep volume: keys changed, metadata damaged, forged and brought back; judged by cryptsetup,
dislocker and libbde."""

import os
import zlib

import harness
import volume as v
from harness import MIB, need
from judges import Key
from volume_case import VolumeCase

USAGE, REFUSED, NOT_CONFIRMED, VERIFICATION, KEY = 2, 3, 4, 7, 12
PASSWORD = "correct horse battery"


class VolumeMetadata(VolumeCase):
    def test_every_change_of_the_protectors_is_seen_by_all_readers(self):
        need("dislocker-file", "bdeinfo")
        job = self.finished()
        image, directory = job.image(), job.path("drives", "DISK0")
        (bek,) = [os.path.join(directory, name) for name in os.listdir(directory)
                  if name.endswith(".BEK")]
        keys = {"recovery": Key("recovery-password", v.key_file_of(job.root, "first.txt", job.key())),
                "file": Key("external-key", bek)}
        expected = {"recovery": True, "file": True}
        by_file = ["--bek-file", bek]

        keys["second"] = Key("recovery-password", os.path.join(job.root, "second.txt"))
        self.ok("protectors", "add", image, "recovery-password", "--output", keys["second"].path, *by_file)
        expected["second"] = True
        keys["password"] = Key("password", v.key_file_of(job.root, "password.txt", PASSWORD))
        self.ok("protectors", "add", image, "password", "--new-password-file", keys["password"].path,
                *by_file)
        expected["password"] = True
        added = self.document("protectors", "add", image, "external-key", "--output", job.root, *by_file)
        keys["file2"] = Key("external-key", added["key_file"])
        self.assertEqual(os.stat(added["key_file"]).st_mode & 0o777, 0o600)
        expected["file2"] = True
        ids = [entry["id"] for entry in self.document("info", image)["metadata"]["protectors"]]
        self.assertEqual(len(ids), 5)
        first = job.status()["DISK0"]["volume"]["recovery_protector"]
        self.ok("protectors", "remove", image, first, *by_file)
        expected["recovery"] = False
        keys["password2"] = Key("password", v.key_file_of(job.root, "password2.txt", PASSWORD + " 2"))
        self.ok("protectors", "change", image, self.protectors(image)["password"],
                "--new-password-file", keys["password2"].path, *by_file)
        expected.update({"password": False, "password2": True})
        self.check_openers(job, keys, expected, behind=("file2",))

        # The file system is still what it was.
        harness.need_fuse()
        scratch = self.env.directory("look")
        self.assertEqual(v.outside_differences(image, 512, keys["second"].text(),
                                               [(self.tree + "/", "archive/")], scratch), [])

    def test_the_last_key_stays_and_nothing_is_written(self):
        job = self.finished(external_key=False)
        key = v.key_file_of(job.root, "first.txt", job.key())
        before = harness.digest_of(job.image())
        self.error(REFUSED, "last-protector", "protectors", "remove", job.image(),
                   self.protectors(job.image())["recovery-password"], "--recovery-password-file", key)
        self.error(USAGE, "protector-unknown", "protectors", "remove", job.image(), "00000000",
                   "--recovery-password-file", key)
        out = os.path.join(job.root, "taken.txt")
        harness.write_file(job.root, "taken.txt", b"something")
        self.error(USAGE, "output-exists", "protectors", "add", job.image(), "recovery-password",
                   "--output", out, "--recovery-password-file", key)
        self.assertEqual(harness.digest_of(job.image()), before)

    def test_a_destroyed_header_and_two_copies_are_survived(self):
        job = self.finished()
        image, key = job.image(), job.key()
        volume = v.Volume(image, 512)
        told = self.document("info", image)
        with open(image, "r+b") as file:
            file.seek(volume.offset)
            file.write(os.urandom(8192))
            for copy in told["copies"][:2]:
                file.seek(volume.offset + copy["offset"])
                file.write(bytes(v.METADATA_SIZE))
        after = self.document("info", image)
        self.assertTrue(after["header_lost"])
        self.assertEqual([copy["sound"] for copy in after["copies"]], [False, False, True])
        self.ok("unlock", "--check", image, "--recovery-password-file", "-", secret=key)

    def test_a_volume_without_header_and_copies_comes_back_from_its_backup(self):
        job = self.finished()
        image, key = job.image(), job.key()
        volume = v.Volume(image, 512)
        sealing = ["--job", job.root, "--drive", "DISK0"]
        told = self.document("info", image)
        made = self.document("backup-metadata", image, *sealing)
        self.assertEqual(os.stat(made["backup"]).st_mode & 0o777, 0o600)
        self.error(USAGE, "output-exists", "backup-metadata", image, *sealing)
        everything = [(0, 8192)] + [(copy["offset"], v.METADATA_SIZE) for copy in told["copies"]]
        everything.append((told["metadata"]["relocated_offset"], 8192))
        with open(image, "r+b") as file:
            for offset, length in everything:
                file.seek(volume.offset + offset)
                file.write(os.urandom(length))
        self.error(REFUSED, "not-bitlocker", "unlock", "--check", image, "--recovery-password-file", "-",
                   secret=key)
        destroyed = harness.digest_of(image)
        self.error(NOT_CONFIRMED, "restore-not-confirmed", "restore-metadata", image, *sealing)
        self.error(NOT_CONFIRMED, "restore-wrong-confirmation", "restore-metadata", image, *sealing,
                   "--confirm", "00000000")
        self.assertEqual(harness.digest_of(image), destroyed)
        self.ok("restore-metadata", image, *sealing, "--confirm", made["volume_guid"][:8])
        after = self.document("info", image)
        self.assertEqual({name: after[name] for name in after if name != "target"},
                         {name: told[name] for name in told if name != "target"})
        self.ok("unlock", "--check", image, "--recovery-password-file", "-", secret=key)
        harness.need_fuse()
        self.assertEqual(v.outside_differences(image, 512, key, [(self.tree + "/", "archive/")],
                                               self.env.directory("look")), [])

    def test_a_backup_does_not_go_over_another_volume_or_newer_metadata(self):
        job, other = self.finished(), self.finished(fresh=True)
        sealing = ["--job", job.root, "--drive", "DISK0"]
        made = self.document("backup-metadata", job.image(), *sealing)
        confirm = ["--confirm", made["volume_guid"]]
        before = harness.digest_of(other.image())
        self.error(REFUSED, "restore-other-volume", "restore-metadata", other.image(), *sealing, *confirm)
        self.assertEqual(harness.digest_of(other.image()), before)
        (bek,) = [os.path.join(job.path("drives", "DISK0"), name)
                  for name in os.listdir(job.path("drives", "DISK0")) if name.endswith(".BEK")]
        self.ok("protectors", "remove", job.image(), self.protectors(job.image())["recovery-password"],
                "--bek-file", bek)
        self.error(REFUSED, "restore-older", "restore-metadata", job.image(), *sealing, *confirm)
        self.ok("restore-metadata", job.image(), *sealing, *confirm, "--replace")
        self.ok("unlock", "--check", job.image(), *sealing)
        # An altered or foreign backup opens under no key.
        with open(made["backup"], encoding="ascii") as file:
            text = file.read()
        broken = v.key_file_of(job.root, "broken.json", text.replace('"tag":"', '"tag":"AAAA', 1))
        self.assertEqual(self.volume("restore-metadata", job.image(), *sealing, "--input", broken,
                                     *confirm).returncode, KEY)
        self.assertEqual(self.volume("restore-metadata", job.image(), "--job", job.root, "--drive",
                                     "DISK1", "--input", made["backup"], *confirm).returncode, KEY)

    def test_the_key_in_the_envelope_is_not_given_up_unasked(self):
        job = self.finished()
        image, by_job = job.image(), ["--job", job.root, "--drive", "DISK0"]
        sealed = job.status()["DISK0"]["volume"]["recovery_protector"]
        before = harness.digest_of(image)
        new = os.path.join(job.root, "new.txt")
        self.error(REFUSED, "protector-in-envelope", "protectors", "remove", image, sealed, *by_job)
        self.error(REFUSED, "protector-in-envelope", "protectors", "change", image, sealed,
                   "--output", new, *by_job)
        self.assertEqual(harness.digest_of(image), before)
        self.assertFalse(os.path.exists(new))
        # Other protectors go as before, and this one when that is said.
        self.ok("protectors", "remove", image, self.protectors(image)["external-key"], *by_job)
        self.ok("protectors", "change", image, sealed, "--output", new, "--give-up-envelope", *by_job)
        self.error(KEY, "key-does-not-open", "unlock", "--check", image, *by_job)
        self.ok("unlock", "--check", image, "--recovery-password-file", new)

    def test_a_cut_off_image_is_told_and_never_passes_for_whole(self):
        job = self.finished()
        partition, _ = self.partition(job)
        key = v.key_file_of(job.root, "key.txt", job.key())
        size = os.stat(partition).st_size
        self.assertEqual(self.document("info", partition)["missing_bytes"], 0)
        os.truncate(partition, size - 8 * MIB)
        self.assertEqual(self.document("info", partition)["missing_bytes"], 8 * MIB)
        self.assertIn(b"Cut off", self.ok("info", partition).stdout)
        told = self.ok("unlock", "--check", partition, "--recovery-password-file", key)
        self.assertIn(b"is cut off", told.stderr)
        plain = os.path.join(job.root, "plain.img")
        self.error(VERIFICATION, "volume-cut-off", "export", partition, "--output", plain,
                   "--recovery-password-file", key)
        self.assertEqual(os.stat(plain).st_size, size - 8 * MIB)

    def forge(self, image, copies):
        """Another next nonce in these copies, and checksums that are right."""
        volume = v.Volume(image, 512)
        told = self.document("info", image)
        with open(image, "r+b") as file:
            for copy in copies:
                begin = volume.offset + told["copies"][copy]["offset"]
                file.seek(begin)
                data = bytearray(file.read(v.METADATA_SIZE))
                data[0x40 + 0x20] ^= 0x40
                size = int.from_bytes(data[8:10], "little") * 16
                data[size + 4:size + 8] = zlib.crc32(data[:size]).to_bytes(4, "little")
                file.seek(begin)
                file.write(data)

    def test_a_forged_copy_is_named_with_a_key_and_is_in_no_backup(self):
        job = self.finished()
        image, key = job.image(), v.key_file_of(job.root, "key.txt", job.key())
        sealing = ["--job", job.root, "--drive", "DISK0"]
        self.forge(image, [1])
        self.assertFalse(self.document("info", image)["copies_agree"])
        told = self.document("info", image, "--recovery-password-file", key)
        self.assertEqual([copy["integrity"] for copy in told["copies"]], ["good", "wrong", "good"])
        warned = self.ok("unlock", "--check", image, "--recovery-password-file", key).stderr
        self.assertIn(b"copy 2 was changed by somebody", warned)
        self.assertNotIn(b"interrupted", warned)
        self.error(VERIFICATION, "bitlocker-copies-differ", "backup-metadata", image, *sealing)
        self.ok("protectors", "add", image, "recovery-password", "--output",
                os.path.join(job.root, "more.txt"), "--recovery-password-file", key)
        self.assertTrue(self.document("info", image)["copies_agree"])
        self.ok("backup-metadata", image, *sealing)
        self.forge(image, [0, 1, 2])
        self.error(VERIFICATION, "bitlocker-integrity", "unlock", "--check", image,
                   "--recovery-password-file", key)

    def test_a_backup_of_a_volume_that_is_not_the_jobs(self):
        job, other = self.finished(), self.finished(fresh=True)
        made = self.document("backup-metadata", other.image(), "--job", job.root, "--drive", "guest.1")
        self.assertEqual(made["backup"], job.path("drives", "guest.1", "volume-metadata.jwe.json"))
        self.ok("restore-metadata", other.image(), "--job", job.root, "--drive", "guest.1", "--confirm",
                made["volume_guid"])
        self.error(USAGE, "drive-unknown", "backup-metadata", other.image(), "--job", job.root, "--drive",
                   "../guest")

    def test_a_volume_without_header_is_found_among_partitions(self):
        need("sgdisk", "cryptsetup")
        image = self.env.path("three.img")
        with open(image, "wb") as file:
            file.truncate(220 * MIB)
        v.run_ok("sgdisk", "-n1:2048:+64M", "-n2:0:+80M", "-n3:0:+64M", image)
        key = self.env.path("three.txt")
        self.ok("create", image, "--partition", "2", "--output", key)
        with open(image, "r+b") as file:
            file.seek(65 * MIB)
            file.write(bytes(512))
        told = self.document("info", image)
        self.assertEqual((told["partition"], told["header_lost"]), (2, True))
        self.ok("unlock", "--check", image, "--recovery-password-file", key)


if __name__ == "__main__":
    harness.main()
