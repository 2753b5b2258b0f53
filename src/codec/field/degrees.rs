//! Degrees and minutes, as NMEA 0183 and many trackers write a position.

use crate::codec::decimal::Decimal;

/// The degrees of `ddmm.mmmm` (NMEA 0183: `llll.ll`, `yyyyy.yy`) with a letter for the direction at
/// either end, blanks or a comma between them; south and west are negative. They have two decimals more
/// than the minutes: as many as these justify.
pub(in crate::codec) fn read(text: &str) -> Option<Decimal> {
    let letter = |c: &char| matches!(c, 'N' | 'S' | 'E' | 'W');
    let between = |c: char| c == ' ' || c == ',';
    let first = text.chars().next().filter(letter);
    let last = text.chars().next_back().filter(letter);
    let (direction, number) = match (first, last) {
        (Some(first), None) => (Some(first), text.get(1..)?),
        (None, Some(last)) => (Some(last), text.get(..text.len() - 1)?),
        (None, None) => (None, text),
        (Some(_), Some(_)) => return None,
    };
    let number = number.trim_matches(between);
    let whole = number.split('.').next()?.len();
    let (degrees, minutes) = number.split_at_checked(whole.checked_sub(2)?)?;
    if !minutes.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    let degrees = match degrees {
        "" => Decimal::from(0),
        digits if digits.len() <= 3 && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Decimal::read(digits)?
        }
        _ => return None,
    };
    let minutes = Decimal::read(minutes)?;
    let most = if matches!(direction, Some('N' | 'S')) { 90 } else { 180 };
    let decimals = i8::try_from(minutes.decimals().checked_add(2)?).ok()?;
    let fraction = minutes.shifted(decimals)?.divided(Decimal::from(60))?;
    let amount = degrees.plus(Decimal::from(fraction).shifted(decimals.checked_neg()?)?)?;
    let is_possible = minutes.minus(Decimal::from(60))?.is_negative()
        && !Decimal::from(most).minus(amount)?.is_negative();
    let south_or_west = matches!(direction, Some('S' | 'W'));
    let signed = if south_or_west { Decimal::from(0).minus(amount)? } else { amount };
    is_possible.then_some(signed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions() {
        for (text, expected) in [
            ("4807.038,N", "48.11730"),
            ("5051.8430,N", "50.864050"),
            ("01131.000 W", "-11.51667"),
            ("S3345.5", "-33.758"),
            ("0000.0000E", "0.000000"),
            ("18000.000E", "180.00000"),
            ("4807", "48.12"),
            ("07.5N", "0.125"),
        ] {
            assert_eq!(read(text).map(Decimal::spelled).as_deref(), Some(expected), "{text}");
        }
        for bad in [
            "",
            "N",
            "4861.0,N",
            "9100.0N",
            "18001.0W",
            "48O7.038N",
            "4.5",
            "N4807.0N",
            "-4807.0",
            "48.07.0",
            "4807.0e3",
            "12345678.0",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
