//! Holds the house to its plan: which room may use which, which crates stay out of which room, how a file begins and
//! how long it may get, and that ARCHITECTURE.md knows every room.
//!
//! Reads the sources as tokens, so that comments, texts and macros neither hide a use nor look like one. Test modules
//! are left out: they may reach anywhere. The tokens come from `proc-macro2`, the lexer that every derive uses.

#![allow(clippy::expect_used, reason = "a test panics")]

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// A file longer than this holds more than one idea.
const MAX_LINES: usize = 450;

/// A room of the house.
struct Room {
    name: &'static str,
    /// It may use rooms on lower floors only.
    floor: u8,
    /// Lower rooms that it must not use all the same.
    never_rooms: &'static [&'static str],
    /// Crates that would bring in what never happens there.
    never_crates: &'static [&'static str],
}

const fn room(name: &'static str, floor: u8) -> Room {
    Room { name, floor, never_rooms: &[], never_crates: &[] }
}

/// Everything that knows HTTP.
const HTTP: &[&str] = &["axum", "hyper", "hyper_util", "http", "http_body", "http_body_util", "tower", "tower_http"];

/// The table of ARCHITECTURE.md.
const ROOMS: &[Room] = &[
    room("main", 9),
    // Protocol logic has no place on the command line.
    Room { never_rooms: &["bayeux", "broker", "engine", "transport"], never_crates: HTTP, ..room("cli", 8) },
    room("server", 7),
    Room { never_crates: &["axum", "hyper", "tokio", "tracing"], ..room("config", 6) },
    room("api", 5),
    Room { never_rooms: &["engine"], ..room("transport", 4) },
    Room { never_crates: &["hyper", "hyper_util"], ..room("access", 4) },
    room("backend", 4),
    Room { never_crates: HTTP, ..room("extension", 4) },
    Room { never_crates: HTTP, ..room("broker", 3) },
    Room { never_crates: HTTP, ..room("engine", 2) },
    Room { never_rooms: &["bayeux", "units"], never_crates: &["axum", "hyper"], ..room("client", 2) },
    Room { never_crates: &["tokio", "tracing", "axum", "hyper", "http"], ..room("bayeux", 1) },
    room("units", 0),
];

/// What the table would forbid and the plan allows.
const ALLOWED: &[(&str, &str)] = &[
    // It nests the settings of every room, also of the one above it.
    ("config", "server::settings"),
    // The value that a delivery carries; the log itself stays out of reach.
    ("transport", "engine::Publication"),
];

fn the(name: &str) -> Option<&'static Room> {
    ROOMS.iter().find(|room| room.name == name)
}

/// `broker` for `src/broker/verb/connect.rs`, `units` for `src/units.rs`; nothing for `src/lib.rs`.
fn room_of(file: &Path) -> Option<&str> {
    let mut parts = file.strip_prefix("src").ok()?.components();
    let first = parts.next()?.as_os_str().to_str()?;
    Some(first.strip_suffix(".rs").unwrap_or(first)).filter(|name| *name != "lib")
}

/// How many modules deep the file's own module is.
fn depth(file: &Path) -> usize {
    let parts = file.components().count() - 1;
    if file.ends_with("mod.rs") { parts - 1 } else { parts }
}

/// Every path that a file's code begins at the crate (`broker::settings`) or at a dependency (`tokio`).
#[derive(Default)]
struct Uses {
    rooms: BTreeSet<String>,
    crates: BTreeSet<String>,
    /// Modules in files of their own that exist in tests only.
    test_files: BTreeSet<String>,
}

fn uses(source: &str, depth: usize) -> Uses {
    let mut found = Uses::default();
    let tokens: TokenStream = source.parse().expect("the file is Rust");
    scan(tokens, depth, &mut found);
    found
}

fn scan(tokens: TokenStream, depth: usize, found: &mut Uses) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        if is_cfg_test(&tokens[at..]) {
            at += skip_test_item(&tokens[at..], found);
            continue;
        }
        match &tokens[at] {
            TokenTree::Group(group) => scan(group.stream(), depth, found),
            TokenTree::Ident(ident) if at < 2 || !is_path_separator(&tokens[at - 2..]) => {
                note(&ident.to_string(), &tokens[at + 1..], depth, found);
            }
            _ => {}
        }
        at += 1;
    }
}

fn is_path_separator(tokens: &[TokenTree]) -> bool {
    let colon = |token: Option<&TokenTree>| matches!(token, Some(TokenTree::Punct(p)) if p.as_char() == ':');
    colon(tokens.first()) && colon(tokens.get(1))
}

