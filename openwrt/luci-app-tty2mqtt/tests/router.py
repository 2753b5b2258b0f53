"""A router without a router: the gateway with devices on PTYs, a broker, and LuCI's side of the web
server, with the app's own files, its access rules and its rpcd plugin."""

import http.server
import json
import os
import pathlib
import re
import select
import signal
import socket
import subprocess
import tempfile
import threading
import time
import tty
import urllib.parse

APP = pathlib.Path(__file__).resolve().parent.parent
ROOT = APP.parent.parent
PROGRAM = pathlib.Path(os.environ.get("TTY2MQTT", ROOT / "target/debug/tty2mqtt")).resolve()
STAND_IN = APP / "tests/stand-in"
PLUGIN = APP / "root/usr/libexec/rpcd/luci.tty2mqtt"
ACL = json.loads((APP / "root/usr/share/rpcd/acl.d/luci-app-tty2mqtt.json").read_text())
MENU = json.loads((APP / "root/usr/share/luci/menu.d/luci-app-tty2mqtt.json").read_text())
DEADLINE = 20

# What a login may do: of each group of the access rules these halves.
SESSIONS = {"admin": {"read", "write"}, "reader": {"read"}, "nobody": set()}


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def until(condition, what):
    """Asks again until it is so; `what` is for the message."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        if value := condition():
            return value
        select.select([], [], [], 0.02)
    raise AssertionError(f"never: {what}")


def crc(frame):
    """Modbus's, low byte first."""
    value = 0xFFFF
    for byte in frame:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value.to_bytes(2, "little")


class Device:
    """A device on a PTY."""

    def __init__(self, path):
        self.master, slave = os.openpty()
        tty.setraw(slave)
        self.path = path
        self.closed = threading.Event()
        path.symlink_to(os.ttyname(slave))
        # The gateway takes no port that somebody else has open.
        os.close(slave)

    def says(self, data):
        os.write(self.master, data)

    def hears(self, wanted):
        heard = b""
        end = time.monotonic() + DEADLINE
        while wanted not in heard:
            ready, _, _ = select.select([self.master], [], [], max(0, end - time.monotonic()))
            assert ready, f"heard {heard}, not {wanted}"
            heard += os.read(self.master, 4096)

    def answers_modbus(self, unit):
        """A Modbus slave from now on, in which all registers are 1000 until they are written."""
        registers = {}

        def answer(pdu):
            at = pdu[1:3]
            if pdu[0] == 6:
                registers[at] = pdu[3:5]
                return pdu
            return pdu[:1] + bytes([2]) + registers.get(at, b"\x03\xe8")

        def serve():
            heard = b""
            while True:
                try:
                    heard += os.read(self.master, 256)
                except OSError:
                    # Nobody has the other end open, or this one is closed.
                    if self.closed.wait(0.02):
                        return
                    continue
                # Requests to read one register and to write one are 8 bytes.
                while len(heard) >= 8:
                    request, heard = heard[:8], heard[8:]
                    if request[0] == unit:
                        frame = request[:1] + answer(request[1:6])
                        os.write(self.master, frame + crc(frame))

        threading.Thread(target=serve, daemon=True).start()

    def close(self):
        self.closed.set()
        os.close(self.master)


def acl_grants(session, scope, name, function):
    """Whether rpcd would let this session."""
    for group in ACL.values():
        for half in SESSIONS[session] & group.keys():
            rule = group[half].get(scope, {})
            if isinstance(rule, list):
                if function == half and name in rule:
                    return True
            elif function in rule.get(name, []):
                return True
    return False


def may_see(session, path):
    """Whether the menu has this page for the session, and whether it may change something there."""
    groups = []
    while path.startswith("admin/services/tty2mqtt"):
        groups += MENU[path].get("depends", {}).get("acl", [])
        path = path.rsplit("/", 1)[0]
    halves = [SESSIONS[session] & ACL[group].keys() for group in groups]
    return all(halves), all("write" in half for half in halves)


