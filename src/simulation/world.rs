//! One run: a plan drawn from the seed, a broker that crashes and comes back on the same engine, and everybody around it.

use super::{
    broken::{BrokenAck, Mutation},
    chance::Chance,
    check::{Ledger, STATE, View},
    client::Client,
    engine::SimEngine,
    publisher::Publisher,
    trace::Trace,
};
use crate::{
    bayeux::{ConnectionType, Seq},
    broker::{
        Broker, BrokerSettings, ChannelSettings, Channels, Extension, Plugins, outside::scripted, settings::OnGap,
    },
    engine::{Engine, EngineSettings, MemoryEngine, Retain, settings::MemorySettings},
    extension::{Ack, Replay},
    transport::{OriginPolicy, Transport, TransportSettings},
};
use parking_lot::Mutex;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

/// How long a message of a lazy channel may wait.
const LONGEST_LAZY: Duration = Duration::from_secs(2);

/// Makes an engine for these channels: a new one, or after a crash one that goes on with what the old one kept. An engine
/// on a disk drops the old one without flushing it and opens its folder again.
pub type Opener = fn(&Channels, Option<Arc<dyn Engine>>) -> Arc<dyn Engine>;

/// What a seed decides beforehand.
pub struct Plan {
    /// One request of this many is troubled.
    pub trouble: u64,
    /// How long a session may be silent.
    pub max_interval: Duration,
    /// Whether a gap ends a session.
    pub rehandshakes: bool,
    settings: BrokerSettings,
    channels: Channels,
    /// Longest time that the engine takes, in milliseconds.
    slowest: u64,
    clients: usize,
    publishers: usize,
    busy: Duration,
    /// Whether brokers crash, lanes panic, the engine refuses.
    crashes: bool,
    faults: bool,
    refusals: bool,
}

impl Plan {
    fn of(chance: &mut Chance) -> Self {
        let rehandshakes = chance.one_in(6);
        let max_interval = Duration::from_secs(20);
        let settings = BrokerSettings {
            timeout: Duration::from_secs(10),
            max_interval,
            max_queue: chance.pick(&[1, 2, 5, 1000]),
            max_queue_bytes: chance.pick(&[500, 1 << 20]),
            max_delivery_bytes: chance.pick(&[300, 2000, 1 << 20]),
            on_gap: if rehandshakes { OnGap::Rehandshake } else { OnGap::Signal },
            lanes: chance.of(1..4) as usize,
            ..BrokerSettings::default()
        };
        let bounds = MemorySettings { max_messages: chance.pick(&[30, 100_000]), ..MemorySettings::default() }.bounds();
        let retain = Some(Retain { messages: Some(chance.of(1..20) as usize), ..Retain::default() });
        let few = ChannelSettings { retain, ..channel("/few/**") };
        let lazy = ChannelSettings { lazy: Some(LONGEST_LAZY), ..channel("/lazy/*") };
        let state = ChannelSettings { retain_last: true, ..channel(STATE) };
        Self {
            trouble: chance.pick(&[3, 6, 20]),
            max_interval,
            rehandshakes,
            settings,
            channels: Channels::new(vec![few, lazy, state], bounds, 100),
            slowest: chance.pick(&[0, 20, 200]),
            clients: chance.of(2..6) as usize,
            publishers: chance.of(1..4) as usize,
            busy: chance.ms(10_000..40_000),
            crashes: chance.one_in(2),
            faults: chance.one_in(2),
            refusals: chance.one_in(4),
        }
    }
}

fn channel(pattern: &str) -> ChannelSettings {
    ChannelSettings { pattern: pattern.into(), retain: None, retain_last: false, lazy: None, persistent: false }
}

/// One broker between two crashes.
pub struct Server {
    broker: Broker,
    /// Its mount.
    pub transport: Transport,
    engine: SimEngine,
    gone: CancellationToken,
    /// Broken on purpose: what was not written is not put back.
    pub forgets_cut_answers: bool,
}

impl Server {
    /// Ends when it crashes.
    pub async fn gone(&self) {
        self.gone.cancelled().await;
    }

    /// Its engine.
    pub fn engine(&self) -> &dyn Engine {
        &self.engine
    }
}

/// Everything there is. Shared by all actors.
pub struct World {
    /// What the seed decided.
    pub plan: Plan,
    /// What happened.
    pub trace: Arc<Trace>,
    /// What the log holds.
    pub ledger: Arc<Ledger>,
    mutation: Option<Mutation>,
    opener: Opener,
    engine: Mutex<Arc<dyn Engine>>,
    server: Mutex<Option<Arc<Server>>>,
    views: Mutex<Vec<Arc<View>>>,
    quiet: AtomicBool,
    /// How often a broker was started.
    starts: AtomicUsize,
    /// Publishers that may still publish.
    publishing: AtomicUsize,
    /// When the last of them ended.
    last_published: Mutex<Instant>,
    chance: Mutex<Chance>,
}

