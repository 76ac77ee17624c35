//! What is to be done, in order. Pure: what is wanted and what the chain has go in.

use std::fmt::Write as _;

use portico_protocol::tx::pack;
use portico_protocol::wire::cosmos::bank::v1beta1::MsgSend;
use portico_protocol::wire::pocket::shared::ApplicationServiceConfig;
use portico_protocol::wire::pocket::{application, gateway};
use portico_protocol::{Address, ServiceId, Upokt};
use prost_types::Any;
use serde::Serialize;

use super::look::Known;
use crate::servicer::check::look::amount;
use crate::table::grouped;

/// Fees that an actor is funded for: its own transactions of the plan, and some to spare.
const FEES: u128 = 10;
/// An application's stake in least stakes, unless it is said: less would be unstaked by its first relays.
const STAKES: u128 = 10;

/// What is wanted.
#[derive(Clone, Debug)]
pub(super) struct Wishes {
    pub(super) service: ServiceId,
    pub(super) stake: Option<Upokt>,
    pub(super) gateway: Address,
    /// Whether the gateway is one's own.
    pub(super) own_gateway: bool,
    /// Of each transaction, in upokt.
    pub(super) fee: u64,
}

/// Who signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Role {
    Application,
    Gateway,
    Funder,
}

/// How far a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Done,
    ToDo,
    /// Something that only the user can bring.
    Missing,
}

/// A step, with its transaction if it needs one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) state: State,
    pub(super) what: String,
    pub(super) transaction: Option<Transaction>,
}

/// A transaction of one message.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Transaction {
    pub(super) signer: Role,
    /// Type of the message.
    pub(super) kind: String,
    /// Its fields, by name.
    pub(super) fields: Vec<(&'static str, String)>,
    pub(super) fee_upokt: u64,
    /// Once it is in a block.
    pub(super) hash: Option<String>,
    #[serde(skip)]
    pub(super) message: Any,
}

impl Step {
    pub(super) fn done(name: &'static str, what: String) -> Self {
        Self {
            name,
            state: State::Done,
            what,
            transaction: None,
        }
    }

    fn missing(name: &'static str, what: String) -> Self {
        Self {
            state: State::Missing,
            ..Self::done(name, what)
        }
    }

    fn send(name: &'static str, what: String, transaction: Transaction) -> Self {
        Self {
            name,
            state: State::ToDo,
            what,
            transaction: Some(transaction),
        }
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let state = match self.state {
            State::Done => "done",
            State::ToDo => "to do",
            State::Missing => "MISSING",
        };
        let mut text = format!("{state:<8} {:<10} {}\n", self.name, self.what);
        if let Some(transaction) = &self.transaction {
            let signer = format!("{:?}", transaction.signer).to_lowercase();
            let _ = writeln!(
                text,
                "         {} signed by the {signer}, fee {} upokt",
                transaction.kind, transaction.fee_upokt
            );
            for (name, value) in &transaction.fields {
                let _ = writeln!(text, "           {name}: {value}");
            }
            if let Some(hash) = &transaction.hash {
                let _ = writeln!(text, "         in a block: {hash}");
            }
        }
        text
    }
}

