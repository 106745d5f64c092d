"""A whole preparation on a drive that fails, tears or lies at the n-th write: it is never called finished.

DRIVEPREP_FAULTS=all: every fault at every write (about ten minutes). Without it every write is dropped once,
and the other faults come to every tenth, from a random one on (DRIVEPREP_SEED; printed).
"""

import concurrent.futures
import os
import random
import shutil
import threading
import unittest

import harness
import volume as v
from harness import MIB, Drive
from preloaded import Preloaded

ALL = os.environ.get("DRIVEPREP_FAULTS") == "all"
SEED = int(os.environ.get("DRIVEPREP_SEED", str(random.SystemRandom().randrange(10**6))))
WORKERS = min(4, os.cpu_count() or 1)
NEVER = 10**9
SECTOR = 512


class FaultyWrites(harness.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.preloaded = Preloaded(cls.env)
        cls.tree = cls.env.path("tree")
        harness.make_tree(cls.tree)
        cls.sources = [(cls.tree + "/", "archive/")]
        cls.lock = threading.Lock()
        # What a drive holds that was in use before: nothing that was not written can pass for written.
        cls.before = random.Random(SEED).randbytes(64 * MIB)
        cls.new_job(cls).prepare("--confirm", "DISK0")  # makes the key store and the library

    def new_job(self):
        with self.lock:
            job = harness.Job(self.env, self.env.directory("job"), sources=self.sources,
                              drives=[Drive(size=len(self.before))])
        with open(job.image(), "wb") as image:
            image.write(self.before)
        return job

    def run_with(self, number, fault):
        """(job, result, the writes as (number, offset, length))"""
        job = self.new_job()
        log = job.path("writes.log")
        result = job.prepare("--confirm", "DISK0",
                             env=self.preloaded.writes(job.image(), number, fault, log))
        with open(log, encoding="ascii") as lines:
            return job, result, [tuple(map(int, line.split())) for line in lines]

    def side_by_side(self, check, numbers):
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            for number, run in [(number, pool.submit(check, number)) for number in numbers]:
                with self.subTest(number=number):
                    run.result()

    def writes_of_a_run(self):
        job, result, writes = self.run_with(NEVER, "fail")
        self.assertEqual(result.status, 0, result)
        self.assertGreater(len(writes), 30)
        shutil.rmtree(job.root)
        return len(writes)

    def check_dropped(self, number):
        job, result, writes = self.run_with(number, "drop")
        faulty = [write for write in writes if write[0] == number]
        if faulty:
            _, offset, length = faulty[0]
            later = [write for write in writes if write[0] > number]
            written_over = all(any(begin <= at < begin + count for _, begin, count in later)
                               for at in range(offset, offset + length, SECTOR))
            if not written_over:
                self.assertNotEqual(result.status, 0, f"the drive lied at {offset}, {length} bytes")
        if result.status == 0:
            self.assertEqual(job.state(), "finished")
        else:
            self.assertNotEqual(job.state(), "finished", result)
            self.assertIn(result.json()["drives"][0]["error"]["kind"], ("verification", "write"), result)
        shutil.rmtree(job.root)

    def check_told(self, fault, number):
        job, result, writes = self.run_with(number, fault)
        if number >= len(writes):
            shutil.rmtree(job.root)
            return  # the threads have joined their writes in another way
        self.assertNotEqual(result.status, 0, result)
        self.assertNotEqual(job.state(), "finished", result)
        again = job.prepare("--confirm", "DISK0")
        self.assertEqual(again.status, 0, again)
        self.assertEqual(job.state(), "finished")
        verified = self.env.run("verify", job.root)
        self.assertEqual(verified.status, 0, verified)
        shutil.rmtree(job.root)

    def test_a_dropped_write(self):
        self.side_by_side(self.check_dropped, range(self.writes_of_a_run()))

    def test_a_write_that_fails_or_is_torn(self):
        print("seed", SEED, flush=True)
        writes = self.writes_of_a_run()
        for place, fault in enumerate(("fail", "head", "tail")):
            first = 0 if ALL else (SEED + 3 * place) % 10
            with self.subTest(fault=fault):
                self.side_by_side(lambda number, fault=fault: self.check_told(fault, number),
                                  range(first, writes, 1 if ALL else 10))

    def test_the_last_write_of_all_is_the_volume_header(self):
        job, result, writes = self.run_with(NEVER, "fail")
        self.assertEqual(result.status, 0, result)
        self.assertEqual(writes[-1][2], SECTOR)
        self.assertTrue(v.looks_finished(job.image()))
        job, result, _ = self.run_with(len(writes) - 1, "fail")
        self.assertNotEqual(result.status, 0, result)
        self.assertFalse(v.looks_finished(job.image()))


if __name__ == "__main__":
    harness.run_tests()
