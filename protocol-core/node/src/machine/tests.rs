//! Blocks over the real rules and a store in memory.

mod bench;
mod figures;
mod hostile;
mod lockstep;
mod sets;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use portico_chain::block::init;
use portico_chain::genesis::{Genesis, GenesisAccount, GenesisParams, GenesisValidator};
use portico_chain::query::query;
use portico_client::{Accounts, Blocks, Transactions};
use portico_engine::{Clock, MAX_OVERLAYS, MachineError, Pace, Solo, StateMachine, TxSource, Verdict};
use portico_protocol::tx::{SignerContext, TxOptions, pack, sign_tx, unpack};
use portico_protocol::wire::cosmos::auth::v1beta1::{BaseAccount, QueryAccountRequest, QueryAccountResponse};
use portico_protocol::wire::cosmos::bank::v1beta1::MsgSend;
use portico_protocol::{Height, SigningKey, Upokt};
use portico_store::{ChainStore, StateTries};
use prost::Message as _;

use super::signer::certificate;
use super::{Built, Machine, Rules, Signer, Slot};
use crate::ValidatorKey;
use crate::api::Api;
use crate::local::LocalChain;
use crate::metrics::Metrics;
use crate::state::{STORES, writes};
use crate::validators::Validators;

const GENESIS_MS: u64 = 1_000_000;

pub(crate) fn account(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32]).expect("a scalar")
}

pub(crate) fn consensus() -> ValidatorKey {
    ValidatorKey::from_seed(&[7; 32])
}

pub(crate) fn genesis() -> Genesis {
    let accounts = [1, 2].map(|n| GenesisAccount::new(&account(n).public_key(), Upokt(1_000_000)));
    Genesis {
        chain_id: "portico-test".into(),
        genesis_time_ms: GENESIS_MS,
        params: GenesisParams::default(),
        validators: vec![GenesisValidator {
            consensus_public_key: consensus().public_key_hex(),
            account: account(3).address(),
            tokens: Upokt(1_000_000),
        }],
        accounts: accounts.to_vec(),
        services: Vec::new(),
        gateways: Vec::new(),
        applications: Vec::new(),
        suppliers: Vec::new(),
    }
}

/// A transfer of `amount` from account `from` to account 2, the `sequence`th of its sender.
pub(crate) fn transfer(from: u8, sequence: u64, amount: u128) -> Bytes {
    let key = account(from);
    let message = MsgSend {
        from_address: key.address().to_string(),
        to_address: account(2).address().to_string(),
        amount: vec![Upokt(amount).into()],
    };
    let options = TxOptions {
        gas_limit: 1_000_000,
        ..TxOptions::default()
    };
    let context = SignerContext {
        chain_id: "portico-test".into(),
        account_number: number(from),
        sequence,
    };
    sign_tx(vec![pack(&message)], &options, &context, &key).into()
}

/// Number that the genesis gives to account `n`.
fn number(n: u8) -> u64 {
    let changes = init(&genesis()).expect("consistent");
    let state: BTreeMap<_, _> = changes
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect();
    let request = QueryAccountRequest {
        address: account(n).address().to_string(),
    };
    let path = "/cosmos.auth.v1beta1.Query/Account";
    let answer = query(&state, Height(0), path, &request.encode_to_vec()).expect("known");
    let answer = QueryAccountResponse::decode(answer.as_slice()).expect("an answer");
    let account: BaseAccount = unpack(&answer.account.expect("an account")).expect("a base account");
    account.account_number
}

pub(crate) fn machine() -> Arc<Machine> {
    machine_with(portico_config::node::MempoolConfig::default())
}

fn machine_with(bounds: portico_config::node::MempoolConfig) -> Arc<Machine> {
    machine_since(GENESIS_MS, bounds)
}

fn machine_since(genesis_time_ms: u64, bounds: portico_config::node::MempoolConfig) -> Arc<Machine> {
    let store = ChainStore::in_memory().expect("made");
    machine_on(store, genesis_time_ms, bounds)
}

fn machine_on(
    store: ChainStore,
    genesis_time_ms: u64,
    bounds: portico_config::node::MempoolConfig,
) -> Arc<Machine> {
    machine_of(&genesis(), store, genesis_time_ms, bounds)
}

