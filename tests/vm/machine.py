"""One virtual machine: boots the initramfs, runs commands in it, is unplugged from, slowed, killed.

There is no network in it. Commands go through a virtio-serial port and may run beside each other.
"""

import base64
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import tempfile
import time

from qmp import Qmp

QEMU = "qemu-system-x86_64"
# Limits are for emulation on a busy host, and twenty times what is usual: they end what hangs.
BOOT_SECONDS = 240
SECONDS = 240
KVM_BOOT_SECONDS = 40
# Without AVX: libcrypto's SHA-256 and RSA with it are half as fast when emulated.
EMULATED_CPU = "Nehalem,+aes,+pclmulqdq,+rdrand"


class MachineError(Exception):
    """The machine does not do its part: it did not boot, has stopped, or a command took too long."""


class Uncaught(MachineError):
    """What was to be interrupted went on before it was: emulated beside other work, all takes its own time."""


class QemuEnded(MachineError):
    """QEMU has ended by itself. What it was asked to emulate is not to blame."""


class Result:
    """How a command in the guest ended; `out` and `err` are bytes."""

    def __init__(self, script, status, out, err):
        self.script, self.status, self.raw, self.err_raw = script, status, out, err
        self.out = out.decode("utf-8", "replace")
        self.err = err.decode("utf-8", "replace")

    def json(self):
        return json.loads(self.out)

    def __str__(self):
        return (f"`{self.script.strip()[-300:]}` ended with {self.status}; stdout: "
                f"{self.out[-1500:].strip()!r}; stderr: {self.err[-1500:].strip()!r}")


class Running:
    """A command that has been started."""

    def __init__(self, machine, number, script):
        self.machine, self.number, self.script = machine, number, script

    def result(self, seconds=SECONDS):
        return self.machine.wait(self, seconds)

    def ended(self):
        self.machine.receive(0)
        return self.number in self.machine.answers


def accelerators():
    """In the order in which they are tried. KVM where it can work: its device alone says nothing."""
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        able = re.search(r"^flags\s*:.*\b(vmx|svm)\b", file.read(), re.MULTILINE)
    if able and os.access("/dev/kvm", os.R_OK | os.W_OK):
        return ["kvm", "tcg"]
    return ["tcg", "tcg"]  # on a host that is very busy a kernel may find its clocks broken


