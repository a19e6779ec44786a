//! Tests of the whole of `config`: each layer, each kind of problem, all at once, origins and masks.

use super::{
    Config, Flag, Loaded, Origin, Problems, assemble, effective, layers, mend,
    tree::{Node, Path},
};
use crate::server::settings::LogFormat;
use serde::{Deserialize, Serialize};
use std::time::Duration;

fn load(file: &str, environment: &[(&str, &str)], sets: &[&str]) -> Result<Loaded, Problems> {
    let file = (!file.is_empty()).then(|| ("b.toml".to_owned(), file.to_owned()));
    let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let flags: Vec<Flag> = sets.iter().map(|set| Flag::set(set).unwrap()).collect();
    assemble(file, environment, &flags, Vec::new())
}

fn problems(file: &str, environment: &[(&str, &str)], sets: &[&str]) -> Vec<String> {
    load(file, environment, sets).unwrap_err().0.iter().map(ToString::to_string).collect()
}

fn setting(loaded: &Loaded, key: &str) -> (String, Origin) {
    let found = loaded.settings.iter().find(|setting| setting.key == key).unwrap();
    (found.value.clone(), found.origin.clone())
}

#[test]
fn nothing_given_is_the_defaults() {
    let loaded = load("", &[], &[]).unwrap();
    assert_eq!(loaded.config.broker.timeout, Duration::from_secs(30));
    assert_eq!(setting(&loaded, "broker.timeout"), ("\"30s\"".into(), Origin::Default));
    assert!(loaded.settings.iter().all(|setting| setting.origin == Origin::Default));
}

#[test]
fn a_later_layer_wins_and_says_so() {
    let file = "[broker]\ntimeout = \"1s\"\ninterval = \"2s\"\nmax_interval = \"3s\"\n";
    let environment =
        [("BAYEUXD__BROKER__INTERVAL", "20s"), ("bayeuxd__broker__max_interval", "30s"), ("PATH", "/bin")];
    let loaded = load(file, &environment, &["broker.max_interval=300s"]).unwrap();
    let broker = &loaded.config.broker;
    assert_eq!([broker.timeout, broker.interval, broker.max_interval].map(|d| d.as_secs()), [1, 20, 300]);
    assert_eq!(setting(&loaded, "broker.timeout").1.to_string(), "b.toml:2");
    assert_eq!(setting(&loaded, "broker.interval").1.to_string(), "environment BAYEUXD__BROKER__INTERVAL");
    assert_eq!(setting(&loaded, "broker.max_interval").1.to_string(), "--set broker.max_interval");
}

#[test]
fn text_is_read_as_toml_where_that_fits_and_as_text_elsewhere() {
    let environment = [
        ("BAYEUXD__BROKER__TIMEOUT", "45s"),
        ("BAYEUXD__BROKER__MAX_QUEUE", "5"),
        ("BAYEUXD__TRANSPORT__ALLOWED_ORIGINS", "[\"http://a\", \"http://b\"]"),
        ("BAYEUXD__TRANSPORT__COOKIE_NAME", "5"),
        ("BAYEUXD__BROKER__REQUIRE_COOKIE", "true"),
        ("BAYEUXD__TRANSPORT__MAX_MESSAGE_BYTES", "2MiB"),
        ("BAYEUXD__LOG__FORMAT", "json"),
        ("BAYEUXD__ENGINE__MEMORY__MAX_AGE", "\"5m\""),
    ];
    let config = load("", &environment, &["transport.max_frame_bytes=1024"]).unwrap().config;
    assert_eq!(config.broker.timeout, Duration::from_secs(45));
    assert_eq!(config.broker.max_queue, 5);
    assert_eq!(config.transport.allowed_origins, ["http://a", "http://b"]);
    assert_eq!(config.transport.cookie_name, "5", "an integer that does not fit is read as text");
    assert!(config.broker.require_cookie);
    assert_eq!(config.transport.max_message_bytes, 2 << 20);
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.engine.memory.max_age, Duration::from_secs(300));
    assert_eq!(config.transport.max_frame_bytes, 1024);
}

