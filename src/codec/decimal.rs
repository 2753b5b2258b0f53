//! Decimal numbers that are exact, and cost no floating point on processors that have none.

use super::spelled::Spelled;
use std::cmp::Ordering;
use std::fmt::Write;

/// A number with a fixed count of decimals: `mantissa` / 10^`decimals`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    mantissa: i128,
    decimals: u8,
}

/// How many decimals of a text are read; further ones only round the last. No device needs more than
/// this, a small float such as 1.2e-30 has as many, and they leave room in 128 bits.
const MOST_DECIMALS: i64 = 30;

impl From<i128> for Decimal {
    fn from(mantissa: i128) -> Decimal {
        Decimal { mantissa, decimals: 0 }
    }
}

impl Decimal {
    /// Reads a number; `None` for anything else, and for a number of more than 128 bits.
    pub fn read(text: &str) -> Option<Decimal> {
        let is_exponent = |byte: &u8| matches!(byte, b'e' | b'E');
        let (number, exponent) = match text.as_bytes().iter().position(is_exponent) {
            Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (is_negative, digits) = match number.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, number.strip_prefix('+').unwrap_or(number)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let count = i64::try_from(whole.len() + fraction.len()).ok()?;
        let decimals = i64::try_from(fraction.len()).ok()? - i64::from(exponent);
        let kept = count - (decimals - MOST_DECIMALS).max(0);
        // 18 digits fit into 64 bits, with which 32-bit processors calculate far faster than with 128.
        let mut short: u64 = 0;
        let mut long: Option<i128> = None;
        let mut rounds_up = false;
        for (n, digit) in (0_i64..).zip(whole.bytes().chain(fraction.bytes())) {
            if !digit.is_ascii_digit() {
                return None;
            }
            if n < kept && n < 18 {
                short = 10 * short + u64::from(digit - b'0');
            } else if n < kept {
                let so_far = long.unwrap_or(short.into()).checked_mul(10)?;
                long = Some(so_far.checked_add(i128::from(digit - b'0'))?);
            } else if n == kept {
                rounds_up = digit >= b'5';
            }
        }
        let mut mantissa = long.unwrap_or(short.into()).checked_add(rounds_up.into())?;
        if decimals < 0 && mantissa != 0 {
            let zeros = u32::try_from(-decimals).ok()?;
            mantissa = mantissa.checked_mul(10_i128.checked_pow(zeros)?)?;
        }
        let decimals = u8::try_from(decimals.clamp(0, MOST_DECIMALS)).ok()?;
        Some(Decimal { mantissa: if is_negative { -mantissa } else { mantissa }, decimals })
    }

    /// The same number without zeros at the end of its decimals: equal for equal numbers.
    pub fn trimmed(mut self) -> Decimal {
        while self.decimals > 0 && self.mantissa % 10 == 0 {
            self.mantissa /= 10;
            self.decimals -= 1;
        }
        self
    }

    pub fn is_zero(self) -> bool {
        self.mantissa == 0
    }

    /// The product, with the decimals of both; `None` when it takes more than 128 bits.
    pub fn times(self, factor: Decimal) -> Option<Decimal> {
        let mantissa = self.mantissa.checked_mul(factor.mantissa)?;
        let decimals = self.decimals.checked_add(factor.decimals)?;
        Some(Decimal { mantissa, decimals })
    }

    /// The sum, with the decimals of the one that has more.
    pub fn plus(self, other: Decimal) -> Option<Decimal> {
        let decimals = self.decimals.max(other.decimals);
        let sum = self.widen(decimals)?.mantissa.checked_add(other.widen(decimals)?.mantissa)?;
        Some(Decimal { mantissa: sum, decimals })
    }

    /// The difference, with the decimals of the one that has more.
    pub fn minus(self, other: Decimal) -> Option<Decimal> {
        self.plus(Decimal { mantissa: other.mantissa.checked_neg()?, ..other })
    }

    pub fn is_negative(self) -> bool {
        self.mantissa < 0
    }

    /// The number times a power of ten.
    pub fn shifted(self, power: i8) -> Option<Decimal> {
        let decimals = i16::from(self.decimals) - i16::from(power);
        if let Ok(decimals) = u8::try_from(decimals) {
            return Some(Decimal { decimals, ..self });
        }
        let zeros = 10_i128.checked_pow(u32::from(decimals.unsigned_abs()))?;
        Some(Decimal { mantissa: self.mantissa.checked_mul(zeros)?, decimals: 0 })
    }

    /// Whether it is a whole number of steps; `None` when that takes more than 128 bits, or for a step
    /// of 0.
    pub fn is_multiple_of(self, step: Decimal) -> Option<bool> {
        let decimals = self.decimals.max(step.decimals);
        let rest = self.widen(decimals)?.mantissa.checked_rem(step.widen(decimals)?.mantissa)?;
        Some(rest == 0)
    }

    /// The quotient as a whole number, rounded half away from zero; `None` when it takes more than 128
    /// bits, or for a divisor of 0.
    pub fn divided(self, by: Decimal) -> Option<i128> {
        let decimals = self.decimals.max(by.decimals);
        let (number, by) = (self.widen(decimals)?.mantissa, by.widen(decimals)?.mantissa);
        let (quotient, rest) = (number.checked_div(by)?, number.checked_rem(by)?);
        let rounds = rest.unsigned_abs() >= by.unsigned_abs() - rest.unsigned_abs();
        let away = if rounds { number.signum() * by.signum() } else { 0 };
        quotient.checked_add(away)
    }

    /// The quotient with this many decimals, rounded half away from zero; `None` when it takes more than 128
    /// bits, or for a divisor of 0.
    pub fn quotient(self, by: Decimal, decimals: u8) -> Option<Decimal> {
        let mantissa = self.shifted(i8::try_from(decimals).ok()?)?.divided(by)?;
        Some(Decimal { mantissa, decimals })
    }

    /// Which of the two is greater.
    pub fn compared(self, other: Decimal) -> Ordering {
        let decimals = self.decimals.max(other.decimals);
        match (self.widen(decimals), other.widen(decimals)) {
            (Some(a), Some(b)) => a.mantissa.cmp(&b.mantissa),
            // Only the one with fewer decimals is widened, and what does not fit then is beyond the other one.
            (None, _) => self.mantissa.cmp(&0),
            (_, None) => 0.cmp(&other.mantissa),
        }
    }

    /// Without its sign.
    pub fn absolute(self) -> Option<Decimal> {
        Some(Decimal { mantissa: self.mantissa.checked_abs()?, ..self })
    }

    /// The number if it has no decimals but zeros.
    pub fn whole(self) -> Option<i128> {
        let trimmed = self.trimmed();
        (trimmed.decimals == 0).then_some(trimmed.mantissa)
    }

    /// How many decimals it has.
    pub fn decimals(self) -> u8 {
        self.decimals
    }

    /// The same number with more decimals.
    fn widen(self, decimals: u8) -> Option<Decimal> {
        let by = 10_i128.checked_pow(u32::from(decimals.checked_sub(self.decimals)?))?;
        Some(Decimal { mantissa: self.mantissa.checked_mul(by)?, decimals })
    }

    /// The number with exactly this many decimals, rounded half away from zero.
    pub fn rounded(self, decimals: u8) -> Option<Decimal> {
        if decimals >= self.decimals {
            return self.widen(decimals);
        }
        let Some(by) = 10_i128.checked_pow(u32::from(self.decimals - decimals)) else {
            // 128 bits hold no number that is half of such a power.
            return Some(Decimal { mantissa: 0, decimals });
        };
        let half = by / 2 * self.mantissa.signum();
        Some(Decimal { mantissa: self.mantissa.checked_add(half)? / by, decimals })
    }

    /// The number with all its decimals.
    pub fn spelled(self) -> Spelled<'static> {
        let amount = self.mantissa.unsigned_abs();
        // Most numbers fit into 64 bits, which take far fewer instructions.
        let digits = match u64::try_from(amount) {
            Ok(amount) => Spelled::of(format_args!("{amount}")),
            Err(_) => Spelled::of(format_args!("{amount}")),
        };
        let decimals = usize::from(self.decimals);
        let (whole, fraction) = match digits.len().checked_sub(decimals) {
            None | Some(0) => ("0", &*digits),
            // Digits are ASCII.
            Some(point) => digits.split_at_checked(point).unwrap_or((&digits, "")),
        };
        let mut text = Spelled::default();
        let mut push = |part| {
            // Writing to it cannot fail.
            let _ = text.write_str(part);
        };
        if self.mantissa < 0 {
            push("-");
        }
        push(whole);
        if decimals > 0 {
            push(".");
            (fraction.len()..decimals).for_each(|_| push("0"));
            push(fraction);
        }
        text
    }
}

