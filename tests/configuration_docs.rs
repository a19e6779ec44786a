//! Keeps `docs/configuration.md` current: it is made from the defaults and from the comments on the settings' fields.
//!
//! `UPDATE_DOCS=1 cargo test --test configuration_docs` writes it anew. Never lists a key by hand.

#![allow(clippy::expect_used, reason = "a test panics")]

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::{collections::BTreeMap, fmt::Write, fs, path::PathBuf};

const INTRODUCTION: &str = "\
# Configuration

<!-- Made by `UPDATE_DOCS=1 cargo test --test configuration_docs`; a test fails when it is out of date. -->

Three layers, a later one wins: a TOML file (`bayeuxd serve --config FILE`), the environment, flags.

```toml
[broker]
timeout = \"45s\"
```

```sh
BAYEUXD__BROKER__TIMEOUT=45s bayeuxd serve
bayeuxd serve --set broker.timeout=45s
```

- In the environment, `__` stands for the dot of a key; capital or small letters make no difference.
- Values of the environment and of `--set` are read as TOML where that fits (`5`, `true`, `[\"http://a\"]`), else as text.
- Durations carry their unit: `\"500ms\"`, `\"30s\"`, `\"1h 30m\"`. Sizes are bytes or carry one: `\"64KiB\"`, `\"1MiB\"`.
- An unknown key is an error, and all problems are reported at once. `bayeuxd check-config FILE` prints them without
  starting anything, or else every value with who set it.
- `--listen ADDR` is short for `--set server.listen=ADDR`, `--open` for `--set server.open=true`.
- `RUST_LOG` overrides `log.level`.
";

#[derive(Debug)]
struct Member {
    name: String,
    comment: String,
    /// The last word of the type; empty for a variant.
    kind: String,
    /// Whether there may be several.
    is_list: bool,
}

/// Structs and enums by name, each with its fields or variants in order.
type Types = BTreeMap<String, Vec<Member>>;

/// The types that a source declares with named fields or variants.
fn types(source: &str) -> Types {
    let tokens: Vec<TokenTree> = source.parse::<TokenStream>().expect("the file is Rust").into_iter().collect();
    let declared = tokens.windows(3).filter_map(|three| match three {
        [TokenTree::Ident(keyword), TokenTree::Ident(name), TokenTree::Group(body)]
            if (*keyword == "struct" || *keyword == "enum") && body.delimiter() == Delimiter::Brace =>
        {
            Some((name.to_string(), members(body.stream())))
        }
        _ => None,
    });
    declared.collect()
}

/// The text of `#[doc = "…"]`.
fn doc(attribute: TokenStream) -> Option<String> {
    let tokens: Vec<TokenTree> = attribute.into_iter().collect();
    match tokens.as_slice() {
        [TokenTree::Ident(name), _, TokenTree::Literal(text)] if *name == "doc" => {
            let text: toml::Value = text.to_string().parse().expect("a comment is a text");
            text.as_str().map(|text| text.trim().to_owned())
        }
        _ => None,
    }
}

