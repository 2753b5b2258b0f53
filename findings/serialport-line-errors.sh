#!/bin/sh
# The Rust crate serialport 4.10.1 (under tokio-serial and mio-serial) hides errors on the line: without
# parity it sets IGNPAR, so Linux drops a byte that came with a framing error, and the reader sees a
# shorter text; with parity it sets INPCK alone, so Linux hands over NUL in place of a damaged byte
# (termios(3)). The crate offers no setting for this.
#
# Matters because "12.5" with a dropped "2" is "1.5": whoever reads a line with this crate has to set
# PARMRK by himself, and undo the doubled FF that comes with it.
#
# Exits 0 while this is so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/src"
cat >"$folder/Cargo.toml" <<'EOF'
[package]
name = "look"
version = "0.0.0"
edition = "2021"

[dependencies]
serialport = { version = "=4.10.1", default-features = false }
EOF
cat >"$folder/src/main.rs" <<'EOF'
use serialport::{DataBits, Parity};
fn main() {
    let path = std::env::args().nth(1).unwrap();
    for (bits, parity) in [(DataBits::Eight, Parity::None), (DataBits::Seven, Parity::Even)] {
        let port = serialport::new(&path, 9600).data_bits(bits).parity(parity).open().unwrap();
        println!("open");
        std::io::stdin().read_line(&mut String::new()).unwrap();
        drop(port);
    }
}
EOF
(cd "$folder" && cargo build -q)
python3 - "$folder/target/debug/look" <<'EOF'
import os, pty, subprocess, sys, termios

PARMRK = 0o10
device, port = pty.openpty()
look = subprocess.Popen(
    [sys.argv[1], os.ttyname(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
)
for name, expected in (("8N1", "IGNPAR"), ("7E1", "INPCK")):
    assert look.stdout.readline() == "open\n"
    flags = termios.tcgetattr(port)[0]
    known = {"IGNPAR": termios.IGNPAR, "INPCK": termios.INPCK, "PARMRK": PARMRK}
    found = " ".join(word for word, flag in known.items() if flags & flag)
    print(f"serialport 4.10.1, {name}: {found}")
    if found != expected:
        sys.exit(f"{name}: {expected} was expected")
    look.stdin.write("\n")
    look.stdin.flush()
EOF
