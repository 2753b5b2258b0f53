//! Source lines as they may be shown in a log: cut to a window, and without secrets.

use super::error::Place;
use super::tree::{Mistake, What};
use super::yaml::{Mark, Span, Tree, Value};
use super::{hint, layer};
use std::collections::HashMap;

/// Most characters of a source line that are shown.
const WIDEST: usize = 120;

/// A file's text, as it is shown where it has mistakes.
pub(super) struct Shown<'a> {
    /// Its name, if it is not the configuration.
    pub(super) file: Option<&'a str>,
    lines: Vec<&'a str>,
    /// Keys and values in their order, and whether they are hidden. `None`: the text is not YAML.
    scalars: Option<Vec<(Span, bool)>>,
}

impl<'a> Shown<'a> {
    /// A text and its tree. The values of unknown keys, which are among the mistakes, may be secret.
    pub(super) fn new(
        file: Option<&'a str>,
        text: &'a str,
        tree: Option<&Tree>,
        mistakes: &[Mistake],
    ) -> Shown<'a> {
        let number = tree.map_or(0, layer::of_node);
        let unknown = mistakes.iter().filter_map(|mistake| match &mistake.what {
            What::UnknownKey(allowed) => Some((mistake.node, *allowed)),
            _ => None,
        });
        let unknown = unknown.collect();
        let mut finder = Finder { unknown, scalars: Vec::new(), number };
        let scalars = tree.map(|tree| {
            finder.root(tree);
            let mut scalars = finder.scalars;
            // What is hidden in one place is hidden wherever an alias repeats it.
            scalars.sort_by_key(|(span, hidden)| (span.start, !*hidden));
            scalars.dedup_by_key(|(span, _)| span.start);
            scalars
        });
        Shown { file, lines: text.lines().collect(), scalars }
    }

    /// Whether what stands there must not be shown.
    pub(super) fn hides(&self, at: Mark) -> bool {
        self.scalars.as_ref().is_none_or(|scalars| scalar_at(scalars, at) == Some(true))
    }

    /// The place of a span, or of where it begins if it has several lines.
    pub(super) fn place(&self, span: Span) -> Option<Place> {
        let Mark { line, column } = span.start;
        let text = *self.lines.get((line as usize).checked_sub(1)?)?;
        let length = text.chars().count();
        let column = column as usize;
        let width = match span.end {
            end if end.line == line => (end.column as usize).saturating_sub(column),
            _ => length.saturating_sub(column),
        };
        let from = if length <= WIDEST { 0 } else { column.saturating_sub(WIDEST / 3).min(length) };
        let to = length.min(from + WIDEST);
        let (head, tail) = (if from > 0 { "…" } else { "" }, if to < length { "…" } else { "" });
        let source = self.masked(line, text, from, to);
        let source =
            format!("{head}{}{tail}", if tail.is_empty() { source.trim_end() } else { &source });
        let before = column.min(length) - from.min(column.min(length)) + head.chars().count();
        let width = width.clamp(1, WIDEST.max(1)).min((to - from).max(1));
        Some(Place { line: line as usize, column: column + 1, source, before, width })
    }

    /// The end of the text.
    pub(super) fn last(&self) -> Option<Place> {
        let line = self.lines.iter().rposition(|line| !line.trim().is_empty())?;
        // A text has at most a megabyte.
        let column = self.lines[line].chars().count() as u32;
        let mark = Mark { line: line as u32 + 1, column };
        self.place(Span { start: mark, end: mark })
    }

    /// The characters of a line from one to another, without what is secret and what steers a
    /// terminal.
    fn masked(&self, line: u32, text: &str, from: usize, to: usize) -> String {
        let scalar = |at| self.scalars.as_ref().and_then(|scalars| scalar_at(scalars, at));
        let known = if self.scalars.is_none() { self.known_words(line, text) } else { Vec::new() };
        let mut shown = String::new();
        let mut before = if from == 0 { ' ' } else { 'x' };
        for (column, c) in text.chars().enumerate().take(to).skip(from) {
            let hidden = scalar(Mark { line, column: column as u32 });
            if c == '#' && before.is_whitespace() && hidden.is_none() {
                break;
            }
            before = c;
            let is_known = known.iter().any(|(from, to)| (*from..*to).contains(&column));
            shown.push(match (c, hidden) {
                ('\t', _) => ' ',
                _ if crate::base::plain::steers(c) => '\u{fffd}',
                _ if c.is_whitespace() || is_known => c,
                (_, Some(false)) => c,
                // Outside of keys and values there are brackets and the names of anchors.
                (_, None) if c.is_ascii_punctuation() => c,
                _ => '*',
            });
        }
        shown
    }

    /// Where the text is not YAML, only words that everybody's configuration has are shown, and below
    /// `ports` what does not look like a secret.
    fn known_words(&self, line: u32, text: &str) -> Vec<(usize, usize)> {
        // The last line before it that is not indented says what it belongs to.
        let above = self.lines.iter().take(line as usize).rev();
        let above = above.map(|line| line.trim_start_matches('\u{feff}'));
        let is_inside = |line: &str| line.is_empty() || line.starts_with([' ', '\t', '#']);
        let head = above.into_iter().find(|line| !is_inside(line));
        let of_ports = head.is_some_and(|line| line.starts_with("ports:"));
        let lower = text.to_ascii_lowercase();
        let suspect = ["pass", "secret", "://", "begin", "broker", "token", "key"];
        if of_ports && !suspect.iter().any(|word| lower.contains(word)) {
            let long = |word: &&str| word.len() >= 40;
            if !text.split_whitespace().any(|word| long(&word)) {
                return vec![(0, usize::MAX)];
            }
        }
        let is_word = |c: &char| c.is_alphanumeric() || matches!(c, '_' | '-');
        let mut words = Vec::new();
        // A very long line is not gone through word by word.
        let line: Vec<char> = text.chars().take(10 * WIDEST).collect();
        let mut from = 0;
        for word in line.chunk_by(|a, b| is_word(a) && is_word(b)) {
            let to = from + word.len();
            if line.get(to) == Some(&':') && is_common_key(&word.iter().collect::<String>()) {
                words.push((from, to));
            }
            from = to;
        }
        words
    }
}

