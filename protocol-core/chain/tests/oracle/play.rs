//! Plays a sequence on the chain and on the model, and compares them after every block.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bytes::Bytes;
use portico_chain::block::TxOutcome;
use portico_protocol::Upokt;
use portico_protocol::wire::cosmos::bank::v1beta1::MsgSend;
use portico_protocol::wire::cosmos::base::v1beta1::Coin;
use portico_protocol::wire::pocket::{application, gateway, proof, service, session, shared, supplier};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use crate::actors::{PEOPLE, SERVICES, address};
use crate::chain::Chain;
use crate::deeds::{ClaimFault, Deed, ProofFault, Sequence};
use crate::messages::{Act, ClaimSent, service_name, shares};
use crate::model::{Model, N, PROOF_CLOSE, Refusal, Status};
use crate::relays::Served;

/// What sequences came to.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    blocks: u64,
    accepted: u64,
    refused: BTreeMap<String, u64>,
    claims: u64,
    proofs: u64,
    valid: u64,
    invalid: u64,
    settled: u64,
    slashed: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, other: &Self) {
        self.blocks += other.blocks;
        self.accepted += other.accepted;
        self.claims += other.claims;
        self.proofs += other.proofs;
        self.valid += other.valid;
        self.invalid += other.invalid;
        self.settled += other.settled;
        self.slashed += other.slashed;
        for (code, count) in &other.refused {
            *self.refused.entry(code.clone()).or_default() += count;
        }
    }

    /// Enough sequences reach everything that they are meant to reach.
    pub(crate) fn check_coverage(&self, sequences: u64) {
        if sequences < 24 {
            return;
        }
        let reached = [self.claims, self.proofs, self.valid, self.settled, self.slashed];
        assert!(reached.iter().all(|count| *count > 0), "{self}");
        assert!(self.refused.len() > 20, "{self}");
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let refused: u64 = self.refused.values().sum();
        write!(
            f,
            "{} blocks, {} transactions accepted, {refused} refused in {} ways; {} claims, {} proofs ({} valid, {} invalid), {} claims \
             settled, {} suppliers slashed",
            self.blocks,
            self.accepted,
            self.refused.len(),
            self.claims,
            self.proofs,
            self.valid,
            self.invalid,
            self.settled,
            self.slashed
        )
    }
}

/// A sequence being played.
pub(crate) struct Play {
    pub(crate) chain: Chain,
    pub(crate) model: Model,
    served: Vec<Served>,
    counts: Counts,
}

pub(crate) fn play(sequence: &Sequence) -> Result<Counts, TestCaseError> {
    let mut play = Play {
        chain: Chain::new(&sequence.knobs),
        model: Model::new(&sequence.knobs),
        served: Vec::new(),
        counts: Counts::default(),
    };
    play.compare()?;
    for deeds in &sequence.blocks {
        play.block(deeds)?;
    }
    // What was claimed still settles, and what unbonds comes back.
    for _ in 0..3 * N {
        play.block(&[])?;
    }
    Ok(play.counts)
}

fn coin(amount: u128) -> Option<Coin> {
    Some(Upokt(amount).into())
}

impl Play {
    fn block(&mut self, deeds: &[(Deed, u128)]) -> Result<(), TestCaseError> {
        let mut acts = Vec::new();
        for (deed, fee) in deeds {
            if let Some((act, tx)) = self.act(deed, *fee) {
                acts.push((act, *fee, tx));
            }
        }
        let txs: Vec<Bytes> = acts.iter().map(|(_, _, tx)| tx.clone()).collect();
        let outcomes = self.chain.block(&txs);
        self.model.height += 1;
        self.model.executing = true;
        for ((act, fee, _), outcome) in acts.iter().zip(&outcomes) {
            let expected = self.model.transact(act, *fee);
            self.check(act, &expected, outcome)?;
        }
        self.count_before();
        self.model.end_block();
        self.counts.blocks += 1;
        self.compare()
    }

    fn check(
        &mut self,
        act: &Act,
        expected: &Result<(), Refusal>,
        outcome: &TxOutcome,
    ) -> Result<(), TestCaseError> {
        let ours = outcome.cause.unwrap_or_default();
        let agree = match expected {
            Ok(()) => outcome.code == 0,
            Err(Some(code)) => ours == *code || (code.1 == 0 && outcome.code != 0),
            Err(None) => outcome.code != 0,
        };
        prop_assert!(
            agree,
            "height {}: {:?} expected, {:?} {} for {:?}",
            self.chain.height,
            expected,
            ours,
            outcome.log,
            act
        );
        if outcome.code == 0 {
            self.counts.accepted += 1;
            self.counts.claims += u64::from(matches!(act, Act::Claim(_)));
            self.counts.proofs += u64::from(matches!(act, Act::Prove(_)));
        } else {
            *self
                .counts
                .refused
                .entry(format!("{}/{}", ours.0, ours.1))
                .or_default() += 1;
        }
        Ok(())
    }

