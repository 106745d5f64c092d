"""The sign-in hosts: discovery documents and the token endpoint for applications."""

import email.utils
import json
import time
import uuid

from cryptography.exceptions import InvalidSignature

from .connection import Response
from .identities import BadJwt, read_jwt, verify_jwt

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
FEDERATED_AUDIENCE = "api://AzureADTokenExchange"
LONGEST_ASSERTION = 86400  # seconds


class SignInError(Exception):
    def __init__(self, number, message, error="invalid_client", status=None):
        super().__init__(message)
        self.number, self.message, self.error = number, message, error
        self.status = status or (401 if error == "invalid_client" else 400)


class Authority:
    def __init__(self, double):
        self.double = double

    def decorate(self, request, response):
        found = [("Content-Type", "application/json; charset=utf-8"),
                 ("Cache-Control", "no-store, no-cache"), ("Pragma", "no-cache"),
                 ("x-ms-request-id", str(uuid.uuid4())),
                 ("Date", email.utils.formatdate(self.double.now(), usegmt=True))]
        present = {name.lower() for name, _ in response.headers}
        response.headers += [item for item in found if item[0].lower() not in present]
        return response

    def process(self, request):
        try:
            return json_response(200, self.answer(request))
        except SignInError as error:
            return json_response(error.status, self.error_body(request, error))

    def error_body(self, request, error):
        stamp = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(self.double.now()))
        trace = str(uuid.uuid4())
        correlation = request.header("client-request-id") or str(uuid.uuid4())
        return {"error": error.error,
                "error_description": f"AADSTS{error.number}: {error.message} Trace ID: {trace} "
                                     f"Correlation ID: {correlation} Timestamp: {stamp}",
                "error_codes": [error.number], "timestamp": stamp, "trace_id": trace,
                "correlation_id": correlation,
                "error_uri": f"https://{request.host}/error?code={error.number}"}

    def answer(self, request):
        parts = request.path.strip("/").split("/")
        tenant, rest = parts[0].lower(), [part.lower() for part in parts[1:]]
        if tenant == "common" and rest == ["discovery", "instance"]:
            return self.instance(request)
        with self.double.lock:
            known = self.double.tenant_known(tenant)
        if not known:
            raise SignInError(90002, f"Tenant '{tenant}' not found. Check to make sure you have "
                                     "the correct tenant ID and are signing into the correct "
                                     "cloud.", "invalid_request")
        base = f"https://{request.host}/{tenant}"
        if rest == ["v2.0", ".well-known", "openid-configuration"]:
            return configuration(base, tenant, request.host, "/oauth2/v2.0")
        if rest == [".well-known", "openid-configuration"]:
            return configuration(base, tenant, request.host, "/oauth2")
        if rest in (["discovery", "v2.0", "keys"], ["discovery", "keys"]):
            return self.double.tokens.signer.jwks()
        if rest in (["oauth2", "v2.0", "token"], ["oauth2", "token"]):
            if request.method != "POST":
                raise SignInError(900561, "The endpoint only accepts POST requests.",
                                  "invalid_request", 405)
            return self.token(request, tenant, version2="v2.0" in rest)
        raise SignInError(900144, "no such address", "invalid_request", 404)

    def instance(self, request):
        asked = request.query.get("authorization_endpoint", "")
        host, _, rest = asked.removeprefix("https://").partition("/")
        logins = [cloud.logins for cloud in self.double.clouds.values()]
        if not any(host in names for names in logins):
            raise SignInError(50049, "Unknown or invalid instance.", "invalid_instance")
        tenant = rest.partition("/")[0]
        return {"tenant_discovery_endpoint":
                    f"https://{host}/{tenant}/v2.0/.well-known/openid-configuration",
                "api-version": "1.1",
                "metadata": [{"preferred_network": names[0], "preferred_cache": names[0],
                              "aliases": names} for names in logins]}

    # The token endpoint

    def token(self, request, tenant, version2):
        form = request.form()
        for name in ("grant_type", "client_id", "scope" if version2 else "resource"):
            if not form.get(name):
                raise SignInError(900144, "The request body must contain the following parameter: "
                                          f"'{name}'.", "invalid_request")
        if form["grant_type"] != "client_credentials":
            raise SignInError(70003, "The app requested an unsupported grant type "
                                     f"'{form['grant_type']}'.", "unsupported_grant_type")
        resource = self.resource(request, form, version2)
        with self.double.lock:
            identity = self.double.find_identity(client_id=form["client_id"], tenant=tenant)
        if identity is None or not identity.present:
            raise SignInError(700016, f"Application with identifier '{form['client_id']}' was not "
                                      f"found in the directory '{tenant}'.", "unauthorized_client")
        self.check_credential(request, form, identity, tenant)
        claims = None
        if form.get("claims"):
            claims = json.loads(form["claims"])
        with self.double.lock:
            lifetime = self.double.token_lifetime
            text = self.double.tokens.issue(identity, resource, self.double.now(), lifetime,
                                            claims)
        found = {"token_type": "Bearer", "expires_in": lifetime, "ext_expires_in": lifetime,
                 "access_token": text}
        if version2:
            return found
        return {**{name: str(value) for name, value in found.items()}, "resource": resource,
                "expires_on": str(int(self.double.now() + lifetime))}

    def resource(self, request, form, version2):
        if version2:
            scope = form["scope"].split(" ")[0]
            if not scope.endswith("/.default"):
                raise SignInError(1002012, f"The provided value for scope {form['scope']} is not "
                                           "valid. Client credential flows must have a scope value "
                                           "with /.default suffixed to the resource identifier.",
                                  "invalid_scope")
            resource = scope.removesuffix("/.default").rstrip("/")
        else:
            resource = form["resource"].rstrip("/")
        cloud = next((cloud for cloud in self.double.clouds.values()
                      if request.host in cloud.logins), None)
        if cloud and resource not in cloud.resources():
            raise SignInError(500011, f"The resource principal named {resource} was not found "
                                      "in the tenant.", "invalid_resource")
        return resource

    def check_credential(self, request, form, identity, tenant):
        if form.get("client_assertion"):
            if form.get("client_assertion_type") != ASSERTION_TYPE:
                raise SignInError(7000214, "The client_assertion_type is not supported.",
                                  "invalid_request")
            self.check_assertion(request, form, identity, tenant)
        elif "client_secret" in form:
            self.check_secret(form["client_secret"], identity)
        else:
            raise SignInError(7000218, "The request body must contain the following parameter: "
                                       "'client_assertion' or 'client_secret'.")

    def check_secret(self, secret, identity):
        found = next((each for each in identity.secrets if each["value"] == secret), None)
        if found is None:
            raise SignInError(7000215, "Invalid client secret provided. Ensure the secret being "
                                       "sent in the request is the client secret value, not the "
                                       "client secret ID, for a secret added to app "
                                       f"'{identity.client_id}'.")
        if found.get("expires") is not None and found["expires"] <= self.double.now():
            raise SignInError(7000222, "The provided client secret keys for app "
                                       f"'{identity.client_id}' are expired.")

    def check_assertion(self, request, form, identity, tenant):
        """A JWT signed with the application's certificate, or by an issuer that it trusts."""
        try:
            header, claims, signed, signature = read_jwt(form["client_assertion"])
        except BadJwt as error:
            raise SignInError(50027, f"JWT token is invalid or malformed ({error}).") from None
        own = claims.get("iss") == claims.get("sub") == identity.client_id
        if own:
            certificate = identity.certificate_of(header)
            key = certificate and certificate.public_key()
            self.check_own(request, claims, tenant)
        else:
            key = self.check_federated(claims, identity)
        if key is None:
            raise SignInError(700027, "The certificate with identifier used to sign the client "
                                      "assertion is not registered on application.")
        try:
            verify_jwt(key, header.get("alg"), signed, signature)
        except (InvalidSignature, BadJwt):
            raise SignInError(700027, "Client assertion failed signature validation.") from None
        self.check_times(claims)

    def check_own(self, request, claims, tenant):
        base = f"https://{request.host}/{tenant}"
        if str(claims.get("aud", "")).lower() not in (
                f"{base}/oauth2/v2.0/token", f"{base}/oauth2/token", f"{base}/v2.0", base + "/"):
            raise SignInError(700023, "Client assertion audience claim does not match Realm "
                                      "issuer.")
        if not claims.get("jti"):
            raise SignInError(50027, "JWT token is invalid or malformed (no jti).")

    def check_federated(self, claims, identity):
        """The key of the trusted issuer."""
        rules = identity.federated
        if not rules:
            raise SignInError(700021, "Client assertion application identifier doesn't match "
                                      "'client_id' parameter.")
        for number, name, member in ((700211, "issuer", "iss"), (700213, "subject", "sub"),
                                     (700212, "audience", "aud")):
            rules = [rule for rule in rules if rule[name] == claims.get(member)]
            if not rules:
                raise SignInError(number, "No matching federated identity record found for "
                                          f"presented assertion {name} '{claims.get(member)}'.")
        return self.double.issuer(rules[0]["issuer"]).key.public_key()

    def check_times(self, claims):
        now = self.double.now()
        expires, begins = claims.get("exp"), claims.get("nbf", 0)
        if not isinstance(expires, (int, float)) or expires <= now or begins > now + 300 or \
                expires > now + LONGEST_ASSERTION:
            raise SignInError(700024, "Client assertion is not within its valid time range.")


def configuration(base, tenant, host, version):
    return {"token_endpoint": f"{base}{version}/token",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt",
                                                      "client_secret_basic"],
            "jwks_uri": f"{base}/discovery/v2.0/keys",
            "issuer": f"https://{host}/{tenant}/v2.0",
            "authorization_endpoint": f"{base}{version}/authorize",
            "device_authorization_endpoint": f"{base}{version}/devicecode",
            "end_session_endpoint": f"{base}{version}/logout",
            "response_types_supported": ["code", "id_token", "token"],
            "subject_types_supported": ["pairwise"], "cloud_instance_name": "microsoftonline.com",
            "id_token_signing_alg_values_supported": ["RS256"], "tenant_region_scope": None}


def json_response(status, content):
    return Response(status, json.dumps(content).encode())
