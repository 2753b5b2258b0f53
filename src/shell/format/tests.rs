use super::time::Moment;
use super::zone::TimeZone;
use super::*;
use crate::mqtt::packet::{Pair, Property};
use std::time::{Duration, UNIX_EPOCH};

fn at(seconds: u64, zone: &str) -> Moment {
    let time = UNIX_EPOCH + Duration::new(seconds, 858_659_334);
    Moment::new(time, &TimeZone::from_posix(zone).unwrap())
}

static NONE: Properties = Properties::NONE;

fn print(format: &Format, message: &PrintedMessage<'_>) -> String {
    let mut out = Vec::new();
    // What mosquitto_sub 2.0.11 printed for this message at this moment is what is expected.
    let _ = format.print(message, &at(1_795_247_568, "UTC0"), true, false, &mut out);
    String::from_utf8(out).unwrap()
}

const PAYLOAD: &str = r#"{"a": 1.5,  "b":[1,2]}"#;

fn properties() -> Properties {
    Properties(vec![
        Property::UserProperty(Pair("k".into(), "v".into())),
        Property::UserProperty(Pair("k".into(), "w".into())),
        Property::ContentType("text/x".into()),
        Property::ResponseTopic("r/t".into()),
        Property::CorrelationData("abc".into()),
        Property::PayloadFormat(true),
        Property::MessageExpiry(30),
    ])
}

fn message<'a>(payload: &'a [u8], properties: &'a Properties) -> PrintedMessage<'a> {
    PrintedMessage { topic: "x/y", payload, qos: Qos::AtMostOnce, retain: false, id: 0, properties }
}

fn formatted(format: &str, payload: &str) -> String {
    let properties = properties();
    let format = Format::parse(format.as_bytes(), false).unwrap();
    let text = print(&format, &message(payload.as_bytes(), &properties));
    text.strip_suffix('\n').unwrap().into()
}

