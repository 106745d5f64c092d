"""Disks that come in are tested, disks that come back are wiped, on several buses."""

import json

import jobs
from disks import MIB, Disk
from faults import Faults, failing, wait_until_busy
from judges import MAPPING, recovery_passwords
from machine import Machine

SIZE = 64 * MIB
TIB = 1 << 40
# How each of them is wiped.
WIPED = {Disk("sata", "sata", SIZE, physical=4096): "overwrite", Disk("bot", "usb-bot", SIZE): "overwrite",
         Disk("nvme", "nvme", SIZE, discard=True): "discard", Disk("scsi", "scsi", SIZE, discard=True): "discard"}
LARGE = Disk("large", "scsi", 3 * TIB, sector=512, physical=4096)
LARGE_4K = Disk("large4k", "nvme", 3 * TIB, sector=4096)
# One serial number of its own, another of the bridge.
TWO_SERIALS = Disk("uas", "usb-uas", SIZE, bridge_serial="BRIDGE-UAS")
TESTED = [LARGE, LARGE_4K, TWO_SERIALS]
# These are lost while they are wiped: unplugged, and by an error of the medium.
GONE = Disk("gone", "nvme", SIZE)
BROKEN = Disk("broken", "scsi", SIZE)
JOB = "/lab/job"
REFUSED, BUSY, WRITE, VERIFICATION = 3, 5, 6, 7


def run(lab, report):
    place = f"{lab.scratch}/erase"
    with Machine(lab.files, place, [*WIPED, *TESTED, GONE, BROKEN]) as machine:
        print(f"        booted in {machine.boot_seconds:.1f} s, Linux {lab.files.version}")
        jobs.make_lab(machine, lab)
        names = machine.names()
        for disk in TESTED:
            check_test(machine, report, disk)
        ids = [disk.known_serial for disk in WIPED]
        weak = [f"disk-serial-weak:{disk.known_serial}" for disk in WIPED if disk.bus == "usb-bot"]
        jobs.make_job(machine, JOB, [jobs.row(f"serial:{one}", one) for one in ids])
        outcome = jobs.prepare(machine, JOB, ids, weak)
        report.check("drives to be wiped are prepared", outcome.status == 0, outcome if outcome.status else "")
        keys = recovery_passwords(machine, JOB)
        for disk in WIPED:
            check_wipe(machine, report, place, disk, names[disk], keys[disk.known_serial])
        check_unplugged(machine, report, names[GONE])
        check_broken(machine, report)


def check_test(machine, report, disk):
    accepted = f"--accept disk-serial-weak:{disk.known_serial}" if disk is TWO_SERIALS else ""
    outcome = jobs.run(machine, f"test {disk.known_serial} --confirm {disk.known_serial} {accepted}")
    told = outcome.told
    report.check(f"{disk.name}: the test is passed", outcome.status == 0, outcome if outcome.status else "")
    report.equal(f"{disk.name}: its size is told as it is", told.get("capacity", {}).get("bytes"), disk.size)
    report.equal(f"{disk.name}: and so are its sectors", told.get("geometry", {}).get("kernel", {}).get(
        "logical_sector"), disk.sector)
    report.equal(f"{disk.name}: what was written beyond 2 TiB is read back, where there is such a place",
                 told.get("capacity", {}).get("beyond_2_tib_tested", "absent"), disk.size > 2 * TIB or None)
    said = {each["value"] for each in told.get("serial", {}).get("statements", [])}
    report.check(f"{disk.name}: every serial number that it tells is told", {disk.known_serial, disk.usb_serial}
                 <= said, said)


