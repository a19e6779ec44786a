//! The example at the beginning of `docs/access.md` is a configuration that works, and does what the page says.

use super::{bayeux, plan, support::Server};
use bayeuxd::access::{key::Hash, mint::mint};
use serde_json::{Map, json};
use std::{path::PathBuf, time::Duration};

fn example() -> String {
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/access.md");
    let page = std::fs::read_to_string(page).unwrap();
    page.split("```toml\n").nth(1).expect("a configuration").split("```").next().unwrap().to_owned()
}

#[tokio::test]
async fn the_example_works_as_it_stands() {
    // Loading runs its rule tests.
    let plan = plan("docs.toml", &example());
    assert!(plan.tests.len() >= 4, "{}", plan.tests.len());
    assert_eq!(plan.keys[0].hash, [Hash::of("bayeuxd_EXAMPLE-KEY-EXAMPLE-KEY-EXAMPLE-KEY-EXAMPLE").to_string()]);
    let token = mint(&plan.jwts[0], "ann", Map::new(), Duration::from_secs(60), super::now_s()).unwrap();
    let server = Server::start_with(|settings| settings.access = plan.clone()).await;
    let reply = bayeux(&server, &[], &json!({"channel": "/meta/handshake", "ext": {"token": token.reveal()}})).await;
    let id = &reply["clientId"];
    for (pattern, good) in [("/users/ann/**", true), ("/news", true), ("/users/bob/**", false), ("/**", false)] {
        let message = json!({"channel": "/meta/subscribe", "clientId": id, "subscription": pattern});
        assert_eq!(bayeux(&server, &[], &message).await["successful"], good, "{pattern}");
    }
    let key = [("x-api-key", "bayeuxd_EXAMPLE-KEY-EXAMPLE-KEY-EXAMPLE-KEY-EXAMPLE")];
    let said = bayeux(&server, &key, &json!({"channel": "/users/ann/inbox", "data": 1})).await;
    assert_eq!(said["successful"], true, "{said}");
    server.stop().await;
}