/// Whether the key or value that stands there is hidden; `None` outside of them.
fn scalar_at(scalars: &[(Span, bool)], at: Mark) -> Option<bool> {
    let n = scalars.partition_point(|(span, _)| span.start <= at).checked_sub(1)?;
    let (span, hidden) = scalars[n];
    (at < span.end).then_some(hidden)
}

struct Finder {
    unknown: HashMap<u32, &'static [&'static str]>,
    scalars: Vec<(Span, bool)>,
    /// Which of the texts this one is.
    number: usize,
}

/// What of a part of the tree is shown.
#[derive(Clone, Copy, PartialEq)]
enum Show {
    All,
    /// Of the broker's settings: keys, numbers and some words.
    Broker,
    Nothing,
}

impl Finder {
    fn root(&mut self, tree: &Tree) {
        let Some(keys) = tree.keys() else { return self.take(tree, Show::Nothing) };
        for (key, value) in keys {
            let is_broker = key.key_text() == "broker";
            self.entry(key, value, if is_broker { Show::Broker } else { Show::All });
        }
    }

    fn entry(&mut self, key: &Tree, value: &Tree, show: Show) {
        let name = key.key_text();
        if name == "decrypt" && show == Show::All {
            return self.decrypt(key, value);
        }
        let (hides_key, below) = match self.unknown.get(&key.id) {
            Some(allowed) => (is_hidden_key(&name, value, allowed), Show::Nothing),
            None if show == Show::Broker && is_secret(&name) => (false, Show::Nothing),
            None => (show == Show::Nothing, show),
        };
        self.push(key, hides_key);
        self.take(value, below);
    }

    /// A key of a device may stand in the place of the map with its file, or of all.
    fn decrypt(&mut self, key: &Tree, value: &Tree) {
        let shown = |value: &Tree| if value.keys().is_some() { Show::All } else { Show::Nothing };
        self.push(key, false);
        match value.keys() {
            Some(keys) => keys.iter().for_each(|(key, value)| {
                self.push(key, false);
                self.take(value, shown(value));
            }),
            None => self.take(value, Show::Nothing),
        }
    }

    fn take(&mut self, tree: &Tree, show: Show) {
        match &tree.value {
            Value::Map(keys) => keys.iter().for_each(|(key, value)| self.entry(key, value, show)),
            Value::List(items) => items.iter().for_each(|item| self.take(item, show)),
            Value::Tagged(_) => self.push(tree, show != Show::All),
            Value::Scalar { text, plain: true } if text.is_empty() => {}
            Value::Scalar { text, .. } => {
                let hidden = match show {
                    Show::All => text.contains("-----BEGIN"),
                    Show::Broker => !is_plain_setting(text),
                    Show::Nothing => true,
                };
                self.push(tree, hidden);
            }
        }
    }

    /// Nodes of no text, or of another one, have no place in this one.
    fn push(&mut self, node: &Tree, hidden: bool) {
        if node.span.start.line > 0 && layer::of_node(node) == self.number {
            self.scalars.push((node.span, hidden));
        }
    }
}

/// Keys that everybody's configuration may have.
fn is_common_key(word: &str) -> bool {
    const KEYS: &str = "auth broker bytes ca_file cert_file clean client_id control fallback gateway \
                        grace inflight interval keepalive key_file memory messages outbox password \
                        password_file ports proxy status tls url user version will";
    KEYS.split(' ').any(|key| key == word)
}

/// Words of a broker's settings that are not secret.
fn is_common_word(word: &str) -> bool {
    const WORDS: &str = "any auto false first no none off on optional password required \
                         scram-sha-256 true yes";
    WORDS.split(' ').any(|common| common == word)
}

/// Keys of `broker` whose values are hidden, even numbers.
fn is_secret(key: &str) -> bool {
    matches!(key, "password" | "headers" | "user" | "client_id" | "url" | "fallback" | "proxy")
}

/// Whether an unknown key may itself be a secret: `{user: me, geheim}`, `password:geheim`.
pub(super) fn is_hidden_key(key: &str, value: &Tree, allowed: &[&str]) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == ' ';
    let is_like_a_key = key.len() <= 24 && key.chars().all(is_word);
    let of_broker_or_root = allowed.contains(&"client_id") || allowed.contains(&"ports");
    let is_near = allowed.iter().any(|known| hint::is_near(key, known));
    of_broker_or_root && (!is_like_a_key || value.is_null() && !is_near)
}

/// A number, a span, a size or a word of ours.
fn is_plain_setting(text: &str) -> bool {
    let digits = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let is_number = digits.len() < text.len() && digits.len() <= 3 && text.len() <= 10;
    text.is_empty()
        || is_common_word(text)
        || is_number && digits.bytes().all(|b| b.is_ascii_alphabetic())
}
