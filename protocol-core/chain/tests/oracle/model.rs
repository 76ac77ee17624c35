//! What the model knows: plain maps, read and changed in the open.

use std::collections::BTreeMap;

use portico_protocol::wire::pocket::proof::Params as ProofParams;

use crate::actors::{DAO, PEOPLE, VALIDATOR_TOKENS, address, module, validator};
use crate::deeds::Knobs;
use crate::exact::{Amount, Ratio, coins};

/// Blocks of a session.
pub(crate) const N: i64 = 4;
/// Blocks after a session in which its relays are still taken.
pub(crate) const GRACE: i64 = 1;
/// Offsets of the windows: claims open and close, proofs open and close.
pub(crate) const CLAIM_OPEN: i64 = 1;
pub(crate) const CLAIM_CLOSE: i64 = 1;
pub(crate) const PROOF_OPEN: i64 = 0;
pub(crate) const PROOF_CLOSE: i64 = 2;
/// Blocks from a session's end until its proofs are over.
pub(crate) const WINDOWS: i64 = CLAIM_OPEN + CLAIM_CLOSE + PROOF_OPEN + PROOF_CLOSE;
/// Price of a compute unit, in upokt.
pub(crate) const PRICE: u64 = 42;
pub(crate) const MIN_STAKE: u128 = 1_000_000;
pub(crate) const MIN_GATEWAY_STAKE: u128 = 100;
pub(crate) const STAKING_FEE: u128 = 1;
pub(crate) const MAX_GATEWAYS: usize = 2;
/// What everybody begins with.
pub(crate) const BALANCE: u128 = 20_000_000;

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct App {
    pub(crate) stake: Amount,
    pub(crate) services: Vec<String>,
    /// Service, from, until (0: open).
    pub(crate) history: Vec<(String, i64, i64)>,
    pub(crate) gateways: Vec<String>,
    /// By session end.
    pub(crate) left: BTreeMap<i64, Vec<String>>,
    pub(crate) unstakes: i64,
    pub(crate) moves: Option<(String, i64)>,
    pub(crate) limit: Option<Amount>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Gateway {
    pub(crate) stake: Amount,
    pub(crate) unstakes: i64,
}

/// A supplier's offer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Offer {
    pub(crate) service: String,
    pub(crate) shares: Vec<(String, u64)>,
    pub(crate) from: i64,
    /// 0: open.
    pub(crate) until: i64,
}

