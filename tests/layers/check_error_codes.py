#!/usr/bin/env python3
"""Compares the stable error codes of the source tree with docs/exit-codes.md, both ways.

Usage: check_error_codes.py ROOT

A code is a string literal of lower-case words joined by hyphens. Every such literal in the program is
taken for a code unless it stands in OTHER_WORDS, so none can be forgotten; a code that is thrown with
its kind in the same call must be listed under the exit status of that kind.
"""

import re
import sys
from pathlib import Path

TREES = ["agent", "base", "bitlocker", "drive", "keywrap"]
DOCUMENT = "docs/exit-codes.md"
# Codes of one word, which cannot be told from other strings.
PLAIN_CODES = {"internal", "unreadable"}
# Words of the same form that are something else.
OTHER_WORDS = {
    # ciphers, encodings, key stores, formats, names of memory files
    "aes-cbc-128", "aes-cbc-256", "aes-cbc-128-elephant", "aes-cbc-256-elephant", "xts-aes-128",
    "xts-aes-256", "utf-8", "driveprep-key-store", "driveprep-key-state",
    "driveprep-audit-head", "driveprep-ntfs", "driveprep-plan",
    # values in job.json, dataset.csv and envelopes
    "azure-cli", "client-certificate", "client-secret", "managed-identity", "workload-identity",
    "no-overwrite", "recovery-password", "volume-key", "bitlocker-recovery-password",
    "bitlocker-volume-key", "bitlocker-volume-metadata", "volume-metadata",
    "databox-device-unlock-key", "device-unlock-key",
    # where a statement about a drive comes from, and kinds of zones
    "ata-identify", "vpd-80", "vpd-89", "host-aware", "host-managed",
    # how a sector differs that an intake test reads back
    "few-bits", "old-run", "other-place",
    # events of the journal
    "drive-health", "drive-stalled",
    # headers of HTTP
    "retry-after", "retry-after-ms", "x-ms-retry-after-ms", "x-ms-client-request-id",
    "x-ms-keyvault-network-info", "x-ms-keyvault-region", "x-ms-request-id",
    # clouds and services
    "us-government", "data-box", "import-export", "backup-vault",
    # tokens: headers, parameters, arguments
    "api-version", "get-access-token", "www-authenticate",
    # commands, words of `volume info`
    "backup-metadata", "restore-metadata", "wrap-secret", "unwrap-secret", "new-version", "driveprep-unlock", "reparse-point", "symbolic-link",
    "clear-key", "external-key", "to-go", "tpm-and-pin",
    # attributes of PKCS#11 URIs
    "library-description", "library-manufacturer", "library-version", "module-name", "module-path",
    "pin-source", "pin-value", "slot-description", "slot-id", "slot-manufacturer",
    # kinds of error
    "journal-mismatch", "not-confirmed", "some-drives-failed",
    # events of the journal
    "drive-begun", "drive-finished", "drive-verified", "key-shown", "keys-revealed",
    "verification-failed", "envelope-opened", "key-adopted", "key-changed", "key-dropped",
    "key-rewrapped", "secret-unwrapped", "secret-wrapped",
    # marks in the file of the audit trail's head
    "customers-key",
    # reasons of a change of key
    "mode-change", "new-key", "new-vault", "new-identity", "system-assigned", "new-version",
}

# A comment, or a string or character literal, whichever comes first.
TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)+\'', re.DOTALL)
WORDS = re.compile(r'"([a-z][a-z0-9]*(?:-[a-z0-9]+)+)"')
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
THROWN = re.compile(r'\bError(?:::from_errno)?\(\s*ErrorKind::k(\w+),\s*"([a-z0-9-]+)"')
KIND = re.compile(r"(?<!^)(?=[A-Z])")


def without_comments(text):
    return TOKEN.sub(lambda m: " " if m.group().startswith("/") else m.group(), text)


def codes_of(document):
    """Heading -> the codes below it, of the part of the document that lists codes."""
    sections = {}
    heading = None
    for line in document.partition("## Codes, by exit status")[2].splitlines():
        if line.startswith("### "):
            heading = line.removeprefix("### ")
            sections[heading] = set()
        elif heading:
            for code in re.findall(r"`([a-z][a-z0-9]*(?:-[a-z0-9]+)*)`", line):
                if "-" in code or code in PLAIN_CODES:
                    sections[heading].add(code)
    return sections


def section_of(kind, sections):
    """The heading of a kind: `NotConfirmed` is told under "4, not confirmed"."""
    name = KIND.sub(" ", kind).lower()
    return next((heading for heading in sections if heading.endswith(", " + name)), None)


def check(root):
    """All that is wrong, as lines for people, and the number of codes found in the source."""
    problems = []
    sections = codes_of((root / DOCUMENT).read_text(encoding="utf-8"))
    listed = set().union(*sections.values())
    anywhere = set().union(*(codes for heading, codes in sections.items()
                             if not re.match(r"\d", heading)))
    used = set()
    words = set()
    for path in sorted(p for tree in TREES for p in (root / tree).rglob("*")
                       if p.suffix in {".h", ".cc"}):
        where = path.relative_to(root).as_posix()
        text = without_comments(path.read_text(encoding="utf-8"))
        words.update(re.findall(r'"([a-z]+)"', text))
        for word in sorted(set(WORDS.findall(text))):
            words.add(word)
            if word in OTHER_WORDS or GUID.fullmatch(word):
                continue
            used.add(word)
            if word not in listed:
                problems.append(f'{where}: "{word}" is not in {DOCUMENT} (if it is no error code, '
                                "add it to OTHER_WORDS)")
        for kind, code in THROWN.findall(text):
            if code not in listed or code in anywhere:
                continue
            heading = section_of(kind, sections)
            if heading is None:
                problems.append(f"{where}: {DOCUMENT} has no section for k{kind}")
            elif code not in sections[heading]:
                problems.append(f'{where}: "{code}" is thrown as k{kind}, and {DOCUMENT} does not '
                                f'list it under "{heading}"')
    problems += [f"{DOCUMENT}: `{code}` is nowhere in the source"
                 for code in sorted(listed - words)]
    problems += [f"OTHER_WORDS: \"{word}\" is nowhere in the source"
                 for word in sorted(OTHER_WORDS - words)]
    return problems, len(used)


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: check_error_codes.py ROOT")
    problems, count = check(Path(sys.argv[1]))
    for problem in problems:
        print(problem)
    if count == 0:
        sys.exit("no error code found: wrong directory?")
    print(f"{count} error codes, {len(problems)} problems")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
