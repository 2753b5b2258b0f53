//! Lines of an RFLink gateway, of python-rflink's tests.

use super::captures;
use tty2mqtt::testing::codec::decode::Decode;
use tty2mqtt::testing::config::tree;

const DECODER: &str = "{pairs: {between: ';', fields: [
    {name: TEMP, type: sm16, scale: 0.1}, {name: WINTMP, type: sm16, scale: 0.1},
    {name: WINCHL, type: sm16, scale: 0.1}, {name: HUM, type: number}, {name: UV, type: u16},
    {name: WINDIR, type: number, scale: 22.5}, {name: WINSP, type: u16, scale: 0.1},
    {name: WINGS, type: u16, scale: 0.1}, {name: AWINSP, type: u16, scale: 0.1},
    {name: RAIN, type: u16, scale: 0.1}, {name: RAINTOT, type: u16, scale: 0.1},
    {name: BARO, type: u16}]}}";

#[test]
fn rflink_lines_have_the_values_of_their_reader() {
    let Some(captures) = captures("rflink") else { return };
    let decoder = tree::parse::<Decode>(DECODER).unwrap().build().unwrap();
    let mut compared = 0;
    for capture in captures {
        let bytes = capture.bytes();
        let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
        // `line3: TEMP=17.5 C, HUM=53 % (decimal)`
        for part in capture.parts(";") {
            let (line, values) = part.split_once(": ").unwrap();
            let number: usize = line.strip_prefix("line").unwrap().parse().unwrap();
            let decoded = decoder.decode(lines[number - 1]);
            for value in values.split(", ") {
                let (name, value) = value.split_once('=').unwrap();
                let value = value.split(' ').next().unwrap();
                let found = decoded.readings.iter().find(|reading| reading.field == name);
                let found = found.map(|reading| reading.value.as_str());
                assert_eq!(found, Some(value), "{}: {line}: {name}", capture.file);
                compared += 1;
            }
        }
    }
    assert!(compared > 30, "{compared} values");
}
