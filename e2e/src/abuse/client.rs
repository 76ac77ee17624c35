//! The hostile client, a process of its own.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use portico_protocol::wire::pocket::service::RelayRequest;
use portico_protocol::{Address, SigningKey};
use prost::Message;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, timeout, timeout_at};

use super::{Kind, http2};

/// Connections of one source address; the next ones come from another, as those of many machines do.
const PER_SOURCE: u32 = 500;
/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// Pause before a lost connection is opened again.
const AGAIN: Duration = Duration::from_millis(200);
/// Size of a big answer.
const BIG_ANSWER: u64 = 15_000_000;
/// Calls in a big batch.
const BIG_BATCH: u64 = 30;
/// Size of a big body.
const BIG_BODY: usize = 100_000_000;
/// Connections over which streams are opened.
const STREAM_CONNECTIONS: u32 = 10;
/// Requests under way at a time when a rate is asked for.
const SENDERS: u32 = 64;
/// Applications that are invented again and again.
const INVENTED: usize = 50;
/// File descriptors beyond the connections.
const SPARE_FILES: u64 = 200;

/// What a hostile client saw.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Connections that were opened.
    pub opened: u64,
    /// Connections that the other side closed.
    pub closed: u64,
    /// Requests that were answered, by HTTP status.
    pub answered: BTreeMap<u16, u64>,
    /// Requests that ended without an answer.
    pub unanswered: u64,
    /// HTTP/2 streams that the other side refused.
    pub refused_streams: u64,
}

type Shared = Arc<Mutex<Seen>>;

fn note(seen: &Shared, what: impl FnOnce(&mut Seen)) {
    what(&mut seen.lock().expect("nobody panics while holding it"));
}

/// Does what `kind` says to `target` until `seconds` have passed; `request` is a file with a relay request to change.
pub async fn run(kind: Kind, target: SocketAddr, count: u32, seconds: u64, request: &Path) -> Result<Seen> {
    raise_open_files(u64::from(workers(kind, count)) + SPARE_FILES)?;
    let until = Instant::now() + Duration::from_secs(seconds);
    let seen = Shared::default();
    let request = RelayRequest::decode(std::fs::read(request)?.as_slice())?;
    let mut tasks = JoinSet::new();
    for number in 0..workers(kind, count) {
        let client = Client {
            kind,
            target,
            count,
            number,
            until,
            seen: seen.clone(),
            request: request.clone(),
        };
        tasks.spawn(client.run());
    }
    while tasks.join_next().await.is_some() {}
    let seen = seen.lock().expect("all have ended");
    Ok(seen.clone())
}

const fn workers(kind: Kind, count: u32) -> u32 {
    match kind {
        Kind::Streams | Kind::RapidResets => STREAM_CONNECTIONS,
        Kind::Forged | Kind::Invented => SENDERS,
        _ => count,
    }
}

/// Lets this process open so many files.
fn raise_open_files(count: u64) -> Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= count) {
        return Ok(());
    }
    let raised = Rlimit {
        current: Some(count),
        maximum: limit.maximum.map(|maximum| maximum.max(count)),
    };
    setrlimit(Resource::Nofile, raised)
        .with_context(|| format!("{count} files may not be opened: see ulimit -n"))
}

/// One task of the hostile client.
struct Client {
    kind: Kind,
    target: SocketAddr,
    count: u32,
    number: u32,
    until: Instant,
    seen: Shared,
    request: RelayRequest,
}

impl Client {
    async fn run(self) {
        match self.kind {
            Kind::Forged | Kind::Invented => self.relays().await,
            _ => self.connections().await,
        }
    }

    /// One connection after the other.
    async fn connections(&self) {
        while Instant::now() < self.until {
            let Some(stream) = self.connect().await else {
                sleep(AGAIN).await;
                continue;
            };
            note(&self.seen, |seen| seen.opened += 1);
            let done = timeout_at(self.until, self.misbehave(stream)).await;
            if done.is_ok() {
                note(&self.seen, |seen| seen.closed += 1);
                sleep(AGAIN).await;
            }
        }
    }

    async fn connect(&self) -> Option<TcpStream> {
        let socket = TcpSocket::new_v4().ok()?;
        let [_, _, high, low] = (self.number / PER_SOURCE + 2).to_be_bytes();
        socket
            .bind((IpAddr::V4(Ipv4Addr::new(127, 0, high, low)), 0).into())
            .ok()?;
        timeout(CONNECT, socket.connect(self.target)).await.ok()?.ok()
    }

