//! The money tables as text: what happened beside what was expected, and what does not agree.

use portico_localnet::money::{Disagreement, PotLine, SessionLine, Verdict};

use crate::table::{Table, grouped};

/// Both tables.
pub(super) fn text(verdict: &Verdict) -> String {
    format!("{}\n{}", sessions(&verdict.sessions), pots(&verdict.pots))
}

fn sessions(lines: &[SessionLine]) -> String {
    let mut table = Table::new(&[
        "session",
        "service",
        ">earlier",
        ">relays",
        ">leaves",
        ">claimed",
        "proof",
        ">compute units",
        ">claimed upokt",
        ">settled upokt",
        ">expected upokt",
        ">height",
    ]);
    for line in lines {
        let settlement = &line.settlement;
        table.row([
            short(&settlement.served.session),
            settlement.service.to_string(),
            line.earlier.to_string(),
            line.relays.to_string(),
            line.leaves.to_string(),
            settlement.relays.to_string(),
            if settlement.proved { "valid" } else { "none" }.to_owned(),
            grouped(settlement.compute_units),
            grouped(settlement.claimed),
            grouped(settlement.settled),
            grouped(line.expected),
            settlement.height.to_string(),
        ]);
    }
    table.text(2)
}

fn pots(lines: &[PotLine]) -> String {
    let mut table = Table::new(&[
        "actor",
        "upokt of",
        ">before",
        ">after",
        ">change",
        ">expected",
        "",
    ]);
    for line in lines {
        let mark = if line.change == line.expected { "" } else { "!" };
        table.row([
            line.actor.clone(),
            line.kind.to_owned(),
            grouped(line.before),
            grouped(line.after),
            signed(line.change),
            signed(line.expected),
            mark.to_owned(),
        ]);
    }
    table.text(2)
}

/// A disagreement as a line.
pub(super) fn disagreement(disagreement: &Disagreement) -> String {
    match disagreement {
        Disagreement::Loss(text) => text.clone(),
        Disagreement::NotSettled { session, relays } => {
            format!("session {} with {relays} relays was not settled", short(session))
        }
        Disagreement::Session {
            session,
            what,
            found,
            expected,
        } => {
            let (found, expected) = (grouped(found), grouped(expected));
            format!("session {}: {what} {found}, expected {expected}", short(session))
        }
        Disagreement::Pot {
            actor,
            kind,
            change,
            expected,
        } => {
            let (change, expected) = (signed(*change), signed(*expected));
            format!("{actor} {kind}: changed by {change}, expected {expected}")
        }
        Disagreement::Supply { held, supply } => {
            let (held, supply) = (signed(*held), signed(*supply));
            format!("the actors' tokens changed by {held}, the supply by {supply}")
        }
    }
}

fn signed(change: i128) -> String {
    let plus = if change > 0 { "+" } else { "" };
    format!("{plus}{}", grouped(change))
}

/// The first characters of a session id, enough to tell sessions apart.
fn short(session: &str) -> String {
    session.chars().take(12).collect()
}

#[cfg(test)]
mod tests {
    use portico_localnet::money::{PotLine, Served, SessionLine, Settlement, Verdict};
    use portico_protocol::Height;

    const ADDRESS: &str = "pokt1mrqt5f7qh8uxs27cjm9t7v9e74a9vvdnq5jva4";

    fn settlement() -> Settlement {
        Settlement {
            served: Served {
                session: "ab".repeat(32),
                supplier: ADDRESS.parse().unwrap(),
            },
            application: ADDRESS.parse().unwrap(),
            service: "pocket".parse().unwrap(),
            relays: 50,
            compute_units: 500,
            claimed: 21_000,
            settled: 21_000,
            minted: 21_000,
            proved: true,
            height: Height(20),
        }
    }

    fn pot(actor: &str, kind: &'static str, change: i128, expected: i128) -> PotLine {
        PotLine {
            actor: actor.to_owned(),
            kind,
            before: 1_000_000,
            after: 1_000_000_u128.saturating_add_signed(change),
            change,
            expected,
        }
    }

    #[test]
    fn figures_stand_beside_what_was_expected() {
        let verdict = Verdict {
            sessions: vec![SessionLine {
                settlement: settlement(),
                earlier: 0,
                relays: 50,
                leaves: 50,
                expected: 21_000,
            }],
            pots: vec![
                pot("application-pocket", "stake", -23_100, -23_100),
                pot("supplier", "balance", 16_171, 16_170),
                pot("all tokens", "supply", 2_100, 2_100),
            ],
            disagreements: Vec::new(),
        };
        insta::assert_snapshot!(super::text(&verdict));
    }
}
