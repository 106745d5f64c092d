"""The token endpoints of a machine: instance metadata, App Service, Azure Arc.

Which managed identities there are is said by the identities that are attached: at most one of kind
system, any number of kind user.
"""

import email.utils
import json
import os
import secrets

from .connection import Response

TOKEN_PATH = "/metadata/identity/oauth2/token"
APP_SERVICE_PATH = "/msi/token"
ARC_VERSIONS = ("2019-11-01", "2020-06-01", "2021-02-01")


def json_response(status, content, headers=()):
    return Response(status, json.dumps(content).encode(), list(headers))


def oauth_error(status, code, description):
    return json_response(status, {"error": code, "error_description": description})


class LocalEndpoint:
    def __init__(self, double):
        self.double = double

    def decorate(self, unused_request, response):
        for name, value in (("Content-Type", "application/json; charset=utf-8"),
                            ("Date", email.utils.formatdate(self.double.now(), usegmt=True))):
            if response.header(name) is None:
                response.headers.append((name, value))
        return response

    def identity(self, query, names):
        """The identity that is asked for, None when there is none of that kind here."""
        with self.double.lock:
            for parameter, member in names.items():
                if parameter in query:
                    return self.double.find_identity(kind="user", attached=True,
                                                     **{member: query[parameter]})
            return self.double.find_identity(kind="system", attached=True)

    def issue(self, identity, resource):
        """(token, seconds of life, end of it)."""
        with self.double.lock:
            lifetime = self.double.managed_token_lifetime
            text = self.double.tokens.issue(identity, resource.rstrip("/"), self.double.now(),
                                            lifetime)
            return text, lifetime, int(self.double.now() + lifetime)


class Imds(LocalEndpoint):
    NAMES = {"client_id": "client_id", "object_id": "object_id", "msi_res_id": "msi_res_id",
             "mi_res_id": "msi_res_id"}

    def process(self, request):
        if (request.header("metadata") or "").lower() != "true":
            return oauth_error(400, "invalid_request", "Required metadata header not specified")
        if request.header("x-forwarded-for") is not None:
            return oauth_error(400, "invalid_request", "Request was forwarded by a proxy")
        if request.path.rstrip("/") != TOKEN_PATH:
            return oauth_error(404, "not_found", "IMDS address not found")
        for name in ("api-version", "resource"):
            if not request.query.get(name):
                return oauth_error(400, "invalid_request",
                                   f"Required query variable '{name}' is missing")
        identity = self.identity(request.query, self.NAMES)
        if identity is None:
            return oauth_error(400, "invalid_request", "Identity not found")
        resource = request.query["resource"]
        text, lifetime, ends = self.issue(identity, resource)
        return json_response(200, {
            "access_token": text, "client_id": identity.client_id, "expires_in": str(lifetime),
            "expires_on": str(ends), "ext_expires_in": str(lifetime),
            "not_before": str(ends - lifetime), "resource": resource, "token_type": "Bearer"})


class AppService(LocalEndpoint):
    NAMES = {"client_id": "client_id", "principal_id": "object_id", "object_id": "object_id",
             "mi_res_id": "msi_res_id"}

    def __init__(self, double):
        super().__init__(double)
        self.secret = secrets.token_hex(16).upper()

    def process(self, request):
        if request.path.rstrip("/") != APP_SERVICE_PATH:
            return json_response(404, {"statusCode": 404, "message": "not found"})
        if request.header("x-identity-header") != self.secret:
            return json_response(401, {"statusCode": 401,
                                       "message": "X-IDENTITY-HEADER is missing or wrong"})
        if request.query.get("api-version") != "2019-08-01" or not request.query.get("resource"):
            return json_response(400, {"statusCode": 400,
                                       "message": "api-version or resource is missing or unknown"})
        identity = self.identity(request.query, self.NAMES)
        if identity is None:
            return json_response(400, {
                "statusCode": 400, "message": "No User Assigned or Delegated Managed Identity "
                                              "found for specified "
                                              "ClientId/ResourceId/PrincipalId."})
        resource = request.query["resource"]
        text, _, ends = self.issue(identity, resource)
        return json_response(200, {"access_token": text, "client_id": identity.client_id,
                                   "expires_on": str(ends), "resource": resource,
                                   "token_type": "Bearer"})


class Arc(LocalEndpoint):
    """First a challenge that names a file, then a token for whoever can read that file.

    The files lie in `directory`; clients are told that they lie in `announced`. `realm`, when set,
    is named instead.
    """

    def __init__(self, double, directory):
        super().__init__(double)
        self.directory = directory
        self.announced = "/var/opt/azcmagent/tokens"  # where the agent of Azure Arc keeps them
        self.realm = None
        self.size = 64
        self.pending = set()

    def process(self, request):
        if (request.header("metadata") or "").lower() != "true":
            return oauth_error(400, "invalid_request", "Required metadata header not specified")
        if request.path.rstrip("/") != TOKEN_PATH:
            return oauth_error(404, "not_found", "address not found")
        resource = request.query.get("resource")
        if request.query.get("api-version") not in ARC_VERSIONS or not resource:
            return oauth_error(400, "invalid_request",
                               "api-version or resource is missing or unknown")
        scheme, _, key = (request.header("authorization") or "").partition(" ")
        if scheme.lower() != "basic":
            return self.challenge()
        with self.double.lock:
            known = key in self.pending
            self.pending.discard(key)
        if not known:
            return oauth_error(401, "unauthorized", "the key is not the one of the file")
        identity = self.identity({}, {})
        if identity is None:
            return oauth_error(400, "invalid_request", "Identity not found")
        text, lifetime, ends = self.issue(identity, resource)
        return json_response(200, {
            "access_token": text, "expires_in": str(lifetime), "expires_on": str(ends),
            "not_before": str(ends - lifetime), "resource": resource, "token_type": "Bearer"})

    def challenge(self):
        with self.double.lock:
            name, key = secrets.token_hex(8) + ".key", secrets.token_hex(self.size // 2)
            os.makedirs(self.directory, exist_ok=True)
            path = os.path.join(self.directory, name)
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640), "w") as file:
                file.write(key)
            self.pending.add(key)
            realm = self.realm or os.path.join(self.announced, name)
        response = oauth_error(401, "unauthorized", "A challenge is issued")
        response.set_header("WWW-Authenticate", f"Basic realm={realm}")
        return response
