//! What an edge node is told: STATE, NCMD and DCMD.

use super::device::is_switch;
use super::payload::{self, Raw, ReceivedMetric};
use super::{EdgeNode, Farewell, REBIRTH};
use crate::device::outline::{Outline, OutlinedCommand};
use crate::gateway::format::Heard;
use crate::mqtt::topic::Topic;

impl EdgeNode {
    /// Takes a message from the broker. What it retains is STATE; nobody may have commands retained (section 4.2).
    pub fn hear(&mut self, topic: &Topic, payload: &[u8], retain: bool) -> Heard {
        let topic = topic.as_str();
        let mut heard = Heard::default();
        if let Some(host) = self.host.as_mut().filter(|host| host.topic == topic) {
            host.hear(payload);
            if host.is_gone() && self.is_born && self.farewell == Farewell::None {
                self.farewell = Farewell::Now;
                heard.news = Some("the primary host application is offline");
            }
            return heard;
        }
        if retain {
            heard.refused.push("it was retained".into());
            return heard;
        }
        let Ok(received) = payload::decode(payload) else {
            heard.refused.push(payload::Malformed.to_string());
            return heard;
        };
        if topic == self.topic("NCMD", None).as_str() {
            for metric in received.metrics {
                match (metric.name.as_str(), metric.value) {
                    (REBIRTH, Some(Raw::Boolean(true))) => {
                        self.begin_anew();
                        heard.news = Some("a host application asked for all births");
                    }
                    (REBIRTH, _) => {}
                    (name, _) => heard.refused.push(format!("there is no node command {name:?}")),
                }
            }
            return heard;
        }
        let mut outlines = self.facts.iter().map(|facts| &facts.outline);
        let is_it =
            |outline: &&Outline| topic == self.topic("DCMD", Some(&outline.device)).as_str();
        let Some(outline) = outlines.find(is_it) else { return heard };
        for ReceivedMetric { name, value, data_type, .. } in received.metrics {
            let Some(command) = outline.commands.iter().find(|command| command.name == name) else {
                heard.refused.push(format!("there is no command {name:?}"));
                continue;
            };
            match value.and_then(|value| payload_of(command, value, data_type)) {
                Some(text) => heard.commands.push((command.topic.clone(), text.into())),
                None => heard.refused.push(format!("no value for {name:?}")),
            }
        }
        heard
    }
}

/// The payload of the command that a written value stands for.
fn payload_of(command: &OutlinedCommand, value: Raw, data_type: Option<u64>) -> Option<String> {
    Some(match value {
        // Some encode the smaller integers in their own width, some in 32 bits.
        Raw::Int(bits) => match data_type {
            Some(1) => (bits as u8 as i8).to_string(),
            Some(2) => (bits as u16 as i16).to_string(),
            Some(5..=7) => bits.to_string(),
            _ => (bits as i32).to_string(),
        },
        Raw::Long(bits) if data_type == Some(8) => bits.to_string(),
        Raw::Long(bits) => (bits as i64).to_string(),
        Raw::Float(number) if number.is_finite() => number.to_string(),
        Raw::Double(number) if number.is_finite() => number.to_string(),
        Raw::Float(_) | Raw::Double(_) => return None,
        Raw::Boolean(yes) if is_switch(&command.takes) => if yes { "ON" } else { "OFF" }.into(),
        Raw::Boolean(yes) => yes.to_string(),
        Raw::String(text) => text,
    })
}
