"""Whole drives: prepared, filled and verified."""

import os
import shutil
import statistics
import subprocess
import time

from harness import Job, forget_files, settle, skipped, timed, verdict


def big_file(program, place, rounds):
    source = place / "big"
    source.mkdir()
    size = 4 << 30
    with open(source / "big.bin", "wb") as out:
        for _ in range(size // (4 << 20)):
            out.write(os.urandom(4 << 20))
    copy, dd_write, verify, dd_read = [], [], [], []
    for _ in range(rounds):
        settle()
        target = place / "dd.bin"
        dd_write.append(timed("dd", f"if={source}/big.bin", f"of={target}", "bs=4M", "oflag=direct"))
        settle()
        dd_read.append(timed("dd", f"if={target}", "of=/dev/null", "bs=4M", "iflag=direct"))
        target.unlink()
        settle()
        job = Job(program, place / "job", source, 5 << 30)
        phases = job.prepare()
        copy.append((phases["copying"] + phases["finishing"]) / 1000)
        verify.append(phases["verifying"] / 1000)
        job.remove()
    shutil.rmtree(source)
    ok = True
    for name, ours, peer in (("write 4 GiB", copy, dd_write), ("verify 4 GiB", verify, dd_read)):
        mine, theirs = statistics.median(ours), statistics.median(peer)
        rate = size / mine / 1e9
        ok &= verdict(name, f"{rate:.2f} GB/s, dd {size / theirs / 1e9:.2f} GB/s, ratio "
                      f"{theirs / mine:.2f} (wanted 0.80, or 1.5 GB/s)",
                      theirs / mine >= 0.8 or rate >= 1.5)
    return ok


def make_small_files(root):
    count = 0
    for directory in range(100):
        (root / f"directory-{directory:03}").mkdir(parents=True)
        for number in range(1000):
            size = 1024 + (count * 7919) % 3073
            with open(root / f"directory-{directory:03}" / f"file-{number:04}.dat", "wb") as out:
                out.write(os.urandom(size))
            count += 1
    return count


class DislockerMount:
    """The program's own finished drive, opened by dislocker and mounted by ntfs-3g."""

    def __init__(self, job, place):
        self.plain, self.mount = place / "plain", place / "mount"
        for path in (self.plain, self.mount):
            path.mkdir(exist_ok=True)
        subprocess.run(["dislocker-fuse", "-V", str(job.root / "drive.img"), "-O", str(1 << 20),
                        f"-p{job.recovery_password()}", str(self.plain)], check=True)
        subprocess.run(["mount", "-t", "ntfs-3g", "-o", "loop,big_writes",
                        str(self.plain / "dislocker-file"), str(self.mount)], check=True)

    def close(self):
        subprocess.run(["umount", str(self.mount)], check=True)
        subprocess.run(["umount", str(self.plain)], check=True)


def small_files(program, place, rounds):
    source = place / "small"
    count = make_small_files(source)
    peer_possible = (os.geteuid() == 0 and shutil.which("dislocker-fuse")
                     and shutil.which("ntfs-3g") and os.path.exists("/dev/fuse"))
    ours, peer = [], []
    for _ in range(rounds):
        settle()
        job = Job(program, place / "job", source, 2 << 30)
        phases = job.prepare()
        ours.append((phases["copying"] + phases["finishing"]) / 1000)
        # The peer takes half a minute for all: a tenth of the files.
        if peer_possible:
            mount = DislockerMount(job, place)
            tenth = [source / f"directory-{n:03}" for n in range(10)]
            start = time.monotonic()
            for directory in tenth:
                subprocess.run(["cp", "-r", str(directory), str(mount.mount)], check=True)
            mount.close()
            peer.append((time.monotonic() - start) * 10)
        job.remove()
    shutil.rmtree(source)
    mine = statistics.median(ours)
    ok = verdict("small files", f"{count / mine:,.0f} files/s (wanted 40,000)", count / mine >= 40000)
    if peer:
        ratio = statistics.median(peer) / mine
        ok &= verdict("small files", f"{ratio:.1f} times cp -r into ntfs-3g over dislocker "
                      f"({count / statistics.median(peer):,.0f} files/s; wanted 20)", ratio >= 20)
    else:
        print("small files    peer skipped: needs root, dislocker, ntfs-3g and /dev/fuse")
    return ok


def cold_files(program, place, rounds):
    """Small files that come from the disk, as a data set that is not in memory does; beside it, how long
    one program needs that reads one after the other. No figure is wanted."""
    if not os.access("/proc/sys/vm/drop_caches", os.W_OK):
        return skipped("cold files", "only root can empty the page cache")
    source = place / "cold"
    count = make_small_files(source)
    ours, peer = [], []
    for _ in range(rounds):
        forget_files()
        start = time.monotonic()
        subprocess.run(f"find '{source}' -type f -print0 | sort -z | xargs -0 cat > /dev/null",
                       shell=True, check=True)
        peer.append(time.monotonic() - start)
        job = Job(program, place / "job", source, 2 << 30)
        forget_files()
        phases = job.prepare()
        ours.append((phases["copying"] + phases["finishing"]) / 1000)
        job.remove()
    shutil.rmtree(source)
    mine, theirs = statistics.median(ours), statistics.median(peer)
    print(f"cold files     {count / mine:,.0f} files/s copied; cat alone {count / theirs:,.0f} files/s",
          flush=True)
    return True


def empty_drive(program, place, rounds):
    source = place / "tiny"
    source.mkdir()
    (source / "one.txt").write_text("one\n")
    times = []
    for _ in range(rounds):
        settle()
        job = Job(program, place / "job", source, 16 * 10**12)
        phases = job.prepare()
        times.append(phases["formatting"] / 1000)
        job.remove()
    shutil.rmtree(source)
    mine = statistics.median(times)
    return verdict("empty 16 TB", f"formatted and encrypted in {mine:.2f} s (wanted under 3)",
                   mine < 3)
