"""An image file as a drive, judged by a kernel: partition table, volume, file system, every hash."""

import json

from machine import Machine

MIB = 1 << 20
STORAGE = ("/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/import/providers/"
           "Microsoft.Storage/storageAccounts/contosoarchive")
ADDRESS = {"recipientName": "Goods receipt", "streetAddress1": "1 Example Way", "city": "Springfield",
           "postalCode": "12345", "countryOrRegion": "US", "phone": "+1 555 0100",
           "email": "gate4@contoso.example"}
DATASET = ("BasePath,DstItemPathOrPrefix,ItemType,Disposition,MetadataFile,PropertiesFile\n"
           '"{source}/",archive/2026/,BlockBlob,no-overwrite,None,None\n')
DRIVESET = ("DriveLetter,FormatOption,SilentOrPromptOnFormat,Encryption,ExistingBitLockerKey,DriveId,"
            "SectorSize\n")
SOURCE = "/lab/source"
# Small, large, empty, deep, and names that are no ASCII.
MAKE_SOURCE = f"""set -e
mkdir -p /lab && mount -t tmpfs -o size=800M tmpfs /lab
mkdir -p {SOURCE}/deep/er/and/deeper
for number in $(seq 20); do head -c $((number * 977)) /dev/urandom >{SOURCE}/deep/file-$number.bin; done
head -c 9000000 /dev/urandom >{SOURCE}/large.bin
head -c 4194304 /dev/urandom >{SOURCE}/block.bin
: >{SOURCE}/empty
echo text >'{SOURCE}/deep/er/and/deeper/Grüße 日本語.txt'
"""
HASHES = "find . -type f ! -name manifest.xml ! -path './System Volume*' ! -path './$*' -exec sha256sum {} +"


def make_job(machine, job, drives):
    """`drives`: rows of the driveset, without their line ends."""
    machine.put(f"{job}/job.json", json.dumps({
        "name": "job-a", "location": "West Europe", "storageAccountId": STORAGE,
        "returnAddress": ADDRESS,
        "returnShipping": {"carrierName": "FedEx", "carrierAccountNumber": "123456789"},
        "encryption": {"keyStore": "/lab/keystore"}}))
    machine.put(f"{job}/dataset.csv", DATASET.format(source=SOURCE))
    machine.put(f"{job}/driveset.csv", DRIVESET + "".join(f"{row}\n" for row in drives))


def hashes_of(text):
    """{path below the directory: hash} of sha256sum's lines."""
    return {line[66:].removeprefix("./"): line[:64] for line in text.splitlines()}


def run(lab, report):
    with Machine(lab.files, f"{lab.scratch}/image") as machine:
        print(f"        booted in {machine.boot_seconds:.1f} s, Linux {lab.files.version}")
        machine.run_ok(MAKE_SOURCE, 60)
        wanted = hashes_of(machine.run_ok(f"cd {SOURCE} && {HASHES}", 120).out)
        for sector in (512, 4096):
            check_image(machine, report, sector, wanted)


def check_image(machine, report, sector, wanted):
    job = f"/lab/job{sector}"
    make_job(machine, job, [f"disk0.img,Format,SilentMode,Encrypt,,DISK0,{sector}"])
    machine.run_ok(f"truncate -s {64 * MIB} {job}/disk0.img")
    prepared = machine.run(f"driveprep prepare {job} --json", 300)
    if not report.check(f"{sector}: prepare ends well", prepared.status == 0,
                        prepared if prepared.status else ""):
        return
    key = machine.run_ok(f"driveprep key show {job} --drive DISK0", 60).out.strip()
    device = machine.run_ok(f"/usr/sbin/losetup -f --show -P -b {sector} {job}/disk0.img").out.strip()
    name = device.removeprefix("/dev/")
    report.check(f"{sector}: the kernel reads the partition table, also once more", machine.run(
        f"[ -e /sys/block/{name}/{name}p1 ] && blockdev --rereadpt {device} && sleep 0.5 && "
        f"[ -e /sys/block/{name}/{name}p1 ]").status == 0)
    verified = machine.run(f"sfdisk --verify {device}")
    report.check(f"{sector}: sfdisk finds no fault", verified.status == 0 and
                 "No errors detected" in verified.out, verified)
    kind = machine.run(f"blkid -p -o value -s TYPE {device}p1").out.strip()
    report.equal(f"{sector}: blkid sees a BitLocker volume", kind, "BitLocker")
    opened = machine.run(f"printf %s {key} >/tmp/key && cryptsetup open --type bitlk --key-file /tmp/key "
                         f"{device}p1 volume", 120)
    if report.check(f"{sector}: cryptsetup opens it by its recovery password", opened.status == 0,
                    opened if opened.status else ""):
        for driver in drivers(machine, report):
            check_files(machine, report, sector, driver, wanted)
        machine.run_ok("cryptsetup close volume")
    machine.run_ok(f"/usr/sbin/losetup -d {device}; rm {job}/disk0.img")


def drivers(machine, report):
    """Commands that mount the volume, by the name of the driver."""
    found = {"ntfs-3g": "ntfs-3g -o ro /dev/mapper/volume /mnt"}
    if "ntfs3" in machine.run_ok("cat /proc/filesystems").out.split():
        found["ntfs3"] = "mount -t ntfs3 -o ro /dev/mapper/volume /mnt"
    else:
        report.skip("mounting with ntfs3", "this kernel has none")
    return found.items()


def check_files(machine, report, sector, driver, wanted):
    name, mount = driver
    mounted = machine.run(mount)
    if not report.check(f"{sector}: {name} mounts it", mounted.status == 0,
                        mounted if mounted.status else ""):
        return
    found = hashes_of(machine.run(f"cd /mnt && {HASHES}", 120).out)
    machine.run_ok("umount /mnt")
    missing = {path: found.get(f"archive/2026/{path}", found.get(path)) for path, digest in wanted.items()
               if digest not in (found.get(f"archive/2026/{path}"), found.get(path))}
    report.check(f"{sector}: {name} reads every file as it was, {len(wanted)} of them",
                 not missing and len(wanted) == 24, f"{missing or len(wanted)}; there are {sorted(found)[:9]}"
                 if missing or len(wanted) != 24 else "")
