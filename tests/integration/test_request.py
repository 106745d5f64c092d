"""The bodies that `request` writes pass Microsoft's own clients unchanged."""

import os
import subprocess
import unittest

import harness
from harness import Drive

RUN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "request_clients", "run")


class Request(harness.Case):
    def test_bodies_of_a_prepared_job_pass_the_official_clients(self):
        tree = self.env.directory("tree")
        for number in range(4):
            harness.write_large(tree, f"{number}.bin", 20 * harness.MIB, number)
        job = self.make_job(sources=[(tree + "/", "archive/")], name="import-2026-a",
                            drives=[Drive("DISK0"), Drive("DISK1")])
        result = job.prepare()
        self.assertEqual(result.status, 0, result)
        work = os.environ.get("REQUEST_CLIENTS_WORK") or self.env.path("clients")
        for flags in ([], ["--reveal-keys"]):
            with self.subTest(flags=flags):
                self.run_ok("request", job.root, *flags)
                bodies = [job.path("requests", name) for name in ("databox.json", "importexport.json")]
                done = subprocess.run([RUN, work, *bodies, "import-2026-a"], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
                if done.returncode == harness.SKIPPED:
                    raise unittest.SkipTest(done.stdout.strip().splitlines()[-1])
                self.assertEqual(done.returncode, 0, done.stdout)
                self.assertEqual(done.stdout.count("arrives unchanged"), 2, done.stdout)


if __name__ == "__main__":
    harness.main()
