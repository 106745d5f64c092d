"""Disks of every bus are prepared side by side and judged by a kernel; those that may not be, are not."""

import hashlib

import jobs
from disks import MIB, Disk
from judges import check_whole, judge_drive, recovery_passwords
from machine import Machine

SIZE = 96 * MIB
SATA = Disk("sata", "sata", SIZE, physical=4096, wwn=0x5000c500aa000001)
BOT = Disk("bot", "usb-bot", SIZE, bridge_serial="BRIDGE-BOT")
UAS = Disk("uas", "usb-uas", SIZE, bridge_serial="BRIDGE-UAS")
NVME = Disk("nvme", "nvme", SIZE)
SCSI = Disk("scsi", "scsi", SIZE, sector=4096)
# What the rows of the driveset say, and the id that the drive gets. No bridge of QEMU's hands on ATA
# commands, so the operator has to tell what stands on the labels of USB disks.
TARGETS = {SATA: ("serial:SN-SATA", "", "SN-SATA"), BOT: ("serial:BRIDGE-BOT", "LABEL-BOT", "LABEL-BOT"),
           UAS: ("serial:SN-UAS", "LABEL-UAS", "LABEL-UAS"),
           NVME: ("/dev/disk/by-id/nvme-rig", "", "SN-NVME"), SCSI: ("serial:SN-SCSI", "", "SN-SCSI")}
ACCEPTED = ["disk-serial-weak:LABEL-BOT", "disk-serial-weak:LABEL-UAS", "disk-4kn:SN-SCSI"]

TWINS = [Disk("twin1", "scsi", SIZE, serial="TWIN0001"), Disk("twin2", "nvme", SIZE, serial="TWIN0001")]
MOUNTED, HELD, SWAP, SOURCE = (Disk(name, "scsi", SIZE) for name in ("mounted", "held", "swap", "source"))
PROTECTED = Disk("protected", "scsi", SIZE, read_only=True)
IN_USE = [MOUNTED, HELD, SWAP, SOURCE, PROTECTED]
REFUSED, BUSY = 3, 5
USE_THEM = """
mke2fs -q /dev/{mounted}
mkdir /mounted
mount -t ext4 -o ro /dev/{mounted} /mounted
head -c 64 /dev/zero >/tmp/plain
cryptsetup open --type plain --cipher aes-xts-plain64 --key-size 512 --key-file /tmp/plain /dev/{held} held
mkswap /dev/{swap}
swapon /dev/{swap}
mke2fs -q /dev/{source}
mkdir /lab/data
mount -t ext4 /dev/{source} /lab/data
echo text >/lab/data/file
mount -o remount,ro /lab/data
sync
"""


def run(lab, report):
    place = f"{lab.scratch}/disks"
    with Machine(lab.files, place, [*TARGETS, *TWINS, *IN_USE]) as machine:
        print(f"        booted in {machine.boot_seconds:.1f} s, Linux {lab.files.version}")
        wanted = jobs.on_drive(jobs.make_lab(machine, lab))
        names = machine.names([*TARGETS, *IN_USE])
        machine.run_ok("set -e\n" + USE_THEM.format(**{disk.name: names[disk] for disk in IN_USE}))
        check_refusals(machine, report, place)
        check_prepare(machine, report, names, wanted)


def check_refusals(machine, report, place):
    """The jobs are begun at the same time: none gets to where it would exclude others."""
    cases = [(MOUNTED, "disk-mounted", BUSY, "/mounted"), (HELD, "disk-held", BUSY, "held"),
             (SWAP, "disk-system", REFUSED, "swap"), (PROTECTED, "disk-read-only", REFUSED, "protected"),
             (SOURCE, "disk-holds-source", REFUSED, "/lab/data")]
    before = {disk: content(disk, place) for disk in [*IN_USE, *TWINS]}
    runs = []
    for disk, code, status, named in cases:
        job = f"/lab/refused-{disk.name}"
        jobs.make_job(machine, job, [jobs.row(f"serial:{disk.known_serial}")],
                      "/lab/data" if disk is SOURCE else jobs.SOURCE)
        runs.append((disk.name, code, status, named, jobs.begin_prepare(machine, job, [disk.known_serial])))
    jobs.make_job(machine, "/lab/refused-twins", [jobs.row("serial:TWIN0001")])
    runs.append(("twins", "disk-serial-duplicate", REFUSED, "TWIN0001",
                 jobs.begin_prepare(machine, "/lab/refused-twins", ["TWIN0001"])))
    for label, code, status, named, running in runs:
        outcome = jobs.Outcome(running.result(jobs.SECONDS))
        report.check(f"{label}: refused with {code}, exit status {status}", outcome.status == status and
                     outcome.error.get("code") == code, outcome)
        report.check(f"{label}: the message names it", named in outcome.error.get("message", ""),
                     outcome.error.get("message"))
    machine.run_ok("sync")
    for disk, found in before.items():
        report.check(f"{disk.name}: not a byte of it has changed", content(disk, place) == found)


def content(disk, place):
    with open(disk.path(place), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_prepare(machine, report, names, wanted):
    machine.run_ok(f"mkdir -p /dev/disk/by-id; ln -s ../../{names[NVME]} /dev/disk/by-id/nvme-rig")
    job = "/lab/job"
    jobs.make_job(machine, job, [jobs.row(target, drive_id) for target, drive_id, _ in TARGETS.values()])
    ids = [drive_id for _, _, drive_id in TARGETS.values()]
    outcome = jobs.prepare(machine, job, ids, ACCEPTED)
    report.check("five disks of five buses are prepared in one job", outcome.status == 0,
                 outcome if outcome.status else "")
    for drive_id in ids:
        drive = outcome.drive(drive_id)
        report.check(f"{drive_id}: finished, read back past the page cache", drive.get("state") == "finished"
                     and drive["verification"]["cache_bypassed"], drive)
    for disk in TARGETS:
        name = names[disk]
        report.check(f"{disk.name}: the kernel has its partition without being asked", machine.run(
            f"ls -d /sys/block/{name}/{name}*").status == 0)
    keys = recovery_passwords(machine, job)
    check_whole(report, [judge_drive(machine, report, disk.name, f"/dev/{names[disk]}", keys[drive_id], wanted)
                         for disk, (_, _, drive_id) in TARGETS.items()], wanted)
    jobs.make_job(machine, "/lab/again", [jobs.row("serial:SN-SATA")])
    again = jobs.prepare(machine, "/lab/again", ["SN-SATA"])
    report.check("a disk that is finished for one job is refused by another", again.status == REFUSED and
                 again.error.get("code") == "disk-already-prepared", again)
