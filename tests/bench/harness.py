"""What the measurements share: the program, its jobs, clocks and verdicts."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path


class Program:
    def __init__(self, path):
        self.path = path
        self.peak_rss_kib = 0

    def run(self, *words):
        child = subprocess.Popen([self.path, *words], stdout=subprocess.PIPE,
                                 stderr=subprocess.DEVNULL)
        output = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        self.peak_rss_kib = max(self.peak_rss_kib, usage.ru_maxrss)
        if child.returncode != 0:
            sys.exit(f"driveprep {' '.join(words)} ended with {child.returncode}:\n{output.decode()}")
        return json.loads(output) if output else None


class Job:
    """A job directory with one image drive and one source directory."""

    def __init__(self, program, root, source, image_bytes, cipher=None):
        self.program, self.root = program, root
        shutil.rmtree(root, ignore_errors=True)
        program.run("init", str(root), "--json")
        spec = (root / "job.json").read_text()
        store = f'"keyStore": {json.dumps(str(root.parent / "keystore"))}, "keyName"'
        spec = spec.replace('"keyName"', store, 1)
        if cipher:
            spec, count = re.subn(r'"cipher": "[^"]*"', f'"cipher": "{cipher}"', spec)
            assert count == 1
        (root / "job.json").write_text(spec)
        (root / "dataset.csv").write_text("BasePath,DstItemPathOrPrefix,ItemType\n"
                                          f'"{source}/",data/,BlockBlob\n')
        (root / "driveset.csv").write_text(
            "DriveLetter,FormatOption,SilentOrPromptOnFormat,Encryption,ExistingBitLockerKey,"
            "DriveId,SectorSize\ndrive.img,Format,SilentMode,Encrypt,,BENCH0,512\n")
        with open(root / "drive.img", "wb") as image:
            image.truncate(image_bytes)

    def prepare(self):
        return self.program.run("prepare", str(self.root), "--json")["drives"][0]["phases_ms"]

    def recovery_password(self):
        return subprocess.run([self.program.path, "key", "show", str(self.root), "--drive", "BENCH0"],
                              check=True, capture_output=True, text=True).stdout.strip()

    def remove(self):
        shutil.rmtree(self.root)


def timed(*words, **options):
    start = time.monotonic()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   **options)
    return time.monotonic() - start


def settle():
    """What one run has left in the write-back queue must not slow the next one down."""
    os.sync()


def verdict(name, text, reached):
    print(f"{name:<14} {text}  {'reached' if reached else 'NOT REACHED'}", flush=True)
    return reached


def forget_files():
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3")


def skipped(name, why):
    print(f"{name:<14} skipped: {why}", flush=True)
    return True
