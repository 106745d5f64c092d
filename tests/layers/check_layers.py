#!/usr/bin/env python3
"""Reads every #include line of the source tree and fails when a module reaches where it may not.

Usage: check_layers.py ROOT

Two rules. A module includes itself and the modules below it, never one above or beside it. A foreign
library is included in its home only, and no header of the home hands it on to files elsewhere.
"""

import re
import sys
from pathlib import Path

LOWER = ["base", "drive/block", "drive/inventory", "drive/layout", "drive/guard", "drive/ntfs",
         "bitlocker", "keywrap", "keywrap/http", "keywrap/identity", "keywrap/vault",
         "keywrap/pkcs11"]
RECORDS = ["agent/job", "agent/journal", "agent/manifest", "agent/record"]
DECISIONS = ["agent/plan", "agent/request", "agent/report"]

# Module -> what it may include besides itself.
MAY_INCLUDE = {
    "base": [],
    "keywrap": ["base"],
    "keywrap/http": ["base", "keywrap"],
    "keywrap/identity": ["base", "keywrap", "keywrap/http"],
    "keywrap/vault": ["base", "keywrap", "keywrap/http", "keywrap/identity"],
    "keywrap/pkcs11": ["base", "keywrap"],
    "drive/block": ["base"],
    "drive/inventory": ["base", "drive/block"],
    "drive/layout": ["base", "drive/block", "drive/inventory"],
    "drive/guard": ["base", "drive/block", "drive/inventory", "drive/layout"],
    "drive/ntfs": ["base", "drive/block"],
    "bitlocker": ["base", "drive/block"],
    "agent/xml": ["base"],
    **{module: LOWER + ["agent/xml"] for module in RECORDS},
    **{module: LOWER + RECORDS for module in DECISIONS},
    "agent/prepare": LOWER + RECORDS + DECISIONS + ["agent/keys", "agent/volume"],
    "agent/volume": LOWER + RECORDS,
    "agent/intake": LOWER + ["agent/report"],
    "agent/keys": LOWER + RECORDS,
    "agent/erase": LOWER + RECORDS + DECISIONS,
    "agent/cli": LOWER + RECORDS + DECISIONS + ["agent/prepare", "agent/volume", "agent/keys", "agent/erase",
                                                "agent/intake"],
    "agent": LOWER + RECORDS + DECISIONS + ["agent/prepare", "agent/volume", "agent/keys", "agent/erase",
                                            "agent/intake", "agent/cli"],  # main.cc
}

# Header prefix of a foreign library -> the directories that may include it.
HOMES = {
    "blkid/": ["drive/inventory"],
    "libfdisk/": ["drive/layout"],
    "ntfs-3g/": ["drive/ntfs"],
    "libxml/": ["agent/xml"],
    "sqlite3.h": ["agent/journal"],
    "curl/": ["keywrap/http"],
    "p11-kit/": ["keywrap/pkcs11"],
    "CLI/": ["agent/cli"],
    "spdlog/": ["agent"],
    "catch2/": ["tests"],
}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
SOURCE_SUFFIXES = {".h", ".cc", ".in"}
# Everything else at the top holds modules; a new tree must be put into the rule.
NOT_MODULES = re.compile(r"tests|samples|tools|docs|build.*|\..*|node_modules")


def module_of(path):
    """The module that a file belongs to: the longest known directory it lies in."""
    for parent in Path(path).parents:
        if parent.as_posix() in MAY_INCLUDE:
            return parent.as_posix()
    return None


def includes_of(root, path):
    """(line number, is it a foreign header, name) of each #include line."""
    found = []
    text = (root / path).read_text(encoding="utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if match:
            found.append((number, match.group(1) == "<", match.group(2)))
    return found


def home_of(header):
    for prefix, home in HOMES.items():
        if header.startswith(prefix):
            return prefix, home
    return None, None


def lies_in(path, directories):
    return any(path.startswith(directory + "/") for directory in directories)


def check(root):
    """All violations, as lines for people, and the number of files looked at."""
    problems = []
    trees = [p for p in root.iterdir() if p.is_dir() and not NOT_MODULES.fullmatch(p.name)]
    files = sorted(p.relative_to(root).as_posix() for tree in trees
                   for p in tree.rglob("*") if p.suffix in SOURCE_SUFFIXES)
    includes = {path: includes_of(root, path) for path in files}

    def hands_on(path, seen):
        """Library prefixes that a file brings to whoever includes it, with the way there."""
        if path in seen or path not in includes:
            return {}
        seen.add(path)
        brought = {}
        for _, foreign, name in includes[path]:
            if foreign and home_of(name)[0]:
                brought[home_of(name)[0]] = path
            elif not foreign:
                brought.update(hands_on(name, seen))
        return brought

    for path in files:
        module = module_of(path)
        if module is None:
            problems.append(f"{path}: lies in no module that the layer rule knows")
            continue
        for number, foreign, name in includes[path]:
            where = f"{path}:{number}"
            if foreign:
                prefix, home = home_of(name)
                if prefix and not lies_in(path, home):
                    problems.append(f"{where}: <{name}> may be included in "
                                    f"{' and '.join(home) or 'no directory yet'} only")
                continue
            target = module_of(name)
            if target is None or name not in includes:
                problems.append(f'{where}: "{name}" is no file of a module, named from the top')
            elif target != module and target not in MAY_INCLUDE[module]:
                problems.append(f"{where}: {module} may not include {target} (\"{name}\")")
            elif target != module:
                for prefix, at in hands_on(name, set()).items():
                    if not lies_in(path, HOMES[prefix]):
                        problems.append(f'{where}: "{name}" hands on <{prefix}...> from {at}')
    return problems, len(files)


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: check_layers.py ROOT")
    problems, count = check(Path(sys.argv[1]))
    for problem in problems:
        print(problem)
    if count == 0:
        sys.exit("no source file found: wrong directory?")
    print(f"{count} files, {len(problems)} violations")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
