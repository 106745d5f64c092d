"""What the tests of the thirty cases share."""

import json
import os
import shutil
from datetime import datetime, timezone

import harness
from harness import MIB
from key_conditions import ConditionCase
from vault_case import KEY


class KeyCase(ConditionCase):
    def new_version(self, **members):
        return self.double.create_key(vault=self.vault, name="cmk", **members)["kid"]

    def newest(self, name="cmk"):
        return self.double.export_key(vault=self.vault, name=name)["kid"]

    def set_key(self, **members):
        self.double.set_key(vault=self.vault, name="cmk", **members)

    def refused(self, code, *command, status=KEY, **options):
        result = self.env.run(*command, "--json", **options)
        self.assertEqual((result.status, result.error()["code"]), (status, code), result)
        return result.error()

    def drive_job(self, drives=None, **members):
        """A job under the vault's key, with as many files as drives, of which a drive holds one."""
        tree = self.env.directory("tree")
        for number in range(len(drives or [None])):
            harness.write_large(tree, f"{number}.bin", 36 * MIB if drives else 1, number)
        job = self.make_job(drives=drives, sources=[(tree + "/", "archive/")],
                            bitlocker={"cipher": "xts-aes-128"})
        job.spec["location"] = "West Europe"
        job.spec["encryption"] = self.encryption(**members)
        job.write_spec()
        self.addCleanup(shutil.rmtree, job.root)
        return job

    def secrets_job(self, *names, **members):
        job = self.quick_job(**members)
        for name in names or ["unlock"]:
            self.wrap_secret(job, name, f"secret of {name}")
        return job

    def envelope(self, job, name="unlock"):
        with open(job.path("secrets", f"{name}.jwe.json"), encoding="ascii") as file:
            return json.load(file)

    def put_envelope(self, job, text, name="unlock"):
        with open(job.path("secrets", f"{name}.jwe.json"), "w", encoding="ascii") as file:
            file.write(text if isinstance(text, str) else json.dumps(text))

    def kids(self, job, name="unlock"):
        return [each["header"]["kid"] for each in self.envelope(job, name)["recipients"]]

    def edit_state(self, job, change):
        path = job.path("key-state.json")
        with open(path, encoding="utf-8") as file:
            state = json.load(file)
        change(state)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(state, file)

    def assert_untouched(self, job, drive="DISK0"):
        self.assertEqual(harness.written_bytes(job.image(drive)), 0)
        self.assertFalse(os.path.exists(job.path("drives", drive, "key.jwe.json")))

    def looks(self):
        """How often the newest version was asked for."""
        return len(self.requests(method="GET", path="/keys/cmk", status=200))

    def environment(self, **variables):
        return {**self.env.variables(), **variables}


def header_of(request, name):
    return next((value for key, value in request["headers"] if key.lower() == name.lower()), "")


def has_token(request):
    return bool(header_of(request, "Authorization"))


def text_of_time(seconds):
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%S.000000")
