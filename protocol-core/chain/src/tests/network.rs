//! A whole chain in memory, driven block by block with signed transactions, as its users drive it.

use bytes::Bytes;
use portico_protocol::proof::proof_path;
use portico_protocol::relay::{MinedRelay, ring_gateways, sign_request, sign_response};
use portico_protocol::ring::Ring;
use portico_protocol::tx::{SignerContext, TxOptions, pack, sign_tx, unpack};
use portico_protocol::wire::cosmos::auth::v1beta1::{BaseAccount, QueryAccountRequest, QueryAccountResponse};
use portico_protocol::wire::pocket::session::{QueryGetSessionRequest, QueryGetSessionResponse, Session};
use portico_protocol::wire::tendermint::abci::Event;
use portico_protocol::{Address, Height, PublicKey, ServiceId, SigningKey, Upokt};
use portico_smst::{LeafSet, Path, Sum};
use prost::{Message, Name};
use rand::SeedableRng;
use sha2::{Digest, Sha256};

use super::lab::{Memory, apply};
use crate::block::{BlockContext, BlockOutcome, NoCache, TxOutcome, check, execute, init};
use crate::genesis::{
    Genesis, GenesisAccount, GenesisApplication, GenesisGateway, GenesisParams, GenesisRevShare,
    GenesisService, GenesisSupplier, GenesisSupplierService, GenesisValidator,
};
use crate::query::query;
use crate::state::StateRead;
use crate::{bank, stake};

/// Compute units of a relay of the service `eth`.
pub(crate) const UNITS: u64 = 100;
/// Stake of the application and of the supplier.
pub(crate) const STAKE: Upokt = Upokt(1_000_000_000);

/// A key derived from a name.
pub(crate) fn key(name: &str) -> SigningKey {
    SigningKey::from_bytes(&Sha256::digest(name).into()).unwrap()
}

pub(crate) fn address(name: &str) -> Address {
    key(name).address()
}

/// One of everything: validator, service, gateway, application that delegates to it, supplier whose owner is somebody else.
pub(crate) fn genesis() -> Genesis {
    let account = |name: &str| GenesisAccount::new(&key(name).public_key(), Upokt(10_000_000_000));
    Genesis {
        chain_id: "portico-test".into(),
        genesis_time_ms: 1_700_000_000_000,
        params: GenesisParams::default(),
        validators: vec![GenesisValidator {
            consensus_public_key: "11".repeat(32),
            account: address("validator"),
            tokens: Upokt(5_000_000),
        }],
        accounts: ["application", "gateway", "supplier", "owner", "other", "source"]
            .map(account)
            .to_vec(),
        services: vec![service("eth"), service("base")],
        gateways: vec![GenesisGateway {
            address: address("gateway"),
            stake: Upokt(1_000_000),
        }],
        applications: vec![GenesisApplication {
            address: address("application"),
            stake: STAKE,
            service_id: ServiceId::new("eth").unwrap(),
            delegatees: vec![address("gateway")],
        }],
        suppliers: vec![GenesisSupplier {
            owner: address("owner"),
            operator: address("supplier"),
            stake: STAKE,
            services: vec![GenesisSupplierService {
                service_id: ServiceId::new("eth").unwrap(),
                url: "http://127.0.0.1:8545".into(),
                endpoints: Vec::new(),
                rev_share: vec![rev_share("owner", 80), rev_share("supplier", 20)],
            }],
        }],
    }
}

fn service(id: &str) -> GenesisService {
    GenesisService {
        id: ServiceId::new(id).unwrap(),
        name: id.into(),
        compute_units_per_relay: UNITS,
        owner: address("source"),
    }
}

fn rev_share(name: &str, percentage: u64) -> GenesisRevShare {
    GenesisRevShare {
        address: address(name),
        percentage,
    }
}

/// A chain in memory.
#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) memory: Memory,
    pub(crate) height: i64,
    chain_id: String,
    genesis_time_ms: u64,
}

