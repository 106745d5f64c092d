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

SIZE = 96 * MIB
GOOD = Disk("good", "sata", SIZE, physical=4096)
FIRST, FLUSH, READ, LAST = (Disk(name, "scsi", SIZE) for name in ("first", "flush", "read", "last"))
MIDDLE = Disk("middle", "nvme", SIZE)
DISKS = [GOOD, FIRST, MIDDLE, LAST, FLUSH, READ]
BAD = {FIRST: "write", MIDDLE: "write", LAST: "write", FLUSH: "flush", READ: "read"}
# The line of the log after which the fault begins; FIRST has it from the start.
BEGINS = {MIDDLE: "copying", FLUSH: "copying", READ: "finishing", LAST: "verifying"}
JUDGED = [MIDDLE, READ]  # to open all of them would take a minute
JOB = "/lab/job"
SLOW = 1 << 20  # bytes a second: the phases take long enough to be met
WRITE_FAILED, SOME_FAILED = 6, 10


def run(lab, report):
    with Machine(lab.files, f"{lab.scratch}/faults", DISKS) as machine:
        print(f"        booted in {machine.boot_seconds:.1f} s, Linux {lab.files.version}")
        wanted = jobs.on_drive(jobs.make_lab(machine, lab))
        names = machine.names()
        jobs.make_job(machine, JOB, [jobs.row(f"serial:{disk.known_serial}") for disk in DISKS])
        ids = [disk.known_serial for disk in DISKS]
        faults = {disk: Faults(machine, disk) for disk in BAD}
        outcome = run_with_faults(machine, faults, ids)
        check_failures(machine, report, outcome, names)
        for fault in faults.values():
            fault.heal()
        again = jobs.prepare(machine, JOB, ids)
        report.check("the same command again, on disks that work, ends well", again.status == 0,
                     again if again.status else "")
        keys = recovery_passwords(machine, JOB)
        for disk in JUDGED:
            judge_drive(machine, report, f"{disk.name}, at last", f"/dev/{names[disk]}",
                        keys[disk.known_serial], wanted)


def run_with_faults(machine, faults, ids):
    def begin_fault(disk):
        faults[disk].fail(BAD[disk])
        faults[disk].full_speed()

    faults[FIRST].fail("write")
    events = []
    for disk, phase in BEGINS.items():
        events += jobs.slow_writing(faults[disk], disk.known_serial, SLOW)
        events.append((disk.known_serial, phase, functools.partial(begin_fault, disk)))
    running = jobs.begin_prepare(machine, JOB, ids)
    jobs.at_moments(machine, JOB, running, events)
    return jobs.Outcome(running.result(jobs.SECONDS))


def check_failures(machine, report, outcome, names):
    report.check(f"some drives have failed: exit status {SOME_FAILED}", outcome.status == SOME_FAILED, outcome)
    good = outcome.drive(GOOD.known_serial)
    report.check("the drive beside them is finished", good.get("state") == "finished" and good["exit"] == 0,
                 good)
    for disk in BAD:
        drive = outcome.drive(disk.known_serial)
        error = drive.get("error") or {}
        report.check(f"{disk.name}: a failing {BAD[disk]} fails the drive, its exit status is {WRITE_FAILED}",
                     drive.get("exit") == WRITE_FAILED and error.get("exit") == WRITE_FAILED, drive)
        report.check(f"{disk.name}: it is not finished", drive.get("state") != "finished", drive)
        report.check(f"{disk.name}: the error names the disk", f"/dev/{names[disk]}" in error.get("message", ""),
                     error)
        if BAD[disk] != "flush":
            report.check(f"{disk.name}: and where, or that the kernel's log tells it",
                         place_is_told(machine, error, names[disk]),
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


def place_is_told(machine, error, name):
    """A request may be larger than what failed in it. What went through the page cache fails when it is
    flushed, and then only the kernel knows where."""
    failed = failed_sectors(machine, name)
    if "flush" in error.get("message", ""):
        return bool(failed) and "dmesg" in error.get("remedy", "")
    named = [int(number.replace(",", "")) for number in
             re.findall(r"(?:offset|byte|at) ([0-9,]+)", error.get("message", ""))]
    return any(0 <= sector - offset <= 16 * MIB for offset in named for sector in failed)
