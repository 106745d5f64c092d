"""The recovery password is in the drive's own protector, in its envelope, and nowhere else."""

import glob
import os
import resource
import shutil
import signal
import stat
import unittest

import harness
import volume as v
from harness import MIB, Drive, need, need_not_instrumented, need_root, wait_until


class Needles:
    """A recovery password in the forms in which it could leak, found in any stream of bytes."""

    def __init__(self, password):
        blocks = password.split("-")
        # The 16-byte key that the eight blocks of digits stand for.
        key = b"".join((int(block) // 11).to_bytes(2, "little") for block in blocks)
        forms = {"as shown": password, "without hyphens": password.replace("-", ""),
                 "with blanks": password.replace("-", " ")}
        self.patterns = {name: text.encode() for name, text in forms.items()}
        self.patterns |= {f"{name}, UTF-16": text.encode("utf-16-le") for name, text in forms.items()}
        self.patterns["as bytes"] = key
        self.longest = max(map(len, self.patterns.values()))

    def in_bytes(self, data):
        return [name for name, pattern in self.patterns.items() if pattern in data]

    def in_file(self, path):
        found, tail = set(), b""
        with open(path, "rb") as file:
            while data := file.read(4 * MIB):
                found.update(self.in_bytes(tail + data))
                tail = data[-self.longest:]
        return sorted(found)

    def below(self, *roots):
        found = {}
        for root in roots:
            for name in harness.files_below(root):
                path = os.path.join(root, name)
                if forms := self.in_file(path):
                    found[path] = forms
                if self.in_bytes(name.encode()):
                    found[path] = ["in its name"]
        return found


class Secrets(harness.Case):
    def new_job(self, size=64 * MIB, data=9 * MIB):
        tree = self.env.directory("tree")
        harness.write_file(tree, "a.txt", b"a")
        harness.write_large(tree, "large", data, 5)
        job = self.make_job(sources=[(tree + "/", "archive/")], drives=[Drive(size=size)],
                            bitlocker={"cipher": "xts-aes-128", "externalKey": True})
        for directory in (job.root, tree):  # searching takes long enough with one job
            self.addCleanup(shutil.rmtree, directory)
        return job

    def everything(self):
        """Job, images, sources, home, key store, temporary files."""
        return [self.env.root]

    def test_no_command_leaves_the_recovery_password_behind(self):
        job = self.new_job()
        outputs = []
        for command in (["plan"], ["prepare"], ["prepare"], ["verify"], ["request"], ["status"]):
            for flags in ([], ["--json"]):
                result = self.run_ok(*command, job.root, *flags)
                outputs.append(result.out + result.err)
        self.assertEqual([kind for kind, _ in job.events() if kind.startswith("key")], [])

        needles = Needles(job.key())
        self.assertRegex(job.key(), r"^\d{6}(-\d{6}){7}$")
        self.assertEqual(needles.below(*self.everything()), {})
        for output in outputs:
            self.assertEqual(needles.in_bytes(output.encode()), [])
        with self.subTest("the search finds what is there"):
            path = self.env.path("planted")
            with open(path, "wb") as file:
                file.write(bytes(4 * MIB - 20) + job.key().encode())
            self.assertEqual(needles.below(self.env.root), {path: ["as shown"]})
            os.remove(path)

        self.assertIn(("key-shown", "DISK0"), job.events())
        self.run_ok("request", job.root, "--reveal-keys")
        bodies = {job.path("requests", name) for name in ("databox.json", "importexport.json")}
        self.assertEqual(set(needles.below(*self.everything())), bodies)
        for body in bodies:
            self.assertEqual(stat.S_IMODE(os.stat(body).st_mode), 0o600)
        self.assertIn(("keys-revealed", "DISK0"), job.events())

        self.run_ok("request", job.root)
        self.assertEqual(needles.below(*self.everything()), {}, "written again without keys")

    def test_private_files_are_private(self):
        job = self.new_job()
        self.assertEqual(job.prepare().status, 0)
        directory = job.path("drives", "DISK0")
        private = [job.path("journal.db"), os.path.join(directory, "key.jwe.json"),
                   *glob.glob(os.path.join(directory, "*.BEK")),
                   *glob.glob(os.path.join(self.env.key_store, "keys", "*", "*.pem"))]
        self.assertGreaterEqual(len(private), 4)
        for path in private:
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode) & 0o077, 0, path)

    def test_a_recovery_password_is_found_by_nobody_without_the_key_store(self):
        job = self.new_job()
        self.assertEqual(job.prepare().status, 0)
        away = self.env.path("away")
        os.rename(self.env.key_store, away)
        try:
            for command in (["key", "show", job.root, "--drive", "DISK0"], ["verify", job.root],
                            ["request", job.root, "--reveal-keys"]):
                result = self.env.run(*command, "--json")
                self.assertEqual(result.status, 12, result)
            self.assertEqual(job.state(), "finished", "a missing key says nothing about the drive")
        finally:
            os.rename(away, self.env.key_store)
        self.assertEqual([kind for kind, _ in job.events() if kind.startswith("key")], [])

    def watched(self, look):
        """Runs prepare and calls look(pid) in each phase. Returns the job."""
        job = self.new_job(size=600 * MIB, data=500 * MIB)
        process = job.start("--json")
        phases = 0
        for reached in (lambda: os.path.exists(job.path("drives", "DISK0", "key.jwe.json")),
                        lambda: job.checkpoint() is not None,
                        lambda: job.state() == "verifying"):
            if wait_until(reached, process) and process.poll() is None:
                with harness.Stopped(process):
                    look(process.pid)
                phases += 1
        result = self.env.wait(process)
        self.assertEqual(result.status, 0, result)
        self.assertEqual(phases, 3, "each phase was met")
        return job

    def test_arguments_and_environment_of_a_running_prepare(self):
        seen = []

        def look(pid):
            for name in ("cmdline", "environ"):
                try:
                    with open(f"/proc/{pid}/{name}", "rb") as file:
                        seen.append(file.read())
                except PermissionError:
                    pass  # not even its owner may look: fine, and root always may
            # Its helpers, mkntfs for one, belong to the same process group.
            seen.append(v.run("ps", "-eww", "-o", "args").stdout)
        job = self.watched(look)
        needles = Needles(job.key())
        self.assertEqual([needles.in_bytes(text) for text in seen if needles.in_bytes(text)], [])

    def test_a_core_of_a_running_prepare_does_not_hold_it(self):
        need_not_instrumented("a core (of terabytes)")
        need("gcore")
        need_root()
        directory = self.env.path("cores")
        os.mkdir(directory)

        def look(pid):
            prefix = os.path.join(directory, str(len(os.listdir(directory))))
            v.run("gcore", "-o", prefix, str(pid))
        job = self.watched(look)
        cores = os.listdir(directory)
        if len(cores) < 3:
            raise unittest.SkipTest("gcore may not look into other processes here")
        needles = Needles(job.key())
        for core in cores:
            self.assertGreater(os.stat(os.path.join(directory, core)).st_size, MIB)
        try:
            self.assertEqual(needles.below(directory), {})
        finally:
            for core in cores:
                os.remove(os.path.join(directory, core))

    def test_a_crash_writes_no_core(self):
        with open("/proc/sys/kernel/core_pattern", encoding="ascii") as file:
            if file.read().startswith("|"):
                raise unittest.SkipTest("cores go to a program here, not into a file")
        directory = self.env.path("crash")
        os.mkdir(directory)

        def unlimited():
            resource.setrlimit(resource.RLIMIT_CORE,
                               (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
        job = self.new_job(size=600 * MIB, data=500 * MIB)
        process = job.start("--json", cwd=directory, preexec_fn=unlimited)
        self.assertTrue(wait_until(lambda: job.state() == "writing", process))
        process.send_signal(signal.SIGABRT)
        process.communicate(timeout=harness.TIMEOUT)
        self.assertEqual(process.returncode, -signal.SIGABRT)
        self.assertEqual(os.listdir(directory), [])


if __name__ == "__main__":
    harness.main()