class Machine:
    """Use it in a `with`; at its end the machine is killed. `directory` has the images, which are
    made when they are not there; `shares` maps tags to directories of the host, seen in the guest
    read-only at /mnt/TAG; `devices` are further -device objects, which stay."""

    def __init__(self, boot, directory, disks=(), memory_mib=1280, shares=None, devices=(),
                 nodes=()):
        self.boot, self.directory, self.disks = boot, str(directory), list(disks)
        self.memory_mib, self.shares = memory_mib, dict(shares or {})
        self.extra_devices, self.extra_nodes = list(devices), list(nodes)
        self.process = self.control = self.qmp = self.place = None
        self.numbers, self.answers, self.buffer = 1, {}, bytearray()
        self.boot_seconds = 0.0

    def __enter__(self):
        os.makedirs(self.directory, exist_ok=True)
        for disk in self.disks:
            disk.create(self.directory)
        problem = None
        for kind in accelerators():
            try:
                self.start(kind)
                return self
            except (MachineError, OSError) as error:
                self.kill()
                problem = error
                print(f"        no boot with {kind}: {str(error).splitlines()[0][:100]}", flush=True)
        raise MachineError(str(problem))

    def __exit__(self, *unused):
        self.kill()

    # --- starting and ending

    def start(self, accelerator):
        self.place = tempfile.mkdtemp(prefix="driveprep-vm-")
        listeners = {name: listen(os.path.join(self.place, name)) for name in ("control", "qmp")}
        began = time.monotonic()
        with open(self.log("qemu"), "wb") as said:
            self.process = subprocess.Popen(self.command_line(accelerator), stdin=subprocess.DEVNULL,
                                            stdout=said, stderr=said)
        limit = KVM_BOOT_SECONDS if accelerator == "kvm" else BOOT_SECONDS
        self.control = self.accept(listeners["control"])
        self.qmp = Qmp(self.accept(listeners["qmp"]), self.ended)
        self.wait(Running(self, 0, "boot"), limit)
        self.boot_seconds = time.monotonic() - began
        self.run("".join(f"mkdir -p /mnt/{tag}; mount -t 9p -o trans=virtio,version=9p2000.L,ro,"
                         f"msize=262144 {tag} /mnt/{tag}\n" for tag in self.shares) or "true")

    def accept(self, listener):
        end = time.monotonic() + 60
        listener.settimeout(0.2)
        with listener:
            while time.monotonic() < end:
                try:
                    return listener.accept()[0]
                except socket.timeout:
                    if self.process.poll() is not None:
                        break
        raise MachineError(f"QEMU did not start: {self.tail('qemu')}")

    def command_line(self, accelerator):
        cpu = "host" if accelerator == "kvm" else EMULATED_CPU
        line = ["setpriv", "--pdeathsig", "KILL",  # no machine outlives the tests
                QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-nic", "none", "-no-reboot",
                "-machine", "q35,usb=off", "-cpu", cpu, "-m", str(self.memory_mib),
                "-smp", "2", "-accel", "kvm" if accelerator == "kvm" else "tcg,thread=multi",
                "-kernel", str(self.boot.kernel), "-initrd", str(self.boot.initramfs),
                "-append", "console=ttyS0 loglevel=5 panic=-1 no_timer_check nowatchdog random.trust_cpu=on",
                "-serial", f"file:{self.log('console')}",
                "-chardev", f"socket,id=control,path={self.place}/control",
                "-chardev", f"socket,id=qmp,path={self.place}/qmp", "-mon", "chardev=qmp,mode=control",
                "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=control,name=control",
                "-device", "virtio-rng-pci",
                "-device", "qemu-xhci,id=xhci,p2=15,p3=15", "-device", "virtio-scsi-pci,id=scsi"]
        for tag, path in self.shares.items():
            line += ["-virtfs", f"local,path={path},mount_tag={tag},security_model=none,readonly=on"]
        for number, port in enumerate([disk.port for disk in self.disks if disk.port], 1):
            line += ["-device", f"pcie-root-port,id={port},chassis={number},slot={number}"]
        for disk in self.disks:
            for option, parts in (("-object", disk.objects()), ("-blockdev", disk.nodes(self.directory)),
                                  ("-device", disk.devices())):
                for part in parts:
                    line += [option, json.dumps(part)]
        for option, parts in (("-blockdev", self.extra_nodes), ("-device", self.extra_devices)):
            for part in parts:
                line += [option, json.dumps(part)]
        return line

    def kill(self):
        """SIGKILL, as a power cut; what the guest had handed to its disks is in the images."""
        if self.process:
            self.process.kill()
            self.process.wait()
        for connection in (self.control, self.qmp and self.qmp.connection):
            if connection:
                connection.close()
        if self.place:
            shutil.rmtree(self.place, ignore_errors=True)
        self.process = self.control = self.qmp = self.place = None
        self.numbers, self.answers, self.buffer = 1, {}, bytearray()

    def ended(self):
        """Why the machine answers no more. One whose guest has switched it off, or died, ends with 0."""
        try:
            status = self.process.wait(10)
        except subprocess.TimeoutExpired:
            return MachineError(f"QEMU has closed its channels; kernel: {self.tail('console')}")
        if status == 0:
            return MachineError(f"the machine has stopped; kernel: {self.tail('console')}")
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        return QemuEnded(f"QEMU has ended with {how}: {self.tail('qemu') or 'without a word'}")

    # --- commands

    def run(self, script, seconds=SECONDS):
        """Runs a shell script to its end."""
        return self.begin(script).result(seconds)

    def run_ok(self, script, seconds=SECONDS):
        result = self.run(script, seconds)
        if result.status != 0:
            raise MachineError(str(result))
        return result

    def begin(self, script):
        """Starts a shell script and does not wait for it."""
        number, self.numbers = self.numbers, self.numbers + 1
        line = b"%d %s\n" % (number, base64.b64encode(script.encode()))
        self.control.settimeout(SECONDS)
        try:
            self.control.sendall(line)
        except ConnectionError:
            raise self.ended() from None
        except OSError as error:
            raise MachineError(f"the control channel does not take a command: {error}") from None
        return Running(self, number, script)

    def wait(self, running, seconds):
        end = time.monotonic() + seconds
        while running.number not in self.answers:
            left = end - time.monotonic()
            if left <= 0:
                raise MachineError(f"`{running.script.strip()[-200:]}` did not end in {seconds} s; "
                                   f"kernel: {self.tail('console')}")
            self.receive(left)
        return Result(running.script, *self.answers.pop(running.number))

    def receive(self, seconds):
        """Takes in what has come, at least something or for that long."""
        self.control.settimeout(max(0.001, min(seconds, 5)))
        try:
            got = self.control.recv(1 << 20)
        except socket.timeout:
            return
        except OSError:
            got = b""
        if not got:
            raise self.ended()
        self.buffer += got
        while (end := self.buffer.find(b"\n")) >= 0:
            number, status, out, err = (int(word) for word in self.buffer[:end].split())
            whole = end + 1 + out + err
            if len(self.buffer) < whole:
                return
            data = bytes(self.buffer[end + 1:whole])
            del self.buffer[:whole]
            self.answers[number] = (status, data[:out], data[out:])

    def put(self, path, content, mode=0o644):
        """Writes a small file in the guest."""
        coded = base64.b64encode(content.encode() if isinstance(content, str) else content).decode()
        name = shlex.quote(path)
        self.run_ok(f"mkdir -p {shlex.quote(os.path.dirname(path) or '/')}\n"
                    f"base64 -d >{name} <<'END'\n{coded}\nEND\nchmod {mode:o} {name}")

    # --- disks

    def names(self, disks=None, seconds=SECONDS):
        """{disk: its name in the guest} once the guest has found all of them."""
        wanted = list(self.disks if disks is None else disks)
        end = time.monotonic() + seconds
        while True:
            lines = [line.split(" ", 1) for line in self.run_ok("drive-list").out.splitlines()]
            found = {disk: name for disk in wanted for name, serials in lines
                     if {disk.known_serial, disk.usb_serial} & set(serials.split(","))}
            if len(found) == len(wanted):
                return found
            if time.monotonic() > end:
                missing = ", ".join(disk.name for disk in wanted if disk not in found)
                raise MachineError(f"the guest has not found {missing}; it has {lines}; "
                                   f"kernel: {self.tail('console')}")
            time.sleep(0.2)

    # --- logs

    def log(self, name):
        return os.path.join(self.directory, f"{name}.log")

    def tail(self, name, size=3000):
        try:
            with open(self.log(name), "rb") as file:
                return file.read()[-size:].decode("utf-8", "replace").strip()
        except OSError:
            return ""


def listen(path):
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(1)
    return listener
