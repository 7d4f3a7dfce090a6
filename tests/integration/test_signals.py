"""A storm of signals at any time: at the start, among reloads, under load, on the way out. The end is a clean one, and nothing that was answered is lost."""
import re
import signal
import threading

from conftest import PATIENCE, POSTERN, Gateway, Process, wait_until
from test_load_and_kill import Load, check_all_there


def blocks(process, number):
    """From then on the signal is waited for, and ends nothing by itself."""
    with open(f"/proc/{process.pid}/status") as status:
        mask = re.search(r"^SigBlk:\s*(\w+)", status.read(), re.M)
    return int(mask.group(1), 16) >> (number - 1) & 1


class Storm:
    """Sends the signals in turn, as fast as it can, until the process has ended."""

    def __init__(self, process, *signals):
        self.process = process
        self.signals = signals
        self.thread = threading.Thread(target=self.rage, daemon=True)
        self.thread.start()

    def rage(self):
        while self.process.poll() is None:
            for each in self.signals:
                self.process.send_signal(each)


def test_signals_during_the_start_end_it_cleanly(tmp_path, store):
    gateway = Gateway(tmp_path, [f"127.0.0.1:{store.port}"])
    for signals in ([signal.SIGTERM], [signal.SIGHUP, signal.SIGTERM], [signal.SIGHUP] * 5 + [signal.SIGINT, signal.SIGHUP, signal.SIGTERM]):
        for moment in ("waits", "opens"):
            for file in tmp_path.glob("queue.db*"):
                file.unlink()
            gateway.process = Process([POSTERN, "serve", "-c", str(gateway.config)], tmp_path / "gateway.log")
            process = gateway.process.process
            wait_until(lambda: process.poll() is not None or blocks(process, signal.SIGHUP), "the signals to be waited for")
            if moment == "opens":
                wait_until(lambda: (tmp_path / "queue.db").exists(), "the queue")
            for each in signals * 20:
                process.send_signal(each)
            assert process.wait(PATIENCE) == 0, (signals, moment, gateway.process.text())
            gateway.process.output.close()
            assert " stopped" in gateway.process.text()


def test_a_stop_does_not_wait_for_endless_reloads(gateway):
    process = gateway.process.process
    Storm(process, signal.SIGHUP)
    gateway.process.await_line(" reloaded ")
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0
    assert gateway.process.text().rstrip().endswith("stopped")


def test_a_storm_under_load_loses_nothing_and_ends_cleanly(gateway, store):
    load = Load(gateway.port, "storm")
    load.await_messages(50)
    process = gateway.process.process
    text = gateway.config.read_text()
    for number in range(8):  # one good file after the other, and a bad one in between
        event = " reload_failed " if number % 4 == 3 else " reloaded "
        before = gateway.process.text().count(event)
        gateway.config.write_text(text + ("nonsense: [" if number % 4 == 3 else f"shutdown_grace: {10 + number}s\n"))
        for _ in range(50):
            process.send_signal(signal.SIGHUP)
        wait_until(lambda: process.poll() is not None or gateway.process.text().count(event) > before, "the reload")
        assert process.poll() is None, gateway.process.text()
    gateway.config.write_text(text)
    Storm(process, signal.SIGHUP, signal.SIGTERM, signal.SIGINT)
    assert process.wait(PATIENCE) == 0
    load.join()
    gateway.start()
    check_all_there(gateway, store, load.answered, "a storm of signals")
    assert all(times == 1 for times in store.received.values())
