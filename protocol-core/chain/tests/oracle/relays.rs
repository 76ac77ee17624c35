//! Relays that were served: signed, put into a trie, claimed and proved.

use bytes::Bytes;
use num_bigint::{BigInt, Sign};
use portico_protocol::proof::proof_path;
use portico_protocol::relay::{MinedRelay, sign_request, sign_response};
use portico_protocol::ring::Ring;
use portico_protocol::wire::pocket::session::SessionHeader;
use portico_smst::{LeafSet, Path, Sum};
use rand::SeedableRng;

use crate::actors::{PEOPLE, address, key, public_key};
use crate::deeds::ProofFault;
use crate::messages::{ClaimSent, ProofSent};
use crate::model::{CLAIM_CLOSE, CLAIM_OPEN, Model, PROOF_OPEN, Proof, session_end, session_start};
use crate::session::{block_hash, session_id};

/// Relays of one session as their servicer keeps them.
pub(crate) struct Served {
    pub(crate) app: String,
    pub(crate) service: String,
    pub(crate) supplier: String,
    pub(crate) start: i64,
    pub(crate) id: String,
    ring: Vec<String>,
    units: u64,
    forged: bool,
    leaves: LeafSet,
    relays: Vec<(Vec<u8>, [u8; 32])>,
}

impl Served {
    /// Signs and serves relays in the session of the newest block.
    pub(crate) fn new(
        model: &Model,
        app: usize,
        supplier: usize,
        service: &str,
        count: u64,
        forged: bool,
    ) -> Self {
        let start = session_start(model.height.max(1));
        let service = service.to_owned();
        let units = model
            .services
            .get(&service)
            .map_or(1, |service| service.units_at(start));
        let mut ring = model.ring(address(app), session_end(start));
        if ring.len() == 1 {
            ring.push(ring[0].clone());
        }
        let mut served = Self {
            app: address(app).into(),
            id: session_id(address(app), &service, start),
            supplier: address(supplier).into(),
            service,
            start,
            units,
            forged,
            leaves: LeafSet::new(units),
            relays: Vec::new(),
            ring,
        };
        let keys: Vec<_> = served.ring.iter().map(|one| public_key(one)).collect();
        let ring = Ring::new(keys).expect("two or more");
        let mut rng = rand::rngs::StdRng::seed_from_u64(7);
        for number in 0..count {
            served.serve(&ring, app, supplier, number, &mut rng);
        }
        served
    }

    fn serve(&mut self, ring: &Ring, app: usize, supplier: usize, number: u64, rng: &mut rand::rngs::StdRng) {
        let header = self.header();
        let payload = Bytes::from(format!("call {number}"));
        let request =
            sign_request(&header, &self.supplier, payload, ring, key(app), rng).expect("in the ring");
        // A forged answer is signed by somebody else.
        let signer = if self.forged {
            key((supplier + 1) % PEOPLE)
        } else {
            key(supplier)
        };
        let response = sign_response(&header, format!("answer {number}").into(), signer);
        let relay = MinedRelay::new(&request, &response);
        let path = Path::of_key(&relay.hash);
        let leaf = LeafSet::hash_leaf(&path, &relay.bytes, self.units);
        assert!(self.leaves.insert(path, leaf, number));
        self.relays.push((relay.bytes, relay.hash));
    }

    pub(crate) fn header(&self) -> SessionHeader {
        SessionHeader {
            application_address: self.app.clone(),
            service_id: self.service.clone(),
            session_id: self.id.clone(),
            session_start_block_height: self.start,
            session_end_block_height: session_end(self.start),
        }
    }

    pub(crate) fn end(&self) -> i64 {
        session_end(self.start)
    }

    /// First and last height of the claim window, and of the proof window's beginning.
    pub(crate) fn claims_at(&self) -> std::ops::RangeInclusive<i64> {
        let open = self.end() + CLAIM_OPEN + 1;
        open..=open + CLAIM_CLOSE
    }

    pub(crate) fn proofs_from(&self) -> i64 {
        self.end() + CLAIM_OPEN + 1 + CLAIM_CLOSE + PROOF_OPEN
    }

    fn root(&mut self) -> Vec<u8> {
        self.leaves.root().as_ref().to_vec()
    }

    /// The claim of these relays.
    pub(crate) fn claim(&mut self) -> ClaimSent {
        let count = self.relays.len() as u64;
        ClaimSent {
            app: self.app.clone(),
            service: self.service.clone(),
            supplier: self.supplier.clone(),
            start: self.start,
            end: self.end(),
            id: self.id.clone(),
            root: self.root(),
            sum: count * self.units,
            count,
        }
    }

    /// The proof of them, and its bytes.
    pub(crate) fn prove(&mut self, fault: ProofFault) -> (ProofSent, Vec<u8>) {
        let seed = self.proofs_from() - 1 - i64::from(fault == ProofFault::Seed);
        let path = Path::new(proof_path(&block_hash(seed), &self.id));
        let relays = &self.relays;
        let value = |leaf: portico_smst::LeafRef| {
            let index = usize::try_from(leaf.seq).expect("small");
            relays.get(index).map(|(bytes, _)| bytes.clone())
        };
        let closest = self.leaves.prove_closest(&path, value).expect("there are leaves");
        let at_path = |(_, hash): &&(Vec<u8>, [u8; 32])| Path::of_key(hash).as_ref() == closest.closest_path;
        let relay_hash = self.relays.iter().find(at_path).expect("one of them").1;
        let mut bytes = closest.compact::<Sum>().expect("whole").to_gob();
        if fault == ProofFault::Cut {
            bytes.truncate(bytes.len() / 2);
        }
        let sent = ProofSent {
            app: self.app.clone(),
            service: self.service.clone(),
            supplier: self.supplier.clone(),
            start: self.start,
            id: self.id.clone(),
            whole: fault != ProofFault::Cut,
            relay_hash: BigInt::from_bytes_be(Sign::Plus, &relay_hash),
            proof: Proof {
                ring: self.ring.clone(),
                app: self.app.clone(),
                end: self.end(),
                good: !self.forged && fault == ProofFault::None,
                root: self.root(),
            },
        };
        (sent, bytes)
    }
}
