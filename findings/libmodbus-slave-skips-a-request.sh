#!/bin/sh
# A Modbus RTU slave of libmodbus 3.1.6 (Debian 12, 3.1.6-2.1+deb12u1) waits half a second for the answer of
# another slave whenever that one was asked. A request to itself that comes within this time is taken for the
# other one's answer and dropped; sent later, or once more, it is answered.
#
# Matters because a master that gives an absent device less than 0.5 s loses the next request to each such
# slave on the line: it looks like a device with a time-out in each round, and only repeating helps. A master
# that asks absent devices ever more rarely loses ever less.
#
# Needs a C compiler and apt-get. Exits 0 while this is so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
version=3.1.6-2.1+deb12u1
apt-get download -qq -o APT::Sandbox::User=root "libmodbus5=$version" "libmodbus-dev=$version"
for package in *.deb; do dpkg -x "$package" root; done
library=$(dirname "$(find root -name 'libmodbus.so.5')")
cat >slave.c <<'EOF'
#include <modbus.h>
#include <stdio.h>
int main(int argc, char **argv) {
    modbus_mapping_t *tables = modbus_mapping_new(0, 0, 8, 0);
    modbus_t *line = modbus_new_rtu(argv[argc - 1], 9600, 'N', 8, 1);
    if (!tables || !line || modbus_set_slave(line, 5) || modbus_connect(line)) return 1;
    puts("ready");
    fflush(stdout);
    for (;;) {
        unsigned char request[MODBUS_RTU_MAX_ADU_LENGTH];
        int length = modbus_receive(line, request);
        if (length > 0) modbus_reply(line, request, length, tables);
    }
}
EOF
cc -o slave -I"$(dirname "$(find root -name modbus.h)")" slave.c "$library/libmodbus.so.5"
LD_LIBRARY_PATH=$library python3 - <<'EOF'
import os, pty, select, subprocess, sys, tty

master, port = pty.openpty()
tty.setraw(master)
slave = subprocess.Popen(["./slave", os.ttyname(port)], stdout=subprocess.PIPE, text=True)
assert slave.stdout.readline() == "ready\n"

def crc(data):
    sum = 0xFFFF
    for byte in data:
        sum ^= byte
        for _ in range(8):
            sum = sum >> 1 ^ (0xA001 if sum & 1 else 0)
    return sum.to_bytes(2, "little")

def ask(unit, seconds):
    """Asks a unit for holding register 0; whether anything comes within this time."""
    request = bytes([unit, 3, 0, 0, 0, 1])
    os.write(master, request + crc(request))
    answered = bool(select.select([master], [], [], seconds)[0])
    if answered:
        select.select([], [], [], 0.2)
        os.read(master, 256)
    print(f"unit {unit}: {'answered' if answered else f'no answer in {seconds} s'}")
    return answered

found = [ask(unit, seconds) for unit, seconds in ((5, 3), (9, 0.2), (5, 3), (5, 3), (9, 2), (5, 3))]
slave.kill()
if found != [True, False, False, True, False, True]:
    sys.exit("unit 5 was expected to skip the request soon behind that to unit 9, and no other")
EOF
