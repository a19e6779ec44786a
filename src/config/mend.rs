//! Turns a tree into a configuration however much of it is wrong: what does not fit is reported, taken out, and the rest
//! tried again, so that one mistake never hides another.
//!
//! Called by `load` alone. Never changes a value into another one, but for text whose TOML reading does not fit.

use super::{
    fit::{Misfit, Reason},
    problems::Problem,
    tree::{Kind, Node, Path},
};
use serde::de::DeserializeOwned;
use toml::Value;

/// The configuration that the fitting part of `tree` gives; `tree` keeps only that part.
pub(super) fn fit<C: DeserializeOwned + Default>(
    tree: &mut Node,
    every_key: &[String],
    problems: &mut Vec<Problem>,
) -> C {
    let mut mended: Vec<Path> = Vec::new();
    loop {
        let misfit = match C::deserialize(&*tree) {
            Ok(config) => return config,
            Err(misfit) => misfit,
        };
        if read_as_text::<C>(tree, &misfit) {
            continue;
        }
        // A table that misses a key because that key was wrong and taken out has no second problem.
        let follows =
            matches!(misfit.reason, Reason::MissingKey(_)) && mended.iter().any(|p| p.starts_with(&misfit.path));
        if !follows {
            let sources = tree.at(&misfit.path).map(Node::sources).unwrap_or_default();
            problems.extend(sources.into_iter().map(|origin| Problem::of_misfit(origin, &misfit, every_key)));
        }
        if !tree.remove(&misfit.path) {
            return C::default();
        }
        mended.push(misfit.path);
    }
}

/// Replaces the TOML reading of a text by the text itself where that fits, and says whether it did.
fn read_as_text<C: DeserializeOwned>(tree: &mut Node, misfit: &Misfit) -> bool {
    let on_the_way = (0..=misfit.path.0.len()).map(|length| Path(misfit.path.0[..length].to_vec()));
    let found = on_the_way.into_iter().find_map(|path| {
        let text = tree.at(&path)?.text.clone()?;
        Some((path, text))
    });
    let Some((path, text)) = found else { return false };
    let Some(node) = tree.at_mut(&path) else { return false };
    node.text = None;
    let first_reading = std::mem::replace(&mut node.kind, Kind::Scalar(Value::String(text)));
    // Fitting is deterministic, so a tree that now fails elsewhere has passed this place.
    let fits = C::deserialize(&*tree).map_or_else(|again| !again.path.starts_with(&path), |_| true);
    if !fits && let Some(node) = tree.at_mut(&path) {
        node.kind = first_reading;
    }
    fits
}
