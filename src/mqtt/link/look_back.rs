//! Is the first of several brokers back?

use super::Dial;
use std::fmt;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Looks from time to time whether the first of several brokers can be connected to, while another
/// one serves.
pub(super) enum LookBack {
    /// The first one serves, or there is only one.
    Never,
    Due(Instant, Duration, Box<dyn Dial>),
    Looking(Looking, Duration),
}

type Looking = Pin<Box<dyn Future<Output = (Box<dyn Dial>, bool)> + Send>>;

impl LookBack {
    /// For a link that a broker just took in; `first` leads to the first one, if that is another.
    pub(super) fn start(first: Option<Box<dyn Dial>>, every: Duration) -> LookBack {
        match first {
            Some(first) => LookBack::Due(Instant::now() + every, every, first),
            None => LookBack::Never,
        }
    }

    /// Resolves when the first broker is back. Cancel-safe.
    pub(super) async fn first_is_back(&mut self) {
        loop {
            match self {
                LookBack::Never => return std::future::pending().await,
                LookBack::Due(at, ..) => {
                    sleep_until(*at).await;
                    if let LookBack::Due(_, every, mut first) =
                        std::mem::replace(self, LookBack::Never)
                    {
                        let looking = Box::pin(async move {
                            let there = first.dial(&mut |_| ()).await.is_ok();
                            (first, there)
                        });
                        *self = LookBack::Looking(looking, every);
                    }
                }
                LookBack::Looking(looking, every) => {
                    let (first, there) = looking.await;
                    *self = LookBack::Due(Instant::now() + *every, *every, first);
                    if there {
                        return;
                    }
                }
            }
        }
    }
}

impl fmt::Debug for LookBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LookBack::Never => "Never",
            LookBack::Due(..) => "Due",
            LookBack::Looking(..) => "Looking",
        })
    }
}
