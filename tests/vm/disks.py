"""Disks of a machine: what the guest sees of them, and what they are made of on the host.

The nodes of a disk, from the bottom: file, raw, where writes are recorded blklogwrites, throttle.
The throttle is always there: below it faults.py puts an error injector while the machine runs.
"""

import dataclasses
import os

MIB = 1 << 20
BUSES = ("sata", "usb-bot", "usb-uas", "scsi", "nvme", "virtio")
ROOT_PORT_BUSES = ("sata", "nvme", "virtio")  # with a controller, and so a PCIe port, of their own


@dataclasses.dataclass(frozen=True)
class Disk:
    """`name` is the disk's in the rig; sizes in bytes. `bridge_serial` is that of the USB device,
    the same as `serial` when empty. Vendor and model are cut by SCSI to 8 and 16 characters."""

    name: str
    bus: str
    size: int = 64 * MIB
    sector: int = 512
    physical: int = 0  # 0: the same as `sector`
    serial: str = ""  # "": made of the name
    bridge_serial: str = ""
    vendor: str = "RIG"
    model: str = ""
    firmware: str = "1.0"
    wwn: int = 0
    rotation: int = 0  # turns a minute, 1 for flash, 0: not told
    removable: bool = False
    read_only: bool = False
    discard: bool = False  # what is discarded becomes a hole of the image
    logged: bool = False  # every write goes to `log_path`

    def __post_init__(self):
        if self.bus not in BUSES:
            raise ValueError(f"no bus {self.bus}")
        if self.bus == "sata" and self.sector != 512:
            raise ValueError("the emulated SATA disks have 512-byte sectors only")

    @property
    def known_serial(self):
        return self.serial or f"SN-{self.name.upper()}"

    @property
    def usb_serial(self):
        return self.bridge_serial or self.known_serial

    # --- on the host

    def path(self, directory):
        return os.path.join(directory, f"{self.name}.img")

    def log_path(self, directory):
        return os.path.join(directory, f"{self.name}.log")

    def create(self, directory):
        """Sparse; one that is there keeps its content."""
        for path, size in ((self.path(directory), self.size), (self.log_path(directory), 0)):
            if size or self.logged:
                with open(path, "ab") as file:
                    file.truncate(max(size, file.tell()))

    # --- nodes

    @property
    def top_node(self):
        return f"{self.name}-top"

    @property
    def base_node(self):
        """What the throttle stands on when nothing is injected."""
        return f"{self.name}-log" if self.logged else f"{self.name}-raw"

    @property
    def throttle_group(self):
        return f"{self.name}-speed"

    def objects(self):
        return [{"qom-type": "throttle-group", "id": self.throttle_group}]

    def top(self, below):
        """The throttle on top of the node `below`, as blockdev-add and blockdev-reopen want it."""
        return {"driver": "throttle", "node-name": self.top_node, "file": below,
                "throttle-group": self.throttle_group, "read-only": self.read_only,
                **({"discard": "unmap"} if self.discard else {})}

    def nodes(self, directory):
        cache = {"direct": False, "no-flush": False}
        discard = {"discard": "unmap"} if self.discard else {}
        nodes = [{"driver": "file", "node-name": f"{self.name}-file", "filename": self.path(directory),
                  "read-only": self.read_only, "cache": cache, "locking": "off", **discard},
                 {"driver": "raw", "node-name": f"{self.name}-raw", "file": f"{self.name}-file",
                  "read-only": self.read_only, **discard}]
        if self.logged:
            nodes += [{"driver": "file", "node-name": f"{self.name}-logfile",
                       "filename": self.log_path(directory)},
                      {"driver": "raw", "node-name": f"{self.name}-lograw",
                       "file": f"{self.name}-logfile"},
                      {"driver": "blklogwrites", "node-name": self.base_node,
                       "file": f"{self.name}-raw", "log": f"{self.name}-lograw",
                       "log-sector-size": 512, "log-super-update-interval": 1}]
        return [*nodes, self.top(self.base_node)]

    # --- devices

    @property
    def port(self):
        """The PCIe port, USB or SCSI bus that the disk, or its controller, is plugged into."""
        return f"{self.name}-port" if self.bus in ROOT_PORT_BUSES else None

    @property
    def unplug_id(self):
        """What goes when the disk is unplugged: for SATA its whole controller."""
        return {"sata": f"{self.name}-ahci", "usb-bot": f"{self.name}-usb",
                "usb-uas": f"{self.name}-usb"}.get(self.bus, f"{self.name}-disk")

    def devices(self):
        """What is plugged in, in this order, into what stays."""
        common = {"id": f"{self.name}-disk", "drive": self.top_node, "write-cache": "on",
                  "logical_block_size": self.sector,
                  "physical_block_size": self.physical or self.sector}
        errors = {"rerror": "report", "werror": "report"}
        scsi = {"driver": "scsi-hd", **common, **errors, "serial": self.known_serial,
                "vendor": self.vendor, "product": self.model or self.name.upper()[:16],
                "ver": self.firmware[:4], "removable": self.removable,
                **({"wwn": self.wwn} if self.wwn else {}),
                **({"rotation_rate": self.rotation} if self.rotation else {})}
        if self.bus == "sata":
            return [{"driver": "ich9-ahci", "id": f"{self.name}-ahci", "bus": self.port},
                    {"driver": "ide-hd", **common, **errors, "bus": f"{self.name}-ahci.0",
                     "serial": self.known_serial, "model": self.model or f"RIG {self.name}",
                     "ver": self.firmware, **({"wwn": self.wwn} if self.wwn else {}),
                     **({"rotation_rate": self.rotation} if self.rotation else {})}]
        if self.bus in ("usb-bot", "usb-uas"):
            return [{"driver": self.bus, "id": f"{self.name}-usb", "bus": "xhci.0",
                     "serial": self.usb_serial},
                    {**scsi, "bus": f"{self.name}-usb.0"}]
        if self.bus == "scsi":
            return [{**scsi, "bus": "scsi.0"}]
        if self.bus == "nvme":
            return [{"driver": "nvme", **common, "bus": self.port, "serial": self.known_serial}]
        return [{"driver": "virtio-blk-pci", **common, **errors, "bus": self.port,
                 "serial": self.known_serial}]
