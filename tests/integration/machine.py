"""A small machine of its own: systemd as the first process of new namespaces, with this machine's /usr below it and nothing else of it."""
import ctypes
import errno
import os
import pathlib
import shutil
import subprocess
import tempfile

from conftest import PATIENCE, wait_until

SYSTEMD = "/lib/systemd/systemd"

# Runs within the new namespaces, with a new tmpfs for a root. What belongs to no namespace (/proc/sys, /sys) can only be read: a systemd
# that starts a machine would write there.
INSIDE = r"""
set -e
mount -t tmpfs -o mode=755 machine "$1"
cd "$1"
mkdir -p usr etc/systemd/system etc/systemd/system-generators proc sys dev run tmp var/log root old .upper .work
for name in bin sbin lib lib64; do if [ -L /$name ]; then ln -s usr/$name $name; fi; done
mount -t overlay -o lowerdir=/usr,upperdir=.upper,workdir=.work machine usr
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 run run
mount -t tmpfs -o mode=755 dev dev
mkdir dev/shm dev/pts dev/mqueue
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
for node in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
  IFS=: read -r name major minor <<END
$node
END
  mknod -m 666 dev/$name c $major $minor
done
ln -s pts/ptmx dev/ptmx
ln -s /run var/run
chmod 1777 tmp dev/shm
cp /etc/os-release /etc/ld.so.cache etc
printf '%s\n' 'root:x:0:0::/root:/bin/sh' 'nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin' > etc/passwd
printf '%s\n' 'root:x:0:' 'nogroup:x:65534:' > etc/group
printf '%s\n' 'passwd: files' 'group: files' 'hosts: files' > etc/nsswitch.conf
printf '%s\n' '127.0.0.1 localhost mx.example.com' > etc/hosts
printf '%s\n' 'nameserver 127.0.0.1' > etc/resolv.conf
echo 0123456789abcdef0123456789abcdef > etc/machine-id
for unit in $2; do ln -s /dev/null etc/systemd/system/$unit; done
for program in usr/lib/systemd/system-generators/*; do ln -s /dev/null etc/systemd/system-generators/${program##*/}; done
pivot_root . old
umount -l /old
rmdir /old
echo furnished
exec env -i container=test PATH=/usr/sbin:/usr/bin "$3" --system --unit=multi-user.target --show-status=0
"""

# Of no use here, slow, or meant for a whole machine.
MASKED = """dbus.service dbus.socket systemd-logind.service getty.target systemd-user-sessions.service systemd-udevd.service
systemd-sysctl.service systemd-sysusers.service systemd-binfmt.service systemd-modules-load.service systemd-random-seed.service
systemd-firstboot.service systemd-repart.service systemd-tmpfiles-setup.service systemd-tmpfiles-setup-dev.service
systemd-tmpfiles-clean.timer systemd-update-utmp.service systemd-update-utmp-runlevel.service systemd-journald-audit.socket
systemd-journal-flush.service systemd-machine-id-commit.service systemd-remount-fs.service systemd-initctl.socket
kmod-static-nodes.service modprobe@.service dev-hugepages.mount dev-mqueue.mount proc-sys-fs-binfmt_misc.automount
sys-fs-fuse-connections.mount sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount tmp.mount
systemd-ask-password-console.path systemd-ask-password-wall.path"""

CLONE_NEWNET = 0x40000000


class Refused(Exception):
    """There can be no such machine here, and why."""


def cgroup_folder():
    """Where the second version of control groups is mounted, alone or beside the first."""
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        words = line.split()
        if words[words.index("-") + 1] == "cgroup2":
            return pathlib.Path(words[4])
    raise Refused("no cgroup2 is mounted")


class Machine:
    def __init__(self):
        if os.geteuid() != 0:
            raise Refused("only root makes namespaces with devices and mounts")
        for program in (SYSTEMD, "setpriv", "unshare", "nsenter"):
            if not shutil.which(program):
                raise Refused(f"there is no {program}")
        groups = cgroup_folder()
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.process = self.network = None
        self.home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="postern-machine-", dir="/tmp"))
        self.log = self.folder / "log"
        self.group = groups / self.folder.name
        try:
            self.start()
        except BaseException:
            self.stop()
            raise

    def start(self):
        (self.folder / "root").mkdir()
        try:
            self.group.mkdir()
        except OSError as error:
            raise Refused(f"no control group can be made: {error}") from error
        with open(self.log, "wb") as log:
            # It ends with us, however we end, and what it starts has a control group of its own.
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "/bin/sh", "-c", 'echo 0 > "$0" && exec "$@"', str(self.group / "cgroup.procs"),
                 "unshare", "--fork", "--kill-child", "--pid", "--mount", "--propagation", "private", "--cgroup", "--net", "--uts", "--ipc",
                 "/bin/sh", "-c", INSIDE, "inside", str(self.folder / "root"), " ".join(MASKED.split()), SYSTEMD],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(self.is_furnished, "the mounts of the small machine")
        self.init = int(pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text())
        self.network = os.open(f"/proc/{self.init}/ns/net", os.O_RDONLY)
        wait_until(lambda: self.is_alive() and self.path("/run/systemd/private").is_socket(), "systemd")
        wait_until(lambda: self.is_alive() and self.run("systemctl", "is-system-running").stdout.strip() in ("running", "degraded"), "the start")

    def is_furnished(self):
        ended = self.process.poll() is not None
        said = self.log.read_text(errors="replace")
        if "furnished\n" in said:
            return True
        if ended:
            raise Refused(said.strip())
        return False

    def is_alive(self):
        assert self.process.poll() is None, self.log.read_text(errors="replace")
        return True

    def stop(self):
        if self.process:
            self.process.kill()  # with it, by --kill-child, goes the first process of the namespace, and with that one all others
            self.process.wait(PATIENCE)
        for descriptor in filter(None, (self.network, self.home)):
            os.close(descriptor)
        wait_until(self.has_gone, "the end of all processes")
        shutil.rmtree(self.folder)

    def has_gone(self):
        """A control group can be removed once the last process in it is dead, and not just no longer listed."""
        try:
            for folder, _, _ in os.walk(self.group, topdown=False):
                os.rmdir(folder)
        except OSError as error:
            assert error.errno == errno.EBUSY, error
            return False
        return True

    def path(self, inside):
        """A file of it, for us. Its links lead into our own files."""
        return pathlib.Path(f"/proc/{self.init}/root{inside}")

    def run(self, *command):
        return subprocess.run(["nsenter", "-t", str(self.init), "-m", "-u", "-i", "-n", "-p", "-C", "--root", "--wd", *command],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)

    def do(self, *command):
        done = self.run(*command)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def pids(self, unit):
        """As we count them."""
        return [int(pid) for pid in (self.group / "system.slice" / unit / "cgroup.procs").read_text().split()]

    def __enter__(self):
        """Within a `with`, the sockets that this thread and those begun by it make are in the small machine's network."""
        self.enter(self.network)
        return self

    def __exit__(self, *_):
        self.enter(self.home)

    def enter(self, namespace):
        if self.libc.setns(namespace, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
