"""Reads .apk files and indexes, written from apk-tools' doc/apk-v3.5.scd and doc/apk-package.5.scd
alone. It shares nothing with what writes them: an error in one shows as a difference."""

import hashlib
import zlib

INFO = {
    1: ("name", "text"),
    2: ("version", "text"),
    3: ("hashes", "bytes"),
    4: ("description", "text"),
    5: ("arch", "text"),
    6: ("license", "text"),
    7: ("origin", "text"),
    8: ("maintainer", "text"),
    9: ("url", "text"),
    12: ("installed-size", "number"),
    13: ("file-size", "number"),
    14: ("provider-priority", "number"),
    15: ("depends", "dependencies"),
    16: ("provides", "dependencies"),
}
SCRIPTS = {3: "post-install", 4: "pre-deinstall", 7: "post-upgrade"}


class Apk:
    """A file of apk 3, checked block by block."""

    def __init__(self, raw):
        assert raw[:4] == b"ADBd"
        inflate = zlib.decompressobj(wbits=-15)
        plain = inflate.decompress(raw[4:])
        assert inflate.eof and not inflate.unused_data
        assert plain[:4] == b"ADB."
        self.schema = plain[4:8].decode()
        self.blocks = []
        at = 8
        while at < len(plain):
            word = int.from_bytes(plain[at : at + 4], "little")
            kind, size = word >> 30, word & 0x3FFFFFFF
            assert 4 <= size <= len(plain) - at
            self.blocks.append((kind, plain[at + 4 : at + size]))
            padded = -(-size // 8) * 8
            assert plain[at + size : at + padded] == bytes(padded - size)
            at += padded
        assert at == len(plain)
        kinds = [kind for kind, _ in self.blocks]
        signatures, data = kinds.count(1), kinds.count(2)
        assert kinds == [0] + [1] * signatures + [2] * data
        self.database = self.blocks[0][1]
        self.signatures = [content for _, content in self.blocks[1 : 1 + signatures]]
        self.data = [content for _, content in self.blocks[1 + signatures :]]
        assert self.database[:4] == bytes(4), "version and reserved bytes"

    # Values.

    def word(self, at):
        assert at % 4 == 0 and at + 4 <= len(self.database)
        return int.from_bytes(self.database[at : at + 4], "little")

    def slots(self, value, kind):
        """The members of an array or object; the first slot counts all of them."""
        if value == 0:
            return []
        assert value >> 28 == kind
        at = value & 0x0FFFFFFF
        return [self.word(at + 4 * number) for number in range(1, self.word(at))]

    def array(self, value):
        return self.slots(value, 0xD)

    def object(self, value):
        return dict(enumerate(self.slots(value, 0xE), 1))

    def bytes(self, value):
        if value == 0:
            return b""
        width = {0x8: 1, 0x9: 2, 0xA: 4}[value >> 28]
        at = value & 0x0FFFFFFF
        assert at % width == 0
        length = int.from_bytes(self.database[at : at + width], "little")
        content = self.database[at + width : at + width + length]
        assert len(content) == length
        return content

    def text(self, value):
        return self.bytes(value).decode()

    def number(self, value):
        if value >> 28 == 1:
            return value & 0x0FFFFFFF
        assert value >> 28 == 2
        return self.word(value & 0x0FFFFFFF)

    def dependencies(self, value):
        found = []
        for item in self.array(value):
            fields = self.object(item)
            version = self.text(fields.get(2, 0))
            found.append(self.text(fields[1]) + (f"={version}" if version else ""))
        assert found == sorted(found)
        return found

    # What the schemas say.

    def root(self):
        return self.object(self.word(4))

    def info(self, value):
        found = {}
        for number, member in self.object(value).items():
            if member:
                name, kind = INFO[number]
                found[name] = getattr(self, kind)(member)
        return found

    def index(self):
        assert self.schema == "indx" and not self.data
        return [self.info(item) for item in self.array(self.root()[2])]

    def package(self):
        """Metadata, files by path as (mode, owner, content), scripts by name."""
        assert self.schema == "pckg"
        root = self.root()
        data = {}
        for content in self.data:
            place = int.from_bytes(content[:4], "little"), int.from_bytes(content[4:8], "little")
            # In the order of the paths, which is how apk reads them.
            assert not data or place > max(data)
            data[place] = content[8:]
        found = {}
        names = []
        for path_number, item in enumerate(self.array(root[2]), 1):
            directory = self.object(item)
            folder = self.text(directory[1])
            names.append(folder)
            if folder:
                found[folder] = (*self.acl(directory[2]), None)
            files = [self.object(file) for file in self.array(directory.get(3, 0))]
            assert [self.text(file[1]) for file in files] == sorted(self.text(file[1]) for file in files)
            for file_number, file in enumerate(files, 1):
                content = data.pop((path_number, file_number), b"")
                assert self.number(file[3]) == len(content)
                assert self.bytes(file[5]) == hashlib.sha256(content).digest()
                self.time = self.number(file[4])
                path = f"{folder}/{self.text(file[1])}" if folder else self.text(file[1])
                found[path] = (*self.acl(file[2]), content)
        assert names == sorted(names) and names[0] == ""
        assert not data
        scripts = {SCRIPTS[number]: self.text(value) for number, value in self.object(root[3]).items() if value}
        return self.info(root[1]), found, scripts

    def acl(self, value):
        fields = self.object(value)
        return self.number(fields[1]), f"{self.text(fields[2])}:{self.text(fields[3])}"
