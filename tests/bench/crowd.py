"""What a crowd at the door costs. Two measurements, each printed with what is required of it:

  crowd   Thousands of connections that send an octet now and then, a thousand connections a second that speak junk, and one honest client:
          how long its messages take, what each idle connection costs in memory, and whether all are still held at the end.
  tls     Handshakes on a listener with TLS from the first octet, whole and resumed, by `openssl s_time` (and Python's ssl for a resumed one of
          TLS 1.3): how many a second, and the gateway's CPU time for each, beside what `openssl speed` needs for the signature alone and what
          OpenSSL's own `s_server` needs for the same.

    tests/bench/crowd.py crowd|tls [--binary build/gateway/main/postern] [--idle N] [--junk N] [--seconds N]
"""
import argparse
import itertools
import multiprocessing
import os
import re
import resource
import smtplib
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time

from outage import REPOSITORY, Gateway, TimingStore
from processes import BenchError, Program, answers, free_port, wait_until

IDLE_TIMES = 10  # seconds from one octet of an idle connection to its next


def sources():
    """Addresses of this machine to come from: one alone has too few ports for a thousand connections a second."""
    return itertools.cycle("127.0.0.%d" % last for last in range(2, 60))


def set_up(binary, folder, store, listener="", limits=""):
    gateway = Gateway(binary, folder, {"well": store.port})
    with open(gateway.config) as config:
        text = config.read()
    text = text.replace('" } ]', '"%s } ]' % listener)
    text = text.replace("limits: { connections_per_client: 1000", "limits: { connections_per_client: 100000" + limits)
    with open(gateway.config, "w") as config:
        config.write(text)
    return gateway


