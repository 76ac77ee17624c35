//! The verifier against chains made here, with keys whose seeds are numbers, and nodes that lie about them.

use ed25519_dalek::{Signer as _, SigningKey};
use prost::Message as _;
use tendermint::block::signed_header::SignedHeader;
use tendermint::block::{Commit, CommitSig, Header, Height, Id, Round, header, parts};
use tendermint::validator::{Info, Set};
use tendermint::vote::{CanonicalVote, Type};
use tendermint::{AppHash, Hash, PublicKey, Signature, Time, account, chain};
use tendermint_proto::v0_38::types::CanonicalVote as RawVote;

use portico_light::{
    Anchor, Error, Fault, LightBlock, MAX_BLOCKS, Options, Session, Source, Step, Verified, rpc,
};

const BEGIN: i64 = 1_700_000_000;

fn time(seconds: i64) -> Time {
    Time::from_unix_timestamp(BEGIN + seconds, 0).expect("in range")
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn info(seed: u8) -> Info {
    let key = key(seed).verifying_key().to_bytes();
    let key = PublicKey::from_raw_ed25519(&key).expect("a key");
    Info::new(key, 1_u32.into())
}

fn set(seeds: &[u8]) -> Set {
    Set::without_proposer(seeds.iter().map(|seed| info(*seed)).collect())
}

fn address(seed: u8) -> account::Id {
    info(seed).address
}

/// A chain whose block h, from 1 on, is committed to by `sets[h - 1]`.
#[derive(Clone)]
struct Chain {
    id: chain::Id,
    sets: Vec<Vec<u8>>,
    blocks: Vec<LightBlock>,
}

impl Chain {
    /// As many blocks as there are sets but one: the last is that of the block to come.
    fn new(id: &str, sets: &[Vec<u8>]) -> Self {
        let mut chain = Self {
            id: id.parse().expect("an id"),
            sets: sets.to_vec(),
            blocks: Vec::new(),
        };
        for height in 1..sets.len() {
            chain.push(height, 0, &[]);
        }
        chain
    }

    fn steady(count: usize) -> Self {
        Self::new("steady-1", &vec![vec![1, 2, 3, 4]; count + 1])
    }

    /// Adds the block at `height` over those below, with `mark` in its app hash and without the signatures of `absent`.
    fn push(&mut self, height: usize, mark: u8, absent: &[u8]) {
        self.blocks.truncate(height - 1);
        let (now, next) = (&self.sets[height - 1], &self.sets[height]);
        let last = self
            .blocks
            .last()
            .map(|block| block.signed_header.commit.block_id);
        let header = Header {
            version: header::Version { block: 11, app: 0 },
            chain_id: self.id.clone(),
            height: Height::try_from(u64::try_from(height).expect("in range")).expect("in range"),
            time: time(i64::try_from(height).expect("in range")),
            last_block_id: last,
            last_commit_hash: None,
            data_hash: None,
            validators_hash: set(now).hash(),
            next_validators_hash: set(next).hash(),
            consensus_hash: Hash::Sha256([1; 32]),
            app_hash: AppHash::try_from(vec![mark; 32]).expect("bytes"),
            last_results_hash: None,
            evidence_hash: None,
            proposer_address: set(now).validators[0].address,
        };
        let signers: Vec<u8> = now
            .iter()
            .copied()
            .filter(|seed| !absent.contains(seed))
            .collect();
        self.blocks.push(LightBlock {
            signed_header: signed(&self.id, header, &set(now), &signers),
            validators: set(now),
            next_validators: set(next),
        });
    }

    fn at(&self, height: u64) -> Option<LightBlock> {
        self.blocks.iter().find(|block| block.height() == height).cloned()
    }

    fn anchor(&self, height: u64) -> Anchor {
        Anchor {
            chain_id: self.id.clone(),
            height,
            hash: self.at(height).expect("there").hash(),
        }
    }
}

/// The header with the signatures of `signers`, in the order of the set; the others are absent.
fn signed(chain_id: &chain::Id, header: Header, set: &Set, signers: &[u8]) -> SignedHeader {
    let block_id = Id {
        hash: header.hash(),
        part_set_header: parts::Header::new(1, Hash::Sha256([2; 32])).expect("a part"),
    };
    let vote = CanonicalVote {
        vote_type: Type::Precommit,
        height: header.height,
        round: Round::default(),
        block_id: Some(block_id),
        timestamp: Some(header.time),
        chain_id: chain_id.clone(),
    };
    let message = RawVote::from(vote).encode_length_delimited_to_vec();
    let entry = |info: &Info| {
        let signer = signers.iter().find(|seed| address(**seed) == info.address);
        let Some(seed) = signer else {
            return CommitSig::BlockIdFlagAbsent;
        };
        CommitSig::BlockIdFlagCommit {
            validator_address: info.address,
            timestamp: header.time,
            signature: Signature::new(key(*seed).sign(&message).to_bytes()).expect("64 bytes"),
        }
    };
    let commit = Commit {
        height: header.height,
        round: Round::default(),
        block_id,
        signatures: set.validators.iter().map(entry).collect(),
    };
    SignedHeader::new(header, commit).expect("of one height")
}

/// Runs a session against a primary and witnesses; also says how many blocks were asked for.
fn run(
    anchor: Anchor,
    target: u64,
    primary: &Chain,
    witnesses: &[&Chain],
    now: Time,
) -> (Result<Verified, Error>, usize) {
    let options = Options::default();
    let mut session = match Session::new(anchor, target, witnesses.len(), options) {
        Ok(session) => session,
        Err(error) => return (Err(error), 0),
    };
    let mut asked = 0;
    while let Step::Fetch { from, height } = session.step() {
        asked += 1;
        let chain = match from {
            Source::Primary => primary,
            Source::Witness(index) => witnesses[index],
        };
        let done = match chain.at(height) {
            Some(block) => session.supply(block, now),
            None => session.missing("no such height".into()),
        };
        if let Err(error) = done {
            return (Err(error), asked);
        }
    }
    (Ok(session.finish().expect("done")), asked)
}

fn verify(chain: &Chain, target: u64, witnesses: &[&Chain]) -> Result<Verified, Error> {
    run(chain.anchor(1), target, chain, witnesses, time(1_000)).0
}

#[test]
fn a_steady_set_is_followed_in_one_step() {
    let chain = Chain::steady(100);
    let (verified, asked) = run(chain.anchor(1), 100, &chain, &[], time(1_000));
    let verified = verified.expect("verified");
    assert_eq!(verified.target(), &chain.at(100).expect("there"));
    assert_eq!(asked, 2, "anchor and target");
    let (same, asked) = run(chain.anchor(7), 7, &chain, &[&chain], time(1_000));
    assert_eq!(same.expect("verified").target().height(), 7);
    assert_eq!(asked, 2, "the anchor, and the witness'");
}

#[test]
fn sets_that_change_are_followed_from_one_to_the_next() {
    // One of four leaves every five blocks: after 15 blocks nobody is left of the first.
    let sets: Vec<Vec<u8>> = (0..121_u8)
        .map(|h| (0..4).map(|i| 1 + h / 5 + i).collect())
        .collect();
    let chain = Chain::new("changing-1", &sets);
    let (verified, asked) = run(chain.anchor(1), 120, &chain, &[&chain], time(1_000));
    let verified = verified.expect("verified");
    assert!(verified.blocks.len() > 8, "{}", verified.blocks.len());
    assert!(asked < 60, "{asked} blocks asked for");
    for pair in verified.blocks.windows(2) {
        let known = &pair[0].next_validators;
        let signed = pair[1].signed_header.commit.signatures.iter().filter(|entry| {
            let address = entry.validator_address();
            address.is_some_and(|address| known.validator(address).is_some())
        });
        assert!(signed.count() >= 2, "more than a third of four");
    }
}

#[test]
fn a_third_may_be_absent_but_not_more() {
    for absent in 1..=4 {
        let mut chain = Chain::steady(20);
        chain.push(20, 0, &[absent]);
        assert!(verify(&chain, 20, &[]).is_ok(), "{absent}");
        let other = absent % 4 + 1;
        chain.push(20, 0, &[absent, other]);
        let error = verify(&chain, 20, &[]).expect_err("two of four");
        assert!(matches!(error, Error::Primary { height: 20, .. }), "{error}");
    }
}

#[test]
fn whatever_is_changed_in_a_header_is_noticed() {
    let chain = Chain::steady(20);
    let tampers: [fn(&mut Header); 8] = [
        |header| header.app_hash = AppHash::try_from(vec![9; 32]).expect("bytes"),
        |header| header.time = time(21),
        |header| header.validators_hash = set(&[5, 6, 7, 8]).hash(),
        |header| header.next_validators_hash = set(&[5, 6, 7, 8]).hash(),
        |header| header.data_hash = Some(Hash::Sha256([3; 32])),
        |header| header.proposer_address = address(9),
        |header| header.last_block_id = None,
        |header| header.version.app = 1,
    ];
    for (index, tamper) in tampers.into_iter().enumerate() {
        let mut liar = chain.clone();
        tamper(&mut liar.blocks[19].signed_header.header);
        assert!(verify(&liar, 20, &[]).is_err(), "tamper {index}");
        // Nor with a commit that names the changed header, whose signatures then do not hold.
        let block = &mut liar.blocks[19];
        block.signed_header.commit.block_id.hash = block.signed_header.header.hash();
        assert!(verify(&liar, 20, &[]).is_err(), "tamper {index}");
    }
}

#[test]
fn validators_whom_nobody_knows_are_not_trusted() {
    let mut sets = vec![vec![1, 2, 3, 4]; 11];
    let honest = Chain::new("honest-1", &sets);
    sets[10..].fill(vec![5, 6, 7, 8]);
    sets.push(vec![5, 6, 7, 8]);
    let mut liar = Chain::new("honest-1", &sets);
    // Up to 10 it has the honest headers, and goes on with a set of its own.
    liar.blocks[..10].clone_from_slice(&honest.blocks[..10]);
    assert!(verify(&liar, 11, &[]).is_err());
}

#[test]
fn another_anchor_chain_or_height_is_refused() {
    let chain = Chain::steady(20);
    let mut anchor = chain.anchor(1);
    anchor.hash = Hash::Sha256([7; 32]);
    let error = run(anchor, 20, &chain, &[], time(1_000))
        .0
        .expect_err("another hash");
    assert!(matches!(error, Error::Primary { height: 1, .. }), "{error}");
    let other = Chain::new("other-1", &vec![vec![1, 2, 3, 4]; 21]);
    let error = run(chain.anchor(1), 20, &other, &[], time(1_000))
        .0
        .expect_err("another chain");
    assert!(matches!(error, Error::Primary { height: 1, .. }), "{error}");
    let error = run(chain.anchor(5), 4, &chain, &[], time(1_000))
        .0
        .expect_err("before it");
    assert!(
        matches!(error, Error::BeforeAnchor { target: 4, anchor: 5 }),
        "{error}"
    );
    let mut shifted = chain.clone();
    shifted.blocks[19] = chain.blocks[18].clone();
    assert!(verify(&shifted, 20, &[]).is_err());
}

#[test]
fn trust_ends_with_its_period_and_does_not_reach_into_the_future() {
    let chain = Chain::steady(20);
    let period = i64::try_from(Options::default().trusting_period.as_secs()).expect("in range");
    let at = |now| run(chain.anchor(1), 20, &chain, &[], now).0;
    assert!(at(time(period)).is_ok());
    assert!(at(time(period + 1)).is_err(), "the anchor is of second 1");
    assert!(at(time(11)).is_ok(), "ten seconds of drift");
    assert!(at(time(9)).is_err());
    let alone = |now| run(chain.anchor(1), 1, &chain, &[], now).0;
    assert!(alone(time(period)).is_ok());
    assert!(alone(time(period + 2)).is_err());
}

#[test]
fn two_chains_that_verify_are_an_attack_with_its_authors_named() {
    let honest = Chain::steady(30);
    // Three of four sign another block 25, and what follows from it.
    let mut forged = honest.clone();
    forged.push(25, 9, &[4]);
    for height in 26..=30 {
        forged.push(height, 9, &[4]);
    }
    for (primary, witness) in [(&honest, &forged), (&forged, &honest)] {
        let error = verify(primary, 30, &[primary, witness]).expect_err("an attack");
        let Error::Attack(attack) = error else {
            panic!("{error}");
        };
        assert_eq!(attack.witness, 1);
        let evidence = match attack
            .against_primary
            .conflicting_block
            .signed_header
            .header
            .app_hash
            .as_bytes()[0]
        {
            9 => &attack.against_primary,
            _ => &attack.against_witness,
        };
        let mut names: Vec<_> = [1, 2, 3].map(address).to_vec();
        names.sort();
        let found: Vec<_> = evidence
            .byzantine_validators
            .iter()
            .map(|info| info.address)
            .collect();
        assert_eq!(found, names);
        assert_eq!(evidence.total_voting_power.value(), 4);
    }
}

#[test]
fn equivocation_names_those_who_signed_both() {
    let honest = Chain::steady(10);
    let mut forged = honest.clone();
    // The same state, other transactions: only who signed twice is to blame.
    let mut header = forged.blocks[9].signed_header.header.clone();
    header.data_hash = Some(Hash::Sha256([3; 32]));
    forged.blocks[9].signed_header = signed(&forged.id, header, &set(&[1, 2, 3, 4]), &[2, 3, 4]);
    let error = verify(&honest, 10, &[&forged]).expect_err("an attack");
    let Error::Attack(attack) = error else {
        panic!("{error}");
    };
    for evidence in [&attack.against_primary, &attack.against_witness] {
        assert_eq!(evidence.byzantine_validators.len(), 3);
        assert_eq!(evidence.common_height.value(), 10);
    }
}

#[test]
fn a_witness_that_cannot_prove_its_chain_is_left() {
    let honest = Chain::steady(30);
    let mut forged = honest.clone();
    forged.push(30, 9, &[3, 4]);
    let behind = Chain {
        blocks: honest.blocks[..10].to_vec(),
        ..honest.clone()
    };
    let foreign = Chain::new("steady-1", &vec![vec![5, 6, 7, 8]; 31]);
    let liars = [&forged, &behind, &foreign];
    let with = [&forged, &honest, &behind, &foreign];
    let verified = verify(&honest, 30, &with).expect("one confirms it");
    let faulty: Vec<_> = verified.faults.iter().map(|fault| fault.witness).collect();
    assert_eq!(faulty, [0, 2, 3]);
    let error = verify(&honest, 30, &liars).expect_err("nobody confirms it");
    assert!(
        matches!(&error, Error::NoWitness(faults) if faults.len() == 3),
        "{error}"
    );
}

#[test]
fn a_node_cannot_keep_a_session_busy_for_ever() {
    // Every block has a set of its own: each has to be verified from the one before.
    let sets: Vec<Vec<u8>> = (0..=60_u8).map(|seed| vec![seed]).collect();
    let chain = Chain::new("restless-1", &sets);
    let (verified, asked) = run(chain.anchor(1), 60, &chain, &[], time(1_000));
    assert_eq!(verified.expect("verified").blocks.len(), 60);
    assert_eq!(asked, 60);
    let mut session = Session::new(chain.anchor(1), 20_000, 0, Options::default()).expect("begun");
    let now = time(100_000);
    session.supply(chain.at(1).expect("there"), now).expect("trusted");
    let seed = |height: u64| u8::try_from((height - 1) % 256).expect("a byte");
    for supplied in 0_usize.. {
        let Step::Fetch { height, .. } = session.step() else {
            panic!("done after {supplied} blocks");
        };
        let mut block = chain.at(1).expect("there");
        let mut header = block.signed_header.header.clone();
        header.height = Height::try_from(height).expect("in range");
        header.time = time(i64::try_from(height).expect("in range"));
        let (now_set, next) = (set(&[seed(height)]), set(&[seed(height + 1)]));
        (header.validators_hash, header.next_validators_hash) = (now_set.hash(), next.hash());
        block.signed_header = signed(&chain.id, header, &now_set, &[seed(height)]);
        (block.validators, block.next_validators) = (now_set, next);
        let Err(error) = session.supply(block, now) else {
            continue;
        };
        assert!(
            matches!(
                error,
                Error::Primary {
                    fault: Fault::TooFar,
                    ..
                }
            ),
            "{error}"
        );
        assert_eq!(supplied, MAX_BLOCKS);
        break;
    }
}

#[test]
fn reads_blocks_from_pages_of_the_rpc() {
    let seeds: Vec<u8> = (0..=149).collect();
    let chain = Chain::new("large-1", &[seeds.clone(), seeds.clone(), seeds]);
    let block = chain.at(1).expect("there");
    let mut collector = rpc::Collector::new(1);
    let mut calls = Vec::new();
    while let Some(call) = collector.call() {
        let result = match call.method {
            "commit" => serde_json::json!({"signed_header": block.signed_header, "canonical": true}),
            _ => {
                let page: usize = call.params["page"]
                    .as_str()
                    .expect("text")
                    .parse()
                    .expect("a number");
                let infos: Vec<_> = block
                    .validators
                    .validators
                    .iter()
                    .skip((page - 1) * 100)
                    .take(100)
                    .collect();
                serde_json::json!({"block_height": "1", "validators": infos, "count": "100", "total": "150"})
            }
        };
        calls.push(call.method);
        let answer = serde_json::json!({"jsonrpc": "2.0", "id": 1, "result": result});
        collector.answer(answer.to_string().as_bytes()).expect("read");
    }
    assert_eq!(
        calls,
        ["commit", "validators", "validators", "validators", "validators"]
    );
    let read = collector.finish().expect("whole");
    assert_eq!(read.signed_header, block.signed_header);
    assert_eq!(read.validators.hash(), block.validators.hash());
    // And verifies.
    let mut session = Session::new(chain.anchor(1), 1, 0, Options::default()).expect("begun");
    session.supply(read, time(2)).expect("verified");
    assert!(session.finish().is_some());
}

#[test]
fn answers_that_are_none_are_errors() {
    let error = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"Internal error","data":"no such height"}}"#;
    for bytes in [
        b"".as_slice(),
        b"{}",
        b"[]",
        b"{\"result\": {}}",
        error.as_bytes(),
    ] {
        assert!(rpc::Collector::new(1).answer(bytes).is_err());
    }
    let chain = Chain::steady(2);
    let block = chain.at(1).expect("there");
    let commit = serde_json::json!({"result": {"signed_header": block.signed_header}}).to_string();
    let page = |total: &str, power: &str| {
        let mut infos: Vec<_> = block
            .validators
            .validators
            .iter()
            .map(|info| serde_json::json!(info))
            .collect();
        // As nodes name it.
        let first = infos[0].as_object_mut().expect("an object");
        first.remove("power");
        first.insert("voting_power".into(), power.into());
        serde_json::json!({"result": {"validators": infos, "total": total}}).to_string()
    };
    let read = |page: String| {
        let mut collector = rpc::Collector::new(1);
        collector.answer(commit.as_bytes()).expect("read");
        collector.answer(page.as_bytes())
    };
    assert!(read(page("4", "1")).is_ok());
    assert!(read(page("3", "1")).is_err());
    assert!(read(page("5", "1")).is_err());
    assert!(read(page("x", "1")).is_err());
    assert!(
        read(page("4", "9223372036854775807")).is_err(),
        "more power than a set may have"
    );
}