impl Network {
    pub(crate) fn new(genesis: &Genesis) -> Self {
        let mut memory = Memory::new();
        apply(&mut memory, init(genesis).unwrap());
        Self {
            memory,
            height: 0,
            chain_id: genesis.chain_id.clone(),
            genesis_time_ms: genesis.genesis_time_ms,
        }
    }

    pub(crate) fn state(&self) -> &dyn StateRead {
        &self.memory
    }

    /// What the next block will tell the modules.
    pub(crate) fn next(&self) -> BlockContext {
        let height = self.height + 1;
        BlockContext {
            chain_id: self.chain_id.clone(),
            height: Height(height),
            time_ms: self.genesis_time_ms + u64::try_from(height).unwrap() * 1_000,
            hash: hash_of(height),
            proposer_account: address("validator").to_string(),
        }
    }

    /// Executes the next block.
    pub(crate) fn block(&mut self, txs: &[Bytes]) -> BlockOutcome {
        let context = self.next();
        let outcome = execute(self.state(), &context, txs).unwrap();
        apply(&mut self.memory, outcome.changes.clone());
        self.height = context.height.0;
        outcome
    }

    /// Executes empty blocks until the chain is at `height`; returns the events of the last.
    pub(crate) fn run_to(&mut self, height: i64) -> Vec<Event> {
        let mut events = Vec::new();
        while self.height < height {
            events = self.block(&[]).events;
        }
        events
    }

    /// Executes the next block with one message signed by `signer`.
    pub(crate) fn send<M: Message + Name>(&mut self, signer: &str, message: &M) -> TxOutcome {
        let tx = self.tx(signer, message, &TxOptions::default());
        self.block(&[tx]).txs.remove(0)
    }

    /// As `send`, for a message that must be accepted.
    pub(crate) fn accept<M: Message + Name>(&mut self, signer: &str, message: &M) -> TxOutcome {
        let outcome = self.send(signer, message);
        assert_eq!(outcome.code, 0, "{}", outcome.log);
        outcome
    }

    /// As `send`, for a message that must be refused with this code.
    pub(crate) fn refuse<M: Message + Name>(
        &mut self,
        signer: &str,
        message: &M,
        codespace: &'static str,
        code: u32,
    ) {
        let outcome = self.send(signer, message);
        assert_eq!(outcome.cause, Some((codespace, code)), "{}", outcome.log);
    }

    /// A signed transaction of one message, with the account's number and sequence.
    pub(crate) fn tx<M: Message + Name>(&self, signer: &str, message: &M, options: &TxOptions) -> Bytes {
        let account = self.account(&address(signer));
        let context = SignerContext {
            chain_id: self.chain_id.clone(),
            account_number: account.account_number,
            sequence: if options.unordered { 0 } else { account.sequence },
        };
        let options = TxOptions {
            gas_limit: 10_000_000,
            ..options.clone()
        };
        sign_tx(vec![pack(message)], &options, &context, &key(signer)).into()
    }

    /// As `tx`, with the gas limit of the options.
    pub(crate) fn tx_as<M: Message + Name>(&self, signer: &str, message: &M, options: &TxOptions) -> Bytes {
        let account = self.account(&address(signer));
        let context = SignerContext {
            chain_id: self.chain_id.clone(),
            account_number: account.account_number,
            sequence: account.sequence,
        };
        sign_tx(vec![pack(message)], options, &context, &key(signer)).into()
    }

    /// What the mempool would say.
    pub(crate) fn check(&self, tx: &[u8]) -> TxOutcome {
        check(self.state(), &self.next(), &NoCache, tx).unwrap().0
    }

    pub(crate) fn account(&self, address: &Address) -> BaseAccount {
        let request = QueryAccountRequest {
            address: address.to_string(),
        };
        let answer: QueryAccountResponse = self.query("/cosmos.auth.v1beta1.Query/Account", &request);
        unpack(&answer.account.unwrap()).unwrap()
    }

