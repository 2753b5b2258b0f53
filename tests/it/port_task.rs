//! The task of a port on a pipe in memory: what the PTY tests cannot see as closely.

mod sum;

use crate::support::chance::Chance;
use bytes::Bytes;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, LocalSet};
use tokio::time::timeout;
use tty2mqtt::testing::config::load;
use tty2mqtt::testing::device::Device;
use tty2mqtt::testing::device::inbound::{Inbound, Receipt};
use tty2mqtt::testing::gateway::topics::Topics;
use tty2mqtt::testing::outbox::inlet;
use tty2mqtt::testing::port::line_counts::LineCounts;
use tty2mqtt::testing::port::status::PortState;
use tty2mqtt::testing::port::task::monitor::{MAX_SUBSCRIBERS, Subscriber};
use tty2mqtt::testing::port::task::{self, Inbox, Leftover, PortTask};
use tty2mqtt::testing::port::{
    LineRequests, LineSetter, LinkKind, NotSet, Opened, PortStream, line_change,
};

const DEADLINE: Duration = Duration::from_secs(20);

const CONFIG: &str = r#"
gateway: gw
broker: {url: "mqtt://x"}
ports:
  p:
    path: /dev/null
    line: 9600 8N1
    commands: [{topic: relay, send: "relay {payload}", terminator: ";", pause: 80ms}]
"#;

/// What the test holds of a running port.
struct Stage {
    outlet: inlet::Receiver,
    inbox: Inbox,
    asks: mpsc::Sender<task::PortRequest>,
    /// A pipe put in here is what the next opening finds.
    devices: mpsc::Sender<DuplexStream>,
    stop: watch::Sender<()>,
    task: JoinHandle<Leftover>,
    waiting: Vec<String>,
}

fn start(local: &LocalSet) -> Stage {
    start_with(local, "")
}

/// With more keys of the port.
fn start_with(local: &LocalSet, more: &str) -> Stage {
    start_on(local, more, LinkKind::Tty)
}

fn start_on(local: &LocalSet, more: &str, link: LinkKind) -> Stage {
    start_counting(local, more, link, None)
}

/// With a driver that counts errors.
fn start_counting(
    local: &LocalSet,
    more: &str,
    link: LinkKind,
    line_counts: Option<watch::Receiver<LineCounts>>,
) -> Stage {
    let Parts { task, outlet, inbox, asks, stop } = parts(more);
    let (devices, mut plugged) = mpsc::channel(4);
    let task = local.spawn_local(task::run(task, async move || match plugged.recv().await {
        Some(stream) => {
            let line_counts = line_counts.clone();
            Ok(Opened {
                stream,
                device: "pipe".into(),
                link,
                line_counts,
                setter: LineSetter::none(),
            })
        }
        None => Err("no more devices"),
    }));
    Stage { outlet, inbox, asks, devices, stop, task, waiting: Vec::new() }
}

/// A port that does not run yet, and its other ends.
struct Parts {
    task: PortTask,
    outlet: inlet::Receiver,
    inbox: Inbox,
    asks: mpsc::Sender<task::PortRequest>,
    stop: watch::Sender<()>,
}

fn parts(more: &str) -> Parts {
    parts_of(&format!("{CONFIG}{more}"))
}

fn parts_of(text: &str) -> Parts {
    let (config, _) = load::parse("test", text, Path::new("/")).unwrap();
    let (name, port) = config.ports.iter().next().unwrap();
    let (intake, outlet) = inlet::channel(1 << 20);
    let (inbox, end) = task::inbox();
    let (asks, asked) = mpsc::channel(task::REQUESTS);
    let (stop, stopped) = watch::channel(());
    let topics = Topics::of(&config.gateway);
    let device = Device::build(&port.device(&config.gateway, name)).unwrap();
    let task = PortTask {
        name: name.clone(),
        settings: port.clone(),
        topics: topics.of_port(name, &device),
        device,
        inbox: end,
        left: None,
        requests: asked,
        intake,
        newcomers: None,
        interval: Duration::from_secs(3600),
        stop: stopped,
    };
    Parts { task, outlet, inbox, asks, stop }
}

