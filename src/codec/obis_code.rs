//! OBIS codes, by which meters name their values, and selectors that choose some of them.

use crate::base::path::BuildError;
use crate::base::scalar::wrong;
use crate::codec::spelled::Spelled;
use std::fmt;
use std::str::FromStr;

/// A code of the Object Identification System (IEC 62056-61): value groups A to F, as in
/// `1-0:1.8.0*255`.
///
/// Readouts of IEC 62056-21 leave out groups. Without E or F a code is that of E 0 or F 255; without A
/// and B it is of any medium and channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObisCode {
    a: Option<u8>,
    b: Option<u8>,
    /// C to F.
    rest: [u8; 4],
}

impl ObisCode {
    /// A code as DLMS and SML send it: one byte for each group.
    pub fn from_bytes([a, b, rest @ ..]: [u8; 6]) -> ObisCode {
        ObisCode { a: Some(a), b: Some(b), rest }
    }

    /// A code as a device spells it: `1-0:1.8.0*255`, `1-0:1.8.0`, `1.8.0`, `6.26*01`, `C.1.0`, `F.F`.
    pub fn parse(text: &str) -> Option<ObisCode> {
        let number = |group: Option<Group>| match group {
            Some(Group::Number(number)) => Some(Some(number)),
            Some(Group::Any) => None,
            None => Some(None),
        };
        let [a, b, c, d, e, f] = groups(text)?;
        let rest = [number(c)??, number(d)??, number(e)?.unwrap_or(0), number(f)?.unwrap_or(255)];
        Some(ObisCode { a: number(a)?, b: number(b)?, rest })
    }
}

impl ObisCode {
    /// Its name in topics.
    pub fn name(self) -> Spelled<'static> {
        Spelled::of(format_args!("{self}"))
    }

    /// B, the channel.
    pub fn channel(self) -> Option<u8> {
        self.b
    }

    /// What is measured, how, and by which tariff.
    pub fn c_to_e(self) -> [u8; 3] {
        let [c, d, e, _] = self.rest;
        [c, d, e]
    }

    /// Whether P1 ports send this value as hexadecimal digits of a text: a number of a device (0-n:96.1,
    /// 0-0:42.0) or a message (0-0:96.13).
    pub fn is_octet_string(self) -> bool {
        self.a == Some(0) && matches!(self.rest, [96, 1 | 13, ..] | [42, 0, ..])
    }
}

/// A level of a topic: `1-0:1.8.0`, with F where it is not 255: `1-0:96.50.1*1`.
impl fmt::Display for ObisCode {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(a) = self.a {
            write!(to, "{a}-")?;
        }
        if let Some(b) = self.b {
            write!(to, "{b}:")?;
        }
        let [c, d, e, f] = self.rest;
        write!(to, "{c}.{d}.{e}")?;
        if f == 255 { Ok(()) } else { write!(to, "*{f}") }
    }
}

/// Which codes are meant: `1.8.0` of any medium and channel, `1-0:1.8.0` of these, `0-*:24.2.1` of any
/// channel. Without F only the present value is meant, F 255, and no earlier one such as `1.8.0*01`;
/// `1.8.0**` is any of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObisSelector {
    /// `None` is any.
    a: Option<u8>,
    b: Option<u8>,
    /// C to F as one number, because most codes differ there.
    rest: u32,
    /// The bits of it that count; those of a group that may be any do not.
    mask: u32,
}

impl ObisSelector {
    pub fn matches(&self, code: ObisCode) -> bool {
        let fits = |wanted: Option<u8>, group: Option<u8>| {
            wanted.is_none() || group.is_none() || wanted == group
        };
        (u32::from_be_bytes(code.rest) ^ self.rest) & self.mask == 0
            && fits(self.a, code.a)
            && fits(self.b, code.b)
    }
}

impl FromStr for ObisSelector {
    type Err = BuildError;

