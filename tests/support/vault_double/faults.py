"""Injected behaviour: a queue of faults, each with what it matches and what it does then.

The first fault that matches a request is used, and used up after `times`. control.py documents the
members.
"""

import copy
import email.utils
import itertools
import json
import os
import re
import time

from .connection import Response
from .errors import error_body
from .material import to_base64url

MATCHERS = {"on", "host", "method", "path", "query", "authorized", "skip"}
ACTIONS = {"status", "headers", "body", "json", "error", "challenge", "retry_after",
           "retry_after_ms", "delay", "drip", "truncate", "oversize", "reset", "close", "merge",
           "kid", "garbage", "redirect"}
REPLACING = {"status", "body", "json", "error", "challenge", "redirect"}


class Fault:
    def __init__(self, number, match, times, action):
        unknown = (set(match) - MATCHERS) | (set(action) - ACTIONS)
        if unknown:
            raise ValueError(f"a fault has no {', '.join(sorted(unknown))}")
        self.number, self.match, self.times, self.action = number, match, times, action
        self.hits, self.skipped = 0, 0
        self.authorized = match.get("authorized", self.default_authorized())

    def default_authorized(self):
        """Challenges replace the vault's own; everything else happens to a request with a token."""
        if self.match.get("on", "vault") != "vault":
            return None
        return "challenge" not in self.action

    def matches(self, request):
        match = self.match
        if request.endpoint != match.get("on", "vault"):
            return False
        if self.authorized is not None and self.authorized != (request.bearer() is not None):
            return False
        if match.get("method", request.method).upper() != request.method:
            return False
        _, _, query = request.target.partition("?")
        return all(re.search(match.get(name, ""), text, re.IGNORECASE) for name, text in
                   (("host", request.host), ("path", request.path), ("query", query)))

    def take(self, request):
        """Whether this fault happens to the request; counts it."""
        if self.times is not None and self.hits >= self.times or not self.matches(request):
            return False
        if self.skipped < self.match.get("skip", 0):
            self.skipped += 1
            return False
        self.hits += 1
        return True

    def describe(self):
        return {"id": self.number, "match": self.match, "times": self.times, "do": self.action,
                "hits": self.hits}

    def answer(self, request, process, now):
        """The answer to the request; `process` makes the one without any fault."""
        action = self.action
        if action.get("delay"):
            time.sleep(action["delay"])
        if action.get("reset") == "before":
            return Response(0, reset=True)
        if REPLACING & set(action) or "retry_after" in action or "retry_after_ms" in action:
            return self.replacement(now)
        return process()

    def replacement(self, now):
        action = self.action
        response = Response(action.get("status", 200))
        if "challenge" in action:
            response.status = action.get("status", 401)
            response.set_header("WWW-Authenticate", action["challenge"])
            response.body = json.dumps(error_body(
                "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.")).encode()
        if "redirect" in action:
            response.status = action.get("status", 307)
            response.set_header("Location", action["redirect"])
        if "error" in action:
            self.put_error(response, action["error"])
        if "retry_after" in action or "retry_after_ms" in action:
            self.put_retry_after(response, now)
        if "json" in action:
            response.body = json.dumps(action["json"]).encode()
        if "body" in action:
            response.body = action["body"].encode()
        return response

    def put_error(self, response, error):
        form = error.get("form", "innererror")
        code, message = error.get("code", "Forbidden"), error.get("message", "injected")
        inner = error.get("inner")
        body = error_body(code, message, inner)
        if form == "innerError":
            body["error"]["innerError"] = body["error"].pop("innererror", {"code": inner})
        elif form == "nested":
            body["error"]["innererror"] = {"code": code, "innererror": {
                "innererror": {"code": inner}}}
        response.status = self.action.get("status", error.get("status", 403))
        response.body = {
            "null": b'{"error":null}', "absent": b"{}", "empty": b"", "list": b"[]",
            "string": b'{"error":"' + code.encode() + b'"}',
            "html": b"<!DOCTYPE html>\n<html><head><title>" + message.encode() +
                    b"</title></head><body><h1>" + message.encode() + b"</h1></body></html>\n",
        }.get(form, json.dumps(body).encode())
        if form == "html":
            response.set_header("Content-Type", "text/html")

    def put_retry_after(self, response, now):
        action = self.action
        if "status" not in action and "error" not in action:
            self.put_error(response, {"status": 429, "code": "Throttled",
                                      "message": "Request was not processed because too many "
                                                 "requests were received."})
        wait = action.get("retry_after")
        if isinstance(wait, dict):
            response.set_header("Retry-After", email.utils.formatdate(now + wait["date"],
                                                                      usegmt=True))
        elif wait is not None:
            response.set_header("Retry-After", str(wait))
        if "retry_after_ms" in action:
            response.set_header("retry-after-ms", str(action["retry_after_ms"]))

    def finish(self, response):
        """Spoils an answer that has its headers already."""
        action = self.action
        if response.reset:
            return response
        if {"merge", "kid", "garbage"} & set(action):
            self.spoil_json(response)
        if action.get("oversize"):
            response.body = response.body.rstrip() + b" " * (
                action["oversize"] - len(response.body))
        for name, value in action.get("headers", {}).items():
            response.set_header(name, value)
        if action.get("truncate"):
            response.send_only = len(response.body) // 2
        response.reset = action.get("reset") == "after"
        response.close = bool(action.get("close"))
        response.drip = action.get("drip", 0)
        return response

    def spoil_json(self, response):
        try:
            content = json.loads(response.body)
        except ValueError:
            return
        action = self.action
        if action.get("garbage") and "value" in content:
            content["value"] = to_base64url(os.urandom(len(content["value"]) * 3 // 4))
        if "kid" in action:
            holder = content.get("key", content)
            if "kid" in holder:
                holder["kid"] = other_kid(holder["kid"], action["kid"])
        content = merge(content, action.get("merge", {}))
        response.body = json.dumps(content).encode()


def other_kid(kid, change):
    """A text replaces the identifier, an object its parts: host, name, version."""
    if isinstance(change, str):
        return change
    scheme, _, host, keys, name, version = kid.split("/")
    return "/".join([scheme, "", change.get("host", host), keys, change.get("name", name),
                     change.get("version", version)])


def merge(target, patch):
    """RFC 7396: null removes a member."""
    if not isinstance(patch, dict):
        return patch
    result = copy.copy(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge(result.get(name), value)
    return result


class Faults:
    """The queue; the caller holds the lock."""

    def __init__(self):
        self.numbers = itertools.count(1)
        self.queue = []

    def add(self, match, times, action):
        fault = Fault(next(self.numbers), match, times, action)
        self.queue.append(fault)
        return fault

    def take(self, request):
        return next((fault for fault in self.queue if fault.take(request)), None)

    def remove(self, number=None):
        self.queue = [fault for fault in self.queue if number not in (None, fault.number)]
