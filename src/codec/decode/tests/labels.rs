//! Patterns, rows with labels, sentences of NMEA 0183, and values that are only for topics.

use super::{build_error, decoded, refused};

#[test]
fn groups_of_the_first_pattern_that_matches_are_fields() {
    let yaml = r"{pattern: {
        patterns: ['^T:(?<temperature>\S+) H:(?<humidity>\d+%)$', '^ALARM (?<alarm>\w+)(?: at (?<place>.+))?$', '^#'],
        fields: [{name: temperature, type: quantity}, {name: humidity, type: quantity}]}}";
    assert_eq!(decoded(yaml, b"T:21.5C H:40%"), ["temperature=21.5 C", "humidity=40 %"]);
    assert_eq!(decoded(yaml, b"ALARM fire"), ["alarm=\"fire\""]);
    assert_eq!(decoded(yaml, b"ALARM fire at 7"), ["alarm=\"fire\"", "place=7"]);
    assert!(decoded(yaml, b"# comment").is_empty());
    assert_eq!(decoded(yaml, b"T:2;5C H:40%"), ["humidity=40 %", "!temperature not_a_number"]);
    let expected = "pattern: a text that one of `patterns` matches; ready";
    assert_eq!(refused(yaml, b"ready"), [expected]);
    assert_eq!(decoded(yaml, b"T:\xFF"), ["!pattern not_utf8"]);
    let yaml = "{pattern: {patterns: ['(?<a>.)'], fields: [{name: x, from: a}, {name: y, from: a, type: u8}]}}";
    assert_eq!(decoded(yaml, b"B"), ["x=\"B\"", "y=11"]);
    for (yaml, expected) in [
        ("{pattern: {patterns: []}}", "at least one"),
        ("{pattern: {patterns: ['(']}}", "not a valid regular expression"),
        ("{pattern: {patterns: ['(?<a>.)'], fields: [b]}}", "no pattern has a group \"b\""),
        ("{pattern: {patterns: ['(?<a>.)'], node: b}}", "there is no field \"b\"; there are a"),
    ] {
        assert!(build_error(yaml).contains(expected), "{}", build_error(yaml));
    }
}

#[test]
fn rows_of_linky_meters() {
    // Published in hekmon/linkytic: standard mode, its checks verified by hand.
    let standard = r#"{label: {separator: "\t", columns: [label, time, value], check: true}}"#;
    for (row, expected) in [
        (&b"EASF03\t001548023\t;"[..], &["EASF03=\"001548023\""][..]),
        (b"URMS1\t235\tD\r", &["URMS1=235"]),
        (
            b"SMAXSN-1\tH241202043910\t03800\tR",
            &["SMAXSN-1_time=\"2024-12-02T04:39:10+01:00\"", "SMAXSN-1=\"03800\""],
        ),
        (b"DATE\te260801120000\t\tR", &["DATE_time=\"2026-08-01T12:00:00+02:00\"", "-DATE"]),
        (b"DATE\tH269901120000\t\tR", &["!DATE_time malformed", "-DATE"]),
        (b"URMS1\t", &["!URMS1 malformed"]),
    ] {
        assert_eq!(decoded(standard, row), expected, "{}", row.escape_ascii());
    }
    let historic =
        "{label: {check: true, fields: [{name: peak, from: HCHP, type: number, unit: Wh}]}}";
    let frame = b"\x02\nADCO 020522012388 2\r\nHCHP 019571184 7\r\nHHPHC A ,\r\x03";
    assert_eq!(decoded(historic, frame), ["peak=19571184 Wh"]);
    // A check may be a blank.
    assert_eq!(decoded("{label: {check: true}}", b"PTEC HP..  "), ["PTEC=\"HP..\""]);
}

#[test]
fn rows_with_several_labels_and_columns_for_topics() {
    let yaml = "{label: {separator: ';', columns: [id, child, label, _, label, value], node: id,
        fields: [{name: light, from: '1_23', type: number}, {name: humidity, from: '1_1', unit: '%'}]}}";
    assert_eq!(decoded(yaml, b"1;0;1;0;23;43"), ["1.light=43"]);
    assert_eq!(decoded(yaml, b"12;6;1;0;1;75\n12;6;1;0;23;"), ["12.humidity=75 %", "-light"]);
    // All readings of a frame have the node and topics of one row.
    let rows = b"12;6;1;0;1;75\n1;0;1;0;23;43\n12;6;1;0;23;44";
    assert_eq!(decoded(yaml, rows), ["12.humidity=75 %", "12.light=44", "!1 malformed"]);
    // Those of a damaged row are none.
    assert_eq!(decoded(yaml, b"9;6;1\n1;0;1;0;23;43"), ["1.light=43", "!9 malformed"]);
    assert!(decoded(yaml, b"0;255;3;0;9;read: 1;1 s=255,c=3").is_empty());
    assert_eq!(decoded(yaml, b"1;0;1;0"), ["!1 malformed"]);
    assert_eq!(
        decoded("label", b"temp 21.50\nname  two words\n"),
        ["temp=21.50", "name=\"two words\""]
    );
    for (yaml, expected) in [
        ("{label: {columns: [label]}}", "a `label` and one `value`"),
        ("{label: {separator: ''}}", "nothing cannot separate"),
        ("{label: {time: now}}", "not a format of times"),
        ("{label: {node: id, fields: [a]}}", "there is no field \"id\""),
    ] {
        assert!(build_error(yaml).contains(expected), "{}", build_error(yaml));
    }
}