/// The steps up to the first relay. Those after a missing one are not told.
pub(super) fn steps(wishes: &Wishes, known: &Known) -> Vec<Step> {
    let mut steps = vec![Step::done(
        "keys",
        format!(
            "application {}, gateway {}",
            known.application_address, wishes.gateway
        ),
    )];
    if !known.has_service {
        let what = format!(
            "the chain has no service {}: name another with --service",
            wishes.service
        );
        steps.push(Step::missing("service", what));
        return steps;
    }
    let fees = Upokt(u128::from(wishes.fee).saturating_mul(FEES));
    let stake = stake(wishes, known);
    let staked = known
        .application
        .as_ref()
        .map(|found| amount(found.stake.as_ref()));
    let lacks = |has: Upokt, stake: Upokt| Upokt(stake.0.saturating_add(fees.0).saturating_sub(has.0));
    let for_application = match staked {
        Some(_) => Upokt(0),
        None => lacks(known.application_balance, stake),
    };
    let for_gateway = match (wishes.own_gateway, known.gateway) {
        (true, None) => lacks(known.gateway_balance, known.least_gateway_stake),
        _ => Upokt(0),
    };
    let whole = Upokt(for_application.0.saturating_add(for_gateway.0));
    for (name, to, lacking) in [
        ("funds", known.application_address.clone(), for_application),
        ("funds", wishes.gateway.to_string(), for_gateway),
    ] {
        if lacking.0 == 0 {
            steps.push(Step::done(name, format!("{to} has what it needs")));
            continue;
        }
        let lack = format!("{to} lacks {} upokt", grouped(lacking.0));
        match &known.funder {
            None => {
                let what = format!(
                    "{lack}: send them there, from the network's faucet or an account of yours, or name one with --funder"
                );
                steps.push(Step::missing(name, what));
                return steps;
            }
            Some((funder, balance)) if balance.0 < whole.0 => {
                let what = format!(
                    "{lack}, and the funder {funder} holds {} upokt only",
                    grouped(balance.0)
                );
                steps.push(Step::missing(name, what));
                return steps;
            }
            Some((funder, _)) => steps.push(Step::send(name, lack, transfer(wishes, funder, &to, lacking))),
        }
    }
    steps.push(application_stake(wishes, known, stake));
    if steps.last().is_some_and(|step| step.state == State::Missing) {
        return steps;
    }
    match (wishes.own_gateway, known.gateway) {
        (_, Some(stake)) => steps.push(Step::done(
            "gateway",
            format!("staked, {} upokt", grouped(stake.0)),
        )),
        (true, None) => steps.push(gateway_stake(wishes, known.least_gateway_stake)),
        (false, None) => {
            let what = format!(
                "{} is no staked gateway: name another with --gateway",
                wishes.gateway
            );
            steps.push(Step::missing("gateway", what));
            return steps;
        }
    }
    steps.push(delegation(wishes, known));
    steps
}

/// The application's stake: as wished, but not less than the chain takes.
fn stake(wishes: &Wishes, known: &Known) -> Upokt {
    let default = known.least_application_stake.0.max(1).saturating_mul(STAKES);
    wishes
        .stake
        .unwrap_or(Upokt(default))
        .max(known.least_application_stake)
}

fn transfer(wishes: &Wishes, funder: &Address, to: &str, amount: Upokt) -> Transaction {
    let message = MsgSend {
        from_address: funder.to_string(),
        to_address: to.to_owned(),
        amount: vec![amount.into()],
    };
    transaction(
        Role::Funder,
        wishes,
        vec![
            ("from", message.from_address.clone()),
            ("to", message.to_address.clone()),
            ("amount", amount.to_string()),
        ],
        pack(&message),
    )
}

fn application_stake(wishes: &Wishes, known: &Known, stake: Upokt) -> Step {
    let service = wishes.service.to_string();
    if let Some(found) = &known.application {
        let services: Vec<&str> = found
            .service_configs
            .iter()
            .map(|config| config.service_id.as_str())
            .collect();
        let held = grouped(amount(found.stake.as_ref()).0);
        return match services.contains(&service.as_str()) {
            true => Step::done("stake", format!("staked for {service}, {held} upokt")),
            false => Step::missing(
                "stake",
                format!(
                    "the application is staked for {}: use keys of its own for {service}, with --keys",
                    services.join(", ")
                ),
            ),
        };
    }
    let message = application::MsgStakeApplication {
        address: known.application_address.clone(),
        stake: Some(stake.into()),
        services: vec![ApplicationServiceConfig {
            service_id: service.clone(),
        }],
        per_session_spend_limit: None,
    };
    let fields = vec![
        ("address", message.address.clone()),
        ("stake", stake.to_string()),
        ("service", service.clone()),
    ];
    let what = format!(
        "stake {} upokt, which pays for relays of {service}",
        grouped(stake.0)
    );
    Step::send(
        "stake",
        what,
        transaction(Role::Application, wishes, fields, pack(&message)),
    )
}

fn gateway_stake(wishes: &Wishes, stake: Upokt) -> Step {
    let message = gateway::MsgStakeGateway {
        address: wishes.gateway.to_string(),
        stake: Some(stake.into()),
    };
    let fields = vec![("address", message.address.clone()), ("stake", stake.to_string())];
    let what = format!("stake {} upokt, the least", grouped(stake.0));
    Step::send(
        "gateway",
        what,
        transaction(Role::Gateway, wishes, fields, pack(&message)),
    )
}