#[test]
fn every_sequence_prints_what_mosquitto_prints() {
    for (format, expected) in [
        ("%%|%5%", "%|%"),
        ("%A|%5A|%05A|", "|     |00000|"),
        ("%C|%10C|%-10C|%.3C|%10.3C|", "text/x|    text/x|text/x    |tex|       tex|"),
        ("%D|%E|%6E|%06E|%-6E|%-06E|", "abc|30|    30|000030|30    |30    |"),
        ("%F|%3F|", "1|  1|"),
        ("%I|%30I|", "2026-11-21T07:52:48+0000|      2026-11-21T07:52:48+0000|"),
        ("%l|%5l|%05l|%m|%3m|", "22|   22|00022|0|  0|"),
        ("%P|%q|%r|%R|%10R|%S|%4S|", "k:v k:w|0|0|r/t|       r/t||    |"),
        ("%t|%10t|%010t|%-10t|%.2t|%.t|", "x/y|       x/y|       x/y|x/y       |x/||"),
        (
            "%p|%5p|%25p|%-25p|",
            concat!(
                r#"{"a": 1.5,  "b":[1,2]}|{"a":|   "#,
                r#"{"a": 1.5,  "b":[1,2]}|{"a": 1.5,  "b":[1,2]}   |"#
            ),
        ),
        ("%025p|", r#"000{"a": 1.5,  "b":[1,2]}|"#),
        ("%7x|%8X|", " 7b2261|7B226122|"),
        ("%U|", "1795247568.858659334|"),
        (r"\t\e\\\a\0\n\r\v|@@|", "\t\x1b\\\x07\0\n\r\x0b|@|"),
        ("@Y-@m-@d @H:@M:@S.@N @Z @z @Q|", "2026-11-21 07:52:48.858659334 UTC +0000 %Q|"),
    ] {
        assert_eq!(formatted(format, PAYLOAD), expected, "{format}");
    }
    // Mosquitto prints half of the payload here.
    assert_eq!(formatted("%10x|", "ab"), "      6162|");
}

#[test]
fn what_is_no_format_is_refused() {
    for (format, error) in [
        ("%", FormatError::Cut),
        ("%5", FormatError::Cut),
        ("%-", FormatError::Cut),
        ("%.", FormatError::Cut),
        ("@", FormatError::Cut),
        ("\\", FormatError::Cut),
        ("%Z", FormatError::Field('Z')),
        ("%0-5p", FormatError::Field('-')),
        ("\\q", FormatError::Escape('q')),
        ("%99999p", FormatError::Wide),
    ] {
        assert_eq!(Format::parse(format.as_bytes(), false), Err(error), "{format}");
    }
}

const JSON_HEAD: &str = concat!(
    r#"{"tst":"2026-11-21T07:52:48.858659Z+0000","topic":"x/y","qos":0,"retain":0,"payloadlen":22,"#,
    r#""properties":{"user-properties":[{"k":"v"},{"k":"w"}],"content-type":"text/x","#,
    r#""response-topic":"r/t","correlation-data":"abc","payload-format-indicator":1,"#,
    r#""message-expiry-interval":30},"#
);

#[test]
fn json_as_mosquitto_lays_it_out() {
    let text = r#""payload":"{\"a\": 1.5,  \"b\":[1,2]}"}"#;
    assert_eq!(formatted("%j", PAYLOAD), format!("{JSON_HEAD}{text}"));
    assert_eq!(
        formatted("%J", PAYLOAD),
        format!("{JSON_HEAD}\"payload\":{{\"a\":1.5,\"b\":[1,2]}}}}")
    );
    let properties = properties();
    let format = Format::parse(b"%J", true).unwrap();
    let expected = "{\n\t\"tst\":\t\"2026-11-21T07:52:48.858659Z+0000\",\n\t\"topic\":\t\"x/y\",\n\
        \t\"qos\":\t0,\n\t\"retain\":\t0,\n\t\"payloadlen\":\t22,\n\t\"properties\":\t{\n\
        \t\t\"user-properties\":\t[{\n\t\t\t\t\"k\":\t\"v\"\n\t\t\t}, {\n\
        \t\t\t\t\"k\":\t\"w\"\n\t\t\t}],\n\
        \t\t\"content-type\":\t\"text/x\",\n\t\t\"response-topic\":\t\"r/t\",\n\
        \t\t\"correlation-data\":\t\"abc\",\n\t\t\"payload-format-indicator\":\t1,\n\
        \t\t\"message-expiry-interval\":\t30\n\t},\n\
        \t\"payload\":\t{\n\t\t\"a\":\t1.5,\n\t\t\"b\":\t[1, 2]\n\t}\n}\n";
    assert_eq!(print(&format, &message(PAYLOAD.as_bytes(), &properties)), expected);
}

#[test]
fn user_properties_of_names_of_their_own_are_an_object() {
    let user = Properties(vec![Property::user("a", "1"), Property::user("b", "2")]);
    let text = print(&Format::json(false), &message(b"", &user));
    assert!(text.contains(r#""user-properties":{"a":"1","b":"2"}"#), "{text}");
}

#[test]
fn json_of_any_payload() {
    let payload = |format: &Format, payload: &[u8]| {
        let message = PrintedMessage { qos: Qos::AtLeastOnce, id: 7, ..message(payload, &NONE) };
        let text = print(format, &message);
        let start = text.find("\"mid\":7,").map(|at| at + 8);
        start.map(|at| text[at..].trim_end().to_string())
    };
    let text = Format::parse(b"%j", false).unwrap();
    let json = Format::parse(b"%J", false).unwrap();
    let either = Format::json(false);
    let some = |payload: &str| Some(format!("\"payload\":{payload}}}"));
    assert_eq!(payload(&text, b""), some("null"));
    assert_eq!(payload(&json, b""), some("null"));
    assert_eq!(payload(&text, "\"\\ ü\n\x01\0".as_bytes()), some(r#""\"\\ ü\n\u0001\u0000""#));
    assert_eq!(payload(&text, b"\xFF\x00"), some("[255,0]"));
    assert_eq!(payload(&json, b"21.50"), some("21.50"));
    assert_eq!(payload(&json, b"no"), None);
    assert_eq!(payload(&either, b"no"), some("\"no\""));
    assert_eq!(payload(&either, b" [1 , {}] "), some("[1,{}]"));
    // The rest of the format is printed all the same.
    let around = Format::parse(b"A%JB", false).unwrap();
    let mut out = Vec::new();
    let printed = around.print(&message(b"no", &NONE), &at(0, "UTC0"), true, false, &mut out);
    assert_eq!((printed, out.as_slice()), (Err(NotJson), &b"AB\n"[..]));
}

#[test]
fn an_empty_message_prints_as_with_mosquitto() {
    let mut out = Vec::new();
    let moment = at(0, "UTC0");
    let mut with = |format: &Format, payload: &[u8], eol| {
        out.clear();
        format.print(&message(payload, &NONE), &moment, eol, false, &mut out).unwrap();
        String::from_utf8(out.clone()).unwrap()
    };
    assert_eq!(with(&Format::Payload, b"", true), "");
    assert_eq!(with(&Format::Payload, b"1", true), "1\n");
    assert_eq!(with(&Format::Payload, b"1", false), "1");
    assert_eq!(with(&Format::Verbose, b"", true), "x/y (null)\n");
    assert_eq!(with(&Format::Verbose, b"", false), "");
    assert_eq!(with(&Format::Verbose, b"1", true), "x/y 1\n");
}

fn letters(moment: &Moment, letters: &str) -> String {
    let mut out = Vec::new();
    for letter in letters.bytes() {
        moment.format(letter, &mut out);
        out.push(b' ');
    }
    String::from_utf8(out).unwrap()
}

#[test]
fn clocks_change_by_posix_rules() {
    const BERLIN: &str = "CET-1CEST,M3.5.0,M10.5.0/3";
    for (zone, seconds, expected) in [
        (BERLIN, 1_774_745_999, "2026-03-29 01:59:59 +0100 CET "),
        (BERLIN, 1_774_746_000, "2026-03-29 03:00:00 +0200 CEST "),
        (BERLIN, 1_792_889_999, "2026-10-25 02:59:59 +0200 CEST "),
        (BERLIN, 1_792_890_000, "2026-10-25 02:00:00 +0100 CET "),
        ("AEST-10AEDT,M10.1.0,M4.1.0/3", 1_767_225_600, "2026-01-01 11:00:00 +1100 AEDT "),
        ("AEST-10AEDT,M10.1.0,M4.1.0/3", 1_782_864_000, "2026-07-01 10:00:00 +1000 AEST "),
        ("<+0530>-5:30", 1_782_864_000, "2026-07-01 05:30:00 +0530 +0530 "),
        ("EST5EDT", 1_782_864_000, "2026-06-30 20:00:00 -0400 EDT "),
        ("XXX3YYY,J60,300/-1:30", 1_772_330_400, "2026-02-28 23:00:00 -0300 XXX "),
        ("XXX3YYY,J60,300/-1:30", 1_772_341_200, "2026-03-01 03:00:00 -0200 YYY "),
    ] {
        assert_eq!(letters(&at(seconds, zone), "FTzZ"), expected, "{zone} {seconds}");
    }
    for bad in ["", "X", "12", "CET-1CEST,M3.5.0", "CET-1CEST,M13.5.0,M1.1.1", "CET-1CEST,,", "A-1"]
    {
        assert_eq!(TimeZone::from_posix(bad), None, "{bad}");
    }
}

#[test]
fn zone_files_are_read_whole_or_not_at_all() {
    let mut file = b"TZif2".to_vec();
    file.resize(44, 0);
    let body = |size: usize| {
        let mut body = Vec::new();
        for change in [-100_i64, 1000] {
            body.extend_from_slice(&change.to_be_bytes()[8 - size..]);
        }
        body.extend_from_slice(&[1, 0]);
        body.extend_from_slice(&[0, 0, 0x0E, 0x10, 0, 0, 0, 0, 0x1C, 0x20, 1, 4]);
        body.extend_from_slice(b"CET\0CEST\0");
        body
    };
    for (n, count) in [0, 0, 0, 2, 2, 9].into_iter().enumerate() {
        file[23 + 4 * n] = count;
    }
    let header = file.clone();
    file.extend(body(4));
    file.extend(&header);
    file.extend(body(8));
    file.extend(b"\nCET-1\n");
    let zone = TimeZone::from_file(&file).unwrap();
    for (seconds, offset, name) in
        [(-101, 3600, "CET"), (-100, 7200, "CEST"), (999, 7200, "CEST"), (1000, 3600, "CET")]
    {
        assert_eq!(
            zone.at(seconds),
            zone::LocalTimeType { offset, name: name.into() },
            "{seconds}"
        );
    }
    for len in 0..file.len() {
        if let Some(cut) = TimeZone::from_file(&file[..len]) {
            // Only the rule behind the last change is missing.
            assert!(len >= file.len() - 7, "{len} {cut:?}");
        }
        let mut wrong = file.clone();
        wrong[len] ^= 0xFF;
        let _ = TimeZone::from_file(&wrong).map(|zone| zone.at(0));
    }
}

#[test]
fn on_a_terminal_only_the_format_may_steer_it() {
    let hostile = "\u{1b}[2J\u{9b}31m\u{202e}a\nb\tc";
    let shown = "\\u{1b}[2J\\u{9b}31m\\u{202e}a\nb\tc";
    let properties = Properties(vec![Property::user("k", "\u{1b}c")]);
    let message = PrintedMessage { topic: "x/\u{7}", ..message(hostile.as_bytes(), &properties) };
    let plain = |format: &Format| {
        let mut out = Vec::new();
        format.print(&message, &at(0, "UTC0"), true, true, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    assert_eq!(plain(&Format::Payload), format!("{shown}\n"));
    assert_eq!(plain(&Format::Verbose), format!("x/\\u{{7}} {shown}\n"));
    let colours = Format::parse(br"\e[31m%t %P %p\e[0m", false).unwrap();
    assert_eq!(plain(&colours), format!("\u{1b}[31mx/\\u{{7}} k:\\u{{1b}}c {shown}\u{1b}[0m\n"));
    let mut out = Vec::new();
    Format::Payload.print(&message, &at(0, "UTC0"), true, false, &mut out).unwrap();
    assert_eq!(out, format!("{hostile}\n").as_bytes());
}
