//! What a relay costs a process with many suppliers and services, beside what it costs with one of each: CPU time of all threads but the client's,
//! in turn, so that what else the machine does disturbs both.
//!
//! `PORTICO_SUPPLIERS=500 cargo test -p portico-servicer --lib -- cost --nocapture` is the full size.

use std::process::Command;

use futures::StreamExt as _;
use portico_client::Sessions as _;
use portico_protocol::{Height, Upokt};
use portico_testkit::MemoryChain;

use super::scale::{PER_SERVICE, PER_SESSION, SESSION, keys, suppliers};
use super::*;

/// Relays of a round's part. Each supplier of each session has had one before.
const RELAYS: u32 = 250;
const ROUNDS: usize = 5;
/// As many times both at full size.
const AT_FULL_SIZE: (u32, usize) = (4, 3);
/// Relays in progress at a time.
const AT_A_TIME: usize = 16;
/// What the many may cost more, in percent: at full size, and where fewer relays are measured while other tests run.
const MAX_MORE_PERCENT: [f64; 2] = [10.0, 25.0];

/// A servicer, and the sessions that its suppliers are in.
struct Site {
    world: World,
    seats: Vec<(SessionHeader, String)>,
}

impl Site {
    async fn new(suppliers: u64, services: u64, per_session: u64) -> Self {
        let mut world = World::without_servicer().await;
        world.suppliers = keys(suppliers);
        world.chain.set_suppliers(&world.suppliers);
        world.chain.found(|genesis| {
            genesis.params.num_suppliers_per_session = per_session;
            genesis.params.shared.num_blocks_per_session = SESSION;
            for application in &mut genesis.applications {
                application.stake = Upokt(1_000_000_000_000_000);
            }
        });
        let services = usize::try_from(services).unwrap();
        let names: Vec<String> = (0..services).map(|n| format!("s{n}")).collect();
        for name in &names {
            world.chain.header(1, name);
        }
        world.run_over(world.chain.clone(), services);
        let mut seats = Vec::new();
        for name in &names {
            let header = world.chain.header(1, name);
            for supplier in suppliers_of(&world.chain, &header).await {
                seats.push((header.clone(), supplier));
            }
        }
        Self { world, seats }
    }

    /// Requests to all seats in turn.
    fn signed(&self, round: &str, count: usize) -> Vec<Vec<u8>> {
        let seats = self.seats.iter().cycle().take(count).enumerate();
        let sign = |(n, (header, supplier)): (usize, &(SessionHeader, String))| {
            let body = format!("{round} {n}");
            self.world
                .request_in(header, supplier, "/", &body)
                .encode_to_vec()
        };
        seats.map(sign).collect()
    }

    /// Sends requests from a thread of its own, of which nothing is counted.
    fn serve(&self, requests: Vec<Vec<u8>>) -> std::thread::JoinHandle<()> {
        let url = format!("http://{}/", self.world.running().address);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let client = portico_net::tls::ClientTls::public().http_client().no_proxy();
                let (client, url) = (client.build().unwrap(), &url);
                let sending = requests.into_iter().map(|request| {
                    let sending = client.post(url).header("rpc-type", "3").body(request).send();
                    async {
                        let answer = sending.await.unwrap();
                        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
                    }
                });
                let sending = futures::stream::iter(sending).buffer_unordered(AT_A_TIME);
                sending.collect::<Vec<()>>().await;
            });
        })
    }

    /// CPU time of a relay in this process, in nanoseconds.
    async fn round(&self, round: &str, relays: u32) -> f64 {
        let requests = self.signed(round, relays as usize);
        let before = cpu_ns();
        let client = self.serve(requests);
        while !client.is_finished() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        client.join().unwrap();
        #[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
        let spent = cpu_ns().saturating_sub(before) as f64;
        spent / f64::from(relays)
    }
}

async fn suppliers_of(chain: &MemoryChain, header: &SessionHeader) -> Vec<String> {
    let application = header.application_address.parse().unwrap();
    let service = header.service_id.parse().unwrap();
    let session = chain.session(&application, &service, Height(1)).await;
    let suppliers = session.unwrap().suppliers.into_iter();
    suppliers.map(|supplier| supplier.operator_address).collect()
}

/// CPU time of this process's threads that live.
fn cpu_ns() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let spent = tasks.filter_map(|task| {
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    spent.sum()
}

#[tokio::test]
#[ignore = "run by a_relay_costs_no_more_with_many_suppliers, in a process of its own"]
async fn measured() {
    let suppliers = suppliers();
    let services = suppliers / PER_SERVICE;
    let one = Site::new(1, 1, 1).await;
    let many = Site::new(suppliers, services, suppliers / PER_SESSION).await;
    let is_full = suppliers >= 500;
    let (relays, rounds) = match is_full {
        true => (RELAYS * AT_FULL_SIZE.0, ROUNDS * AT_FULL_SIZE.1),
        false => (RELAYS, ROUNDS),
    };
    let seats = u32::try_from(many.seats.len()).unwrap();
    for site in [&one, &many] {
        site.round("first", seats).await;
        site.round("warm", relays).await;
    }
    let (mut ratios, mut least) = (Vec::new(), [f64::MAX; 2]);
    for round in 0..rounds {
        // What comes first in a round is last in it too.
        let name = |part| format!("{round} {part}");
        let (before, first) = (
            one.round(&name("a"), relays).await,
            many.round(&name("b"), relays).await,
        );
        let (second, after) = (
            many.round(&name("c"), relays).await,
            one.round(&name("d"), relays).await,
        );
        ratios.push((first + second) / (before + after));
        least = [least[0].min(before).min(after), least[1].min(first).min(second)];
    }
    ratios.sort_by(f64::total_cmp);
    let more = (ratios[rounds / 2] - 1.0) * 100.0;
    let [of_one, of_many] = least.map(|ns| ns / 1_000.0);
    println!(
        "CPU per relay: {of_one:.0} us with 1 supplier, {of_many:.0} us with {suppliers} suppliers, {services} services, {seats} seats (least of {rounds} rounds); median of the ratios {more:+.1} %, all {ratios:.2?}",
    );
    assert!(
        more <= MAX_MORE_PERCENT[usize::from(!is_full)],
        "{more:.1} % more"
    );
}

#[test]
fn a_relay_costs_no_more_with_many_suppliers() {
    let measuring = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::cost::measured", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&measuring.stdout);
    print!("{said}");
    let complaint = String::from_utf8_lossy(&measuring.stderr);
    assert!(measuring.status.success(), "{said}{complaint}");
}
