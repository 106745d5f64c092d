"""Recovery passwords, tokens, client secrets and wrapped secrets are where they belong, and nowhere
else: not in files, outputs, command lines, environments or cores, also when requests fail."""

import base64
import os
import re
import shutil
import subprocess
import threading
import unittest

import harness
import vault_case
import volume as v
from harness import need, need_not_instrumented, need_root, wait_until
from test_secrets import Needles
from vault_case import KEY

WRAPPED = "Wr4pped-Secr3t-" + os.urandom(6).hex()


class Secret(Needles):
    """Any text, searched for as it is and as a program could come to write it."""

    def __init__(self, *texts):
        self.patterns = {}
        for number, text in enumerate(texts):
            forms = {"": text, " in UTF-16": text.encode("utf-16-le"),
                     " in base64": in_base64(text), " in hexadecimal": text.encode().hex()}
            for form, pattern in forms.items():
                self.patterns[f"secret {number}{form}"] = (
                    pattern if isinstance(pattern, bytes) else pattern.encode())
        self.longest = max(map(len, self.patterns.values()))


def failures(told):
    """Faults of the double whose answers repeat `told`, in each form that an error has."""
    return [{"status": 400, "body": f"<html>{told}</html>"},
            {"status": 400, "body": told},
            {"error": {"status": 403, "code": "Forbidden", "inner": "AccessDenied",
                       "message": f"no: {told}"}},
            {"status": 400, "json": {"error": "invalid_client", "error_description": f"no: {told}"}},
            {"status": 200, "body": f'{{"value": "{WRAPPED} {told}"'},
            {"truncate": True, "close": True}, {"reset": "before"}, {"garbage": True}]


def in_base64(text):
    """Without the last digit, which depends on what follows."""
    return base64.b64encode(text.encode()).rstrip(b"=")[:-1]


