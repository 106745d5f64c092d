"""driveprep volume: what it tells, opens and takes out."""

import base64
import hashlib
import json
import os
import struct
import subprocess
import zlib

import harness
import volume as v
from harness import MIB, need
from volume_case import VolumeCase

UNKNOWN_ROLE, UNKNOWN_TYPE = 0x77, 0x99
USAGE, REFUSED, WRITE, VERIFICATION, KEY = 2, 3, 6, 7, 12
PASSWORD = "correct horse battery"


def with_unknown_entries(copy):
    """A metadata copy with an entry that nobody knows in its first protector, and one at the top. The
    CRC is right, the integrity hash is not."""
    unknown = struct.pack("<HHHH", 13, UNKNOWN_ROLE, UNKNOWN_TYPE, 1) + b"12345"
    end = struct.unpack_from("<H", copy, 8)[0] * 16
    size = struct.unpack_from("<I", copy, 0x40)[0]
    entries, out, protectors = copy[0x70:0x40 + size], unknown, 0
    while entries:
        length, role = struct.unpack_from("<HH", entries)
        entry, entries = entries[:length], entries[length:]
        if role == 2 and protectors == 0:
            entry = struct.pack("<H", length + len(unknown)) + entry[2:] + unknown
            protectors += 1
        out += entry
    size = 48 + len(out)
    signed = copy[:0x40] + struct.pack("<IIII", size, 1, 48, size) + copy[0x50:0x70] + out
    signed += bytes(-len(signed) % 16)
    signed = signed[:8] + struct.pack("<H", len(signed) // 16) + signed[10:]
    behind = struct.pack("<HHI", 0x10000 - len(signed), 2, zlib.crc32(signed)) + copy[end + 8:end + 88]
    return (signed + behind).ljust(0x10000, b"\0")


class VolumeCommands(VolumeCase):
    def test_info_tells_what_the_journal_knows(self):
        job = self.finished()
        told = self.document("info", job.image())
        self.assertEqual(told["partition"], 1)
        self.assertEqual(told["state"], "encrypted")
        self.assertEqual(told["metadata"]["cipher"], "xts-aes-128")
        self.assertEqual(told["metadata"]["volume_guid"], job.status()["DISK0"]["volume"]["volume_guid"])
        self.assertTrue(all(copy["sound"] for copy in told["copies"]))
        self.assertTrue(all(copy["integrity"] is None for copy in told["copies"]))
        (bek,) = [os.path.join(job.path("drives", "DISK0"), name)
                  for name in os.listdir(job.path("drives", "DISK0")) if name.endswith(".BEK")]
        more = self.document("info", job.image(), "--bek-file", bek)
        self.assertEqual([copy["integrity"] for copy in more["copies"]], ["good"] * 3)
        self.assertEqual(more["opened_by"], self.protectors(job.image())["external-key"])

    def check_schema(self, told):
        try:
            import jsonschema
        except ImportError:
            self.skipTest("python3-jsonschema is not installed")
        docs = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs")
        with open(os.path.join(docs, "volume-info.schema.json"), encoding="utf-8") as file:
            jsonschema.validate(told, json.load(file))

    def test_info_has_the_form_of_its_schema(self):
        job = self.finished()
        empty = self.env.path("nothing.img")
        with open(empty, "wb") as file:
            file.truncate(64 * MIB)
        for told in (self.document("info", job.image()), self.document("info", empty),
                     self.document("info", job.image(), "--recovery-password-file", "-",
                                   secret=job.key())):
            self.check_schema(told)

    def test_info_tells_of_entries_that_nobody_knows_also_in_protectors(self):
        job = self.finished()
        image = job.image()
        volume = v.Volume(image, 512)
        with open(image, "r+b") as file:
            for offset, copy in zip(volume.metadata_offsets, volume.copies):
                file.seek(volume.offset + offset)
                file.write(with_unknown_entries(copy))
        told = self.document("info", image)
        first = told["metadata"]["protectors"][0]["id"]
        entry = {"role": UNKNOWN_ROLE, "type": UNKNOWN_TYPE, "size": 13}
        self.assertEqual(told["metadata"]["other_entries"],
                         [{**entry, "protector": None}, {**entry, "protector": first}])
        text = self.ok("info", image).stdout.decode()
        line = "entry of role 0x0077, type 0x0099, 13 bytes"
        self.assertIn(line + "\n", text)
        self.assertIn(f"{line}, in protector {first}\n", text)
        # Nobody who held the key has put them there.
        self.error(VERIFICATION, "bitlocker-integrity", "unlock", "--check", image, "--job", job.root,
                   "--drive", "DISK0")
        self.check_schema(told)

    def test_every_key_is_taken_from_file_input_descriptor_and_job(self):
        job = self.finished()
        image, key = job.image(), job.key()
        path = v.key_file_of(job.root, "recovery.txt", key + "\n")
        self.ok("unlock", "--check", image, "--recovery-password-file", path)
        self.ok("unlock", "--check", image, "--recovery-password-file", "-", secret=key + "\n")
        self.ok("unlock", "--check", image, "--recovery-password-file", "/dev/fd/0", secret=key)
        self.ok("unlock", "--check", image, "--job", job.root, "--drive", "DISK0")
        self.error(USAGE, "key-missing", "unlock", "--check", image)
        self.error(USAGE, "key-options", "unlock", "--check", image, "--recovery-password-file", path,
                   "--bek-file", path)
        self.error(KEY, "bad-recovery-password", "unlock", "--check", image,
                   "--recovery-password-file", "-", secret="123456")
        wrong = "000000-" * 7 + "000000"
        self.error(KEY, "key-does-not-open", "unlock", "--check", image,
                   "--recovery-password-file", "-", secret=wrong)
        self.error(KEY, "no-such-protector", "unlock", "--check", image, "--password-file", "-",
                   secret=PASSWORD)

    def data_of(self, file):
        """(begin, length) of what a sparse file holds."""
        at, size = 0, os.fstat(file.fileno()).st_size
        while at < size:
            try:
                begin = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError:
                return
            at = os.lseek(file.fileno(), begin, os.SEEK_HOLE)
            yield begin, at - begin

    def test_files_are_listed_shown_and_extracted_and_compared_with_the_manifest(self):
        job = self.finished(cipher="xts-aes-256")
        image = job.image()
        key = ["--job", job.root, "--drive", "DISK0"]
        listed = self.document("ls", image, "-R", *key)
        files = {entry["path"]: entry for entry in listed["entries"] if entry["kind"] == "file"}
        below = "job-a/archive/"
        wanted = {name: os.path.join(self.tree, name) for name in harness.files_below(self.tree)}
        for name, path in wanted.items():
            self.assertEqual(files[below + name]["size"], os.stat(path).st_size, name)
        shown = self.ok("ls", image, *key).stdout.decode()
        self.assertIn("DriveManifest.xml", shown)
        name, path = next(iter(wanted.items()))
        with open(path, "rb") as file:
            content = file.read()
        self.assertEqual(self.ok("cat", image, below + name, *key).stdout, content)
        self.assertEqual(self.ok("cat", image, (below + name).replace("/", "\\"), *key).stdout, content)
        self.error(USAGE, "no-such-file", "cat", image, "nowhere", "--output", os.path.join(job.root, "none"),
                   *key)

        out = os.path.join(job.root, "out")
        told = self.document("extract", image, "--output", out, *key)
        self.assertEqual((told["ok"], told["failed"], told["differing"]), (True, 0, 0))
        self.assertEqual(told["manifest"]["compared"], len(wanted))
        for name, path in wanted.items():
            copy = os.path.join(out, below + name)
            self.assertEqual(v.sha256(copy), v.sha256(path), name)
            self.assertEqual(os.stat(copy).st_mtime_ns // 100, os.stat(path).st_mtime_ns // 100, name)
        again = self.volume("extract", image, "--output", out, "--json", *key)
        self.assertNotEqual(again.returncode, 0)
        self.ok("extract", image, below + "1", "--output", out + "2", "--overwrite", *key)

    def test_a_changed_block_is_told_by_file_and_place_when_it_is_extracted(self):
        harness.write_large(self.tree, "large.bin", 9 * MIB, 1)
        self.addCleanup(os.remove, os.path.join(self.tree, "large.bin"))
        job = self.finished(fresh=True)
        image = job.image()
        # The longest piece of the sparse image is the large file's.
        with open(image, "r+b") as file:
            begin, length = max(self.data_of(file), key=lambda extent: extent[1])
            self.assertGreaterEqual(length, 9 * MIB)
            file.seek((begin + length // 2) // 4096 * 4096)
            file.write(os.urandom(4096))
        out = os.path.join(job.root, "out")
        done = self.volume("extract", image, "--output", out, "--json", "--job", job.root, "--drive", "DISK0")
        told = json.loads(done.stdout)
        self.assertEqual(done.returncode, VERIFICATION, done)
        self.assertFalse(told["ok"])
        (problem,) = [entry for entry in told["problems"] if entry["kind"] == "differs"]
        self.assertEqual(problem["path"], "job-a/archive/large.bin")
        self.assertEqual(problem["offset"] % (4 * MIB), 0)
        self.assertEqual(told["manifest"]["differing_blocks"], 1)

    def test_export_is_the_volume_that_dislocker_sees(self):
        need("dislocker-file")
        for cipher in ("xts-aes-256", "aes-cbc-256"):
            job = self.finished(cipher=cipher)
            partition, _ = self.partition(job)
            theirs = os.path.join(job.root, "theirs.img")
            v.run_ok("dislocker-file", "-r", "-V", partition, "-p" + job.key(), "--", theirs)
            ours = os.path.join(job.root, "ours.img")
            told = self.document("export", job.image(), "--output", ours, "--recovery-password-file", "-",
                                 secret=job.key())
            self.assertEqual(told["bytes"], os.stat(ours).st_size)
            self.assertEqual(v.sha256(ours), v.sha256(theirs))
            piped = self.ok("export", job.image(), "--output", "-", "--recovery-password-file",
                            "/dev/fd/0", secret=job.key()).stdout
            self.assertEqual(hashlib.sha256(piped).hexdigest(), v.sha256(ours))
            self.error(USAGE, "output-exists", "export", job.image(), "--output", ours,
                       "--recovery-password-file", "-", secret=job.key())

    def test_names_that_are_no_unicode_or_orders_to_a_terminal_do_no_harm(self):
        harness.need_fuse()
        job = self.finished()
        image, scratch = job.image(), self.env.directory("odd")
        lone = b"lone\xed\xa0\x80end"
        odd = [lone, b"esc\x1b[31mred", b"new\nline", "right\u202egpj.exe".encode(),
               "c1\u009b31m".encode(), "Gr\u00fc\u00dfe \U0001f4be".encode()]
        with v.dislocker(image, v.Volume(image, 512).offset, ["-p" + job.key()],
                         os.path.join(scratch, "plain"), read_only=False) as plain:
            with v.ntfs(os.path.join(plain, "dislocker-file"), os.path.join(scratch, "files"),
                        read_only=False) as files:
                for name in odd:
                    with open(os.path.join(files.encode(), name), "wb") as file:
                        file.write(b"content of " + name)
        key = ["--job", job.root, "--drive", "DISK0"]
        raw = self.ok("ls", image, "--json", *key).stdout
        entries = json.loads(raw.decode())["entries"]  # strict UTF-8
        self.assertEqual([byte for byte in raw if byte < 32 and byte != 10], [])
        for order in ("\u202e", "\u009b", "\x7f"):
            self.assertNotIn(order, raw.decode())
        paths = {entry["path"]: entry["path_base64url"] for entry in entries}
        for name in odd[1:]:
            self.assertIsNone(paths[name.decode()], name)
        ((path, spelt),) = [item for item in paths.items() if item[1] is not None]
        self.assertRegex(path, "^lone\ufffd+end$")
        self.assertEqual(base64.urlsafe_b64decode(spelt + "=="), lone)

        shown = self.ok("ls", image, *key).stdout.decode()
        lines = shown.splitlines()
        self.assertEqual(len(lines), len(entries))
        for text in ("lone\\ud800end", "esc\\x1b[31mred", "new\\x0aline", "right\\u202egpj.exe",
                     "c1\\u009b31m", "Gr\u00fc\u00dfe \U0001f4be"):
            self.assertTrue(any(line.endswith(text) for line in lines), (text, shown))
        for name in odd:
            self.assertEqual(self.ok("cat", image, name, *key).stdout, b"content of " + name)
        out = os.path.join(job.root, "out")
        self.volume("extract", image, "--output", out, "--no-verify", *key)
        self.assertLessEqual(set(odd), set(os.listdir(out.encode())))
        # In messages, too.
        missing = self.volume("cat", image, b"no\x1b[31m", *key)
        self.assertEqual(missing.returncode, USAGE)
        self.assertNotIn(b"\x1b", missing.stderr)

    def test_content_and_result_do_not_share_standard_output(self):
        job = self.finished()
        image, key = job.image(), ["--job", job.root, "--drive", "DISK0"]
        self.error(USAGE, "output-needed", "cat", image, "DriveManifest.xml", *key)
        self.error(USAGE, "output-needed", "cat", image, "DriveManifest.xml", "--output", "-", *key)
        self.error(USAGE, "output-needed", "export", image, "--output", "-", *key)
        manifest = os.path.join(job.root, "manifest.xml")
        told = self.document("cat", image, "DriveManifest.xml", "--output", manifest, *key)
        self.assertEqual((told["path"], told["output"]), ("DriveManifest.xml", manifest))
        self.assertEqual(told["bytes"], os.stat(manifest).st_size)
        self.assertEqual(self.ok("cat", image, "DriveManifest.xml", *key).stdout,
                         v.read_at(manifest, 0, told["bytes"]))
        plain = os.path.join(job.root, "plain.img")
        told = self.document("export", image, "--output", plain, *key)
        self.assertEqual((told["output"], told["bytes"]), (plain, os.stat(plain).st_size))

    def test_a_closed_standard_stream_is_never_taken_for_the_volume(self):
        job = self.finished(external_key=False)
        image = job.image()
        before = harness.digest_of(image)
        key = self.env.path("key.txt")
        with open(key, "w", encoding="ascii") as file:
            file.write(job.key())
        for closed, arguments, status in (
                (1, ["add", image, "recovery-password"], WRITE),
                (2, ["remove", image, "00000000"], USAGE)):
            done = subprocess.run(
                [harness.PROGRAM, "volume", "protectors", *arguments, "--recovery-password-file", key],
                env=self.env.variables(), stdin=subprocess.DEVNULL, check=False,
                preexec_fn=lambda stream=closed: os.close(stream))
            self.assertEqual(done.returncode, status, done)
            self.assertEqual(harness.digest_of(image), before)

    def test_the_keys_of_a_job_need_no_data_set(self):
        job = self.finished()
        os.remove(job.path("dataset.csv"))
        job.write("driveset.csv", "not a driveset")
        self.ok("unlock", "--check", job.image(), "--job", job.root, "--drive", "DISK0")

    def test_what_is_no_volume_is_named(self):
        empty = self.env.path("empty.img")
        with open(empty, "wb") as file:
            file.truncate(64 * MIB)
        self.assertEqual(self.document("info", empty)["state"], "none")
        self.error(REFUSED, "not-bitlocker", "unlock", "--check", empty, "--password-file", "-",
                   secret=PASSWORD)
        self.error(USAGE, "target-missing", "info", self.env.path("missing.img"))
        self.error(USAGE, "target-kind", "info", self.env.path())
        self.error(USAGE, "partition-unknown", "info", empty, "--partition", "3")

    def test_no_key_is_left_in_arguments_or_files(self):
        job = self.finished()
        key = job.key()
        self.ok("export", job.image(), "--output", os.path.join(job.root, "plain.img"),
                "--recovery-password-file", "-", secret=key)
        for path in harness.files_below(job.root):
            if path.endswith((".img",)):
                continue
            with open(os.path.join(job.root, path), "rb") as file:
                self.assertNotIn(key.encode(), file.read(), path)


if __name__ == "__main__":
    harness.main()
