"""Cases 1 to 14 of thirty that a simple implementation gets wrong, shown by the whole program."""

import base64
import json
import os
import shutil
import socket
import subprocess
import threading
import time

import harness
from harness import MIB, Drive, need, need_root
from key_cases import KeyCase, has_token
from key_conditions import AUTHORITY, DAY, ROWS
from preloaded import Preloaded
from vault_case import KEY, PASSWORD

PURGE = "SsemUserErrorSoftDeleteAndPurgeProtectionNotEnabled"
REVERT = "KwCannotRevertToManagedKey"


class Cases(KeyCase):
    def test_01_a_recovery_level_that_contains_the_word_recoverable(self):
        self.double.set_vault(vault=self.vault, recovery_level="CustomizedRecoverable+Purgeable")
        job = self.drive_job(retrySeconds=0)
        self.unfit(job, PURGE, "NotRecoverable")
        result = job.prepare()
        self.assertEqual((result.status, result.error()["code"]), (KEY, PURGE), result)
        self.assert_untouched(job)
        self.refused(PURGE, "key", "wrap-secret", job.root, "--name", "x", given=b"x")
        self.assertFalse(os.path.exists(job.path("secrets")))

    def test_02_hosts_are_compared_label_by_label(self):
        job = self.quick_job()
        label = self.vault.split(".")[0]
        for url in (f"https://{self.vault.upper()}/keys/cmk",
                    f"HTTPS://{self.vault}:443/Keys/CMK/"):
            self.assertEqual(self.fit(job, "--key-url", url)["version"]["kid"], self.newest())
        self.double.clear_log()
        for host, code in ((f"evil{self.vault[self.vault.index('.') + 1:]}", "HostNotAllowed"),
                           ("vault.azure.net", "HostNotAllowed"),
                           (f"a.{self.vault}", "HostNotAllowed"),
                           (f"{self.vault}.example.org", "HostNotAllowed"),
                           (f"{self.vault}.", "HostNotAllowed"),
                           (f"{self.vault}:8443", "UriInvalid"),
                           (f"{self.vault}:0443", "UriInvalid"), (f"me@{self.vault}", "UriInvalid"),
                           (f"{label}%2evault.azure.net", "UriInvalid"),
                           (f"{self.vault}\\@evil.example", "UriInvalid")):
            with self.subTest(host=host):
                _, document = self.check(job, "--key-url", f"https://{host}/keys/cmk")
                self.assertEqual(document["findings"][0]["condition"], code)
        self.assertEqual(self.double.log(), [])

    def test_03_http_is_an_error_of_its_own(self):
        job = self.quick_job()
        self.unfit(job, "SsemUserErrorKeyVaultUrlWithInvalidScheme", "SchemeNotHttps", "--key-url",
                   f"http://{self.vault}/keys/cmk")
        self.unfit(job, "SsemUserErrorInvalidKeyVaultUrl", "UriInvalid", "--key-url",
                   f"ftp://{self.vault}/keys/cmk")
        self.assertEqual(self.double.log(), [])

    def test_04_a_challenge_that_was_rejected_is_not_remembered(self):
        job = self.secrets_job()
        self.new_version()
        self.run_ok("key", "rewrap", job.root)
        self.assertEqual(len(self.kids(job)), 2)
        for authority, resource, condition in (
                (AUTHORITY, "https://azure.net", "ChallengeRejected"),
                (AUTHORITY, "https://vault.azure.net.evil.example", "ChallengeRejected"),
                (AUTHORITY, "https://vault.azure.cn", "ChallengeRejected"),
                (f"https://evil.example/{AUTHORITY[-36:]}", "https://vault.azure.net",
                 "AuthorityNotTrusted")):
            with self.subTest(authority=authority, resource=resource):
                self.double.clear_faults()
                self.double.clear_log()
                fault = self.double.inject(
                    {"challenge": f'Bearer authorization="{authority}", resource="{resource}"'},
                    times=None)
                for _ in range(2):
                    self.command_fails(condition, "import-export", "key", "unwrap-secret", job.root,
                                       "--name", "unlock")
                # Each run has tried both recipients: the second call met the same refusal.
                self.assertGreaterEqual(self.double.hits(fault), 4)
                self.assertEqual(self.double.log("authority"), [])
                self.assertEqual([each for each in self.double.log("vault") if has_token(each)], [])
        self.double.clear_faults()
        self.assertEqual(self.unwrap_secret(job), "secret of unlock")

    def test_05_no_host_out_of_an_answer_is_ever_asked(self):
        other, _ = self.make_vault()
        job = self.quick_job(testEndpoints={"connectTo": self.double.connect_to(self.vault, other),
                                            "caFile": self.double.ca})
        url = ["--key-url", f"https://{self.vault}/keys/cmk"]
        elsewhere = f"https://{other}/keys/cmk/{'0' * 32}"
        for do, match in (({"kid": elsewhere}, {"method": "GET"}),
                          ({"kid": elsewhere}, {"path": "/wrapkey$"}),
                          ({"kid": elsewhere}, {"path": "/unwrapkey$"}),
                          ({"redirect": elsewhere}, {}),
                          ({"redirect": elsewhere}, {"path": "/wrapkey$"}),
                          ({"redirect": elsewhere, "challenge": "x"}, {})):
            with self.subTest(do=do, match=match):
                self.double.clear_faults()
                self.double.inject(do, times=None, **match)
                self.check(job, *url)
        self.double.clear_faults()
        self.double.inject({"merge": {"nextLink": elsewhere}}, times=None)
        self.check(job, *url)
        self.double.delete_key(vault=self.vault, name="cmk")
        self.double.inject({"merge": {"recoveryId": f"https://{other}/deletedkeys/cmk"}},
                           times=None)
        self.check(job, *url)
        self.assertEqual(self.requests(host=other), [])
        self.assertEqual({each["host"] for each in self.double.log() if has_token(each)},
                         {self.vault})

    def test_06_what_was_wrapped_is_unwrapped_with_its_own_version(self):
        job = self.secrets_job()
        old = self.kids(job)[0]
        new = self.new_version()
        self.assertNotEqual(old, new)
        self.double.clear_log()
        self.assertEqual(self.unwrap_secret(job), "secret of unlock")
        paths = {each["path"] for each in self.requests(method="POST")}
        self.assertEqual(paths, {old.split(".net")[1] + "/unwrapkey"})
        self.set_key(enabled=False)  # the newest
        self.assertEqual(self.unwrap_secret(job), "secret of unlock")

    def test_07_expired_and_inactive_keys_unwrap_disabled_ones_do_nothing(self):
        job = self.drive_job(retrySeconds=0)
        self.assertEqual(job.prepare().status, 0)
        password = job.key()
        self.assertRegex(password, f"^{PASSWORD}$")
        later, earlier = int(time.time()) + DAY, int(time.time()) - DAY
        wrap = ["key", "wrap-secret", job.root, "--name", "x"]
        for condition, members in (("KeyExpired", {"exp": earlier}),
                                   ("KeyNotYetActive", {"exp": None, "nbf": later})):
            with self.subTest(condition=condition):
                self.set_key(**members)
                shown = self.run_ok("key", "show", job.root, "--drive", "DISK0")
                self.assertEqual(shown.out.strip(), password)
                self.assertIn("warning", shown.err)
                code = self.refused(ROWS[condition][0][0], *wrap, given=b"x")
                self.assertTrue(code["remedy"])
        self.set_key(nbf=None, enabled=False)
        self.refused("CmkErrorKeyDisabled", "key", "show", job.root, "--drive", "DISK0")
        self.refused("CmkErrorKeyDisabled", *wrap, given=b"x")
        self.set_key(enabled=True)
        self.assertEqual(job.key(), password)

    def test_08_a_rewrap_that_cannot_go_on(self):
        job = self.secrets_job("one", "two", keyUrl=self.newest())
        old, new = self.newest(), self.new_version()
        set_new = ["key", "set", job.root, "--key-url", new]
        with self.subTest("the old key is disabled before"):
            self.set_key(version=old.rsplit("/", 1)[1], enabled=False)
            before = harness.snapshot(job.path("secrets"))
            self.refused("CmkErrorKeyDisabled", *set_new)
            self.assertEqual(harness.snapshot(job.path("secrets")), before)
            self.assertNotEqual(self.key_status(job)["state"], "inconsistent")
            self.set_key(version=old.rsplit("/", 1)[1], enabled=True)
        with self.subTest("killed between wrap and rename"):
            self.kill(set_new, lambda: self.key_status(job)["state"] == "inconsistent")
            for name in ("one", "two"):
                self.assertEqual(self.unwrap_secret(job, name), f"secret of {name}")
            self.refused("key-change-unfinished", "key", "wrap-secret", job.root, "--name", "three",
                         given=b"x")
            self.run_ok("key", "rewrap", job.root)
            self.assertEqual(self.key_status(job)["state"], "ok")
            for name in ("one", "two"):
                self.assertEqual(self.kids(job, name), [new, old])
                self.assertEqual(self.unwrap_secret(job, name), f"secret of {name}")
            self.assertEqual(sorted(os.listdir(job.path("secrets"))),
                             ["one.jwe.json", "two.jwe.json"])

    def test_08_a_rewrap_on_a_disk_that_is_full_or_read_only(self):
        need_root()
        need("mount", "umount")
        job = self.secrets_job()
        root, size = job.root, 2 * MIB
        small = self.env.directory("small")
        if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", small],
                          check=False,
                          stderr=subprocess.DEVNULL).returncode != 0:
            self.skipTest("needs the right to mount")
        self.addCleanup(subprocess.run, ["umount", "-l", small], check=True)
        shutil.copytree(root, small, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.img"))
        shutil.rmtree(root)
        job.root = small
        new = self.new_version()
        with open(job.path("ballast"), "wb", buffering=0) as ballast:
            try:
                while ballast.write(bytes(4096)):
                    pass
            except OSError:
                pass
        result = self.env.run("key", "rewrap", small, "--json")
        self.assertNotEqual(result.status, 0, result)
        self.assertTrue(result.error()["remedy"], result)
        os.remove(job.path("ballast"))
        self.assertEqual(self.unwrap_secret(job), "secret of unlock")
        self.run_ok("key", "rewrap", small)
        self.assertEqual(self.kids(job)[0], new)

        newer = self.new_version()
        self.edit_state(job, lambda state: state.update(lastVersionCheck=0))
        subprocess.run(["mount", "-o", "remount,ro", small], check=True)
        result = self.env.run("key", "rewrap", small, "--json")
        self.assertNotEqual(result.status, 0, result)
        self.assertTrue(result.error()["remedy"], result)
        self.assertEqual(self.kids(job)[0], new)
        self.key_status(job)
        subprocess.run(["mount", "-o", "remount,rw", small], check=True)
        self.run_ok("key", "rewrap", small)
        self.assertEqual(self.kids(job)[0], newer)
        self.assertEqual(self.unwrap_secret(job), "secret of unlock")

    def test_09_a_rewrap_changes_neither_ciphertext_nor_drive(self):
        job = self.drive_job()
        self.assertEqual(job.prepare().status, 0)
        path = job.path("drives", "DISK0", "key.jwe.json")
        with open(path, encoding="ascii") as file:
            before = json.load(file)
        digest, password = harness.digest_of(job.image()), job.key()
        self.new_version()
        self.run_ok("key", "rewrap", job.root)
        with open(path, encoding="ascii") as file:
            after = json.load(file)
        for member in ("protected", "iv", "ciphertext", "tag"):
            self.assertEqual(before[member], after[member], member)
        self.assertEqual(after["recipients"][1:], before["recipients"])
        header = json.loads(base64.urlsafe_b64decode(after["protected"] + "=="))
        self.assertEqual(set(header) & {"kid", "alg"}, set())
        self.assertEqual((harness.digest_of(job.image()), job.key()), (digest, password))
        events = self.run_ok("key", "audit", job.root, "--json").json()["events"]
        rewrapped = [each["details"] for each in events if "sealed_after" in each["details"]]
        self.assertTrue(rewrapped)
        for details in rewrapped:
            self.assertEqual(details["sealed_before"], details["sealed_after"])

    def test_10_envelopes_open_only_for_their_own_job_and_drive(self):
        job = self.drive_job(drives=[Drive("DISK0"), Drive("DISK1")])
        self.assertEqual(job.prepare().status, 0)
        files = [job.path("drives", drive, "key.jwe.json") for drive in ("DISK0", "DISK1")]
        texts = []
        for path in files:
            with open(path, encoding="ascii") as file:
                texts.append(file.read())
        show = ["key", "show", job.root, "--drive", "DISK0"]

        def put(text):
            with open(files[0], "w", encoding="ascii") as file:
                file.write(text)
            self.double.clear_log()

        put(texts[1])
        self.command_fails("BindingMismatch", "import-export", *show)
        self.assertEqual(self.double.log(), [], "before any call to the vault")
        first, second = map(json.loads, texts)
        put(json.dumps({**first, "recipients": second["recipients"]}))
        self.command_fails("EnvelopeNotOpened", "import-export", *show)
        for text in (texts[0].replace('"iv"', '"iv":"AAAAAAAAAAAAAAAA","iv"', 1), texts[0][:-9], "",
                     "[]",
                     json.dumps({**first, "aad": "AAAA"})):
            put(text)
            self.command_fails("EnvelopeCorrupt", "import-export", *show)
            self.assertEqual(self.double.log(), [])
        put(texts[0])
        self.assertRegex(job.key(), PASSWORD)
        job.spec["name"] = "job-b"
        job.write_spec()
        self.assertNotEqual(self.env.run(*show).status, 0)
        one, two = self.quick_job(), self.quick_job()
        two.spec["name"] = "job-b"
        two.write_spec()
        for each in (one, two):
            self.wrap_secret(each)
        shutil.copy(one.path("secrets", "unlock.jwe.json"), two.path("secrets"))
        self.command_fails("BindingMismatch", "import-export", "key", "unwrap-secret", two.root,
                           "--name", "unlock")

    def test_11_there_is_no_way_back_to_the_default(self):
        job = self.drive_job()
        self.wrap_secret(job)
        self.refused(REVERT, "key", "set", job.root, "--local")
        encryption = job.spec["encryption"]
        for member in ("keyUrl", "identity", "vaultResourceId"):
            encryption.pop(member, None)
        job.write_spec()
        wrap = ["key", "wrap-secret", job.root, "--name", "x"]
        journal = [job.path(name) for name in ("journal.db", "journal.db-wal", "journal.db-shm")]
        for removed in ([], [job.path("key-state.json")], journal):
            with self.subTest(removed=removed):
                for path in removed:
                    if os.path.exists(path):
                        os.remove(path)
                for command in (["key", "set", job.root, "--local"], ["key", "set", job.root]):
                    self.refused(REVERT, *command)
                self.refused(REVERT, *wrap, given=b"x")
                self.refused(REVERT, "prepare", job.root)
                self.assert_untouched(job)
                self.assertEqual(os.listdir(job.path("secrets")), ["unlock.jwe.json"])

    def test_11_another_key_of_the_customers_may_take_the_place(self):
        job = self.secrets_job()
        other, key = self.make_vault()
        encryption = self.encryption(key, [self.vault, other])
        self.double.grant(self.vault, self.agent)
        job.spec["encryption"] = encryption
        job.write_spec()
        self.run_ok("key", "set", job.root)
        self.assertTrue(self.kids(job)[0].startswith(key))
        self.assertEqual(self.unwrap_secret(job), "secret of unlock")
        self.assertEqual(self.key_status(job)["rotations"][-1]["reason"], "new-vault")

    def test_12_a_busy_vault_is_asked_again_when_it_says_and_when_it_does_not(self):
        job = self.vault_job(retrySeconds=20)
        for do, least in (({"retry_after": 1}, 0.9), ({"retry_after": {"date": 2}}, 0.9),
                          ({"retry_after": 0}, 0), ({"retry_after": "soon"}, 0.7),
                          ({"error": {"status": 429, "code": "Throttled"}}, 0.7),
                          ({"retry_after_ms": 300}, 0.25)):
            with self.subTest(do=do):
                fault = self.double.inject(do, path="/wrapkey$", times=2)
                begin = time.monotonic()
                self.fit(job)
                self.assertGreaterEqual(time.monotonic() - begin, least)
                self.assertEqual(self.double.hits(fault), 2)
        fault = self.double.inject({"retry_after": 0}, times=None)
        job.spec["encryption"]["retrySeconds"] = 1
        job.write_spec()
        self.unfit(job, "KwThrottled", "Throttled")
        self.assertLess(self.double.hits(fault), 12, "0 is no leave to ask without end")

    def test_13_offline_is_not_deleted(self):
        names = Preloaded(self.env)
        url = f"https://gone-{os.getpid()}.vault.azure.net/keys/cmk"
        offline = self.quick_job(url, testEndpoints={"connectTo": [], "caFile": self.double.ca})
        online = self.quick_job(url, testEndpoints={"connectTo": self.double.connect_to(),
                                                    "caFile": self.double.ca})
        self.unfit(offline, "KwUnavailable", "Unavailable", env=self.environment(**names.names()))
        self.unfit(online, "CmkErrorVaultNotFound", "VaultNotFound",
                   env=self.environment(**names.names()))
        self.unfit(online, "KwUnavailable", "Unavailable", env=self.environment(
            **names.names({url.split("/")[2]: socket.EAI_AGAIN})))

    def test_14_a_grant_that_takes_a_while_to_get_around(self):
        self.double.grant(self.vault, self.agent, [])
        job = self.quick_job()
        begin = time.monotonic()
        self.unfit(job, "CmkErrorAccessRevoked", "AccessDenied")
        self.unfit(job, "CmkErrorAccessRevoked", "AccessDenied", "--wait-for-access", "5s")
        self.assertLess(time.monotonic() - begin, 8)
        timer = threading.Timer(3, self.double.grant, [self.vault, self.agent])
        timer.start()
        self.addCleanup(timer.join)
        self.fit(job, "--wait-for-access", "30s")


if __name__ == "__main__":
    harness.main()
