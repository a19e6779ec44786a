//! The engine on disk: the suite, and what only it can meet: torn and damaged files, a full disk, other settings.

use super::*;
use crate::engine::{
    Bounds, Retain, retention,
    suite::{self, WIDE, draft},
};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};
use uuid::Uuid;

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("bayeuxd-test-{}", Uuid::new_v4())))
    }

    /// The files of a class, oldest first.
    fn log(&self, class: usize) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.0.join("log").join(class.to_string())).unwrap();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn settings(path: &Path) -> DiskSettings {
    DiskSettings { path: path.to_owned(), ..DiskSettings::default() }
}

fn keys() -> Keys {
    Keys::new(Duration::from_secs(10), 1000)
}

fn open(path: &Path) -> Result<DiskEngine, OpenError> {
    DiskEngine::open(&settings(path), Retention::uniform(WIDE), keys(), 1000)
}

async fn data(engine: &DiskEngine) -> Vec<String> {
    let batch = engine.read(0, 100_000).await.unwrap();
    batch.publications.iter().map(|p| p.draft.data().to_owned()).collect()
}

fn numbers(range: std::ops::Range<u64>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

/// Once as it comes, and once with so little memory and such small groups that nearly all is read from files.
async fn suite_with(change: impl Fn(&mut DiskSettings)) {
    let folder = Folder::new();
    let open = |place: String, retention, keys| {
        let mut settings = settings(&folder.0.join(place));
        change(&mut settings);
        Arc::new(DiskEngine::open(&settings, retention, keys, 1000).unwrap()) as Arc<dyn Engine>
    };
    suite::run(async |retention, keys| open(Uuid::new_v4().to_string(), retention, keys)).await;
    suite::lasting::run(async |place, retention, keys| open(place.to_string(), retention, keys)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_passes_the_suite() {
    suite_with(|_| {}).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_passes_the_suite_with_next_to_nothing_in_memory() {
    suite_with(|settings| {
        settings.cache_messages = 1;
        settings.max_group = 1;
        settings.check_bytes = 0;
        settings.durability = Durability::Os;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_end_is_cut_off_and_nothing_before_it_is_lost() {
    let folder = Folder::new();
    let engine = open(&folder.0).unwrap();
    engine.append((0..3).map(|n| draft("/a", n)).collect()).await.unwrap();
    let file = folder.log(0).remove(0);
    let complete = fs::metadata(&file).unwrap().len();
    engine.append(vec![draft("/a", 3), draft("/a", 4)]).await.unwrap();
    drop(engine);
    let whole = fs::read(&file).unwrap();
    for len in (complete..whole.len() as u64).step_by(7).chain([complete + 1, whole.len() as u64 - 1]) {
        // What a file system leaves of a torn write may also be zeros.
        for rest in [0, 100] {
            let mut torn = whole[..len as usize].to_vec();
            torn.resize(torn.len() + rest, 0);
            fs::write(&file, &torn).unwrap();
            let engine = open(&folder.0).unwrap();
            assert_eq!(data(&engine).await, numbers(0..3), "cut to {len}, {rest} zeros after it");
            engine.append(vec![draft("/a", 3)]).await.unwrap();
            assert_eq!(data(&engine).await, numbers(0..4));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_before_the_end_is_refused_with_its_place() {
    let folder = Folder::new();
    let engine = open(&folder.0).unwrap();
    let file = folder.log(0).remove(0);
    let mut starts = vec![fs::metadata(&file).unwrap().len()];
    for n in 0..4 {
        engine.append(vec![draft("/a", n)]).await.unwrap();
        starts.push(fs::metadata(&file).unwrap().len());
    }
    drop(engine);
    let whole = fs::read(&file).unwrap();
    for at in (0..starts[3]).step_by(3) {
        let mut bytes = whole.clone();
        bytes[at as usize] ^= 0x10;
        fs::write(&file, &bytes).unwrap();
        // The reserve at the end of a file's head means nothing.
        if (28..32).contains(&at) {
            continue;
        }
        let group = starts.iter().rev().find(|start| **start <= at).copied().unwrap_or(0);
        match open(&folder.0).map(drop) {
            Err(OpenError::Damaged { path, at: named, .. }) => assert_eq!((path, named), (file.clone(), group)),
            other => panic!("a changed byte at {at}: {other:?}"),
        }
        let text = open(&folder.0).err().unwrap().to_string();
        assert!(text.contains(&file.display().to_string()) && text.contains(&format!("byte {group}")), "{text}");
    }
    fs::write(&file, &whole).unwrap();
    assert_eq!(data(&open(&folder.0).unwrap()).await, numbers(0..4), "untouched by being refused");
}

/// Small enough that a class has several files, and a message large enough to fill them.
fn small() -> (Bounds, String) {
    (Bounds { max_bytes: 2 << 20, ..WIDE }, format!("\"{}\"", "x".repeat(20_000)))
}

fn large(channel: &str, text: &str) -> Draft {
    let raw = serde_json::value::RawValue::from_string(text.into()).unwrap();
    Draft::new(channel, &raw, None, 1_000_000)
}

#[tokio::test(flavor = "multi_thread")]
async fn old_files_go_and_a_missing_or_damaged_one_is_noticed() {
    let folder = Folder::new();
    let (bounds, text) = small();
    let open = || DiskEngine::open(&settings(&folder.0), Retention::uniform(bounds), keys(), 1000);
    let engine = open().unwrap();
    let mut last = 0;
    for _ in 0..300 {
        last = engine.append(vec![large("/a", &text)]).await.unwrap()[0].seq;
        let size: u64 = folder.log(0).iter().filter_map(|f| fs::metadata(f).ok()).map(|m| m.len()).sum();
        assert!(size < 3 << 20, "{size}");
    }
    let kept = last + 1 - engine.oldest();
    assert!((95..106).contains(&kept), "{kept} of 300");
    assert!(folder.log(0).len() > 5);
    let oldest = engine.oldest();
    drop(engine);
    let engine = open().unwrap();
    assert_eq!((engine.oldest(), engine.newest()), (oldest, last));
    assert_eq!(engine.read(oldest - 1, 1000).await.unwrap().publications.len() as u64, kept);
    drop(engine);

    let files = folder.log(0);
    let bytes = fs::read(&files[2]).unwrap();
    fs::write(&files[2], &bytes[..bytes.len() - 10]).unwrap();
    assert!(matches!(open().err(), Some(OpenError::Damaged { path, .. }) if path == files[2]), "cut short");
    let mut changed = bytes.clone();
    changed[5000] ^= 1;
    fs::write(&files[2], &changed).unwrap();
    assert!(matches!(open().err(), Some(OpenError::Damaged { path, at: 32, .. }) if path == files[2]), "changed");
    fs::remove_file(&files[2]).unwrap();
    assert!(matches!(open().err(), Some(OpenError::Missing { path, .. }) if path == files[3]), "missing");
    // What docs/engines.md advises: go on with the newer ones.
    files[..2].iter().for_each(|file| fs::remove_file(file).unwrap());
    let engine = open().unwrap();
    let batch = engine.read(oldest - 1, 1000).await.unwrap();
    assert!(batch.lost.len() == 1 && !batch.publications.is_empty(), "readers are told");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_two_files_is_gone_on_from() {
    let folder = Folder::new();
    let (bounds, text) = small();
    let open = || DiskEngine::open(&settings(&folder.0), Retention::uniform(bounds), keys(), 1000).unwrap();
    let engine = open();
    let start = engine.newest();
    let mut sealed = Vec::new();
    while folder.log(0).len() < 2 {
        sealed = data(&engine).await;
        engine.append(vec![large("/a", &text)]).await.unwrap();
    }
    drop(engine);
    // As if the second file had not been made yet: the message in it was never written.
    let newest = folder.log(0).remove(1);
    fs::remove_file(&newest).unwrap();
    fs::write(newest.with_extension("new"), b"half of a head").unwrap();
    for added in 1..3 {
        let engine = open();
        engine.append(vec![draft("/a", 7)]).await.unwrap();
        assert_eq!(data(&engine).await.len(), sealed.len() + added);
        assert!(engine.read(start, 1000).await.unwrap().lost.is_empty());
        assert_eq!(folder.log(0).len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_in_what_is_not_checked_at_start_is_told_to_who_reads_it() {
    let folder = Folder::new();
    let (bounds, text) = small();
    // So late by the clock that no message counts as new, and none as too old.
    let bounds = Bounds { max_age: Duration::MAX, ..bounds };
    let settings = DiskSettings { check_bytes: 0, cache_messages: 1, ..settings(&folder.0) };
    let open = || DiskEngine::open(&settings, Retention::uniform(bounds), keys(), u64::MAX >> 12);
    let engine = open().unwrap();
    let start = engine.newest();
    for _ in 0..60 {
        engine.append(vec![large("/a", &text)]).await.unwrap();
    }
    drop(engine);
    let file = folder.log(0).remove(1);
    let mut bytes = fs::read(&file).unwrap();
    bytes[5000] ^= 1;
    fs::write(&file, &bytes).unwrap();
    let engine = open().unwrap();
    let Err(EngineError::Unavailable(text)) = engine.read(start, 1000).await else { panic!("it was not noticed") };
    assert!(text.contains(&file.display().to_string()) && text.contains("at 32"), "{text}");
    assert!(!engine.read(engine.newest() - 5, 10).await.unwrap().publications.is_empty(), "the rest can be read");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_and_goes_on_when_there_is_room() {
    for full in [true, false] {
        let folder = Folder::new();
        let files = Files::default();
        let open =
            || DiskEngine::open_on(&files, &settings(&folder.0), Retention::uniform(WIDE), keys(), 1000).unwrap();
        let engine = open();
        let fault = |on| if full { &files.faults.full } else { &files.faults.unsynced }.store(on, Ordering::Relaxed);
        let id = ClientId::from_bits(1);
        let mut expected = Vec::new();
        for n in 0..6 {
            fault(true);
            let head = engine.newest();
            let refused = engine.append(vec![draft("/a", 100 + n).once(format!("k{n}"))]).await;
            assert!(matches!(refused, Err(EngineError::Unavailable(_))));
            assert!(engine.save(id, Bytes::from_static(b"never")).await.is_err());
            assert_eq!(engine.newest(), head, "nobody is told of it");
            fault(false);
            let placed = engine.append(vec![draft("/a", n).once(format!("k{n}"))]).await.unwrap();
            assert!(!placed[0].repeated, "the refused one did not take the key");
            expected.push(n.to_string());
            engine.save(id, Bytes::from(n.to_string())).await.unwrap();
            assert_eq!(data(&engine).await, expected);
        }
        drop(engine);
        let engine = open();
        assert_eq!(data(&engine).await, expected);
        assert_eq!(engine.load(id).await.unwrap().unwrap(), "5");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_bounded_and_what_is_refused_is_not_in_the_log() {
    let folder = Folder::new();
    let settings = DiskSettings { max_waiting: 2, max_waiting_bytes: 200, ..settings(&folder.0) };
    let engine = DiskEngine::open(&settings, Retention::uniform(WIDE), keys(), 1000).unwrap();
    let answers: Vec<_> = (0..2000).map(|n| (n, engine.append(vec![draft("/a", n)]))).collect();
    let (mut accepted, mut refused) = (Vec::new(), 0);
    for (n, answer) in answers {
        match answer.await {
            Ok(_) => accepted.push(n.to_string()),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 0 && !accepted.is_empty());
    assert_eq!(data(&engine).await, accepted);
    engine.append(vec![large("/a", &format!("\"{}\"", "y".repeat(1000)))]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_engine_a_folder() {
    let folder = Folder::new();
    let engine = open(&folder.0).unwrap();
    match open(&folder.0).map(drop) {
        Err(OpenError::InUse { path, owner }) => {
            assert_eq!((path, owner), (folder.0.clone(), std::process::id().to_string()));
        }
        other => panic!("{other:?}"),
    }
    drop(engine);
    open(&folder.0).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_grow_whatever_the_clock_does() {
    let folder = Folder::new();
    let open = |durability, now_us| {
        let settings = DiskSettings { durability, ..settings(&folder.0) };
        DiskEngine::open(&settings, Retention::uniform(WIDE), keys(), now_us).unwrap()
    };
    let mut last = 0;
    let opened = [(Durability::Sync, 5000), (Durability::Sync, 9000), (Durability::Os, 20_000), (Durability::Os, 6000)];
    for (number, (durability, now_us)) in opened.into_iter().enumerate() {
        let engine = open(durability, now_us);
        assert!(engine.newest() >= last);
        let place = engine.append(vec![draft("/a", number as u64)]).await.unwrap()[0].seq;
        assert!(place > last);
        assert_eq!(number == 2, place == 20_000, "only what may have lost something goes by the clock: {place}");
        last = place;
    }
    assert_eq!(data(&open(Durability::Sync, 1)).await, numbers(0..4));
}

#[tokio::test(flavor = "multi_thread")]
async fn newest_messages_outlive_their_files() {
    let folder = Folder::new();
    let (bounds, text) = small();
    let class = |pattern: &str| retention::Class {
        pattern: pattern.into(),
        retain: Some(Retain { bytes: Some(bounds.max_bytes), ..Retain::default() }),
        retain_last: true,
    };
    let open = || {
        let retention = Retention::new(vec![class("/state/**")], WIDE, 100);
        DiskEngine::open(&settings(&folder.0), retention, keys(), 1000).unwrap()
    };
    let engine = open();
    engine.append(vec![draft("/state/quiet", 1), draft("/state/changed", 2)]).await.unwrap();
    for n in 0..250 {
        let mut drafts = vec![large("/state/loud", &text)];
        if n == 200 {
            drafts.push(draft("/state/changed", 3));
        }
        engine.append(drafts).await.unwrap();
    }
    assert!(engine.read_matching("/state/quiet", 0, 9).await.unwrap().publications.is_empty(), "cut long ago");
    drop(engine);
    for _ in 0..2 {
        let engine = open();
        let newest = engine.newest_matching("/state/*").await.unwrap();
        let found: Vec<_> = newest.iter().map(|p| (p.draft.channel(), p.draft.data().len())).collect();
        assert_eq!(found, [("/state/quiet", 1), ("/state/changed", 1), ("/state/loud", text.len())]);
        assert_eq!(newest[1].draft.data(), "3");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_classes_divide_the_log_anew() {
    let folder = Folder::new();
    let class = |pattern: &str, messages| retention::Class {
        pattern: pattern.into(),
        retain: Some(Retain { messages: Some(messages), ..Retain::default() }),
        retain_last: false,
    };
    let open = |classes: Vec<_>| {
        DiskEngine::open(&settings(&folder.0), Retention::new(classes, WIDE, 0), keys(), 1000).unwrap()
    };
    let engine = open(vec![class("/few/**", 2)]);
    let start = engine.newest();
    let mut places = Vec::new();
    for n in 0..5 {
        places.extend(engine.append(vec![draft("/few/x", n), draft("/many", 10 + n), draft("/own/x", 20 + n)]).await);
    }
    let places: Vec<Seq> = places.into_iter().flatten().map(|p| p.seq).collect();
    drop(engine);

    let engine = open(vec![class("/own/*", 1), class("/few/**", 2)]);
    let batch = engine.read(start, 99).await.unwrap();
    let found: Vec<_> = batch.publications.iter().map(|p| p.draft.data()).collect();
    assert_eq!(found, ["10", "11", "12", "3", "13", "4", "14", "24"]);
    let lost: Vec<_> = batch.lost.iter().map(|l| (l.class, l.last)).collect();
    assert_eq!(lost, [(0, places[11]), (1, places[6])], "each class is told of its own");
    assert!(engine.newest() >= places[14]);
    drop(engine);

    let engine = open(Vec::new());
    let batch = engine.read(start, 99).await.unwrap();
    assert!(batch.lost.is_empty(), "the bounds are wider now, and the files were still there");
    assert_eq!(batch.publications.iter().map(|p| p.seq).collect::<Vec<_>>(), places);
    assert!(engine.append(vec![draft("/a", 1)]).await.unwrap()[0].seq > places[14]);
    assert!(!folder.0.join("log.old").exists() && !folder.0.join("log.new").exists());
}
