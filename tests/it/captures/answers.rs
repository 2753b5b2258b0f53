//! What batteries, inverters and gateways of nodes answer or send, compared with the values of their readers.

use super::{Capture, captures, frames};
use tty2mqtt::testing::codec::decode::Decode;
use tty2mqtt::testing::config::tree;

/// The fields of a frame, by these fields of `binary`, each `name, at, type` and more keys.
fn binary(endian: &str, fields: &str, frame: &[u8]) -> Vec<(String, String)> {
    read(&format!("{{binary: {{endian: {endian}, fields: [{fields}]}}}}"), frame)
}

/// Whole numbers of two bytes in turn, which are thousandths if `scale` is 0.001.
fn numbers(
    name: &str,
    at: usize,
    scale: &str,
    frame: &[u8],
    endian: &str,
) -> Vec<(String, String)> {
    read(
        &format!(
            "{{binary: {{endian: {endian}, repeat: [{{at: {at}, step: 2, fields: [{{name: '{name}{{n}}', \
             at: 0, type: u16, scale: {scale}}}]}}]}}}}"
        ),
        frame,
    )
}

fn read(decode: &str, frame: &[u8]) -> Vec<(String, String)> {
    let decoder = tree::parse::<Decode>(decode).unwrap().build().unwrap();
    let decoded = decoder.decode(frame);
    assert!(decoded.rejected.is_empty(), "{:?}", decoded.rejected);
    let value = |it: &_| -> (String, String) {
        let tty2mqtt::testing::codec::value::Reading { field, value, .. } = it;
        (field.to_string(), value.as_str().to_owned())
    };
    decoded.readings.iter().map(value).collect()
}

/// Compares each `name=number unit` of a text with what was read, by its amount; returns how many.
fn compare(file: &str, expected: &str, found: &[(String, String)]) -> usize {
    let mut compared = 0;
    for part in expected.split([';', '|']).map(str::trim) {
        let Some((name, value)) = part.split_once('=') else { continue };
        let Some((_, found)) = found.iter().find(|(field, _)| field == name) else { continue };
        let value = value.split(' ').next().unwrap_or_default();
        let expected = match value.strip_prefix("0x") {
            Some(digits) => i64::from_str_radix(digits, 16).unwrap() as f64,
            None => value.parse().unwrap_or_else(|e| panic!("{file}: {part}: {e}")),
        };
        let found: f64 = found.parse().unwrap();
        assert!((found - expected).abs() < 1e-9, "{file}: {part}: {found}");
        compared += 1;
    }
    compared
}

fn of<'a>(all: &'a [Capture], file: &str) -> &'a Capture {
    all.iter().find(|capture| capture.file == file).unwrap_or_else(|| panic!("no {file}"))
}

