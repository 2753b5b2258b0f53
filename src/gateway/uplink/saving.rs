//! What the MQTT task does with the journal.

use super::UplinkTask;
use crate::base::clock::Now;
use crate::gateway::status;
use crate::outbox::journal::{Journal, Report};
use std::time::{Duration, Instant};

/// How long the journal may take to write what it was told when the gateway ends: slow flash takes
/// seconds for a megabyte.
const LAST_SYNC: Duration = Duration::from_secs(10);

/// A journal that is behind and says nothing for so long holds up nobody any more: its disk hangs.
/// The same holds for one that is being opened.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// How often it is looked whether a disk still hangs.
const LOOK: Duration = Duration::from_secs(60);

impl UplinkTask {
    /// Gives the journal what there is for it, as far as it has room.
    pub(super) fn tell_journal(&mut self) {
        let Some((journal, _)) = &mut self.uplink.journal else { return };
        let now = Instant::now();
        self.uplink.outbox.spill(now);
        while journal.has_room()
            && let Some(turn) = self.uplink.outbox.turn(now)
        {
            journal.turn(turn);
        }
    }

    /// A disk that hangs at the start: what is to be stored waits for it no more.
    pub(super) fn look_at_the_disk(&mut self) {
        let now = Instant::now();
        if self.opening.is_none_or(|due| due > now) {
            return;
        }
        self.opening = Some(now + LOOK);
        if self.uplink.outbox.awaits_journal() {
            self.uplink.outbox.journal_failed(0);
        }
        let seconds = PATIENCE.as_secs();
        if let Some((_, status)) = &mut self.uplink.journal {
            status.error = Some(format!("it was not opened within {seconds} s"));
        }
        if let Some(again) = self.hanging.occurred(now) {
            tracing::warn!(
                "journal: it was not opened within {seconds} s, its disk is slow or hangs; what is \
                 to be stored waits in memory and is sent without it{again}"
            );
        }
    }

    pub(super) fn hear(&mut self, mut report: Report) {
        self.pressed = None;
        if let Report::Back { .. } | Report::Failed { .. } = &report {
            self.opening = None;
            if let (Some(_), Report::Back { .. }) = (self.hanging.over(Instant::now()), &report) {
                tracing::info!("journal: works again");
            }
        }
        if self.was_unset
            && self.clock_is_set
            && let Report::Read(entries) = &mut report
        {
            // It was on its way when the clock was set.
            let now = Now::read();
            entries.iter_mut().for_each(|(_, entry)| entry.correct(now));
        }
        if let Some((_, status)) = &mut self.uplink.journal {
            status.hear(&report);
        }
        self.uplink.outbox.hear(report);
    }

    /// The gateway ends: what can be kept on a disk is. Returns how many messages are lost.
    pub(super) async fn save(mut self) -> usize {
        let mut until = Instant::now() + LAST_SYNC;
        if self.opening.is_some() {
            until = self.wait_for_opening().await;
        }
        self.uplink.outbox.store_all();
        loop {
            self.tell_journal();
            if self.uplink.outbox.is_saved() {
                break;
            }
            let report = report(&mut self.uplink.journal);
            match tokio::time::timeout_at(until.into(), report).await {
                Ok(report) => self.hear(report),
                Err(_) => break,
            }
        }
        if let Some((journal, status)) = self.uplink.journal.take() {
            let state = journal.close(until.saturating_duration_since(Instant::now())).await;
            let waiting = state.unwrap_or(status.state).messages;
            if waiting > 0 {
                tracing::info!("{waiting} messages wait in the journal for the next start");
            }
        }
        self.uplink.outbox.unstored()
    }

    /// The gateway ends before the journal was opened. If there is something for it, that may take as
    /// long as `grace`; a disk that hangs already is not waited for. Returns until when what follows
    /// may take.
    async fn wait_for_opening(&mut self) -> Instant {
        let now = Instant::now();
        let outbox = &mut self.uplink.outbox;
        if outbox.awaits_journal() && outbox.has_unstored() {
            let until = self.ended.unwrap_or(now) + self.uplink.config.grace;
            while self.opening.is_some() {
                let report = report(&mut self.uplink.journal);
                match tokio::time::timeout_at(until.into(), report).await {
                    Ok(report) => self.hear(report),
                    Err(_) => break,
                }
            }
        }
        if self.opening.is_some() { now } else { Instant::now() + LAST_SYNC }
    }

    /// Whether messages of the ports may come. A slow disk holds them up before the outbox would
    /// have to drop any.
    pub(super) fn takes_more(&self) -> bool {
        self.ended.is_none() && (!self.uplink.outbox.is_pressed() || self.hangs())
    }

    /// Whether the journal's disk does not even fail.
    pub(super) fn hangs(&self) -> bool {
        self.pressed.is_some_and(|since| since.elapsed() >= PATIENCE)
    }
}

/// What the journal says next; never, if there is none.
pub(super) async fn report(journal: &mut Option<(Journal, status::Journal)>) -> Report {
    match journal {
        Some((journal, _)) => journal.report().await,
        None => std::future::pending().await,
    }
}
