//! What a connection costs: allocations of a publish, and memory; and what the values of a telegram cost.

use crate::support::peer::Peer;
use crate::support::talk::{from_broker, message};
use allocation_counter::measure;
use bytes::{BufMut, Bytes, BytesMut};
use std::time::{Duration, Instant};
use tokio::io::{AsyncWriteExt, duplex};
use tty2mqtt::mqtt::client::{Client, Event, Settings};
use tty2mqtt::mqtt::message::Message;
use tty2mqtt::mqtt::packet::{ConnAck, Packet, PacketError, Properties, Property, Reason, Version};
use tty2mqtt::mqtt::session::{Options, Session};
use tty2mqtt::mqtt::source::Source;
use tty2mqtt::mqtt::topic::Qos;
use tty2mqtt::testing::base::clock::Now;
use tty2mqtt::testing::codec::decode::Decode;
use tty2mqtt::testing::config::load;
use tty2mqtt::testing::device::Device;
use tty2mqtt::testing::outbox::Outbox;
use tty2mqtt::testing::outbox::settings::OutboxBounds;

fn options(version: Version) -> Options {
    Options { client_id: "c".into(), version: Some(version), ..Options::default() }
}

/// A session that was let in, and its outbox.
fn connected(version: Version) -> (Session, Outbox) {
    let mut session = Session::new(options(version));
    let mut outbox = Outbox::new(&OutboxBounds::default());
    let now = Instant::now();
    session.connect(now).unwrap();
    let mut input = BytesMut::new();
    let properties = Properties(vec![Property::TopicAliasMaximum(10)]);
    let answer = ConnAck { session_present: false, reason: Reason::SUCCESS, properties };
    Packet::ConnAck(answer).encode(&mut input, version);
    session.receive(&mut input, &mut outbox, now).unwrap();
    session.event();
    session.wrote(session.output().len(), now);
    (session, outbox)
}

/// Publishes `window` messages at once and takes their acknowledgements, so many times.
fn publish(
    (session, outbox): &mut (Session, Outbox),
    input: &mut BytesMut,
    message: &Message,
    window: u16,
    times: u16,
    id: &mut u16,
) {
    let now = Instant::now();
    for _ in 0..times {
        for _ in 0..window {
            outbox.push(message.clone());
        }
        session.send(outbox);
        let n = session.output().len();
        assert!(n > 0);
        session.wrote(n, now);
        if message.qos == Qos::AtLeastOnce {
            for _ in 0..window {
                *id += 1;
                input.put_slice(&[0x40, 2]);
                input.put_u16(*id);
            }
            session.receive(input, outbox, now).unwrap();
        }
        assert!(outbox.is_empty());
    }
}

#[test]
fn a_publish_allocates_nothing() {
    for version in [Version::V311, Version::V5] {
        for (qos, window) in [(Qos::AtMostOnce, 1), (Qos::AtLeastOnce, 1), (Qos::AtLeastOnce, 20)] {
            let mut both = connected(version);
            let mut input = BytesMut::with_capacity(1 << 20);
            let message = message("a/topic", &"x".repeat(100), qos);
            let mut id = 0;
            publish(&mut both, &mut input, &message, window, 1000, &mut id);
            let steady =
                measure(|| publish(&mut both, &mut input, &message, window, 1000, &mut id));
            assert_eq!(steady.count_total, 0, "{version} {qos:?} {window}: {steady:?}");
        }
    }
}

#[test]
fn the_values_of_a_meters_telegram_allocate_nothing() {
    let lines =
        ["1-0:1.8.1(000004.426*kWh)\r\n", "1-0:1.7.0(00.244*kW)\r\n", "1-0:32.7.0(0230.0*V)\r\n"];
    let fields = [
        "{name: a, from: 1.8.1, unit: kWh}",
        "{name: b, from: 1.7.0}",
        "{name: c, from: '1-0:32.7.0'}",
    ];
    let allocations = |n: usize| {
        let yaml = format!("{{obis: {{fields: [{}]}}}}", fields[..n].join(", "));
        let decode: Decode = tty2mqtt::testing::config::tree::parse(&yaml).unwrap();
        let (decoder, telegram) = (decode.build().unwrap(), lines[..n].concat());
        let used = measure(|| {
            assert_eq!(decoder.decode(telegram.as_bytes()).readings.len(), n);
        });
        used.count_total
    };
    assert_eq!(allocations(1), allocations(3));
    assert!(allocations(3) <= 2, "the list of readings, and which fields came");
}

