//! The end of a block: proofs, settlement, stakes that come back.

use std::collections::BTreeMap;

use portico_protocol::Upokt;
use portico_protocol::difficulty::next_ema;
use portico_protocol::proof::proof_requirement;
use portico_protocol::wire::pocket::proof::{Claim as WireClaim, ProofRequirementReason};
use portico_protocol::wire::pocket::session::SessionHeader;

use crate::actors::module;
use crate::exact::{Amount, coins};
use crate::model::{
    CLAIM_CLOSE, CLAIM_OPEN, Claim, ClaimKey, MIN_STAKE, Model, N, PRICE, PROOF_OPEN, Status, WINDOWS,
    easiest, next_start, session_end,
};
use crate::session::block_hash;

/// Claims of one application for one session.
type Pair = (String, String);

/// What a session may take of its application's stake.
#[derive(Clone, Debug)]
struct Budget {
    floor: Amount,
    unused: Amount,
    excess: Amount,
}

/// What settling a claim pays: to whom how much; and what it takes and makes.
#[derive(Default)]
struct Bill {
    payments: Vec<(String, Amount)>,
    from_stake: Amount,
    burned: Amount,
    minted: Amount,
    to_relay_validators: Amount,
    to_inflation_validators: Amount,
}

impl Model {
    pub(crate) fn end_block(&mut self) {
        self.judge_proofs();
        self.settle();
        self.gateways_end();
        self.applications_end();
        self.suppliers_end();
        self.executing = false;
    }

    fn judge_proofs(&mut self) {
        for ((id, supplier), proof) in std::mem::take(&mut self.proofs) {
            let ring = self.ring(&proof.app, proof.end);
            let member =
                self.apps.contains_key(&proof.app) && proof.ring.iter().all(|one| ring.contains(one));
            for (key, claim) in &mut self.claims {
                if (&key.1, &key.2) == (&id, &supplier) {
                    let valid = proof.good && member && claim.root == proof.root;
                    claim.status = if valid { Status::Valid } else { Status::Invalid };
                }
            }
        }
    }

    /// What a claim asks for, in upokt.
    fn claimed(&self, claim: &Claim) -> Amount {
        let target = self.services[&claim.service].target_at(claim.start);
        easiest() * claim.sum * PRICE / target
    }

    /// The draw, which depends on the claim's status.
    pub(crate) fn must_be_proved(&self, key: &ClaimKey, claim: &Claim) -> bool {
        let (end, id, supplier) = key;
        let wire = WireClaim {
            supplier_operator_address: supplier.clone(),
            session_header: Some(SessionHeader {
                application_address: claim.app.clone(),
                service_id: claim.service.clone(),
                session_id: id.clone(),
                session_start_block_height: claim.start,
                session_end_block_height: *end,
            }),
            root_hash: claim.root.clone(),
            proof_validation_status: claim.status as i32,
        };
        let seed = block_hash(end + CLAIM_OPEN + 1 + CLAIM_CLOSE + PROOF_OPEN - 1);
        let claimed = Upokt(self.claimed(claim).try_into().expect("below 2^128"));
        proof_requirement(&wire, claimed, &seed, &self.params.proof) != ProofRequirementReason::NotRequired
    }

    /// A claim with the inflation on top.
    fn needed(&self, claimed: &Amount) -> Amount {
        claimed + self.params.inflation.ceil_of(claimed)
    }

    fn settle(&mut self) {
        let is_due = |key: &&ClaimKey| key.0 + WINDOWS < self.height;
        let due: Vec<ClaimKey> = self.claims.keys().filter(is_due).cloned().collect();
        if due.is_empty() {
            return;
        }
        let claims: Vec<(ClaimKey, Claim)> = due
            .into_iter()
            .map(|key| (key.clone(), self.claims.remove(&key).expect("listed")))
            .collect();
        let mut claimants: BTreeMap<Pair, u64> = BTreeMap::new();
        for (key, claim) in &claims {
            *claimants.entry((claim.app.clone(), key.1.clone())).or_default() += 1;
        }
        let stakes: BTreeMap<String, Amount> = self
            .apps
            .iter()
            .map(|(who, app)| (who.clone(), app.stake.clone()))
            .collect();
        let makes_sense = |model: &Self, key: &ClaimKey, claim: &Claim| {
            model.apps.contains_key(&claim.app) && model.suppliers.contains_key(&key.2)
        };
        let mut budgets: BTreeMap<Pair, Budget> = BTreeMap::new();
        let mut settling = Vec::new();
        let mut expired = Vec::new();
        for (key, claim) in &claims {
            if !makes_sense(self, key, claim) {
                continue;
            }
            let pair = (claim.app.clone(), key.1.clone());
            let fresh = self.budget(&claim.app, &stakes[&claim.app], claimants[&pair]);
            let budget = budgets.entry(pair).or_insert(fresh);
            if claim.status != Status::Valid && self.must_be_proved(key, claim) {
                expired.push(key.2.clone());
                continue;
            }
            let needed = self.needed(&self.claimed(claim));
            if needed < budget.floor {
                budget.unused += &budget.floor - needed;
            } else {
                budget.excess += needed - &budget.floor;
            }
            settling.push((key, claim));
        }
        let mut leaves: BTreeMap<String, u64> = BTreeMap::new();
        let mut pools = [coins(0), coins(0)];
        for (key, claim) in settling {
            let budget = &budgets[&(claim.app.clone(), key.1.clone())];
            let amount = self.allowed(&self.claimed(claim), budget);
            if amount > coins(0) {
                let Some(bill) = self.bill(&key.2, claim, &amount) else {
                    continue;
                };
                self.execute(&claim.app, &bill);
                pools[0] += bill.to_relay_validators;
                pools[1] += bill.to_inflation_validators;
            }
            *leaves.entry(claim.service.clone()).or_default() += claim.count;
        }
        for pool in &pools {
            for (validator, share) in Self::of_validators(pool) {
                self.pay(&module("tokenomics"), &validator, &share)
                    .expect("minted");
            }
        }
        for supplier in expired {
            self.slash(&supplier);
        }
        for (service, count) in leaves {
            self.follow(&service, count);
        }
    }

