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
MAKE_SOURCE = f"""set -e
mkdir -p /lab && mount -t tmpfs -o size=800M tmpfs /lab
mkdir -p {SOURCE}/deep/er/and/deeper
for number in $(seq 20); do head -c $((number * 977)) /dev/urandom >{SOURCE}/deep/file-$number.bin; done
head -c {{large}} /dev/urandom >{SOURCE}/large.bin
head -c {{block}} /dev/urandom >{SOURCE}/block.bin
for number in $(seq 8); do
  mkdir {SOURCE}/$number
  head -c {{each}} /dev/urandom >{SOURCE}/$number/part.bin
done
: >{SOURCE}/empty
echo text >'{SOURCE}/deep/er/and/deeper/Grüße 日本語.txt'
"""
HASHES = ("find . -type f ! -name DriveManifest.xml ! -path './System Volume*' ! -path './$*' "
          "-exec sha256sum {} +")
FILES = 32
POLL_SECONDS = 0.3  # to look more often would take the emulated processors away from driveprep
# The vector code of libcrypto's SHA-256 costs twice as much as its scalar code when it is emulated, and
# each opening of a volume by recovery password is two million rounds of it: bit 41 is SSSE3.
ENVIRONMENT = "export OPENSSL_ia32cap=~0x20000000000;"


def make_lab(machine, lab, large=3000000, block=1048576, each=300000):
    """Makes /lab in memory with the key store and the source below it; {path of the source: hash}."""
    machine.run_ok(MAKE_SOURCE.format(large=large, block=block, each=each))
    for file in sorted(lab.key_store.rglob("*")):
        if file.is_file():
            machine.put(f"{KEY_STORE}/{file.relative_to(lab.key_store)}", file.read_bytes(), 0o600)
    machine.run_ok(f"find {KEY_STORE} -type d -exec chmod 700 {{}} +")
    found = hashes_of(machine.run_ok(f"cd {SOURCE} && {HASHES}", 120).out)
    if len(found) != FILES:
        raise ValueError(f"the source has {len(found)} files")
    return found


def make_job(machine, job, drives, source=SOURCE):
    """`drives`: rows of the driveset, without their line ends."""
    machine.put(f"{job}/job.json", json.dumps({
        "name": NAME, "location": "West Europe", "storageAccountId": STORAGE,
        "returnAddress": ADDRESS,
        "returnShipping": {"carrierName": "FedEx", "carrierAccountNumber": "123456789"},
        "encryption": {"keyStore": KEY_STORE}}))
    machine.put(f"{job}/dataset.csv", DATASET.format(source=source))
    machine.put(f"{job}/driveset.csv", DRIVESET + "".join(f"{row}\n" for row in drives))


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


def run(machine, command, seconds=300):
    return Outcome(begin(machine, command).result(seconds))


def begin_prepare(machine, job, confirmed=(), accepted=()):
    words = [f"prepare {job}", *(f"--confirm {one}" for one in confirmed),
             *(f"--accept {one}" for one in accepted)]
    return begin(machine, " ".join(words))


def log_of(machine, job):
    """All lines of the logs of the job."""
    return machine.run(f"cat {job}/logs/* 2>&-").out.splitlines()


def at_lines(machine, job, running, events, before=0):
    """`events`: (drive id, text, what to call) each. Calls it once the log, after its first `before` lines,
    has that text in a line about that drive. Returns the events that had not come when the command ended."""
    waiting = list(events)
    while waiting and not running.ended():
        lines = log_of(machine, job)[before:]
        for event in list(waiting):
            drive_id, text, call = event
            if any(f"drive {drive_id}: " in line and text in line for line in lines):
                call()
                waiting.remove(event)
        time.sleep(POLL_SECONDS)
    return waiting


def slow_writing(fault, drive_id, limit):
    """Events that make a disk slow once it is written to, so that what follows takes long enough to be met.
    It is read before that, which should not take minutes."""
    def slow():
        fault.limit({"iops-total": 0, "bps-total": limit})
    return [(drive_id, "wiping", slow), (drive_id, "continuing after", slow)]


def prepare(machine, job, confirmed=(), accepted=(), seconds=300):
    return Outcome(begin_prepare(machine, job, confirmed, accepted).result(seconds))
