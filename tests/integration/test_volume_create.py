"""driveprep volume create, and the keys of what it made: judged by cryptsetup, dislocker, libbde and
ntfs-3g."""

import json
import os
import shutil
import subprocess
import unittest

import harness
import judges
import volume as v
from harness import MIB, need
from judges import Key

USAGE, REFUSED, NOT_CONFIRMED, BUSY = 2, 3, 4, 5
PASSWORD = "correct horse battery"


class VolumeCreate(harness.Case):
    def setUp(self):
        self.root = self.env.directory(self.id().rsplit(".", 1)[-1])

    def path(self, name):
        return os.path.join(self.root, name)

    def image(self, name="volume.img", size=64 * MIB):
        with open(self.path(name), "wb") as file:
            file.truncate(size)
        return self.path(name)

    def volume(self, *arguments):
        return subprocess.run([harness.PROGRAM, "volume", *arguments], capture_output=True,
                              stdin=subprocess.DEVNULL, env=self.env.variables(),
                              start_new_session=True)

    def document(self, *arguments):
        done = self.volume(*arguments, "--json")
        self.assertEqual(done.returncode, 0, done)
        return json.loads(done.stdout)

    def error(self, status, code, *arguments):
        done = self.volume(*arguments, "--json")
        self.assertEqual(done.returncode, status, done)
        error = json.loads(done.stdout)["error"]
        self.assertEqual(error["code"], code, done)
        return error

    def create(self, image, *arguments, kinds=("recovery-password",)):
        """(what it told, {kind: Key})"""
        password = v.key_file_of(self.root, "password.txt", PASSWORD + "\n")
        chosen = [word for kind in kinds for word in ("--protector", kind)]
        if "password" in kinds:
            chosen += ["--new-password-file", password]
        if set(kinds) != {"password"}:
            chosen += ["--output", self.root]
        told = self.document("create", image, *chosen, *arguments)
        self.assertEqual(sorted(made["kind"] for made in told["protectors"]), sorted(kinds))
        return told, {made["kind"]: Key(made["kind"], made["key_file"] or password)
                      for made in told["protectors"]}

    def ids(self, image):
        return {entry["kind"]: entry["id"]
                for entry in self.document("info", image)["metadata"]["protectors"]}

    def digest_of_area(self, path, offset, length):
        with open(path, "rb") as file:
            file.seek(offset)
            return hash(file.read(length))

    # --- what is made

    def check_changes(self, cipher, sector, each=False):
        """The judges are asked about the changed volume; with `each`, about the new one and between the
        changes, too: what they change does not depend on the cipher."""
        without = ("libbde",) if cipher == "xts-aes-256" else ()  # it opens no genuine one either
        need("cryptsetup", "dislocker-file", "bdeinfo")
        image = self.image()
        told, keys = self.create(image, "--cipher", cipher, "--sector-size", str(sector), "--label", "MADE",
                                 kinds=("recovery-password", "password", "external-key"))
        self.assertEqual((told["cipher"], told["sector_size"], told["label"], told["destroyed"]),
                         (cipher, sector, "MADE", "empty"))
        expected = dict.fromkeys(keys, True)
        if each:
            judges.check(self, image, keys, expected)
        ids = self.ids(image)
        by = keys["external-key"].options()

        self.document("protectors", "remove", image, ids["recovery-password"], *by)
        expected["recovery-password"] = False
        if each:
            judges.check(self, image, keys, expected)

        keys["changed"] = Key("password", v.key_file_of(self.root, "changed.txt", PASSWORD + " 2"))
        self.document("protectors", "change", image, ids["password"], "--new-password-file",
                      keys["changed"].path, *by)
        expected.update({"password": False, "changed": True})
        if each:
            judges.check(self, image, keys, expected)

        added = self.document("protectors", "add", image, "recovery-password", "--output",
                              self.path("second.txt"), *by)
        keys["second"] = Key("recovery-password", added["key_file"])
        expected["second"] = True
        if each:
            judges.check(self, image, keys, expected)

        self.document("protectors", "remove", image, ids["external-key"], *keys["second"].options())
        expected["external-key"] = False
        judges.check(self, image, keys, expected, without=without)

    def test_each_key_opens_after_each_change_and_no_removed_one_does(self):
        self.check_changes("xts-aes-128", 512, each=True)

    def test_xts_aes_256_with_sectors_of_4096_opens_with_what_is_left_after_changes(self):
        self.check_changes("xts-aes-256", 4096)

    def test_aes_cbc_128_with_sectors_of_4096_opens_with_what_is_left_after_changes(self):
        self.check_changes("aes-cbc-128", 4096)

    def test_aes_cbc_256_opens_with_what_is_left_after_changes(self):
        self.check_changes("aes-cbc-256", 512)

    def test_others_write_files_into_it_and_driveprep_reads_them(self):
        need("dislocker-fuse", "ntfs-3g", "ntfsinfo")
        harness.need_fuse()
        content = os.urandom(3 * MIB)
        for cipher, cluster in (("xts-aes-128", 65536), ("aes-cbc-256", 4096)):
            with self.subTest(cipher=cipher):
                image = self.image(cipher + ".img")
                told, keys = self.create(image, "--cipher", cipher, "--cluster-size", str(cluster),
                                         "--label", "Archive 7")
                self.assertEqual(told["cluster_size"], cluster)
                key = keys["recovery-password"]
                how = ["-p" + key.text()]
                with v.dislocker(image, 0, how, self.path("bde"), read_only=False) as plain:
                    device = os.path.join(plain, "dislocker-file")
                    shown = v.run_ok("ntfsinfo", "-m", device)
                    self.assertIn("Volume Name: Archive 7", shown)
                    self.assertIn(f"Cluster Size: {cluster}", shown)
                    with v.ntfs(device, self.path("files"), read_only=False) as files:
                        harness.write_file(files, "dir/theirs.bin", content)
                self.assertEqual(self.volume("cat", image, "dir/theirs.bin", *key.options()).stdout,
                                 content)

    def test_a_partition_becomes_a_volume_and_its_neighbours_stay(self):
        need("sgdisk", "cryptsetup")
        image = self.image(size=300 * MIB)
        v.run_ok("sgdisk", "-n1:2048:+80M", "-n2:0:+80M", "-n3:0:+80M", image)
        with open(image, "r+b") as file:
            for begin in (1, 161):
                file.seek(begin * MIB)
                file.write(os.urandom(80 * MIB))
        before = [self.digest_of_area(image, at * MIB, 80 * MIB) for at in (1, 161)]
        self.error(USAGE, "partition-needed", "create", image, "--output", self.path("no.txt"))
        self.error(USAGE, "partition-unknown", "create", image, "--partition", "7", "--output",
                   self.path("no.txt"))
        self.assertFalse(os.path.exists(self.path("no.txt")))
        told, keys = self.create(image, "--partition", "2")
        self.assertEqual((told["partition"], told["offset"], told["length"]), (2, 81 * MIB, 80 * MIB))
        self.assertEqual([self.digest_of_area(image, at * MIB, 80 * MIB) for at in (1, 161)], before)
        self.assertEqual(v.run("sgdisk", "-v", image).returncode, 0)
        partition = self.path("partition.img")
        v.copy_partition(image, 81 * MIB, 80 * MIB, partition)
        self.assertTrue(judges.by_cryptsetup(partition, keys["recovery-password"]))
        # NTFS knows where its partition begins.
        plain = self.path("plain.img")
        self.document("export", image, "--output", plain, *keys["recovery-password"].options())
        self.assertEqual(int.from_bytes(v.read_at(plain, 0x1C, 4), "little"), 81 * MIB // 512)

    def test_a_volume_of_one_key_of_any_kind(self):
        for kind in judges.OPTIONS:
            with self.subTest(kind=kind):
                image = self.image(kind + ".img")
                _, keys = self.create(image, kinds=(kind,))
                self.assertEqual(list(self.ids(image)), [kind])
                self.assertTrue(judges.by_cryptsetup(image, keys[kind]))

    def test_a_key_file_is_for_its_owner_only_and_the_key_is_nowhere_else(self):
        image = self.image()
        _, keys = self.create(image, kinds=("recovery-password", "external-key"))
        for key in keys.values():
            self.assertEqual(os.stat(key.path).st_mode & 0o777, 0o600)
        with open(image, "rb") as file:
            self.assertNotIn(keys["recovery-password"].text().encode(), file.read())
        done = self.volume("create", self.image("second.img"))  # to standard output
        self.assertEqual(done.returncode, 0, done)
        recovery_password = v.key_file_of(self.root, "printed.txt", done.stdout.decode())
        self.assertTrue(judges.by_driveprep(self.path("second.img"),
                                            Key("recovery-password", recovery_password)))
        self.assertNotIn(done.stdout.strip(), done.stderr)

    # --- what is not destroyed

    def test_what_is_there_is_destroyed_only_when_exactly_that_was_confirmed(self):
        need("mkfs.ext4")
        image = self.image()
        v.run_ok("mkfs.ext4", "-q", "-L", "precious", image)
        before = harness.digest_of(image)
        error = self.error(NOT_CONFIRMED, "create-not-confirmed", "create", image, "--output",
                           self.path("key.txt"))
        self.assertIn("ext4 'precious'", error["message"])
        digits = error["remedy"].split("--confirm ")[1].rstrip(".")
        self.error(NOT_CONFIRMED, "create-wrong-confirmation", "create", image, "--confirm", "00000000",
                   "--output", self.path("key.txt"))
        # Another image with other content has other digits.
        other = self.image("other.img")
        harness.write_file(self.root, "other.img", b"else".ljust(64 * MIB, b"\0"))
        self.error(NOT_CONFIRMED, "create-wrong-confirmation", "create", other, "--confirm", digits,
                   "--output", self.path("key.txt"))
        self.assertFalse(os.path.exists(self.path("key.txt")))
        self.assertEqual(harness.digest_of(image), before)
        with open(image, "r+b") as file:  # what was confirmed is there no more
            file.seek(MIB)
            file.write(b"changed meanwhile")
        self.error(NOT_CONFIRMED, "create-wrong-confirmation", "create", image, "--confirm", digits,
                   "--output", self.path("key.txt"))
        with open(image, "r+b") as file:
            file.seek(MIB)
            file.write(bytes(17))
        told = self.document("create", image, "--confirm", digits, "--output", self.path("key.txt"))
        self.assertIn("precious", told["destroyed"])
        self.assertIn("BitLocker", v.run_ok("blkid", "-p", image))
        self.assertNotIn("ext4", v.run_ok("wipefs", image))

    def test_nothing_is_written_when_something_is_wrong(self):
        image = self.image()
        harness.write_file(self.root, "taken.txt", b"something")
        out = ["--output", self.path("key.txt")]
        bek = ["--protector", "external-key"]
        for status, code, arguments in (
                (USAGE, "cipher-unknown", ["--cipher", "aes-cbc-128-elephant", *out]),
                (USAGE, "protector-kind", ["--protector", "tpm", *out]),
                (USAGE, "protector-kind", ["--protector", "password", "--protector", "password", *out]),
                (USAGE, "output-needed", []),
                (USAGE, "output-needed", bek),
                (USAGE, "output-needed", [*bek, "--protector", "recovery-password", *out]),
                (USAGE, "output-exists", ["--output", self.path("taken.txt")]),
                (USAGE, "sector-size", ["--sector-size", "520", *out]),
                (USAGE, "cluster-size", ["--cluster-size", "3000", *out]),
                (USAGE, "volume-label", ["--label", "x" * 33, *out]),
                (USAGE, "key-options", ["--new-password-file", self.path("taken.txt"), *out]),
                (USAGE, "bitlocker-password-length", ["--protector", "password", "--new-password-file",
                                                      v.key_file_of(self.root, "short.txt", "short")]),
                (USAGE, "key-missing", ["--protector", "password"])):
            with self.subTest(code=code, arguments=arguments):
                self.error(status, code, "create", image, *arguments)
        self.error(REFUSED, "volume-too-small", "create", self.image("small.img", 32 * MIB), *out)
        self.error(REFUSED, "image-size-uneven", "create", self.image("uneven.img", 64 * MIB + 100), *out)
        self.error(USAGE, "target-missing", "create", self.path("missing.img"), *out)
        self.assertFalse(os.path.exists(self.path("key.txt")))
        with open(image, "rb") as file:
            self.assertEqual(file.read().count(0), 64 * MIB)

    def test_a_device_in_use_is_left_alone_and_a_free_one_asks_first(self):
        harness.need_root()
        need("losetup", "mkfs.ext4")
        image = self.image()
        v.run_ok("mkfs.ext4", "-q", image)
        device = v.run_ok("losetup", "--find", "--show", image).strip()
        self.addCleanup(v.run, "losetup", "--detach", device)
        out = ["--output", self.path("key.txt")]
        self.error(BUSY, "image-backs-loop", "create", image, *out)
        point = self.env.directory("mounted")
        v.run_ok("mount", device, point)
        try:
            self.error(BUSY, "target-busy", "create", device, *out)
        finally:
            v.unmount(point)
        error = self.error(NOT_CONFIRMED, "create-not-confirmed", "create", device, *out)
        digits = error["remedy"].split("--confirm ")[1].rstrip(".")
        self.document("create", device, "--confirm", digits, *out)
        self.assertTrue(judges.by_cryptsetup(device, Key("recovery-password", self.path("key.txt"))))


if __name__ == "__main__":
    harness.main()
