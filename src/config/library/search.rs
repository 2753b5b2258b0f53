//! Finds devices of the library by words of their names.

use super::Library;
use crate::base::nearest::is_near;
use crate::config::device_file::Head;
use crate::config::error::ConfigError;

/// A device without its settings: hundreds of them take little memory.
#[derive(Debug)]
pub struct Entry {
    pub name: String,
    pub head: Head,
}

/// What a search came to.
#[derive(Debug, Default)]
pub struct Search {
    /// Those that are called so come before those that are only described so.
    pub entries: Vec<Entry>,
    /// No device has all of the words; these have similar ones.
    pub is_near: bool,
    /// Device files that cannot be read.
    pub broken: Vec<ConfigError>,
}

impl Library {
    /// The devices that have all of the words; all devices without any.
    pub fn search(&self, words: &[&str]) -> Search {
        let (mut found, mut near, mut broken) = (Vec::new(), Vec::new(), Vec::new());
        for model in self.all() {
            match model {
                Ok(model) => {
                    let entry = Entry { name: model.name, head: model.head };
                    if words.iter().all(|word| entry.has(word)) {
                        found.push(entry);
                    } else if words.iter().all(|word| entry.has(word) || entry.is_near(word)) {
                        near.push(entry);
                    }
                }
                Err(wrong) => broken.push(wrong),
            }
        }
        let is_near = found.is_empty();
        let mut entries = if is_near { near } else { found };
        entries.sort_by_cached_key(|entry| {
            let is_called = words.iter().all(|word| contains(entry.names(), word));
            (!is_called, entry.name.clone())
        });
        Search { entries, is_near, broken }
    }
}

impl Entry {
    /// What it is called.
    fn names(&self) -> impl Iterator<Item = &str> {
        let Head { make, title, aliases, .. } = &self.head;
        let names = [&self.name, make, title];
        names.into_iter().chain(aliases).map(String::as_str)
    }

    /// Whether its names or its description contain a word, in either case: `sdm 120` is in `SDM-120`.
    pub fn has(&self, word: &str) -> bool {
        contains(self.names().chain([&*self.head.about]), word)
    }

    /// Whether a word of its names looks like this one misspelled.
    fn is_near(&self, word: &str) -> bool {
        let word = word.to_lowercase();
        let mut words = self.names().flat_map(|name| name.split(|c: char| !c.is_alphanumeric()));
        word.chars().count() > 3 && words.any(|known| is_near(&word, &known.to_lowercase()))
    }
}

fn contains<'a>(mut texts: impl Iterator<Item = &'a str>, word: &str) -> bool {
    let close = |text: &str| text.replace(['-', '_', '.', ' '], "");
    let word = word.to_lowercase();
    let closed = close(&word);
    texts.any(|text| {
        let text = text.to_lowercase();
        text.contains(&word) || closed.len() > 2 && close(&text).contains(&closed)
    })
}

#[cfg(all(test, feature = "library"))]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn devices_are_found_by_all_words_in_either_case_or_by_similar_ones() {
        let library = Library::beside(Path::new("/nowhere"));
        let search = |words: &[&str]| {
            let Search { entries, is_near, broken } = library.search(words);
            assert!(broken.is_empty());
            (entries.into_iter().map(|entry| entry.name).collect::<Vec<_>>(), is_near)
        };
        assert_eq!(search(&["SDM630"]).0[0], "eastron-sdm630");
        // An alias, in two words.
        assert_eq!(search(&["sdm 230"]), (vec!["eastron-sdm120".to_owned()], false));
        assert!(search(&["eastron"]).0.len() >= 2);
        assert_eq!(search(&["eastron", "relay"]).0, [""; 0]);
        let (near, is_near) = search(&["eastorn"]);
        assert!(near.contains(&"eastron-sdm120".to_owned()) && is_near);
        // What is called so comes before what is described so.
        let (called, _) = search(&["victron"]);
        assert!(called[0].starts_with("victron-"), "{called:?}");
        assert_eq!(search(&["qqqqqq"]), (vec![], true));
        assert_eq!(search(&[]).0.len(), library.names().len());
    }
}
