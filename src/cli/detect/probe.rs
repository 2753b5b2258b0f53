//! Asks as the library's devices are asked: one request of each, at its usual speed and address.

use super::Found;
use super::report::Report;
use crate::base::clock::Now;
use crate::base::command_line::CliError;
use crate::base::line::Line;
use crate::base::plain::plain_bytes;
use crate::base::scalar::Name;
use crate::cli::port_words;
use crate::codec::modbus::whole_rtu_frame;
use crate::config::Config;
use crate::config::device_file::{Answers, Detect};
use crate::config::library::{Library, Model};
use crate::device::capture::Piece;
use crate::device::settings::DeviceSettings;
use crate::device::{Device, Publication, Transmit};
use crate::port::bare::BarePort;
use bytes::Bytes;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};
use tokio::time::timeout_at;

/// How long a device may take to answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// What a device is asked first.
struct Question {
    name: String,
    title: String,
    line: Line,
    request: Bytes,
    config: Config,
    /// The values by which it is recognised.
    answers: Option<Answers>,
}

/// Lists what would be sent, and sends it if that is agreed to. A request that several devices have in common is
/// sent once.
pub(super) async fn run(
    port: &mut BarePort,
    report: &mut Report,
    library: &Library,
    agrees: bool,
) -> Result<Found, CliError> {
    let mut questions: Vec<_> =
        library.all().filter_map(|model| Question::of(library, model.ok()?)).collect();
    let key = |it: &Question| (it.line.to_string(), it.request.clone());
    questions.sort_by_cached_key(|it| (it.line.baud, key(it), it.name.clone()));
    let groups: Vec<&[Question]> = questions.chunk_by(|a, b| key(a) == key(b)).collect();
    report.said(&format!("--probe would send {} requests:", groups.len()));
    for group in &groups {
        let Some(first) = group.first() else { continue };
        let names: Vec<_> = group.iter().map(|it| it.name.as_str()).collect();
        report.said(&format!(
            "  {}: {}  ({})",
            first.line,
            shown(&first.request),
            names.join(", ")
        ));
    }
    if !agrees && !is_agreed()? {
        return Ok(Found::Nothing);
    }
    let (mut found, mut line) = (Found::Nothing, None);
    for group in groups {
        let Some(first) = group.first() else { continue };
        if line.replace(first.line) != Some(first.line)
            && let Err(why) = port.set(first.line).await
        {
            report.skipped(first.line, &why);
            line = None;
            continue;
        }
        let reply = ask(port, first).await?;
        let bytes: Vec<u8> = reply.iter().flat_map(|piece| &piece.bytes).copied().collect();
        let fits: Vec<_> = group.iter().filter(|it| it.is_answered(&reply)).collect();
        if !fits.is_empty() {
            let models: Vec<_> =
                fits.iter().map(|it| (it.name.clone(), it.title.clone())).collect();
            report.answered(&models, first.line, &shown(&bytes));
            found = Found::Something;
        } else if !bytes.is_empty() {
            report.said(&format!(
                "{}: an answer that fits no device: {}",
                first.line,
                shown(&bytes)
            ));
        }
    }
    if found == Found::Nothing {
        report.said("none of the library's devices answered at its usual speed and address");
    }
    Ok(found)
}

