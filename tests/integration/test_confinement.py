"""What the running gateway may do, asked of the kernel: the rights that it has given up, and that its work goes on without them."""
import ctypes
import errno
import os
import pathlib
import platform
import pwd
import shutil
import smtplib
import subprocess
import stat
import tempfile

import pytest

from conftest import POSTERN, Gateway, MemoryStore, Process, wait_until
from test_tls import any_context, make_certificate, s_client, server_name

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes its user")


@pytest.fixture
def place():
    """A folder that another user may enter, which pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="postern-", dir="/tmp") as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        yield folder


def confined_gateway(place, store, extra=""):
    gateway = Gateway(place, [f"127.0.0.1:{store.port}"], "user: nobody\n" + extra)
    home = place / "home"
    gateway.config.write_text(gateway.config.read_text().replace(f"path: {place}/queue.db", f"path: {home}/queue.db"))
    return gateway


def status_of(task):
    return dict(line.split(":", 1) for line in (task / "status").read_text().splitlines())


def tasks_of(gateway):
    return list(pathlib.Path(f"/proc/{gateway.process.process.pid}/task").iterdir())


def send(gateway, subject, **tls):
    with smtplib.SMTP("127.0.0.1", gateway.port) as client:
        if tls:
            client.starttls(**tls)
        client.sendmail("a@example.org", ["ok@example.com"], f"Subject: {subject}\r\n\r\nx\r\n")


@needs_root
def test_every_thread_has_given_up_its_rights(place, store):
    gateway = confined_gateway(place, store)
    gateway.start()
    send(gateway, "one")
    wait_until(lambda: store.received.get(("one", "ok@example.com")), "delivery")
    tasks = tasks_of(gateway)
    assert len(tasks) > 5
    nobody = str(pwd.getpwnam("nobody").pw_uid)
    for task in tasks:
        status = status_of(task)
        assert set(status["Uid"].split()) == {nobody}, task
        for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(status[kind], 16) == 0, (task, kind)
        assert status["NoNewPrivs"].strip() == "1"
        assert status["Seccomp"].strip() == "2"
    limits = pathlib.Path(f"/proc/{gateway.process.process.pid}/limits").read_text()
    assert limits.split("Max core file size")[1].split()[:2] == ["0", "0"]
    # Who is not dumpable has his files in /proc given to root.
    assert os.stat(f"/proc/{gateway.process.process.pid}/mem").st_uid == 0
    assert " sandbox " not in gateway.process.text()
    assert gateway.stop() == 0


@needs_root
def test_switched_off_it_says_so_and_keeps_no_capability(place, store):
    gateway = confined_gateway(place, store, "sandbox: off\n")
    gateway.start()
    gateway.process.await_line(r" warn sandbox problem=")
    for task in tasks_of(gateway):
        status = status_of(task)
        assert int(status["CapEff"], 16) == 0
        assert status["NoNewPrivs"].strip() == "1"
        assert status["Seccomp"].strip() == "0"
    gateway.config.write_text(gateway.config.read_text().replace("sandbox: off", "sandbox: on"))
    assert "`sandbox` changes with the next start" in gateway.run("reload").stdout
    assert gateway.stop() == 0


@needs_root
def test_work_goes_on_in_the_sandbox(place, store):
    """All that touches files, sockets and names after the start."""
    certificate, key = make_certificate(place, "mx.example.com")
    for file in (certificate, key):
        shutil.chown(file, "nobody")
    other = MemoryStore()
    gateway = confined_gateway(place, store, f"control: {{ socket: {place}/run/control.sock }}\n")
    address = f'  - address: "127.0.0.1:{gateway.port}"\n'
    unix = place / "front"
    unix.mkdir()
    shutil.chown(unix, "nobody")
    text = gateway.config.read_text().replace(address, address + f'    tls: {{ certificate: {certificate}, key: {key} }}\n  - address: "unix:{unix}/smtp"\n')
    gateway.config.write_text(text)
    gateway.start()
    send(gateway, "one", context=any_context())
    wait_until(lambda: store.received.get(("one", "ok@example.com")), "delivery")
    # A name that is looked up, by the machine's own resolver.
    gateway.config.write_text(text.replace(f"127.0.0.1:{store.port}", f"localhost:{other.port}"))
    assert gateway.run("reload").returncode == 0
    send(gateway, "two", context=any_context())
    wait_until(lambda: other.received.get(("two", "ok@example.com")), "delivery to a store by name")
    # A new certificate, in a new folder.
    new = place / "new"
    new.mkdir()
    certificate, key = make_certificate(new, "new.example.com")
    for file in (certificate, key):
        shutil.chown(file, "nobody")
    gateway.config.write_text(gateway.config.read_text().replace(f"{place}/mx.example.com", f"{new}/new.example.com"))
    assert gateway.run("reload").returncode == 0
    assert server_name(s_client(gateway.port)) == "new.example.com"
    # The operator's commands, the history's file, and a client on the Unix socket.
    assert gateway.run("status").returncode == 0
    wait_until(lambda: gateway.run("history", "--recipient", "ok@*").stdout.count("delivered") == 2, "history")
    assert gateway.stop() == 0
    assert list(unix.iterdir()) == []
    assert not (place / "run/control.sock").exists()
    assert "sandbox" not in gateway.process.text()
    for file in (place / "home").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert stat.S_IMODE((place / "home").stat().st_mode) == 0o750
    other.close()


UNIT = pathlib.Path(__file__).parents[2] / "deploy/systemd/postern.service"

LAUNCHER = """
import errno, os, seccomp, sys
allowed = seccomp.SyscallFilter(seccomp.ERRNO(errno.EPERM))
for name in sys.argv[1].split():
    try:
        allowed.add_rule(seccomp.ALLOW, name)
    except RuntimeError:
        pass  # of another machine