fn machine_of(
    genesis: &Genesis,
    store: ChainStore,
    genesis_time_ms: u64,
    bounds: portico_config::node::MempoolConfig,
) -> Arc<Machine> {
    let changes = init(genesis).expect("consistent");
    let mut tries = StateTries::new(&STORES);
    tries.apply(writes(&changes)).expect("known stores");
    store.init(b"{}", &tries, writes(&changes)).expect("written");
    let rules = Rules {
        chain_id: "portico-test".parse().expect("an id"),
        genesis_time_ms,
        validators: Arc::new(Validators::of(genesis).expect("usable")),
    };
    let metrics = Metrics::new(&prometheus::Registry::new()).expect("registered");
    Arc::new(Machine::open(store, rules, bounds, metrics).expect("opened"))
}

/// Keys of the validators of a genesis with so many of them.
pub(crate) fn keys(count: u8) -> Vec<ValidatorKey> {
    (0..count)
        .map(|n| match n {
            0 => consensus(),
            n => ValidatorKey::from_seed(&[100 + n; 32]),
        })
        .collect()
}

/// A certificate by the genesis' validators.
fn certify(machine: &Machine, block: &Built) -> Bytes {
    let Rules {
        validators, chain_id, ..
    } = &machine.rules;
    let count = u8::try_from(validators.len()).expect("at most 100");
    certificate(&keys(count), validators, chain_id, block).expect("signed")
}

struct Given(Vec<Bytes>);

impl TxSource for Given {
    fn next(&mut self, _room: usize) -> Option<Bytes> {
        (!self.0.is_empty()).then(|| self.0.remove(0))
    }
}

fn slot(height: i64, time_ms: u64) -> Slot {
    Slot {
        height: Height(height),
        time_ms,
        max_bytes: 1 << 20,
    }
}

fn build(machine: &Machine, parent: &[u8; 32], height: i64, time_ms: u64) -> Built {
    machine
        .build(parent, slot(height, time_ms), &mut Given(Vec::new()))
        .expect("built")
}

fn commit(machine: &Machine, block: &Built) -> Result<bool, MachineError> {
    let certificate = certify(machine, block);
    machine.commit(&block.id, &certificate).map(|done| done.new)
}

/// Makes an empty block on the tip.
pub(crate) fn next_block(machine: &Machine) {
    let tip = machine.tip();
    let block = build(machine, &tip.block_id, tip.height.0 + 1, tip.time_ms + 1_000);
    assert!(commit(machine, &block).expect("committed"));
}

const ROOT: [u8; 32] = [0; 32];

#[derive(Clone, Default)]
struct FakeClock(Arc<AtomicU64>);

impl Clock for FakeClock {
    fn now_ms(&self) -> u64 {
        self.0.fetch_add(100, Ordering::SeqCst)
    }
}

fn solo(machine: &Arc<Machine>) -> Solo<FakeClock> {
    let pace = Pace::Interval(std::time::Duration::from_secs(1));
    let pool = machine.mempool.clone();
    let signer = Arc::new(Signer {
        keys: vec![consensus()],
        machine: machine.clone(),
    });
    Solo::new(
        machine.clone(),
        pool,
        signer,
        FakeClock(Arc::new(AtomicU64::new(GENESIS_MS * 2))),
        pace,
        1 << 20,
    )
}

#[test]
fn the_same_clock_and_transactions_make_the_same_chain() {
    let run = || {
        let machine = machine();
        let engine = solo(&machine);
        let mut chain = Vec::new();
        for sequence in 0..4 {
            let outcome = machine.mempool.add(transfer(1, sequence, 5)).expect("room");
            assert_eq!(outcome.code, 0, "{}", outcome.log);
            engine.step().expect("made");
            let tip = machine.tip();
            chain.push((tip.block_id, tip.state_root, tip.time_ms));
        }
        chain
    };
    assert_eq!(run(), run());
}

