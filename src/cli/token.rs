//! `bayeuxd token`: makes a JWT for development, signed with the shared secret of the configuration or of a flag.

use super::{Failure, settings::SetFlags};
use crate::access::{hidden::Hidden, mint::mint, settings::JwtSettings};
use serde_json::{Map, Value};
use std::{
    io::{self, Write},
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Make a token for development
#[derive(Debug, clap::Args)]
pub(super) struct Token {
    /// The user
    #[arg(long = "sub", value_name = "USER")]
    user: String,
    /// A claim to add, as JSON where that fits, else as text; may be given several times
    #[arg(long = "claim", value_name = "NAME=VALUE", value_parser = claim)]
    claims: Vec<(String, Value)>,
    /// How long it is valid
    #[arg(long, default_value = "1h", value_parser = humantime::parse_duration)]
    ttl: Duration,
    /// The configuration whose first [[jwt]] with a secret accepts it
    #[arg(long, value_name = "FILE", required_unless_present = "secret")]
    config: Option<PathBuf>,
    /// The shared secret, instead of a configuration
    #[arg(long, conflicts_with = "config")]
    secret: Option<String>,
}

impl Token {
    pub(super) fn run(self) -> Result<(), Failure> {
        let issuer = match self.secret {
            Some(secret) => JwtSettings { secret: Some(Hidden::new(secret)), ..JwtSettings::default() },
            None => configured(self.config)?,
        };
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let claims: Map<String, Value> = self.claims.into_iter().collect();
        let token = mint(&issuer, &self.user, claims, self.ttl, now_s).map_err(Failure::Usage)?;
        writeln!(io::stdout().lock(), "{}", token.reveal())?;
        Ok(())
    }
}

fn configured(file: Option<PathBuf>) -> Result<JwtSettings, Failure> {
    let config = SetFlags::default().load(file, [])?.config;
    let has_secret = |jwt: &JwtSettings| jwt.secret.is_some() || jwt.secret_file.is_some() || jwt.secret_env.is_some();
    let none = || Failure::Usage("the configuration has no [[jwt]] with a secret".into());
    config.jwt.into_iter().find(has_secret).ok_or_else(none)
}

fn claim(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or("must be like team=red")?;
    Ok((name.into(), serde_json::from_str(value).unwrap_or_else(|_| value.into())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn claims_are_json_where_that_fits() {
        assert_eq!(claim("team=red").unwrap(), ("team".into(), json!("red")));
        assert_eq!(claim("n=7").unwrap().1, json!(7));
        assert_eq!(claim("teams=[\"a\",\"b\"]").unwrap().1, json!(["a", "b"]));
        assert_eq!(claim("x=a=b").unwrap().1, json!("a=b"));
        assert!(claim("red").is_err() && claim("=red").is_err());
    }
}
