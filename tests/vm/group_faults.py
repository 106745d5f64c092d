"""Disks that fail while they are written, flushed or read back; one that does not, beside them.

One run of one job has a disk for each fault; the same command again, on disks that work, ends well.
"""

import functools
import re

import jobs
from disks import MIB, Disk
from faults import Faults
from judges import judge_drive, recovery_passwords
from machine import Machine
from written import PARTITION, middle_page, written_pages

SIZE = 64 * MIB
GOOD = Disk("good", "sata", SIZE, physical=4096)
# A single sector of 512 bytes cannot be written, from the start: the first and the last of the disk,
# and one in the midst of what is written.
FIRST, MIDDLE, LAST = Disk("first", "scsi", SIZE), Disk("middle", "nvme", SIZE), Disk("last", "sata", SIZE)
FLUSH, SEAL = Disk("flush", "scsi", SIZE), Disk("seal", "scsi", SIZE)
# A single sector cannot be read any more when all is read back.
READ = Disk("read", "scsi", SIZE)
DISKS = [GOOD, FIRST, MIDDLE, LAST, FLUSH, SEAL, READ]
BAD = {FIRST: "write", MIDDLE: "write", LAST: "write", FLUSH: "flush", SEAL: "write", READ: "read"}
# The line of the log after which the fault begins; the others have it from the start.
BEGINS = {FLUSH: "copying", SEAL: "verifying", READ: "verifying"}
JUDGED = [MIDDLE, READ]  # to open all of them would take a minute
JOB = "/lab/job"
WRITE_FAILED, VERIFICATION, SOME_FAILED = 6, 7, 10


def run(lab, report):
    pages = written_pages(lab, DISKS)
    sectors = {FIRST: 0, LAST: SIZE // 512 - 1, MIDDLE: middle_page(pages[MIDDLE]) // 512 + 3,
               READ: first_read(pages[READ]) // 512}
    with Machine(lab.files, lab.scratch / "faults", DISKS) as machine:
        print(f"        booted in {machine.boot_seconds:.1f} s, Linux {lab.files.version}")
        wanted = jobs.on_drive(jobs.make_lab(machine, lab))
        names = machine.names()
        jobs.make_job(machine, JOB, [jobs.row(f"serial:{disk.known_serial}") for disk in DISKS])
        ids = [disk.known_serial for disk in DISKS]
        faults = {disk: Faults(machine, disk) for disk in BAD}
        outcome, not_met = run_with_faults(machine, faults, ids, sectors)
        report.check("every fault began before its drive was done", not not_met, not_met)
        check_failures(machine, report, outcome, names, sectors)
        for fault in faults.values():
            fault.heal()
        again = jobs.prepare(machine, JOB, ids)
        report.check("the same command again, on disks that work, ends well", again.status == 0,
                     again if again.status else "")
        keys = recovery_passwords(machine, JOB)
        for disk in JUDGED:
            judge_drive(machine, report, f"{disk.name}, at last", f"/dev/{names[disk]}",
                        keys[disk.known_serial], wanted)


def first_read(pages):
    """The first page of what a verification reads: the volume begins with what only a seal writes."""
    return next(page for page in pages if page >= PARTITION + 64 * 1024)


def run_with_faults(machine, faults, ids, sectors):
    def begin_fault(disk):
        faults[disk].fail(BAD[disk], [sectors[disk]] if disk in sectors else None)
        faults[disk].full_speed()

    events = []
    for disk, fault in faults.items():
        if disk not in BEGINS:
            begin_fault(disk)
            continue
        # Slow for real time from a moment on after which much is still to be computed.
        slow = functools.partial(fault.limit, iops_read=10) if BAD[disk] == "read" else \
            functools.partial(fault.limit, iops_size=4096, iops_write=100)
        begin = "formatting" if disk is FLUSH else "verifying"
        events += [(disk.known_serial, begin, slow),
                   (disk.known_serial, BEGINS[disk], functools.partial(begin_fault, disk))]
    running = jobs.begin_prepare(machine, JOB, ids)
    not_met = jobs.at_moments(machine, JOB, running, events)
    return jobs.Outcome(running.result(jobs.SECONDS)), [event[:2] for event in not_met]


def check_failures(machine, report, outcome, names, sectors):
    report.check(f"some drives have failed: exit status {SOME_FAILED}", outcome.status == SOME_FAILED, outcome)
    good = outcome.drive(GOOD.known_serial)
    report.check("the drive beside them is finished", good.get("state") == "finished" and good["exit"] == 0,
                 good)
    for disk in BAD:
        drive = outcome.drive(disk.known_serial)
        error = drive.get("error") or {}
        label = f"{disk.name}: a {BAD[disk]} fails"
        if disk in sectors:
            label += f" at sector {sectors[disk]} of {SIZE // 512}"
        status = VERIFICATION if error.get("code") == "blocks-unreadable" and BAD[disk] == "read" else WRITE_FAILED
        report.check(f"{label}: the drive has failed, its exit status is {status}",
                     drive.get("exit") == status and error.get("exit") == status, drive)
        report.check(f"{disk.name}: it is not finished", drive.get("state") not in (None, "finished"), drive)
        report.check(f"{disk.name}: the error names the disk", f"/dev/{names[disk]}" in error.get("message", ""),
                     error)
        if BAD[disk] != "flush":
            report.check(f"{disk.name}: and where, or that the kernel's log tells it",
                         place_is_told(machine, error, names[disk], sectors.get(disk)),
                         f"{error}; kernel: {failed_sectors(machine, names[disk])}")
        report.check(f"{disk.name}: and what to do", bool(error.get("remedy")), error)
    told = jobs.run(machine, f"status {JOB}")
    states = {drive["id"]: drive["state"] for drive in told.told.get("drives", [])}
    report.check("status tells the failed from the finished",
                 [name for name, state in states.items() if state == "finished"] == [GOOD.known_serial], states)


def failed_sectors(machine, name):
    """Those that the kernel has named, as offsets in bytes."""
    lines = machine.run("dmesg").out
    return [512 * int(sector) for sector in
            re.findall(rf"(?:I/O error|critical \w+ error), dev {name}, sector (\d+)", lines)]


def place_is_told(machine, error, name, sector):
    """The message names the request that failed, in which the sector lies. What went through the page cache
    fails when it is flushed, and then only the kernel knows where."""
    message, failed = error.get("message", ""), failed_sectors(machine, name)
    if re.search(r"\bflush\b", message):
        return bool(failed) and "dmesg" in error.get("remedy", "")
    requests = [(int(offset), int(length)) for length, offset in
                re.findall(r"([0-9]+) bytes at offset ([0-9]+)", message)]
    places = failed if sector is None else [512 * sector]
    return any(offset <= place < offset + length for offset, length in requests for place in places)
