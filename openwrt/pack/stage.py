"""Runs the feed Makefiles with openwrt/pack/sdk in OpenWrt's place."""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

from package import Package, read

ROOT = Path(__file__).resolve().parents[2]
SDK = ROOT / "openwrt/pack/sdk"
LUCI_APP = ROOT / "openwrt/luci-app-tty2mqtt"
VARIANTS = {"full": ROOT / "target/cross", "mini": ROOT / "target/cross-mini"}
"""Where scripts/cross leaves the program of each variant."""


def program(variant: str, target: str) -> Path:
    """The program of a variant for a Rust target."""
    return VARIANTS[variant] / target / "release/tty2mqtt"


def targets() -> dict[str, str]:
    """The Rust target of each of OpenWrt's architectures."""
    lines = (ROOT / "openwrt/targets").read_text().splitlines()
    words = [line.split() for line in lines if line and not line.startswith("#")]
    return {architecture: target for architecture, target in words}


def source_time() -> int:
    """When the source was last changed, in seconds since 1970: SOURCE_DATE_EPOCH, or the last commit's."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given:
        return int(given)
    command = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def packages(architecture: str, target: str, folder: Path) -> list[Package]:
    """All packages for an architecture, staged below `folder`.

    Raises ValueError if the Makefile's version is not the program's, CalledProcessError if make fails.
    """
    # Folders get the mode that they have in OpenWrt, whoever packs.
    os.umask(0o022)
    shutil.rmtree(folder, ignore_errors=True)
    for variant in VARIANTS:
        place = folder / "programs" / variant / "bin"
        place.mkdir(parents=True)
        shutil.copy2(program(variant, target), place)
        _make(ROOT / "openwrt", folder, variant)
    _make(LUCI_APP, folder, "")
    time = source_time()
    staged = sorted(fields.parent for fields in folder.glob("*/fields"))
    found = [read(stage, architecture, time) for stage in staged]
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"]
    for package in found:
        if not package.version.startswith(f"{version}-r"):
            raise ValueError(f"{package.name} is {package.version}, but Cargo.toml says {version}")
    return found


def _make(makefile: Path, folder: Path, variant: str) -> None:
    """Stages the packages of one variant."""
    command = ["make", "-s", "-C", str(makefile), f"TOPDIR={SDK}", f"STAGE={folder}"]
    command += [f"BINARIES={folder}/programs", f"BUILD_VARIANT={variant}"]
    # Not what a make that called us has set: its options are not meant for this one.
    ours = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    subprocess.run(command, check=True, env=environment)
