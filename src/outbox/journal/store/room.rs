//! What goes when the journal is full.

use super::disk::write_whole;
use super::{Failure, Store, at};
use crate::base::sorted::Sorted;
use crate::outbox::entry::Entry;
use crate::outbox::journal::record::{self, Record};
use crate::outbox::journal::segment::Segment;
use crate::outbox::journal::{JournalSeq, Lost, files};
use crate::outbox::policy::{MakesWay, Policy, Usage};
use crate::outbox::settings::Drop;

impl Store {
    /// Makes room for new messages of a port by the policy; `false` if they have to go themselves.
    pub(super) fn make_room(&mut self, new: Usage) -> Result<bool, Failure> {
        if self.has_room_for(new) {
            return Ok(true);
        }
        if new.bytes > self.room() / 2 {
            return Ok(false);
        }
        self.remove_done();
        // Room for half a segment, so that this is not done again for each message.
        let enough = self.room().saturating_sub(new.bytes + self.segment_size() / 2);
        self.replace_retained(enough.saturating_sub(self.reserve()))?;
        while self.bytes() > enough
            && self.segments.len() > 1
            && let MakesWay::Least(port) = self.makes_way(new)
        {
            let last = self.segments.len() - 1;
            let has = |segment: &Segment| segment.shares.get(port).is_some_and(|s| s.live > 0);
            // The last segment is being written.
            let Some(at) = self.segments.range(..last).position(has) else { break };
            self.give_up(at, port)?;
        }
        Ok(self.has_room_for(new))
    }

    fn makes_way(&self, new: Usage) -> MakesWay {
        let policy = Policy { drop: self.settings.drop, senders: self.ports.len() + 1 };
        let mut sizes = Sorted::<u16, u64>::default();
        for segment in &self.segments {
            for (port, _) in segment.shares.iter() {
                *sizes.or_insert_with(port, || 0) += segment.bytes_of(port);
            }
        }
        let usages = sizes.into_iter().map(|(port, bytes)| Usage { port, bytes });
        policy.makes_way(new, self.room(), usages)
    }

    fn has_room_for(&self, new: Usage) -> bool {
        let free = self.room().saturating_sub(self.bytes());
        new.bytes <= self.free_for_all()
            || new.bytes <= free && self.makes_way(new) != MakesWay::New
    }

    /// Bytes that any port may take.
    pub(super) fn free_for_all(&self) -> u64 {
        self.room().saturating_sub(self.bytes() + self.reserve())
    }

    /// With `drop: newest` the last segment's worth of room is only for ports that take up less
    /// than others: those give up a whole segment at once, and must not fill that room themselves.
    fn reserve(&self) -> u64 {
        match self.settings.drop {
            Drop::Oldest => 0,
            Drop::Newest => self.segment_size(),
        }
    }

    /// Bytes that messages may take. The rest of `size` is for what is written without asking for
    /// room: notes of acknowledged messages, the beginning of a segment, and one that is being
    /// rewritten.
    fn room(&self) -> u64 {
        (self.settings.journal.size.bytes() as u64).saturating_sub(2 * self.segment_size())
    }

    /// Whether the current segment has no room for notes any more: the next one says the same in
    /// few bytes.
    pub(super) fn is_full_of_notes(&self, bytes: u64) -> bool {
        let is_long = |s: &Segment| s.bytes - s.head > self.segment_size();
        self.segments.back().is_some_and(is_long)
            || self.bytes() + bytes > self.room() + self.segment_size() / 2
    }

    /// Gives up what a port has in a segment.
    fn give_up(&mut self, index: usize, port: u16) -> Result<(), Failure> {
        let Some(segment) = self.segments.get(index) else { return Ok(()) };
        let is_alone = segment.shares.iter().all(|(p, share)| p == port || share.live == 0);
        let up_to = Some(segment.last_live().unwrap_or(segment.first));
        let journal_only = segment.shares.get(port).map_or(0, |share| share.journal_only);
        let goes = |segment: &Segment, _, entry: &Entry| segment.port(entry.port) == port;
        if is_alone {
            self.drop_segment(index)?;
        } else if self.rewrite(index, goes)?.is_none() {
            return Ok(());
        } else if let Some(segment) = self.segments.get_mut(index) {
            // What of it could not be read too.
            segment.shares.remove(port);
        }
        self.lost.push(Lost { port, up_to, journal_only });
        Ok(())
    }

    /// Rewrites a segment without the messages that shall go and those that are not needed. Returns
    /// the ports of those that went; `None` if the whole segment was removed.
    pub(super) fn rewrite(
        &mut self,
        index: usize,
        goes: impl Fn(&Segment, JournalSeq, &Entry) -> bool,
    ) -> Result<Option<Vec<u16>>, Failure> {
        let Some(segment) = self.segments.get_mut(index) else { return Ok(None) };
        let old = match files::read(&segment.path) {
            Ok(old) => old,
            Err(error) => {
                let failure = at(&segment.path)(error);
                if !segment.failed_again() {
                    return Err(failure);
                }
                // A bad sector stays bad, and nothing new could be stored for ever.
                tracing::warn!("{failure}; given up");
                segment.drop_unreadable(&mut self.lost);
                return self.drop_segment(index).map(|()| None);
            }
        };
        segment.failures = 0;
        let mut new = record::header(segment.first);
        let mut gone = Vec::new();
        for found in record::read_from(segment.start as usize, &old) {
            let is_kept = match &found.record {
                None => false,
                Some(Record::Message { seq, .. }) if !segment.is_live(*seq) => false,
                Some(Record::Message { seq, entry, .. }) if goes(segment, *seq, entry) => {
                    gone.push((*seq, segment.port(entry.port)));
                    false
                }
                // The newest segment says as much of every segment, or more.
                Some(Record::Live { .. } | Record::Done(_)) => false,
                Some(_) => true,
            };
            if is_kept {
                new.extend_from_slice(found.bytes);
            }
        }
        write_whole(&segment.path, &new)?;
        self.state.written += new.len() as u64;
        gone.iter().for_each(|(seq, port)| segment.done(*seq, *port));
        segment.rewritten(new.len() as u64);
        self.sync_folder()?;
        Ok(Some(gone.into_iter().map(|(_, port)| port).collect()))
    }
}
