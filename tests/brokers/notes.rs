//! Why a broker differs: broker, feature, reason.

pub static NOTES: &[(&str, &str, &str)] = &[];
