//! What a cache is over: how a role reads a session, what it keeps of it, and how much.

use std::time::Duration;

use async_trait::async_trait;
use portico_protocol::{Address, Height, ServiceId};

use crate::SessionError;

/// An application and a service.
pub(crate) type Pair = (Address, ServiceId);

/// What is asked of a [`Reader`].
#[derive(Clone, Debug)]
pub struct Question {
    /// The application.
    pub application: Address,
    /// The service.
    pub service: ServiceId,
    /// A height of the session; 0 means the newest.
    pub height: Height,
}

/// A session as a role keeps it.
pub trait Held: Send + Sync + 'static {
    /// Id of the session.
    fn id(&self) -> &str;
    /// First block.
    fn start(&self) -> Height;
    /// Last block.
    fn end(&self) -> Height;
    /// Last block in which its relays are still accepted.
    fn grace_end(&self) -> Height;
}

/// How a role reads a session from the chain, and what it keeps of it.
#[async_trait]
pub trait Reader: Send + Sync + 'static {
    /// What is kept.
    type Session: Held;
    /// Asks the chain. Called once at a time for a pair, however many callers wait.
    async fn read(&self, question: &Question) -> Result<Self::Session, SessionError>;
}

/// What happens when a session of another pair is to be kept and there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// The pair that was unused for longest makes room: for who can ask again.
    Evict,
    /// [`SessionError::Busy`]: for who holds more than can be asked for again.
    Refuse,
}

/// Bounds of a cache.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Pairs of which sessions are kept, up to three each.
    pub max_pairs: usize,
    /// What happens beyond it.
    pub when_full: WhenFull,
    /// How long a failure is answered from memory that may pass by itself. With zero, only those who waited for the same question share it.
    pub failure_pause: Duration,
}
