//! What blocks of a thousand transfers cost, through the real rules, mempool and store: `just bench-store`.

use std::time::{Duration, SystemTime};

use super::*;

const ACCOUNTS: u64 = 250;
const TXS: u64 = 1_000;
const BLOCKS: u64 = 10;

fn sender(n: u64) -> SigningKey {
    let mut seed = [9; 32];
    seed[..8].copy_from_slice(&n.to_be_bytes());
    SigningKey::from_bytes(&seed).expect("a scalar")
}

fn many() -> Genesis {
    let accounts = (0..ACCOUNTS).map(|n| GenesisAccount::new(&sender(n).public_key(), Upokt(1_000_000_000)));
    Genesis {
        accounts: accounts.collect(),
        ..genesis()
    }
}

/// Account numbers of the senders.
fn numbers(state: &crate::state::State) -> Vec<u64> {
    let number = |n| {
        let request = QueryAccountRequest {
            address: sender(n).address().to_string(),
        };
        let path = "/cosmos.auth.v1beta1.Query/Account";
        let answer = query(state, Height(0), path, &request.encode_to_vec()).expect("known");
        let answer = QueryAccountResponse::decode(answer.as_slice()).expect("an answer");
        let account: BaseAccount = unpack(&answer.account.expect("an account")).expect("a base account");
        account.account_number
    };
    (0..ACCOUNTS).map(number).collect()
}

fn transfer_of(n: u64, account_number: u64, sequence: u64) -> Bytes {
    let key = sender(n);
    let message = MsgSend {
        from_address: key.address().to_string(),
        to_address: sender((n + 1) % ACCOUNTS).address().to_string(),
        amount: vec![Upokt(1).into()],
    };
    let options = TxOptions {
        gas_limit: 1_000_000,
        ..TxOptions::default()
    };
    let context = SignerContext {
        chain_id: "portico-test".into(),
        account_number,
        sequence,
    };
    sign_tx(vec![pack(&message)], &options, &context, &key).into()
}

fn per_block(name: &str, all: Duration) {
    let blocks = f64::from(u32::try_from(BLOCKS).expect("few"));
    println!(
        "{name:<44} {:.1} ms per block of {TXS} transfers",
        all.as_secs_f64() * 1e3 / blocks
    );
}

#[test]
#[ignore = "it measures; `just bench-store` runs it"]
fn blocks_of_a_thousand_transfers() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = ChainStore::open(&folder.path().join("chain.redb"), 1_000).expect("opened");
    let machine = machine_of(
        &many(),
        store,
        GENESIS_MS,
        portico_config::node::MempoolConfig::default(),
    );
    let state: crate::state::State = Arc::new(crate::state::Durable(machine.view().snapshot.clone()));
    let numbers = numbers(&state);
    let (mut check, mut build, mut write) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let now = SystemTime::now;
    for block in 0..BLOCKS {
        let txs: Vec<Bytes> = (0..TXS)
            .map(|n| (n % ACCOUNTS, block * (TXS / ACCOUNTS) + n / ACCOUNTS))
            .map(|(n, sequence)| transfer_of(n, numbers[usize::try_from(n).expect("few")], sequence))
            .collect();
        let started = now();
        for tx in &txs {
            let outcome = machine.mempool.add(tx.clone()).expect("room");
            assert_eq!(outcome.code, 0, "{}", outcome.log);
        }
        check += started.elapsed().expect("forward");
        let tip = machine.tip();
        let slot = Slot {
            max_bytes: 20 << 20,
            ..slot(tip.height.0 + 1, tip.time_ms + 1_000)
        };
        let started = now();
        let built = machine
            .build(&tip.block_id, slot, &mut Given(txs))
            .expect("built");
        build += started.elapsed().expect("forward");
        let started = now();
        assert!(commit(&machine, &built).expect("next"));
        write += started.elapsed().expect("forward");
    }
    let results = machine
        .view()
        .snapshot
        .results(1)
        .expect("readable")
        .expect("there");
    let results =
        tendermint_proto::v0_38::abci::ResponseFinalizeBlock::decode(results.as_slice()).expect("results");
    assert!(results.tx_results.iter().all(|tx| tx.code == 0), "transfers fail");
    per_block("check by the mempool", check);
    per_block("build: execute, hash", build);
    per_block("commit: write, sync, mempool again", write);
    let blocks = f64::from(u32::try_from(BLOCKS).expect("few")) / (build + write).as_secs_f64();
    println!(
        "{:<44} {blocks:.1} per second, one core",
        "blocks of 1,000 transfers, whole node"
    );
}
