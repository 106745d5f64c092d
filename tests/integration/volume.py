"""Looks at finished drives with eyes of our own and with other people's programs.

Nothing here comes from the program: partition table and metadata are parsed from the formats'
descriptions, contents are read by cryptsetup, dislocker, libbde and ntfs-3g.
"""

import functools
import hashlib
import os
import re
import struct
import subprocess
import time
import uuid
import xml.etree.ElementTree as ElementTree
import zlib

METADATA_SIZE = 64 * 1024
RESERVED_SIZE = 64 * 1024  # region D, behind the first 8 KiB of NTFS
BASIC_DATA = uuid.UUID("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7")
NORMAL_VOLUME = uuid.UUID("4967d63b-2e29-4ad8-8399-f6a339e3d001")
METHODS = {"aes-cbc-128": 0x8002, "aes-cbc-256": 0x8003, "xts-aes-128": 0x8004,
           "xts-aes-256": 0x8005}


class FormatError(AssertionError):
    pass


def check(condition, what):
    if not condition:
        raise FormatError(what)


def read_at(path, offset, size):
    with open(path, "rb") as file:
        file.seek(offset)
        return file.read(size)


# --- partition table

class Gpt:
    """Both partition tables of a disk image, with every check of the UEFI specification, chapter 5."""

    def __init__(self, image, sector):
        self.image, self.sector = image, sector
        self.last = os.stat(image).st_size // sector - 1
        self.check_protective_mbr()
        first, entries = self.table(1)
        second, other_entries = self.table(self.last)
        check(first["alternate"] == self.last and second["alternate"] == 1, "each table names the other")
        check(entries == other_entries, "both tables have the same entries")
        for field in ("first_usable", "last_usable", "disk", "count", "size"):
            check(first[field] == second[field], f"both tables have the same {field}")
        self.disk_guid = first["disk"]
        used = [entry for entry in
                (entries[i:i + first["size"]] for i in range(0, len(entries), first["size"]))
                if entry[:16] != bytes(16)]
        check(len(used) == 1, "one partition")
        kind, self.partition_guid = uuid.UUID(bytes_le=used[0][:16]), uuid.UUID(bytes_le=used[0][16:32])
        begin, end, attributes = struct.unpack_from("<QQQ", used[0], 32)
        check(kind == BASIC_DATA, "the partition is basic data")
        check(attributes == 0, "the partition has no attributes")
        check(first["first_usable"] <= begin <= end <= first["last_usable"], "it lies in the usable part")
        self.offset, self.length = begin * sector, (end - begin + 1) * sector
        check(self.offset % (1 << 20) == 0, "it begins at a multiple of 1 MiB")

    def check_protective_mbr(self):
        mbr = read_at(self.image, 0, 512)
        check(mbr[510:] == b"\x55\xaa", "the MBR has its signature")
        check(mbr[446 + 4] == 0xEE and mbr[446 + 16:510] == bytes(48), "the MBR protects the whole disk")
        begin, size = struct.unpack_from("<II", mbr, 446 + 8)
        check((begin, size) == (1, min(self.last, 0xFFFFFFFF)), "the MBR's entry covers the disk")

    def table(self, sector_number):
        header = read_at(self.image, sector_number * self.sector, self.sector)
        names = ("signature", "revision", "header_size", "crc", "zero", "own", "alternate",
                 "first_usable", "last_usable", "disk", "entries", "count", "size", "entries_crc")
        table = dict(zip(names, struct.unpack_from("<8sIIIIQQQQ16sQIII", header)))
        check(table["signature"] == b"EFI PART", f"a table at sector {sector_number}")
        check(table["revision"] == 0x10000 and table["own"] == sector_number, "it knows its place")
        blank = header[:16] + bytes(4) + header[20:table["header_size"]]
        check(zlib.crc32(blank) == table["crc"], "the header's CRC")
        entries = read_at(self.image, table["entries"] * self.sector, table["count"] * table["size"])
        check(zlib.crc32(entries) == table["entries_crc"], "the entries' CRC")
        return table, entries


# --- BitLocker metadata

# Bytes before nested entries, by value type; other types nest nothing.
NESTING = {0x03: 20, 0x04: 4, 0x08: 28, 0x09: 24}
WRAPPED = 0x05


