"""The .apk, read by apk_reader.py, and by libsolv's apk2solv where it is about metadata."""

import hashlib
import itertools
import subprocess

import expected
import pytest
from apk_reader import Apk

PACKAGES = ["tty2mqtt", "tty2mqtt-mini", *expected.ALL]


def path(name):
    return expected.FEED / f"{name}-{expected.VERSION}.apk"


@pytest.fixture(params=PACKAGES)
def name(request):
    return request.param


@pytest.fixture
def package(name):
    return Apk(path(name).read_bytes())


def test_metadata(name, package):
    info, _, _ = package.package()
    assert len(info.pop("hashes")) == 20
    assert info == expected.info(name)


def test_files(name, package):
    _, found, _ = package.package()
    files = expected.apk_files(name)
    wanted = {file: (mode, "root:root", content) for file, (mode, content) in files.items()}
    wanted |= {folder: (0o755, "root:root", None) for folder in expected.folders(files)}
    assert found == wanted
    assert package.time == expected.time()


@pytest.mark.parametrize(
    ("script", "calls"),
    [
        ("post-install", ["add_group_and_user", "default_postinst"]),
        ("post-upgrade", ["add_group_and_user 1", "default_postinst 1"]),
        ("pre-deinstall", ["default_prerm"]),
    ],
)
def test_scripts_call_openwrt(name, package, script, calls, tmp_path):
    """They tell OpenWrt's functions whose package it is, where, and whether it is an upgrade."""
    (tmp_path / "lib").mkdir()
    functions = ("add_group_and_user", "default_postinst", "default_prerm")
    (tmp_path / "lib/functions.sh").write_text(
        "".join(f"{each}() {{ echo {each} $PKG_UPGRADE $pkgname $root; }}\n" for each in functions)
    )
    _, _, scripts = package.package()
    assert sorted(scripts) == ["post-install", "post-upgrade", "pre-deinstall"]
    assert scripts[script].startswith("#!/bin/sh\n")
    if name == expected.LUCI:
        # Its own postinst would talk to the router's rpcd; below another root it does nothing.
        assert ("killall -HUP rpcd" in scripts[script]) == script.startswith("post")
    elif name != expected.DEVICES:
        # After an upgrade the new program is to run; a first installation starts nothing.
        again = '[ "${PKG_UPGRADE}" != 1 ] || /etc/init.d/tty2mqtt restart'
        assert (again in scripts[script]) == script.startswith("post")
    output = subprocess.check_output(
        ["sh", "-c", scripts[script]], text=True, env={"IPKG_INSTROOT": str(tmp_path), "PATH": "/usr/bin:/bin"}
    )
    assert output.splitlines() == [f"{call} {name} {tmp_path}" for call in calls]


def test_index():
    index = Apk((expected.FEED / "packages.adb").read_bytes()).index()
    files = {f"{info['name']}-{info['version']}.apk": info for info in index}
    assert sorted(files) == sorted(file.name for file in expected.FEED.glob("*.apk"))
    for file, info in files.items():
        raw = (expected.FEED / file).read_bytes()
        assert info.pop("file-size") == len(raw)
        assert info.pop("hashes") == hashlib.sha256(Apk(raw).database).digest()
        assert info == expected.info(info["name"])


@pytest.mark.parametrize("source", ["package", "index"])
def test_libsolv_reads_the_same(name, source):
    """Written by others from apk-tools' own sources."""
    tools = expected.ROOT / "target/libsolv/bin"
    arguments = [path(name)] if source == "package" else ["-r", expected.FEED / "packages.adb"]
    solv = subprocess.check_output([tools / "apk2solv", *arguments])
    dump = subprocess.check_output([tools / "dumpsolv"], input=solv).decode()
    # One paragraph for each package.
    found = next(part for part in dump.split("\nsolvable ") if f"\nsolvable:name: {name}\n" in part)
    info = expected.info(name)
    # Of the newer fields it does not know the priority.
    provides = [f"{name} = {expected.VERSION}", *(each.replace("=", " = ") for each in info.get("provides", []))]
    wanted = {
        "arch": info["arch"],
        "evr": info["version"],
        "license": info["license"],
        "sourcename": info["origin"],
        "installsize": str(info["installed-size"]),
        "description": info["description"],
    }
    if name == info["origin"]:
        # Its way to say: the same as the name.
        wanted["sourcename"] = "(void)"
    for key, value in wanted.items():
        assert f"\nsolvable:{key}: {value}" in f"{found}\n", dump
    assert sorted(_list(found, "provides")) == sorted(provides)
    assert sorted(_list(found, "requires")) == info.get("depends", [])


def _list(text, key):
    """The indented lines below a key."""
    _, _, rest = text.partition(f"\nsolvable:{key}:\n")
    return [line.strip() for line in itertools.takewhile(lambda line: line.startswith("  "), rest.splitlines())]
