use super::*;
use crate::port::settings::{Flow, ModemLine};
use proptest::prelude::*;

const SETTINGS: Modem = Modem { flow: Flow::None, dtr: ModemLine::Keep, rts: ModemLine::Keep };

fn line(text: &str) -> Line {
    text.parse().unwrap()
}

/// The end of a gateway, whose first commands were sent.
fn telnet(speaks_rfc2217: bool) -> Telnet {
    let com_port = speaks_rfc2217.then(|| ComPort::new(line("9600 8N1"), SETTINGS));
    let mut telnet = Telnet::new(com_port);
    telnet.commands();
    telnet
}

fn data(telnet: &mut Telnet, bytes: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    telnet.receive(bytes, &mut data);
    data
}

/// Both directions are binary.
fn binary() -> Telnet {
    let mut telnet = telnet(false);
    data(&mut telnet, b"\xFF\xFB\x00\xFF\xFD\x00");
    telnet
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_encoded_is_decoded_in_any_split(
        bytes in prop::collection::vec(
            prop_oneof![Just(IAC), Just(CR), Just(b'\n'), Just(0), any::<u8>()], 0..60,
        ),
        size in 1_usize..7,
        is_binary: bool,
    ) {
        let mut end = if is_binary { binary() } else { telnet(false) };
        let mut sent = Vec::new();
        // Cut in two: the end of a write hides what comes behind a CR.
        let (first, second) = bytes.split_at(bytes.len() / 2);
        end.encode(first, &mut sent);
        end.encode(second, &mut sent);
        let mut received = Vec::new();
        for read in sent.chunks(size) {
            end.receive(read, &mut received);
        }
        prop_assert_eq!(received, bytes);
        prop_assert_eq!(end.commands(), b"");
    }

    #[test]
    fn commands_between_data_change_nothing_of_them_in_any_split(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..6), 1..8),
        size in 1_usize..7,
    ) {
        let mut end = binary();
        let mut sent = Vec::new();
        for piece in &pieces {
            end.encode(piece, &mut sent);
            // NOP; a terminal type is wanted; a subnegotiation with a doubled FF.
            sent.extend(b"\xFF\xF1\xFF\xFD\x18\xFF\xFA\x18\xFF\xFF\x01\xFF\xF0");
        }
        let mut received = Vec::new();
        for read in sent.chunks(size) {
            end.receive(read, &mut received);
        }
        prop_assert_eq!(received, pieces.concat());
        prop_assert_eq!(end.commands(), b"\xFF\xFC\x18".repeat(pieces.len()));
    }

    #[test]
    fn rubbish_stops_nothing_and_is_bounded(
        bytes in prop::collection::vec(
            prop_oneof![4 => Just(IAC), 2 => Just(SB), 1 => Just(SE), 1 => Just(COM_PORT), 6 => any::<u8>()],
            0..400,
        ),
        size in 1_usize..9,
    ) {
        let mut end = telnet(true);
        let mut received = Vec::new();
        for read in bytes.chunks(size) {
            end.receive(read, &mut received);
        }
        prop_assert!(received.len() <= bytes.len());
        prop_assert!(end.sub.len() <= LONGEST + 1);
        let whole = &mut telnet(true);
        prop_assert_eq!(data(whole, &bytes), received);
        prop_assert_eq!(whole.commands(), end.commands());
    }
}

#[test]
fn an_option_is_answered_once_and_one_that_is_not_known_is_refused() {
    let mut end = telnet(false);
    // What ser2net 4.3.11 sends first with `telnet,tcp`.
    let hello = b"\xFF\xFB\x03\xFF\xFD\x03\xFF\xFB\x01\xFF\xFE\x01\xFF\xFD\x00\xFF\xFB\x00";
    assert_eq!(end.is_settled(), Ok(false));
    assert_eq!(data(&mut end, hello), b"");
    assert_eq!(end.commands(), b"\xFF\xFE\x01", "its echo is not wanted");
    assert_eq!(end.is_settled(), Ok(true));
    // It says so again; then it wants to stop.
    data(&mut end, b"\xFF\xFB\x00\xFF\xFD\x00");
    assert_eq!(end.commands(), b"");
    data(&mut end, b"\xFF\xFC\x00\xFF\xFE\x00\xFF\xFC\x00");
    assert_eq!(end.commands(), b"\xFF\xFE\x00\xFF\xFC\x00");
    data(&mut end, b"\xFF\xFB\x00");
    assert_eq!(end.commands(), b"\xFF\xFD\x00");
    data(&mut end, b"\xFF\xFD\x2C");
    assert_eq!(end.commands(), b"\xFF\xFC\x2C", "no RFC 2217 was asked for");
}

#[test]
fn a_terminal_that_refuses_binary_gets_a_nul_behind_a_cr() {
    let mut end = telnet(false);
    data(&mut end, b"\xFF\xFC\x00\xFF\xFE\x00");
    assert_eq!(end.is_settled(), Ok(true));
    let mut sent = Vec::new();
    end.encode(b"a\rb\r\n\xFF", &mut sent);
    assert_eq!(sent, b"a\r\0b\r\n\xFF\xFF");
    assert_eq!(data(&mut end, b"a\r\0b\r\nc\0"), b"a\rb\r\nc\0");
}

