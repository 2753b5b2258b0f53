//! Asks all addresses, and says which of them answer.

use super::master::Master;
use super::options::Options;
use super::outcome::Outcome;
use crate::base::command_line::{CliError, write};
use crate::base::plain::plain;
use crate::codec::modbus::Place;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Instant;

pub(super) async fn scan(master: &mut Master, options: &Options) -> Result<ExitCode, CliError> {
    let place = Place { table: options.place.table, start: options.place.start, count: 1 };
    let request = place.read();
    let start = Instant::now();
    let shows_progress = !options.is_quiet && io::stderr().is_terminal();
    let total = options.units.len();
    let mut found = 0;
    let mut noisy = 0;
    for (n, unit) in options.units.iter().enumerate() {
        if shows_progress {
            let left = (start.elapsed() / n.max(1) as u32 * (total - n) as u32).as_secs();
            let left = if n == 0 { String::new() } else { format!(", {left} s left") };
            eprint!("\r\x1b[Kaddress {unit}: {} of {total}, {found} found{left} ", n + 1);
            let _ = io::stderr().flush();
        }
        let outcome = master.ask(*unit, &request).await?;
        let what = match &outcome {
            Outcome::Silence => continue,
            Outcome::Unfit(_) => {
                noisy += 1;
                continue;
            }
            Outcome::Answer(_) => "answers".to_owned(),
            outcome => outcome.what(options.timeout),
        };
        found += 1;
        let named = match outcome {
            Outcome::BadChecksum => None,
            _ => master.identify(*unit).await?,
        };
        let named = named.map(|named| plain(&named.to_string())).unwrap_or_default();
        if shows_progress {
            eprint!("\r\x1b[K");
        }
        if !write(format!("{unit}\t{what}\t{named}").trim_end())? || !write("\n")? {
            return Ok(ExitCode::SUCCESS);
        }
    }
    if shows_progress {
        eprint!("\r\x1b[K");
    }
    let seconds = start.elapsed().as_secs_f32();
    let table = options.place.table.word();
    super::say(
        options,
        &format!(
            "{found} of {total} addresses answered in {seconds:.1} s to a read of {table}:0x{:04X}; line {}",
            options.place.start,
            match options.port.tcp {
                None => options.line().to_string(),
                Some(_) => "of the server".into(),
            }
        ),
    );
    if noisy > 0 {
        super::say(
            options,
            &format!(
                "{noisy} times bytes came that are no answer: speed or parity may be others, or something \
                 else is on the line"
            ),
        );
    } else if found == 0 {
        super::say(
            options,
            "try other speeds (-b 19200, -P even), another register (`modbus scan PORT input:0`: some devices \
             are silent to what they do not know), a longer --timeout; are A and B swapped?",
        );
    }
    Ok(if found > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