class Router:
    def __init__(self, config):
        self.folder = tempfile.TemporaryDirectory()
        self.at = pathlib.Path(self.folder.name)
        self.config = self.at / "config.yaml"
        self.uci = self.at / "uci"
        self.calls = set()
        self.devices = {}
        self.broker = self.gateway = None
        self.broker_port = free_port()
        (self.at / "bin").mkdir()
        (self.at / "bin/tty2mqtt").symlink_to(PROGRAM)
        (self.at / "bin/uci").symlink_to(STAND_IN / "uci")
        # The init script is tested with the service; here it only tells what it was asked for.
        self.init = self.at / "init.d/tty2mqtt"
        self.init.parent.mkdir()
        self.init.write_text(f"#!/bin/sh\necho \"$1\" >>{self.at}/asked\n")
        self.init.chmod(0o755)
        self.executable = self.at / "plugin"
        self.executable.write_text(PLUGIN.read_text().replace("/etc/init.d/", f"{self.init.parent}/"))
        self.executable.chmod(0o755)
        self.uci.write_text(f"\nconfig tty2mqtt 'main'\n\toption enabled '1'\n\toption config '{self.config}'\n")
        self.write(config)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(self))
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.start_broker()
        self.start_gateway()

    def write(self, config):
        self.text = config
        for path in re.findall(r"DEV/(\w+)", config):
            if path not in self.devices:
                self.devices[path] = Device(self.at / path)
        text = config.replace("DEV/", f"{self.at}/").replace("BROKER", f"mqtt://127.0.0.1:{self.broker_port}")
        self.config.write_text(f"control: {self.at}/control.sock\n{text}")

    def start_broker(self):
        self.broker = subprocess.Popen(
            ["mosquitto", "-p", str(self.broker_port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def stop_broker(self):
        self.broker.kill()
        self.broker.wait(DEADLINE)

    def start_gateway(self):
        log = open(self.at / "log", "ab")
        self.gateway = subprocess.Popen(
            [PROGRAM, "run", "--config", self.config], stdout=log, stderr=log
        )
        log.close()
        until(lambda: "ports" in self.ubus("status"), "the gateway answers")

    def stop_gateway(self):
        self.gateway.send_signal(signal.SIGTERM)
        self.gateway.wait(DEADLINE)

    def ready(self):
        """Waits until broker and devices are there."""
        until(lambda: self.ubus("status")["broker"].get("connected"), "the gateway is connected")
        there = {name for name, device in self.devices.items() if device.path.is_symlink()}
        until(lambda: there <= self.devices_open(), f"{there} are open")

    def devices_open(self):
        ports = self.ubus("status")["ports"].values()
        return {str(p["device"]).rsplit("/", 1)[-1] for p in ports if p["state"] in ("open", "silent")}

    def ubus(self, method, **arguments):
        """Calls the plugin as rpcd does."""
        arguments["ubus_rpc_session"] = "0" * 32
        return json.loads(self.plugin(["call", method], json.dumps(arguments)))

    def plugin(self, arguments, text=""):
        environment = {
            "PATH": f"{self.at}/bin:{os.environ['PATH']}", "UCI_FILE": str(self.uci),
        }
        return subprocess.run(
            [self.executable, *arguments], input=text.encode(), stdout=subprocess.PIPE, env=environment,
            timeout=DEADLINE, check=True,
        ).stdout

    def asked_of_init(self):
        """What the init script was called with so far."""
        asked = self.at / "asked"
        return asked.read_text().split() if asked.exists() else []

    def options(self):
        text = self.uci.read_text()
        options = dict(re.findall(r"^\toption (\w+) '(.*)'$", text, re.M))
        for name, value in re.findall(r"^\tlist (\w+) '(.*)'$", text, re.M):
            options.setdefault(name, []).append(value)
        return options

    def answer_uci(self, method, arguments):
        if method == "get":
            return [0, {"values": {"main": {".type": "tty2mqtt", ".name": "main", **self.options()}}}]
        if method == "set":
            lines = ""
            for key, value in {**self.options(), **arguments["values"]}.items():
                if isinstance(value, list):
                    lines += "".join(f"\tlist {key} '{each}'\n" for each in value)
                elif value:
                    lines += f"\toption {key} '{value}'\n"
            self.uci.write_text(f"\nconfig tty2mqtt 'main'\n{lines}")
        return [0]

    def answer(self, message):
        session, name, method, arguments = message["params"]
        denied = {"code": -32002, "message": "Access denied"}
        if name == "luci.tty2mqtt":
            self.calls.add(method)
            if not acl_grants(session, "ubus", name, method):
                return {"error": denied}
            try:
                return {"result": [0, self.ubus(method, **arguments)]}
            except subprocess.CalledProcessError:
                return {"result": [2]}
        if name == "uci":
            if method == "apply":
                return {"result": [0]}
            half = "read" if method == "get" else "write"
            if not acl_grants(session, "uci", arguments["config"], half):
                return {"result": [6]}
            return {"result": self.answer_uci(method, arguments)}
        return {"error": denied}

    def url(self, page, session="admin", more=""):
        return f"http://127.0.0.1:{self.server.server_port}/cgi-bin/luci/admin/{page}?session={session}{more}"

    def page(self, path, query):
        session = query.get("session", ["admin"])[0]
        environment = {"sessionid": session, "ubuspath": "/ubus", "readonly": False}
        tabs = []
        if path == "admin/status/overview":
            environment["tile"] = "view.status.include.55_tty2mqtt"
        elif path not in MENU or not may_see(session, path)[0]:
            return None
        else:
            environment["view"] = MENU[path]["action"]["path"]
            environment["readonly"] = not may_see(session, path)[1]
            tabs = [p for p in MENU if p.count("/") == 3 and may_see(session, p)[0]]
        links = " ".join(f'<a href="/cgi-bin/luci/{p}?session={session}">{MENU[p]["title"]}</a>' for p in tabs)
        dark = 'data-darkmode="true"' if "dark" in query else ""
        return f"""<!doctype html><html {dark}><meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1"><title>LuCI</title>
            <link rel="stylesheet" href="/luci-static/resources/theme.css">
            <script>window.luciEnvironment = {json.dumps(environment)}</script>
            <script src="/luci-static/resources/luci.js"></script>
            <body><header class="bar">{links}</header><div id="maincontent"><div id="view">Loading view…</div></div>
            <div id="modal_overlay"><div class="modal"></div></div></body></html>"""

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        for process in [self.gateway, self.broker]:
            if process.poll() is None:
                process.terminate()
                process.wait(DEADLINE)
        for device in self.devices.values():
            device.close()
        self.folder.cleanup()


def handler(router):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def reply(self, code, body, kind):
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            try:
                self.wfile.write(body)
            except OSError:
                # The page was closed meanwhile.
                self.close_connection = True

        def do_GET(self):
            url = urllib.parse.urlsplit(self.path)
            if url.path.startswith("/luci-static/resources/"):
                name = url.path.removeprefix("/luci-static/resources/")
                kinds = {".js": "text/javascript", ".css": "text/css"}
                for folder in [APP / "htdocs/luci-static/resources", STAND_IN]:
                    if (folder / name).is_file():
                        return self.reply(200, (folder / name).read_bytes(), kinds[pathlib.Path(name).suffix])
                return self.reply(404, b"", "text/plain")
            page = router.page(url.path.removeprefix("/cgi-bin/luci/"), urllib.parse.parse_qs(url.query))
            if page is None:
                return self.reply(403, b"<!doctype html><div id=view data-ready=true>Forbidden</div>", "text/html")
            self.reply(200, page.encode(), "text/html")

        def do_POST(self):
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = {"jsonrpc": "2.0", "id": message["id"], **router.answer(message)}
            self.reply(200, json.dumps(answer).encode(), "application/json")

    return Handler
