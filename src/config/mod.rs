//! The configuration: nests the `settings.rs` of every room and fills it from file, environment and flags.
//!
//! Called by `cli`. A later layer wins over an earlier one: default < file < environment < flag. All problems are
//! reported at once, each with its place and its dotted key. Nothing here knows what a setting does.

mod effective;
mod fit;
mod layers;
mod mend;
mod problems;
#[cfg(test)]
mod tests;
mod tree;

pub use effective::Setting;
pub use layers::{ENVIRONMENT_PREFIX, Flag};
pub use problems::{Problem, Problems};
pub use tree::Origin;

use crate::{
    access::{
        self,
        rate_settings::RateSettings,
        settings::{AccessSettings, JwtSettings, KeySettings, RuleSettings, RuleTestSettings},
    },
    api::settings::ApiSettings,
    backend::settings::{BackendSettings, EventsSettings, ForwardSettings, HookSettings, Plan, ServiceSettings},
    broker::settings::{BrokerSettings, ChannelSettings},
    engine::settings::EngineSettings,
    extension::settings::ExtensionSettings,
    server::settings::{LogSettings, ServerSettings},
    transport::settings::TransportSettings,
};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use tree::{Node, Path};

/// All settings there are, one section a room.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where it listens and how it ends.
    pub server: ServerSettings,
    /// Sessions, queues and channels: how long, how many, how much.
    pub broker: BrokerSettings,
    /// The clients' side of HTTP and WebSocket.
    pub transport: TransportSettings,
    /// The backends' side of HTTP: publish, sessions, channels, history.
    pub api: ApiSettings,
    /// What Bayeux extensions do for clients that use them.
    pub extension: ExtensionSettings,
    /// What keys, tokens and rules have in common.
    pub access: AccessSettings,
    /// Who has an API key; one `[[key]]` each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<KeySettings>,
    /// Whose tokens are accepted; one `[[jwt]]` for each issuer or key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub jwt: Vec<JwtSettings>,
    /// Who may do what: the first `[[rule]]` that matches decides, and what none matches is denied.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rule: Vec<RuleSettings>,
    /// What the rules must come to; one `[[rule_test]]` each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rule_test: Vec<RuleTestSettings>,
    /// How often whom may do what: token buckets.
    pub rates: RateSettings,
    /// What holds the log, and how much of it is kept.
    pub engine: EngineSettings,
    /// What is kept of channels, and how they are delivered; one `[[channel]]` for each pattern.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub channel: Vec<ChannelSettings>,
    /// How the user's backends are called.
    pub backend: BackendSettings,
    /// Who serves a service channel; one `[[service]]` each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub service: Vec<ServiceSettings>,
    /// Who is asked before something takes effect; one `[[hook]]` each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hook: Vec<HookSettings>,
    /// Who is given a copy of what is published; one `[[forward]]` each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub forward: Vec<ForwardSettings>,
    /// Who hears what happens to sessions and channels; one `[[events]]` each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<EventsSettings>,
    /// What is logged, and how it looks.
    pub log: LogSettings,
}

impl Config {
    /// Reports every value that cannot work, as (dotted key, what is wrong).
    fn validate(&self, problem: &mut dyn FnMut(String, String)) {
        self.server.validate(&mut |key, text| problem(format!("server.{key}"), text));
        self.broker.validate(&mut |key, text| problem(format!("broker.{key}"), text));
        self.transport.validate(&mut |key, text| problem(format!("transport.{key}"), text));
        self.api.validate(&mut |key, text| problem(format!("api.{key}"), text));
        self.extension.validate(&mut |key, text| problem(format!("extension.{key}"), text));
        self.rates.validate(&mut |key, text| problem(format!("rates.{key}"), text));
        self.engine.validate(&mut |key, text| problem(format!("engine.{key}"), text));
        for (number, channel) in self.channel.iter().enumerate() {
            let limits = self.broker.channel_limits();
            channel.validate(limits, &mut |key, text| problem(format!("channel[{number}].{key}"), text));
        }
        self.calls().validate(problem);
        self.access().validate(problem);
    }

    /// Everything about access, as the server takes it.
    pub fn access(&self) -> access::Plan {
        access::Plan {
            common: self.access.clone(),
            keys: self.key.clone(),
            jwts: self.jwt.clone(),
            rules: self.rule.clone(),
            tests: self.rule_test.clone(),
        }
    }

    /// Everything about calls to backends, as the server takes it.
    pub fn calls(&self) -> Plan {
        Plan {
            common: self.backend.clone(),
            services: self.service.clone(),
            hooks: self.hook.clone(),
            forwards: self.forward.clone(),
            events: self.events.clone(),
        }
    }
}

/// What a configuration is made from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The TOML file, if any.
    pub file: Option<PathBuf>,
    /// The environment, of which variables that begin with [`ENVIRONMENT_PREFIX`] count.
    pub environment: Vec<(String, String)>,
    /// The flags, in the order they were typed.
    pub flags: Vec<Flag>,
}

/// A configuration that can work.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// The values once more, each with its origin, secrets masked.
    pub settings: Vec<Setting>,
}

/// Reads all layers.
///
/// # Errors
/// Everything that is wrong in any of them.
pub fn load(sources: Sources) -> Result<Loaded, Problems> {
    let mut problems = Vec::new();
    let file = sources.file.and_then(|path| {
        let name = path.display().to_string();
        match std::fs::read_to_string(&path) {
            Ok(text) => Some((name, text)),
            Err(error) => {
                let origin = Origin::File { name: name.into(), line: 0 };
                problems.push(Problem::new(origin, "", format!("cannot be read: {error}")));
                None
            }
        }
    });
    assemble(file, sources.environment, &sources.flags, problems)
}

/// As [`load`], with the file's name and text in place of its path, and the problems met so far.
fn assemble(
    file: Option<(String, String)>,
    environment: Vec<(String, String)>,
    flags: &[Flag],
    mut problems: Vec<Problem>,
) -> Result<Loaded, Problems> {
    let mut given = Node::table(Origin::Default);
    if let Some((name, text)) = file {
        given.merge(layers::file(&name, &text, &mut problems));
    }
    given.merge(layers::environment(environment, &mut problems));
    given.merge(layers::flags(flags, &mut problems));

    let config: Config = mend::fit(&mut given, &every_key(), &mut problems);
    config.validate(&mut |key, text| {
        let origin = effective::blamed(&given, &Path::of_dotted(&key));
        problems.push(Problem::new(origin, key, text));
    });
    let settings = effective::settings(&config, &given).unwrap_or_else(|error| {
        problems.push(Problem::new(Origin::Default, "", format!("cannot be shown: {error}")));
        Vec::new()
    });
    if problems.is_empty() {
        return Ok(Loaded { config, settings });
    }
    problems.sort_by_key(|problem| problem.origin.rank());
    Err(Problems(problems))
}

/// All dotted keys that have a default.
fn every_key() -> Vec<String> {
    let defaults = effective::settings(&Config::default(), &Node::table(Origin::Default));
    defaults.unwrap_or_default().into_iter().map(|setting| setting.key).collect()
}
