"""A drive that loses its power at any moment of its preparation.

Every write of a whole prepare is recorded, and replayed up to a hundred moments: what was flushed is
there, what was not is lost, torn, mixed, or there by luck. Judged on the host by blkid and by the
program; some of the drives go back into the machine, where the job continues as it was at that moment.
"""

import functools
import json
import os
import struct
import subprocess

import jobs
from disks import MIB, Disk
from faults import Faults
from judges import judge_drive, recovery_passwords
from machine import Machine
from write_log import WriteLog

SIZE = 64 * MIB
SERIAL = "SN-CUT"
CUT = Disk("cut", "scsi", SIZE, serial=SERIAL, model="CUT", logged=True)
POINTS = 100  # of the log; at each of them the four ways to lose what was not flushed
RESTS = ("none", "random", "torn", "all")
# When the job directory is kept, and what is on the drive of the writes after the last flush when the
# job is continued from there.
MOMENTS = {"copying": "none", "finishing": "torn", "verifying": "none", "sealing": "random"}
JOB = "/lab/job"
SLOW = 1 << 20
SIGNATURE = b"-FVE-FS-"
PARTITION = MIB


def run(lab, report):
    place = f"{lab.scratch}/powercut"
    with Machine(lab.files, place, [CUT]) as machine:
        print(f"        booted in {machine.boot_seconds:.1f} s, Linux {lab.files.version}")
        wanted = jobs.on_drive(jobs.make_lab(machine, lab, large=700000, block=200000, each=20000))
        machine.names()
        with open(f"{place}/before.img", "wb") as file:
            file.truncate(SIZE)
        jobs.make_job(machine, JOB, [jobs.row(f"serial:{SERIAL}")])
        moments = record(machine, report, place)
        Faults(machine, CUT).unplug()
        log = WriteLog(CUT.log_path(place))
        check_points(lab, report, place, log)
        for name, end in moments.items():
            check_continuation(machine, report, place, log, name, end, wanted)


def record(machine, report, place):
    """Prepares the drive; {moment: number of the log's entries then}."""
    faults, moments = Faults(machine, CUT), {}

    def keep(name):
        machine.run_ok("kill -STOP $(pidof driveprep); sleep 0.3")
        moments[name] = entries(place)
        machine.run_ok(f"tar -C /lab -cf /lab/{name}.tar job; kill -CONT $(pidof driveprep)")

    events = [*jobs.slow_writing(faults, SERIAL, SLOW), (SERIAL, "verifying", faults.full_speed)]
    events += [(SERIAL, name, functools.partial(keep, name)) for name in MOMENTS]
    running = jobs.begin_prepare(machine, JOB, [SERIAL])
    jobs.at_moments(machine, JOB, running, events)
    outcome = jobs.Outcome(running.result(jobs.SECONDS))
    report.check("a drive is prepared while its writes are recorded", outcome.status == 0,
                 outcome if outcome.status else "")
    report.check("the job directory was kept at each moment", len(moments) == len(MOMENTS), moments)
    return moments


def entries(place):
    with open(CUT.log_path(place), "rb") as file:
        return struct.unpack("<QQQI", file.read(28).ljust(28, b"\0"))[2]


def check_points(lab, report, place, log):
    """What looks like a finished drive is one: byte for byte what was read back and sealed."""
    count, image, final = len(log.entries), f"{place}/replayed.img", CUT.path(place)
    sealed = first_seal(log)
    report.check("the log has the writes and flushes of a prepare, and its seal comes at the end",
                 count > 20 and sealed >= count - 10, f"{count} entries, seal is {sealed}")
    steps = min(count, POINTS)
    ends = sorted({*(round(number * count / steps) for number in range(1, steps + 1)), *range(sealed, count + 1)})
    early, half, finished = [], [], 0
    for end in ends:
        for rest in RESTS:
            log.replay(f"{place}/before.img", image, end, rest, seed=end)
            if not looks_finished(lab, image):
                continue
            finished += 1
            if end <= sealed:
                early.append((end, rest))
            elif not same(image, final):
                half.append((end, rest))
    cuts = f"{len(ends) * len(RESTS)} cuts"
    report.check(f"in {cuts} no drive looks finished before it is sealed", not early, early)
    report.check("one that looks finished is, byte for byte", not half and finished, half or f"{finished} of {cuts}")
    log.replay(f"{place}/before.img", image, count, "none")
    report.check("after the last flush the finished drive is safe", looks_finished(lab, image) and
                 same(image, final))


def first_seal(log):
    """Number of the entry that writes the BitLocker signature to the start of the partition."""
    for number, entry in enumerate(log.entries):
        if entry.size and not entry.flags & 12 and entry.offset <= PARTITION < entry.offset + entry.size:
            at = PARTITION - entry.offset
            if log.data(entry)[at:at + 512][3:11] == SIGNATURE:
                return number
    return len(log.entries)


def looks_finished(lab, image):
    """To blkid, or to the program."""
    probed = subprocess.run(["/usr/sbin/blkid", "-p", "-O", str(PARTITION), "-o", "value", "-s", "TYPE", image],
                            capture_output=True, text=True, check=False).stdout.strip()
    told = json.loads(subprocess.run([lab.program, "volume", "info", "--json", image], capture_output=True,
                                     check=True).stdout)
    return probed == "BitLocker" or (told["state"] != "none" and not told["header_lost"])


def same(one, other):
    with open(one, "rb") as first, open(other, "rb") as second:
        while data := first.read(MIB):
            if data != second.read(MIB):
                return False
        return not second.read(1)


def check_continuation(machine, report, place, log, name, end, wanted):
    """The drive comes back as it was then, to the job as it was then."""
    disk = Disk(f"cut-{name}", "scsi", SIZE, serial=SERIAL, model="CUT")
    log.replay(f"{place}/before.img", disk.path(place), end, MOMENTS[name], seed=1)
    for one in disk.objects():
        machine.qmp.command_with("object-add", one)
    for node in disk.nodes(place):
        machine.qmp.command_with("blockdev-add", node)
    Faults(machine, disk).plug()
    device = machine.names([disk])[disk]
    machine.run_ok(f"rm -rf {JOB} /tmp/.local; tar -C /lab -xf /lab/{name}.tar")
    label = f"cut while {name}, {MOMENTS[name]} of the unflushed"
    outcome = jobs.prepare(machine, JOB)
    if outcome.status:
        said = (outcome.drive(SERIAL).get("error") or outcome.error)
        report.check(f"{label}: it is told that it must start over", "--confirm" in said.get("remedy", ""), outcome)
        outcome = jobs.prepare(machine, JOB, [SERIAL])
    report.check(f"{label}: the job goes on to a finished drive", outcome.status == 0 and
                 outcome.drive(SERIAL).get("state") == "finished", outcome if outcome.status else "")
    if name == "copying":
        judge_drive(machine, report, label, f"/dev/{device}", recovery_passwords(machine, JOB)[SERIAL], wanted)
    Faults(machine, disk).unplug()
    os.unlink(disk.path(place))