    fn from_str(text: &str) -> Result<ObisSelector, BuildError> {
        let Some([a, b, c, d, e, f]) = groups(text) else {
            return wrong(
                format!("{text:?} is not an OBIS code"),
                "write one such as 1.8.0, \"1-0:1.8.0\" or \"0-*:24.2.1\"",
            );
        };
        let wanted = |group: Option<Group>, left_out: Option<u8>| match group {
            Some(Group::Number(number)) => Some(number),
            Some(Group::Any) => None,
            None => left_out,
        };
        let [a, b, c, d] = [a, b, c, d].map(|group| wanted(group, None));
        let rest = [c, d, wanted(e, Some(0)), wanted(f, Some(255))];
        let mask = rest.map(|group| if group.is_some() { 0xFF } else { 0 });
        let rest = u32::from_be_bytes(rest.map(Option::unwrap_or_default));
        Ok(ObisSelector { a, b, rest, mask: u32::from_be_bytes(mask) })
    }
}

/// One value group as it is written.
#[derive(Clone, Copy)]
enum Group {
    Number(u8),
    /// `*`
    Any,
}

/// The value groups A to F of a text; `None` if it is no code. C and D are always there.
///
/// A byte at a time: a telegram has dozens of codes, and routers are slow.
fn groups(text: &str) -> Option<[Option<Group>; 6]> {
    // Heat meters say no more than that of their errors.
    let mut rest = if text == "F" { b"F.F" } else { text.as_bytes() };
    let [mut a, mut b] = [None; 2];
    // Behind the medium, or in its place where all six are parted by points.
    let mut written = [None; 6];
    let mut count = 0;
    let mut is_last = false;
    loop {
        let (group, behind) = group(rest)?;
        let sign = behind.first();
        rest = behind.get(1..).unwrap_or_default();
        if count == 0 && b.is_none() {
            match sign {
                Some(b'-') if a.is_none() => {
                    a = Some(group);
                    continue;
                }
                Some(b':') => {
                    b = Some(group);
                    continue;
                }
                _ => {}
            }
        }
        *written.get_mut(if is_last { 5 } else { count })? = Some(group);
        count += usize::from(!is_last);
        match sign {
            None => break,
            Some(b'.') if !is_last => {}
            Some(b'*' | b'&') if !is_last => is_last = true,
            Some(_) => return None,
        }
    }
    if a.is_some() && b.is_none() {
        return None;
    }
    let [c, d, e, f, _, last] = written;
    match (count, b) {
        (2 | 3, _) => Some([a, b, c, d, e, last]),
        (4, Some(_)) if !is_last => Some([a, b, c, d, e, f]),
        (5, None) if is_last => Some(written),
        (6, None) if !is_last => Some(written),
        _ => None,
    }
}

