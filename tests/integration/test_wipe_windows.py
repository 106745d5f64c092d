"""driveprep wipe on disks with volumes that Windows made: afterwards no reader opens any of them."""

import configparser
import json
import os
import subprocess
import unittest

import harness
import judges
import loops
import volume as v
from harness import MIB

HERE = os.path.dirname(os.path.abspath(__file__))
START = 17 * MIB  # Windows puts a partition of its own first
GAP = MIB
KIND = {"dos": "7", "gpt": "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"}  # data of Windows
# Not finished by Windows: driveprep refuses it, with the right key too; cryptsetup tells its key.
CONVERTING = "bitlk-aes-xts-128-eow"


class WipeWindowsVolumes(harness.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        loops.needed("cryptsetup", "dislocker-file", "bdeinfo", "sfdisk")
        home = os.environ.get("DRIVEPREP_WINDOWS_VOLUMES",
                              os.path.join(HERE, "../../../shared/windows-volumes"))
        archive = os.path.join(home, "volumes.tar.xz")
        if not os.path.exists(os.path.join(home, "volumes.conf")):
            if not os.path.exists(archive):
                raise unittest.SkipTest("no volumes made by Windows in " + home)
            home = cls.env.directory("windows")
            subprocess.run(["tar", "-xSJf", archive, "-C", home], check=True)
        cls.home = home
        conf = configparser.ConfigParser()
        conf.optionxform = str
        conf.read(os.path.join(home, "volumes.conf"))
        cls.volumes = {name: dict(conf[name]) for name in conf.sections()}

    def disk(self, names, table, sector=512):
        """(device, its file, [(name, offset, length)])"""
        path = os.path.join(self.env.directory("disk"), "disk.img")
        placed, end = [], START
        for name in names:
            length = os.stat(os.path.join(self.home, name + ".img")).st_size
            placed.append((name, end, length))
            end += length + GAP
        loops.sparse(path, end + GAP)
        lines = [f"label: {table}", *(f"start={offset // sector}, size={length // sector}, type={KIND[table]}"
                                      for _, offset, length in placed)]
        device = loops.attach(self, path, "--sector-size", str(sector))
        subprocess.run(["sfdisk", "--quiet", "--no-reread", device], input="\n".join(lines) + "\n", text=True,
                       check=True, capture_output=True)
        for name, offset, length in placed:
            subprocess.run(["dd", f"if={os.path.join(self.home, name + '.img')}", f"of={device}", "bs=1M",
                            f"seek={offset // MIB}", "conv=sparse,fsync,notrunc", "status=none"], check=True)
        return device, path, placed

    def opened(self, path, placed):
        """{volume: the readers that open it with its recovery password}"""
        found = {}
        for name, offset, length in placed:
            look = self.env.directory("look")
            partition = os.path.join(look, "partition")
            v.copy_partition(path, offset, length, partition)
            key = judges.Key("recovery-password", os.path.join(look, "password"))
            with open(key.path, "w", encoding="utf-8") as file:
                file.write(self.volumes[name]["RP"] + "\n")
            answers = judges.openers(partition, {"RP": key})["RP"]
            found[name] = {reader for reader, opens in answers.items() if opens}
            os.remove(partition)
        return found

    def check(self, names, table, method, sector=512, damage=None):
        device, path, placed = self.disk(names, table, sector)
        for name, readers in self.opened(path, placed).items():
            if name != CONVERTING:
                self.assertLessEqual({"driveprep", "dislocker"}, readers, name)
            self.assertIn("cryptsetup", readers, name)
        if damage:
            damage(device, placed)
        record = os.path.join(self.env.directory("record"), "record.json")
        result = self.env.run("wipe", device, "--confirm", os.path.basename(device), "--method", method,
                              "--record", record, "--json")
        self.assertEqual(result.status, 0, result)
        with open(record, encoding="utf-8") as file:
            told = json.load(file)["record"]
        self.assertEqual((told["result"], told["metadata_destroyed"]), ("wiped", True))
        self.assertTrue(told["read_back"]["cache_bypassed"])
        self.run_ok("report", "--check", record)
        self.assertEqual(sorted(told["before"]["bitlocker_volumes"]),
                         sorted(self.volumes[name]["GUID"].lower() for name in names))
        self.assertEqual(self.opened(path, placed), {name: set() for name in names})
        # Nor do copies of the metadata lie anywhere, for a reader of another kind.
        with open(path, "rb") as file:
            while piece := file.read(MIB):
                for at in range(0, len(piece), 512):
                    self.assertNotEqual(piece[at:at + 8], b"-FVE-FS-")

    def of(self, sector):
        return [name for name in self.volumes if name.endswith("-4k") == (sector == 4096)]

    def test_several_in_a_table_of_the_old_kind(self):
        self.check([name for name in self.of(512) if name != CONVERTING][:4], "dos", "metadata")

    def test_all_in_one_table(self):
        self.check(self.of(512), "gpt", "metadata")

    def test_of_4096_byte_sectors(self):
        self.check(self.of(4096), "gpt", "metadata", 4096)

    def test_by_discard(self):
        self.check([CONVERTING, "bitlk-togo-aes-xts-128"], "gpt", "discard")

    def test_headers_and_table_are_lost_already(self):
        def damage(device, placed):
            with open(device, "r+b") as disk:
                for offset in (0, *(offset for _, offset, _ in placed)):
                    disk.seek(offset)
                    disk.write(bytes(64 * 1024))
                disk.seek(-64 * 1024, os.SEEK_END)
                disk.write(bytes(64 * 1024))
                disk.flush()
                os.fsync(disk.fileno())

        self.check(["bitlk-aes-xts-256", "bitlk-aes-xts-128-crc"], "gpt", "metadata", damage=damage)


if __name__ == "__main__":
    harness.main()
