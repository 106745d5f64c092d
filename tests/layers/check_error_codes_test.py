#!/usr/bin/env python3
"""The check of the error codes itself: it lets a good tree pass and finds each kind of difference."""

import tempfile
import unittest
from pathlib import Path

import check_error_codes

DOCUMENT = """## Exit statuses
| `verify` |
## Codes, by exit status
### 2, usage
`bad-name`, `used-twice` (`--json` shows it).
### 4, not confirmed
`nobody-agreed`.
### Any status
`read-failed`.
"""
SOURCE = """// "only-said" in a comment
throw Error(ErrorKind::kUsage, "bad-name", "a \\"b-c\\" // no comment", "");
throw Error(ErrorKind::kUsage,
            "used-twice", "", "");
fail("nobody-agreed"); /* "also-said" */
throw Error::from_errno(ErrorKind::kSource, "read-failed", "", 1, "");
"""


class ErrorCodeCheck(unittest.TestCase):
    def problems(self, source=SOURCE, document=DOCUMENT, other_words=()):
        kept = check_error_codes.OTHER_WORDS
        check_error_codes.OTHER_WORDS = set(other_words)
        try:
            with tempfile.TemporaryDirectory() as directory:
                root = Path(directory)
                (root / "docs").mkdir()
                (root / "docs/exit-codes.md").write_text(document, encoding="utf-8")
                (root / "base").mkdir()
                (root / "base/error.cc").write_text(source, encoding="utf-8")
                return check_error_codes.check(root)[0]
        finally:
            check_error_codes.OTHER_WORDS = kept

    def assert_found(self, problems, *words):
        self.assertEqual(len(problems), 1, problems)
        for word in words:
            self.assertIn(word, problems[0])

    def test_a_document_that_lists_all_and_nothing_else_passes(self):
        self.assertEqual(self.problems(), [])

    def test_a_code_that_is_not_listed_is_found(self):
        self.assert_found(self.problems(SOURCE + 'outcome.error.emplace(kind, "new-code");'),
                          "base/error.cc", '"new-code"')
        self.assertEqual(self.problems(SOURCE + '"new-code"', other_words={"new-code"}), [])

    def test_a_listed_code_that_no_source_has_is_found(self):
        self.assert_found(self.problems(document=DOCUMENT + "`gone-code`"), "`gone-code`")

    def test_a_code_under_another_status_is_found(self):
        self.assert_found(
            self.problems(SOURCE + 'Error(ErrorKind::kNotConfirmed, "bad-name", "", "")'),
            '"bad-name"', "kNotConfirmed", "4, not confirmed")
        self.assert_found(self.problems(SOURCE + 'Error(ErrorKind::kKey, "bad-name", "", "")'),
                          "no section for kKey")

    def test_a_word_that_is_not_used_any_more_is_found(self):
        self.assert_found(self.problems(other_words={"old-word"}), '"old-word"')


if __name__ == "__main__":
    unittest.main()
