//! Guesses what the user meant: the nearest name, or what a key of another program is called here.

use super::tree::{Path, Step, What};
use super::yaml::{Scalar, Tree};
use crate::device::mapping::{Template, TemplateError};

/// The remedy for an unknown key: what it is called here, or which of the allowed ones is near.
/// `allowed` tells which part of the configuration the key stands in.
pub(super) fn for_key(key: &str, allowed: &[&str]) -> String {
    known_elsewhere(key, allowed).map_or_else(|| suggest(key, allowed), str::to_owned)
}

/// Keys of other programs.
fn known_elsewhere(key: &str, allowed: &[&str]) -> Option<&'static str> {
    let has = |wanted| allowed.contains(&wanted);
    let (port, broker, root) = (has("line"), has("client_id"), has("ports"));
    let key = key.to_ascii_lowercase();
    // A key that is nearly right gets the nearest name instead.
    let near = allowed.iter().any(|known| distance(&key, known) <= 1);
    if near && !(broker && key == "port") {
        return None;
    }
    Some(match key.as_str() {
        "poll" | "polls" | "polling" | "poll_interval" | "update_interval" | "scan_interval"
        | "request" | "registers" => {
            "polling is not supported yet: the gateway reads what a device sends by itself, or what \
             another program asks it for"
        }
        "homeassistant" | "home_assistant" | "hass" | "discovery" | "discovery_prefix"
        | "device_class" | "state_class" => {
            "Home Assistant's discovery is not supported yet; write its `mqtt: sensor:` entries by hand"
        }
        "modbus" | "slave" | "slave_id" | "unit_id" => {
            "Modbus is not supported yet: replies to another master can be read with \
             `framing: gap`, `checksum: crc16-modbus` and `decode: {binary: …}`"
        }
        "baud" | "baudrate" | "baud_rate" | "speed" | "parity" | "stopbits" | "stop_bits"
        | "bits" | "databits" | "data_bits" | "bytesize"
            if port =>
        {
            "write speed, data bits, parity and stop bits together: `line: 9600 8N1`"
        }
        "serial" | "tty" | "dev" if port => "write `path: /dev/ttyUSB0`",
        "host" | "address" | "ip" if port => "write `tcp: host:port`",
        "rtscts" | "xonxoff" | "handshake" if port => "write `flow: hardware` or `flow: software`",
        "topic" | "topics" | "publish" if port => "write `messages: [{topic: …}]`",
        "host" | "hostname" | "server" | "address" | "broker" | "ip" | "port" | "uri" if broker => {
            "host and port are one address: `url: mqtt://HOST:1883`"
        }
        "username" | "login" if broker => "write `user`",
        "pass" | "passwd" | "passphrase" if broker => "write `password`, or better `password_file`",
        "clientid" | "client" | "id" if broker => "write `client_id`",
        "clean_session" | "cleansession" | "clean_start" if broker => {
            "write `clean: true` or `false`"
        }
        "keep_alive" if broker => "write `keepalive: 60s`",
        "cafile" | "ca" | "cert" | "certificate" | "key" | "ssl" if broker => {
            "write `url: mqtts://…` and, below `tls`, `ca_file`, `cert_file` and `key_file`"
        }
        "mqtt" if root => "write `broker`",
        "serial" | "port" | "devices" | "device" if root => {
            "write `ports`, and below it each port's name"
        }
        _ => return None,
    })
}

/// The nearest of the words that are possible, and all of them.
pub(super) fn suggest(word: &str, allowed: &[&str]) -> String {
    let list = allowed.join(", ");
    // `crc16` may be any of those that begin so.
    let begin: Vec<_> = match word.len() {
        0..=2 => Vec::new(),
        _ => allowed.iter().filter(|known| known.starts_with(&word.to_lowercase())).collect(),
    };
    if begin.len() > 1 {
        let begin: Vec<_> = begin.iter().map(|known| format!("`{known}`")).collect();
        return format!("did you mean one of {}? Allowed: {list}", begin.join(", "));
    }
    let nearest = allowed.iter().map(|known| (distance(word, known), known)).min();
    match nearest {
        Some((_, known)) if is_near(word, known) => {
            format!("did you mean `{known}`? Allowed: {list}")
        }
        _ => format!("allowed: {list}"),
    }
}

