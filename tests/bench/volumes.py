"""One finished volume, read by the program and by others that know the format."""

import os
import shutil
import statistics
import subprocess
import time

from harness import Job, settle, skipped, timed, verdict

# bdemount takes a minute and a half for 2 GiB: an eighth of it.
BDE_SHARE = 8


class Volume:
    """A finished volume as a file of its own, which every peer can open, and its key."""

    def __init__(self, program, place, source, volume_bytes, cipher):
        self.program, self.size = program, volume_bytes
        # The partition begins and ends a MiB from the edges of the drive.
        job = Job(program, place / "job", source, volume_bytes + (2 << 20), cipher)
        job.prepare()
        facts = program.run("volume", "info", "--json", str(job.root / "drive.img"))
        assert facts["length"] == volume_bytes and facts["offset"] % (1 << 20) == 0, facts
        self.image, self.key_file = place / "volume.img", place / "key"
        timed("dd", f"if={job.root}/drive.img", f"of={self.image}", "bs=1M",
              f"skip={facts['offset'] >> 20}", f"count={volume_bytes >> 20}")
        self.key = job.recovery_password()
        self.key_file.write_text(self.key)  # without a line end: cryptsetup takes all of a file
        job.remove()

    def warm(self):
        timed("cat", str(self.image))

    def export(self):
        start = time.monotonic()
        self.program.run("volume", "export", str(self.image), "--output", "/dev/null",
                         "--recovery-password-file", str(self.key_file), "--json")
        return time.monotonic() - start

    def dislocker_file(self, place):
        """dislocker-file refuses an output that is there, as it finds with access(2), that is with
        the real user id; so nobody asks, and root writes, through a link that nobody can see."""
        hidden = place / "hidden"
        hidden.mkdir(mode=0o700)
        (hidden / "null").symlink_to("/dev/null")
        seconds = timed("dislocker-file", "-V", str(self.image), f"-p{self.key}", "--",
                        str(hidden / "null"), preexec_fn=lambda: os.setresuid(65534, 0, 0))
        shutil.rmtree(hidden)
        return seconds

    def bdemount(self, place):
        mount = place / "bde"
        mount.mkdir(exist_ok=True)
        start = time.monotonic()
        timed("bdemount", "-r", self.key, str(self.image), str(mount))
        mounted = time.monotonic() - start
        try:
            count = (self.size >> 20) // BDE_SHARE
            read = timed("dd", f"if={mount}/bde1", "of=/dev/null", "bs=1M", f"count={count}")
        finally:
            subprocess.run(["umount", str(mount)], check=True)
        return mounted + read * BDE_SHARE

    def remove(self):
        self.image.unlink()
        self.key_file.unlink()


def make_data(source, size):
    source.mkdir()
    for number in range(size >> 27):
        with open(source / f"part-{number:02}.bin", "wb") as out:
            for _ in range(32):
                out.write(os.urandom(4 << 20))


def export_one(program, place, rounds, cipher):
    size = 2 << 30
    volume = Volume(program, place, place / "data", size, cipher)
    peers = {}
    root = os.geteuid() == 0
    if root and shutil.which("dislocker-file"):
        peers["dislocker-file"] = (volume.dislocker_file, 5.0)
    else:
        skipped("export", f"{cipher} by dislocker-file: needs dislocker and root")
    if cipher != "xts-aes-128":
        pass  # libbde 20190102 does not take the longer keys of XTS
    elif root and shutil.which("bdemount") and os.path.exists("/dev/fuse"):
        peers["bdemount + dd"] = (volume.bdemount, 1.0)
    else:
        skipped("export", f"{cipher} by bdemount: needs libbde, /dev/fuse and root")
    ours, theirs = [], {name: [] for name in peers}
    settle()
    for _ in range(rounds):
        volume.warm()
        ours.append(volume.export())
        for name, (peer, _) in peers.items():
            volume.warm()
            theirs[name].append(peer(place))
    volume.remove()
    mine = statistics.median(ours)
    print(f"{'export':<14} {cipher} 2 GiB in {mine:.2f} s, {size / mine / 1e9:.2f} GB/s with unlocking",
          flush=True)
    ok = True
    for name, (_, wanted) in peers.items():
        theirs_median = statistics.median(theirs[name])
        ok &= verdict("export", f"{cipher} {theirs_median / mine:.1f} times {name} "
                      f"({theirs_median:.1f} s; wanted {wanted:.1f})",
                      theirs_median / mine >= wanted)
    return ok


def export(program, place, rounds):
    make_data(place / "data", 7 << 28)
    ok = True
    for cipher in ("xts-aes-256", "xts-aes-128"):
        ok &= export_one(program, place, rounds, cipher)
    shutil.rmtree(place / "data")
    return ok


def unlock(program, place, rounds):
    if not shutil.which("cryptsetup"):
        return skipped("unlock", "needs cryptsetup")
    source = place / "data"
    source.mkdir()
    (source / "one.txt").write_text("one\n")
    volume = Volume(program, place, source, 256 << 20, None)
    ours, peer = [], []
    volume.warm()
    for _ in range(2 * rounds):  # a second or two each
        start = time.monotonic()
        program.run("volume", "unlock", "--check", str(volume.image), "--recovery-password-file",
                    str(volume.key_file), "--json")
        ours.append(time.monotonic() - start)
        # Without a volume key to tell it would not open anything.
        peer.append(timed("cryptsetup", "bitlkDump", str(volume.image), "--dump-volume-key",
                          "--batch-mode", "--key-file", str(volume.key_file)))
    volume.remove()
    shutil.rmtree(source)
    mine, theirs = statistics.median(ours), statistics.median(peer)
    return verdict("unlock", f"{mine:.2f} s by recovery password, cryptsetup bitlkDump {theirs:.2f} s, "
                   f"ratio {mine / theirs:.2f} (wanted 1.10 at most)", mine / theirs <= 1.1)
