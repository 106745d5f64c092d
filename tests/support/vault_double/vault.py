"""The data plane of vaults and managed HSMs: challenge, permission, keys, wrapping."""

import base64
import json
import re

from . import errors
from .connection import Response
from .material import to_base64url
from .messages import (CLIENT, hsm_headers, json_response, read_json, read_operation,
                       vault_headers)

API_VERSION = re.compile(r"(7\.[0-6](-preview(\.\d+)?)?|2016-10-01|20\d\d-\d\d-\d\d(-preview)?)")
PAGE = 25

# action in the words of role assignments
ACTIONS = {"get": "keys/read", "list": "keys/read", "wrapKey": "keys/wrap/action",
           "unwrapKey": "keys/unwrap/action", "create": "keys/create/action",
           "delete": "keys/delete", "recover": "deletedkeys/recover/action",
           "purge": "deletedkeys/purge/action"}


class VaultEndpoint:
    def __init__(self, double):
        self.double = double

    # What every answer has

    def decorate(self, request, response):
        """The headers that the service sends with every answer, unless they are there."""
        vault = self.double.vaults.get(request.host)
        found = (hsm_headers() if vault and vault.hsm
                 else vault_headers(request, self.double.now()))
        # An HSM tells its region only when all is well.
        if vault and vault.region and not (vault.hsm and response.status >= 400):
            found["x-ms-keyvault-region"] = vault.region
        present = {name.lower() for name, _ in response.headers}
        response.headers += [item for item in found.items() if item[0].lower() not in present]
        return response

    def process(self, request):
        with self.double.lock:
            vault = self.double.vaults.get(request.host)
        if vault is None or vault.deleted:
            return Response(404, b'{"error":{"code":"NotFound","message":"no such vault"}}',
                            close=True)
        try:
            return self.answer(request, vault)
        except errors.VaultError as error:
            return json_response(error.status, error.body())

    # From the outermost check to the innermost

    def answer(self, request, vault):
        caller = self.double.tokens.find(request.bearer() or "")
        problem = self.problem_of_token(request, vault, caller)
        if problem:
            return problem
        api_version = request.query.get("api-version", "")
        if not api_version:
            raise errors.bad_parameter("api-version must be specified")
        if not API_VERSION.fullmatch(api_version):
            raise errors.bad_parameter(f"The specified version ({api_version}) is not recognized. "
                                       "Consider using the latest supported version (7.6).")
        self.check_network(vault, caller)
        operation, arguments = self.route(request)
        self.check_permission(vault, caller, operation, arguments["name"])
        handler = getattr(self, "do_" + operation)
        return json_response(200, handler(vault, api_version, request, **arguments))

    def problem_of_token(self, request, vault, caller):
        """The 401 answer that this request gets, or None when its token is good."""
        authority = f"https://{self.double.login_host(vault)}/{vault.tenant}"
        challenge = f'Bearer authorization="{authority}", resource="{vault.resource}"'
        if request.bearer() is None:
            message = "AKV10000: Request is missing a Bearer or PoP token."
        elif message := self.fault_of_token(vault, caller):
            challenge += f', error="invalid_token", error_description="{message}"'
        elif not contains(caller["granted_claims"], vault.required_claims):
            message = "Error validating token: claims that are required are missing."
            claims = base64.b64encode(json.dumps(vault.required_claims).encode()).decode()
            if vault.claims_form == "bare":
                challenge = f'Bearer realm="", authorization_uri="{authority}/oauth2/authorize"'
            challenge += f', error="insufficient_claims", claims="{claims}"'
        else:
            return None
        empty = vault.hsm and request.bearer() is None
        body = b"" if empty else json.dumps(errors.error_body("Unauthorized", message)).encode()
        return Response(401, body, [("WWW-Authenticate", challenge)])

    def fault_of_token(self, vault, caller):
        if caller is None:
            return "AKV10046: Unable to resolve the key used for signature validation."
        if caller["exp"] <= self.double.now():
            return "Error validating token: IDX10223"
        if caller["aud"].rstrip("/") != vault.resource:
            return (f"AKV10022: Invalid audience. Expected {vault.resource}, "
                    f"found: {caller['aud']}.")
        if caller["tid"] != vault.tenant:
            return (f"AKV10032: Invalid issuer. Expected one of https://sts.windows.net/"
                    f"{vault.tenant}/, found {caller['iss']}.")
        return None

    def check_network(self, vault, caller):
        who = f"Caller: {describe(caller)}\r\nVault: {vault.name};location={vault.region}\r\n"
        if not vault.public_access:
            raise errors.forbidden(
                "Public network access is disabled and request is not from a trusted service nor "
                f"via an approved private link.\r\n{who}", "ForbiddenByConnection")
        if vault.firewall:
            raise errors.forbidden(
                "Client address is not authorized and caller is not a trusted service.\r\n"
                f"Client address: {CLIENT}\r\n{who}", "ForbiddenByFirewall")

    def route(self, request):
        """(operation, arguments) of the path, which may end in a slash or have an empty version."""
        parts = request.path.strip("/").split("/")
        collection = parts[0].lower()
        name = parts[1] if len(parts) > 1 else ""
        if not re.fullmatch(r"[0-9A-Za-z-]{1,127}", name):
            raise errors.bad_parameter(f"The request URI contains an invalid name: {name}")
        rest = [part.lower() for part in parts[2:]]
        method = request.method
        found = None
        if collection == "keys":
            found = {
                ("GET", 0): ("get", {"version": ""}),
                ("DELETE", 0): ("delete", {}),
                ("GET", 1): ("list", {}) if rest == ["versions"] else
                            ("get", {"version": rest[0] if rest else ""}),
                ("POST", 1): ("create", {}) if rest == ["create"] else None,
                ("POST", 2): self.crypto_route(rest),
            }.get((method, len(rest)))
        elif collection == "deletedkeys":
            found = {("GET", 0): ("get_deleted", {}), ("DELETE", 0): ("purge", {}),
                     ("POST", 1): ("recover", {}) if rest == ["recover"] else None,
                     }.get((method, len(rest)))
        if found is None:
            raise errors.VaultError(405, "MethodNotAllowed",
                                    "The requested operation is not supported.")
        return found[0], {"name": name, **found[1]}

    @staticmethod
    def crypto_route(rest):
        operation = {"wrapkey": "wrap", "unwrapkey": "unwrap"}.get(rest[-1] if rest else "")
        return operation and (operation, {"version": rest[0]})

    def check_permission(self, vault, caller, operation, name):
        permission = {"wrap": "wrapKey", "unwrap": "unwrapKey", "get_deleted": "get"}.get(
            operation, operation)
        with self.double.lock:
            if vault.allows(caller["oid"], permission, name):
                return
        where = f"{vault.name};location={vault.region}"
        if vault.style == "hsm":
            raise errors.VaultError(403, "AccessDenied",
                                    f"Not authorized to access the resource: /keys/{name}")
        if vault.style == "policy":
            raise errors.forbidden(
                f"The user, group or application '{describe(caller)}' does not have keys "
                f"{permission} permission on key vault '{where}'. For help resolving this issue, "
                "please see https://go.microsoft.com/fwlink/?linkid=2125287", "AccessDenied")
        raise errors.forbidden(
            "Caller is not authorized to perform action on resource.\r\n"
            "If role assignments, deny assignments or role definitions were changed recently, "
            "please observe propagation time.\r\n"
            f"Caller: {describe(caller)}\r\n"
            f"Action: 'Microsoft.KeyVault/vaults/{ACTIONS[permission]}'\r\n"
            "Resource: '/subscriptions/00000000-0000-0000-0000-000000000000/resourcegroups/import/"
            f"providers/microsoft.keyvault/vaults/{vault.name}/keys/{name}'\r\n"
            "Assignment: (not found)\r\nDenyAssignmentId: null\r\nDecisionReason: null\r\n"
            f"Vault: {where}\r\n", "ForbiddenByRbac")

    # Operations

    def do_get(self, vault, api_version, unused_request, name, version):
        with self.double.lock:
            key, found = vault.find_version(name, version, self.double.now())
            vault.check_get(found)
            return vault.bundle(key, found, api_version)

    def do_list(self, vault, api_version, request, name):
        text = request.query.get("maxresults", str(PAGE))
        if not text.isdigit() or not 1 <= int(text) <= PAGE:
            raise errors.bad_parameter("maxresults must be between 1 and 25")
        size = int(text)
        try:
            begin = int(base64.b64decode(request.query.get("$skiptoken", "MA==")))
        except ValueError:
            raise errors.bad_parameter("The skip token is invalid") from None
        with self.double.lock:
            items = vault.items(name, api_version, self.double.now())
        next_link = None
        if begin + size < len(items):
            token = base64.b64encode(str(begin + size).encode()).decode().replace("=", "%3D")
            next_link = (f"https://{vault.host}:443/keys/{name}/versions?api-version={api_version}"
                         f"&$skiptoken={token}&maxresults={size}")
        return {"value": items[begin:begin + size], "nextLink": next_link}

    def do_wrap(self, vault, unused_api_version, request, name, version):
        with self.double.lock:
            key, found = vault.find_version(name, version, self.double.now())
            vault.check_wrap(found, self.double.now())
        algorithm, data = read_operation(request)
        try:
            value = found.material.wrap(algorithm, data)
        except ValueError:
            raise errors.bad_parameter("The parameter is incorrect.\r\n") from None
        return {"kid": vault.kid(key, found), "value": to_base64url(value)}

    def do_unwrap(self, vault, unused_api_version, request, name, version):
        with self.double.lock:
            key, found = vault.find_version(name, version, self.double.now())
            vault.check_unwrap(found)
        algorithm, data = read_operation(request)
        try:
            value = found.material.unwrap(algorithm, data)
        except ValueError:
            raise errors.bad_parameter("The parameter is incorrect.\r\n") from None
        return {"kid": vault.kid(key, found), "value": to_base64url(value)}

    def do_get_deleted(self, vault, api_version, unused_request, name):
        with self.double.lock:
            key = vault.find_deleted(name, self.double.now())
            return {**vault.deletion_facts(key), **vault.bundle(key, key.newest(), api_version)}

    def do_delete(self, vault, api_version, unused_request, name):
        with self.double.lock:
            key = vault.delete_key(name, self.double.now())
            return {**vault.deletion_facts(key), **vault.bundle(key, key.newest(), api_version)}

    def do_recover(self, vault, api_version, unused_request, name):
        with self.double.lock:
            key = vault.recover_key(name, self.double.now())
            return vault.bundle(key, key.newest(), api_version)

    def do_purge(self, vault, unused_api_version, unused_request, name):
        with self.double.lock:
            vault.purge_key(name, self.double.now())
        return None

    def do_create(self, vault, api_version, request, name):
        asked = read_json(request)
        attributes = asked.get("attributes") or {}
        options = {member: asked[member] for member in ("kty", "crv", "key_ops", "tags")
                   if asked.get(member)}
        options |= {member: attributes[member] for member in ("enabled", "nbf", "exp")
                    if attributes.get(member) is not None}
        with self.double.lock:
            key, version = vault.create_key(name, self.double.now(), size=asked.get("key_size"),
                                            **options)
            return vault.bundle(key, version, api_version)


def describe(caller):
    return f"appid={caller['appid']};oid={caller['oid']};iss={caller['iss']}"


def contains(granted, required):
    """Whether the claims that a token was asked with have all that the vault requires."""
    if isinstance(required, dict):
        return isinstance(granted, dict) and all(
            contains(granted.get(name), value) for name, value in required.items())
    return required is None or granted == required
