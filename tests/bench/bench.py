"""Measures Postern beside Postfix and beside the bare tools, in alternating runs, and prints a table; see README.md."""
import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from load import Load, Sink
from mta import DOMAIN, LATENCY_DOMAIN, Postern, Postfix
from processes import BenchError, free_port

MICRO = 1e6
MEBIBYTE = 1 << 20
RESIDENT_MAX = 64 * MEBIBYTE
FLUSHES_MAX = 0.1
ACCEPTED_MAX = 0.8e-3
STORED_MAX = 1.5e-3

# (what is sent, messages for Postern, for Postfix and for the bare tools, at least so many times Postfix's speed, at most that share of
# its CPU time or None, whether flushes are limited)
SCENARIOS = [
    (Load("new", "4 KiB, 1 recipient, a connection each"), 10000, 2000, 10000, 4.0, 1 / 10, True),
    (Load("reused", "4 KiB, 1 recipient, connections reused", reuse=True), 15000, 2500, 20000, 8.0, 1 / 16, True),
    (Load("large", "100 KiB, 1 recipient, a connection each", octets=100 * 1024), 3000, 1500, 4000, 2.0, 1 / 4, False),
    (Load("many", "4 KiB, 20 recipients, a connection each", recipients=20), 3000, 800, 5000, 4.0, None, False),
]
LATENCY = Load("latency", "4 KiB, 1 recipient, one message at a time")
LATENCY_MESSAGES = 1000


class Figures:
    """Everything measured, by (who, scenario, what): one value a pair."""

    def __init__(self):
        self.values = {}

    def add(self, who, key, what, value):
        self.values.setdefault((who, key, what), []).append(value)

    def median(self, who, key, what):
        values = self.values.get((who, key, what))
        return statistics.median(values) if values else None

    def ratio(self, key, what):
        """The median over the pairs of Postern's value by Postfix's of the same pair."""
        pairs = zip(self.values.get(("postern", key, what), []), self.values.get(("postfix", key, what), []))
        ratios = [ours / theirs for ours, theirs in pairs if theirs]
        return statistics.median(ratios) if ratios else None


class Bench:
    def __init__(self, options, folder):
        self.options = options
        self.folder = folder
        self.figures = Figures()
        self.scenarios = [scenario for scenario in SCENARIOS if not options.only or scenario[0].key in options.only]
        self.with_latency = not options.only or LATENCY.key in options.only
        self.running = []

    def started(self, thing):
        self.running.append(thing)
        return thing

    def stop_all(self):
        while self.running:
            self.running.pop().stop()

    def run(self):
        self.store = self.started(Sink(True, self.folder))
        self.bare = self.started(Sink(False, self.folder))
        latency_port = free_port()
        self.postern = Postern(self.options.postern, self.folder, self.store.port, latency_port)
        self.gateways = [self.postern]
        if not self.options.without_postfix:
            self.gateways.append(Postfix(self.folder, self.store.port, latency_port))
        for gateway in self.gateways:
            self.started(gateway).start()
            self.load(gateway, LATENCY, 500)  # until processes, connections and files are there
            for scenario in self.scenarios[:1]:
                self.load(gateway, scenario[0], 500)
        for number in range(self.options.pairs):
            say("pair %d of %d" % (number + 1, self.options.pairs))
            for load, ours, theirs, bare, *_ in self.scenarios:
                self.measure(self.postern, load, self.scaled(ours))
                for gateway in self.gateways[1:]:
                    self.measure(gateway, load, self.scaled(theirs))
                self.measure_ceiling(load, self.scaled(bare))
            if self.with_latency:
                for gateway in self.gateways:
                    self.measure_latency(gateway)
        self.figures.add("postern", "all", "peak", self.postern.program.peak_octets())
        for gateway in self.gateways:
            gateway.stop()
            if not self.options.without_flushes:
                self.count_flushes(gateway)

    def scaled(self, messages):
        return max(200, int(messages * self.options.scale))

    def load(self, gateway, load, messages):
        seconds = load.run(gateway.port, self.store, DOMAIN, messages)
        gateway.settle()
        return seconds

    def measure(self, gateway, load, messages):
        before = gateway.program.cpu_seconds()
        seconds = load.run(gateway.port, self.store, DOMAIN, messages)
        resident = gateway.program.resident_octets()
        gateway.settle()
        time.sleep(1.5)  # what is put off (history, closing connections) is part of the cost
        cpu = gateway.program.cpu_seconds() - before
        self.figures.add(gateway.name, load.key, "rate", messages / seconds)
        self.figures.add(gateway.name, load.key, "cpu", cpu / messages)
        self.figures.add(gateway.name, load.key, "resident", resident)
        say("  %-7s %-45s %8.0f messages/s %8.0f us CPU" % (gateway.name, load.title, messages / seconds, cpu / messages * MICRO))

    def measure_ceiling(self, load, messages):
        try:
            seconds = load.run(self.bare.port, self.bare, DOMAIN, messages)
        except BenchError as error:
            # smtp-sink may turn a connection away when it is flooded. The ceiling is only there to compare with.
            say("  no ceiling of this pair: %s" % error)
            return
        self.figures.add("bare", load.key, "rate", messages / seconds)

    def measure_latency(self, gateway):
        arguments = [self.options.latency, str(gateway.port), str(gateway.latency_port), str(self.scaled(LATENCY_MESSAGES)),
                     str(LATENCY.octets), "user@" + LATENCY_DOMAIN]
        ran = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False)
        if ran.returncode != 0:
            raise BenchError(ran.stderr.strip())
        words = ran.stdout.split()
        self.figures.add(gateway.name, LATENCY.key, "accepted", int(words[1]) / MICRO)
        self.figures.add(gateway.name, LATENCY.key, "stored", int(words[5]) / MICRO)
        gateway.settle()
        say("  %-7s %-45s %s" % (gateway.name, LATENCY.title + ", us", ran.stdout.strip()))

    def count_flushes(self, gateway):
        """In runs of their own, one a scenario, as counting slows each flush a little."""
        for load, ours, theirs, *_ in self.scenarios:
            messages = self.scaled(ours if gateway is self.postern else theirs)
            gateway.start(counting=True)
            try:
                self.load(gateway, load, messages)
            except BenchError as error:
                if gateway is self.postern:
                    raise
                # Right after its start Postfix may turn a client away. Its flushes are only there to compare with.
                say("  no count of %s's flushes: %s" % (gateway.name, error))
                continue
            finally:
                gateway.stop()
            self.figures.add(gateway.name, load.key, "flushes", gateway.flushes() / messages)


