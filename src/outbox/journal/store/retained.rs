//! Retained messages: of each topic only the newest counts, so the older ones go first when the
//! journal is full.

use super::{Failure, Store};
use crate::mqtt::topic::Topic;
use crate::outbox::journal::JournalSeq;
use crate::outbox::journal::segment::Segment;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// At most this many topics are known; retained messages of others are dropped with their port's
/// oldest.
const TOPICS: usize = 4096;

/// The newest retained message of each topic.
#[derive(Debug, Default)]
pub(super) struct Newest {
    /// By the topic's hash: of 4096 topics two share one in one of 10^12 journals.
    messages: HashMap<u64, JournalSeq>,
    hasher: RandomState,
}

impl Newest {
    pub(super) fn hash(&self, topic: &Topic) -> u64 {
        self.hasher.hash_one(topic.as_str())
    }
}

impl Store {
    /// A retained message was stored: an older one of its topic may go when room is needed.
    pub(super) fn note_retained(&mut self, topic: u64, seq: JournalSeq) {
        let newest = &mut self.newest.messages;
        if newest.len() >= TOPICS && !newest.contains_key(&topic) {
            let oldest = self.segments.front().map_or(seq, |segment| segment.first);
            newest.retain(|_, seq| *seq >= oldest);
            if newest.len() >= TOPICS {
                return;
            }
        }
        let Some(other) = newest.insert(topic, seq) else { return };
        // A start finds the newest first.
        newest.insert(topic, seq.max(other));
        let older = seq.min(other);
        if let Some(segment) = self.segment(older)
            && segment.is_journal_only(older)
        {
            segment.compactable += 1;
        }
    }

    /// Removes retained messages that wait in the journal alone and have a newer one of their
    /// topic, from the oldest segments first, until at most `enough` bytes are left.
    pub(super) fn replace_retained(&mut self, enough: u64) -> Result<(), Failure> {
        // A segment that would keep most of its messages is not worth the writing.
        let is_worth_it = |segment: &Segment| {
            segment.compactable > 0 && u64::from(segment.compactable) * 4 >= segment.live.ones
        };
        // The last segment is being written.
        let mut index = 0;
        while index + 1 < self.segments.len() && self.bytes() > enough {
            if !is_worth_it(&self.segments[index]) {
                index += 1;
                continue;
            }
            let newest = std::mem::take(&mut self.newest);
            let gone = self.rewrite(index, |segment, seq, entry| {
                let message = &entry.message;
                message.retain
                    && segment.is_journal_only(seq)
                    && newest.messages.get(&newest.hash(&message.topic)) > Some(&seq)
            });
            self.newest = newest;
            let Some(gone) = gone? else { continue };
            for port in gone {
                *self.replaced.or_insert_with(port, || 0) += 1;
            }
            self.segments[index].compactable = 0;
            index += 1;
        }
        self.remove_done();
        Ok(())
    }
}
