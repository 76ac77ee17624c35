//! The real chain: genesis, signed transactions, blocks, queries.

use std::collections::BTreeMap;

use bytes::Bytes;
use portico_chain::block::{BlockContext, TxOutcome, execute, init};
use portico_chain::genesis::{
    Genesis, GenesisAccount, GenesisApplication, GenesisGateway, GenesisService, GenesisSupplier,
    GenesisSupplierService, GenesisValidator,
};
use portico_chain::query::query;
use portico_chain::state::Store;
use portico_protocol::tx::{SignerContext, TxOptions, pack, sign_tx, unpack};
use portico_protocol::wire::cosmos::auth::v1beta1::{BaseAccount, QueryAccountRequest, QueryAccountResponse};
use portico_protocol::{Height, ServiceId, Upokt};
use prost::{Message, Name};

use crate::actors::{DAO, PEOPLE, SERVICES, VALIDATOR_TOKENS, address, key, validator};
use crate::deeds::Knobs;
use crate::model::{
    BALANCE, CLAIM_CLOSE, CLAIM_OPEN, GRACE, MAX_GATEWAYS, MIN_GATEWAY_STAKE, MIN_STAKE, N, PRICE,
    PROOF_CLOSE, PROOF_OPEN, STAKING_FEE,
};
use crate::session::block_hash;

const CHAIN_ID: &str = "oracle";
const BEGIN_MS: u64 = 1_700_000_000_000;

/// A chain in memory.
pub(crate) struct Chain {
    state: BTreeMap<(Store, Vec<u8>), Vec<u8>>,
    pub(crate) height: i64,
    numbers: Vec<u64>,
    /// Transactions so far: each has a timeout of its own.
    sent: u64,
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).expect("not negative")
}

fn genesis(knobs: &Knobs) -> Genesis {
    let account = |who: usize| GenesisAccount::new(&key(who).public_key(), Upokt(BALANCE));
    let who = |who: usize| key(who).address();
    let stake = Upokt(4 * MIN_STAKE);
    let eth = || ServiceId::new("eth").expect("an id");
    let mut genesis = Genesis {
        chain_id: CHAIN_ID.into(),
        genesis_time_ms: BEGIN_MS,
        params: portico_chain::genesis::GenesisParams::default(),
        validators: (0..VALIDATOR_TOKENS.len())
            .map(|index| GenesisValidator {
                consensus_public_key: format!("{index:02}").repeat(32),
                account: validator(index).parse().expect("an address"),
                tokens: Upokt(VALIDATOR_TOKENS[index]),
            })
            .collect(),
        accounts: (0..PEOPLE).map(account).collect(),
        services: SERVICES
            .iter()
            .map(|id| GenesisService {
                id: ServiceId::new(id).expect("an id"),
                name: String::new(),
                compute_units_per_relay: if *id == "eth" { 10_000 } else { 100 },
                owner: who(6),
            })
            .collect(),
        gateways: vec![GenesisGateway {
            address: who(1),
            stake,
        }],
        applications: vec![GenesisApplication {
            address: who(0),
            stake,
            service_id: eth(),
            delegatees: vec![who(1)],
        }],
        suppliers: [(2, 2), (3, 5), (4, 4)]
            .map(|(operator, owner)| GenesisSupplier {
                owner: who(owner),
                operator: who(operator),
                stake,
                services: vec![GenesisSupplierService {
                    service_id: eth(),
                    url: "http://node".into(),
                    endpoints: Vec::new(),
                    rev_share: Vec::new(),
                }],
            })
            .to_vec(),
    };
    params(&mut genesis, knobs);
    genesis
}

