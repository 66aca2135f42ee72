//! The driver: turns "something about this key changed" into passes, one at a time for each key.
//!
//! ```text
//!  watches ──trigger(key)──▶ scheduler ──▶ caches show the last pass's writes? ──▶ Reconciler::pass(key)
//!                                ▲               │ not yet: a moment later                 │
//!                                ├───────────────┴──── back-off after an error ────────────┤
//!                                └──────────────────── alarm: wake_at, by the clock ◀──────┘
//! ```
//!
//! It knows nothing of certificates. Issuer and agent each give it a [`Reconciler`].

use crate::alarms::{Alarms, Rung};
use crate::clock::Clock;
use crate::error::PassError;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use jiff::Timestamp;
use kube::runtime::scheduler::{ScheduleRequest, Scheduler, scheduler};
use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a pass waits for the caches to show the last one's writes before it runs anyway. Preconditions on every
/// write keep such a pass harmless; waiting only saves the noise.
const FRESHNESS_LIMIT: Duration = Duration::from_secs(5);
/// How soon to look again whether the caches caught up. Their own events usually come first.
const FRESHNESS_POLL: Duration = Duration::from_millis(25);
const FIRST_CONFLICT_DELAY: Duration = Duration::from_millis(20);
const FIRST_ERROR_DELAY: Duration = Duration::from_millis(500);
const LONGEST_ERROR_DELAY: Duration = Duration::from_secs(60);

/// One pass for one key: observe, decide, apply, status last.
pub trait Reconciler: Send + Sync + 'static {
    /// Names what a pass is about.
    type Key: Clone + Eq + Hash + Debug + Send + Sync + Unpin + 'static;

    /// Runs a pass. It keeps no memory of earlier ones.
    fn pass(&self, key: &Self::Key) -> impl Future<Output = Result<Pass, PassError>> + Send;

    /// Whether the caches that a pass reads show this write (or anything newer).
    fn shows(&self, key: &Self::Key, written: &Written) -> bool;
}

/// What a pass leaves behind.
#[derive(Debug, Default)]
pub struct Pass {
    /// When to look again if nothing changes before.
    pub wake_at: Option<Timestamp>,
    /// Writes to objects that passes read from a cache.
    pub written: Vec<Written>,
}

/// A write that the caches must show before the next pass of the same key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// The copy or intent of this key now has this resourceVersion.
    Version {
        /// Which of the reconciler's caches.
        cache: &'static str,
        /// The object's resourceVersion after the write.
        resource_version: String,
    },
    /// The object with this uid was deleted.
    Deleted {
        /// Which of the reconciler's caches.
        cache: &'static str,
        /// The object's uid.
        uid: String,
    },
}

/// Asks for a pass. Cheap to clone; asking twice before the pass runs yields one pass.
#[derive(Debug)]
pub struct Trigger<K> {
    requests: mpsc::UnboundedSender<ScheduleRequest<K>>,
}

impl<K> Clone for Trigger<K> {
    fn clone(&self) -> Self {
        Self { requests: self.requests.clone() }
    }
}

impl<K> Trigger<K> {
    /// Asks for a pass now.
    pub fn now(&self, key: K) {
        self.at(key, Instant::now());
    }

    fn at(&self, message: K, run_at: Instant) {
        // The receiver goes only at shutdown, when nobody waits for passes any more.
        let _ = self.requests.send(ScheduleRequest { message, run_at });
    }
}

type Outcome<K> = (K, Result<Pass, PassError>);
type Queue<K> = Pin<Box<Scheduler<K, Requests<K>>>>;
type Requests<K> = tokio_stream::wrappers::UnboundedReceiverStream<ScheduleRequest<K>>;

/// Runs passes until it is told to stop.
pub struct Driver<R: Reconciler> {
    reconciler: Arc<R>,
    concurrency: usize,
    trigger: Trigger<R::Key>,
    scheduler: Queue<R::Key>,
    alarms: Alarms<R::Key>,
    running: FuturesUnordered<BoxFuture<'static, Outcome<R::Key>>>,
    keys: HashMap<R::Key, KeyState>,
}

