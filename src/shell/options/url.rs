//! `-L mqtts://user:password@host:port/topic`.

use super::{UsageError, wrong};
use crate::mqtt::url::BrokerUrl;

/// The broker and the topic of a URL. The topic is taken as it stands.
pub(super) fn split<'t>(text: &'t str, option: &str) -> Result<(BrokerUrl, &'t str), UsageError> {
    const HELP: &str = "write mqtt://[user[:password]@]host[:port]/topic; mqtts, ws and wss too";
    let Some((scheme, rest)) = text.split_once("://") else {
        return wrong(format!("{option}: {HELP}"));
    };
    if !["mqtt", "mqtts", "ws", "wss"].contains(&scheme.to_ascii_lowercase().as_str()) {
        return wrong(format!("{option}: unknown scheme {scheme:?}; {HELP}"));
    }
    let Some((authority, topic)) = rest.split_once('/') else {
        return wrong(format!("{option}: no topic behind the host; {HELP}"));
    };
    let broker = text[..scheme.len() + 3 + authority.len()].parse();
    Ok((broker.map_err(|why| UsageError(format!("{option}: {why}")))?, topic))
}
