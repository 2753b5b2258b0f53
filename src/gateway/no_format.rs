//! In the place of `format` in a build without the feature `formats`: the check of the configuration refuses the key,
//! so that none is ever made.

use crate::base::clock::Now;
use crate::base::path::BuildError;
use crate::config::{self, Config};
use crate::device::mapping::Mapping;
use crate::device::outline::Outline;
use crate::mqtt::packet::{Reason, Subscription};
use crate::mqtt::topic::Topic;
use crate::outbox::Outbox;
use crate::outbox::entry::Entry;
use crate::port::status::PortTopics;
use bytes::Bytes;

#[derive(Clone, Debug)]
pub enum Facts {}

impl Facts {
    pub fn of_port(_: Vec<Outline>, _: &PortTopics) -> Vec<Facts> {
        Vec::new()
    }
}

#[allow(dead_code, reason = "nobody makes one here")]
pub struct Heard {
    pub commands: Vec<(Topic, Bytes)>,
    pub refused: Vec<String>,
    pub news: Option<&'static str>,
}

#[derive(Debug)]
pub enum Format {}

#[allow(clippy::unused_self, reason = "nobody can call them")]
impl Format {
    pub fn of(_: &Config, _: Vec<Facts>) -> Option<Format> {
        None
    }

    pub fn mapping(_: &config::Format, _: &Config) -> Result<Mapping, BuildError> {
        Err(BuildError::new("this build has no formats"))
    }

    pub fn adopt(&mut self, _: Format, _: bool) {
        match *self {}
    }

    pub fn subscriptions(&self) -> Vec<Subscription> {
        match *self {}
    }

    pub fn source<'a>(&'a mut self, _: &'a mut Outbox, _: Now) -> Outbox {
        match *self {}
    }

    pub fn disconnected(&mut self) {
        match *self {}
    }

    pub fn leave(&mut self) {
        match *self {}
    }

    pub fn has_left(&self) -> bool {
        match *self {}
    }

    pub fn parting(&self) -> Reason {
        match *self {}
    }

    pub fn wants_another_broker(&self) -> bool {
        match *self {}
    }

    pub fn take(&mut self, _: Entry, _: Now, _: &mut Vec<Entry>) {
        match *self {}
    }

    pub fn hear(&mut self, _: &Topic, _: &[u8], _: bool) -> Heard {
        match *self {}
    }
}