/// A number with its spelling kept as far as JSON allows it: no `+`, no leading zeros, a digit on both
/// sides of the point. `None` for anything else.
pub(crate) fn spelled(text: &str) -> Option<Spelled<'_>> {
    if is_plain(text) {
        return Some(text.into());
    }
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let exponent = digits.bytes().position(|byte| matches!(byte, b'e' | b'E'));
    let (number, exponent) = digits.split_at(exponent.unwrap_or(digits.len()));
    let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let power = exponent.get(1..).map(|power| power.strip_prefix(['+', '-']).unwrap_or(power));
    if power.is_some_and(|power| power.is_empty() || !all_digits(power)) {
        return None;
    }
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let significant = whole.trim_start_matches('0');
    let significant = if significant.is_empty() { "0" } else { significant };
    let point = if fraction.is_empty() { "" } else { "." };
    if significant == whole && (sign == "-" || !text.starts_with('+')) && !number.ends_with('.') {
        return Some(text.into());
    }
    // Without its padding the number stands at the end of the text.
    if sign.is_empty() && !whole.is_empty() && !number.ends_with('.') {
        let padding = whole.len() - significant.len();
        return digits.get(padding..).map(Spelled::from);
    }
    Some(Spelled::of(format_args!("{sign}{significant}{point}{fraction}{exponent}")))
}

