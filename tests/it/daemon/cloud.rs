//! Our examples for cloud brokers, at brokers that keep to their rules: both end the link at whatever
//! they do not allow. Over plain TCP; else the examples differ in address, TLS, password and the name
//! of the device only.

use crate::support::DEADLINE;
use crate::support::gateway::Gateway;
use crate::support::port::Port;
use bytes::BytesMut;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Instant;
use tty2mqtt::mqtt::packet::{Ack, ConnAck, Connect, Decoded, Packet, Publish, Reason, SubAck};
use tty2mqtt::mqtt::packet::{Properties, Subscribe, Version};
use tty2mqtt::mqtt::topic::Qos;

/// What a broker allows.
pub struct Rules {
    pub connect: fn(&Connect) -> Result<(), &'static str>,
    pub publish: fn(&Publish) -> Result<(), &'static str>,
    pub subscribe: fn(&Subscribe) -> Result<(), &'static str>,
}

/// What it tells.
#[derive(Debug, PartialEq)]
pub enum Heard {
    Link,
    Message(String, String),
    Command,
    Forbidden(String),
}

pub struct Cloud {
    pub port: u16,
    heard: Receiver<Heard>,
}

impl Cloud {
    pub fn start(rules: Rules, command: Option<(&'static str, &'static str)>) -> Cloud {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, heard) = mpsc::channel();
        let rules = Arc::new(rules);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (rules, sender) = (rules.clone(), sender.clone());
                std::thread::spawn(move || serve(stream.unwrap(), &rules, &sender, command));
            }
        });
        Cloud { port, heard }
    }

    pub fn next(&self) -> Heard {
        self.heard.recv_timeout(DEADLINE).expect("nothing more came in time")
    }

    /// Passes over what comes until this.
    pub fn wait_for(&self, wanted: &Heard) -> Vec<Heard> {
        let (mut passed, deadline) = (Vec::new(), Instant::now() + DEADLINE);
        loop {
            let heard = self.next();
            if heard == *wanted {
                return passed;
            }
            passed.push(heard);
            assert!(Instant::now() < deadline, "waiting for {wanted:?}, came: {passed:?}");
        }
    }
}

fn message(topic: &str, payload: &str) -> Heard {
    Heard::Message(topic.into(), payload.into())
}

/// Serves a link until the client breaks a rule, or leaves.
fn serve(
    mut stream: TcpStream,
    rules: &Rules,
    heard: &Sender<Heard>,
    command: Option<(&str, &str)>,
) {
    let (mut input, mut buffer) = (BytesMut::new(), [0; 4096]);
    loop {
        match stream.read(&mut buffer) {
            Ok(n @ 1..) => input.extend_from_slice(&buffer[..n]),
            _ => return,
        }
        while let Some(Decoded::Packet(packet)) =
            Packet::decode(&mut input, 1 << 20, Version::V311).unwrap()
        {
            let mut say = |packet: Packet| {
                let mut bytes = BytesMut::new();
                packet.encode(&mut bytes, Version::V311);
                // Who has gone does not hear it.
                let _ = stream.write_all(&bytes);
            };
            let what = packet.to_string();
            let verdict = match packet {
                Packet::Connect(connect) if connect.version != Version::V311 => {
                    say(Packet::ConnAck(ConnAck::new(false, Reason::UNSUPPORTED_PROTOCOL_VERSION)));
                    return;
                }
                Packet::Connect(connect) => {
                    let verdict = (rules.connect)(&connect);
                    if verdict.is_ok() {
                        heard.send(Heard::Link).unwrap_or_default();
                        say(Packet::ConnAck(ConnAck::new(false, Reason::SUCCESS)));
                    }
                    verdict
                }
                Packet::Publish(publish) => {
                    let verdict = (rules.publish)(&publish);
                    if verdict.is_ok() {
                        let text = String::from_utf8(publish.payload.to_vec()).unwrap();
                        let topic = publish.topic.unwrap().to_string();
                        heard.send(Heard::Message(topic, text)).unwrap_or_default();
                        let ack = publish.id.map(|id| Ack::new(id, Reason::SUCCESS));
                        ack.into_iter().for_each(|ack| say(Packet::PubAck(ack)));
                    }
                    verdict
                }
                Packet::Subscribe(subscribe) => {
                    let verdict = (rules.subscribe)(&subscribe);
                    if verdict.is_ok() {
                        let reasons = vec![Reason::GRANTED_QOS_1; subscribe.filters.len()];
                        let (id, properties) = (subscribe.id, Properties::NONE);
                        say(Packet::SubAck(SubAck { id, reasons, properties }));
                        heard.send(Heard::Command).unwrap_or_default();
                        if let Some((topic, payload)) = command {
                            say(Packet::Publish(Publish {
                                topic: Some(topic.parse().unwrap()),
                                payload: payload.to_owned().into(),
                                qos: Qos::AtMostOnce,
                                id: None,
                                dup: false,
                                retain: false,
                                properties: Properties::NONE,
                            }));
                        }
                    }
                    verdict
                }
                Packet::PingReq => {
                    say(Packet::PingResp);
                    Ok(())
                }
                Packet::Disconnect(_) => return,
                _ => Ok(()),
            };
            if let Err(why) = verdict {
                heard.send(Heard::Forbidden(format!("{why}: {what}"))).unwrap_or_default();
                return;
            }
        }
    }
}

