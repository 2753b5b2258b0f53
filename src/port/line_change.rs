//! How a running port asks its stream for another speed or format, and learns what became of that.

use crate::base::line::Line;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::timeout_at;

/// Until then what was written is out, also at 300 baud, and the driver or serial server has answered.
const DEADLINE: Duration = Duration::from_secs(15);

/// What became of a change.
pub type Outcome = Result<(), NotSet>;

/// Why a line has no other setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSet {
    /// It is as it was.
    #[error("{0}")]
    Kept(String),
    /// Nobody knows how it is.
    #[error("{0}")]
    Unknown(String),
}

/// The end of the port's task.
#[derive(Debug)]
pub struct LineSetter {
    /// `None`: this stream has no line that could be set.
    stream: Option<ToStream>,
    asked: Option<(Line, Instant)>,
}

#[derive(Debug)]
struct ToStream {
    ask: mpsc::Sender<Line>,
    outcomes: mpsc::Receiver<(Line, Outcome)>,
}

/// The end of the stream, which looks for what is asked whenever it is read.
#[derive(Debug)]
pub struct LineRequests {
    asked: mpsc::Receiver<Line>,
    outcome: mpsc::Sender<(Line, Outcome)>,
}

/// The two ends.
pub fn line_change() -> (LineSetter, LineRequests) {
    // One request at a time; the one before may have been given up.
    let (ask, asked) = mpsc::channel(2);
    let (outcome, outcomes) = mpsc::channel(2);
    (
        LineSetter { stream: Some(ToStream { ask, outcomes }), asked: None },
        LineRequests { asked, outcome },
    )
}

impl LineSetter {
    /// Of a stream whose line is set elsewhere.
    pub fn none() -> LineSetter {
        LineSetter { stream: None, asked: None }
    }

    /// The line is to have this setting once what was written is out. To ask again changes nothing.
    pub(super) fn ask(&mut self, line: Line) {
        if self.asked.is_some_and(|(asked, _)| asked == line) {
            return;
        }
        self.asked = Some((line, Instant::now() + DEADLINE));
        if let Some(stream) = &self.stream {
            // Where there is no room, the time runs out.
            let _ = stream.ask.try_send(line);
        }
    }

    /// Waits until what was asked is done or has failed; for ever if nothing was asked. Cancel-safe.
    pub(super) async fn outcome(&mut self) -> (Line, Outcome) {
        let Some((line, due)) = self.asked else { return std::future::pending().await };
        let outcome = match &mut self.stream {
            None => Err(NotSet::Kept("it is set at the serial server".into())),
            Some(ToStream { outcomes, .. }) => loop {
                match timeout_at(due.into(), outcomes.recv()).await {
                    // Of a change that was given up.
                    Ok(Some((other, _))) if other != line => {}
                    Ok(Some((_, outcome))) => break outcome,
                    Ok(None) => break Err(NotSet::Unknown("the port is closed".into())),
                    Err(_) => {
                        let why = format!("it is not done after {} s", DEADLINE.as_secs());
                        break Err(NotSet::Unknown(why));
                    }
                }
            },
        };
        self.asked = None;
        (line, outcome)
    }
}

impl LineRequests {
    /// The next setting that is asked for; never ready once nobody asks any more.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Line> {
        match self.asked.poll_recv(cx) {
            Poll::Ready(Some(line)) => Poll::Ready(line),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    /// What became of it.
    pub fn tell(&self, line: Line, outcome: Outcome) {
        // Nobody may wait any more.
        let _ = self.outcome.try_send((line, outcome));
    }
}