impl Stage {
    async fn plug_in(&mut self) -> DuplexStream {
        let (device, port) = tokio::io::duplex(64);
        self.devices.send(port).await.unwrap();
        self.expect(r#""state":"open""#).await;
        device
    }

    /// The next message of which `topic payload` contains a text.
    async fn expect(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = self.waiting.iter().position(|message| message.contains(text)) {
                return self.waiting.remove(at);
            }
            let batch = timeout(DEADLINE, self.outlet.next()).await;
            let batch = batch.unwrap_or_else(|_| panic!("{text} did not come: {:?}", self.waiting));
            self.waiting.extend(batch.expect("the port has ended").iter().map(|entry| {
                format!(
                    "{} {}",
                    entry.message.topic,
                    String::from_utf8_lossy(&entry.message.payload)
                )
            }));
        }
    }

    fn command(&self, payload: &'static str) {
        self.inbox.offer(relay(payload.into())).unwrap();
    }
}

fn relay(payload: Bytes) -> Inbound {
    Inbound {
        topic: "relay".parse().unwrap(),
        payload,
        retain: false,
        since: Some(Instant::now()),
        expires: None,
        respond: None,
        receipt: Receipt::default(),
    }
}

async fn written(device: &mut DuplexStream) -> String {
    let mut text = String::new();
    while !text.ends_with(';') {
        let byte = timeout(DEADLINE, device.read_u8()).await.unwrap().unwrap();
        text.push(byte.into());
    }
    text
}

