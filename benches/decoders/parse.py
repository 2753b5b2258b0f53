"""Reads one telegram as often as told by a Python library: parse.py p1|mbus TIMES < BYTES."""

import sys

kind, times = sys.argv[1], int(sys.argv[2])
read = sys.stdin.buffer.read()
if kind == "p1":
    from dsmr_parser import telegram_specifications
    from dsmr_parser.parsers import TelegramParser

    parser = TelegramParser(telegram_specifications.V5)
    text = read.decode("ascii")
    for _ in range(times):
        values = len(list(parser.parse(text)))
else:
    import meterbus

    for _ in range(times):
        values = len(meterbus.load(read).interpreted["body"]["records"])
print(f"{times} frames, {values} values each")
