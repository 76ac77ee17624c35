//! `portico node init`: a new chain's genesis, its validators' keys, and the configuration of a node that signs for them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use portico_chain::genesis::export::{self, Exported};
use portico_chain::genesis::{
    Genesis, GenesisAccount, GenesisApplication, GenesisEndpoint, GenesisGateway, GenesisParams,
    GenesisRevShare, GenesisService, GenesisSupplier, GenesisSupplierService, GenesisValidator,
};
use portico_chain::validators::MAX_VALIDATORS;
use portico_config::load;
use portico_config::secret::write_key_file;
use portico_config::stake::{ApplicationStake, StakedEndpoint, StakedRpcType, SupplierStake};
use portico_node::{ValidatorKey, check_genesis};
use portico_protocol::{Address, ServiceId, SigningKey, Upokt};
use serde_json::{Value, json};

use crate::keys::generate;

const GENESIS_FILE: &str = "genesis.json";
const CONFIG_FILE: &str = "node.yaml";
const MIGRATION_FILE: &str = "migration.json";
/// Compute units of a service that says nothing else.
const COMPUTE_UNITS: u64 = 100;
/// Largest export that is read, in bytes: 8 GiB.
const MAX_EXPORT_BYTES: u64 = 8 << 30;

#[derive(Args)]
pub(super) struct InitArgs {
    /// Folder of the new chain, made when it is missing: genesis.json, node.yaml, keys
    folder: PathBuf,
    /// Chain id; light clients of other chains want the form NAME-NUMBER
    #[arg(long, value_name = "ID", default_value = "portico-1")]
    chain_id: String,
    /// Validators, 1 to 100, whose keys are made; the node signs for all of them
    #[arg(long, value_name = "N", default_value_t = 1)]
    validators: usize,
    /// Tokens that each validator has bonded: its weight when rewards are shared, not its vote
    #[arg(long, value_name = "UPOKT", default_value_t = 1_000_000_000)]
    validator_stake: u64,
    /// Account that may change params, flags and validators; nobody when left out
    #[arg(long, value_name = "ADDRESS")]
    authority: Option<Address>,
    /// Params of modules as genesis.json has them (YAML or JSON); those that it leaves out are the network's defaults
    #[arg(long, value_name = "FILE", conflicts_with = "from_genesis")]
    params: Option<PathBuf>,
    /// An account and its free balance: ADDRESS=UPOKT
    #[arg(long = "account", value_name = "ADDRESS=UPOKT")]
    accounts: Vec<Pair<Address, u64>>,
    /// A service and what a relay of it weighs: ID or ID=COMPUTE_UNITS
    #[arg(long = "service", value_name = "ID[=UNITS]")]
    services: Vec<ServiceArg>,
    /// Owner of the services; the first validator's account when left out
    #[arg(long, value_name = "ADDRESS")]
    service_owner: Option<Address>,
    /// A gateway and its stake: ADDRESS=UPOKT
    #[arg(long = "gateway", value_name = "ADDRESS=UPOKT")]
    gateways: Vec<Pair<Address, u64>>,
    /// An application and its stake file (`portico tx stake-application --config`): ADDRESS=FILE
    #[arg(long = "application", value_name = "ADDRESS=FILE")]
    applications: Vec<Pair<Address, PathBuf>>,
    /// Stake file of a supplier (`portico tx stake-supplier --config`): every RPC type, revenue shares, owner and operator
    #[arg(long = "supplier", value_name = "FILE")]
    suppliers: Vec<PathBuf>,
    /// Begin with what the network's program exports (`pocketd export`), or with its own genesis: params, accounts, balances, services, actors
    #[arg(long, value_name = "FILE")]
    from_genesis: Option<PathBuf>,
}

/// `NAME=VALUE`
#[derive(Clone, Debug)]
struct Pair<N, V> {
    name: N,
    value: V,
}

impl<N: FromStr, V: FromStr> FromStr for Pair<N, V> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("a = is missing")?;
        Ok(Self {
            name: name.parse().map_err(|_| format!("{name:?} is malformed"))?,
            value: value.parse().map_err(|_| format!("{value:?} is malformed"))?,
        })
    }
}

/// `ID` or `ID=UNITS`
#[derive(Clone, Debug)]
struct ServiceArg {
    id: ServiceId,
    units: u64,
}

impl FromStr for ServiceArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (id, units) = match text.split_once('=') {
            Some((id, units)) => (id, units.parse().map_err(|_| format!("{units:?} is no number"))?),
            None => (text, COMPUTE_UNITS),
        };
        let id = ServiceId::new(id).map_err(|error| error.to_string())?;
        Ok(Self { id, units })
    }
}

