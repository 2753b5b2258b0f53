//! What `--help` prints: at most 40 lines of 80 columns, from the tables of options.

use super::options::CommandOptions;
use super::options::arguments::Row;
use super::options::connection::OPTIONS;

/// Two of them are in a line.
const CELL: usize = 38;

const CODES: &str = "
Exit codes: 0 done, 1 local, 2 usage, 14 TCP, 15 name, 16 proxy, 8 TLS, 7 lost,
19 silent, 21 not MQTT, 25 too large, 27 time-out, 3-5 and 128-162 refused.
";

/// A command's help.
pub(super) fn of<O: CommandOptions>() -> String {
    let (own, connection) = (lines(&cells(O::OPTIONS)), lines(&cells(OPTIONS)));
    format!("{}\n{own}\n{connection}{CODES}Example: {}\n", O::ABOUT, O::EXAMPLE)
}

/// Each option with what it does; without its longer name or the column where there is no room for them.
fn cells<T>(options: &[Row<T>]) -> Vec<String> {
    let cell = |(names, value, what, _): &Row<T>| {
        // Names with underscores are Aiko's.
        let names: Vec<_> = names.split(' ').filter(|name| !name.contains('_')).collect();
        let [short, long] = [names[..1].concat(), names.join(", ")];
        let [short, long] = [short, long].map(|names| format!("{names} {value}"));
        let ways = [format!("{:<17}  {what}", long.trim_end()), format!("{short:<17}  {what}")];
        let fits = ways.into_iter().find(|cell| cell.len() <= CELL);
        fits.unwrap_or(format!("{short}  {what}"))
    };
    options.iter().filter(|(.., what, _)| !what.is_empty()).map(cell).collect()
}

fn lines(cells: &[String]) -> String {
    let line = |pair: &[String]| match pair {
        [left, right] => format!("  {left:<CELL$}  {right}\n"),
        one => format!("  {}\n", one.concat()),
    };
    cells.chunks(2).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::options::publish::PublishOptions;
    use crate::shell::options::subscribe::SubscribeOptions;
    use crate::shell::options::test::TestOptions;

    #[test]
    fn each_fits_a_screen() {
        for help in [of::<PublishOptions>(), of::<SubscribeOptions>(), of::<TestOptions>()] {
            assert!(help.lines().count() <= 40, "{} lines\n{help}", help.lines().count());
            for line in help.lines() {
                assert!(line.chars().count() <= 80, "{line}");
            }
        }
    }
}
