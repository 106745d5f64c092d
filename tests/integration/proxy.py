"""A proxy that makes tunnels to this machine, and keeps what it was asked."""

import re
import socket
import threading


class Proxy:
    """Makes tunnels, and keeps the first line of what it was asked."""

    def __init__(self):
        self.asked = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        self.listener.close()

    def accept(self):
        while True:
            try:
                stream, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=[stream], daemon=True).start()

    def serve(self, stream):
        with stream:
            head = b""
            while b"\r\n\r\n" not in head:
                data = stream.recv(4096)
                if not data:
                    return
                head += data
            line = head.split(b"\r\n")[0].decode()
            self.asked.append(line)
            match = re.match(r"CONNECT ([^ :]+):([0-9]+) ", line)
            if not match:
                stream.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
                return
            with socket.create_connection((match[1], int(match[2]))) as other:
                stream.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                thread = threading.Thread(target=pump, args=[other, stream], daemon=True)
                thread.start()
                pump(stream, other)
                thread.join()


def pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass
