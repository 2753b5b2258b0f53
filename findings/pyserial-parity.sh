#!/bin/sh
# pyserial 3.5 does not check parity: opened with PARITY_EVEN it clears INPCK, so Linux hands over a byte
# with a wrong parity bit as if it were right (termios(3): INPCK "enable input parity checking").
#
# Matters because 7E1 devices (meters by IEC 62056-21, older scales) often have no other check: a program
# that reads them with pyserial takes a damaged digit for a good one, and comparing another reader with
# such a program finds differences where that program is wrong.
#
# Exits 0 while this is so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check pyserial==3.5
"$folder/venv/bin/python" - <<'EOF'
import os, pty, sys, termios
import serial

PARMRK = 0o10  # not in Python's termios on every version
device, port = pty.openpty()
for name, parity in (("7E1", serial.PARITY_EVEN), ("7O1", serial.PARITY_ODD)):
    # As another program left it: with the check.
    settings = termios.tcgetattr(port)
    settings[0] |= termios.INPCK | PARMRK
    termios.tcsetattr(port, termios.TCSANOW, settings)
    line = serial.Serial(os.ttyname(port), 9600, bytesize=serial.SEVENBITS, parity=parity)
    flags = termios.tcgetattr(line.fd)[0]
    checks, marks = bool(flags & termios.INPCK), bool(flags & PARMRK)
    print(f"pyserial {serial.__version__}, {name}: INPCK {checks}, PARMRK {marks}")
    line.close()
    if checks:
        sys.exit(f"{name}: it checks parity now")
EOF
