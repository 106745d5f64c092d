"""Microsoft's clients for Python, led to the vault double."""

import logging
import os
import unittest.mock
import warnings

import urllib3

import harness  # noqa: F401: finds the double
from vault_double.client import LOGIN_HOSTS


def lead_to(double, case):
    """For all tests of the class `case`: those clients trust the certificates of the double and
    connect to it, whatever name they ask for."""
    # They leave connections to the garbage collector, and log what they also raise.
    warnings.filterwarnings("ignore", category=ResourceWarning)
    logging.getLogger("azure").setLevel(logging.CRITICAL)
    case.enterClassContext(unittest.mock.patch.dict(
        os.environ, {"REQUESTS_CA_BUNDLE": double.ca, "NO_PROXY": "*"}))
    connection = urllib3.util.connection
    original = connection.create_connection

    def connect(address, *args, **options):
        """Where a name leads to; which names and certificates are right is still verified."""
        host, port = address
        if port == 443:
            port = double.ports["authority" if host in LOGIN_HOSTS else "vault"]
        return original(("127.0.0.1", port), *args, **options)

    case.enterClassContext(unittest.mock.patch.object(connection, "create_connection", connect))
