"""Who opens a BitLocker volume with which key: driveprep, cryptsetup, dislocker and libbde."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import harness
import volume as v

NAMES = ("driveprep", "cryptsetup", "dislocker", "libbde")
# dislocker 0.7.3 and libbde 20190102 look only at the first protector of a kind.
FIRST_OF_A_KIND_ONLY = ("dislocker", "libbde")
OPTIONS = {"recovery-password": "--recovery-password-file", "password": "--password-file",
           "external-key": "--bek-file"}


class Key:
    """A key of a volume: its kind as driveprep calls it, and the file that holds it."""

    def __init__(self, kind, path):
        self.kind, self.path = kind, path

    def options(self):
        return [OPTIONS[self.kind], self.path]

    def text(self):
        with open(self.path, encoding="utf-8") as file:
            return file.read().strip()


def by_driveprep(partition, key):
    return subprocess.run([harness.PROGRAM, "volume", "unlock", "--check", partition, *key.options()],
                          stdin=subprocess.DEVNULL, capture_output=True).returncode == 0


def by_cryptsetup(partition, key):
    path = key.path
    if key.kind != "external-key":  # what stands behind the key is part of it here
        path = v.key_file_of(os.path.dirname(key.path), os.path.basename(key.path) + ".bare", key.text())
    return v.run("cryptsetup", "bitlkDump", "--dump-volume-key", "--batch-mode", "--key-file", path,
                 partition).returncode == 0


def by_dislocker(partition, key):
    how = {"recovery-password": "-p", "password": "-u", "external-key": "-f"}[key.kind]
    given = key.path if key.kind == "external-key" else key.text()
    plain = f"{partition}.{os.path.basename(key.path)}.plain"  # it takes no file that is there already
    opened = v.run("dislocker-file", "-r", "-V", partition, how + given, "--", plain).returncode == 0
    if os.path.exists(plain):
        os.remove(plain)
    return opened


def by_libbde(partition, key):
    how = {"recovery-password": "-r", "password": "-p", "external-key": "-s"}[key.kind]
    given = key.path if key.kind == "external-key" else key.text()
    done = v.run("bdeinfo", how, given, partition)
    return done.returncode == 0 and b"is locked" not in done.stdout.lower()


def openers(partition, keys):
    """{name: {judge: opens}} for `keys` {name: Key}; `partition`: a volume in a file of its own."""
    judges = dict(zip(NAMES, (by_driveprep, by_cryptsetup, by_dislocker, by_libbde)))
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        asked = {name: {judge: pool.submit(ask, partition, key) for judge, ask in judges.items()}
                 for name, key in keys.items()}
        return {name: {judge: answer.result() for judge, answer in answers.items()}
                for name, answers in asked.items()}


def check(case, partition, keys, expected, behind=(), without=()):
    """`expected`: {name: opens}. `behind`: keys that come after another one of their kind. `without`:
    judges that do not know this cipher."""
    for name, answers in openers(partition, keys).items():
        left_out = {*without, *(FIRST_OF_A_KIND_ONLY if name in behind else ())}
        answers = {judge: opened for judge, opened in answers.items() if judge not in left_out}
        case.assertEqual(answers, dict.fromkeys(answers, expected[name]), name)