/// The allocations of frames whose values become no messages, with these settings of the fields.
fn allocations_of_frames(fields: &str) -> u64 {
    let text = format!(
        "gateway: gw\nbroker: {{url: mqtt://x}}\nports:\n  p:\n    path: /dev/null\n    line: 9600 8N1\n    \
         decode: {{fields: {{names: [a, b, c, d]}}}}\n    messages: []\n    fields: {fields}\n"
    );
    let (config, _) = load::parse("test", &text, std::path::Path::new("/")).unwrap();
    let (name, port) = config.ports.first_key_value().unwrap();
    let mut device = Device::build(&port.device(&config.gateway, name)).unwrap();
    let (mut now, mut out) = (Now::read(), Vec::new());
    device.opened(now.mono);
    let mut frames = || {
        for n in 0..1000 {
            now = now.after(Duration::from_millis(100));
            let frame: &[u8] = if n % 2 == 0 { b"21.5,1000,on,7\n" } else { b"21.7,1001,off,8\n" };
            device.push(frame, now, &mut out);
        }
    };
    frames();
    measure(frames).count_total
}

#[test]
fn filters_allocate_nothing() {
    let plain = allocations_of_frames("{}");
    let filters = "{a: {deadband: 2%, max_interval: 10s}, b: {window: {average: 1h}, valid: {step: 5}}, \
                   c: {on_change: true}, d: {min_interval: 1s}}";
    assert!(plain >= 1000, "the frames were decoded: {plain}");
    assert_eq!(allocations_of_frames(filters), plain);
}

#[test]
fn an_idle_session_takes_little_memory() {
    let made = measure(|| std::mem::forget(connected(Version::V5)));
    println!("an idle session and its outbox: {} bytes", made.bytes_current);
    assert!(made.bytes_current < 16 << 10, "{made:?}");
}

/// Whatever a broker announces, nothing is put aside for it before it comes.
#[test]
fn the_decoder_sets_nothing_aside() {
    // 256 MiB of PUBLISH with QoS 0 to the topic "t", of PUBLISH with a topic of 64 KiB, of SUBACK.
    let giant = [0x30, 0xFF, 0xFF, 0xFF, 0x7F, 0x00, 0x01, b't'];
    let long_topic = [0x30, 0xFF, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, b't'];
    let suback = [0x90, 0xFF, 0xFF, 0xFF, 0x7F, 0x00, 0x01];
    for bytes in [&giant[..], &long_topic, &suback] {
        let mut input = BytesMut::from(bytes);
        let used = measure(|| drop(Packet::decode(&mut input, 1000, Version::V5)));
        assert!(used.bytes_max < 1000, "{used:?}");
    }
    let mut input = BytesMut::from(&suback[..]);
    let error = Packet::decode(&mut input, 1000, Version::V5).unwrap_err();
    assert!(matches!(error, PacketError::TooLarge { .. }));
}

/// A broker sends without an end, in pieces and with topics of every length: what a link holds of it
/// is no more than docs/CLIENT.md says.
#[test]
fn what_a_link_holds_of_its_input_is_bounded() {
    const LARGEST: usize = 10_000;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let used = measure(|| {
        runtime.block_on(async {
            let (stream, far) = duplex(4096);
            let options = Options { largest: LARGEST, ..options(Version::V5) };
            let (client, mut events) = Client::over(options, stream, Settings::default());
            let mut peer = Peer { stream: far, input: BytesMut::new(), version: Version::V5 };
            peer.answers(Reason::SUCCESS).await;
            let broker = async move {
                let chunk = Bytes::from_static(&[b'x'; 4000]);
                // Larger than we take, by far: passed over as it comes.
                for _ in 0..5 {
                    let head = [0x30, 0x80, 0x80, 0x80, 0x05, 0xFF, 0xFF];
                    peer.stream.write_all(&head).await.unwrap();
                    let mut left = (10_usize << 20) - 2;
                    while left > 0 {
                        let n = left.min(chunk.len());
                        peer.stream.write_all(&chunk[..n]).await.unwrap();
                        left -= n;
                    }
                }
                // And as large as we take.
                for _ in 0..100 {
                    let text = "x".repeat(LARGEST - 20);
                    peer.says(Packet::Publish(from_broker(&text, Qos::AtMostOnce, 0))).await;
                }
                peer
            };
            let (mut giants, mut messages) = (0, 0);
            let listen = async {
                while messages < 100 {
                    match events.next().await.unwrap() {
                        Event::Oversize { .. } => giants += 1,
                        Event::Message(_) => messages += 1,
                        _ => {}
                    }
                }
            };
            let (_peer, ()) = tokio::join!(broker, listen);
            assert_eq!(giants, 5);
            drop(client);
        });
    });
    println!("at most {} bytes at once", used.bytes_max);
    // The input of 64 KiB for a topic, twice while it grows; the rest is the test's own.
    assert!(used.bytes_max < 400 << 10, "{used:?}");
}
