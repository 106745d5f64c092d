"""Headers and bodies of the data plane: what an answer has, what a request must have."""

import email.utils
import json
import uuid

from . import errors
from .connection import Response
from .material import from_base64url

CLIENT = "203.0.113.7"  # the address that the vault claims to see


def hsm_headers():
    """As recorded: a managed HSM sends no date and does not repeat the client's request id."""
    return {"Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-cache",
            "x-ms-request-id": str(uuid.uuid1()), "x-ms-server-latency": "1",
            "x-ms-keyvault-network-info": f"addr={CLIENT}", "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "SAMEORIGIN", "Content-Security-Policy": "default-src 'self'",
            "Strict-Transport-Security": "max-age=31536000; includeSubDomains"}


def vault_headers(request, now):
    found = {
        "Cache-Control": "no-cache", "Pragma": "no-cache",
        "Content-Type": "application/json; charset=utf-8", "Expires": "-1",
        "x-ms-request-id": str(uuid.uuid4()),
        "x-ms-keyvault-service-version": "1.9.2279.1",
        "x-ms-keyvault-network-info": f"conn_type=Ipv4;addr={CLIENT};act_addr_fam=InterNetwork;",
        "Strict-Transport-Security": "max-age=31536000;includeSubDomains",
        "X-Content-Type-Options": "nosniff",
        "Date": email.utils.formatdate(now, usegmt=True)}
    if (asked := request.header("x-ms-client-request-id")) is not None:
        found["x-ms-client-request-id"] = asked
    return found


def json_response(status, content):
    if content is None:
        return Response(204)
    return Response(status, json.dumps(content, separators=(",", ":")).encode())


def read_json(request):
    try:
        content = json.loads(request.body)
        if isinstance(content, dict):
            return content
    except ValueError:
        pass
    raise errors.bad_parameter("Request body is not a JSON object")


def read_operation(request):
    """(algorithm, bytes) of the body of a wrap or unwrap."""
    content = read_json(request)
    algorithm = content.get("alg")
    if not isinstance(algorithm, str):
        raise errors.bad_parameter("Property alg has invalid value\r\n")
    try:
        return algorithm, from_base64url(content.get("value"))
    except ValueError:
        raise errors.bad_parameter("Property value has invalid value\r\n") from None
