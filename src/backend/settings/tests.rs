//! Settings that cannot work are named, those that can are left alone.

use super::*;

fn problems(validate: impl FnOnce(Problem<'_>)) -> Vec<String> {
    let mut found = Vec::new();
    validate(&mut |key, _| found.push(key.to_owned()));
    found
}

#[test]
fn the_defaults_can_work() {
    assert_eq!(problems(|p| BackendSettings::default().validate(p)), [""; 0]);
}

#[test]
fn what_cannot_work_is_named() {
    let common: BackendSettings = toml::from_str(
        "secrets = ['whsec_x']\ntimeout = '0s'\nmax_concurrency = 0\nforward_headers = ['X-Upper', 'x-fine']",
    )
    .unwrap();
    assert_eq!(problems(|p| common.validate(p)), ["secrets[0]", "timeout", "max_concurrency", "forward_headers[0]"]);
}

#[test]
fn a_service_needs_its_own_kind_of_channel_and_a_plain_url() {
    let service = |channel: &str, url: &str| ServiceSettings {
        channel: channel.into(),
        url: url.into(),
        timeout: Some(Duration::from_secs(1)),
    };
    assert!(problems(|p| service("/service/a/**", "https://shop.test/in").validate(p)).is_empty());
    for (channel, url, wrong) in [
        ("/chat/a", "http://a/", "channel"),
        ("/service", "http://a/", "channel"),
        ("/service/*/a", "http://a/", "channel"),
        ("/service/a", "ftp://a/", "url"),
        ("/service/a", "http://me:secret@a/", "url"),
        ("/service/a", "/in", "url"),
    ] {
        assert_eq!(problems(|p| service(channel, url).validate(p)), [wrong], "{channel} {url}");
    }
}

#[test]
fn names_of_feeds_are_their_own() {
    let forward = |name: Option<&str>| ForwardSettings {
        name: name.map(Into::into),
        channel: "/orders/**".into(),
        url: "http://a/".into(),
        start: Start::Newest,
    };
    let plan = Plan { forwards: vec![forward(None), forward(Some("b")), forward(None)], ..Plan::default() };
    let mut found = Vec::new();
    plan.validate(&mut |key, _| found.push(key));
    assert_eq!(found, ["forward[2].name"]);
}

#[test]
fn of_the_meta_channels_only_the_dead_letters_are_forwarded() {
    for (channel, wrong) in [("/meta/dead_letters", 0), ("/meta/event", 1), ("/service/a", 1), ("/a/**", 0)] {
        let forward =
            ForwardSettings { name: None, channel: channel.into(), url: "http://a/".into(), start: Start::Newest };
        assert_eq!(problems(|p| forward.validate(p)).len(), wrong, "{channel}");
    }
}
