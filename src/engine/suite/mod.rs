//! What every engine must do, as one suite that each of them passes.
//!
//! Called by the tests of each engine with a way to make an empty one; engines that outlive their process also with a way
//! to open one again (`lasting.rs`). Says nothing of how an engine does it.

mod at_once;
pub mod lasting;

use super::{Batch, Bounds, Draft, Engine, Lost, Placed, Retain, Retention, idempotency::Keys, retention::Class};
use crate::bayeux::{ClientId, Seq};
use bytes::Bytes;
use serde_json::value::RawValue;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Far more than any test appends.
pub const WIDE: Bounds = Bounds { max_messages: 100_000, max_bytes: 1 << 30, max_age: Duration::from_secs(1000) };
const NOW_MS: u64 = 1_000_000;

/// A draft on a channel whose data is a number and whose time is that many milliseconds after the beginning.
pub fn draft(channel: &str, n: u64) -> Draft {
    Draft::new(channel, &RawValue::from_string(n.to_string()).unwrap(), None, NOW_MS + n)
}

fn keys() -> Keys {
    Keys::new(Duration::from_secs(10), 1000)
}

fn data(batch: &Batch) -> Vec<String> {
    batch.publications.iter().map(|p| p.draft.data().to_owned()).collect()
}

async fn append(engine: &Arc<dyn Engine>, drafts: Vec<Draft>) -> Vec<Seq> {
    engine.append(drafts).await.unwrap().iter().map(|p| p.seq).collect()
}

/// Waits for what an engine does in its own time; there is no event to wait for.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(1))).await.unwrap();
    }
}

/// Runs all of it; `make` makes an empty engine each time.
pub async fn run(make: impl AsyncFn(Retention, Keys) -> Arc<dyn Engine>) {
    let plain = async |bounds| make(Retention::uniform(bounds), keys()).await;
    order(plain(WIDE).await).await;
    head(plain(WIDE).await).await;
    bounds(plain(Bounds { max_messages: 3, ..WIDE }).await).await;
    bytes(plain(Bounds { max_bytes: 2000, ..WIDE }).await).await;
    age(plain(Bounds { max_age: Duration::from_millis(100), ..WIDE }).await).await;
    classes(make(by_class(), keys()).await).await;
    fanned_out(plain(Bounds { max_messages: 2, ..WIDE }).await).await;
    matching(plain(WIDE).await).await;
    newest(make(by_class(), keys()).await).await;
    idempotency(plain(WIDE).await).await;
    records(plain(WIDE).await).await;
    fields(plain(WIDE).await).await;
    at_once::appenders(plain(WIDE).await).await;
    at_once::cutting_while_reading(plain(Bounds { max_messages: 50, ..WIDE }).await).await;
    at_once::records(plain(WIDE).await).await;
    at_once::one_key(plain(WIDE).await).await;
}

/// `/few/**` keeps two, `/state/*` keeps one and the newest of each of two channels, everything else is kept.
pub fn by_class() -> Retention {
    let class = |pattern: &str, messages, retain_last| Class {
        pattern: pattern.into(),
        retain: Some(Retain { messages: Some(messages), ..Retain::default() }),
        retain_last,
    };
    Retention::new(vec![class("/few/**", 2, false), class("/state/*", 1, true)], WIDE, 2)
}

async fn order(engine: Arc<dyn Engine>) {
    let start = engine.newest();
    assert_eq!(engine.oldest(), start + 1);
    let first = append(&engine, vec![draft("/a", 1), draft("/a", 2)]).await;
    let second = append(&engine, vec![draft("/b", 3)]).await;
    assert!(start < first[0] && first[0] < first[1] && first[1] < second[0], "positions grow");
    assert!(second[0] < 1 << 53);
    assert_eq!((engine.newest(), engine.oldest()), (second[0], first[0]));
    let batch = engine.read(start, 2).await.unwrap();
    assert_eq!((data(&batch), batch.through, batch.lost.len()), (vec!["1".into(), "2".into()], first[1], 0));
    let rest = engine.read(batch.through, 9).await.unwrap();
    assert_eq!((data(&rest), rest.through), (vec!["3".into()], second[0]));
    let none = engine.read(second[0], 9).await.unwrap();
    assert_eq!((data(&none), none.through, none.lost.len()), (vec![], second[0], 0));
    let beyond = engine.read(second[0] + 5, 9).await.unwrap();
    assert_eq!((data(&beyond), beyond.through), (vec![], second[0] + 5), "a reader ahead of the log stays there");
    let widest = (1 << 53) - 1;
    let beyond = engine.read(widest, 9).await.unwrap();
    assert_eq!((beyond.publications.len(), beyond.through, beyond.lost.len()), (0, widest, 0));
    let one = engine.read(start, 1).await.unwrap();
    assert_eq!((data(&one), one.through), (vec!["1".into()], first[0]));
    assert!(append(&engine, vec![]).await.is_empty());
}

