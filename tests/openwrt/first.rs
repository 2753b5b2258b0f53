//! The first start: user, configuration, adapter.

use crate::router::Router;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use tty2mqtt::testing::config::{Config, load};
use tty2mqtt::testing::port::list;

/// A sysfs with CH340 adapters of these serial numbers, and what `tty2mqtt ports` prints for it.
fn ports(serials: &[&str]) -> String {
    let sysfs = tempfile::tempdir().unwrap();
    for (number, serial) in serials.iter().enumerate() {
        let device = sysfs.path().join(format!("devices/usb1/1-{number}"));
        let interface = device.join(format!("1-{number}:1.0"));
        let tty = interface.join(format!("ttyUSB{number}/tty/ttyUSB{number}"));
        fs::create_dir_all(&tty).unwrap();
        for (file, text) in [
            ("idVendor", "1a86"),
            ("idProduct", "7523"),
            ("product", "USB Serial"),
            ("serial", serial),
        ] {
            fs::write(device.join(file), format!("{text}\n")).unwrap();
        }
        fs::write(interface.join("bInterfaceNumber"), "00\n").unwrap();
        std::os::unix::fs::symlink(interface, tty.join("device")).unwrap();
        let class = sysfs.path().join("class/tty");
        fs::create_dir_all(&class).unwrap();
        std::os::unix::fs::symlink(&tty, class.join(format!("ttyUSB{number}"))).unwrap();
    }
    let found = list::list(sysfs.path(), Path::new("/nothing"));
    assert_eq!(found.len(), serials.len());
    list::table(&found)
}

fn config(router: &Router) -> Result<Config, String> {
    let file = router.path("/etc/tty2mqtt/config.yaml");
    load::load(&file).map(|(config, _)| config).map_err(|error| error.to_string())
}

#[test]
fn the_user_is_there_once_with_its_groups() {
    needs!(busybox);
    let router = Router::new();
    router.defaults();
    let (passwd, group) = (router.read("/etc/passwd"), router.read("/etc/group"));
    let expected = "root:x:0:0:root:/root:/bin/ash\n\
                    tty2mqtt:x:32768:32768:tty2mqtt:/var/run/tty2mqtt:/bin/false\n";
    assert_eq!(router.unrooted(&passwd), expected);
    assert_eq!(group, "root:x:0:\ndialout:x:20:tty2mqtt\ntty2mqtt:x:32768:tty2mqtt\n");
    router.defaults();
    assert_eq!((router.read("/etc/passwd"), router.read("/etc/group")), (passwd, group));
    assert_eq!(fs::metadata(router.path("/etc/tty2mqtt")).unwrap().mode() & 0o7777, 0o750);
}

#[test]
fn what_an_upgrade_left_of_the_user_is_completed() {
    needs!(busybox);
    let router = Router::new();
    router.write("/etc/passwd", "root:x:0:0::/:/bin/ash\ntty2mqtt:x:500:600::/:/bin/false\n");
    router.write("/etc/group", "root:x:0:\nother:x:32768:a\ntty2mqtt:x:600:\n");
    router.defaults();
    assert!(router.read("/etc/passwd").ends_with("\ntty2mqtt:x:500:600::/:/bin/false\n"));
    assert_eq!(
        router.read("/etc/group"),
        "root:x:0:\nother:x:32768:a\ntty2mqtt:x:600:tty2mqtt\ndialout:x:20:tty2mqtt\n"
    );
}

#[test]
fn a_single_adapter_is_in_the_first_configuration() {
    needs!(busybox);
    let router = Router::new();
    router.write("/ports", &ports(&["a\"b: {c}#"]));
    router.defaults();
    let config = config(&router).unwrap();
    let (name, port) = config.ports.iter().next().unwrap();
    assert_eq!((config.ports.len(), name.as_str()), (1, "sensor"));
    let usb = port.usb.as_ref().unwrap();
    assert_eq!(usb.serial.as_deref(), Some("a\"b: {c}#"));
    let file = router.path("/etc/tty2mqtt/config.yaml");
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o640);
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("# What this router reads"));

    // A second time changes nothing, whatever is plugged in by then.
    router.write("/ports", &ports(&["other"]));
    router.defaults();
    router.hotplug("add", "ttyUSB0");
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
}

#[test]
fn without_an_adapter_or_with_several_the_example_says_what_to_do() {
    needs!(busybox);
    for serials in [&[][..], &["1", "2"]] {
        let router = Router::new();
        router.write("/ports", &ports(serials));
        router.defaults();
        let example = fs::read_to_string("openwrt/files/first.yaml").unwrap();
        assert_eq!(router.read("/etc/tty2mqtt/config.yaml"), example);
        let error = config(&router).unwrap_err();
        assert!(error.contains("ports: there is no port\n"), "{error}");
        assert!(!error.contains("problems"), "{error}");
        router.defaults();
        assert_eq!(router.read("/etc/tty2mqtt/config.yaml"), example);
    }
    // The commented ports are right, too.
    let example = fs::read_to_string("openwrt/files/first.yaml").unwrap();
    let (before, ports) = example.split_once("\n#ports:\n").unwrap();
    let ports = ports.replace("\nports: {}\n", "\n").replace("\n#", "\n");
    let ports = format!("ports:\n{}", ports.strip_prefix('#').unwrap());
    let whole = before.replace("\n#gateway", "\ngateway").replace("\n  #", "\n  ");
    let (config, _) =
        load::parse("first.yaml", &format!("{whole}\n{ports}"), Path::new("/")).unwrap();
    assert_eq!((config.ports.len(), config.gateway.as_str()), (2, "barn"));
    assert_eq!(config.broker.user.as_deref(), Some("barn"));
}

#[test]
fn the_first_adapter_that_is_plugged_in_later_goes_in_and_starts_the_service() {
    needs!(busybox);
    let router = Router::new();
    router.defaults();
    router.uci(&[("enabled", "1")]);
    router.service("start");
    assert!(router.log().contains("ports: there is no port"), "{}", router.log());
    router.write("/ports", &ports(&["1"]));
    // The script of the hotplug event starts /etc/init.d/tty2mqtt itself.
    router.hotplug("add", "ttyUSB0");
    assert_eq!(config(&router).unwrap().ports.len(), 1);
    assert!(router.instances().get("tty2mqtt").is_some(), "{}", router.log());
}

#[test]
fn a_configuration_that_somebody_changed_is_not_touched() {
    needs!(busybox);
    for own in ["ports: {}\n", "# empty\n", ""] {
        let router = Router::new();
        router.write("/etc/tty2mqtt/config.yaml", own);
        router.write("/ports", &ports(&["1"]));
        router.defaults();
        router.hotplug("add", "ttyUSB0");
        assert_eq!(router.read("/etc/tty2mqtt/config.yaml"), own);
    }
}