    /// Returns when the other side has closed the connection.
    async fn misbehave(&self, mut stream: TcpStream) {
        match self.kind {
            Kind::Silent => hold(stream, b"").await,
            Kind::HalfHead => hold(stream, b"POST /v1 HTTP/1.1\r\nHost: a.example\r\nContent-Ty").await,
            Kind::HalfPreface => hold(stream, b"PRI * HTTP/2.0\r\n\r\n").await,
            Kind::SlowReaders => slow_reader(stream).await,
            Kind::BigBatches => {
                let batch: Vec<_> = (0..BIG_BATCH).map(big_call).collect();
                let status = post(&mut stream, json!(batch).to_string().as_bytes()).await;
                self.answered(status);
                drain(&mut stream).await;
            }
            Kind::BigBodies => {
                let status = big_body(stream).await;
                self.answered(status);
            }
            Kind::Streams | Kind::RapidResets => {
                let streams = self.count / STREAM_CONNECTIONS;
                let reset = self.kind == Kind::RapidResets;
                let refused = http2::flood(stream, streams, reset, self.until).await;
                note(&self.seen, |seen| seen.refused_streams += refused);
            }
            Kind::Forged | Kind::Invented => {}
        }
    }

    fn answered(&self, status: Option<u16>) {
        note(&self.seen, |seen| match status {
            Some(status) => *seen.answered.entry(status).or_default() += 1,
            None => seen.unanswered += 1,
        });
    }

    /// Changed relay requests at this sender's share of the rate.
    async fn relays(&self) {
        let mut rng = StdRng::seed_from_u64(self.number.into());
        let invented: Vec<String> = (0..INVENTED).map(|_| invented_application(&mut rng)).collect();
        let http = portico_net::tls::ClientTls::public_http();
        let pause = Duration::from_secs(1) * SENDERS / self.count.max(1);
        let mut ticks = interval(pause.max(Duration::from_micros(100)));
        while Instant::now() < self.until {
            ticks.tick().await;
            let mut request = self.request.clone();
            match self.kind {
                Kind::Invented => invent(&mut request, &invented[rng.random_range(0..INVENTED)]),
                _ => forge(&mut request, &mut rng),
            }
            let sent = http
                .post(format!("http://{}/", self.target))
                .header("Rpc-Type", "3")
                .timeout(CONNECT)
                .body(request.encode_to_vec());
            let status = sent.send().await.ok().map(|answer| answer.status().as_u16());
            self.answered(status);
        }
    }
}

/// Another payload under the same signature: each is another request.
fn forge(request: &mut RelayRequest, rng: &mut impl Rng) {
    let mut payload = request.payload.to_vec();
    if let Some(byte) = payload.last_mut() {
        *byte = rng.random();
    }
    payload.extend(rng.random::<[u8; 8]>());
    request.payload = payload.into();
}

fn invent(request: &mut RelayRequest, application: &str) {
    if let Some(header) = request
        .meta
        .as_mut()
        .and_then(|meta| meta.session_header.as_mut())
    {
        application.clone_into(&mut header.application_address);
    }
}

fn invented_application(rng: &mut impl rand::CryptoRng) -> String {
    let address: Address = SigningKey::generate(rng).address();
    address.to_string()
}

/// Sends `bytes` and waits for the end.
async fn hold(mut stream: TcpStream, bytes: &[u8]) {
    if stream.write_all(bytes).await.is_ok() {
        drain(&mut stream).await;
    }
}

/// Reads until the other side closes.
async fn drain(stream: &mut TcpStream) {
    let mut buffer = vec![0; 1 << 16];
    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
}

fn big_call(id: u64) -> serde_json::Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "bytes", "params": [BIG_ANSWER]})
}

/// Reads 1 KiB a second of a big answer.
async fn slow_reader(mut stream: TcpStream) {
    if send(&mut stream, big_call(1).to_string().as_bytes())
        .await
        .is_err()
    {
        return;
    }
    let mut buffer = vec![0; 1 << 10];
    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
        sleep(Duration::from_secs(1)).await;
    }
}

async fn send(stream: &mut TcpStream, body: &[u8]) -> std::io::Result<()> {
    stream.write_all(head(body.len()).as_bytes()).await?;
    stream.write_all(body).await
}

fn head(length: usize) -> String {
    format!(
        "POST /v1 HTTP/1.1\r\nHost: a.example\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    )
}

/// The status of the answer to `body`.
async fn post(stream: &mut TcpStream, body: &[u8]) -> Option<u16> {
    send(stream, body).await.ok()?;
    status(stream).await
}

/// Reads a status line and no more than it must.
async fn status(stream: &mut (impl AsyncReadExt + Unpin)) -> Option<u16> {
    const LINE: usize = "HTTP/1.1 200".len();
    let mut line = [0; LINE];
    stream.read_exact(&mut line).await.ok()?;
    std::str::from_utf8(&line[LINE - 3..]).ok()?.parse().ok()
}

/// Sends a big body whatever the other side says meanwhile; the status that arrives.
async fn big_body(stream: TcpStream) -> Option<u16> {
    let (mut read, mut write) = stream.into_split();
    let sending = async move {
        let chunk = vec![b' '; 1 << 16];
        let mut left = BIG_BODY;
        write.write_all(head(BIG_BODY).as_bytes()).await?;
        while left > 0 {
            let size = left.min(chunk.len());
            write.write_all(&chunk[..size]).await?;
            left -= size;
        }
        std::io::Result::Ok(())
    };
    let (sent, status) = tokio::join!(sending, status(&mut read));
    // Sending may fail once the refusal is there: what counts is that the refusal arrives.
    drop(sent);
    status
}