def check_wipe(machine, report, place, disk, name, key):
    node = f"/dev/{name}" + ("p1" if name[-1].isdigit() else "1")
    label, method, record = f"{disk.name}, by {WIPED[disk]}", WIPED[disk], f"/lab/wipe-{disk.name}.json"
    machine.run_ok(f"blockdev --rereadpt /dev/{name}; for i in $(seq 300); do [ -b {node} ] && exit 0; sleep 0.1; "
                   "done; exit 1")
    opened = open_volume(machine, node, key)
    report.check(f"{label}: before, cryptsetup opens it", opened.status == 0, opened if opened.status else "")
    machine.run(f"cryptsetup close {MAPPING}")
    # What cryptsetup is shown afterwards is where the volume was, whether the kernel still has a partition or not.
    start = machine.run_ok(f"cat /sys/block/{name}/{node.removeprefix('/dev/')}/start").out.strip()
    weak = f"--accept disk-serial-weak:{disk.known_serial}" if disk.bus == "usb-bot" else ""
    outcome = jobs.run(machine, f"wipe {disk.known_serial} --confirm {disk.known_serial} {weak} --record {record}")
    report.equal(f"{label}: who confirms beforehand has to know that it was prepared here",
                 (outcome.status, outcome.error.get("code")), (REFUSED, "disk-already-prepared"))
    outcome = jobs.run(machine, f"wipe {disk.known_serial} --confirm {disk.known_serial} --method {method} "
                                f"--accept disk-already-prepared:{disk.known_serial} {weak} --record {record}")
    report.check(f"{label}: it is wiped", outcome.status == 0, outcome if outcome.status else "")
    loop = machine.run_ok(f"/usr/sbin/losetup -f --show -r -o $(({start} * 512)) /dev/{name}").out.strip()
    opened = open_volume(machine, loop, key)
    report.check(f"{label}: cryptsetup does not open it any more", opened.status not in (0, 127) and
                 machine.run(f"[ -e /dev/mapper/{MAPPING} ]").status != 0, opened)
    machine.run_ok(f"/usr/sbin/losetup -d {loop}")
    report.check(f"{label}: blkid finds nothing on it", machine.run(f"blkid -p /dev/{name}").status == 2)
    with open(disk.path(place), "rb") as file:
        left = sum(map(any, iter(lambda: file.read(1 << 16), b"")))
    report.equal(f"{label}: it holds nothing but zeros", left, 0)
    checked = machine.run(f"driveprep report --check {record}")
    report.check(f"{label}: its record is true", checked.status == 0, checked if checked.status else "")
    told = json.loads(machine.run_ok(f"cat {record}").out)["record"]
    report.equal(f"{label}: its record says what was done", (told["result"], told["method"]), ("wiped", method))
    forged = machine.run(f"sed s/{disk.known_serial}/SN-OTHER/ {record} >/lab/forged; "
                         "driveprep report --check /lab/forged")
    report.equal(f"{label}: a record that was changed is found out", forged.status, VERIFICATION)


def check_unplugged(machine, report, name):
    faults = Faults(machine, GONE)
    faults.limit(bps_write=4 * MIB)  # a quarter of a minute for all of it
    running = jobs.begin(machine, f"wipe {GONE.known_serial} --confirm {GONE.known_serial} --method overwrite "
                                  "--record /lab/gone.json")
    wait_until_busy(machine, name)
    faults.unplug()
    check_lost(machine, report, "unplugged while it is wiped", jobs.Outcome(running.result(jobs.SECONDS)),
               "/lab/gone.json", (BUSY, "drive-vanished"))


def check_broken(machine, report):
    with failing(machine, BROKEN, "write", [SIZE // 2 // 512]):
        outcome = jobs.run(machine, f"wipe {BROKEN.known_serial} --confirm {BROKEN.known_serial} "
                                    "--method overwrite --record /lab/broken.json")
    check_lost(machine, report, "with a sector that cannot be written", outcome, "/lab/broken.json",
               (WRITE, "wipe-unwritable"))


def check_lost(machine, report, label, outcome, record, expected):
    """It is not called wiped, nor is its record that of a wiped drive."""
    told = json.loads(machine.run_ok(f"cat {record}").out)["record"]
    report.equal(f"{label}: exit status and error", (outcome.status, (told["error"] or {}).get("code")), expected)
    report.equal(f"{label}: the record says failed, and not how it went on",
                 (told["result"], told["contents_gone"], told["read_back"]), ("failed", False, None))
    checked = machine.run(f"driveprep report --check {record} --json").json()["records"][0]["error"]["code"]
    report.equal(f"{label}: its record is none of a wiped drive", checked, "record-not-wiped")


def open_volume(machine, node, key):
    return machine.run(f"{jobs.ENVIRONMENT} printf %s {key} >/tmp/key && cryptsetup open --type bitlk --readonly "
                       f"--key-file /tmp/key {node} {MAPPING}")
