//! Which fields the decoders and registers of each device have, as far as their settings say it.

use super::bus::Bus;
use super::fields::{Described, Description};
use super::mapping::Mapper;
use super::member::{Member, MemberSettings, Question, interval};
use super::pipeline::Pipeline;
use super::settings::DeviceSettings;
use crate::base::path::{BuildError, Path};
use crate::codec::decode::Decoder;
use std::time::Duration;

/// Gives the pipeline what becomes of the fields of all devices.
pub(super) fn build_fields(
    settings: &DeviceSettings<'_>,
    listens: bool,
    pipeline: &mut Pipeline,
    bus: &mut Bus,
) -> Result<(), Vec<BuildError>> {
    let (mut built, mut errors) = (Vec::new(), Vec::new());
    for n in 0..bus.members.len().max(1) {
        let done = description(settings, n, listens, pipeline, bus).build();
        match done {
            Ok((fields, keep)) => {
                for name in &keep {
                    pipeline.decoders_mut().for_each(|decoder| decoder.keep(name));
                    bus.members.get_mut(n).into_iter().for_each(|member| member.keep(name));
                }
                built.push(fields);
            }
            Err(all) => errors.extend(all.into_iter().map(|error| {
                match settings.members.get(n).and_then(|member| member.key) {
                    Some(key) => error.at(key).at("devices"),
                    None => error,
                }
            })),
        }
    }
    pipeline.set_fields(built);
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// What is described of the fields of one device, by its place among those that are asked; 0 where it speaks
/// by itself.
pub(super) fn description<'a>(
    settings: &DeviceSettings<'a>,
    n: usize,
    listens: bool,
    pipeline: &'a Pipeline,
    bus: &'a Bus,
) -> Description<'a> {
    let member = settings.members.get(n).zip(bus.members.get(n));
    let (device, overrides) = match member {
        Some((settings, _)) => (settings.names.device, settings.fields),
        None => (settings.names.device, settings.fields),
    };
    let mut description = Description { device, fields: Vec::new(), is_open: false, overrides };
    if let Some((settings, member)) = member {
        description.add_member(settings, member);
    }
    // What comes unasked is of the one device on the line.
    let is_bus = settings.members.iter().any(|member| member.key.is_some());
    if listens && !is_bus {
        for (n, kind) in (0..).zip(pipeline.kinds()) {
            let path = match settings.frames.is_empty() {
                true => Path::default(),
                false => Path::from(["frames"]).item(n),
            };
            description.add(&path.key("decode"), None, &kind.decoder, &kind.mappers);
        }
    }
    description
}

impl<'a> Description<'a> {
    fn add_member(&mut self, settings: &MemberSettings<'_>, member: &'a Member) {
        for register in &member.registers {
            self.fields.push(Described {
                name: &register.name,
                field: &register.field,
                settings: register.field.settings.as_deref(),
                publish: register.publish,
                interval: Some(interval(settings, register.interval)),
                path: Path::from(["registers", &register.name]),
                mappers: &member.mappers,
                has_nodes: false,
                is_bit: register.table().is_bits(),
            });
        }
        for poll in &member.polls {
            let Question::Steps(_, kind) = &poll.what else { continue };
            let own = settings.poll.get(&poll.name).is_some_and(|poll| poll.decode.is_some());
            let path = if own { Path::from(["poll", &poll.name]) } else { Path::default() };
            let interval = Some(poll.recurrence.interval());
            self.add(&path.key("decode"), interval, &kind.decoder, &kind.mappers);
        }
    }

    fn add(
        &mut self,
        path: &Path,
        interval: Option<Duration>,
        decoder: &'a Decoder,
        mappers: &'a [Mapper],
    ) {
        self.is_open |= decoder.names().is_none();
        let first = self.fields.len();
        for field in decoder.fields() {
            let path = path.join(&decoder.path(field));
            match decoder.nested(field) {
                Some(nested) => self.add(&path.key("decode"), interval, nested, mappers),
                None => self.fields.push(Described {
                    name: &field.name,
                    field,
                    settings: field.settings.as_deref(),
                    publish: field.is_published(),
                    interval,
                    path,
                    mappers,
                    has_nodes: false,
                    is_bit: false,
                }),
            }
        }
        if decoder.has_nodes() {
            self.fields.iter_mut().skip(first).for_each(|field| field.has_nodes = true);
        }
    }
}

impl Member {
    /// A field is needed even if it is not published.
    fn keep(&mut self, name: &str) {
        for register in self.registers.iter_mut().filter(|register| register.name == name) {
            register.publish = true;
        }
        for poll in &mut self.polls {
            if let Question::Steps(_, kind) = &mut poll.what {
                kind.decoder.keep(name);
            }
        }
    }
}
