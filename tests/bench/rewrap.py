"""A thousand envelopes brought under the next version of a key in the vault double."""

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from harness import skipped, verdict

TESTS = Path(__file__).resolve().parents[1]
ENVELOPES = 1000
SECONDS = 30
IN_FLIGHT = 8
# Answers 429, each several times and spread over the run; None is an answer without Retry-After.
BUSY = [{"retry_after": wait} for wait in (0, 1, {"date": 1}, {"date": -5}, None, "soon")] + [
    {"retry_after_ms": 100}, {"error": {"status": 503, "code": "ServiceUnavailable"}}]
BUSY_TIMES = 10


class VaultJob:
    """A job directory with envelopes under a key in the double, and no drive."""

    def __init__(self, program, root, double):
        self.program, self.root, self.double, self.name = program, root, double, root.name
        root.mkdir()
        self.vault = double.create_vault(name="bench", region="westeurope")["host"]
        self.key = double.create_key(vault=self.vault, name="cmk")["kid"]
        secret = root.parent / "client-secret"
        secret.touch(mode=0o600)
        secret.write_text("a secret of the measurement\n")
        identity = double.create_identity(name="agent", secret=secret.read_text().strip())
        double.grant(self.vault, "agent")
        party = {"recipientName": "Goods receipt", "streetAddress1": "1 Example Way",
                 "city": "Springfield", "postalCode": "12345", "countryOrRegion": "US",
                 "phone": "+1 555 0100", "email": "gate4@contoso.example"}
        (root / "job.json").write_text(json.dumps({
            "name": self.name, "location": "West Europe",
            "storageAccountId": "/subscriptions/00000000-0000-0000-0000-000000000000/"
                                "resourceGroups/import/providers/Microsoft.Storage/"
                                "storageAccounts/contosoarchive",
            "returnAddress": party,
            "returnShipping": {"carrierName": "FedEx", "carrierAccountNumber": "123456789"},
            "encryption": {
                "keyUrl": f"https://{self.vault}/keys/cmk", "retrySeconds": 120,
                "keyStore": str(root.parent / "keystore"),
                "credential": {"source": "client-secret", "clientId": identity["client_id"],
                               "clientSecretFile": str(secret)},
                "testEndpoints": {"connectTo": double.connect_to(self.vault),
                                  "caFile": double.ca}}}))
        subprocess.run([program.path, "key", "wrap-secret", str(root), "--name", "first"],
                       input=b"first", check=True, capture_output=True)

    def path(self, *parts):
        return str(self.root.joinpath(*parts))

    def rewrap(self, envelopes):
        """Seconds for all envelopes, which are new and under the version before, and what the double
        saw."""
        newest = self.double.export_key(vault=self.vault, name="cmk")["jwk"]
        envelopes.write_secrets(self, ENVELOPES - 1, newest)
        wanted = self.double.create_key(vault=self.vault, name="cmk")["kid"]
        self.double.clear_log()
        os.sync()
        start = time.monotonic()
        result = self.program.run("key", "rewrap", str(self.root), "--json")
        seconds = time.monotonic() - start
        assert (result["rewrapped"], result["kid"]) == (ENVELOPES, wanted), result
        counts = self.double.counts()
        return seconds, counts["requests"], counts["most_in_flight"]["vault"]


def row(what, runs, limit=None):
    """Of several runs: the median of their times, the most requests at a time."""
    seconds = statistics.median(run[0] for run in runs)
    most = max(run[2] for run in runs)
    wanted = f" (wanted under {limit})" if limit else ""
    return verdict("rewrap", f"{ENVELOPES} envelopes{what} in {seconds:.1f} s{wanted}, "
                   f"{runs[0][1]} requests, at most {most} at a time (wanted {IN_FLIGHT})",
                   (limit is None or seconds < limit) and most <= IN_FLIGHT)


def rewrap(program, place, rounds):
    if any(importlib.util.find_spec(name) is None for name in ("jwcrypto", "cryptography")):
        return skipped("rewrap", "needs python3-jwcrypto and python3-cryptography")
    sys.path += [str(TESTS / "integration"), str(TESTS / "support")]
    import envelopes
    from vault_double.client import VaultDouble
    with VaultDouble() as double:
        job = VaultJob(program, place / "vault-job", double)
        ok = row("", [job.rewrap(envelopes) for _ in range(min(rounds, 3))], SECONDS)
        faults = [double.inject(fault, times=BUSY_TIMES, method="POST", skip=200 * number)
                  for number, fault in enumerate(BUSY)]
        busy = job.rewrap(envelopes)
        met = sum(double.hits(fault) for fault in faults)
        return ok & row(f", {met} requests refused at first,", [busy])
