"""HTTP/1.1 over TCP or TLS, as little as clients need: kept-alive connections, one thread each.

The parser is our own, because http.server writes headers and body separately and takes several
times as long for a request. What a client sends is kept exactly as it came, for the request log.
"""

import socket
import ssl
import struct
import threading
import time
import urllib.parse
from dataclasses import dataclass, field
from http import HTTPStatus

MAX_HEADER = 64 * 1024
MAX_BODY = 8 << 20
IDLE = 120  # seconds that a connection may wait for its next request


class BadRequest(Exception):
    pass


@dataclass
class Request:
    endpoint: str
    connection: int
    sni: str | None
    method: str
    target: str
    headers: list  # of (name, value) in the order of their coming
    body: bytes
    received: float

    def __post_init__(self):
        path, _, query = self.target.partition("?")
        self.path = urllib.parse.unquote(path)
        self.query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        host = self.header("host") or ""
        self.host = host.lower().partition(":")[0]

    def header(self, name):
        name = name.lower()
        return next((value for key, value in self.headers if key.lower() == name), None)

    def bearer(self):
        scheme, _, value = (self.header("authorization") or "").partition(" ")
        return value.strip() if scheme.lower() == "bearer" and value.strip() else None

    def form(self):
        return dict(urllib.parse.parse_qsl(self.body.decode("utf-8", "replace"),
                                           keep_blank_values=True))


@dataclass
class Response:
    status: int
    body: bytes = b""
    headers: list = field(default_factory=list)
    reset: bool = False           # the connection is reset instead of an answer
    close: bool = False           # closed after the answer
    send_only: int | None = None  # bytes of the body that are sent before the connection closes
    drip: float = 0               # seconds between the bytes of the body

    def header(self, name):
        name = name.lower()
        return next((value for key, value in self.headers if key.lower() == name), None)

    def set_header(self, name, value):
        """Replaces the header; None removes it, a list sends it several times."""
        self.headers = [item for item in self.headers if item[0].lower() != name.lower()]
        for each in [value] if isinstance(value, str) else value or []:
            self.headers.append((name, each))

    def head(self):
        try:
            phrase = HTTPStatus(self.status).phrase
        except ValueError:
            phrase = "Unknown"
        lines = [f"HTTP/1.1 {self.status} {phrase}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.status not in (204, 304) and self.header("content-length") is None:
            lines.append(f"Content-Length: {len(self.body)}")
        if self.close:
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Reader:
    """Requests out of a stream of bytes."""

    def __init__(self, stream):
        self.stream, self.buffer = stream, b""

    def more(self):
        data = self.stream.recv(65536)
        if not data:
            raise EOFError
        self.buffer += data

    def until(self, mark):
        while (at := self.buffer.find(mark)) < 0:
            if len(self.buffer) > MAX_HEADER:
                raise BadRequest("header too long")
            self.more()
        found, self.buffer = self.buffer[:at], self.buffer[at + len(mark):]
        return found

    def exactly(self, length):
        if length > MAX_BODY:
            raise BadRequest("body too long")
        while len(self.buffer) < length:
            self.more()
        found, self.buffer = self.buffer[:length], self.buffer[length:]
        return found

    def chunks(self):
        body = b""
        while length := int(self.until(b"\r\n").partition(b";")[0], 16):
            body += self.exactly(length)
            self.exactly(2)
        while self.until(b"\r\n"):
            pass
        return body

    def request(self):
        """(method, target, headers, body, whether the client closes) or None at the end."""
        try:
            lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        except EOFError:
            return None
        try:
            method, target, version = lines[0].split(" ")
            headers = [(name, value.strip()) for name, value in
                       (line.split(":", 1) for line in lines[1:])]
            known = {name.lower(): value for name, value in headers}
            if known.get("expect", "").lower() == "100-continue":
                self.stream.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            if "chunked" in known.get("transfer-encoding", "").lower():
                body = self.chunks()
            else:
                body = self.exactly(int(known.get("content-length", "0")))
        except ValueError as error:
            raise BadRequest(str(error)) from None
        closes = known.get("connection", "").lower() == "close" or version == "HTTP/1.0"
        return method, target, headers, body, closes


class Listener:
    """Serves one port of the loopback interface: `handler` makes a Response of each Request."""

    connections = 0
    counting = threading.Lock()

    def __init__(self, name, handler, tls=None, on_failed_handshake=None):
        self.name, self.handler, self.tls = name, handler, tls
        self.on_failed_handshake = on_failed_handshake
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            stream, _ = self.socket.accept()
            with Listener.counting:
                Listener.connections += 1
                number = Listener.connections
            threading.Thread(target=self.serve, args=(stream, number), daemon=True).start()

    def serve(self, stream, number):
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream.settimeout(IDLE)
        sni = None
        try:
            if self.tls:
                stream = self.tls.wrap_socket(stream, server_side=True,
                                              do_handshake_on_connect=False)
                try:
                    stream.do_handshake()
                except OSError as error:  # those of TLS among them
                    sni = getattr(stream, "sni", None)
                    self.on_failed_handshake(self.name, number, sni, error)
                    raise
                sni = getattr(stream, "sni", None)
            self.converse(stream, number, sni)
        except (OSError, EOFError):
            pass
        finally:
            stream.close()

    def converse(self, stream, number, sni):
        reader = Reader(stream)
        while True:
            try:
                parts = reader.request()
            except BadRequest as error:
                stream.sendall(Response(400, str(error).encode(), close=True).head())
                return
            if parts is None:
                return
            *fields, closes = parts
            request = Request(self.name, number, sni, *fields, received=time.time())
            response = self.handler(request)
            if not send(stream, request, response) or closes:
                return


def send(stream, request, response):
    """False when the connection is over."""
    if response.reset:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False
    body = b"" if request.method == "HEAD" else response.body
    if response.send_only is not None:
        stream.sendall(response.head() + body[:response.send_only])
        return False
    if response.drip:
        stream.sendall(response.head())
        for byte in body:
            stream.sendall(bytes([byte]))
            time.sleep(response.drip)
    else:
        stream.sendall(response.head() + body)
    return not response.close
