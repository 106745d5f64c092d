"""Jobs in a machine: sources with their hashes, job directories, runs of driveprep and what they tell."""

import json
import time

SOURCE = "/lab/source"
STORAGE = ("/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/import/providers/"
           "Microsoft.Storage/storageAccounts/contosoarchive")
ADDRESS = {"recipientName": "Goods receipt", "streetAddress1": "1 Example Way", "city": "Springfield",
           "postalCode": "12345", "countryOrRegion": "US", "phone": "+1 555 0100",
           "email": "gate4@contoso.example"}
NAME = "job-a"
PREFIX = "archive/2026/"
DATASET = ("BasePath,DstItemPathOrPrefix,ItemType,Disposition,MetadataFile,PropertiesFile\n"
           f'"{{source}}/",{PREFIX},BlockBlob,no-overwrite,None,None\n')
DRIVESET = ("DriveLetter,FormatOption,SilentOrPromptOnFormat,Encryption,ExistingBitLockerKey,DriveId,"
            "SectorSize\n")
KEY_STORE = "/lab/keystore"
# Small, large, empty, deep, names that are no ASCII, and directories enough for
# several drives: small files go by directory.
MAKE_SOURCE = """set -e
mkdir -p {source}/deep/er/and/deeper
for number in $(seq 20); do head -c $((number * 977)) /dev/urandom >{source}/deep/file-$number.bin; done
head -c {large} /dev/urandom >{source}/large.bin
head -c {block} /dev/urandom >{source}/block.bin
for number in $(seq 8); do
  mkdir {source}/$number
  head -c {each} /dev/urandom >{source}/$number/part.bin
done
: >{source}/empty
echo text >'{source}/deep/er/and/deeper/Grüße 日本語.txt'
"""
HASHES = ("find . -type f ! -name DriveManifest.xml ! -path './System Volume*' ! -path './$*' "
          "-exec sha256sum {} +")
FILES = 32
PHASES = ("formatting", "copying", "finishing", "verifying", "sealing")
SECONDS = 900  # limit of a run; a minute or two is usual
POLL_SECONDS = 0.3  # to look more often would take the emulated processors away from driveprep
# The vector code of libcrypto's SHA-256 costs twice as much as its scalar code when it is emulated, and
# each opening of a volume by recovery password is two million rounds of it: bit 41 is SSSE3.
ENVIRONMENT = "export OPENSSL_ia32cap=~0x20000000000;"


def make_lab(machine, lab, large=3000000, block=1048576, each=300000):
    """Makes /lab in memory with the key store and the source below it; {path of the source: hash}."""
    machine.run_ok("mkdir -p /lab && mount -t tmpfs -o size=800M tmpfs /lab\n" +
                   make_source(SOURCE, large, block, each))
    for file in sorted(lab.key_store.rglob("*")):
        if file.is_file():
            machine.put(f"{KEY_STORE}/{file.relative_to(lab.key_store)}", file.read_bytes(), 0o600)
    machine.run_ok(f"find {KEY_STORE} -type d -exec chmod 700 {{}} +")
    found = hashes_of(machine.run_ok(f"cd {SOURCE} && {HASHES}").out)
    if len(found) != FILES:
        raise ValueError(f"the source has {len(found)} files")
    return found


def make_source(path, large=3000000, block=1048576, each=300000):
    """Script that makes the files of a source."""
    return MAKE_SOURCE.format(source=path, large=large, block=block, each=each)


def make_job(machine, job, drives, source=SOURCE):
    """`drives`: rows of the driveset, without their line ends."""
    for name, content in job_files(drives, source, KEY_STORE).items():
        machine.put(f"{job}/{name}", content)


def job_files(drives, source, key_store):
    """{name: content} of the files of a job directory."""
    return {"job.json": json.dumps({
        "name": NAME, "location": "West Europe", "storageAccountId": STORAGE,
        "returnAddress": ADDRESS,
        "returnShipping": {"carrierName": "FedEx", "carrierAccountNumber": "123456789"},
        "encryption": {"keyStore": str(key_store)}}),
            "dataset.csv": DATASET.format(source=source),
            "driveset.csv": DRIVESET + "".join(f"{row}\n" for row in drives)}


