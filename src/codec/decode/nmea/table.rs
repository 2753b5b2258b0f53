//! What the columns of known sentences mean (NMEA 0183, IEC 61162-1 section 8.3).

use crate::codec::field::Type;

/// A value of a kind of sentence.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) sentence: &'static str,
    /// Its column, or the first of several, counted from 1 behind the address.
    pub(super) column: u8,
    pub(super) name: &'static str,
    pub(super) meaning: Meaning,
    /// Its unit; `?` if the column behind says it.
    pub(super) unit: &'static str,
    /// Only where this column is this letter.
    pub(super) only: Option<(u8, u8)>,
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Number,
    Text,
    /// `ddmm.mmmm`, and the direction in the next column.
    Degrees,
    /// `hhmmss.ss` in UTC.
    Clock,
    /// `ddmmyy`, and the time of day in column 1.
    Dated,
    /// The time of day, day, month and year from column 1 on.
    Zda,
}

impl Meaning {
    /// The type of a field that has no other.
    pub(super) fn kind(self) -> Option<Type> {
        match self {
            Meaning::Number => Some(Type::Number),
            Meaning::Degrees => Some(Type::Degrees),
            Meaning::Text => Some(Type::Text),
            Meaning::Clock | Meaning::Dated | Meaning::Zda => None,
        }
    }
}

const fn known(
    sentence: &'static str,
    column: u8,
    name: &'static str,
    meaning: Meaning,
    unit: &'static str,
) -> Known {
    Known { sentence, column, name, meaning, unit, only: None }
}

const fn number(
    sentence: &'static str,
    column: u8,
    name: &'static str,
    unit: &'static str,
) -> Known {
    known(sentence, column, name, Meaning::Number, unit)
}

const fn only(value: Known, column: u8, letter: u8) -> Known {
    Known { only: Some((column, letter)), ..value }
}

use Meaning::{Clock, Dated, Degrees, Text, Zda};

#[rustfmt::skip]
pub(super) static TABLE: &[Known] = &[
    known("GGA", 1, "time_of_day", Clock, ""),
    known("GGA", 2, "latitude", Degrees, "°"),
    known("GGA", 4, "longitude", Degrees, "°"),
    number("GGA", 6, "fix_quality", ""),
    number("GGA", 7, "satellites", ""),
    number("GGA", 8, "hdop", ""),
    number("GGA", 9, "altitude", "m"),
    number("GGA", 11, "geoid_separation", "m"),
    known("GLL", 1, "latitude", Degrees, "°"),
    known("GLL", 3, "longitude", Degrees, "°"),
    known("GLL", 5, "time_of_day", Clock, ""),
    known("GLL", 6, "status", Text, ""),
    known("GNS", 1, "time_of_day", Clock, ""),
    known("GNS", 2, "latitude", Degrees, "°"),
    known("GNS", 4, "longitude", Degrees, "°"),
    number("GNS", 7, "satellites", ""),
    number("GNS", 8, "hdop", ""),
    number("GNS", 9, "altitude", "m"),
    number("GNS", 10, "geoid_separation", "m"),
    known("RMC", 9, "time", Dated, ""),
    known("RMC", 2, "status", Text, ""),
    known("RMC", 3, "latitude", Degrees, "°"),
    known("RMC", 5, "longitude", Degrees, "°"),
    number("RMC", 7, "speed", "kn"),
    number("RMC", 8, "course", "°"),
    number("VTG", 1, "course", "°"),
    number("VTG", 3, "magnetic_course", "°"),
    number("VTG", 5, "speed", "kn"),
    number("VTG", 7, "speed_kmh", "km/h"),
    number("GSA", 2, "fix_mode", ""),
    number("GSA", 15, "pdop", ""),
    number("GSA", 16, "hdop", ""),
    number("GSA", 17, "vdop", ""),
    number("GSV", 3, "satellites_in_view", ""),
    known("ZDA", 1, "time", Zda, ""),
    number("HDT", 1, "heading", "°"),
    number("HDM", 1, "magnetic_heading", "°"),
    number("HDG", 1, "magnetic_heading", "°"),
    number("ROT", 1, "rate_of_turn", "°/min"),
    number("RSA", 1, "rudder", "°"),
    number("DPT", 1, "depth", "m"),
    number("DPT", 2, "depth_offset", "m"),
    number("DBT", 3, "depth", "m"),
    number("MTW", 1, "water_temperature", "°C"),
    only(number("MWV", 1, "apparent_wind_angle", "°"), 2, b'R'),
    only(number("MWV", 3, "apparent_wind_speed", "?"), 2, b'R'),
    only(number("MWV", 1, "true_wind_angle", "°"), 2, b'T'),
    only(number("MWV", 3, "true_wind_speed", "?"), 2, b'T'),
    number("MWD", 1, "wind_direction", "°"),
    number("MWD", 7, "wind_speed", "m/s"),
    number("VHW", 1, "heading", "°"),
    number("VHW", 5, "water_speed", "kn"),
    number("VLW", 1, "distance", "NM"),
    number("VLW", 3, "trip_distance", "NM"),
    known("VDM", 4, "ais_channel", Text, ""),
    known("VDM", 5, "ais_payload", Text, ""),
    known("VDO", 4, "ais_channel", Text, ""),
    known("VDO", 5, "ais_payload", Text, ""),
];
