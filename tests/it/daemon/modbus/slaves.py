"""Slaves of pymodbus with random register maps: RTU and ASCII on serial ports, TCP on loopback.

`slaves.py SEED COUNT RTU-PORT ASCII-PORT TCP-PORT` prints one line of JSON for each device (its line, address,
settings, and what its fields must say), and `ready`. Registers are made by Python's struct. Ends with its
standard input. Each line of it, `LINE ADDRESS TABLE PLACE COUNT`, is answered with what the slave holds.
"""

import asyncio
import json
import logging
import random
import struct
import sys
from decimal import Decimal

from pymodbus import FramerType, ModbusDeviceIdentification
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

logging.disable(logging.CRITICAL)
chance = random.Random(int(sys.argv[1]))

INTEGERS = {"u16": ">H", "i16": ">h", "u32": ">I", "i32": ">i", "u64": ">Q", "i64": ">q"}
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def integer(kind):
    code = INTEGERS[kind]
    octets = chance.randbytes(struct.calcsize(code))
    if chance.random() < 0.3:
        octets = bytes(len(octets) - 1) + octets[-1:]
    return octets, struct.unpack(code, octets)[0]


def value():
    """Settings of a register, its bytes in ABCD, and what it must say: a decimal number or a text."""
    kind = chance.choice([*INTEGERS, *INTEGERS, "f32", "f32", "f64", "bcd", "text", "sm16", "sm32", "bits", "u8", "i8"])
    settings = {"type": kind}
    if kind in INTEGERS:
        octets, number = integer(kind)
        number = Decimal(number)
        if kind[1:] != "64" and chance.random() < 0.5:
            settings["scale"] = scale = chance.choice(["0.1", "0.01", "0.001", "10", "0.5"])
            number *= Decimal(scale)
            if chance.random() < 0.3:
                settings["offset"] = "-40"
                number -= 40
        return settings, octets, {"number": f"{number:f}"}
    if kind in ("f32", "f64"):
        code = ">f" if kind == "f32" else ">d"
        number = chance.choice([chance.uniform(-1000, 1000), chance.uniform(-1e6, 1e6), chance.randrange(400), 0.1])
        octets = struct.pack(code, number)
        return settings, octets, {kind: octets.hex()}
    if kind == "bcd":
        settings["length"] = length = chance.choice([2, 4, 8])
        digits = "".join(chance.choice("0123456789") for _ in range(2 * length))
        return settings, bytes.fromhex(digits), {"number": str(int(digits))}
    if kind == "text":
        settings["length"] = length = 2 * chance.randrange(1, 13)
        text = "".join(chance.choice(LETTERS) for _ in range(chance.randrange(1, length + 1)))
        return settings, text.encode().ljust(length, b"\0"), {"text": text}
    if kind in ("sm16", "sm32"):
        bits = int(kind[2:])
        size, sign = chance.randrange(1, 1 << (bits - 1)), chance.randrange(2)
        return settings, (sign << (bits - 1) | size).to_bytes(bits // 8), {"number": str(-size if sign else size)}
    if kind == "bits":
        first, octets = chance.randrange(0, 12), chance.randbytes(2)
        last = chance.randrange(first, 16)
        field = int.from_bytes(octets) >> first & ((1 << (last - first + 1)) - 1)
        return {"type": "u16", "bits": f"{first}-{last}"}, octets, {"number": str(field)}
    octets = chance.randbytes(2)
    number = octets[1] if kind == "u8" else struct.unpack("b", octets[1:])[0]
    return settings, octets, {"number": str(number)}


def swapped(octets):
    return b"".join(octets[n : n + 2][::-1] for n in range(0, len(octets), 2))


def arranged(octets, order, is_text):
    """From ABCD into an order; the words of a text always follow each other."""
    words = [octets[n : n + 2] for n in range(0, len(octets), 2)]
    if order in ("CDAB", "DCBA") and not is_text:
        words.reverse()
    joined = b"".join(words)
    return swapped(joined) if order in ("BADC", "DCBA") else joined


def device(address):
    """A device, its settings, and what its fields must say."""
    orders = ["ABCD", "CDAB", "BADC", "DCBA"]
    usual = chance.choice(orders)
    settings = {"address": address, "byte_order": usual, "registers": {}}
    if chance.random() < 0.7:
        settings["join"] = {"gap": chance.randrange(0, 20), "count": chance.choice([4, 16, 40, 125])}
    # What lies between the values exists, or is refused when it is read along.
    is_dense = chance.random() < 0.5
    expected, tables = {}, {}
    for table in ("holding", "input"):
        at = first = chance.randrange(0, 60_000)
        held = {}
        for n in range(chance.randrange(1, 15)):
            more, octets, said = value()
            order = usual
            if chance.random() < 0.2:
                more["byte_order"] = order = chance.choice(orders)
            name = f"{table[0]}{n}"
            settings["registers"][name] = {table: at, **more}
            expected[name] = said
            octets = arranged(octets, order, "text" in said)
            for word in struct.unpack(f">{len(octets) // 2}H", octets):
                held[at] = word
                at += 1
            at += chance.choice([0, 0, 0, 1, 3, 12])
        if is_dense:
            held = {place: held.get(place, 0xDEAD) for place in range(first, at)}
        if table == "holding":
            # One that is written.
            settings["registers"]["written"] = {"holding": 65_000, "type": "i32", "write": True}
            held.update({65_000: 0, 65_001: 0})
        tables[table] = [SimData(place, values=held[place], datatype=DataType.REGISTERS) for place in sorted(held)]
    for table in ("coil", "discrete"):
        first, count = chance.randrange(0, 60_000), chance.randrange(1, 40)
        bits = [chance.random() < 0.5 for _ in range(count)]
        for n in chance.sample(range(count), min(count, 6)):
            name = f"{table[0]}{n}"
            settings["registers"][name] = {table: first + n}
            expected[name] = {"text": "ON" if bits[n] else "OFF"}
        tables[table] = [SimData(first, values=bits, datatype=DataType.BITS)]
    blocks = tuple(tables[table] for table in ("coil", "discrete", "holding", "input"))
    return SimDevice(address, simdata=blocks), settings, expected


IDENTITY = ModbusDeviceIdentification(info_name={"VendorName": "Maker", "ProductCode": "Maps", "MajorMinorRevision": "1.0"})

FUNCTIONS = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}


async def main():
    count, rtu, ascii_port, tcp = int(sys.argv[2]), sys.argv[3], sys.argv[4], int(sys.argv[5])
    lines = {"rtu": [], "ascii": [], "tcp": []}
    for n in range(count):
        line = ("rtu", "rtu", "ascii", "tcp")[n % 4]
        slave, settings, expected = device(len(lines[line]) + 1)
        lines[line].append(slave)
        print(json.dumps({"line": line, "name": f"{line}{n}", "settings": settings, "expected": expected}))
    serial = {"baudrate": 115_200, "identity": IDENTITY}
    servers = {
        "rtu": ModbusSerialServer(lines["rtu"], framer=FramerType.RTU, port=rtu, **serial),
        "ascii": ModbusSerialServer(lines["ascii"], framer=FramerType.ASCII, port=ascii_port, **serial),
        "tcp": ModbusTcpServer(lines["tcp"], address=("127.0.0.1", tcp)),
    }
    for server in servers.values():
        await server.serve_forever(background=True)
    print("ready", flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        name, address, table, place, number = line.split()
        context = servers[name].context
        held = await context.async_getValues(int(address), FUNCTIONS[table], int(place), int(number))
        print(json.dumps([int(word) for word in held]), flush=True)


asyncio.run(main())
