//! What tells this machine from others that are set up alike.

use std::path::Path;

/// Six hexadecimal digits that stay the same: of the machine's identifier if it has one
/// (machine-id(5)), else the last of the address of its first wired network device. `None` if it
/// has neither, as in a container.
fn digits(root: &Path) -> Option<String> {
    of_machine_id(root).or_else(|| of_network(root))
}

/// The identifier itself is nobody else's business, so it is a checksum.
fn of_machine_id(root: &Path) -> Option<String> {
    let text = std::fs::read_to_string(root.join("etc/machine-id")).ok()?;
    let id = text.trim();
    let is_one = id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
    let sum = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(id.as_bytes());
    is_one.then(|| format!("{:06x}", sum & 0xFF_FFFF))
}

/// Devices that are built in: neither bridges nor what may be plugged in, and no random addresses.
/// Wireless ones appear seconds after the start.
fn of_network(root: &Path) -> Option<String> {
    let class = root.join("sys/class/net");
    let mut names: Vec<_> =
        std::fs::read_dir(&class).ok()?.flatten().map(|it| it.file_name()).collect();
    names.sort();
    names.iter().find_map(|name| {
        let device = class.join(name);
        let read = |file: &str| std::fs::read_to_string(device.join(file)).ok();
        let behind = std::fs::canonicalize(device.join("device")).ok()?;
        let is_usb = behind.to_string_lossy().contains("/usb");
        let is_wireless = device.join("phy80211").exists() || device.join("wireless").exists();
        // NET_ADDR_RANDOM of the kernel.
        let is_random = read("addr_assign_type").is_some_and(|kind| kind.trim() == "1");
        let address = read("address")?.trim().replace(':', "").to_ascii_lowercase();
        let is_address = address.len() == 12
            && address.bytes().all(|b| b.is_ascii_hexdigit())
            && address != "000000000000";
        let is_good = is_address && !is_usb && !is_wireless && !is_random;
        is_good.then(|| address[6..].to_owned())
    })
}

/// The client identifier of a gateway that was given none. Routers come from the factory with one
/// host name, and of two clients with one identifier each ends the other's connection.
pub(crate) fn client_id(gateway: &str) -> String {
    client_id_at(Path::new("/"), gateway)
}

fn client_id_at(root: &Path, gateway: &str) -> String {
    match digits(root) {
        Some(digits) => format!("tty2mqtt-{gateway}-{digits}"),
        None => format!("tty2mqtt-{gateway}"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs;

    /// A device below `sys/class/net`.
    fn device(root: &Path, name: &str, bus: &str, files: &[(&str, &str)]) {
        let behind = root.join(format!("sys/devices/{bus}/{name}"));
        fs::create_dir_all(&behind).unwrap();
        let class = root.join("sys/class/net").join(name);
        fs::create_dir_all(&class).unwrap();
        if !bus.is_empty() {
            std::os::unix::fs::symlink(&behind, class.join("device")).unwrap();
        }
        for (file, text) in files {
            fs::write(class.join(file), text).unwrap();
        }
    }

    #[test]
    fn routers_of_one_name_have_identifiers_of_their_own() {
        let id = |mac: &str| {
            let root = tempfile::tempdir().unwrap();
            let root = root.path();
            device(root, "br-lan", "", &[("address", "02:00:00:00:00:01\n")]);
            device(root, "eth0", "soc", &[("address", mac), ("addr_assign_type", "0\n")]);
            device(root, "aux", "usb1", &[("address", "0c:5b:8f:27:9a:64\n")]);
            client_id_at(root, "OpenWrt")
        };
        assert_eq!(id("94:83:C4:0a:1b:2c\n"), "tty2mqtt-OpenWrt-0a1b2c");
        assert_ne!(id("94:83:c4:0a:1b:2c\n"), id("94:83:c4:0a:1b:2d\n"));
        // What MQTT 3.1 allows.
        assert!(id("94:83:c4:0a:1b:2c\n").len() <= 23);
    }

    #[test]
    fn what_may_change_is_no_mark() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        assert_eq!(client_id_at(root, "barn"), "tty2mqtt-barn");
        device(root, "docker0", "", &[("address", "02:42:ac:11:00:02\n")]);
        device(
            root,
            "eth0",
            "soc",
            &[("address", "3e:11:22:33:44:55\n"), ("addr_assign_type", "1\n")],
        );
        device(root, "eth1", "soc", &[("address", "00:00:00:00:00:00\n")]);
        device(root, "phy0", "pci0", &[("address", "94:83:c4:00:00:01\n"), ("phy80211", "")]);
        device(root, "usb0", "soc/usb1", &[("address", "0c:5b:8f:27:9a:64\n")]);
        assert_eq!(client_id_at(root, "barn"), "tty2mqtt-barn");
        device(root, "lan1", "soc", &[("address", "94:83:c4:00:00:02\n")]);
        assert_eq!(client_id_at(root, "barn"), "tty2mqtt-barn-000002");
        // Where there is a machine-id, it counts, whatever devices there are; but not in the clear.
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::write(root.join("etc/machine-id"), "0123456789abcdef0123456789abcdef\n").unwrap();
        let id = client_id_at(root, "barn");
        assert!(id.len() == "tty2mqtt-barn-".len() + 6 && !id.ends_with("-000002"), "{id}");
        assert!(
            !"0123456789abcdef0123456789abcdef".contains(&id["tty2mqtt-barn-".len()..]),
            "{id}"
        );
    }
}
