//! What the client scripts in the tests of `paho-mqtt` do, done with our client.

use bytes::Bytes;
use std::path::PathBuf;
use std::time::Duration;
use tty2mqtt::mqtt::client::{Client, Event, Events, Settings};
use tty2mqtt::mqtt::message::Message;
use tty2mqtt::mqtt::packet::{Properties, Reason, Subscription, Version};
use tty2mqtt::mqtt::session::{Clean, Options};
use tty2mqtt::mqtt::topic::Qos;
use tty2mqtt::mqtt::transport::settings::Pem;
use tty2mqtt::mqtt::transport::{self, Connector};
use tty2mqtt::mqtt::url::{BrokerUrl, Scheme};

/// Not a test: the client side of one, which `paho.rs` runs in a process of its own. Ends with the
/// scenario or at SIGINT.
#[test]
#[ignore = "run by the tests of paho"]
fn client() {
    let Ok(name) = std::env::var("FOREIGN_SCENARIO") else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let code = runtime.block_on(async {
        tokio::select! {
            code = play(&name) => code,
            _ = tokio::signal::ctrl_c() => 0,
        }
    });
    std::process::exit(code);
}

/// The client identifier is not always the scenario's name.
fn client_id(name: &str) -> &str {
    match name {
        "01-asyncio" => "asyncio-test",
        "01-decorators" => "decorators-test",
        "01-unpwd-empty-password-set" | "01-unpwd-empty-set" => "01-unpwd-set",
        "01-zero-length-clientid" => "",
        "02-subscribe-qos0" => "subscribe-qos0-test",
        "02-subscribe-qos1" => "subscribe-qos1-test",
        "02-subscribe-qos2" => "subscribe-qos2-test",
        "02-unsubscribe" => "unsubscribe-test",
        "03-publish-b2c-qos1" | "03-publish-c2b-qos1-disconnect" => "publish-qos1-test",
        "03-publish-fill-inflight" => "publish-qos1-test",
        "03-publish-b2c-qos2" | "03-publish-c2b-qos2-disconnect" => "publish-qos2-test",
        "03-publish-helper-qos0" | "03-publish-helper-qos0-v5" => "publish-helper-qos0-test",
        "03-publish-helper-qos1-disconnect" => "publish-helper-qos1-disconnect-test",
        "03-publish-qos0" => "publish-qos0-test",
        "03-publish-qos0-no-payload" => "publish-qos0-test-np",
        "04-retain-qos0" => "retain-qos0-test",
        "08-ssl-connect-cert-auth" => "08-ssl-connect-crt-auth",
        "08-ssl-connect-cert-auth-pw" => "08-ssl-connect-crt-auth-pw",
        other => other,
    }
}

fn options(name: &str) -> Options {
    let login = |user: &str, password: &str| (Some(user.to_owned()), Some(password.to_owned()));
    let (user, password) = match name {
        "01-unpwd-set" => login("uname", ";'[08gn=#"),
        "01-unpwd-empty-password-set" => login("uname", ""),
        "01-unpwd-empty-set" => login("", ""),
        "01-unpwd-unicode-set" => login("úsérnámé-hélló", "hélló"),
        "01-will-unpwd-set" => login("oibvvwqw", "#'^2hg9a&nm38*us"),
        _ => (None, None),
    };
    let will = match name {
        "01-will-set" => Some(Message {
            retain: true,
            ..message("topic/on/unexpected/disconnect", "will message", Qos::AtLeastOnce)
        }),
        "01-will-unpwd-set" => Some(message("will-topic", "will message", Qos::ExactlyOnce)),
        _ => None,
    };
    let keeps = name == "01-no-clean-session" || name.starts_with("03-publish-c2b");
    Options {
        client_id: client_id(name).into(),
        version: Some(if name.ends_with("-v5") { Version::V5 } else { Version::V311 }),
        clean: if keeps { Clean::Never } else { Clean::Always },
        keepalive: Duration::from_secs(if name == "01-keepalive-pingreq" { 4 } else { 60 }),
        user,
        password: password.map(Into::into),
        will,
        inflight: 10,
        ..Options::default()
    }
}

fn connector(name: &str) -> Connector {
    let port = std::env::var("PAHO_SERVER_PORT").unwrap().parse().unwrap();
    let is_tls = name.starts_with("08-ssl");
    let scheme = if is_tls { Scheme::Mqtts } else { Scheme::Mqtt };
    let mut settings = transport::Settings::new(BrokerUrl::new(scheme, "localhost", port));
    if is_tls {
        let folder = PathBuf::from(std::env::var_os("PAHO_SSL_PATH").unwrap());
        let file = |name: &str| Some(Pem::File(folder.join(name)));
        let tls = &mut settings.tls;
        let fake = name == "08-ssl-fake-cacert";
        tls.ca_file = file(if fake { "test-fake-root-ca.crt" } else { "all-ca.crt" });
        let own = if name.ends_with("-pw") { "client-pw" } else { "client" };
        if name != "08-ssl-connect-no-auth" {
            tls.cert_file = file(&format!("{own}.crt"));
            tls.key_file = file(&format!("{own}.key"));
            tls.key_password_file = (own == "client-pw").then(|| folder.join("client-pw.txt"));
        }
        if name == "08-ssl-connect-alpn" {
            tls.alpn = vec!["paho-test-protocol".into()];
        }
    }
    settings.credentials = name.contains("unpwd");
    Connector::new(settings).unwrap()
}

