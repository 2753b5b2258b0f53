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
    conffiles: list[str]
    """The files that an upgrade does not overwrite, with a leading slash."""
    entries: list[Entry]
    """Sorted by path, each after its directory."""
    time: int
    """Of all files, in seconds since 1970."""
    postinst: str = field(default="")
    prerm: str = field(default="")

    def files(self) -> list[Entry]:
        """All that are no directories."""
        return [entry for entry in self.entries if entry.content is not None]


def read(stage: Path, architecture: str, time: int) -> Package:
    """The package that openwrt/pack/sdk left in `stage`.

    Raises ValueError for what is not supported: conditional dependencies, special files, conffiles that
    are not in the package.
    """
    fields = {}
    for line in (stage / "fields").read_text().splitlines():
        key, separator, value = line.strip().partition("=")
        if separator:
            fields[key] = value
    entries = _entries(stage / "root")
    files = {f"/{entry.path}" for entry in entries if entry.content is not None}
    conffiles = (stage / "conffiles").read_text().split()
    if not files.issuperset(conffiles):
        raise ValueError(f"{stage.name}: conffiles {conffiles} are not all files of the package")
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
        conffiles=sorted(conffiles),
        entries=entries,
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


def with_file(entries: list[Entry], path: str, content: bytes) -> list[Entry]:
    """With one file more, mode 0644, and the directories that it needs."""
    paths = {entry.path for entry in entries}
    folders = [str(folder) for folder in Path(path).parents if str(folder) != "."]
    new = [Entry(folder, 0o755, None) for folder in folders if folder not in paths]
    return sorted([*entries, *new, Entry(path, 0o644, content)], key=lambda entry: entry.path)
