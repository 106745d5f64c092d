#!/usr/bin/env python3
"""The layer check itself: it lets good trees pass and finds each kind of violation."""

import tempfile
import unittest
from pathlib import Path

from check_layers import check

GOOD = {
    "base/error.h": "#pragma once\n#include <string>\n",
    "drive/block/block_device.h": '#include "base/error.h"\n',
    "drive/layout/gpt.h": '#include "drive/block/block_device.h"\n',
    "drive/layout/gpt.cc": '#include <libfdisk/libfdisk.h>\n#include "drive/layout/gpt.h"\n',
    "bitlocker/volume.h": '#include "drive/block/block_device.h"\n',
    "keywrap/envelope.h": '#include "base/error.h"\n',
    "agent/journal/sqlite.h": '#include "base/error.h"\n',
    "agent/plan/plan.h": '#include "agent/journal/sqlite.h"\n',
    "agent/cli/plan.cc": '#include <CLI/CLI.hpp>\n#include "agent/plan/plan.h"\n',
    "agent/main.cc": '#include <spdlog/spdlog.h>\n#include "agent/journal/sqlite.h"\n',
}


class LayerCheck(unittest.TestCase):
    def problems(self, extra):
        with tempfile.TemporaryDirectory() as directory:
            root = Path(directory)
            for name, text in {**GOOD, **extra}.items():
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            return check(root)[0]

    def assert_found(self, extra, *words):
        problems = self.problems(extra)
        self.assertEqual(len(problems), 1, problems)
        for word in words:
            self.assertIn(word, problems[0])

    def test_a_good_tree_has_no_violation(self):
        self.assertEqual(self.problems({}), [])

    def test_a_lower_module_may_not_include_a_higher_one(self):
        self.assert_found({"base/bad.h": '#include "keywrap/envelope.h"\n'},
                          "base/bad.h:1", "base may not include keywrap")
        self.assert_found({"drive/layout/bad.cc": '\n#include "agent/plan/plan.h"\n'},
                          "drive/layout/bad.cc:2", "agent/plan")

    def test_modules_beside_each_other_do_not_know_each_other(self):
        self.assert_found({"drive/ntfs/bad.cc": '#include "bitlocker/volume.h"\n'},
                          "drive/ntfs may not include bitlocker")
        self.assert_found({"bitlocker/bad.cc": '#include "drive/layout/gpt.h"\n'},
                          "bitlocker may not include drive/layout")
        self.assert_found({"keywrap/bad.cc": '#include "drive/block/block_device.h"\n'},
                          "keywrap may not include drive/block")
        self.assert_found({"agent/job/bad.cc": '#include "agent/journal/sqlite.h"\n'},
                          "agent/job may not include agent/journal")

    def test_nobody_includes_main_or_tests(self):
        self.assert_found({"agent/cli/bad.cc": '#include "agent/main.cc"\n'}, "agent/cli")
        self.assert_found({"base/bad.cc": '#include "tests/support/scratch.h"\n'}, "no file")

    def test_a_library_stays_in_its_home(self):
        for header, place in (("blkid/blkid.h", "drive/guard"), ("libfdisk/libfdisk.h", "agent/cli"),
                              ("ntfs-3g/volume.h", "agent/prepare"), ("sqlite3.h", "agent/plan"),
                              ("libxml/parser.h", "agent/manifest"), ("curl/curl.h", "keywrap"),
                              ("CLI/CLI.hpp", "agent/plan"), ("spdlog/spdlog.h", "keywrap"),
                              ("catch2/catch.hpp", "base")):
            with self.subTest(header=header):
                self.assert_found({f"{place}/bad.cc": f"#include <{header}>\n"}, header, "only")

    def test_a_header_of_the_home_does_not_hand_the_library_on(self):
        self.assert_found({"agent/journal/sqlite.h": '#include "base/error.h"\n',
                           "agent/journal/leak.h": "#include <sqlite3.h>\n",
                           "agent/plan/bad.h": '#include "agent/journal/leak.h"\n'},
                          "agent/plan/bad.h:1", "hands on", "sqlite3.h")

    def test_includes_are_written_from_the_top(self):
        self.assert_found({"drive/layout/bad.cc": '#include "gpt.h"\n'}, "named from the top")
        self.assert_found({"drive/layout/bad.cc": '#include "../block/block_device.h"\n'},
                          "named from the top")

    def test_a_new_directory_must_be_put_into_the_rule(self):
        self.assert_found({"cloud/new.h": "\n"}, "cloud/new.h", "no module")
        self.assert_found({"drive/usb/new.h": "\n"}, "drive/usb/new.h", "no module")

    def test_tests_and_build_directories_are_free(self):
        self.assertEqual(self.problems({"tests/x.cc": "#include <blkid/blkid.h>\n",
                                        "build/x.cc": "#include <sqlite3.h>\n"}), [])


if __name__ == "__main__":
    unittest.main()
