//! Laws of the session, for any broker: the input says how it is set up, and then, step by step,
//! what the broker sends, what we publish and how time passes.

use bytes::BytesMut;
use std::time::{Duration, Instant};
use tty2mqtt::mqtt::message::Message;
use tty2mqtt::mqtt::packet::{Decoded, Packet, Properties, Reason, Subscription, Version};
use tty2mqtt::mqtt::session::{Clean, Ending, Event, Options, Session};
use tty2mqtt::mqtt::topic::Qos;
use tty2mqtt::testing::outbox::Outbox;
use tty2mqtt::testing::outbox::settings::OutboxBounds;

/// The largest packet that the session takes here.
const LARGEST: usize = 200;

/// Checks the laws for one input; panics where one does not hold.
pub fn fuzz_one(data: &[u8]) {
    let Some((setup, mut script)) = data.split_first() else { return };
    let version = [Version::V31, Version::V311, Version::V5][usize::from(setup & 3) % 3];
    let mut run = Run {
        session: Session::new(Options {
            client_id: "fuzz".into(),
            version: (setup & 4 == 0).then_some(version),
            clean: [Clean::Always, Clean::Never, Clean::First][usize::from(setup >> 3 & 3) % 3],
            manual_ack: setup & 32 != 0,
            largest: LARGEST,
            inflight: 4,
            receive_maximum: 4,
            topic_aliases: 2,
            ..Options::default()
        }),
        outbox: Outbox::new(&OutboxBounds::default()),
        now: Instant::now(),
        input: BytesMut::new(),
        is_up: false,
    };
    while let Some((&step, rest)) = script.split_first() {
        script = run.step(step, rest);
        run.check();
    }
}

struct Run {
    session: Session,
    outbox: Outbox,
    now: Instant,
    input: BytesMut,
    is_up: bool,
}

impl Run {
    /// One step; what is left of the script.
    fn step<'a>(&mut self, step: u8, rest: &'a [u8]) -> &'a [u8] {
        match step {
            // The broker sends: a length, and so many bytes.
            0..=9 => {
                let Some((&len, rest)) = rest.split_first() else { return rest };
                let (bytes, rest) = rest.split_at(rest.len().min(usize::from(len)));
                if self.is_up {
                    self.input.extend_from_slice(bytes);
                    let received =
                        self.session.receive(&mut self.input, &mut self.outbox, self.now);
                    if received.is_err() {
                        self.link_ends(false);
                    }
                }
                return rest;
            }
            10..=19 => self.link_begins(),
            20..=24 => self.link_ends(step.is_multiple_of(2)),
            25..=39 => {
                let qos = [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce];
                let Ok(topic) = "t".parse() else { return rest };
                let qos = qos[usize::from(step) % 3];
                self.outbox.push(Message { qos, ..Message::new(topic, "payload") });
            }
            40..=44 => {
                let Ok(filter) = "a/+".parse() else { return rest };
                let wanted = vec![Subscription::new(filter, Qos::ExactlyOnce)];
                self.session.subscribe(wanted, &Properties::NONE);
            }
            45..=49 => {
                let Ok(filter) = "a/+".parse() else { return rest };
                self.session.unsubscribe(vec![filter], &Properties::NONE);
            }
            50..=59 => {
                self.now += Duration::from_secs(u64::from(step - 49) * 7);
                if self.session.timeout(self.now).is_err() {
                    self.link_ends(false);
                }
            }
            60..=69 => self.takes_events(),
            70..=79 => {
                // The link takes some bytes, not always to the end of a packet.
                self.session.wrote(usize::from(step - 69), self.now);
            }
            80 => self.session.disconnect(Reason::SUCCESS),
            _ => self.session.send(&mut self.outbox),
        }
        rest
    }

    fn link_begins(&mut self) {
        self.link_ends(false);
        self.is_up = self.session.connect(self.now).is_ok();
        assert!(self.says().iter().all(|packet| matches!(packet, Packet::Connect(_))));
    }

    fn link_ends(&mut self, closed: bool) {
        self.session.disconnected(if closed { Ending::HangUp } else { Ending::Other });
        self.input.clear();
        self.is_up = false;
        assert!(self.session.output().is_empty(), "words for a link that is gone");
        assert_eq!(self.session.deadline(), None, "a deadline without a link");
    }

    fn takes_events(&mut self) {
        while let Some(event) = self.session.event() {
            if let Event::Message(received) = event {
                assert!(received.payload.len() <= LARGEST);
                if let Some(token) = received.token {
                    self.session.acknowledge(token, Reason::SUCCESS);
                }
            }
        }
    }

    /// All that the session says is whole packets.
    fn says(&mut self) -> Vec<Packet> {
        let mut output = BytesMut::from(self.session.output());
        self.session.wrote(output.len(), self.now);
        let mut packets = Vec::new();
        while let Ok(Some(Decoded::Packet(packet))) =
            Packet::decode(&mut output, usize::MAX, self.session.version())
        {
            packets.push(packet);
        }
        assert!(output.is_empty(), "no packet: {output:x?}");
        packets
    }

    fn check(&mut self) {
        // Bounded whatever the broker does: the output by what is put in at once and the answers
        // to one read, the input by the head of the longest message.
        assert!(self.session.output().len() < 200_000);
        assert!(self.input.len() <= 5 + 2 + 65_535 + 2);
        if !self.is_up {
            assert_eq!(self.session.deadline(), None);
        }
    }
}
