#!/usr/bin/python3
"""Fact trees: what a kernel said about the block devices of a machine, recorded by tests/vm/record-facts.

    tests/support/fact_trees/unpack.py TREE.json DIRECTORY     makes files and links of it again

A tree is a JSON object of four members:

    about     what the machine was made of, and which disk is which
    kernel    its release
    files     path without the leading slash -> what was there, see below
    asked     device -> question -> answer: what only an open device tells, see below

A value of `files` is

    "text"              content of a file, to the byte
    {"hex": "00ff"}     content that is no text
    {"link": "../a"}    a symbolic link
    {"error": "EIO"}    a file that is there and could not be read
    {"dir": true}       an empty directory (others are known by what is in them)
    {"node": "b 8:0"}   a device node below dev/

Everything of sysfs is at its real path (sys/devices/...), with the links in sys/dev/block, sys/block
and sys/class/block as they were. What changes by itself (statistics, power management) is left out.
proc/self/mountinfo and proc/1/mountinfo are those of the system that the machine plays, with its
root on the system disk.

`asked` has by the name of the node: "ioctl", an object of BLKGETSIZE64, BLKSSZGET, BLKPBSZGET,
BLKROGET, BLKALIGNOFF, BLKIOMIN, BLKIOOPT, BLKROTATIONAL, BLKGETDISKSEQ (numbers, or "errno" names);
"sg", by name of the command an object of `cdb`, `status`, `host`, `driver`, `sense` and `data`, the
latter hexadecimal and cut to what was transferred, or of `error`; "nvme", the same with `result`.

Unpacking makes files of `files` only. {"error"} becomes an empty file without any permission, a
node an empty file whose name ends in `.node`, unless it is run with --nodes as root.
"""

import json
import os
import stat
import sys


def unpack(tree, directory, nodes=False):
    for path, value in tree["files"].items():
        target = os.path.join(directory, path)
        os.makedirs(target if value == {"dir": True} else os.path.dirname(target), exist_ok=True)
        if isinstance(value, str):
            write(target, value.encode())
        elif "hex" in value:
            write(target, bytes.fromhex(value["hex"]))
        elif "link" in value:
            os.symlink(value["link"], target)
        elif "error" in value:
            write(target, b"")
            os.chmod(target, 0)
        elif "node" in value:
            kind, number = value["node"].split()
            major, minor = (int(word) for word in number.split(":"))
            if nodes:
                os.mknod(target, 0o600 | (stat.S_IFBLK if kind == "b" else stat.S_IFCHR),
                         os.makedev(major, minor))
            else:
                write(target + ".node", f"{value['node']}\n".encode())


def write(path, content):
    with open(path, "wb") as file:
        file.write(content)


def main():
    arguments = [word for word in sys.argv[1:] if word != "--nodes"]
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    with open(arguments[0], encoding="utf-8") as file:
        unpack(json.load(file), arguments[1], "--nodes" in sys.argv)


if __name__ == "__main__":
    main()
