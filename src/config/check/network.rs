//! Checks addresses, TLS and the way out: what one key alone cannot show to be wrong.

use crate::base::path::Path;
use crate::config::Broker;
use crate::config::load::Found;
use crate::mqtt::transport::settings::{Family, Verify};
use crate::mqtt::transport::ws::header_fault;
use crate::mqtt::url::{BrokerUrl, Scheme};

pub(super) fn check(broker: &Broker, found: &mut Found<'_>) {
    for (n, url) in broker.urls().enumerate() {
        let path = url_path(n);
        address(broker, url, &path, found);
        if n > 0 && (url.user.is_some() || url.password.is_some()) {
            let what = "the login of the first broker is used for this one, too";
            found.add(path, what, "leave this one out");
        }
    }
    tls(broker, found);
    let is_websocket = broker.urls().any(|url| url.scheme.is_websocket());
    if !broker.headers.is_empty() && !is_websocket {
        let what = "only the request of a WebSocket has headers";
        found.add(["broker", "headers"], what, "write the url with ws:// or wss://");
    }
    for (name, value) in &broker.headers {
        if let Some([what, remedy]) = header_fault(name, value.reveal()) {
            found.add(["broker", "headers", name], what, remedy);
        }
    }
    let address = ["broker", "local_address"];
    match (broker.family, broker.local_address) {
        (Family::V4, Some(ip)) if ip.is_ipv6() => {
            found.add(address, "this is an IPv6 address, and `family` is 4", "keep one of the two");
        }
        (Family::V6, Some(ip)) if ip.is_ipv4() => {
            found.add(address, "this is an IPv4 address, and `family` is 6", "keep one of the two");
        }
        _ => {}
    }
    // IFNAMSIZ of the kernel.
    if broker.bind_device.as_ref().is_some_and(|name| name.is_empty() || name.len() > 15) {
        let what = "this is not a valid name of a network device";
        found.add(["broker", "bind_device"], what, "`ip link` lists the devices of this machine");
    }
}

/// Where the addresses of [`Broker::urls`] stand.
pub(in crate::config) fn url_path(n: usize) -> Path {
    match n.checked_sub(1) {
        None => Path::from(["broker", "url"]),
        Some(n) => Path::from(["broker", "fallback"]).item(n),
    }
}

fn address(broker: &Broker, url: &BrokerUrl, path: &Path, found: &mut Found<'_>) {
    if url.query.is_some() && !url.scheme.is_websocket() {
        let what = format!("the text after the `?` means nothing with {}://", url.scheme);
        found.add(path.clone(), what, "leave it out");
    }
    if url.scheme == Scheme::Unix && broker.proxy.is_some() {
        let what = "no proxy leads to a Unix socket of this machine";
        found.add(path.clone(), what, "leave out `proxy`");
    }
    if broker.tls.verify == Verify::None && url.is_tls() && broker.transport().has_credentials() {
        found.add(
            path.clone(),
            "a broker whose certificate is not checked (`tls.verify: none`) never gets a user name, \
             a password or a certificate, so the gateway could not connect",
            "let it be checked, or leave these out",
        );
    }
}

fn tls(broker: &Broker, found: &mut Found<'_>) {
    let tls = &broker.tls;
    let given = [
        ("ca_file", tls.ca_file.is_some()),
        ("fingerprint", tls.fingerprint.is_some()),
        ("cert_file", tls.cert_file.is_some()),
        ("key_file", tls.key_file.is_some()),
    ];
    let mut add = |key, what, remedy| found.add(["broker", "tls", key], what, remedy);
    if !broker.urls().any(BrokerUrl::is_tls) {
        if let Some((key, _)) = given.iter().find(|(_, given)| *given) {
            let what = "the connection is not encrypted";
            add(key, what, "write the url with mqtts:// or wss://");
        }
        return;
    }
    if tls.ca_file.is_some() && tls.fingerprint.is_some() {
        let what = "a fingerprint takes the place of a certificate authority";
        add("fingerprint", what, "keep one of the two");
    }
    if tls.verify == Verify::None && (tls.ca_file.is_some() || tls.fingerprint.is_some()) {
        let what = "nothing is checked then";
        add("verify", what, "leave it out, and the certificate is checked");
    }
    match (&tls.cert_file, &tls.key_file) {
        (Some(_), None) => add("cert_file", "its key is missing", "add `key_file`"),
        (None, Some(_)) => add("key_file", "its certificate is missing", "add `cert_file`"),
        _ => {}
    }
    if tls.key_password_file.is_some() && tls.key_file.is_none() {
        add("key_password_file", "there is no key to decrypt", "add `key_file`");
    }
    if tls.alpn.iter().any(|name| name.is_empty() || name.len() > 255) {
        add("alpn", "a protocol name has 1 to 255 bytes", "correct or remove it");
    }
}
