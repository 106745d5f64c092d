"""Runs in the guest: what only an open block device tells, by ioctl, SCSI and NVMe commands.

Commands are those of SPC-5, SBC-4, ACS-4 (through ATA PASS-THROUGH of SAT-4) and NVMe 1.4; none of
them writes. Layouts of the ioctls are those of linux/fs.h, scsi/sg.h and linux/nvme_ioctl.h.
"""

import ctypes
import errno
import fcntl
import os
import struct

NUMBERS = {"BLKGETSIZE64": (0x80081272, "Q"), "BLKSSZGET": (0x1268, "i"), "BLKPBSZGET": (0x127b, "I"),
           "BLKROGET": (0x125e, "i"), "BLKALIGNOFF": (0x127a, "i"), "BLKIOMIN": (0x1278, "I"),
           "BLKIOOPT": (0x1279, "I"), "BLKROTATIONAL": (0x127e, "H"), "BLKGETDISKSEQ": (0x80081280, "Q")}
SG_IO = 0x2285
NVME_ADMIN_COMMAND = 0xc0484e41


def ata(command, feature=0, lba=0, count=1, reads=True):
    """ATA PASS-THROUGH (16): PIO data in, or no data with the registers wanted in the sense data."""
    cdb = bytearray(16)
    cdb[0] = 0x85
    cdb[1], cdb[2] = (4 << 1, 0x0e) if reads else (3 << 1, 0x20)
    cdb[4], cdb[6], cdb[14] = feature, count, command
    cdb[8], cdb[10], cdb[12] = lba & 0xff, lba >> 8 & 0xff, lba >> 16 & 0xff
    return bytes(cdb), 512 if reads else 0


def inquiry(page=None):
    return bytes((0x12, 0 if page is None else 1, page or 0, 0, 0xff, 0)), 255


COMMANDS = {
    "INQUIRY": inquiry(), **{f"INQUIRY {page:02x}": inquiry(page)
                             for page in (0x00, 0x80, 0x83, 0xb0, 0xb1, 0xb2)},
    "INQUIRY 89": (bytes((0x12, 1, 0x89, 2, 0x40, 0)), 0x240),
    "READ CAPACITY (10)": (bytes((0x25,)) + bytes(9), 8),
    "READ CAPACITY (16)": (bytes((0x9e, 0x10)) + bytes(11) + bytes((32,)) + bytes(2), 32),
    "MODE SENSE (6) caching": (bytes((0x1a, 0, 8, 0, 0xff, 0)), 255),
    "LOG SENSE temperature": (bytes((0x4d, 0, 0x4d)) + bytes(5) + bytes((0xff, 0)), 255),
    "LOG SENSE informational exceptions": (bytes((0x4d, 0, 0x6f)) + bytes(5) + bytes((0xff, 0)), 255),
    "ATA IDENTIFY DEVICE": ata(0xec),
    "ATA SMART READ DATA": ata(0xb0, 0xd0, 0xc24f00),
    "ATA SMART READ THRESHOLDS": ata(0xb0, 0xd1, 0xc24f01),
    "ATA SMART RETURN STATUS": ata(0xb0, 0xda, 0xc24f00, count=0, reads=False),
    "ATA READ NATIVE MAX ADDRESS EXT": ata(0x27, count=0, reads=False),
}
NVME = {"IDENTIFY CONTROLLER": (0x06, 0, 1, 4096), "IDENTIFY NAMESPACE": (0x06, 1, 0, 4096),
        "SMART": (0x02, 0xffffffff, 0x007f0002, 512)}


def name_of(error):
    return errno.errorcode.get(error.errno, str(error.errno))


def all_of(node, is_partition):
    try:
        device = os.open(node, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        return {"open": name_of(error)}
    try:
        answers = {"ioctl": ioctls(device)}
        if not is_partition:
            add(answers, "sg", {name: scsi(device, *command) for name, command in COMMANDS.items()})
            add(answers, "nvme", {name: nvme(device, *command) for name, command in NVME.items()})
        return answers
    finally:
        os.close(device)


def add(answers, kind, found):
    """Devices that do not know this kind of command at all are told in one word."""
    errors = {answer.get("error") for answer in found.values()}
    answers[kind] = found if None in errors else {"error": sorted(errors)[0]}


def ioctls(device):
    found = {}
    for name, (number, kind) in NUMBERS.items():
        buffer = bytearray(struct.calcsize(kind))
        try:
            fcntl.ioctl(device, number, buffer)
            found[name] = struct.unpack(kind, buffer)[0]
        except OSError as error:
            found[name] = name_of(error)
    return found


def scsi(device, cdb, length):
    data, sense = ctypes.create_string_buffer(max(length, 1)), ctypes.create_string_buffer(32)
    command = ctypes.create_string_buffer(cdb, len(cdb))
    header = bytearray(struct.pack(
        "@iiBBHIPPPIIiPBBBBHHiII", ord("S"), -3 if length else -1, len(cdb), 32, 0, length,
        ctypes.addressof(data), ctypes.addressof(command), ctypes.addressof(sense), 20000, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0))
    try:
        fcntl.ioctl(device, SG_IO, header)
    except OSError as error:
        return {"error": name_of(error)}
    fields = struct.unpack("@iiBBHIPPPIIiPBBBBHHiII", header)
    status, written, host, driver, left = fields[13], fields[16], fields[17], fields[18], fields[19]
    return {"cdb": cdb.hex(), "status": status, "host": host, "driver": driver,
            "sense": sense.raw[:written].hex(), "data": data.raw[:max(0, length - left)].hex()}


def nvme(device, opcode, namespace, word10, length):
    data = ctypes.create_string_buffer(length)
    command = bytearray(struct.pack("@BBHIIIQQIIIIIIIIII", opcode, 0, 0, namespace, 0, 0, 0,
                                    ctypes.addressof(data), 0, length, word10, 0, 0, 0, 0, 0, 10000, 0))
    try:
        result = fcntl.ioctl(device, NVME_ADMIN_COMMAND, command)
    except OSError as error:
        return {"error": name_of(error)}
    return {"result": result, "data": data.raw.hex()}
