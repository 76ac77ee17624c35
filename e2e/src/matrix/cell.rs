//! A cell: its service, its node, and its steps.

use anyhow::{Context as _, Result};
use portico_protocol::ServiceId;

use super::client::{BATCH, Events, Socket, counted};
use super::forged;
use super::ground::{Ground, PAID_RELAYS, PaidBy};
use super::messages::Messages;
use super::node::{HELD, HELD_COUNT, Manner, Node};
use super::{Condition, Key, Seen, Step, Transport};

/// Calls beyond those that are paid for.
const UNPAID_CALLS: usize = 2;

/// A cell while it is tried.
#[derive(Debug)]
pub(super) struct Cell {
    key: Key,
    pub(super) service: ServiceId,
    pub(super) node: Node,
    seen: Vec<String>,
    /// What stays open from step to step.
    socket: Option<Socket>,
    events: Option<Events>,
    messages: Option<Messages>,
}

impl Cell {
    pub(super) async fn new(key: Key) -> Result<Self> {
        let manner = match key.condition {
            Condition::BackendDead => Manner::Dead,
            Condition::Garbage => Manner::Garbage,
            Condition::TooLarge => Manner::TooLarge,
            _ => Manner::Answers,
        };
        let name = format!("{}-{}", key.transport.name(), key.condition.name());
        let name = name.to_lowercase().replace(' ', "-");
        Ok(Self {
            key,
            service: name.parse().with_context(|| name.clone())?,
            node: Node::start(manner).await?,
            seen: Vec::new(),
            socket: None,
            events: None,
            messages: None,
        })
    }

    pub(super) fn is_lied_to(&self) -> bool {
        self.key.condition == Condition::SupplierSignsGarbage
    }

    pub(super) fn is_websocket(&self) -> bool {
        self.key.transport == Transport::WebSocket
    }

    pub(super) fn is_grpc(&self) -> bool {
        matches!(
            self.key.transport,
            Transport::Grpc | Transport::GrpcStream | Transport::GrpcWeb
        )
    }

    pub(super) fn has_bounded_answers(&self) -> bool {
        self.key.condition == Condition::TooLarge
    }

    pub(super) fn has_small_stake(&self) -> bool {
        self.key.condition == Condition::OverServiced
    }

    pub(super) fn needs_next_session(&self) -> bool {
        self.key.condition == Condition::SessionRollover || self.needs_kill()
    }

    pub(super) fn needs_kill(&self) -> bool {
        self.key.condition == Condition::ServicerKilled
    }

    /// Takes a step; nothing where the condition has none.
    pub(super) async fn step(&mut self, ground: &Ground, step: Step) -> Result<()> {
        let taken = match (self.key.condition, step) {
            (Condition::SessionRollover, Step::First) => self.begin(ground).await,
            (Condition::SessionRollover, Step::Grace) => self.end_stream().await,
            (Condition::SessionRollover, Step::NextSession) => self.go_on(ground).await,
            (Condition::ServicerKilled, Step::NextSession) => self.begin(ground).await,
            (Condition::ServicerKilled, Step::Down) => self.go_on(ground).await,
            (Condition::ServicerKilled, Step::Up) => self.call(ground).await,
            (Condition::SessionRollover | Condition::ServicerKilled, _) => Ok(()),
            (Condition::OverServiced, Step::First) => self.call_too_often(ground).await,
            (Condition::Forged(forgery), Step::First) => {
                let seen = forged::send(ground, &self.service, self.key.transport, forgery).await;
                seen.map(|seen| self.seen.push(seen))
            }
            (_, Step::First) => self.call(ground).await,
            _ => Ok(()),
        };
        taken.with_context(|| format!("{}, {step:?}\n{}", self.key, ground.logs()))
    }

    async fn call(&mut self, ground: &Ground) -> Result<()> {
        let seen = ground
            .client
            .call(self.key.transport, self.service.as_str(), BATCH);
        self.seen.push(seen.await?);
        Ok(())
    }

    /// A call, or what lasts longer than one.
    async fn begin(&mut self, ground: &Ground) -> Result<()> {
        let service = self.service.as_str();
        match self.key.transport {
            Transport::WebSocket => match ground.client.socket(service).await? {
                Ok(mut socket) => {
                    self.seen.push(format!("open, {}", socket.ask().await?));
                    self.socket = Some(socket);
                }
                Err(refused) => self.seen.push(refused),
            },
            Transport::Sse => match ground.client.events(service, HELD).await? {
                Ok(mut events) => {
                    events.held().await?;
                    self.events = Some(events);
                }
                Err(refused) => self.seen.push(refused),
            },
            Transport::GrpcStream => {
                let mut messages = ground.client.messages(service, HELD_COUNT).await?;
                messages.held().await?;
                self.messages = Some(messages);
            }
            _ => self.call(ground).await?,
        }
        Ok(())
    }

    /// The same socket or stream, and another call where there was one.
    async fn go_on(&mut self, ground: &Ground) -> Result<()> {
        if let Some(mut socket) = self.socket.take() {
            self.seen.push(socket.ask().await?);
            return Ok(());
        }
        self.end_stream().await?;
        self.call(ground).await
    }

    /// The rest of a stream that was held, if there is one.
    async fn end_stream(&mut self) -> Result<()> {
        self.node.release();
        if let Some(events) = self.events.take() {
            self.seen.push(events.rest().await?);
        }
        if let Some(messages) = self.messages.take() {
            self.seen.push(messages.rest().await?);
        }
        Ok(())
    }

    async fn call_too_often(&mut self, ground: &Ground) -> Result<()> {
        let (calls, service) = (PAID_RELAYS + UNPAID_CALLS, self.service.as_str());
        let mut seen = Vec::new();
        match self.key.transport {
            Transport::Batch => seen.push(ground.client.call(Transport::Batch, service, calls).await?),
            Transport::WebSocket => match ground.client.socket(service).await? {
                Ok(mut socket) => {
                    seen.push("open".to_owned());
                    for _ in 0..calls {
                        if socket.is_closed {
                            break;
                        }
                        seen.push(socket.ask().await?);
                    }
                }
                Err(refused) => seen.push(refused),
            },
            transport => {
                for _ in 0..calls {
                    seen.push(ground.client.call(transport, service, BATCH).await?);
                }
            }
        }
        self.seen.push(counted(&seen));
        Ok(())
    }

    /// What was seen of it.
    pub(super) fn seen(self, paid: &PaidBy) -> (Key, Seen) {
        let none = Vec::new();
        let sessions = paid.get(&self.service).unwrap_or(&none);
        let sum = |figures: Vec<String>| match figures.is_empty() {
            true => "0".to_owned(),
            false => figures.join(" + "),
        };
        let seen = Seen {
            client: self.seen.join("; then "),
            hits: self.node.hits().to_string(),
            leaves: sum(sessions.iter().map(|paid| paid.leaves.to_string()).collect()),
            settled: sum(sessions.iter().map(|paid| paid.settled.to_string()).collect()),
        };
        (self.key, seen)
    }
}
