#!/bin/sh
# A Modbus RTU slave of pymodbus 3.16.1 (a SimDevice of its new simulator) answers for addresses that are not
# its own: to a request for another address, and to a broadcast (address 0), it sends exception 4 under the
# address that was asked. The Modbus over Serial Line specification V1.02, 2.1 and 2.2, has a slave silent to
# both. `broadcast_enable` mends the broadcast; `ignore_missing_devices`, which is there to mend the other,
# changes nothing with a SimDevice.
#
# Matters because it is what people try a bus with: beside such a slave an absent device seems to be there and
# out of order, not missing; on a real bus it would talk into the answers of the others; and a master that
# waits after a broadcast only has to count with an answer to nothing. A test of absent devices needs another
# slave.
#
# Exits 0 while this is so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check pymodbus==3.16.1 pyserial==3.5
"$folder/venv/bin/python" - <<'PYTHON'
import asyncio, logging, os, pty, struct, sys, tty
from pymodbus import FramerType, __version__
from pymodbus.server import ModbusSerialServer
from pymodbus.simulator import DataType, SimData, SimDevice

logging.disable(logging.CRITICAL)

def framed(*octets):
    crc = 0xFFFF
    for octet in octets:
        crc ^= octet
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return bytes(octets) + struct.pack("<H", crc)

REQUESTS = [
    ("read its register", framed(1, 3, 0, 0, 0, 1)),
    ("read of address 2", framed(2, 3, 0, 0, 0, 1)),
    ("broadcast 0x002A", framed(0, 6, 0, 0, 0, 0x2A)),
    ("read its register", framed(1, 3, 0, 0, 0, 1)),
]

async def answers(**options):
    master, slave = pty.openpty()
    tty.setraw(master)
    tty.setraw(slave)
    bits = [SimData(0, values=False, count=16, datatype=DataType.BITS)]
    words = [SimData(0, values=5, count=8, datatype=DataType.REGISTERS)]
    device = SimDevice(1, simdata=(bits, bits, words, words))
    server = ModbusSerialServer(device, framer=FramerType.RTU, port=os.ttyname(slave), baudrate=19200, **options)
    task = asyncio.create_task(server.serve_forever())
    loop, came = asyncio.get_running_loop(), asyncio.Queue()
    loop.add_reader(master, lambda: came.put_nowait(os.read(master, 256)))
    await asyncio.sleep(1)
    heard = []
    for _, request in REQUESTS:
        os.write(master, request)
        answer = b""
        while True:
            try:
                answer += await asyncio.wait_for(came.get(), 0.7)
            except asyncio.TimeoutError:
                break
        heard.append(answer)
    loop.remove_reader(master)
    await server.shutdown()
    task.cancel()
    return heard

async def main():
    read = lambda value: framed(1, 3, 2, 0, value)
    expected = {
        "as it comes": ({}, [read(5), framed(2, 0x83, 4), framed(0, 0x86, 4), read(5)]),
        "with both options": (
            {"ignore_missing_devices": True, "broadcast_enable": True}, [read(5), framed(2, 0x83, 4), b"", read(42)]),
    }
    same = True
    for name, (options, wanted) in expected.items():
        heard = await answers(**options)
        print(f"pymodbus {__version__}, {name}:")
        for (what, request), answer in zip(REQUESTS, heard):
            print(f"  {what:18} {request.hex(' ')}  ->  {answer.hex(' ') or 'silence'}")
        same = same and heard == wanted
    sys.exit(0 if same else "it answers otherwise now")

asyncio.run(main())
PYTHON
