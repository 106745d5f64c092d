"""Killed at any moment, prepare continues: same content, nothing read twice, no key used twice.

DRIVEPREP_KILLS: how many random moments (default 24; docs/testing.md). DRIVEPREP_SEED: of those moments; printed.
"""

import collections
import concurrent.futures
import glob
import os
import random
import shutil
import signal
import struct
import time
import unittest

import harness
import volume as v
from harness import MIB, Drive, need, wait_until, written_bytes

KILLS = int(os.environ.get("DRIVEPREP_KILLS", "24"))
SEED = int(os.environ.get("DRIVEPREP_SEED", str(random.SystemRandom().randrange(10**6))))
# Killed runs side by side: most of their time one processor stretches keys.
WORKERS = min(4, os.cpu_count() or 1)
# The longest time between two checkpoints, and a little.
CHECKPOINT_SECONDS = 31


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.communicate()


class Killed(harness.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.tree = cls.env.path("tree")
        harness.make_tree(cls.tree)
        for number in range(600):
            harness.write_file(cls.tree, f"many/{number % 10}/{number}.txt", b"%d" % number * (number % 700))
        harness.write_large(cls.tree, "large/one.bin", 32 * MIB + 12345, 1)
        cls.sources = [(cls.tree + "/", "archive/")]

    def new_job(self, size=96 * MIB, sources=None, **options):
        return self.make_job(sources=sources or self.sources, drives=[Drive(size=size)], **options)

    def finish(self, job):
        """Runs again and checks that it ends with a finished drive."""
        result = job.prepare()
        self.assertEqual(result.status, 0, result)
        drive = job.status()["DISK0"]
        self.assertEqual(drive["state"], "finished")
        self.assertEqual(drive["files_done"], drive["planned_files"])
        self.assertEqual(drive["bytes_done"], drive["planned_bytes"])
        return drive

    def check_content(self, job, sources=None, **options):
        harness.need_fuse()
        scratch = self.env.directory("look")
        self.assertEqual(v.outside_differences(job.image(), 512, job.key(), sources or self.sources,
                                               scratch, **options), [])

    def check_content_with_the_external_key(self, job):
        """As check_content, without the second or two that a recovery password takes."""
        harness.need_fuse()
        (key,) = glob.glob(job.path("drives", "DISK0", "*.BEK"))
        volume = v.Volume(job.image(), 512)
        look = os.path.join(job.root, "look")
        with v.dislocker(job.image(), volume.offset, ["-f", key], os.path.join(look, "volume")) as opened:
            with v.ntfs(os.path.join(opened, "dislocker-file"), os.path.join(look, "files")) as files:
                self.assertEqual(v.differences(files, self.sources), [])

    def counters(self, job):
        """(volume, files done, bytes done); the volume tells whether the drive was started over."""
        drive = job.status()["DISK0"]
        return drive.get("volume", {}).get("volume_guid"), drive["files_done"], drive["bytes_done"]

    def recorded(self, job):
        """The counters as the journal has them, while it is being written; None before it has any."""
        rows = job.journal("SELECT hex(volume.volume), coalesce(files_done, 0), coalesce(bytes_done, 0) "
                           "FROM volume LEFT JOIN checkpoint USING (drive)")
        return rows[0] if rows else None

    def begun(self, job, phase, earlier):
        """Whether the run under way has begun the phase; `earlier` are the logs of those before."""
        for log in set(glob.glob(job.path("logs", "prepare-*.log"))) - earlier:
            with open(log, encoding="utf-8") as file:
                if f"drive DISK0: {phase}\n" in file.read():
                    return True
        return phase == "start"

    def run_and_watch(self, job, moment):
        """Runs prepare and kills it at the moment: so many seconds after the beginning of a phase.
        The counters seen meanwhile never fall. Returns in which phase it was killed."""
        phase, seconds = moment
        earlier = set(glob.glob(job.path("logs", "prepare-*.log")))
        process = job.start("--json")
        last = self.recorded(job)
        looked, end = time.monotonic(), None
        while process.poll() is None and (end is None or time.monotonic() < end):
            if end is None and self.begun(job, phase, earlier):
                end = time.monotonic() + seconds
            if time.monotonic() - looked > 0.1:
                last, looked = self.not_less(last, self.recorded(job)), time.monotonic()
            time.sleep(0.005 if end is None else max(0, min(end - time.monotonic(), 0.1)))
        ended = process.poll() is not None
        kill(process)
        last = self.not_less(last, self.recorded(job))
        if ended or last is None:
            return "ended" if ended else "formatting"
        if (state := job.state()) != "writing":
            return state
        if job.checkpoint() is None:
            return "formatting"
        return "finishing" if job.journal("SELECT md5 FROM manifest") else "copying"

    def not_less(self, before, after):
        if before is not None and after is not None and before[0] == after[0]:
            self.assertGreaterEqual(after[1], before[1], "the files done never become fewer")
            self.assertGreaterEqual(after[2], before[2], "the bytes done never become fewer")
        elif before is not None and before[0] is not None:
            self.assertEqual(tuple(before[1:]), (0, 0), "a drive with files on it is not started over")
        return after

    def moments(self):
        """Moments to kill at, evenly spread over the phases of an undisturbed run under the same load,
        which are of very different lengths; for each another one, if it is killed once more."""
        begun = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            runs = list(pool.map(lambda _: self.new_job(bitlocker={"externalKey": True}).prepare(),
                                 range(WORKERS)))
        whole = time.monotonic() - begun
        for run in runs:
            self.assertEqual(run.status, 0, run)
        phases = {name: spent / 1000
                  for name, spent in runs[0].json()["drives"][0]["phases_ms"].items()}
        phases = {"start": max(0.05, whole - sum(phases.values())), **phases}
        print(f"{KILLS} kills, seed {SEED}; an undisturbed run takes {whole:.1f} s:",
              ", ".join(f"{name} {spent:.2f}" for name, spent in phases.items()), flush=True)
        chance = random.Random(SEED)
        names = list(phases)

        def within(name):
            return name, phases[name] * chance.random()
        return [(within(names[number % len(names)]), within(chance.choice(names)))
                for number in range(KILLS)]

    def kill_and_finish(self, number, moment, another):
        job = self.new_job(bitlocker={"externalKey": True})
        phase = self.run_and_watch(job, moment)
        if v.looks_finished(job.image()):
            self.assertIn(job.state(), ("verifying", "finished"))
        if number % 3 == 0:  # killed once more
            self.run_and_watch(job, another)
        self.finish(job)
        self.check_content_with_the_external_key(job)
        shutil.rmtree(job.root)
        return phase

    def test_at_random_moments(self):
        self.finish(self.new_job())  # makes the key store, which would count as copying below
        moments = self.moments()
        met = collections.Counter()
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            runs = [(number, moment, pool.submit(self.kill_and_finish, number, moment, another))
                    for number, (moment, another) in enumerate(moments)]
            for number, moment, run in runs:
                with self.subTest(number=number, moment=moment):
                    met[run.result()] += 1
        print("killed while", dict(met), flush=True)
        if KILLS >= 50:
            for phase in ("formatting", "copying", "verifying"):
                self.assertGreater(met[phase], 0, f"a kill while {phase}: {dict(met)}")

    def test_while_the_key_store_is_made(self):
        moments = random.Random(SEED)
        for number in range(4):
            env = harness.Environment()
            self.addCleanup(env.remove)
            job = harness.Job(env, env.directory("job"),
                              sources=[(os.path.join(self.tree, "many") + "/", "archive/")])
            moment = (number + moments.random()) / 4
            with self.subTest(moment=round(moment, 3)):
                process = job.start("--json")
                self.assertTrue(wait_until(lambda: os.path.exists(env.key_store), process))
                time.sleep(moment)
                kill(process)
                self.finish(job)
                self.assertRegex(job.key(), r"^\d{6}(-\d{6}){7}$")

    def hold_at(self, job, condition, what):
        """Starts prepare and kills it at a moment that the condition describes."""
        process = job.start("--json")
        if not wait_until(condition, process, interval=0.0005) or process.poll() is not None:
            kill(process)
            raise AssertionError(f"prepare ended before {what}: {process.returncode}")
        kill(process)

    def test_while_it_verifies(self):
        job = self.new_job()
        self.hold_at(job, lambda: job.state() == "verifying", "it verified")
        self.assertEqual(job.status()["DISK0"]["state"], "verifying")
        self.assertFalse(v.looks_finished(job.image()), "the volume header comes last")
        before = self.counters(job)
        self.finish(job)
        self.assertEqual(self.counters(job), before, "nothing was copied again")
        self.check_content(job)

    def test_while_it_seals(self):
        job = self.new_job()
        self.hold_at(job, lambda: v.looks_finished(job.image()), "it sealed")
        self.assertIn(job.state(), ("verifying", "finished"))
        self.finish(job)
        self.check_content(job)

    def test_before_the_first_checkpoint_the_drive_is_started_over_with_other_keys(self):
        need("cryptsetup")
        for _ in range(5):
            job = self.new_job(sources=[(os.path.join(self.tree, "many") + "/", "archive/")], size=64 * MIB)
            self.hold_at(job, lambda: job.journal("SELECT volume FROM volume"), "the volume was made")
            if job.checkpoint() is None:
                break
        else:
            raise unittest.SkipTest("the moment between volume and first checkpoint was not met")
        first = self.key_of_unfinished(job)
        drive = self.finish(job)
        second = v.Volume(job.image(), 512)
        self.assertNotEqual(str(second.metadata.volume), first[1])
        self.assertEqual(str(second.metadata.volume), drive["volume"]["volume_guid"])
        partition = self.env.path("partition")
        v.copy_partition(job.image(), second.offset, second.length, partition)
        key = v.volume_key(partition, v.key_file_of(self.env.root, "rp", job.key()))
        if first[0] is not None:
            self.assertNotEqual(key, first[0])
            self.assertFalse(set(first[2]) & set(second.metadata.nonces))

    def key_of_unfinished(self, job):
        """(volume key, volume GUID, nonces) of a volume that has no header yet: one is put in front."""
        offset, length, *metadata = job.journal(
            "SELECT partition_offset, partition_length, metadata_offset_1, metadata_offset_2, "
            "metadata_offset_3 FROM volume")[0]
        guid = self.counters(job)[0]
        partition = self.env.path("unfinished")
        v.copy_partition(job.image(), offset, length, partition)
        block = v.read_at(partition, metadata[0], v.METADATA_SIZE)
        if block[:8] != b"-FVE-FS-":
            return None, guid, []
        header = bytearray(512)
        header[:13] = b"\xeb\x58\x90-FVE-FS-" + struct.pack("<H", 512)
        header[0x52:0x5A] = b"FAT32   "
        header[0xA0:0xB0] = v.NORMAL_VOLUME.bytes_le
        header[0xB0:0xC8] = struct.pack("<3Q", *metadata)
        header[510:] = b"\x55\xaa"
        with open(partition, "r+b") as file:
            file.write(header)
        key = v.volume_key(partition, v.key_file_of(self.env.root, "rp", job.key()))
        return key, guid, v.Metadata(block).nonces

    def test_a_drive_that_failed_its_verification_is_started_over_with_another_key(self):
        need("cryptsetup")
        job = self.new_job(sources=[(os.path.join(self.tree, "many") + "/", "archive/")], size=64 * MIB)
        keys, nonces = [], []
        for _ in range(2):
            self.finish(job)
            volume = v.Volume(job.image(), 512)
            partition = self.env.path("partition")
            v.copy_partition(job.image(), volume.offset, volume.length, partition)
            keys.append(v.volume_key(partition, v.key_file_of(self.env.root, "rp", job.key())))
            nonces += volume.metadata.nonces
            with open(job.image(), "r+b") as image:  # one byte of the third copy
                image.seek(volume.offset + volume.metadata_offsets[2] + 100)
                image.write(bytes([volume.copies[2][100] ^ 1]))
            result = self.env.run("verify", job.root, "--json")
            self.assertEqual(result.status, 7, result)
            self.assertEqual(job.status()["DISK0"]["state"], "failed")
        self.assertNotEqual(keys[0], keys[1])
        self.assertEqual(len(set(nonces)), len(nonces), "no nonce comes again")

    # --- within a large file

    def large_job(self):
        tree = self.env.directory("gigabyte")
        for number in range(300):
            harness.write_file(tree, f"a/{number:03}.txt", b"small %d" % number)
            harness.write_file(tree, f"z/{number:03}.txt", b"after %d" % number)
        harness.write_large(tree, "m/gigabyte.bin", 1024 * MIB + 777, 7)
        return self.make_job(sources=[(tree + "/", "archive/")], drives=[Drive(size=1200 * MIB)]), tree

    def spoil_what_is_safe(self, job, tree):
        """What a later run must not need any more is taken away or changed. Returns the true contents."""
        kept = self.env.directory("kept")
        originals = {}
        placement = [item["source"] for item in self.placement]
        next_file, _, files_done, number, length = job.checkpoint()
        large = os.path.join(tree, "m", "gigabyte.bin")
        for source in placement[:next_file]:
            originals[source] = os.path.join(kept, os.path.relpath(source, tree).replace("/", "-"))
            os.rename(source, originals[source])
        self.assertEqual(files_done, next_file)
        if number is not None:
            self.assertEqual(placement[number], large)
            originals[large] = os.path.join(kept, "gigabyte.bin")
            v.run_ok("cp", "--sparse=always", "--preserve=timestamps", large, originals[large])
            times = os.stat(large)
            with open(large, "r+b") as file:
                for offset in range(0, length, 4 * MIB):
                    file.seek(offset)
                    file.write(b"not what was shipped")
            os.utime(large, ns=(times.st_atime_ns, times.st_mtime_ns))
        return originals

    def check_resumed(self, job, tree, originals):
        before = self.counters(job)
        process = job.start("--json")  # once more killed on its way
        wait_until(lambda: job.state() == "writing" and process.poll() is None, process, seconds=20)
        time.sleep(0.3)
        kill(process)
        self.not_less(before, self.counters(job))
        self.finish(job)
        # os.walk must see every source: moved ones are put back as names only.
        for source, original in originals.items():
            if not os.path.exists(source):
                os.makedirs(os.path.dirname(source), exist_ok=True)
                shutil.copy2(original, source)
        self.check_content(job, sources=[(tree + "/", "archive/")], originals=originals)

    def interrupted_in_the_large_file(self, interrupt):
        job, tree = self.large_job()
        self.placement = job.plan()["drives"][0]["placement"]
        before = written_bytes(job.image())
        process = job.start("--json")
        reached = wait_until(lambda: written_bytes(job.image()) > before + 150 * MIB, process)
        self.assertTrue(reached and process.poll() is None, "prepare is in the large file")
        interrupt(job, process)
        self.assertFalse(v.looks_finished(job.image()))
        checkpoint = job.checkpoint()
        self.assertIsNotNone(checkpoint[3], f"a file is in work: {checkpoint}")
        self.assertGreater(checkpoint[4], 0)
        self.assertLess(checkpoint[4], 1024 * MIB)
        originals = self.spoil_what_is_safe(job, tree)
        self.check_resumed(job, tree, originals)

    def test_stopped_within_a_large_file_it_goes_on_behind_the_safe_part(self):
        def interrupt(job, process):
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=harness.TIMEOUT)
            self.assertEqual(process.returncode, 143, out + err)
            self.assertEqual(job.status()["DISK0"]["state"], "writing")
        self.interrupted_in_the_large_file(interrupt)

    def test_killed_after_a_checkpoint_within_a_large_file_it_goes_on_behind_the_safe_part(self):
        def interrupt(job, process):
            with harness.Stopped(process):  # time passes, but the file does not
                time.sleep(CHECKPOINT_SECONDS)
            self.assertTrue(wait_until(lambda: (job.checkpoint() or [0] * 5)[4], process),
                            "a checkpoint within the file")
            self.assertIsNone(process.poll())
            kill(process)
        self.interrupted_in_the_large_file(interrupt)


if __name__ == "__main__":
    harness.main()
