use portico_protocol::wire::pocket::application::Application as Staked;
use portico_protocol::wire::pocket::shared::ApplicationServiceConfig;
use portico_protocol::{SigningKey, Upokt};

use super::*;
use crate::finding::Level;

fn bad(found: &[Finding]) -> Vec<(Level, &str)> {
    let bad = found.iter().filter(|finding| finding.level != Level::Good);
    let bad =
        bad.inspect(|finding| assert!(!finding.mend.is_empty(), "{} says not what to do", finding.what));
    bad.map(|finding| (finding.level, finding.what.as_str()))
        .collect()
}

/// Asserts that one thing is bad, which contains `text`.
fn one(found: &[Finding], level: Level, text: &str) {
    let bad = bad(found);
    assert!(
        matches!(bad[..], [(of, what)] if of == level && what.contains(text)),
        "{text}: {bad:?}"
    );
}

#[test]
fn little_memory_is_a_warning() {
    let machine = |free| Machine {
        memory: Some((16 * GIB, free)),
        ..Machine::default()
    };
    assert!(bad(&of_machine(&machine(8 * GIB))).is_empty());
    one(
        &of_machine(&machine(GIB / 2)),
        Level::Warning,
        "512 MiB of 16384 MiB",
    );
}

#[test]
fn too_few_files_are_a_warning() {
    assert!(bad(&of_files(1_000, Some(1_512))).is_empty());
    assert!(bad(&of_files(1_000, None)).is_empty());
    one(&of_files(1_000, Some(1_024)), Level::Warning, "needs 1512");
}

#[test]
fn a_port_of_somebody_else_is_a_fault() {
    let at = |holder| {
        vec![(
            Address::new("listen", ([127, 0, 0, 1], 3069).into(), false),
            holder,
        )]
    };
    assert!(bad(&of_ports(&at(Holder::Nobody))).is_empty());
    assert!(bad(&of_ports(&at(Holder::Role))).is_empty());
    one(
        &of_ports(&at(Holder::Other)),
        Level::Fault,
        "listen 127.0.0.1:3069 is taken",
    );
    let refused = Holder::Refused("no such address".to_owned());
    one(&of_ports(&at(refused)), Level::Fault, "no such address");
}

#[test]
fn a_disk_is_judged_by_room_and_by_how_long_a_write_takes() {
    let disk = |free, sync: Result<u64, &str>| Disk {
        folder: "data".into(),
        free_bytes: Some(free),
        sync: sync.map(Duration::from_micros).map_err(str::to_owned),
    };
    assert!(bad(&of_disk(&disk(100 * GIB, Ok(800)))).is_empty());
    one(&of_disk(&disk(GIB, Ok(800))), Level::Warning, "1024 MiB are free");
    one(&of_disk(&disk(1 << 20, Ok(800))), Level::Fault, "1 MiB are free");
    one(
        &of_disk(&disk(100 * GIB, Ok(50_000))),
        Level::Warning,
        "takes 50 ms",
    );
    one(
        &of_disk(&disk(100 * GIB, Ok(3))),
        Level::Warning,
        "faster than a disk",
    );
    one(
        &of_disk(&disk(100 * GIB, Err("read-only"))),
        Level::Fault,
        "read-only",
    );
}

fn node() -> NodeFacts {
    NodeFacts {
        chain_id: "pocket".to_owned(),
        version: "0.38.17".to_owned(),
        application: "0.1.35".to_owned(),
        height: 100,
        catching_up: false,
        block_ms: 1_000_000,
        now_ms: 1_010_000,
        grpc: Ok(()),
    }
}

#[test]
fn nodes_are_of_one_chain_up_to_date_and_answer_at_both_ends() {
    let of = |change: &dyn Fn(&mut NodeFacts)| {
        let mut other = node();
        change(&mut other);
        let nodes = [
            ("chain".to_owned(), Ok(node())),
            ("chain.fallbacks[0]".to_owned(), Ok(other)),
        ];
        of_nodes(&nodes, Some("pocket"))
    };
    assert!(bad(&of(&|_| {})).is_empty());
    one(
        &of(&|node| node.chain_id = "other".to_owned()),
        Level::Fault,
        "it is of chain \"other\"",
    );
    one(
        &of(&|node| node.height = 50),
        Level::Warning,
        "at height 50, behind",
    );
    one(&of(&|node| node.catching_up = true), Level::Warning, "behind");
    one(
        &of(&|node| node.grpc = Err("closed".to_owned())),
        Level::Fault,
        "its gRPC does not answer",
    );
    one(
        &of(&|node| node.now_ms = 900_000),
        Level::Fault,
        "clock is 100 s behind",
    );
    one(&of(&|node| node.now_ms = 2_000_000), Level::Warning, "1000 s old");
}

#[test]
fn a_chain_of_which_no_node_answers_is_a_fault_and_one_of_which_another_does_a_warning() {
    let silent = ("chain".to_owned(), Err("refused".to_owned()));
    one(
        &of_nodes(std::slice::from_ref(&silent), None),
        Level::Fault,
        "its RPC does not answer: refused",
    );
    let other = ("chain.fallbacks[0]".to_owned(), Ok(node()));
    one(
        &of_nodes(&[silent, other], None),
        Level::Warning,
        "its RPC does not answer: refused",
    );
}

#[test]
fn a_gateway_needs_a_stake_and_applications_that_delegated_to_it() {
    let address = |byte| SigningKey::from_bytes(&[byte; 32]).unwrap().address();
    let of = |change: &dyn Fn(&mut Stakes)| {
        let mut stakes = Stakes {
            gateway: Some((address(1), Some(Upokt(1)))),
            applications: vec![Application {
                address: address(2),
                service: "eth".parse().unwrap(),
                is_delegated: true,
                staked: Some(Staked {
                    stake: Some(Upokt(5).into()),
                    service_configs: vec![ApplicationServiceConfig {
                        service_id: "eth".to_owned(),
                    }],
                    delegatee_gateway_addresses: vec![address(1).to_string()],
                    ..Staked::default()
                }),
            }],
            unanswered: Vec::new(),
        };
        change(&mut stakes);
        of_gateway(&stakes)
    };
    fn staked(stakes: &mut Stakes) -> &mut Staked {
        stakes.applications[0].staked.as_mut().unwrap()
    }
    assert!(bad(&of(&|_| {})).is_empty());
    one(
        &of(&|stakes| stakes.gateway = Some((address(1), None))),
        Level::Fault,
        "is not staked",
    );
    one(
        &of(&|stakes| stakes.applications[0].staked = None),
        Level::Fault,
        "nobody pays",
    );
    one(
        &of(&|stakes| staked(stakes).service_configs[0].service_id = "poly".to_owned()),
        Level::Fault,
        "staked for poly instead",
    );
    one(
        &of(&|stakes| staked(stakes).delegatee_gateway_addresses.clear()),
        Level::Fault,
        "has not delegated",
    );
    one(
        &of(&|stakes| staked(stakes).unstake_session_end_height = 9),
        Level::Warning,
        "its stake ends",
    );
    one(
        &of(&|stakes| stakes.unanswered.push("busy".to_owned())),
        Level::Fault,
        "busy",
    );
}
