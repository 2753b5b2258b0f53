//! What the MQTT task does with the journal: it moves what outbox and journal have for each other.

use super::UplinkTask;
use crate::outbox::journal::{Journal, JournalEvent, Order};
use std::time::{Duration, Instant};

/// How long the journal may take to write what it was told when the gateway ends: slow flash takes
/// seconds for a megabyte.
const LAST_SYNC: Duration = Duration::from_secs(10);

impl UplinkTask {
    /// Gives the journal what there is for it, as far as it has room.
    pub(super) fn tell_journal(&mut self) {
        let Some(journal) = &mut self.journal else { return };
        let outbox = &mut self.outbox;
        let now = Instant::now();
        outbox.journal_tick(now);
        while journal.has_room()
            && let Some(batch) = outbox.next_batch(now)
        {
            journal.tell(Order::Batch(batch));
        }
        // A disk that hangs at the start: what is to be stored waits for it no more.
        if let Some(waited) = outbox.give_up_opening(now)
            && let Some(again) = self.hanging.occurred(now)
        {
            tracing::warn!(
                "journal: it was not opened within {} s, its disk is slow or hangs; what is \
                 to be stored waits in memory and is sent without it{again}",
                waited.as_secs()
            );
        }
    }

    pub(super) fn hear_journal(&mut self, event: JournalEvent) {
        let is_back = matches!(event, JournalEvent::Back { .. });
        if is_back || matches!(event, JournalEvent::Failed { .. }) {
            let hung = self.hanging.over(Instant::now()).is_some();
            if hung && is_back {
                tracing::info!("journal: works again");
            }
        }
        self.outbox.on_event(event);
    }

    /// The gateway ends: what can be kept on a disk is. Returns how many messages are lost.
    pub(super) async fn save(mut self) -> usize {
        let mut until = Instant::now() + LAST_SYNC;
        if self.outbox.is_journal_silent() {
            until = self.wait_for_opening().await;
        }
        self.outbox.store_all();
        loop {
            self.tell_journal();
            if self.outbox.is_saved() || !self.hear_until(until).await {
                break;
            }
        }
        if let Some(journal) = self.journal.take() {
            let state = journal.close(until.saturating_duration_since(Instant::now())).await;
            let known = self.outbox.journal_status().map(|status| status.state);
            let waiting = state.or(known).unwrap_or_default().messages;
            if waiting > 0 {
                tracing::info!("{waiting} messages wait in the journal for the next start");
            }
        }
        self.outbox.unstored()
    }

    /// The gateway ends before the journal was opened. If there is something for it, that may take
    /// as long as `grace`; a disk that hangs already is not waited for. Returns until when what
    /// follows may take.
    async fn wait_for_opening(&mut self) -> Instant {
        let now = Instant::now();
        if self.outbox.awaits_journal() {
            let until = self.ended.unwrap_or(now) + self.config.grace;
            while self.outbox.is_journal_silent() && self.hear_until(until).await {}
        }
        if self.outbox.is_journal_silent() { now } else { Instant::now() + LAST_SYNC }
    }

    /// Whether messages of the ports may come. A slow disk holds them up before the outbox would
    /// have to drop any; one that hangs holds up nobody.
    pub(super) fn takes_more(&self) -> bool {
        let outbox = &self.outbox;
        self.ended.is_none() && (!outbox.is_pressed() || outbox.hangs(Instant::now()))
    }

    /// Takes in what the journal says next. `false` if that took too long.
    async fn hear_until(&mut self, until: Instant) -> bool {
        let event = event(&mut self.journal);
        let event = tokio::time::timeout_at(until.into(), event).await;
        event.map(|event| self.hear_journal(event)).is_ok()
    }
}

/// The next event of the journal; without a journal it never comes.
pub(super) async fn event(journal: &mut Option<Journal>) -> JournalEvent {
    match journal {
        Some(journal) => journal.event().await,
        None => std::future::pending().await,
    }
}