/// The fields or variants of a body.
fn members(body: TokenStream) -> Vec<Member> {
    let tokens: Vec<TokenTree> = body.into_iter().collect();
    let mut found = Vec::new();
    for member in tokens.split(|token| matches!(token, TokenTree::Punct(p) if p.as_char() == ',')) {
        let comment = member.iter().filter_map(|token| match token {
            TokenTree::Group(group) => doc(group.stream()),
            _ => None,
        });
        let comment = comment.collect::<Vec<_>>().join(" ");
        let words: Vec<String> = member
            .iter()
            .filter_map(|token| match token {
                TokenTree::Ident(word) if *word != "pub" => Some(word.to_string()),
                _ => None,
            })
            .collect();
        if let Some((name, kind)) = words.split_first() {
            let is_list = kind.iter().any(|word| word == "Vec");
            found.push(Member { name: name.clone(), comment, kind: kind.last().cloned().unwrap_or_default(), is_list });
        }
    }
    found
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn all_types() -> Types {
    let mut files = vec![root().join("src/config/mod.rs")];
    let rooms =
        fs::read_dir(root().join("src")).expect("src is there").map(|room| room.expect("src can be read").path());
    for room in rooms.filter(|room| room.is_dir()) {
        let inside =
            fs::read_dir(room).expect("the room can be read").map(|file| file.expect("so can its files").path());
        // `cli/settings.rs` holds flags, not settings.
        let holds_settings = |file: &PathBuf| {
            file.to_str().is_some_and(|name| name.ends_with("settings.rs")) && !file.ends_with("cli/settings.rs")
        };
        files.extend(inside.filter(holds_settings));
    }
    files.iter().flat_map(|file| types(&fs::read_to_string(file).expect("the file can be read"))).collect()
}

/// Writes the section `key`, then the sections inside it.
fn section(out: &mut String, key: &str, of: &Member, all: &Types, defaults: &BTreeMap<String, String>) {
    let members = &all[&of.kind];
    let (title, about) = (if of.is_list { format!("[[{key}]]") } else { format!("[{key}]") }, &of.comment);
    let is_section =
        |member: &&Member| all.get(&member.kind).is_some_and(|members| members.iter().any(|m| !m.kind.is_empty()));
    let (inner, keys): (Vec<&Member>, Vec<&Member>) = members.iter().partition(is_section);
    write!(out, "\n## `{title}`\n\n{about}\n\n| key | default | meaning |\n| --- | --- | --- |\n")
        .expect("a String takes all");
    for member in keys {
        let default =
            defaults.get(&format!("{key}.{}", member.name)).map_or("—".into(), |value| format!("`{value}`"));
        let choices: String = all.get(&member.kind).map(|variants| choices(variants)).unwrap_or_default();
        let meaning = format!("{}{choices}", member.comment).replace('|', "\\|");
        writeln!(out, "| `{}` | {default} | {meaning} |", member.name).expect("a String takes all");
    }
    for member in inner {
        section(out, &format!("{key}.{}", member.name), member, all, defaults);
    }
}

/// What may stand for an enum's value.
fn choices(variants: &[Member]) -> String {
    let choice = |variant: &Member| format!("<br>`\"{}\"`: {}", variant.name.to_lowercase(), variant.comment);
    variants.iter().map(choice).collect()
}

fn page() -> String {
    let loaded = bayeuxd::config::load(bayeuxd::config::Sources::default()).expect("the defaults are sound");
    let defaults = loaded.settings.into_iter().map(|setting| (setting.key, setting.value)).collect();
    let all = all_types();
    let mut out = INTRODUCTION.to_owned();
    for member in &all["Config"] {
        section(&mut out, &member.name, member, &all, &defaults);
    }
    out
}

#[test]
fn the_page_is_current() {
    let file = root().join("docs/configuration.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&file, page()).expect("the page can be written");
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == page(),
        "docs/configuration.md is out of date: UPDATE_DOCS=1 cargo test --test configuration_docs"
    );
}

#[test]
fn every_setting_has_its_line_and_a_meaning() {
    let page = page();
    let loaded = bayeuxd::config::load(bayeuxd::config::Sources::default()).expect("the defaults are sound");
    for setting in loaded.settings {
        let (section, key) = setting.key.rsplit_once('.').expect("every setting is in a section");
        let at = page.find(&format!("## `[{section}]`")).unwrap_or_else(|| panic!("no section {section}"));
        let line = page[at..].lines().find(|line| line.starts_with(&format!("| `{key}` | "))).unwrap_or_default();
        let meaning = line.split(" | ").nth(2).unwrap_or_default().trim_end_matches(" |");
        assert!(meaning.len() > 5, "{}: {line:?}", setting.key);
        assert!(line.contains(&setting.value), "{}: {line:?}", setting.key);
    }
}
