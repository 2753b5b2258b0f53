"""What the packages must have: compared with what other programs read from them."""

import hashlib
import os
import subprocess
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
ARCHITECTURE = "mipsel_24kc"
TARGET = "mipsel-unknown-linux-musl"
FEED = ROOT / "target/packages" / ARCHITECTURE
VERSION = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"] + "-r1"
DESCRIPTION = (
    "Reads serial devices, maps what they say to MQTT topics by one YAML file and keeps it until the"
    " broker has it. USB adapters need their driver: kmod-usb-serial-ch341, kmod-usb-serial-cp210x,"
    " kmod-usb-serial-ftdi, kmod-usb-serial-pl2303 or kmod-usb-acm."
)
USER = "tty2mqtt:tty2mqtt:dialout=20"
LUCI = "luci-app-tty2mqtt"
DEVICES = "tty2mqtt-devices"
ALL = [LUCI, DEVICES]
"""Those that are the same for every architecture, and have no program."""


def time():
    """The time of every file: SOURCE_DATE_EPOCH, or the last commit's."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    command = ["git", "log", "-1", "--format=%ct"]
    return int(given or subprocess.check_output(command, cwd=ROOT, text=True))


def program(name):
    """The program that a package must have."""
    folder = {"tty2mqtt": "cross", "tty2mqtt-mini": "cross-mini"}[name]
    return ROOT / "target" / folder / TARGET / "release/tty2mqtt"


PLACES = {
    "etc/config/tty2mqtt": (0o600, "tty2mqtt.config"),
    "etc/hotplug.d/tty/50-tty2mqtt": (0o644, "tty2mqtt.hotplug"),
    "etc/init.d/tty2mqtt": (0o755, "tty2mqtt.init"),
    "etc/uci-defaults/50-tty2mqtt": (0o644, "tty2mqtt.defaults"),
    "lib/upgrade/keep.d/tty2mqtt": (0o644, "tty2mqtt.keep"),
    "usr/share/tty2mqtt/first-config": (0o755, "first-config"),
    "usr/share/tty2mqtt/first.yaml": (0o644, "first.yaml"),
}
"""Where the files of openwrt/files go, and their modes."""


def files(name):
    """Modes and contents of a package's files."""
    if name == LUCI:
        return luci_files()
    if name == DEVICES:
        return device_files()
    found = {"usr/bin/tty2mqtt": (0o755, program(name).read_bytes())}
    folder = ROOT / "openwrt/files"
    return found | {place: (mode, (folder / source).read_bytes()) for place, (mode, source) in PLACES.items()}


def device_files():
    """One file, less than 60 KB; its content is tested with what reads it."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder, "devices.tar.gz")
        subprocess.run([ROOT / "scripts/device-archive", archive], check=True)
        content = archive.read_bytes()
    assert len(content) < 60_000
    return {"usr/share/tty2mqtt/devices.tar.gz": (0o644, content)}


def luci_files():
    """LuCI's places: htdocs is the web server's folder, root the router's."""
    found = {}
    for source, place in (("htdocs", "www/"), ("root", "")):
        folder = ROOT / "openwrt/luci-app-tty2mqtt" / source
        for file in folder.rglob("*"):
            if file.is_file():
                content = file.read_bytes()
                mode = 0o755 if content.startswith(b"#!") else 0o644
                found[f"{place}{file.relative_to(folder)}"] = (mode, content)
    return found


def apk_files(name):
    """The same with the lists that OpenWrt's scripts read."""
    base = f"lib/apk/packages/{name}"
    if name in ALL:
        listed = "".join(f"/{path}\n" for path in sorted(files(name)))
        return files(name) | {f"{base}.list": (0o644, listed.encode())}
    found = files(name) | {f"{base}.rusers": (0o644, f"{USER}\n".encode())}
    listed = "".join(f"/{path}\n" for path in sorted(found))
    digest = hashlib.sha256(found["etc/config/tty2mqtt"][1]).hexdigest()
    lists = {
        "list": listed,
        "conffiles": "/etc/config/tty2mqtt\n",
        "conffiles_static": f"/etc/config/tty2mqtt {digest}\n",
    }
    return found | {f"{base}.{kind}": (0o644, text.encode()) for kind, text in lists.items()}


def info(name):
    """What both formats say of a package, by apk's names."""
    if name == LUCI:
        only = {
            "arch": "noarch",
            "depends": ["luci-base", "tty2mqtt"],
            "description": "Status, live frames and configuration of the serial to MQTT gateway",
        }
    elif name == DEVICES:
        only = {
            "arch": "noarch",
            "description": (
                "What meters, inverters, sensors and other serial devices say, as tty2mqtt reads it: with it,"
                ' their configuration is "model: NAME".'
            ),
        }
    elif name == "tty2mqtt-mini":
        only = {
            "arch": ARCHITECTURE,
            "provides": [f"tty2mqtt={VERSION}"],
            "description": f"{DESCRIPTION} This is the small one, for brokers without TLS.",
        }
    else:
        only = {
            "arch": ARCHITECTURE,
            "depends": ["ca-bundle", DEVICES],
            "provider-priority": 100,
            "description": DESCRIPTION,
        }
    return only | {
        "name": name,
        "version": VERSION,
        "license": "MIT OR Apache-2.0",
        "origin": LUCI if name == LUCI else "tty2mqtt",
        "installed-size": sum(len(content) for _, content in apk_files(name).values()),
    }


def folders(paths):
    """The directories that files need."""
    return {str(folder) for path in paths for folder in Path(path).parents if str(folder) != "."}
