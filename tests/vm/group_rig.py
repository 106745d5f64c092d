"""The rig itself: disks are what they were made, and each fault shows as the kernel shows it."""

import re
import tempfile

from disks import MIB, Disk
from faults import Faults, failing, wait_until_busy
from machine import Machine
from write_log import WriteLog

SATA = Disk("sata", "sata", physical=4096, model="RIG HDD", rotation=5400, wwn=0x5000c500aa000001)
BOT = Disk("bot", "usb-bot", bridge_serial="BRIDGE-BOT")
UAS = Disk("uas", "usb-uas", sector=4096, bridge_serial="BRIDGE-UAS")
SCSI = Disk("scsi", "scsi", sector=4096, wwn=0x5000c500aa000002)
NVME = Disk("nvme", "nvme")
VIRTIO = Disk("virtio", "virtio", physical=4096)
PROTECTED = Disk("protected", "scsi", read_only=True)
CUT = Disk("cut", "scsi", size=8 * MIB, logged=True)
BUSES = (SATA, BOT, UAS, SCSI, NVME, VIRTIO)
BLOCK = 4096
ERRORS = {"Input/output error": "EIO", "No data available": "ENODATA", "No such device": "ENODEV",
          "No space left on device": "ENOSPC", "No such device or address": "ENXIO",
          "Read-only file system": "EROFS", "Operation not permitted": "EPERM"}


def run(lab, report):
    with tempfile.TemporaryDirectory(prefix="driveprep-rig-", dir=lab.scratch) as place:
        with Machine(lab.files, place, [*BUSES, PROTECTED, CUT]) as machine:
            print(f"        booted in {machine.boot_seconds:.1f} s, Linux {lab.files.version}")
            names = machine.names()
            for disk in machine.disks:
                check_identity(machine, report, disk, names[disk])
            for disk in BUSES:
                check_errors(machine, report, disk, names[disk])
            check_flush(machine, report, names)
            check_protection(machine, report, names[PROTECTED])
            check_slowness(machine, report, names[SCSI])
            check_removal_in_guest(machine, report, names[SATA])
            for disk in BUSES:
                check_unplug(machine, report, disk, machine.names([disk])[disk])
            write_for_power_cut(machine, report, names[CUT])
            machine.kill()
            check_replays(report, place)


def errors_in(result):
    """The errors that a tool has named, by their symbols."""
    named = [ERRORS[text] for text in sorted(ERRORS, key=len, reverse=True) if text in result.err]
    return named[0] if named else (result.err.strip() or "no error")


def write(name, block, count=1, more="oflag=direct", source="/dev/zero"):
    return f"dd if={source} of=/dev/{name} bs={BLOCK} seek={block} count={count} {more}"