def say(text):
    print(text, file=sys.stderr, flush=True)


def number(value, factor=1.0, digits=0):
    return "-" if value is None else "%.*f" % (digits, value * factor)


def verdict(value, required, at_least):
    if value is None:
        return ""
    return "pass" if (value >= required if at_least else value <= required) else "FALLS SHORT"


def row(what, ours, theirs, bare, ratio, required, judged):
    print("  %-30s %10s %10s %10s %9s  %-14s %s" % (what, ours, theirs, bare, ratio, required, judged))


def print_table(bench):
    figures = bench.figures
    print("\n%-32s %10s %10s %10s %9s  %-14s" % ("medians of %d" % bench.options.pairs, "Postern", "Postfix", "bare tools", "ratio", "required"))
    for load, _, _, _, speed, share, flushes_limited in bench.scenarios:
        print(load.title)

        def of(who, what, key=load.key):
            return figures.median(who, key, what)
        ratio = figures.ratio(load.key, "rate")
        row("messages/s", number(of("postern", "rate")), number(of("postfix", "rate")), number(of("bare", "rate")), number(ratio, digits=2),
            ">= %.0f" % speed, verdict(ratio, speed, True))
        ratio = figures.ratio(load.key, "cpu")
        row("CPU time a message, us", number(of("postern", "cpu"), MICRO), number(of("postfix", "cpu"), MICRO), "",
            "1/" + number(1 / ratio, digits=1) if ratio else "-", "<= 1/%.0f" % (1 / share) if share else "",
            verdict(ratio, share, False) if share else "")
        if of("postern", "flushes") is not None:
            row("flushes a message", number(of("postern", "flushes"), digits=3), number(of("postfix", "flushes"), digits=3), "", "",
                "<= %.1f" % FLUSHES_MAX if flushes_limited else "",
                verdict(of("postern", "flushes"), FLUSHES_MAX, False) if flushes_limited else "")
        row("resident memory, MiB", number(of("postern", "resident"), 1 / MEBIBYTE, 1), number(of("postfix", "resident"), 1 / MEBIBYTE, 1), "", "", "", "")
    if bench.with_latency:
        print(LATENCY.title)
        for what, name, limit in (("accepted", "accepted after, ms (p50)", ACCEPTED_MAX), ("stored", "in the store after, ms (p50)", STORED_MAX)):
            ours = figures.median("postern", LATENCY.key, what)
            row(name, number(ours, 1e3, 2), number(figures.median("postfix", LATENCY.key, what), 1e3, 2), "",
                number(figures.ratio(LATENCY.key, what), digits=2), "< %.1f" % (limit * 1e3), verdict(ours, limit, False))
    print("throughout")
    peak = figures.median("postern", "all", "peak")
    row("most resident memory, MiB", number(peak, 1 / MEBIBYTE, 1), "", "", "", "<= 64", verdict(peak, RESIDENT_MAX, False))


def processor():
    with open("/proc/cpuinfo") as info:
        for line in info:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def file_system(folder):
    return subprocess.run(["stat", "-f", "-c", "%T", folder], capture_output=True, text=True, check=True).stdout.strip()


def main():
    parser = argparse.ArgumentParser(prog="tests/bench/run.sh", description=__doc__)
    parser.add_argument("--postern", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--latency", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="one pair, half the messages")
    parser.add_argument("--pairs", type=int, default=5, help="how often Postern and Postfix alternate (default %(default)s)")
    parser.add_argument("--scale", type=float, default=1.0, help="messages of each run, relative to the usual number")
    parser.add_argument("--only", action="append", choices=[scenario[0].key for scenario in SCENARIOS] + [LATENCY.key],
                        help="this scenario; may be repeated")
    parser.add_argument("--without-postfix", action="store_true", help="Postern and the bare tools only")
    parser.add_argument("--without-flushes", action="store_true", help="flushes are not counted")
    options = parser.parse_args()
    if options.quick:
        options.pairs, options.scale = 1, options.scale / 2
    folder = tempfile.mkdtemp(prefix="postern-bench.")
    os.chmod(folder, 0o755)  # Postfix's processes run as a user of their own
    bench = Bench(options, folder)
    try:
        kind = file_system(folder)
        if kind in ("tmpfs", "ramfs"):
            raise BenchError("%s is no disk: set TMPDIR to a folder on one" % folder)
        print("%s, %d processors (%s), queues on %s; load before: %.1f" %
              (time.strftime("%Y-%m-%d"), os.cpu_count(), processor(), kind, os.getloadavg()[0]))
        bench.run()
    except (BenchError, subprocess.TimeoutExpired) as error:
        sys.exit("bench: %s" % error)
    finally:
        bench.stop_all()
        shutil.rmtree(folder, ignore_errors=True)
    print_table(bench)


if __name__ == "__main__":
    main()
