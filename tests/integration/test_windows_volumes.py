"""driveprep volume on volumes that Windows made: DRIVEPREP_WINDOWS_VOLUMES names their directory (or
archive volumes.tar.xz in it), else they are looked for beside the source tree."""

import configparser
import json
import os
import re
import subprocess
import unittest

import harness
import volume as v

HERE = os.path.dirname(os.path.abspath(__file__))
REFUSED, KEY = 3, 12
CIPHERS = {"aes-xts-plain64": "xts-aes-%s", "aes-cbc-eboiv": "aes-cbc-%s",
           "aes-cbc-elephant": "aes-cbc-%s-elephant"}
KINDS = {"PW": "password", "RP": "recovery-password", "SK": "external-key"}


def file_system_id(boot):
    """As blkid tells it: the serial number of NTFS, or of FAT16."""
    if boot[3:11] == b"NTFS    ":
        return boot[0x48:0x50][::-1].hex().upper()
    assert boot[0x36:0x3E] == b"FAT16   ", boot
    serial = boot[0x27:0x2B][::-1].hex().upper()
    return serial[:4] + "-" + serial[4:]


class WindowsVolumes(harness.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        home = os.environ.get("DRIVEPREP_WINDOWS_VOLUMES",
                              os.path.join(HERE, "../../../shared/windows-volumes"))
        archive = os.path.join(home, "volumes.tar.xz")
        if not os.path.exists(os.path.join(home, "volumes.conf")):
            if not os.path.exists(archive):
                raise unittest.SkipTest("no volumes made by Windows in " + home)
            home = cls.env.directory("windows")
            subprocess.run(["tar", "-xSJf", archive, "-C", home], check=True)
        cls.home = home
        conf = configparser.ConfigParser()
        conf.optionxform = str
        conf.read(os.path.join(home, "volumes.conf"))
        cls.volumes = {name: dict(conf[name]) for name in conf.sections()}

    def run_volume(self, command, name, *options, secret=""):
        return subprocess.run([harness.PROGRAM, "volume", *command.split(),
                               os.path.join(self.home, name + ".img"), *options],
                              input=secret.encode(), capture_output=True, start_new_session=True,
                              env=self.env.variables())

    def credentials(self, name, facts):
        """(option, what goes to standard input, id of the protector)."""
        for key, option in (("PW", "--password-file"), ("RP", "--recovery-password-file")):
            if facts.get(key):
                yield option, facts[key] + "\n", facts[key + "_VMK_GUID"]

    def test_info_tells_what_is_known_of_each_volume(self):
        for name, facts in self.volumes.items():
            with self.subTest(name):
                done = self.run_volume("info", name, "--json")
                self.assertEqual(done.returncode, 0, done)
                told = json.loads(done.stdout)
                metadata = told["metadata"]
                self.assertEqual(metadata["volume_guid"], facts["GUID"])
                bits = re.search(r"-(128|256)\b", name).group(1)
                self.assertEqual(metadata["cipher"], CIPHERS[facts["CIPHER"]] % bits)
                kinds = {entry["id"]: entry["kind"] for entry in metadata["protectors"]}
                for key, kind in KINDS.items():
                    if facts.get(key + "_VMK_GUID"):
                        self.assertEqual(kinds.pop(facts[key + "_VMK_GUID"]), kind)
                # volumes.conf says nothing of the password that this one has, too.
                self.assertEqual(list(kinds.values()),
                                 ["password"] if "startup-key" in name else [])
                size = os.stat(os.path.join(self.home, name + ".img")).st_size
                self.assertEqual((metadata["encrypted_size"], told["length"]), (size, size))
                sector = 4096 if name.endswith("-4k") else 512
                self.assertEqual(metadata["sector_size"], sector)
                relocated = metadata["relocated_sectors"] * sector
                self.assertEqual(relocated, 0x503C00 if "togo" in name else 8192)
                self.assertEqual((metadata["version"], metadata["current_state"]), (2, 4))
                self.assertRegex(metadata["created"], r"^20(19|20)-")
                self.assertTrue(metadata["description"])
                self.assertFalse(told["header_lost"])
                self.assertTrue(told["copies_agree"])
                self.assertIsNone(told["opened_by"])
                self.assertEqual(told["state"], "converting" if "eow" in name else "encrypted")
                self.assertEqual(told["kind"], "to-go" if "togo" in name else
                                 "converting" if "eow" in name else "fixed")
                sound = [copy["sound"] for copy in told["copies"]]
                self.assertEqual(sound, [False, False, True] if "crc" in name else [True] * 3)

    def test_info_with_a_key_finds_the_integrity_hash_of_each_sound_copy_good(self):
        for name, facts in self.volumes.items():
            if "eow" in name:
                continue
            with self.subTest(name):
                done = self.run_volume("info", name, "--recovery-password-file", "-", "--json",
                                       secret=facts["RP"])
                told = json.loads(done.stdout)
                self.assertEqual(told["opened_by"], facts["RP_VMK_GUID"])
                self.assertEqual([copy["integrity"] for copy in told["copies"]],
                                 ["wrong", "wrong", "good"] if "crc" in name else ["good"] * 3)

    def test_info_as_text_names_the_same(self):
        for name, facts in self.volumes.items():
            with self.subTest(name):
                text = self.run_volume("info", name).stdout.decode()
                for key in ("GUID", "PW_VMK_GUID", "RP_VMK_GUID", "SK_VMK_GUID"):
                    self.assertIn(facts.get(key) or "", text)
                self.assertNotIn(facts["RP"], text)

    def test_each_key_opens_its_volume_by_its_protector(self):
        for name, facts in self.volumes.items():
            for option, secret, protector in self.credentials(name, facts):
                with self.subTest(f"{name} {option}"):
                    done = self.run_volume("unlock --check", name, option, "-", "--json", secret=secret)
                    told = json.loads(done.stdout)
                    if "eow" in name:
                        self.assertEqual((done.returncode, told["error"]["code"]),
                                         (REFUSED, "bitlocker-converting"))
                        continue
                    self.assertEqual(done.returncode, 0, done)
                    self.assertEqual(told["protector"]["id"], protector)

    def test_the_startup_key_opens_its_volume_and_no_other(self):
        keys = [os.path.join(self.home, file) for file in os.listdir(self.home)
                if file.endswith(".BEK")]
        self.assertTrue(keys)
        for name in self.volumes:
            done = self.run_volume("unlock --check", name, "--bek-file", keys[0])
            self.assertEqual(done.returncode == 0, "startup-key" in name, (name, done))

    def test_a_wrong_key_opens_nothing(self):
        for name, facts in self.volumes.items():
            if "eow" in name:
                continue
            # Eight groups that are right as such, in another order.
            groups = "-".join(reversed(facts["RP"].split("-")))
            wrong = [("--password-file", facts["PW"] + "x"), ("--recovery-password-file", groups)]
            for option, secret in wrong:
                with self.subTest(f"{name} {option}"):
                    done = self.run_volume("unlock --check", name, option, "-", "--json", secret=secret)
                    self.assertEqual((done.returncode, json.loads(done.stdout)["error"]["code"]),
                                     (KEY, "key-does-not-open"))

    def test_an_unfinished_volume_is_neither_read_nor_changed(self):
        (name,) = [name for name in self.volumes if name.endswith("-eow")]
        copy = self.env.path("eow.img")
        subprocess.run(["cp", "--sparse=always", os.path.join(self.home, name + ".img"), copy],
                       check=True)
        before = harness.digest_of(copy)
        secret = self.volumes[name]["RP"]
        for command in (["export", copy, "--output", self.env.path("none.img")], ["ls", copy],
                        ["cat", copy, "file", "--output", self.env.path("none")],
                        ["extract", copy, "--output", self.env.path("none")],
                        ["protectors", "add", copy, "external-key", "--output", self.env.root]):
            done = self.env.run("volume", *command, "--json", "--recovery-password-file",
                                v.key_file_of(self.env.root, "eow-key", secret))
            self.assertEqual((done.status, done.error()["code"]), (REFUSED, "bitlocker-converting"))
        self.assertEqual(harness.digest_of(copy), before)
        self.assertFalse(os.path.exists(self.env.path("none.img")))
        # What there is to be told is told all the same.
        told = json.loads(self.env.run("volume", "info", copy, "--json", "--recovery-password-file",
                                       v.key_file_of(self.env.root, "eow-key", secret)).out)
        self.assertEqual(told["state"], "converting")
        self.assertEqual([entry["integrity"] for entry in told["copies"]], ["good"] * 3)
        self.assertIsNotNone(told["opened_by"])

    def test_the_exported_volume_has_the_published_hash(self):
        for name, facts in self.volumes.items():
            if not facts.get("SHA256SUM"):
                continue
            with self.subTest(name):
                out = self.env.path(name + ".plain")
                done = self.run_volume("export", name, "--output", out, "--recovery-password-file", "-",
                                       secret=facts["RP"])
                self.assertEqual(done.returncode, 0, done)
                self.assertEqual(v.sha256(out), facts["SHA256SUM"])
                self.assertEqual(file_system_id(v.read_at(out, 0, 512)), facts["UUID"])
                os.remove(out)


if __name__ == "__main__":
    harness.main()