#[test]
fn jbd_batteries_have_the_values_of_their_reader() {
    let Some(all) = captures("bms") else { return };
    const FRAMING: &str = "{length: {prefix: 'hex:DD', offset: 3, size: 1, add: 7}}";
    const PACK: &str = "{name: voltage, at: 4, type: u16, scale: 0.01}, {name: current, at: 6, type: i16, scale: 0.01}, \
        {name: remaining, at: 8, type: u16, scale: 0.01}, {name: capacity, at: 10, type: u16, scale: 0.01}, \
        {name: cycles, at: 12, type: u16}, {name: year, at: 14, type: u16, bits: 9-15, offset: 2000}, \
        {name: month, at: 14, type: u16, bits: 5-8}, {name: day, at: 14, type: u16, bits: 0-4}, \
        {name: protection, at: 20, type: u16}, {name: version, at: 22, type: u8}, {name: soc, at: 23, type: u8}, \
        {name: fet, at: 24, type: u8}, {name: cells, at: 25, type: u8}, {name: probes, at: 26, type: u8}";
    let mut compared = 0;
    for capture in all.iter().filter(|capture| capture.file.starts_with("bms/jbd_")) {
        let mut found = Vec::new();
        // The sum leaves out the start and the command.
        let (frames, _) =
            frames(FRAMING, Some("{lrc16: {from: 2, trailing: 1}}"), &capture.bytes());
        for frame in &frames {
            let data = &frame[..];
            match frame[1] {
                0x03 => {
                    found.extend(binary("big", PACK, data));
                    let probes = usize::from(frame[26]);
                    let kelvins = numbers("", 27, "1", &data[..27 + 2 * probes], "big");
                    // Tenths of a kelvin, as the reader has them: from 273.1.
                    found.extend(kelvins.iter().map(|(n, tenths)| {
                        let tenths: i32 = tenths.parse().unwrap();
                        (format!("temp{n}"), format!("{:.1}", f64::from(tenths - 2731) / 10.0))
                    }));
                }
                0x04 => found.extend(numbers("cell", 4, "0.001", data, "big")),
                0xAA => found.extend(numbers("counter", 4, "1", data, "big")),
                0x05 => {
                    let model = std::str::from_utf8(&data[4..]).unwrap();
                    let wanted = format!("model={model:?}");
                    assert!(capture.expected.contains(&wanted), "{}: {model}", capture.file);
                }
                _ => {}
            }
        }
        let part = |name| &*found.iter().find(|(field, _)| field == name).unwrap().1;
        let date = format!("date={}-{:0>2}-{:0>2}", part("year"), part("month"), part("day"));
        assert!(capture.expected.contains(&date), "{}: {date}", capture.file);
        let of_date = |part: &&str| !part.contains("date=") && !part.contains("model=");
        let others: Vec<&str> = capture.parts(";").filter(of_date).collect();
        compared += compare(&capture.file, &others.join(";"), &found);
    }
    assert!(compared >= 55, "{compared} values");
}

#[test]
fn a_daly_battery_has_the_values_of_its_reader() {
    let Some(all) = captures("bms") else { return };
    let capture = of(&all, "bms/daly_uart_16s.hex");
    let (frames, counts) =
        frames("{fixed: {size: 13, prefix: 'hex:A5 01'}}", Some("sum8"), &capture.bytes());
    assert_eq!(counts.bad.total(), 0);
    let mut found = Vec::new();
    let mut cells = Vec::new();
    for frame in &frames {
        found.extend(match frame[2] {
            0x90 => binary(
                "big",
                "{name: voltage, at: 4, type: u16, scale: 0.1}, {name: current, at: 8, type: u16, scale: 0.1, \
                 offset: -3000}, {name: soc, at: 10, type: u16, scale: 0.1}",
                frame,
            ),
            0x91 => binary(
                "big",
                "{name: max, at: 4, type: u16, scale: 0.001}, {name: min, at: 7, type: u16, scale: 0.001}",
                frame,
            ),
            0x94 => binary(
                "big",
                "{name: cells, at: 4, type: u8}, {name: probes, at: 5, type: u8}",
                frame,
            ),
            0x93 => binary(
                "big",
                "{name: state, at: 4, type: u8}, {name: charge_mos, at: 5, type: u8}, {name: discharge_mos, at: 6, \
                 type: u8}, {name: cycles, at: 7, type: u8}, {name: remaining, at: 8, type: u32, scale: 0.001}",
                frame,
            ),
            0x95 => {
                let three = numbers("", 5, "0.001", &frame[..11], "big");
                let three: Vec<_> = three.iter().map(|(_, volts)| format!("{volts} V")).collect();
                cells.push(format!("frame{}: {}", frame[4], three.join(" ")));
                continue;
            }
            other => panic!("{other:#x}"),
        });
    }
    let compared = compare(&capture.file, &capture.expected, &found);
    assert_eq!(compared, 12, "{found:?}");
    let wanted: Vec<&str> = capture.parts("|").filter(|part| part.starts_with("frame")).collect();
    assert_eq!(cells, wanted);
}