def row(target, drive_id="", sector=""):
    return f"{target},Format,SilentMode,Encrypt,,{drive_id},{sector}"


def hashes_of(text):
    """{path below the directory: hash} of sha256sum's lines."""
    return {line[66:].removeprefix("./"): line[:64] for line in text.splitlines()}


def on_drive(wanted):
    """The hashes of a source as those of a drive that got all of it."""
    return {f"{NAME}/{PREFIX}{path}": digest for path, digest in wanted.items()}


class Outcome:
    """How a command on a job ended."""

    def __init__(self, result):
        self.result, self.status = result, result.status
        try:
            self.told = json.loads(result.out)
        except ValueError:
            self.told = {}

    @property
    def error(self):
        """That of the command as a whole, which is empty when drives have their own."""
        return self.told.get("error") or {}

    def drive(self, drive_id):
        return next((drive for drive in self.told.get("drives", []) if drive.get("id") == drive_id), {})

    def __str__(self):
        return str(self.result)


def begin(machine, command):
    return machine.begin(f"{ENVIRONMENT} driveprep {command} --json")


def run(machine, command, seconds=SECONDS):
    return Outcome(begin(machine, command).result(seconds))


def begin_prepare(machine, job, confirmed=(), accepted=()):
    words = [f"prepare {job}", *(f"--confirm {one}" for one in confirmed),
             *(f"--accept {one}" for one in accepted)]
    return begin(machine, " ".join(words))


def log_of(machine, job):
    """All lines of the logs of the job."""
    return machine.run(f"cat {job}/logs/* 2>&-").out.splitlines()


def last_phase(lines, drive_id):
    """The phase that a drive was in, by these lines of the log."""
    begun = [phase for line in lines for phase in PHASES if line.endswith(f"drive {drive_id}: {phase}")]
    return begun[-1] if begun else None


def freeze_at(machine, job, drive_id, phase, before=0):
    """A command that ends when the log, after its first lines, has the drive in that phase: driveprep stands
    still then, before much has been done in it. To look from the host takes a second that short ones lack."""
    return machine.begin(f"""until cat {job}/logs/* | tail -n +{before + 1} | grep -q 'drive {drive_id}: {phase}$'; do
          sleep 0.03
          pidof driveprep >/dev/null || exit 1
        done
        kill -STOP $(pidof driveprep)""")


def freeze(machine):
    """driveprep stands still, if it has not ended yet."""
    machine.run("kill -STOP $(pidof driveprep)")


def thaw(machine):
    machine.run("kill -CONT $(pidof driveprep)")


def at_moments(machine, job, running, events, before=0):
    """`events`: (drive id, moment, what to call) each, in the order in which they come. The moment is a
    text: once the log, after its first `before` lines, has it in a line about that drive; or it is asked
    for. Returns the events that had not come when the command ended."""
    waiting = list(events)
    while waiting and not running.ended():
        lines = log_of(machine, job)[before:]
        for event in list(waiting):
            drive_id, moment, call = event
            if moment() if callable(moment) else any(
                    f"drive {drive_id}: " in line and moment in line for line in lines):
                call()
                waiting.remove(event)
        time.sleep(POLL_SECONDS)
    return waiting


def slow_writing(fault, drive_id, limit):
    """Events that make a disk slow once it is written to, so that what follows takes long enough to be met.
    It is read before that, which should not take minutes."""
    def slow():
        fault.limit(bps_total=limit)
    return [(drive_id, "wiping", slow), (drive_id, "continuing after", slow)]


def prepare(machine, job, confirmed=(), accepted=(), seconds=SECONDS):
    return Outcome(begin_prepare(machine, job, confirmed, accepted).result(seconds))
