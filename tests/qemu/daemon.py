"""The gateway on another processor: tests/qemu/daemon.py full|mini tty|tcp COMMAND...

A device, mosquitto and a client of another make at the other end; with TLS for the full build. Readings
go one way, a command the other, and the end is orderly.

The device is on a PTY, or behind a TCP port as with ser2net: qemu-user has no `termios2`, without which
no tty is opened.
"""

from __future__ import annotations

import os
import pty
import queue
import select
import socket
import subprocess
import sys
import tempfile
import time
import tty
from pathlib import Path

import paho.mqtt.client as mqtt

DEADLINE = 60
"""Seconds until an event must have come; emulated handshakes take some."""
READINGS = 200


def main(variant: str, kind: str, command: list[str]) -> None:
    """Ends the process with a message if something is missing."""
    secure = variant == "full"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if secure:
            write_certificates(folder)
        port, broker = start_broker(folder, secure)
        try:
            client, messages = subscribe(folder, port, secure)
            device = Terminal() if kind == "tty" else Network()
            config = write_config(folder, port, device.place, secure)
            gateway = subprocess.Popen([*command, "run", "--config", str(config), "--log", "warn"])
            try:
                expect(messages, "test/status", lambda payload: payload == b"online")
                expect(messages, "test/status/ports/line", lambda payload: b'"state":"open"' in payload)
                exchange(device.descriptor(), client, messages)
                gateway.terminate()
                status = gateway.wait(DEADLINE)
            finally:
                gateway.kill()
                gateway.wait()
            expect(messages, "test/status", lambda payload: payload == b"offline")
            if status != 0:
                sys.exit(f"qemu: the gateway ended with {status}")
        finally:
            broker.kill()
            broker.wait()
    print(f"qemu: {READINGS} readings and a command by {kind}, {'with' if secure else 'without'} TLS")


class Terminal:
    """A device on a PTY."""

    def __init__(self) -> None:
        self._device, line = pty.openpty()
        tty.setraw(line)
        self.place = f"path: {os.ttyname(line)}\n    line: 115200 8N1"
        # The gateway takes no port that another process has open.
        os.close(line)

    def descriptor(self) -> int:
        """To talk to the gateway, which has opened the port."""
        return self._device


class Network:
    """A device behind a TCP port."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._link: socket.socket | None = None
        self.place = f"tcp: 127.0.0.1:{self._listener.getsockname()[1]}"

    def descriptor(self) -> int:
        """To talk to the gateway, which has connected."""
        self._link, _ = self._listener.accept()
        return self._link.fileno()


def exchange(device: int, client: mqtt.Client, messages: queue.Queue) -> None:
    """Readings to the broker, a command to the device."""
    # Ends what may have been the rest of a line.
    os.write(device, b"\r\n")
    for number in range(READINGS):
        os.write(device, b"%d,21.50\r\n" % number)
        expect(messages, "test/line/n", lambda payload, number=number: payload == b"%d" % number)
    client.publish("test/line/set", "relay on", qos=1)
    received = b""
    while not received.endswith(b"\n"):
        if not select.select([device], [], [], DEADLINE)[0]:
            sys.exit(f"qemu: the device got no command, only {received!r}")
        received += os.read(device, 100)
    if received != b"relay on\n":
        sys.exit(f"qemu: the device got {received!r}")


def expect(messages: queue.Queue, topic: str, wanted) -> None:
    """Waits for a message of the topic; those before it are passed over."""
    end = time.monotonic() + DEADLINE
    seen = []
    while time.monotonic() < end:
        try:
            message = messages.get(timeout=max(0.01, end - time.monotonic()))
        except queue.Empty:
            break
        if message.topic == topic and wanted(message.payload):
            return
        seen.append((message.topic, message.payload))
    sys.exit(f"qemu: nothing right on {topic}, only {seen}")


def subscribe(folder: Path, port: int, secure: bool) -> tuple[mqtt.Client, queue.Queue]:
    """A client that puts every message into a queue."""
    messages: queue.Queue = queue.Queue()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    if secure:
        client.tls_set(str(folder / "ca.pem"))
    client.on_message = lambda _client, _data, message: messages.put(message)
    subscribed: queue.Queue = queue.Queue()
    client.on_subscribe = lambda *_: subscribed.put(True)
    client.connect("localhost", port)
    client.subscribe("test/#", qos=1)
    client.loop_start()
    subscribed.get(timeout=DEADLINE)
    return client, messages


def start_broker(folder: Path, secure: bool) -> tuple[int, subprocess.Popen]:
    """mosquitto on a free port of this machine."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    lines = [f"listener {port} 127.0.0.1", "allow_anonymous true"]
    if secure:
        lines += [f"certfile {folder}/server.pem", f"keyfile {folder}/server.key"]
    config = folder / "mosquitto.conf"
    config.write_text("\n".join([*lines, ""]))
    program = "/usr/sbin/mosquitto" if os.path.exists("/usr/sbin/mosquitto") else "mosquitto"
    # As root it becomes another user, who has to read the key.
    folder.chmod(0o755)
    broker = subprocess.Popen([program, "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end and broker.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return port, broker
        except OSError:
            time.sleep(0.02)
    sys.exit("qemu: mosquitto does not listen")


def write_config(folder: Path, port: int, place: str, secure: bool) -> Path:
    """For the gateway."""
    scheme = "mqtts" if secure else "mqtt"
    trust = f"\n  tls: {{ca_file: {folder}/ca.pem}}" if secure else ""
    config = folder / "config.yaml"
    config.write_text(f"""gateway: test
control: {folder}/control.sock
broker:
  url: {scheme}://localhost:{port}{trust}
ports:
  line:
    {place}
    decode: {{fields: {{names: [n, temperature]}}}}
    commands:
      - {{topic: "test/line/set", send: "{{payload}}", terminator: "\\n"}}
""")
    return config


def write_certificates(folder: Path) -> None:
    """An authority and a certificate for localhost."""
    key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes".split()
    (folder / "names").write_text("subjectAltName=DNS:localhost\n")
    commands = [
        ["req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=authority"],
        ["req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost"],
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem".split(),
    ]
    for command in commands:
        subprocess.run(["openssl", *command], check=True, cwd=folder, capture_output=True)
    (folder / "server.key").chmod(0o644)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
