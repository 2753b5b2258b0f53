//! Tests that others wrote, for their own implementations. `scripts/foreign` fetches them; none of
//! them is kept here.

mod packet;
mod paho;
mod scenario;
mod vector;
mod vectors;
