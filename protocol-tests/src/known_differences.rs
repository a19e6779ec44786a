//! The files that say where a server is known to differ from the contract, and why.
//!
//! Read by `main` before anything runs. An entry names a case, or a case on one transport in brackets; an entry that
//! names no case is an error, so that the files cannot rot unseen.

use crate::{case::Case, transport::Transport};
use anyhow::{Context, Result, bail};
use std::{collections::BTreeMap, path::Path};

/// Case name to reason.
#[derive(Debug, Default)]
pub struct KnownDifferences(BTreeMap<String, String>);

impl KnownDifferences {
    /// Reads a file and holds it against the table of cases.
    pub fn read(path: &Path, cases: &[Case]) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text, cases).with_context(|| format!("in {}", path.display()))
    }

    fn parse(text: &str, cases: &[Case]) -> Result<Self> {
        let entries: BTreeMap<String, String> = toml::from_str(text)?;
        for name in entries.keys() {
            let (id, transport) = split(name);
            let Some(case) = cases.iter().find(|case| case.id == id) else { bail!("there is no case \"{id}\"") };
            if let Some(transport) = transport
                && !case.transports.iter().any(|known| known.name() == transport)
            {
                bail!("\"{id}\" is not run over \"{transport}\"");
            }
        }
        Ok(Self(entries))
    }

    /// Why this case is expected to fail, if it is.
    pub fn reason(&self, id: &str, transport: Transport) -> Option<&str> {
        let on_transport = self.0.get(&format!("{id}[{transport}]"));
        on_transport.or_else(|| self.0.get(id)).map(String::as_str)
    }
}

fn split(name: &str) -> (&str, Option<&str>) {
    match name.strip_suffix(']').and_then(|name| name.split_once('[')) {
        Some((id, transport)) => (id, Some(transport)),
        None => (name, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{case::case, transport::REQUESTS};

    fn table() -> Vec<Case> {
        vec![case("a.b", "", "", |_| async { Ok(()) }).over(REQUESTS)]
    }

    #[test]
    fn an_entry_may_be_for_all_transports_or_for_one() {
        let known = KnownDifferences::parse("\"a.b\" = \"all\"\n\"a.b[websocket]\" = \"ws\"", &table()).unwrap();
        assert_eq!(known.reason("a.b", Transport::LongPolling), Some("all"));
        assert_eq!(known.reason("a.b", Transport::WebSocket), Some("ws"));
        assert_eq!(known.reason("a.c", Transport::WebSocket), None);
    }

    #[test]
    fn entries_that_name_nothing_are_errors() {
        for bad in ["\"a.c\" = \"x\"", "\"a.b[eventsource]\" = \"x\""] {
            assert!(KnownDifferences::parse(bad, &table()).is_err(), "{bad}");
        }
    }
}
