"""OpenWrt's package format from 25.12 on, for apk 3.

An .apk is a deflated ADB file: the database with everything about the package, then a data block for
each file that has content. The fields' numbers are those of apk-tools' src/apk_adb.h, their meaning is
in doc/apk-package.5.scd, the order of things in src/app_mkpkg.c and src/app_mkndx.c. What OpenWrt adds,
scripts and lists below lib/apk/packages, is that of its include/package-pack.mk.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

import adb
import compress
import sign
from package import Entry, Package, with_file

INFO_NAME, INFO_VERSION, INFO_HASHES, INFO_DESCRIPTION, INFO_ARCH = 1, 2, 3, 4, 5
INFO_LICENSE, INFO_ORIGIN, INFO_MAINTAINER, INFO_URL = 6, 7, 8, 9
INFO_INSTALLED_SIZE, INFO_FILE_SIZE, INFO_PROVIDER_PRIORITY, INFO_DEPENDS, INFO_PROVIDES = 12, 13, 14, 15, 16
DEPENDENCY_NAME, DEPENDENCY_VERSION = 1, 2
ACL_MODE, ACL_USER, ACL_GROUP = 1, 2, 3
FILE_NAME, FILE_ACL, FILE_SIZE, FILE_MTIME, FILE_HASHES = 1, 2, 3, 4, 5
DIRECTORY_NAME, DIRECTORY_ACL, DIRECTORY_FILES = 1, 2, 3
SCRIPT_POST_INSTALL, SCRIPT_PRE_DEINSTALL, SCRIPT_POST_UPGRADE = 3, 4, 7
PACKAGE_INFO, PACKAGE_PATHS, PACKAGE_SCRIPTS = 1, 2, 3
INDEX_PACKAGES = 2

UNIQUE_ID_LENGTH = 20

POST_INSTALL = """#!/bin/sh
[ "${{IPKG_NO_SCRIPT}}" = "1" ] && exit 0
[ -s ${{IPKG_INSTROOT}}/lib/functions.sh ] || exit 0
. ${{IPKG_INSTROOT}}/lib/functions.sh
export root="${{IPKG_INSTROOT}}"
export pkgname="{name}"
add_group_and_user
default_postinst
"""

PRE_DEINSTALL = """#!/bin/sh
[ -s ${{IPKG_INSTROOT}}/lib/functions.sh ] || exit 0
. ${{IPKG_INSTROOT}}/lib/functions.sh
export root="${{IPKG_INSTROOT}}"
export pkgname="{name}"
default_prerm
"""


@dataclass(frozen=True)
class Built:
    """An .apk, and what an index wants to know of it."""

    package: Package
    content: bytes
    identity: bytes
    """SHA-256 of the database: what an index vouches for."""


def file_name(package: Package) -> str:
    """As apk expects it in a feed: without the architecture."""
    return f"{package.name}-{package.version}.apk"


def build(package: Package) -> Built:
    """The whole file."""
    folders = _folders(_with_lists(package))
    database = _database(package, folders)
    data = b"".join(
        adb.block(adb.BLOCK_DATA, struct.pack("<II", path, number) + entry.content)
        for path, (_, files) in enumerate(folders, 1)
        for number, entry in enumerate(files, 1)
        if entry.content
    )
    content = _container(b"pckg", database, data)
    return Built(package, content, hashlib.sha256(database).digest())


def index(packages: list[Built]) -> bytes:
    """`packages.adb` of a folder with these."""
    database = adb.Database()
    entries = []
    for built in sorted(packages, key=lambda built: built.package.name):
        more = {
            INFO_HASHES: database.blob(built.identity),
            INFO_FILE_SIZE: database.number(len(built.content)),
        }
        entries.append(database.object(_info(database, built.package) | more))
    root = database.object({INDEX_PACKAGES: database.array(entries)})
    return _container(b"indx", bytes(database.finish(root)), b"")


def _container(schema: bytes, database: bytes, data: bytes) -> bytes:
    signature = sign.apk(schema, database)
    if signature:
        data = adb.block(adb.BLOCK_SIGNATURE, signature) + data
    return b"ADBd" + compress.deflate(b"ADB." + schema + adb.block(adb.BLOCK_ADB, database) + data)


def _database(package: Package, folders: list[tuple[Entry, list[Entry]]]) -> bytes:
    """Of one package. Its unique id is the hash of the database with zeros in the id's place."""
    database = adb.Database()
    unique_id = database.blob(bytes(UNIQUE_ID_LENGTH), shared=False)
    info = _info(database, package) | {INFO_HASHES: unique_id}
    paths = [_directory(database, package.time, *folder) for folder in folders]
    root = database.object(
        {
            PACKAGE_INFO: database.object(info),
            PACKAGE_PATHS: database.array(paths),
            PACKAGE_SCRIPTS: _scripts(database, package),
        }
    )
    content = database.finish(root)
    at = database.offset(unique_id)
    content[at : at + UNIQUE_ID_LENGTH] = hashlib.sha256(content).digest()[:UNIQUE_ID_LENGTH]
    return bytes(content)


