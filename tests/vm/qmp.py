"""Client of QEMU's machine protocol (QMP): commands and events, one JSON object a line."""

import json
import socket
import time

SECONDS = 240  # on a busy host


class QmpError(Exception):
    """QEMU has refused a command."""


class QmpSilent(Exception):
    """QEMU has not answered a command: its own loop is blocked, whatever the guest does."""


class Qmp:
    """`ended` makes the exception to raise when QEMU has gone."""

    def __init__(self, connection, ended):
        self.connection, self.buffer, self.events, self.ended = connection, b"", [], ended
        self.receive(SECONDS)  # the greeting
        self.command("qmp_capabilities")

    def receive(self, seconds):
        """The next message; TimeoutError when there was none."""
        end = time.monotonic() + seconds
        while b"\n" not in self.buffer:
            self.connection.settimeout(max(0.001, end - time.monotonic()))
            try:
                got = self.connection.recv(65536)
            except socket.timeout:
                raise TimeoutError("QEMU does not answer") from None
            except ConnectionError:
                got = b""
            if not got:
                raise self.ended()
            self.buffer += got
        line, self.buffer = self.buffer.split(b"\n", 1)
        return json.loads(line)

    def command(self, name, seconds=SECONDS, **arguments):
        """What QEMU returns. Underlines in names of arguments stand for hyphens."""
        message = {"execute": name}
        if arguments:
            message["arguments"] = {key.replace("_", "-"): value for key, value in arguments.items()}
        return self.exchange(message, seconds)

    def command_with(self, name, arguments, seconds=SECONDS):
        """The same with arguments as QEMU spells them."""
        return self.exchange({"execute": name, "arguments": arguments}, seconds)

    def exchange(self, message, seconds):
        self.connection.settimeout(seconds)
        try:
            self.connection.sendall(json.dumps(message).encode() + b"\n")
        except ConnectionError:
            raise self.ended() from None
        while True:
            try:
                answer = self.receive(seconds)
            except TimeoutError:
                raise QmpSilent(f"QEMU does not answer {message['execute']} in {seconds} s") from None
            if "event" in answer:
                self.events.append(answer)
            elif "error" in answer:
                raise QmpError(f"{message['execute']}: {answer['error']['desc']}")
            else:
                return answer["return"]

    def wait_for_event(self, name, matches=lambda data: True, seconds=SECONDS):
        """The data of the first such event that was not yet waited for."""
        end = time.monotonic() + seconds
        while True:
            for event in self.events:
                if event["event"] == name and matches(event.get("data", {})):
                    self.events.remove(event)
                    return event.get("data", {})
            message = self.receive(end - time.monotonic())
            if "event" in message:
                self.events.append(message)