#[tokio::test]
async fn a_port_that_ends_is_opened_again_and_half_a_line_is_forgotten() {
    let local = LocalSet::new();
    let mut stage = start(&local);
    local
        .run_until(async {
            let mut device = stage.plug_in().await;
            device.write_all(b"\nfirst\nhalf").await.unwrap();
            assert_eq!(stage.expect("gw/p/text").await, "gw/p/text first");
            drop(device);
            let away = stage.expect(r#""state":"away""#).await;
            assert!(away.contains("unplugged"), "{away}");
            let mut device = stage.plug_in().await;
            device.write_all(b"rest of a line\nsecond\n").await.unwrap();
            assert_eq!(stage.expect("gw/p/text").await, "gw/p/text second");
            drop(stage.stop);
            stage.waiting.clear();
        })
        .await;
}

#[tokio::test]
async fn a_port_that_says_nothing_is_called_silent_until_it_speaks() {
    let local = LocalSet::new();
    let mut stage = start_with(&local, "    silent_after: 1s\n");
    local
        .run_until(async {
            let mut device = stage.plug_in().await;
            let start = Instant::now();
            stage.expect(r#""state":"silent""#).await;
            assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
            device.write_all(b"\nhello\n").await.unwrap();
            stage.expect(r#""state":"open""#).await;
            stage.expect("gw/p/text hello").await;
        })
        .await;
}

#[tokio::test]
async fn a_flood_is_cut_and_counted() {
    let local = LocalSet::new();
    let mut stage = start_with(&local, "    rate_limit: 5\n");
    local
        .run_until(async {
            let mut device = stage.plug_in().await;
            for n in 0..100 {
                device.write_all(format!("\n{n}").as_bytes()).await.unwrap();
            }
            // The status tells it when the port goes away.
            drop(device);
            let away = stage.expect(r#""state":"away""#).await;
            let limited = away.split(r#""limited":"#).nth(1).unwrap();
            let limited: u32 = limited.split(',').next().unwrap().parse().unwrap();
            assert!((80..=94).contains(&limited), "{away}");
            let passed = stage.waiting.iter().filter(|m| m.starts_with("gw/p/text")).count();
            assert_eq!(passed as u32 + limited, 99, "the last line has no end");
        })
        .await;
}

#[tokio::test]
async fn commands_keep_their_distance() {
    let local = LocalSet::new();
    let mut stage = start(&local);
    local
        .run_until(async {
            let mut device = stage.plug_in().await;
            stage.command("on");
            stage.command("off");
            assert_eq!(written(&mut device).await, "relay on;");
            let first = Instant::now();
            assert_eq!(written(&mut device).await, "relay off;");
            assert!(first.elapsed() >= Duration::from_millis(70), "{:?}", first.elapsed());
            stage.expect(r#""result":"sent""#).await;
            stage.expect(r#""result":"sent""#).await;
        })
        .await;
}

#[tokio::test]
async fn a_command_is_refused_while_the_port_is_away_or_its_payload_is_not_plain() {
    let local = LocalSet::new();
    let mut stage = start_with(&local, "    command_wait: 0s\n");
    local
        .run_until(async {
            stage.command("on");
            let refused = stage.expect(r#""result":"refused""#).await;
            assert!(refused.contains("the port is away"), "{refused}");
            let mut device = stage.plug_in().await;
            stage.command("on\nformat");
            let refused = stage.expect(r#""result":"refused""#).await;
            assert!(refused.contains("control character"), "{refused}");
            stage.command("off");
            assert_eq!(written(&mut device).await, "relay off;");
        })
        .await;
}

#[tokio::test]
async fn a_command_waits_for_a_port_on_its_way_up_and_after_a_replug_and_no_longer_than_set() {
    let local = LocalSet::new();
    let mut stage = start_with(&local, "    command_wait: 5s\n");
    local
        .run_until(async {
            stage.command("first");
            let mut device = stage.plug_in().await;
            assert_eq!(written(&mut device).await, "relay first;");
            drop(device);
            stage.expect(r#""state":"away""#).await;
            stage.command("second");
            let mut device = stage.plug_in().await;
            assert_eq!(written(&mut device).await, "relay second;");
            drop(device);
            stage.expect(r#""state":"away""#).await;
            let away = Instant::now();
            stage.command("third");
            let refused = stage.expect(r#""result":"refused""#).await;
            assert!(refused.contains("the port is away: unplugged"), "{refused}");
            assert!(away.elapsed() >= Duration::from_millis(4900), "{:?}", away.elapsed());
            let late = Instant::now();
            stage.command("fourth");
            stage.expect(r#""result":"refused""#).await;
            assert!(late.elapsed() < Duration::from_millis(4900), "{:?}", late.elapsed());
        })
        .await;
}

#[tokio::test]
async fn what_waits_is_handed_on_to_the_next_task_refused_or_left_to_come_again() {
    let local = LocalSet::new();
    let mut stage = start_with(&local, "");
    local
        .run_until(async {
            let mut device = stage.plug_in().await;
            for payload in ["1", "2", "3"] {
                stage.command(payload);
            }
            assert_eq!(written(&mut device).await, "relay 1;");
            stage.expect(r#""result":"sent""#).await;
            drop(stage.stop);
            let left = timeout(DEADLINE, stage.task).await.unwrap().unwrap();

            let Parts { mut task, outlet, inbox: _inbox, asks, stop } = parts("");
            task.left = Some(left);
            let (devices, mut plugged) = mpsc::channel(4);
            let task = tokio::task::spawn_local(task::run(task, async move || {
                plugged
                    .recv()
                    .await
                    .map(|stream| Opened {
                        stream,
                        device: "pipe".into(),
                        link: LinkKind::Tty,
                        line_counts: None,
                        setter: LineSetter::none(),
                    })
                    .ok_or("none")
            }));
            let inbox = stage.inbox;
            let mut stage = Stage { outlet, inbox, asks, devices, stop, task, waiting: Vec::new() };
            let mut device = stage.plug_in().await;
            assert_eq!(written(&mut device).await, "relay 2;");
            drop(stage.stop);
            let left = timeout(DEADLINE, stage.task).await.unwrap().unwrap();
            left.refuse();
            let mut last = Vec::new();
            while let Some(batch) = stage.outlet.next().await {
                last.extend(batch);
            }
            let last = String::from_utf8_lossy(&last.last().unwrap().message.payload).into_owned();
            assert!(last.contains("no longer in the configuration"), "{last}");
        })
        .await;
}

#[tokio::test]
async fn a_port_that_does_not_close_answers_and_ends() {
    let local = LocalSet::new();
    let Parts { task, outlet: _outlet, inbox: _inbox, asks, stop } = parts("");
    let mut stream = Some(NeverCloses { has_ended: false });
    let task = local.spawn_local(task::run(task, async move || {
        stream
            .take()
            .map(|stream| Opened {
                stream,
                device: "stuck".into(),
                link: LinkKind::Tty,
                line_counts: None,
                setter: LineSetter::none(),
            })
            .ok_or("none")
    }));
    local
        .run_until(async {
            let status = async || {
                let (reply, answer) = oneshot::channel();
                asks.send(task::PortRequest::Status(reply)).await.unwrap();
                timeout(Duration::from_secs(2), answer).await.expect("no answer").unwrap()
            };
            while status().await.report.state != PortState::Open {}
            drop(stop);
            status().await;
            timeout(DEADLINE, task).await.expect("it waits for the close").unwrap();
        })
        .await;
}

#[tokio::test]
async fn a_link_that_fails_its_trial_and_does_not_close_holds_up_no_answer_and_no_further_try() {
    let local = LocalSet::new();
    let (tries, mut tried) = mpsc::channel(1);
    let Parts { task, outlet: _outlet, inbox: _inbox, asks, stop } = parts("");
    let task = local.spawn_local(task::run(task, async move || {
        tries.send(()).await.unwrap();
        Ok::<_, &str>(Opened {
            stream: NeverCloses { has_ended: true },
            device: "stuck".into(),
            link: LinkKind::Network,
            line_counts: None,
            setter: LineSetter::none(),
        })
    }));
    local
        .run_until(async {
            for _ in 0..2 {
                timeout(DEADLINE, tried.recv()).await.expect("it waits for the close").unwrap();
                let (reply, answer) = oneshot::channel();
                asks.send(task::PortRequest::Status(reply)).await.unwrap();
                timeout(Duration::from_secs(2), answer).await.expect("no answer").unwrap();
            }
            drop(stop);
            timeout(DEADLINE, task).await.expect("it waits for the close").unwrap();
        })
        .await;
}

/// A link whose close waits for ever, as that of a tty whose flow control holds back what was written.
struct NeverCloses {
    /// Whether reading finds the end of the link, or waits.
    has_ended: bool,
}

impl AsyncRead for NeverCloses {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.has_ended { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

impl PortStream for NeverCloses {}

impl AsyncWrite for NeverCloses {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

#[tokio::test]
async fn a_device_that_takes_no_bytes_does_not_stop_its_readings() {
    let local = LocalSet::new();
    let mut stage = start(&local);
    local
        .run_until(async {
            let mut device = stage.plug_in().await;
            device.write_all(b"\n").await.unwrap();
            // Longer than the pipe: the write is stuck half-way.
            let long = "x".repeat(200).leak();
            stage.command(long);
            device.write_all(b"still talking\n").await.unwrap();
            assert_eq!(stage.expect("gw/p/text").await, "gw/p/text still talking");
        })
        .await;
}

#[tokio::test]
async fn a_port_that_is_away_answers_and_monitors_that_left_make_room() {
    let local = LocalSet::new();
    let mut stage = start(&local);
    local
        .run_until(async {
            let (reply, answer) = oneshot::channel();
            stage.asks.send(task::PortRequest::Status(reply)).await.unwrap();
            let snapshot = timeout(DEADLINE, answer).await.unwrap().unwrap();
            assert_eq!(snapshot.report.state, PortState::Away);
            for _ in 0..3 * MAX_SUBSCRIBERS {
                let (monitor, mut seen) = Subscriber::new(false);
                stage.asks.send(task::PortRequest::Monitor(monitor)).await.unwrap();
                let first = timeout(DEADLINE, seen.next()).await.unwrap();
                assert!(first.is_some(), "no room, though everyone before has left");
            }
            stage.plug_in().await;
        })
        .await;
}

#[tokio::test]
async fn a_rescan_ends_the_wait_for_the_next_try() {
    let local = LocalSet::new();
    let (tries, mut tried) = mpsc::channel(1);
    let Parts { task, outlet: _outlet, inbox: _inbox, asks, stop } = parts("");
    local.spawn_local(task::run(task, async move || {
        tries.send(()).await.unwrap();
        Err::<Opened<DuplexStream>, _>("not there")
    }));
    local
        .run_until(async {
            // By itself it tries every two seconds.
            let quick = async {
                for _ in 0..20 {
                    tried.recv().await.unwrap();
                    asks.send(task::PortRequest::Rescan).await.unwrap();
                }
            };
            timeout(Duration::from_secs(10), quick).await.expect("it does not try at once");
            drop(stop);
        })
        .await;
}

/// What ser2net 4.3.11 says where it cannot serve, before it closes.
const LAST_WORDS: [&str; 2] =
    ["Port already in use\r\n", "Device open failure: Value or file not found\r\n"];

#[tokio::test]
async fn last_words_of_a_serial_server_are_quoted_and_are_none_of_the_device() {
    let local = LocalSet::new();
    let mut stage = start_on(&local, "", LinkKind::Network);
    local
        .run_until(async {
            for words in LAST_WORDS {
                let (mut device, port) = tokio::io::duplex(64);
                stage.devices.send(port).await.unwrap();
                device.write_all(words.as_bytes()).await.unwrap();
                drop(device);
                let away = stage.expect(words.trim_end()).await;
                for part in [
                    r#""state":"away""#,
                    r#""bytes":0,"#,
                    r#""skipped":0"#,
                    r#""heard":null"#,
                    r#""opens":0"#,
                ] {
                    assert!(away.contains(part), "{part}: {away}");
                }
            }
            // A link that lasts loses nothing of what came until then.
            let (mut device, port) = tokio::io::duplex(64);
            stage.devices.send(port).await.unwrap();
            device.write_all(b"half a line\nfirst\n").await.unwrap();
            let open = stage.expect(r#""state":"open""#).await;
            assert!(open.contains(r#""opens":1"#), "{open}");
            assert_eq!(stage.expect("gw/p/text").await, "gw/p/text first");
            device.write_all(b"second\n").await.unwrap();
            assert_eq!(stage.expect("gw/p/text").await, "gw/p/text second");
            assert!(!stage.waiting.iter().any(|m| m.contains(r#""state":"open""#)));
        })
        .await;
}

#[tokio::test]
async fn telnet_is_noticed_before_a_byte_of_it_is_published() {
    let local = LocalSet::new();
    let mut stage = start_on(&local, "    framing: {raw: {after: 10ms}}\n", LinkKind::Network);
    local
        .run_until(async {
            let (mut device, port) = tokio::io::duplex(64);
            stage.devices.send(port).await.unwrap();
            device.write_all(b"\xFF\xFB\x03\xFF\xFD\x03").await.unwrap();
            device.write_all(b"21.5\r\n").await.unwrap();
            let away = stage.expect("speaks telnet").await;
            assert!(away.contains(r#""state":"away""#) && away.contains(r#""bytes":0,"#), "{away}");
            // It is let go of: who listens there sees the end.
            let mut buffer = [0; 8];
            assert_eq!(timeout(DEADLINE, device.read(&mut buffer)).await.unwrap().unwrap(), 0);
            assert!(
                stage.waiting.iter().all(|m| m.starts_with("gw/status/")),
                "{:?}",
                stage.waiting
            );
        })
        .await;
}

#[tokio::test]
async fn a_tty_that_opens_and_ends_at_once_is_open_once_until_it_lasts() {
    let local = LocalSet::new();
    let mut stage = start(&local);
    local
        .run_until(async {
            for _ in 0..4 {
                let (device, port) = tokio::io::duplex(64);
                drop(device);
                stage.devices.send(port).await.unwrap();
            }
            stage.expect("closed it at once").await;
            let (mut device, port) = tokio::io::duplex(64);
            stage.devices.send(port).await.unwrap();
            device.write_all(b"\n").await.unwrap();
            stage.expect(r#""opens":2"#).await;
            let open = stage.waiting.iter().filter(|m| m.contains(r#""state":"open""#)).count();
            assert_eq!(open, 1, "{:?}", stage.waiting);
        })
        .await;
}

#[tokio::test]
async fn a_byte_that_came_damaged_spoils_its_frame_and_a_doubled_ff_is_one() {
    let local = LocalSet::new();
    let mut stage = start_on(&local, "    decode: {bytes: {as: hex}}\n", LinkKind::MarkedTty);
    local
        .run_until(async {
            let mut device = stage.plug_in().await;
            // As the kernel hands it over: a parity error in the second line, a break before the
            // third one, FF in the fourth one; in reads that cut the marks.
            for read in [
                &b"\nA1\nA\xFF"[..],
                b"\x00",
                b"22\nA3\xFF\x00",
                b"\x00\nA4\xFF",
                b"\xFF\xFF\xFF\nA5\n",
            ] {
                device.write_all(read).await.unwrap();
                tokio::task::yield_now().await;
            }
            for expected in ["4131", "4134ffff", "4135"] {
                let came = stage.expect("gw/p/").await;
                assert!(came.ends_with(expected), "{expected}: {came}");
            }
            drop(device);
            let away = stage.expect(r#""state":"away""#).await;
            assert!(
                away.contains(r#""line_error":2}"#) && away.contains(r#""line":null"#),
                "{away}"
            );
        })
        .await;
}

#[tokio::test]
async fn bytes_that_were_lost_on_the_line_spoil_the_frames_of_that_read() {
    let local = LocalSet::new();
    let (driver, counts) = watch::channel(LineCounts::default());
    let mut stage = start_counting(&local, "", LinkKind::Tty, Some(counts));
    local
        .run_until(async {
            let mut device = stage.plug_in().await;
            device.write_all(b"\nfirst\n").await.unwrap();
            assert_eq!(stage.expect("gw/p/text").await, "gw/p/text first");
            // A parity error is counted, but it is the mark that says where it is.
            driver.send_modify(|counts| counts.parity += 1);
            device.write_all(b"second\n").await.unwrap();
            assert_eq!(stage.expect("gw/p/text").await, "gw/p/text second");
            driver.send_modify(|counts| counts.overrun += 3);
            device.write_all(b"thd\n").await.unwrap();
            loop {
                let (reply, answer) = oneshot::channel();
                stage.asks.send(task::PortRequest::Status(reply)).await.unwrap();
                let snapshot = timeout(DEADLINE, answer).await.unwrap().unwrap();
                if snapshot.report.bad.line_error == 1 {
                    let line = snapshot.report.line.unwrap();
                    assert_eq!((line.parity, line.overrun), (1, 3));
                    break;
                }
            }
            // Its beginning may have been lost.
            device.write_all(b"ourth\nfifth\n").await.unwrap();
            assert_eq!(stage.expect("gw/p/text").await, "gw/p/text fifth");
        })
        .await;
}

/// Whose second step needs another speed.
const DIALOGUE: &str = r#"    poll:
      p:
        interval: 10ms
        timeout: 100ms
        dialogue:
          - send: "a;"
            line: 300 8N1
          - send: "b;"
            reply: frame
"#;

#[tokio::test]
async fn a_line_that_refuses_another_speed_fails_the_poll_and_one_that_nobody_knows_the_port() {
    let local = LocalSet::new();
    let Parts { task, mut outlet, inbox: _inbox, asks: _asks, stop: _stop } = parts(DIALOGUE);
    let (opened, mut streams) = mpsc::unbounded_channel();
    local.spawn_local(task::run(task, async move || {
        let (device, stream) = tokio::io::duplex(64);
        let (setter, requests) = line_change();
        opened.send((device, requests)).unwrap();
        let link = LinkKind::Tty;
        Ok::<_, &str>(Opened { stream, device: "pipe".into(), link, line_counts: None, setter })
    }));
    local.spawn_local(async move { while outlet.next().await.is_some() {} });
    local
        .run_until(async {
            let (mut device, mut requests) = streams.recv().await.unwrap();
            let asked = async |requests: &mut LineRequests| {
                let asked = std::future::poll_fn(|cx| requests.poll(cx));
                timeout(DEADLINE, asked).await.expect("no speed is asked for")
            };
            // It keeps its own: the poll fails before its second step, and begins anew.
            for _ in 0..2 {
                assert_eq!(written(&mut device).await, "a;");
                let line = asked(&mut requests).await;
                assert_eq!(line.to_string(), "300 8N1");
                requests.tell(line, Err(NotSet::Kept("no".into())));
            }
            // Nobody knows which it has: the port is opened again, which sets it.
            assert_eq!(written(&mut device).await, "a;");
            let line = asked(&mut requests).await;
            requests.tell(line, Err(NotSet::Unknown("no".into())));
            let (mut device, mut requests) =
                timeout(DEADLINE, streams.recv()).await.expect("it stays open").unwrap();
            // It has it, and does not get its own back.
            assert_eq!(written(&mut device).await, "a;");
            let line = asked(&mut requests).await;
            requests.tell(line, Ok(()));
            assert_eq!(written(&mut device).await, "b;");
            let line = asked(&mut requests).await;
            assert_eq!(line.to_string(), "9600 8N1");
            requests.tell(line, Err(NotSet::Kept("no".into())));
            timeout(DEADLINE, streams.recv()).await.expect("it stays open").unwrap();
        })
        .await;
}