#[test]
fn unknown_keys_name_their_place_and_the_nearest_known_key() {
    let file = "[broker]\n\ntimout = \"1s\"\n[brokre]\n[server]\nmax_queue = 3\nzzz = 1\n";
    let found = problems(file, &[("BAYEUXD__LOG__FROMAT", "json")], &["transport.pathh=/x", "max_sessions=3"]);
    assert_eq!(
        found,
        [
            "b.toml:3: broker.timout: unknown key; did you mean broker.timeout?",
            "b.toml:4: brokre: unknown key; did you mean broker?",
            "b.toml:6: server.max_queue: unknown key; did you mean broker.max_queue?",
            "b.toml:7: server.zzz: unknown key; known here: listen, open, drain_timeout, request_grace, threads, pages, tls",
            "environment BAYEUXD__LOG__FROMAT: log.fromat: unknown key; did you mean log.format?",
            "--set max_sessions: max_sessions: unknown key; did you mean broker.max_sessions?",
            "--set transport.pathh: transport.pathh: unknown key; did you mean transport.path?",
        ]
    );
}

#[test]
fn an_unknown_section_is_reported_once_for_each_source() {
    let file = "[brokre]\ntimeout = \"1s\"\ninterval = \"1s\"\n";
    let found = problems(file, &[("BAYEUXD__BROKRE__TIMEOUT", "1s"), ("BAYEUXD__BROKRE__LANES", "1")], &[]);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].starts_with("b.toml:1: brokre: ") && found[1].contains("LANES") && found[2].contains("TIMEOUT"));
}