impl Offer {
    pub(crate) fn holds(&self, height: i64) -> bool {
        self.from <= height && (self.until == 0 || height < self.until)
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Supplier {
    pub(crate) owner: String,
    pub(crate) stake: Amount,
    pub(crate) offers: Vec<Offer>,
    pub(crate) unstakes: i64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Service {
    pub(crate) owner: String,
    pub(crate) units: u64,
    /// Units by the height from which they hold; empty before the first change.
    pub(crate) units_from: BTreeMap<i64, u64>,
    /// Leaves' average, and the target's history.
    pub(crate) average: Option<u64>,
    pub(crate) targets: BTreeMap<i64, Amount>,
}

impl Service {
    pub(crate) fn units_at(&self, height: i64) -> u64 {
        let newest = self.units_from.range(..=height).next_back();
        newest.map_or(self.units, |(_, units)| *units)
    }

    pub(crate) fn target_at(&self, height: i64) -> Amount {
        let newest = self.targets.range(..=height).next_back();
        newest.map_or_else(easiest, |(_, target)| target.clone())
    }
}

/// The target that every hash meets: 2^256 − 1.
pub(crate) fn easiest() -> Amount {
    (Amount::from(1) << 256) - 1
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Pending = 0,
    Valid = 1,
    Invalid = 2,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Claim {
    pub(crate) app: String,
    pub(crate) service: String,
    pub(crate) start: i64,
    pub(crate) root: Vec<u8>,
    pub(crate) sum: u64,
    pub(crate) count: u64,
    pub(crate) status: Status,
}

/// Claims by session end, session id, supplier: the order in which they settle.
pub(crate) type ClaimKey = (i64, String, String);

/// A proof as the model sees it.
#[derive(Clone, Debug)]
pub(crate) struct Proof {
    /// Whom the ring of the relay's request holds.
    pub(crate) ring: Vec<String>,
    pub(crate) app: String,
    pub(crate) end: i64,
    /// Right path, honest response.
    pub(crate) good: bool,
    pub(crate) root: Vec<u8>,
}

/// The chain's params.
#[derive(Clone, Debug)]
pub(crate) struct Params {
    pub(crate) inflation: Ratio,
    pub(crate) mint_ratio: Ratio,
    /// Supplier, proposer, source owner, application.
    pub(crate) shares: [Ratio; 4],
    pub(crate) bonus: u64,
    pub(crate) proof: ProofParams,
    pub(crate) penalty: Amount,
    pub(crate) submission_fee: Amount,
    pub(crate) target_num_relays: u64,
    pub(crate) num_suppliers: usize,
}

/// The model.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) params: Params,
    /// Height of the block that is being executed, or was last.
    pub(crate) height: i64,
    /// Whether that block is not done yet.
    pub(crate) executing: bool,
    pub(crate) balances: BTreeMap<String, Amount>,
    /// Tokens ever made, and ever destroyed.
    pub(crate) minted: Amount,
    pub(crate) burned: Amount,
    pub(crate) apps: BTreeMap<String, App>,
    pub(crate) gateways: BTreeMap<String, Gateway>,
    pub(crate) suppliers: BTreeMap<String, Supplier>,
    pub(crate) services: BTreeMap<String, Service>,
    pub(crate) claims: BTreeMap<ClaimKey, Claim>,
    /// Proofs of this block, by session id and supplier.
    pub(crate) proofs: BTreeMap<(String, String), Proof>,
}

/// Codespace and code of a refusal; `None` where the model does not say which.
pub(crate) type Refusal = Option<(&'static str, u32)>;

/// A refusal with its code.
pub(crate) fn no<T>(codespace: &'static str, code: u32) -> Result<T, Refusal> {
    Err(Some((codespace, code)))
}

pub(crate) fn session_start(height: i64) -> i64 {
    (height - 1) / N * N + 1
}

pub(crate) fn session_end(height: i64) -> i64 {
    session_start(height) + N - 1
}

pub(crate) fn next_start(height: i64) -> i64 {
    session_end(height) + 1
}

impl Model {
    /// The genesis: application 0 delegates to gateway 1; suppliers 2, 3 and 4 serve the first service, 3 for its owner 5; person 6 owns the
    /// services.
    pub(crate) fn new(knobs: &Knobs) -> Self {
        let coin = |amount: u128| Some(portico_protocol::Upokt(amount).into());
        let mut model = Self {
            params: Params {
                inflation: Ratio::decimal(knobs.inflation),
                mint_ratio: Ratio::decimal(knobs.mint_ratio),
                shares: [0, 1, 2, 3].map(|part| Ratio::decimal(knobs.shares[part])),
                bonus: knobs.bonus,
                proof: ProofParams {
                    proof_request_probability: knobs.probability.parse().expect("a number"),
                    proof_requirement_threshold: coin(knobs.threshold),
                    proof_missing_penalty: coin(knobs.penalty),
                    proof_submission_fee: coin(knobs.submission_fee),
                },
                penalty: coins(knobs.penalty),
                submission_fee: coins(knobs.submission_fee),
                target_num_relays: knobs.target_num_relays,
                num_suppliers: usize::try_from(knobs.num_suppliers).expect("few"),
            },
            height: 0,
            executing: false,
            balances: BTreeMap::new(),
            minted: coins(0),
            burned: coins(0),
            apps: BTreeMap::new(),
            gateways: BTreeMap::new(),
            suppliers: BTreeMap::new(),
            services: BTreeMap::new(),
            claims: BTreeMap::new(),
            proofs: BTreeMap::new(),
        };
        for who in 0..PEOPLE {
            model.mint(address(who), &coins(BALANCE));
        }
        model.mint(
            &module("bonded_tokens_pool"),
            &coins(VALIDATOR_TOKENS.iter().sum()),
        );
        for service in crate::actors::SERVICES {
            let service_ = Service {
                owner: address(6).into(),
                units: if service == "eth" { 10_000 } else { 100 },
                ..Service::default()
            };
            model.services.insert(service.into(), service_);
        }
        let stake = coins(4 * MIN_STAKE);
        model.mint(&module("gateway"), &stake);
        model.gateways.insert(
            address(1).into(),
            Gateway {
                stake: stake.clone(),
                unstakes: 0,
            },
        );
        model.mint(&module("application"), &stake);
        let app = App {
            stake: stake.clone(),
            services: vec!["eth".into()],
            gateways: vec![address(1).into()],
            ..App::default()
        };
        model.apps.insert(address(0).into(), app);
        for (operator, owner) in [(2, 2), (3, 5), (4, 4)] {
            model.mint(&module("supplier"), &stake);
            let offer = Offer {
                service: "eth".into(),
                shares: vec![(address(owner).into(), 100)],
                from: 1,
                until: 0,
            };
            let supplier = Supplier {
                owner: address(owner).into(),
                stake: stake.clone(),
                offers: vec![offer],
                unstakes: 0,
            };
            model.suppliers.insert(address(operator).into(), supplier);
        }
        model
    }

    pub(crate) fn balance(&self, who: &str) -> Amount {
        self.balances.get(who).cloned().unwrap_or_default()
    }

    pub(crate) fn mint(&mut self, to: &str, amount: &Amount) {
        *self.balances.entry(to.into()).or_default() += amount;
        self.minted += amount;
    }

    pub(crate) fn burn(&mut self, from: &str, amount: &Amount) {
        *self.balances.entry(from.into()).or_default() -= amount;
        self.burned += amount;
    }

    /// Moves tokens, if there are so many.
    pub(crate) fn pay(&mut self, from: &str, to: &str, amount: &Amount) -> Result<(), Refusal> {
        if self.balance(from) < *amount {
            return no("sdk", 5);
        }
        *self.balances.entry(from.into()).or_default() -= amount;
        *self.balances.entry(to.into()).or_default() += amount;
        Ok(())
    }

    /// Share of each validator in `total`: by its tokens, what rounding leaves by the largest remainder, then by address.
    pub(crate) fn of_validators(total: &Amount) -> Vec<(String, Amount)> {
        let all: Amount = coins(VALIDATOR_TOKENS.iter().sum());
        let mut shares: Vec<(String, Amount, Amount)> = (0..VALIDATOR_TOKENS.len())
            .map(|index| {
                let product = total * VALIDATOR_TOKENS[index];
                (validator(index).to_owned(), &product / &all, product % &all)
            })
            .collect();
        let given: Amount = shares.iter().map(|(_, share, _)| share).sum();
        let mut left = total - given;
        shares.sort_by(|a, b| b.2.cmp(&a.2).then(a.0.cmp(&b.0)));
        for (_, share, _) in &mut shares {
            if left > coins(0) {
                *share += 1;
                left -= 1;
            }
        }
        shares.into_iter().map(|(who, share, _)| (who, share)).collect()
    }

    /// The DAO's address.
    pub(crate) fn dao() -> &'static str {
        &DAO
    }
}
