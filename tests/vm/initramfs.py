"""Makes the one initramfs of all machines: busybox, modules, programs with their libraries.

Written as a cpio archive of the kind "newc" (the kernel's early-userspace documentation), without
a directory in between, and so without root.
"""

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import kernel as kernels

HERE = Path(__file__).resolve().parent
# Loaded before anything runs. The ciphers are here because nothing loads them on demand.
BOOT_MODULES = """virtio_pci virtio_blk virtio_scsi ahci sd_mod sr_mod sg xhci_pci usb_storage uas nvme
    dm_mod dm_crypt dm_zero loop xts cbc aesni_intel sha256_generic algif_skcipher algif_aead ecb fuse ntfs3
    nls_utf8 nls_cp437 nls_ascii nls_iso8859_1 crc32c_generic ext4 9p 9pnet_virtio drivetemp""".split()
# Loaded by `load NAME` in the guest.
MORE_MODULES = "dm_flakey dm_delay dm_log_writes scsi_debug raid1 brd null_blk zram vfat".split()
# Where busybox has one of the same name, its shell takes its own unless the path is given.
TOOLS = "sfdisk blkid cryptsetup losetup flock mkntfs ntfs-3g dmsetup strace mdadm".split()
OPTIONAL_TOOLS = {"dmsetup", "strace", "mdadm"}


class Archive:
    """A cpio archive in the making; parents of what is added are added."""

    def __init__(self, file):
        self.file, self.names = file, set()

    def directory(self, name):
        if name and name not in self.names:
            self.directory(os.path.dirname(name))
            self.entry(name, stat.S_IFDIR | 0o755, b"")

    def add(self, name, data, mode=0o644):
        name = name.lstrip("/")
        if name not in self.names:
            self.directory(os.path.dirname(name))
            self.entry(name, stat.S_IFREG | mode, data)

    def link(self, name, target):
        name = name.lstrip("/")
        if name not in self.names:
            self.directory(os.path.dirname(name))
            self.entry(name, stat.S_IFLNK | 0o777, target.encode())

    def entry(self, name, mode, data):
        self.names.add(name)
        coded = name.encode() + b"\0"
        fields = (len(self.names), mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(coded), 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + coded
        self.file.write(head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4))

    def end(self):
        self.entry("TRAILER!!!", 0, b"")


def build(path, kernel, program=None):
    """Writes the archive to `path`; `program` becomes /usr/bin/driveprep."""
    with open(path, "wb") as file:  # not compressed: that would cost the emulated machine seconds
        archive = Archive(file)
        for name in "proc sys dev tmp run mnt etc usr var/tmp".split():
            archive.directory(name)
        archive.add("init", (HERE / "guest" / "init").read_bytes(), 0o755)
        for helper in sorted((HERE / "guest" / "bin").iterdir()):
            archive.add(f"bin/{helper.name}", helper.read_bytes(), 0o755)
        archive.add("etc/passwd", b"root:x:0:0:root:/tmp:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")
        archive.add("etc/group", b"root:x:0:\ndisk:x:6:\nnogroup:x:65534:\n")
        add_programs(archive, program)
        add_busybox(archive)
        add_modules(archive, kernel)
        archive.end()


def add_programs(archive, program):
    if program:
        add_program(archive, program, "usr/bin/driveprep")
    for tool in TOOLS:
        found = find(tool)
        if found:
            add_program(archive, found, f"usr/sbin/{tool}")
        elif tool not in OPTIONAL_TOOLS:
            raise kernels.Unavailable(f"{tool} is not installed")


def find(tool):
    return shutil.which(tool, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def add_program(archive, path, name):
    archive.add(name, Path(path).read_bytes(), 0o755)
    listed = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
    for library in re.findall(r"(/\S+) \(0x", listed):
        archive.add(library, Path(library).read_bytes(), 0o755)


def add_busybox(archive):
    busybox = find("busybox")
    if not busybox:
        raise kernels.Unavailable("busybox is not installed")
    archive.add("bin/busybox", Path(busybox).read_bytes(), 0o755)
    for applet in subprocess.run([busybox, "--list"], capture_output=True, text=True,
                                 check=True).stdout.split():
        archive.link(f"bin/{applet}", "busybox")
    archive.link("sbin", "bin")


def add_modules(archive, kernel):
    """/modules/NAME.ko, and in the order of loading the lists /modules/boot and /modules/load-NAME."""
    dependencies, paths = {}, {}
    for line in (kernel.modules / "modules.dep").read_text(encoding="ascii").splitlines():
        path, _, needed = line.partition(":")
        paths[module_name(path)] = kernel.modules / path
        # modprobe's order: what is needed first stands last
        dependencies[module_name(path)] = [module_name(one) for one in reversed(needed.split())]
    boot = closure(BOOT_MODULES, dependencies)
    archive.add("modules/boot", "".join(f"{name}\n" for name in boot).encode())
    wanted = list(boot)
    for module in MORE_MODULES:
        names = closure([module], dependencies)
        archive.add(f"modules/load-{module}", "".join(f"{name}\n" for name in names).encode())
        wanted += names
    for name in dict.fromkeys(wanted):
        archive.add(f"modules/{name}.ko", kernels.module_bytes(paths[name]))


def module_name(path):
    return os.path.basename(path).split(".")[0].replace("-", "_")


def closure(names, dependencies):
    """Those of the names that exist as modules, each after what it needs."""
    found = []
    for name in names:
        if name in dependencies:
            found += [one for one in (*dependencies[name], name) if one not in found]
    return found