/// Notes a path that begins with `first`.
fn note(first: &str, rest: &[TokenTree], depth: usize, found: &mut Uses) {
    if !is_path_separator(rest) {
        return;
    }
    match first {
        "crate" => note_rooms("", &rest[2..], found),
        "super" => {
            let (mut levels, mut rest) = (1, &rest[2..]);
            while matches!(rest, [TokenTree::Ident(next), ..] if *next == "super") && is_path_separator(&rest[1..]) {
                (levels, rest) = (levels + 1, &rest[3..]);
            }
            if levels >= depth {
                note_rooms("", rest, found);
            }
        }
        name => drop(found.crates.insert(name.to_owned())),
    }
}

/// Notes what comes after `crate::`: one path, or several in braces.
fn note_rooms(prefix: &str, rest: &[TokenTree], found: &mut Uses) {
    match rest.first() {
        Some(TokenTree::Ident(name)) => {
            let path = format!("{prefix}{name}");
            if prefix.is_empty() && is_path_separator(&rest[1..]) {
                note_rooms(&format!("{path}::"), &rest[3..], found);
            } else {
                found.rooms.insert(path);
            }
        }
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
            let inside: Vec<TokenTree> = group.stream().into_iter().collect();
            let comma = |token: &TokenTree| matches!(token, TokenTree::Punct(p) if p.as_char() == ',');
            inside.split(comma).filter(|path| !path.is_empty()).for_each(|path| note_rooms(prefix, path, found));
        }
        _ => drop(found.rooms.insert(format!("{prefix}*"))),
    }
}

fn is_cfg_test(tokens: &[TokenTree]) -> bool {
    match tokens {
        [TokenTree::Punct(hash), TokenTree::Group(group), ..] if hash.as_char() == '#' => {
            group.stream().to_string().replace(' ', "") == "cfg(test)"
        }
        _ => false,
    }
}

/// The length of the attribute and the item after it, which ends with its body or a semicolon.
fn skip_test_item(tokens: &[TokenTree], found: &mut Uses) -> usize {
    for (at, token) in tokens.iter().enumerate().skip(2) {
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => return at + 1,
            TokenTree::Punct(end) if end.as_char() == ';' => {
                if let [TokenTree::Ident(keyword), TokenTree::Ident(name)] = &tokens[at - 2..at]
                    && *keyword == "mod"
                {
                    found.test_files.insert(name.to_string());
                }
                return at + 1;
            }
            _ => {}
        }
    }
    tokens.len()
}