/// What the driver itself remembers of a key: never what a decision is based on.
#[derive(Default)]
struct KeyState {
    running: bool,
    failures: u32,
    unseen: Vec<Written>,
    unseen_since: Option<Instant>,
}

impl<R: Reconciler> Driver<R> {
    /// A driver, and the handle that triggers its passes. At most `concurrency` passes run at once.
    pub fn prepare(clock: Clock, concurrency: usize) -> (DriverBuilder<R>, Trigger<R::Key>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let trigger = Trigger { requests: sender };
        (
            DriverBuilder { clock, concurrency: concurrency.max(1), trigger: trigger.clone(), receiver },
            trigger,
        )
    }

    /// Runs passes until `stop`; passes that have begun are finished first.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let at_limit = self.running.len() >= self.concurrency;
            let keys = &self.keys;
            let free = |key: &R::Key| !at_limit && !keys.get(key).is_some_and(|state| state.running);
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some((key, outcome)) = self.running.next(), if !self.running.is_empty() => self.finish(key, outcome),
                rung = self.alarms.ring() => self.wake(rung),
                Some(key) = next_free(self.scheduler.as_mut(), free) => self.start(key),
            }
        }
        while self.running.next().await.is_some() {}
    }

    fn start(&mut self, key: R::Key) {
        let state = self.keys.entry(key.clone()).or_default();
        if state.is_stale(&key, &*self.reconciler) {
            self.trigger.at(key, Instant::now() + FRESHNESS_POLL);
            return;
        }
        state.running = true;
        self.alarms.clear(&key);
        let reconciler = Arc::clone(&self.reconciler);
        self.running.push(
            async move {
                let outcome = reconciler.pass(&key).await;
                (key, outcome)
            }
            .boxed(),
        );
    }

    /// Asks for passes of those whose time has come; of all, if the clock was set. Those that run began by the old time.
    fn wake(&mut self, rung: Rung<R::Key>) {
        match rung {
            Rung::Due(keys) => keys.into_iter().for_each(|key| self.trigger.now(key)),
            Rung::ClockWasSet => {
                tracing::warn!(keys = self.keys.len(), "the clock was set: all is looked at again");
                self.keys.keys().for_each(|key| self.trigger.now(key.clone()));
            }
        }
    }

    fn finish(&mut self, key: R::Key, outcome: Result<Pass, PassError>) {
        let Some(state) = self.keys.get_mut(&key) else { return };
        state.running = false;
        match outcome {
            Ok(pass) => {
                state.failures = 0;
                if !pass.written.is_empty() {
                    state.unseen = pass.written;
                    state.unseen_since = Some(Instant::now());
                }
                match pass.wake_at {
                    Some(wake_at) => self.alarms.set(key, wake_at),
                    None if state.unseen.is_empty() => drop(self.keys.remove(&key)),
                    None => {}
                }
            }
            Err(error) => {
                state.failures = state.failures.saturating_add(1);
                let delay = error_delay(&key, &error, state.failures);
                error.log(&key, state.failures, delay);
                self.trigger.at(key, Instant::now() + delay);
            }
        }
    }
}

/// A driver that still needs its reconciler (which usually holds caches that hold the trigger).
pub struct DriverBuilder<R: Reconciler> {
    clock: Clock,
    concurrency: usize,
    trigger: Trigger<R::Key>,
    receiver: mpsc::UnboundedReceiver<ScheduleRequest<R::Key>>,
}

impl<R: Reconciler> DriverBuilder<R> {
    /// The driver for this reconciler.
    pub fn build(self, reconciler: Arc<R>) -> Driver<R> {
        Driver {
            reconciler,
            alarms: Alarms::new(self.clock),
            concurrency: self.concurrency,
            trigger: self.trigger,
            scheduler: Box::pin(scheduler(Requests::new(self.receiver))),
            running: FuturesUnordered::new(),
            keys: HashMap::new(),
        }
    }
}