class Secrets(vault_case.VaultCase):
    def setUp(self):
        super().setUp()
        self.job = self.job_with_a_file()
        self.addCleanup(shutil.rmtree, self.job.root)
        self.outputs = []

    def say(self, *arguments, **options):
        """Runs a command whose output is searched later."""
        result = self.env.run(*arguments, **options)
        self.outputs.append(result.out + result.err)
        return result

    def tokens(self):
        """Those that the double has given to the program."""
        found = set()
        for entry in self.double.log():
            for name, value in entry.get("headers", ()):
                if name.lower() == "authorization" and value.startswith("Bearer "):
                    found.add(value.split()[1])
        return found

    def search(self, *more):
        """Everything that was written or said, but not the file that holds the client's secret."""
        needles = [Secret(self.secret, WRAPPED, *self.tokens(), *more)]
        needles += [Needles(each) for each in more if re.fullmatch(vault_case.PASSWORD, each)]
        found = {}
        for each in needles:
            found.update({path: forms for path, forms in each.below(self.env.root).items()
                          if path != self.secret_file})
            for output in self.outputs:
                if forms := each.in_bytes(output.encode()):
                    found[output[:500]] = forms
        self.assertEqual(found, {})

    def every_command(self):
        """All that has to do with keys and shows no secret; once as text, once as JSON."""
        root = self.job.root
        for flags in ([], ["--json"]):
            for command in (["plan", root], ["prepare", root], ["key", "check", root],
                            ["key", "wrap-secret", root, "--name", "s", "--replace"],
                            ["key", "rewrap", root], ["key", "set", root], ["key", "status", root],
                            ["verify", root], ["request", root], ["status", root],
                            ["key", "audit", root]):
                result = self.say(*command, *flags, given=WRAPPED.encode())
                self.assertEqual(result.status, 0, result)

    def shown(self):
        """The secrets by the two commands that print them."""
        password = self.job.key()
        self.assertRegex(password, f"^{vault_case.PASSWORD}$")
        result = self.run_ok("key", "unwrap-secret", self.job.root, "--name", "s", "--json")
        self.assertEqual(result.json()["value"], WRAPPED)
        self.assertEqual(Secret(self.secret, *self.tokens()).in_bytes(
            (result.out + result.err).encode()), [])
        return password

    def test_no_command_leaves_a_secret_behind(self):
        self.every_command()
        self.new_version()
        self.say("key", "rewrap", self.job.root)
        password = self.shown()
        self.assertGreater(len(self.tokens()), 3)
        with open(self.job.path("journal.db"), "rb") as file:
            self.assertIn(b"secret-wrapped", file.read() + self.log_of_journal())
        self.search(password)

    def log_of_journal(self):
        try:
            with open(self.job.path("journal.db-wal"), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return b""

    def test_a_client_certificate(self):
        made = self.double.make_certificate(identity=self.agent)
        with open(made["path"], encoding="ascii") as file:
            pem = file.read()
        self.job.spec["encryption"]["credential"] = {
            "source": "client-certificate", "clientId": self.client["client_id"],
            "tenantId": self.client["tenant"], "certificateFile": made["path"]}
        self.job.write_spec()
        self.every_command()
        password = self.shown()
        assertions = [value for entry in self.double.log("authority")
                      for value in entry["body"].split("&") if "client_assertion=" in value]
        self.assertTrue(assertions)
        lines = [line for line in pem.splitlines() if len(line) == 64 and "-" not in line]
        begin = pem.index("PRIVATE KEY-----")
        private = [line for line in lines if begin < pem.index(line) < pem.index("-----END")]
        self.search(password, *private[:3], *(each.split("=", 1)[1] for each in assertions))

    def test_messages_of_requests_that_fail_at_each_stage(self):
        self.say("prepare", self.job.root)
        self.say("key", "wrap-secret", self.job.root, "--name", "s", given=WRAPPED.encode())
        password = self.shown()
        # What an answer could give back: a password that somebody told the vault, and a token. Only
        # the authority has ever seen the client's secret.
        known = [password, password.replace("-", " "), password.replace("-", ""), *self.tokens()]
        since = len(self.double.log())
        self.say("key", "rewrap", self.job.root)
        requests = [entry for entry in self.double.log("vault", since) if entry["status"] == 200]
        self.assertGreater(len(requests), 4)
        self.job.spec["encryption"]["retrySeconds"] = 1
        self.job.write_spec()
        self.outputs = []
        failed = 0
        for number in range(len(requests) + 1):
            endpoint, told = ("vault", known) if number else ("authority", [self.secret, *known])
            for turn, do in enumerate(failures(" ".join(told))):
                self.double.clear_faults()
                self.double.inject(do, on=endpoint, skip=max(0, number - 1), times=None)
                result = self.say("key", "rewrap", self.job.root, *(["--json"] * (turn % 2)))
                failed += result.status != 0
        self.double.clear_faults()
        self.assertGreater(failed, 20)
        self.assertTrue(any("invalid_client" in output for output in self.outputs))
        self.search(password)

    def test_a_secret_that_is_wrapped_while_the_vault_fails(self):
        self.say("key", "wrap-secret", self.job.root, "--name", "s", given=WRAPPED.encode())
        for number in range(3):
            for do in ({"reset": "after"}, {"garbage": True},
                       {"error": {"status": 403, "code": "Forbidden", "inner": "AccessDenied"}}):
                self.double.clear_faults()
                self.double.inject(do, skip=number, times=None)
                result = self.say("key", "wrap-secret", self.job.root, "--name", f"t{number}",
                                  given=WRAPPED.encode())
                self.assertIn(result.status, (0, KEY, 8, 9, 10), result)
        self.double.clear_faults()
        self.search()

    # --- while it runs

    def held(self, look):
        """Runs commands, holds each up at each of its requests, and calls look(process)."""
        self.run_ok("prepare", self.job.root)
        self.wrap_secret(self.job, "s", WRAPPED)
        commands = (["key", "show", self.job.root, "--drive", "DISK0"],
                    ["key", "unwrap-secret", self.job.root, "--name", "s"],
                    ["key", "wrap-secret", self.job.root, "--name", "s", "--replace"],
                    ["key", "rewrap", self.job.root])
        for command in commands:
            for number in range(2):
                fault = self.double.inject({"delay": 1}, skip=number)
                process = self.env.start(*command, stdin=subprocess.PIPE)
                feed = threading.Thread(target=lambda: (process.stdin.write(WRAPPED.encode()),
                                                        process.stdin.flush()))
                feed.start()
                feed.join()
                process.stdin.close()
                process.stdin = None
                if wait_until(lambda: self.double.hits(fault), process, interval=0.01):
                    look(process)
                out, err = process.communicate(timeout=harness.TIMEOUT)
                self.assertEqual(process.returncode, 0, (command, out, err))
                self.double.clear_faults()

    def test_arguments_and_environments_of_running_commands(self):
        seen = []

        def look(process):
            for name in ("cmdline", "environ"):
                with open(f"/proc/{process.pid}/{name}", "rb") as file:
                    seen.append(file.read())
            seen.append(v.run("ps", "-eww", "-o", "args").stdout)
        need_root()  # others may not even look
        self.held(look)
        self.assertGreater(len(seen), 12)
        texts = b"\n".join(text if isinstance(text, bytes) else text.encode() for text in seen)
        for needles in (Secret(self.secret, WRAPPED, *self.tokens()), Needles(self.job.key())):
            self.assertEqual(needles.in_bytes(texts), [])

    def test_nobody_but_root_may_look_into_a_running_command(self):
        need_root()
        facts = []

        def look(process):
            facts.append(os.stat(f"/proc/{process.pid}/environ").st_uid)
            with open(f"/proc/{process.pid}/limits", encoding="ascii") as file:
                core = next(line for line in file if line.startswith("Max core file size"))
            facts.append(core.split()[4])
        self.held(look)
        self.assertEqual(set(facts), {0, "0"})

    def test_a_core_of_a_running_command_does_not_hold_it(self):
        need_not_instrumented("a core (of terabytes)")
        need("gcore")
        need_root()
        directory = self.env.directory("cores")

        def look(process):
            v.run("gcore", "-o", os.path.join(directory, str(len(os.listdir(directory)))),
                  str(process.pid))
        self.held(look)
        cores = os.listdir(directory)
        if not cores:
            raise unittest.SkipTest("gcore may not look into other processes here")
        # The token lies in the buffers of the transport while a request is under way.
        needles = [Secret(self.secret, WRAPPED), Needles(self.job.key())]
        try:
            for each in needles:
                self.assertEqual(each.below(directory), {})
        finally:
            for core in cores:
                os.remove(os.path.join(directory, core))


if __name__ == "__main__":
    harness.main()
