"""What the integration tests share: scratch directories, job directories, runs of the program.

The program is the file named by the environment variable DRIVEPREP. Every test file is a program of
its own: it ends with status 0, 1, or 77 when all of its tests were skipped.
"""

import hashlib
import itertools
import json
import os
import pty
import random
import select
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
import unittest

MIB = 1 << 20
SKIPPED = 77
TIMEOUT = 600  # seconds; for one run of the program on a busy machine

# Of the double of the key vault, and of other tools that are more than a test's own.
SUPPORT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support")
sys.path.insert(0, SUPPORT)

PROGRAM = os.environ.get("DRIVEPREP", "")

DATASET_HEADER = "BasePath,DstItemPathOrPrefix,ItemType,Disposition,MetadataFile,PropertiesFile"
DRIVESET_HEADER = ("DriveLetter,FormatOption,SilentOrPromptOnFormat,Encryption,ExistingBitLockerKey,"
                   "DriveId,SectorSize")


def need(*tools):
    """Skips the running test when one of the tools is not installed."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        raise unittest.SkipTest("needs " + ", ".join(missing))


def need_root():
    if os.geteuid() != 0:
        raise unittest.SkipTest("needs root")


def need_not_instrumented(what):
    """For what a program with sanitizers in it needs more of."""
    if os.environ.get("DRIVEPREP_SANITIZED") == "1":
        raise unittest.SkipTest(f"{what} of an instrumented program says nothing")


def need_fuse():
    """Mounting in user space: the tests use it as root, who needs no set-user-id helper."""
    need("dislocker-fuse", "ntfs-3g", "umount")
    need_root()
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        raise unittest.SkipTest("needs /dev/fuse")


class Result:
    """How a run of the program ended."""

    def __init__(self, arguments, status, out, err):
        self.arguments, self.status = arguments, status
        self.out, self.err = out, err

    def json(self):
        try:
            return json.loads(self.out)
        except ValueError:
            raise AssertionError(f"{self}: no JSON on standard output") from None

    def error(self):
        return self.json()["error"]

    def __str__(self):
        return (f"driveprep {' '.join(self.arguments)} ended with {self.status}\n--- stdout\n"
                f"{self.out[-3000:]}\n--- stderr\n{self.err[-3000:]}")


class Environment:
    """A scratch directory with a home, a directory for temporary files and a key store."""

    def __init__(self):
        self.root = tempfile.mkdtemp(prefix="driveprep-test-")
        self.home = self.path("home")
        self.temporary = self.path("tmp")
        self.key_store = self.path("keystore")
        os.mkdir(self.home)
        os.mkdir(self.temporary)
        self.names = itertools.count(1)  # also for threads

    def path(self, *parts):
        return os.path.join(self.root, *parts)

    def directory(self, name):
        made = self.path(f"{next(self.names)}-{name}")
        os.mkdir(made)
        return made

    def variables(self):
        kept = {name: os.environ[name] for name in ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS")
                if name in os.environ}
        return {**kept, "HOME": self.home, "TMPDIR": self.temporary, "LC_ALL": "C.UTF-8"}

    def start(self, *arguments, prefix=(), **options):
        """The program as a running process; standard input is not a terminal."""
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
                   "stderr": subprocess.PIPE, "env": self.variables(), **options}
        if tuple(prefix[:1]) == ("strace",):  # the search for leaks traces, too, and there is one tracer at most
            asan = options["env"].get("ASAN_OPTIONS", "")
            options["env"] = {**options["env"], "ASAN_OPTIONS": f"{asan}:detect_leaks=0"}
        return subprocess.Popen([*prefix, PROGRAM, *arguments], **options)

    def run(self, *arguments, prefix=(), given=None, **options):
        """`given`: bytes for standard input."""
        if given is not None:
            options["stdin"] = subprocess.PIPE
        process = self.start(*arguments, prefix=prefix, **options)
        return self.wait(process, arguments, given)

    def wait(self, process, arguments=(), given=None):
        try:
            out, err = process.communicate(given, timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise AssertionError(f"driveprep {arguments} did not end in {TIMEOUT} s") from None
        return Result(arguments, process.returncode, (out or b"").decode("utf-8", "replace"),
                      (err or b"").decode("utf-8", "replace"))

    def terminal(self, arguments, answers=(), typed_ahead=""):
        """The program in a terminal. `answers`: (question, what is typed once it shows), in order; a
        function is called then, and gives it. `typed_ahead` waits in the terminal before the program
        starts. (status, what was shown, as bytes)"""
        may_start, start = os.pipe()
        pid, terminal = pty.fork()
        if pid == 0:
            os.read(may_start, 1)
            os.execve(PROGRAM, [PROGRAM, *arguments], self.variables())
        os.write(terminal, typed_ahead.encode())
        os.write(start, b"1")
        for end in (may_start, start):
            os.close(end)
        shown, answers = b"", list(answers)
        while True:
            ready, _, _ = select.select([terminal], [], [], TIMEOUT)
            if not ready:
                os.kill(pid, signal.SIGKILL)
            try:
                data = os.read(terminal, 4096)
            except OSError:
                data = b""
            if not data:
                break
            shown += data
            if answers and answers[0][0].encode() in shown:
                text = answers.pop(0)[1]
                text = text() if callable(text) else text
                os.write(terminal, text if isinstance(text, bytes) else text.encode())
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.close(terminal)
        return status, shown

    def in_terminal(self, *arguments, question, answer):
        """One question, one line for an answer. (status, what was shown)"""
        def line():
            return (answer() if callable(answer) else answer) + "\n"
        status, shown = self.terminal(arguments, [(question, line)])
        return status, shown.decode("utf-8", "replace")

    def remove(self):
        shutil.rmtree(self.root, ignore_errors=True)


class Case(unittest.TestCase):
    """One environment, and so one key store, for all tests of a class: making its RSA key is slow."""

    longMessage = True
    maxDiff = 4000

    @classmethod
    def setUpClass(cls):
        cls.env = Environment()
        cls.addClassCleanup(cls.env.remove)

    def run_ok(self, *arguments, **options):
        result = self.env.run(*arguments, **options)
        self.assertEqual(result.status, 0, result)
        return result

    def make_job(self, **options):
        return Job(self.env, self.env.directory("job"), **options)


class Drive:
    def __init__(self, drive_id="DISK0", size=64 * MIB, sector=512, prompt="SilentMode",
                 image=None):
        self.id, self.size, self.sector, self.prompt = drive_id, size, sector, prompt
        self.image = image or f"{drive_id}.img"

    def row(self):
        return f"{self.image},Format,{self.prompt},Encrypt,,{self.id},{self.sector}"


class Job:
    """A job directory with its images beside its files."""

    def __init__(self, env, root, sources=(), drives=None, name="job-a", bitlocker=None,
                 policies=None, make_images=True):
        self.env, self.root, self.name = env, root, name
        self.drives = drives or [Drive()]
        self.spec = {
            "name": name,
            "location": "West Europe",
            "storageAccountId": "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/"
                                "import/providers/Microsoft.Storage/storageAccounts/contosoarchive",
            "returnAddress": {
                "recipientName": "Goods receipt", "streetAddress1": "1 Example Way",
                "city": "Springfield", "postalCode": "12345", "countryOrRegion": "US",
                "phone": "+1 555 0100", "email": "gate4@contoso.example"},
            "returnShipping": {"carrierName": "FedEx", "carrierAccountNumber": "123456789"},
            "encryption": {"keyStore": env.key_store},
        }
        if bitlocker:
            self.spec["bitlocker"] = bitlocker
        if policies:
            self.spec["sources"] = policies
        self.write_spec()
        self.write("dataset.csv", "\n".join([DATASET_HEADER, *(
            f'"{path}",{destination},BlockBlob,no-overwrite,None,None'
            for path, destination in sources)]) + "\n")
        self.write("driveset.csv",
                   "\n".join([DRIVESET_HEADER, *(drive.row() for drive in self.drives)]) + "\n")
        if make_images:
            for drive in self.drives:
                with open(self.image(drive.id), "wb") as image:
                    image.truncate(drive.size)

    def path(self, *parts):
        return os.path.join(self.root, *parts)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8", newline="") as file:
            file.write(text)

    def write_spec(self):
        self.write("job.json", json.dumps(self.spec, indent=2))

    def drive(self, drive_id):
        return next(drive for drive in self.drives if drive.id == drive_id)

    def image(self, drive_id="DISK0"):
        return self.path(self.drive(drive_id).image)

    def start(self, *options, **popen):
        return self.env.start("prepare", self.root, *options, **popen)

    def prepare(self, *options, **popen):
        return self.env.run("prepare", self.root, "--json", *options, **popen)

    def status(self):
        result = self.env.run("status", self.root, "--json")
        if result.status != 0:
            raise AssertionError(str(result))
        return {drive["id"]: drive for drive in result.json()["drives"]}

    def key(self, drive_id="DISK0"):
        result = self.env.run("key", "show", self.root, "--drive", drive_id)
        if result.status != 0:
            raise AssertionError(str(result))
        return result.out.strip()

    def plan(self):
        result = self.env.run("plan", self.root, "--json", "--all")
        if result.status != 0:
            raise AssertionError(str(result))
        return result.json()

    def journal(self, query, *values):
        """Rows of a query to the journal, which another process may be writing."""
        try:
            connection = sqlite3.connect(f"file:{self.path('journal.db')}?mode=ro", uri=True,
                                         timeout=10)
        except sqlite3.Error:
            return []
        try:
            return connection.execute(query, values).fetchall()
        except sqlite3.OperationalError:  # not there yet, or without its tables
            return []
        finally:
            connection.close()

    def state(self, drive_id="DISK0"):
        rows = self.journal("SELECT state FROM drive WHERE id = ?", drive_id)
        return rows[0][0] if rows else None

    def checkpoint(self, drive_id="DISK0"):
        """(next file, bytes done, files done, number of the file in work, its safe bytes) or None."""
        rows = self.journal(
            "SELECT next_file, bytes_done, files_done, partial_number, partial_length "
            "FROM checkpoint WHERE drive = ?", drive_id)
        return rows[0] if rows else None

    def events(self):
        return [tuple(row) for row in self.journal("SELECT kind, drive FROM event ORDER BY sequence")]


def wait_until(condition, process=None, seconds=TIMEOUT, interval=0.002):
    """True once the condition holds, False when the process has ended or the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        if process is not None and process.poll() is not None:
            return bool(condition())
        time.sleep(interval)
    return False