async fn head(engine: Arc<dyn Engine>) {
    let mut head = engine.head();
    let waiting = tokio::spawn(async move { head.changed().await.map(|()| *head.borrow()) });
    tokio::task::yield_now().await;
    let places = append(&engine, vec![draft("/a", 1)]).await;
    assert_eq!(waiting.await.unwrap().unwrap(), places[0]);
}

async fn bounds(engine: Arc<dyn Engine>) {
    let places = append(&engine, (0..10).map(|n| draft("/a", n)).collect()).await;
    assert_eq!(engine.oldest(), places[7]);
    let batch = engine.read(places[2], 99).await.unwrap();
    assert_eq!(data(&batch), ["7", "8", "9"]);
    assert_eq!(batch.lost, [Lost { class: 0, first: places[2] + 1, last: places[6] }]);
    assert!(engine.read(places[6], 99).await.unwrap().lost.is_empty(), "nothing is lost to those who are far enough");
}

async fn bytes(engine: Arc<dyn Engine>) {
    let places = append(&engine, (0..100).map(|n| draft("/a", n)).collect()).await;
    let kept = engine.read(0, 200).await.unwrap().publications.len();
    assert!((2..50).contains(&kept), "{kept}");
    assert_eq!(engine.oldest(), places[100 - kept]);
}

async fn age(engine: Arc<dyn Engine>) {
    let places = append(&engine, vec![draft("/a", 0), draft("/a", 50)]).await;
    engine.sweep(NOW_MS + 120);
    until("what is too old goes", || engine.oldest() == places[1]).await;
    assert_eq!(data(&engine.read(0, 9).await.unwrap()), ["50"]);
    engine.sweep(NOW_MS + 900);
    until("all of it is too old", || engine.oldest() == places[1] + 1).await;
    let batch = engine.read(places[0], 9).await.unwrap();
    assert_eq!(batch.lost, [Lost { class: 0, first: places[0] + 1, last: places[1] }]);
    assert_eq!(batch.through, places[1]);
    let after = append(&engine, vec![draft("/a", 1000)]).await;
    assert!(after[0] > places[1], "positions go on over a gap");
}

async fn classes(engine: Arc<dyn Engine>) {
    let mut places = Vec::new();
    for n in 0..5 {
        places.extend(append(&engine, vec![draft("/few/x", n), draft("/many", 10 + n)]).await);
    }
    let batch = engine.read(places[0] - 1, 99).await.unwrap();
    assert_eq!(data(&batch), ["10", "11", "12", "3", "13", "4", "14"], "in log order over the classes");
    assert_eq!(batch.lost, [Lost { class: 0, first: places[0], last: places[4] }]);
    let part = engine.read(places[0] - 1, 2).await.unwrap();
    assert_eq!((data(&part), part.through), (vec!["10".into(), "11".into()], places[3]));
    assert_eq!(part.lost, [Lost { class: 0, first: places[0], last: places[3] }], "no further than was looked");
}

async fn fanned_out(engine: Arc<dyn Engine>) {
    let start = engine.newest();
    engine.passed(start);
    let places = append(&engine, (0..5).map(|n| draft("/a", n)).collect()).await;
    let batch = engine.read(start, 9).await.unwrap();
    assert_eq!((batch.publications.len(), batch.lost.len()), (5, 0), "what is still to be fanned out stays");
    let kept = engine.read_matching("/a", start, 9).await.unwrap();
    assert_eq!(data(&kept), ["3", "4"], "but the past is what the bounds say");
    engine.passed(places[3]);
    let batch = engine.read(start, 9).await.unwrap();
    assert_eq!((data(&batch), batch.lost[0].last), (vec!["3".into(), "4".into()], places[2]));
}

