//! What an engine that outlives its process must keep from one opening to the next.
//!
//! Called with a way to open the engine of a place: the first time it is empty, then what was left. An engine is dropped
//! before it is opened again, at a moment when everything was acknowledged.

use super::{NOW_MS, WIDE, append, by_class, data, draft, keys};
use crate::{
    bayeux::{ClientId, Seq},
    engine::{Bounds, Engine, Lost, Placed, Retention, idempotency::Keys},
};
use bytes::Bytes;
use std::{sync::Arc, time::Duration};

/// Runs all of it. `open` is given the number of the place.
pub async fn run(open: impl AsyncFn(u32, Retention, Keys) -> Arc<dyn Engine>) {
    let wide = async |place| open(place, Retention::uniform(WIDE), keys()).await;
    messages(async || wide(1).await).await;
    let few = Bounds { max_messages: 3, ..WIDE };
    bounds(async || open(2, Retention::uniform(few), keys()).await).await;
    classes(async || open(3, by_class(), keys()).await).await;
    idempotency(async || wide(4).await).await;
    records(async || wide(5).await).await;
    many(async || wide(6).await).await;
    empty(async || wide(7).await).await;
}

async fn messages(open: impl AsyncFn() -> Arc<dyn Engine>) {
    let engine = open().await;
    let start = engine.newest();
    let (from, to) = (ClientId::from_bits(u128::MAX - 1), ClientId::from_bits(3));
    let first = append(&engine, vec![draft("/a", 1).from(Some(from)), draft("/b", 2).to(to)]).await;
    drop(engine);

    let engine = open().await;
    assert_eq!((engine.oldest(), engine.newest() >= first[1]), (first[0], true));
    assert_eq!(*engine.head().borrow(), engine.newest());
    let second = append(&engine, vec![draft("/a", 3)]).await;
    assert!(second[0] > first[1], "positions never repeat");
    drop(engine);

    let engine = open().await;
    let batch = engine.read(start, 9).await.unwrap();
    assert_eq!((data(&batch), batch.lost.len()), (vec!["1".into(), "2".into(), "3".into()], 0));
    let positions: Vec<Seq> = batch.publications.iter().map(|p| p.seq).collect();
    assert_eq!(positions, [first[0], first[1], second[0]]);
    let (one, two) = (&batch.publications[0].draft, &batch.publications[1].draft);
    assert_eq!((one.publisher, one.to, two.to), (Some(from), None, Some(to)));
    assert_eq!((one.channel(), one.encoded(), one.time_ms), ("/a", draft("/a", 1).encoded(), NOW_MS + 1));
    let rest = engine.read(first[1], 9).await.unwrap();
    assert_eq!(data(&rest), ["3"]);
}

async fn bounds(open: impl AsyncFn() -> Arc<dyn Engine>) {
    let engine = open().await;
    let places = append(&engine, (0..10).map(|n| draft("/a", n)).collect()).await;
    drop(engine);

    let engine = open().await;
    assert_eq!(engine.oldest(), places[7]);
    let batch = engine.read(places[2], 99).await.unwrap();
    assert_eq!(data(&batch), ["7", "8", "9"]);
    assert_eq!(batch.lost, [Lost { class: 0, first: places[2] + 1, last: places[6] }], "still told of");
    append(&engine, vec![draft("/a", 10)]).await;
    assert_eq!(engine.oldest(), places[8]);
}

async fn classes(open: impl AsyncFn() -> Arc<dyn Engine>) {
    let engine = open().await;
    let mut places = Vec::new();
    for n in 0..5 {
        places.extend(append(&engine, vec![draft("/few/x", n), draft("/many", 10 + n), draft("/state/a", n)]).await);
    }
    append(&engine, vec![draft("/state/b", 7)]).await;
    let before = engine.read(places[0] - 1, 99).await.unwrap();
    drop(engine);

    let engine = open().await;
    let batch = engine.read(places[0] - 1, 99).await.unwrap();
    assert_eq!(data(&batch), data(&before), "in log order over the classes");
    assert_eq!(batch.lost, before.lost);
    let newest = engine.newest_matching("/state/*").await.unwrap();
    assert_eq!(newest.iter().map(|p| p.draft.data()).collect::<Vec<_>>(), ["4", "7"]);
}

async fn idempotency(open: impl AsyncFn() -> Arc<dyn Engine>) {
    let engine = open().await;
    let once = |n: u64, key: &str| draft("/a", n).once(key);
    let first = engine.append(vec![once(1, "k"), once(2, "l")]).await.unwrap();
    drop(engine);

    let engine = open().await;
    let again = engine.append(vec![once(3, "l"), once(4, "m")]).await.unwrap();
    assert_eq!(again[0], Placed { seq: first[1].seq, repeated: true });
    assert!(!again[1].repeated);
    drop(engine);

    let engine = open().await;
    let again = engine.append(vec![once(5, "m"), once(20_000, "k")]).await.unwrap();
    assert!(again[0].repeated && !again[1].repeated, "{again:?}");
}

async fn records(open: impl AsyncFn() -> Arc<dyn Engine>) {
    let (a, b) = (ClientId::from_bits(7), ClientId::from_bits(u128::MAX));
    let engine = open().await;
    engine.save(a, Bytes::from_static(b"1")).await.unwrap();
    engine.save(b, Bytes::from_static(b"2")).await.unwrap();
    engine.forget(a).await.unwrap();
    drop(engine);

    let engine = open().await;
    assert_eq!(engine.records().await.unwrap(), [(b, Bytes::from_static(b"2"))]);
    engine.save(b, Bytes::from_static(b"3")).await.unwrap();
    drop(engine);

    let engine = open().await;
    assert_eq!(engine.load(b).await.unwrap().unwrap(), "3");
    assert_eq!(engine.load(a).await.unwrap(), None);
}

/// Enough that nothing fits one file, one block or one group; opened again and again.
async fn many(open: impl AsyncFn() -> Arc<dyn Engine>) {
    let start = open().await.newest();
    let mut expected = Vec::new();
    for round in 0..4_u64 {
        let engine = open().await;
        for n in 0..20 {
            let numbers = (0..100).map(|m| round * 2000 + n * 100 + m);
            let places = append(&engine, numbers.clone().map(|n| draft("/a/b/c", n)).collect()).await;
            expected.extend(places.into_iter().zip(numbers.map(|n| n.to_string())));
        }
        let mut found = Vec::new();
        let mut after = start;
        while after < engine.newest() {
            let batch = engine.read(after, 333).await.unwrap();
            found.extend(batch.publications.iter().map(|p| (p.seq, p.draft.data().to_owned())));
            after = batch.through;
        }
        assert_eq!(found, expected);
        let middle = expected[expected.len() / 2].0;
        let one = engine.read(middle - 1, 1).await.unwrap();
        assert_eq!((one.publications[0].seq, one.through), (middle, middle));
    }
}

async fn empty(open: impl AsyncFn() -> Arc<dyn Engine>) {
    let engine = open().await;
    let newest = engine.newest();
    assert_eq!(engine.oldest(), newest + 1);
    drop(engine);

    let engine = open().await;
    assert!(engine.newest() >= newest);
    assert!(engine.read(newest, 9).await.unwrap().lost.is_empty(), "nothing was there to be lost");
    engine.sweep(NOW_MS + u64::try_from(Duration::from_secs(9_999_999).as_millis()).unwrap());
    let places = append(&engine, vec![draft("/a", 1)]).await;
    assert!(places[0] > newest);
}