fn params(genesis: &mut Genesis, knobs: &Knobs) {
    let params = &mut genesis.params;
    params.shared.num_blocks_per_session = unsigned(N);
    params.shared.grace_period_end_offset_blocks = unsigned(GRACE);
    params.shared.claim_window_open_offset_blocks = unsigned(CLAIM_OPEN);
    params.shared.claim_window_close_offset_blocks = unsigned(CLAIM_CLOSE);
    params.shared.proof_window_open_offset_blocks = unsigned(PROOF_OPEN);
    params.shared.proof_window_close_offset_blocks = unsigned(PROOF_CLOSE);
    params.shared.compute_units_to_tokens_multiplier = PRICE;
    params.shared.compute_unit_cost_granularity = 1;
    params.num_suppliers_per_session = knobs.num_suppliers;
    params.max_delegated_gateways = MAX_GATEWAYS as u64;
    params.application_min_stake = Upokt(MIN_STAKE);
    params.supplier_min_stake = Upokt(MIN_STAKE);
    params.gateway_min_stake = Upokt(MIN_GATEWAY_STAKE);
    params.supplier_staking_fee = Upokt(STAKING_FEE);
    params.target_num_relays = knobs.target_num_relays;
    params.proof.proof_request_probability = knobs.probability.parse().expect("a number");
    params.proof.proof_requirement_threshold = Upokt(knobs.threshold);
    params.proof.proof_missing_penalty = Upokt(knobs.penalty);
    params.proof.proof_submission_fee = Upokt(knobs.submission_fee);
    let tokenomics = &mut params.tokenomics;
    tokenomics.dao_reward_address = DAO.clone();
    tokenomics.global_inflation_per_claim = knobs.inflation.parse().expect("a number");
    tokenomics.mint_ratio = knobs.mint_ratio.parse().expect("a number");
    tokenomics.overservicing_bonus_multiplier = knobs.bonus;
    let [supplier, proposer, source_owner, application, dao] =
        knobs.shares.map(|share| share.parse().expect("a number"));
    for shares in [
        &mut tokenomics.mint_allocation_percentages,
        &mut tokenomics.mint_equals_burn_claim_distribution,
    ] {
        (shares.supplier, shares.proposer, shares.source_owner) = (supplier, proposer, source_owner);
        (shares.application, shares.dao) = (application, dao);
    }
}

impl Chain {
    pub(crate) fn new(knobs: &Knobs) -> Self {
        let changes = init(&genesis(knobs)).expect("consistent");
        let state = changes
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)))
            .collect();
        let mut chain = Self {
            state,
            height: 0,
            numbers: Vec::new(),
            sent: 0,
        };
        chain.numbers = (0..PEOPLE).map(|who| chain.number(address(who))).collect();
        chain
    }

    fn number(&self, address: &str) -> u64 {
        let request = QueryAccountRequest {
            address: address.into(),
        };
        let answer: QueryAccountResponse = self
            .ask("/cosmos.auth.v1beta1.Query/Account", &request)
            .expect("known");
        let account: BaseAccount = unpack(&answer.account.expect("there")).expect("an account");
        account.account_number
    }

    /// A transaction of one message; its timeout is its number.
    pub(crate) fn tx<M: Message + Name>(&mut self, signer: &str, message: &M, fee: u128) -> Bytes {
        let who = (0..PEOPLE)
            .find(|who| address(*who) == signer)
            .expect("one of the people");
        self.sent += 1;
        let now_s = i64::try_from(BEGIN_MS / 1_000).expect("small") + self.height;
        let options = TxOptions {
            unordered: true,
            timeout_timestamp: Some(prost_types::Timestamp {
                seconds: now_s + 60,
                nanos: i32::try_from(self.sent % 1_000_000_000).expect("small"),
            }),
            gas_limit: 10_000_000,
            fee: Upokt(fee),
            ..TxOptions::default()
        };
        let context = SignerContext {
            chain_id: CHAIN_ID.into(),
            account_number: self.numbers[who],
            sequence: 0,
        };
        sign_tx(vec![pack(message)], &options, &context, key(who)).into()
    }

    /// Executes the next block.
    pub(crate) fn block(&mut self, txs: &[Bytes]) -> Vec<TxOutcome> {
        let height = self.height + 1;
        let context = BlockContext {
            chain_id: CHAIN_ID.into(),
            height: Height(height),
            time_ms: BEGIN_MS + unsigned(height) * 1_000,
            hash: block_hash(height),
            proposer_account: String::new(),
        };
        let outcome = execute(&self.state, &context, txs).expect("state can be read");
        for (key, change) in outcome.changes {
            match change {
                Some(value) => self.state.insert(key, value),
                None => self.state.remove(&key),
            };
        }
        self.height = height;
        outcome.txs
    }

    pub(crate) fn ask<A: Message + Default>(&self, path: &str, request: &impl Message) -> Result<A, String> {
        let answer = query(&self.state, Height(self.height), path, &request.encode_to_vec());
        let bytes = answer.map_err(|error| error.to_string())?;
        Ok(A::decode(bytes.as_slice()).expect("an answer"))
    }
}