#[test]
fn a_jk_battery_answers_between_the_polls_of_its_bus() {
    let Some(all) = captures("bms") else { return };
    let capture = of(&all, "bms/jk_pb_bus_with_polls.hex");
    let framing = "{fixed: {size: 300, prefix: 'hex:55 AA EB 90 02'}}";
    let (frames, _) = frames(framing, Some("sum8"), &capture.bytes());
    let [frame] = &frames[..] else { panic!("{} frames", frames.len()) };
    let mut found = numbers("cell", 6, "0.001", &frame[..6 + 2 * 16], "little");
    found.extend(binary(
        "little",
        "{name: voltage, at: 150, type: u32, scale: 0.001}, {name: power, at: 154, type: u32, scale: 0.001}, \
         {name: current, at: 158, type: i32, scale: 0.001}, {name: temp1, at: 162, type: i16, scale: 0.1}, \
         {name: temp2, at: 164, type: i16, scale: 0.1}, {name: soc, at: 173, type: u8}",
        frame,
    ));
    let (_, expected) = capture.expected.split_once("offset 132: ").unwrap();
    assert_eq!(compare(&capture.file, expected, &found), 22);
}

#[test]
fn a_seplos_battery_answers_by_modbus_at_address_0() {
    let Some(all) = captures("bms") else { return };
    let capture = of(&all, "bms/seplos_v3_modbus.hex");
    let checked: Vec<_> = capture
        .bursts
        .iter()
        .map(|burst| {
            let (mut frames, _) = frames("{gap: {after: 20ms}}", Some("crc16-modbus"), burst);
            assert_eq!(frames.len(), 1, "{burst:x?}");
            frames.remove(0)
        })
        .collect();
    let [registers, next, exception] = &checked[..] else { panic!("{} bursts", checked.len()) };
    let values = binary(
        "big",
        "{name: voltage, at: 3, type: u16, scale: 0.01}, {name: remaining_low, at: 11, type: u16, scale: 0.01}, \
         {name: capacity_low, at: 15, type: u16, scale: 0.01}, {name: current_low, at: 7, type: i16, scale: 0.01}",
        registers,
    );
    let value = |name| &*values.iter().find(|(field, _)| field == name).unwrap().1;
    for (name, word) in [
        ("voltage", "voltage"),
        ("current", "current_low"),
        ("remaining", "remaining_low"),
        ("capacity", "capacity_low"),
    ] {
        let wanted = format!("{name}={} ", value(word));
        assert!(capture.expected.contains(&wanted), "{wanted}");
    }
    let data = &registers[..3 + usize::from(registers[2])];
    let all: Vec<_> = numbers("", 3, "1", data, "big").into_iter().map(|(_, n)| n).collect();
    assert!(capture.expected.contains(&format!("registers=[{}]", all.join(", "))), "{all:?}");
    assert!(capture.expected.contains(&format!("next answer {} bytes", capture.bursts[1].len())));
    assert_eq!(usize::from(next[2]), capture.bursts[1].len() - 5);
    let code: String = capture.bursts[2].iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(capture.expected.contains(&format!("exception {code}")) && exception[1] == 0x84);
}

#[test]
fn a_lithionics_battery_has_the_values_of_its_reader() {
    let Some(all) = captures("bms") else { return };
    let capture = of(&all, "bms/lithionics_ascii.txt");
    let (frames, _) = frames("lines", None, &capture.bytes());
    assert_eq!(&frames[0][..], b"ERROR");
    assert!(frames[2].starts_with(b"&"));
    let names = "{fields: {separator: ',', names: [{name: voltage, scale: 0.01}, {name: c1, scale: 0.01}, \
                 {name: c2, scale: 0.01}, {name: c3, scale: 0.01}, {name: c4, scale: 0.01}, temperature1, temperature2, \
                 {name: current, type: number}, soc, {name: status, type: text}]}}";
    let found = read(names, &frames[1]);
    let value = |name| &*found.iter().find(|(field, _)| field == name).unwrap().1;
    let cells = ["c1", "c2", "c3", "c4"].map(value).join(" ");
    assert!(capture.expected.contains(&format!("cells={cells} V")), "{cells}");
    assert!(capture.expected.contains(&format!("status={}", value("status"))));
    let others =
        capture.parts(";").filter(|part| !part.contains("cells") && !part.contains("status"));
    let others: Vec<_> = others.collect();
    assert_eq!(compare(&capture.file, &others.join(";"), &found), 5);
}

