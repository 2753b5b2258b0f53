"""Signatures of feeds: KEY is a secret key of signify for opkg, APK_KEY a private key for apk."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

P256 = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
"""What stands before the point in a public key on this curve (RFC 5480)."""

SHA512 = 4
"""Its number in apk-tools' src/apk_crypto.h."""


def opkg(folder: Path) -> None:
    """Packages.sig. usign's keys and signatures are signify's."""
    key = os.environ.get("KEY")
    if key:
        command = ["signify-openbsd", "-S", "-s", str(Path(key).resolve()), "-m", "Packages", "-x", "Packages.sig"]
        subprocess.run(command, check=True, cwd=folder)


def apk(schema: bytes, database: bytes) -> bytes:
    """What the block of a signature holds, as src/adb.c has it; nothing without a key.

    The key is known by the hash of its public point. What is signed are the schema, all before the
    signature itself, and the hash of the database.
    """
    key = os.environ.get("APK_KEY")
    if not key:
        return b""
    public = _openssl("pkey", "-in", key, "-pubout", "-outform", "DER")
    if not public.startswith(P256):
        raise SystemExit(f"pack: {key}: not a key on the curve prime256v1, which OpenWrt's keys are on")
    identity = hashlib.sha512(public.removeprefix(P256)).digest()[:16]
    head = bytes([0, SHA512]) + identity
    signed = schema + head + hashlib.sha512(database).digest()
    return head + _openssl("dgst", "-sha512", "-sign", key, content=signed)


def _openssl(*arguments: str, content: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *arguments], input=content, stdout=subprocess.PIPE, check=True).stdout