fn message(topic: &str, payload: &'static str, qos: Qos) -> Message {
    Message { qos, ..Message::new(topic.parse().unwrap(), Bytes::from(payload)) }
}

/// Plays a scenario; the exit code.
async fn play(name: &str) -> i32 {
    let mut settings = Settings::default();
    settings.link.wait = (Duration::from_millis(50), Duration::from_millis(50));
    settings.link.reconnect = name != "01-reconnect-on-failure";
    let (client, mut events) = Client::start(options(name), connector(name), settings);
    let qos_of = |text: &str| match text.as_bytes()[text.len() - 1] {
        b'0' => Qos::AtMostOnce,
        b'1' => Qos::AtLeastOnce,
        _ => Qos::ExactlyOnce,
    };
    match name {
        "01-asyncio" | "01-decorators" => {
            subscribe(&client, "sub-test", Qos::AtLeastOnce).await;
            client
                .unsubscribe(vec!["unsub-test".parse().unwrap()], Properties::NONE)
                .await
                .unwrap();
            until(&mut events, |event| matches!(event, Event::Message(_))).await;
            publish(&client, message(&name[3..], "message", Qos::AtLeastOnce)).await;
        }
        "01-reconnect-on-failure" => {
            client.publish(message("reconnect/test", "message", Qos::AtMostOnce)).await.unwrap();
            while events.next().await.is_some() {}
            return 42;
        }
        "02-subscribe-qos0" | "02-subscribe-qos1" | "02-subscribe-qos2" => {
            subscribe(&client, &format!("{}/test", &name[13..]), qos_of(name)).await;
        }
        "02-unsubscribe" => {
            client
                .unsubscribe(vec!["unsubscribe/test".parse().unwrap()], Properties::NONE)
                .await
                .unwrap();
        }
        "03-publish-b2c-qos1" | "03-publish-b2c-qos2" => {
            let received = until(&mut events, |event| matches!(event, Event::Message(_))).await;
            let Event::Message(received) = received else { return 1 };
            assert_eq!(received.topic.as_str(), format!("pub/{}/receive", &name[15..]));
            assert_eq!(&received.payload[..], b"message");
            assert_eq!((received.qos, received.retain), (qos_of(name), false));
            return std::future::pending().await;
        }
        "03-publish-c2b-qos1-disconnect" | "03-publish-helper-qos1-disconnect" => {
            publish(&client, message("pub/qos1/test", "message", Qos::AtLeastOnce)).await;
        }
        "03-publish-c2b-qos2-disconnect" => {
            publish(&client, message("pub/qos2/test", "message", Qos::ExactlyOnce)).await;
        }
        "03-publish-qos0" | "03-publish-helper-qos0" | "03-publish-helper-qos0-v5" => {
            publish(&client, message("pub/qos0/test", "message", Qos::AtMostOnce)).await;
        }
        "03-publish-qos0-no-payload" => {
            publish(&client, message("pub/qos0/no-payload/test", "", Qos::AtMostOnce)).await;
        }
        "04-retain-qos0" => {
            let kept = message("retain/qos0/test", "retained message", Qos::AtMostOnce);
            publish(&client, Message { retain: true, ..kept }).await;
        }
        "01-zero-length-clientid"
        | "08-ssl-connect-alpn"
        | "08-ssl-connect-cert-auth"
        | "08-ssl-connect-cert-auth-pw"
        | "08-ssl-connect-no-auth" => {
            client.ready().await.unwrap();
        }
        // CONNECT is all that is looked at, or what follows by itself.
        _ => return std::future::pending().await,
    }
    client.shutdown(Reason::SUCCESS, Duration::from_secs(5)).await.unwrap();
    0
}

async fn publish(client: &Client, message: Message) {
    client.publish(message).await.unwrap().await.unwrap();
}

async fn subscribe(client: &Client, filter: &str, qos: Qos) {
    let filters = vec![Subscription::new(filter.parse().unwrap(), qos)];
    client.subscribe(filters, Properties::NONE).await.unwrap();
}

async fn until(events: &mut Events, fits: impl Fn(&Event) -> bool) -> Event {
    loop {
        let event = events.next().await.unwrap();
        if fits(&event) {
            return event;
        }
    }
}
