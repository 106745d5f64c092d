"""vault_double --directory DIR: runs the double until SIGTERM or until standard input closes.

Writes DIR/ca.pem, the private certification authority, and prints one line of JSON with the ports
once everything listens.
"""

import argparse
import json
import os
import signal
import stat
import sys
import threading

# Run by the name of its directory, the package is no package yet.
sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from vault_double.double import Double  # noqa: E402


def wait_for_end_of_input(ended):
    """A pipe or terminal that closes: whoever started us has gone. /dev/null means nothing."""
    if stat.S_ISCHR(os.fstat(0).st_mode) and not os.isatty(0):
        return
    while os.read(0, 4096):
        pass
    ended.set()


def main():
    parser = argparse.ArgumentParser(prog="vault_double", description=__doc__)
    parser.add_argument("--directory", required=True, help="for certificates and the like")
    directory = os.path.abspath(parser.parse_args().directory)
    os.makedirs(directory, exist_ok=True)
    sys.setswitchinterval(0.0005)  # an answer must not wait for another connection's RSA operation
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *unused: ended.set())
    double = Double(directory)
    print(json.dumps(double.listen()), flush=True)
    threading.Thread(target=wait_for_end_of_input, args=(ended,), daemon=True).start()
    ended.wait()
    os._exit(0)  # threads of open connections are of no interest any more


main()
