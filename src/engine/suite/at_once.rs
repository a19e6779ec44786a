//! What must hold when many use an engine at once.

use super::{NOW_MS, append, data, draft};
use crate::{
    bayeux::{ClientId, Seq},
    engine::{Engine, Publication},
};
use bytes::Bytes;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::time::timeout;

const APPENDERS: u64 = 8;
const BATCHES: u64 = 40;
const BATCH: u64 = 5;
const DEADLINE: Duration = Duration::from_secs(60);

/// Follows the log as a lane does, until it has read so many.
async fn follow(engine: Arc<dyn Engine>, mut after: Seq, count: usize) -> Vec<Arc<Publication>> {
    let mut head = engine.head();
    let mut all = Vec::new();
    while all.len() < count {
        timeout(DEADLINE, head.wait_for(|head| *head > after)).await.expect("the head moves").unwrap();
        let batch = engine.read(after, 7).await.unwrap();
        assert!(batch.through > after, "whoever is behind the head gets on");
        assert!(batch.lost.is_empty());
        after = batch.through;
        all.extend(batch.publications);
    }
    all
}

/// Batches of many appenders stay whole and in the order of each, and whoever reads meanwhile sees all of it once.
pub(super) async fn appenders(engine: Arc<dyn Engine>) {
    let start = engine.newest();
    let count = (APPENDERS * BATCHES * BATCH) as usize;
    let readers: Vec<_> = (0..2).map(|_| tokio::spawn(follow(Arc::clone(&engine), start, count))).collect();
    let appenders: Vec<_> = (0..APPENDERS)
        .map(|number| {
            let engine = Arc::clone(&engine);
            tokio::spawn(async move {
                let mut places = Vec::new();
                for batch in 0..BATCHES {
                    let drafts = (0..BATCH).map(|n| draft(&format!("/a/{number}"), batch * BATCH + n)).collect();
                    let own = append(&engine, drafts).await;
                    assert!(engine.newest() >= own[4], "what is acknowledged can be read");
                    assert!(own.windows(2).all(|pair| pair[1] == pair[0] + 1), "nothing in between: {own:?}");
                    places.extend(own);
                }
                places
            })
        })
        .collect();
    let mut places = Vec::new();
    for appender in appenders {
        let own = timeout(DEADLINE, appender).await.expect("it ends").unwrap();
        assert!(own.windows(2).all(|pair| pair[0] < pair[1]), "the order of one appender");
        places.extend(own);
    }
    places.sort_unstable();
    for reader in readers {
        let seen = timeout(DEADLINE, reader).await.expect("it ends").unwrap();
        assert_eq!(seen.iter().map(|p| p.seq).collect::<Vec<_>>(), places, "each once, in order");
        let mut next: HashMap<String, u64> = HashMap::new();
        for publication in seen {
            let next = next.entry(publication.draft.channel().to_owned()).or_default();
            assert_eq!(publication.draft.data(), next.to_string());
            *next += 1;
        }
    }
    let again = engine.read(start, count + 1).await.unwrap();
    assert_eq!((again.publications.len(), again.through), (count, places[count - 1]));
}

/// A reader who is overtaken by the bounds is told so, and what it is given is right.
pub(super) async fn cutting_while_reading(engine: Arc<dyn Engine>) {
    let start = engine.newest();
    let appending = {
        let engine = Arc::clone(&engine);
        tokio::spawn(async move {
            for n in 0..200 {
                append(&engine, (0..5).map(|m| draft("/a", n * 5 + m)).collect()).await;
            }
        })
    };
    let mut after = start;
    while after < start + 1000 {
        let batch = engine.read(after, 20).await.unwrap();
        let mut expected = after + 1;
        for lost in &batch.lost {
            assert_eq!(lost.first, expected);
            expected = lost.last + 1;
        }
        for publication in &batch.publications {
            assert_eq!(publication.seq, expected, "told of, or there");
            assert_eq!(publication.draft.data(), (publication.seq - start - 1).to_string());
            expected += 1;
        }
        assert_eq!(batch.through, expected - 1);
        after = batch.through;
        tokio::task::yield_now().await;
    }
    appending.await.unwrap();
    assert_eq!(engine.oldest(), start + 951);
}

/// The order of the calls counts, also when nobody waits between them.
pub(super) async fn records(engine: Arc<dyn Engine>) {
    let id = ClientId::from_bits;
    let mut answers = Vec::new();
    for round in 0..20_u128 {
        for session in 0..10 {
            let record = Bytes::from(format!("{session}.{round}"));
            answers.push(engine.save(id(session), record));
            if round == 10 || (round == 19 && session % 2 == 1) {
                answers.push(engine.forget(id(session)));
            }
        }
    }
    // Not waited for either: it sees what was asked before.
    let seen = engine.load(id(4)).await.unwrap();
    assert_eq!(seen.unwrap(), "4.19");
    for answer in answers {
        answer.await.unwrap();
    }
    let mut left = engine.records().await.unwrap();
    left.sort();
    let expected: Vec<_> = (0..10).step_by(2).map(|n| (id(n), Bytes::from(format!("{n}.19")))).collect();
    assert_eq!(left, expected);
    engine.forget(id(99)).await.unwrap();
}

/// Of many who publish under one key at once, one is appended and all learn its place.
pub(super) async fn one_key(engine: Arc<dyn Engine>) {
    let start = engine.newest();
    let publishing: Vec<_> = (0..8)
        .map(|n| {
            let engine = Arc::clone(&engine);
            tokio::spawn(async move { engine.append(vec![draft("/a", n).once("same")]).await.unwrap()[0] })
        })
        .collect();
    let mut places = Vec::new();
    for one in publishing {
        places.push(one.await.unwrap());
    }
    assert_eq!(places.iter().filter(|place| !place.repeated).count(), 1);
    assert!(places.iter().all(|place| place.seq == places[0].seq));
    let batch = engine.read(start, 9).await.unwrap();
    assert_eq!((data(&batch).len(), batch.publications[0].draft.time_ms >= NOW_MS), (1, true));
}
