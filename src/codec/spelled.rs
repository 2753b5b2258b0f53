//! The text of a value: borrowed from its frame, or in place where it is short.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::ops::Deref;

/// A text that takes no memory of its own up to [`Spelled::MOST`] bytes: a number, a time in ISO 8601.
#[derive(Clone)]
pub struct Spelled<'a>(Place<'a>);

#[derive(Clone)]
enum Place<'a> {
    Borrowed(&'a str),
    Short { length: u8, bytes: [u8; Spelled::MOST] },
    Long(String),
}

impl Spelled<'_> {
    /// Bytes that stand in place.
    pub const MOST: usize = 30;

    /// What these arguments of `format_args!` become.
    pub fn of(arguments: fmt::Arguments<'_>) -> Spelled<'static> {
        let mut text = Spelled::default();
        // Writing to it cannot fail.
        let _ = text.write_fmt(arguments);
        text
    }

    /// An empty text with room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Spelled<'static> {
        match bytes {
            0..=Spelled::MOST => Spelled::default(),
            _ => Spelled(Place::Long(String::with_capacity(bytes))),
        }
    }

    pub fn into_owned(self) -> Spelled<'static> {
        match self.0 {
            Place::Borrowed(text) => {
                let mut owned = Spelled::default();
                let _ = owned.write_str(text);
                owned
            }
            Place::Short { length, bytes } => Spelled(Place::Short { length, bytes }),
            Place::Long(text) => Spelled(Place::Long(text)),
        }
    }
}

impl<'a> Spelled<'a> {
    /// The text if it stands elsewhere.
    pub fn borrowed(&self) -> Option<&'a str> {
        match self.0 {
            Place::Borrowed(text) => Some(text),
            Place::Short { .. } | Place::Long(_) => None,
        }
    }
}

impl Default for Spelled<'_> {
    fn default() -> Self {
        Spelled(Place::Short { length: 0, bytes: [0; Spelled::MOST] })
    }
}

impl Deref for Spelled<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        match &self.0 {
            Place::Borrowed(text) => text,
            Place::Short { length, bytes } => {
                let text = bytes.get(..usize::from(*length)).unwrap_or_default();
                // Only whole texts are written.
                std::str::from_utf8(text).unwrap_or_default()
            }
            Place::Long(text) => text,
        }
    }
}

impl Write for Spelled<'_> {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        if let Place::Short { length, bytes } = &mut self.0
            && let start = usize::from(*length)
            && let end = start + more.len()
            && let Some(free) = bytes.get_mut(start..end)
            // At most 30.
            && let Ok(end) = u8::try_from(end)
        {
            free.copy_from_slice(more.as_bytes());
            *length = end;
            return Ok(());
        }
        if let Place::Long(text) = &mut self.0 {
            text.push_str(more);
        } else {
            let mut text = String::with_capacity(self.len() + more.len());
            text.push_str(self);
            text.push_str(more);
            self.0 = Place::Long(text);
        }
        Ok(())
    }
}

impl<'a> From<&'a str> for Spelled<'a> {
    fn from(text: &'a str) -> Spelled<'a> {
        Spelled(Place::Borrowed(text))
    }
}

impl<'a> From<&'a String> for Spelled<'a> {
    fn from(text: &'a String) -> Spelled<'a> {
        Spelled(Place::Borrowed(text))
    }
}

impl<'a> From<Cow<'a, str>> for Spelled<'a> {
    fn from(text: Cow<'a, str>) -> Spelled<'a> {
        match text {
            Cow::Borrowed(text) => text.into(),
            Cow::Owned(text) => text.into(),
        }
    }
}

impl From<String> for Spelled<'_> {
    fn from(text: String) -> Self {
        Spelled(Place::Long(text))
    }
}

impl From<Spelled<'_>> for String {
    fn from(text: Spelled<'_>) -> String {
        match text.0 {
            Place::Long(text) => text,
            _ => String::from(&*text),
        }
    }
}

impl PartialEq for Spelled<'_> {
    fn eq(&self, other: &Spelled<'_>) -> bool {
        **self == **other
    }
}

impl Eq for Spelled<'_> {}

impl PartialEq<&str> for Spelled<'_> {
    fn eq(&self, other: &&str) -> bool {
        **self == **other
    }
}

impl fmt::Debug for Spelled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl fmt::Display for Spelled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_moves_when_it_becomes_longer_and_stays_the_same() {
        let thirty = "123456789012345678901234567890";
        let mut text = Spelled::of(format_args!("{thirty}"));
        assert!(matches!(text.0, Place::Short { length: 30, .. }));
        assert_eq!(text, thirty);
        let _ = text.write_str("é");
        assert!(matches!(text.0, Place::Long(_)));
        assert_eq!(&*text, format!("{thirty}é"));
        assert_eq!(text.clone().into_owned(), text);
        let borrowed = Spelled::from("21.50");
        assert_eq!(borrowed.borrowed(), Some("21.50"));
        assert_eq!(borrowed.clone().into_owned(), borrowed);
        assert_eq!(Spelled::default(), "");
    }

    #[test]
    fn a_value_is_hardly_larger_than_a_string() {
        assert_eq!(size_of::<Spelled<'_>>(), 32);
        assert_eq!(size_of::<crate::codec::value::Value<'_>>(), 40);
    }
}
