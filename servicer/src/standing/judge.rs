//! What follows from what the chain says of a supplier. Pure.

use std::collections::BTreeSet;
use std::fmt;

use portico_protocol::wire::pocket::shared::Supplier;
use portico_protocol::{Height, ServiceId, Upokt};

/// What the chain says of one supplier, and what is known of its sessions.
#[derive(Clone, Debug)]
pub(crate) struct Facts<'a> {
    /// `None` when it is not staked.
    pub(crate) supplier: Option<&'a Supplier>,
    pub(crate) balance: Upokt,
    /// What its account has to hold for all that is under way, and for a claim with its proof in each of its services.
    pub(crate) needed: Upokt,
    pub(crate) min_stake: Upokt,
    /// What a claim costs whose proof does not come.
    pub(crate) penalty: Upokt,
    /// Claims on chain whose proof is asked for and can no longer come.
    pub(crate) certain_slashes: u64,
    /// Services of the configuration.
    pub(crate) services: &'a BTreeSet<ServiceId>,
    /// Blocks for which a stake is held after the end of the session in which it was unstaked.
    pub(crate) unbonding_blocks: i64,
}

/// Something that costs money, or will.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Alarm {
    NotStaked,
    /// It serves until the session that ends there.
    Unstaking {
        session_end: Height,
    },
    BelowMinStake {
        stake: Upokt,
        min: Upokt,
    },
    /// Slashes that will come leave less than the least stake: the chain unstakes it then.
    UnstakesSoon {
        slashes: u64,
    },
    /// One missed proof unstakes it.
    StakeLow {
        stake: Upokt,
        needed: Upokt,
    },
    /// It is staked for a service that is not configured here: its relays are refused.
    ServiceNotConfigured {
        service: String,
    },
    LowBalance {
        balance: Upokt,
        needed: Upokt,
    },
}

/// What follows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) alarms: Vec<Alarm>,
    /// While it is unstaking: the last block of its last session, and the one that pays its stake back.
    leaves: Option<(Height, Height)>,
}

impl Alarm {
    /// Names of all.
    pub(crate) const NAMES: [&'static str; 7] = [
        "not_staked",
        "unstaking",
        "below_min_stake",
        "unstakes_soon",
        "stake_low",
        "service_not_configured",
        "low_balance",
    ];

    /// Name in logs, metrics and answers.
    pub(crate) const fn name(&self) -> &'static str {
        let [
            not_staked,
            unstaking,
            below_min_stake,
            unstakes_soon,
            stake_low,
            service_not_configured,
            low_balance,
        ] = Self::NAMES;
        match self {
            Self::NotStaked => not_staked,
            Self::Unstaking { .. } => unstaking,
            Self::BelowMinStake { .. } => below_min_stake,
            Self::UnstakesSoon { .. } => unstakes_soon,
            Self::StakeLow { .. } => stake_low,
            Self::ServiceNotConfigured { .. } => service_not_configured,
            Self::LowBalance { .. } => low_balance,
        }
    }

    /// Whether somebody may be mending it on chain.
    pub(crate) const fn may_end_soon(&self) -> bool {
        !matches!(self, Self::ServiceNotConfigured { .. })
    }

    /// Whether the supplier earns nothing new.
    const fn ends_earning(&self) -> bool {
        match self {
            Self::NotStaked | Self::BelowMinStake { .. } | Self::UnstakesSoon { .. } => true,
            Self::LowBalance { balance, needed: _ } => balance.0 == 0,
            Self::Unstaking { .. } | Self::StakeLow { .. } | Self::ServiceNotConfigured { .. } => false,
        }
    }
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStaked => write!(f, "it is not staked"),
            Self::Unstaking { session_end } => {
                write!(
                    f,
                    "it is unstaking, and serves until the session that ends at {session_end}"
                )
            }
            Self::BelowMinStake { stake, min } => {
                write!(f, "its stake of {stake} is below the least of {min}")
            }
            Self::UnstakesSoon { slashes } => write!(
                f,
                "{slashes} claims that can no longer be proved will take its stake below the least"
            ),
            Self::StakeLow { stake, needed } => write!(
                f,
                "its stake is {stake}: below {needed} one missed proof unstakes it"
            ),
            Self::ServiceNotConfigured { service } => write!(
                f,
                "it is staked for service {service}, which is not configured: its relays are refused"
            ),
            Self::LowBalance { balance, needed } => {
                write!(f, "its account holds {balance}; claims and proofs need {needed}")
            }
        }
    }
}

impl Standing {
    /// Why relays of a session that ends at `end`, and settles at `settles`, are not to be served: they would not be paid.
    pub(crate) fn stop(&self, end: Height, settles: Height) -> Option<&'static str> {
        let stops =
            |alarm: &&Alarm| matches!(alarm, Alarm::BelowMinStake { .. } | Alarm::UnstakesSoon { .. });
        if let Some(alarm) = self.alarms.iter().find(stops) {
            return Some(alarm.name());
        }
        // The block that pays the stake back settles claims before.
        let (last, paid_back) = self.leaves?;
        (end > last || settles > paid_back).then_some("unstaking")
    }

    /// Whether it can earn with new relays.
    pub(crate) fn earns(&self) -> bool {
        !self.alarms.iter().any(Alarm::ends_earning)
    }
}