/// What `file` uses against the plan.
fn violations(file: &Path, uses: &Uses) -> Vec<String> {
    let Some(name) = room_of(file) else { return Vec::new() };
    let Some(room) = the(name) else { return vec![format!("{}: the room {name} is not in the table", file.display())] };
    let mut found = Vec::new();
    for path in &uses.rooms {
        let used = path.split("::").next().unwrap_or_default();
        let Some(other) = the(used).filter(|other| other.name != name) else { continue };
        let is_allowed = ALLOWED.contains(&(name, path.as_str()));
        if !is_allowed && (other.floor >= room.floor || room.never_rooms.contains(&used)) {
            found.push(format!("{}: {name} must not use {path}", file.display()));
        }
    }
    for used in uses.crates.iter().filter(|used| room.never_crates.contains(&used.as_str())) {
        found.push(format!("{}: {name} must not use the crate {used}", file.display()));
    }
    found
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files below `folder` by their path from the root, with their text.
fn sources(folder: &str) -> BTreeMap<PathBuf, String> {
    fn walk(folder: &Path, found: &mut BTreeMap<PathBuf, String>) {
        for entry in fs::read_dir(folder).expect("the folder is there") {
            let path = entry.expect("the folder can be read").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("the file can be read");
                found.insert(path.strip_prefix(root()).expect("it is below the root").to_owned(), text);
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(&root().join(folder), &mut found);
    assert!(!found.is_empty(), "no Rust file below {folder}");
    found
}

#[test]
fn every_room_uses_only_rooms_below_it() {
    let files = sources("src");
    let uses: BTreeMap<&PathBuf, Uses> = files.iter().map(|(file, text)| (file, uses(text, depth(file)))).collect();
    // A module of tests is a file or a folder.
    let tests: BTreeSet<PathBuf> = uses
        .iter()
        .flat_map(|(file, uses)| {
            let heads_folder = ["mod.rs", "lib.rs"].iter().any(|name| file.ends_with(name));
            let folder = if heads_folder { file.with_file_name("") } else { file.with_extension("") };
            uses.test_files.iter().map(move |name| folder.join(name)).collect::<Vec<_>>()
        })
        .collect();
    let found: Vec<String> = uses
        .iter()
        .filter(|(file, _)| !file.with_extension("").ancestors().any(|place| tests.contains(place)))
        .flat_map(|(file, uses)| violations(file, uses))
        .collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn a_planted_violation_is_found() {
    let check = |file: &str, source: &str| {
        let file = Path::new(file);
        violations(file, &uses(source, depth(file)))
    };
    for (file, source) in [
        ("src/broker/x.rs", "use crate::transport::Body;"),
        ("src/broker/x.rs", "use crate::{bayeux::Advice, transport::{Body, Head}};"),
        ("src/broker/verb/x.rs", "fn f() { super::super::super::transport::g() }"),
        ("src/broker/mod.rs", "use super::server;"),
        ("src/broker/x.rs", "fn f() { g!(a = crate::server::b()); }"),
        ("src/broker/x.rs", "use axum::Router;"),
        ("src/bayeux/x.rs", "async fn f() { tokio::task::yield_now().await }"),
        ("src/transport/x.rs", "use crate::engine::Engine;"),
        ("src/transport/x.rs", "use crate::extension::Ack;"),
        ("src/config/x.rs", "use crate::server::run;"),
        ("src/config/x.rs", "use crate::server::*;"),
        ("src/client/x.rs", "use crate::bayeux::Message;"),
        ("src/kitchen/mod.rs", "fn f() {}"),
    ] {
        assert!(!check(file, source).is_empty(), "{file}: {source}");
    }
    for (file, source) in [
        ("src/broker/x.rs", "use crate::{bayeux::Advice, engine, units};"),
        ("src/broker/x.rs", "use super::transport; // a module of this room"),
        ("src/broker/x.rs", "// crate::transport\nconst A: &str = \"crate::transport::B\";"),
        ("src/broker/x.rs", "#[cfg(test)]\nmod tests { use crate::transport::Body; }"),
        ("src/broker/x.rs", "#[cfg(test)]\nmod tests;\nfn f() { my::axum::g() }"),
        ("src/config/x.rs", "use crate::server::settings::ServerSettings;"),
        ("src/lib.rs", "pub use crate::server::run;"),
    ] {
        assert_eq!(check(file, source), Vec::<String>::new(), "{file}: {source}");
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    let mut files = sources("src");
    files.extend(sources("protocol-tests/src"));
    files.extend(sources("tests"));
    let silent: Vec<&PathBuf> =
        files.iter().filter(|(_, text)| !text.starts_with("//! ")).map(|(file, _)| file).collect();
    assert!(silent.is_empty(), "these do not begin with //! and their purpose: {silent:?}");
}

#[test]
fn no_file_is_too_long() {
    let mut files = sources("src");
    files.extend(sources("protocol-tests/src"));
    let long: Vec<String> = files
        .iter()
        .map(|(file, text)| (file, text.lines().count()))
        .filter(|(_, lines)| *lines > MAX_LINES)
        .map(|(file, lines)| format!("{} has {lines} lines", file.display()))
        .collect();
    assert!(long.is_empty(), "more than {MAX_LINES} lines: {long:?}");
}

#[test]
fn the_plan_names_every_room() {
    let plan = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md is there");
    let files = sources("src");
    let rooms: BTreeSet<&str> = files.keys().filter_map(|file| room_of(file)).collect();
    let unnamed: Vec<&&str> = rooms
        .iter()
        .filter(|room| !plan.contains(&format!("`{room}/`")) && !plan.contains(&format!("`{room}.rs`")))
        .collect();
    assert!(unnamed.is_empty(), "ARCHITECTURE.md does not name {unnamed:?}");
}

#[test]
fn the_plan_has_a_reason_for_every_dependency() {
    let plan = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md is there");
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml is there");
    let manifest: toml::Table = manifest.parse().expect("Cargo.toml is TOML");
    let names = ["dependencies", "dev-dependencies"].iter().filter_map(|section| manifest[*section].as_table());
    let unnamed: Vec<&String> =
        names.flat_map(toml::Table::keys).filter(|name| !plan.contains(&format!("`{name}`"))).collect();
    assert!(unnamed.is_empty(), "ARCHITECTURE.md says of none of these why it is used: {unnamed:?}");
}
