"""A simulated RS-485 line at line pace, polled by our gateway, by a lean Rust program (tokio-modbus, rumqttc) and
by a plain Python one (pymodbus, paho): the same registers, the same mosquitto.

`bench.py GATEWAY LINE PEER [SECONDS]`. Prints the values a second as a share of what the line allows, the
shortest silence, the processor time of 1000 values and the ratios; then memory with 32 devices, what an absent
broker costs, and how long a command waits. Exits 1 where a bound is missed.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import paho.mqtt.client as mqtt

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "bridge"))
from bench import Broker, peak_memory  # noqa: E402

PLACES = [*range(0x00, 0x26, 2), 0x2A, 0x2E, 0x30, 0x34, 0x38, 0x3C, 0x46, 0x48, 0x4A, 0x54, 0x156]
# How often the adapter hands over what it has received.
BURST = 1
# Characters of a round of 30 values in two requests with their answers and the silences: 3.5 before each.
ROUND = (8 + 5 + 2 * 86) + (8 + 5 + 2 * 2) + 4 * 3.5
SECONDS = float(sys.argv[4]) if len(sys.argv) > 4 else 20
# A link that lasted for so long was stable, in seconds.
STABLE = 30
missed = []


started = []


def start(command, **how):
    started.append(subprocess.Popen(command, **how))
    return started[-1]


def bound(holds, what):
    if not holds:
        missed.append(what)


class Line:
    """The simulated line, a process of its own."""

    def __init__(self, program, speed, slaves=1):
        self.process = start(
            [program, str(speed), str(BURST), str(slaves)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )
        self.speed = speed
        self.path = self.process.stdout.readline().strip()

    def say(self, words):
        self.process.stdin.write(words + "\n")

    def counts(self):
        """Requests, those heard by a slave, short silences, collisions, and the least silence in µs."""
        self.say("counts")
        return [int(n) for n in self.process.stdout.readline().split()]

    def stop(self):
        self.process.stdin.close()
        self.process.wait(10)


class Subscriber:
    """Keeps what arrives: when, topic, payload."""

    def __init__(self, port):
        self.arrived = []
        self.results = []
        subscribed = threading.Event()
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self.client.on_message = self.message
        self.client.on_connect = lambda client, *_: client.subscribe("bench/#")
        self.client.on_subscribe = lambda *_: subscribed.set()
        # It must be back before the gateway is, or it misses values that are not lost.
        self.client.reconnect_delay_set(0.02, 0.02)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        if not subscribed.wait(10):
            sys.exit("the subscriber could not subscribe")

    def message(self, _client, _data, message):
        if message.topic.endswith("/result"):
            self.results.append((time.monotonic(), message.payload.decode()))
        elif message.topic.startswith("bench/status"):
            pass
        elif not message.topic.endswith("/set"):
            self.arrived.append((time.monotonic(), message.topic, message.payload.decode()))

    def wait_for(self, count, seconds=30):
        end = time.monotonic() + seconds
        while len(self.arrived) < count:
            if time.monotonic() > end:
                sys.exit(f"only {len(self.arrived)} of {count} values arrived")
            time.sleep(0.01)

    def stop(self):
        self.client.disconnect()
        self.client.loop_stop()


def cpu_seconds(pid):
    """Of all threads, to the nanosecond."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def rss(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def device(unit, more=""):
    registers = ", ".join(f"r{place:03x}: {{input: {place}, type: f32}}" for place in PLACES)
    return f"{{address: {unit}, registers: {{{registers}{more}}}}}"


def config(broker, line, units, interval, payload="{value}", more=""):
    devices = "".join(f"      {'line' if n == 1 else f'd{n}'}: {device(n, more)}\n" for n in units)
    return (
        f"gateway: bench\nbroker: {{url: 'mqtt://127.0.0.1:{broker.port}'}}\n"
        f"ports:\n  bus:\n    path: {line.path}\n    line: {line.speed} 8N1\n    interval: {interval}\n"
        f"    messages: [{{topic: '{{gateway}}/{{device}}/{{field}}', payload: '{payload}', qos: 1}}]\n"
        f"    devices:\n{devices}"
    )


