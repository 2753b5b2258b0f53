//! The list of this machine's serial ports, for `tty2mqtt ports`.

use super::usb::{self, Adapter, read};
use serde::Serialize;
use std::fmt::Write;
use std::fs;
use std::path::Path;

pub fn found() -> Vec<Found> {
    list(Path::new("/sys"), Path::new("/proc/consoles"))
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Found {
    /// `/dev/ttyUSB0`.
    pub path: String,
    #[serde(rename = "usb")]
    pub adapter: Option<Adapter>,
    /// The lines that name it in the configuration.
    pub config: String,
    /// A warning for the user, such as that the port is the console.
    pub note: Option<String>,
}

/// Lists the ports that exist in hardware. Only tests use other paths than `/sys` and
/// `/proc/consoles`.
pub fn list(sysfs: &Path, consoles: &Path) -> Vec<Found> {
    let adapters = usb::adapters(sysfs);
    let consoles = fs::read_to_string(consoles).unwrap_or_default();
    let mut found: Vec<_> = adapters.iter().map(|adapter| of_adapter(adapter, &adapters)).collect();
    let ttys = fs::read_dir(sysfs.join("class/tty")).into_iter().flatten().flatten();
    for tty in ttys {
        let name = tty.file_name().to_string_lossy().into_owned();
        let of_usb = adapters.iter().any(|adapter| adapter.tty == name);
        if of_usb || !is_uart(&tty.path()) {
            continue;
        }
        let console = consoles.lines().any(|line| line.split_whitespace().next() == Some(&name));
        let note = console.then(|| {
            format!(
                "this machine's console is on it; free it in /etc/inittab, or with systemd by \
                 `systemctl disable --now serial-getty@{name}.service`, and on the kernel's command \
                 line"
            )
        });
        let path = format!("/dev/{name}");
        found.push(Found { config: format!("path: {path}"), path, adapter: None, note });
    }
    found.sort_by(|a, b| (a.path.len(), &a.path).cmp(&(b.path.len(), &b.path)));
    found
}

/// Whether a UART chip is behind a tty. Virtual consoles have no `device`, and empty slots type 0.
fn is_uart(tty: &Path) -> bool {
    tty.join("device").exists() && read(&tty.join("type")).as_deref() != Some("0")
}

fn of_adapter(adapter: &Adapter, all: &[Adapter]) -> Found {
    let same = |other: &&Adapter| {
        other.vendor == adapter.vendor && other.product == adapter.product && *other != adapter
    };
    let twins: Vec<_> = all.iter().filter(same).collect();
    let mut config =
        format!("usb: {{vendor: \"{}\", product: \"{}\"", adapter.vendor, adapter.product);
    if let Some(serial) = &adapter.serial {
        let _ = write!(config, ", serial: {}", serde_json::Value::from(serial.as_str()));
    }
    // The ports of one adapter differ in their interface only.
    if twins.iter().any(|twin| twin.serial == adapter.serial && twin.interface != adapter.interface)
    {
        let _ = write!(config, ", interface: {}", adapter.interface);
    }
    config.push('}');
    let alike = twins
        .iter()
        .find(|twin| twin.serial == adapter.serial && twin.interface == adapter.interface);
    let note = alike.map(|twin| {
        format!("cannot be told from {} by its USB data; use `path`, or another adapter", twin.tty)
    });
    let path = format!("/dev/{}", adapter.tty);
    Found { path, adapter: Some(adapter.clone()), config, note }
}

pub fn table(found: &[Found]) -> String {
    if found.is_empty() {
        return "No serial port is there. A USB adapter needs its driver: kmod-usb-serial-ch341, \
                -cp210x, -ftdi, -pl2303 or kmod-usb-acm on OpenWrt.\n"
            .into();
    }
    let mut text = String::new();
    for port in found {
        // Writing to a String does not fail.
        text.push_str(&port.path);
        if let Some(Adapter { vendor, product, serial, name, .. }) = &port.adapter {
            let serial = serial.as_deref().unwrap_or("none");
            let _ = write!(text, "  {vendor}:{product}  {name}  serial number {serial}");
        }
        let _ = writeln!(text, "\n    {}", port.config);
        if let Some(note) = &port.note {
            let _ = writeln!(text, "    note: {note}");
        }
    }
    text
}