def _info(database: adb.Database, package: Package) -> dict[int, int]:
    """What package and index say alike."""
    texts = {
        INFO_NAME: package.name,
        INFO_VERSION: package.version,
        INFO_DESCRIPTION: " ".join(package.description),
        INFO_ARCH: "noarch" if package.architecture == "all" else package.architecture,
        INFO_LICENSE: package.license,
        INFO_ORIGIN: package.source,
        INFO_MAINTAINER: package.maintainer,
        INFO_URL: package.url,
    }
    fields = {number: database.blob(text) for number, text in texts.items()}
    fields[INFO_INSTALLED_SIZE] = database.number(sum(len(entry.content or b"") for entry in _with_lists(package)))
    if package.default:
        fields[INFO_PROVIDER_PRIORITY] = database.number(100)
    fields[INFO_DEPENDS] = _dependencies(database, [(name, "") for name in package.depends])
    # Who provides a name with a version owns it: apk installs only one such package.
    fields[INFO_PROVIDES] = _dependencies(database, [(name, package.version) for name in package.provides])
    return fields


def _dependencies(database: adb.Database, dependencies: list[tuple[str, str]]) -> int:
    """Sorted, as the solver expects them."""
    return database.array(
        [
            database.object({DEPENDENCY_NAME: database.blob(name), DEPENDENCY_VERSION: database.blob(version)})
            for name, version in sorted(dependencies)
        ]
    )


def _directory(database: adb.Database, time: int, folder: Entry, files: list[Entry]) -> int:
    return database.object(
        {
            DIRECTORY_NAME: database.blob(folder.path),
            DIRECTORY_ACL: _acl(database, folder.mode),
            DIRECTORY_FILES: database.array([_file(database, time, entry) for entry in files]),
        }
    )


def _file(database: adb.Database, time: int, entry: Entry) -> int:
    content = entry.content or b""
    return database.object(
        {
            FILE_NAME: database.blob(entry.path.rpartition("/")[2]),
            FILE_ACL: _acl(database, entry.mode),
            FILE_SIZE: database.number(len(content)),
            FILE_MTIME: database.number(time),
            FILE_HASHES: database.blob(hashlib.sha256(content).digest()),
        }
    )


def _acl(database: adb.Database, mode: int) -> int:
    root = database.blob("root")
    return database.object({ACL_MODE: database.number(mode), ACL_USER: root, ACL_GROUP: root})


def _scripts(database: adb.Database, package: Package) -> int:
    post_install = POST_INSTALL.format(name=package.name) + _body(package.postinst)
    post_upgrade = "#!/bin/sh\nexport PKG_UPGRADE=1\n" + _body(post_install)
    pre_deinstall = PRE_DEINSTALL.format(name=package.name) + _body(package.prerm)
    return database.object(
        {
            SCRIPT_POST_INSTALL: database.blob(post_install),
            SCRIPT_PRE_DEINSTALL: database.blob(pre_deinstall),
            SCRIPT_POST_UPGRADE: database.blob(post_upgrade),
        }
    )


def _body(script: str) -> str:
    """Without the line that names its shell."""
    return "".join(f"{line}\n" for line in script.splitlines() if not line.lstrip().startswith("#!"))


def _with_lists(package: Package) -> list[Entry]:
    """With what OpenWrt's functions.sh and sysupgrade read from lib/apk/packages."""
    entries = package.entries
    base = f"lib/apk/packages/{package.name}"
    if package.user:
        entries = with_file(entries, f"{base}.rusers", f"{package.user}\n".encode())
    paths = sorted(f"/{entry.path}\n" for entry in entries if entry.content is not None)
    entries = with_file(entries, f"{base}.list", "".join(paths).encode())
    if package.conffiles:
        contents = {f"/{entry.path}": entry.content or b"" for entry in package.files()}
        sums = [f"{path} {hashlib.sha256(contents[path]).hexdigest()}\n" for path in package.conffiles]
        paths = [f"{path}\n" for path in package.conffiles]
        entries = with_file(entries, f"{base}.conffiles", "".join(paths).encode())
        entries = with_file(entries, f"{base}.conffiles_static", "".join(sums).encode())
    return entries


def _folders(entries: list[Entry]) -> list[tuple[Entry, list[Entry]]]:
    """Directories, the root first, each with its files; both sorted, as apk looks them up."""
    folders: dict[str, tuple[Entry, list[Entry]]] = {"": (Entry("", 0o755, None), [])}
    for entry in entries:
        if entry.content is None:
            folders[entry.path] = (entry, [])
    for entry in entries:
        if entry.content is not None:
            folders[entry.path.rpartition("/")[0]][1].append(entry)
    return [folders[path] for path in sorted(folders)]
