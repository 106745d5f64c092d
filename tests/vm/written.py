"""Where a job writes on its disks: the same job is prepared on the host before, with image files."""

import os
import subprocess

import jobs
from disks import MIB

PAGE = 4096
PARTITION = MIB


def written_pages(lab, disks):
    """{disk: offsets of the pages that hold something}, in ascending order. Where things go depends on
    names and sizes only, so they are the same for disks of a machine, in this order."""
    place = lab.scratch.resolve() / "twins"
    job, source = place / "job", place / "source"
    job.mkdir(parents=True)
    subprocess.run(["sh", "-c", jobs.make_source(source)], check=True)
    rows = [jobs.row(f"{disk.name}.img", disk.known_serial, disk.sector) for disk in disks]
    for name, content in jobs.job_files(rows, source, lab.key_store).items():
        (job / name).write_text(content, encoding="utf-8")
    for disk in disks:
        with open(job / f"{disk.name}.img", "wb") as file:
            file.truncate(disk.size)
    subprocess.run([lab.program, "prepare", job, "--json"], check=True, capture_output=True)
    return {disk: pages_of(job / f"{disk.name}.img") for disk in disks}


def pages_of(path):
    with open(path, "rb") as file:
        return [number * PAGE for number in range(os.stat(path).st_size // PAGE) if any(file.read(PAGE))]


def middle_page(pages):
    """The middle one of a volume's pages."""
    volume = [page for page in pages if page >= PARTITION]
    return volume[len(volume) // 2]
