//! The settings of one device on a bus: the keys below its name in `devices`.

use super::mapping::{Mapping, Names};
use super::member::MemberSettings;
use super::named::NamedCommand;
use super::poll::PollSettings;
use super::settings::{Checksum, Decode, Decrypt, FieldOverrides, Framing};
use super::step::StepSettings;
use crate::base::one_by_one;
use crate::base::scalar::Span;
use crate::codec::modbus::{ByteOrder, Join, RegisterSettings};
use serde::Deserialize;
use std::collections::BTreeMap;

/// One device of a bus, which is asked at its `address`: `{address: 7, interval: 2s, registers: {level:
/// {input: 0, scale: 0.1, unit: cm}}}`.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct OnBus {
    /// Name of a device file: see `model` of the port. What it says of the `line` holds for the port where
    /// that does not say it; `interval`, `align`, `misses` and `messages` of the port count for more than
    /// those of the file.
    #[allow(dead_code, reason = "the device file was laid below these settings already")]
    pub model: Option<String>,
    /// Settings of single fields by name, wherever the field is described: `{energy: {unit: MWh, scale:
    /// 0.001}}`. `publish: false` drops one. A name that nothing describes is a new field by `calc`.
    pub fields: FieldOverrides,
    /// Address of the device on the bus; with Modbus 1 to 247. 0 is all devices: they can only be written
    /// to, and none of them answers.
    pub address: Option<u8>,
    /// Time from one poll to the next. Default: `interval` of the port.
    pub interval: Option<Span>,
    /// How long the device may be silent when it is to answer. Default: `timeout` of the port.
    pub timeout: Option<Span>,
    /// How often a request that failed is repeated before its next interval. Default: `retries` of the port.
    pub retries: Option<u8>,
    /// Number of failures in a row after which the device is `offline`. Default: `misses` of the port.
    pub misses: Option<u8>,
    /// `true`: polls come at whole multiples of their interval on the wall clock, once it is set. Default:
    /// `align` of the port.
    pub align: Option<bool>,
    /// Order of the bytes of values in several registers: `ABCD`, `CDAB` (words swapped), `BADC` (bytes
    /// swapped) or `DCBA` (both). Default: `ABCD`.
    pub byte_order: ByteOrder,
    /// Which registers are read together: `{gap: 8, count: 60}`.
    pub join: Join,
    /// Where a reply begins and ends. Default: `lines`.
    pub framing: Option<Framing>,
    /// Checksum of requests and replies. Default: `checksum` of the port.
    pub checksum: Option<Checksum>,
    /// The keys with which the device encrypts what it sends: `{key: {file: /etc/tty2mqtt/meter.key}}`.
    pub decrypt: Option<Decrypt>,
    /// How the fields of replies are read. Default: `text`.
    pub decode: Option<Decode>,
    /// The Modbus registers of the device, each under the name of its field: `{power: {input: 12, type:
    /// f32, unit: W}}`.
    #[serde(deserialize_with = "one_by_one::map")]
    pub registers: BTreeMap<String, RegisterSettings>,
    /// Requests in any other protocol, each under a name of your choice.
    #[serde(deserialize_with = "one_by_one::map")]
    pub poll: BTreeMap<String, PollSettings>,
    /// Steps that are gone through after each opening of the port, before the device is asked anything.
    #[serde(deserialize_with = "one_by_one::list")]
    pub startup: Vec<StepSettings>,
    /// Commands, each under its name, which stands for `{command}` in its topics.
    #[serde(deserialize_with = "one_by_one::map")]
    pub commands: BTreeMap<String, NamedCommand>,
    /// What is published. Default: `messages` of the port.
    #[serde(deserialize_with = "one_by_one::optional_list")]
    pub messages: Option<Vec<Mapping>>,
}

impl OnBus {
    /// What is asked, of a device of this name on a port whose own keys are `defaults`.
    pub fn member<'a>(
        &'a self,
        name: &'a str,
        defaults: &MemberSettings<'a>,
    ) -> MemberSettings<'a> {
        MemberSettings {
            names: Names { device: name, ..defaults.names },
            key: Some(name),
            address: self.address,
            interval: self.interval.or(defaults.interval),
            timeout: self.timeout.or(defaults.timeout),
            retries: self.retries.or(defaults.retries),
            misses: self.misses.or(defaults.misses),
            align: self.align.unwrap_or(defaults.align),
            byte_order: self.byte_order,
            join: self.join,
            registers: &self.registers,
            fields: &self.fields.0,
            poll: &self.poll,
            startup: &self.startup,
            commands: &self.commands,
            framing: self.framing.as_ref(),
            port_framing: defaults.port_framing,
            decrypt: self.decrypt.as_ref(),
            decode: self.decode.as_ref(),
            messages: self.messages.as_deref().or(defaults.messages),
            checksum: self.checksum.as_ref().or(defaults.checksum),
        }
    }
}
