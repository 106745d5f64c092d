"""Loop devices: the disks that a machine without spare drives has."""

import os
import subprocess
import time
import unittest

from harness import MIB, need, need_root


def needed(*tools):
    need_root()
    need("losetup", *tools)


def attach(case, path, *options):
    """A loop device of the file, for as long as the test runs."""
    done = subprocess.run(["losetup", "--find", "--show", *options, path], capture_output=True, text=True)
    if done.returncode != 0:
        raise unittest.SkipTest("needs loop devices: " + done.stderr.strip())
    device = done.stdout.strip()
    case.addCleanup(detach, device)
    return device


def attach_at(device, path, *options):
    """The file at the place of another. Others may look into the device for moments: it is busy then."""
    for _ in range(50):
        done = subprocess.run(["losetup", *options, device, path], capture_output=True, text=True)
        if done.returncode == 0:
            return
        time.sleep(0.1)
    raise AssertionError(done.stderr)


def detach(device):
    """Returns when nothing is attached any more, which waits for whoever looks into it."""
    subprocess.run(["losetup", "--detach", device], check=False, capture_output=True)
    attached = f"/sys/block/{os.path.basename(device)}/loop/backing_file"
    for _ in range(50):
        if not os.path.exists(attached):
            return
        time.sleep(0.1)


def sparse(path, size=96 * MIB):
    with open(path, "wb") as file:
        file.truncate(size)
    return path


def new(case, *options, size=96 * MIB):
    """(device, its file)"""
    path = sparse(os.path.join(case.env.directory("disk"), "disk.img"), size)
    return attach(case, path, *options), path
