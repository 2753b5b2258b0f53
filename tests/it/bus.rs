//! Devices are asked on a simulated bus, on a virtual clock: what is published is right and in time,
//! whatever the slaves do.
//!
//! `SEED=n` plays one bus of the random ones again; `TRANSACTIONS=n` says how many each of them has.

mod availability;
pub mod bench;
mod commands;
mod dead;
mod faults;
mod late;
mod merged;
mod silence;