#[test]
fn sentences_by_their_type_whoever_talks() {
    for (frame, expected) in [
        (
            &b"$GNGGA,123519.00,5051.8430,N,00442.1,W,1,08,0.9,545.4,M,46.9,M,,*47"[..],
            &[
                "time_of_day=\"12:35:19.00Z\"",
                "latitude=50.864050 °",
                "longitude=-4.702 °",
                "fix_quality=1",
                "satellites=8",
                "hdop=0.9",
                "altitude=545.4 m",
                "geoid_separation=46.9 m",
            ][..],
        ),
        (
            b"GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,230394,003.1,W",
            &[
                "time=\"1994-03-23T12:35:19Z\"",
                "status=\"A\"",
                "latitude=48.11730 °",
                "longitude=11.51667 °",
                "speed=22.4 kn",
                "course=84.4 °",
            ],
        ),
        (
            b"GPGGA,,,,,,0,00,99.99,,,,,,",
            &[
                "fix_quality=0",
                "satellites=0",
                "hdop=99.99",
                "-time_of_day",
                "-latitude",
                "-longitude",
                "-altitude",
                "-geoid_separation",
            ],
        ),
        (
            b"$WIMWV,214.8,R,0.1,K,A*28",
            &["apparent_wind_angle=214.8 °", "apparent_wind_speed=0.1 km/h"],
        ),
        (b"$WIMWV,30,T,7.5,N,A", &["true_wind_angle=30 °", "true_wind_speed=7.5 kn"]),
        (b"$GPZDA,201530.00,04,07,2002,00,00*60", &["time=\"2002-07-04T20:15:30.00Z\""]),
        (b"$SDDPT,2.4,0.5", &["depth=2.4 m", "depth_offset=0.5 m"]),
        (
            b"$GPGLL,5061.00,N,00442.1,W,123519,A",
            &[
                "longitude=-4.702 °",
                "time_of_day=\"12:35:19Z\"",
                "status=\"A\"",
                "!latitude malformed",
            ],
        ),
        (
            b"!AIVDM,1,1,,B,888888888888880,2",
            &["ais_channel=\"B\"", "ais_payload=\"888888888888880\""],
        ),
        (b"$PGRME,15.0,M,45.0,M,25.0,M*1C", &[]),
        (b"$GPTXT,01", &[]),
        (b"hello, world", &["!nmea malformed"]),
    ] {
        assert_eq!(decoded("nmea", frame), expected, "{}", frame.escape_ascii());
    }
}

#[test]
fn fields_of_sentences_by_name_and_by_column() {
    let yaml = "{nmea: {fields: [{name: lat, from: GGA.latitude, decimals: 5}, {name: h, from: altitude, unit: ft, scale: 3.28},
        {name: error, from: PGRME.1, unit: m}, {name: station, from: GGA.14}, speed]}}";
    assert_eq!(
        decoded(yaml, b"$GPGGA,1,5051.8430,N,,,,,,10,M,,M,,0120"),
        ["lat=50.86405 °", "h=32.80 ft", "station=\"0120\""]
    );
    assert_eq!(decoded(yaml, b"$PGRME,15.0,M,45.0,M,25.0,M*1C"), ["error=15.0 m"]);
    assert_eq!(decoded(yaml, b"$GPRMC,,A,5051.8430,N,,,3.5,,,"), ["speed=3.5 kn"]);
    for from in ["lat", "GGA.lat", "GGA.0", "gga.1", ".1"] {
        let error = build_error(&format!("{{nmea: {{fields: [{{name: a, from: {from}}}]}}}}"));
        assert!(error.contains("nothing that sentences are known for"), "{error}");
    }
}

#[test]
fn a_field_may_be_the_node_of_the_others() {
    let yaml = "{pairs: {between: ';', node: id, fields: [{name: id, from: ID, publish: false}, {name: t, from: T}]}}";
    assert_eq!(decoded(yaml, b"T=5;ID=58d0"), ["58d0.t=5"]);
    assert_eq!(decoded(yaml, b"T=5"), ["t=5", "!id missing"]);
    assert_eq!(decoded("{pairs: {node: ID}}", b"T=5 ID=7"), ["7.T=5", "7.ID=7"]);
    let yaml = "{binary: {node: id, fields: [{name: id, at: 0, type: u8, publish: false}, {name: t, at: 1, type: i8}]}}";
    assert_eq!(decoded(yaml, b"\x07\xFF"), ["7.t=-1"]);
    assert_eq!(
        build_error("{fields: {names: [a], node: b}}"),
        "fields.node: there is no field \"b\"; there are a"
    );
}
