"""The kernel of the machines: fetched from Debian, unpacked, never installed.

Preferred is the one of the backports suite, which has ntfs3; where that suite cannot be had, it is
Debian 12's own. apt works on lists and options of its own below the cache directory, so that
nothing of the host's configuration changes.
"""

import glob
import lzma
import os
import shutil
import struct
import subprocess
from pathlib import Path

SUITES = ("bookworm-backports", "bookworm")
META_PACKAGE = "linux-image-amd64"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
FETCH_SECONDS = 600
MAGICS = {b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ\x00": "xz"}


class Unavailable(Exception):
    """There is no kernel, and this is why."""


class Kernel:
    """`image` boots, `modules` is the directory lib/modules/VERSION with modules.dep."""

    def __init__(self, directory):
        directory = Path(directory)
        self.version = (directory / "version").read_text(encoding="ascii").strip()
        self.image = directory / "vmlinux"
        self.modules = directory / "tree" / "lib" / "modules" / self.version


def get(cache):
    """The kernel out of the cache directory, which is filled when it has none."""
    done = Path(cache) / "kernel"
    if not done.is_dir():
        making = Path(cache) / "kernel.new"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        unpack(fetch(making), making)
        making.rename(done)
    return Kernel(done)


def fetch(directory):
    """Path of the downloaded package."""
    problems = []
    for suite in SUITES:
        try:
            return download(directory, suite)
        except (Unavailable, OSError, subprocess.TimeoutExpired) as problem:
            problems.append(f"{suite}: {problem}")
    raise Unavailable("no kernel package could be fetched (" + "; ".join(problems) + ")")


def download(directory, suite):
    apt = directory / f"apt-{suite}"
    for place in ("lists/partial", "cache/archives/partial"):
        (apt / place).mkdir(parents=True, exist_ok=True)
    signed = f"[signed-by={KEYRING}] " if os.path.exists(KEYRING) else ""
    (apt / "sources.list").write_text(f"deb {signed}{mirror()} {suite} main\n", encoding="ascii")
    options = ["-q", "-o", f"Dir::Etc::sourcelist={apt}/sources.list",
               "-o", "Dir::Etc::sourceparts=/dev/null", "-o", f"Dir::State::lists={apt}/lists",
               "-o", f"Dir::Cache={apt}/cache", "-o", "APT::Sandbox::User=root",
               "-o", "APT::Update::Post-Invoke-Success::=", "-o", "Acquire::Languages=none",
               "-o", "Acquire::http::Timeout=30", "-o", "Acquire::Retries=1"]
    run(["apt-get", *options, "-o", "APT::Update::Error-Mode=any", "update"])
    lines = run(["apt-cache", *options, "depends", META_PACKAGE]).splitlines()
    names = [line.split()[-1] for line in lines if "Depends: linux-image-" in line]
    if not names:
        raise Unavailable(f"{META_PACKAGE} names no kernel")
    run(["apt-get", *options, "download", names[0]], cwd=apt)
    return next(apt.glob("linux-image-*.deb"))


def mirror():
    """Where this host has Debian 12 from."""
    lines = run(["apt-get", "indextargets", "--no-release-info", "--format",
                 "$(SUITE) $(CODENAME) $(RELEASE) $(REPO_URI)", "Created-By: Packages"]).splitlines()
    for line in lines:
        *names, uri = line.split()
        if "bookworm" in names:
            return uri
    raise Unavailable("apt knows no source of Debian 12 (bookworm)")


def run(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, errors="replace",
                          timeout=FETCH_SECONDS, check=False, **options)
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()
        raise Unavailable(f"{command[0]} {command[-1]}: {said[-1]}")
    return done.stdout


def unpack(package, directory):
    tree = directory / "tree"
    run(["dpkg-deb", "-x", str(package), str(tree)])
    shutil.rmtree(package.parent)
    compressed = next((tree / "boot").glob("vmlinuz-*"))
    version = compressed.name.removeprefix("vmlinuz-")
    (directory / "vmlinux").write_bytes(uncompressed(compressed.read_bytes()))
    if not (tree / "lib/modules" / version).is_dir():  # where /lib is /usr/lib in the package
        (tree / "lib").mkdir(exist_ok=True)
        (tree / "usr/lib/modules").rename(tree / "lib/modules")
    run(["depmod", "-b", str(tree), version])
    (directory / "version").write_text(version + "\n", encoding="ascii")
    shutil.rmtree(tree / "usr", ignore_errors=True)
    for left in glob.glob(str(tree / "boot" / "*")):
        if "config-" not in left:
            os.unlink(left)


def uncompressed(image):
    """The ELF kernel in a bzImage (Documentation/arch/x86/boot.rst); saves 2 s of a boot."""
    if image[0x202:0x206] != b"HdrS":
        raise Unavailable("the kernel is no bzImage")
    setup_sectors = image[0x1f1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    payload = image[start:start + length]
    kind = next((kind for magic, kind in MAGICS.items() if payload.startswith(magic)), None)
    if kind == "xz":
        return lzma.LZMADecompressor().decompress(payload)
    if kind == "zstd":  # the last 4 bytes are the uncompressed length, and no part of the stream
        done = subprocess.run(["zstd", "-dcq"], input=payload[:-4], capture_output=True, check=False)
        if done.returncode == 0:
            return done.stdout
    raise Unavailable("the kernel is compressed in an unknown way")


def module_bytes(path):
    data = Path(path).read_bytes()
    if str(path).endswith(".xz"):
        return lzma.decompress(data)
    return data