#[test]
fn a_votronic_display_link_has_the_values_of_its_reader() {
    let Some(all) = captures("bms") else { return };
    let capture = of(&all, "bms/votronic_smartshunt.hex");
    let (frames, _) = frames(
        "{fixed: {size: 16, prefix: 'hex:AA'}}",
        Some("{xor8: {from: 1}}"),
        &capture.bytes(),
    );
    assert!(capture.expected.contains(&format!("frames with right XOR={};", frames.len())));
    let first = frames.iter().find(|frame| frame[1] == 0xCA).unwrap();
    let found = binary(
        "little",
        "{name: battery, at: 2, type: u16, scale: 0.01}, {name: second, at: 4, type: u16, scale: 0.01}, \
         {name: remaining, at: 6, type: u16}, {name: soc, at: 10, type: u8}, {name: current, at: 12, type: i24, scale: 0.001}",
        first,
    );
    let (_, expected) = capture.expected.split_once("first 0xCA: ").unwrap();
    assert_eq!(compare(&capture.file, expected, &found), 5, "{found:?}");
}

#[test]
fn a_mysensors_gateway_says_what_its_reader_has() {
    let Some(all) = captures("mysensors") else { return };
    let [capture] = &all[..] else { panic!("{} captures", all.len()) };
    let (frames, _) = frames("lines", None, &capture.bytes());
    let label = "{label: {separator: ';', columns: [id, child, command, _, label, value], fields: [\
                 {name: V_LIGHT_LEVEL, from: '23'}, {name: V_HUM, from: '1'}, \
                 {name: I_BATTERY_LEVEL, from: '0', type: number, unavailable: [-1]}, \
                 {name: I_HEARTBEAT_RESPONSE, from: '22', type: number}]}}";
    let decoder = tree::parse::<Decode>(label).unwrap().build().unwrap();
    let mut values = Vec::new();
    // Only what is set (command 1) and internal (3) has such a meaning; a presentation's types are others.
    for frame in frames
        .iter()
        .filter(|frame| matches!(frame.split(|b| *b == b';').nth(2), Some(b"1" | b"3")))
    {
        let decoded = decoder.decode(frame);
        values.extend(
            decoded.readings.iter().map(|it| format!("{}={}", &*it.field, it.value.as_str())),
        );
        values.extend(decoded.no_values.iter().map(|it| format!("{} has none", &*it.field)));
    }
    let at = |wanted: &str| values.iter().position(|value| value == wanted);
    let order = [
        "V_LIGHT_LEVEL=43",
        "V_HUM=75",
        "I_BATTERY_LEVEL=79",
        "I_BATTERY_LEVEL has none",
        "I_HEARTBEAT_RESPONSE=123456",
        // The word "bad" is no number.
        "I_HEARTBEAT_RESPONSE has none",
    ];
    let places: Vec<_> = order.iter().map(|wanted| at(wanted)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{values:?}");
}

#[test]
fn answers_of_voltronic_inverters_are_those_of_their_reader() {
    let Some(all) = captures("voltronic") else { return };
    let mut answers = 0;
    for capture in &all {
        let is_pi18 = capture.file.contains("pi18");
        let start = if is_pi18 { "^" } else { "(" };
        let (frames, counts) = frames(
            &format!("{{delimited: {{start: '{start}', end: \"\\r\"}}}}"),
            Some("{crc16-xmodem: {avoid: 'hex:28 0D 0A'}}"),
            &capture.bytes(),
        );
        let text = |frame: &bytes::Bytes| {
            let inner = String::from_utf8_lossy(frame);
            format!("{start}{}", inner.trim_start_matches(start).trim_end_matches('\r'))
        };
        let found: Vec<_> = frames.iter().map(text).collect();
        let is_wrong = |part: &&str| part.starts_with("CRC WRONG");
        let wrong = capture.parts("|").filter(is_wrong).count();
        let wanted: Vec<_> = capture.parts("|").filter(|part| !is_wrong(part)).collect();
        let found: Vec<_> = found.iter().map(|answer| answer.trim_end()).collect();
        assert_eq!(found, wanted, "{}", capture.file);
        assert_eq!(counts.bad.total(), wrong as u64, "{}", capture.file);
        answers += found.len();
    }
    assert!(answers >= 22, "{answers} answers");
}
