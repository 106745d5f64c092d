"""Disks that are unplugged in every phase of their preparation, on every bus.

Each round is the same command on the same job: disks go, the run tells so and finishes the others, they
come back, and the next round goes on. At the end all are finished.
"""

import functools

import jobs
from disks import MIB, Disk
from faults import Faults
from judges import judge_drive, recovery_passwords
from machine import Machine, Uncaught

SIZE = 64 * MIB
STAYS = Disk("stays", "sata", SIZE)
# In which phase a disk goes in the first round, and in which in the second.
GOES = {Disk("sata1", "sata", SIZE, physical=4096): ("wiping", "finishing"),
        Disk("sata2", "sata", SIZE, physical=4096): ("formatting", "sealing"),
        Disk("sata3", "sata", SIZE, physical=4096): ("copying", "verifying"),
        Disk("bot1", "usb-bot", SIZE): ("wiping", "sealing"),
        Disk("bot2", "usb-bot", SIZE): ("copying", "verifying"),
        Disk("uas", "usb-uas", SIZE): ("formatting", "finishing"),
        Disk("nvme1", "nvme", SIZE): ("copying", "finishing"),
        Disk("nvme2", "nvme", SIZE): ("wiping", "verifying"),
        Disk("scsi", "scsi", SIZE, sector=4096): ("copying", "sealing")}
DISKS = [STAYS, *GOES]
IDS = {disk: disk.known_serial for disk in DISKS}
# No bridge of QEMU's hands on ATA commands, so the operator has to tell what stands on the label.
ACCEPTED = [f"disk-serial-weak:{IDS[disk]}" for disk in DISKS if disk.bus.startswith("usb")] + \
           [f"disk-4kn:{IDS[disk]}" for disk in DISKS if disk.sector == 4096]
JUDGED = ["sata2", "uas"]
JOB = "/lab/job"
SHARE = 1500000  # bytes, for each disk: to copy them has to take a while
PAGE = 4096
GONE, SOME_FAILED = 5, 10


def run(lab, report):
    place = f"{lab.scratch}/unplug"
    with Machine(lab.files, place, DISKS) as machine:
        print(f"        booted in {machine.boot_seconds:.1f} s, Linux {lab.files.version}")
        wanted = jobs.on_drive(jobs.make_lab(machine, lab, block=SHARE, each=SHARE))
        machine.names()
        jobs.make_job(machine, JOB, [jobs.row(f"serial:{disk.known_serial}", IDS[disk]) for disk in DISKS])
        for number in (1, 2):
            check_round(machine, report, place, number, {disk: phases[number - 1] for disk, phases in GOES.items()})
        names = machine.names()  # a disk behind USB takes a second or two to be there again
        last = jobs.prepare(machine, JOB, IDS.values(), ACCEPTED)
        report.check("the same command with all disks there ends well", last.status == 0,
                     last if last.status else "")
        report.equal("all drives are finished", states(machine), dict.fromkeys(IDS.values(), "finished"))
        keys = recovery_passwords(machine, JOB)
        for disk in DISKS:
            if disk.name in JUDGED:
                judge_drive(machine, report, f"{disk.name}, at last", f"/dev/{names[disk]}", keys[IDS[disk]], wanted)