/// The example, at our broker and with our device.
fn example(name: &str, cloud: &Cloud, port: &Port, folder: &std::path::Path) -> String {
    let file = format!("{}/config/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(file).unwrap();
    std::fs::write(folder.join("sas"), "SharedAccessSignature sr=x&sig=y&se=1\r\n").unwrap();
    let mut lines = Vec::new();
    for line in text.lines() {
        lines.push(match line.trim() {
            it if it.starts_with("url:") => format!("  url: mqtt://127.0.0.1:{}", cloud.port),
            it if it.starts_with("usb:") => format!("    path: {}", port.path().display()),
            it if it.starts_with("interval:") => "  interval: 1s".into(),
            it if it.starts_with("tls:") || it.starts_with("ca_file:") => continue,
            it if it.starts_with("cert_file:") || it.starts_with("key_file:") => continue,
            it if it.starts_with("password_file:") => {
                format!("  password_file: {}/sas", folder.display())
            }
            _ => line.into(),
        });
    }
    lines.join("\n") + "\n"
}

const EVENTS: &str = "devices/line-1/messages/events/";

fn azure() -> Rules {
    Rules {
        connect: |connect| {
            let will = connect.will.as_ref();
            if connect.client_id != "line-1" {
                return Err("no such device");
            }
            let user = "plant.azure-devices.net/line-1/?api-version=2021-04-12";
            if connect.user.as_deref() != Some(user) {
                return Err("user");
            }
            let password = connect.password.as_ref().map(|it| it.reveal().to_vec());
            if password.as_deref() != Some(b"SharedAccessSignature sr=x&sig=y&se=1") {
                return Err("password");
            }
            match will {
                Some(will) if !will.topic.as_str().starts_with(EVENTS) => Err("topic of the will"),
                Some(will) if will.qos == Qos::ExactlyOnce => Err("QoS of the will"),
                _ => Ok(()),
            }
        },
        publish: |publish| match publish
            .topic
            .as_ref()
            .and_then(|t| t.as_str().strip_prefix(EVENTS))
        {
            _ if publish.qos == Qos::ExactlyOnce => Err("QoS 2"),
            Some(bag) if bag.split('&').all(|pair| pair.split('=').count() == 2) => Ok(()),
            Some("") => Ok(()),
            _ => Err("topic"),
        },
        subscribe: |subscribe| {
            let is_ours = |filter: &str| filter == "devices/line-1/messages/devicebound/#";
            match subscribe.filters.iter().all(|it| is_ours(it.filter.as_str())) {
                true => Ok(()),
                false => Err("filter"),
            }
        },
    }
}

#[test]
fn the_example_for_azure_iot_hub_keeps_to_its_rules() {
    let command = ("devices/line-1/messages/devicebound/%24.to=x", "set 5");
    let cloud = Cloud::start(azure(), Some(command));
    let (mut port, folder) = (Port::new(), tempfile::tempdir().unwrap());
    let text = example("azure-iot-hub.yaml", &cloud, &port, folder.path());
    let gateway = Gateway::start(&text);
    gateway.log().wait_for("is open");
    port.write(b"\r\n21.50,40\r\n");
    let reading = loop {
        match cloud.next() {
            Heard::Message(topic, text) if topic.contains("kind=reading") => break (topic, text),
            Heard::Forbidden(what) => panic!("{what}"),
            _ => {}
        }
    };
    assert_eq!(reading.0, format!("{EVENTS}kind=reading&port=meter"));
    assert!(reading.1.contains("21.50"), "{}", reading.1);
    let status = format!("{EVENTS}kind=status");
    // Looked after like any other status; and nothing ended a link.
    for _ in 0..2 {
        let passed = cloud.wait_for(&message(&status, r#"{"status":"online"}"#));
        assert!(
            !passed.iter().any(|it| matches!(it, Heard::Forbidden(_) | Heard::Link)),
            "{passed:?}"
        );
    }
    gateway.terminate();
    let passed = cloud.wait_for(&message(&status, r#"{"status":"offline"}"#));
    assert!(!passed.iter().any(|it| matches!(it, Heard::Forbidden(_) | Heard::Link)), "{passed:?}");
}

fn aws(retain: fn(&Publish) -> Result<(), &'static str>) -> Rules {
    Rules {
        connect: |connect| match &connect.will {
            _ if connect.client_id != "line-1" => Err("client"),
            Some(will) if !will.topic.as_str().starts_with("line-1/") => Err("topic of the will"),
            Some(will) if will.qos == Qos::ExactlyOnce => Err("QoS of the will"),
            _ => Ok(()),
        },
        publish: retain,
        subscribe: |subscribe| match subscribe
            .filters
            .iter()
            .all(|it| it.filter.as_str() == "line-1/meter/set")
        {
            true => Ok(()),
            false => Err("filter"),
        },
    }
}

fn allowed(publish: &Publish) -> Result<(), &'static str> {
    let levels = publish.topic.as_ref().map_or("", |topic| topic.as_str());
    match levels.starts_with("line-1/") && levels.matches('/').count() <= 7 {
        _ if publish.qos == Qos::ExactlyOnce => Err("QoS 2"),
        true => Ok(()),
        false => Err("topic"),
    }
}

#[test]
fn the_example_for_aws_iot_keeps_to_its_rules() {
    let without_retain = |publish: &Publish| match publish.retain {
        true => Err("iot:RetainPublish"),
        false => allowed(publish),
    };
    let policies: [(fn(&Publish) -> _, _); 2] = [(allowed, true), (without_retain, false)];
    for (policy, retain) in policies {
        let cloud = Cloud::start(aws(policy), Some(("line-1/meter/set", "on")));
        let (mut port, folder) = (Port::new(), tempfile::tempdir().unwrap());
        let text = example("aws-iot.yaml", &cloud, &port, folder.path());
        let text = text.replace("retain: true", &format!("retain: {retain}"));
        let gateway = Gateway::start(&text);
        gateway.log().wait_for("is open");
        cloud.wait_for(&message("line-1/status", "online"));
        assert_eq!(port.read_line(), "on\n");
        // A policy without the right to look for others of our name ends the link at that, once.
        let mut forbidden = Vec::new();
        let (mut online, mut readings) = (0, 0);
        while online < 4 || readings < 4 {
            match cloud.next() {
                Heard::Message(topic, text) if topic == "line-1/status" && text == "online" => {
                    online += 1;
                    port.write(b"\r\n21.50,40\r\n");
                }
                Heard::Message(topic, _) if topic == "line-1/meter" => readings += 1,
                Heard::Forbidden(what) => forbidden.push(what),
                _ => {}
            }
        }
        assert!(forbidden.len() <= 1, "{forbidden:?}");
        assert!(forbidden.iter().all(|what| what.contains("filter")), "{forbidden:?}");
        gateway.terminate();
    }
}