/// A validator that is made here.
struct Made {
    consensus: ValidatorKey,
    account: SigningKey,
}

impl Made {
    fn new() -> Self {
        Self {
            consensus: ValidatorKey::generate(),
            account: generate(),
        }
    }
}

impl InitArgs {
    pub(super) fn run(self) -> Result<()> {
        ensure!(
            (1..=MAX_VALIDATORS).contains(&self.validators),
            "a chain has 1 to {MAX_VALIDATORS} validators"
        );
        let file = self.folder.join(GENESIS_FILE);
        ensure!(
            !file.exists(),
            "{} exists already; choose another folder",
            file.display()
        );
        let made: Vec<Made> = (0..self.validators).map(|_| Made::new()).collect();
        let (genesis, migration, notes) = self.genesis(&made)?;
        // What a node would refuse is refused before anything is written.
        check_genesis(&genesis)?;
        self.write(&genesis, migration.as_ref(), &made)?;
        for note in &notes {
            eprintln!("note: {note}");
        }
        println!(
            "chain {} with {} validators and {} in all: {}",
            genesis.chain_id,
            genesis.validators.len(),
            genesis.supply(),
            file.display()
        );
        println!(
            "start it: portico node --config {}",
            self.folder.join(CONFIG_FILE).display()
        );
        Ok(())
    }

    fn genesis(&self, made: &[Made]) -> Result<(Genesis, Option<Value>, Vec<String>)> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .context("the clock is before 1970")?;
        let now_ms = u64::try_from(now.as_millis())?;
        let (mut genesis, migration, notes) = match &self.from_genesis {
            Some(file) => {
                let Exported {
                    genesis,
                    migration,
                    notes,
                } = export::read(&read_export(file)?, &self.chain_id, now_ms)
                    .with_context(|| file.display().to_string())?;
                (genesis, Some(migration), notes)
            }
            None => (self.empty(now_ms)?, None, Vec::new()),
        };
        if self.authority.is_some() {
            genesis.params.authority = self.authority;
        }
        genesis.validators = made.iter().map(|made| self.validator(made)).collect();
        self.add_accounts(&mut genesis, made);
        let owner = self.service_owner.unwrap_or_else(|| made[0].account.address());
        genesis
            .services
            .extend(self.services.iter().map(|service| GenesisService {
                id: service.id.clone(),
                name: String::new(),
                compute_units_per_relay: service.units,
                owner,
            }));
        genesis
            .gateways
            .extend(self.gateways.iter().map(|gateway| GenesisGateway {
                address: gateway.name,
                stake: Upokt(gateway.value.into()),
            }));
        for file in &self.applications {
            genesis.applications.push(application(file)?);
        }
        for file in &self.suppliers {
            genesis.suppliers.push(supplier(file)?);
        }
        Ok((genesis, migration, notes))
    }

    fn empty(&self, genesis_time_ms: u64) -> Result<Genesis> {
        let params = match &self.params {
            Some(file) => read_params(file)?,
            None => GenesisParams::default(),
        };
        Ok(Genesis {
            chain_id: self.chain_id.clone(),
            genesis_time_ms,
            params,
            validators: Vec::new(),
            accounts: Vec::new(),
            services: Vec::new(),
            gateways: Vec::new(),
            applications: Vec::new(),
            suppliers: Vec::new(),
        })
    }

    fn validator(&self, made: &Made) -> GenesisValidator {
        GenesisValidator {
            consensus_public_key: made.consensus.public_key_hex(),
            account: made.account.address(),
            tokens: Upokt(self.validator_stake.into()),
        }
    }

    /// Adds the accounts of the command line, to those that are there already, and of the validators.
    fn add_accounts(&self, genesis: &mut Genesis, made: &[Made]) {
        for made in made {
            let account = GenesisAccount::new(&made.account.public_key(), Upokt(0));
            genesis.accounts.push(account);
        }
        for pair in &self.accounts {
            let amount = u128::from(pair.value);
            let known = genesis
                .accounts
                .iter_mut()
                .find(|account| account.address == pair.name);
            match known {
                Some(account) => account.balance.0 = account.balance.0.saturating_add(amount),
                None => genesis.accounts.push(GenesisAccount {
                    address: pair.name,
                    public_key: None,
                    balance: Upokt(amount),
                }),
            }
        }
    }

    fn write(&self, genesis: &Genesis, migration: Option<&Value>, made: &[Made]) -> Result<()> {
        std::fs::create_dir_all(&self.folder)
            .with_context(|| format!("{} cannot be made", self.folder.display()))?;
        let folder = self.folder.canonicalize()?;
        let keys = folder.join("keys");
        std::fs::create_dir_all(&keys).with_context(|| format!("{} cannot be made", keys.display()))?;
        let mut files = Vec::new();
        for (number, made) in (1..).zip(made) {
            let consensus = keys.join(format!("validator-{number}-consensus.hex"));
            made.consensus.write(&consensus)?;
            write_key_file(&keys.join(format!("validator-{number}.hex")), &made.account)?;
            files.push(json!({"file": consensus}));
        }
        let config = json!({
            "data_dir": folder.join("chain"),
            "genesis": folder.join(GENESIS_FILE),
            "validator_keys": files,
        });
        write(&folder.join(CONFIG_FILE), &serde_saphyr::to_string(&config)?)?;
        if let Some(migration) = migration {
            write(
                &folder.join(MIGRATION_FILE),
                &serde_json::to_string_pretty(migration)?,
            )?;
        }
        // Last: its presence says that the folder is complete.
        write(
            &folder.join(GENESIS_FILE),
            &serde_json::to_string_pretty(genesis)?,
        )
    }
}

