//! The steps of one session: what [`next::next`] asks for, done.

use std::sync::Arc;

use portico_client::BlockHead;
use portico_protocol::wire::pocket::proof::{Claim, MsgCreateClaim, MsgSubmitProof, ProofRequirementReason};
use portico_protocol::{Height, claim, proof, tx};
use portico_smst::Path;
use tokio::task::spawn_blocking;

use super::driver::{Driver, DriverError, Plan, Wanted};
use crate::lifecycle::next::{self, Action, ClaimStep, ProofStep};
use crate::lifecycle::prove::{self, ProofFault};
use crate::session::record::{Seal, Sending, SessionRecord, Windows};
use crate::session::stage::{ExpiredReason, Stage};
use crate::session::tree::SessionTree;

/// Transitions of one session at one block; a session that was away for long makes several.
const MAX_STEPS: usize = 8;

impl Driver {
    /// Advances a session as far as it gets at the newest block; what is to be sent goes to `plan`.
    pub(super) async fn advance(
        &self,
        tree: &Arc<SessionTree>,
        record: &mut SessionRecord,
        newest: &BlockHead,
        plan: &mut Plan,
    ) -> Result<(), DriverError> {
        let head = newest.height;
        for _ in 0..MAX_STEPS {
            match next::next(record, head, tree.in_flight(), self.keep_leaves_blocks) {
                Action::Wait => break,
                Action::Drain => {
                    tree.stop_accepting();
                    record.stage = Stage::Draining;
                }
                Action::Seal => self.seal(tree, record, head).await?,
                Action::Claim => {
                    let on_chain = self.chain.claim(&record.session_id, &record.supplier).await?;
                    self.note_failed_tx(&mut record.claim, on_chain.is_none(), head)
                        .await?;
                    match next::claim_step(record, on_chain.as_ref(), head) {
                        ClaimStep::OnChain => self.claimed(record),
                        ClaimStep::Foreign => record.expire(ExpiredReason::ForeignClaim, head),
                        ClaimStep::Missed => record.expire(ExpiredReason::ClaimWindowMissed, head),
                        ClaimStep::Wait => break,
                        ClaimStep::Send => {
                            let message = create_claim(record);
                            plan.claims.push(Wanted {
                                tree: Arc::clone(tree),
                                record: record.clone(),
                                message,
                            });
                            break;
                        }
                    }
                }
                Action::Draw => self.draw(record).await?,
                Action::Prove => {
                    let on_chain = self.chain.claim(&record.session_id, &record.supplier).await?;
                    self.note_failed_tx(&mut record.proof, true, head).await?;
                    match next::proof_step(record, on_chain.as_ref(), head) {
                        ProofStep::Proved => {
                            record.proved = true;
                            record.stage = Stage::ProofOnChain;
                        }
                        ProofStep::Wait => break,
                        ProofStep::Send => {
                            let Some(message) = self.submit_proof(tree, record, head).await? else {
                                break;
                            };
                            plan.proofs.push(Wanted {
                                tree: Arc::clone(tree),
                                record: record.clone(),
                                message,
                            });
                            break;
                        }
                    }
                }
                Action::GiveUp(reason) => record.expire(reason, head),
                Action::DeleteLeaves => {
                    plan.forget.push(Arc::clone(tree));
                    break;
                }
            }
            if let Stage::Expired { reason } = record.stage
                && record.final_height == Some(head)
            {
                tracing::error!(session = record.session_id, supplier = %record.supplier, ?reason, "session is not paid");
            }
        }
        Ok(())
    }

    /// Fixes what the claim says. The caller stores it before anything is broadcast.
    async fn seal(
        &self,
        tree: &Arc<SessionTree>,
        record: &mut SessionRecord,
        head: Height,
    ) -> Result<(), DriverError> {
        let params = self.chain.shared_params(Some(record.end)).await?;
        record.windows = Windows::new(&params, record.end);
        let (writer, sealed) = (Arc::clone(&self.writer), Arc::clone(tree));
        let root = spawn_blocking(move || {
            sealed.stop_accepting();
            writer.close(&sealed);
            sealed.leaves().set.root()
        })
        .await?;
        if root.count() == 0 {
            record.finish(Stage::Empty, head);
            return Ok(());
        }
        let mut bytes = [0; 48];
        bytes.copy_from_slice(root.as_ref());
        let amount = claim::claim_amount(
            &bytes,
            &record.target_hash,
            record.compute_units_to_tokens_multiplier,
            record.compute_unit_cost_granularity,
        );
        let worth = amount.map(|amount| amount.claimed).unwrap_or_else(|error| {
            tracing::error!(%error, session = record.session_id, "the claim's worth cannot be computed");
            portico_protocol::Upokt(0)
        });
        let compute_units = portico_protocol::ComputeUnits(root.sum());
        record.seal = Some(Seal {
            root: bytes,
            leaves: root.count(),
            compute_units,
            worth,
            height: head,
        });
        record.stage = Stage::Sealed;
        tracing::info!(session = record.session_id, supplier = %record.supplier, leaves = root.count(), %worth, "session sealed");
        Ok(())
    }

