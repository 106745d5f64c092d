#!/usr/bin/python3
"""Checks a drive manifest against the files of the drive.

    check_manifest.py MANIFEST ROOT_DIR [--hash HEX] [--extra NAME ...]

Recomputes the MD5 of every block, page range, metadata and properties file that MANIFEST names from the
files below ROOT_DIR (the mounted volume), checks that blocks cover their file and that pages outside the
ranges are zero, and that every file below ROOT_DIR is named by the manifest. --hash: the MD5 of the
manifest itself, as announced in the job. --extra: names in ROOT_DIR's top level that need no blob (besides
the manifest and what the file system and BitLocker put there themselves).

Written from the format's description alone: it shares no code with the program. Exit status 0: all equal;
1: differences (the first 20 are printed); 2: wrong arguments.
"""

import argparse
import base64
import hashlib
import os
import re
import sys
import xml.etree.ElementTree as ElementTree

MIB = 1 << 20
SYSTEM_NAMES = re.compile(r"(DriveManifest\.xml|System Volume Information|\$.*|FVE2\..*)", re.IGNORECASE)


class Checker:
    def __init__(self, root):
        self.root = root
        self.problems = []
        self.count = 0
        self.blobs = self.pieces = self.bytes = 0
        self.named = set()

    def problem(self, text):
        self.count += 1
        if len(self.problems) < 20:
            self.problems.append(text)

    def local(self, drive_path):
        if not drive_path.startswith("\\") or "/" in drive_path:
            self.problem(f"{drive_path!r} is not a drive-relative path")
            return None
        parts = drive_path[1:].split("\\")
        if any(part in ("", ".", "..") for part in parts):
            self.problem(f"{drive_path!r} has an impossible component")
            return None
        self.named.add("/".join(parts))
        return os.path.join(self.root, *parts)

    def attached(self, element):
        drive_path, wanted = element.text or "", element.get("Hash", "")
        path = self.local(drive_path)
        if path is None:
            return
        try:
            with open(path, "rb") as file:
                found = hashlib.md5(file.read()).hexdigest().upper()
        except OSError as error:
            self.problem(f"{element.tag} {drive_path}: {error.strerror}")
            return
        if found != wanted:
            self.problem(f"{element.tag} {drive_path}: MD5 {found}, the manifest says {wanted}")

    def blob(self, element):
        self.blobs += 1
        for tag in ("BlobPath", "FilePath", "Length"):
            if len(element.findall(tag)) != 1:
                self.problem(f"blob {self.blobs} has not exactly one {tag}")
                return
        name = element.findtext("BlobPath")
        drive_path = element.findtext("FilePath")
        length = int(element.findtext("Length"))
        if not re.fullmatch(r"[^/]+/.+", name, re.DOTALL):
            self.problem(f"blob path {name!r} is not container/blob")
        for tag in ("MetadataPath", "PropertiesPath"):
            for child in element.findall(tag):
                self.attached(child)
        lists = element.findall("BlockList") + element.findall("PageRangeList")
        if len(lists) != 1:
            self.problem(f"{name} has not exactly one list of pieces")
            return
        path = self.local(drive_path)
        if path is None:
            return
        try:
            with open(path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size != length:
                    self.problem(f"{drive_path} has {size} bytes, the manifest says {length}")
                    return
                self.contents(name, file, length, lists[0])
        except OSError as error:
            self.problem(f"{drive_path}: {error.strerror}")

    def contents(self, name, file, length, pieces):
        pages = pieces.tag == "PageRangeList"
        unit = 4 * MIB
        if not pages:
            while unit * 50000 < length:
                unit += 4 * MIB
            if len(pieces) > 50000:
                self.problem(f"{name} has {len(pieces)} blocks")
        ids = [piece.get("Id") for piece in pieces]
        self.check_ids(name, ids, pages, length)
        if pages and length % 512:
            self.problem(f"page blob {name} has {length} bytes, no multiple of 512")
        position = 0
        for piece in pieces:
            self.pieces += 1
            expected_tag = "PageRange" if pages else "Block"
            if piece.tag != expected_tag:
                self.problem(f"{name}: element {piece.tag} among {expected_tag}")
                return
            offset, size, wanted = int(piece.get("Offset")), int(piece.get("Length")), piece.get("Hash")
            if not 0 < size <= unit:
                self.problem(f"{name}: a piece of {size} bytes at {offset}")
            if offset < position or (offset > position and not pages):
                self.problem(f"{name}: a gap or overlap at {offset}, expected {position}")
                return
            if pages and (offset % 512 or size % 512):
                self.problem(f"{name}: page range {offset}+{size} is not aligned")
            if not self.zeros(file, offset - position):
                self.problem(f"{name}: not zero between {position} and {offset}, but in no page range")
                file.seek(offset)
            data = file.read(size)
            found = hashlib.md5(data).hexdigest().upper()
            if len(data) != size or found != wanted:
                self.problem(f"{name}: piece at {offset}: MD5 {found}, the manifest says {wanted}")
            position = offset + size
            self.bytes += size
        if position > length or (position < length and not pages):
            self.problem(f"{name}: the pieces end at {position} of {length}")
        elif not self.zeros(file, length - position):
            self.problem(f"{name}: not zero behind {position}, but in no page range")

    def check_ids(self, name, ids, pages, length):
        given = [one for one in ids if one is not None]
        if pages:
            if given:
                self.problem(f"{name}: page ranges with ids")
            return
        if given and len(given) != len(ids):
            self.problem(f"{name}: only some blocks have an id")
        if not given and length > 64 * MIB:
            self.problem(f"{name}: blocks without ids in a blob of {length} bytes")
        try:
            raw = [base64.b64decode(one, validate=True) for one in given]
        except ValueError:
            self.problem(f"{name}: an id is not base64")
            return
        if len({len(one) for one in raw}) > 1 or any(not 0 < len(one) <= 64 for one in raw):
            self.problem(f"{name}: ids of wrong or different length")
        if len(set(raw)) != len(raw):
            self.problem(f"{name}: an id is used twice")

    @staticmethod
    def zeros(file, count):
        while count > 0:
            data = file.read(min(count, 4 * MIB))
            if not data or data.count(0) != len(data):
                return False
            count -= len(data)
        return True

    def unnamed(self, extra):
        for directory, subdirectories, files in os.walk(self.root):
            at = os.path.relpath(directory, self.root)
            if at == ".":
                keep = [one for one in subdirectories if not SYSTEM_NAMES.fullmatch(one) and one not in extra]
                subdirectories[:] = keep
                files = [one for one in files if not SYSTEM_NAMES.fullmatch(one) and one not in extra]
            for name in files:
                path = name if at == "." else f"{at}/{name}"
                if path not in self.named:
                    self.problem(f"{path} is on the drive, but the manifest does not name it")


def walk(manifest, checker):
    """Streams the manifest; only one blob is in memory at a time."""
    stack = []
    destinations = set()
    drive_id = None
    for event, element in ElementTree.iterparse(manifest, events=("start", "end")):
        if event == "start":
            stack.append(element)
            if len(stack) == 1 and (element.tag != "DriveManifest" or not element.get("Version")):
                checker.problem("the document is not a DriveManifest with a Version")
            if element.tag == "BlobList" and drive_id is None:
                checker.problem("no DriveId before the first BlobList")
            continue
        stack.pop()
        path = [one.tag for one in stack] + [element.tag]
        if path == ["DriveManifest", "Drive", "DriveId"]:
            drive_id = element.text
            if not drive_id or re.search(r"\s", drive_id):
                checker.problem(f"DriveId {drive_id!r}")
        elif path[:-1] == ["DriveManifest", "Drive", "BlobList"]:
            if element.tag == "Blob":
                checker.blob(element)
                digest = hashlib.md5((element.findtext("BlobPath") or "").encode()).digest()
                if digest in destinations:
                    checker.problem(f"{element.findtext('BlobPath')} is written twice")
                destinations.add(digest)
            elif element.tag in ("MetadataPath", "PropertiesPath"):
                checker.attached(element)
            stack[-1].remove(element)
    if not checker.blobs:
        checker.problem("the manifest has no blob")
    return drive_id


def main():
    parser = argparse.ArgumentParser(description="check a drive manifest against the drive's files")
    parser.add_argument("manifest")
    parser.add_argument("root")
    parser.add_argument("--hash", help="the MD5 of the manifest, as announced in the job")
    parser.add_argument("--extra", nargs="*", default=[], help="names in the root that need no blob")
    arguments = parser.parse_args()
    checker = Checker(arguments.root)
    if arguments.hash:
        digest = hashlib.md5()
        with open(arguments.manifest, "rb") as file:
            while data := file.read(MIB):
                digest.update(data)
        if digest.hexdigest().upper() != arguments.hash:
            checker.problem(f"the manifest's MD5 is {digest.hexdigest().upper()}, announced {arguments.hash}")
    drive_id = None
    try:
        drive_id = walk(arguments.manifest, checker)
    except (ElementTree.ParseError, TypeError, ValueError) as error:
        checker.problem(f"the manifest cannot be read: {error}")
    else:
        checker.unnamed(set(arguments.extra))
    print(f"drive {drive_id}: {checker.blobs} blobs, {checker.pieces} pieces, {checker.bytes} bytes hashed, "
          f"{checker.count} problems")
    for problem in checker.problems:
        print(f"  {problem}")
    return 1 if checker.count else 0


if __name__ == "__main__":
    sys.exit(main())
