//! What each message does to the model, or why it is refused.

use crate::actors::{NO_SERVICE, SERVICES, address, module};
use crate::deeds::Deed;
use crate::exact::{Amount, coins};
use crate::model::{
    App, CLAIM_CLOSE, CLAIM_OPEN, Claim, GRACE, Gateway, MAX_GATEWAYS, MIN_GATEWAY_STAKE, MIN_STAKE, Model,
    N, Offer, PROOF_CLOSE, PROOF_OPEN, Proof, Refusal, STAKING_FEE, Service, Status, Supplier, next_start,
    no, session_end,
};

/// A claim as it is sent.
#[derive(Clone, Debug)]
pub(crate) struct ClaimSent {
    pub(crate) app: String,
    pub(crate) service: String,
    pub(crate) supplier: String,
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) id: String,
    pub(crate) root: Vec<u8>,
    pub(crate) sum: u64,
    pub(crate) count: u64,
}

/// A proof as it is sent, with what there is to know about it.
#[derive(Clone, Debug)]
pub(crate) struct ProofSent {
    pub(crate) app: String,
    pub(crate) service: String,
    pub(crate) supplier: String,
    pub(crate) start: i64,
    pub(crate) id: String,
    /// Whether its bytes can be read.
    pub(crate) whole: bool,
    /// Hash of the proved relay, as a number.
    pub(crate) relay_hash: Amount,
    pub(crate) proof: Proof,
}

/// What a transaction asks for.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Deed(Deed),
    Claim(ClaimSent),
    Prove(ProofSent),
}

/// Name of the service with this number; the last does not exist.
pub(crate) fn service_name(index: usize) -> &'static str {
    SERVICES.get(index).unwrap_or(&NO_SERVICE)
}

/// Shares that a supplier states: 70 for the owner, 30 for the operator.
pub(crate) fn shares(owner: &str, operator: &str) -> Vec<(String, u64)> {
    if owner == operator {
        return vec![(owner.to_owned(), 100)];
    }
    vec![(owner.to_owned(), 70), (operator.to_owned(), 30)]
}

impl Act {
    /// Who signs, and pays the fee.
    pub(crate) fn signer(&self) -> String {
        let who = match self {
            Self::Claim(claim) => return claim.supplier.clone(),
            Self::Prove(proof) => return proof.supplier.clone(),
            Self::Deed(deed) => match deed {
                Deed::Send { from, .. } | Deed::TransferApp { from, .. } | Deed::GiveService { from, .. } => {
                    from
                }
                Deed::StakeApp { who, .. }
                | Deed::UnstakeApp { who }
                | Deed::StakeGateway { who, .. }
                | Deed::UnstakeGateway { who }
                | Deed::SetUnits { who, .. } => who,
                Deed::Delegate { app, .. } | Deed::Undelegate { app, .. } => app,
                Deed::StakeSupplier { signer, .. } | Deed::UnstakeSupplier { signer, .. } => signer,
                Deed::Serve { .. } | Deed::Claim { .. } | Deed::Prove { .. } => unreachable!("not a message"),
            },
        };
        address(*who).to_owned()
    }

    /// What can be told without knowing the chain.
    fn malformed(&self) -> Result<(), Refusal> {
        let Self::Deed(deed) = self else {
            return Ok(());
        };
        match deed {
            Deed::Send { amount: 0, .. } => no("sdk", 10),
            Deed::StakeApp { amount: 0, .. } => no("application", 1101),
            Deed::StakeApp {
                limit: Some(limit), ..
            } if *limit > 0 && *limit < 1_000_000 => no("application", 1118),
            Deed::TransferApp { from, to } if from == to => no("application", 1113),
            Deed::StakeGateway { amount: 0, .. } => no("gateway", 1102),
            Deed::StakeSupplier { amount: Some(0), .. } => no("supplier", 1101),
            Deed::StakeSupplier {
                signer,
                operator,
                services,
                ..
            } if !services.is_empty() && signer != operator => no("supplier", 1104),
            Deed::GiveService { from, to, .. } if from == to => no("service", 1113),
            Deed::SetUnits { service, .. } if *service >= SERVICES.len() => no("shared", 1108),
            Deed::SetUnits { units: 0, .. } => no("shared", 1107),
            _ => Ok(()),
        }
    }
}

