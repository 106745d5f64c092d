"""A job's key in a PKCS#11 token (SoftHSM), by the commands that use it."""

import glob
import os
import shutil
import subprocess

import harness
import vault_case

MODULE = next(iter(glob.glob("/usr/lib/softhsm/libsofthsm2.so") +
                   glob.glob("/usr/lib/*/softhsm/libsofthsm2.so")), None)
PIN = "7415-pin"
KEY, USAGE = 12, 2


class Token(harness.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if MODULE is None or not shutil.which("softhsm2-util") or not shutil.which("pkcs11-tool"):
            harness.skip("needs softhsm2 and opensc")
        cls.home = cls.env.directory("softhsm")
        os.mkdir(os.path.join(cls.home, "tokens"))
        cls.config = os.path.join(cls.home, "softhsm2.conf")
        with open(cls.config, "w", encoding="ascii") as file:
            file.write(f"directories.tokendir = {cls.home}/tokens\nobjectstore.backend = file\n")
        cls.pin_file = os.path.join(cls.home, "pin")
        with open(cls.pin_file, "w", encoding="ascii", opener=vault_case.private) as file:
            file.write(PIN + "\n")
        cls.tool("softhsm2-util", "--init-token", "--free", "--label", "Archive", "--pin", PIN,
                 "--so-pin", "so-" + PIN)

    @classmethod
    def tool(cls, *command):
        subprocess.run(command, check=True, env={**os.environ, "SOFTHSM2_CONF": cls.config},
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    @classmethod
    def make_key(cls, label, number):
        cls.tool("pkcs11-tool", "--module", MODULE, "--token-label", "Archive", "--login", "--pin", PIN,
                 "--keypairgen", "--key-type", "rsa:2048", "--label", label, "--id", number)

    def url(self, label, number=None, **query):
        query = {"module-path": MODULE, "pin-source": "file:" + self.pin_file, **query}
        return (f"pkcs11:token=Archive;object={label}" + (f";id=%{number}" if number else "") +
                "?" + "&".join(f"{name}={value}" for name, value in query.items()))

    def command(self, *arguments, **options):
        return self.env.run(*arguments, env={**self.env.variables(), "SOFTHSM2_CONF": self.config},
                            **options)

    def ok(self, *arguments, **options):
        result = self.command(*arguments, **options)
        self.assertEqual(result.status, 0, result)
        return result

    def token_job(self, url):
        job = self.make_job()
        job.spec["encryption"] = {"keyUrl": url, "keyStore": self.env.key_store}
        job.write_spec()
        return job

    def test_a_secret_goes_under_a_token_and_to_the_next_version_of_its_key(self):
        self.make_key("kek", "01")
        job = self.token_job(self.url("kek"))
        found = self.ok("key", "check", job.root, "--json").json()
        self.assertEqual((found["fit"], found["trial"]), (True, {"wrapped": True, "unwrapped": True}))
        kid = found["version"]["kid"]
        self.assertNotIn("?", kid)
        self.ok("key", "wrap-secret", job.root, "--name", "unlock", given=b"open sesame")
        self.assertEqual(self.ok("key", "unwrap-secret", job.root, "--name", "unlock").out,
                         "open sesame")
        self.make_key("kek", "02")
        newer = self.ok("key", "set", job.root, "--key-url", self.url("kek", "02"), "--json").json()
        self.assertEqual((newer["old_kid"], newer["rewrapped"]), (kid, 1))
        status = self.ok("key", "status", job.root, "--json").json()
        self.assertEqual(status["envelopes"][0]["kids"], [newer["kid"], kid])
        self.assertEqual(self.ok("key", "unwrap-secret", job.root, "--name", "unlock").out,
                         "open sesame")
        self.assertEqual(self.ok("key", "audit", job.root, "--json").json()["chain"], "whole")

    def test_a_job_of_this_machine_moves_to_a_token_and_its_drive_opens(self):
        self.make_key("move", "03")
        source = self.env.directory("source")
        harness.write_file(source, "a.txt", b"payload")
        job = self.make_job(sources=[(source + "/", "container/")])
        self.assertEqual(job.prepare().status, 0)
        password = self.ok("key", "show", job.root, "--drive", "DISK0").out
        image = harness.digest_of(job.image())
        self.ok("key", "set", job.root, "--key-url", self.url("move"))
        self.assertEqual(self.ok("key", "show", job.root, "--drive", "DISK0").out, password)
        self.assertEqual(harness.digest_of(job.image()), image)
        self.ok("verify", job.root)

    def test_what_a_token_refuses_is_told(self):
        self.make_key("wrong", "04")
        wrong = os.path.join(self.home, "wrong-pin")
        with open(wrong, "w", encoding="ascii", opener=vault_case.private) as file:
            file.write("not-the-pin\n")
        for url, code in ((self.url("nothing"), "CmkErrorKeyNotFound"),
                          (self.url("wrong", **{"pin-source": "file:" + wrong}), "KwCredentialInvalid"),
                          ("pkcs11:token=Archive;object=wrong?pin-value=1234",
                           "SsemUserErrorInvalidKeyVaultUrl"),
                          ("pkcs11:token=Archive", "SsemUserErrorInvalidKeyVaultUrl")):
            result = self.command("key", "check", self.token_job(url).root, "--json")
            self.assertEqual((result.status, result.json().get("code")), (KEY, code), result)
            self.assertNotIn("not-the-pin", result.out + result.err)
            self.assertNotIn("1234", result.out.replace(url, "") + result.err.replace(url, ""))


if __name__ == "__main__":
    harness.main()
