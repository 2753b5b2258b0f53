//! How often decoders ask for memory: for a frame, and not for each of its fields.

use allocation_counter::measure;
use tty2mqtt::testing::codec::decode::Decode;
use tty2mqtt::testing::config::tree;

/// How many readings a frame has, and how many allocations its second decoding takes.
fn of_second(decode: &str, frame: &[u8]) -> (usize, u64) {
    let decoder = tree::parse::<Decode>(decode).unwrap().build().unwrap();
    let readings = decoder.decode(frame).readings.len();
    (readings, measure(|| drop(decoder.decode(frame))).count_total)
}

fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let pairs = digits.chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

const P1: &[u8] = b"ISk5\\2MT382-1000\r\n\r\n1-3:0.2.8(50)\r\n0-0:1.0.0(170102192002W)\r\n\
    1-0:1.8.1(000004.426*kWh)\r\n1-0:1.8.2(000002.399*kWh)\r\n1-0:2.8.1(000002.444*kWh)\r\n\
    1-0:2.8.2(000000.000*kWh)\r\n0-0:96.14.0(0002)\r\n1-0:1.7.0(00.244*kW)\r\n1-0:2.7.0(00.000*kW)\r\n\
    0-0:96.7.21(00013)\r\n1-0:32.7.0(0230.0*V)\r\n1-0:52.7.0(0230.0*V)\r\n1-0:31.7.0(0.48*A)\r\n\
    0-1:24.2.1(170102161005W)(00000.107*m3)\r\n";

/// Of a DZG DWSB20, without the transport around it.
const SML: &str = "7605a37b4400620062007263010176010102310b0a01445a470001020304016202631a61007605a47b44006200620072\
     63070177010b0a01445a470001020304070100620affff726201644d1fa875770701006032010101726201620062005200\
     04445a470177070100600100ff017262016200620052000b0a01445a4700010203040177070100010800ff641c79047262\
     01644d1fa8621e52ff5415bc060177070100020800ff01726201644d1fa8621e52ff550133cc\
     ca0177070100100700ff017262016200621b52fe5386a801010163327a007605a57b4400620062007263020171016381\
     4b00";

/// Of a Kamstrup meter with codes and values in turn.
const DLMS: &str = "e6e7000f000000000c07e6011801123a32ff80000002190a0e4b616d73747275705f563030303109060101000005ff0a\
     103537303635363939343438313835393309060101600101ff0a1236383431313338424e3234353130313033300906\
     0101010700ff060000033a09060101020700ff060000000009060101030700ff060000006809060101040700ff060000\
     00b0090601011f0700ff06000000ed09060101330700ff060000005909060101470700ff060000004b09060101200700\
     ff1200e809060101340700ff1200e909060101480700ff1200ec";

/// Of a Sensus PolluCom E.
const MBUS: &str = "684242680800726182 8163ae4c0804f90000000c06199001000c13191162010c3b000000000c2b00000000025a670102\
     5ee900036046310 00c78618281630cfd10618281631f5716";

const ROWS: &[u8] =
    b"ADCO 020622340123 >\r\nHCHC 001065963 _\r\nHCHP 019571184 7\r\nIINST 001 X\r\n\
    IMAX 060 E\r\nPAPP 00220 '\r\nHHPHC A ,\r\nMOTDETAT 000000 B\r\n";

const LINE: &[u8] = b"20;e5;Oregon BTHR;ID=9e5d;HUM=40;BARO=0983;WIND=12;";

const SENTENCE: &[u8] = b"$GPRMC,123519.00,A,4717.11399,N,00833.91590,E,0.004,77.52,091202,,,A*50";

/// `lists` are those of readings, of fields that came, of values that the device does not have, of groups and
/// of names; that of readings grows to 16 in three steps where there are no `fields`. A value that is
/// calculated, or came as bytes, stands in place.
#[test]
fn a_frame_takes_memory_for_its_lists_and_none_for_its_values() {
    let (sml, dlms, mbus) = (hex(SML), hex(DLMS), hex(MBUS));
    let rows = r#"{label: {columns: [label, value, _], between: "\r\n"}}"#;
    let pattern = r"{pattern: {patterns: ['HUM=(?<h>\d+);BARO=(?<p>\d+);WIND=(?<w>\d+)']}}";
    let meter = "{obis: {fields: [1.8.1, 1.8.2, 2.8.1, {name: u, from: 32.7.0, unit: V}]}}";
    let calculated = "{obis: {fields: [1.8.1, {name: w, from: 1.7.0, unit: W}]}}";
    let scaled = "{fields: {names: [{name: a, scale: 0.1}, {name: b, offset: -40}, {name: c, decimals: 1}]}}";
    let binary = "{binary: {fields: [{name: a, at: 0, type: i16, scale: 0.01}, {name: b, at: 2, type: f32}, \
                  {name: c, at: 6, type: time, format: epoch, length: 4}]}}";
    let bytes = [0xFF, 0x38, 0x42, 0xF6, 0xE9, 0x79, 0x65, 0xA1, 0xC8, 0xB7];
    for (decode, frame, readings, lists) in [
        ("obis", P1, 15, 3),
        (meter, P1, 4, 2),
        (calculated, P1, 2, 2),
        (rows, ROWS, 8, 2),
        (pattern, LINE, 3, 2),
        (scaled, b"21.5,100,3.14159", 3, 1),
        (binary, &bytes, 3, 1),
        ("nmea", SENTENCE, 6, 2),
        ("{nmea: {fields: [speed, course]}}", SENTENCE, 2, 1),
        ("sml", &sml, 8, 2),
        ("{sml: {fields: [1.8.0, 2.8.0, 16.7.0]}}", &sml, 3, 2),
        ("{dlms: {fields: [1.7.0, 32.7.0, 1.1.0.0.5.255]}}", &dlms, 3, 2),
        ("dlms", &dlms, 14, 3),
        ("mbus", &mbus, 16, 5),
        ("{mbus: {fields: [energy, volume]}}", &mbus, 2, 4),
    ] {
        let (came, allocations) = of_second(decode, frame);
        assert_eq!(came, readings, "{decode}");
        assert!(allocations <= lists, "{decode}: {allocations}");
    }
}
