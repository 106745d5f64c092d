"""Disks that are unplugged while they are wiped, written and read back, on every bus.

Each round is the same command on the same job: disks go, the run tells so, they come back, and the next
round goes on. At the end all are finished.
"""

import functools

import jobs
from disks import MIB, Disk
from faults import Faults
from judges import judge_drive, recovery_passwords
from machine import Machine

SIZE = 96 * MIB
SATA = Disk("sata", "sata", SIZE, physical=4096)
BOT = Disk("bot", "usb-bot", SIZE, bridge_serial="BRIDGE-BOT")
UAS = Disk("uas", "usb-uas", SIZE, bridge_serial="BRIDGE-UAS")
NVME = Disk("nvme", "nvme", SIZE)
SCSI = Disk("scsi", "scsi", SIZE)
IDS = {SATA: "SN-SATA", BOT: "LABEL-BOT", UAS: "LABEL-UAS", NVME: "SN-NVME", SCSI: "SN-SCSI"}
ROWS = [jobs.row("serial:SN-SATA"), jobs.row("serial:BRIDGE-BOT", IDS[BOT]), jobs.row("serial:SN-UAS", IDS[UAS]),
        jobs.row("serial:SN-NVME"), jobs.row("serial:SN-SCSI")]
ACCEPTED = [f"disk-serial-weak:{IDS[BOT]}", f"disk-serial-weak:{IDS[UAS]}"]
# Which disks go in a round, and what the log says of their drives when they do.
ROUNDS = [{SATA: "copying", BOT: "wiping", UAS: "copying", NVME: "wiping", SCSI: "verifying"},
          {BOT: "copying", UAS: "verifying", NVME: "copying"}]
JUDGED = [BOT, NVME]
JOB = "/lab/job"
SLOW = 1 << 20  # bytes a second: the phases take long enough to be met
GONE, SOME_FAILED = 5, 10


def run(lab, report):
    with Machine(lab.files, f"{lab.scratch}/unplug", list(IDS)) as machine:
        print(f"        booted in {machine.boot_seconds:.1f} s, Linux {lab.files.version}")
        wanted = jobs.on_drive(jobs.make_lab(machine, lab))
        machine.names()
        jobs.make_job(machine, JOB, ROWS)
        for number, goes in enumerate(ROUNDS, 1):
            check_round(machine, report, number, goes)
        machine.names()  # a disk behind USB takes a second or two to be there again
        last = jobs.prepare(machine, JOB, IDS.values(), ACCEPTED)
        report.check("the same command with all disks there ends well", last.status == 0,
                     last if last.status else "")
        names, keys = machine.names(), recovery_passwords(machine, JOB)
        for disk in JUDGED:
            judge_drive(machine, report, f"{disk.name}, at last", f"/dev/{names[disk]}", keys[IDS[disk]], wanted)


def check_round(machine, report, number, goes):
    names = machine.names()
    faults = {disk: Faults(machine, disk) for disk in goes}
    hosts = {}

    def unplug(disk):
        if disk.bus == "sata":  # QEMU could not bring it back
            hosts[disk] = remove(machine, names[disk])
        else:
            faults[disk].unplug()
        faults[disk].full_speed()

    events = []
    for disk, phase in goes.items():
        if phase != "wiping":
            events += jobs.slow_writing(faults[disk], IDS[disk], SLOW)
        events.append((IDS[disk], phase, functools.partial(unplug, disk)))
    before = len(jobs.log_of(machine, JOB))
    running = jobs.begin_prepare(machine, JOB, IDS.values(), ACCEPTED)
    not_met = jobs.at_lines(machine, JOB, running, events, before)
    outcome = jobs.Outcome(running.result(300))
    missed = [disk for disk, phase in goes.items() if any(event[:2] == (IDS[disk], phase) for event in not_met)]
    report.check(f"round {number}: every disk came so far that it could be unplugged", not missed,
                 f"{[disk.name for disk in missed]} {outcome}" if missed else "")
    status = GONE if len(goes) == len(IDS) else SOME_FAILED
    report.check(f"round {number}: the exit status is {status}", outcome.status == status, outcome)
    for disk, phase in goes.items():
        drive = outcome.drive(IDS[disk])
        error = drive.get("error") or {}
        label = f"{disk.name}, unplugged while {phase}"
        report.check(f"{label}: exit status {GONE}, drive-vanished",
                     (drive.get("exit"), error.get("code")) == (GONE, "drive-vanished"), drive)
        report.check(f"{label}: the message says that it is gone", "is gone" in error.get("message", ""), error)
        report.check(f"{label}: it is not finished", drive.get("state") not in (None, "finished"), drive)
    for disk in set(IDS) - set(goes):
        drive = outcome.drive(IDS[disk])
        report.check(f"round {number}: {disk.name}, which stayed, is finished", drive.get("state") == "finished",
                     drive)
    for disk, fault in faults.items():
        if disk in hosts:
            machine.run_ok(f"echo '- - -' >/sys/class/scsi_host/{hosts[disk]}/scan")
        elif disk not in missed:
            fault.plug()


def remove(machine, name):
    """The kernel lets go of a SATA disk; returns the host adapter at which it can be found again."""
    return machine.run_ok(f"""host=$(readlink -f /sys/block/{name}/device | grep -o '/host[0-9]*/' | tr -d /)
        echo 1 >/sys/block/{name}/device/delete
        echo $host""").out.strip()