fn write(file: &Path, text: &str) -> Result<()> {
    std::fs::write(file, text).with_context(|| format!("{} cannot be written", file.display()))
}

fn read_params(file: &Path) -> Result<GenesisParams> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    serde_saphyr::from_str(&text).with_context(|| format!("{}: params are malformed", file.display()))
}

fn read_export(file: &Path) -> Result<Value> {
    let opened = std::fs::File::open(file).with_context(|| format!("{} cannot be read", file.display()))?;
    ensure!(
        opened.metadata()?.len() <= MAX_EXPORT_BYTES,
        "{} is larger than {MAX_EXPORT_BYTES} bytes",
        file.display()
    );
    let reader = std::io::BufReader::new(opened);
    serde_json::from_reader(reader).with_context(|| format!("{} is not JSON", file.display()))
}

fn application(of: &Pair<Address, PathBuf>) -> Result<GenesisApplication> {
    let file = of.value.display();
    let stake: ApplicationStake = load(&of.value)?;
    let [service_id] = stake.service_ids.as_slice() else {
        bail!("{file}: an application of a genesis has exactly one service");
    };
    ensure!(
        stake.per_session_spend_limit.is_none(),
        "{file}: per_session_spend_limit cannot be set in a genesis; set it with portico tx stake-application"
    );
    Ok(GenesisApplication {
        address: of.name,
        stake: stake.stake_amount.0,
        service_id: service_id.clone(),
        delegatees: stake.gateway_addresses,
    })
}

fn supplier(file: &Path) -> Result<GenesisSupplier> {
    let shown = file.display();
    let stake: SupplierStake = load(file)?;
    let amount = stake
        .stake_amount
        .with_context(|| format!("{shown}: stake_amount is missing, and a genesis needs it"))?;
    let service = |service: &portico_config::stake::StakedService| {
        let endpoints = service.endpoints.iter().map(|one| endpoint(file, one));
        Ok(GenesisSupplierService {
            service_id: service.service_id.clone(),
            url: String::new(),
            endpoints: endpoints.collect::<Result<_>>()?,
            rev_share: stake
                .shares(service)
                .into_iter()
                .map(|(address, percentage)| GenesisRevShare { address, percentage })
                .collect(),
        })
    };
    let services: Vec<_> = stake.services.iter().map(service).collect::<Result<_>>()?;
    let ids: BTreeSet<_> = services.iter().map(|service| &service.service_id).collect();
    ensure!(ids.len() == services.len(), "{shown}: a service is listed twice");
    Ok(GenesisSupplier {
        owner: stake.owner_address,
        operator: stake.operator(),
        stake: amount.0,
        services,
    })
}

fn endpoint(file: &Path, endpoint: &StakedEndpoint) -> Result<GenesisEndpoint> {
    ensure!(
        endpoint.config.timeout.is_none(),
        "{}: an endpoint's time-out cannot be set in a genesis",
        file.display()
    );
    let kind = StakedRpcType::ALL
        .iter()
        .find(|(_, kind)| *kind == endpoint.rpc_type);
    let name = kind.map_or("", |(name, _)| name);
    Ok(GenesisEndpoint {
        url: endpoint.publicly_exposed_url.clone(),
        rpc_type: name.to_uppercase(),
    })
}
