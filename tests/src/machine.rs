//! What a process runs on: a clock that may be set, and somebody who stops the process and lets it go on.

use certmesh_controllers::{Clock, Spawner};
use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::SignedDuration;
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// A machine's clock: the fleet's, but for what somebody set it to. Clones are the same.
#[derive(Clone, Default)]
pub struct LocalClock(Arc<Mutex<Ahead>>);

#[derive(Default)]
struct Ahead {
    now: SignedDuration,
    ever: BTreeSet<SignedDuration>,
}

impl LocalClock {
    /// Sets it so far ahead of the fleet's clock, or behind.
    pub fn set_ahead(&self, ahead: SignedDuration) {
        let mut state = locked(&self.0);
        state.now = ahead;
        state.ever.insert(ahead);
    }

    /// What it tells where the right time is `clock`'s.
    pub fn over(&self, clock: &Clock) -> Clock {
        let (state, clock) = (Arc::clone(&self.0), clock.clone());
        Clock::from_fn(move || clock.now() + locked(&state).now)
    }

    /// All that it would tell now if it were as it was once.
    pub(crate) fn once(&self, clock: &Clock) -> Vec<Clock> {
        let now = clock.now();
        locked(&self.0)
            .ever
            .iter()
            .map(|ahead| now + *ahead)
            .map(|time| Clock::from_fn(move || time))
            .collect()
    }
}

/// Stops a start of a process and lets it go on, as SIGSTOP and SIGCONT do. Clones are the same.
///
/// While it is stopped none of its tasks is polled; time goes on without it. What it sent is on its way and takes effect,
/// answers and watches wait for it. When it goes on, all its timers are due at once, and it knows of nothing. Threads that sign
/// or make keys at that moment end what they do: what they come to waits as well.
#[derive(Clone, Default)]
pub struct Signals(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    is_stopped: bool,
    has_ended: bool,
    waiting: Vec<Waker>,
}

impl Signals {
    /// SIGSTOP.
    pub fn stop(&self) {
        locked(&self.0).is_stopped = true;
    }

    /// SIGCONT.
    pub fn go_on(&self) {
        wake(locked(&self.0), |state| state.is_stopped = false);
    }

    /// SIGKILL: no task is polled any more, stopped or not.
    pub fn kill(&self) {
        wake(locked(&self.0), |state| state.has_ended = true);
    }

    /// The task, under these signals.
    pub(crate) fn around(&self, task: BoxFuture<'static, ()>) -> BoxFuture<'static, ()> {
        let (state, mut task) = (Arc::clone(&self.0), task);
        poll_fn(move |context| {
            {
                let mut state = locked(&state);
                if state.has_ended {
                    return Poll::Ready(());
                }
                if state.is_stopped {
                    state.waiting.push(context.waker().clone());
                    return Poll::Pending;
                }
            }
            task.poll_unpin(context)
        })
        .boxed()
    }

    /// Runs the other tasks of the process.
    pub(crate) fn spawner(&self) -> Spawner {
        let signals = self.clone();
        Spawner::around(move |task| signals.around(task))
    }
}

fn wake(mut state: MutexGuard<'_, State>, change: impl FnOnce(&mut State)) {
    change(&mut state);
    let waiting = std::mem::take(&mut state.waiting);
    drop(state);
    waiting.into_iter().for_each(Waker::wake);
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    fn counting(signals: &Signals) -> Arc<AtomicU32> {
        let count = Arc::<AtomicU32>::default();
        let counted = Arc::clone(&count);
        let task = async move {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                counted.fetch_add(1, Ordering::SeqCst);
            }
        };
        tokio::spawn(signals.around(task.boxed()));
        count
    }

    async fn seconds(count: u64) {
        tokio::time::sleep(Duration::from_millis(count * 1000 + 10)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_stopped_task_does_nothing_until_it_goes_on() {
        let signals = Signals::default();
        let count = counting(&signals);
        seconds(3).await;
        signals.stop();
        seconds(10).await;
        assert_eq!(count.load(Ordering::SeqCst), 3);
        signals.go_on();
        seconds(2).await;
        assert_eq!(count.load(Ordering::SeqCst), 6, "the timer that was due fires at once, then it goes on");
    }

    #[tokio::test(start_paused = true)]
    async fn a_killed_task_ends_also_while_it_is_stopped() {
        let signals = Signals::default();
        signals.stop();
        let task = tokio::spawn(signals.around(std::future::pending().boxed()));
        seconds(1).await;
        assert!(!task.is_finished());
        signals.kill();
        task.await.unwrap();
    }

    #[test]
    fn a_clock_that_is_set_is_remembered() {
        let (clock, local) = (Clock::from_fn(|| Timestamp::UNIX_EPOCH), LocalClock::default());
        let ahead = SignedDuration::from_hours(5);
        let shown = local.over(&clock);
        assert_eq!(shown.now(), Timestamp::UNIX_EPOCH);
        local.set_ahead(ahead);
        assert_eq!(shown.now(), Timestamp::UNIX_EPOCH + ahead);
        local.set_ahead(SignedDuration::ZERO);
        assert_eq!(shown.now(), Timestamp::UNIX_EPOCH);
        let once: Vec<_> = local.once(&clock).iter().map(Clock::now).collect();
        assert!(once.contains(&(Timestamp::UNIX_EPOCH + ahead)), "{once:?}");
    }
}
