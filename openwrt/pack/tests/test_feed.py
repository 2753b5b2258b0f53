"""The folder of packages as a feed: signed, and the same bytes wherever it is made."""

import hashlib
import os
import shutil
import subprocess
import sys
import tomllib

import apk_reader
import expected
import pytest

PACK = expected.ROOT / "openwrt/pack"


def feed(folder):
    """All files of a feed."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """What packing needs, under another path; signed with a key of its own."""
    folder = tmp_path_factory.mktemp("elsewhere")
    for part in ("openwrt", "src", "config/devices"):
        shutil.copytree(expected.ROOT / part, folder / part)
    (folder / "scripts").mkdir()
    for part in ("Cargo.toml", "Cargo.lock", "LICENSE-MIT", "LICENSE-APACHE", "build.rs", "scripts/device-archive"):
        shutil.copy(expected.ROOT / part, folder / part)
    for name in ("tty2mqtt", "tty2mqtt-mini"):
        program = folder / expected.program(name).relative_to(expected.ROOT)
        program.parent.mkdir(parents=True)
        shutil.copy(expected.program(name), program)
    keys = ["signify-openbsd", "-G", "-n", "-p", folder / "feed.pub", "-s", folder / "feed.sec"]
    subprocess.run(keys, check=True)
    make = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", folder / "feed.pem"]
    subprocess.run(make, check=True)
    more = {"KEY": "feed.sec", "APK_KEY": "feed.pem", "SOURCE_DATE_EPOCH": str(expected.time()), "TZ": "Asia/Kolkata"}
    environment = os.environ | more
    pack = [sys.executable, folder / "openwrt/pack", expected.ARCHITECTURE]
    subprocess.run(["sh", "-c", 'umask 077; exec "$@"', "pack", *pack], check=True, env=environment, cwd=folder)
    return folder


def test_the_same_bytes_under_another_path_umask_and_zone(elsewhere):
    again = feed(elsewhere / "target/packages" / expected.ARCHITECTURE)
    del again["Packages.sig"]
    first = feed(expected.FEED)
    assert list(again) == list(first)
    for name, content in again.items():
        if name.endswith((".apk", ".adb")):
            # Signatures hold a random number.
            signed, plain = apk_reader.Apk(content), apk_reader.Apk(first[name])
            assert (len(signed.signatures), plain.signatures) == (1, []), name
            assert signed.data == plain.data
            if signed.schema == "indx":
                assert [without_size(info) for info in signed.index()] == [without_size(info) for info in plain.index()]
            else:
                assert signed.database == plain.database
        else:
            assert content == first[name], name


def without_size(info):
    """What an index says of a package but for the size of its file, which a signature makes larger."""
    return {name: value for name, value in info.items() if name != "file-size"}


def test_signature(elsewhere):
    """OpenWrt's usign has the keys and signatures of signify."""
    folder = elsewhere / "target/packages" / expected.ARCHITECTURE
    verify = ["signify-openbsd", "-V", "-p", elsewhere / "feed.pub", "-m", "Packages", "-x", "Packages.sig"]
    assert subprocess.run(verify, cwd=folder, capture_output=True).returncode == 0
    with open(folder / "Packages", "a") as packages:
        packages.write("\n")
    assert subprocess.run(verify, cwd=folder, capture_output=True).returncode != 0


@pytest.mark.parametrize("name", ["packages.adb", "tty2mqtt-mini"])
def test_signatures_of_apk(elsewhere, name):
    """As apk verifies them, with openssl in the place of its own cryptography."""
    folder = elsewhere / "target/packages" / expected.ARCHITECTURE
    file = next(path for path in folder.iterdir() if path.name.startswith(name) and path.suffix in (".adb", ".apk"))
    apk = apk_reader.Apk(file.read_bytes())
    (signature,) = apk.signatures
    # Version 0, SHA-512, and 16 bytes that name the key.
    assert signature[:2] == bytes([0, 4])
    text = subprocess.run(
        ["openssl", "ec", "-in", elsewhere / "feed.pem", "-pubout", "-noout", "-text", "-conv_form", "uncompressed"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    point = bytes.fromhex(text.split("pub:")[1].split("ASN1")[0].replace(":", ""))
    assert signature[2:18] == hashlib.sha512(point).digest()[:16]
    (elsewhere / "signature").write_bytes(signature[18:])
    signed = apk.schema.encode() + signature[:18] + hashlib.sha512(apk.database).digest()
    verify = ["openssl", "dgst", "-sha512", "-prverify", elsewhere / "feed.pem", "-signature", elsewhere / "signature"]
    assert subprocess.run(verify, input=signed, capture_output=True).returncode == 0
    assert subprocess.run(verify, input=signed + b"x", capture_output=True).returncode != 0


def test_a_key_of_another_kind_is_refused(elsewhere):
    make = ["openssl", "genpkey", "-algorithm", "ed25519", "-out", elsewhere / "other.pem"]
    subprocess.run(make, check=True)
    command = [sys.executable, elsewhere / "openwrt/pack", expected.ARCHITECTURE]
    environment = os.environ | {"SOURCE_DATE_EPOCH": "1", "APK_KEY": str(elsewhere / "other.pem")}
    refused = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert refused.returncode == 1
    assert "other.pem: not a key on the curve prime256v1" in refused.stderr


def test_a_version_that_is_not_the_programs_is_refused(elsewhere):
    makefile = elsewhere / "openwrt/Makefile"
    makefile.write_text(makefile.read_text().replace("PKG_VERSION:=", "PKG_VERSION:=9."))
    command = [sys.executable, elsewhere / "openwrt/pack", expected.ARCHITECTURE]
    refused = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"SOURCE_DATE_EPOCH": "1"})
    assert refused.returncode == 1
    assert "but Cargo.toml says" in refused.stderr


def test_cross_toml_has_every_target():
    """And only keys that cross 0.2.5, the last release, knows: it refuses the file for one that it does not."""
    settings = tomllib.loads((expected.ROOT / "Cross.toml").read_text())
    assert list(settings) == ["target"]
    lines = (expected.ROOT / "openwrt/targets").read_text().splitlines()
    assert set(settings["target"]) == {line.split()[1] for line in lines if line and not line.startswith("#")}
    for name, target in settings["target"].items():
        assert set(target) <= {"image", "env"}, name
        assert name in target["image"]


def test_an_unknown_architecture_is_refused():
    refused = subprocess.run([sys.executable, PACK, "z80"], capture_output=True, text=True)
    assert refused.returncode == 2
    assert refused.stderr.startswith("pack: unknown architecture z80; there are mips_24kc mipsel_24kc")
