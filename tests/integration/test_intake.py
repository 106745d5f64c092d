"""driveprep test: is a drive what it says? On loop devices, as root."""

import json
import os
import signal
import subprocess
import unittest

import harness
import loops
from harness import MIB

REFUSED, NOT_CONFIRMED, BUSY, WRITE, INTERRUPTED = 3, 4, 5, 6, 130


class Case(harness.Case):
    def setUp(self):
        loops.needed()

    def run_test(self, device, *options, **popen):
        return self.env.run("test", device, "--json", *options, **popen)

    @staticmethod
    def called(device):
        return os.path.basename(device)

    def refused(self, result, status, code):
        self.assertEqual((result.status, result.error()["code"]), (status, code), result)
        self.assertTrue(result.error()["remedy"], result)

    def fill(self, image, byte=b"\xa5"):
        size = os.path.getsize(image)
        with open(image, "r+b") as file:
            for _ in range(size // MIB):
                file.write(byte * MIB)
        return size


class Passed(Case):
    def check(self, sector, *options):
        device, image = loops.new(self, "--sector-size", str(sector))
        size = self.fill(image)
        subprocess.run(["blockdev", "--flushbufs", device], check=True)
        result = self.run_test(device, "--confirm", self.called(device), *options)
        self.assertEqual(result.status, 0, result)
        report = result.json()
        self.assertEqual((report["verdict"], report["exit"], report["reasons"]), ("passed", 0, []))
        self.assertEqual(report["drive"], self.called(device))
        self.assertEqual(report["geometry"]["kernel"]["logical_sector"], sector)
        self.assertEqual((report["capacity"]["bytes"], report["capacity"]["sectors"]),
                         (size, size // sector))
        self.assertIsNone(report["capacity"]["beyond_2_tib_tested"])
        self.assertIsNone(report["capacity"]["true_size"])
        sample = report["sample"]
        self.assertEqual((sample["bytes_written"], sample["bytes_read"]), (sample["bytes"],) * 2)
        self.assertEqual((sample["wrong_bytes"], sample["findings"]), (0, []))
        self.assertTrue(sample["cleared"] and sample["cache_bypassed"], sample)
        self.assertGreater(sample["write_rate"], 0)
        self.assertGreater(sample["read_rate"], 0)
        service = [text for text in report["warnings"] if "does not take" in text]
        self.assertEqual(len(service), 1 if sector == 4096 else 0, report["warnings"])
        for line in result.err.splitlines():
            event = json.loads(line)
            self.assertEqual((event["event"], event["drive"]), ("progress", self.called(device)))
        return device, image, report

    def test_a_sample_is_written_read_back_and_wiped(self):
        for sector in (512, 4096):
            with self.subTest(sector=sector):
                _, image, report = self.check(sector)
                with open(image, "rb") as file:
                    content = file.read()
                self.assertEqual(content[:MIB], bytes(MIB))
                self.assertEqual(content[-MIB:], bytes(MIB))
                self.assertNotIn(b"DRVPTAG1", content)
                touched = len(content) - content.count(b"\xa5")
                self.assertEqual(touched, report["sample"]["bytes"], "a byte outside the sample")

    def test_the_whole_drive(self):
        device, image, report = self.check(512, "--full")
        self.assertEqual((report["sample"]["coverage"], report["sample"]["bytes"]),
                         ("whole", report["capacity"]["bytes"]))
        with open(image, "rb") as file:
            content = file.read()
        self.assertEqual(content[:MIB] + content[-MIB:], bytes(2 * MIB))
        self.assertEqual(content.count(b"DRVPTAG1"), (len(content) - 2 * MIB) // 512)
        (drive,) = self.run_ok("drives", "--explain", device, "--json").json()["drives"]
        self.assertEqual(drive["contents"]["signatures"], [])

    def test_what_people_read(self):
        device, _ = loops.new(self)
        result = self.run_ok("test", device, "--confirm", self.called(device))
        for words in ("geometry", "sectors of 512 bytes", "all equal", "health", "unknown",
                      "zeros again"):
            self.assertIn(words, result.out)
        self.assertEqual(result.out.splitlines()[-1], "passed")

    def test_beyond_2_tib(self):
        image = loops.sparse(os.path.join(self.env.directory("large"), "disk.img"), 3 << 40)
        device = loops.attach(self, image)
        result = self.run_test(device, "--confirm", self.called(device))
        self.assertEqual(result.status, 0, result)
        self.assertIs(result.json()["capacity"]["beyond_2_tib_tested"], True)


class Consent(Case):
    def setUp(self):
        super().setUp()
        self.device, self.image = loops.new(self)
        subprocess.run(["mkfs.ext4", "-q", "-L", "precious", self.device], check=True)
        subprocess.run(["blockdev", "--flushbufs", self.device], check=True)
        self.content = harness.digest_of(self.image)

    def tearDown(self):
        self.assertEqual(harness.digest_of(self.image), self.content, "the drive was written to")

    def test_no_terminal_and_no_option_is_no_consent(self):
        for given in (None, b"%s\n" % self.called(self.device).encode()):
            result = self.run_test(self.device, given=given)
            self.refused(result, NOT_CONFIRMED, "disk-not-confirmed")
            self.assertIn("precious", result.error()["message"])

    def test_another_drive_confirmed(self):
        self.refused(self.run_test(self.device, "--confirm", "WD-1"), NOT_CONFIRMED,
                     "disk-wrong-confirmation")

    def test_a_wrong_answer(self):
        status, shown = self.env.in_terminal("test", self.device, question="Type its serial number",
                                             answer="yes")
        self.assertEqual(status, NOT_CONFIRMED, shown)
        for fact in (self.device, "precious", "Everything on it will be destroyed"):
            self.assertIn(fact, shown)

    def test_a_mounted_one(self):
        point = self.env.directory("mount")
        done = subprocess.run(["mount", "-o", "ro,noload", self.device, point], capture_output=True,
                              text=True)
        if done.returncode != 0:
            raise unittest.SkipTest("needs mount: " + done.stderr.strip())
        self.addCleanup(subprocess.run, ["umount", point], check=False)
        self.refused(self.run_test(self.device, "--confirm", self.called(self.device)), BUSY,
                     "disk-mounted")

    def test_one_that_is_not_there(self):
        self.refused(self.run_test("NO-SUCH-SERIAL"), 2, "drive-not-there")

    def test_an_override_for_another_drive(self):
        self.refused(self.run_test(self.device, "--accept", "disk-4kn:WD-1"), 2, "drive-unknown")


class Guarded(Case):
    def test_a_read_only_one(self):
        device, image = loops.new(self, "--read-only")
        content = harness.digest_of(image)
        self.refused(self.run_test(device, "--confirm", self.called(device)), REFUSED,
                     "disk-read-only")
        self.assertEqual(harness.digest_of(image), content)

    def test_the_typed_name_agrees(self):
        device, _ = loops.new(self)
        status, shown = self.env.in_terminal("test", device, question="Type its serial number",
                                             answer=self.called(device))
        self.assertEqual(status, 0, shown)
        self.assertIn("passed", shown)


class Stopped(Case):
    def test_ctrl_c_says_nothing_about_the_drive(self):
        device, image = loops.new(self, size=1024 * MIB)
        process = self.env.start("test", device, "--full", "--confirm", self.called(device), "--json")
        harness.wait_until(lambda: harness.written_bytes(image) > 20 * MIB, process)
        process.send_signal(signal.SIGINT)
        result = self.env.wait(process)
        self.assertEqual(result.status, INTERRUPTED, result)
        report = result.json()
        self.assertEqual((report["verdict"], report["exit"]), ("stopped", INTERRUPTED))
        self.assertTrue(report["sample"]["stopped"])
        self.assertTrue(report["sample"]["cleared"])
        self.assertLess(report["sample"]["bytes_read"], report["sample"]["bytes"])


class Failing(Case):
    def test_a_drive_that_cannot_be_written_is_a_write_error(self):
        # A sparse file on a full file system: the drive answers with errors.
        point = self.env.directory("small")
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", point],
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise unittest.SkipTest("needs mount: " + done.stderr.strip())
        self.addCleanup(subprocess.run, ["umount", "--lazy", point], check=False)
        device = loops.attach(self, loops.sparse(os.path.join(point, "disk.img"), 512 * MIB))
        result = self.run_test(device, "--confirm", self.called(device))
        self.assertEqual(result.status, WRITE, result)
        report = result.json()
        self.assertEqual(report["verdict"], "failed")
        self.assertIn(report["reasons"][0]["code"], ("write-failed", "flush-failed"))
        self.assertFalse(report["sample"]["cleared"])
        text = self.env.run("test", device, "--confirm", self.called(device)).out
        self.assertIn("failed:", text)


if __name__ == "__main__":
    harness.main()