impl KeyState {
    /// Whether the caches still lack a write of the last pass. Forgets the writes once shown, or after a while.
    fn is_stale<R: Reconciler>(&mut self, key: &R::Key, reconciler: &R) -> bool {
        self.unseen.retain(|written| !reconciler.shows(key, written));
        let overdue = self.unseen_since.is_none_or(|since| since.elapsed() > FRESHNESS_LIMIT);
        if overdue {
            self.unseen.clear();
        }
        !self.unseen.is_empty()
    }
}

async fn next_free<K, C>(scheduler: Pin<&mut Scheduler<K, Requests<K>>>, free: C) -> Option<K>
where
    K: Clone + Eq + Hash + Unpin,
    C: Fn(&K) -> bool + Unpin,
{
    scheduler.hold_unless(free).next().await
}

/// Doubles with each failure in a row, and differs a little between keys so that many do not come back at once.
fn error_delay<K: Hash>(key: &K, error: &PassError, failures: u32) -> Duration {
    let first = if error.is_conflict() { FIRST_CONFLICT_DELAY } else { FIRST_ERROR_DELAY };
    let doubled = first.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST_ERROR_DELAY);
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    let percent = u32::try_from(hasher.finish() % 40).unwrap_or(0);
    doubled * (80 + percent) / 100
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

    type Script = Box<dyn FnMut(u32) -> Result<Pass, PassError> + Send>;

    /// Plays a script: pass number in, outcome out; records when each pass ran and whether two overlapped.
    struct Scripted {
        began: Instant,
        script: Mutex<Script>,
        ran_at: Mutex<Vec<Duration>>,
        busy: AtomicBool,
        overlapped: AtomicBool,
        cache_shows: AtomicBool,
    }

    impl Reconciler for Scripted {
        type Key = &'static str;

        async fn pass(&self, _: &Self::Key) -> Result<Pass, PassError> {
            self.overlapped.fetch_or(self.busy.swap(true, Ordering::SeqCst), Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(10)).await;
            self.busy.store(false, Ordering::SeqCst);
            let mut ran_at = self.ran_at.lock().unwrap();
            ran_at.push(self.began.elapsed());
            let number = u32::try_from(ran_at.len()).unwrap();
            (self.script.lock().unwrap())(number)
        }

        fn shows(&self, _: &Self::Key, _: &Written) -> bool {
            self.cache_shows.load(Ordering::SeqCst)
        }
    }

    async fn drive(
        script: impl FnMut(u32) -> Result<Pass, PassError> + Send + 'static,
        during: impl AsyncFnOnce(&Trigger<&'static str>, &Scripted),
    ) -> Arc<Scripted> {
        drive_by(Clock::following_tokio(Timestamp::UNIX_EPOCH), script, during).await
    }

    async fn drive_by(
        clock: Clock,
        script: impl FnMut(u32) -> Result<Pass, PassError> + Send + 'static,
        during: impl AsyncFnOnce(&Trigger<&'static str>, &Scripted),
    ) -> Arc<Scripted> {
        let reconciler = Arc::new(Scripted {
            began: Instant::now(),
            script: Mutex::new(Box::new(script)),
            ran_at: Mutex::default(),
            busy: AtomicBool::default(),
            overlapped: AtomicBool::default(),
            cache_shows: AtomicBool::new(true),
        });
        let stop = CancellationToken::new();
        let (builder, trigger) = Driver::prepare(clock, 4);
        let running = tokio::spawn(builder.build(Arc::clone(&reconciler)).run(stop.clone()));
        during(&trigger, &reconciler).await;
        stop.cancel();
        running.await.unwrap();
        reconciler
    }

    #[expect(clippy::unnecessary_wraps, reason = "a script's type")]
    fn idle(_: u32) -> Result<Pass, PassError> {
        Ok(Pass::default())
    }

    #[tokio::test(start_paused = true)]
    async fn passes_of_one_key_never_overlap_and_triggers_are_merged() {
        let reconciler = drive(idle, async |trigger, _| {
            for _ in 0..100 {
                trigger.now("a");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
            for _ in 0..100 {
                trigger.now("a");
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        })
        .await;
        assert!(!reconciler.overlapped.load(Ordering::SeqCst));
        assert_eq!(
            reconciler.ran_at.lock().unwrap().len(),
            2,
            "one at once, one for all that came meanwhile"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_pass_wakes_when_it_asked_to() {
        let wake = Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(30);
        let script = move |number| Ok(Pass { wake_at: (number == 1).then_some(wake), ..Pass::default() });
        let reconciler = drive(script, async |trigger, _| {
            trigger.now("a");
            tokio::time::sleep(Duration::from_secs(60)).await;
        })
        .await;
        let ran_at = reconciler.ran_at.lock().unwrap();
        assert_eq!(ran_at.len(), 2);
        assert!((30.0..30.1).contains(&ran_at[1].as_secs_f64()), "{ran_at:?}");
    }

    /// Every ten minutes there was a pass for each key, only to look at the clock: an agent at rest asked for three objects
    /// each time, four hundred a day for every certificate.
    #[tokio::test(start_paused = true)]
    async fn nobody_is_woken_before_the_time_it_asked_for() {
        let month = 30 * 24 * 3600;
        let wake = Timestamp::from_second(month).unwrap();
        let script = move |number| Ok(Pass { wake_at: (number == 1).then_some(wake), ..Pass::default() });
        let reconciler = drive(script, async |trigger, _| {
            trigger.now("a");
            tokio::time::sleep(Duration::from_secs(2 * month.unsigned_abs())).await;
        })
        .await;
        let ran_at = reconciler.ran_at.lock().unwrap();
        assert_eq!(ran_at.len(), 2, "{ran_at:?}");
        assert_eq!(ran_at[1].as_secs(), month.unsigned_abs());
    }

    /// What was decided by a clock that is wrong may be that nothing is to be done for days.
    #[tokio::test(start_paused = true)]
    async fn all_look_again_soon_after_the_clock_was_set() {
        let (ahead, even) =
            (Arc::new(AtomicI64::new(3 * 24 * 3600)), Clock::following_tokio(Timestamp::UNIX_EPOCH));
        let set = Arc::clone(&ahead);
        let clock =
            Clock::from_fn(move || even.now() + SignedDuration::from_secs(set.load(Ordering::SeqCst)));
        let wall = clock.clone();
        let script = move |_| {
            Ok(Pass { wake_at: Some(wall.now() + SignedDuration::from_hours(1)), ..Pass::default() })
        };
        let reconciler = drive_by(clock, script, async |trigger, _| {
            trigger.now("a");
            tokio::time::sleep(Duration::from_secs(60)).await;
            ahead.store(0, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_secs(1200)).await;
        })
        .await;
        let ran_at = reconciler.ran_at.lock().unwrap();
        assert_eq!(ran_at.len(), 2, "once by each time that the clock showed: {ran_at:?}");
        assert!(ran_at[1] <= Duration::from_secs(660), "{ran_at:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn no_pass_before_the_cache_shows_the_last_write() {
        let written = || Written::Version { cache: "copies", resource_version: "7".to_owned() };
        let script = move |_| Ok(Pass { wake_at: None, written: vec![written()] });
        let reconciler = drive(script, async |trigger, reconciler| {
            reconciler.cache_shows.store(false, Ordering::SeqCst);
            trigger.now("a");
            tokio::time::sleep(Duration::from_millis(50)).await;
            trigger.now("a");
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(reconciler.ran_at.lock().unwrap().len(), 1);
            reconciler.cache_shows.store(true, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(100)).await;
        })
        .await;
        assert_eq!(reconciler.ran_at.lock().unwrap().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_back_off_and_success_forgets_them() {
        let script = |number| {
            let failure = || PassError::IssuanceLog(std::io::Error::other("disk full"));
            if number == 4 { Ok(Pass::default()) } else { Err(failure()) }
        };
        let reconciler = drive(script, async |trigger, _| {
            trigger.now("a");
            tokio::time::sleep(Duration::from_secs(20)).await;
        })
        .await;
        let ran_at = reconciler.ran_at.lock().unwrap();
        let gaps: Vec<_> = ran_at.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
        assert_eq!(ran_at.len(), 4, "three failures, then success and silence");
        assert!(gaps[1] > gaps[0] && gaps[2] > gaps[1], "{gaps:?}");
    }
}