/// What follows from `facts`.
pub(crate) fn judge(facts: &Facts<'_>) -> Standing {
    let mut standing = Standing::default();
    let Some(supplier) = facts.supplier else {
        standing.alarms.push(Alarm::NotStaked);
        return standing;
    };
    let alarms = &mut standing.alarms;
    let stake = supplier
        .stake
        .as_ref()
        .and_then(|coin| Upokt::try_from(coin).ok());
    let stake = stake.unwrap_or_default();
    let after = |slashes: u64| {
        Upokt(
            stake
                .0
                .saturating_sub(facts.penalty.0.saturating_mul(slashes.into())),
        )
    };
    if supplier.unstake_session_end_height > 0 {
        let end = i64::try_from(supplier.unstake_session_end_height).unwrap_or(i64::MAX);
        let session_end = Height(end);
        let paid_back = Height(end.saturating_add(facts.unbonding_blocks));
        standing.leaves = Some((session_end, paid_back));
        alarms.push(Alarm::Unstaking { session_end });
    } else if stake < facts.min_stake {
        let min = facts.min_stake;
        alarms.push(Alarm::BelowMinStake { stake, min });
    } else if after(facts.certain_slashes) < facts.min_stake {
        let slashes = facts.certain_slashes;
        alarms.push(Alarm::UnstakesSoon { slashes });
    } else if after(1) < facts.min_stake {
        let needed = Upokt(facts.min_stake.0.saturating_add(facts.penalty.0));
        alarms.push(Alarm::StakeLow { stake, needed });
    }
    let configured = |id: &str| {
        id.parse::<ServiceId>()
            .is_ok_and(|id| facts.services.contains(&id))
    };
    let missing = supplier
        .services
        .iter()
        .filter(|service| !configured(&service.service_id));
    alarms.extend(missing.map(|service| Alarm::ServiceNotConfigured {
        service: service.service_id.clone(),
    }));
    if facts.balance < facts.needed {
        let (balance, needed) = (facts.balance, facts.needed);
        alarms.push(Alarm::LowBalance { balance, needed });
    }
    standing
}

#[cfg(test)]
mod tests {
    use portico_protocol::wire::pocket::shared::SupplierServiceConfig;

    use super::*;

    fn supplier(stake: u128, services: &[&str]) -> Supplier {
        let service = |id: &&str| SupplierServiceConfig {
            service_id: (*id).to_owned(),
            ..SupplierServiceConfig::default()
        };
        Supplier {
            stake: Some(Upokt(stake).into()),
            services: services.iter().map(service).collect(),
            ..Supplier::default()
        }
    }

    fn judged(supplier: Option<&Supplier>, change: impl FnOnce(&mut Facts<'_>)) -> Standing {
        let services = BTreeSet::from(["eth".parse().unwrap()]);
        let mut facts = Facts {
            supplier,
            balance: Upokt(50),
            needed: Upokt(50),
            min_stake: Upokt(1_000),
            penalty: Upokt(100),
            certain_slashes: 0,
            services: &services,
            unbonding_blocks: 20,
        };
        change(&mut facts);
        judge(&facts)
    }

    fn names(standing: &Standing) -> Vec<&'static str> {
        standing.alarms.iter().map(Alarm::name).collect()
    }

    #[test]
    fn a_supplier_in_order_raises_no_alarm() {
        let standing = judged(Some(&supplier(1_100, &["eth"])), |_| {});
        assert_eq!(standing, Standing::default());
        assert!(standing.earns() && standing.stop(Height(60), Height(90)).is_none());
    }

    #[test]
    fn each_fault_has_its_name() {
        for (stake, expected) in [(1_099, "stake_low"), (999, "below_min_stake")] {
            assert_eq!(
                names(&judged(Some(&supplier(stake, &["eth"])), |_| {})),
                [expected]
            );
        }
        let staked = supplier(5_000, &["eth", "other"]);
        assert_eq!(names(&judged(Some(&staked), |_| {})), ["service_not_configured"]);
        let staked = supplier(5_000, &["eth"]);
        let poor = judged(Some(&staked), |facts| facts.balance = Upokt(49));
        assert_eq!((names(&poor), poor.earns()), (vec!["low_balance"], true));
        let empty = judged(Some(&staked), |facts| facts.balance = Upokt(0));
        assert!(!empty.earns());
        let nobody = judged(None, |_| {});
        assert_eq!((names(&nobody), nobody.earns()), (vec!["not_staked"], false));
    }

    #[test]
    fn new_relays_stop_before_slashes_that_will_come_unstake_it() {
        let staked = supplier(1_250, &["eth"]);
        let at = |slashes| {
            let standing = judged(Some(&staked), |facts| facts.certain_slashes = slashes);
            standing.stop(Height(60), Height(90))
        };
        assert_eq!(at(2), None);
        assert_eq!(at(3), Some("unstakes_soon"));
        let below = judged(Some(&supplier(999, &["eth"])), |_| {});
        assert_eq!(below.stop(Height(60), Height(90)), Some("below_min_stake"));
    }

    #[test]
    fn one_that_leaves_serves_what_is_settled_before_it_is_gone() {
        let leaving = Supplier {
            unstake_session_end_height: 60,
            ..supplier(5_000, &["eth"])
        };
        let standing = judged(Some(&leaving), |_| {});
        assert_eq!(names(&standing), ["unstaking"]);
        assert_eq!(
            standing.stop(Height(60), Height(80)),
            None,
            "settled in the last block"
        );
        assert_eq!(standing.stop(Height(60), Height(81)), Some("unstaking"));
        assert_eq!(
            standing.stop(Height(70), Height(80)),
            Some("unstaking"),
            "a later session"
        );
        assert!(standing.earns(), "until then");
    }
}