class Ours:
    def __init__(self, gateway, folder, text):
        file = Path(folder) / "config.yaml"
        file.write_text(f"control: {folder}/control.sock\n{text}")
        self.process = start([gateway, "run", "--log", "error", "--config", file])

    def stop(self):
        stop(self.process)


def stop(process):
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()


def right(topic, payload):
    unit = topic.split("/")[1]
    unit = 1 if unit == "line" else int(unit[1:])
    value = float(payload) - unit * 10_000 - int(topic.rpartition("/r")[2], 16)
    return 0 <= value < 1


def measure(process, line, subscriber):
    subscriber.wait_for(150)
    before, first = cpu_seconds(process.pid), len(subscriber.arrived)
    time.sleep(SECONDS)
    cpu = cpu_seconds(process.pid) - before
    values = len(subscriber.arrived) - first
    # Whole rounds, from the end of one to the end of another.
    ends = [at for at, topic, _ in subscriber.arrived[first:] if topic.endswith("/r156")]
    rate = 30 * (len(ends) - 1) / (ends[-1] - ends[0])
    _, _, short, collisions, least = line.counts()
    return {
        "rate": rate,
        "share": rate / (30 * line.speed / 10 / ROUND),
        "cpu": cpu * 1e6 / values,
        "short": short + collisions,
        "least": least / 1000,
        "memory": peak_memory(process.pid),
        "wrong": sum(not right(topic, payload) for _, topic, payload in subscriber.arrived),
    }


def compare(gateway, program, peer, folder, broker, speed):
    results = {}
    for name in ("ours", "lean", "python"):
        line = Line(program, speed)
        subscriber = Subscriber(broker.port)
        arguments = [line.path, str(speed), str(broker.port), "1"]
        if name == "ours":
            process = Ours(gateway, folder, config(broker, line, [1], "10ms")).process
        elif name == "lean":
            process = start([peer, *arguments])
        else:
            process = start([sys.executable, HERE / "peer.py", *arguments])
        results[name] = measure(process, line, subscriber)
        stop(process)
        subscriber.stop()
        line.stop()
    print(f"\n{speed} Bd, 30 values of one device, two requests; the line allows "
          f"{30 * speed / 10 / ROUND:.1f} values/s, 3.5 characters are {35_000 / speed:.2f} ms")
    print(f"{'':8}{'values/s':>10}{'of the line':>13}{'least silence':>15}{'short':>7}{'wrong':>7}"
          f"{'CPU ms/1000':>13}{'peak RSS KiB':>14}")
    for name, r in results.items():
        print(f"{name:8}{r['rate']:>10.1f}{r['share']:>12.1%}{r['least']:>12.2f} ms{r['short']:>7}"
              f"{r['wrong']:>7}{r['cpu']:>13.2f}{r['memory']:>14}")
    ours, lean, python = results["ours"], results["lean"], results["python"]
    to_lean, to_python = ours["cpu"] / lean["cpu"], ours["cpu"] / python["cpu"]
    print(f"CPU of ours: {to_lean:.2f} of the lean program's, 1/{1 / to_python:.1f} of Python's", flush=True)
    bound(ours["share"] >= 0.96, f"{speed}: 96 % of the line")
    bound(ours["short"] == 0, f"{speed}: no short silence")
    bound(ours["wrong"] == 0, f"{speed}: no wrong value")
    bound(to_lean <= 0.5, f"{speed}: half the CPU of the lean program")
    bound(to_python <= 1 / 8, f"{speed}: an eighth of the CPU of Python")


def memory(gateway, program, folder, broker):
    line, subscriber = Line(program, 115_200, 32), Subscriber(broker.port)
    ours = Ours(gateway, folder, config(broker, line, range(1, 33), "1s"))
    subscriber.wait_for(3 * 32 * 30, 60)
    kib = rss(ours.process.pid)
    print(f"\n32 devices of 30 values on one bus: {kib} KiB of RSS, {peak_memory(ours.process.pid)} KiB at most", flush=True)
    bound(kib < 6 * 1024, "32 devices under 6 MB")
    ours.stop(), subscriber.stop(), line.stop()