def written_bytes(path):
    """What a sparse file takes on its disk."""
    try:
        return os.stat(path).st_blocks * 512
    except FileNotFoundError:
        return 0


class Stopped:
    """Holds a process still: with Stopped(process): ..."""

    def __init__(self, process):
        self.process = process

    def __enter__(self):
        self.process.send_signal(signal.SIGSTOP)
        if self.process.poll() is not None:
            raise AssertionError("the program had ended before it could be stopped")

    def __exit__(self, *unused):
        self.process.send_signal(signal.SIGCONT)


def flip(path, offset):
    """One bit of a file, in place: the second time it is as before."""
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x10]))


def digest_of(path):
    """SHA-256 of a file; blocks of zeros count by their place, so that holes cost no time."""
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        size, at = os.fstat(file.fileno()).st_size, 0
        digest.update(size.to_bytes(8, "little"))
        while at < size:
            try:
                at = os.lseek(file.fileno(), at, os.SEEK_DATA) // MIB * MIB
            except OSError:  # only a hole is left
                break
            data = os.pread(file.fileno(), MIB, at)
            if data.count(0) != len(data):
                digest.update(at.to_bytes(8, "little") + data)
            at += MIB
    return digest.hexdigest()


def snapshot(root):
    """Everything below a directory: kinds, permissions and contents by path."""
    found = {}
    for directory, names, files in os.walk(root):
        for name in names + files:
            path = os.path.join(directory, name)
            facts = os.lstat(path)
            content = digest_of(path) if stat.S_ISREG(facts.st_mode) else ""
            found[os.path.relpath(path, root)] = (oct(facts.st_mode), content)
    return found


