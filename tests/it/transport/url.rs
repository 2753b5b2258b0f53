//! Addresses: what they mean, and that they keep their secrets.

use tty2mqtt::mqtt::transport::proxy::{ProxyKind, ProxyUrl};
use tty2mqtt::mqtt::url::{BrokerUrl, Scheme};

fn parse(text: &str) -> BrokerUrl {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn schemes_hosts_ports_and_paths() {
    for (text, scheme, host, port, path, shown) in [
        ("mqtt://a", Scheme::Mqtt, "a", 1883, "", "mqtt://a:1883"),
        ("tcp://a:1", Scheme::Mqtt, "a", 1, "", "mqtt://a:1"),
        ("MQTTS://a.b-c_d/", Scheme::Mqtts, "a.b-c_d", 8883, "", "mqtts://a.b-c_d:8883"),
        ("ssl://a", Scheme::Mqtts, "a", 8883, "", "mqtts://a:8883"),
        ("tls://a:", Scheme::Mqtts, "a", 8883, "", "mqtts://a:8883"),
        ("ws://a", Scheme::Ws, "a", 80, "/mqtt", "ws://a:80/mqtt"),
        ("ws://a/", Scheme::Ws, "a", 80, "/", "ws://a:80/"),
        ("wss://a/b%20c/d", Scheme::Wss, "a", 443, "/b%20c/d", "wss://a:443/b%20c/d"),
        ("mqtt://[::1]", Scheme::Mqtt, "::1", 1883, "", "mqtt://[::1]:1883"),
        (
            "mqtts://[fe80::1%25eth0]:1",
            Scheme::Mqtts,
            "fe80::1%eth0",
            1,
            "",
            "mqtts://[fe80::1%eth0]:1",
        ),
        ("unix:///run/a%20b.sock", Scheme::Unix, "", 0, "/run/a b.sock", "unix:///run/a b.sock"),
    ] {
        let url = parse(text);
        assert_eq!(
            (url.scheme, &*url.host, url.port, &*url.path),
            (scheme, host, port, path),
            "{text}"
        );
        assert_eq!(url.to_string(), shown);
    }
}

#[test]
fn user_and_password_are_decoded_and_never_printed() {
    let url = parse("wss://me%40home:s%3Ac%25r@et@host/p?token=geheim&x=%20");
    assert_eq!(url.user.as_deref(), Some("me@home"));
    assert_eq!(url.password.as_ref().unwrap().reveal(), b"s:c%r@et");
    assert_eq!(url.to_string(), "wss://me@home:***@host:443/p?***");
    assert_eq!(format!("{url:?}"), "BrokerUrl(wss://me@home:***@host:443/p?***)");
    // A password alone, as MQTT 5.0 has it.
    let url = parse("mqtt://:pw@host");
    assert_eq!((url.user.as_deref(), url.password.unwrap().reveal()), (None, b"pw".as_slice()));
}

#[test]
fn errors_name_the_part_and_hide_the_secret() {
    for (text, part) in [
        ("host", "scheme"),
        ("http://host", "scheme \"http\""),
        ("mqtt://", "the host is missing"),
        ("mqtt://:1883", "the host is missing"),
        ("mqtt://a b", "the host \"a b\""),
        ("mqtt://a\r\nb", "the host"),
        ("mqtt://bücher", "xn--"),
        ("mqtt://a:0", "the port \"0\""),
        ("mqtt://a:65536", "the port \"65536\""),
        ("mqtt://a:x", "the port \"x\""),
        ("mqtt://::1", "[::1]"),
        ("mqtt://[::1", "unclosed"),
        ("mqtt://[::g]", "not a valid IPv6 address"),
        ("mqtt://[::1]x", "between host and port"),
        ("mqtt://a/b", "the path \"/b\""),
        ("ws://a/ b", "the path"),
        ("ws://a/b?\u{7f}", "the query"),
        ("mqtt://a#b", "`#`"),
        ("unix://run/x", "three slashes"),
        ("unix:///", "the path"),
        ("mqtt://u%zz:geheim@a", "the user name"),
        ("mqtt://u:geheim%@a", "the password"),
        ("mqtt://u:geheim%00@a", "the password has a NUL"),
        ("mqtt://u:geheim%ff@a", "the password is not UTF-8"),
        ("mqtt://u:ge/heim@a", "the password"),
        ("mqtt://u:ge?heim@a", "the password"),
    ] {
        let error = text.parse::<BrokerUrl>().map(|url| panic!("{url}")).unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
        assert!(!error.contains("geheim") && !error.contains("heim@"), "{error}");
    }
}

#[test]
fn proxies() {
    let proxy: ProxyUrl = "socks5h://me:geheim@[::1]".parse().unwrap();
    assert_eq!((proxy.kind, &*proxy.host, proxy.port), (ProxyKind::Socks5h, "::1", 1080));
    assert_eq!(proxy.to_string(), "socks5h://me:***@[::1]:1080");
    assert!(!format!("{proxy:?}").contains("geheim"));
    let proxy: ProxyUrl = "http://p/".parse().unwrap();
    assert_eq!((proxy.kind, proxy.port), (ProxyKind::Http, 80));
    let long = format!("socks5://{}:x@p", "u".repeat(256));
    for bad in ["p:1080", "https://p", "socks4://p", "http://p/x", "http://a%3Ab:c@p", &long] {
        assert!(bad.parse::<ProxyUrl>().is_err(), "{bad}");
    }
}
