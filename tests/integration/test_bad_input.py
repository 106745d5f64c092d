"""Bad input is refused with the right status, a message that helps, and nothing written."""

import fcntl
import os
import re
import subprocess
import tempfile
import unittest

import harness
import volume as v
from harness import DATASET_HEADER, DRIVESET_HEADER, MIB, Drive, need, need_root
from refusals import Refusals

USAGE, REFUSED, NOT_CONFIRMED, BUSY, WRITE, SOURCE, JOURNAL, KEY = 2, 3, 4, 5, 6, 8, 11, 12


class BadInput(Refusals):
    # --- sources

    def test_a_missing_source(self):
        job = self.job(sources=[(self.tree + "/", "archive/"), (self.env.path("gone") + "/", "gone/")])
        self.refused(job, SOURCE, "source-missing", "dataset.csv:3", self.env.path("gone"))

    def test_a_directory_written_as_a_file_and_a_file_written_as_a_directory(self):
        self.refused(self.job(sources=[(self.tree, "archive/x")]), USAGE, "source-kind", self.tree)
        self.refused(self.job(sources=[(self.tree + "/a.txt/", "archive/")]), USAGE, "source-kind", "a.txt")

    def test_two_sources_with_one_destination(self):
        other = self.env.directory("other")
        harness.write_file(other, "a.txt", b"another")
        job = self.job(sources=[(self.tree + "/", "archive/"), (other + "/", "archive/")])
        self.refused(job, USAGE, "destination-conflict", os.path.join(self.tree, "a.txt"),
                     os.path.join(other, "a.txt"), "archive/a.txt", "dataset.csv:2: ", "dataset.csv:3: ")

    def test_names_that_the_blob_service_refuses(self):
        for name in (b"control\x01", b"not-utf-8-\xff", b"back\\slash"):
            with self.subTest(name=name):
                tree = self.env.directory("names")
                with open(os.path.join(os.fsencode(tree), name), "wb"):
                    pass
                self.refused(self.job(sources=[(tree + "/", "archive/")]), USAGE, "blob-name",
                             os.path.join("archive"))

    def test_a_blob_name_of_more_than_1024_characters(self):
        tree = self.env.directory("long")
        harness.write_file(tree, "/".join(["d" * 250] * 5)[1:], b"x")
        self.refused(self.job(sources=[(tree + "/", "archive/")]), USAGE, "blob-name", "1024")

    def test_names_that_ntfs_cannot_hold_are_reported_with_their_substitutes(self):
        names = ["what?.txt", "aux.txt", "dot.", "Case", "case"]
        for name in names:
            harness.write_file(self.tree, name, b"x")
        job = self.job()
        plan = job.plan()
        self.assertEqual(plan["finding_counts"].get("substitute-name"), 4, plan)
        placed = {item["blob"]: item["file"] for item in plan["drives"][0]["placement"]}
        self.assertEqual({f"archive/{name}" for name in names} - set(placed), set())
        stored = [path.lower() for path in placed.values()]
        self.assertEqual(len(set(stored)), len(stored), "no two names differ only in case")
        for name in names[:3]:
            self.assertNotRegex(placed[f"archive/{name}"].rsplit("\\", 1)[1],
                                r'(?i)[?*:"<>|]|[. ]$|^aux(\.|$)')
        self.assertIn("what?.txt", self.run_ok("plan", job.root).out)
        job.spec["sources"] = {"illegalNames": "refuse"}
        job.write_spec()
        self.refused(job, USAGE, "ntfs-name", "what?.txt", "aux.txt")

    def test_symbolic_links_and_fifos(self):
        os.symlink("a.txt", os.path.join(self.tree, "link"))
        self.refused(self.job(), USAGE, "source-symlink", os.path.join(self.tree, "link"))
        os.remove(os.path.join(self.tree, "link"))
        os.mkfifo(os.path.join(self.tree, "pipe"))
        self.refused(self.job(), USAGE, "source-special", os.path.join(self.tree, "pipe"), "FIFO")

    def test_sources_without_a_file(self):
        empty = self.env.directory("empty")
        self.refused(self.job(sources=[(empty + "/", "archive/")]), USAGE, "nothing-to-ship", "dataset.csv")

    def test_the_job_itself_as_a_source(self):
        job = self.job()
        job.write("dataset.csv", f"{DATASET_HEADER}\n{job.root}/,archive/,BlockBlob,rename,None,None\n")
        self.refused(job, REFUSED, "image-inside-source", "DISK0.img", job.root)
        job.write("driveset.csv", f"{DRIVESET_HEADER}\n{self.job().image()},Format,SilentMode,Encrypt,,D,512\n")
        os.remove(job.image())
        self.refused(job, USAGE, "source-holds-target", job.root)

    def test_a_home_directory_with_the_default_key_store(self):
        home = self.env.home
        harness.write_file(home, "letters/a.txt", b"a")
        job = self.job(sources=[(home + "/", "archive/")])
        del job.spec["encryption"]
        job.write_spec()
        store = os.path.join(home, ".local/share/driveprep/keystore")
        self.refused(job, USAGE, "source-holds-secret", "dataset.csv:2", home, store)
        # Another job has made it.
        other = self.job()
        del other.spec["encryption"]
        other.write_spec()
        self.assertEqual(other.prepare().status, 0)
        self.refused(job, USAGE, "source-holds-secret", "dataset.csv:2", store)
        harness.shutil.rmtree(os.path.join(home, ".local"))
        job.spec["encryption"] = {"keyStore": self.env.key_store}
        job.write_spec()
        self.assertEqual([file["blob"] for file in job.plan()["drives"][0]["placement"]],
                         ["archive/letters/a.txt"])

    def test_a_password_file_that_cannot_be_used(self):
        secret = self.env.path("password")
        job = self.job(bitlocker={"passwordFile": secret})
        self.refused(job, USAGE, "password-file", secret)
        for content in (b"short\n", b"x" * 257):
            harness.write_file(self.env.root, "password", content)
            self.refused(job, USAGE, "bitlocker-password-length")
        harness.write_file(self.env.root, "password", b"long enough\n")
        self.assertEqual(job.plan()["files"], 2)

    # --- drives

    def test_more_data_than_space(self):
        harness.write_large(self.tree, "large", 100 * MIB, 1)
        self.refused(self.job(), USAGE, "not-enough-space", "large", "DISK0")

    def test_data_that_fits_by_its_sum_but_not_file_by_file(self):
        for number in range(3):
            harness.write_large(self.tree, f"large{number}", 35 * MIB, number)
        job = self.job(drives=[Drive("DISK0"), Drive("DISK1")])
        self.refused(job, USAGE, "not-enough-space", "DISK0", "DISK1")

    def test_an_image_that_is_too_small_or_of_uneven_size(self):
        self.refused(self.job(drives=[Drive(size=64 * MIB - 512)]), REFUSED, "image-too-small",
                     "DISK0.img", "64 MiB")
        self.refused(self.job(drives=[Drive(size=64 * MIB + 100)]), REFUSED, "image-size-uneven",
                     "DISK0.img")

    def test_an_image_that_is_missing_or_no_file(self):
        self.refused(self.job(make_images=False), USAGE, "image-missing", "DISK0.img")
        job = self.job(make_images=False)
        os.mkdir(job.image())
        self.refused(job, REFUSED, "not-an-image", "DISK0.img")
        job = self.job(make_images=False)
        other = self.job()
        os.symlink(other.image(), job.image())
        self.refused(job, REFUSED, "image-is-link", "DISK0.img")

    def test_an_image_in_shared_memory_is_an_image(self):
        if not os.access("/dev/shm", os.W_OK):
            raise unittest.SkipTest("needs /dev/shm")
        with tempfile.TemporaryDirectory(dir="/dev/shm") as place:
            job = self.job(drives=[Drive(image=os.path.join(place, "disk.img"))])
            self.assertEqual(job.plan()["drives"][0]["files"], 2)
            job.write("driveset.csv", f"{DRIVESET_HEADER}\n{job.image()},Format,SilentMode,Encrypt,,,512\n")
            self.refused(job, USAGE, "csv-drive-id-missing", "disk.img")

    def test_an_image_inside_a_source(self):
        job = self.job()
        image = os.path.join(self.tree, "disk.img")
        with open(image, "wb") as file:
            file.truncate(64 * MIB)
        job.write("driveset.csv", f"{DRIVESET_HEADER}\n{image},Format,SilentMode,Encrypt,,DISK0,512\n")
        before = harness.snapshot(self.tree)
        result = self.env.run("prepare", job.root, "--json")
        self.assertIn(result.status, (USAGE, REFUSED), result)
        self.assertIn(image, result.out)
        self.assertEqual(harness.snapshot(self.tree), before)

    def test_an_image_that_backs_a_loop_device(self):
        need("losetup")
        need_root()
        job = self.job()
        made = v.run("losetup", "--find", "--show", job.image())
        if made.returncode != 0:
            raise unittest.SkipTest("needs loop devices")
        loop = made.stdout.decode().strip()
        try:
            self.refused(job, BUSY, "image-backs-loop", "DISK0.img", loop)
        finally:
            v.run_ok("losetup", "-d", loop)

    def test_an_image_that_another_run_has_locked(self):
        job = self.job()
        with open(job.image(), "rb") as image:
            fcntl.flock(image, fcntl.LOCK_EX)
            self.refused(job, BUSY, "image-busy", "DISK0.img", commands=["prepare"])

    def test_an_image_that_holds_something_is_not_overwritten_without_consent(self):
        for what, offset, content in (("a boot sector", 510, b"\x55\xaa"),
                                      ("something unknown", 12 * MIB, b"precious"),
                                      ("the very end", 64 * MIB - 4, b"last")):
            with self.subTest(what):
                job = self.job(drives=[Drive(prompt="PromptOnFormat")])
                with open(job.image(), "r+b") as image:
                    image.seek(offset)
                    image.write(content)
                self.assertTrue(job.plan()["drives"][0]["needs_confirmation"])
                self.refused(job, NOT_CONFIRMED, "image-not-confirmed", "DISK0.img", commands=["prepare"])
                self.refused(job, USAGE, "drive-unknown", "DISK1", "driveset.csv",
                             commands=["prepare"], options=["--confirm", "DISK1"])

    def test_images_that_their_file_system_has_no_room_for(self):
        need_root()
        point = self.env.directory("room")
        if v.run("mount", "-t", "tmpfs", "-o", "size=60m", "none", point).returncode != 0:
            raise unittest.SkipTest("needs the right to mount")
        self.addCleanup(v.run_ok, "umount", point)
        for number in range(2):
            with open(os.path.join(self.tree, f"large{number}"), "wb") as file:
                file.truncate(30 * MIB)
        drives = [Drive(f"DISK{number}", image=os.path.join(point, f"disk{number}.img"))
                  for number in range(2)]
        job = self.job(drives=drives)
        for command in ("plan", "prepare"):
            before = harness.snapshot(point)
            result = self.env.run(command, job.root, "--json")
            self.assertEqual((result.status, result.error()["code"]), (WRITE, "image-space"), result)
            told = re.search(r"disk0.img and 1 other image will grow by ([0-9.]+) MB",
                             result.error()["message"])
            self.assertIsNotNone(told, result)
            self.assert_remedy(result.error(), result)
            self.assertEqual(harness.snapshot(point), before)
        for made in ("journal.db", "drives", "logs"):
            self.assertFalse(os.path.exists(job.path(made)), made)
        # Only what is missing is asked for, and what is asked for is enough.
        v.run_ok("mount", "-o", "remount,size=76m", point)
        self.run_ok("prepare", job.root)
        written = sum(harness.written_bytes(job.image(drive.id)) for drive in drives)
        self.assertLessEqual(written, (float(told[1]) + 0.1) * 10**6)
        # Finished drives want no more.
        v.run_ok("mount", "-o", f"remount,size={written}", point)
        self.run_ok("plan", job.root)

    # --- the job directory

    def test_a_read_only_job_directory(self):
        need_root()
        need("setpriv")
        job = self.job()
        os.chmod(self.env.root, 0o755)
        store = self.env.directory("store")
        job.spec["encryption"] = {"keyStore": os.path.join(store, "new")}
        job.write_spec()
        for path in (store, job.root, *(job.path(name) for name in os.listdir(job.root))):
            os.chown(path, 65534, 65534)
        os.chmod(job.root, 0o555)
        as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        if subprocess.run([*as_nobody, harness.PROGRAM, "--version"], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL).returncode != 0:
            raise unittest.SkipTest("needs a program that other users can run")
        before = harness.snapshot(job.root)
        self.assertEqual(self.env.run("plan", job.root, "--json", prefix=as_nobody).status, 0)
        result = self.env.run("prepare", job.root, "--json", prefix=as_nobody)
        self.assertEqual(result.status, WRITE, result)
        self.assertEqual(result.error()["code"], "job-directory-read-only", result)
        self.assertIn(job.root, result.error()["message"])
        self.assert_remedy(result.error(), result)
        self.assertEqual(harness.snapshot(job.root), before)

    def test_a_full_job_directory(self):
        need_root()
        job = self.job()
        point = self.env.directory("small")
        if v.run("mount", "-t", "tmpfs", "-o", "size=64k", "none", point).returncode != 0:
            raise unittest.SkipTest("needs the right to mount")
        try:
            for name in ("job.json", "dataset.csv", "driveset.csv"):
                with open(job.path(name), encoding="utf-8") as file:
                    text = file.read()
                with open(os.path.join(point, name), "w", encoding="utf-8") as file:
                    file.write(text.replace("DISK0.img", job.image()))
            before, image = harness.snapshot(point), harness.digest_of(job.image())
            result = self.env.run("prepare", point, "--json")
            self.assertEqual(result.status, WRITE, result)
            self.assertEqual(result.error()["code"], "job-directory-full", result)
            self.assertIn(point, result.error()["message"])
            self.assertEqual(harness.snapshot(point), before)
            self.assertEqual(harness.digest_of(job.image()), image)
        finally:
            v.run_ok("umount", point)

    def small_job_directory(self, megabytes, image_bytes=64 * MIB):
        """A job whose directory is a file system of its own; its image lies elsewhere."""
        need_root()
        point = self.env.directory("job-on-tmpfs")
        if v.run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", point).returncode != 0:
            raise unittest.SkipTest("needs the right to mount")
        self.addCleanup(v.unmount, point)
        image = os.path.join(self.env.directory("image"), "disk0.img")
        return harness.Job(self.env, point, sources=[(self.tree + "/", "archive/")],
                           drives=[Drive(size=image_bytes, image=image)])

    def leave(self, job, room):
        """Makes a file beside the job's own so large that so many bytes stay free there."""
        with open(job.path("hog"), "ab", buffering=0) as hog:
            state = os.statvfs(job.root)
            more = state.f_bavail * state.f_frsize - room
            if more < 0:
                hog.truncate(hog.tell() + more)
            else:
                hog.write(bytes(more))

    def test_a_job_directory_without_room_for_its_own_files(self):
        for number in range(4000):
            harness.write_file(self.tree, f"many/file-with-a-name-{number}", b"x" * 700)
        job = self.small_job_directory(64)
        self.leave(job, 5 * MIB)
        before, image = harness.snapshot(job.root), harness.digest_of(job.image())
        for command in ("plan", "prepare"):
            result = self.env.run(command, job.root, "--json")
            self.assertEqual((result.status, result.error()["code"]), (WRITE, "job-directory-full"), result)
            told = re.search(r"will grow by ([0-9.]+) MB, and the file system has ([0-9.]+) MB free",
                             result.error()["message"])
            self.assertIsNotNone(told, result)
            self.assertIn(job.root, result.error()["message"])
            self.assertRegex(result.error()["remedy"], "Free [0-9.]+ MB there")
            self.assertEqual(harness.snapshot(job.root), before)
            self.assertEqual(harness.digest_of(job.image()), image)
        # What is asked for is enough.
        self.leave(job, int((float(told[1]) + 2) * 10**6))
        self.run_ok("prepare", job.root)
        # A finished job wants no more.
        self.leave(job, 0)
        self.run_ok("plan", job.root)

    def test_a_job_directory_that_runs_full_while_it_copies(self):
        # Their hashes take more than the first redo file, whose place the second one gets.
        for number in range(20_000):
            harness.write_file(self.tree, f"many/{number}", b"x")
        harness.write_large(self.tree, "large", 64 * MIB, 1)
        for left in (0, 1_000_000):
            with self.subTest(left=left):
                job = self.small_job_directory(64, image_bytes=256 * MIB)
                process = job.start("--json")
                self.assertTrue(harness.wait_until(lambda: job.checkpoint() is not None, process))
                with harness.Stopped(process):
                    self.leave(job, left)
                result = self.env.wait(process)
                self.assertEqual(result.status, WRITE, result)
                self.assertEqual(result.json()["drives"][0]["error"]["code"], "job-directory-full")
                drive = job.status()["DISK0"]
                self.assertEqual(drive["state"], "failed", drive)
                self.assertIn("job-directory-full", drive["detail"])
                os.remove(job.path("hog"))
                result = job.prepare()
                self.assertEqual(result.status, 0, result)
                self.assertEqual(job.state(), "finished")

    def test_every_command_tells_a_read_only_job_directory(self):
        need_root()
        need("setpriv")
        job = self.job()
        os.chmod(self.env.root, 0o755)
        self.assertEqual(job.prepare().status, 0)
        for directory, _, names in os.walk(job.root):
            for path in (directory, *(os.path.join(directory, name) for name in names)):
                os.chown(path, 65534, 65534)
        os.chmod(job.root, 0o555)
        as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        before = harness.snapshot(job.root)
        for command in (["init"], ["prepare"], ["verify"], ["request"], ["key", "show", "--drive", "DISK0"]):
            with self.subTest(command=command):
                result = self.env.run(*command, job.root, "--json", prefix=as_nobody)
                self.assertEqual((result.status, result.error()["code"]),
                                 (WRITE, "job-directory-read-only"), result)
                self.assertIn(job.root, result.error()["message"])
                self.assertEqual(harness.snapshot(job.root), before)

    def test_a_job_directory_in_use_by_another_run(self):
        job = self.job()
        with open(job.path(".lock"), "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.refused(job, BUSY, "job-busy", job.root, commands=["prepare"])

    def test_an_identifier_that_is_no_key_is_refused_before_anything_else(self):
        for url, code in (("http://contoso.vault.azure.net/keys/import",
                           "SsemUserErrorKeyVaultUrlWithInvalidScheme"),
                          ("https://evilvault.azure.net/keys/import",
                           "SsemUserErrorKeyVaultUrlInvalidHost"),
                          ("https://contoso.vault.azure.net/secrets/import",
                           "SsemUserErrorInvalidKeyVaultUrl")):
            job = self.job()
            job.spec["encryption"] = {"keyUrl": url}
            job.write_spec()
            self.refused(job, KEY, code, url)

    def test_another_digest_leaves_nothing_behind(self):
        self.refused(self.job(), NOT_CONFIRMED, "plan-digest-differs", "0" * 64, commands=["prepare"],
                     options=["--plan", "0" * 64])

    def test_a_plan_that_is_gone_is_not_made_anew_for_drives_that_were_begun(self):
        job = self.job(drives=[Drive("DISK0"), Drive("DISK1")])
        self.assertEqual(job.prepare().status, 0)
        os.remove(job.path("plan.db"))
        content = harness.digest_of(job.image())
        result = job.prepare()
        self.assertEqual((result.status, result.error()["code"]), (JOURNAL, "plan-missing"), result)
        self.assert_remedy(result.error(), result)
        self.assertFalse(os.path.exists(job.path("plan.db")))
        self.assertEqual(harness.digest_of(job.image()), content)

    # --- the command line

    def test_command_line_errors_are_usage_errors(self):
        job = self.job()
        for arguments in ([], ["frobnicate"], ["plan"], ["plan", job.root, "--frobnicate"],
                          ["key"], ["key", "show", job.root], ["prepare", job.root, "--confirm"]):
            with self.subTest(arguments=arguments):
                result = self.env.run(*arguments)
                self.assertEqual(result.status, USAGE, result)
                self.assertNotEqual(result.err, "", result)

    def test_nothing_here_began_a_job(self):
        job = self.job()
        for command in (["verify", job.root], ["request", job.root], ["key", "show", job.root, "--drive", "DISK0"]):
            with self.subTest(command=command):
                before = harness.snapshot(job.root)
                result = self.env.run(*command, "--json")
                self.assertEqual(result.status, USAGE, result)
                self.assertIn(result.error()["code"], ("job-not-begun", "journal-missing"), result)
                self.assertEqual(harness.snapshot(job.root), before)


if __name__ == "__main__":
    harness.main()
