//! What the demo and the tests of `tests/` use: a broker and serial ports without hardware, and, with the
//! feature `testing`, everything that is private to this crate.

pub mod broker;
pub mod bus;
pub mod pty;
pub mod server;

#[cfg(feature = "testing")]
macro_rules! open {
    ($($room:ident),*) => { $(
        #[allow(missing_docs)]
        pub mod $room {
            pub use crate::$room::*;
        }
    )* };
}

#[cfg(feature = "testing")]
open!(base, cli, codec, config, control, device, gateway, outbox, port);
#[cfg(all(feature = "demo", feature = "testing"))]
open!(demo);
#[cfg(all(feature = "shell", feature = "testing"))]
open!(shell);