    fn claimed(&self, record: &mut SessionRecord) {
        if !record.claimed_on_chain {
            self.metrics
                .claimed(record.seal.map_or_else(Default::default, |seal| seal.worth));
        }
        record.claimed_on_chain = true;
        record.stage = Stage::ClaimOnChain;
    }

    /// Draws whether the chain will ask for a proof, exactly as it does when the proof arrives (status pending).
    async fn draw(&self, record: &mut SessionRecord) -> Result<(), DriverError> {
        let seed = self.chain.block(record.windows.seed()).await?.hash;
        let params = self.chain.proof_params().await?;
        let Some(seal) = record.seal else { return Ok(()) };
        let claim = Claim {
            supplier_operator_address: record.supplier.to_string(),
            session_header: Some(record.header()),
            root_hash: seal.root.to_vec(),
            ..Claim::default()
        };
        let reason = proof::proof_requirement(&claim, seal.worth, &seed, &params);
        let required = reason != ProofRequirementReason::NotRequired;
        tracing::info!(session = record.session_id, supplier = %record.supplier, ?reason, "proof requirement drawn");
        record.proof_required = Some(required);
        record.stage = if required {
            Stage::ProofRequired
        } else {
            Stage::ProofNotRequired
        };
        Ok(())
    }

    /// The message with a proof that passed the chain's checks here; `None` when there is none to send now or ever.
    async fn submit_proof(
        &self,
        tree: &Arc<SessionTree>,
        record: &mut SessionRecord,
        head: Height,
    ) -> Result<Option<prost_types::Any>, DriverError> {
        let Some(key) = self.keys.get(&record.supplier) else {
            return Ok(None);
        };
        let seed = self.chain.block(record.windows.seed()).await?.hash;
        let path = Path::new(proof::proof_path(&seed, &record.session_id));
        let application = self.chain.application(&record.application).await?;
        let (log, tree, sealed, public) = (
            Arc::clone(&self.log),
            Arc::clone(tree),
            record.clone(),
            key.public_key(),
        );
        let made = spawn_blocking(move || {
            let bytes = prove::build(&tree, &sealed, log.as_ref(), &path)?;
            prove::verify(&bytes, &sealed, &path, &application, &public)?;
            Ok::<_, ProofFault>(bytes)
        });
        match made.await? {
            Ok(bytes) => Ok(Some(tx::pack(&MsgSubmitProof {
                supplier_operator_address: record.supplier.to_string(),
                session_header: Some(record.header()),
                proof: bytes,
            }))),
            Err(fault) => {
                let error = &fault as &dyn std::error::Error;
                tracing::error!(error, session = record.session_id, supplier = %record.supplier, "no proof is sent");
                record.proof.last_error = Some(fault.to_string());
                match fault {
                    ProofFault::RootMismatch => record.expire(ExpiredReason::RootMismatch, head),
                    fault if !fault.is_retryable() => record.expire(ExpiredReason::ProofNotVerified, head),
                    _ => {}
                }
                Ok(None)
            }
        }
    }

    /// An accepted transaction that failed in its block is due again, alone.
    async fn note_failed_tx(
        &self,
        sending: &mut Sending,
        missing: bool,
        head: Height,
    ) -> Result<(), DriverError> {
        if !missing || sending.accepted_at.is_none_or(|at| at >= head) {
            return Ok(());
        }
        let Some(hash) = sending.txs.last() else {
            return Ok(());
        };
        if let Some(result) = self.chain.tx(hash).await?
            && result.code != 0
        {
            let error = format!("{}/{}: {}", result.codespace, result.code, result.log);
            tracing::warn!(tx = %hash, error, "transaction failed in its block");
            sending.refused(error, true);
        }
        Ok(())
    }
}

fn create_claim(record: &SessionRecord) -> prost_types::Any {
    tx::pack(&MsgCreateClaim {
        supplier_operator_address: record.supplier.to_string(),
        session_header: Some(record.header()),
        root_hash: record.seal.map(|seal| seal.root.to_vec()).unwrap_or_default(),
    })
}