/// The group at the front of a text, and what follows. Old readouts have letters for the codes of
/// abstract objects: C is 96 (general), F 97 (errors), L 98 (lists), P 99 (profiles).
fn group(text: &[u8]) -> Option<(Group, &[u8])> {
    let (first, mut rest) = text.split_first()?;
    let group = match first {
        b'0'..=b'9' => {
            let mut number = first - b'0';
            while let [digit @ b'0'..=b'9', behind @ ..] = rest {
                number = number.checked_mul(10)?.checked_add(digit - b'0')?;
                rest = behind;
            }
            Group::Number(number)
        }
        b'C' => Group::Number(96),
        b'F' => Group::Number(97),
        b'L' => Group::Number(98),
        b'P' => Group::Number(99),
        b'*' => Group::Any,
        _ => return None,
    };
    Some((group, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_readouts_and_telegrams() {
        for (text, expected) in [
            ("1-0:1.8.0*255", "1-0:1.8.0"),
            ("1-0:1.8.0.255", "1-0:1.8.0"),
            ("1.0.1.8.0.255", "1-0:1.8.0"),
            ("1-0:96.50.1*1", "1-0:96.50.1*1"),
            ("129-129:199.130.3", "129-129:199.130.3"),
            ("0-1:24.2.1", "0-1:24.2.1"),
            ("1:1.8.0", "1:1.8.0"),
            ("1.8.0", "1.8.0"),
            ("1.8.0*01", "1.8.0*1"),
            ("1.8.0&02", "1.8.0*2"),
            ("6.26*01", "6.26.0*1"),
            ("6.8", "6.8.0"),
            ("0.0.0", "0.0.0"),
            ("C.1.0", "96.1.0"),
            ("C.13.21", "96.13.21"),
            ("F.F", "97.97.0"),
            ("F", "97.97.0"),
            ("L.1", "98.1.0"),
            ("P.01", "99.1.0"),
        ] {
            let code = ObisCode::parse(text);
            assert_eq!(code.map(|code| code.to_string()).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(
            ObisCode::from_bytes([1, 0, 16, 7, 0, 255]),
            ObisCode::parse("1-0:16.7.0").unwrap()
        );
    }

    #[test]
    fn what_is_no_code() {
        for text in [
            "",
            "1",
            "1.",
            ".8",
            "1.8.",
            "1.8.256",
            "1.8.0*",
            "1-0",
            "1-0:",
            "1-:1.8.0",
            "-0:1.8.0",
            "1.8.0.1",
            "1-0:1.8.0.1.2",
            "1.8.0*1*2",
            "1.8.0*1.2",
            "X.1",
            "c.1",
            "1,8,0",
            "*.8.0",
            "1.8.0 ",
            "+1.8.0",
            "1.2.3.4.5",
            "FF.1",
            "1..8",
            "1-1.8.0",
            "1-2-3:1.8.0",
            "1:2:1.8.0",
            "1.8:0",
            "1-0:1.0.1.8.0*255",
            "1.8.0\0",
        ] {
            assert_eq!(ObisCode::parse(text), None, "{text}");
        }
    }

    #[test]
    fn selectors_choose_codes() {
        for (selector, yes, no) in [
            (
                "1.8.0",
                &["1-0:1.8.0", "1-1:1.8.0*255", "1.8.0"][..],
                &["1.8.1", "1.8.0*01", "2.8.0"][..],
            ),
            ("1-0:1.8.0", &["1-0:1.8.0*255", "1.8.0"], &["1-1:1.8.0", "0-0:1.8.0"]),
            ("1-0:1.8.0*255", &["1-0:1.8.0", "1.8.0*255"], &["1-0:1.8.0*1"]),
            ("1.0.1.8.0.255", &["1-0:1.8.0"], &["1-1:1.8.0"]),
            ("0-*:24.2.1", &["0-1:24.2.1", "0-4:24.2.1"], &["1-0:24.2.1", "0-1:24.2.3"]),
            ("1.8.0*01", &["1.8.0*01", "1-0:1.8.0*1"], &["1.8.0"]),
            ("1.8.0**", &["1.8.0*01", "1.8.0"], &["1.8.1"]),
            ("1.8.*", &["1.8.0", "1.8.2"], &["1.9.0", "1.8.0*7"]),
            ("0-0:96.1.0", &["C.1.0"], &["C.1.1"]),
            ("F.F", &["F.F", "F.F.0", "97.97.0"], &["F.F.1"]),
        ] {
            let selector: ObisSelector = selector.parse().unwrap();
            let matches = |text: &&str| selector.matches(ObisCode::parse(text).unwrap());
            assert!(yes.iter().all(matches), "{selector:?} matches {yes:?}");
            assert!(!no.iter().any(matches), "{selector:?} does not match {no:?}");
        }
        let error = "1,8,0".parse::<ObisSelector>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "\"1,8,0\" is not an OBIS code; write one such as 1.8.0, \"1-0:1.8.0\" or \"0-*:24.2.1\""
        );
    }
}
