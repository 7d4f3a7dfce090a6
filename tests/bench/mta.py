"""The two gateways under test, each with its own folder, ports and processes. Both take mail for DOMAIN and hand it to the store on
`store_port`, and mail for LATENCY_DOMAIN to the one on `latency_port`."""
import grp
import os
import pwd
import re
import sqlite3
import subprocess

from processes import BenchError, Program, answers, free_port, wait_until

DOMAIN = "bench.example"
LATENCY_DOMAIN = "latency.example"

# Flushes are counted in a run of their own: by the kernel's tracepoints where perf may use them, which slows nothing; else by strace, which
# stops the program at each of them and takes a core for it, so that fewer messages come in the time that they share a flush in.
CALLS = ["fsync", "fdatasync", "sync_file_range", "msync", "sync", "syncfs"]
PERF = ["perf", "stat", "-x,", "-e", ",".join("syscalls:sys_enter_" + call for call in CALLS)]
STRACE = ["strace", "-f", "-c", "--seccomp-bpf", "-e", "trace=" + ",".join(CALLS)]


def counter():
    try:
        tried = subprocess.run(PERF + ["true"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return STRACE
    return PERF if tried.returncode == 0 and "not" not in tried.stderr else STRACE


class Gateway:
    """Common to both. A subclass sets `program` in start() and says what is left in its queue."""

    name = ""

    def __init__(self, folder, store_port, latency_port):
        self.folder = os.path.join(folder, self.name)
        os.mkdir(self.folder, 0o755)
        self.port = free_port()
        self.store_port = store_port
        self.latency_port = latency_port
        self.counts = os.path.join(self.folder, "flushes")
        self.counter = counter()
        self.program = None
        self.counting = False

    def launch(self, arguments, counting):
        self.counting = counting
        if counting:
            arguments = self.counter + ["-o", self.counts] + arguments
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.program = Program(arguments, log)
        wait_until(self.is_up, self.name + " to start")

    def is_up(self):
        self.program.check()
        return answers(self.port)

    def stop(self):
        if self.program is None:
            return
        if self.counting:
            # The counter passes no signal on; it ends with the program it runs.
            for pid in self.program.tree()[1:2]:
                os.kill(pid, 15)
            self.program.process.wait(30)
        self.program.stop()
        self.program = None

    def settle(self):
        """Until the queue is empty: removing what was delivered is part of the work."""
        wait_until(lambda: self.queued() == 0, "an empty queue of " + self.name, 120, 0.05)

    def flushes(self):
        """Of the run that was counted; after stop()."""
        with open(self.counts) as output:
            text = output.read()
        if self.counter is PERF:
            counted = re.findall(r"^(\d+),,syscalls:", text, re.M)
            if len(counted) == len(CALLS):
                return sum(int(count) for count in counted)
        else:
            total = re.search(r"^\s*100\.00\s+\S+\s+(?:\d+\s+)?(\d+)\s.*total$", text, re.M)
            if total:
                return int(total.group(1))
        raise BenchError("nothing was counted: " + text)


class Postern(Gateway):
    name = "postern"

    def __init__(self, binary, folder, store_port, latency_port):
        super().__init__(folder, store_port, latency_port)
        self.binary = binary
        self.queue = os.path.join(self.folder, "queue.db")
        self.config = os.path.join(self.folder, "postern.yaml")
        # Defaults, but for the connections: the load comes from one address, and the store takes as many as Postfix may open.
        with open(self.config, "w") as config:
            config.write("""\
hostname: mx.bench.example
listeners:
  - address: "127.0.0.1:%d"
limits: { connections_per_client: 2000 }
queue: { path: %s }
domains:
  %s: { backend: stores }
  %s: { backend: latency }
backends:
  stores: { endpoints: ["127.0.0.1:%d"], connections: 100 }
  latency: { endpoints: ["127.0.0.1:%d"] }
""" % (self.port, self.queue, DOMAIN, LATENCY_DOMAIN, store_port, latency_port))

    def start(self, counting=False):
        self.launch([self.binary, "serve", "-c", self.config], counting)

    def queued(self):
        self.program.check()
        connection = sqlite3.connect("file:%s?mode=ro" % self.queue, uri=True)
        try:
            return connection.execute("SELECT count(*) FROM message").fetchone()[0]
        finally:
            connection.close()


MAIN_CF = """\
compatibility_level = 3.6
queue_directory = {folder}/spool
data_directory = {folder}/data
myhostname = mx.bench.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
virtual_mailbox_domains = {domain} {latency_domain}
virtual_transport = lmtp:inet:[127.0.0.1]:{store_port}
transport_maps = inline:{{ {{ {latency_domain} = lmtp:inet:[127.0.0.1]:{latency_port} }} }}
alias_maps =
local_recipient_maps =
smtpd_recipient_restrictions = permit_auth_destination reject
notify_classes =
disable_dns_lookups = yes
smtpd_peername_lookup = no
message_size_limit = 52428800
# As an operator tunes it who wants throughput:
default_process_limit = 200
max_use = 10000
in_flow_delay = 0
smtpd_client_connection_count_limit = 0
smtpd_client_event_limit_exceptions = static:all
qmgr_message_active_limit = 50000
qmgr_message_recipient_limit = 50000
lmtp_destination_concurrency_limit = 50
lmtp_initial_destination_concurrency = 20
lmtp_destination_recipient_limit = 100
lmtp_connection_cache_on_demand = yes
lmtp_connection_cache_destinations = inet:[127.0.0.1]:{store_port} inet:[127.0.0.1]:{latency_port}
"""

MASTER_CF = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup    unix  n  -  n  60   1  pickup
cleanup   unix  n  -  n  -    0  cleanup
qmgr      unix  n  -  n  300  1  qmgr
rewrite   unix  -  -  n  -    -  trivial-rewrite
bounce    unix  -  -  n  -    0  bounce
defer     unix  -  -  n  -    0  bounce
trace     unix  -  -  n  -    0  bounce
flush     unix  n  -  n  1000? 0 flush
proxymap  unix  -  -  n  -    -  proxymap
retry     unix  -  -  n  -    -  error
error     unix  -  -  n  -    -  error
lmtp      unix  -  -  n  -    -  lmtp
anvil     unix  -  -  n  -    1  anvil
scache    unix  -  -  n  -    1  scache
"""


class Postfix(Gateway):
    """An instance of its own: configuration, queue and data lie in our folder, and the machine's own instance is not touched. It logs to
    syslog; where none listens that costs it next to nothing, while Postern's log is written to a file."""

    name = "postfix"
    MASTER = "/usr/lib/postfix/sbin/master"

    def __init__(self, folder, store_port, latency_port):
        super().__init__(folder, store_port, latency_port)
        if os.geteuid() != 0:
            raise BenchError("Postfix must be started by root")
        owner = pwd.getpwnam("postfix")
        self.config = os.path.join(self.folder, "config")
        self.spool = os.path.join(self.folder, "spool")
        for folder_ in (self.config, self.spool):
            os.mkdir(folder_, 0o755)
        names = "active bounce corrupt defer deferred flush hold incoming private saved trace".split()
        for path in [os.path.join(self.spool, name) for name in names] + [os.path.join(self.folder, "data")]:
            os.mkdir(path, 0o700)
            os.chown(path, owner.pw_uid, owner.pw_gid)
        for name, mode in (("maildrop", 0o730), ("public", 0o710)):
            path = os.path.join(self.spool, name)
            os.mkdir(path)
            os.chmod(path, mode)
            os.chown(path, owner.pw_uid, grp.getgrnam("postdrop").gr_gid)
        os.mkdir(os.path.join(self.spool, "pid"), 0o755)
        values = dict(folder=self.folder, domain=DOMAIN, latency_domain=LATENCY_DOMAIN, port=self.port, store_port=store_port,
                      latency_port=latency_port)
        for name, text in (("main.cf", MAIN_CF), ("master.cf", MASTER_CF)):
            with open(os.path.join(self.config, name), "w") as config:
                config.write(text.format(**values))

    def start(self, counting=False):
        # -d: stays our child, so that what its processes cost can be read once they have ended.
        self.launch([self.MASTER, "-c", self.config, "-d"], counting)

    def queued(self):
        self.program.check()
        left = 0
        for name in ("incoming", "active", "deferred"):
            for _, _, files in os.walk(os.path.join(self.spool, name)):
                left += len(files)
        return left
