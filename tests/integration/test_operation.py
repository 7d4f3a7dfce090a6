"""What an operator does: the queue's commands with the gateway running and stopped, reload, a second gateway, a store that goes and returns."""
import json
import signal
import smtplib
import time

import pytest

from conftest import MemoryStore, Process, POSTERN, wait_until


def send(gateway, recipients, subject="x"):
    with smtplib.SMTP("127.0.0.1", gateway.port) as client:
        client.sendmail("a@example.org", recipients, f"Subject: {subject}\r\n\r\nx\r\n")


def test_verbs_act_on_the_running_gateway(gateway, store):
    send(gateway, ["gone-a@example.com"])
    wait_until(lambda: gateway.states() == {"gone-a@example.com": "parked"}, "parked")
    identity = gateway.list()[0]["id"]
    assert gateway.run("queue", "hold", identity).returncode == 0
    assert gateway.states() == {"gone-a@example.com": "held"}
    assert gateway.run("queue", "release", identity).returncode == 0
    wait_until(lambda: gateway.states() == {"gone-a@example.com": "parked"}, "refused again")
    assert gateway.run("queue", "cat", identity).stdout.startswith("Received: from ")
    assert "gone-a@example.com" in gateway.run("queue", "show", identity).stdout
    assert gateway.run("queue", "remove", identity).returncode == 0
    assert gateway.list() == []
    events = [json.loads(line)["event"] for line in gateway.run("history", "--json").stdout.splitlines()]
    wait_until(lambda: "removed" in [json.loads(line)["event"] for line in gateway.run("history", "--json").stdout.splitlines()], "history")
    assert events[0] == "accepted"


def test_commands_work_beside_a_stopped_gateway(gateway, store):
    send(gateway, ["gone-a@example.com"])
    wait_until(lambda: gateway.states() == {"gone-a@example.com": "parked"}, "parked")
    assert gateway.stop() == 0
    done = gateway.run("queue", "list", "--json")
    assert "gateway not running" in done.stderr
    identity = json.loads(done.stdout)["id"]
    assert gateway.run("queue", "release", identity).returncode == 0
    assert gateway.states() == {"gone-a@example.com": "ready"}
    gateway.start()
    wait_until(lambda: gateway.states() == {"gone-a@example.com": "parked"}, "tried again after the start")


