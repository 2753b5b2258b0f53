//! Asks devices one after the other on a port that nothing else has open.

use super::options::Options;
use super::outcome::{Outcome, Unfit};
use crate::base::command_line::CliError;
use crate::base::line::Line;
use crate::codec::modbus::adu::Adu;
use crate::codec::modbus::identification::{self, Identification};
use crate::codec::modbus::{Expected, Mode, Request, Scan, frame};
use crate::device::capture::Piece;
use crate::port::bare::BarePort;
use std::fmt::Write;
use std::io;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout, timeout_at};

pub(super) struct Master {
    port: BarePort,
    mode: Mode,
    /// Where it is known, what is written takes its time on it.
    line: Option<Line>,
    timeout: Duration,
    transaction: u16,
    /// Whether the bytes are shown.
    is_verbose: bool,
    shown: String,
}

/// How long a device that was told something with all others may take to do it.
const TURNAROUND: Duration = Duration::from_millis(100);

/// Longest that a line is listened to until it is silent.
const LONGEST_NOISE: Duration = Duration::from_secs(1);

/// More than any answer has, in hexadecimal digits, too.
const MOST: usize = 1024;

/// Says what the bytes that came so far are, and whether nothing more will come.
type Judge<'a> = &'a dyn Fn(&[u8], bool) -> Judged;

enum Judged {
    More { foreign: u32 },
    Ended(Outcome),
}

impl Master {
    pub(super) async fn open(options: &Options) -> Result<Master, CliError> {
        let port = BarePort::open(&options.port).await;
        let port = port.map_err(|error| CliError::Failed(error.to_string()))?;
        let line = options.port.tcp.is_none().then(|| options.line());
        Ok(Master {
            port,
            mode: options.mode,
            line,
            timeout: options.timeout.duration(),
            transaction: 0,
            is_verbose: options.is_verbose,
            shown: options.shown.clone(),
        })
    }

    pub(super) async fn close(self) {
        self.port.close().await;
    }

    pub(super) async fn ask(&mut self, unit: u8, request: &Request) -> Result<Outcome, CliError> {
        self.transaction = self.transaction.wrapping_add(1);
        let sent = request.encode(self.mode, unit, self.transaction);
        if unit == 0 && self.mode != Mode::Tcp {
            // A broadcast is not answered (SL 2.1).
            self.write(&sent).await?;
            sleep(self.time_of(&sent) + TURNAROUND).await;
            return Ok(Outcome::Answer(Vec::new()));
        }
        let expected = Expected::new(self.mode, unit, request, self.transaction);
        let echo_is_answer =
            matches!(request, Request::WriteCoil { .. } | Request::WriteRegister { .. });
        self.exchange(&sent, echo_is_answer, &|received, is_last| {
            let scan = if is_last { expected.scan_last(received) } else { expected.scan(received) };
            match scan {
                Scan::More { foreign, .. } => Judged::More { foreign },
                Scan::Answer { payload, .. } => {
                    Judged::Ended(Outcome::Answer(payload.of(received).to_vec()))
                }
                Scan::Exception { code, .. } => Judged::Ended(Outcome::Exception(code)),
                Scan::BadChecksum { .. } => Judged::Ended(Outcome::BadChecksum),
            }
        })
        .await
    }

    /// What a device says that it is, if it does.
    pub(super) async fn identify(&mut self, unit: u8) -> Result<Option<Identification>, CliError> {
        self.transaction = self.transaction.wrapping_add(1);
        let (mode, transaction) = (self.mode, self.transaction);
        let sent = frame(mode, unit, transaction, &identification::REQUEST);
        let outcome = self
            .exchange(&sent, false, &|received, _| {
                let adu = Adu::first_of(mode, received, Identification::pdu_len);
                match adu.filter(|adu| adu.unit == unit) {
                    Some(adu) if mode != Mode::Tcp || adu.transaction == transaction => {
                        Judged::Ended(Outcome::Answer(adu.pdu))
                    }
                    _ => Judged::More { foreign: 0 },
                }
            })
            .await?;
        let Outcome::Answer(pdu) = outcome else { return Ok(None) };
        Ok(Identification::of(&pdu).and_then(Result::ok))
    }

    async fn exchange(
        &mut self,
        sent: &[u8],
        echo_is_answer: bool,
        judge: Judge<'_>,
    ) -> Result<Outcome, CliError> {
        self.wait_for_silence().await?;
        self.write(sent).await?;
        let mut deadline = Instant::now() + self.time_of(sent) + self.timeout;
        let (mut received, mut unfit) = (Vec::new(), Unfit::default());
        while received.len() < MOST {
            let Ok(read) = timeout_at(deadline, self.port.read()).await else { break };
            for Piece { bytes, is_damaged } in read.map_err(|error| self.failed(error))? {
                unfit.damaged += if is_damaged { bytes.len() } else { 0 };
                received.extend(bytes);
            }
            // Only silence costs the time-out.
            deadline = deadline.max(Instant::now() + self.timeout);
            let is_echo = sent.len() > received.len() && sent.starts_with(&received);
            let own = behind_echo(sent, &received, echo_is_answer);
            if !is_echo && let Judged::Ended(outcome) = judge(own, false) {
                self.show("<-", &received);
                return Ok(outcome);
            }
        }
        self.show("<-", &received);
        let own = behind_echo(sent, &received, echo_is_answer);
        match judge(own, true) {
            Judged::Ended(outcome) => Ok(outcome),
            Judged::More { .. } if own.is_empty() => Ok(Outcome::Silence),
            Judged::More { foreign } => {
                Ok(Outcome::Unfit(Unfit { bytes: own.to_vec(), foreign, ..unfit }))
            }
        }
    }

    /// What still comes belongs to no request. RTU wants 3.5 characters of silence before the next one (SL
    /// 2.5.1.1).
    async fn wait_for_silence(&mut self) -> Result<(), CliError> {
        let end = Instant::now() + LONGEST_NOISE;
        let silence = self.line.map_or(Duration::ZERO, |line| line.time_of(3.5));
        let silence = silence.max(Duration::from_millis(5));
        while let Ok(read) = timeout(silence, self.port.read()).await {
            read.map_err(|error| self.failed(error))?;
            if Instant::now() > end {
                break;
            }
        }
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        self.show("->", bytes);
        self.port.write_all(bytes).await.map_err(|error| self.failed(error))
    }

    fn time_of(&self, bytes: &[u8]) -> Duration {
        self.line.map_or(Duration::ZERO, |line| line.time_of(bytes.len() as f32))
    }

    fn failed(&self, source: io::Error) -> CliError {
        CliError::Io { what: self.shown.clone(), source }
    }

    fn show(&self, arrow: &str, bytes: &[u8]) {
        if self.is_verbose && !bytes.is_empty() {
            let mut line = String::from(arrow);
            for byte in bytes {
                // Writing to a String does not fail.
                let _ = write!(line, " {byte:02x}");
            }
            eprintln!("{line}");
        }
    }
}

/// What came without our own bytes in front, which some adapters hear. The answer to some writes is the
/// request again.
fn behind_echo<'a>(sent: &[u8], received: &'a [u8], echo_is_answer: bool) -> &'a [u8] {
    match received.strip_prefix(sent) {
        Some([]) if echo_is_answer => received,
        Some(behind) => behind,
        None => received,
    }
}