impl Model {
    /// One transaction: its message, and its fee, which stays paid when the message is refused.
    pub(crate) fn transact(&mut self, act: &Act, fee: u128) -> Result<(), Refusal> {
        act.malformed()?;
        self.pay(&act.signer(), &module("fee_collector"), &coins(fee))?;
        let before = self.clone();
        let result = match act {
            Act::Deed(deed) => self.deed(deed),
            Act::Claim(claim) => self.create_claim(claim),
            Act::Prove(proof) => self.submit_proof(proof),
        };
        if result.is_err() {
            *self = before;
        }
        result
    }

    fn deed(&mut self, deed: &Deed) -> Result<(), Refusal> {
        match deed {
            Deed::Send { from, to, amount } => self.pay(address(*from), address(*to), &coins(*amount)),
            Deed::StakeApp {
                who,
                amount,
                service,
                limit,
            } => self.stake_app(address(*who), &coins(*amount), service_name(*service), *limit),
            Deed::UnstakeApp { who } => self.unstake_app(address(*who)),
            Deed::TransferApp { from, to } => self.transfer_app(address(*from), address(*to)),
            Deed::Delegate { app, gateway } => self.delegate(address(*app), address(*gateway)),
            Deed::Undelegate { app, gateway } => self.undelegate(address(*app), address(*gateway)),
            Deed::StakeGateway { who, amount } => self.stake_gateway(address(*who), &coins(*amount)),
            Deed::UnstakeGateway { who } => self.unstake_gateway(address(*who)),
            Deed::StakeSupplier {
                signer,
                owner,
                operator,
                amount,
                services,
            } => {
                let amount = amount.map(coins);
                self.stake_supplier(
                    address(*signer),
                    address(*owner),
                    address(*operator),
                    amount,
                    services,
                )
            }
            Deed::UnstakeSupplier { signer, operator } => {
                self.unstake_supplier(address(*signer), address(*operator))
            }
            Deed::GiveService { from, to, service } => {
                self.give_service(address(*from), address(*to), *service)
            }
            Deed::SetUnits { who, service, units } => self.set_units(address(*who), *service, *units),
            Deed::Serve { .. } | Deed::Claim { .. } | Deed::Prove { .. } => unreachable!("not a message"),
        }
    }

    fn stake_app(
        &mut self,
        who: &str,
        stake: &Amount,
        service: &str,
        limit: Option<u128>,
    ) -> Result<(), Refusal> {
        let mut app = self.apps.get(who).cloned().unwrap_or_default();
        if *stake < coins(MIN_STAKE) || *stake <= app.stake {
            return no("application", 1101);
        }
        self.pay(who, &module("application"), &(stake - &app.stake))?;
        app.stake = stake.clone();
        app.unstakes = 0;
        app.offer(vec![service.to_owned()], next_start(self.height));
        match limit {
            None => {}
            Some(0) => app.limit = None,
            Some(limit) => app.limit = Some(coins(limit)),
        }
        self.apps.insert(who.into(), app);
        Ok(())
    }

    fn unstake_app(&mut self, who: &str) -> Result<(), Refusal> {
        let end = session_end(self.height);
        let Some(app) = self.apps.get_mut(who) else {
            return no("application", 1104);
        };
        if app.unstakes > 0 {
            return no("application", 1112);
        }
        if app.moves.is_some() {
            return no("application", 1114);
        }
        app.unstakes = end;
        Ok(())
    }

    fn transfer_app(&mut self, from: &str, to: &str) -> Result<(), Refusal> {
        let end = session_end(self.height);
        if self.apps.contains_key(to) {
            return no("application", 1113);
        }
        let Some(app) = self.apps.get_mut(from) else {
            return no("application", 1104);
        };
        if app.unstakes > 0 {
            return no("application", 1112);
        }
        app.moves = Some((to.into(), end));
        Ok(())
    }

    fn delegate(&mut self, app: &str, gateway: &str) -> Result<(), Refusal> {
        let height = self.height;
        let Some(app) = self.apps.get_mut(app) else {
            return no("application", 1104);
        };
        let Some(staked) = self.gateways.get(gateway) else {
            return no("application", 1107);
        };
        if app.gateways.len() >= MAX_GATEWAYS {
            return no("application", 1110);
        }
        if staked.unstakes > 0 && height > staked.unstakes {
            return no("gateway", 1108);
        }
        if app.gateways.iter().any(|one| one == gateway) {
            return no("application", 1109);
        }
        app.gateways.push(gateway.into());
        for left in app.left.values_mut() {
            left.retain(|one| one != gateway);
        }
        app.left.retain(|_, left| !left.is_empty());
        Ok(())
    }