def test_second_gateway_is_refused(gateway, tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text(gateway.config.read_text().replace(str(gateway.port), "0", 1))
    second = Process([POSTERN, "serve", "-c", str(other)], tmp_path / "second.log")
    assert second.process.wait(60) == 75
    assert str(gateway.process.process.pid) in second.text()
    second.output.close()


def test_configuration_errors_are_told_whole(gateway):
    text = gateway.config.read_text()
    gateway.config.write_text(text + "unknwon: 1\nlimits2: {}\n")
    done = gateway.run("check")
    assert done.returncode == 78
    assert "unknwon" in done.stderr and "limits2" in done.stderr
    assert gateway.run("reload").returncode == 78
    gateway.process.process.send_signal(signal.SIGHUP)
    gateway.process.await_line(" reload_failed ")
    gateway.config.write_text(text.replace("example.com: {", "example.org: { backend: stores }\n  example.com: {"))
    assert gateway.run("reload").returncode == 0
    with smtplib.SMTP("127.0.0.1", gateway.port) as client:
        client.ehlo("x.example.org")
        client.mail("a@example.org")
        assert client.rcpt("x@example.org")[0] == 250


def test_a_mistake_in_the_file_does_not_blind_the_operator_of_a_gateway_that_runs(gateway):
    send(gateway, ["full-one@example.com"])
    text = gateway.config.read_text()
    gateway.config.write_text(text + "unknwon: 1\n")
    done = gateway.run("status")
    assert done.returncode == 0 and "Gateway" in done.stdout and "has errors" in done.stderr, done.stderr
    listed = gateway.run("queue", "list", "--json")
    assert listed.returncode == 0 and "full-one@example.com" in listed.stdout
    done = gateway.run("reload")
    assert done.returncode == 78 and "unknwon" in done.stderr and "stays in force" in done.stderr
    gateway.process.await_line(" reload_failed .*actor=")
    assert gateway.stop() == 0
    done = gateway.run("status")
    assert done.returncode == 78 and "unknwon" in done.stderr and done.stdout == ""
    gateway.config.write_text(text)


def test_status_says_when_nothing_is_taken_in_and_why(gateway, store):
    store.close()
    assert gateway.stop() == 0
    gateway.config.write_text(gateway.config.read_text().replace("queue: {", "queue: { maximum_messages: 1,"))
    gateway.start()
    send(gateway, ["a@example.com"])
    with pytest.raises(smtplib.SMTPSenderRefused, match="452"):
        send(gateway, ["a@example.com"])
    shown = gateway.run("status").stdout
    assert "Taking in" in shown and "NOTHING" in shown and "queue.maximum_messages: 1" in shown, shown
    assert "queue.maximum_messages" in json.loads(gateway.run("status", "--json").stdout)["disk"]["obstacle"]


def test_what_an_operator_orders_is_in_the_log(gateway):
    send(gateway, ["full-one@example.com", "full-two@example.com"])
    assert gateway.run("queue", "hold", "--all", "--yes").returncode == 0
    gateway.process.await_line(r' info ordered verb=hold recipients=2 actor="\S+: queue hold --all"$')
    [message] = gateway.list()
    assert gateway.run("queue", "bounce", message["id"], "--reason", "not wanted").returncode == 0
    gateway.process.await_line(r' info ordered verb=bounce recipients=2 actor="\S+: queue bounce .*" reason="not wanted"$')


def test_who_asks_why_about_somebody_else_hears_so(gateway):
    send(gateway, ["full-one@example.com"])
    [message] = gateway.list()
    done = gateway.run("queue", "why", message["id"], "nobody@example.com")
    assert done.returncode == 1 and "nobody@example.com does not wait in it; `postern history" in done.stderr
    assert gateway.run("queue", "why", message["id"], "full-one@example.com").returncode == 0


def test_a_misspelt_command_is_named(gateway):
    for arguments in (["chek"], ["queue", "chek"]):
        done = gateway.run(*arguments)
        assert done.returncode == 64 and "there is no command `chek`" in done.stderr


def test_mail_flows_within_seconds_of_the_stores_return(gateway, store):
    port = store.port
    store.close()
    for number in range(20):
        send(gateway, [f"u{number}@example.com"], f"m{number}")
    gateway.process.await_line(" endpoint_down ")
    again = MemoryStore(port)
    returned = time.monotonic()
    wait_until(lambda: len(again.received) == 20, "delivery after the store's return")
    print("delivered %.1f s after the store's return" % (time.monotonic() - returned))
    wait_until(lambda: gateway.list() == [], "empty queue")
    again.close()


def test_a_queue_moved_away_takes_nothing_in_until_it_is_back(gateway, store):
    queue, aside = gateway.folder / "queue.db", gateway.folder / "aside.db"

    def answer():
        with smtplib.SMTP("127.0.0.1", gateway.port) as client:
            client.ehlo("x.example.org")
            code = client.mail("a@example.org")[0]
            if code != 250:
                return code
            client.rcpt("late@example.com")
            try:
                return client.data("Subject: x\r\n\r\nx\r\n")[0]
            except smtplib.SMTPDataError as refused:  # another flush has noticed it before the content
                return refused.smtp_code

    store.close()
    send(gateway, ["early@example.com"])
    gateway.process.await_line(" endpoint_down ")
    queue.rename(aside)
    assert answer() == 451, "noticed at the flush"
    assert answer() == 451
    gateway.process.await_line(" queue_closed ")
    assert f"{queue} was moved away or deleted" in gateway.run("status").stderr
    again = MemoryStore(store.port)
    wait_until(lambda: [to for _, to in again.received] == ["early@example.com"], "delivered from the file that is open")
    assert not queue.exists(), "an empty queue was made in its place"
    aside.rename(queue)
    gateway.process.await_line(" queue_reopened ")
    assert answer() == 250
    wait_until(lambda: len(again.received) == 2 and gateway.states() == {}, "delivered")
    assert gateway.stop() == 0
    again.close()
    assert gateway.states() == {}