#[tokio::test]
async fn a_transfer_is_included_and_moves_tokens() {
    let machine = machine();
    let engine = solo(&machine);
    let metrics = Metrics::new(&prometheus::Registry::new()).expect("registered");
    let chain = LocalChain {
        api: Api::new(machine.clone(), metrics, consensus().public_key()),
        chain_id: "portico-test".into(),
    };
    let head = Blocks::head(&chain);
    engine.step().expect("made");
    let tx = transfer(1, 0, 5);
    let sent = Transactions::broadcast(&chain, tx.clone())
        .await
        .expect("answered");
    assert_eq!(sent.code, 0, "{}", sent.log);
    assert_eq!(
        Transactions::tx(&chain, &sent.hash).await.expect("answered"),
        None
    );
    engine.step().expect("made");
    assert_eq!(head.borrow().height.0, 2);
    let included = Transactions::tx(&chain, &sent.hash)
        .await
        .expect("answered")
        .expect("in a block");
    assert_eq!((included.height.0, included.code), (2, 0), "{}", included.log);
    let balance = chain.balance(&account(2).address()).await.expect("answered");
    assert_eq!(balance, Upokt(1_000_005));
    let account = chain.account(&account(1).address()).await.expect("answered");
    assert_eq!((account.number, account.sequence), (number(1), 1));
    let again = Transactions::broadcast(&chain, tx).await.expect("answered");
    assert_eq!((again.code, again.codespace.as_str()), (19, "sdk"));
}

/// A disk in memory that takes no writes while it is full.
#[derive(Debug)]
struct SmallDisk {
    disk: redb::backends::InMemoryBackend,
    full: std::sync::atomic::AtomicBool,
}

