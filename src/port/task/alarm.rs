//! Wakes at a moment, exact to a fraction of a millisecond. tokio's timer has steps of 1 ms and rounds up,
//! which a silence of 1.75 ms between two frames would feel.

use crate::port::system_calls;
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::sleep_until;

#[derive(Debug)]
pub(super) struct Alarm {
    /// `None`: the kernel gives no timer, and tokio's has to do.
    timer: Option<AsyncFd<Arc<OwnedFd>>>,
    /// For when the timer is set.
    set: Option<Instant>,
}

impl Alarm {
    /// Must be called within a runtime.
    pub(super) fn new() -> Alarm {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags).map_err(io::Error::from);
        let timer = timer.and_then(|it| system_calls::watch(Arc::new(it), Interest::READABLE));
        Alarm { timer: timer.ok(), set: None }
    }

    /// Waits until `due`. Cancel-safe.
    pub(super) async fn until(&mut self, due: Instant) {
        if self.ring(due).await.is_err() {
            sleep_until(due.into()).await;
        }
    }

    async fn ring(&mut self, due: Instant) -> io::Result<()> {
        let timer = self.timer.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        loop {
            // A timer that rings too early is set again then: most deadlines are put off before they come.
            if self.set.is_none_or(|set| set > due) {
                let left = due.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Ok(());
                }
                let it_value = Timespec::try_from(left).map_err(io::Error::other)?;
                let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
                let time = Itimerspec { it_interval, it_value };
                timerfd_settime(timer, TimerfdTimerFlags::empty(), &time)?;
                self.set = Some(due);
            }
            let mut ready = timer.readable().await?;
            ready.clear_ready();
            match rustix::io::read(timer, &mut [0; 8]) {
                // What is left from a time that was set before.
                Err(Errno::AGAIN) => {}
                Err(error) => return Err(error.into()),
                Ok(_) => self.set = None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// How late a wait of 1.75 to 4 ms ends.
    async fn lateness(mut wait: impl AsyncFnMut(Instant)) -> Vec<Duration> {
        let mut late = Vec::new();
        for n in 0..60 {
            let due = Instant::now() + Duration::from_micros(1750 + 37 * n);
            wait(due).await;
            late.push(Instant::now().checked_duration_since(due).expect("it is early"));
        }
        late.sort();
        late
    }

    #[tokio::test]
    async fn it_is_never_early_and_late_by_less_than_tokios_timer() {
        let mut alarm = Alarm::new();
        let alarms = lateness(async |due| alarm.until(due).await).await;
        let tokios = lateness(async |due| sleep_until(due.into()).await).await;
        let median = |late: &[Duration]| late[late.len() / 2];
        println!("late by {:?}, tokio's timer by {:?}", median(&alarms), median(&tokios));
        // A busy machine makes both late.
        assert!(alarms[0] < Duration::from_micros(500), "{alarms:?}");
    }

    #[tokio::test]
    async fn a_wait_that_is_given_up_does_not_end_the_next() {
        let mut alarm = Alarm::new();
        let soon = Instant::now() + Duration::from_millis(2);
        let given_up = Duration::from_micros(10);
        let _ = tokio::time::timeout(given_up, alarm.until(soon)).await;
        // Meanwhile its time comes.
        Alarm::new().until(soon + Duration::from_millis(2)).await;
        for more in [0, 15, 30] {
            let due = Instant::now() + Duration::from_millis(more);
            alarm.until(due).await;
            assert!(Instant::now() >= due, "{more} ms");
        }
    }
}
