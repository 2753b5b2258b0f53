//! The socket's place in the file system.

use crate::control::{Gateway, Stage};
use std::os::unix::fs::PermissionsExt;

#[test]
fn only_the_owner_may_connect_and_a_clean_end_removes_it() {
    needs!(mosquitto);
    let stage = Stage::new();
    let socket = stage.socket();
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    stage.terminate();
    assert!(!socket.exists());
}

#[test]
fn a_dead_gateways_socket_is_replaced() {
    needs!(mosquitto);
    let mut stage = Stage::new();
    let pid = stage.client().ask(r#"{"request":"status"}"#)["pid"].clone();
    stage.again(true);
    stage.gateway().log().wait_for("connected to");
    let status = stage.client().ask(r#"{"request":"status"}"#);
    assert_ne!(status["pid"], pid);
}

#[test]
fn a_living_gateways_socket_is_not_stolen() {
    needs!(mosquitto);
    let stage = Stage::new();
    let pid = stage.client().ask(r#"{"request":"status"}"#)["pid"].clone();
    let second = Gateway::start(&stage.config(""));
    second.log().wait_for("no control socket: another gateway has");
    second.log().wait_for("connected to");
    second.terminate();
    assert_eq!(stage.client().ask(r#"{"request":"status"}"#)["pid"], pid);
}

#[test]
fn what_is_no_socket_stays() {
    needs!(mosquitto);
    let stage = Stage::new();
    let file = stage.folder.path().join("notes");
    std::fs::write(&file, "mine").unwrap();
    let config = crate::control::config(stage.broker.port, &file, stage.port.path(), "");
    let second = Gateway::start(&config);
    second.log().wait_for("no control socket:");
    second.log().wait_for("connected to");
    second.terminate();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
}

#[test]
fn a_socket_that_cannot_be_made_stops_nothing() {
    needs!(mosquitto);
    let stage = Stage::new();
    let nowhere = stage.folder.path().join("no/such/folder/control.sock");
    let config = crate::control::config(stage.broker.port, &nowhere, stage.port.path(), "");
    let second = Gateway::start(&config);
    let warning = second.log().wait_for("no control socket:");
    assert!(warning.contains("choose another path with `control`"), "{warning}");
    second.log().wait_for("connected to");
    second.terminate();
}

#[test]
fn it_can_be_switched_off() {
    needs!(mosquitto);
    let stage = Stage::new();
    let folder = stage.folder.path().join("off");
    let config = crate::control::config(stage.broker.port, &folder, stage.port.path(), "");
    let config = config.replace(&folder.display().to_string(), "off");
    let second = Gateway::start(&config);
    second.log().wait_for("connected to");
    assert!(!second.terminate().contains("control"), "nothing is said and nothing is there");
}
