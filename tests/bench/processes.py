"""Starts programs and reads from /proc what they cost. Only what was started here is ever ended, by its pid."""
import os
import signal
import socket
import subprocess
import time

TICK = os.sysconf("SC_CLK_TCK")


class BenchError(Exception):
    """The benchmark cannot go on; the text says why."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, what, patience=60.0, pause=0.01):
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            raise BenchError("waited in vain for " + what)
        time.sleep(pause)


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _fields(pid):
    """/proc/PID/stat behind the name, from field 3 (state) on; None when the process is gone."""
    try:
        with open("/proc/%d/stat" % pid) as stat:
            return stat.read().rpartition(")")[2].split()
    except OSError:
        return None


class Program:
    """A program with all the processes below it."""

    def __init__(self, arguments, output=None, **options):
        self.arguments = arguments
        self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, **options)

    @property
    def pid(self):
        return self.process.pid

    def tree(self):
        """The pids of the program and of all below it."""
        children = {}
        for name in os.listdir("/proc"):
            if name.isdigit():
                fields = _fields(int(name))
                if fields:
                    children.setdefault(int(fields[1]), []).append(int(name))
        found = [self.pid]
        for pid in found:
            found += children.get(pid, [])
        return found

    def cpu_seconds(self):
        """User and system time of the whole tree since it was started; ended processes count once they were waited for."""
        ticks = 0
        for pid in self.tree():
            fields = _fields(pid)
            if fields:
                ticks += sum(int(field) for field in fields[11:15])
        return ticks / TICK

    def resident_octets(self):
        """Of the whole tree, pages that processes share counted once."""
        total = 0
        for pid in self.tree():
            try:
                with open("/proc/%d/smaps_rollup" % pid) as rollup:
                    total += sum(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
            except OSError:
                pass
        return total * 1024

    def peak_octets(self):
        """The most that the program itself, without children, ever had resident."""
        with open("/proc/%d/status" % self.pid) as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))

    def check(self):
        if self.process.poll() is not None:
            raise BenchError("%s has ended with %s" % (self.arguments[0], self.process.returncode))

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
