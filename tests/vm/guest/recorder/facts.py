"""Runs in the guest: prints everything that is to be known about its block devices, as JSON.

Files of sysfs and /proc are taken as they are; what only an open device tells is asked by
asked.py. The format is described in tests/support/fact_trees/unpack.py.
"""

import errno
import json
import os
import stat
import sys

import asked

# Below the directory of a block device everything is taken but what changes by itself or is no fact.
LEFT_OUT = {"power", "trace", "mq", "integrity", "stat", "inflight", "events_poll_msecs", "nr_requests",
            "io_timeout", "wbt_lat_usec", "bdi", "io_poll", "io_poll_delay", "subsystem_resume"}
# Of the directories above it, and of the device itself, these.
OF_PARENTS = set("""uevent modalias vendor model rev serial wwid type state inquiry idVendor idProduct
    product manufacturer bcdDevice speed version firmware_rev transport subsysnqn cntrltype nsid eui nguid
    uuid address removable scsi_level device_blocked class device subsystem driver queue_depth
    access_state cntlid nqn name bInterfaceProtocol bInterfaceClass bInterfaceSubClass unique_id
    proc_name hidden""".split())
CHILDREN_OF_PARENTS = {"scsi_disk", "scsi_generic", "scsi_device", "hwmon", "scsi_host"}
PROC = "swaps filesystems devices partitions mdstat".split()

files = {}


def text_or_hex(data):
    try:
        text = data.decode("utf-8")
        if all(c in "\n\t" or c.isprintable() for c in text):
            return text
    except UnicodeDecodeError:
        pass
    return {"hex": data.hex()}


def take(path):
    """A file or a link; not a directory."""
    if path.lstrip("/") in files:
        return
    try:
        if os.path.islink(path):
            files[path.lstrip("/")] = {"link": os.readlink(path)}
        elif os.stat(path).st_mode & 0o444:  # what is for writing only is not read
            with open(path, "rb") as file:
                files[path.lstrip("/")] = text_or_hex(file.read())
    except OSError as error:
        files[path.lstrip("/")] = {"error": errno.errorcode.get(error.errno, str(error.errno))}


def take_tree(path, depth=4):
    names = sorted(set(os.listdir(path)) - LEFT_OUT)
    if not names:
        files[path.lstrip("/")] = {"dir": True}
    for name in names:
        below = os.path.join(path, name)
        if os.path.isdir(below) and not os.path.islink(below):
            if depth > 0:
                take_tree(below, depth - 1)
        else:
            take(below)


def take_parents(path):
    while path.startswith("/sys/devices/"):
        for name in sorted(os.listdir(path)):
            below = os.path.join(path, name)
            if name in OF_PARENTS or name.startswith("vpd_pg"):
                if not os.path.isdir(below) or os.path.islink(below):
                    take(below)
            elif name in CHILDREN_OF_PARENTS:
                take_tree(below)
        path = os.path.dirname(path)


def main():
    answers = {}
    for number in sorted(os.listdir("/sys/dev/block")):
        link = os.path.join("/sys/dev/block", number)
        real = os.path.realpath(link)
        name = os.path.basename(real)
        take(link)
        take(f"/sys/class/block/{name}")
        if os.path.islink(f"/sys/block/{name}"):
            take(f"/sys/block/{name}")
        take_tree(real)
        take_parents(os.path.dirname(real))
        node = f"/dev/{name}"
        if os.path.exists(node):
            found = os.stat(node)
            kind = "b" if stat.S_ISBLK(found.st_mode) else "c"
            files[node.lstrip("/")] = {
                "node": f"{kind} {os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"}
            answers[name] = asked.all_of(node, is_partition=os.path.exists(f"{real}/partition"))
    for name in PROC:
        take(f"/proc/{name}")
    if os.path.isdir("/dev/mapper"):
        for name in sorted(os.listdir("/dev/mapper")):
            take_node = f"/dev/mapper/{name}"
            if os.path.islink(take_node):
                take(take_node)
            else:
                found = os.stat(take_node)
                kind = "b" if stat.S_ISBLK(found.st_mode) else "c"
                files[take_node.lstrip("/")] = {
                    "node": f"{kind} {os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"}
    json.dump({"kernel": os.uname().release, "files": files, "asked": answers}, sys.stdout)


main()