    /// Counts what the end of the block is about to do.
    fn count_before(&mut self) {
        let mut after = self.model.clone();
        after.end_block();
        for (key, claim) in &after.claims {
            let before = self.model.claims[key].status;
            self.counts.valid += u64::from(claim.status == Status::Valid && before != Status::Valid);
            self.counts.invalid += u64::from(claim.status == Status::Invalid && before != Status::Invalid);
        }
        let gone = self
            .model
            .claims
            .keys()
            .filter(|key| !after.claims.contains_key(*key))
            .count() as u64;
        let slashed = self.model.suppliers.iter().filter(|(who, supplier)| {
            after
                .suppliers
                .get(*who)
                .is_some_and(|after| after.stake < supplier.stake)
        });
        self.counts.slashed += slashed.count() as u64;
        self.counts.settled += if after.minted > self.model.minted { gone } else { 0 };
    }

    /// The transaction of a deed, if it is one.
    fn act(&mut self, deed: &Deed, fee: u128) -> Option<(Act, Bytes)> {
        let next = self.model.height + 1;
        let act = match deed {
            Deed::Serve {
                app,
                supplier,
                service,
                relays,
                forged,
                wild,
            } => {
                let asked = (*app, *supplier, service_name(*service).to_owned());
                let (app, supplier, service) = if *wild {
                    Some(asked)
                } else {
                    self.in_session(*app, *supplier)
                }?;
                self.served.push(Served::new(
                    &self.model,
                    app,
                    supplier,
                    &service,
                    *relays,
                    *forged,
                ));
                return None;
            }
            Deed::Claim { pick, fault } => {
                let open = self.pick(*pick, |served| served.claims_at().contains(&next))?;
                let claim = faulty(open.claim(), *fault);
                let message = proof::MsgCreateClaim {
                    supplier_operator_address: claim.supplier.clone(),
                    session_header: Some(session::SessionHeader {
                        session_id: claim.id.clone(),
                        session_end_block_height: claim.end,
                        ..open.header()
                    }),
                    root_hash: claim.root.clone(),
                };
                let tx = self.chain.tx(&claim.supplier, &message, fee);
                return Some((Act::Claim(claim), tx));
            }
            Deed::Prove { pick, fault } => {
                let claimed: BTreeSet<String> = self.model.claims.keys().map(|key| key.1.clone()).collect();
                let due = self.pick(*pick, |served| {
                    let since = next - served.proofs_from();
                    (0..=PROOF_CLOSE).contains(&since) && claimed.contains(&served.id)
                })?;
                let fault: ProofFault = *fault;
                let (sent, bytes) = due.prove(fault);
                let message = proof::MsgSubmitProof {
                    supplier_operator_address: sent.supplier.clone(),
                    session_header: Some(due.header()),
                    proof: bytes,
                };
                let tx = self.chain.tx(&sent.supplier, &message, fee);
                return Some((Act::Prove(sent), tx));
            }
            other => Act::Deed(other.clone()),
        };
        let tx = self.message(deed, &act.signer(), fee);
        Some((act, tx))
    }

    /// Application, supplier and service of a session that there is.
    fn in_session(&self, app: usize, supplier: usize) -> Option<(usize, usize, String)> {
        let number = |of: &str| (0..PEOPLE).find(|who| address(*who) == of);
        let apps: Vec<&String> = self.model.apps.keys().collect();
        let app = *apps.get(app % apps.len().max(1))?;
        let height = self.model.height;
        let sessions = SERVICES.iter().filter_map(|service| {
            let members = self.model.session(app, service, height).ok()?;
            Some((service, members))
        });
        let (service, members) = { sessions }.next_back()?;
        let supplier = number(&members[supplier % members.len()])?;
        Some((number(app)?, supplier, (*service).to_owned()))
    }

    /// One of those served that `fits`; sometimes, when none does, any.
    fn pick(&mut self, pick: usize, fits: impl Fn(&Served) -> bool) -> Option<&mut Served> {
        let fitting: Vec<usize> = (0..self.served.len())
            .filter(|index| fits(&self.served[*index]))
            .collect();
        if self.served.is_empty() || fitting.is_empty() && !pick.is_multiple_of(5) {
            return None;
        }
        let index = if fitting.is_empty() {
            pick % self.served.len()
        } else {
            fitting[pick % fitting.len()]
        };
        self.served.get_mut(index)
    }

