//! What is read from a line: the marks of a tty are taken out, and damaged or lost bytes make their
//! frame bad.

use super::reporter::Reporter;
use crate::base::clock::Now;
use crate::device::{Device, Publication};
use crate::port::line_counts::LineCounts;
use crate::port::marks::{Marks, Piece};
use crate::port::open::LinkKind;
use crate::port::status::PortReport;
use tokio::sync::watch;

#[derive(Debug, Default)]
pub(super) struct Receiver {
    /// The state of the marks, on a tty that has them.
    marks: Option<Marks>,
    /// What the driver counts.
    line: Option<watch::Receiver<LineCounts>>,
    /// What the port's status had counted when the port was opened.
    before: LineCounts,
}

impl Receiver {
    pub(super) fn new(
        link: LinkKind,
        line: Option<watch::Receiver<LineCounts>>,
        status: &mut PortReport,
    ) -> Receiver {
        let before = status.line.unwrap_or_default();
        if line.is_some() {
            status.line.get_or_insert_default();
        }
        Receiver { marks: (link == LinkKind::MarkedTty).then(Marks::default), line, before }
    }

    /// Hands bytes to the device as they were read.
    pub(super) fn take(
        &mut self,
        mut read: &[u8],
        device: &mut Device,
        reporter: &mut Reporter,
        now: Now,
        messages: &mut Vec<Publication>,
    ) {
        let lost = self.has_lost(&mut reporter.status.report);
        if lost {
            device.pipeline_mut().lost();
        }
        let mut take = |bytes: &[u8], damaged: bool| {
            if bytes.is_empty() {
                return;
            }
            tracing::trace!(port = %reporter.name, damaged, bytes = %bytes.escape_ascii());
            reporter.subscribers.publish_read(now, bytes);
            if damaged {
                device.push_damaged(bytes, now, messages);
            } else {
                device.push(bytes, now, messages);
            }
        };
        let Some(marks) = &mut self.marks else { return take(read, lost) };
        // Good bytes with marks between them, joined.
        let mut run = Vec::new();
        while let Some(piece) = marks.next(&mut read) {
            match piece {
                Piece::Good(bytes) if run.is_empty() && read.is_empty() => take(bytes, lost),
                Piece::Good(bytes) => run.extend_from_slice(bytes),
                Piece::Damaged(bytes) => {
                    take(&std::mem::take(&mut run), lost);
                    take(bytes, true);
                }
            }
        }
        take(&run, lost);
    }

    /// Takes over what the driver has counted. Returns whether bytes were lost since the last read; the
    /// driver does not say where.
    fn has_lost(&mut self, status: &mut PortReport) -> bool {
        let Some(line) = &mut self.line else { return false };
        // An error: the stream is closed.
        if !line.has_changed().unwrap_or(false) {
            return false;
        }
        let counted = line.borrow_and_update().plus(self.before);
        let earlier = status.line.replace(counted).unwrap_or_default();
        counted.lost() > earlier.lost()
    }
}
