"""Packs what scripts/cross built: `openwrt/pack ARCHITECTURE...`.

The packages of an architecture go to target/packages/ARCHITECTURE, with the indexes that make a feed
of the folder; sign.py says how they are signed.
"""

from __future__ import annotations

import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apk
import compress
import ipk
import sign
import stage
from package import Package

WANTED = {"tty2mqtt": (1_900_000, 900_000), "tty2mqtt-mini": (1_000_000, 400_000)}
"""Most bytes of the program and of the .ipk, on mipsel."""


def main(architectures: list[str]) -> int:
    """Packs for each; 2 for a wrong name."""
    targets = stage.targets()
    unknown = [name for name in architectures if name not in targets]
    if unknown or not architectures:
        print(f"pack: unknown architecture {' '.join(unknown)}; there are {' '.join(targets)}", file=sys.stderr)
        return 2
    rows = []
    for architecture in architectures:
        folder = stage.ROOT / "target/packages" / architecture
        rows += pack(architecture, targets[architecture], folder)
    print_table(rows)
    return 0


def pack(architecture: str, target: str, folder: Path) -> list[tuple[str, ...]]:
    """Makes the feed of an architecture anew; returns the rows of the table of sizes."""
    packages = stage.packages(architecture, target, stage.ROOT / "target/stage" / architecture)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # zopfli takes seconds for each, and lets other threads run.
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        ipk_contents = threads.map(ipk.build, packages)
        apks = list(threads.map(apk.build, packages))
    ipks = {ipk.file_name(package): content for package, content in zip(packages, ipk_contents, strict=True)}
    for name, content in ipks.items():
        (folder / name).write_bytes(content)
    for built in apks:
        (folder / apk.file_name(built.package)).write_bytes(built.content)
    (folder / "packages.adb").write_bytes(apk.index(apks))
    write_opkg_index(folder, packages, ipks)
    return [
        row(architecture, package, len(ipks[ipk.file_name(package)]), len(built.content))
        for package, built in zip(packages, apks, strict=True)
    ]


def write_opkg_index(folder: Path, packages: list[Package], ipks: dict[str, bytes]) -> None:
    """Packages, Packages.gz, and the signature if there is a key."""
    controls = {ipk.file_name(package): ipk.control(package, ipk.installed_size(package)) for package in packages}
    text = ipk.index(ipks, controls).encode()
    (folder / "Packages").write_bytes(text)
    (folder / "Packages.gz").write_bytes(compress.gzip(text))
    sign.opkg(folder)


def row(architecture: str, package: Package, ipk_size: int, apk_size: int) -> tuple[str, ...]:
    """Of the table: sizes in bytes, and by what mipsel misses what is wanted."""
    contents = {entry.path: len(entry.content or b"") for entry in package.entries}
    program = contents.get("usr/bin/tty2mqtt")
    missed = ""
    if architecture == "mipsel_24kc" and package.name in WANTED and program:
        most_program, most_ipk = WANTED[package.name]
        missed = f"{over(program, most_program)}, {over(ipk_size, most_ipk)}"
    sizes = (program, sum(contents.values()), ipk_size, apk_size)
    return architecture, package.name, *(f"{size:,}" if size else "" for size in sizes), missed


def over(size: int, most: int) -> str:
    """How a size stands to its bound."""
    return "kept" if size <= most else f"+{(size - most) / most:.1%}"


def print_table(rows: list[tuple[str, ...]]) -> None:
    """As Markdown, for docs/SIZE.md."""
    print("| architecture | package | program | installed | .ipk | .apk | program and .ipk against the bounds |")
    print("|---|---|---|---|---|---|---|")
    for columns in rows:
        print(f"| {' | '.join(columns)} |")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