/// How a run ended.
pub struct Outcome {
    /// The first thing that must not have happened.
    pub failure: Option<String>,
    /// Everything that happened.
    pub events: Vec<String>,
}

/// What a run is made with besides its seed.
#[derive(Clone, Copy)]
pub struct Setup {
    /// What is broken on purpose.
    pub mutation: Option<Mutation>,
    /// Makes the engine.
    pub opener: Opener,
    /// Whether events are printed as they come.
    pub loud: bool,
}

/// Runs a seed from beginning to end. All time in it is virtual.
pub fn run(seed: u64, setup: Setup) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async move {
        let mut chance = Chance::new(seed);
        let mut ids = chance.fork();
        let start = Instant::now();
        let since_1970 = move || Duration::from_secs(1_700_000_000) + start.elapsed();
        let _scripted = scripted::begin(move || ids.draw(), since_1970);
        let world = World::new(chance, setup);
        world.run().await;
        if world.trace.has_failed() {
            world.note_sessions();
        }
        let (failure, events) = world.trace.finish();
        Outcome { failure, events }
    })
}

impl World {
    fn new(mut chance: Chance, setup: Setup) -> Arc<Self> {
        let trace = Arc::new(Trace::new(setup.loud));
        let plan = Plan::of(&mut chance);
        let engine = (setup.opener)(&plan.channels, None);
        let publishers = plan.publishers;
        Arc::new(Self {
            ledger: Ledger::new(Arc::clone(&trace)),
            trace,
            engine: Mutex::new(engine),
            plan,
            mutation: setup.mutation,
            opener: setup.opener,
            server: Mutex::default(),
            views: Mutex::default(),
            quiet: AtomicBool::new(false),
            starts: AtomicUsize::new(0),
            publishing: AtomicUsize::new(publishers),
            last_published: Mutex::new(Instant::now()),
            chance: Mutex::new(chance),
        })
    }

    /// The broker, when there is one.
    pub fn server(&self) -> Option<Arc<Server>> {
        self.server.lock().clone()
    }

    /// Whether trouble is over and everybody only listens.
    pub fn is_quiet(&self) -> bool {
        self.quiet.load(Relaxed)
    }

    /// Whether besides nothing more is published, all lanes have read everything, and what may wait has waited.
    pub fn is_drained(&self) -> bool {
        let done = |server: Arc<Server>| server.broker.slowest_lane() >= self.newest();
        let waited = self.last_published.lock().elapsed() > LONGEST_LAZY;
        self.is_quiet() && self.publishing.load(Relaxed) == 0 && waited && self.server().is_some_and(done)
    }

    /// A publisher publishes no more.
    pub fn published(&self) {
        *self.last_published.lock() = Instant::now();
        self.publishing.fetch_sub(1, Relaxed);
    }

    /// The newest position.
    pub fn newest(&self) -> Seq {
        self.engine.lock().newest()
    }

    /// Tells a view of crashes from now on.
    pub fn watch(&self, view: &Arc<View>) {
        self.views.lock().push(Arc::clone(view));
    }

    async fn run(self: &Arc<Self>) {
        self.start().await;
        let mut actors = JoinSet::new();
        for number in 0..self.plan.clients {
            actors.spawn(Client::new(self, number, self.chance.lock().fork()).live());
        }
        for number in 0..self.plan.publishers {
            actors.spawn(Publisher::new(self, number, self.chance.lock().fork()).work());
        }
        let busy = Instant::now() + self.plan.busy;
        while Instant::now() < busy && !self.trace.has_failed() {
            self.trouble().await;
        }
        self.trace.note("world", format_args!("is quiet"));
        self.quiet.store(true, Relaxed);
        let ending = async { while actors.join_next().await.inspect(|done| self.check_actor(done)).is_some() {} };
        if tokio::time::timeout(Duration::from_secs(300), ending).await.is_err() {
            self.trace.fail("world", format_args!("somebody did not come to an end"));
        }
        if !self.trace.has_failed() {
            self.check_end().await;
        }
    }

    fn check_actor(&self, done: &Result<(), tokio::task::JoinError>) {
        if let Err(error) = done {
            self.trace.fail("world", format_args!("an actor panicked: {error}"));
        }
    }