    fn message(&mut self, deed: &Deed, signer: &str, fee: u128) -> Bytes {
        let who = |who: &usize| address(*who).to_owned();
        let chain = &mut self.chain;
        match deed {
            Deed::Send { from, to, amount } => {
                let (from_address, to_address) = (who(from), who(to));
                let amount = coin(*amount).into_iter().collect();
                chain.tx(
                    signer,
                    &MsgSend {
                        from_address,
                        to_address,
                        amount,
                    },
                    fee,
                )
            }
            Deed::StakeApp {
                who: app,
                amount,
                service,
                limit,
            } => {
                let service_id = service_name(*service).into();
                let message = application::MsgStakeApplication {
                    address: who(app),
                    stake: coin(*amount),
                    services: vec![shared::ApplicationServiceConfig { service_id }],
                    per_session_spend_limit: limit.and_then(coin),
                };
                chain.tx(signer, &message, fee)
            }
            Deed::UnstakeApp { who: app } => chain.tx(
                signer,
                &application::MsgUnstakeApplication { address: who(app) },
                fee,
            ),
            Deed::TransferApp { from, to } => {
                let (source_address, destination_address) = (who(from), who(to));
                chain.tx(
                    signer,
                    &application::MsgTransferApplication {
                        source_address,
                        destination_address,
                    },
                    fee,
                )
            }
            Deed::Delegate { app, gateway } => {
                let (app_address, gateway_address) = (who(app), who(gateway));
                chain.tx(
                    signer,
                    &application::MsgDelegateToGateway {
                        app_address,
                        gateway_address,
                    },
                    fee,
                )
            }
            Deed::Undelegate { app, gateway } => {
                let (app_address, gateway_address) = (who(app), who(gateway));
                chain.tx(
                    signer,
                    &application::MsgUndelegateFromGateway {
                        app_address,
                        gateway_address,
                    },
                    fee,
                )
            }
            Deed::StakeGateway { who: staker, amount } => {
                let message = gateway::MsgStakeGateway {
                    address: who(staker),
                    stake: coin(*amount),
                };
                chain.tx(signer, &message, fee)
            }
            Deed::UnstakeGateway { who: staker } => {
                chain.tx(signer, &gateway::MsgUnstakeGateway { address: who(staker) }, fee)
            }
            Deed::StakeSupplier {
                owner,
                operator,
                amount,
                services,
                ..
            } => {
                let config = |service: &usize| supplier_config(*service, &who(owner), &who(operator));
                let message = supplier::MsgStakeSupplier {
                    signer: signer.into(),
                    owner_address: who(owner),
                    operator_address: who(operator),
                    stake: amount.and_then(coin),
                    services: services.iter().map(config).collect(),
                };
                chain.tx(signer, &message, fee)
            }
            Deed::UnstakeSupplier { operator, .. } => {
                let message = supplier::MsgUnstakeSupplier {
                    signer: signer.into(),
                    operator_address: who(operator),
                };
                chain.tx(signer, &message, fee)
            }
            Deed::GiveService { from, to, service } => {
                let message = service::MsgTransferService {
                    owner_address: who(from),
                    service_id: service_name(*service).into(),
                    new_owner_address: who(to),
                };
                chain.tx(signer, &message, fee)
            }
            Deed::SetUnits {
                who: owner,
                service,
                units,
            } => {
                // The service that does not exist is not added either: nothing of it may be stated.
                let exists = *service < SERVICES.len();
                let service = shared::Service {
                    id: if exists {
                        service_name(*service).into()
                    } else {
                        "no such id!".into()
                    },
                    compute_units_per_relay: *units,
                    owner_address: who(owner),
                    ..shared::Service::default()
                };
                chain.tx(
                    signer,
                    &service::MsgAddService {
                        owner_address: who(owner),
                        service: Some(service),
                    },
                    fee,
                )
            }
            Deed::Serve { .. } | Deed::Claim { .. } | Deed::Prove { .. } => unreachable!("made elsewhere"),
        }
    }
}

fn supplier_config(service: usize, owner: &str, operator: &str) -> shared::SupplierServiceConfig {
    let share = |(address, rev_share_percentage)| shared::ServiceRevenueShare {
        address,
        rev_share_percentage,
    };
    shared::SupplierServiceConfig {
        service_id: service_name(service).into(),
        endpoints: vec![shared::SupplierEndpoint {
            url: "http://node".into(),
            rpc_type: shared::RpcType::JsonRpc.into(),
            configs: Vec::new(),
        }],
        rev_share: shares(owner, operator).into_iter().map(share).collect(),
    }
}

/// A claim that states something else than what was served.
fn faulty(mut claim: ClaimSent, fault: ClaimFault) -> ClaimSent {
    match fault {
        ClaimFault::None => return claim,
        ClaimFault::Units => claim.sum += 1,
        ClaimFault::Id => claim.id = claim.id.chars().rev().collect(),
        ClaimFault::End => claim.end += N,
        ClaimFault::More => {
            let units = claim.sum / claim.count;
            claim.count += 100;
            claim.sum += units * 100;
        }
    }
    claim.root[32..40].copy_from_slice(&claim.sum.to_be_bytes());
    claim.root[40..48].copy_from_slice(&claim.count.to_be_bytes());
    claim
}
