"""Tests that need Python packages of Debian: the Python that runs ctest may be another one."""

import importlib
import os
import shutil
import sys

SKIPPED = 77


def need_packages(modules, packages):
    """Returns when the modules can be imported; else goes on in Debian's Python, or skips."""
    try:
        for module in modules:
            importlib.import_module(module)
        return
    except ImportError:
        pass
    debian = shutil.which("python3", path="/usr/bin")
    if debian and os.path.realpath(debian) != os.path.realpath(sys.executable):
        os.execv(debian, [debian, "-B", *sys.argv])
    print(f"skipped: needs {packages}")
    sys.exit(SKIPPED)
