//! Finds out when the first of several brokers is back.

use super::Dial;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Connects to the first of several brokers from time to time, as a probe, while another one serves.
pub(super) enum Failback {
    /// The first broker serves, or there is only one.
    Never,
    Due(Instant, Duration, Box<dyn Dial>),
    Looking(Looking, Duration),
}

type Looking = Pin<Box<dyn Future<Output = (Box<dyn Dial>, bool)> + Send>>;

impl Failback {
    /// For a link that a broker has just accepted; `first` leads to the first broker, if that is
    /// another one.
    pub(super) fn start(first: Option<Box<dyn Dial>>, every: Duration) -> Failback {
        match first {
            Some(first) => Failback::Due(Instant::now() + every, every, first),
            None => Failback::Never,
        }
    }

    /// Resolves when the first broker is back. Cancel-safe.
    pub(super) async fn first_is_back(&mut self) {
        loop {
            match self {
                Failback::Never => return std::future::pending().await,
                Failback::Due(at, ..) => {
                    sleep_until(*at).await;
                    if let Failback::Due(_, every, mut first) =
                        std::mem::replace(self, Failback::Never)
                    {
                        let looking = Box::pin(async move {
                            let there = first.dial(&mut |_| ()).await.is_ok();
                            (first, there)
                        });
                        *self = Failback::Looking(looking, every);
                    }
                }
                Failback::Looking(looking, every) => {
                    let (first, there) = looking.await;
                    *self = Failback::Due(Instant::now() + *every, *every, first);
                    if there {
                        return;
                    }
                }
            }
        }
    }
}
