"""User instructions of a message, counted by callgrind: the same number however busy the machine is.

    instructions.py GATEWAY [OTHER]

Two runs of different length tell the cost of a message from that of the start. With a second gateway
the ratio of the two is printed, too.
"""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import Broker, Counter, clean, config_of, feed, open_pty

SHORT, LONG = 2_000, 12_000


def instructions(gateway, folder, broker, qos, lines):
    counter = Counter(broker, lines)
    device, path = open_pty()
    config = folder / "config.yaml"
    config.write_text(config_of(broker, path, qos))
    out = folder / "callgrind.out"
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"]
    command += [gateway, "run", "--log", "warn", "--config", config]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    if not counter.open.wait(120):
        sys.exit(f"{gateway} did not open the port")
    # A line that began before the port was opened would rightly be dropped.
    os.write(device, b"\r\n")
    feed(device, counter, lines, None)
    if not counter.done.wait(180):
        sys.exit(f"{gateway}: only {counter.count} of {lines} arrived")
    process.send_signal(signal.SIGTERM)
    process.wait(120)
    counter.stop()
    os.close(device)
    clean(broker)
    total = next(line for line in out.read_text().splitlines() if line.startswith("summary:"))
    return int(total.split()[1])


def main():
    gateways = [os.path.abspath(name) for name in sys.argv[1:]]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        broker = Broker(folder)
        try:
            for qos in (0, 1):
                costs = []
                for gateway in gateways:
                    short, long = (
                        instructions(gateway, folder, broker, qos, n) for n in (SHORT, LONG)
                    )
                    costs.append((long - short) / (LONG - SHORT))
                    print(f"QoS {qos}: {costs[-1]:>8.0f} instructions a message, {gateway}")
                if len(costs) > 1:
                    print(f"QoS {qos}: {costs[0] / costs[1]:>8.2f} times as many")
        finally:
            broker.stop()


main()