    /// Starts a broker on the engine.
    async fn start(&self) {
        let chance = self.chance.lock().fork();
        let inner = Arc::clone(&self.engine.lock());
        let engine = SimEngine::new(inner, Arc::clone(&self.ledger), chance, self.plan.slowest);
        let ack: Box<dyn Extension> = match self.mutation {
            Some(mutation) => Box::new(BrokenAck(mutation)),
            None => Box::new(Ack),
        };
        let extensions = vec![ack, Box::new(Replay { salesforce: false })];
        let plugins = Plugins { extensions, channels: self.plan.channels.clone(), ..Plugins::default() };
        let types = vec![ConnectionType::EventSource, ConnectionType::LongPolling];
        let broker = Broker::start(self.plan.settings.clone(), types, Arc::new(engine.clone()), plugins);
        broker.recover().await.unwrap();
        let transport = Transport::new(broker.clone(), TransportSettings::default(), OriginPolicy::Any);
        let newest = self.newest();
        self.views.lock().iter().for_each(|view| view.crashed(newest));
        let forgets_cut_answers = self.mutation == Some(Mutation::ForgetsCutAnswers);
        let server = Server { broker, transport, engine, gone: CancellationToken::new(), forgets_cut_answers };
        *self.server.lock() = Some(Arc::new(server));
        self.starts.fetch_add(1, Relaxed);
    }

    /// How often a broker was started.
    pub fn starts(&self) -> usize {
        self.starts.load(Relaxed)
    }

    /// One thing that happens to the broker, after a while.
    async fn trouble(&self) {
        let (pause, what) = {
            let mut chance = self.chance.lock();
            (chance.ms(50..1500), chance.of(0..12))
        };
        sleep(pause).await;
        let Some(server) = self.server() else { return };
        self.check_bounds(&server);
        match what {
            0 if self.plan.crashes => self.crash(&server).await,
            1 | 2 if self.plan.faults => {
                let lane = self.chance.lock().of(0..server.broker.lanes().len() as u64) as usize;
                self.trace.note("world", format_args!("lane {lane} is to panic"));
                server.broker.lane(lane).fault.store(true, Relaxed);
            }
            3 if self.plan.refusals => {
                self.trace.note("world", format_args!("the engine refuses"));
                server.engine.refuse(true);
                let pause = self.chance.lock().ms(50..3000);
                sleep(pause).await;
                server.engine.refuse(false);
            }
            _ => {}
        }
    }

    async fn crash(&self, server: &Server) {
        self.trace.note("world", format_args!("the broker crashes"));
        server.engine.crash();
        server.gone.cancel();
        *self.server.lock() = None;
        let before = Arc::clone(&self.engine.lock());
        let engine = (self.opener)(&self.plan.channels, Some(before));
        self.ledger.reopened(engine.newest());
        *self.engine.lock() = engine;
        let pause = self.chance.lock().ms(10..4000);
        sleep(pause).await;
        self.start().await;
        self.trace.note("world", format_args!("the broker is back"));
    }

    fn note_sessions(&self) {
        let Some(server) = self.server() else { return };
        server.broker.sessions().each(|session| {
            self.trace.note("world", format_args!("{:?} lane {} {:?}", session.id, session.lane, session.lock()));
        });
    }

    /// No queue is longer than it may be, but for what came back from broken connections.
    fn check_bounds(&self, server: &Server) {
        let most = self.plan.settings.max_queue + server.broker.metrics().restored.get() as usize;
        server.broker.sessions().each(|session| {
            let (messages, _) = session.lock().queued();
            if messages > most {
                self.trace.fail("world", format_args!("{:?} has {messages} messages queued", session.id));
            }
        });
    }

    /// When everybody is silent, every session ends and nothing of it is left.
    async fn check_end(&self) {
        sleep(self.plan.max_interval + Duration::from_secs(15)).await;
        let Some(server) = self.server() else { return };
        let (sessions, gauge) = (server.broker.sessions().count(), server.broker.metrics().sessions.get());
        let records = self.engine.lock().records();
        let records = records.await.map_or(0, |records| records.len());
        if (sessions, gauge, records) != (0, 0, 0) {
            let text = format_args!("{sessions} sessions are left, {gauge} counted, {records} recorded");
            self.trace.fail("world", text);
        }
    }
}

/// The engine in memory: after a crash of the broker it goes on as it is.
pub fn memory(channels: &Channels, before: Option<Arc<dyn Engine>>) -> Arc<dyn Engine> {
    before.unwrap_or_else(|| {
        let settings = EngineSettings::default();
        Arc::new(MemoryEngine::new(channels.retention().clone(), settings.keys(), 1000))
    })
}
