//! Every transport under every condition, on one network of real processes: what the client sees, what reaches the backend, what becomes a leaf, and
//! what settles for it, to the upokt.
//!
//! ```text
//! e2e/matrix.md ── expected rows ───────────────────────────────┐
//! cells: one service, application and backend each ─► Ground ─► Seen ─► compared
//!        call through the gateway, or straight to the servicer      claims and settlements by service, from the chain
//! ```
//! Each cell has a service of its own, and so an application, sessions and settlements of its own: all of them run at once, within two sessions, and
//! no cell's money is another's.
//!
//! Start reading at [`run`]; the table is `e2e/matrix.md`.

mod cell;
mod client;
mod forged;
mod ground;
mod messages;
mod node;
mod spec;
mod table;

use std::fmt;

use anyhow::Result;
use futures::future::try_join_all;

use self::cell::Cell;
use self::ground::Ground;
use self::spec::spec;
use crate::Forgery;

pub use self::table::Table;

/// How a call travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// One JSON-RPC call by POST.
    JsonRpc,
    /// JSON-RPC calls in one POST.
    Batch,
    /// A GET of a page.
    Rest,
    /// A GET of a method of CometBFT's RPC.
    CometBft,
    /// JSON-RPC calls on a WebSocket.
    WebSocket,
    /// An event stream.
    Sse,
    /// A unary call over HTTP/2.
    Grpc,
    /// A call over HTTP/2 that is answered by a stream of messages.
    GrpcStream,
    /// A unary call over HTTP/1.1, with trailers in the body.
    GrpcWeb,
}

impl Transport {
    /// All.
    pub const ALL: [Self; 9] = [
        Self::JsonRpc,
        Self::Batch,
        Self::Rest,
        Self::CometBft,
        Self::WebSocket,
        Self::Sse,
        Self::Grpc,
        Self::GrpcStream,
        Self::GrpcWeb,
    ];
    /// Those that relay requests are sent by: the transports between a gateway and a servicer.
    pub const OF_RELAYS: [Self; 4] = [Self::JsonRpc, Self::WebSocket, Self::Sse, Self::Grpc];

    /// Its name in the table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::JsonRpc => "JSON-RPC",
            Self::Batch => "batch",
            Self::Rest => "REST",
            Self::CometBft => "CometBFT URI",
            Self::WebSocket => "WebSocket",
            Self::Sse => "SSE",
            Self::Grpc => "gRPC",
            Self::GrpcStream => "gRPC stream",
            Self::GrpcWeb => "gRPC-Web",
        }
    }
}

/// What happens to a call: a section of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// Nothing.
    Answered,
    /// Nobody listens where the backend should.
    BackendDead,
    /// The backend says what is no answer.
    Garbage,
    /// The backend says more than its service allows.
    TooLarge,
    /// The only supplier signs something else than it sends.
    SupplierSignsGarbage,
    /// The session ends between two calls, or within a stream.
    SessionRollover,
    /// The application's stake pays for fewer calls than are made.
    OverServiced,
    /// The servicer's process is killed, and started again.
    ServicerKilled,
    /// The relay request is not what a gateway would send.
    Forged(Forgery),
}

impl Condition {
    /// All.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut all = vec![
            Self::Answered,
            Self::BackendDead,
            Self::Garbage,
            Self::TooLarge,
            Self::SupplierSignsGarbage,
            Self::SessionRollover,
            Self::OverServiced,
            Self::ServicerKilled,
        ];
        all.extend(Forgery::ALL.map(Self::Forged));
        all
    }

    /// Its name in the table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::BackendDead => "backend dead",
            Self::Garbage => "garbage",
            Self::TooLarge => "too large",
            Self::SupplierSignsGarbage => "supplier signs garbage",
            Self::SessionRollover => "session rollover",
            Self::OverServiced => "over-serviced",
            Self::ServicerKilled => "servicer killed",
            Self::Forged(forgery) => forgery.name(),
        }
    }

    /// The transports that it is tried on.
    #[must_use]
    pub const fn transports(self) -> &'static [Transport] {
        match self {
            Self::Forged(_) => &Transport::OF_RELAYS,
            _ => &Transport::ALL,
        }
    }
}

/// Names a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The section.
    pub condition: Condition,
    /// The row.
    pub transport: Transport,
}

impl Key {
    /// Of all cells.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let of_condition = |condition: Condition| {
            let transports = condition.transports().iter();
            transports.map(move |&transport| Self { condition, transport })
        };
        Condition::all().into_iter().flat_map(of_condition).collect()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.transport.name(), self.condition.name())
    }
}

/// What is seen of a cell, as its row in the table says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What the client sees, step by step.
    pub client: String,
    /// Calls that reached the backend.
    pub hits: String,
    /// Leaves, by session.
    pub leaves: String,
    /// Settled upokt, by session.
    pub settled: String,
}

/// The steps of all cells, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// At the beginning of a session.
    First,
    /// In its grace period: the next one has begun, and not everybody may know.
    Grace,
    /// In the next one.
    NextSession,
    /// After the servicer was killed.
    Down,
    /// After it was started again.
    Up,
}

/// Runs these cells on one network.
///
/// # Errors
/// When the network does not run, or a cell takes no course that has a word in the table.
pub async fn run(keys: &[Key]) -> Result<Vec<(Key, Seen)>> {
    let mut cells = try_join_all(keys.iter().copied().map(Cell::new)).await?;
    let mut ground = Ground::start(spec(&cells)?).await?;
    ground.fresh_session().await?;
    step(&mut cells, &ground, Step::First).await?;
    if cells.iter().any(Cell::needs_next_session) {
        ground.blocks_into_next_session(0).await?;
        step(&mut cells, &ground, Step::Grace).await?;
        ground.blocks_into_next_session(1).await?;
        step(&mut cells, &ground, Step::NextSession).await?;
    }
    if cells.iter().any(Cell::needs_kill) {
        ground.kill_servicer().await?;
        step(&mut cells, &ground, Step::Down).await?;
        ground.restart_servicer().await?;
        step(&mut cells, &ground, Step::Up).await?;
    }
    let paid = ground.all_settled().await?;
    Ok(cells.into_iter().map(|cell| cell.seen(&paid)).collect())
}

async fn step(cells: &mut [Cell], ground: &Ground, step: Step) -> Result<()> {
    let steps = cells.iter_mut().map(|cell| cell.step(ground, step));
    try_join_all(steps).await.map(|_| ())
}