    fn budget(&self, app: &str, stake: &Amount, claimants: u64) -> Budget {
        let pending = (WINDOWS + N - 1) / N;
        let session = stake / pending;
        let limit = self.apps[app].limit.clone().unwrap_or_else(|| session.clone());
        Budget {
            floor: (&session / claimants).min(session.min(limit) / claimants),
            unused: coins(0),
            excess: coins(0),
        }
    }

    fn allowed(&self, claimed: &Amount, budget: &Budget) -> Amount {
        let needed = self.needed(claimed);
        let mut most = budget.floor.clone();
        if self.params.bonus > 1 && needed > budget.floor {
            most += &budget.unused * (&needed - &budget.floor) / &budget.excess;
        }
        most = most.min(&budget.floor * self.params.bonus);
        self.params.inflation.floor_without(&most).min(claimed.clone())
    }

    /// `None` when nothing would be minted, or the stake is not enough: such a claim is gone without a trace.
    fn bill(&self, supplier: &str, claim: &Claim, amount: &Amount) -> Option<Bill> {
        let mut bill = Bill {
            burned: amount.clone(),
            ..Bill::default()
        };
        let minted = self.params.mint_ratio.floor_of(amount);
        if minted == coins(0) {
            return None;
        }
        bill.to_relay_validators = self.divide(supplier, claim, &minted, &mut bill.payments);
        let inflation = self.params.inflation.ceil_of(amount);
        if !self.params.inflation.is_zero() {
            bill.to_inflation_validators = self.divide(supplier, claim, &inflation, &mut bill.payments);
            // The application pays the inflation back, to the DAO.
            bill.payments.push((Self::dao().into(), inflation.clone()));
        }
        bill.minted = minted + &inflation;
        bill.from_stake = amount + inflation;
        (bill.from_stake <= self.apps[&claim.app].stake).then_some(bill)
    }

    /// Divides what was minted; returns the validators' part.
    fn divide(
        &self,
        supplier: &str,
        claim: &Claim,
        minted: &Amount,
        payments: &mut Vec<(String, Amount)>,
    ) -> Amount {
        let [to_supplier, to_validators, to_source, to_app] =
            [0, 1, 2, 3].map(|part: usize| self.params.shares[part].floor_of(minted));
        let dao = minted - &to_supplier - &to_validators - &to_source - &to_app;
        let mut left = to_supplier.clone();
        let shares = self.shares(supplier, &claim.service);
        for (who, percent) in &shares {
            let share = &to_supplier * *percent / 100;
            left -= &share;
            payments.push((who.clone(), share));
        }
        payments.push((shares[0].0.clone(), left));
        payments.push((self.services[&claim.service].owner.clone(), to_source));
        payments.push((claim.app.clone(), to_app));
        payments.push((Self::dao().into(), dao));
        to_validators
    }

    /// The shares of the offer that holds now, or else of the newest; the owner's when the supplier offers nothing more.
    fn shares(&self, supplier: &str, service: &str) -> Vec<(String, u64)> {
        let supplier = &self.suppliers[supplier];
        let mut offers: Vec<_> = supplier
            .offers
            .iter()
            .filter(|offer| offer.service == service)
            .collect();
        offers.sort_by_key(|offer| offer.from);
        let now = offers.iter().find(|offer| offer.holds(self.height));
        match now.or_else(|| offers.last()) {
            Some(offer) => offer.shares.clone(),
            None => vec![(supplier.owner.clone(), 100)],
        }
    }

