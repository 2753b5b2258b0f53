//! What `detect` says: progress, what was heard, and the configuration to paste; for people or as JSON.

use super::candidates::{Candidate, Speed};
use crate::base::line::Line;
use crate::base::plain::plain;
use crate::codec::recognise::Guess;
use crate::device::detect::{Confidence, Heard, Looks};
use crate::port::list;
use crate::port::settings::Port;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::path::Path;
use std::time::Duration;

pub(super) struct Report {
    /// The line of the configuration that names the port.
    port: String,
    is_json: bool,
    /// Whether the progress is shown by a bar that moves.
    has_bar: bool,
    /// The setting whose beginning was said already.
    step: Option<usize>,
}

impl Report {
    pub(super) fn new(place: &str, port: &Port, is_json: bool) -> Report {
        let has_bar = !is_json && io::stderr().is_terminal();
        Report { port: named(place, port), is_json, has_bar, step: None }
    }

    /// Shows how far the listening is.
    pub(super) fn progress(
        &mut self,
        line: Line,
        bytes: u64,
        (n, count): (usize, usize),
        time: Duration,
        longest: Duration,
    ) {
        if self.has_bar {
            const WIDTH: usize = 24;
            let part = (time.as_secs_f32() / longest.as_secs_f32()).min(1.0);
            let done = ((n as f32 + part) / count.max(1) as f32 * WIDTH as f32) as usize;
            let bar: String = (0..WIDTH).map(|at| if at < done { '#' } else { '.' }).collect();
            let _ = write!(io::stderr(), "\r[{bar}] {line}: {bytes} bytes \x1b[K");
        }
        if self.step != Some(n) {
            self.step = Some(n);
            let step = json!({"event": "listen", "line": line.to_string(), "step": n + 1,
                "steps": count, "seconds": longest.as_secs_f32()});
            self.json(&step);
        }
    }

    pub(super) fn skipped(&mut self, line: Line, why: &str) {
        self.said(&format!("{line}: not possible here: {}", plain(why)));
        self.json(&json!({"event": "skipped", "line": line.to_string(), "why": why}));
    }

    pub(super) fn heard(&mut self, heard: &Heard, looks: &Looks, speed: Speed) {
        let Looks { line, damaged, text, framed, .. } = looks;
        let line =
            if speed == Speed::Unknown { "the server's speed".into() } else { line.to_string() };
        let guess = looks.guess.as_ref().map(words);
        let said = guess.clone().map_or_else(String::new, |guess| format!(", {guess}"));
        self.said(&format!(
            "{line}: {} bytes, {damaged} % damaged, {text} % text, {framed} % in frames{said}",
            heard.bytes
        ));
        self.json(
            &json!({"event": "heard", "line": line, "bytes": heard.bytes, "damaged": damaged,
            "text": text, "framed": framed, "guess": guess}),
        );
    }