/// Those of many words that are nearest: they contain the word, or look like a misspelling of it.
pub(super) fn nearest(word: &str, known: &[&str]) -> String {
    let word = word.to_lowercase();
    let contains = |known: &&&str| word.len() > 2 && known.contains(&word);
    let parts = |known: &str| {
        let is_in = |part: &&str| part.len() > 2 && word.contains(part);
        known.split(['-', '_']).filter(is_in).map(str::len).sum::<usize>()
    };
    let mut near: Vec<&str> = known.iter().filter(contains).copied().collect();
    if near.is_empty() {
        near = known.iter().copied().filter(|known| is_near(&word, known)).collect();
        near.sort_by_key(|known| distance(&word, known));
    }
    if near.is_empty() {
        near = known.iter().copied().filter(|known| parts(known) > 0).collect();
        near.sort_by_key(|known| std::cmp::Reverse(parts(known)));
    }
    const SHOWN: usize = 8;
    let list = |words: &[&str]| {
        let more = if words.len() > SHOWN { ", …" } else { "" };
        let words: Vec<_> = words.iter().take(SHOWN).map(|word| format!("`{word}`")).collect();
        words.join(", ") + more
    };
    match &near[..] {
        [] => format!("there are {}", list(known)),
        [one] => format!("did you mean `{one}`?"),
        near => format!("did you mean one of {}?", list(near)),
    }
}

/// Whether an unknown key stands where a needed one is missing.
pub(super) fn is_meant(word: &str, missing: &str) -> bool {
    let of_url = ["host", "hostname", "server", "address", "broker", "ip", "uri"];
    is_near(word, missing) || missing == "url" && of_url.contains(&&*word.to_ascii_lowercase())
}

/// Whether a word looks like a misspelling of another one.
pub(super) fn is_near(word: &str, known: &str) -> bool {
    distance(word, known) <= 1 + known.len() / 4
}

/// Levenshtein's distance: how many letters to change, add or leave out. Only the first 64 letters are compared.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(64).enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let here = (corner + usize::from(x != *y)).min(row[j] + 1).min(row[j + 1] + 1);
            corner = std::mem::replace(&mut row[j + 1], here);
        }
    }
    row[b.len()]
}

/// For a value that is wrong: what is wrong in other words, where there are better ones, and the
/// remedy.
pub(super) fn for_value(
    path: &Path,
    value: Option<&Tree>,
    what: &What,
) -> Option<(Option<&'static str>, &'static str)> {
    let keys = path.0.iter().filter_map(|step| match step {
        Step::Key(key) => Some(key.as_str()),
        Step::Item(_) => None,
    });
    let keys: Vec<&str> = keys.collect();
    let scalar = value.and_then(Tree::scalar);
    let is_null = scalar == Some(Scalar::Null);
    let is_text = matches!(scalar, Some(Scalar::Text(_)));
    // Which placeholders there are depends on the key.
    let is_unknown = matches!(scalar, Some(Scalar::Text(text))
        if matches!(text.parse::<Template>(), Err(TemplateError::Unknown(..))));
    // `scale: 0,1` in brackets is two entries.
    let is_number = keys.last().is_some_and(|key| key.bytes().all(|b| b.is_ascii_digit()));
    Some(match (what, keys.as_slice()) {
        (What::UnknownKey(_), _) if is_null && is_number => (
            Some("a comma ends a value in brackets"),
            "write numbers with a point, 0.1, and quotes around a text with a comma",
        ),
        (What::Wrong(_), []) if is_null => (
            Some("the file is empty"),
            "it needs `broker` and `ports`; docs/CONFIG.md says what they take",
        ),
        (What::Wrong(_), ["broker"]) if is_text => {
            (None, "write the address below it, `url: mqtt://HOST:1883`")
        }
        (What::Wrong(_), ["broker", "local_address"]) if is_text => {
            (Some("this is not a valid IP address"), "write one, as in 192.168.1.2")
        }
        (What::Wrong(_), [.., "topic"]) if is_unknown && keys.contains(&"commands") => {
            (None, "there are {gateway} {port} {device}")
        }
        (What::Wrong(_), [.., "topic"]) if is_unknown => {
            (None, "there are {gateway} {port} {device} {node} {field} {value} {unit}")
        }
        (What::Wrong(_), [.., "send"]) if is_unknown => {
            (None, "there are {gateway} {port} {device} {payload}")
        }
        _ => return None,
    })
}
