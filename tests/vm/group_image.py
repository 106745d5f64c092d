"""An image file as a drive, judged by a kernel: partition table, volume, file system, every hash."""

import jobs
from disks import MIB
from judges import check_whole, judge_drive, recovery_passwords
from machine import Machine

SECTORS = (512, 4096)


def run(lab, report):
    with Machine(lab.files, f"{lab.scratch}/image") as machine:
        print(f"        booted in {machine.boot_seconds:.1f} s, Linux {lab.files.version}")
        wanted = jobs.on_drive(jobs.make_lab(machine, lab))
        job = "/lab/job"
        jobs.make_job(machine, job, [jobs.row(f"disk{sector}.img", f"DISK{sector}", sector)
                                     for sector in SECTORS])
        machine.run_ok("".join(f"truncate -s {64 * MIB} {job}/disk{sector}.img;" for sector in SECTORS))
        prepared = jobs.prepare(machine, job)
        if report.check("prepare ends well", prepared.status == 0, prepared if prepared.status else ""):
            keys = recovery_passwords(machine, job)
            found = [check_image(machine, report, job, sector, keys[f"DISK{sector}"], wanted)
                     for sector in SECTORS]
            check_whole(report, found, wanted)


def check_image(machine, report, job, sector, key, wanted):
    device = machine.run_ok(f"/usr/sbin/losetup -f --show -P -b {sector} {job}/disk{sector}.img").out.strip()
    right = judge_drive(machine, report, str(sector), device, key, wanted, thorough=True)
    machine.run_ok(f"/usr/sbin/losetup -d {device}")
    return right