async fn matching(engine: Arc<dyn Engine>) {
    let to = ClientId::from_bits(1);
    let places = append(
        &engine,
        vec![draft("/a/x", 1), draft("/b", 2), draft("/a/y", 3).to(to), draft("/a/y", 4), draft("/a/x/z", 5)],
    )
    .await;
    let batch = engine.read_matching("/a/*", places[0] - 1, 9).await.unwrap();
    assert_eq!((data(&batch), batch.through), (vec!["1".into(), "4".into()], places[4]));
    let one = engine.read_matching("/a/**", places[0] - 1, 1).await.unwrap();
    assert_eq!((data(&one), one.through), (vec!["1".into()], places[0]));
    let rest = engine.read_matching("/a/**", one.through, 9).await.unwrap();
    assert_eq!(data(&rest), ["4", "5"]);
}

async fn newest(engine: Arc<dyn Engine>) {
    append(&engine, vec![draft("/state/a", 1), draft("/state/b", 2), draft("/state/a", 3), draft("/many", 4)]).await;
    let newest = |pattern: &'static str| {
        let engine = Arc::clone(&engine);
        async move {
            let found = engine.newest_matching(pattern).await.unwrap();
            found.iter().map(|p| p.draft.data().to_owned()).collect::<Vec<_>>()
        }
    };
    assert_eq!(newest("/state/*").await, ["2", "3"], "beyond the bounds of the class, in log order");
    assert_eq!(newest("/state/a").await, ["3"]);
    assert_eq!(newest("/many").await, [""; 0], "only where the class asks for it");
    append(&engine, vec![draft("/state/c", 5)]).await;
    assert_eq!(newest("/**").await, ["3", "5"], "bounded: what was quiet longest makes room");
}

async fn idempotency(engine: Arc<dyn Engine>) {
    let once = |n: u64, key: &str| draft("/a", n).once(key);
    let first = engine.append(vec![once(1, "k"), once(2, "l"), once(3, "k")]).await.unwrap();
    assert_eq!(first[2], Placed { seq: first[0].seq, repeated: true }, "twice in one batch");
    assert!(!first[0].repeated && !first[1].repeated);
    let again = engine.append(vec![once(4, "l"), once(5, "m")]).await.unwrap();
    assert_eq!(again[0], Placed { seq: first[1].seq, repeated: true });
    assert!(!again[1].repeated);
    assert_eq!(data(&engine.read(first[0].seq - 1, 9).await.unwrap()), ["1", "2", "5"]);
    let later = engine.append(vec![once(20_000, "k")]).await.unwrap();
    assert!(!later[0].repeated, "after the window a key is new");
}

async fn records(engine: Arc<dyn Engine>) {
    let (a, b) = (ClientId::from_bits(7), ClientId::from_bits(8));
    engine.save(a, Bytes::from_static(b"1")).await.unwrap();
    engine.save(b, Bytes::from_static(b"x")).await.unwrap();
    // Not waited for: the order of the calls counts.
    let (older, newer) = (engine.save(a, Bytes::from_static(b"2")), engine.save(a, Bytes::from_static(b"3")));
    newer.await.unwrap();
    older.await.unwrap();
    assert_eq!(engine.load(a).await.unwrap().unwrap(), "3");
    engine.forget(b).await.unwrap();
    assert_eq!(engine.load(b).await.unwrap(), None);
    assert_eq!(engine.records().await.unwrap(), [(a, Bytes::from_static(b"3"))]);
}

async fn fields(engine: Arc<dyn Engine>) {
    let (from, to, without) = (ClientId::from_bits(1), ClientId::from_bits(u128::MAX), ClientId::from_bits(3));
    let data = RawValue::from_string(r#"{"é":1.10,"x":"\u00e9"}"#.into()).unwrap();
    let mut draft = Draft::new("/a/b", &data, Some(r#"{"binary":{}}"#), NOW_MS).from(Some(from)).to(to);
    draft.without = Some(without);
    let places = append(&engine, vec![draft.clone()]).await;
    let batch = engine.read(places[0] - 1, 1).await.unwrap();
    let kept = &batch.publications[0];
    assert_eq!((kept.seq, kept.draft.encoded()), (places[0], draft.encoded()));
    assert_eq!((kept.draft.channel(), kept.draft.data()), ("/a/b", data.get()));
    assert_eq!((kept.draft.publisher, kept.draft.to, kept.draft.without), (Some(from), Some(to), Some(without)));
    assert_eq!(kept.draft.time_ms, NOW_MS);
}
