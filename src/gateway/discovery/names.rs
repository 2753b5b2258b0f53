//! Names and identifiers of what is announced: for people, for topics, and for Home Assistant's registry.

/// Words that people write in capitals.
const CAPITALS: &[&str] = &[
    "ac", "aqi", "bms", "co", "co2", "dc", "id", "ip", "led", "mac", "mppt", "no2", "nox", "pv",
    "rfid", "rpm", "rssi", "snr", "so2", "soc", "soh", "tvoc", "uv", "voc",
];

/// A name of the configuration as people read it: `energy_import` is "Energy import", `voltage_l1` is
/// "Voltage L1".
pub(super) fn title(name: &str) -> String {
    let mut title = String::with_capacity(name.len());
    // The size of dust.
    let name = name.replace("pm2_5", "pm2.5");
    for word in name.split(['_', ' ']).filter(|word| !word.is_empty()) {
        let is_dust =
            word.strip_prefix("pm").is_some_and(|n| n.starts_with(|c: char| c.is_ascii_digit()));
        let is_phase = word.strip_prefix('l').is_some_and(|n| matches!(n, "1" | "2" | "3"));
        if !title.is_empty() {
            title.push(' ');
        }
        let kind = word.trim_end_matches(|c: char| c.is_ascii_digit());
        if is_phase || is_dust || CAPITALS.contains(&word) || CAPITALS.contains(&kind) {
            title.extend(word.chars().map(|c| c.to_ascii_uppercase()));
        } else if title.is_empty() {
            let mut chars = word.chars();
            title.extend(chars.next().into_iter().flat_map(char::to_uppercase));
            title.push_str(chars.as_str());
        } else {
            title.push_str(word);
        }
        // `relay1` is the first relay, but `co2` is one word.
        let letters = word.trim_end_matches(|c: char| c.is_ascii_digit());
        let is_number = letters.len() < word.len() && letters.chars().all(char::is_alphabetic);
        if is_number && letters.chars().count() >= 4 {
            title.insert(title.len() - (word.len() - letters.len()), ' ');
        }
    }
    title
}

/// The name of an entity, which Home Assistant shows behind the name of its device: without that, where it
/// begins with it. `None`: the device's name says it all.
pub(super) fn entity(field: &str, device: &str) -> Option<String> {
    let (title, device) = (title(field), title(device));
    let is_same = |text: &str| text.eq_ignore_ascii_case(&device);
    match title.get(..device.len()).filter(|begin| is_same(begin)) {
        Some(_) if title.len() == device.len() => None,
        Some(_) if title[device.len()..].starts_with(' ') => {
            Some(self::title(&title[device.len()..]))
        }
        _ => Some(title),
    }
}

/// A name as a level of the discovery's topics, which has letters, digits, `_` and `-` only. Different names stay
/// different: what was changed has a checksum of the name behind it. Two hyphens stand in none, nor one at an end:
/// they part such levels.
pub(super) fn slug(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let is_edged = name.starts_with('-') || name.ends_with('-');
    if !name.is_empty() && name.chars().all(is_plain) && !name.contains("--") && !is_edged {
        return name.to_owned();
    }
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    format!("{plain}-{}", sum(name))
}

/// The key of a component, which has no blank, because Home Assistant would not remove such a one.
pub(super) fn key(name: &str) -> String {
    if !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return name.to_owned();
    }
    let plain: String =
        name.chars().map(|c| if c.is_whitespace() || c.is_control() { '_' } else { c }).collect();
    format!("{plain}-{}", sum(name))
}

fn sum(name: &str) -> String {
    let sum = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(name.as_bytes());
    format!("{sum:08x}")
}

/// Whether values of this name are of interest only when something is wrong.
pub(super) fn is_diagnostic(name: &str) -> bool {
    let whole = ["serial", "product", "model", "manufacturer", "uptime", "rssi", "snr", "address"];
    let parts = ["serial", "firmware", "hardware", "version"];
    whole.contains(&name) || name.split('_').any(|word| parts.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_by_people() {
        for (name, expected) in [
            ("energy_import", "Energy import"),
            ("voltage_l1", "Voltage L1"),
            ("pv_power", "PV power"),
            ("co2", "CO2"),
            ("pv1_voltage", "PV1 voltage"),
            ("relay12", "Relay 12"),
            ("cell_3", "Cell 3"),
            ("pm2_5", "PM2.5"),
            ("dust_pm10", "Dust PM10"),
            ("1234", "1234"),
            ("Wärme zähler", "Wärme zähler"),
            ("1-0:1.8.0", "1-0:1.8.0"),
            ("_x__y_", "X y"),
        ] {
            assert_eq!(title(name), expected);
        }
        assert_eq!(entity("boiler_power", "boiler").as_deref(), Some("Power"));
        assert_eq!(entity("boilers", "boiler").as_deref(), Some("Boilers"));
        assert_eq!(entity("boiler", "Boiler"), None);
        assert_eq!(entity("power", "boiler").as_deref(), Some("Power"));
    }

    #[test]
    fn identifiers_are_what_topics_take_and_stay_different() {
        assert_eq!(slug("house-1_x"), "house-1_x");
        let [a, b, c] = ["a b", "a.b", "a--b"].map(slug);
        assert!(a.starts_with("a_b-") && b.starts_with("a_b-") && c.starts_with("a__b-"));
        assert!(a != b && b != c);
        assert!(!slug("Zähler").contains('ä'));
        assert_eq!(key("1-0:1.8.0"), "1-0:1.8.0");
        assert_ne!(key("a b"), key("a_b"));
        assert!(!key("a b").contains(' ') && !key("").is_empty());
    }
}
