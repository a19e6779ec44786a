//! Holds SECURITY.md to the tests: each that its tables name is there.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The text of all Rust files below a folder.
fn sources(folder: &Path) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all += &sources(&path);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all += &fs::read_to_string(path).unwrap();
        }
    }
    all
}

/// Whether there is such a test: `place::name`, `area.case`, either with a star at its end for several.
fn exists(name: &str, tests: &dyn Fn(&str) -> String, cases: &str) -> bool {
    if let Some((place, test)) = name.rsplit_once("::") {
        let text = tests(place);
        return if test == "*" { text.contains("#[tokio::test]") } else { text.contains(&format!("fn {test}(")) };
    }
    match name.strip_suffix('*') {
        Some(start) => cases.contains(&format!("\"{start}")),
        // A star in the middle stands for anything.
        None => match name.split_once('*') {
            Some((start, end)) => cases.contains(&format!("\"{start}")) && cases.contains(&format!("{end}\"")),
            None => cases.contains(&format!("\"{name}\"")),
        },
    }
}

#[test]
fn every_test_that_security_md_names_is_there() {
    let page = fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let cases = sources(&root().join("protocol-tests/src/cases"));
    let units = sources(&root().join("src"));
    let tests = |place: &str| {
        let (area, file) = place.split_once("::").unwrap_or(("attacks", place));
        let file = root().join(format!("tests/{area}/{file}.rs"));
        fs::read_to_string(file).unwrap_or_default() + &units
    };
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.contains("---"));
    let named: Vec<&str> = rows
        .filter_map(|row| row.trim_end_matches([' ', '|']).rsplit('|').next())
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    assert!(named.len() > 50, "{named:?}");
    let missing: Vec<_> = named.iter().filter(|name| !exists(name, &tests, &cases)).collect();
    assert!(missing.is_empty(), "SECURITY.md names no test: {missing:?}");
    assert!(!exists("slow::no_such_test", &tests, &cases) && !exists("limits.no_such", &tests, &cases));
}
