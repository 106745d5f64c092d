"""The whole double: what it knows, and its listeners."""

import os
import sys
import threading
import time
import traceback

from .authority import Authority
from .clouds import certificate_hosts, known_clouds
from .connection import Listener, Response
from .control import Control
from .faults import Faults
from .identities import Signer, Tokens
from .local_identity import AppService, Arc, Imds
from .log import RequestLog
from .tls import Certificates
from .vault import VaultEndpoint


class Double:
    """`lock` guards everything but the request log; RSA operations are done without it."""

    def __init__(self, directory):
        self.directory = directory
        self.lock = threading.RLock()
        self.log = RequestLog()
        self.clouds = known_clouds()
        self.certificates = Certificates(directory, certificate_hosts(self.clouds.values()),
                                         self.accepts)
        self.tokens = Tokens()
        self.reset()

    def reset(self):
        """Forgets everything but its ports, certification authority and added clouds."""
        with self.lock:
            self.vaults = {}      # by host name
            self.identities = {}  # by name
            self.tenants = set()
            self.issuers = {}
            self.faults = Faults()
            self.token_lifetime = 3599
            self.managed_token_lifetime = 86399
            self.clock_offset = 0.0
            self.tokens.issued = {}
            self.certificates.reset()
            self.endpoints = {"vault": VaultEndpoint(self), "authority": Authority(self),
                              "imds": Imds(self), "app_service": AppService(self),
                              "arc": Arc(self, os.path.join(self.directory, "arc-tokens"))}
        self.log.clear()

    def listen(self):
        """Opens all ports; returns them, and what else a client has to know."""
        ports = {}
        for name in self.endpoints:
            secure = name in ("vault", "authority")
            tls = self.certificates.listening_context() if secure else None
            ports[name] = Listener(name, self.handle, tls, self.log.failed_handshake).port
        ports["control"] = Listener("control", Control(self).handle).port
        return {**ports, "ca": self.certificates.ca_path}

    def handle(self, request):
        begin = time.monotonic()
        entry = self.log.begin(request)
        endpoint = self.endpoints[request.endpoint]
        with self.lock:
            fault = self.faults.take(request) if self.faults.queue else None
        try:
            if fault is None:
                response = endpoint.decorate(request, endpoint.process(request))
            else:
                response = fault.answer(request, lambda: endpoint.process(request), self.now())
                response = fault.finish(endpoint.decorate(request, response))
        except Exception:  # a mistake of the double's own: its user shall see it
            text = traceback.format_exc()
            print(text, file=sys.stderr, flush=True)
            response = Response(500, text.encode(), close=True)
        # Counted off before the answer leaves: the client may send its next request at once.
        self.log.end(entry, response, time.monotonic() - begin, fault and fault.number)
        return response

    # What the endpoints ask

    def now(self):
        return time.time() + self.clock_offset

    def accepts(self, host):
        """Whether connections for this name are served: the name of no vault has no address."""
        with self.lock:
            if any(host.endswith("." + suffix) for cloud in self.clouds.values()
                   for suffix in cloud.suffixes()):
                vault = self.vaults.get(host)
                return vault is not None and not vault.deleted
        return True

    def cloud_of(self, suffix):
        return next(cloud for cloud in self.clouds.values() if suffix in cloud.suffixes())

    def login_host(self, vault):
        return self.cloud_of(vault.suffix).logins[0]

    def tenant_known(self, tenant):
        return (tenant in self.tenants or
                any(each.tenant == tenant for each in self.vaults.values()) or
                any(each.tenant == tenant for each in self.identities.values()))

    def find_identity(self, **members):
        return next((each for each in self.identities.values()
                     if all(same(getattr(each, name), value) for name, value in members.items())),
                    None)

    def issuer(self, name):
        with self.lock:
            if name not in self.issuers:
                self.issuers[name] = Signer()
            return self.issuers[name]


def same(one, other):
    if isinstance(one, str) and isinstance(other, str):
        return one.lower() == other.lower()
    return one == other
