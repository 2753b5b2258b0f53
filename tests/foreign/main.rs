//! Tests that others wrote, for their own implementations. `scripts/foreign` fetches them; none of
//! them is kept here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

mod packet;
mod paho;
mod scenario;
mod vector;
mod vectors;
