"""driveprep wipe: afterwards nobody opens anything, and the record says what was done."""

import base64
import json
import os
import shlex
import signal
import subprocess
import time

import harness
import judges
import loops
import volume as v
from harness import DRIVESET_HEADER, MIB
from preloaded import Preloaded

NOT_CONFIRMED, BUSY, WRITE, VERIFICATION = 4, 5, 6, 7


class Wipe(harness.Case):
    def setUp(self):
        loops.needed("cryptsetup", "dislocker-file", "bdeinfo")

    def prepared(self, *options, accept=(), at=None):
        """(device, file, recovery password) of a disk that was prepared."""
        if at:
            image = loops.sparse(os.path.join(at, "disk.img"))
            device = loops.attach(self, image, *options)
        else:
            device, image = loops.new(self, *options)
        source = self.env.directory("source")
        harness.write_large(source, "large.bin", 3 * MIB, 1)
        job = self.make_job(sources=[(f"{source}/", "archive/")], make_images=False,
                            bitlocker={"cipher": "xts-aes-128"})
        job.write("driveset.csv", f"{DRIVESET_HEADER}\n{device},Format,PromptOnFormat,Encrypt,,L0,\n")
        result = job.prepare("--confirm", "L0", *accept)
        self.assertEqual(result.status, 0, result)
        return device, image, job.key("L0")

    def opened_by(self, image, password):
        """Which readers open the volume in the partition, by the right password."""
        look = self.env.directory("look")
        partition = os.path.join(look, "partition")
        v.copy_partition(image, MIB, os.stat(image).st_size - 2 * MIB, partition)
        key = judges.Key("recovery-password", os.path.join(look, "password"))
        with open(key.path, "w", encoding="utf-8") as file:
            file.write(password + "\n")
        found = {"driveprep": judges.by_driveprep, "cryptsetup": judges.by_cryptsetup,
                 "dislocker": judges.by_dislocker, "libbde": judges.by_libbde}
        return {name for name, opens in found.items() if opens(partition, key)}

    def wipe(self, device, *options, **popen):
        record = os.path.join(self.env.directory("record"), "record.json")
        name = os.path.basename(device)
        result = self.env.run("wipe", device, "--confirm", name, "--record", record, "--json", *options,
                              **popen)
        return result, record

    def record(self, path):
        with open(path, encoding="utf-8") as file:
            signed = json.load(file)
        payload = signed["payload"] + "=" * (-len(signed["payload"]) % 4)
        self.assertEqual(json.loads(base64.urlsafe_b64decode(payload)), signed["record"])
        return signed["record"]

    def check(self, method, sector=512, accept=()):
        device, image, password = self.prepared("--sector-size", str(sector), accept=accept)
        self.assertEqual(self.opened_by(image, password), set(judges.NAMES), "all open it before")
        result, path = self.wipe(device, "--method", method)
        self.assertEqual(result.status, 0, result)
        self.assertEqual(self.opened_by(image, password), set(), "nobody opens it after")
        record = self.record(path)
        self.assertEqual((record["result"], record["method"], record["metadata_destroyed"]),
                         ("wiped", method, True))
        self.assertEqual(len(record["before"]["bitlocker_volumes"]), 1, record)
        destroyed = {place["what"] for place in record["destroyed"]}
        self.assertLessEqual({"metadata copy 1", "metadata copy 2", "metadata copy 3", "volume header",
                              "relocated header"}, destroyed)
        self.assertGreater(record["read_back"]["samples"], 1000)
        self.assertEqual((record["read_back"]["failed"], record["read_back"]["first_failed"]), (0, None))
        self.assertEqual(record["drive"]["bytes"], os.stat(image).st_size)
        self.run_ok("report", "--check", path)
        found = subprocess.run(["blkid", "-p", device], capture_output=True, text=True)
        self.assertEqual(found.stdout, "", "blkid finds nothing on it")
        return image, path

    def test_by_overwriting(self):
        image, path = self.check("overwrite")
        with open(image, "rb") as file:
            self.assertFalse(any(file.read()), "zeros everywhere")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        tampered = path + ".tampered"
        with open(tampered, "w", encoding="utf-8") as file:
            file.write(text.replace('"wiped"', '"stopped"'))
        result = self.env.run("report", "--check", tampered, "--json")
        self.assertEqual(result.status, 7, result)

    def test_with_4096_byte_sectors_by_discard(self):
        self.check("discard", 4096, ("--accept", "disk-4kn:L0"))

    def test_by_destroying_keys_and_tables_only(self):
        self.check("metadata")

    def test_a_disk_that_cannot_be_read_everywhere(self):
        """The sector is readable once it has been written: that is what wiping is for."""
        device, image = loops.new(self)
        with open(image, "r+b") as file:
            file.seek(MIB)
            file.write(os.urandom(12 * MIB))
        broken = Preloaded(self.env).unreadable(device, 5 * MIB + 4096)
        options = {"env": {**self.env.variables(), **broken}}
        self.assertEqual(self.env.run("test", device, "--confirm", os.path.basename(device), "--json",
                                      **options).status, 3)
        record = os.path.join(self.env.directory("record"), "record.json")
        result = self.env.run("wipe", device, "--confirm", os.path.basename(device), "--record", record,
                              "--method", "overwrite", "--json", **options)
        self.assertEqual(result.status, 0, result)
        self.assertEqual(self.record(record)["result"], "wiped")
        self.assertIn("cannot be read", self.record(record)["before"]["description"])
        with open(image, "rb") as file:
            self.assertFalse(any(file.read()), "zeros everywhere")

    def test_a_disk_without_anything(self):
        device, image = loops.new(self)
        result, path = self.wipe(device)
        self.assertEqual(result.status, 0, result)
        record = self.record(path)
        self.assertEqual(record["before"]["bitlocker_volumes"], [])
        self.assertEqual(record["result"], "wiped")

    def test_consent(self):
        device, image = loops.new(self)
        name = os.path.basename(device)
        content = harness.digest_of(image)
        at = self.env.directory("here")
        for options in ((), ("--confirm", "loop"), ("--confirm", "L0")):
            result = self.env.run("wipe", device, "--json", *options, given=name.encode() + b"\n", cwd=at)
            self.assertEqual(result.status, NOT_CONFIRMED, result)
        status, shown = self.env.in_terminal("wipe", device, question="Type its serial number", answer="yes")
        self.assertEqual(status, NOT_CONFIRMED, shown)
        for fact in (device, "empty", "destroyed for good"):
            self.assertIn(fact, shown)
        self.assertEqual(harness.digest_of(image), content)
        self.assertEqual(os.listdir(at), [], "no record of what was not done")

    def test_what_cannot_be_recorded_is_not_destroyed(self):
        device, image, password = self.prepared()
        content = harness.digest_of(image)
        there = os.path.join(self.env.directory("record"), "there.json")
        with open(there, "w", encoding="utf-8") as file:
            file.write("an older record")
        name = os.path.basename(device)
        for path in (there, os.path.join(self.env.path("no", "such", "directory"), "record.json")):
            result = self.env.run("wipe", device, "--confirm", name, "--record", path, "--json")
            self.assertNotEqual(result.status, 0, result)
        self.assertEqual(harness.digest_of(image), content)

    def test_a_mounted_one_is_refused(self):
        device, image = loops.new(self)
        subprocess.run(["mkfs.ext4", "-q", device], check=True)
        point = self.env.directory("mount")
        if subprocess.run(["mount", "-o", "ro", device, point], capture_output=True).returncode != 0:
            self.skipTest("needs mount")
        self.addCleanup(subprocess.run, ["umount", point], check=False)
        content = harness.digest_of(image)
        result, path = self.wipe(device)
        self.assertEqual((result.status, result.error()["code"]), (BUSY, "disk-mounted"), result)
        self.assertEqual(harness.digest_of(image), content)
        self.assertFalse(os.path.exists(path))

    def test_stopped_in_the_middle(self):
        """The keys are gone by then, and the record does not call the disk wiped."""
        device, image = loops.new(self, size=4096 * MIB)
        path = os.path.join(self.env.directory("record"), "Bob's record.json")
        process = self.env.start("wipe", device, "--confirm", os.path.basename(device), "--record", path,
                                 "--method", "overwrite")
        harness.wait_until(lambda: harness.written_bytes(image) > 64 * MIB, process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=harness.TIMEOUT)
        self.assertEqual(process.returncode, 130, out + err)
        record = self.record(path)
        self.assertEqual((record["result"], record["metadata_destroyed"]), ("stopped", True))
        self.assertIn(b"NOT WIPED", out)
        self.check_not_wiped(path)
        # What it says to run is the same command, at the same place, and does it.
        said = next(line for line in err.decode().splitlines() if line.startswith("To wipe it, run: "))
        self.assertEqual(shlex.split(said.split("driveprep ", 1)[1]),
                         ["wipe", os.path.basename(device), "--method", "overwrite", "--record", path])
        self.run_ok("wipe", device, "--method", "metadata", "--record", path, "--confirm", os.path.basename(device))
        self.run_ok("report", "--check", path)
        earlier = self.record(path)["earlier_attempt"]
        self.assertEqual((earlier["result"], earlier["started"]), ("stopped", record["started"]))
        self.assertEqual(self.record(os.path.join(os.path.dirname(path), earlier["record"])), record)

    def test_stopped_while_it_searches(self):
        """The search shows itself, and hears of Ctrl-C."""
        device, image = loops.new(self, size=4096 * MIB)
        path = os.path.join(self.env.directory("record"), "record.json")
        said = self.env.path("said")
        with open(said, "wb") as err:
            process = self.env.start("wipe", device, "--confirm", os.path.basename(device), "--record", path,
                                     "--method", "overwrite", "--json", stderr=err)

        def has_read(count):
            with open(f"/proc/{process.pid}/io", encoding="ascii") as file:
                return int(file.readline().split()[1]) > count

        def searching():
            with open(said, encoding="utf-8") as file:
                return [event for event in map(json.loads, file.read().splitlines()[:-1])
                        if event.get("phase") == "searching"]

        harness.wait_until(lambda: has_read(64 * MIB), process)
        with harness.Stopped(process):
            time.sleep(1.1)  # its next line is due
        harness.wait_until(searching, process)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=harness.TIMEOUT)
        self.assertEqual(process.returncode, 130)
        event = searching()[0]
        self.assertEqual(event["bytes_total"], 4096 * MIB)
        self.assertTrue(0 < event["bytes_done"] < 4096 * MIB, event)
        record = self.record(path)
        self.assertEqual((record["result"], record["metadata_destroyed"], record["bytes_covered"],
                          record["read_back"]), ("stopped", False, 0, None))
        self.assertEqual(harness.written_bytes(image), 0)
        self.check_not_wiped(path)

    def check_not_wiped(self, path):
        """Its record is genuine, and nobody takes it for that of a wiped drive."""
        result = self.env.run("report", "--check", path)
        self.assertEqual(result.status, VERIFICATION, result)
        self.assertIn("signature good, but the drive was NOT wiped", result.out)
        self.assertIn("record-not-wiped", result.err)

    def interrupted(self, *signals):
        """(device, record, status, what it said) of a wipe that got these in its midst."""
        device, image = loops.new(self, size=4096 * MIB)
        path = os.path.join(self.env.directory("record"), "record.json")
        process = self.env.start("wipe", device, "--confirm", os.path.basename(device), "--record", path,
                                 "--method", "overwrite")
        harness.wait_until(lambda: harness.written_bytes(image) > 64 * MIB, process)
        with harness.Stopped(process):  # all are there before it looks
            for each in signals:
                process.send_signal(each)
        out, err = process.communicate(timeout=harness.TIMEOUT)
        self.assertNotIn(b"wiped", out)
        return device, path, process.returncode, err

    def check_begun(self, path):
        record = self.record(path)
        self.assertEqual((record["result"], record["ended"], record["metadata_destroyed"], record["destroyed"],
                          record["before"]["bitlocker_volumes"]), ("begun", None, None, None, None))
        self.assertEqual(os.listdir(os.path.dirname(path)), [os.path.basename(path)])
        result = self.env.run("report", "--check", path)
        self.assertEqual(result.status, VERIFICATION, result)
        for said in ("signature good, but the wipe was NOT finished", f"Drive         {record['drive']['id']}", "begun; how it ended is not known"):
            self.assertIn(said, result.out)
        for said in ("record-unfinished", "wipe the drive again"):
            self.assertIn(said, result.err)
        entry = self.env.run("report", "--check", path, "--json").json()["records"][0]
        self.assertEqual((entry["good"], entry["error"]["code"], entry["record"]),
                         (False, "record-unfinished", record))
        return record

    def test_killed_it_has_a_record_and_is_wiped_by_the_same_command(self):
        device, path, status, _ = self.interrupted(signal.SIGKILL)
        self.assertEqual(status, -signal.SIGKILL)
        first = self.check_begun(path)
        result = self.env.run("wipe", device, "--confirm", os.path.basename(device), "--record", path,
                              "--method", "metadata")
        self.assertEqual(result.status, 0, result)
        self.assertIn("earlier attempt", result.out)
        record = self.record(path)
        self.assertEqual((record["result"], record["earlier_attempt"]["started"]),
                         ("wiped", first["started"]))
        self.run_ok("report", "--check", path)
        kept = os.path.join(os.path.dirname(path), record["earlier_attempt"]["record"])
        self.assertEqual(self.record(kept), first)
        self.assertEqual(self.env.run("report", "--check", path, kept).status, VERIFICATION)

    def test_stopped_at_once(self):
        device, path, status, err = self.interrupted(signal.SIGINT, signal.SIGTERM)
        self.assertEqual(status, 143, err)
        self.assertIn(b"what was begun is not finished", err)
        self.check_begun(path)

    def file_system(self, size):
        point = self.env.directory("small")
        if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", point],
                          capture_output=True).returncode != 0:
            self.skipTest("needs mount")
        self.addCleanup(subprocess.run, ["umount", point], check=False)
        return point

    def test_a_block_of_the_keys_that_cannot_be_written_saves_no_other(self):
        """The block is missing in the file below the disk, and there is no room left for it."""
        small = self.file_system("160m")
        device, image, password = self.prepared(at=small)
        with open(image, "rb") as file:
            content = file.read()
        copies = [at for at in range(0, len(content), 4096) if content[at:at + 8] == b"-FVE-FS-"]
        self.assertEqual(len(copies), 3)
        # The first block: of a write that fails further on the loop driver says that it was done.
        subprocess.run(["fallocate", "--punch-hole", "--offset", str(copies[1]), "--length", "4096", image],
                       check=True)
        with open(os.path.join(small, "filler"), "wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)) == 4096:
                    pass
            except OSError:
                pass
        result, path = self.wipe(device, "--method", "metadata")
        self.assertEqual(result.status, WRITE, result)
        record = self.record(path)
        self.assertEqual((record["result"], record["metadata_destroyed"]), ("failed", False))
        self.assertEqual(record["error"]["code"], "write-failed")
        destroyed = {place["offset"] for place in record["destroyed"]}
        self.assertEqual([at in destroyed for at in copies], [True, False, True], record["destroyed"])
        with open(image, "rb") as file:
            now = file.read()
        for at in copies:
            self.assertNotEqual(now[at:at + 4096], content[at:at + 4096])
        self.check_not_wiped(path)
        os.remove(os.path.join(small, "filler"))
        self.assertEqual(self.opened_by(image, password), set())

    def test_an_end_that_cannot_be_written_is_printed_and_the_beginning_stays(self):
        device, image = loops.new(self, size=4096 * MIB)
        there = self.file_system("1m")
        path = os.path.join(there, "record.json")
        process = self.env.start("wipe", device, "--confirm", os.path.basename(device), "--record", path,
                                 "--method", "overwrite")
        harness.wait_until(lambda: harness.written_bytes(image) > 64 * MIB, process)
        subprocess.run(["mount", "-o", "remount,ro", there], check=True)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=harness.TIMEOUT)
        self.assertEqual(process.returncode, WRITE, err)
        self.assertIn(b"stands on standard output", err)
        printed = harness.write_file(self.env.directory("printed"), "record.json", out)
        self.assertEqual(self.record(printed)["result"], "stopped")
        self.check_not_wiped(printed)
        self.check_begun(path)

    def test_without_a_record_of_the_beginning_nothing_is_written(self):
        """There is room for a name, and none for what it says."""
        device, image, _ = self.prepared()
        content = harness.digest_of(image)
        full = self.file_system("4k")
        harness.write_file(full, "other", b"x" * 4096)
        path = os.path.join(full, "record.json")
        arguments = ("wipe", device, "--confirm", os.path.basename(device), "--record", path, "--json")
        result = self.env.run(*arguments)
        error = result.error()
        self.assertEqual((result.status, error["code"]), (WRITE, "write-failed"), result)
        self.assertIn(f"nothing was written to {device}", error["message"])
        subprocess.run(["mount", "-o", "remount,ro", full], check=True)
        result = self.env.run(*arguments)
        self.assertEqual((result.status, result.error()["code"]), (WRITE, "create-failed"), result)
        self.assertEqual(os.listdir(full), ["other"])
        self.assertEqual(harness.digest_of(image), content)

    def test_a_method_that_there_is_none_of(self):
        device, image = loops.new(self)
        result, _ = self.wipe(device, "--method", "magic")
        self.assertEqual((result.status, result.error()["code"]), (2, "wipe-method"))
        result = self.env.run("wipe", "NO-SUCH-DISK", "--json")
        self.assertEqual((result.status, result.error()["code"]), (2, "drive-not-there"))


if __name__ == "__main__":
    harness.main()