    fn undelegate(&mut self, app: &str, gateway: &str) -> Result<(), Refusal> {
        let end = session_end(self.height);
        let Some(app) = self.apps.get_mut(app) else {
            return no("application", 1104);
        };
        if !app.gateways.iter().any(|one| one == gateway) {
            return no("application", 1111);
        }
        app.leave(gateway, end);
        Ok(())
    }

    fn stake_gateway(&mut self, who: &str, stake: &Amount) -> Result<(), Refusal> {
        let before = self
            .gateways
            .get(who)
            .map(|gateway| gateway.stake.clone())
            .unwrap_or_default();
        if *stake < coins(MIN_GATEWAY_STAKE) || *stake <= before {
            return no("gateway", 1102);
        }
        self.pay(who, &module("gateway"), &(stake - before))?;
        let gateway = Gateway {
            stake: stake.clone(),
            unstakes: 0,
        };
        self.gateways.insert(who.into(), gateway);
        Ok(())
    }

    fn unstake_gateway(&mut self, who: &str) -> Result<(), Refusal> {
        let end = session_end(self.height);
        match self.gateways.get_mut(who) {
            None => no("gateway", 1104),
            Some(gateway) if gateway.unstakes > 0 => no("gateway", 1107),
            Some(gateway) => {
                gateway.unstakes = end;
                Ok(())
            }
        }
    }

    fn stake_supplier(
        &mut self,
        signer: &str,
        owner: &str,
        operator: &str,
        stake: Option<Amount>,
        services: &[usize],
    ) -> Result<(), Refusal> {
        if services
            .iter()
            .any(|service| !self.services.contains_key(service_name(*service)))
        {
            return no("supplier", 1106);
        }
        let old = self.suppliers.get(operator).cloned();
        if let Some(old) = &old {
            let owns = signer == old.owner;
            if !owns && (signer != operator || owner != old.owner || old.unstakes > 0) {
                return no("shared", 1105);
            }
        }
        let before = old.as_ref().map(|old| old.stake.clone());
        let Some(stake) = stake
            .or_else(|| before.clone())
            .filter(|stake| *stake >= coins(MIN_STAKE))
        else {
            return no("supplier", 1101);
        };
        let before = before.unwrap_or_default();
        if stake > before {
            self.pay(signer, &module("supplier"), &(&stake - before))?;
        } else {
            self.pay(&module("supplier"), owner, &(before - &stake))?;
        }
        self.pay(signer, &module("supplier"), &coins(STAKING_FEE))?;
        let mut new = old.unwrap_or_default();
        new.owner = owner.into();
        new.stake = stake;
        new.unstakes = 0;
        if !services.is_empty() {
            let names: Vec<&str> = services.iter().map(|service| service_name(*service)).collect();
            new.offer(&names, &shares(owner, operator), next_start(self.height));
        }
        self.suppliers.insert(operator.into(), new);
        Ok(())
    }

    fn unstake_supplier(&mut self, signer: &str, operator: &str) -> Result<(), Refusal> {
        let height = self.height;
        let Some(supplier) = self.suppliers.get_mut(operator) else {
            return no("supplier", 1103);
        };
        if signer != supplier.owner && signer != operator {
            return no("shared", 1105);
        }
        if supplier.unstakes > 0 {
            return no("supplier", 1105);
        }
        supplier.leave(height);
        Ok(())
    }

    fn owned(
        &mut self,
        service: usize,
        owner: &str,
        absent: u32,
        foreign: u32,
    ) -> Result<&mut Service, Refusal> {
        match self.services.get_mut(service_name(service)) {
            None => no("service", absent),
            Some(found) if found.owner != owner => no("service", foreign),
            Some(found) => Ok(found),
        }
    }

    fn give_service(&mut self, from: &str, to: &str, service: usize) -> Result<(), Refusal> {
        self.owned(service, from, 1117, 1118)?.owner = to.into();
        Ok(())
    }

    /// `MsgAddService` of a service that exists; nobody adds the one that does not.
    fn set_units(&mut self, who: &str, service: usize, units: u64) -> Result<(), Refusal> {
        let next = next_start(self.height);
        let found = self.owned(service, who, 0, 1113)?;
        if found.units != units {
            if found.units_from.is_empty() {
                found.units_from.insert(1, found.units);
            }
            found.units_from.insert(next, units);
            found.units = units;
        }
        Ok(())
    }

