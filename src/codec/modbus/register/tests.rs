//! Registers by their settings: what they read, what they write, and what is wrong with them.

use super::*;
use crate::base::scalar::parse_hex;
use crate::codec::decode::Decoded;
use crate::codec::modbus::Request;
use crate::config::tree::parse;
use proptest::prelude::*;

fn all(yaml: &str) -> Result<Vec<Register>, Vec<BuildError>> {
    let settings: BTreeMap<String, RegisterSettings> = parse(yaml).unwrap();
    build_all(settings.iter().map(|(name, it)| (name.as_str(), it)), ByteOrder::Abcd)
}

/// The register `x` of some YAML.
fn register(yaml: &str) -> Register {
    all(&format!("{{x: {yaml}}}")).unwrap().remove(0)
}

fn hex(digits: &str) -> Vec<u8> {
    parse_hex(digits).unwrap()
}

/// What a register reads from these bytes: a value, `none`, or why it was rejected.
fn value(register: &Register, bytes: &[u8]) -> String {
    let mut out = Decoded::default();
    register.decode(bytes, &mut out);
    match (out.readings.first(), out.rejected.first()) {
        (Some(reading), None) => reading.value.as_str().to_owned(),
        (None, Some(rejected)) => rejected.reason.word().to_owned(),
        (None, None) => "none".to_owned(),
        both => panic!("{both:?}"),
    }
}

#[test]
fn types_and_orders() {
    for (settings, bytes, expected) in [
        ("{input: 0}", "FF FE", "65534"),
        ("{input: 0, type: i16, scale: 0.1}", "FF FE", "-0.2"),
        ("{input: 0, type: u8}", "12 FF", "255"),
        ("{input: 0, type: i8}", "12 FF", "-1"),
        ("{input: 0, type: sm16}", "80 05", "-5"),
        ("{input: 0, type: sm32}", "80 00 00 05", "-5"),
        ("{input: 0, type: sm32}", "00 01 00 00", "65536"),
        ("{input: 0, type: sm16}", "80 00", "0"),
        ("{input: 0, type: u32}", "00 01 00 02", "65538"),
        ("{input: 0, type: u32, byte_order: CDAB}", "00 02 00 01", "65538"),
        ("{input: 0, type: u32, byte_order: BADC}", "01 00 02 00", "65538"),
        ("{input: 0, type: u32, byte_order: DCBA}", "02 00 01 00", "65538"),
        ("{input: 0, type: i64, byte_order: CDAB}", "FF FE FF FF FF FF FF FF", "-2"),
        ("{input: 0, type: f32}", "43 66 80 00", "230.5"),
        ("{input: 0, type: f32, byte_order: CDAB, decimals: 2}", "80 00 43 66", "230.50"),
        ("{input: 0, type: f32}", "7F C0 00 00", "none"),
        ("{input: 0, type: f64, byte_order: DCBA}", "00 00 00 00 00 00 F8 3F", "1.5"),
        ("{input: 0, type: bcd, length: 4}", "12 34 56 78", "12345678"),
        ("{input: 0, type: bcd, length: 3}", "12 34 56 00", "123456"),
        ("{input: 0, type: bcd, length: 4, byte_order: CDAB}", "56 78 12 34", "12345678"),
        ("{input: 0, type: bcd, length: 2}", "1A 34", "malformed"),
        ("{input: 0, type: text, length: 5}", "41 42 43 00 00 FF", "ABC"),
        ("{input: 0, type: text, length: 5, byte_order: BADC}", "42 41 44 43 FF 45", "ABCDE"),
        ("{input: 0, type: text, length: 4, byte_order: CDAB}", "41 42 43 44", "ABCD"),
        ("{input: 0, type: bytes, length: 3}", "0A 0B 0C 0D", "0a0b0c"),
        ("{input: 0, bits: 4-7}", "12 3F", "3"),
        ("{input: 0, type: u32, bits: 16}", "00 01 00 00", "1"),
        ("{input: 0, bits: 0, lookup: {0: closed, 1: open}}", "FF FF", "open"),
        ("{input: 0, type: i16, unavailable: [0x8000]}", "80 00", "none"),
        ("{input: 0, lookup: {3: fault}}", "00 03", "fault"),
        ("{input: 0, scale: 0.1, offset: -40, unit: °C}", "02 8A", "25.0"),
        ("{coil: 7}", "01", "ON"),
        ("{discrete: 7}", "00", "OFF"),
        ("{discrete: 7, lookup: {0: closed, 1: open}}", "01", "open"),
        ("{input: 0, type: u32}", "00 01", "missing"),
        ("{coil: 0}", "", "missing"),
    ] {
        assert_eq!(value(&register(settings), &hex(bytes)), expected, "{settings}");
    }
}

