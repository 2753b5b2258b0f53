"""`peer.py PATH SPEED BROKER-PORT INTERVAL-MS`: the 30 values of the line, read by pymodbus in two groups and
published by paho at QoS 1, as one would write it."""

import struct
import sys
import time

import paho.mqtt.client as mqtt
from pymodbus.client import ModbusSerialClient

GROUPS = [
    (0x00, 86, [*range(0x00, 0x26, 2), 0x2A, 0x2E, 0x30, 0x34, 0x38, 0x3C, 0x46, 0x48, 0x4A, 0x54]),
    (0x156, 2, [0x156]),
]


def main():
    path, speed, broker, interval = sys.argv[1], *map(int, sys.argv[2:])
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", broker)
    client.loop_start()
    bus = ModbusSerialClient(path, baudrate=speed, timeout=0.5)
    bus.connect()
    due = time.monotonic()
    while True:
        time.sleep(max(0, due - time.monotonic()))
        due = max(due + interval / 1000, time.monotonic())
        for start, count, places in GROUPS:
            answer = bus.read_input_registers(start, count=count, device_id=1)
            if answer.isError():
                continue
            for place in places:
                words = answer.registers[place - start : place - start + 2]
                (value,) = struct.unpack(">f", struct.pack(">HH", *words))
                client.publish(f"bench/line/r{place:03x}", str(value), qos=1)


main()