def away(gateway, program, folder, broker):
    """A broker that has served for half a minute is away for 20 s; it comes back at the same port."""
    line = Line(program, 19_200)
    subscriber = Subscriber(broker.port)
    ours = Ours(gateway, folder, config(broker, line, [1], "200ms", payload="{value} {time}"))
    subscriber.wait_for(300)
    # Only after what was stable does the gateway look for it each second.
    time.sleep(STABLE)
    broker.process.kill()
    broker.process.wait()
    gone = time.time()
    time.sleep(20)
    broker.process = start(broker.process.args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    back = time.monotonic()
    seen = len(subscriber.arrived)
    subscriber.wait_for(seen + 1, 90)
    time.sleep(5)
    _, heard, *_ = line.counts()
    arrived = subscriber.arrived[:]
    first = next((at for at, *_ in arrived[seen:]), float("inf")) - back
    # The first value of each reading: how many different times each place has.
    times = sorted({payload.split()[1] for _, topic, payload in arrived if topic.endswith("/r000")})
    stamps = [when(text) for text in times]
    gaps = [later - earlier for earlier, later in zip(stamps, stamps[1:])]
    print(f"\nBroker away for 20 s, a reading each 200 ms: {len(stamps)} readings of r000 with a time of their own "
          f"arrived, {heard // 2} were read, the longest gap between two of them is {max(gaps) * 1000:.0f} ms; "
          f"the first value came {first:.2f} s after the broker", flush=True)
    bound(max(gaps) < 0.39, "no reading lost while the broker was away")
    bound(any(gone + 5 < stamp < gone + 15 for stamp in stamps), "values carry the time they were read")
    bound(first < 1.0, "first value after the broker is back")
    ours.stop(), subscriber.stop(), line.stop()


def when(text):
    from datetime import datetime
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def commands(gateway, program, folder, broker):
    for dead in ([], [3, 4]):
        line, subscriber = Line(program, 19_200, 4), Subscriber(broker.port)
        for unit in dead:
            line.say(f"dead {unit}")
        more = ", level: {holding: 4, interval: 1h, write: true}"
        ours = Ours(gateway, folder, config(broker, line, range(1, 5), "10ms", more=more))
        subscriber.wait_for(120)
        time.sleep(2)
        waits, written = [], []
        for n in range(40):
            asked, seen = time.monotonic(), len(subscriber.results)
            subscriber.client.publish("bench/line/level/set", str(n), qos=1)
            while len(subscriber.results) == seen:
                if time.monotonic() - asked > 10:
                    sys.exit("no result of a command")
                time.sleep(0.001)
            at, result = subscriber.results[seen]
            bound(result == "done", f"command result {result}")
            waits.append((at - asked) * 1000)
            time.sleep(0.013 * (n % 9))
        # The write and its read-back, with their silences, are a part of it.
        own = (8 + 8 + 8 + 7 + 4 * 3.5) * 10_000 / line.speed
        title = "two of four devices dead" if dead else "all four devices alive"
        waits = [wait - own for wait in waits]
        print(f"\nA command waits at 19200 Bd, {title}: {statistics.mean(waits):.0f} ms on average, "
              f"{max(waits):.0f} ms at most (without the {own:.0f} ms of the write and its read-back)", flush=True)
        bound(max(waits) < (500 if dead else 110), f"command latency, {title}")
        ours.stop(), subscriber.stop(), line.stop()


def main():
    gateway, program, peer = map(os.path.abspath, sys.argv[1:4])
    with tempfile.TemporaryDirectory() as folder:
        broker = Broker(Path(folder))
        try:
            for speed in (9600, 19_200):
                compare(gateway, program, peer, folder, broker, speed)
            memory(gateway, program, folder, broker)
            commands(gateway, program, folder, broker)
            away(gateway, program, folder, broker)
        finally:
            broker.stop()
            for process in started:
                process.kill()
    print("\n" + ("missed: " + "; ".join(missed) if missed else "every bound is kept"))
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
