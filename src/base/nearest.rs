//! Words that look like another one.

/// The nearest of the words that are possible, and all of them unless they are too many to read.
pub fn suggest(word: &str, allowed: &[&str]) -> String {
    const READABLE: usize = 50;
    let list = match allowed.len() {
        0..=READABLE => format!("Allowed: {}", allowed.join(", ")),
        many => format!("docs/CONFIG.md has all {many}"),
    };
    // `crc16` may be any of those that begin so.
    let begin: Vec<_> = match word.len() {
        0..=2 => Vec::new(),
        _ => allowed.iter().filter(|known| known.starts_with(&word.to_lowercase())).collect(),
    };
    if begin.len() > 1 {
        let begin: Vec<_> = begin.iter().map(|known| format!("`{known}`")).collect();
        let shown = if allowed.len() > READABLE { begin.len().min(8) } else { begin.len() };
        return format!("did you mean one of {}? {list}", begin[..shown].join(", "));
    }
    let nearest = allowed.iter().map(|known| (distance(word, known), known)).min();
    match nearest {
        Some((_, known)) if is_near(word, known) => format!("did you mean `{known}`? {list}"),
        _ => list.replacen("Allowed", "allowed", 1),
    }
}

/// Whether a word looks like a misspelling of another one.
pub fn is_near(word: &str, known: &str) -> bool {
    distance(word, known) <= 1 + known.len() / 4
}

/// Levenshtein's distance: how many letters to change, add or leave out. Only the first 64 letters are compared.
pub fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(64).enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let here = (corner + usize::from(x != *y)).min(row[j] + 1).min(row[j + 1] + 1);
            corner = std::mem::replace(&mut row[j + 1], here);
        }
    }
    row[b.len()]
}