    fn create_claim(&mut self, sent: &ClaimSent) -> Result<(), Refusal> {
        self.in_session(&sent.app, &sent.service, sent.start, &sent.id, &sent.supplier)?;
        let open = sent.end + CLAIM_OPEN + 1;
        if self.height < open || self.height > open + CLAIM_CLOSE {
            return no("proof", 1121);
        }
        let units = self.services[&sent.service].units_at(sent.start);
        if u128::from(sent.sum) != u128::from(sent.count) * u128::from(units) {
            return no("proof", 1126);
        }
        self.claims
            .retain(|(_, id, supplier), _| (id, supplier) != (&sent.id, &sent.supplier));
        let claim = Claim {
            app: sent.app.clone(),
            service: sent.service.clone(),
            start: sent.start,
            root: sent.root.clone(),
            sum: sent.sum,
            count: sent.count,
            status: Status::Pending,
        };
        self.claims
            .insert((sent.end, sent.id.clone(), sent.supplier.clone()), claim);
        Ok(())
    }

    /// Errs unless the supplier is in the session that its message names.
    fn in_session(
        &self,
        app: &str,
        service: &str,
        start: i64,
        id: &str,
        supplier: &str,
    ) -> Result<(), Refusal> {
        let members = self.session(app, service, start)?;
        if id != crate::session::session_id(app, service, start) {
            return no("proof", 1116);
        }
        if members.iter().any(|member| member == supplier) {
            return Ok(());
        }
        no("proof", 1102)
    }

    fn submit_proof(&mut self, sent: &ProofSent) -> Result<(), Refusal> {
        self.in_session(&sent.app, &sent.service, sent.start, &sent.id, &sent.supplier)?;
        let end = session_end(sent.start);
        let open = end + CLAIM_OPEN + 1 + CLAIM_CLOSE + PROOF_OPEN;
        if self.height < open || self.height > open + PROOF_CLOSE {
            return no("proof", 1122);
        }
        if !sent.whole {
            return Err(None);
        }
        if sent.relay_hash >= self.services[&sent.service].target_at(sent.start) {
            return no("proof", 1130);
        }
        let claim = self
            .claims
            .iter()
            .find(|((_, id, supplier), _)| (id, supplier) == (&sent.id, &sent.supplier));
        let Some((key, claim)) = claim else {
            return no("proof", 1106);
        };
        if key.0 != end {
            return no("proof", 1117);
        }
        let required = self.must_be_proved(key, claim);
        let fee = self.params.submission_fee.clone();
        if self.balance(&sent.supplier) <= fee {
            return no("proof", 1127);
        }
        self.pay(&sent.supplier, &module("proof"), &fee)?;
        if !required {
            return no("proof", 1129);
        }
        self.proofs
            .insert((sent.id.clone(), sent.supplier.clone()), sent.proof.clone());
        Ok(())
    }
}

impl App {
    /// Another service from `from` on; the first change also remembers what was served so far.
    pub(crate) fn offer(&mut self, services: Vec<String>, from: i64) {
        let same =
            self.services.len() == services.len() && services.iter().all(|one| self.services.contains(one));
        let old = std::mem::replace(&mut self.services, services.clone());
        if old.is_empty() || same {
            return;
        }
        if self.history.is_empty() {
            self.history = old.into_iter().map(|service| (service, 1, 0)).collect();
        }
        self.history.retain(|(_, begins, _)| *begins != from);
        for (_, _, until) in &mut self.history {
            if *until == 0 {
                *until = from;
            }
        }
        self.history
            .extend(services.into_iter().map(|service| (service, from, 0)));
    }

    /// A gateway goes; it may sign until the session ends.
    pub(crate) fn leave(&mut self, gateway: &str, session_end: i64) {
        self.gateways.retain(|one| one != gateway);
        let left = self.left.entry(session_end).or_default();
        if !left.iter().any(|one| one == gateway) {
            left.push(gateway.into());
        }
    }

    /// Forgets gateways that left so long ago that no proof can need them.
    pub(crate) fn forget(&mut self, height: i64) {
        self.left.retain(|end, _| *end >= height - GRACE - 2 * N);
    }
}

impl Supplier {
    fn offer(&mut self, services: &[&str], shares: &[(String, u64)], from: i64) {
        self.offers
            .retain(|offer| offer.from != from || !services.contains(&offer.service.as_str()));
        for offer in &mut self.offers {
            if offer.until == 0 {
                offer.until = from;
            }
        }
        for service in services {
            self.offers.push(Offer {
                service: (*service).to_owned(),
                shares: shares.to_vec(),
                from,
                until: 0,
            });
        }
    }

    /// It goes with this session, and all of its offers, also those that had ended.
    pub(crate) fn leave(&mut self, height: i64) {
        self.unstakes = session_end(height);
        for offer in &mut self.offers {
            offer.until = next_start(height);
        }
    }
}
