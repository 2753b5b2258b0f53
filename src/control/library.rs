//! The library of devices, as the router's web page has its users choose from it.

use crate::config::first::{Address, Wants};
use crate::config::library::{Library, Model};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What rpcd's method `models` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedModels {
    /// By make and title.
    pub models: Vec<ListedModel>,
}

/// A device that has a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedModel {
    /// Its name behind the key `model`.
    pub model: String,
    pub make: String,
    pub title: String,
    pub aliases: Vec<String>,
    pub about: String,
    pub wiring: String,
    pub address: AddressWord,
    /// The address that it has at the factory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factory_address: Option<u8>,
    /// It may encrypt what it sends.
    pub key: bool,
    /// Missing if the model does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
}

/// Whether a device has an address on its bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AddressWord {
    No,
    Optional,
    Needed,
}

/// The devices of the library beside this configuration. Device files that are broken are left out: `check`
/// says so to whoever names one.
pub(crate) fn models(config: &Path) -> ListedModels {
    let folder = config.parent().unwrap_or(Path::new(""));
    let library = Library::beside(folder);
    let models = library.all().filter_map(Result::ok).map(|model| listed(folder, model));
    let mut models: Vec<_> = models.collect();
    models.sort_by(|a, b| (&a.make, &a.title).cmp(&(&b.make, &b.title)));
    ListedModels { models }
}

fn listed(folder: &Path, model: Model) -> ListedModel {
    let Wants { address, key, line } = Wants::of(folder, &model);
    let (address, factory_address) = match address {
        Address::Never => (AddressWord::No, None),
        Address::May => (AddressWord::Optional, None),
        Address::Must(at_factory) => (AddressWord::Needed, at_factory),
    };
    let Model { name, head, .. } = model;
    ListedModel {
        model: name,
        make: head.make,
        title: head.title,
        aliases: head.aliases,
        about: head.about,
        wiring: head.wiring,
        address,
        factory_address,
        key,
        line,
    }
}
