"""Our gateway against a plain Python bridge: the same PTY, the same mosquitto, the same lines.

Prints for each the processor time of 1000 messages, the rate and the peak memory, and the ratios.
"""

import os
import pty
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
import tty
from pathlib import Path

import paho.mqtt.client as mqtt

LINES = 60_000
# A line has a speed and a PTY has none: so many lines may be under way at once.
WINDOW = 2_000
PACED_RATE = 200
PACED_SECONDS = 10
DEADLINE = 180
HERE = Path(__file__).parent


def free_port():
    """One that the system gives to no outgoing connection: those are from 32,768 on."""
    for n in range(12_000):
        port = 20_000 + (os.getpid() * 61 + n) % 12_000
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    sys.exit("no free port")


class Broker:
    def __init__(self, folder):
        self.port = free_port()
        config = folder / "mosquitto.conf"
        config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\n"
            "max_queued_messages 0\nmax_inflight_messages 0\nset_tcp_nodelay true\n"
        )
        program = "/usr/sbin/mosquitto" if os.path.exists("/usr/sbin/mosquitto") else "mosquitto"
        self.process = subprocess.Popen(
            [program, "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                time.sleep(0.02)
        sys.exit("mosquitto does not listen")

    def stop(self):
        self.process.kill()
        self.process.wait()


class Counter:
    """Counts what arrives, in a process's own client."""

    def __init__(self, broker, wanted):
        self.open = threading.Event()
        self.done = threading.Event()
        self.count = 0
        self.wanted = wanted
        subscribed = threading.Event()
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self.client.on_message = self.message
        self.client.on_subscribe = lambda *_: subscribed.set()
        self.client.connect("127.0.0.1", broker.port)
        # QoS 0 for what is counted: acknowledging would make this the slowest of all.
        self.client.subscribe([("bench/line", 0), ("bench/status/ports/line", 1)])
        self.client.loop_start()
        if not subscribed.wait(10):
            sys.exit("the counter could not subscribe")

    def message(self, _client, _data, message):
        if message.topic == "bench/line":
            self.count += 1
            if self.count >= self.wanted:
                self.done.set()
        elif b'"state":"open"' in message.payload:
            self.open.set()

    def stop(self):
        self.client.disconnect()
        self.client.loop_stop()


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_memory(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return 0


def line(n):
    return b"%d.%02d,%d,%d\r\n" % (20 + n % 10, n % 100, 40 + n % 20, 300 + n % 50)


def feed(device, counter, lines, rate):
    """Writes as fast as the lines arrive at the other end, or at a rate in lines a second."""
    if rate is None:
        end = time.monotonic() + DEADLINE
        for start in range(0, lines, 100):
            while start - counter.count > WINDOW and time.monotonic() < end:
                time.sleep(0.001)
            pending = b"".join(line(n) for n in range(start, start + 100))
            while pending:
                select.select([], [device], [], DEADLINE)
                pending = pending[os.write(device, pending) :]
        return
    start = time.monotonic()
    for n in range(lines):
        time.sleep(max(0, start + n / rate - time.monotonic()))
        os.write(device, line(n))


def run(name, command, broker, device, lines, rate):
    counter = Counter(broker, lines)
    process = subprocess.Popen(command)
    if not counter.open.wait(20):
        sys.exit(f"{name} did not open the port")
    # A line that began before the port was opened would rightly be dropped.
    os.write(device, b"\r\n")
    time.sleep(0.2)
    before = cpu_seconds(process.pid)
    start = time.monotonic()
    feed(device, counter, lines, rate)
    if not counter.done.wait(DEADLINE):
        print(f"{name}: only {counter.count} of {lines} arrived", file=sys.stderr)
    seconds = time.monotonic() - start
    result = {
        "cpu": (cpu_seconds(process.pid) - before) * 1e6 / lines,
        "rate": counter.count / seconds,
        "memory": peak_memory(process.pid),
        "arrived": counter.count,
    }
    process.terminate()
    process.wait(20)
    counter.stop()
    clean(broker)
    return result


def clean(broker):
    """So that the next gateway is not taken for ready."""
    cleaner = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    cleaner.connect("127.0.0.1", broker.port)
    cleaner.loop_start()
    cleaner.publish("bench/status/ports/line", b"", qos=1, retain=True).wait_for_publish(10)
    cleaner.disconnect()
    cleaner.loop_stop()


def open_pty():
    """The device's end, and the path of the other one."""
    device, other = pty.openpty()
    tty.setraw(other)
    os.set_blocking(device, False)
    path = os.ttyname(other)
    os.close(other)
    return device, path


def config_of(broker, path, qos):
    return (
        f"gateway: bench\nbroker: {{url: 'mqtt://127.0.0.1:{broker.port}'}}\n"
        f"ports:\n  line:\n    path: {path}\n    line: 115200 8N1\n"
        "    decode: {fields: {names: [temperature, humidity, light]}}\n"
        f"    messages: [{{topic: '{{gateway}}/line', per: frame, qos: {qos}}}]\n"
    )


def compare(title, gateway, folder, broker, qos, lines, rate):
    results = {}
    for name in ("ours", "python"):
        device, path = open_pty()
        if name == "ours":
            config = folder / "config.yaml"
            config.write_text(config_of(broker, path, qos))
            command = [gateway, "run", "--log", "warn", "--config", config]
        else:
            command = [sys.executable, HERE / "bridge.py", path, str(broker.port), str(qos)]
        results[name] = run(name, command, broker, device, lines, rate)
        os.close(device)
    ours, python = results["ours"], results["python"]
    print(f"\n{title}")
    print(f"{'':8}{'CPU ms/1000':>14}{'messages/s':>14}{'peak RSS KiB':>14}{'arrived':>10}")
    for name, r in results.items():
        print(f"{name:8}{r['cpu']:>14.2f}{r['rate']:>14.0f}{r['memory']:>14}{r['arrived']:>10}")
    cpu = python["cpu"] / ours["cpu"] if ours["cpu"] else float("inf")
    memory = python["memory"] / max(ours["memory"], 1)
    rate_ratio = ours["rate"] / python["rate"]
    print(f"{'ratio':8}{cpu:>13.1f}x{rate_ratio:>13.2f}x{memory:>13.1f}x", flush=True)


def main():
    gateway = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        broker = Broker(folder)
        try:
            for qos in (0, 1):
                title = f"{LINES} lines of three fields at full speed, QoS {qos}"
                compare(title, gateway, folder, broker, qos, LINES, None)
            title = f"{PACED_RATE} lines a second for {PACED_SECONDS} s, QoS 1"
            lines = PACED_RATE * PACED_SECONDS
            compare(title, gateway, folder, broker, 1, lines, PACED_RATE)
        finally:
            broker.stop()


if __name__ == "__main__":
    main()
