"""The .ipk, opened with GNU tar and, its parts put into an ar archive, with dpkg-deb."""

import datetime
import gzip
import hashlib
import re
import subprocess
from pathlib import Path

import expected
import pytest

PROGRAMS = ["tty2mqtt", "tty2mqtt-mini"]


def run(*command, cwd=None, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=cwd, **options).stdout


def ipk(name):
    architecture = "all" if name in expected.ALL else expected.ARCHITECTURE
    return expected.FEED / f"{name}_{expected.VERSION}_{architecture}.ipk"


@pytest.fixture(params=[*PROGRAMS, *expected.ALL])
def name(request):
    return request.param


@pytest.fixture
def opened(name, tmp_path):
    """The parts of an .ipk."""
    run("tar", "-xzf", ipk(name), "-C", tmp_path)
    return tmp_path


def test_outside(name):
    listed = run("tar", "-tzf", ipk(name)).split()
    assert listed == ["./debian-binary", "./data.tar.gz", "./control.tar.gz"]


def test_modes_owners_and_times(name, opened):
    """Every entry, as GNU tar lists it."""
    found = {}
    listed = run("tar", "--numeric-owner", "--full-time", "-tvzf", opened / "data.tar.gz", env={"TZ": "UTC"})
    epoch = datetime.datetime.fromtimestamp(expected.time(), datetime.UTC).strftime("%Y-%m-%d %H:%M:%S")
    for line in listed.splitlines():
        mode, owner, _size, day, time, path = line.split(None, 5)
        assert owner == "0/0"
        assert f"{day} {time}" == epoch
        found[path.removeprefix("./").rstrip("/")] = mode
    names = {0o600: "-rw-------", 0o644: "-rw-r--r--", 0o755: "-rwxr-xr-x"}
    files = expected.files(name)
    wanted = {path: names[mode] for path, (mode, _) in files.items()}
    wanted |= {folder: "drwxr-xr-x" for folder in {"", *expected.folders(files)}}
    assert found == wanted
    assert list(found) == sorted(found)


def test_contents(name, opened):
    root = opened / "root"
    root.mkdir()
    run("tar", "-xzf", opened / "data.tar.gz", "-C", root, "--no-same-owner")
    for path, (_, content) in expected.files(name).items():
        assert (root / path).read_bytes() == content, path


def test_control(name, opened):
    """Read by dpkg-deb: an .ipk is a Debian package in tar instead of ar."""
    run("ar", "rc", "x.deb", "debian-binary", "control.tar.gz", "data.tar.gz", cwd=opened)
    fields = run("dpkg-deb", "-f", "x.deb", cwd=opened)
    found = dict(re.findall(r"^([A-Za-z-]+): (.*(?:\n .*)*)", fields, re.MULTILINE))
    found["Description"] = " ".join(found["Description"].split())
    data = gzip.decompress((opened / "data.tar.gz").read_bytes())
    info = expected.info(name)
    wanted = {
        "Package": name,
        "Version": info["version"],
        "Depends": ", ".join(info.get("depends", [])),
        "Conflicts": "tty2mqtt" if name == "tty2mqtt-mini" else "",
        "Provides": "tty2mqtt" if name == "tty2mqtt-mini" else "",
        "Source": info["origin"],
        "SourceName": info["origin"],
        "License": info["license"],
        "LicenseFiles": "" if name == expected.LUCI else "LICENSE-MIT LICENSE-APACHE",
        "Section": "luci" if name == expected.LUCI else "net",
        "Require-User": "" if name in expected.ALL else expected.USER,
        "SourceDateEpoch": str(expected.time()),
        "Architecture": "all" if name in expected.ALL else expected.ARCHITECTURE,
        "Installed-Size": str(len(data)),
        "Description": info["description"],
    }
    assert found == {key: value for key, value in wanted.items() if value}
    run("dpkg-deb", "-e", "x.deb", "control", cwd=opened)
    parts = {path.name: path.read_text() for path in (opened / "control").iterdir()}
    if name == expected.LUCI:
        assert "killall -HUP rpcd" in parts.pop("postinst-pkg")
    elif name != expected.DEVICES:
        assert parts.pop("conffiles") == "/etc/config/tty2mqtt\n"
        assert "/etc/init.d/tty2mqtt restart" in parts.pop("postinst-pkg")
    assert sorted(parts) == ["control", "postinst", "prerm"]


@pytest.mark.parametrize(("script", "function"), [("postinst", "default_postinst"), ("prerm", "default_prerm")])
def test_scripts_call_openwrt(opened, script, function):
    """They find functions.sh below the root that is being made, as when an image is built."""
    run("tar", "-xzf", opened / "control.tar.gz", "-C", opened)
    (opened / "lib").mkdir()
    (opened / "lib/functions.sh").write_text(f'{function}() {{ echo "{function} $@"; }}\n')
    path = opened / script
    assert run(path, "configure", env={"IPKG_INSTROOT": str(opened)}) == f"{function} {path} configure\n"
    if script == "postinst":
        quiet = {"IPKG_INSTROOT": str(opened), "IPKG_NO_SCRIPT": "1"}
        assert run(path, "configure", env=quiet) == ""


def test_index():
    """Packages: what opkg needs to fetch each file and to know that it is the right one."""
    text = (expected.FEED / "Packages").read_text()
    assert gzip.decompress((expected.FEED / "Packages.gz").read_bytes()).decode() == text
    entries = [dict(re.findall(r"^([A-Za-z0-9-]+): (.*)", entry, re.MULTILINE)) for entry in text.split("\n\n")[:-1]]
    listed = {entry["Filename"]: entry for entry in entries}
    assert sorted(listed) == sorted(path.name for path in expected.FEED.glob("*.ipk"))
    for file, entry in listed.items():
        content = (expected.FEED / file).read_bytes()
        assert entry["Size"] == str(len(content))
        assert entry["SHA256sum"] == hashlib.sha256(content).hexdigest()
    assert listed[ipk("tty2mqtt").name]["Require-User"] == expected.USER


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_program_runs_from_the_package(name, tmp_path):
    """With the configuration that comes with it, once that has a port."""
    run("tar", "-xzf", ipk(name), "-C", tmp_path)
    root = tmp_path / "root"
    root.mkdir()
    run("tar", "-xzf", tmp_path / "data.tar.gz", "-C", root, "--no-same-owner")
    emulated = ["qemu-mipsel-static", "-cpu", "24Kc", str(root / "usr/bin/tty2mqtt")]
    assert run(*emulated, "--version").strip() == f"tty2mqtt {expected.VERSION.partition('-')[0]}"
    first = root / "usr/share/tty2mqtt/first.yaml"
    port = "ports: {sensor: {path: /dev/ttyS0, line: 9600 8N1}}"
    first.write_text(first.read_text().replace("ports: {}", port))
    run(*emulated, "check", str(first))


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_program_is_static_stripped_and_tells_no_path(name):
    program = expected.program(name)
    assert "INTERP" not in run("readelf", "-lW", program)
    assert ".symtab" not in run("readelf", "-SW", program)
    content = program.read_bytes()
    for place in (str(expected.ROOT), str(Path.home()) + "/", "/build_dir/"):
        assert place.encode() not in content, place
