//! What goes wrong, and when: a list that the seed has shuffled.

use crate::proxy::Cut;
use crate::support::chance::Chance;
use std::time::Duration;

/// One thing that goes wrong. Each is a method of [`crate::rig::Rig`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The gateway, in the midst of whatever it does.
    KillGateway,
    /// The gateway, once it has all that the devices have sent: nothing may be missing.
    KillQuietGateway,
    /// The gateway, while the broker is away and a backlog waits.
    KillGatewayInOutage {
        backlog: u64,
    },
    /// The broker; it stays away while so many readings are emitted.
    KillBroker {
        away: u64,
    },
    CutLink(Cut),
    /// Nothing passes while so many readings are emitted.
    StallLink {
        readings: u64,
    },
    DelayLink {
        by: Duration,
        readings: u64,
    },
    /// The link is dead and nobody says so.
    HalfOpen,
    /// A plug is pulled and put back.
    Replug {
        port: usize,
    },
    /// The journal's disk is full while so many readings are emitted.
    FillDisk {
        readings: u64,
    },
    /// The gateway starts on a disk that cannot be written to.
    ReadOnlyDisk {
        readings: u64,
    },
    /// Each fsync takes longer, while so many readings are emitted.
    SlowDisk {
        milliseconds: u64,
        readings: u64,
    },
    /// The gateway starts on a disk that answers late, while the devices go on.
    SlowStart {
        milliseconds: u64,
    },
    /// Clients look on at the ports and read nothing, while so many readings are emitted.
    Unread {
        readings: u64,
    },
    /// The wall clock, forward or back.
    StepClock {
        seconds: i64,
    },
    Reload,
}

/// How often of each.
#[derive(Clone, Copy, Debug, Default)]
pub struct Amounts {
    pub gateway_kills: usize,
    pub broker_kills: usize,
    pub cuts: usize,
    pub stalls: usize,
    pub half_open: usize,
    pub replugs: usize,
    pub disk: usize,
    pub slow_starts: usize,
    pub unread: usize,
    pub clock: usize,
    pub reloads: usize,
}

/// For so many ports.
pub fn faults(amounts: &Amounts, ports: usize, chance: &mut Chance) -> Vec<Fault> {
    let mut plan = Vec::new();
    let mut add = |times: usize, make: &mut dyn FnMut(usize) -> Fault| {
        plan.extend((0..times).map(make));
    };
    add(amounts.gateway_kills, &mut |n| match n % 4 {
        0 => Fault::KillQuietGateway,
        1 => Fault::KillGatewayInOutage { backlog: 200 + chance.below(2000) },
        _ => Fault::KillGateway,
    });
    add(amounts.broker_kills, &mut |_| Fault::KillBroker { away: chance.below(2000) });
    add(amounts.cuts, &mut |_| {
        Fault::CutLink(if chance.one_in(2) { Cut::Close } else { Cut::Reset })
    });
    add(amounts.stalls, &mut |n| {
        let readings = 200 + chance.below(3000);
        match n % 2 {
            0 => Fault::StallLink { readings },
            _ => Fault::DelayLink { by: Duration::from_millis(20 + chance.below(200)), readings },
        }
    });
    add(amounts.half_open, &mut |_| Fault::HalfOpen);
    add(amounts.replugs, &mut |_| Fault::Replug { port: chance.below(ports as u64) as usize });
    add(amounts.disk, &mut |n| {
        let readings = 200 + chance.below(2000);
        match n % 3 {
            0 => Fault::FillDisk { readings },
            1 => Fault::ReadOnlyDisk { readings },
            _ => Fault::SlowDisk { milliseconds: 100 + chance.below(1900), readings },
        }
    });
    add(amounts.slow_starts, &mut |_| Fault::SlowStart { milliseconds: 30 + chance.below(70) });
    add(amounts.unread, &mut |_| Fault::Unread { readings: 200 + chance.below(3000) });
    add(amounts.clock, &mut |n| {
        let seconds = 1 + chance.below(400_000_000) as i64;
        Fault::StepClock { seconds: if n % 2 == 0 { seconds } else { -seconds } }
    });
    add(amounts.reloads, &mut |_| Fault::Reload);
    shuffle(&mut plan, chance);
    plan
}

/// Puts things in another order.
pub fn shuffle<T>(things: &mut [T], chance: &mut Chance) {
    for at in (1..things.len()).rev() {
        things.swap(at, chance.below(at as u64 + 1) as usize);
    }
}
