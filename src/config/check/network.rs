//! Addresses, TLS and the way out: what one key alone cannot show to be wrong.

use crate::config::Broker;
use crate::mqtt::transport::settings::{Family, Verify};
use crate::mqtt::transport::ws::header_fault;
use crate::mqtt::url::{BrokerUrl, Scheme};

/// Calls `add` with the path and the sentence for everything that is wrong.
pub(super) fn check(broker: &Broker, mut add: impl FnMut(&str, &str)) {
    for (n, url) in broker.urls().enumerate() {
        let path = match n {
            0 => "broker.url".to_owned(),
            n => format!("broker.fallback[{}]", n - 1),
        };
        address(broker, url, |what| add(&path, what));
        if n > 0 && (url.user.is_some() || url.password.is_some()) {
            add(&path, "the login of the first broker goes to this one too; leave this one out");
        }
    }
    tls(broker, &mut add);
    let is_websocket = broker.urls().any(|url| url.scheme.is_websocket());
    if !broker.headers.is_empty() && !is_websocket {
        add(
            "broker.headers",
            "only a WebSocket's request has headers; write the url with ws:// or wss://",
        );
    }
    for (name, value) in &broker.headers {
        if let Some(why) = header_fault(name, value.reveal()) {
            add("broker.headers", &format!("{name:?}: {why}"));
        }
    }
    match (broker.family, broker.local_address) {
        (Family::V4, Some(address)) if address.is_ipv6() => {
            add("broker.local_address", "it is an IPv6 address, and `family` is 4; keep one");
        }
        (Family::V6, Some(address)) if address.is_ipv4() => {
            add("broker.local_address", "it is an IPv4 address, and `family` is 6; keep one");
        }
        _ => {}
    }
    // IFNAMSIZ of the kernel.
    if broker.bind_device.as_ref().is_some_and(|name| name.is_empty() || name.len() > 15) {
        add("broker.bind_device", "this is no network device; `ip link` lists those there are");
    }
}

fn address(broker: &Broker, url: &BrokerUrl, mut add: impl FnMut(&str)) {
    if url.query.is_some() && !url.scheme.is_websocket() {
        let scheme = url.scheme;
        add(&format!("what stands behind the `?` means nothing with {scheme}://; leave it out"));
    }
    if url.scheme == Scheme::Unix && broker.proxy.is_some() {
        add("no proxy leads to a Unix socket of this machine; leave out `proxy`");
    }
    if broker.tls.verify == Verify::None && url.is_tls() && broker.transport().has_credentials() {
        add("a broker that is not checked (`tls.verify: none`) gets no user, password or \
             certificate, so that no link would come about; check it, or leave these out");
    }
}

fn tls(broker: &Broker, add: &mut impl FnMut(&str, &str)) {
    let tls = &broker.tls;
    let given = [
        ("ca_file", tls.ca_file.is_some()),
        ("fingerprint", tls.fingerprint.is_some()),
        ("cert_file", tls.cert_file.is_some()),
        ("key_file", tls.key_file.is_some()),
    ];
    if !broker.urls().any(BrokerUrl::is_tls) {
        if let Some((key, _)) = given.iter().find(|(_, given)| *given) {
            let what = "the link is not encrypted; write the url with mqtts:// or wss://";
            add(&format!("broker.tls.{key}"), what);
        }
        return;
    }
    if tls.ca_file.is_some() && tls.fingerprint.is_some() {
        let what = "a fingerprint stands in place of an authority; keep one of the two";
        add("broker.tls.fingerprint", what);
    }
    if tls.verify == Verify::None && (tls.ca_file.is_some() || tls.fingerprint.is_some()) {
        let what = "nothing is checked then; leave it out, and the link is checked";
        add("broker.tls.verify", what);
    }
    match (&tls.cert_file, &tls.key_file) {
        (Some(_), None) => add("broker.tls.cert_file", "its key is missing; add `key_file`"),
        (None, Some(_)) => {
            add("broker.tls.key_file", "its certificate is missing; add `cert_file`")
        }
        _ => {}
    }
    if tls.key_password_file.is_some() && tls.key_file.is_none() {
        add("broker.tls.key_password_file", "there is no key to open; add `key_file`");
    }
    if tls.alpn.iter().any(|name| name.is_empty() || name.len() > 255) {
        add("broker.tls.alpn", "a name has 1 to 255 bytes; correct or remove it");
    }
}
