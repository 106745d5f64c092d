"""What of a file system no file depends on is missed all the same, when it is lost."""

import os
import signal

import harness
import volume as v
from harness import MIB, Drive, wait_until, written_bytes

VERIFICATION = 7
# Of each a byte that Windows would miss: none of them is read when a file is.
STRUCTURES = {"$Bitmap": 300, "$AttrDef": 130, "$UpCase": 5000, "$LogFile": 1 << 20, "$MFTMirr": 2000}


class Consistency(harness.Case):
    def structures(self, job):
        """Name of a file of the file system's own -> where on the image its byte lies."""
        harness.need_fuse()
        harness.need("ntfsinfo")
        volume = v.Volume(job.image(), 512)
        with v.dislocker(job.image(), volume.offset, [f"-p{job.key()}"],
                         os.path.join(self.env.directory("look"), "decrypted")) as decrypted:
            stream = os.path.join(decrypted, "dislocker-file")
            places = {name: volume.offset + v.place_of(stream, name, byte)
                      for name, byte in STRUCTURES.items()}
        places["boot sector"] = volume.offset + volume.length - 512
        return places

    def error(self, result):
        self.assertEqual(result.status, VERIFICATION, result)
        return result.json()["drives"][0]["error"]

    def test_verify_finds_each(self):
        tree = self.env.directory("tree")
        harness.write_large(tree, "large.bin", 5 * MIB, 1)
        job = self.make_job(sources=[(tree + "/", "archive/")])
        self.assertEqual(job.prepare().status, 0)
        for name, place in self.structures(job).items():
            with self.subTest(name):
                harness.flip(job.image(), place)
                error = self.error(self.env.run("verify", job.root, "--json"))
                if name != "$MFTMirr":  # without which no program opens the volume
                    self.assertEqual(error["code"], "file-system-inconsistent")
                    self.assertIn(name, error["message"])
                self.assertIn("prepare", error["remedy"].lower())
                self.assertEqual(job.state(), "failed")
                harness.flip(job.image(), place)
        self.run_ok("verify", job.root)
        self.assertEqual(job.state(), "finished")

    def test_what_an_earlier_run_lost_is_found_by_the_one_that_ends_the_drive(self):
        tree = self.env.directory("tree")
        harness.write_large(tree, "large.bin", 300 * MIB, 1)
        first = self.make_job(sources=[(tree + "/", "archive/")], drives=[Drive(size=400 * MIB)])
        self.assertEqual(first.prepare().status, 0)
        # Volumes of one size have these at the same place.
        places = self.structures(first)
        job = self.make_job(sources=[(tree + "/", "archive/")], drives=[Drive(size=400 * MIB)])
        process = job.start("--json")
        before = written_bytes(job.image())
        wait_until(lambda: written_bytes(job.image()) > before + 40 * MIB, process)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(self.env.wait(process).status, 143)
        harness.flip(job.image(), places["$AttrDef"])
        error = self.error(job.prepare())
        self.assertEqual(error["code"], "file-system-inconsistent")
        self.assertIn("$AttrDef", error["message"])
        self.assertEqual(job.state(), "failed")
        self.assertFalse(v.looks_finished(job.image()), "an unfinished drive does not look like one")
        self.assertEqual(job.prepare().status, 0, "it is made anew")
        self.assertEqual(self.env.run("verify", job.root).status, 0)


if __name__ == "__main__":
    harness.main()
