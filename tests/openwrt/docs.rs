//! What docs/openwrt.md quotes.