    /// The devices that are named, the best first: they cannot be told from each other.
    pub(super) fn devices(&mut self, found: &[Candidate], line: Line, speed: Speed) {
        let many = match found.len() {
            1 => "",
            _ => "These devices send alike; one of them it is:\n",
        };
        let mut text = format!("\n{many}");
        for it in found {
            let config = self.config(&it.name, it.usual, line, speed);
            let Candidate { name, make, title, confidence, .. } = it;
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name}: {make}, {title} ({})", confidence.word());
            self.json(&json!({"event": "device", "model": name, "make": make, "title": title,
                "confidence": confidence.word(), "line": line.to_string(), "config": config}));
        }
        if let Some(first) = found.first() {
            text += &format!("\n{}", self.config(&first.name, first.usual, line, speed));
        }
        self.result(&text, found.len());
    }

    /// A device that answered a request.
    pub(super) fn answered(&mut self, models: &[(String, String)], line: Line, answer: &str) {
        for (name, title) in models {
            let config = self.config(name, Some(line), line, Speed::Any);
            self.json(&json!({"event": "device", "model": name, "title": title,
                "confidence": Confidence::Likely.word(), "line": line.to_string(), "config": config}));
        }
        let names: Vec<_> =
            models.iter().map(|(name, title)| format!("{name}: {title}\n")).collect();
        let config =
            models.first().map(|(name, _)| self.config(name, Some(line), line, Speed::Any));
        let many = if models.len() > 1 { "One of these answers so" } else { "It answers" };
        let text =
            format!("\n{many} ({answer}):\n{}\n{}", names.concat(), config.unwrap_or_default());
        self.result(&text, models.len());
    }

    /// The speed is found, and no device is named.
    pub(super) fn only_speed(&mut self, found: &[Candidate], looks: &Looks, speed: Speed) {
        let draft = draft(&looks.lines);
        let line = if speed == Speed::Unknown {
            String::new()
        } else {
            format!("\n    line: {}", looks.line)
        };
        let decode = match (&draft, &looks.guess) {
            (Some(draft), _) => format!("\n    {draft}"),
            (None, Some(Guess::Fixed { length, begins })) => {
                let begins: Vec<_> = begins.iter().map(|byte| format!("{byte:02X}")).collect();
                let prefix = match begins.is_empty() {
                    true => String::new(),
                    false => format!(", prefix: \"hex:{}\"", begins.join(" ")),
                };
                format!("\n    framing: {{fixed: {{size: {length}{prefix}}}}}")
            }
            _ => String::new(),
        };
        let config = format!("ports:\n  device:\n    {}{line}{decode}\n", self.port);
        let guess = looks.guess.as_ref().map(words).unwrap_or_default();
        let mut text =
            format!("\nThe device speaks ({guess}), and the library does not know it by that.\n");
        looks.lines.iter().for_each(|line| text += &format!("  {}\n", plain(line)));
        for it in found.iter().take(4) {
            text += &format!("possible: {}: {}, {}\n", it.name, it.make, it.title);
        }
        text += &format!("\nA configuration to go on with:\n{config}");
        self.json(&json!({"event": "speed", "line": looks.line.to_string(), "guess": guess,
            "lines": looks.lines, "config": config}));
        self.result(&text, 0);
    }

    pub(super) fn silent(&mut self) {
        self.result(
            "\nNothing came. Some devices send only when they are asked: `--probe` asks them. Else the \
             wires may be exchanged (TX to RX; A and B), or the device has no power.\n",
            0,
        );
    }

    pub(super) fn no_sense(&mut self) {
        self.result(
            "\nBytes came, but they make sense at none of these speeds: the speed may be another one, the \
             signal inverted, or A and B exchanged. `tty2mqtt sniff PORT LINE` shows them.\n",
            0,
        );
    }

    /// A sentence on the way.
    pub(super) fn said(&mut self, text: &str) {
        if !self.is_json {
            let clear = if self.has_bar { "\r\x1b[K" } else { "" };
            let _ = writeln!(io::stderr(), "{clear}{text}");
        }
    }

    fn result(&mut self, text: &str, found: usize) {
        self.json(&json!({"event": "end", "found": found, "text": text.trim()}));
        if !self.is_json {
            let clear = if self.has_bar { "\r\x1b[K" } else { "" };
            let _ = write!(io::stderr(), "{clear}");
            let _ = io::stderr().flush();
            let _ = io::stdout().write_all(text.as_bytes());
        }
    }

    fn json(&self, event: &Value) {
        if self.is_json {
            let _ = writeln!(io::stdout(), "{event}");
        }
    }

    fn config(&self, model: &str, usual: Option<Line>, line: Line, speed: Speed) -> String {
        let own = match speed {
            _ if usual == Some(line) => String::new(),
            Speed::Unknown => String::new(),
            _ => format!("    line: {line}\n"),
        };
        format!("ports:\n  device:\n    {}\n    model: {model}\n{own}", self.port)
    }
}

/// What names a port in the configuration: the ids of a USB adapter, which stay.
fn named(place: &str, port: &Port) -> String {
    let Some(path) = &port.path else {
        let address = port.tcp.as_ref().map_or_else(|| place.to_owned(), ToString::to_string);
        return format!("tcp: {}", Value::from(address));
    };
    let real = path.canonicalize().unwrap_or_else(|_| path.clone());
    let listed = list::found().into_iter().find(|found| Path::new(&found.path) == real);
    let own = || format!("path: {}", Value::from(path.display().to_string()));
    listed.map_or_else(own, |found| found.config)
}

fn words(guess: &Guess) -> String {
    match guess {
        Guess::Frames(kind, found) => format!("{} × {kind}", found.frames),
        Guess::Fixed { length, .. } => format!("frames of {length} bytes"),
    }
}

/// What may read these lines, as keys of a port.
fn draft(lines: &[String]) -> Option<String> {
    let last = lines.last()?;
    if lines.iter().all(|line| line.starts_with('{') && serde_json::from_str::<Value>(line).is_ok())
    {
        return Some("decode: json".into());
    }
    if lines.iter().all(|line| line.contains('=')) {
        return Some("decode: pairs".into());
    }
    for separator in [',', ';', '\t', ' '] {
        let columns = last.split(separator).count();
        let is_same = |line: &String| line.split(separator).count() == columns;
        if columns > 1 && lines.iter().all(is_same) {
            let names: Vec<_> = (1..=columns).map(|n| format!("value{n}")).collect();
            let separator = Value::from(separator.to_string());
            let names = names.join(", ");
            return Some(format!(
                "decode: {{fields: {{separator: {separator}, names: [{names}]}}}}"
            ));
        }
    }
    Some("decode: text".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_get_a_draft_of_what_reads_them() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        for (text, expected) in [
            ("{\"t\":21.5}\n{\"t\":21.6}", "decode: json"),
            ("t=21.5 h=40", "decode: pairs"),
            (
                "21.5,40,7\n21.6,41,7",
                "decode: {fields: {separator: \",\", names: [value1, value2, value3]}}",
            ),
            ("21.5;40", "decode: {fields: {separator: \";\", names: [value1, value2]}}"),
            ("21.5", "decode: text"),
        ] {
            assert_eq!(draft(&lines(text)).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(draft(&[]), None);
    }
}
