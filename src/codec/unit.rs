//! Units as devices spell them: which two are the same but for case and prefix.

/// Units that come with prefixes, as in `kWh`, `mA`, `MVA`.
const WITH_PREFIXES: [&str; 11] =
    ["W", "Wh", "VA", "VAh", "var", "varh", "A", "V", "J", "Hz", "Pa"];

/// The power of ten by which a number of `from` becomes one of `to`: of `Wh` in `kWh` -3, of `kVArh` in
/// `kvarh` 0. `None` where they measure different things, or are unknown and spelled differently.
pub fn power(from: &str, to: &str) -> Option<i8> {
    match (prefixed(from), prefixed(to)) {
        (Some((from, one)), Some((to, other))) if one == other => Some(from - to),
        (None, None) => {
            let plain = |c: char| if c == '³' { '3' } else { c.to_ascii_lowercase() };
            from.chars().map(plain).eq(to.chars().map(plain)).then_some(0)
        }
        _ => None,
    }
}

/// The power of ten that a prefix stands for, and the unit behind it by its place in the list.
fn prefixed(unit: &str) -> Option<(i8, usize)> {
    let known = |unit: &str| WITH_PREFIXES.iter().position(|it| it.eq_ignore_ascii_case(unit));
    if let Some(known) = known(unit) {
        return Some((0, known));
    }
    let power = match unit.chars().next()? {
        'm' => -3,
        'k' | 'K' => 3,
        'M' => 6,
        'G' => 9,
        _ => return None,
    };
    Some((power, known(unit.get(1..)?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_differ_in_case_and_prefix() {
        for (from, to, expected) in [
            ("Wh", "kWh", Some(-3)),
            ("kWh", "kWh", Some(0)),
            ("MWh", "kWh", Some(3)),
            ("KWH", "kWh", Some(0)),
            ("kVArh", "kvarh", Some(0)),
            ("varh", "kVArh", Some(-3)),
            ("mW", "MW", Some(-9)),
            ("m3", "m³", Some(0)),
            ("M3/H", "m³/h", Some(0)),
            ("min", "MIN", Some(0)),
            ("°C", "°C", Some(0)),
            ("A", "kW", None),
            ("W", "Wh", None),
            ("GJ", "MWh", None),
            ("m3", "L", None),
            ("", "kWh", None),
        ] {
            assert_eq!(power(from, to), expected, "{from} in {to}");
        }
    }
}
