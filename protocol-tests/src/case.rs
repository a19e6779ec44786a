//! One case: one behaviour of the contract, where it applies, what it needs, and the code that looks.
//!
//! Built by the tables in `cases`, run by the runner. Never carries state: a case is run once for each transport it
//! applies to, side by side with all others.

use crate::{context::Context, transport::Transport};
use anyhow::Result;
use clap::ValueEnum;
use std::{fmt, pin::Pin, time::Duration};

/// Settings of the server that cases need or cannot bear; `--have` names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub enum Feature {
    /// The iframe transport is switched on.
    Iframe,
    /// `allowed_origins = ["http://allowed.example"]`.
    Origins,
    /// `broadcast_to_publisher = false`.
    NoEcho,
    /// The small limits of the README.
    SmallLimits,
    /// `require_cookie = true`.
    RequireCookie,
    /// The channels of the README that are kept, lazy or remembered, and a short queue.
    Kept,
    /// `extension.timestamp = true` and `extension.max_inactivity = "5s"`.
    Extensions,
    /// `transport.profile = "salesforce"`.
    Salesforce,
    /// Not a setting: the caller has time for cases that wait longer than ten seconds.
    Slow,
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Iframe => "iframe",
            Self::Origins => "origins",
            Self::NoEcho => "no-echo",
            Self::SmallLimits => "small-limits",
            Self::RequireCookie => "require-cookie",
            Self::Kept => "kept",
            Self::Extensions => "extensions",
            Self::Salesforce => "salesforce",
            Self::Slow => "slow",
        })
    }
}

/// What a case waits for beyond ordinary answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wait {
    /// Nothing longer than the usual deadline.
    Nothing,
    /// So many times `max_interval`.
    MaxInterval(f32),
    /// One whole hold as the server advertises it.
    Hold,
    /// A fixed time.
    Fixed(Duration),
}

type Run = Box<dyn Fn(Context) -> Pin<Box<dyn Future<Output = Result<()>> + Send>> + Send + Sync>;

/// A behaviour to look at.
pub struct Case {
    /// `area.behaviour`, unique.
    pub id: &'static str,
    /// What is expected, in a few words.
    pub title: &'static str,
    /// The sentence of the contract, with its section.
    pub contract: &'static str,
    /// Where it applies.
    pub transports: &'static [Transport],
    /// What it uses besides: not run when the server does not offer these.
    pub also: &'static [Transport],
    /// Settings without which the case says nothing.
    pub needs: Vec<Feature>,
    /// Settings under which the contract says otherwise.
    pub contradicts: Vec<Feature>,
    /// What it waits for.
    pub wait: Wait,
    /// The code.
    pub run: Run,
}

/// A case over plain HTTP that needs nothing special.
pub fn case<F, Running>(id: &'static str, title: &'static str, contract: &'static str, run: F) -> Case
where
    F: Fn(Context) -> Running + Send + Sync + 'static,
    Running: Future<Output = Result<()>> + Send + 'static,
{
    Case {
        id,
        title,
        contract,
        transports: crate::transport::HTTP,
        also: &[],
        needs: Vec::new(),
        contradicts: Vec::new(),
        wait: Wait::Nothing,
        run: Box::new(move |context| Box::pin(run(context))),
    }
}

impl Case {
    /// The same over these transports.
    #[must_use]
    pub fn over(mut self, transports: &'static [Transport]) -> Self {
        self.transports = transports;
        self
    }

    /// The same, using these transports besides.
    #[must_use]
    pub fn also(mut self, transports: &'static [Transport]) -> Self {
        self.also = transports;
        self
    }

    /// The same, but only for servers with this setting.
    #[must_use]
    pub fn needs(mut self, feature: Feature) -> Self {
        self.needs.push(feature);
        self
    }

    /// The same, but not for servers with this setting.
    #[must_use]
    pub fn unless(mut self, feature: Feature) -> Self {
        self.contradicts.push(feature);
        self
    }

    /// The same with more time.
    #[must_use]
    pub fn waits(mut self, wait: Wait) -> Self {
        self.wait = wait;
        self
    }
}
