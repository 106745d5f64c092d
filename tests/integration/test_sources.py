"""A source that vanishes, changes or cannot be read is reported by name; nothing else stops."""

import os
import subprocess
import unittest

import harness
import volume as v
from harness import MIB, Drive, Stopped, need, need_root, wait_until, written_bytes

SOURCE, SEVERAL = 8, 10


class Sources(harness.Case):
    def interfere(self, job, deed):
        """Runs prepare and does the deed while the data of the first large file is on its way."""
        before = {drive.id: written_bytes(job.image(drive.id)) for drive in job.drives}
        process = job.start("--json")
        for drive in job.drives:
            reached = wait_until(
                lambda: written_bytes(job.image(drive.id)) > before[drive.id] + 24 * MIB, process)
            self.assertTrue(reached and process.poll() is None, f"{drive.id} is being written")
        with Stopped(process):
            deed()
        return self.env.wait(process)

    def tree_with_a_large_file(self, name="m/large.bin", size=256 * MIB):
        tree = self.env.directory("tree")
        for number in range(50):
            harness.write_file(tree, f"a/{number:02}.txt", b"before %d" % number)
            harness.write_file(tree, f"z/{number:02}.txt", b"after %d" % number)
        return tree, harness.write_large(tree, name, size, 3)

    def job_of(self, tree, **options):
        options.setdefault("drives", [Drive(size=340 * MIB)])
        return self.make_job(sources=[(tree + "/", "archive/")], **options)

    def failures(self, result, drive_id="DISK0"):
        drive = next(drive for drive in result.json()["drives"] if drive["id"] == drive_id)
        return {failure["source"]: failure for failure in drive["failures"]}

    def check_incomplete(self, job, result, expected):
        """`expected`: code by path. Reported everywhere, and everything else is safe."""
        self.assertEqual(result.status, SOURCE, result)
        failures = self.failures(result)
        self.assertEqual({path: failure["code"] for path, failure in failures.items()}, expected, result)
        for path, failure in failures.items():
            self.assertIn(path, failure["message"])
        drive = job.status()["DISK0"]
        self.assertEqual(drive["state"], "incomplete")
        self.assertEqual(drive["failed_sources"], len(expected))
        self.assertEqual({failure["source"] for failure in drive["failures"]}, set(expected))
        self.assertEqual(drive["files_done"], drive["planned_files"] - len(expected))
        self.assertFalse(v.looks_finished(job.image()), "an incomplete drive does not look finished")
        refused = self.env.run("request", job.root, "--json")
        self.assertEqual(refused.error()["code"], "drive-not-finished")
        return drive

    def check_repaired(self, job, tree, hidden=()):
        """The next run finishes, without the sources `hidden`, which are safe: they are away meanwhile."""
        away = self.env.directory("away")
        moved = {path: os.path.join(away, str(number)) for number, path in enumerate(hidden)}
        for path, place in moved.items():
            os.rename(path, place)
        result = job.prepare()
        for path, place in moved.items():
            os.rename(place, path)
        self.assertEqual(result.status, 0, result)
        drive = job.status()["DISK0"]
        self.assertEqual((drive["state"], drive["failed_sources"]), ("finished", 0))
        self.assertEqual(drive["files_done"], drive["planned_files"])
        harness.need_fuse()
        self.assertEqual(v.outside_differences(job.image(), 512, job.key(), [(tree + "/", "archive/")],
                                               self.env.directory("look")), [])

    def all_but(self, tree, *excepted):
        paths = [os.path.join(tree, name) for name in harness.files_below(tree)]
        return [path for path in paths if path not in excepted]

    def test_vanished_replaced_and_modified_files(self):
        tree, large = self.tree_with_a_large_file()
        job = self.job_of(tree)
        gone, replaced, modified = (os.path.join(tree, "z", f"{n:02}.txt") for n in (10, 20, 30))
        last = job.plan()["drives"][0]["placement"]
        order = [item["source"] for item in last]
        self.assertLess(order.index(large), order.index(gone), "the large file comes first")

        def deed():
            os.rename(gone, gone + ".away")
            os.remove(replaced)
            os.mkdir(replaced)
            with open(modified, "ab") as file:
                file.write(b"more")
        result = self.interfere(job, deed)
        self.check_incomplete(job, result, {gone: "source-missing", replaced: "source-changed",
                                            modified: "source-changed"})
        # The next run takes failed files as they are now; what cannot be read fails again.
        again = self.env.run("prepare", job.root)
        self.assertEqual(again.status, SOURCE, again)
        for path in (gone, replaced):
            self.assertIn(path, again.out)
        self.assertNotIn(modified, again.out)

        os.rename(gone + ".away", gone)
        os.rmdir(replaced)
        with open(replaced, "wb") as file:
            file.write(b"a new content of another length")
        self.check_repaired(job, tree, hidden=self.all_but(tree, gone, replaced, modified))

    def test_what_became_a_symbolic_link_after_the_plan_is_not_followed(self):
        tree, _ = self.tree_with_a_large_file()
        secret = self.env.directory("secret")
        file, directory = os.path.join(tree, "z", "10.txt"), os.path.join(tree, "zz")
        behind = harness.write_file(tree, "zz/inner.txt", b"inner")
        for name, original in (("10.txt", file), ("inner.txt", behind)):
            times = os.stat(original)
            content = b"S" * times.st_size
            harness.write_file(secret, name, content, modified=times.st_mtime_ns)
        job = self.job_of(tree)

        def deed():
            os.rename(file, file + ".away")
            os.symlink(os.path.join(secret, "10.txt"), file)
            os.rename(directory, directory + ".away")
            os.symlink(secret, directory)
        result = self.interfere(job, deed)
        self.check_incomplete(job, result, {file: "source-changed", behind: "source-changed"})
        for path in (file, directory):
            os.remove(path)
            os.rename(path + ".away", path)
        self.check_repaired(job, tree)

    def test_a_failed_file_of_another_size_is_taken_only_if_the_plan_would_have(self):
        tree, large = self.tree_with_a_large_file()
        pages = self.env.directory("pages")
        page = harness.write_file(pages, "disk.vhd", harness.random_bytes(512 * 9, 1))
        grown = os.path.join(tree, "z", "10.txt")
        job = self.job_of(tree)
        with open(job.path("dataset.csv"), "a", encoding="utf-8") as rows:
            rows.write(f"{pages}/,vhds/,PageBlob,no-overwrite,None,None\n")

        def deed():
            os.rename(page, page + ".away")
            os.rename(grown, grown + ".away")
        result = self.interfere(job, deed)
        self.check_incomplete(job, result, {page: "source-missing", grown: "source-missing"})

        harness.write_file(pages, "disk.vhd", bytes(1000))  # no multiple of 512
        with open(grown, "wb") as file:  # more than the drive has left
            file.truncate(200 * MIB)
        for _ in range(2):
            result = job.prepare()
            self.check_incomplete(job, result, {page: "source-changed", grown: "source-changed"})
            failures = self.failures(result)
            self.assertIn("multiple of 512", failures[page]["message"])
            self.assertIn("has room for", failures[grown]["message"])

        harness.write_file(pages, "disk.vhd", harness.random_bytes(512 * 11, 2))
        with open(grown, "wb") as file:
            file.write(harness.random_bytes(2 * MIB, 3))
        result = job.prepare()
        self.assertEqual(result.status, 0, result)
        self.assertEqual(job.state(), "finished")
        self.run_ok("verify", job.root)

    def test_a_file_that_grows_while_it_is_read(self):
        tree, large = self.tree_with_a_large_file()
        job = self.job_of(tree)

        def deed():
            with open(large, "ab") as file:
                file.write(b"grown")
        result = self.interfere(job, deed)
        drive = self.check_incomplete(job, result, {large: "source-changed"})
        self.assertLess(drive["bytes_done"], 10 * MIB)
        self.check_repaired(job, tree, hidden=self.all_but(tree, large))

    def test_a_file_that_is_overwritten_in_place_while_it_is_read(self):
        tree, large = self.tree_with_a_large_file()
        job = self.job_of(tree)

        def deed():
            with open(large, "r+b") as file:
                file.seek(250 * MIB)
                file.write(b"overwritten")
        self.check_incomplete(job, self.interfere(job, deed), {large: "source-changed"})
        self.check_repaired(job, tree, hidden=self.all_but(tree, large))

    def test_a_file_that_shrinks_while_it_is_read(self):
        tree, large = self.tree_with_a_large_file()
        job = self.job_of(tree)
        result = self.interfere(job, lambda: os.truncate(large, 5))
        self.check_incomplete(job, result, {large: "source-changed"})
        self.check_repaired(job, tree, hidden=self.all_but(tree, large))

    def test_one_incomplete_drive_does_not_stop_the_other(self):
        tree = self.env.directory("tree")
        large = [harness.write_large(tree, f"large{n}.bin", 200 * MIB, n) for n in range(2)]
        harness.write_file(tree, "small.txt", b"small")
        job = self.job_of(tree, drives=[Drive("DISK0", 270 * MIB), Drive("DISK1", 270 * MIB)])
        drives = job.plan()["drives"]
        holder = {item["source"]: drive["id"] for drive in drives for item in drive["placement"]}
        self.assertNotEqual(holder[large[0]], holder[large[1]])
        bad, good = holder[large[0]], holder[large[1]]

        def deed():
            with open(large[0], "ab") as file:
                file.write(b"grown")
        result = self.interfere(job, deed)
        self.assertEqual(result.status, SEVERAL, result)
        states = {drive["id"]: (drive["state"], drive["exit"]) for drive in result.json()["drives"]}
        self.assertEqual(states, {bad: ("incomplete", SOURCE), good: ("finished", 0)})
        self.assertEqual({d: s["state"] for d, s in job.status().items()},
                         {bad: "incomplete", good: "finished"})
        finished = harness.digest_of(job.image(good))
        result = job.prepare()
        self.assertEqual(result.status, 0, result)
        self.assertEqual({s["state"] for s in job.status().values()}, {"finished"})
        self.assertEqual(harness.digest_of(job.image(good)), finished, "a finished drive is left alone")

    def test_a_file_that_this_user_may_not_read(self):
        need_root()
        need("setpriv")
        nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        if subprocess.run([*nobody, harness.PROGRAM, "--version"], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL).returncode != 0:
            raise unittest.SkipTest("needs a program that other users can run")
        env = harness.Environment()
        self.addCleanup(env.remove)
        tree = env.directory("tree")
        harness.write_file(tree, "open.txt", b"open")
        closed = harness.write_file(tree, "closed.txt", b"closed")
        job = harness.Job(env, env.directory("job"), sources=[(tree + "/", "archive/")])
        for directory, names, files in os.walk(env.root):
            for name in [".", *names, *files]:
                os.chown(os.path.join(directory, name), 65534, 65534)
        os.chmod(closed, 0)
        plan = env.run("plan", job.root, "--json", prefix=nobody)
        self.assertEqual(plan.status, 0, plan)
        self.assertEqual([(f["code"], f["subject"]) for f in plan.json()["findings"]],
                         [("unreadable", closed)])
        result = env.run("prepare", job.root, "--json", prefix=nobody)
        self.check_incomplete(job, result, {closed: "source-unreadable"})
        os.chmod(closed, 0o400)
        result = env.run("prepare", job.root, "--json", prefix=nobody)
        self.assertEqual(result.status, 0, result)

        for policy, status in (("refuse", SOURCE), ("skip", 0)):
            with self.subTest(policy):
                other = harness.Job(env, env.directory("job"), sources=[(tree + "/", "archive/")],
                                    policies={"unreadable": policy})
                for path in (other.root, *map(other.path, os.listdir(other.root))):
                    os.chown(path, 65534, 65534)
                os.chmod(closed, 0)
                plan = env.run("plan", other.root, "--json", prefix=nobody)
                self.assertEqual(plan.status, status, plan)
                self.assertIn(closed, plan.out)
                if policy == "skip":
                    self.assertEqual(plan.json()["files"], 1)


if __name__ == "__main__":
    harness.main()
