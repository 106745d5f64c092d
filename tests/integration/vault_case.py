"""A job whose key lies in the vault double, and what tests of customer-managed keys share."""

import json
import os

import harness
from vault_double.client import VaultDouble, VaultDoubleError

USAGE, KEY = 2, 12
REGION = "westeurope"
PASSWORD = r"[0-9]{6}(?:-?[0-9]{6}){7}"


class VaultCase(harness.Case):
    """One double a class; each test gets a vault of its own."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        try:
            cls.double = VaultDouble()
        except VaultDoubleError as error:
            harness.skip(str(error))
        cls.addClassCleanup(cls.double.close)
        cls.vaults = 0

    def setUp(self):
        self.double.reset()
        self.vault, self.key = self.make_vault()

    def make_vault(self, key="cmk", **settings):
        """A vault with one key, which the identity `agent` may use; its host and the key's URL."""
        type(self).vaults += 1
        name = f"v{type(self).vaults}-{os.getpid()}"
        vault = self.double.create_vault(name=name, **{"region": REGION, **settings})["host"]
        self.double.create_key(vault=vault, name=key)
        secret = "s3cret-" + os.urandom(8).hex()
        self.secret_file = os.path.join(self.env.directory("secrets"), name)
        with open(self.secret_file, "w", encoding="ascii", opener=private) as file:
            file.write(secret + "\n")
        self.secret = secret
        self.client = self.double.create_identity(name=name, secret=secret)
        self.agent = name
        self.double.grant(vault, name)
        return vault, f"https://{vault}/keys/{key}"

    def encryption(self, key_url=None, vaults=None, **members):
        """The member of job.json; `vaults` are the hosts that lead to the double."""
        hosts = vaults or [self.vault]
        return {"keyUrl": key_url or self.key, "keyStore": self.env.key_store,
                "vaultResourceId": "/subscriptions/00000000-0000-0000-0000-000000000000/"
                                   "resourceGroups/g/providers/"
                                   f"Microsoft.KeyVault/vaults/{self.vault.split(chr(46))[0]}",
                "credential": {"source": "client-secret", "clientId": self.client["client_id"],
                               "clientSecretFile": self.secret_file},
                "retrySeconds": 5,
                "testEndpoints": {"connectTo": self.double.connect_to(*hosts),
                                  "caFile": self.double.ca}, **members}

    def vault_job(self, key_url=None, drives=None, **members):
        job = self.make_job(drives=drives)
        job.spec["location"] = "West Europe"
        job.spec["encryption"] = self.encryption(key_url, **members)
        job.write_spec()
        return job

    def job_with_a_file(self):
        """A job that the tool can prepare."""
        tree = self.env.directory("tree")
        harness.write_file(tree, "a.txt", b"a")
        job = self.make_job(sources=[(tree + "/", "archive/")])
        job.spec["encryption"] = self.encryption()
        job.write_spec()
        return job

    def check(self, job, *arguments, **options):
        """`key check --json`: the exit status and the document."""
        result = self.env.run("key", "check", job.root, "--json", *arguments, **options)
        return result.status, result.json()

    def unfit(self, job, code, condition=None, *arguments, **options):
        """`key check` finds the code; the finding."""
        status, document = self.check(job, *arguments, **options)
        self.assertEqual((status, document.get("code")), (KEY, code), document)
        finding = next(each for each in document["findings"] if each["severity"] == "error")
        self.assertTrue(finding["remedy"])
        if condition:
            self.assertEqual(finding["condition"], condition, finding)
        return finding

    def fit(self, job, *arguments, **options):
        status, document = self.check(job, *arguments, **options)
        self.assertEqual((status, document["fit"]), (0, True), document)
        return document

    def wrap_secret(self, job, name="unlock", text="open sesame", *arguments):
        return self.run_ok("key", "wrap-secret", job.root, "--name", name, *arguments,
                           given=text.encode())

    def unwrap_secret(self, job, name="unlock"):
        return self.run_ok("key", "unwrap-secret", job.root, "--name", name).out

    def key_status(self, job):
        return self.run_ok("key", "status", job.root, "--json").json()

    def rewrap(self, job, *arguments):
        """What `key rewrap` says that it did."""
        return self.run_ok("key", "rewrap", job.root, "--json", *arguments).json()

    def refused(self, status, code, *command, **options):
        """A command ends with the status and the code; the error."""
        result = self.env.run(*command, "--json", **options)
        self.assertEqual((result.status, result.error()["code"]), (status, code), result)
        return result.error()

    def new_version(self, vault=None, name="cmk", **options):
        return self.double.create_key(vault=vault or self.vault, name=name, **options)["kid"]

    def edit_state(self, job, change):
        """Somebody edits key-state.json: `change` gets it as a dictionary."""
        with open(job.path("key-state.json"), encoding="utf-8") as file:
            state = json.load(file)
        change(state)
        with open(job.path("key-state.json"), "w", encoding="utf-8") as file:
            json.dump(state, file)

    def let_time_pass(self, job, seconds):
        """For the job: everything that it remembers lies so much further back."""
        def older(state):
            state["lastVersionCheck"] -= seconds
            for rotation in state["rotations"]:
                rotation["time"] -= seconds
                rotation["oldDroppable"] -= seconds
        self.edit_state(job, older)

    def events(self, job, kind):
        """Details of the events of that kind in the audit trail."""
        document = self.run_ok("key", "audit", job.root, "--json").json()
        self.assertEqual(document["chain"], "whole")
        return [event for event in document["events"] if event["kind"] == kind]

    def kill(self, command, until):
        """Kills the command when one of its threads renames a file: the first, then with each run
        a later one, until it has come as far as is wanted."""
        harness.need("strace")
        harness.need_not_instrumented("a process under strace")
        calls = "rename,renameat,renameat2"
        for number in range(1, 20):
            result = self.env.run(*command, prefix=[
                "strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", "-e",
                f"inject={calls}:signal=SIGKILL:when={number}"])
            self.assertNotEqual(result.status, 0, "it came to its end unharmed")
            if until():
                return
        self.fail("it was never as far as is wanted")

    def requests(self, **match):
        """What the double's vault was asked, with the members of `match`."""
        return [each for each in self.double.log("vault")
                if all(each.get(name) == value for name, value in match.items())]


def private(path, flags):
    return os.open(path, flags, 0o600)