def files_below(root):
    """Relative paths of all regular files."""
    return sorted(os.path.relpath(os.path.join(directory, name), root)
                  for directory, _, files in os.walk(root) for name in files)


def write_file(root, name, content, modified=None):
    path = os.path.join(root, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)
    if modified is not None:
        os.utime(path, ns=(modified, modified))
    return path


def random_bytes(size, seed):
    return random.Random(seed).randbytes(size)


def write_large(root, name, size, seed):
    """A file of which every 4 MiB differ but which is made quickly: 64 KiB of noise, then a hole."""
    path = os.path.join(root, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    noise = random.Random(seed)
    with open(path, "wb") as file:
        for offset in range(0, size, MIB):
            file.seek(offset)
            file.write(noise.randbytes(min(64 * 1024, size - offset)))
        file.truncate(size)
    return path


def make_tree(root):
    """Files of all kinds that have a path of their own through the program. Returns the root."""
    long_ago = 946684800 * 10**9 + 123456700  # 2000-01-01, with a fraction that NTFS can hold
    os.makedirs(root)
    sizes = {"empty": 0, "one byte": 1, "resident": 600, "sector": 512, "just-not-resident": 1025,
             "cluster.bin": 4096, "cluster-and-one.bin": 4097, "block.bin": 4 * MIB,
             "block-and-one.bin": 4 * MIB + 1, "nine.bin": 9_000_000}
    for number, (name, size) in enumerate(sizes.items()):
        write_file(root, name, random_bytes(size, name), long_ago + number * 10**12)
    for name in ("Grüße.txt", "日本語/ファイル.txt", "emoji-\U0001F4BE.bin", "deep/er/and/deeper/file"):
        write_file(root, name, name.encode() * 50, long_ago)
    # What NTFS or Windows cannot hold: stored under a substitute, shipped under the true name.
    for name in ("what?.txt", "a:b", "star*", "CON", "aux.txt", "ends-with-dot.", "ends-with-space ",
                 "Readme.md", "README.md", "dir|pipe/inside"):
        write_file(root, name, f"content of {name}".encode(), long_ago)
    os.makedirs(os.path.join(root, "empty directory"))
    for directory in ("empty directory", "deep/er", "."):
        os.utime(os.path.join(root, directory), ns=(long_ago, long_ago + 7 * 10**9))
    return root


def main():
    if not PROGRAM or not os.access(PROGRAM, os.X_OK):
        print("set DRIVEPREP to the program that is to be tested", file=sys.stderr)
        sys.exit(2)
    run_tests()


def run_tests():
    """Runs the tests of the file that is being run and ends with their status."""
    program = unittest.main(verbosity=2, exit=False, buffer=False)
    result = program.result
    for test, reason in result.skipped:
        print(f"skipped: {test}: {reason}")
    if not result.wasSuccessful():
        sys.exit(1)
    sys.exit(SKIPPED if result.testsRun > 0 and len(result.skipped) >= result.testsRun else 0)