#[test]
fn wrong_values_say_what_was_expected_and_what_was_found() {
    let file = "
[broker]
timeout = 30
interval = \"soon\"
max_queue = -1
require_cookie = \"yes\"
lanes = \"two\"
[transport]
allowed_origins = [\"http://a\", 7, \"http://b\", 8]
handshake_burst = 5_000_000_000
path = [1]
max_message_bytes = \"lots\"
max_frame_bytes = -1
[engine]
kind = \"memori\"
memory = 5
[server]
listen = \"localhost\"
";
    let found = problems(file, &[], &["broker.max_sessions=many", "broker.max_subscriptions=-1"]);
    assert_eq!(
        found,
        [
            "b.toml:3: broker.timeout: a duration is written as text with its unit, like \"30s\"",
            "b.toml:4: broker.interval: \"soon\" is not a duration like \"30s\" or \"500ms\": expected number at 0",
            "b.toml:5: broker.max_queue: expected a whole number, 0 or more, found -1",
            "b.toml:6: broker.require_cookie: expected true or false, found \"yes\"",
            "b.toml:7: broker.lanes: expected a whole number, 0 or more, found \"two\"",
            "b.toml:9: transport.allowed_origins[1]: expected text in quotes, found 7",
            "b.toml:9: transport.allowed_origins[3]: expected text in quotes, found 8",
            "b.toml:10: transport.handshake_burst: expected a whole number from 0 to 4294967295, found 5000000000",
            "b.toml:11: transport.path: expected text in quotes, found a list",
            "b.toml:12: transport.max_message_bytes: \"lots\" is not a size like \"64KiB\" or \"1MiB\"",
            "b.toml:13: transport.max_frame_bytes: a size is a number of bytes, 0 or more, or text with its unit, like \"64KiB\"",
            "b.toml:15: engine.kind: expected one of \"memory\", \"disk\", found \"memori\"; did you mean \"memory\"?",
            "b.toml:16: engine.memory: expected a table of settings, found 5",
            "b.toml:18: server.listen: invalid socket address syntax",
            "--set broker.max_sessions: broker.max_sessions: expected a whole number, 0 or more, found \"many\"",
            "--set broker.max_subscriptions: broker.max_subscriptions: expected a whole number, 0 or more, found -1",
        ]
    );
}

#[test]
fn bad_toml_hides_neither_the_lines_around_it_nor_the_other_layers() {
    let file = "[broker]\ntimeout = \nmax_que = 1\n\n[transport\npath = \"nowhere\"\n";
    let found = problems(file, &[("BAYEUXD__LOG__FROMAT", "json")], &[]);
    assert!(found.iter().any(|p| p.starts_with("b.toml:2: not TOML: ")), "{found:?}");
    assert!(found.iter().any(|p| p.starts_with("b.toml:3: broker.max_que: unknown key")), "{found:?}");
    assert!(found.iter().any(|p| p.starts_with("b.toml:5: not TOML: ")), "{found:?}");
    assert!(found.iter().any(|p| p.starts_with("environment BAYEUXD__LOG__FROMAT")), "{found:?}");
}

#[test]
fn a_number_too_large_for_toml_is_a_problem_of_its_line() {
    let found = problems("[broker]\nmax_queue = 99999999999999999999\nlanes = true\n", &[], &[]);
    assert_eq!(found[0], "b.toml:2: the number is too large for TOML");
    assert!(found[1].starts_with("b.toml:3: broker.lanes: "), "{found:?}");
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn every_room_validates_and_problems_name_who_set_the_value() {
    let file = "[broker]\nmax_queue = 0\n[engine.memory]\nmax_messages = 0\nnonsense = 1\n";
    let found = problems(file, &[("BAYEUXD__TRANSPORT__PATH", "bayeux")], &["server.drain_timeout=1h"]);
    assert_eq!(found.len(), 5, "{found:?}");
    assert!(found[0].starts_with("b.toml:2: broker.max_queue: must be at least 1"), "{found:?}");
    assert!(found[1].starts_with("b.toml:4: engine.memory.max_messages: must be"), "{found:?}");
    assert!(found[2].starts_with("b.toml:5: engine.memory.nonsense: unknown key"), "{found:?}");
    assert!(found[3].starts_with("environment BAYEUXD__TRANSPORT__PATH: transport.path: must"), "{found:?}");
    assert!(found[4].starts_with("--set server.drain_timeout: server.drain_timeout: must"), "{found:?}");
}

#[test]
fn what_is_wrong_in_a_list_is_told_with_its_line() {
    let file = r#"
[[key]]
name = "shop"
hash = "sha256:zz"
[[key.rule]]
allow = "publish"
channel = "nope"
[[rule]]
who = "nobody"
channel = "/x"
[[jwt]]
issuer = "x"
[[channel]]
pattern = "nope"
"#;
    let found = problems(file, &[], &[]);
    let all =
        ["4: key[0].hash: ", "7: key[0].rule[0].channel: ", "8: rule[0].allow: ", "9: rule[0].who[0]: ", "12: jwt[0]."];
    for (found, wanted) in found.iter().zip(all.into_iter().chain(["14: channel[0].pattern: "])) {
        assert!(found.starts_with(&format!("b.toml:{wanted}")), "{found} is not at {wanted}");
    }
    assert_eq!(found.len(), 6, "{found:?}");
    let failing = r#"
[[rule]]
allow = "handshake"
[[rule_test]]
action = "handshake"
expect = "allow"
[[rule_test]]
action = "handshake"
expect = "deny"
"#;
    let found = problems(failing, &[], &[]);
    assert!(found.len() == 1 && found[0].starts_with("b.toml:7: rule_test[1]: handshake "), "{found:?}");
}

#[test]
fn keys_of_issuers_that_cannot_be_used_are_found_before_the_start() {
    for (key, wanted) in [
        ("secret = \"hunter2\"", "b.toml:3: jwt[0].secret: the secret must hold at least 32 bytes"),
        ("secret = \"base64:hunter2!\"", "b.toml:3: jwt[0].secret: the secret is not base64"),
        ("public_key = \"x\"\nalgorithms = [\"RS256\"]", "b.toml:3: jwt[0].public_key: public_key is no PEM"),
    ] {
        let found = problems(&format!("[[jwt]]\nissuer = \"x\"\n{key}\n[[rule]]\nallow = \"handshake\"\n"), &[], &[]);
        assert!(found.len() == 1 && found[0].starts_with(wanted) && !found[0].contains("hunter"), "{found:?}");
    }
}

#[test]
fn a_flag_needs_a_key_and_a_value() {
    assert!(Flag::set("broker.timeout").unwrap_err().contains("key=value"));
    assert_eq!(
        problems("", &[], &["broker..timeout=1s"]),
        ["--set broker..timeout: broker..timeout: is not a key like broker.timeout"]
    );
}

#[test]
fn a_list_replaces_the_list_below_it() {
    let file = "[transport]\nallowed_origins = [\"http://a\", \"http://b\"]\n";
    let loaded = load(file, &[], &["transport.allowed_origins=[\"http://c\"]"]).unwrap();
    assert_eq!(loaded.config.transport.allowed_origins, ["http://c"]);
    assert_eq!(setting(&loaded, "transport.allowed_origins").1.to_string(), "--set transport.allowed_origins");
}

#[test]
fn a_missing_file_is_a_problem_beside_the_others() {
    let sources = super::Sources {
        file: Some("no/such/file.toml".into()),
        environment: vec![("BAYEUXD__NOPE".into(), "1".into())],
        flags: Vec::new(),
    };
    let found = super::load(sources).unwrap_err().to_string();
    assert!(found.contains("2 problems") && found.contains("no/such/file.toml: cannot be read"), "{found}");
}

/// Stands for the sections to come: tables in a list, required keys, secrets.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct Future {
    rule: Vec<Rule>,
    hook: Hook,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    allow: Vec<String>,
    channel: String,
    #[serde(default)]
    rate: Option<u32>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct Hook {
    signing_secret: String,
    old_secret: u32,
}

fn future(file: &str) -> (Future, Node, Vec<String>) {
    let mut problems = Vec::new();
    let mut tree = layers::file("b.toml", file, &mut problems);
    let fitted = mend::fit(&mut tree, &[], &mut problems);
    (fitted, tree, problems.iter().map(ToString::to_string).collect())
}

#[test]
fn lists_of_tables_are_reported_by_index() {
    let (_, _, found) = future(
        "
[[rule]]
allow = 5
channel = \"/a\"
[[rule]]
allow = [\"subscribe\"]
[[rule]]
allow = [\"subscribe\", 3]
chanel = \"/b\"
channel = \"/b\"
rate = -1
",
    );
    assert_eq!(
        found,
        [
            "b.toml:3: rule[0].allow: expected a list like [\"a\", \"b\"], found 5",
            "b.toml:5: rule[1]: misses the key channel",
            "b.toml:8: rule[2].allow[1]: expected text in quotes, found 3",
            "b.toml:9: rule[2].chanel: unknown key; did you mean rule[2].channel?",
            "b.toml:11: rule[2].rate: expected a whole number from 0 to 4294967295, found -1",
        ]
    );
}

#[test]
fn lists_of_tables_have_origins() {
    let (fitted, tree, found) =
        future("[[rule]]\nallow = []\nchannel = \"/a\"\n\n[[rule]]\nallow = []\nchannel = \"/b\"\n");
    assert!(found.is_empty(), "{found:?}");
    assert_eq!(fitted.rule[1].channel, "/b");
    assert_eq!(effective::origin(&tree, &Path::of_dotted("rule[1].channel")).to_string(), "b.toml:7");
}

#[test]
fn secrets_are_neither_shown_nor_quoted_in_problems() {
    let (fitted, tree, found) = future("[hook]\nsigning_secret = \"hunter2\"\nold_secret = \"hunter3\"\n");
    assert_eq!(fitted.hook.signing_secret, "hunter2");
    assert_eq!(found.len(), 1);
    assert!(!found[0].contains("hunter") && found[0].contains("hook.old_secret: expected a whole number"), "{found:?}");
    let shown = effective::listed(toml::Value::try_from(&fitted).unwrap(), &tree);
    assert!(shown.iter().all(|setting| !setting.value.contains("hunter")), "{shown:?}");
    assert!(shown.iter().any(|setting| setting.key == "hook.signing_secret" && setting.value == "\"***\""));
}

#[test]
fn the_effective_settings_read_back_as_the_same_configuration() {
    let sets = ["broker.timeout=7s", "transport.allowed_origins=[\"http://a\"]", "transport.max_frame_bytes=1KiB"];
    let first = load("", &[], &sets).unwrap();
    let lines: Vec<String> = first.settings.iter().map(|s| format!("{} = {}", s.key, s.value)).collect();
    let again = load(&lines.join("\n"), &[], &[]).unwrap();
    assert_eq!(toml::to_string(&first.config).unwrap(), toml::to_string(&again.config).unwrap());
    assert_ne!(toml::to_string(&again.config).unwrap(), toml::to_string(&Config::default()).unwrap());
}

#[test]
fn the_engine_on_disk_says_what_cannot_work() {
    let file = "[engine]\nkind = \"disk\"\n[engine.disk]\npath = \"\"\nmax_group = 0\nmax_bytes = \"1KiB\"\ndurability = \"none\"\n";
    let found = problems(file, &[], &[]);
    assert_eq!(
        found,
        [
            "b.toml:4: engine.disk.path: must name a folder",
            "b.toml:5: engine.disk.max_group: must be at least 1",
            "b.toml:6: engine.disk.max_bytes: must be at least 1MiB",
            "b.toml:7: engine.disk.durability: expected one of \"sync\", \"os\", found \"none\"",
        ]
    );
}
