"""What a package is, before it has a format: read from what openwrt/pack/sdk makes of a feed Makefile."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """A directory or a file of a package; its owner is root."""

    path: str
    """Without a slash at its ends: `etc/config/tty2mqtt`."""
    mode: int
    """The permission bits."""
    content: bytes | None
    """None for a directory."""


@dataclass(frozen=True)
class Package:
    """A package for one architecture."""

    name: str
    version: str
    """With its release: `0.1.0-r1`."""
    architecture: str
    """As OpenWrt names it; `all` where it does not matter."""
    source: str
    license: str
    license_files: str
    section: str
    maintainer: str
    url: str
    description: list[str]
    """Lines, without indentation."""
    depends: list[str]
    conflicts: list[str]
    provides: list[str]
    user: str
    """Who its postinst creates: `user:group:more=gid`; may be empty."""
    default: bool
    """Is it the one to take for a name that several packages provide?"""
    keep: list[str]
    """What an upgrade keeps, as the Makefile's conffiles has it: files and directories."""
    entries: list[Entry]
    """Sorted by path, each after its directory."""
    time: int
    """Of all files, in seconds since 1970."""
    postinst: str = field(default="")
    prerm: str = field(default="")

    def files(self) -> list[Entry]:
        """All that are no directories."""
        return [entry for entry in self.entries if entry.content is not None]

    def conffiles(self) -> list[str]:
        """The files that an upgrade does not overwrite: those of `keep` and below its directories that
        the package has, with a leading slash."""
        below = tuple(path if path.endswith("/") else f"{path}/" for path in self.keep)
        paths = (f"/{entry.path}" for entry in self.files())
        return [path for path in paths if path in self.keep or path.startswith(below)]


def read(stage: Path, architecture: str, time: int) -> Package:
    """The package that openwrt/pack/sdk left in `stage`.

    Raises ValueError for what is not supported: conditional dependencies, special files.
    """
    fields = {}
    for line in (stage / "fields").read_text().splitlines():
        key, separator, value = line.strip().partition("=")
        if separator:
            fields[key] = value
    keep = (stage / "conffiles").read_text().split()
    return Package(
        name=stage.name,
        version=f"{fields['PKG_VERSION']}-r{fields['PKG_RELEASE']}",
        architecture=fields["PKGARCH"] or architecture,
        source=fields["PKG_NAME"],
        license=fields["PKG_LICENSE"],
        license_files=fields["PKG_LICENSE_FILES"],
        section=fields["SECTION"],
        maintainer=fields["PKG_MAINTAINER"],
        url=fields["URL"],
        description=[line.strip() for line in (stage / "description").read_text().strip().splitlines()],
        depends=_depends(fields["DEPENDS"]),
        conflicts=fields["CONFLICTS"].split(),
        provides=fields["PROVIDES"].split(),
        user=fields["USERID"],
        default=fields["DEFAULT_VARIANT"] == "1",
        keep=keep,
        entries=_with_keep(stage.name, keep, _entries(stage / "root")),
        time=time,
        postinst=(stage / "postinst").read_text().strip(),
        prerm=(stage / "prerm").read_text().strip(),
    )


def _depends(text: str) -> list[str]:
    """The packages of a DEPENDS: `+name` is one to install, `@symbol` only what the menu shows."""
    words = [word for word in text.split() if not word.startswith("@")]
    for word in words:
        if ":" in word:
            raise ValueError(f"conditional dependency {word}")
    return [word.removeprefix("+") for word in words]


def _entries(root: Path) -> list[Entry]:
    """Everything below a folder."""
    entries = []
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            path = Path(folder, name)
            status = path.lstat()
            if stat.S_ISDIR(status.st_mode):
                content = None
            elif stat.S_ISREG(status.st_mode):
                content = path.read_bytes()
            else:
                raise ValueError(f"{path} is neither a file nor a directory")
            mode = stat.S_IMODE(status.st_mode)
            entries.append(Entry(str(path.relative_to(root)), mode, content))
    return sorted(entries, key=lambda entry: entry.path)


def _with_keep(name: str, keep: list[str], entries: list[Entry]) -> list[Entry]:
    """With the list that tells sysupgrade to keep what is not a file of the package, as OpenWrt's
    include/package-pack.mk adds it."""
    files = {f"/{entry.path}" for entry in entries if entry.content is not None}
    missing = [path for path in keep if path not in files]
    if not missing:
        return entries
    own = f"lib/upgrade/keep.d/{name}"
    text = b"".join(entry.content or b"" for entry in entries if entry.path == own)
    text += "".join(f"{path}\n" for path in missing).encode()
    others = [entry for entry in entries if entry.path != own]
    return with_file(others, own, text)


def with_file(entries: list[Entry], path: str, content: bytes) -> list[Entry]:
    """With one file more, mode 0644, and the directories that it needs."""
    paths = {entry.path for entry in entries}
    folders = [str(folder) for folder in Path(path).parents if str(folder) != "."]
    new = [Entry(folder, 0o755, None) for folder in folders if folder not in paths]
    return sorted([*entries, *new, Entry(path, 0o644, content)], key=lambda entry: entry.path)
