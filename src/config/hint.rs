//! Guesses what the user meant: the nearest name, or what a key of another program is called here.

pub(super) use crate::base::nearest::{is_near, suggest};

use super::tree::{Path, Step, What};
use super::yaml::{Scalar, Tree};
use crate::base::nearest::distance;

/// The remedy for an unknown key: what it is called here, or which of the allowed ones is near.
/// `allowed` tells which part of the configuration the key stands in.
pub(super) fn for_key(key: &str, allowed: &[&str]) -> String {
    known_elsewhere(key, allowed).map_or_else(|| suggest(key, allowed), str::to_owned)
}

/// Keys of other programs.
fn known_elsewhere(key: &str, allowed: &[&str]) -> Option<&'static str> {
    let has = |wanted| allowed.contains(&wanted);
    let (port, broker, root) = (has("command_wait"), has("client_id"), has("ports"));
    // A device on a bus, a register and a poll.
    let (device, register, poll) =
        (has("byte_order") && has("poll"), has("holding"), has("dialogue"));
    let key = key.to_ascii_lowercase();
    // A key that is nearly right gets the nearest name instead.
    let near = allowed.iter().any(|known| distance(&key, known) <= 1);
    if near && !(broker && key == "port") {
        return None;
    }
    Some(match key.as_str() {
        "poll_interval" | "update_interval" | "scan_interval" | "every" | "period" | "refresh"
            if device || register || poll =>
        {
            "write `interval: 10s`"
        }
        "slave" | "slave_id" | "slave_address" | "unit_id" | "unit" | "node_id" | "modbus_id"
        | "id"
            if device =>
        {
            "write `address: 1`"
        }
        "line" | "baud" | "baudrate" | "baud_rate" | "speed" | "parity" | "modbus" | "bus"
            if device && !port =>
        {
            "all devices of a bus share it: write it on the port"
        }
        "name" if device && !port => "the key above is its name: devices: {NAME: {…}}",
        "frames" if device && !port => {
            "a device of a bus speaks when it is asked, and then `decode` reads what it says"
        }
        "polling" | "polls" | "request" | "requests" | "query" | "queries" if device => {
            "write what is asked under a name: `poll: {status: {send: …, decode: …}}`"
        }
        "sensors" | "sensor" | "values" if device => {
            "write `registers: {NAME: {input: 0x0000, type: f32}}`, or `decode`"
        }
        "word_order" | "byteorder" | "swap" | "endian" | "endianness" if device || register => {
            "write `byte_order`: ABCD, CDAB, BADC or DCBA"
        }
        "max_registers" | "group_size" | "max_read" if device => "write `join: {count: 50}`",
        "address" | "register" | "reg" | "addr" | "offset_address" | "function"
        | "function_code" | "fc" | "table" | "register_type" | "input_type"
            if register =>
        {
            "write the table with the address: `input: 0x0000` (function 4), `holding: …` (3), \
             `coil: …` (1) or `discrete: …` (2)"
        }
        "data_type" | "datatype" | "value_type" | "format" if register => {
            "write `type`: u16, i16, u32, i32, f32, text or another"
        }
        "size" | "words" if register => "the `type` says it; for a text write `length` in bytes",
        "min" | "max" | "step" | "min_value" | "max_value" if register => {
            "write the bounds of what may be written: `write: {min: 0, max: 100}`"
        }
        "factor" | "multiplier" | "multiply" | "gain" if register => "write `scale: 0.1`",
        "precision" | "round" | "digits" if register => "write `decimals: 1`",
        "unit_of_measurement" | "uom" if register => "write `unit`",
        "cmd" | "command" | "request" | "query" | "tx" | "write" if poll => "write `send`",
        "response" | "answer" | "expect" | "rx" | "read" if poll => "write `reply`",
        "fields" | "registers" | "json" | "pairs" | "binary" if poll => {
            "how the reply is read stands in `decode`: `decode: {fields: {names: [a, b]}}`"
        }
        "device_class" if register || has("class") => "write `class`",
        "homeassistant" | "hass" | "discovery" | "discovery_prefix" => {
            "write `home_assistant: true`, or a map with `prefix`"
        }
        "device_class" | "state_class" => {
            "fields have `class` and `state_class`; `home_assistant: true` announces them"
        }
        "serial" | "tty" | "dev" if port => "write `path: /dev/ttyUSB0`",
        "host" | "ip" if port => "write `tcp: host:port`",
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

/// Those of many words that are nearest: they contain the word, or look like a misspelling of it.
pub(super) fn nearest(word: &str, known: &[&str]) -> String {
    let plain = |word: &str| word.to_lowercase().replace(['-', '_', '.', ' '], "");
    let word = plain(word);
    let contains = |known: &&&str| word.len() > 2 && plain(known).contains(&word);
    let parts = |known: &str| {
        let is_in = |part: &&str| part.len() > 2 && word.contains(part);
        known.split(['-', '_']).filter(is_in).map(str::len).sum::<usize>()
    };
    let mut near: Vec<&str> = known.iter().filter(contains).copied().collect();
    if near.is_empty() {
        near = known.iter().copied().filter(|known| is_near(&word, &plain(known))).collect();
        near.sort_by_key(|known| distance(&word, &plain(known)));
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
        [] if known.is_empty() => "there is none at all".to_owned(),
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

/// For a value that is wrong: what is wrong in other words, where there are better ones, and the
/// remedy.
pub(super) fn for_value(
    path: &Path,
    value: Option<&Tree>,
    what: &What,
) -> Option<(Option<&'static str>, &'static str)> {
    let keys = path.0.iter().filter_map(|step| match step {
        Step::Key(key) => Some(key.as_str()),
        Step::Item(_) | Step::Characters { .. } => None,
    });
    let keys: Vec<&str> = keys.collect();
    let scalar = value.and_then(Tree::scalar);
    let is_null = scalar == Some(Scalar::Null);
    let is_text = matches!(scalar, Some(Scalar::Text(_)));
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
        _ => return None,
    })
}