def speak_junk(port, rate, stop, count):
    address = sources()
    junk = [os.urandom(200), b"GET / HTTP/1.1\r\nHost: mx\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(200), b"x" * 5000, b""]
    begin = time.monotonic()
    open_ones = []
    done = 0
    while not stop.is_set():
        wait = begin + done / rate - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        try:
            client = socket.create_connection(("127.0.0.1", port), timeout=5, source_address=(next(address), 0))
            client.sendall(junk[done % len(junk)])
            open_ones.append(client)
            if len(open_ones) > 50:
                open_ones.pop(0).close()
        except OSError:
            pass
        done += 1
        count.value = done


def be_honest(port, stop, results):
    latencies = []
    number = 0
    while not stop.is_set():
        begin = time.monotonic()
        try:
            with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
                client.sendmail("a@example.org", ["u@well.example"], "Subject: honest-%d\r\n\r\n%s" % (number, ("x" * 76 + "\r\n") * 50))
            latencies.append(time.monotonic() - begin)
        except (OSError, smtplib.SMTPException) as error:
            latencies.append(30.0)
            print("refused:", error)
        number += 1
        time.sleep(0.02)
    results.put(latencies)


def measure_crowd(arguments):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    store = TimingStore()
    with tempfile.TemporaryDirectory(prefix="postern-crowd-") as folder:
        gateway = set_up(arguments.binary, folder, store, limits=", connections: %d" % (arguments.idle * 3 // 2 + 1000))
        gateway.start()
        before = gateway.resident()[0]
        address = sources()
        idle = []
        for _ in range(arguments.idle):
            client = socket.create_connection(("127.0.0.1", gateway.port), timeout=30, source_address=(next(address), 0))
            idle.append(client)
        for client in idle:
            if not client.recv(200).startswith(b"220 "):
                raise BenchError("an idle client was not greeted")
            client.sendall(b"EHLO idle.example.org\r\n")
        for client in idle:
            client.recv(1000)
        each = (gateway.resident()[0] - before) / len(idle)
        stop = multiprocessing.Event()
        results = multiprocessing.Queue()
        count = multiprocessing.Value("q", 0)
        workers = [multiprocessing.Process(target=speak_junk, args=(gateway.port, arguments.junk, stop, count)),
                   multiprocessing.Process(target=be_honest, args=(gateway.port, stop, results))]
        cpu = gateway.program.cpu_seconds()
        begin = time.monotonic()
        for worker in workers:
            worker.start()
        held = b"N" * 1
        turn = 0
        while time.monotonic() - begin < arguments.seconds:
            for client in idle[turn % IDLE_TIMES::IDLE_TIMES]:
                client.sendall(held)
            turn += 1
            time.sleep(max(0, begin + turn - time.monotonic()))
        stop.set()
        latencies = results.get(timeout=60)
        for worker in workers:
            worker.join()
        took = time.monotonic() - begin
        cpu = gateway.program.cpu_seconds() - cpu
        alive = 0
        for client in idle:
            client.sendall(b"\r\n")  # whatever it has come to: it is answered
        for client in idle:
            alive += client.recv(200)[:1] == b"5"
        now, most = gateway.resident()
        gateway.stop()
    latencies.sort()
    p99 = latencies[min(len(latencies) - 1, int(len(latencies) * 0.99))]
    print("idle connections held to the end   %d of %d (required: all)" % (alive, arguments.idle))
    print("memory of each                     %.1f KiB (required: below 32)" % (each / 1024))
    print("junk connections a second          %.0f (asked for: %d)" % (count.value / took, arguments.junk))
    print("honest messages                    %d, p50 %.0f ms, p99 %.0f ms (required: p99 below 1000)" % (len(latencies), statistics.median(latencies) * 1000, p99 * 1000))
    print("gateway                            %.0f %% of a processor, resident %.0f MiB, most %.0f MiB" % (100 * cpu / took, now / 2**20, most / 2**20))
    return alive == arguments.idle and p99 < 1 and each < 32 * 1024


def signature_microseconds(kind):
    shown = subprocess.run(["openssl", "speed", "-seconds", "1", {"ecdsa": "ecdsap256", "rsa": "rsa2048"}[kind]], capture_output=True, text=True, check=True).stdout
    return 1e6 / float(re.search(r"s\s+[0-9.]+s\s+([0-9.]+)\s+[0-9.]+\s*$", shown, re.M).group(1))


def hands_shaken(port, how, seconds):
    """How many handshakes in how many seconds, by one client."""
    if how == ("-tls1_3", "-reuse"):
        # s_time reads nothing behind the handshake, where the ticket of TLS 1.3 stands.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        session, count, reused, begin = None, 0, 0, time.monotonic()
        while time.monotonic() - begin < seconds:
            with socket.create_connection(("127.0.0.1", port)) as raw, context.wrap_socket(raw, session=session) as client:
                client.recv(200)
                session = client.session
                reused += client.session_reused
                count += 1
        if reused < count - 1:
            raise BenchError("only %d of %d sessions were resumed" % (reused, count))
        return count, time.monotonic() - begin
    shown = subprocess.run(["openssl", "s_time", "-connect", "127.0.0.1:%d" % port, *how, "-time", str(seconds)], capture_output=True, text=True).stdout
    found = re.search(r"(\d+) connections in (\d+) real seconds", shown)
    if found is None:
        raise BenchError("s_time said: " + shown)
    return int(found.group(1)), int(found.group(2))


def measure_tls(arguments):
    store = TimingStore()
    for kind, algorithm in (("ecdsa", ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]), ("rsa", ["-newkey", "rsa:2048"])):
        with tempfile.TemporaryDirectory(prefix="postern-crowd-") as folder:
            certificate, key = os.path.join(folder, "c.pem"), os.path.join(folder, "c.key")
            subprocess.run(["openssl", "req", "-x509", *algorithm, "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=mx.example.com"],
                           check=True, capture_output=True)
            gateway = set_up(arguments.binary, folder, store, ", tls: { certificate: %s, key: %s, implicit: true }" % (certificate, key))
            gateway.start()
            signature = signature_microseconds(kind)
            other_port = free_port()
            other = Program(["openssl", "s_server", "-accept", str(other_port), "-cert", certificate, "-key", key, "-quiet"])
            wait_until(lambda: answers(other_port), "s_server")
            for how in (("-tls1_2", "-new"), ("-tls1_2", "-reuse"), ("-tls1_3", "-new"), ("-tls1_3", "-reuse")):
                each = []
                for program, port in ((gateway.program, gateway.port), (other, other_port)):
                    if program is other and how == ("-tls1_3", "-reuse"):
                        continue  # it says nothing that the client could wait for
                    cpu = program.cpu_seconds()
                    count, seconds = hands_shaken(port, how, max(1, arguments.seconds // 6))
                    each.append((count / seconds, (program.cpu_seconds() - cpu) / count * 1e6))
                print("%-5s %s %-6s  %6.0f a second, one client; %4.0f us of the gateway's CPU each; s_server: %s; a signature alone: %.0f us" %
                      (kind, how[0][1:], how[1][1:], *each[0], "%4.0f us" % each[1][1] if len(each) > 1 else "-", signature))
            other.stop()
            gateway.stop()
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["crowd", "tls"])
    parser.add_argument("--binary", default=os.path.join(REPOSITORY, "build/gateway/main/postern"))
    parser.add_argument("--idle", type=int, default=10000)
    parser.add_argument("--junk", type=int, default=1000)
    parser.add_argument("--seconds", type=int, default=30)
    arguments = parser.parse_args()
    sys.exit(0 if (measure_crowd if arguments.what == "crowd" else measure_tls)(arguments) else 1)


if __name__ == "__main__":
    main()
