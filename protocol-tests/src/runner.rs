//! Runs the chosen cases side by side, each under a deadline, and collects how they ended.
//!
//! Called by `main` and by the suite's own tests. A case that hangs, panics or leaves an ill-formed error behind fails;
//! nothing a case does can stop the others.

use crate::{
    case::{Case, Feature, Wait},
    context::{Context, Server},
    known_differences::KnownDifferences,
    probe::Probe,
    report::{Format, Outcome, Totals, Verdict},
    transport::Transport,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::Semaphore, task::JoinSet, time::timeout};

/// What a case may take on top of what it declares.
const DEADLINE: Duration = Duration::from_secs(10);
/// What waiting for an expiry takes beyond `max_interval`: the server sweeps now and then.
pub const SWEEP: Duration = Duration::from_secs(3);
/// Waits longer than this need `--have slow`.
const LONG_WAIT: Duration = Duration::from_secs(10);

/// What to run and how.
#[derive(Debug)]
pub struct Plan {
    /// The server under test.
    pub server: Server,
    /// What it said about itself.
    pub probe: Probe,
    /// Only these transports, or those that the server offers when empty.
    pub transports: Vec<Transport>,
    /// Only names that contain all of these.
    pub filters: Vec<String>,
    /// Cases known to fail.
    pub known: KnownDifferences,
    /// Cases side by side.
    pub jobs: usize,
    /// How verdicts are printed.
    pub format: Format,
}

/// Runs everything and prints each verdict as it comes.
pub async fn run(plan: Plan, cases: Vec<Case>) -> Totals {
    let plan = Arc::new(plan);
    let server = Arc::new(plan.server.clone());
    let slots = Arc::new(Semaphore::new(plan.jobs.max(1)));
    let mut running = JoinSet::new();
    for case in cases.into_iter().map(Arc::new) {
        for &transport in case.transports {
            let wanted = plan.transports.is_empty() || plan.transports.contains(&transport);
            let name = format!("{}[{transport}]", case.id);
            if !wanted || !plan.filters.iter().all(|filter| name.contains(filter)) {
                continue;
            }
            let (plan, server, slots, case) = (plan.clone(), server.clone(), slots.clone(), case.clone());
            running.spawn(async move {
                let _slot = slots.acquire_owned().await;
                judge(&plan, server, &case, transport).await
            });
        }
    }
    let mut totals = Totals::default();
    while let Some(verdict) = running.join_next().await {
        // The task itself cannot panic: cases run in tasks of their own.
        let Ok(verdict) = verdict else { continue };
        totals.count(&verdict.outcome);
        match plan.format {
            Format::Text => println!("{}", verdict.text()),
            Format::Json => println!("{}", verdict.json()),
        }
    }
    totals
}

async fn judge(plan: &Plan, server: Arc<Server>, case: &Arc<Case>, transport: Transport) -> Verdict {
    let started = Instant::now();
    let (mut outcome, mut note) = (Outcome::Passed, None);
    if let Some(reason) = reason_to_skip(plan, case, transport) {
        outcome = Outcome::Skipped(reason);
    } else if let Err(seen) = run_one(server, case, transport).await {
        outcome = match plan.known.reason(case.id, transport) {
            Some(reason) => Outcome::Differs(reason.to_owned()),
            None => Outcome::Failed(seen),
        };
    } else if plan.known.reason(case.id, transport).is_some() {
        note = Some("listed as a known difference, but the server does what the contract says".to_owned());
    }
    Verdict { id: case.id, contract: case.contract, transport, outcome, note, took: started.elapsed() }
}

/// Runs one case and says what was wrong.
pub async fn run_one(server: Arc<Server>, case: &Arc<Case>, transport: Transport) -> Result<(), String> {
    let deadline = DEADLINE + declared_wait(case.wait, &server);
    let context = Context::new(server, transport);
    let watch = context.watch.clone();
    let case = case.clone();
    let mut task = tokio::spawn(async move { (case.run)(context).await });
    let ended = timeout(deadline, &mut task).await;
    task.abort();
    match ended {
        Err(_elapsed) => return Err(format!("not done after {} s", deadline.as_secs())),
        Ok(Err(panic)) => return Err(format!("the case panicked: {panic}")),
        Ok(Ok(Err(seen))) => return Err(shortened(&format!("{seen:#}"))),
        Ok(Ok(Ok(()))) => {}
    }
    match &watch.complaints()[..] {
        [] => Ok(()),
        complaints => Err(complaints.join("; ")),
    }
}

/// Some servers answer at length.
fn shortened(text: &str) -> String {
    const LONGEST: usize = 1000;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn reason_to_skip(plan: &Plan, case: &Case, transport: Transport) -> Option<String> {
    let have = |feature: &Feature| plan.server.have.contains(feature);
    if let Some(missing) = case.needs.iter().find(|feature| !have(feature)) {
        return Some(format!("needs a server with the settings of --have {missing}"));
    }
    if let Some(present) = case.contradicts.iter().find(|feature| have(feature)) {
        return Some(format!("says nothing about a server with --have {present}"));
    }
    let offered = |transport: &Transport| plan.probe.offers.iter().any(|name| name == transport.name());
    if plan.transports.is_empty()
        && let Some(missing) = [transport].iter().chain(case.also).find(|transport| !offered(transport))
    {
        return Some(format!("the server does not offer {missing}"));
    }
    let wait = declared_wait(case.wait, &plan.server);
    (wait > LONG_WAIT + SWEEP && !have(&Feature::Slow))
        .then(|| format!("waits {} s, which needs --have slow or shorter settings of the server", wait.as_secs()))
}

fn declared_wait(wait: Wait, server: &Server) -> Duration {
    match wait {
        Wait::Nothing => Duration::ZERO,
        Wait::MaxInterval(times) => server.max_interval.mul_f32(times) + SWEEP,
        Wait::Hold => server.advertised_timeout,
        Wait::Fixed(duration) => duration,
    }
}
