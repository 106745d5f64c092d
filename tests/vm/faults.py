"""Breaks the disks of a running machine, and heals them: errors, unplugging, slowness.

A power cut is Machine.kill(); what a disk without a flush may have lost then is write_log.py's.
"""

import contextlib
import time

from qmp import QmpError

EIO = 5
REOPEN_TRIES = 400  # of a disk whose flushes fail: reopening flushes, and uses up one failure each
FLUSH_FAILURES = 200
NO_LIMITS = {f"{unit}-{kind}": 0 for unit in ("iops", "bps") for kind in ("total", "read", "write")} | {"iops-size": 0}


class Faults:
    """The faults of one disk of a running machine."""

    def __init__(self, machine, disk):
        self.machine, self.disk, self.count, self.armed = machine, disk, 0, None

    # --- errors

    def fail(self, kind, sectors=None, errno=EIO):
        """From now on requests of this kind (read, write, flush, discard, write-zeroes) fail when
        they touch one of the sectors (numbered in 512 bytes; None: whatever they touch)."""
        if kind == "flush":
            rules = [{"event": "none", "iotype": "flush", "errno": errno, "once": True}] * FLUSH_FAILURES
        elif sectors is None:
            rules = [{"event": "none", "iotype": kind, "errno": errno, "once": False}]
        else:
            rules = [{"event": "none", "iotype": kind, "errno": errno, "once": False, "sector": sector}
                     for sector in sectors]
        self.inject(rules)

    def inject(self, rules):
        self.heal()
        self.count += 1
        node = f"{self.disk.name}-faults{self.count}"
        self.machine.qmp.command_with("blockdev-add", {
            "driver": "blkdebug", "node-name": node, "image": self.disk.base_node,
            "read-only": self.disk.read_only, "inject-error": rules})
        self.reopen(node)
        self.armed = node

    def heal(self):
        """The disk works again."""
        if self.armed:
            self.reopen(self.disk.base_node)
            self.machine.qmp.command_with("blockdev-del", {"node-name": self.armed})
            self.armed = None

    def reopen(self, below):
        for left in reversed(range(REOPEN_TRIES)):
            try:
                self.machine.qmp.command_with("blockdev-reopen", {"options": [self.disk.top(below)]})
                return
            except QmpError:
                if left == 0:
                    raise

    # --- slowness

    def slow(self, iops=20, bytes_per_second=1 << 20):
        """A slow disk makes "in the middle of a write" a place that can be hit."""
        self.limit(iops_total=iops, bps_total=bytes_per_second)

    def full_speed(self):
        self.limit()

    def limit(self, **limits):
        """The limits of QEMU's throttle, with underlines for hyphens: iops_write, bps_total ..., and iops_size,
        of which a larger request is several. Those that are not named end, though QEMU would keep them."""
        self.machine.qmp.command_with("qom-set", {
            "path": f"/objects/{self.disk.throttle_group}", "property": "limits",
            "value": NO_LIMITS | {name.replace("_", "-"): value for name, value in limits.items()}})

    # --- plugs

    def unplug(self, seconds=120):
        """Returns when it is gone; a SATA disk goes with its controller. Surprise removal on USB and
        SCSI; PCIe asks the guest's kernel, which lets go within a second."""
        device, qmp = self.disk.unplug_id, self.machine.qmp
        surprise = self.disk.bus in ("usb-bot", "usb-uas", "scsi")
        if surprise:
            # QEMU waits for what is under way before it lets go of it, which may be minutes of a slow disk,
            # and answers nobody meanwhile. The guest stands still, so that nothing new is begun.
            qmp.command("stop")
            self.full_speed()
        if self.disk.bus in ("usb-bot", "usb-uas"):
            # The port lets go of its transfers while the bridge still knows them. Deleted at once, the
            # emulated UAS bridge forgets them first, and QEMU 7.2 ends: "canceled usb packet not found".
            self.attach(False)
        qmp.command_with("device_del", {"id": device})
        if surprise:
            qmp.command("cont")
        else:
            self.full_speed()  # the guest lets go when all is done that was begun
        qmp.wait_for_event("DEVICE_DELETED", lambda data: data.get("device") == device,
                                        seconds)

    def plug(self):
        """Plugs in what was unplugged; Machine.names() waits until the guest has found it."""
        if self.disk.bus == "sata":  # QEMU's AHCI controllers take disks before the start only
            raise NotImplementedError("a SATA disk cannot come back: see gone_and_back()")
        self.machine.qmp.command("stop")  # or the guest might see a USB bridge without its disk
        for device in self.disk.devices():
            self.machine.qmp.command_with("device_add", device)
        if self.disk.bus in ("usb-bot", "usb-uas"):  # are made unattached, to get their disks first
            self.attach(True)
        self.machine.qmp.command("cont")

    def attach(self, attached):
        """The plug of a USB bridge."""
        self.machine.qmp.command_with("qom-set", {
            "path": f"/machine/peripheral/{self.disk.unplug_id}", "property": "attached", "value": attached})

    def gone_and_back(self, name):
        """Inside the guest, for SATA: the disk goes, and its port is searched again."""
        self.machine.run_ok(f"""
            host=$(readlink -f /sys/block/{name}/device | grep -o '/host[0-9]*/' | tr -d /)
            echo 1 >/sys/block/{name}/device/delete
            echo '- - -' >/sys/class/scsi_host/$host/scan""")


@contextlib.contextmanager
def failing(machine, disk, kind, sectors=None, errno=EIO):
    """with failing(machine, disk, "write", [2048]): ..."""
    faults = Faults(machine, disk)
    faults.fail(kind, sectors, errno)
    try:
        yield faults
    finally:
        faults.heal()


def wait_until_busy(machine, name, kind="write", seconds=120):
    """Returns when the guest's kernel has a request under way on the disk, so that it can be hit."""
    column = {"read": 1, "write": 2}[kind]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = machine.run(f"awk '{{print ${column}}}' /sys/block/{name}/inflight").out.strip()
        if found not in ("", "0"):
            return
    raise TimeoutError(f"no {kind} on {name} in {seconds} s")