/// What a server answers to the setting of a line.
fn confirms(baud: u32, data_bits: u8, parity: u8, stop_bits: u8) -> Vec<u8> {
    let mut bytes = b"\xFF\xFA\x2C\x65".to_vec();
    for byte in baud.to_be_bytes() {
        bytes.push(byte);
        if byte == IAC {
            bytes.push(IAC);
        }
    }
    bytes.extend(b"\xFF\xF0");
    for (command, value) in [(102, data_bits), (103, parity), (104, stop_bits)] {
        bytes.extend([IAC, SB, COM_PORT, command, value, IAC, SE]);
    }
    bytes
}

#[test]
fn a_line_is_set_when_the_other_end_speaks_rfc_2217() {
    let com_port = ComPort::new(
        line("65280 7E2"),
        Modem { flow: Flow::Hardware, dtr: ModemLine::On, rts: ModemLine::Off },
    );
    let mut end = Telnet::new(Some(com_port));
    assert_eq!(end.commands(), b"\xFF\xFB\x00\xFF\xFD\x00\xFF\xFB\x03\xFF\xFD\x03\xFF\xFB\x2C");
    data(&mut end, b"\xFF\xFB\x00\xFF\xFD\x00\xFF\xFD\x2C");
    let expected = [
        &b"\xFF\xFA\x2C\x00\xFF\xF0"[..],
        b"\xFF\xFA\x2C\x0A\x1E\xFF\xF0",
        b"\xFF\xFA\x2C\x0B\x00\xFF\xF0",
        // 65280 is 00 00 FF 00.
        b"\xFF\xFA\x2C\x01\x00\x00\xFF\xFF\x00\xFF\xF0",
        b"\xFF\xFA\x2C\x02\x07\xFF\xF0",
        b"\xFF\xFA\x2C\x03\x03\xFF\xF0",
        b"\xFF\xFA\x2C\x04\x02\xFF\xF0",
        b"\xFF\xFA\x2C\x05\x03\xFF\xF0",
        b"\xFF\xFA\x2C\x05\x06\xFF\xF0",
        b"\xFF\xFA\x2C\x05\x08\xFF\xF0",
        b"\xFF\xFA\x2C\x05\x0C\xFF\xF0",
    ];
    assert_eq!(end.commands(), expected.concat());
    assert_eq!(end.is_settled(), Ok(false));
    data(&mut end, b"\xFF\xFA\x2C\x64box \xFF\xFF1\xFF\xF0");
    data(&mut end, &confirms(65_280, 7, 3, 2));
    assert_eq!(end.is_settled(), Ok(true));
    let com_port = end.com_port().unwrap();
    assert_eq!(com_port.outcome(), Some(Ok(())));
    assert_eq!(com_port.signature().as_deref(), Some("box \u{FFFD}1"));
    assert_eq!(com_port.signature(), None);
}

#[test]
fn another_line_holds_when_its_own_answers_have_come_and_a_refusal_is_told() {
    let mut end = telnet(true);
    data(&mut end, b"\xFF\xFD\x2C");
    // The second is asked before the first is answered.
    end.set_line(line("300 7E1"));
    data(&mut end, &confirms(9600, 8, 1, 1));
    assert_eq!(end.com_port().unwrap().outcome(), None);
    data(&mut end, &confirms(300, 8, 1, 3));
    assert_eq!(
        end.com_port().unwrap().outcome(),
        Some(Err("the serial server does not take 300 7E1; it has set 300 Bd, 8 data bits, no \
                  parity, 1.5 stop bits"
            .into()))
    );
}

#[test]
fn line_errors_are_counted_the_flow_is_stopped_and_the_name_is_told() {
    let mut end = telnet(true);
    data(&mut end, b"\xFF\xFD\x2C");
    end.commands();
    data(&mut end, b"\xFF\xFA\x2C\x6A\x04\xFF\xF0\xFF\xFA\x2C\x6A\x1C\xFF\xF0");
    let counts = end.com_port().unwrap().counts;
    assert_eq!((counts.parity, counts.framing, counts.breaks, counts.overrun), (2, 1, 1, 0));
    data(&mut end, b"\xFF\xFA\x2C\x6C\xFF\xF0");
    assert!(end.com_port().unwrap().is_suspended);
    data(&mut end, b"\xFF\xFA\x2C\x6D\xFF\xF0\xFF\xFA\x2C\x64\xFF\xF0");
    assert!(!end.com_port().unwrap().is_suspended);
    assert_eq!(end.commands(), b"\xFF\xFA\x2C\x00tty2mqtt\xFF\xF0");
}

#[test]
fn telnet_without_rfc_2217_is_refused_by_name() {
    let mut end = telnet(true);
    data(&mut end, b"\xFF\xFB\x00\xFF\xFD\x00\xFF\xFE\x2C");
    assert!(end.is_settled().unwrap_err().contains("`telnet://`"));
}

#[test]
fn a_subnegotiation_that_is_too_long_or_has_no_end_is_left_out() {
    let mut end = telnet(true);
    let mut long = b"\xFF\xFA\x2C\x64".to_vec();
    long.extend([b'x'; 5000]);
    long.extend(b"\xFF\xF0a");
    assert_eq!(data(&mut end, &long), b"a");
    assert_eq!(end.com_port().unwrap().signature(), None);
    assert_eq!(data(&mut end, b"\xFF\xFA\x2C\x64x\xFF\xFB\x00b"), b"b");
}
