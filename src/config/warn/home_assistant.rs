//! Warnings of what Home Assistant would not take.

use crate::base::nearest;
use crate::config::home_assistant::{HomeAssistant, misfit};
use crate::config::load::Found;
use crate::config::tree::Path;
use crate::config::{Config, Switch};
use crate::device::Device;
use crate::device::outline::Outline;

/// Warns of fields that would not be announced as they are meant.
pub(super) fn warn(config: &Config, found: &mut Found<'_>) {
    let Some(Switch::On(settings)) = &config.home_assistant else { return };
    let mut names: Vec<String> = Vec::new();
    let mut has_nodes = false;
    for (name, port) in &config.ports {
        names.push(name.to_string());
        let of_device = port.device(&config.gateway, name);
        let Ok(device) = Device::build(&of_device) else { continue };
        let path = Path::from(["ports", name.as_str()]);
        for outline in device.outlines(&of_device) {
            has_nodes |= outline.is_told_by_frames();
            let path = match port.devices.is_empty() {
                true => path.clone(),
                false => path.key("devices").key(&outline.device),
            };
            self::device(&path, name.as_str(), &outline, settings, found);
            names.push(outline.device);
        }
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for name in settings.devices.keys().filter(|name| !names.contains(&name.as_str())) {
        // Frames may name it.
        if !has_nodes {
            let path = Path::from(["home_assistant", "devices", name]);
            found.add(path, "there is no such device or port", nearest::suggest(name, &names));
        }
    }
}

fn device(
    path: &Path,
    port: &str,
    outline: &Outline,
    settings: &HomeAssistant,
    found: &mut Found<'_>,
) {
    let Some(said) = settings.device(port, &outline.device) else { return };
    let is_announced = |name: &str| said.field(name).is_some();
    for field in outline.fields.iter().filter(|field| is_announced(&field.name)) {
        let path = path.join(&field.path);
        if let Some(wrong) = misfit(field) {
            found.built(&path, wrong);
        }
        if field.place.is_none() && !field.is_placed_by_values && found.is_own(&path) {
            let what = "it is not announced to Home Assistant, which could not find the value in its messages";
            let remedy =
                "a topic without {value}, and the payload {value} or {json}, are what it can read";
            found.add(path, what, remedy);
        }
    }
    let fields = outline.fields.iter().map(|field| field.name.as_str());
    let names: Vec<&str> =
        fields.chain(outline.commands.iter().map(|command| command.name.as_str())).collect();
    for name in said.fields.keys().filter(|name| !names.contains(&name.as_str())) {
        if !outline.is_open {
            let path = Path::from(["home_assistant", "devices", &outline.device, "fields", name]);
            let what = format!("{:?} has no such field or command", outline.device);
            found.add(path, what, nearest::suggest(name, &names));
        }
    }
}
