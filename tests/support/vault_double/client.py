"""Starts the double for a test and tells it what to do.

    with VaultDouble() as double:
        vault = double.create_vault(name="demo")["host"]
        key = double.create_key(vault=vault, name="cmk")
        double.create_identity(name="agent", secret="...")
        double.grant(vault, "agent")
        ... run a client with double.connect_to(vault) and double.ca ...
        double.inject({"retry_after": 1}, times=3, method="POST")
        requests = double.log()

Every operation of control.py is a method with the same name and the same arguments, by keyword.
"""

import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
START_TIMEOUT = 60  # seconds
ALL_OPERATIONS = ("get", "wrapKey", "unwrapKey")  # what an agent needs
LOGIN_HOSTS = ("login.microsoftonline.com", "login.windows.net", "login.microsoftonline.us",
               "login.chinacloudapi.cn", "login.partner.microsoftonline.cn")


class VaultDoubleError(Exception):
    pass


def interpreter():
    """A Python that has the cryptography package, or None."""
    for candidate in (sys.executable, shutil.which("python3", path="/usr/bin:/bin")):
        if candidate and subprocess.run([candidate, "-c", "import cryptography"], check=False,
                                        stderr=subprocess.DEVNULL).returncode == 0:
            return candidate
    return None


class VaultDouble:
    def __init__(self, directory=None):
        """VaultDoubleError when there is no Python with the cryptography package."""
        python = interpreter()
        if python is None:
            raise VaultDoubleError("needs python3-cryptography")
        self.own_directory = directory is None
        self.directory = directory or tempfile.mkdtemp(prefix="vault-double-")
        self.process = subprocess.Popen(
            [python, "-B", HERE, "--directory", self.directory], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)
        watchdog = threading.Timer(START_TIMEOUT, self.process.kill)
        watchdog.start()
        line = self.process.stdout.readline()
        watchdog.cancel()
        if not line:
            self.close()
            raise VaultDoubleError("the double did not start")
        self.ports = json.loads(line)
        self.ca = self.ports.pop("ca")

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        if self.own_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    def call(self, operation, **arguments):
        connection = http.client.HTTPConnection("127.0.0.1", self.ports["control"], timeout=120)
        try:
            connection.request("POST", "/" + operation, json.dumps(arguments).encode(),
                               {"Content-Type": "application/json"})
            response = connection.getresponse()
            result = json.loads(response.read())
        finally:
            connection.close()
        if response.status != 200:
            raise VaultDoubleError(result["error"])
        return result

    def __getattr__(self, operation):
        if operation.startswith("_"):
            raise AttributeError(operation)
        return lambda **arguments: self.call(operation, **arguments)

    def grant(self, vault, identity, operations=ALL_OPERATIONS, key=""):
        self.call("set_permissions", vault=vault, identity=identity, operations=list(operations),
                  key=key)

    def inject(self, do, times=1, **match):
        """Queues a fault and returns its number; times=None means for ever."""
        return self.call("inject", do=do, times=times, match=match)["id"]

    def hits(self, fault):
        """How often the fault has happened."""
        return next(each["hits"] for each in self.call("faults") if each["id"] == fault)

    def log(self, endpoint=None, since=0):
        return [entry for entry in self.call("log", since=since)
                if endpoint in (None, entry["endpoint"])]

    def connect_to(self, *hosts):
        """Entries for CURLOPT_CONNECT_TO: the vaults given, and all sign-in hosts."""
        found = [f"{host}:443:127.0.0.1:{self.ports['vault']}" for host in hosts]
        return found + [f"{host}:443:127.0.0.1:{self.ports['authority']}" for host in LOGIN_HOSTS]

    def imds_url(self):
        return f"http://127.0.0.1:{self.ports['imds']}"

    def app_service_environment(self):
        local = self.call("local_endpoints")
        return {"IDENTITY_ENDPOINT": f"http://127.0.0.1:{self.ports['app_service']}/msi/token",
                "IDENTITY_HEADER": local["identity_header"]}

    def arc_environment(self):
        base = f"http://127.0.0.1:{self.ports['arc']}"
        return {"IDENTITY_ENDPOINT": base + "/metadata/identity/oauth2/token",
                "IMDS_ENDPOINT": base}
