//! USB adapters, found in sysfs by what they are. OpenWrt has no udev, hence no
//! `/dev/serial/by-id`; numbers such as that of `ttyUSB0` change with every plug.

use crate::port::settings::{Usb, UsbId};
use std::fs;
use std::path::{Path, PathBuf};

/// Why no tty belongs to a `usb:` entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsbError {
    #[error("no USB adapter {0} is plugged in; `tty2mqtt ports` lists what is")]
    None(String),
    #[error("several USB adapters are {wanted}: {found}; add `serial` or `interface`")]
    Several {
        wanted: String,
        /// The ttys, with their serial and interface numbers.
        found: String,
    },
}

/// A tty that belongs to a USB adapter.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Adapter {
    /// `ttyUSB0`.
    #[serde(skip)]
    pub tty: String,
    pub vendor: UsbId,
    pub product: UsbId,
    pub serial: Option<String>,
    /// Interface number, from 0.
    pub interface: u8,
    /// The names of maker and product.
    pub name: String,
}

impl Adapter {
    /// Whether this may be the `wanted` adapter.
    pub fn fits(&self, wanted: &Usb) -> bool {
        self.vendor == wanted.vendor
            && self.product == wanted.product
            && (wanted.serial.is_none() || self.serial == wanted.serial)
            && wanted.interface.is_none_or(|interface| self.interface == interface)
    }

    pub fn path(&self) -> PathBuf {
        Path::new("/dev").join(&self.tty)
    }
}

/// The tty of the one `wanted` adapter. `sysfs` is `/sys` except in tests.
pub fn find(sysfs: &Path, wanted: &Usb) -> Result<PathBuf, UsbError> {
    let found: Vec<_> =
        adapters(sysfs).into_iter().filter(|adapter| adapter.fits(wanted)).collect();
    let mut name = format!("{}:{}", wanted.vendor, wanted.product);
    if let Some(serial) = &wanted.serial {
        name += &format!(" with serial number {serial}");
    }
    if let Some(interface) = wanted.interface {
        name += &format!(" with interface {interface}");
    }
    match found.as_slice() {
        [] => Err(UsbError::None(name)),
        [only] => Ok(only.path()),
        several => {
            let shown = several.iter().map(|adapter| {
                let serial = adapter.serial.as_deref().unwrap_or("none");
                format!("{} (serial {serial}, interface {})", adapter.tty, adapter.interface)
            });
            let found = shown.collect::<Vec<_>>().join(", ");
            Err(UsbError::Several { wanted: name, found })
        }
    }
}

/// All ttys of USB adapters, by name.
pub fn adapters(sysfs: &Path) -> Vec<Adapter> {
    let ttys = fs::read_dir(sysfs.join("class/tty")).into_iter().flatten().flatten();
    let mut adapters: Vec<_> = ttys.filter_map(|tty| adapter(&tty.path())).collect();
    adapters.sort_by(|a, b| (a.tty.len(), &a.tty).cmp(&(b.tty.len(), &b.tty)));
    adapters
}

/// The adapter of a tty. In the device tree the USB interface is above the tty, and the USB device is
/// above the interface.
fn adapter(tty: &Path) -> Option<Adapter> {
    let place = tty.canonicalize().ok()?;
    let interface = place.ancestors().find(|place| place.join("bInterfaceNumber").exists())?;
    let device = interface.ancestors().find(|place| place.join("idVendor").exists())?;
    let of_device = |name: &str| read(&device.join(name));
    let number = u8::from_str_radix(&read(&interface.join("bInterfaceNumber"))?, 16).ok()?;
    let maker = of_device("manufacturer").unwrap_or_default();
    let product = of_device("product").unwrap_or_default();
    Some(Adapter {
        tty: tty.file_name()?.to_str()?.to_owned(),
        vendor: of_device("idVendor")?.parse().ok()?,
        product: of_device("idProduct")?.parse().ok()?,
        serial: of_device("serial").filter(|serial| !serial.is_empty()),
        interface: number,
        name: format!("{maker} {product}").trim().to_owned(),
    })
}

pub(super) fn read(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}
