//! What these tests ask of the chain in memory, beside what it offers.

use portico_chain::genesis::{
    Genesis, GenesisAccount, GenesisApplication, GenesisService, GenesisSupplier, GenesisSupplierService,
};
use portico_chain::state::Store;
use portico_client::ChainError;
use portico_protocol::session::{self, Timing};
use portico_protocol::tx::{decode_tx, pack};
use portico_protocol::wire::pocket::application::Application;
use portico_protocol::wire::pocket::proof::{self, MsgUpdateParams};
use portico_protocol::wire::pocket::service::{RelayMiningDifficulty, RelayMiningDifficultyUpdate};
use portico_protocol::wire::pocket::session::SessionHeader;
use portico_protocol::wire::pocket::shared::{Params, RpcType};
use portico_protocol::wire::pocket::supplier;
use portico_protocol::{Address, Height, ServiceId, SigningKey, Upokt};
use portico_testkit::{Fault, MemoryChain, question};
use prost::Message;
use prost_types::Any;
use sha2::{Digest, Sha256};

use super::{SERVICE, key};

/// What a supplier's account holds: the chain takes proofs of no supplier whose account is empty.
const BALANCE: Upokt = Upokt(1_000_000);

/// The application of a service: the network has one service for each.
pub(super) fn application(service: &str) -> SigningKey {
    if service == SERVICE {
        return key(1);
    }
    SigningKey::from_bytes(&Sha256::digest(service).into()).unwrap()
}

/// Changes the network's params.
pub(super) fn authority() -> SigningKey {
    key(6)
}

pub(super) trait ServicerChain {
    /// Params and actors of these tests: default windows (session 1..=10, grace end 11, claim 12..=16, proof 16..=20), two suppliers,
    /// and a proof of every claim.
    fn found_for(&self, gateway: &SigningKey, suppliers: &[SigningKey]);

    /// The session of `height` and the service's application, which is staked for it if it is not yet.
    fn header(&self, height: i64, service: &str) -> SessionHeader;

    /// What the application of [`SERVICE`] has staked.
    fn set_stake(&self, upokt: u128);

    /// Stakes these suppliers in place of those that there are.
    fn set_suppliers(&self, suppliers: &[SigningKey]);

    /// Takes a supplier out of the genesis.
    fn unstake_supplier(&self, operator: &Address);

    /// Lets the authority change what the genesis says of proofs, from the next block on.
    fn set_proof_params(&self, change: impl FnOnce(&mut proof::Params));

    /// Lets the authority change the least stake of suppliers, from the next block on.
    fn set_min_stake(&self, upokt: u128);

    /// Sets how hard relays of [`SERVICE`] are to mine.
    fn set_target_hash(&self, target: [u8; 32]);

    /// Takes from the record of [`SERVICE`]'s application whom it delegates to.
    fn forget_delegations(&self);

    /// Takes that many transactions and loses them.
    fn lose(&self, transactions: usize);

    /// Takes every transaction and loses it.
    fn lose_all(&self);

    /// Fails simulations of transactions that name this session.
    fn refuse_simulation_of(&self, session_id: &str);

    /// Does not answer questions for sessions of applications other than that of [`SERVICE`].
    fn be_silent_for_strangers(&self);

    /// Whether every question fails as if the node were away.
    fn set_away(&self, away: bool);

    /// Questions where the chain is.
    fn status_calls(&self) -> u64;

    /// Transactions handed over, with the newest height at that time and the number of messages.
    fn handed_over(&self) -> Vec<(i64, usize)>;

    /// Included messages that succeeded, with the height of their block.
    fn messages(&self) -> Vec<(i64, Any)>;
}

fn shared(genesis: &Genesis) -> Params {
    (&genesis.params.shared).into()
}

