//! What a word of YAML says: a number, true, false, nothing or a text.

/// What a scalar says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar<'a> {
    Null,
    Bool(bool),
    /// A whole number that is not negative.
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(&'a str),
}

impl Scalar<'_> {
    /// What a word without quotes says by YAML's core schema.
    pub(super) fn of(text: &str) -> Scalar<'_> {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
            "true" | "True" | "TRUE" => return Scalar::Bool(true),
            "false" | "False" | "FALSE" => return Scalar::Bool(false),
            ".nan" | ".NaN" | ".NAN" => return Scalar::Float(f64::NAN),
            _ => {}
        }
        let (negative, digits) = match text.as_bytes()[0] {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let radix = [("0x", 16), ("0o", 8), ("0b", 2)]
            .iter()
            .find_map(|(prefix, radix)| digits.strip_prefix(prefix).map(|digits| (digits, *radix)));
        let (digits, radix) = radix.unwrap_or((digits, 10));
        let is_number = digits.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
        // With zeros in front it is a text, such as a serial number.
        let zeros = radix == 10 && digits.len() > 1 && digits.starts_with('0');
        if is_number
            && !zeros
            && let Ok(number) = u64::from_str_radix(digits, radix)
        {
            return match (negative, 0_i64.checked_sub_unsigned(number)) {
                (false, _) => Scalar::Unsigned(number),
                (true, Some(number)) => Scalar::Signed(number),
                (true, None) => Scalar::Float(-(number as f64)),
            };
        }
        if let ".inf" | ".Inf" | ".INF" = digits {
            return Scalar::Float(if negative { f64::NEG_INFINITY } else { f64::INFINITY });
        }
        let only_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
        let begins = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() && begins && !(zeros && only_digits) => {
                Scalar::Float(number)
            }
            _ => Scalar::Text(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_without_quotes() {
        for (text, is) in [
            ("~", Scalar::Null),
            ("null", Scalar::Null),
            ("True", Scalar::Bool(true)),
            ("yes", Scalar::Text("yes")),
            ("0", Scalar::Unsigned(0)),
            ("+5", Scalar::Unsigned(5)),
            ("-5", Scalar::Signed(-5)),
            ("0x1F", Scalar::Unsigned(31)),
            ("0o17", Scalar::Unsigned(15)),
            ("0b101", Scalar::Unsigned(5)),
            ("-0x10", Scalar::Signed(-16)),
            ("18446744073709551615", Scalar::Unsigned(u64::MAX)),
            ("18446744073709551616", Scalar::Float(18446744073709551616.0)),
            ("-9223372036854775808", Scalar::Signed(i64::MIN)),
            ("010", Scalar::Text("010")),
            ("00.5", Scalar::Float(0.5)),
            ("1.50", Scalar::Float(1.5)),
            ("-.5", Scalar::Float(-0.5)),
            ("1e3", Scalar::Float(1000.0)),
            (".inf", Scalar::Float(f64::INFINITY)),
            ("-.inf", Scalar::Float(f64::NEG_INFINITY)),
            ("inf", Scalar::Text("inf")),
            ("nan", Scalar::Text("nan")),
            ("infinity", Scalar::Text("infinity")),
            ("-", Scalar::Text("-")),
            ("+-5", Scalar::Text("+-5")),
            ("0x", Scalar::Text("0x")),
            ("0x+1", Scalar::Text("0x+1")),
            ("12:30", Scalar::Text("12:30")),
            ("é", Scalar::Text("é")),
        ] {
            assert_eq!(Scalar::of(text), is, "{text}");
        }
        assert!(matches!(Scalar::of(".nan"), Scalar::Float(n) if n.is_nan()));
    }
}
