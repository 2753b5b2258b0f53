//! Fields that only frames name, of devices that only frames name: each is told once. Sans-io.

use super::Publication;
use super::mapping::{Mapper, Place};
use super::outline::{Outline, OutlinedField};
use crate::codec::value::{Reading, Value};
use bytes::Bytes;
use std::collections::HashSet;

/// Most fields of a port that are told.
const MOST: usize = 512;

/// Most devices that frames name, for each device on the line.
const MOST_NODES: usize = 64;

/// A field that came for the first time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newcomer {
    /// The device on the line.
    pub device: String,
    /// The device that the frame names, if it names one.
    pub node: Option<String>,
    pub field: String,
    pub unit: Option<String>,
    /// Whether its first value is a number.
    pub is_number: bool,
    pub place: Place,
    /// The payload with its first value, if that was published.
    pub payload: Option<Bytes>,
}

/// What is known of the fields of a port, and what of them is new.
#[derive(Debug, Default)]
pub(super) struct Newcomers {
    /// In the order of the devices that are asked, or the one on the line.
    devices: Vec<Known>,
    count: usize,
    new: Vec<Newcomer>,
}

#[derive(Debug)]
struct Known {
    name: String,
    nodes: Vec<Node>,
}

/// A device that frames name, or the one on the line, with its fields.
type Node = (Option<Box<str>>, HashSet<Box<str>>);

impl Newcomers {
    /// Of devices of which these fields are known before.
    pub(super) fn beside(outlines: Vec<Outline>) -> Newcomers {
        let known = |outline: Outline| {
            let is_known = |field: &OutlinedField| !field.has_nodes && field.place.is_some();
            let fields = outline.fields.into_iter().filter(is_known);
            let fields = fields.map(|field| field.name.into_boxed_str()).collect();
            Known { name: outline.device, nodes: vec![(None, fields)] }
        };
        Newcomers { devices: outlines.into_iter().map(known).collect(), ..Newcomers::default() }
    }

    /// Looks for new ones among the readings of a frame. `published` are the messages that were made of it.
    pub(super) fn look(
        &mut self,
        device: usize,
        (readings, unpublished): (&[Reading<'_>], &[Reading<'_>]),
        mappers: &[Mapper],
        published: &[Publication],
    ) {
        let Some(known) = self.devices.get_mut(device) else { return };
        let value_of = |name: &str| {
            let reading = readings.iter().chain(unpublished).find(|it| it.field == name);
            reading.map(|reading| reading.value.as_str())
        };
        for reading in readings {
            let of_frame = reading.node.as_deref();
            let values = |mapper: &Mapper| mapper.values_in_topic(reading, readings, unpublished);
            let values = mappers.iter().find_map(values);
            // Values in a topic stand for devices, too: numbers of nodes, identifiers of senders.
            let named = values.map(|it| format!("{} {it}", of_frame.unwrap_or(&known.name)));
            let node = named.as_deref().or(of_frame);
            let at = known.nodes.iter().position(|(name, _)| name.as_deref() == node);
            let fields = match at {
                Some(at) => &mut known.nodes[at].1,
                None if known.nodes.len() > MOST_NODES => continue,
                None => {
                    known.nodes.push((node.map(Into::into), HashSet::new()));
                    // It was pushed just now.
                    let last = known.nodes.len() - 1;
                    &mut known.nodes[last].1
                }
            };
            if self.count >= MOST || fields.contains(&*reading.field) {
                continue;
            }
            fields.insert((&*reading.field).into());
            self.count += 1;
            let place = |mapper: &Mapper| {
                mapper.place_in(of_frame, &reading.field, reading.unit, &value_of)
            };
            let Some(place) = mappers.iter().find_map(place) else { continue };
            let message = published.iter().find(|it| it.message.topic == place.topic);
            self.new.push(Newcomer {
                device: known.name.clone(),
                node: node.map(str::to_owned),
                field: reading.field.to_string(),
                unit: reading.unit.map(str::to_owned),
                is_number: matches!(reading.value, Value::Number(_)),
                payload: message.map(|it| it.message.payload.clone()),
                place,
            });
        }
    }

    /// Those since they were taken last; what is left in it is told again.
    pub(super) fn untold(&mut self) -> &mut Vec<Newcomer> {
        &mut self.new
    }
}
