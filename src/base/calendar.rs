//! The Gregorian calendar: days since 1970-01-01 to a date and back.

/// A date of the proleptic Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    pub year: i64,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
}

impl Date {
    /// The date of a number of days since 1970-01-01 (Howard Hinnant's `civil_from_days`).
    pub(crate) fn from_days(days: i64) -> Date {
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let of_era = shifted.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Date { year, month: month as u8, day: day as u8 }
    }
}

/// Days from 1970-01-01 to the first day of a month.
pub(crate) fn days_to(year: i64, month: u8) -> i64 {
    let month = i64::from(month);
    // The year begins in March, so that leap days come last.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_day_of_800_years_is_the_one_after_the_day_before() {
        let mut expected = days_to(1700, 1);
        for year in 1700..2500 {
            for month in 1..=12 {
                assert_eq!(days_to(year, month), expected, "{year}-{month}");
                let next = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
                for day in 1..=(days_to(next.0, next.1) - expected) as u8 {
                    assert_eq!(Date::from_days(expected), Date { year, month, day });
                    expected += 1;
                }
            }
        }
    }
}