    pub(crate) fn query<A: Message + Default>(&self, path: &str, request: &impl Message) -> A {
        let answer = query(self.state(), Height(self.height), path, &request.encode_to_vec()).unwrap();
        A::decode(answer.as_slice()).unwrap()
    }

    pub(crate) fn balance(&self, address: &Address) -> u128 {
        bank::balance(self.state(), address).unwrap().0
    }

    pub(crate) fn supply(&self) -> u128 {
        bank::supply(self.state()).unwrap().0
    }

    pub(crate) fn stake_of_application(&self, name: &str) -> u128 {
        let app = crate::application::application(self.state(), &address(name).to_string());
        stake::amount(app.unwrap().unwrap().stake.as_ref()).0
    }

    pub(crate) fn stake_of_supplier(&self, name: &str) -> Option<u128> {
        let supplier = crate::supplier::supplier(self.state(), &address(name).to_string()).unwrap();
        supplier.map(|supplier| stake::amount(supplier.stake.as_ref()).0)
    }

    /// The session of (application, `eth`) at `height`; 0 is now.
    pub(crate) fn session(&self, height: i64) -> Session {
        let request = QueryGetSessionRequest {
            application_address: address("application").to_string(),
            service_id: "eth".into(),
            block_height: height,
        };
        let answer: QueryGetSessionResponse = self.query("/pocket.session.Query/GetSession", &request);
        answer.session.unwrap()
    }
}

pub(crate) fn hash_of(height: i64) -> [u8; 32] {
    Sha256::digest(format!("header {height}")).into()
}

/// Relays of a session as its servicer recorded them.
pub(crate) struct Served {
    pub(crate) session: Session,
    leaves: LeafSet,
    relays: Vec<Vec<u8>>,
}

impl Served {
    /// Signs and serves `count` relays from the gateway to `supplier`; `forge` may alter a response.
    pub(crate) fn new(session: Session, supplier: &str, count: u64) -> Self {
        let app = session.application.clone().unwrap();
        let header = session.header.clone().unwrap();
        let mut keys = vec![key("application").public_key()];
        for gateway in ring_gateways(&app, Height(header.session_end_block_height)) {
            keys.push(key_of(gateway));
        }
        let ring = Ring::new(keys).unwrap();
        let mut rng = rand::rngs::StdRng::seed_from_u64(7);
        let (mut leaves, mut relays) = (LeafSet::new(UNITS), Vec::new());
        for seq in 0..count {
            let payload = Bytes::from(format!("call {seq}"));
            let operator = address(supplier).to_string();
            let request =
                sign_request(&header, &operator, payload, &ring, &key("gateway"), &mut rng).unwrap();
            let response = sign_response(&header, format!("answer {seq}").into(), &key(supplier));
            let relay = MinedRelay::new(&request, &response);
            let path = Path::of_key(&relay.hash);
            let leaf = LeafSet::hash_leaf(&path, &relay.bytes, UNITS);
            assert!(leaves.insert(path, leaf, seq));
            relays.push(relay.bytes);
        }
        Self {
            session,
            leaves,
            relays,
        }
    }

    pub(crate) fn root(&mut self) -> Vec<u8> {
        self.leaves.root().as_ref().to_vec()
    }

    /// Proof bytes for the challenge that the block hash at `seed_height` makes.
    pub(crate) fn prove(&mut self, seed_height: i64) -> Vec<u8> {
        let path = Path::new(proof_path(&hash_of(seed_height), &self.session.session_id));
        let relays = &self.relays;
        let value = |leaf: portico_smst::LeafRef| relays.get(usize::try_from(leaf.seq).ok()?).cloned();
        let proof = self.leaves.prove_closest(&path, value).unwrap();
        proof.compact::<Sum>().unwrap().to_gob()
    }
}

fn key_of(address: Address) -> PublicKey {
    let names = ["gateway", "application", "other", "second"];
    let name = names
        .into_iter()
        .find(|name| super::network::address(name) == address);
    key(name.unwrap()).public_key()
}
