//! One claim that settles: how the vectors of single amounts go through blocks.

use portico_protocol::wire::pocket::proof::{Claim, MsgCreateClaim};
use portico_protocol::wire::pocket::session::{
    QueryGetSessionRequest, QueryGetSessionResponse, SessionHeader,
};
use portico_protocol::wire::pocket::shared::ServiceRevenueShare;
use portico_protocol::wire::tendermint::abci::Event;
use portico_protocol::{ServiceId, Upokt};

use super::replay::{Keys, Replay, genesis, key, service};
use crate::genesis::{
    Genesis, GenesisAccount, GenesisApplication, GenesisParams, GenesisRevShare, GenesisSupplier,
    GenesisSupplierService,
};
use crate::tokenomics::{self, Validator};
use crate::{proof, supplier};

/// Stake of the application: more than any claim can need.
pub(crate) const STAKE: Upokt = Upokt(1 << 67);

/// An application and a supplier with claims of one session; a relay weighs one compute unit, which costs one upokt.
pub(crate) struct Scene {
    pub(crate) genesis: Genesis,
    /// Shares that no stake message may state.
    pub(crate) odd_shares: Option<Vec<ServiceRevenueShare>>,
    pub(crate) validators: Option<Vec<Validator>>,
}

impl Scene {
    pub(crate) fn new(mut params: GenesisParams) -> Self {
        params.proof.proof_request_probability = 0.0;
        params.proof.proof_requirement_threshold = Upokt(u128::MAX);
        params.shared.compute_units_to_tokens_multiplier = 1;
        params.shared.compute_unit_cost_granularity = 1;
        let mut genesis = genesis(params);
        let names = ["application", "supplier"];
        genesis
            .accounts
            .extend(names.map(|name| GenesisAccount::new(&key(name).public_key(), Upokt(1))));
        let owner = genesis.validators[0].account.to_string();
        genesis.services = vec![service("eth", 1, &owner)];
        genesis.applications = vec![GenesisApplication {
            address: key("application").address(),
            stake: STAKE,
            service_id: ServiceId::new("eth").unwrap(),
            delegatees: Vec::new(),
        }];
        genesis.suppliers = vec![GenesisSupplier {
            owner: key("owner").address(),
            operator: key("supplier").address(),
            stake: Upokt(1_000_000),
            services: vec![GenesisSupplierService {
                service_id: ServiceId::new("eth").unwrap(),
                url: "http://127.0.0.1:8545".into(),
                endpoints: Vec::new(),
                rev_share: Vec::new(),
            }],
        }];
        Self {
            genesis,
            odd_shares: None,
            validators: None,
        }
    }

    pub(crate) fn set_shares(&mut self, shares: &[(String, u64)]) {
        let shares = shares.iter().map(|(address, percentage)| GenesisRevShare {
            address: address.parse().unwrap(),
            percentage: *percentage,
        });
        self.genesis.suppliers[0].services[0].rev_share = shares.collect();
    }

    /// The chain at the end of the first session.
    pub(crate) fn begin(&self) -> Replay {
        let mut chain = Replay::new(&self.genesis);
        chain.place(|ctx| {
            if let Some(validators) = &self.validators {
                tokenomics::set_validators(ctx, validators)?;
            }
            if let Some(shares) = &self.odd_shares {
                let operator = key("supplier").address().to_string();
                let old = supplier::supplier(&ctx.state, &operator)?.unwrap();
                let mut new = old.clone();
                for update in &mut new.service_config_history {
                    update.service.as_mut().unwrap().rev_share.clone_from(shares);
                }
                supplier::save(ctx, Some(&old), &new);
            }
            Ok(())
        });
        chain.run_to(10);
        chain
    }

    /// Claims `relays` by message, and settles; returns the chain and the events of the settlement's block.
    pub(crate) fn settle(&self, relays: u64) -> (Replay, Vec<Event>) {
        let mut chain = self.begin();
        claim(&mut chain, relays, relays);
        let events = chain.run_to(20);
        (chain, events)
    }
}

/// Header of the session that contains block `height`.
pub(crate) fn session(chain: &Replay, height: i64) -> SessionHeader {
    let request = QueryGetSessionRequest {
        application_address: key("application").address().to_string(),
        service_id: "eth".into(),
        block_height: height,
    };
    let answer: QueryGetSessionResponse = chain.ask("/pocket.session.Query/GetSession", &request).unwrap();
    answer.session.unwrap().header.unwrap()
}

fn root(sum: u64, count: u64) -> Vec<u8> {
    [&[7; 32][..], &sum.to_be_bytes(), &count.to_be_bytes()].concat()
}

/// Claims for the first session in the first block of its window.
pub(crate) fn claim(chain: &mut Replay, sum: u64, count: u64) {
    let message = MsgCreateClaim {
        supplier_operator_address: key("supplier").address().to_string(),
        session_header: Some(session(chain, 1)),
        root_hash: root(sum, count),
    };
    chain.run_to(11);
    let supplier = key("supplier");
    let keys = Keys::from([(supplier.address().to_string(), supplier)]);
    let (outcome, _) = chain.deliver(&keys, &message.supplier_operator_address, &message);
    assert_eq!(outcome.code, 0, "{}", outcome.log);
}

/// Puts a claim into state that no message makes.
pub(crate) fn place_claim(chain: &mut Replay, sum: u64, count: u64) {
    let claim = Claim {
        supplier_operator_address: key("supplier").address().to_string(),
        session_header: Some(session(chain, 1)),
        root_hash: root(sum, count),
        proof_validation_status: 0,
    };
    chain.place(|ctx| {
        proof::save_claim(ctx, &claim);
        Ok(())
    });
}