#[test]
fn a_device_has_a_byte_order_that_its_registers_override() {
    let settings: BTreeMap<String, RegisterSettings> =
        parse("{a: {input: 0, type: u32}, b: {input: 0, type: u32, byte_order: ABCD}}").unwrap();
    let named = settings.iter().map(|(name, it)| (name.as_str(), it));
    let registers = build_all(named, ByteOrder::Cdab).unwrap();
    let values: Vec<_> = registers.iter().map(|it| value(it, &hex("00 02 00 01"))).collect();
    assert_eq!(values, ["65538", "131073"]);
}

#[test]
fn a_power_of_ten_is_read_together_with_its_number() {
    let registers = all(
        "{power: {holding: 40072, type: i16, scale_from: sf}, sf: {holding: 40074, type: i16}}",
    )
    .unwrap();
    let power = &registers[0];
    assert_eq!(power.place, Place { table: Table::Holding, start: 40072, count: 3 });
    for (bytes, expected) in [
        ("08 FD 00 00 FF FF", "230.1"),
        ("08 FD 00 00 00 00", "2301"),
        ("08 FD 00 00 00 02", "230100"),
        ("08 FD 00 00 80 00", "none"),
        ("08 FD 00 00", "none"),
    ] {
        assert_eq!(value(power, &hex(bytes)), expected, "{bytes}");
    }
    let registers =
        all("{power: {holding: 12, type: u32, scale_from: sf}, sf: {holding: 10, type: i16}}")
            .unwrap();
    assert_eq!(registers[0].place, Place { table: Table::Holding, start: 10, count: 4 });
    assert_eq!(value(&registers[0], &hex("FF FE 00 00 00 01 00 02")), "655.38");
}

