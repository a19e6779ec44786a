//! The configuration as it came out, each value with its origin: what `check-config` shows and the docs are made from.
//!
//! Called by `load` and by the test that keeps `docs/configuration.md` current. Never shows the value of a secret.

use super::{
    Config,
    tree::{Node, Origin, Path, Step},
};
use toml::Value;

/// What a masked value is shown as.
const MASK: &str = "\"***\"";
/// A key with one of these in its name, or in its section's name, holds a secret.
const SECRET_NAMES: [&str; 4] = ["key", "secret", "token", "password"];

/// One key of the effective configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Dotted, with indices where tables are listed: `rule[2].allow`.
    pub key: String,
    /// As TOML; masked when the key names a secret.
    pub value: String,
    /// Who said so.
    pub origin: Origin,
}

/// Whether the value at `path` must not be shown.
pub(super) fn is_secret(path: &Path) -> bool {
    path.0.iter().any(|step| match step {
        Step::Key(name) => SECRET_NAMES.iter().any(|secret| name.to_ascii_lowercase().contains(secret)),
        Step::Index(_) => false,
    })
}

/// Every key of `config` in the order of its sections, with the origin that `given` knows of it.
pub(super) fn settings(config: &Config, given: &Node) -> Result<Vec<Setting>, toml::ser::Error> {
    Ok(listed(Value::try_from(config)?, given))
}

/// Every value in `effective` that is no table.
pub(super) fn listed(effective: Value, given: &Node) -> Vec<Setting> {
    leaves(effective)
        .into_iter()
        .map(|(path, value)| {
            let is_empty = value.as_str().is_some_and(str::is_empty) || value.as_array().is_some_and(Vec::is_empty);
            Setting {
                origin: origin(given, &path),
                value: if is_secret(&path) && !is_empty { MASK.into() } else { value.to_string() },
                key: path.to_string(),
            }
        })
        .collect()
}

/// The origin of the value at `path`; the default where nobody gave that very key.
pub(super) fn origin(given: &Node, path: &Path) -> Origin {
    given.at(path).map_or(Origin::Default, |node| node.origin.clone())
}

/// Who gave what is wrong at `path`. In an element of a list that is, when the very key was not given, whoever gave the
/// element: what misses there has no line of its own.
pub(super) fn blamed(given: &Node, path: &Path) -> Origin {
    let elements =
        path.0.iter().position(|step| matches!(step, Step::Index(_))).map_or(path.0.len(), |index| index + 1);
    let within = (elements..=path.0.len()).rev().filter_map(|length| path.0.get(..length));
    let node = within.filter_map(|steps| given.at(&Path(steps.to_vec()))).next();
    node.map_or(Origin::Default, |node| node.origin.clone())
}

/// The values that are no tables, each with its path.
fn leaves(value: Value) -> Vec<(Path, Value)> {
    fn walk(path: &Path, value: Value, found: &mut Vec<(Path, Value)>) {
        match value {
            Value::Table(table) => {
                table.into_iter().for_each(|(key, value)| walk(&path.child(Step::Key(key)), value, found));
            }
            Value::Array(array) if array.first().is_some_and(Value::is_table) => {
                let elements = array.into_iter().enumerate();
                elements.for_each(|(index, value)| walk(&path.child(Step::Index(index)), value, found));
            }
            value => found.push((path.clone(), value)),
        }
    }
    let mut found = Vec::new();
    walk(&Path::default(), value, &mut found);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_any_part_of_their_key() {
        for key in ["backend.signing_secret", "api_key[0].hash", "admin.PASSWORD", "access.token.value"] {
            assert!(is_secret(&Path::of_dotted(key)), "{key}");
        }
        assert!(!is_secret(&Path::of_dotted("broker.timeout")));
    }
}
