"""driveprep volume on volumes that Windows made: DRIVEPREP_WINDOWS_VOLUMES names their directory (or
archive volumes.tar.xz in it), else they are looked for beside the source tree."""

import configparser
import hashlib
import json
import os
import subprocess
import unittest

import harness

HERE = os.path.dirname(os.path.abspath(__file__))
REFUSED, KEY = 3, 12
CIPHERS = {"aes-xts-plain64": "xts-aes", "aes-cbc-eboiv": "aes-cbc", "aes-cbc-elephant": "aes-cbc"}


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
                self.assertIn(CIPHERS[facts["CIPHER"]], metadata["cipher"])
                self.assertEqual("elephant" in metadata["cipher"], "elephant" in facts["CIPHER"])
                ids = {entry["id"] for entry in metadata["protectors"]}
                self.assertLessEqual({value for key, value in facts.items()
                                      if key.endswith("_VMK_GUID") and value}, ids)
                self.assertEqual(told["state"], "converting" if "eow" in name else "encrypted")
                self.assertEqual(told["kind"], "to-go" if "togo" in name else
                                 "converting" if "eow" in name else "fixed")
                sound = [copy["sound"] for copy in told["copies"]]
                self.assertEqual(sound, [False, False, True] if "crc" in name else [True] * 3)

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
            if "eow" in name or not facts.get("PW"):
                continue
            done = self.run_volume("unlock --check", name, "--password-file", "-", "--json",
                                   secret=facts["PW"] + "x")
            self.assertEqual((done.returncode, json.loads(done.stdout)["error"]["code"]),
                             (KEY, "key-does-not-open"), name)

    def test_the_exported_volume_has_the_published_hash(self):
        for name, facts in self.volumes.items():
            if not facts.get("SHA256SUM"):
                continue
            with self.subTest(name):
                out = self.env.path(name + ".plain")
                done = self.run_volume("export", name, "--output", out, "--recovery-password-file", "-",
                                       secret=facts["RP"])
                self.assertEqual(done.returncode, 0, done)
                with open(out, "rb") as file:
                    self.assertEqual(hashlib.sha256(file.read()).hexdigest(), facts["SHA256SUM"])
                os.remove(out)


if __name__ == "__main__":
    harness.main()