def check_round(machine, report, place, number, goes):
    names = machine.names()
    faults = {disk: Faults(machine, disk) for disk in goes}
    events, before = [], len(jobs.log_of(machine, JOB))
    frozen = {disk: Frozen(machine, IDS[disk], phase, before) for disk, phase in goes.items()}
    hosts = {}

    def unplug(disk):
        jobs.freeze(machine)  # or it would go on as soon as the disk is no longer slow
        if disk.bus == "sata":  # QEMU could not bring it back
            removing = remove(machine, names[disk])
            faults[disk].full_speed()  # the kernel waits for what the disk is about to do
            hosts[disk] = removing.result().out.strip()
        else:
            faults[disk].unplug()
            faults[disk].full_speed()
        frozen[disk].over = True
        if not any(other.waits() for other in frozen.values()):
            jobs.thaw(machine)

    for disk, phase in goes.items():
        events += way_to(place, disk, phase, faults[disk], frozen[disk], functools.partial(unplug, disk))
    running = jobs.begin_prepare(machine, JOB, IDS.values(), ACCEPTED)
    not_met = [event[2] for event in jobs.at_moments(machine, JOB, running, events, before)]
    outcome = jobs.Outcome(running.result(jobs.SECONDS))
    missed = [disk for disk in goes if any(getattr(call, "args", None) == (disk,) for call in not_met)]
    told, lines = states(machine), jobs.log_of(machine, JOB)[before:]
    phases = {disk: jobs.last_phase(lines, IDS[disk]) for disk in goes}
    late = [disk for disk in goes if disk in missed or phases[disk] not in may_be_met(goes[disk])]
    if late:
        raise Uncaught(f"round {number}: {[(disk.name, goes[disk], phases[disk]) for disk in late]} went on before "
                       f"they were unplugged: {outcome}")
    report.check(f"round {number}: every disk was unplugged in its phase, and began no later one", True)
    report.check(f"round {number}: the exit status is {SOME_FAILED}", outcome.status == SOME_FAILED, outcome)
    for disk, phase in goes.items():
        drive = outcome.drive(IDS[disk])
        error = drive.get("error") or {}
        label = f"{disk.name}, unplugged while {phase}"
        report.check(f"{label}: exit status {GONE}, drive-vanished",
                     (drive.get("exit"), error.get("code")) == (GONE, "drive-vanished"), drive)
        report.check(f"{label}: the message names it and says that it is gone", "is gone" in error.get("message", "")
                     and f"/dev/{names[disk]}" in error["message"], error)
        report.check(f"{label}: it is not finished, and status says so", drive.get("state") not in (None, "finished")
                     and told[IDS[disk]] == drive["state"], f"{drive}; status: {told}")
    report.equal(f"round {number}: the disk that stayed is finished", told[IDS[STAYS]], "finished")
    for disk, fault in faults.items():
        if disk in hosts:
            machine.run_ok(f"echo '- - -' >/sys/class/scsi_host/{hosts[disk]}/scan")
        else:
            fault.plug()


def may_be_met(phase):
    """The last phases that the log may name of a disk that went in one. Wiping is a part of formatting.
    Finishing may be over before the kernel has told of the loss: reading back meets it then."""
    return {"wiping": ("formatting",), "finishing": ("finishing", "verifying")}.get(phase, (phase,))


class Frozen:
    """driveprep stands still when a drive has come to a phase that is over before one sees it."""

    def __init__(self, machine, drive_id, phase, before):
        self.machine, self.running, self.over = machine, None, False
        self.where = (JOB, drive_id, phase, before)

    def begin(self):
        self.running = jobs.freeze_at(self.machine, *self.where)

    def ended(self):
        return self.running is not None and self.running.ended()

    def waits(self):
        return self.ended() and not self.over


def way_to(place, disk, phase, fault, frozen, unplug):
    """What has to happen so that the disk is caught in the phase. It is made slow while there is still
    something to be computed, and by requests: there are few in the short phases."""
    drive_id = IDS[disk]

    def limit(**limits):
        return functools.partial(fault.limit, **limits)

    slow_pages = {"iops_size": PAGE, "iops_write": 25}
    return {
        "wiping": [(drive_id, "formatting", limit(iops_total=10)), (drive_id, "wiping", unplug)],
        "formatting": [(drive_id, "formatting", limit(**slow_pages)),
                       (drive_id, functools.partial(has_table, disk, place), unplug)],
        "copying": [(drive_id, "formatting", limit(iops_size=16 * PAGE, iops_write=4)),
                    (drive_id, "copying", unplug)],
        "finishing": [(drive_id, "copying", limit(iops_write=2)), (drive_id, "copying", frozen.begin),
                      (drive_id, frozen.ended, unplug)],
        "verifying": [(drive_id, "verifying", limit(iops_read=10)), (drive_id, "verifying", unplug)],
        "sealing": [(drive_id, "verifying", limit(**slow_pages)), (drive_id, "sealing", unplug)],
    }[phase]


def has_table(disk, place):
    with open(disk.path(place), "rb") as file:
        file.seek(disk.sector)
        return file.read(8) == b"EFI PART"


def states(machine):
    """{drive id: state} as status tells them."""
    told = jobs.run(machine, f"status {JOB}").told
    return {drive["id"]: drive["state"] for drive in told.get("drives", [])}


def remove(machine, name):
    """The kernel lets go of a SATA disk; writes the host adapter at which it can be found again."""
    return machine.begin(f"""host=$(readlink -f /sys/block/{name}/device | grep -o '/host[0-9]*/' | tr -d /)
        echo $host
        echo 1 >/sys/block/{name}/device/delete""")
