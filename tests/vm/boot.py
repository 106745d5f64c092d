"""What machines are booted with: the kernel out of the cache directory, and one initramfs."""

import fcntl
from pathlib import Path

import initramfs
import kernel as kernels


class Files:
    """`kernel` and `initramfs` are paths. The initramfs is made anew below `directory`: that takes a
    second, and nothing old can be in it."""

    def __init__(self, cache, directory, program=None):
        cache = Path(cache)
        with open(cache / "lock", "wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            found = kernels.get(cache)
        self.version, self.kernel = found.version, found.image
        self.initramfs = Path(directory) / "initramfs"
        initramfs.build(self.initramfs, found, program)