def wrapped_nonces(data):
    """The nonces of all AES-CCM entries among packed entries, nested ones included."""
    nonces, at = [], 0
    while at + 8 <= len(data):
        size, _, kind, _ = struct.unpack_from("<HHHH", data, at)
        if size == 0:
            break
        check(8 <= size <= len(data) - at, "an entry ends within its parent")
        if kind == WRAPPED:
            nonces.append(data[at + 8:at + 20])
        elif kind in NESTING:
            nonces += wrapped_nonces(data[at + 8 + NESTING[kind]:at + size])
        at += size
    return nonces


class Metadata:
    """One copy of the metadata: 64 KiB, with its CRC checked."""

    def __init__(self, data):
        self.data = data
        check(data[:8] == b"-FVE-FS-", "a metadata block")
        units, version, state, target, self.encrypted = struct.unpack_from("<HHHHQ", data, 8)
        check(version == 2, "version 2")
        self.states = (state, target)
        self.size = units * 16
        self.offsets = struct.unpack_from("<3Q", data, 0x20)
        self.relocated, = struct.unpack_from("<Q", data, 0x38)
        dataset = struct.unpack_from("<I", data, 0x40)[0]
        self.volume = uuid.UUID(bytes_le=data[0x50:0x60])
        self.next_counter, self.method = struct.unpack_from("<IH", data, 0x60)
        check(struct.unpack_from("<I", data, self.size + 4)[0] == zlib.crc32(data[:self.size]), "the CRC")
        self.nonces = wrapped_nonces(data[0x70:0x40 + dataset]) + wrapped_nonces(data[self.size + 8:])


class Volume:
    """A finished drive: partition, volume header, the three copies of the metadata."""

    def __init__(self, image, sector):
        self.image, self.sector = image, sector
        self.gpt = Gpt(image, sector)
        self.offset, self.length = self.gpt.offset, self.gpt.length
        header = self.read(0, 512)
        check(header[:11] == b"\xeb\x58\x90-FVE-FS-", "the header of a BitLocker volume")
        check(uuid.UUID(bytes_le=header[0xA0:0xB0]) == NORMAL_VOLUME, "a volume that is not converting")
        check(struct.unpack_from("<H", header, 11)[0] == sector, "the header knows the sector size")
        check(header[510:] == b"\x55\xaa", "the boot signature")
        self.metadata_offsets = struct.unpack_from("<3Q", header, 0xB0)
        self.copies = [self.read(offset, METADATA_SIZE) for offset in self.metadata_offsets]
        check(len(set(self.copies)) == 1, "three equal copies")
        self.metadata = Metadata(self.copies[0])
        check(self.metadata.offsets == self.metadata_offsets, "copies and header name the same places")
        check(self.metadata.states == (4, 4) and self.metadata.encrypted == self.length,
              "the whole volume is encrypted")
        check(len(set(self.metadata.nonces)) == len(self.metadata.nonces), "no nonce is used twice")
        check(len(self.metadata.nonces) >= 5, "every key is wrapped")

    def read(self, offset, size):
        return read_at(self.image, self.offset + offset, size)


def looks_finished(image, offset=1 << 20):
    """Whether anything would take the partition for a BitLocker volume."""
    return read_at(image, offset, 11)[3:11] == b"-FVE-FS-"


# --- other programs

def run(*command, **options):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL, **options)


def run_ok(*command, **options):
    done = run(*command, **options)
    check(done.returncode == 0, f"{command[0]} ended with {done.returncode}:\n"
          + done.stdout.decode("utf-8", "replace")[-3000:])
    return done.stdout.decode("utf-8", "replace")


def place_of(stream, path, byte):
    """Where a byte of a file lies on an NTFS volume, by ntfsprogs; None: inside its record."""
    text = run_ok("ntfsinfo", "--force", "--verbose", "--file", "/" + path, stream)
    runs = re.findall(r"(?m)^\s+(0x[0-9a-f]+)\t+(0x[0-9a-f]+)\t+(0x[0-9a-f]+)",
                      text.split("$DATA", 1)[-1])
    for vcn, lcn, length in ((int(a, 16), int(b, 16), int(c, 16)) for a, b, c in runs):
        if vcn * 4096 <= byte < (vcn + length) * 4096:
            return (lcn - vcn) * 4096 + byte
    return None


def copy_partition(image, offset, length, target):
    """The partition as a sparse file, for tools that know no offset."""
    with open(image, "rb") as source, open(target, "wb") as out:
        source.seek(offset)
        left = length
        while left > 0:
            data = source.read(min(left, 1 << 20))
            check(data, "the image ends within the partition")
            if data.count(0) != len(data):
                out.seek(length - left)
                out.write(data)
            left -= len(data)
        out.truncate(length)