impl SmallDisk {
    fn check(&self) -> std::io::Result<()> {
        match self.full.load(Ordering::SeqCst) {
            true => Err(std::io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }
}

impl redb::StorageBackend for SmallDisk {
    fn len(&self) -> std::io::Result<u64> {
        self.disk.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.disk.read(offset, out)
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.check()?;
        self.disk.set_len(len)
    }

    fn sync_data(&self) -> std::io::Result<()> {
        self.disk.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.check()?;
        self.disk.write(offset, data)
    }
}

#[tokio::test]
async fn a_full_disk_stops_blocks_and_nothing_else() {
    let disk = Arc::new(SmallDisk {
        disk: redb::backends::InMemoryBackend::new(),
        full: std::sync::atomic::AtomicBool::new(false),
    });
    let mut disks = portico_store::Disks::in_memory();
    disks.logs[0] = disk.clone();
    let store = ChainStore::on(disks, 10).expect("made");
    let machine = machine_on(store, GENESIS_MS, portico_config::node::MempoolConfig::default());
    let metrics = Metrics::new(&prometheus::Registry::new()).expect("registered");
    let chain = LocalChain {
        api: Api::new(machine.clone(), metrics, consensus().public_key()),
        chain_id: "portico-test".into(),
    };
    let first = build(&machine, &ROOT, 1, GENESIS_MS + 1);
    commit(&machine, &first).expect("next");
    disk.full.store(true, Ordering::SeqCst);
    let sent = Transactions::broadcast(&chain, transfer(1, 0, 5))
        .await
        .expect("answered");
    assert_eq!(sent.code, 0, "{}", sent.log);
    let txs = vec![transfer(1, 0, 5)];
    let second = machine
        .build(&first.id, slot(2, GENESIS_MS + 2), &mut Given(txs))
        .expect("built");
    for _ in 0..3 {
        assert!(matches!(
            commit(&machine, &second),
            Err(MachineError::Unwritable(_))
        ));
        assert_eq!(machine.metrics.writable.get(), 0);
        assert_eq!(machine.tip().block_id, first.id);
        let balance = chain.balance(&account(2).address()).await.expect("answered");
        assert_eq!(balance, Upokt(1_000_000));
        assert_eq!(
            Transactions::tx(&chain, &sent.hash).await.expect("answered"),
            None
        );
        let known = Transactions::broadcast(&chain, transfer(1, 0, 5))
            .await
            .expect("answered");
        assert_eq!(known.code, 19, "it still waits");
    }
    let more = Transactions::broadcast(&chain, transfer(1, 1, 5))
        .await
        .expect("answered");
    assert_eq!(more.code, 0, "{}", more.log);
    disk.full.store(false, Ordering::SeqCst);
    assert!(commit(&machine, &second).expect("space again"));
    assert_eq!(machine.metrics.writable.get(), 1);
    let included = Transactions::tx(&chain, &sent.hash)
        .await
        .expect("answered")
        .expect("in a block");
    assert_eq!((included.height.0, included.code), (2, 0), "{}", included.log);
    let engine = solo(&machine);
    engine.step().expect("made");
    let balance = chain.balance(&account(2).address()).await.expect("answered");
    assert_eq!(balance, Upokt(1_000_010));
}

#[test]
fn blocks_are_built_on_blocks_that_are_not_durable() {
    let machine = machine();
    let first = build(&machine, &ROOT, 1, GENESIS_MS + 1);
    let second = build(&machine, &first.id, 2, GENESIS_MS + 2);
    let third = build(&machine, &second.id, 3, GENESIS_MS + 3);
    assert_eq!(machine.tip().height.0, 0);
    for block in [&first, &second, &third] {
        assert!(commit(&machine, block).expect("next"));
    }
    assert_eq!(machine.tip().block_id, third.id);
}

#[test]
fn a_proof_of_a_height_ends_at_the_next_header() {
    let machine = machine();
    let engine = solo(&machine);
    for sequence in 0..4 {
        machine.mempool.add(transfer(1, sequence, 5)).expect("room");
        engine.step().expect("made");
    }
    let snapshot = machine.view().snapshot.clone();
    for height in 0..4_i64 {
        let at = snapshot.at(height).expect("retained");
        let (key, value) = at.range("bank", &[], None, 1).expect("readable").remove(0);
        let proof = at.prove("bank", &key).expect("proved");
        assert_eq!((proof.height, proof.value.as_ref()), (height, Some(&value)));
        assert_eq!(proof.steps().len(), 2);
        let next = snapshot.block(height + 1).expect("readable").expect("there");
        let header = crate::block::decode(&next).expect("a block").header;
        assert_eq!(header.app_hash.as_bytes(), proof.app_hash);
    }
}

#[test]
fn a_commit_drops_siblings_and_is_done_once() {
    let machine = machine();
    let taken = build(&machine, &ROOT, 1, GENESIS_MS + 1);
    let sibling = build(&machine, &ROOT, 1, GENESIS_MS + 9);
    let nephew = build(&machine, &sibling.id, 2, GENESIS_MS + 10);
    assert!(commit(&machine, &taken).expect("next"));
    assert!(!commit(&machine, &taken).expect("known"));
    for lost in [&sibling, &nephew] {
        assert!(matches!(commit(&machine, lost), Err(MachineError::Unknown(id)) if id == lost.id));
    }
    assert_eq!(machine.tip().block_id, taken.id);
}

#[test]
fn a_block_is_committed_only_after_its_parent_and_with_its_own_certificate() {
    let machine = machine();
    let first = build(&machine, &ROOT, 1, GENESIS_MS + 1);
    let second = build(&machine, &first.id, 2, GENESIS_MS + 2);
    assert!(matches!(
        commit(&machine, &second),
        Err(MachineError::NotNext { .. })
    ));
    let foreign = certify(&machine, &second);
    assert!(matches!(
        machine.commit(&first.id, &foreign),
        Err(MachineError::Refused(_))
    ));
    assert!(matches!(
        machine.commit(&first.id, b""),
        Err(MachineError::Refused(_))
    ));
    assert_eq!(machine.tip().height.0, 0);
}

#[test]
fn more_siblings_than_fit_evict_and_come_back() {
    let machine = machine();
    let first = build(&machine, &ROOT, 1, GENESIS_MS + 1);
    for n in 2..=u64::try_from(MAX_OVERLAYS).expect("64") + 1 {
        build(&machine, &ROOT, 1, GENESIS_MS + n);
    }
    assert!(matches!(commit(&machine, &first), Err(MachineError::Unknown(id)) if id == first.id));
    let verdict = machine.verify(&ROOT, &first.bytes).expect("judged");
    assert_eq!(verdict, Verdict::Valid(first.id));
    assert!(commit(&machine, &first).expect("executed again"));
}

#[test]
fn a_pipeline_ends_at_its_bound_and_can_be_discarded() {
    let machine = machine();
    let mut parent = ROOT;
    for height in 1..=i64::try_from(MAX_OVERLAYS).expect("64") {
        let time = GENESIS_MS + u64::try_from(height).expect("few");
        parent = build(&machine, &parent, height, time).id;
    }
    let next = slot(i64::try_from(MAX_OVERLAYS).expect("64") + 1, GENESIS_MS * 2);
    let more = machine.build(&parent, next, &mut Given(Vec::new()));
    assert!(matches!(more, Err(MachineError::Full(MAX_OVERLAYS))));
    machine.discard_unfinalized();
    build(&machine, &ROOT, 1, GENESIS_MS + 999);
}

#[test]
fn another_machine_agrees_with_a_block_and_refuses_altered_ones() {
    let (maker, judge) = (machine(), machine());
    let first = build(&maker, &ROOT, 1, GENESIS_MS + 1);
    commit(&maker, &first).expect("next");
    let txs = vec![transfer(1, 0, 5)];
    let second = maker
        .build(&first.id, slot(2, GENESIS_MS + 2), &mut Given(txs))
        .expect("built");
    let verify = |parent: &[u8; 32], bytes: &[u8]| judge.verify(parent, bytes).expect("judged");
    assert_eq!(
        verify(&first.id, &second.bytes),
        Verdict::Missing(first.id),
        "the parent is unknown"
    );
    assert_eq!(verify(&ROOT, &first.bytes), Verdict::Valid(first.id));
    assert_eq!(verify(&first.id, &second.bytes), Verdict::Valid(second.id));
    assert!(
        matches!(verify(&ROOT, &second.bytes), Verdict::Invalid(_)),
        "another height"
    );
    for at in (0..second.bytes.len()).step_by(7) {
        let mut altered = second.bytes.to_vec();
        altered[at] ^= 1;
        assert!(
            !matches!(verify(&first.id, &altered), Verdict::Valid(id) if id == second.id),
            "byte {at}"
        );
    }
    commit(&judge, &first).expect("next");
    commit(&judge, &second).expect("next");
    commit(&maker, &second).expect("next");
    assert_eq!(maker.tip(), judge.tip());
}

#[test]
fn a_block_that_is_not_later_than_its_parent_is_refused() {
    let early = machine_since(GENESIS_MS - 10, portico_config::node::MempoolConfig::default());
    let judge = machine();
    for (time_ms, valid) in [
        (GENESIS_MS - 1, false),
        (GENESIS_MS, false),
        (GENESIS_MS + 1, true),
    ] {
        let block = build(&early, &ROOT, 1, time_ms);
        let verdict = judge.verify(&ROOT, &block.bytes).expect("judged");
        assert_eq!(matches!(verdict, Verdict::Valid(_)), valid, "{verdict:?}");
    }
}

#[test]
fn slots_must_follow_the_parent() {
    let machine = machine();
    for slot in [slot(2, GENESIS_MS + 1), slot(1, GENESIS_MS), slot(1, 0)] {
        let result = machine.build(&ROOT, slot, &mut Given(Vec::new()));
        assert!(matches!(result, Err(MachineError::Refused(_))), "{slot:?}");
    }
}

mod mempool {
    use portico_config::node::MempoolConfig;
    use portico_protocol::wire::cosmos::tx::v1beta1::{AuthInfo, TxRaw};

    use super::*;
    use crate::mempool::MempoolError;

    fn bounds() -> MempoolConfig {
        MempoolConfig::default()
    }

    #[test]
    fn a_sender_may_queue_several_transactions_in_order() {
        let machine = machine();
        let code = |sequence| machine.mempool.add(transfer(1, sequence, 1)).expect("room").code;
        assert_ne!(code(1), 0, "sequence 0 comes first");
        assert_eq!([code(0), code(1), code(2)], [0, 0, 0]);
        solo(&machine).step().expect("made");
        assert_eq!(machine.mempool.waiting_txs(9).1, 0);
        assert_eq!(machine.tip().height.0, 1);
    }

    #[test]
    fn every_bound_is_kept_and_says_so() {
        let machine = machine_with(MempoolConfig {
            max_txs: 2,
            max_txs_per_sender: 1,
            max_tx_bytes: 1_000,
            ..bounds()
        });
        let add = |tx| machine.mempool.add(tx);
        assert!(matches!(
            add(vec![0; 1_001].into()),
            Err(MempoolError::TooLarge {
                max: 1_000,
                size: 1_001
            })
        ));
        assert_eq!(add(transfer(1, 0, 1)).expect("room").code, 0);
        assert!(matches!(add(transfer(1, 0, 1)), Err(MempoolError::Known)));
        assert!(matches!(add(transfer(1, 1, 1)), Err(MempoolError::SenderFull(1))));
        assert_eq!(add(transfer(2, 0, 1)).expect("room").code, 0);
        let full = add(Bytes::from_static(b"of somebody else")).expect_err("full");
        assert!(matches!(
            full,
            MempoolError::Full {
                txs: 2,
                max_txs: 2,
                ..
            }
        ));
        assert!(full.to_string().starts_with("mempool is full: 2 transactions"));
    }

    #[test]
    fn bytes_are_bounded_too() {
        let size = transfer(1, 0, 1).len();
        let machine = machine_with(MempoolConfig {
            max_bytes: size,
            ..bounds()
        });
        machine.mempool.add(transfer(1, 0, 1)).expect("room");
        assert!(matches!(
            machine.mempool.add(transfer(2, 0, 1)),
            Err(MempoolError::Full { .. })
        ));
    }

    #[test]
    fn what_a_block_made_impossible_leaves_the_mempool() {
        let machine = machine();
        machine.mempool.add(transfer(1, 0, 1)).expect("room");
        machine.mempool.add(transfer(2, 0, 1)).expect("room");
        // Another transaction of account 1 takes its sequence.
        let block = machine
            .build(
                &ROOT,
                slot(1, GENESIS_MS + 1),
                &mut Given(vec![transfer(1, 0, 77)]),
            )
            .expect("built");
        commit(&machine, &block).expect("next");
        let (txs, count, _) = machine.mempool.waiting_txs(9);
        assert_eq!((txs, count), (vec![transfer(2, 0, 1)], 1));
    }

    #[test]
    fn nobody_can_use_up_the_share_of_another_sender() {
        let machine = machine_with(MempoolConfig {
            max_txs_per_sender: 1,
            ..bounds()
        });
        // Forged: account 1 is named, and did not sign.
        let mut forged = TxRaw::decode(transfer(1, 0, 1).as_ref()).expect("a transaction");
        forged.signatures[0][5] ^= 1;
        let outcome = machine
            .mempool
            .add(forged.encode_to_vec().into())
            .expect("judged");
        assert_eq!(outcome.code, 4, "{}", outcome.log);
        assert_eq!(machine.mempool.add(transfer(1, 0, 1)).expect("room").code, 0);
        // Without its key, which the chain knows, it is the same sender.
        let mut keyless = TxRaw::decode(transfer(1, 1, 1).as_ref()).expect("a transaction");
        let mut info = AuthInfo::decode(keyless.auth_info_bytes.as_slice()).expect("an auth info");
        info.signer_infos[0].public_key = None;
        keyless.auth_info_bytes = info.encode_to_vec();
        assert!(matches!(
            machine.mempool.add(keyless.encode_to_vec().into()),
            Err(MempoolError::SenderFull(1))
        ));
    }

    #[test]
    fn a_fee_below_the_floor_is_refused_with_what_is_required() {
        let machine = machine_with(MempoolConfig {
            min_gas_price_micro_upokt: 3,
            ..bounds()
        });
        let refused = machine.mempool.add(transfer(1, 0, 1)).expect_err("no fee");
        assert_eq!(refused.code(), Some(13));
        let text = "insufficient fees; got: 0upokt required: 3upokt: insufficient fee";
        assert_eq!(refused.to_string(), text);
        assert!(machine.mempool.check(&transfer(1, 0, 1)).is_err());
    }

    #[test]
    fn garbage_is_refused_with_a_code() {
        let machine = machine();
        let outcome = machine.mempool.add(Bytes::from_static(b"garbage")).expect("room");
        assert_ne!(outcome.code, 0);
        assert_eq!(machine.mempool.waiting_txs(9).1, 0);
    }

    #[test]
    fn waiting_counts_are_published() {
        let machine = machine();
        let waiting = portico_engine::Pool::waiting(&*machine.mempool);
        machine.mempool.add(transfer(1, 0, 1)).expect("room");
        assert_eq!(*waiting.borrow(), 1);
        solo(&machine).step().expect("made");
        assert_eq!(*waiting.borrow(), 0);
    }
}