fn delegation(wishes: &Wishes, known: &Known) -> Step {
    let gateway = wishes.gateway.to_string();
    let delegated = known
        .application
        .as_ref()
        .map(|found| &found.delegatee_gateway_addresses);
    if delegated.is_some_and(|gateways| gateways.contains(&gateway)) {
        return Step::done("delegate", "the gateway may sign".to_owned());
    }
    let message = application::MsgDelegateToGateway {
        app_address: known.application_address.clone(),
        gateway_address: gateway.clone(),
    };
    let fields = vec![("application", message.app_address.clone()), ("gateway", gateway)];
    let what = "let the gateway sign; it takes effect with the next session".to_owned();
    Step::send(
        "delegate",
        what,
        transaction(Role::Application, wishes, fields, pack(&message)),
    )
}

fn transaction(
    signer: Role,
    wishes: &Wishes,
    fields: Vec<(&'static str, String)>,
    message: Any,
) -> Transaction {
    Transaction {
        signer,
        kind: message.type_url.trim_start_matches('/').to_owned(),
        fields,
        fee_upokt: wishes.fee,
        hash: None,
        message,
    }
}

#[cfg(test)]
mod tests {
    use portico_protocol::SigningKey;

    use super::*;

    fn address(byte: u8) -> Address {
        SigningKey::from_bytes(&[byte; 32]).unwrap().address()
    }

    fn wishes() -> Wishes {
        Wishes {
            service: "eth".parse().unwrap(),
            stake: None,
            gateway: address(2),
            own_gateway: true,
            fee: 5,
        }
    }

    /// A chain that knows nothing of the keys, and a funder.
    fn known() -> Known {
        Known {
            application_address: address(1).to_string(),
            funder: Some((address(3), Upokt(1_000_000))),
            least_application_stake: Upokt(100),
            least_gateway_stake: Upokt(70),
            has_service: true,
            ..Known::default()
        }
    }

    fn names(steps: &[Step]) -> Vec<(&str, State)> {
        steps.iter().map(|step| (step.name, step.state)).collect()
    }

    #[test]
    fn everything_is_sent_where_there_is_nothing() {
        let steps = steps(&wishes(), &known());
        let texts: String = steps.iter().map(Step::text).collect();
        insta::assert_snapshot!(texts);
    }

    #[test]
    fn what_is_done_is_not_done_again() {
        let mut known = known();
        known.gateway = Some(Upokt(70));
        known.application = Some(application::Application {
            address: known.application_address.clone(),
            stake: Some(Upokt(900).into()),
            service_configs: vec![ApplicationServiceConfig {
                service_id: "eth".to_owned(),
            }],
            delegatee_gateway_addresses: vec![address(2).to_string()],
            ..application::Application::default()
        });
        let all = steps(&wishes(), &known);
        assert!(
            all.iter()
                .all(|step| step.state == State::Done && step.transaction.is_none()),
            "{all:?}"
        );

        known.application.as_mut().unwrap().service_configs[0].service_id = "poly".to_owned();
        let all = steps(&wishes(), &known);
        assert_eq!(
            all.last().map(|step| (step.name, step.state)),
            Some(("stake", State::Missing))
        );
    }

    #[test]
    fn a_plan_ends_with_what_only_the_user_can_bring() {
        let missing = |change: &dyn Fn(&mut Wishes, &mut Known)| {
            let (mut wishes, mut known) = (wishes(), known());
            change(&mut wishes, &mut known);
            let steps = steps(&wishes, &known);
            let (last, before) = steps.split_last().unwrap();
            assert!(before.iter().all(|step| step.state != State::Missing));
            (last.name, last.state)
        };
        let is = |name| (name, State::Missing);
        assert_eq!(missing(&|_, known| known.has_service = false), is("service"));
        assert_eq!(missing(&|_, known| known.funder = None), is("funds"));
        assert_eq!(
            missing(&|_, known| known.funder = Some((address(3), Upokt(1_000)))),
            is("funds")
        );
        assert_eq!(missing(&|wishes, _| wishes.own_gateway = false), is("gateway"));
    }

    #[test]
    fn a_stake_is_never_less_than_the_chain_takes() {
        let mut wishes = wishes();
        wishes.stake = Some(Upokt(1));
        assert_eq!(stake(&wishes, &known()), Upokt(100));
        assert_eq!(names(&steps(&wishes, &known()))[3], ("stake", State::ToDo));
    }
}
