"""OpenWrt's package format up to 24.10, for opkg.

An .ipk is a gzipped tar of `debian-binary`, `data.tar.gz` and `control.tar.gz`, as OpenWrt's
scripts/ipkg-build writes it: GNU format, sorted, root's. The control file, its order and the scripts
are those of include/package-pack.mk, the index is that of scripts/ipkg-make-index.sh.
"""

from __future__ import annotations

import gzip as standard
import hashlib
import io
import tarfile

import compress
from package import Entry, Package

POSTINST = """#!/bin/sh
[ "${IPKG_NO_SCRIPT}" = "1" ] && exit 0
[ -s ${IPKG_INSTROOT}/lib/functions.sh ] || exit 0
. ${IPKG_INSTROOT}/lib/functions.sh
default_postinst $0 $@
"""

PRERM = """#!/bin/sh
[ -s ${IPKG_INSTROOT}/lib/functions.sh ] || exit 0
. ${IPKG_INSTROOT}/lib/functions.sh
default_prerm $0 $@
"""


def file_name(package: Package) -> str:
    """As opkg expects it in a feed."""
    return f"{package.name}_{package.version}_{package.architecture}.ipk"


def build(package: Package) -> bytes:
    """The whole file."""
    data = _tar(package.entries, package.time)
    members = [
        Entry("debian-binary", 0o644, b"2.0\n"),
        Entry("data.tar.gz", 0o644, compress.gzip(data)),
        Entry("control.tar.gz", 0o644, compress.gzip(_tar(_control_files(package, len(data)), package.time))),
    ]
    # What is in it is compressed; zopfli would find nothing in minutes.
    return standard.compress(_tar(members, package.time, root=False), mtime=0)


def index(files: dict[str, bytes], controls: dict[str, str]) -> str:
    """`Packages` of a folder with these files; `controls` has the control text of each."""
    entries = []
    for name in sorted(files):
        head, separator, description = controls[name].partition("Description:")
        digest = hashlib.sha256(files[name]).hexdigest()
        found = f"Filename: {name}\nSize: {len(files[name])}\nSHA256sum: {digest}\n"
        entries.append(f"{head}{found}{separator}{description}\n")
    return "".join(entries)


def control(package: Package, installed: int) -> str:
    """The control file; `installed` is the size of the uncompressed data.tar, in bytes."""
    fields = {
        "Package": package.name,
        "Version": package.version,
        "Depends": ", ".join(package.depends),
        "Conflicts": ", ".join(package.conflicts),
        "Provides": ", ".join(package.provides),
        "Source": package.source,
        "SourceName": package.source,
        "License": package.license,
        "LicenseFiles": package.license_files,
        "Section": package.section,
        "Require-User": package.user,
        "SourceDateEpoch": str(package.time),
        "URL": package.url,
        "Maintainer": package.maintainer,
        "Architecture": package.architecture,
        "Installed-Size": str(installed),
    }
    lines = [f"{key}: {value}\n" for key, value in fields.items() if value]
    return "".join(lines) + "Description: " + "".join(f" {line}\n" for line in package.description)


def installed_size(package: Package) -> int:
    """Of the uncompressed data.tar, in bytes."""
    return len(_tar(package.entries, package.time))


def _control_files(package: Package, installed: int) -> list[Entry]:
    """What control.tar.gz has."""
    conffiles = "".join(f"{path}\n" for path in package.conffiles)
    texts = {
        "conffiles": (0o644, conffiles),
        "control": (0o644, control(package, installed)),
        "postinst": (0o755, POSTINST),
        "postinst-pkg": (0o755, package.postinst),
        "prerm": (0o755, PRERM),
        "prerm-pkg": (0o755, package.prerm),
    }
    return [Entry(name, mode, text.encode()) for name, (mode, text) in texts.items() if text]


def _tar(entries: list[Entry], time: int, *, root: bool = True) -> bytes:
    """A GNU tar of these, in this order, with names that begin with `./`; `root` is the folder itself."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        if root:
            tar.addfile(_header("./", Entry("", 0o755, None), time))
        for entry in entries:
            tar.addfile(_header(f"./{entry.path}", entry, time), io.BytesIO(entry.content or b""))
    return buffer.getvalue()


def _header(name: str, entry: Entry, time: int) -> tarfile.TarInfo:
    """Of one entry. Owners are numbers: names would be looked up on the router."""
    info = tarfile.TarInfo(name)
    info.mtime = time
    info.mode = entry.mode
    if entry.content is None:
        info.type = tarfile.DIRTYPE
    else:
        info.size = len(entry.content)
    return info
