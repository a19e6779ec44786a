//! A deterministic simulation of everything between the bytes of clients and the log: one seed decides what every actor
//! does, what the network does to each request, when the broker crashes; all time is virtual.
//!
//! The promise that is checked: every acknowledged publish reaches every continuing subscriber exactly once, in log
//! order, or a gap was told. `docs/testing.md` says how to read a failure. It is a module and no test target of its own,
//! because it makes lanes panic, scripts client ids and the clock, and looks into queues, which only tests inside may.

#![allow(unreachable_pub, reason = "nothing of it leaves the tests")]

mod broken;
mod chance;
mod check;
mod client;
mod engine;
mod network;
mod publisher;
mod stream;
mod trace;
mod world;

use broken::Mutation;
use std::{
    env,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};
use world::{Opener, Outcome, Setup, memory, run};

/// Seeds of a normal test run.
const SEEDS: u64 = 300;
/// Events shown of a run that failed.
const SHOWN: usize = 60;
/// Seeds within which a broken broker must be found out.
const FEW: u64 = 60;

const SOUND: Setup = Setup { mutation: None, opener: memory, loud: false };

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

fn report(seed: u64, outcome: &Outcome) -> String {
    let shown = &outcome.events[outcome.events.len().saturating_sub(SHOWN)..];
    let failure = outcome.failure.as_deref().unwrap_or("nothing failed");
    format!("seed {seed}: {failure}\nthe last events:\n{}\nSEED={seed} make soak shows all", shown.join("\n"))
}

/// Runs seeds on all cores until `most` are done or the time is over; panics at the first that fails.
fn soak(first: u64, most: u64, limit: Option<Duration>, opener: Opener) {
    let (next, start) = (AtomicU64::new(first), Instant::now());
    let work = || {
        while let seed = next.fetch_add(1, Relaxed)
            && seed - first < most
            && limit.is_none_or(|limit| start.elapsed() < limit)
        {
            let outcome = run(seed, Setup { opener, ..SOUND });
            if outcome.failure.is_some() {
                next.store(u64::MAX / 2, Relaxed);
                return Err(report(seed, &outcome));
            }
            if limit.is_some() && seed % 500 == 0 {
                println!("seeds {first} to {seed} hold, {:.0?}", start.elapsed());
            }
        }
        Ok(())
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|t| t.join().unwrap_or_else(|_| Err("a run panicked".into()))).collect()
    });
    results.into_iter().for_each(|result| result.unwrap_or_else(|failure| panic!("{failure}")));
}

/// With `SEED` that one, shown as it happens; with `SOAK` seeds from the clock on for `SECONDS_LIMIT` seconds or until
/// stopped; else the first few hundred.
#[test]
fn nothing_is_lost_doubled_or_disordered() {
    if let Some(to) = number("SURVEY") {
        for seed in 0..to {
            println!("SURVEY at {seed}");
            if let Some(failure) = run(seed, SOUND).failure {
                println!("SURVEY {seed} {failure}");
            }
        }
        return;
    }
    if let Some(seed) = number("SEED") {
        let outcome = run(seed, Setup { loud: true, ..SOUND });
        assert!(outcome.failure.is_none(), "{}", report(seed, &outcome));
        return;
    }
    if env::var_os("SOAK").is_none() {
        return soak(0, SEEDS, None, memory);
    }
    let limit = number("SECONDS_LIMIT").map_or(Duration::MAX, Duration::from_secs);
    soak(u64::from(start_of_soak()), u64::MAX / 4, Some(limit), memory);
}

/// Where a soak begins: elsewhere each second.
fn start_of_soak() -> u32 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    (now.as_secs() as u32).wrapping_mul(2_654_435_761)
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..10 {
        let (one, two) = (run(seed, SOUND).events, run(seed, SOUND).events);
        let differs = one.iter().zip(&two).position(|(a, b)| a != b);
        let shown = differs.map(|at| (at, &one[at], &two[at]));
        assert!(one.len() > 30 && one == two, "seed {seed}: {} and {} events, {shown:?}", one.len(), two.len());
    }
}

fn is_found(mutation: Mutation) {
    let broken = Setup { mutation: Some(mutation), ..SOUND };
    let found = (0..FEW).find_map(|seed| run(seed, broken).failure.map(|failure| (seed, failure)));
    let (seed, failure) = found.unwrap_or_else(|| panic!("{mutation:?} was not found within {FEW} seeds"));
    println!("{mutation:?} is found by seed {seed}: {failure}");
}

#[test]
fn an_ack_that_forgets_one_message_is_found() {
    is_found(Mutation::ForgetsOne);
}

#[test]
fn an_ack_that_goes_too_far_is_found() {
    is_found(Mutation::AcksTooFar);
}

#[test]
fn an_ack_that_is_not_listened_to_is_found() {
    is_found(Mutation::NeverGoesBack);
}

#[test]
fn a_redelivery_from_too_far_back_is_found() {
    is_found(Mutation::GoesBackTooFar);
}

#[test]
fn a_number_that_is_too_small_is_found() {
    is_found(Mutation::TellsTooLittle);
}

#[test]
fn a_number_that_is_too_large_is_found() {
    is_found(Mutation::TellsTooMuch);
}

#[test]
fn cut_answers_that_are_not_put_back_are_found() {
    is_found(Mutation::ForgetsCutAnswers);
}
