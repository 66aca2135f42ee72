//! The processes, and who starts them again when they die.

use certmesh_controllers::Timing;
use certmesh_tests::{Faults, Fleet, Link, LocalClock, Running, Storm};
use jiff::SignedDuration;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The longest that a process stays dead.
const DEAD: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug)]
enum Process {
    Issuer,
    /// One of several, with its number.
    ElectedIssuer(usize),
    Agent(usize),
}

/// All processes of a fleet.
pub(crate) struct Crew {
    members: Vec<Arc<Member>>,
    tasks: Vec<JoinHandle<()>>,
    stop: CancellationToken,
    deaths: Arc<AtomicU32>,
}

/// A process, and what the storm does to its present start.
struct Member {
    process: Process,
    faults: Mutex<Faults>,
    /// An issuer's way to its own cluster.
    link: Link,
    /// The clock of the machine that it runs on, whenever it runs.
    clock: LocalClock,
}

impl Crew {
    /// Starts an issuer or two, and all agents.
    pub(crate) fn start(fleet: &Arc<Fleet>, storm: &Storm, agents: &[LocalClock]) -> Self {
        let mut processes = if storm.dice("crew").permille(300) {
            vec![Process::Issuer]
        } else {
            vec![Process::ElectedIssuer(1), Process::ElectedIssuer(2)]
        };
        processes.extend((0..fleet.remotes.len()).map(Process::Agent));
        storm.note(&format!("crew: {processes:?}"));
        let (stop, deaths) = (CancellationToken::new(), Arc::<AtomicU32>::default());
        let member = |process| {
            let clock = match process {
                Process::Agent(index) => agents[index].clone(),
                Process::Issuer | Process::ElectedIssuer(_) => LocalClock::default(),
            };
            Arc::new(Member { process, faults: Mutex::default(), link: Link::default(), clock })
        };
        let members: Vec<_> = processes.into_iter().map(member).collect();
        let watch_over = |member: &Arc<Member>| {
            let (fleet, storm, member) = (Arc::clone(fleet), storm.clone(), Arc::clone(member));
            tokio::spawn(watch_over(fleet, storm, member, stop.clone(), Arc::clone(&deaths)))
        };
        let tasks = members.iter().map(watch_over).collect();
        Self { members, tasks, stop, deaths }
    }

    /// Kills one of them.
    pub(crate) fn kill(&self, number: usize, storm: &Storm) {
        let member = &self.members[number % self.members.len()];
        storm.note(&format!("{:?} is killed", member.process));
        member.faults().kill();
    }

    /// Stops one of them for so long. It goes on where it was, whoever leads by then.
    pub(crate) fn freeze(&self, number: usize, duration: Duration, storm: &Storm) {
        let member = Arc::clone(&self.members[number % self.members.len()]);
        storm.note(&format!("{:?} is stopped for {} s", member.process, duration.as_secs()));
        let signals = member.faults().signals().clone();
        signals.stop();
        let storm = storm.clone();
        tokio::spawn(async move {
            tokio::time::sleep(duration).await;
            storm.note(&format!("{:?} goes on", member.process));
            signals.go_on();
        });
    }

    /// Sets the clock of one of them so far ahead, or behind, and after so long right again.
    pub(crate) fn set_clock(&self, number: usize, ahead: SignedDuration, duration: Duration, storm: &Storm) {
        let member = Arc::clone(&self.members[number % self.members.len()]);
        storm.note(&format!("the clock of {:?} is ahead by {ahead:#}", member.process));
        member.clock.set_ahead(ahead);
        let storm = storm.clone();
        tokio::spawn(async move {
            tokio::time::sleep(duration).await;
            storm.note(&format!("the clock of {:?} is right again", member.process));
            member.clock.set_ahead(SignedDuration::ZERO);
        });
    }

    /// All go on, and their clocks are right.
    pub(crate) fn mend(&self) {
        for member in &self.members {
            member.clock.set_ahead(SignedDuration::ZERO);
            member.faults().signals().go_on();
        }
    }

    /// The ways of the issuers to the management cluster.
    pub(crate) fn issuers_links(&self) -> Vec<Link> {
        let issuers = self.members.iter().filter(|member| !matches!(member.process, Process::Agent(_)));
        issuers.map(|member| member.link.clone()).collect()
    }

    /// How often one of them died so far.
    pub(crate) fn deaths(&self) -> u32 {
        self.deaths.load(Ordering::SeqCst)
    }

    /// Ends them as SIGTERM would.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

/// Starts the process again whenever it dies.
async fn watch_over(
    fleet: Arc<Fleet>,
    storm: Storm,
    member: Arc<Member>,
    stop: CancellationToken,
    deaths: Arc<AtomicU32>,
) {
    for start in 0.. {
        let name = format!("{:?} start {start}", member.process);
        let faults = Faults::of_storm(&storm, &name, &member.clock);
        *member.faults.lock().unwrap_or_else(PoisonError::into_inner) = faults.clone();
        let running = member.start(&fleet, start, &faults).await;
        tokio::select! {
            biased;
            () = stop.cancelled() => return running.stop().await,
            () = faults.crashed() => running.kill().await,
        }
        deaths.fetch_add(1, Ordering::SeqCst);
        storm.note(&format!("{name} died"));
        let dead = storm.dice(&format!("{name} died")).up_to(DEAD);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(dead) => {}
        }
    }
}

impl Member {
    fn faults(&self) -> Faults {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn start(&self, fleet: &Fleet, start: u32, faults: &Faults) -> Running {
        match self.process {
            Process::Issuer => fleet.run_issuer(faults).await,
            Process::ElectedIssuer(number) => {
                // Four times the usual: most of a run's requests would be the lease's.
                let seconds = Duration::from_secs;
                let timing = Timing::new(seconds(60), seconds(40), seconds(8)).unwrap();
                let identity = format!("issuer-{number}_{start}");
                fleet.run_issuer_elected_in(timing, &identity, faults, &self.link).await
            }
            Process::Agent(index) => fleet.run_agent(index, faults).await,
        }
    }
}
