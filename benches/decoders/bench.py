"""Instructions of a frame, from its bytes to its values, beside programs and libraries that read the same.

    bench.py FRAMES SML

FRAMES is our program of frames.rs, SML that of sml.c on libsml. Counted by callgrind, so that it does not matter
how busy the machine is; two runs of different length tell the cost of a frame from that of the start. The bytes
are published ones: an SML file of a DZG DWSB20 (devZer0/libsml-testing), the example telegram of DSMR 5.0.2 P1,
a frame of an Itron BM+m (rscada/libmbus), and two sentences of NMEA 0183 with the position of a manual by u-blox.

Measured on x86-64 with the release profile, in thousands of instructions:

             ours   theirs            ours/theirs
    SML      57.9     53.8 libsml        1.08
    NMEA     71.1     96.2 gpsdecode     0.74
    M-Bus    38.9    2,687 pyMeterBus    1/69
    P1      134.2    8,450 dsmr-parser   1/63
"""

import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
PYTHON = sys.executable

SML = bytes.fromhex(
    "1b1b1b1b010101017605a37b4400620062007263010176010102310b0a01445a470001020304016202631a61007605a4"
    "7b4400620062007263070177010b0a01445a470001020304070100620affff726201644d1fa875770701006032010101"
    "72620162006200520004445a470177070100600100ff017262016200620052000b0a01445a4700010203040177070100"
    "010800ff641c7904726201644d1fa8621e52ff5415bc060177070100020800ff01726201644d1fa8621e52ff550133cc"
    "ca0177070100100700ff017262016200621b52fe5386a801010163327a007605a57b4400620062007263020171016381"
    "4b0000001b1b1b1b1a02f262"
)
MBUS = bytes.fromhex(
    "683c3c680808725637211177040e160a0000000c7856372111041331d40000426c0000441300000000046d0b0bcd1302"
    "27000009fd0e0209fd0f060f00017513a716"
)
P1 = (
    "/ISk5\\2MT382-1000\r\n"
    "\r\n"
    "1-3:0.2.8(50)\r\n"
    "0-0:1.0.0(170102192002W)\r\n"
    "0-0:96.1.1(4B384547303538313435373535363131)\r\n"
    "1-0:1.8.1(000004.426*kWh)\r\n"
    "1-0:1.8.2(000002.399*kWh)\r\n"
    "1-0:2.8.1(000002.444*kWh)\r\n"
    "1-0:2.8.2(000000.000*kWh)\r\n"
    "0-0:96.14.0(0002)\r\n"
    "1-0:1.7.0(00.244*kW)\r\n"
    "1-0:2.7.0(00.000*kW)\r\n"
    "0-0:96.7.21(00013)\r\n"
    "0-0:96.7.9(00000)\r\n"
    "1-0:99.97.0(0)(0-0:96.7.19)\r\n"
    "1-0:32.32.0(00000)\r\n"
    "1-0:52.32.0(00000)\r\n"
    "1-0:72.32.0(00000)\r\n"
    "1-0:32.36.0(00000)\r\n"
    "1-0:52.36.0(00000)\r\n"
    "1-0:72.36.0(00000)\r\n"
    "0-0:96.13.0()\r\n"
    "1-0:32.7.0(0230.0*V)\r\n"
    "1-0:52.7.0(0230.0*V)\r\n"
    "1-0:72.7.0(0229.0*V)\r\n"
    "1-0:31.7.0(0.48*A)\r\n"
    "1-0:51.7.0(0.44*A)\r\n"
    "1-0:71.7.0(0.86*A)\r\n"
    "1-0:21.7.0(00.070*kW)\r\n"
    "1-0:41.7.0(00.032*kW)\r\n"
    "1-0:61.7.0(00.142*kW)\r\n"
    "1-0:22.7.0(00.000*kW)\r\n"
    "1-0:42.7.0(00.000*kW)\r\n"
    "1-0:62.7.0(00.000*kW)\r\n"
    "0-1:24.1.0(003)\r\n"
    "0-1:96.1.0(3232323241424344303237373632393932)\r\n"
    "0-1:24.2.1(170102161005W)(00000.107*m3)\r\n"
    "0-2:24.1.0(003)\r\n"
    "0-2:96.1.0()\r\n"
    "!EDB7\r\n"
).encode()


def nmea(n):
    """GGA and RMC of so many seconds: gpsdecode says something when the time has changed."""
    def sentence(text):
        check = 0
        for byte in text.encode():
            check ^= byte
        return f"${text}*{check:02X}\r\n".encode()

    stream = b""
    for second in range(n):
        time = f"{9 + second // 3600:02}{second // 60 % 60:02}{second % 60:02}.00"
        position = "4717.11399,N,00833.91590,E"
        stream += sentence(f"GPGGA,{time},{position},1,08,1.01,499.6,M,48.0,M,,")
        stream += sentence(f"GPRMC,{time},A,{position},0.004,77.52,091202,,,A")
    return stream


def instructions(command, read):
    """User instructions of a program with these bytes at its input."""
    with tempfile.TemporaryDirectory() as folder:
        out, source = Path(folder) / "out", Path(folder) / "in"
        source.write_bytes(read)
        valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", *command]
        with source.open("rb") as stdin:
            run = subprocess.run(valgrind, stdin=stdin, capture_output=True, check=False)
        if run.returncode:
            sys.exit(f"{command}: {run.stderr.decode()}")
        total = next(line for line in out.read_text().splitlines() if line.startswith("summary:"))
        return int(total.split()[1])


def each(command_and_read, short, long):
    """Instructions of one frame: the difference of a long and a short run."""
    return (
        instructions(*command_and_read(long)) - instructions(*command_and_read(short))
    ) / (long - short)


def main():
    frames, sml = (str(Path(name).resolve()) for name in sys.argv[1:])
    parse = [PYTHON, HERE / "parse.py"]
    gps = ["lines", "{xor8: {format: hex, from: 1, separator: '*'}}", "nmea"]
    long_frame = "{length: {prefix: 'hex:68', offset: 1, size: 1, add: 6}}"
    # Name, bytes, our command and input for n frames, theirs, how many of these, most of ours for each of theirs.
    kinds = [
        ("SML", SML, lambda n: ([frames, "sml", "none", "sml", str(n)], SML),
         "libsml", lambda n: ([sml, str(n)], SML * n), (20, 120), 2),
        ("NMEA", nmea(1), lambda n: ([frames, *gps, "1"], nmea(n)),
         "gpsdecode", lambda n: (["gpsdecode"], nmea(n)), (20, 220), 2),
        ("M-Bus", MBUS,
         lambda n: ([frames, long_frame, "{sum8: {from: 4, trailing: 1}}", "mbus", str(n)], MBUS),
         "pyMeterBus", lambda n: ([*parse, "mbus", str(n)], MBUS), (5, 15), 1 / 50),
        ("P1", P1, lambda n: ([frames, "p1", "none", "obis", str(n)], P1),
         "dsmr-parser", lambda n: ([*parse, "p1", str(n)], P1), (2, 7), 1 / 50),
    ]
    print(f"{'':8} {'bytes':>6} {'ours':>10} {'theirs':>12}  {'ours/theirs':>11}  wanted")
    for name, read, ours, theirs, their_command, (short, long), wanted in kinds:
        own = each(ours, 100, 600)
        other = each(their_command, short, long)
        ratio = own / other
        verdict = "" if ratio <= wanted else "  TOO MANY"
        print(f"{name:8} {len(read):>6} {own:>10.0f} {other:>12.0f}  {ratio:>11.4f}  {wanted:.4f} "
              f"({theirs}){verdict}")


main()
