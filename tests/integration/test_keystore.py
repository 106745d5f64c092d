"""The local key store by its commands, and what the states of its keys do to a job's envelopes."""

import json
import os
import stat

import harness

USAGE, NOT_CONFIRMED, KEY = 2, 4, 12
WORDS = "seven trees and a very small boat"
DAY = 86400


class Keystore(harness.Case):
    def setUp(self):
        self.store = os.path.join(self.env.directory("store"), "keys")

    def keystore(self, command, *arguments, store=None, **options):
        return self.env.run("keystore", command, *arguments, "--store", store or self.store,
                            **options)

    def ok(self, command, *arguments, **options):
        result = self.keystore(command, *arguments, "--json", **options)
        self.assertEqual(result.status, 0, result)
        document = result.json()
        self.assertEqual((document["schema"], document["store"]),
                         (1, options.get("store") or self.store))
        return document

    def refused(self, status, code, command, *arguments, **options):
        result = self.keystore(command, *arguments, "--json", **options)
        self.assertEqual((result.status, result.json()["error"]["code"]), (status, code), result)
        self.assertTrue(result.error()["remedy"], result)
        return result.error()

    def init(self, *arguments, **options):
        return self.ok("init", *arguments, **options)

    def create(self, name="a", *arguments):
        return self.ok("create", name, "--size", "2048", *arguments)["key"]["version"]

    def states(self, *arguments):
        return [[key["name"], *(version["state"] for version in key["versions"])]
                for key in self.ok("list", *arguments)["keys"]]

    # --- what is there

    def test_a_store_is_made_private_and_once(self):
        document = self.init()
        self.assertEqual((document["retention_days"], document["purge_protection"],
                          document["unlock"], document["unlock_file"]),
                         (90, True, "file", os.path.join(self.store, "unlock")))
        before = harness.snapshot(self.store)
        for name, (mode, _) in before.items():
            self.assertEqual(int(mode, 8) & 0o077, 0, name)
        self.assertEqual(stat.S_IMODE(os.stat(self.store).st_mode), 0o700)
        self.refused(KEY, "key-store-exists", "init")
        self.assertEqual(harness.snapshot(self.store), before)

    def test_the_default_store_is_that_of_jobs_that_name_none(self):
        document = self.run_ok("keystore", "init", "--json").json()
        self.assertEqual(document["store"],
                         os.path.join(self.env.home, ".local/share/driveprep/keystore"))
        self.assertEqual(self.run_ok("keystore", "list", "--json").json()["keys"], [])

    def test_every_attribute_of_a_key_is_told(self):
        document = self.init("--retention-days", "30", "--no-purge-protection")
        self.create("Archive-1", "--not-before", "2026-01-01", "--expires", "2100-12-31T23:59:58Z")
        listed = self.ok("list")
        self.assertEqual((listed["retention_days"], listed["purge_protection"]), (30, False))
        key, = listed["keys"]
        self.assertEqual((key["name"], key["deletion"]), ("archive-1", None))
        version, = key["versions"]
        self.assertEqual(version["kid"], f"keystore://{document['store_id']}/keys/archive-1/"
                                         f"{version['version']}")
        self.assertRegex(version["version"], "^[0-9a-f]{32}$")
        expected = {"state": "enabled", "key_type": "RSA", "bits": 2048, "enabled": True,
                    "not_before": "2026-01-01T00:00:00Z", "expires": "2100-12-31T23:59:58Z",
                    "recovery_level": "CustomizedRecoverable+Purgeable", "recoverable_days": 30}
        self.assertEqual({name: version[name] for name in expected}, expected)
        self.assertEqual(version["created"], version["updated"])

    def test_the_list_for_people_has_a_row_for_each_version(self):
        self.init()
        self.assertIn("has no keys.", self.keystore("list").out)
        first, second = self.create(), self.ok("new-version", "a", "--size", "2048")
        self.ok("disable", first["kid"])
        lines = self.keystore("list").out.splitlines()
        self.assertEqual(lines[0].split(), ["KEY", "VERSION", "STATE", "BITS", "CREATED", "NOTE"])
        self.assertEqual([line.split()[:4] for line in lines[1:]],
                         [["a", first["version"], "disabled", "2048"],
                          ["a", second["key"]["version"]["version"], "enabled", "2048"]])

    def test_the_sizes_are_those_of_the_services(self):
        self.init()
        for bits in (2048, 3072, 4096):
            made = self.ok("create", f"key-{bits}", "--size", str(bits))["key"]["version"]
            self.assertEqual(made["bits"], bits)
        self.assertEqual(self.ok("create", "default-size")["key"]["version"]["bits"], 3072)
        for bits in ("1024", "2049", "x"):
            self.refused(USAGE, "arguments", "create", "b", "--size", bits)

    # --- states

    def test_states_are_set_and_shown(self):
        self.init()
        self.create("expired", "--expires", "2020-01-01")
        self.create("future", "--not-before", "2100-01-01")
        self.create("plain")
        self.assertEqual(self.states(), [["expired", "expired"], ["future", "not yet active"],
                                         ["plain", "enabled"]])
        self.assertEqual(self.ok("disable", "plain")["key"]["version"]["state"], "disabled")
        self.assertEqual(self.ok("enable", "plain")["key"]["version"]["state"], "enabled")
        self.assertEqual(self.ok("expire", "plain")["key"]["version"]["state"], "expired")
        self.assertEqual(self.ok("expire", "plain", "--never")["key"]["version"]["expires"], None)
        self.assertEqual(self.ok("expire", "plain", "--at", "2099-02-28")["key"]["version"]["expires"],
                         "2099-02-28T00:00:00Z")
        # The other end of its time stays.
        self.assertEqual(self.ok("expire", "future", "--at", "2101-01-01")["key"]["version"]
                         ["not_before"], "2100-01-01T00:00:00Z")

    def test_a_version_is_named_by_key_version_or_identifier(self):
        document = self.init()
        first = self.create()
        second = self.ok("new-version", "A", "--size", "2048")["key"]["version"]
        for name, meant in (("a", second), ("A", second), (f"a/{first['version']}", first),
                            (f"A/{first['version'].upper()}", first), (first["kid"], first),
                            (f"keystore://{document['store_id']}/keys/a", second)):
            with self.subTest(name=name):
                self.assertEqual(self.ok("disable", name)["key"]["version"]["kid"], meant["kid"])

    def test_a_deleted_key_comes_back(self):
        self.init("--retention-days", "7")
        self.create()
        deletion = self.ok("delete", "a")["key"]["deletion"]
        self.assertEqual(self.states(), [])
        self.assertEqual(self.states("--deleted"), [["a", "deleted"]])
        self.assertEqual(self.states("a"), [["a", "deleted"]])
        self.assertIn("kept until " + deletion["scheduled_purge"],
                      self.keystore("list", "--deleted").out)
        self.assertIn("no keys but deleted ones", self.keystore("list").out)
        for command in ("disable", "enable", "expire", "new-version", "delete"):
            error = self.refused(KEY, "CmkErrorKeyNotFound", command, "a")
            self.assertIn("driveprep keystore recover a", error["remedy"])
        self.refused(KEY, "key-exists", "create", "a")
        self.assertIsNone(self.ok("recover", "A")["key"]["deletion"])
        self.assertEqual(self.states(), [["a", "enabled"]])
        self.refused(KEY, "key-not-deleted", "recover", "a")

    def test_deleting_says_until_when_the_key_is_kept(self):
        self.init()
        self.create()
        text = self.keystore("delete", "a").out
        self.assertRegex(text, r"kept until \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
        self.assertRegex(text, r"no envelope\s+under it opens")
        self.assertIn("driveprep keystore recover a", text)

    # --- purging

    def test_purge_protection_keeps_a_key_until_its_time_is_over(self):
        self.init()
        self.create()
        self.refused(KEY, "key-not-deleted", "purge", "a", "--confirm", "a")
        self.ok("delete", "a")
        self.refused(KEY, "key-purge-refused", "purge", "a", "--confirm", "a")
        self.assertEqual(self.states("--deleted"), [["a", "deleted"]])
        path = os.path.join(self.store, "keys/a/key.json")
        with open(path, encoding="utf-8") as file:
            record = json.load(file)
        record["deleted"]["scheduledPurgeDate"] -= 91 * DAY
        with open(path, "w", encoding="utf-8") as file:
            json.dump(record, file)
        self.assertEqual(self.ok("purge", "a", "--confirm", "a")["purged"], "a")

    def test_a_purge_wants_the_name_of_the_key(self):
        self.init("--no-purge-protection")
        self.create()
        self.ok("delete", "a")
        before = harness.snapshot(self.store)
        self.refused(NOT_CONFIRMED, "purge-not-confirmed", "purge", "a")
        self.refused(NOT_CONFIRMED, "purge-wrong-confirmation", "purge", "a", "--confirm", "b")
        self.assertEqual(harness.snapshot(self.store), before)
        self.ok("purge", "a", "--confirm", "A")
        self.assertEqual(os.listdir(os.path.join(self.store, "keys")), [])
        self.assertEqual(self.states("--deleted"), [])
        self.refused(KEY, "CmkErrorKeyNotFound", "recover", "a")
        self.create("a")

    def test_a_purge_asks_on_the_terminal(self):
        self.init("--no-purge-protection")
        self.create()
        self.ok("delete", "a")
        arguments = ["keystore", "purge", "a", "--store", self.store]
        status, shown = self.in_terminal(arguments, [("Type its name", "b\n")])
        self.assertEqual(status, NOT_CONFIRMED, shown)
        status, shown = self.in_terminal(arguments, [("Type its name", "\x03")])
        self.assertNotEqual(status, 0, shown)
        self.assertEqual(self.states("--deleted"), [["a", "deleted"]])
        status, shown = self.in_terminal(arguments, [("Type its name", "a\n")])
        self.assertEqual(status, 0, shown)
        self.assertIn("gone for good", shown)
        self.assertEqual(self.states("--deleted"), [])

    # --- wrong input

    def test_wrong_input_is_told_by_its_own_code_and_changes_nothing(self):
        self.init()
        made = self.create()
        before = harness.snapshot(self.store)
        other_store = "keystore://00000000-0000-4000-8000-000000000000/keys/a/" + made["version"]
        zeros = "0" * 32
        for status, code, *arguments in (
                (KEY, "key-exists", "create", "a"),
                (KEY, "key-exists", "create", "A"),
                (KEY, "key-name-invalid", "create", "../a"),
                (KEY, "key-name-invalid", "create", ""),
                (KEY, "key-name-invalid", "create", "a_b"),
                (KEY, "key-name-invalid", "create", "a" * 128),
                (KEY, "key-name-invalid", "delete", "a/b"),
                (KEY, "CmkErrorKeyNotFound", "new-version", "b"),
                (KEY, "CmkErrorKeyNotFound", "disable", "b"),
                (KEY, "CmkErrorKeyNotFound", "disable", "a/" + zeros),
                (KEY, "CmkErrorKeyNotFound", "list", "b"),
                (KEY, "CmkErrorKeyNotFound", "delete", "b"),
                (KEY, "CmkErrorKeyNotFound", "purge", "b"),
                (KEY, "SsemUserErrorInvalidKeyVaultUrl", "disable", "a/xyz"),
                (KEY, "SsemUserErrorInvalidKeyVaultUrl", "disable", other_store),
                (KEY, "SsemUserErrorInvalidKeyVaultUrl", "enable",
                 "https://demo.vault.azure.net/keys/a/" + zeros),
                (USAGE, "time-invalid", "expire", "a", "--at", "tomorrow"),
                (USAGE, "time-invalid", "expire", "a", "--at", "2026-02-30"),
                (USAGE, "time-invalid", "expire", "a", "--at", "2026-12-31T24:00:00Z"),
                (USAGE, "time-invalid", "expire", "a", "--at", "2026-12-31T00:00:00"),
                (USAGE, "time-invalid", "expire", "a", "--at", "2026-12-31T00:00:00+01:00"),
                (USAGE, "time-invalid", "create", "b", "--expires", "0001-01-01"),
                (USAGE, "key-never-valid", "create", "b", "--not-before", "2030-01-01",
                 "--expires", "2030-01-01"),
                (USAGE, "arguments", "expire", "a", "--at", "2026-12-31", "--never"),
                (USAGE, "arguments", "create"),
                (USAGE, "arguments", "delete", "a", "b")):
            with self.subTest(arguments=arguments):
                self.refused(status, code, *arguments)
        self.assertEqual(harness.snapshot(self.store), before)

    def test_a_wrong_init_makes_nothing(self):
        for arguments in (["--retention-days", "6"], ["--retention-days", "91"],
                          ["--retention-days", "x"], ["--passphrase", "--unlock-file", "x"],
                          ["--passphrase", "--passphrase-file", "x"]):
            with self.subTest(arguments=arguments):
                self.refused(USAGE, "arguments", "init", *arguments)
        self.refused(USAGE, "key-missing", "init", "--passphrase")
        short = harness.write_file(self.env.directory("words"), "short", b"eleven char\n")
        self.refused(KEY, "key-passphrase", "init", "--passphrase-file", short)
        self.refused(KEY, "key-file", "init", "--passphrase-file", self.env.path("nowhere"))
        self.assertEqual(self.env.run("keystore", "list", "--store", "").status, USAGE)
        self.assertFalse(os.path.exists(os.path.join(self.store, "store.json")))

    def test_without_a_store_every_command_but_init_says_how_to_make_one(self):
        for command in ("create", "list", "new-version", "disable", "enable", "expire", "delete",
                        "recover", "purge"):
            with self.subTest(command=command):
                error = self.refused(KEY, "key-store-missing", command, "a")
                self.assertIn("driveprep keystore init", error["remedy"])
        self.assertFalse(os.path.exists(self.store))

    def test_a_store_that_others_can_read_is_refused(self):
        self.init()
        self.create()
        for name in ("store.json", "unlock", "keys/a/key.json", ""):
            with self.subTest(name=name):
                path = os.path.join(self.store, name)
                mode = stat.S_IMODE(os.stat(path).st_mode)
                os.chmod(path, mode | 0o040)
                self.refused(KEY, "key-store-unsafe", "new-version", "a", "--size", "2048")
                os.chmod(path, mode)

    # --- unlocking

    def test_the_unlock_file_may_lie_elsewhere(self):
        unlock = os.path.join(self.env.directory("stick"), "unlock")
        document = self.init("--unlock-file", unlock)
        self.assertEqual((document["unlock"], document["unlock_file"]), ("file", unlock))
        self.assertFalse(os.path.exists(os.path.join(self.store, "unlock")))
        self.create()
        os.rename(unlock, unlock + "-away")
        self.assertEqual(self.states(), [["a", "enabled"]])
        self.refused(KEY, "key-store-locked-out", "new-version", "a")

    def test_a_passphrase_comes_from_a_descriptor_or_a_credential(self):
        words = harness.write_file(self.env.directory("words"), "words", WORDS.encode() + b"\n")
        document = self.init("--passphrase-file", words)
        self.assertEqual((document["unlock"], document["unlock_file"]), ("passphrase", None))
        for _, (_, content) in harness.snapshot(self.store).items():
            self.assertNotEqual(content, harness.digest_of(words))
        error = self.refused(KEY, "key-store-locked-out", "create", "a", start_new_session=True)
        self.assertIn("DRIVEPREP_UNLOCK_FD", error["remedy"])

        reading, writing = os.pipe()
        os.write(writing, WORDS.encode() + b"\n")
        os.close(writing)
        environment = {**self.env.variables(), "DRIVEPREP_UNLOCK_FD": str(reading)}
        self.ok("create", "a", "--size", "2048", env=environment, pass_fds=(reading,))
        os.close(reading)
        self.refused(USAGE, "unlock-descriptor", "create", "b",
                     env={**self.env.variables(), "DRIVEPREP_UNLOCK_FD": "three"})

        credentials = self.env.directory("credentials")
        path = harness.write_file(credentials, "driveprep-unlock", WORDS.encode())
        os.chmod(path, 0o400)
        environment = {**self.env.variables(), "CREDENTIALS_DIRECTORY": credentials}
        self.ok("new-version", "a", "--size", "2048", env=environment)
        os.chmod(path, 0o444)
        self.refused(KEY, "key-store-unsafe", "new-version", "a", env=environment)
        os.chmod(path, 0o600)
        with open(path, "w", encoding="utf-8") as file:
            file.write(WORDS + "!")
        self.refused(KEY, "key-store-locked-out", "new-version", "a", env=environment)

    def test_a_passphrase_is_asked_for_twice_when_it_is_new_and_once_after(self):
        arguments = ["--store", self.store]
        typed = [("New passphrase: ", WORDS + "\n"), ("once more: ", WORDS + "?\n")]
        status, shown = self.in_terminal(["keystore", "init", "--passphrase", *arguments], typed)
        self.assertEqual(status, NOT_CONFIRMED, shown)
        self.assertIn("passwords-differ", shown)
        typed[1] = ("once more: ", WORDS + "\n")
        status, shown = self.in_terminal(["keystore", "init", "--passphrase", *arguments], typed)
        self.assertEqual(status, 0, shown)
        self.assertIn("kept nowhere", shown)
        create = ["keystore", "create", "a", "--size", "2048", *arguments]
        question = f"Passphrase of the key store {self.store}: "
        status, shown = self.in_terminal(create, [(question, WORDS + "?\n")])
        self.assertEqual(status, KEY, shown)
        self.assertIn("key-store-locked-out", shown)
        status, shown = self.in_terminal(create, [(question, WORDS + "\n")])
        self.assertEqual(status, 0, shown)
        self.assertEqual(shown.count("assphrase"), 1)
        self.assertNotIn("trees", shown)

    def in_terminal(self, arguments, answers):
        status, shown = self.env.terminal(arguments, answers)
        return status, shown.decode("utf-8", "replace")

    # --- what it does to a job

    def test_the_states_of_a_key_decide_what_happens_to_a_job(self):
        tree = self.env.directory("tree")
        harness.write_file(tree, "a.txt", b"a")
        job = self.make_job(sources=[(tree + "/", "archive/")])
        job.spec["encryption"] = {"keyStore": self.store, "keyName": "a"}
        job.write_spec()
        credentials = self.env.directory("credentials")
        os.chmod(harness.write_file(credentials, "driveprep-unlock", WORDS.encode()), 0o400)
        environment = {**self.env.variables(), "CREDENTIALS_DIRECTORY": credentials}
        self.init("--passphrase-file", os.path.join(credentials, "driveprep-unlock"))
        self.ok("create", "a", "--size", "2048", env=environment)
        result = job.prepare(env=environment)
        self.assertEqual(result.status, 0, result)

        def show():
            return self.env.run("key", "show", job.root, "--drive", "DISK0", "--json",
                                env=environment)

        def fails(code, remedy):
            result = show()
            self.assertEqual((result.status, result.error()["code"]), (KEY, code), result)
            self.assertRegex(result.error()["remedy"], remedy)

        password = show().json()["recovery_password"]
        self.ok("disable", "a")
        fails("CmkErrorKeyDisabled", "driveprep keystore enable a/[0-9a-f]{32}$")
        self.ok("enable", "a")
        self.ok("expire", "a")
        self.assertEqual(show().json()["recovery_password"], password)
        self.ok("delete", "a")
        fails("CmkErrorKeyNotFound", "driveprep keystore recover a")
        self.ok("recover", "a")
        self.ok("new-version", "a", "--size", "2048", env=environment)
        self.assertEqual(show().json()["recovery_password"], password)
        environment.pop("CREDENTIALS_DIRECTORY")
        self.assertEqual(self.env.run("key", "show", job.root, "--drive", "DISK0",
                                      start_new_session=True).status, KEY)

    def test_an_unlock_file_among_the_sources_is_refused(self):
        tree = self.env.directory("tree")
        harness.write_file(tree, "a.txt", b"a")
        self.init("--unlock-file", os.path.join(tree, "unlock"))
        job = self.make_job(sources=[(tree + "/", "archive/")])
        job.spec["encryption"] = {"keyStore": self.store}
        job.write_spec()
        result = self.env.run("plan", job.root, "--json")
        self.assertEqual((result.status, result.error()["code"]), (USAGE, "source-holds-secret"),
                         result)


if __name__ == "__main__":
    harness.main()
