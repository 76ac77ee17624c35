//! What a sequence is made of.

use proptest::prelude::*;

use crate::actors::PEOPLE;

/// Something that somebody does in a block.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    Send {
        from: usize,
        to: usize,
        amount: u128,
    },
    StakeApp {
        who: usize,
        amount: u128,
        service: usize,
        limit: Option<u128>,
    },
    UnstakeApp {
        who: usize,
    },
    TransferApp {
        from: usize,
        to: usize,
    },
    Delegate {
        app: usize,
        gateway: usize,
    },
    Undelegate {
        app: usize,
        gateway: usize,
    },
    StakeGateway {
        who: usize,
        amount: u128,
    },
    UnstakeGateway {
        who: usize,
    },
    StakeSupplier {
        signer: usize,
        owner: usize,
        operator: usize,
        amount: Option<u128>,
        services: Vec<usize>,
    },
    UnstakeSupplier {
        signer: usize,
        operator: usize,
    },
    GiveService {
        from: usize,
        to: usize,
        service: usize,
    },
    SetUnits {
        who: usize,
        service: usize,
        units: u64,
    },
    /// Relays are served, off chain, in the current session: by one of its suppliers, unless they are `wild`.
    Serve {
        app: usize,
        supplier: usize,
        service: usize,
        relays: u64,
        forged: bool,
        wild: bool,
    },
    /// A claim of what was served, if its window is open; of anything else that was served otherwise.
    Claim {
        pick: usize,
        fault: ClaimFault,
    },
    /// A proof of a claim, likewise.
    Prove {
        pick: usize,
        fault: ProofFault,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClaimFault {
    None,
    /// One compute unit too many.
    Units,
    /// Another session's id.
    Id,
    /// An end one session later.
    End,
    /// More leaves than were served.
    More,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProofFault {
    None,
    /// Answers the challenge of another block.
    Seed,
    /// Half of the bytes.
    Cut,
}

/// What differs from chain to chain.
#[derive(Clone, Debug)]
pub(crate) struct Knobs {
    pub(crate) inflation: &'static str,
    pub(crate) mint_ratio: &'static str,
    pub(crate) bonus: u64,
    pub(crate) probability: &'static str,
    pub(crate) threshold: u128,
    pub(crate) penalty: u128,
    pub(crate) submission_fee: u128,
    pub(crate) target_num_relays: u64,
    pub(crate) num_suppliers: u64,
    /// Supplier, proposer, source owner, application, DAO.
    pub(crate) shares: [&'static str; 5],
}

/// A chain, and its blocks.
#[derive(Clone, Debug)]
pub(crate) struct Sequence {
    pub(crate) knobs: Knobs,
    /// Per block what is done in it, with the fee that it pays.
    pub(crate) blocks: Vec<Vec<(Deed, u128)>>,
}

fn who() -> std::ops::Range<usize> {
    0..PEOPLE
}

/// Mostly those who have such an actor, or will.
fn mostly(few: &'static [usize]) -> impl Strategy<Value = usize> + Clone {
    prop_oneof![4 => proptest::sample::select(few), 1 => who()]
}

fn apps() -> impl Strategy<Value = usize> + Clone {
    mostly(&[0, 7])
}

fn gateways() -> impl Strategy<Value = usize> + Clone {
    mostly(&[1, 6])
}

fn operators() -> impl Strategy<Value = usize> + Clone {
    mostly(&[2, 3, 4])
}

/// Around minimum stakes and what people have.
fn amount() -> impl Strategy<Value = u128> + Clone {
    prop_oneof![
        1 => Just(0_u128),
        1 => 1_u128..200,
        2 => 999_990_u128..1_000_010,
        6 => 1_000_000_u128..6_000_000,
        1 => Just(60_000_000_u128),
        1 => Just(u128::MAX / 4),
    ]
}

fn staking() -> impl Strategy<Value = Deed> {
    prop_oneof![4 => of_applications(), 2 => of_gateways(), 3 => of_suppliers(), 1 => of_services()]
}

fn of_applications() -> impl Strategy<Value = Deed> {
    let limit = prop_oneof![
        3 => Just(None),
        1 => Just(Some(0)),
        1 => Just(Some(999_999)),
        2 => (1_000_000_u128..2_000_000).prop_map(Some),
    ];
    prop_oneof![
        2 => (who(), who(), amount()).prop_map(|(from, to, amount)| Deed::Send { from, to, amount }),
        4 => (apps(), amount(), 0_usize..3, limit).prop_map(|(who, amount, service, limit)| Deed::StakeApp {
            who,
            amount,
            service,
            limit,
        }),
        1 => apps().prop_map(|who| Deed::UnstakeApp { who }),
        2 => (apps(), who()).prop_map(|(from, to)| Deed::TransferApp { from, to }),
        2 => (apps(), gateways()).prop_map(|(app, gateway)| Deed::Delegate { app, gateway }),
        1 => (apps(), gateways()).prop_map(|(app, gateway)| Deed::Undelegate { app, gateway }),
    ]
}

fn of_gateways() -> impl Strategy<Value = Deed> {
    prop_oneof![
        (gateways(), amount()).prop_map(|(who, amount)| Deed::StakeGateway { who, amount }),
        gateways().prop_map(|who| Deed::UnstakeGateway { who }),
    ]
}

fn of_suppliers() -> impl Strategy<Value = Deed> {
    let services = proptest::sample::subsequence(vec![0_usize, 1, 2], 0..3);
    let amount = proptest::option::of(amount());
    let stake = (who(), who(), operators(), 0_u8..4, amount, services).prop_map(
        |(signer, owner, operator, own, amount, services)| Deed::StakeSupplier {
            signer: if own > 0 { operator } else { signer },
            // Supplier 3 is person 5's.
            owner: match own {
                1 | 2 if operator == 3 => 5,
                1 | 2 => operator,
                _ => owner,
            },
            operator,
            amount,
            services,
        },
    );
    let unstake =
        (who(), operators(), any::<bool>()).prop_map(|(signer, operator, own)| Deed::UnstakeSupplier {
            signer: if own { operator } else { signer },
            operator,
        });
    prop_oneof![2 => stake, 1 => unstake]
}

fn of_services() -> impl Strategy<Value = Deed> {
    let units = prop_oneof![1 => Just(0_u64), 5 => 1_u64..20_000];
    let owner = || mostly(&[6]);
    prop_oneof![
        (owner(), who(), 0_usize..3).prop_map(|(from, to, service)| Deed::GiveService { from, to, service }),
        (owner(), 0_usize..3, units).prop_map(|(who, service, units)| Deed::SetUnits { who, service, units }),
    ]
}

fn relaying() -> impl Strategy<Value = Deed> {
    let claim_fault = prop_oneof![
        10 => Just(ClaimFault::None),
        1 => Just(ClaimFault::Units),
        1 => Just(ClaimFault::Id),
        1 => Just(ClaimFault::End),
        2 => Just(ClaimFault::More),
    ];
    let proof_fault =
        prop_oneof![8 => Just(ProofFault::None), 1 => Just(ProofFault::Seed), 1 => Just(ProofFault::Cut)];
    let seldom = || proptest::bool::weighted(0.1);
    let served = (who(), who(), 0_usize..2, 1_u64..4, seldom(), seldom()).prop_map(
        |(app, supplier, service, relays, forged, wild)| Deed::Serve {
            app,
            supplier,
            service,
            relays,
            forged,
            wild,
        },
    );
    prop_oneof![
        4 => served,
        5 => (any::<usize>(), claim_fault).prop_map(|(pick, fault)| Deed::Claim { pick, fault }),
        5 => (any::<usize>(), proof_fault).prop_map(|(pick, fault)| Deed::Prove { pick, fault }),
    ]
}

fn knobs() -> impl Strategy<Value = Knobs> {
    let select = proptest::sample::select::<&'static str>;
    (
        (
            select(vec!["0", "0.1", "0.000001", "1.5"]),
            select(vec!["1", "0.975", "0.5"]),
            1_u64..4,
            select(vec!["0", "0.25", "1"]),
            proptest::sample::select(vec![0_u128, 100_000, 500_000, u128::MAX / 2]),
        ),
        (
            proptest::sample::select(vec![0_u128, 1, 400_000, 320_000_000]),
            proptest::sample::select(vec![0_u128, 1, 10_000]),
            proptest::sample::select(vec![1_u64, 2, 100_000]),
            1_u64..4,
            proptest::sample::select(vec![
                ["0.7", "0.05", "0.15", "0", "0.1"],
                ["0.2", "0.2", "0.2", "0.2", "0.2"],
                ["0.79", "0.14", "0.025", "0", "0.045"],
                ["1", "0", "0", "0", "0"],
            ]),
        ),
    )
        .prop_map(
            |(
                (inflation, mint_ratio, bonus, probability, threshold),
                (penalty, submission_fee, target_num_relays, num_suppliers, shares),
            )| Knobs {
                inflation,
                mint_ratio,
                bonus,
                probability,
                threshold,
                penalty,
                submission_fee,
                target_num_relays,
                num_suppliers,
                shares,
            },
        )
}

pub(crate) fn sequence() -> impl Strategy<Value = Sequence> {
    let deed = prop_oneof![1 => staking().boxed(), 3 => relaying().boxed()];
    let fee = prop_oneof![20 => Just(0_u128), 5 => 1_u128..4, 1 => Just(u128::MAX / 8)];
    let block = proptest::collection::vec((deed, fee), 0..6);
    (knobs(), proptest::collection::vec(block, 12..36)).prop_map(|(knobs, blocks)| Sequence { knobs, blocks })
}
