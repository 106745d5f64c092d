"""What the tests of driveprep volume share: a finished drive, and asking the program."""

import copy
import json
import os
import subprocess

import harness
import judges
import volume as v
from harness import MIB, Drive, need


class VolumeCase(harness.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        need("cryptsetup")
        cls.tree = cls.env.path("tree")
        for number in range(20):
            harness.write_file(cls.tree, f"{number % 3}/{number}.txt", b"content %d" % number * 50)

    prepared = {}

    def finished(self, cipher="xts-aes-128", external_key=True, sector=512, fresh=False):
        """A job with a finished drive: the copy of one that was made before, unless it is `fresh`."""
        wanted = (cipher, external_key, sector)
        if fresh or wanted not in self.prepared:
            job = self.make_job(sources=[(self.tree + "/", "archive/")],
                                drives=[Drive(size=64 * MIB, sector=sector)],
                                bitlocker={"cipher": cipher, "externalKey": external_key})
            result = job.prepare()
            self.assertEqual(result.status, 0, result)
            if fresh:
                return job
            self.prepared[wanted] = job
        job = copy.copy(self.prepared[wanted])
        job.root = self.env.directory("job")
        subprocess.run(["cp", "-a", "--sparse=always", self.prepared[wanted].root + "/.", job.root],
                       check=True)
        return job

    def volume(self, *arguments, secret=None):
        """driveprep volume ...; `secret` goes to standard input."""
        done = subprocess.run([harness.PROGRAM, "volume", *arguments], capture_output=True,
                              input=secret.encode() if secret is not None else b"",
                              env=self.env.variables(), start_new_session=True)
        return done

    def ok(self, *arguments, secret=None):
        done = self.volume(*arguments, secret=secret)
        self.assertEqual(done.returncode, 0, done)
        return done

    def document(self, *arguments, secret=None):
        return json.loads(self.ok(*arguments, "--json", secret=secret).stdout)

    def error(self, status, code, *arguments, secret=None):
        done = self.volume(*arguments, "--json", secret=secret)
        self.assertEqual(done.returncode, status, done)
        self.assertEqual(json.loads(done.stdout)["error"]["code"], code, done)

    def protectors(self, image):
        return {entry["kind"]: entry["id"]
                for entry in self.document("info", image)["metadata"]["protectors"]}

    def partition(self, job):
        image = job.image()
        volume = v.Volume(image, 512)
        partition = os.path.join(job.root, "partition.img")
        v.copy_partition(image, volume.offset, volume.length, partition)
        return partition, volume

    def check_openers(self, job, keys, expected, behind=()):
        judges.check(self, self.partition(job)[0], keys, expected, behind)