def check_identity(machine, report, disk, name):
    facts = machine.run_ok(f"""cd /sys/block/{name}
        for file in queue/logical_block_size queue/physical_block_size size ro removable; do cat $file; done
        grep -w {name} /proc/partitions""").out.split()
    report.equal(f"{disk.name}: sector sizes, size, protection as it was made", facts[:4], [
        str(disk.sector), str(disk.physical or disk.sector), str(disk.size // 512),
        str(int(disk.read_only))])
    serials = machine.run_ok(f"drive-list | grep '^{name} '").out.split()[1].split(",")
    wanted = {disk.known_serial}
    if disk.bus == "usb-bot":  # the kernel asks disks behind such bridges for no serial of their own
        wanted = {disk.usb_serial}
    elif disk.bus == "usb-uas":
        wanted = {disk.known_serial, disk.usb_serial}
    report.check(f"{disk.name}: the kernel knows its serial", wanted <= set(serials), ",".join(serials))


def check_errors(machine, report, disk, name):
    block = 1000
    expected = "ENODATA" if disk.bus == "nvme" else "EIO"
    sectors = [block * BLOCK // 512]
    for kind in ("write", "read"):
        script = write(name, block) if kind == "write" else \
            f"dd if=/dev/{name} of=/dev/null bs={BLOCK} skip={block} count=1 iflag=direct"
        with failing(machine, disk, kind, sectors):
            bad = machine.run(script)
            beside = machine.run(script.replace(str(block), str(block + 8)))
        good = machine.run(script)
        report.check(f"{disk.name}: a sector that fails to {kind} is {expected}",
                     bad.status != 0 and errors_in(bad) == expected, errors_in(bad))
        report.check(f"{disk.name}: {kind}s beside it, and after it has healed, work",
                     beside.status == 0 and good.status == 0, f"{beside.err[-200:]} {good.err[-200:]}"
                     if beside.status or good.status else "")


def check_flush(machine, report, names):
    for disk in (SATA, UAS, SCSI, NVME, VIRTIO):
        script = write(names[disk], 3, more="conv=fsync")
        with failing(machine, disk, "flush"):
            bad = machine.run(script)
        report.check(f"{disk.name}: a flush that fails is an error of fsync", bad.status != 0,
                     errors_in(bad))
        report.check(f"{disk.name}: fsync works again", machine.run(script).status == 0)


def check_protection(machine, report, name):
    result = machine.run(write(name, 0))
    report.check("a protected disk cannot be written", result.status != 0, errors_in(result))


def check_slowness(machine, report, name):
    faults = Faults(machine, SCSI)
    faults.slow(iops=20)
    result = machine.run(f"time -p sh -c 'for i in 1 2 3; do {write(name, 0, 10)} 2>&-; done'")
    faults.full_speed()
    seconds = float(re.search(r"real\s+([0-9.]+)", result.err).group(1))
    report.check("30 writes at 20 a second take their time", seconds > 0.8, f"{seconds} s")


def check_removal_in_guest(machine, report, name):
    Faults(machine, SATA).gone_and_back(name)
    report.check("sata: a disk that the guest has let go is found again",
                 machine.run(f"sleep 1; {write(machine.names([SATA])[SATA], 0)}").status == 0)


def check_unplug(machine, report, disk, name):
    faults = Faults(machine, disk)
    faults.slow(iops=20)
    writing = machine.begin(write(name, 0, 2000))
    wait_until_busy(machine, name)
    faults.unplug()
    result = writing.result()
    named = errors_in(result)
    report.check(f"{disk.name}: unplugged in the middle of a write, the write ends with an error",
                 result.status != 0 and named in ("EIO", "ENODEV", "ENOSPC", "ENXIO"), named)
    report.check(f"{disk.name}: it is gone", machine.run(
        f"for i in $(seq 300); do [ -e /sys/block/{name} ] || exit 0; sleep 0.1; done; exit 1").status == 0)
    faults.full_speed()
    if disk.bus == "sata":
        return
    faults.plug()
    again = machine.names([disk])[disk]
    report.check(f"{disk.name}: plugged in again it works", machine.run(write(again, 0)).status == 0,
                 again)


def write_for_power_cut(machine, report, name):
    """40 blocks of A, a flush, 40 blocks of B, and no flush any more."""
    result = machine.run(f"""set -e
        for letter in A B; do tr '\\0' $letter </dev/zero | head -c {40 * BLOCK} >/tmp/$letter; done
        for block in $(seq 0 39); do {write(name, '$block', source='/tmp/A', more='oflag=direct')}; done
        {write(name, 0, 0, more='conv=notrunc,fsync')}
        for block in $(seq 40 79); do {write(name, '$block', source='/tmp/B', more='oflag=direct')}; done""")
    report.check("cut: 40 blocks, a flush, 40 blocks are written", result.status == 0, result.err[-300:]
                 if result.status else "")


def check_replays(report, place):
    log = WriteLog(CUT.log_path(place))
    fresh, made = f"{place}/fresh.img", f"{place}/replayed.img"
    with open(fresh, "wb") as file:
        file.truncate(CUT.size)
    report.check("cut: the image has kept what no flush had made safe",
                 blocks(CUT.path(place)) == ["A"] * 40 + ["B"] * 40)
    for rest, holds in (("none", lambda later: set(later) == {"-"}),
                        ("all", lambda later: set(later) == {"B"}),
                        ("random", lambda later: len(set(later)) > 1),
                        ("torn", lambda later: later[:39] == ["B"] * 39)):
        log.replay(fresh, made, rest=rest, seed=1)
        found = blocks(made)
        report.check(f"cut: replayed with {rest} of the last writes, all that was flushed is there",
                     found[:40] == ["A"] * 40)
        report.check(f"cut: replayed with {rest} of the last writes, the others are as they should be",
                     holds(found[40:]), "".join(found[40:]))


def blocks(path):
    """For each of the 80 blocks its letter, - when it is empty, ? when it is torn."""
    with open(path, "rb") as file:
        pieces = [file.read(BLOCK) for _ in range(80)]
    return [chr(piece[0] or ord("-")) if piece.count(piece[:1]) == BLOCK else "?" for piece in pieces]