/// Whether the person at the terminal agrees.
fn is_agreed() -> Result<bool, CliError> {
    if !io::stdin().is_terminal() {
        let why = "nothing was sent: agree to these requests by --yes";
        return Err(CliError::Usage(why.into()));
    }
    let failed = |source| CliError::Io { what: "the terminal".into(), source };
    write!(io::stderr(), "Send these? [y/N] ").map_err(failed)?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(failed)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Sends a request and collects what comes, until there is silence.
async fn ask(port: &mut BarePort, question: &Question) -> Result<Vec<Piece>, CliError> {
    let device = port.device.clone();
    let failed = |source| CliError::Io { what: device.clone(), source };
    port.write_all(&question.request).await.map_err(failed)?;
    let sending = question.line.time_of(question.request.len() as f32);
    let mut end = Instant::now() + sending + PATIENCE;
    let last = end + Duration::from_secs(3);
    let mut reply = Vec::new();
    while let Ok(read) = timeout_at(end.min(last).into(), port.read()).await {
        reply.extend(read.map_err(failed)?);
        end = Instant::now() + Duration::from_millis(100).max(question.line.time_of(20.0));
        if end > last {
            break;
        }
    }
    Ok(reply)
}

impl Question {
    fn of(library: &Library, model: Model) -> Option<Question> {
        let Model { name, head, settings, .. } = model;
        let line = settings.get("line")?.key_text().parse::<Line>().ok()?;
        let probe = head.detect.and_then(|Detect { probe, .. }| probe);
        let (config, answers) = match probe {
            Some(probe) => {
                let kind = format!("{:?}", probe.kind).to_lowercase();
                let (table, at) = (probe.table.word(), probe.address);
                let key = |key: &str, or: &'static str| {
                    settings.get(key).map_or(or.into(), |value| value.key_text())
                };
                let (address, order) = (key("address", "1"), key("byte_order", "ABCD"));
                let port = format!(
                    "port: {{tcp: \"device:1\", address: {address}, byte_order: {order}, \
                     registers: {{probe: {{{table}: {at}, type: {kind}}}}}}}"
                );
                (port_words::config(&port).ok()?.0, Some(probe.answers))
            }
            None => (library.device(&name).and_then(|device| device.whole()).ok()?, None),
        };
        let (_, _, request) = first_request(&config, line)?;
        // The poll of some device may be a write to another one.
        let writes = matches!(request.get(1), Some(5 | 6 | 15 | 16 | 22 | 23));
        if writes && whole_rtu_frame(&request) == Some(request.len()) {
            return None;
        }
        let title = format!("{}, {}", head.make, head.title);
        Some(Question { name, title, line, request, config, answers })
    }

    /// Whether the reply is one of this device: its decoder takes it, and the value is one of those that it has.
    fn is_answered(&self, reply: &[Piece]) -> bool {
        let Some((mut device, mut now, request)) = first_request(&self.config, self.line) else {
            return false;
        };
        let mut messages: Vec<Publication> = Vec::new();
        device.wrote(request.len(), now, &mut messages);
        // By now the last bit is out, and the device has had its time.
        now = now.after(self.line.time_of(request.len() as f32) + Duration::from_millis(10));
        for piece in reply.iter().filter(|piece| !piece.is_damaged) {
            device.push(&piece.bytes, now, &mut messages);
        }
        let end = now.after(Duration::from_millis(200));
        device.pass(&mut now, end, &mut messages);
        let fits = |publication: &Publication| match &self.answers {
            None => true,
            Some(answers) => {
                let payload = std::str::from_utf8(&publication.message.payload);
                payload.is_ok_and(|text| text.parse().is_ok_and(|value| answers.contain(value)))
            }
        };
        messages.iter().any(fits)
    }
}

/// A device of this configuration, and what it writes first, on a clock of its own.
fn first_request(config: &Config, line: Line) -> Option<(Device, Now, Bytes)> {
    let (name, port): (&Name, _) = config.ports.iter().next()?;
    let settings = DeviceSettings { line: Some(&line), ..port.device(&config.gateway, name) };
    let mut device = Device::build(&settings).ok()?;
    let (mut now, mut messages) = (Now::read(), Vec::new());
    device.opened(now.mono);
    // A few silences and pauses may come before it.
    for _ in 0..50 {
        match device.transmit(now, &mut messages) {
            Some(Transmit::Write(bytes)) => return Some((device, now, bytes)),
            Some(Transmit::Set(line)) => device.set(line, now, &mut messages),
            None => {
                let due = device.deadline()?;
                now = now.after(due.saturating_duration_since(now.mono));
                device.timeout(now, &mut messages);
            }
        }
    }
    None
}

/// Bytes as text if they are one, else in hexadecimal digits.
fn shown(bytes: &[u8]) -> String {
    let is_text = |byte: &u8| matches!(byte, b' '..=b'~' | b'\r' | b'\n');
    if bytes.iter().all(is_text) {
        return format!("\"{}\"", plain_bytes(bytes));
    }
    bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(" ")
}