/// A service like the first one, with an application like the first one, that all suppliers serve.
fn add_service(genesis: &mut Genesis, id: &ServiceId, application: &SigningKey) {
    genesis.services.push(GenesisService {
        id: id.clone(),
        ..genesis.services[0].clone()
    });
    let account = GenesisAccount::new(&application.public_key(), Upokt(0));
    genesis.accounts.push(account);
    genesis.applications.push(GenesisApplication {
        address: application.address(),
        service_id: id.clone(),
        ..genesis.applications[0].clone()
    });
    for supplier in &mut genesis.suppliers {
        supplier.services.push(GenesisSupplierService {
            service_id: id.clone(),
            ..supplier.services[0].clone()
        });
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

impl ServicerChain for MemoryChain {
    fn found_for(&self, gateway: &SigningKey, suppliers: &[SigningKey]) {
        self.found(|genesis| {
            genesis.params.authority = Some(authority().address());
            genesis.params.num_suppliers_per_session = 2;
            genesis.params.application_min_stake = Upokt(1);
            genesis.params.proof.proof_request_probability = 0.0;
            genesis.params.proof.proof_requirement_threshold = Upokt(1);
        });
        self.add_account(gateway.public_key());
        self.add_account(authority().public_key());
        for supplier in suppliers {
            let service = SERVICE.parse().unwrap();
            self.stake_supplier(
                supplier.public_key(),
                &service,
                "http://supplier",
                RpcType::JsonRpc,
            );
        }
        let application = application(SERVICE).public_key();
        self.stake_application(application, &SERVICE.parse().unwrap(), &[gateway.address()]);
    }

    fn header(&self, height: i64, service: &str) -> SessionHeader {
        let service: ServiceId = service.parse().unwrap();
        let application = application(service.as_str());
        let genesis = self.genesis();
        if genesis.services.iter().all(|known| known.id != service) {
            self.found(|genesis| add_service(genesis, &service, &application));
        }
        let params = shared(&genesis);
        let start = Timing::new(&params).start(Height(height));
        session::header(
            &application.address(),
            &service,
            start,
            &self.hash(start.0),
            &params,
        )
    }

    fn set_stake(&self, upokt: u128) {
        let application = application(SERVICE).address();
        self.found(|genesis| {
            let staked = genesis.applications.iter_mut();
            for staked in staked.filter(|staked| staked.address == application) {
                staked.stake = Upokt(upokt);
            }
        });
    }

    fn set_suppliers(&self, suppliers: &[SigningKey]) {
        self.found(|genesis| {
            genesis.params.num_suppliers_per_session = suppliers.len() as u64;
            let first = genesis.suppliers[0].clone();
            genesis.suppliers.clear();
            for key in suppliers {
                let account = GenesisAccount::new(&key.public_key(), BALANCE);
                genesis.accounts.push(account);
                genesis.suppliers.push(GenesisSupplier {
                    owner: key.address(),
                    operator: key.address(),
                    ..first.clone()
                });
            }
        });
    }

    fn unstake_supplier(&self, operator: &Address) {
        self.found(|genesis| {
            genesis
                .suppliers
                .retain(|supplier| supplier.operator != *operator);
        });
    }

    fn set_proof_params(&self, change: impl FnOnce(&mut proof::Params)) {
        let mut params = proof::Params::from(&self.genesis().params.proof);
        change(&mut params);
        let message = MsgUpdateParams {
            authority: authority().address().to_string(),
            params: Some(params),
        };
        self.send(&authority(), vec![pack(&message)]);
    }

    fn set_min_stake(&self, upokt: u128) {
        let genesis = self.genesis();
        let message = supplier::MsgUpdateParams {
            authority: authority().address().to_string(),
            params: Some(supplier::Params {
                min_stake: Some(Upokt(upokt).into()),
                staking_fee: Some(genesis.params.supplier_staking_fee.into()),
            }),
        };
        self.send(&authority(), vec![pack(&message)]);
    }

    fn set_target_hash(&self, target: [u8; 32]) {
        let difficulty = RelayMiningDifficulty {
            service_id: SERVICE.to_owned(),
            block_height: 1,
            num_relays_ema: 1,
            target_hash: target.to_vec(),
        };
        let update = RelayMiningDifficultyUpdate {
            effective_height: 1,
            difficulty: Some(difficulty.clone()),
        };
        // Newer entries of the history come first.
        let from_block_1 = (u64::MAX ^ 1).to_be_bytes();
        let history = [format!("difficulty_history/{SERVICE}/").as_bytes(), &from_block_1].concat();
        let newest = format!("difficulty/{SERVICE}/").into_bytes();
        self.amend(|values| {
            values.insert((Store::Service, history), update.encode_to_vec());
            values.insert((Store::Service, newest), difficulty.encode_to_vec());
        });
    }

    fn forget_delegations(&self) {
        let address = application(SERVICE).address();
        let key = (Store::Application, format!("application/{address}/").into_bytes());
        self.amend(|values| {
            let stored = values.get_mut(&key).unwrap();
            let mut application = Application::decode(&**stored).unwrap();
            application.delegatee_gateway_addresses.clear();
            *stored = application.encode_to_vec();
        });
    }

    fn lose(&self, transactions: usize) {
        self.fail(question::BROADCAST, vec![Fault::Lost; transactions]);
    }

    fn lose_all(&self) {
        self.fail_when(question::BROADCAST, Fault::Lost, |_| true);
    }

    fn refuse_simulation_of(&self, session_id: &str) {
        let refused = Fault::Refused(ChainError::InvalidArgument("poisoned".to_owned()));
        let session_id = session_id.to_owned();
        self.fail_when(question::SIMULATE, refused, move |tx| contains(tx, &session_id));
    }

    fn be_silent_for_strangers(&self) {
        let known = application(SERVICE).address().to_string();
        self.fail_when(question::SESSION, Fault::Silent, move |request| {
            !contains(request, &known)
        });
    }

    fn set_away(&self, away: bool) {
        self.away(away.then(|| ChainError::Unavailable("away".to_owned())));
    }

    fn status_calls(&self) -> u64 {
        self.asked(question::STATUS)
    }

    fn handed_over(&self) -> Vec<(i64, usize)> {
        let taken = self.taken().into_iter();
        let counted = taken.map(|(height, tx)| {
            let body = decode_tx(&tx).unwrap().body;
            assert!(body.unordered, "transactions are unordered");
            (height, body.messages.len())
        });
        counted.collect()
    }

    fn messages(&self) -> Vec<(i64, Any)> {
        let included = self.included().into_iter().filter(|tx| tx.code == 0);
        let messages = included.flat_map(|included| {
            let messages = decode_tx(&included.tx).unwrap().body.messages;
            messages
                .into_iter()
                .map(move |message| (included.height, message))
        });
        messages.collect()
    }
}