/// Whether a text is a number beyond doubt: spelled as in JSON, without exponent. More digits than a
/// 64-bit float holds exactly are an identifier, which readers of JSON would round.
pub(crate) fn is_plain(text: &str) -> bool {
    let digits = text.as_bytes();
    let digits = digits.strip_prefix(b"-").unwrap_or(digits);
    let whole = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let is_decimal = match digits.get(whole..) {
        Some([b'.', decimals @ ..]) => {
            !decimals.is_empty() && decimals.iter().all(u8::is_ascii_digit)
        }
        rest => rest.is_some_and(<[u8]>::is_empty),
    };
    let is_padded = whole > 1 && digits.starts_with(b"0");
    is_decimal && (1..=15).contains(&whole) && !is_padded && text != "-0"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::read(text).unwrap()
    }

    #[test]
    fn arithmetic_keeps_the_decimals() {
        for (value, factor, expected) in [
            ("235", "0.1", "23.5"),
            ("230", "0.1", "23.0"),
            ("21.50", "0.1", "2.150"),
            ("-5", "0.01", "-0.05"),
            ("12", "10", "120"),
        ] {
            assert_eq!(decimal(value).times(decimal(factor)).unwrap().spelled(), expected);
        }
        assert_eq!(decimal("23.5").plus(decimal("-40")).unwrap().spelled(), "-16.5");
        assert_eq!(decimal("-1.5e3").spelled(), "-1500");
        assert_eq!(decimal("15e-4").spelled(), "0.0015");
        assert_eq!(decimal("0e99").spelled(), "0");
    }

    #[test]
    fn quotients_and_steps_are_exact() {
        for (number, by, expected) in [
            ("21.5", "0.1", 215),
            ("21.55", "0.1", 216),
            ("-21.55", "0.1", -216),
            ("21.54", "0.1", 215),
            ("-21.55", "-0.1", 216),
            ("1", "0.3", 3),
            ("0", "7", 0),
            ("6.00", "2", 3),
        ] {
            assert_eq!(decimal(number).divided(decimal(by)), Some(expected), "{number} / {by}");
        }
        assert_eq!(decimal("1").divided(decimal("0")), None);
        for (number, step, expected) in [
            ("0.3", "0.1", true),
            ("0.35", "0.1", false),
            ("25", "0.5", true),
            ("-4.5", "1.5", true),
        ] {
            assert_eq!(decimal(number).is_multiple_of(decimal(step)), Some(expected), "{number}");
        }
        assert_eq!(decimal("1").is_multiple_of(decimal("0")), None);
    }

    #[test]
    fn powers_of_ten_move_the_point() {
        for (number, power, expected) in
            [("2301", -1, "230.1"), ("2301", 2, "230100"), ("1.5", 1, "15"), ("1.25", 1, "12.5")]
        {
            assert_eq!(decimal(number).shifted(power).unwrap().spelled(), expected);
        }
        assert_eq!(decimal("1").shifted(127), None);
    }

    #[test]
    fn rounds_half_away_from_zero() {
        for (value, decimals, expected) in
            [("2.345", 2, "2.35"), ("-2.345", 2, "-2.35"), ("2.344", 2, "2.34"), ("7", 2, "7.00")]
        {
            assert_eq!(decimal(value).rounded(decimals).unwrap().spelled(), expected);
        }
        // A product with 60 decimals: 10^60 is beyond 128 bits, the result is not.
        let tiny = decimal("1e-30").times(decimal("1e-30")).unwrap();
        assert_eq!(tiny.rounded(2).unwrap().spelled(), "0.00");
    }

    #[test]
    fn decimals_beyond_those_of_any_device_round_the_last_one() {
        for (text, decimals, expected) in [
            ("0.00123456789012345678901234567890123456789", 5, "0.00123"),
            ("0.0000000000000000000000000000015", 30, "0.000000000000000000000000000002"),
            ("0.00000000000000000000000000000049", 30, "0.000000000000000000000000000000"),
            ("-1.2e-38", 1, "0.0"),
            ("1e-2000000000", 1, "0.0"),
        ] {
            assert_eq!(decimal(text).rounded(decimals).unwrap().spelled(), expected, "{text}");
        }
    }

    #[test]
    fn equal_numbers_are_equal_when_trimmed() {
        for text in ["-127", "-127.00", "-0127.0", "-1.27e2"] {
            assert_eq!(decimal(text).trimmed(), decimal("-127"), "{text}");
        }
        assert_eq!(decimal("-0.00").trimmed(), decimal("0"));
        assert_ne!(decimal("100").trimmed(), decimal("1").trimmed());
    }

    #[test]
    fn what_is_too_large_is_none_and_no_panic() {
        let large = Decimal::from(i128::MAX);
        assert_eq!(large.times(large), None);
        assert_eq!(large.plus(large), None);
        assert_eq!(large.rounded(18), None);
        for bad in ["", "-", ".", "1.2.3", "0x10", "1e999", "nan", "1_000", "99e40"] {
            assert!(Decimal::read(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn numbers_keep_their_spelling_as_far_as_json_allows() {
        for (text, expected) in [
            ("21.50", "21.50"),
            ("00.000", "0.000"),
            ("+0.5e1", "0.5e1"),
            ("005.e2", "5e2"),
            ("-0", "-0"),
            ("001581.123", "1581.123"),
            ("+7", "7"),
            (".5", "0.5"),
            ("5.", "5"),
            ("000", "0"),
            ("-007", "-7"),
            ("1.5e-3", "1.5e-3"),
            ("000.000", "0.000"),
            ("+00012.5E3", "12.5E3"),
        ] {
            assert_eq!(spelled(text).as_deref(), Some(expected), "{text}");
            // Meters pad every number; none of them is copied.
            let is_borrowed = spelled(text).unwrap().borrowed().is_some();
            assert_eq!(is_borrowed, text.contains(expected) && !text.ends_with('.'), "{text}");
            let valid: serde_json::Result<serde_json::Value> = serde_json::from_str(expected);
            assert!(valid.is_ok(), "{expected}");
        }
        for text in ["", "-", "+-1", ".", "1e", "1e+-2", "0x1F", "1,5", "inf", "12 "] {
            assert_eq!(spelled(text), None, "{text}");
        }
    }
}
