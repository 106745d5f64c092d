"""Independent judges of a finished drive in a machine: the kernel's partition code, sfdisk, blkid,
cryptsetup with dm-crypt, ntfs3 and ntfs-3g. None of them shares code with driveprep."""

import jobs

MAPPING = "volume"


def judge_drive(machine, report, label, device, key, wanted, thorough=False):
    """`device`: a whole disk, as /dev/NAME; `key`: the recovery password; `wanted`: {path: hash} of all
    files of the job, of which some are on the drive. A thorough look mounts it with every driver there
    is. Returns the paths of the files that are right."""
    name = device.removeprefix("/dev/")
    node = device + ("p1" if name[-1].isdigit() else "1")
    report.check(f"{label}: the kernel reads the partition table, also once more", machine.run(
        f"blockdev --rereadpt {device} && for i in $(seq 300); do [ -b {node} ] && exit 0; sleep 0.1; done; "
        "exit 1").status == 0)
    verified = machine.run(f"sfdisk --verify {device}")
    report.check(f"{label}: sfdisk finds no fault", verified.status == 0 and
                 "No errors detected" in verified.out, verified)
    kind = machine.run(f"blkid -p -o value -s TYPE {node}").out.strip()
    report.equal(f"{label}: blkid sees a BitLocker volume", kind, "BitLocker")
    opened = machine.run(f"{jobs.ENVIRONMENT} printf %s {key} >/tmp/key && cryptsetup open --type bitlk --readonly "
                         f"--key-file /tmp/key {node} {MAPPING}")
    if not report.check(f"{label}: cryptsetup opens it by its recovery password", opened.status == 0,
                        opened if opened.status else ""):
        return set()
    right = [check_files(machine, report, f"{label}: {driver}", mount, wanted)
             for driver, mount in drivers(machine, report)[:None if thorough else 1]]
    machine.run_ok(f"cryptsetup close {MAPPING}")
    return set.intersection(*right)


def check_whole(report, found, wanted):
    """`found`: for each drive the set of its files."""
    report.check("each file is on one of the drives", sorted(path for drive in found for path in drive) ==
                 sorted(wanted), [len(drive) for drive in found])


def drivers(machine, report):
    """[(name, command that mounts the volume)], the kernel's own first."""
    found = [("ntfs-3g", f"ntfs-3g -o ro /dev/mapper/{MAPPING} /mnt")]
    if "ntfs3" in machine.run_ok("cat /proc/filesystems").out.split():
        found.insert(0, ("ntfs3", f"mount -t ntfs3 -o ro /dev/mapper/{MAPPING} /mnt"))
    else:
        report.skip("mounting with ntfs3", "this kernel has none")
    return found


def check_files(machine, report, label, mount, wanted):
    mounted = machine.run(mount)
    if not report.check(f"{label} mounts it", mounted.status == 0, mounted if mounted.status else ""):
        return set()
    found = jobs.hashes_of(machine.run(f"cd /mnt && {jobs.HASHES}").out)
    machine.run_ok("umount /mnt")
    wrong = sorted(path for path, digest in found.items() if wanted.get(path) != digest)
    report.check(f"{label} reads every file as it was, {len(found)} of them", found and not wrong, wrong)
    return found.keys() - set(wrong)


def recovery_passwords(machine, job):
    """{drive id: recovery password} as the service would get them."""
    machine.run_ok(f"{jobs.ENVIRONMENT} driveprep request {job} --reveal-keys")
    request = machine.run_ok(f"cat {job}/requests/importexport.json").json()
    return {drive["driveId"]: drive["bitLockerKey"] for drive in request["properties"]["driveList"]}
