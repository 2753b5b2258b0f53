//! SUBSCRIBE and UNSUBSCRIBE, and what may stand in them (3.8, 3.10, 4.7, 4.8).

use crate::conformance::packet::{
    NO_UTF8, connect, decode, encode, field, id, malformed, message, protocol_error,
};
use tty2mqtt::mqtt::packet::Version::V5;
use tty2mqtt::mqtt::packet::{Packet, Properties, Subscribe, Subscription, Unsubscribe};
use tty2mqtt::mqtt::topic::{Qos, Topic, TopicFilter};

#[test]
fn mqtt_2_2_2_1_no_properties_are_a_length_of_0() {
    for (packet, expected) in [
        (Packet::Connect(connect(V5)), &b"\x10\x0E\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01a"[..]),
        (Packet::Publish(message(Qos::AtMostOnce)), b"\x30\x04\x00\x01a\x00"),
        (Packet::Subscribe(subscribe(&["a"])), b"\x82\x07\x00\x01\x00\x00\x01a\x00"),
        (Packet::Unsubscribe(unsubscribe(&["a"])), b"\xA2\x06\x00\x01\x00\x00\x01a"),
    ] {
        assert_eq!(&encode(&packet, V5)[..], expected);
    }
    // Where it is no option it must not be missing.
    malformed(V5, 0x30, b"\x00\x01a");
    malformed(V5, 0x90, b"\x00\x01");
}

fn subscribe(filters: &[&str]) -> Subscribe {
    let filter = |text: &&str| Subscription::new(text.parse().unwrap(), Qos::AtMostOnce);
    let filters = filters.iter().map(filter).collect();
    Subscribe { id: id(), filters, properties: Properties::NONE }
}

fn unsubscribe(filters: &[&str]) -> Unsubscribe {
    let filters = filters.iter().map(|text| text.parse().unwrap()).collect();
    Unsubscribe { id: id(), filters, properties: Properties::NONE }
}

#[test]
fn mqtt_3_8_1_1_flags_of_subscribe() {
    assert_eq!(encode(&Packet::Subscribe(subscribe(&["a"])), V5)[0], 0x82);
    malformed(V5, 0x80, b"\x00\x01\x00\x00\x01a\x00");
}

#[test]
fn mqtt_3_8_3_1_filters_are_utf8() {
    for bad in NO_UTF8 {
        malformed(V5, 0x82, &[b"\x00\x01\x00", &field(bad)[..], b"\x00"].concat());
        malformed(V5, 0xA2, &[b"\x00\x01\x00", &field(bad)[..]].concat());
    }
}

#[test]
fn mqtt_3_8_3_2_subscribe_has_a_filter() {
    protocol_error(V5, 0x82, b"\x00\x01\x00");
    // Each with its options, of which reserved bits, QoS 3 and retain handling 3 are none.
    malformed(V5, 0x82, b"\x00\x01\x00\x00\x01a");
    for options in [0x40, 0x80] {
        malformed(V5, 0x82, &[b"\x00\x01\x00\x00\x01a", &[options][..]].concat());
    }
    assert!(decode(V5, 0x82, b"\x00\x01\x00\x00\x01a\x03").is_none());
    protocol_error(V5, 0x82, b"\x00\x01\x00\x00\x01a\x30");
}

#[test]
fn mqtt_3_8_3_4_no_local_is_not_for_shared_subscriptions() {
    protocol_error(V5, 0x82, b"\x00\x01\x00\x00\x0A$share/g/a\x04");
    let mut packet = subscribe(&["$share/g/a"]);
    packet.filters[0].no_local = true;
    assert!(encode(&Packet::Subscribe(packet), V5).ends_with(b"a\x00"));
}

#[test]
fn mqtt_3_10_1_1_flags_of_unsubscribe() {
    assert_eq!(encode(&Packet::Unsubscribe(unsubscribe(&["a"])), V5)[0], 0xA2);
    malformed(V5, 0xA0, b"\x00\x01\x00\x00\x01a");
}

#[test]
fn mqtt_3_10_3_1_filters_of_unsubscribe_are_packed() {
    let bytes = encode(&Packet::Unsubscribe(unsubscribe(&["a", "b/+"])), V5);
    assert!(bytes.ends_with(b"\x00\x00\x01a\x00\x03b/+"));
}

#[test]
fn mqtt_3_10_3_2_unsubscribe_has_a_filter() {
    protocol_error(V5, 0xA2, b"\x00\x01\x00");
}

#[test]
fn mqtt_4_7_1_1_the_multi_level_wildcard_is_the_last_level() {
    for good in ["#", "a/#", "/#", "+/#", "$share/g/#"] {
        assert!(good.parse::<TopicFilter>().is_ok(), "{good}");
    }
    for bad in ["a#", "#/a", "a/#/b", "a/b#", "##"] {
        assert!(bad.parse::<TopicFilter>().is_err(), "{bad}");
        let body = [b"\x00\x01\x00", &field(bad.as_bytes())[..], b"\x00"].concat();
        assert!(decode(V5, 0x82, &body).is_none());
    }
}

#[test]
fn mqtt_4_7_1_2_the_single_level_wildcard_is_a_level() {
    for good in ["+", "+/+", "a/+/b", "/+", "+/"] {
        assert!(good.parse::<TopicFilter>().is_ok(), "{good}");
    }
    for bad in ["a+", "+a/b", "a/b+/c", "++"] {
        assert!(bad.parse::<TopicFilter>().is_err(), "{bad}");
        let body = [b"\x00\x01\x00", &field(bad.as_bytes())[..], b"\x00"].concat();
        assert!(decode(V5, 0x82, &body).is_none());
    }
}

#[test]
fn mqtt_4_7_3_1_topics_and_filters_have_a_character() {
    assert!("".parse::<Topic>().is_err());
    assert!("".parse::<TopicFilter>().is_err());
    assert!(decode(V5, 0x30, b"\x00\x00\x00").is_none());
    assert!(decode(V5, 0x82, b"\x00\x01\x00\x00\x00\x00").is_none());
}

#[test]
fn mqtt_4_7_3_2_topics_and_filters_have_no_u0000() {
    assert!("a\0".parse::<Topic>().is_err());
    assert!("a\0".parse::<TopicFilter>().is_err());
    assert!(decode(V5, 0x30, b"\x00\x02a\x00\x00").is_none());
    assert!(decode(V5, 0x82, b"\x00\x01\x00\x00\x02a\x00\x00").is_none());
}

#[test]
fn mqtt_4_7_3_3_topics_and_filters_have_at_most_65535_bytes() {
    let longest = "é".repeat(32_767) + "a";
    assert_eq!(longest.len(), 65_535);
    assert!(longest.parse::<Topic>().is_ok());
    assert!(longest.parse::<TopicFilter>().is_ok());
    assert!((longest.clone() + "a").parse::<Topic>().is_err());
    assert!((longest + "a").parse::<TopicFilter>().is_err());
}

#[test]
fn mqtt_4_8_2_1_a_shared_subscription_has_a_name_and_a_filter() {
    for good in ["$share/g/a", "$share/g/+/b", "$share/g//", "$shared/a"] {
        assert!(good.parse::<TopicFilter>().is_ok(), "{good}");
    }
    for bad in ["$share/g", "$share/g/", "$share//a", "$share/+/a", "$share/a#/b", "$share/#"] {
        assert!(bad.parse::<TopicFilter>().is_err(), "{bad}");
        let body = [b"\x00\x01\x00", &field(bad.as_bytes())[..], b"\x00"].concat();
        assert!(decode(V5, 0x82, &body).is_none());
    }
}