/// The registers that a payload writes, in hexadecimal, or why it is refused.
fn written(settings: &str, payload: &str) -> String {
    match register(settings).encode(payload) {
        Ok(request @ (Request::WriteCoils { .. } | Request::WriteRegisters { .. })) => {
            request.written().iter().map(|byte| format!("{byte:02X}")).collect()
        }
        Ok(Request::WriteRegister { value, .. }) => format!("one {value:04X}"),
        Ok(request) => format!("{request:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn payloads_become_registers() {
    let setpoint = "{holding: 0x20, type: i16, scale: 0.1, write: {min: 5, max: 30, step: 0.5}}";
    let select = "{holding: 1, lookup: {0: eco, 3: comfort}, write: true}";
    let values = "{holding: 1, write: {values: {eco: 0, comfort: 3}}}";
    for (settings, payload, expected) in [
        (setpoint, "21.5", "one 00D7"),
        (setpoint, " 5 ", "one 0032"),
        (setpoint, "30.0", "one 012C"),
        (setpoint, "2.15e1", "one 00D7"),
        (setpoint, "21.499999999999996", "one 00D7"),
        (setpoint, "21.4", "off step 0.5 from 5"),
        (setpoint, "30.5", "outside 5 to 30"),
        (setpoint, "4.5", "outside 5 to 30"),
        (setpoint, "warm", "not a number"),
        (setpoint, "", "not a number"),
        (setpoint, "1e99", "not a number"),
        ("{holding: 0, type: i16, scale: 0.1, write: true}", "21.36", "one 00D6"),
        ("{holding: 0, type: i16, scale: 0.1, write: true}", "-0.05", "one FFFF"),
        ("{holding: 0, type: i16, scale: 0.1, write: true}", "3276.8", "outside -3276.8 to 3276.7"),
        ("{holding: 0, offset: -40, write: true}", "-40", "one 0000"),
        ("{holding: 0, offset: -40, write: true}", "-41", "outside -40 to 65495"),
        ("{holding: 0, type: sm16, write: true}", "-5", "one 8005"),
        ("{holding: 0, type: u32, byte_order: CDAB, write: true}", "65538", "00020001"),
        ("{holding: 0, type: i64, byte_order: DCBA, write: true}", "-2", "FEFFFFFFFFFFFFFF"),
        ("{holding: 0, type: u64, write: true}", "18446744073709551615", "FFFFFFFFFFFFFFFF"),
        ("{holding: 0, type: f32, write: true}", "230.5", "43668000"),
        ("{holding: 0, type: f32, scale: 0.1, write: {max: 3}}", "1.5", "41700000"),
        ("{holding: 0, type: f32, write: {max: 3}}", "3.01", "above 3"),
        ("{holding: 0, type: f32, write: {step: 0.1}}", "1.5000000000000002", "3FC00000"),
        ("{holding: 0, type: f32, write: {step: 0.1}}", "1.55", "off step 0.1 from 0"),
        ("{holding: 0, type: f32, write: {min: -3}}", "-3.01", "below -3"),
        ("{holding: 0, type: f32, write: true}", "1e39", "not a number"),
        ("{holding: 0, type: f64, byte_order: CDAB, write: true}", "1.5", "0000000000003FF8"),
        ("{holding: 0, type: bcd, length: 4, write: true}", "123456", "00123456"),
        ("{holding: 0, type: bcd, length: 2, write: true}", "12345", "outside 0 to 9999"),
        ("{holding: 0, type: text, length: 5, write: true}", "AB", "414200000000"),
        ("{holding: 0, type: text, length: 4, byte_order: BADC, write: true}", "ABC", "42410043"),
        ("{holding: 0, type: text, length: 4, write: true}", "ABCDE", "longer than 4 bytes"),
        ("{holding: 0, type: bytes, length: 2, write: true}", "0A 0B", "one 0A0B"),
        ("{holding: 0, type: bytes, length: 2, write: true}", "0A", "not 2 bytes in hexadecimal"),
        (select, "comfort", "one 0003"),
        (select, "3", "none of comfort, eco"),
        (values, "comfort", "one 0003"),
        (values, "off", "none of comfort, eco"),
        ("{holding: 1, lookup: {0: off}, write: {min: 0, max: 9}}", "off", "one 0000"),
        ("{holding: 1, lookup: {0: off}, write: {min: 0, max: 9}}", "7", "one 0007"),
        ("{holding: 1, write: {multiple: true}}", "7", "0007"),
        ("{coil: 7, write: true}", "ON", "WriteCoil { at: 7, on: true }"),
        ("{coil: 7, write: true}", "OFF", "WriteCoil { at: 7, on: false }"),
        ("{coil: 7, write: true}", "on", "none of OFF, ON"),
        ("{coil: 7, write: {multiple: true}}", "ON", "01"),
        (
            "{coil: 7, write: {values: {open: 1, closed: 0}}}",
            "open",
            "WriteCoil { at: 7, on: true }",
        ),
        ("{holding: 1}", "1", "it can only be read"),
        ("{holding: 1, write: false}", "1", "it can only be read"),
    ] {
        assert_eq!(written(settings, payload), expected, "{settings} ← {payload:?}");
    }
    let values = register(values);
    assert_eq!(values.write_text(&values.encode("comfort").unwrap().written()), "comfort");
    let open = register("{coil: 7, write: {values: {open: 1, closed: 0}}}");
    assert_eq!(open.write_text(&[0]), "closed");
}

#[test]
fn wrong_settings_say_what_and_where() {
    for (settings, expected) in [
        (
            "{}",
            "x: a register needs a place; write exactly one of input, holding, coil and discrete",
        ),
        (
            "{input: 1, coil: 1}",
            "x.coil: a register has one place; write exactly one of input, holding, coil and discrete",
        ),
        (
            "{coil: 1, type: u16}",
            "x.type: only registers have this key, and this is one bit; leave it out",
        ),
        (
            "{input: 1, write: true}",
            "x.write: input can only be read; write holding or coil, or leave it out",
        ),
        (
            "{input: 1, type: u24}",
            "x.type: registers hold whole words; take u32 or i32, or bits of them",
        ),
        (
            "{input: 1, type: auto}",
            "x.type: bytes do not show their type; write text, or one of u8 to bytes",
        ),
        ("{input: 1, type: text}", "x.length: this type needs one, at least 1"),
        ("{input: 1, type: text, length: 251}", "x.length: one request reads at most 250 bytes"),
        ("{input: 65535, type: u32}", "x.input: the value ends behind the last address, 65535"),
        ("{input: 1, bits: 16}", "x.bits: this type has the bits 0 to 15; take a longer one"),
        (
            "{input: 1, scale_from: y}",
            "x.scale_from: there is no register \"y\"; name one of this device",
        ),
        (
            "{input: 1, scale_from: z}",
            "x.scale_from: \"z\" is not of type i16 in the same table; a power of ten is a signed register",
        ),
        (
            "{holding: 200, scale_from: z}",
            "x.scale_from: \"z\" is too far away for one request; at most 125 registers from the one to the other",
        ),
        (
            "{holding: 1, scale_from: z, write: true}",
            "x.scale_from: it cannot be written with this key; write the factor as scale",
        ),
        (
            "{holding: 1, type: f32, scale_from: z}",
            "x.scale_from: only whole numbers have this key; leave it out",
        ),
        (
            "{holding: 1, bits: 3, write: true}",
            "x.write: single bits of a register cannot be written; leave bits out",
        ),
        (
            "{holding: 1, type: u8, write: true}",
            "x.write: half a register cannot be written; take u16 or i16",
        ),
        (
            "{holding: 1, scale: 0.1, write: {step: 0.25}}",
            "x.write.step: the register holds steps of 0.1",
        ),
        ("{holding: 1, write: {step: 0}}", "x.write.step: a step is more than 0"),
        ("{holding: 1, write: {min: 9, max: 3}}", "x.write.max: less than min, 9"),
        ("{holding: 1, write: {max: 65536}}", "x.write.max: the register holds 0 to 65535"),
        (
            "{holding: 1, write: {max: high}}",
            "x.write.max: \"high\" is not a decimal number; write 0.5 or -40",
        ),
        (
            "{holding: 1, write: {values: {eco: 70000}}}",
            "x.write.values.eco: \"70000\" is no number that this register can hold",
        ),
        ("{coil: 1, write: {max: 1}}", "x.write: only numbers have bounds; write true"),
    ] {
        let errors = all(&format!("{{x: {settings}, z: {{holding: 1, type: i16}}}}")).unwrap_err();
        let texts: Vec<_> = errors.iter().map(BuildError::to_string).collect();
        assert_eq!(texts, [expected], "{settings}");
    }
    for settings in
        ["{input: 65536}", "{input: -1}", "{write: maybe}", "{inptu: 1}", "{byte_order: AB}"]
    {
        assert!(parse::<RegisterSettings>(settings).is_err(), "{settings}");
    }
}

#[test]
fn old_numbers_are_pointed_out() {
    let warning = |settings: &str| {
        let settings: RegisterSettings = parse(settings).unwrap();
        settings.warning().map(|warning| warning.to_string())
    };
    assert_eq!(
        warning("{holding: 40001}").as_deref(),
        Some(
            "holding: 40001 looks like a number that counts from 40001; \
             if it does, write holding: 0; addresses on the wire begin at 0"
        )
    );
    assert!(warning("{input: 30011}").unwrap().contains("write input: 10;"));
    for settings in ["{input: 0}", "{holding: 30001}", "{input: 40001}", "{coil: 30001}"] {
        assert_eq!(warning(settings), None, "{settings}");
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_back_in_every_order(
        raw in any::<i64>(),
        kind in 0..9_usize,
        order in 0..4_usize,
        scale in 0..4_usize,
        offset in -50..50_i8,
    ) {
        let (kind, low, high) = [
            ("u16", 0, 0xFFFF),
            ("i16", -0x8000, 0x7FFF),
            ("sm16", -0x7FFF, 0x7FFF),
            ("u32", 0, 0xFFFF_FFFF),
            ("i32", -0x8000_0000, 0x7FFF_FFFF),
            ("sm32", -0x7FFF_FFFF, 0x7FFF_FFFF),
            ("i64", i64::MIN, i64::MAX),
            ("bcd, length: 2", 0, 9999),
            ("bcd, length: 6", 0, 999_999_999_999),
        ][kind];
        let order = ["ABCD", "CDAB", "BADC", "DCBA"][order];
        let scale = ["0.1", "0.01", "5", "-2.5"][scale];
        let span = i128::from(high) - i128::from(low) + 1;
        let raw = i128::from(low) + i128::from(raw).rem_euclid(span);
        let register = register(&format!(
            "{{holding: 9, type: {kind}, byte_order: {order}, scale: {scale}, offset: {offset}, write: true}}"
        ));
        let decimal = |text: &str| crate::codec::decimal::Decimal::read(text).unwrap();
        let exact = crate::codec::decimal::Decimal::from(raw).times(decimal(scale)).unwrap();
        let text: String = exact.plus(decimal(&offset.to_string())).unwrap().spelled().into();
        let request = register.encode(&text).unwrap();
        prop_assert_eq!(value(&register, &request.written()), text.clone());
        prop_assert_eq!(register.write_text(&request.written()), text);
    }

    #[test]
    fn floats_read_back_in_every_order(
        negative in any::<bool>(),
        exponent in 60..190_u64,
        mantissa in any::<u64>(),
        order in 0..4_usize,
    ) {
        let order = ["ABCD", "CDAB", "BADC", "DCBA"][order];
        let number = f32::from_bits((exponent << 23 | mantissa >> 41) as u32);
        let number = if negative { -number } else { number };
        let short = register(&format!("{{holding: 9, type: f32, byte_order: {order}, write: true}}"));
        let request = short.encode(&number.to_string()).unwrap();
        prop_assert_eq!(value(&short, &request.written()).parse(), Ok(number));
        let number = f64::from_bits((exponent + 900) << 52 | mantissa >> 12);
        let long = register(&format!("{{holding: 9, type: f64, byte_order: {order}, write: true}}"));
        let request = long.encode(&number.to_string()).unwrap();
        prop_assert_eq!(value(&long, &request.written()).parse(), Ok(number));
    }

    #[test]
    fn texts_and_payloads_of_any_kind_do_no_harm(payload in ".{0,40}", kind in 0..5_usize) {
        let kind = ["i16", "f32", "bcd, length: 4", "text, length: 9", "bytes, length: 3"][kind];
        let register = register(&format!("{{holding: 9, type: {kind}, write: true}}"));
        if let Ok(request) = register.encode(&payload) {
            let read = register.write_text(&request.written());
            if kind.starts_with("text") {
                prop_assert_eq!(read.trim(), payload.trim_matches(|c: char| c == '\0' || c.is_whitespace()));
            }
        }
    }

    #[test]
    fn no_bytes_do_harm(bytes in proptest::collection::vec(any::<u8>(), 0..20), kind in 0..8_usize) {
        let kind = [
            "{input: 1, type: f64, byte_order: CDAB}",
            "{input: 1, type: bcd, length: 16}",
            "{input: 1, type: text, length: 7, byte_order: DCBA}",
            "{input: 1, type: i8}",
            "{input: 1, type: bytes, length: 9}",
            "{coil: 1}",
            "{input: 1, type: sm32, scale: 1e18}",
            "{input: 1, type: u32, bits: 3-30}",
        ][kind];
        value(&register(kind), &bytes);
    }
}