    fn execute(&mut self, app: &str, bill: &Bill) {
        let pot = module("tokenomics");
        let inflation = &bill.from_stake - &bill.burned;
        self.mint(&pot, &bill.minted);
        self.burn(&module("application"), &bill.burned);
        self.pay(&module("application"), &pot, &inflation)
            .expect("staked");
        for (who, amount) in &bill.payments {
            self.pay(&pot, who, amount).expect("minted");
        }
        let end = session_end(self.height);
        let app = self.apps.get_mut(app).expect("assessed");
        app.stake -= &bill.from_stake;
        if app.stake < coins(MIN_STAKE) {
            app.unstakes = end;
        }
    }

    fn slash(&mut self, operator: &str) {
        let height = self.height;
        let supplier = self.suppliers.get_mut(operator).expect("assessed");
        let penalty = self.params.penalty.clone().min(supplier.stake.clone());
        supplier.stake -= &penalty;
        if supplier.stake < coins(MIN_STAKE) && supplier.unstakes == 0 {
            supplier.leave(height);
        }
        self.burn(&module("supplier"), &penalty);
    }

    /// The target follows a service's volume.
    fn follow(&mut self, service: &str, count: u64) {
        let goal = self.params.target_num_relays;
        let scaled = |average: u64| {
            if average <= goal {
                easiest()
            } else {
                easiest() * goal / average
            }
        };
        let height = self.height;
        let service = self.services.get_mut(service).expect("claimed for");
        if service.targets.is_empty() {
            // The first time also records the target of these leaves alone.
            let first = service.average.unwrap_or(count);
            service.targets.insert(height, scaled(first));
        }
        let average = next_ema(service.average.unwrap_or(count), count);
        service.average = Some(average);
        service.targets.insert(next_start(height), scaled(average));
    }

    fn gateways_end(&mut self) {
        if session_end(self.height) != self.height {
            return;
        }
        for (who, gateway) in self.gateways.clone() {
            if gateway.unstakes > 0 && self.height >= gateway.unstakes + N {
                self.pay(&module("gateway"), &who, &gateway.stake)
                    .expect("staked");
                self.gateways.remove(&who);
            }
        }
    }

    fn applications_end(&mut self) {
        let (height, end) = (self.height, session_end(self.height));
        let gone: Vec<String> = self
            .gateways
            .iter()
            .filter(|(_, gateway)| gateway.unstakes > 0 && height > gateway.unstakes)
            .map(|(who, _)| who.clone())
            .collect();
        for app in self.apps.values_mut() {
            for gateway in &gone {
                if app.gateways.contains(gateway) {
                    app.leave(gateway, end);
                }
            }
            app.forget(height);
        }
        if height != end {
            return;
        }
        for (who, app) in self.apps.clone() {
            if app.unstakes > 0 && height >= app.unstakes + N {
                self.pay(&module("application"), &who, &app.stake)
                    .expect("staked");
                self.apps.remove(&who);
            }
        }
        let movers: Vec<String> = self
            .apps
            .iter()
            .filter(|(_, app)| app.moves.is_some())
            .map(|(who, _)| who.clone())
            .collect();
        for from in movers {
            self.move_app(&from);
        }
    }

    fn move_app(&mut self, from: &str) {
        let Some((to, last)) = self.apps.get(from).and_then(|app| app.moves.clone()) else {
            return;
        };
        if self.height < last + WINDOWS + 1 {
            return;
        }
        let mut app = self.apps.remove(from).expect("listed");
        app.moves = None;
        if app.unstakes > 0 {
            self.apps.insert(from.into(), app);
            return;
        }
        let Some(there) = self.apps.get_mut(&to) else {
            self.apps.insert(to, app);
            return;
        };
        there.stake += app.stake;
        for gateway in app.gateways {
            if !there.gateways.contains(&gateway) {
                there.gateways.push(gateway);
            }
        }
        let mut left: BTreeMap<String, i64> = BTreeMap::new();
        for (end, gateways) in app.left.iter().chain(&there.left) {
            left.extend(gateways.iter().map(|gateway| (gateway.clone(), *end)));
        }
        there.left.clear();
        for (gateway, end) in left {
            there.left.entry(end).or_default().push(gateway);
        }
        there.limit = match (there.limit.take(), app.limit) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let mut services = there.services.clone();
        for service in app.services {
            if !services.contains(&service) {
                services.push(service);
            }
        }
        there.offer(services, next_start(self.height));
    }

    fn suppliers_end(&mut self) {
        let height = self.height;
        if session_end(height) == height {
            for (operator, supplier) in self.suppliers.clone() {
                if supplier.unstakes > 0 && height >= supplier.unstakes + N {
                    self.pay(&module("supplier"), &supplier.owner, &supplier.stake)
                        .expect("staked");
                    self.suppliers.remove(&operator);
                }
            }
        }
        // An offer is forgotten once the proofs of its last session are over.
        for supplier in self.suppliers.values_mut() {
            supplier.offers.retain(|offer| {
                let last = session_end(offer.until - 1);
                offer.until == 0 || offer.until > height || height <= last + WINDOWS + 1
            });
        }
    }
}
