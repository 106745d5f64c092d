"""What a power cut may leave on a disk: replays the log of its writes onto a copy as it was.

The log is QEMU's blklogwrites, in the format of the kernel's dm-log-writes (its documentation under
admin-guide/device-mapper): a header sector (magic, version, number of entries as u64, sector size
as u32), then for each entry one sector (first sector, number of sectors, flags, length of data to
follow as u64) and the data. A disk with a cache keeps, after a cut, everything up to the last flush,
and of what followed any part.
"""

import os
import random
import shutil
import struct

MAGIC = 0x6a736677736872
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8
TORN_SECTOR = 512


class LogError(Exception):
    pass


class Entry:
    """A write, discard or flush. Offsets and sizes in bytes; a flush comes before its data."""

    def __init__(self, offset, size, flags, place):
        self.offset, self.size, self.flags, self.place = offset, size, flags, place

    @property
    def flushes(self):
        return bool(self.flags & FLUSH)

    @property
    def durable(self):
        return bool(self.flags & FUA)

    def __repr__(self):
        names = [name for bit, name in ((FLUSH, "flush"), (FUA, "fua"), (DISCARD, "discard"),
                                        (MARK, "mark")) if self.flags & bit]
        return f"{self.size} at {self.offset}{' '.join(['', *names])}"


class WriteLog:
    """The entries of a log, in the order in which the disk was given them."""

    def __init__(self, path):
        self.path, self.entries = path, []
        with open(path, "rb") as file:
            header = file.read(28)
            magic, version, count, sector = struct.unpack("<QQQI", header.ljust(28, b"\0"))
            if magic == 0:  # QEMU writes it with the first flush
                return
            if magic != MAGIC or version != 1:
                raise LogError(f"{path} is no log of writes")
            at = sector
            for _ in range(count):
                file.seek(at)
                first, sectors, flags, length = struct.unpack("<QQQQ", file.read(32))
                has_data = not flags & (DISCARD | MARK)
                self.entries.append(Entry(first * sector, sectors * sector, flags, at + sector))
                at += sector + (sectors * sector if has_data else length)

    def data(self, entry):
        with open(self.path, "rb") as file:
            file.seek(entry.place)
            return file.read(entry.size)

    def flushed(self, end):
        """Number of the entries that are surely on the disk when the power goes before entry `end`."""
        return next((number for number in reversed(range(end)) if self.entries[number].flushes), 0)

    def replay(self, before, result, end=None, rest="none", seed=0):
        """Makes `result` of the image `before`: what was flushed before entry `end` (None: the end
        of the log), and of the entries after that none, "all", a "random" part by sector, or all
        but a part of the last write ("torn"). Returns the number of entries that are surely there."""
        end = len(self.entries) if end is None else end
        sure = self.flushed(end)
        copy_sparse(before, result)
        chosen = random.Random(seed)
        with open(result, "r+b") as file:
            for number, entry in enumerate(self.entries[:end]):
                kept = number < sure or entry.durable or rest == "all"
                if kept or (rest == "torn" and number < end - 1):
                    self.apply(file, entry)
                elif rest == "torn":
                    self.apply(file, entry, chosen.randrange(entry.size // TORN_SECTOR + 1))
                elif rest == "random":
                    self.apply_some(file, entry, chosen)
        return sure

    def apply(self, file, entry, sectors=None):
        """Writes the entry, or its first sectors."""
        if entry.flags & MARK or not entry.size:
            return
        size = entry.size if sectors is None else min(entry.size, sectors * TORN_SECTOR)
        data = bytes(size) if entry.flags & DISCARD else self.data(entry)[:size]
        file.seek(entry.offset)
        file.write(data)

    def apply_some(self, file, entry, chosen):
        if entry.flags & (MARK | DISCARD) or not entry.size:
            return
        data = self.data(entry)
        for at in range(0, entry.size, TORN_SECTOR):
            if chosen.random() < 0.5:
                file.seek(entry.offset + at)
                file.write(data[at:at + TORN_SECTOR])


def copy_sparse(source, target):
    """A copy that leaves holes where the source has them."""
    size = os.stat(source).st_size
    with open(source, "rb") as reader, open(target, "wb") as writer:
        writer.truncate(size)
        at = 0
        while at < size:
            try:
                at = os.lseek(reader.fileno(), at, os.SEEK_DATA)
            except OSError:  # no data any more
                return
            end = os.lseek(reader.fileno(), at, os.SEEK_HOLE)
            reader.seek(at)
            writer.seek(at)
            while at < end:
                data = reader.read(min(1 << 20, end - at))
                writer.write(data)
                at += len(data)
    shutil.copymode(source, target)