allowed.load()
os.execv(sys.argv[2], sys.argv[2:])
"""


def calls_of(unit):
    """What SystemCallFilter of the unit lets through, by systemd's own lists."""
    def expand(name):
        if not name.startswith("@"):
            return {name}
        shown = subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager", name], check=True, capture_output=True, text=True).stdout
        words = [line.strip() for line in shown.splitlines()[1:] if line.strip() and not line.strip().startswith("#")]
        return set().union(*map(expand, words))

    allowed = expand("@default")
    for line in unit.read_text().splitlines():
        if line.startswith("SystemCallFilter="):
            names = line.split("=")[1]
            calls = set().union(*map(expand, names.lstrip("~").split()))
            allowed = allowed - calls if names.startswith("~") else allowed | calls
    return allowed


@pytest.mark.skipif("POSTERN_SANITIZED" in os.environ, reason="the sanitizers want more")
def test_the_systemd_units_filter_lets_it_work_and_confine_itself(tmp_path, store):
    calls = calls_of(UNIT)
    assert not calls & {"ptrace", "mount", "bpf", "setuid", "keyctl", "reboot"}
    gateway = Gateway(tmp_path, [f"127.0.0.1:{store.port}"])
    gateway.process = Process(["/usr/bin/python3", "-c", LAUNCHER, " ".join(sorted(calls)), POSTERN, "serve", "-c", str(gateway.config)], tmp_path / "gateway.log")
    gateway.process.await_line(" ready ")
    assert " sandbox " not in gateway.process.text()
    send(gateway, "one")
    wait_until(lambda: store.received.get(("one", "ok@example.com")), "delivery")
    assert gateway.run("reload").returncode == 0
    assert status_of(tasks_of(gateway)[0])["Seccomp_filters"].strip() == "2"
    assert gateway.stop() == 0


def test_the_systemd_unit_is_rated_safe():
    shown = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=17", str(UNIT)], capture_output=True, text=True)
    assert shown.returncode == 0, shown.stdout[-400:]


class Registers(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulonglong) for name in
                "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss fs_base gs_base ds es fs gs".split()]


class Puppet:
    """The main thread of a process, stopped in the system call in which it waits, and made to make another. What the kernel answers is what
    an intruder would hear."""
    ATTACH, DETACH, STEP, GET, SET, POKE = 16, 17, 9, 12, 13, 5

    def __init__(self, pid):
        self.pid = pid
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        self.libc.ptrace.restype = ctypes.c_long

    def __enter__(self):
        self.trace(self.ATTACH)
        os.waitpid(self.pid, 0x40000000)  # __WALL
        self.before = Registers()
        self.trace(self.GET, 0, ctypes.addressof(self.before))
        return self

    def __exit__(self, *_):
        self.trace(self.SET, 0, ctypes.addressof(self.before))
        self.trace(self.DETACH)

    def trace(self, request, address=0, data=0):
        if self.libc.ptrace(request, self.pid, address, data) < 0:
            raise OSError(ctypes.get_errno(), f"ptrace {request}")

    def put(self, text, below):
        """Writes the text far below the stack in use, and says where."""
        place = (self.before.rsp - below) & ~7
        octets = text + bytes(8 - len(text) % 8)
        for offset in range(0, len(octets), 8):
            self.trace(self.POKE, place + offset, int.from_bytes(octets[offset:offset + 8], "little"))
        return place

    def call(self, number, first=0, second=0, third=0):
        changed = Registers.from_buffer_copy(self.before)
        changed.rip -= 2  # at the instruction `syscall` again
        changed.rax, changed.rdi, changed.rsi, changed.rdx = number, first, second, third
        changed.orig_rax = 2**64 - 1
        self.trace(self.SET, 0, ctypes.addressof(changed))
        self.trace(self.STEP)
        os.waitpid(self.pid, 0x40000000)
        after = Registers()
        self.trace(self.GET, 0, ctypes.addressof(after))
        return ctypes.c_longlong(after.rax).value


@needs_root
@pytest.mark.skipif(platform.machine() != "x86_64", reason="knows the registers of one machine")
@pytest.mark.skipif("POSTERN_SANITIZED" in os.environ, reason="the sanitizers start programs")
def test_an_intruder_runs_no_program_and_writes_no_file(place, store):
    gateway = confined_gateway(place, store)
    gateway.start()
    send(gateway, "before")
    bait = place / "bait"
    bait.mkdir()
    bait.chmod(0o777)
    own = place / "home"
    with Puppet(gateway.process.process.pid) as puppet:
        shell = puppet.put(b"/bin/true\0", 4096)
        assert puppet.call(59, shell) == -errno.EPERM  # execve
        assert puppet.call(57) == -errno.EPERM  # fork
        assert puppet.call(101, 16, os.getpid()) == -errno.EPERM  # ptrace
        assert puppet.call(105, 0) == -errno.EPERM  # setuid
        assert puppet.call(41, 17, 3, 0) == -errno.EAFNOSUPPORT  # socket(AF_PACKET)
        assert puppet.call(62, os.getpid(), 0) == -errno.EPERM  # kill
        where = puppet.put(str(bait / "file").encode() + b"\0", 8192)
        assert puppet.call(2, where, os.O_WRONLY | os.O_CREAT, 0o600) == -errno.EACCES  # open
        where = puppet.put(str(own / "file").encode() + b"\0", 8192)
        assert puppet.call(2, where, os.O_WRONLY | os.O_CREAT, 0o600) >= 0
    assert list(bait.iterdir()) == []
    send(gateway, "after")
    wait_until(lambda: store.received.get(("after", "ok@example.com")), "delivery")
    assert gateway.stop() == 0
