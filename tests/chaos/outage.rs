//! The broker is away for a day, while ten readings come in a second: 864,000 of them. What counts is
//! how many they are and how many bytes; so they come as fast as the gateway reads.

use crate::rig::{Durability, Rig, Setup};
use crate::{alone, full};

#[test]
fn a_day_without_a_broker_costs_what_the_policy_says_and_nothing_else() {
    needs!(c_compiler, mosquitto, namespaces);
    let _alone = alone();
    let (journal, readings) = if full() { (32, 864_000) } else { (1, 40_000) };
    let durability = Durability::Always { journal };
    // As fast as 3,000,000 baud.
    let setup = Setup { durability, ports: 1, line: 300_000.0, ..Setup::default() };
    let mut rig = Rig::start(setup);
    rig.broker.kill();
    rig.devices.resume();
    rig.devices.wait_for(readings);
    rig.quieten();
    rig.broker.start_again();
    rig.counter.wait_until_caught_up(&rig.broker.access());
    let (emitted, account) = rig.finish();
    let dropped = rig.counter.ledger(|ledger| {
        let status = &ledger.other["chaos/status/broker"];
        let status: serde_json::Value = serde_json::from_str(status).unwrap();
        status["dropped"].as_u64().unwrap()
    });
    println!(
        "a day in a journal of {journal} MiB: {emitted} readings, {} delivered, {dropped} dropped, \
         {} KiB of memory",
        account.delivered, rig.gateway.spent.memory
    );
    assert_eq!(account.delivered + dropped, emitted, "the gateway knows what it dropped");
    // The oldest are those that go.
    let lost = account.lost.first().map(|(_, numbers)| numbers.as_slice()).unwrap_or_default();
    assert!(
        lost.iter().copied().eq(0..dropped),
        "others than the oldest were dropped: {}",
        account.losses()
    );
    assert_eq!(
        (account.duplicates, account.disorder, account.torn),
        (0, 0, 0),
        "{}",
        account.losses()
    );
}