def volume_key(partition, key_file):
    """The volume key as cryptsetup finds it, by a file with a recovery password, password or BEK."""
    text = run_ok("cryptsetup", "bitlkDump", "--dump-volume-key", "--batch-mode", "--key-file",
                  key_file, partition)
    return bytes.fromhex(text.split("MK dump:", 1)[1].replace("\n", " ").replace("\t", " "))


def key_file_of(directory, name, text):
    path = os.path.join(directory, name)
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    return path


def fvek_file(directory, method, key):
    """The volume key as dislocker takes it: the cipher's number and 64 bytes."""
    path = os.path.join(directory, "fvek")
    with open(path, "wb") as file:
        file.write(struct.pack("<H", method) + key.ljust(64, b"\0"))
    return path


def unmount(path):
    for _ in range(50):
        if run("umount", path).returncode == 0:
            return
        time.sleep(0.1)
    run("umount", "-l", path)


class Mount:
    """A file system in user space; `command` gets the mount point as its last argument."""

    def __init__(self, command, point):
        self.command, self.point = command, point
        os.makedirs(point, exist_ok=True)

    def __enter__(self):
        run_ok(*self.command, self.point)
        return self.point

    def __exit__(self, *unused):
        unmount(self.point)


def dislocker(image, offset, how, point, read_only=True):
    """The decrypted volume as the file POINT/dislocker-file; how: e.g. ["-p123456-..."]."""
    mode = ["-r"] if read_only else []
    return Mount(["dislocker-fuse", *mode, "-V", image, "-O", str(offset), *how, "--"], point)


def ntfs(volume, point, read_only=True):
    return Mount(["ntfs-3g", "-o", "ro" if read_only else "rw", volume], point)


# --- contents

def blobs_of(manifest):
    """Path on the drive by name of the blob."""
    root = ElementTree.parse(manifest).getroot()
    return {blob.findtext("BlobPath"): blob.findtext("FilePath").lstrip("\\").replace("\\", "/")
            for blob in root.iter("Blob")}


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while data := file.read(1 << 20):
            digest.update(data)
    return digest.hexdigest()


@functools.lru_cache(maxsize=None)
def sha256_of_source(path, *unchanged):
    return sha256(path)


def source_digest(path):
    """Sources are compared again and again: read once as long as nobody has touched them."""
    facts = os.stat(path)
    return sha256_of_source(path, facts.st_ino, facts.st_size, facts.st_ctime_ns)


def differences(mounted, sources, times=True, originals=None):
    """What of the sources [(directory or file, destination)] is not on the mounted drive as it was.

    `originals` maps a source path to the file that holds what it was when it was planned.
    """
    blobs = blobs_of(os.path.join(mounted, "DriveManifest.xml"))
    wrong, expected = [], set()
    for source, destination in sources:
        if os.path.isdir(source):
            files = [(os.path.join(directory, name),
                      destination + os.path.relpath(os.path.join(directory, name), source))
                     for directory, _, names in os.walk(source) for name in names]
        else:
            files = [(source, destination)]
        for path, blob in files:
            expected.add(blob)
            if blob not in blobs:
                wrong.append(f"{blob}: not in the manifest")
                continue
            found = os.path.join(mounted, blobs[blob])
            original = (originals or {}).get(path, path)
            if not os.path.isfile(found):
                wrong.append(f"{blob}: no file {blobs[blob]}")
            elif sha256(found) != source_digest(original):
                wrong.append(f"{blob}: the content differs")
            elif times and os.stat(found).st_mtime_ns // 100 != os.stat(original).st_mtime_ns // 100:
                wrong.append(f"{blob}: the time differs")
    wrong += [f"{blob}: shipped, but it is no source" for blob in blobs if blob not in expected]
    return wrong


def outside_differences(image, sector, recovery_password, sources, scratch, **options):
    """The same, of a finished image opened by dislocker and ntfs-3g."""
    volume = Volume(image, sector)
    with dislocker(image, volume.offset, [f"-p{recovery_password}"],
                   os.path.join(scratch, "decrypted")) as decrypted:
        with ntfs(os.path.join(decrypted, "dislocker-file"), os.path.join(scratch, "files")) as files:
            return differences(files, sources, **options)
