//! What happens to processes, clocks and networks.

use crate::clock::micros;
use crate::process::Actor;
use crate::world::{REPLICAS, World};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

impl World {
    pub(super) fn a_process_crashes(&mut self) -> String {
        let process = self.random(10).usize(..self.processes.len());
        let actor = self.processes[process].actor;
        self.crash(process);
        format!("{actor} crashes")
    }

    pub(super) fn a_watch_expires(&mut self) -> String {
        let mut rng = self.random(11);
        let process = rng.usize(..self.processes.len());
        let state = &mut self.processes[process];
        let watch = rng.usize(..state.watches.len());
        let watch = &mut state.watches[watch];
        watch.expire("too old resource version");
        let (actor, kind, site) = (state.actor, watch.kind, watch.site);
        self.sort_inbox(process);
        format!("{actor}: its watch of {} in {} expires", kind.name(), self.clusters[site].name)
    }

    pub(super) fn a_link_changes(&mut self) -> String {
        let site = self.some_site(12);
        let works = !self.links[site];
        self.set_link(site, works);
        let what = if works { "can be reached again" } else { "cannot be reached" };
        format!("{} {what}", self.clusters[site].name)
    }

    /// The way between the issuers and a cluster works, or does not.
    pub(crate) fn set_link(&mut self, site: usize, works: bool) {
        self.links[site] = works;
        for process in 0..REPLICAS {
            let watches = self.processes[process].watches.iter_mut().filter(|watch| watch.site == site);
            watches.for_each(|watch| if works { watch.begun() } else { watch.broke("no route to host") });
            self.sort_inbox(process);
        }
    }

    pub(super) fn a_clock_is_set(&mut self) -> String {
        let mut rng = self.random(13);
        let process = rng.usize(..self.processes.len());
        let ahead = [0, 1, 30, 4 * MINUTE, 20 * MINUTE, 2 * HOUR, 3 * DAY];
        let sign = if rng.bool() { 1 } else { -1 };
        let seconds = ahead[rng.usize(..ahead.len())] * sign;
        let actor = self.processes[process].actor;
        self.set_clock(process, seconds);
        format!("{actor}: its clock is {seconds} s ahead")
    }

    /// Sets how far a process' clock is ahead.
    pub(crate) fn set_clock(&mut self, process: usize, seconds: i64) {
        let state = &mut self.processes[process];
        if state.clock.skew() != seconds {
            state.clock.set_skew(seconds);
            state.clock_was_set();
            self.witness.history.clock_set.insert(state.actor, self.step);
        }
    }

    pub(super) fn a_process_pauses(&mut self) -> String {
        let mut rng = self.random(14);
        let process = rng.usize(..self.processes.len());
        let actor = self.processes[process].actor;
        match (actor, rng.u32(..4)) {
            // Two may lead for a moment: a lease is a matter of clocks.
            (Actor::Issuer(_), 0) => {
                self.processes[process].leads = true;
                self.processes[process].is_paused = false;
                format!("{actor} leads")
            }
            (Actor::Issuer(_), _) if !self.processes[process].is_paused => {
                self.processes[process].is_paused = true;
                self.processes[process].leads = false;
                self.processes[REPLICAS - 1 - process].leads = true;
                format!("{actor} stops for a while, the other one leads")
            }
            _ => {
                let is_paused = !self.processes[process].is_paused;
                self.processes[process].is_paused = is_paused;
                format!("{actor} {}", if is_paused { "stops for a while" } else { "goes on" })
            }
        }
    }

    pub(super) fn time_flies(&mut self) -> String {
        let mut rng = self.random(15);
        let spans = [10, MINUTE, 5 * MINUTE, 11 * MINUTE, HOUR, 8 * HOUR, DAY, 10 * DAY, 85 * DAY];
        let seconds = spans[rng.usize(..spans.len())] + rng.i64(0..60);
        self.clock.pass(micros(jiff::SignedDuration::from_secs(seconds)));
        format!("{seconds} s pass")
    }
}
