"""Loop devices: the disks that a machine without spare drives has."""

import os
import subprocess
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
    """The file at the place of another."""
    subprocess.run(["losetup", *options, device, path], check=True, capture_output=True)


def detach(device):
    subprocess.run(["losetup", "--detach", device], check=False, capture_output=True)


def sparse(path, size=96 * MIB):
    with open(path, "wb") as file:
        file.truncate(size)
    return path


def new(case, *options, size=96 * MIB):
    """(device, its file)"""
    path = sparse(os.path.join(case.env.directory("disk"), "disk.img"), size)
    return attach(case, path, *options), path
