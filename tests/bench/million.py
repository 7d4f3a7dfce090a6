"""See million.sh."""
import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
POSTERN = os.environ.get("POSTERN", str(ROOT / "build/gateway/main/postern"))
FILL = os.environ.get("FILL", str(ROOT / "build/tests/bench/postern_fill_queue"))
SECONDS = float(os.environ.get("SECONDS_EACH", "30"))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def say(what, figure):
    print("%-58s %s" % (what, figure), flush=True)


def cpu(pid):
    """User and system time of a process, in seconds."""
    with open("/proc/%d/stat" % pid) as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children_cpu():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def memory(pid, key):
    with open("/proc/%d/status" % pid) as status:
        for line in status:
            if line.startswith(key + ":"):
                return int(line.split()[1]) / 1024
    return 0


class Bench:
    def __init__(self, folder, recipients):
        self.folder = folder
        self.recipients = recipients
        self.smtp = free_port()
        self.lmtp = free_port()
        self.config = folder / "postern.yaml"
        self.config.write_text(f"""
hostname: mx.example.com
listeners: [ {{ address: "127.0.0.1:{self.smtp}" }} ]
queue: {{ path: {folder}/queue.db, minimum_free_disk: 1MiB }}
domains:
  example.com: {{ backend: stores }}
  "*.example.com": {{ backend: stores }}
backends:
  stores: {{ endpoints: ["127.0.0.1:{self.lmtp}"] }}
""")
        self.gateway = None

    def fill(self, due_from, due_to):
        for name in self.folder.glob("queue.db*"):
            name.unlink()
        began = time.monotonic()
        subprocess.run([FILL, "--messages", str(max(1, self.recipients // 2)), "--recipients", str(self.recipients), "--due-from", str(due_from),
                        "--due-to", str(due_to), str(self.folder / "queue.db")], check=True)
        say("filled with %d recipients" % self.recipients, "%.1f s, %d MB" % (
            time.monotonic() - began, (self.folder / "queue.db").stat().st_size / 1e6))

    def start(self, what):
        log = open(self.folder / "gateway.log", "wb")
        began = time.monotonic()
        self.gateway = subprocess.Popen([POSTERN, "serve", "-c", str(self.config)], stderr=log, stdout=log)
        while b" ready " not in (self.folder / "gateway.log").read_bytes():
            if self.gateway.poll() is not None:
                sys.exit("the gateway ended:\n" + (self.folder / "gateway.log").read_text())
            time.sleep(0.005)
        say("ready, " + what, "%.2f s, %.2f s of CPU" % (time.monotonic() - began, cpu(self.gateway.pid)))

    def stop(self, how=signal.SIGTERM):
        self.gateway.send_signal(how)
        self.gateway.wait(120)

    def watch_memory(self, what, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.5)
        say("resident, " + what, "%.0f MB now, %.0f MB at most" % (memory(self.gateway.pid, "VmRSS"), memory(self.gateway.pid, "VmHWM")))

    def run(self, *arguments, repeat=3, show=None):
        times = []
        cpu_before = children_cpu() + cpu(self.gateway.pid)
        for _ in range(repeat):
            began = time.monotonic()
            done = subprocess.run([POSTERN, *arguments, "-c", str(self.config)], capture_output=True, text=True)
            times.append(time.monotonic() - began)
            if done.returncode not in (0, 1):
                sys.exit("postern %s: %s" % (" ".join(arguments), done.stderr))
        times.sort()
        used = (children_cpu() + cpu(self.gateway.pid) - cpu_before) / repeat
        note = "" if show is None else "  (%s)" % show(done.stdout + done.stderr)
        say("postern " + " ".join(arguments), "%.3f s, %.3f s of CPU%s" % (times[len(times) // 2], used, note))
        return done.stdout

    def while_accepting(self, *arguments):
        """The command, and how long clients waited meanwhile for their 250."""
        waits = []
        stop = threading.Event()

        def client():
            with socket.create_connection(("127.0.0.1", self.smtp), timeout=120) as connection:
                stream = connection.makefile("rwb")

                def command(text):
                    stream.write(text)
                    stream.flush()
                    while True:
                        line = stream.readline()
                        if line[3:4] != b"-":
                            return line
                command(b"")
                command(b"EHLO client.example.org\r\n")
                while not stop.is_set():
                    command(b"MAIL FROM:<a@example.org>\r\n")
                    command(b"RCPT TO:<fresh@example.com>\r\n")
                    command(b"DATA\r\n")
                    began = time.monotonic()
                    line = command(b"Subject: fresh\r\n\r\nbody\r\n.\r\n")
                    if not line.startswith(b"250"):
                        sys.exit("refused meanwhile: %r" % line)
                    waits.append(time.monotonic() - began)
                    time.sleep(0.005)
        sender = threading.Thread(target=client)
        sender.start()
        while len(waits) < 20:
            time.sleep(0.01)
        del waits[:]
        began = time.monotonic()
        done = subprocess.run([POSTERN, *arguments, "-c", str(self.config)], capture_output=True, text=True)
        took = time.monotonic() - began
        stop.set()
        sender.join()
        waits.sort()
        say("postern " + " ".join(arguments), "%.1f s (%s)" % (took, (done.stdout + done.stderr).strip().splitlines()[-1]))
        say("  250 to the final dot meanwhile", "p50 %.1f ms, p99 %.1f ms, most %.0f ms (%d)" % (
            1e3 * waits[len(waits) // 2], 1e3 * waits[len(waits) * 99 // 100], 1e3 * waits[-1], len(waits)))
        self.watch_memory("after it", 1)


def main():
    recipients = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    folder = pathlib.Path(tempfile.mkdtemp(prefix="postern-million-", dir=os.environ.get("FOLDER")))
    bench = Bench(folder, recipients)
    try:
        bench.fill(5, 60)
        bench.start("store down, nothing due")
        bench.watch_memory("%.0f s later" % SECONDS, SECONDS)
        last = bench.run("queue", "list", "--limit", "50", repeat=5, show=lambda out: "%d lines" % out.count("\n"))
        listed = [line.split()[0] for line in last.splitlines() if len(line.split()) > 3 and len(line.split()[0]) == 13]
        if listed:
            bench.run("queue", "show", listed[-1])
        bench.run("status")
        bench.run("queue", "shape")
        bench.run("queue", "shape", "--by", "domain")
        count = lambda out: "%d lines" % out.count("\n")
        bench.run("queue", "list", "--limit", "50", "--sender", "sender77@example.org", show=count)
        bench.run("queue", "list", "--limit", "50", "--sender", "nobody@example.org", show=count)
        bench.run("queue", "list", "--limit", "50", "--recipient", "user%d@*" % (recipients // 2 + 1), show=count)
        bench.run("queue", "list", "--limit", "50", "--domain", "d77.example.com", show=count)
        bench.run("queue", "list", "--limit", "50", "--domain", "none.example.com", show=count)
        bench.run("queue", "list", "--limit", "50", "--backend", "stores", show=count)
        bench.run("queue", "list", "--limit", "50", "--state", "held", show=count)
        bench.run("queue", "list", "--limit", "50", "--state", "waiting", show=count)
        bench.run("queue", "list", "--limit", "50", "--client", "192.0.2.77", show=count)
        bench.run("queue", "list", "--limit", "50", "--reply", "no such text", show=count)
        bench.run("queue", "list", "--limit", "50", "--younger-than", "1h", show=count)
        bench.while_accepting("queue", "hold", "--all", "--dry-run")
        bench.while_accepting("queue", "retry", "--all", "--yes")
        bench.watch_memory("all due, store down, %.0f s later" % SECONDS, SECONDS)
        bench.stop(signal.SIGKILL)
        bench.start("after kill -9, all due")
        bench.stop()
        store = subprocess.Popen([POSTERN, "store", "--listen", "127.0.0.1:%d" % bench.lmtp, "--maildir", str(folder / "maildir")],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) if shutil.which("smtp-sink") is None else \
            subprocess.Popen(["smtp-sink", "-L", "-c", "127.0.0.1:%d" % bench.lmtp, "1000"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.5)
        bench.start("all due, store up")
        bench.watch_memory("draining for %.0f s" % SECONDS, SECONDS)
        bench.run("queue", "list", "--limit", "50", repeat=5)
        bench.run("status")
        bench.stop()
        store.terminate()
        store.wait()
    finally:
        if bench.gateway and bench.gateway.poll() is None:
            bench.stop(signal.SIGKILL)
        shutil.rmtree(folder)


main()
