//! Lists and maps of the configuration in which a mistake in one entry does not hide those in others.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

/// For `deserialize_with`: reads a list so that a mistake in one item does not hide those in others.
pub fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    struct OneByOne<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for OneByOne<T> {
        type Value = Vec<T>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a sequence")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Vec<T>, A::Error> {
            all_items(items)
        }
    }
    from.deserialize_seq(OneByOne(PhantomData))
}

/// The good items of a list.
pub(crate) fn all_items<'de, A: SeqAccess<'de>, T: Deserialize<'de>>(
    mut items: A,
) -> Result<Vec<T>, A::Error> {
    let mut list = Vec::new();
    loop {
        // A mistake is noted, and each call goes further: see `Items`.
        match items.next_element() {
            Ok(Some(item)) => list.push(item),
            Ok(None) => return Ok(list),
            Err(_) => {}
        }
    }
}

/// The same for a list that may be left out.
pub fn optional_list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Option<Vec<T>>, D::Error> {
    struct List<T>(Vec<T>);
    impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<List<T>, D::Error> {
            list(from).map(List)
        }
    }
    Ok(Option::<List<T>>::deserialize(from)?.map(|list| list.0))
}

/// For `deserialize_with`: reads a map so that a mistake in one entry does not hide those in others.
pub fn map<'de, D, K, T>(from: D) -> Result<BTreeMap<K, T>, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de> + Ord,
    T: Deserialize<'de>,
{
    struct OneByOne<K, T>(PhantomData<(K, T)>);
    impl<'de, K: Deserialize<'de> + Ord, T: Deserialize<'de>> Visitor<'de> for OneByOne<K, T> {
        type Value = BTreeMap<K, T>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map")
        }
        fn visit_map<A: MapAccess<'de>>(self, keys: A) -> Result<BTreeMap<K, T>, A::Error> {
            all_keys(keys)
        }
    }
    from.deserialize_map(OneByOne(PhantomData))
}

/// The good entries of a map.
pub(crate) fn all_keys<'de, A, K, T>(mut keys: A) -> Result<BTreeMap<K, T>, A::Error>
where
    A: MapAccess<'de>,
    K: Deserialize<'de> + Ord,
    T: Deserialize<'de>,
{
    let mut map = BTreeMap::new();
    loop {
        // A mistake is noted, and each call goes further: see `Keys`.
        match keys.next_entry() {
            Ok(Some((key, value))) => drop(map.insert(key, value)),
            Ok(None) => return Ok(map),
            Err(_) => {}
        }
    }
}
